"""Figures of a partition: the plane filled by regions, and the graph above it.

matplotlib is imported when a figure is asked for, and pyplot never: a figure made here
belongs to its caller alone and is freed with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from geomrelu import palette
from geomrelu.arrays import BoolArray, FloatArray, IntArray, float_array, row_ids
from geomrelu.errors import InputError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.path import Path
    from mpl_toolkits.mplot3d.axes3d import Axes3D

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["plot_partition", "plot_surface", "tie_segments"]

ColorChoice: TypeAlias = "str | npt.ArrayLike"
LabelChoice: TypeAlias = "bool | str | Sequence[str]"

COLOR_NAMES = ("pattern", "value", "class", "gradient", "area")
_INK = "#1b2330"
# From here on faces are drawn without antialiasing (no white seams between them) and as pixels in vector files.
_MANY = 20_000
_MAX_LABELS = 150
_SEGMENTS_PER_PATH = 2000


def plot_partition(
    p: PlanarComplex,
    ax: Axes | None = None,
    *,
    color: ColorChoice = "pattern",
    output: int = 0,
    edges: bool = True,
    boundary: bool | None = None,
    labels: LabelChoice = False,
    cmap: Any = None,
    colorbar: bool | None = None,
    linewidth: float | None = None,
    alpha: float | None = None,
) -> Axes:
    """Draw every region of a partition; legible and quick from 3 to 300,000 of them.

    Parameters
    ----------
    p : PlanarComplex
    ax : matplotlib Axes, optional
        Where to draw; without it, the axes of a new figure (``.figure.savefig(...)``).  Limits
        that were set on them are kept; those that follow from data drawn before are widened.
    color : str or array
        ``"pattern"``: similar patterns look alike, neighbours differ.
        ``"value"``: mean of output `output` over the region, with a colour bar.
        ``"class"``: largest output (of a single output: its sign); regions that the decision
        boundary crosses are filled on both sides of it.
        ``"gradient"``: hue by direction, strength by length, of the gradient of `output`; with a key.
        ``"area"``: area, on a logarithmic scale, with a colour bar.
        An array (F,) is put through `cmap`; (F, 3) or (F, 4) are RGB or RGBA in [0, 1].
    output : int
        The output that ``"value"`` and ``"gradient"`` are about.
    edges : bool
        Draw the edges; their width falls as the number of regions grows.
    boundary : bool, optional
        Draw the decision boundary (see `tie_segments`); by default with ``color="class"`` only.
    labels : bool, str or sequence of str
        True or ``"id"`` writes the region's number on it, ``"map"`` its affine map, a sequence
        (F,) its entries; on the 150 largest regions at most.
    cmap : str or Colormap, optional
        For values, areas and arrays; viridis by default.
    colorbar : bool, optional
        A colour bar or a key of gradients; by default where a colour stands for a number or a gradient.
    linewidth : float, optional
        Width of edges in points; by default chosen from the number of regions.
    alpha : float, optional
        Opacity of the regions.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If `ax` is not a pair of axes, or `color`, `cmap`, `output` or `labels` name nothing known.
    ShapeError
        If an array of colours or labels does not have one entry per region.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> ax = plot_partition(p, color="value", labels="map")
    >>> len(ax.collections[0].get_paths())
    3
    """
    from matplotlib.collections import PathCollection

    _check_axes(ax, "plot")
    colors, mappable = _region_colors(p, color, output, cmap)
    texts = _label_texts(p, labels)
    ax = _new_axes() if ax is None else ax
    limits = _limits(ax, p)
    many = p.n_regions > _MANY
    # Below _MANY a thin line in the face's own colour closes the seams that antialiasing leaves.
    faces = PathCollection(
        _face_paths(p), facecolors=colors, edgecolors="none" if many or alpha is not None else "face",
        linewidths=0.0 if many or alpha is not None else 0.35, antialiaseds=not many, alpha=alpha,
        rasterized=many, zorder=1,
    )  # fmt: skip
    ax.add_collection(faces, autolim=False)
    if isinstance(color, str) and color == "class":
        _draw_class_pieces(ax, p, alpha)
    if edges:
        width, opacity = _edge_style(p.n_regions, linewidth)
        lines = PathCollection(
            _segment_paths(p.vertices[p.edges]), facecolors="none", edgecolors=_INK, linewidths=width,
            alpha=opacity, rasterized=many, capstyle="round", zorder=2,
        )  # fmt: skip
        ax.add_collection(lines, autolim=False)
    if boundary or (boundary is None and isinstance(color, str) and color == "class"):
        _draw_boundary(ax, p)
    _draw_labels(ax, p, texts)
    _frame(ax, *limits)
    if isinstance(color, str) and color == "class":
        _class_legend(ax, p)
    if isinstance(color, str) and color == "gradient" and colorbar is not False:
        palette.draw_gradient_key(ax.inset_axes((1.04, 0.4, 0.16, 0.16)))
    if mappable is not None and colorbar is not False:
        title = _color_title(p, color, output)
        ax.figure.colorbar(mappable, ax=ax, fraction=0.046, pad=0.04, label=title)
    return ax


def plot_surface(
    p: PlanarComplex,
    ax: Axes3D | None = None,
    *,
    output: int = 0,
    color: ColorChoice = "pattern",
    faces: bool = True,
    edges: bool = True,
    cmap: Any = None,
    linewidth: float | None = None,
    alpha: float | None = None,
) -> Axes3D:
    """Draw the graph of one output over the domain, every region a flat polygon lifted by its own map.

    Parameters
    ----------
    p : PlanarComplex
    ax : matplotlib Axes3D, optional
        Axes with ``projection="3d"``; without it, those of a new figure.
    output : int
        Which output is the height.
    color, cmap
        As in `plot_partition`.
    faces : bool
        False draws a wireframe: the edges only.
    edges : bool
        Draw the polygons' edges.
    linewidth, alpha : float, optional
        Width of edges in points; opacity of the polygons.

    Returns
    -------
    matplotlib Axes3D

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> [round(float(z), 2) for z in plot_surface(p).get_zlim()]
    [-3.0, 1.0]
    """
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    _check_axes(ax, "plot_surface")
    colors, _ = _region_colors(p, color, output, cmap)
    if ax is None:
        ax = cast("Axes3D", _new_axes(projection="3d"))
    elif not hasattr(ax, "set_zlim"):
        raise InputError(f"plot_surface: got {type(ax).__name__}; expected axes made with projection='3d'")
    many = p.n_regions > _MANY
    corners = _lifted_corners(p, output)
    width, _ = _edge_style(p.n_regions, linewidth)
    if faces:
        polygons = Poly3DCollection(
            np.split(corners, p.face_offsets[1:-1]), facecolors=colors, alpha=alpha, rasterized=many,
            edgecolors=_INK if edges else "face", linewidths=0.6 * width if edges else 0.2, zsort="average",
        )  # fmt: skip
        ax.add_collection3d(polygons)
    elif edges:
        # Of each edge the copy in the ring of its left face, or of its right one at the border.
        first = np.unique(p.face_edges, return_index=True)[1]
        segments = np.stack([corners[first], corners[p.ring_next[first]]], axis=1)
        ax.add_collection3d(Line3DCollection(segments, colors=_INK, linewidths=width, rasterized=many))
    x0, y0, x1, y1 = p.domain.bounds
    low, high = float(corners[:, 2].min()), float(corners[:, 2].max())
    ax.set(xlim=(x0, x1), ylim=(y0, y1), zlim=(low, high) if high > low else (low - 0.5, low + 0.5))
    ax.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="$f$" if p.network.n_outputs == 1 else f"$f_{{{output + 1}}}$")
    return ax


def tie_segments(p: PlanarComplex) -> FloatArray:
    """Segments (S, 2, 2) on which the two largest outputs tie, or a single output is 0.

    One segment per region that the boundary crosses, computed from the region's own corner
    values: no grid.  Ends on a shared edge are shared, so the pieces join.  Whole regions on
    which outputs tie are not drawn, only their rims.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> sorted(sorted(segment.tolist()) for segment in tie_segments(p))
    [[[-1.0, 0.5], [0.5, -1.0]], [[-0.5, 1.0], [1.0, -0.5]]]
    """
    values = p.network(p.vertices)
    n_outputs = values.shape[1]
    if n_outputs == 1:
        return _zero_segments(p, values[:, 0])[0]
    pieces = []
    for i in range(n_outputs):
        for j in range(i + 1, n_outputs):
            segments, levels = _zero_segments(p, values[:, i] - values[:, j], values)
            pieces.append(_where_largest(segments, levels, i, j))
    return np.concatenate(pieces)


def _zero_segments(p: PlanarComplex, g: FloatArray, carried: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Zero set of the function with values g (V,) at the vertices, affine on each region.

    Returns the segments (S, 2, 2) and the values of `carried` (V, k) at their ends (S, 2, k).
    """
    extra = np.zeros((len(g), 0)) if carried is None else carried
    u, v = p.edges.T
    rows = np.concatenate([p.vertices, extra], axis=1)
    crossed = ((g[u] < 0) & (g[v] > 0)) | ((g[u] > 0) & (g[v] < 0))
    t = np.divide(g[u], g[u] - g[v], out=np.zeros(len(u)), where=crossed)[:, None]
    on_edge = (1 - t) * rows[u] + t * rows[v]
    # Events in ring order: corner k itself, then the edge to corner k + 1.
    flat = np.add.reduceat((g[p.face_vertices] != 0).astype(np.int64), p.face_offsets[:-1]) == 0
    face = row_ids(p.face_offsets)
    event = np.stack([(g[p.face_vertices] == 0) & ~flat[face], crossed[p.face_edges]], axis=1).ravel()
    where = np.flatnonzero(event)
    corner, is_edge = where // 2, (where % 2).astype(bool)
    points = np.where(is_edge[:, None], on_edge[p.face_edges[corner]], rows[p.face_vertices[corner]])
    pair = np.flatnonzero(face[corner[:-1]] == face[corner[1:]])
    ends = np.stack([points[pair], points[pair + 1]], axis=1)
    return ends[:, :, :2], ends[:, :, 2:]


def _where_largest(segments: FloatArray, levels: FloatArray, i: int, j: int) -> FloatArray:
    """The parts of segments (S, 2, 2), on which outputs i and j tie, where no other output is larger."""
    low, high = np.zeros(len(segments)), np.ones(len(segments))
    for k in range(levels.shape[2]):
        if k in (i, j):
            continue
        lead = levels[:, :, i] - levels[:, :, k]
        slope = lead[:, 1] - lead[:, 0]
        root = np.divide(-lead[:, 0], slope, out=np.zeros(len(slope)), where=slope != 0)
        low = np.where(slope > 0, np.maximum(low, root), low)
        high = np.where(slope < 0, np.minimum(high, root), high)
        high = np.where((slope == 0) & (lead[:, 0] < 0), -1.0, high)
    keep = low < high
    start, step = segments[keep, 0], segments[keep, 1] - segments[keep, 0]
    return np.stack([start + low[keep, None] * step, start + high[keep, None] * step], axis=1)


def _class_pieces(p: PlanarComplex) -> tuple[list[FloatArray], IntArray]:
    """Polygons, and their classes, of the regions whose corners are not all of one class.

    Where one output is largest is convex, so a region with all corners in it lies in it whole.
    """
    values = p.network(p.vertices)
    if values.shape[1] == 1:
        values = np.concatenate([np.zeros_like(values), values], axis=1)
    best = np.argmax(values, axis=1)[p.face_vertices]
    low, high = (ufunc.reduceat(best, p.face_offsets[:-1]) for ufunc in (np.minimum, np.maximum))
    polygons, classes = [], []
    for face in np.flatnonzero(low != high):
        ring = p.face_vertices[p.face_offsets[face] : p.face_offsets[face + 1]]
        for k in range(values.shape[1]):
            rows = np.concatenate([p.vertices[ring], values[ring, k : k + 1] - values[ring]], axis=1)
            for j in range(values.shape[1]):
                rows = rows if j == k else _clipped(rows, 2 + j)
            if len(rows) > 2:
                polygons.append(rows[:, :2])
                classes.append(k)
    return polygons, np.array(classes, dtype=np.int64)


def _clipped(rows: FloatArray, column: int) -> FloatArray:
    """The part of a convex ring, with values affine on it, where one column is not negative."""
    here, there = rows, np.roll(rows, -1, axis=0)
    a, b = here[:, column], there[:, column]
    crossed = ((a < 0) & (b > 0)) | ((a > 0) & (b < 0))
    t = np.divide(a, a - b, out=np.zeros(len(a)), where=crossed)[:, None]
    both = np.stack([here, (1 - t) * here + t * there], axis=1)
    return np.asarray(both[np.stack([a >= 0, crossed], axis=1)])


def _lifted_corners(p: PlanarComplex, output: int) -> FloatArray:
    """Ring corners with their height by their own region's map, (C, 3)."""
    k, face = _checked_output(p, output), row_ids(p.face_offsets)
    xy = p.vertices[p.face_vertices]
    maps = p.affine_maps
    z = np.einsum("ci,ci->c", maps.A[face, k], xy) + maps.b[face, k]
    return np.column_stack([xy, z])


def _face_paths(p: PlanarComplex) -> list[Path]:
    """Closed path of each region, made ring size by ring size."""
    from matplotlib.path import Path

    sizes = np.diff(p.face_offsets)
    paths: list[Any] = [None] * p.n_regions
    for size in np.unique(sizes):
        faces = np.flatnonzero(sizes == size)
        corner = p.face_offsets[faces][:, None] + np.append(np.arange(size), 0)
        codes = np.full(size + 1, Path.LINETO, dtype=np.uint8)
        codes[0], codes[-1] = Path.MOVETO, Path.CLOSEPOLY
        for face, ring in zip(faces.tolist(), p.vertices[p.face_vertices[corner]], strict=True):
            paths[face] = Path(ring, codes)
    return paths


def _segment_paths(segments: FloatArray) -> list[Path]:
    """Segments (S, 2, 2) as a few compound paths, which draw several times faster than one path each."""
    from matplotlib.path import Path

    paths = []
    for start in range(0, len(segments), _SEGMENTS_PER_PATH):
        ends = segments[start : start + _SEGMENTS_PER_PATH].reshape(-1, 2)
        paths.append(Path(ends, np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), len(ends) // 2)))
    return paths


def _region_colors(p: PlanarComplex, color: ColorChoice, output: int, cmap: Any) -> tuple[Any, ScalarMappable | None]:
    """Colours (F, 3 or 4), and what a colour bar needs where colours stand for numbers."""
    if not isinstance(color, str):
        given = float_array(color, "plot: color")
        if given.shape in ((p.n_regions, 3), (p.n_regions, 4)):
            return palette.checked_colors(given, "plot"), None
        if given.shape != (p.n_regions,):
            raise ShapeError(
                f"plot: got a color array of shape {given.shape}, expected ({p.n_regions},), one number per region, "
                f"or ({p.n_regions}, 3 or 4)"
            )
        return _mapped(given, cmap, logarithmic=False)
    if color == "pattern":
        return palette.pattern_colors(p.patterns), None
    if color == "class":
        return palette.class_colors(palette.region_classes(p)), None
    if color == "gradient":
        return palette.gradient_colors(p.affine_maps.A[:, _checked_output(p, output)]), None
    if color == "value":
        return _mapped(palette.outputs_at_centroids(p)[:, _checked_output(p, output)], cmap, logarithmic=False)
    if color == "area":
        return _mapped(p.areas, cmap, logarithmic=True)
    raise InputError(
        f"plot: got color={color!r}, expected one of {', '.join(COLOR_NAMES)}, or an array with one entry per region"
    )


def _mapped(numbers: FloatArray, cmap: Any, logarithmic: bool) -> tuple[Any, ScalarMappable]:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    if logarithmic:
        # A sliver may have an area that rounds to zero or below; it takes the lowest colour.
        positive = numbers[numbers > 0]
        numbers = np.maximum(numbers, positive.min(initial=1.0))
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 1.0)
    norm = LogNorm(low, high) if logarithmic and low < high else Normalize(low, high)
    try:
        mappable = ScalarMappable(norm, "viridis" if cmap is None else cmap)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"plot: got cmap={cmap!r}; expected the name of a matplotlib colour map, such as 'viridis', or a Colormap"
        ) from error
    mappable.set_array(numbers)
    return mappable.to_rgba(numbers), mappable


def _color_title(p: PlanarComplex, color: ColorChoice, output: int) -> str:
    if not isinstance(color, str):
        return ""
    if color == "area":
        return "area of region"
    return "mean of f" if p.network.n_outputs == 1 else f"mean of output {output}"


def _checked_output(p: PlanarComplex, output: int) -> int:
    n = p.network.n_outputs
    if not isinstance(output, int | np.integer) or not 0 <= output < n:
        raise InputError(f"plot: got output={output!r}, expected an integer from 0 to {n - 1}")
    return int(output)


def _edge_style(n_regions: int, linewidth: float | None) -> tuple[float, float]:
    """Width in points and opacity of edges: both fall as regions grow in number, so that faces stay visible."""
    many = max(n_regions, 1) / 100
    width = float(np.clip(0.9 * many**-0.32, 0.06, 1.4)) if linewidth is None else linewidth
    return width, float(np.clip(0.95 * many**-0.16, 0.2, 0.95))


def _draw_class_pieces(ax: Axes, p: PlanarComplex, alpha: float | None) -> None:
    from matplotlib.collections import PolyCollection

    polygons, classes = _class_pieces(p)
    colors = palette.class_colors(classes)
    # Over the regions' own fill, which is of one class only; its translucency would show through, so alpha is left out.
    pieces = PolyCollection(
        polygons,
        facecolors=_on_white(colors, alpha),
        edgecolors="face",
        linewidths=0.35,
        rasterized=len(polygons) > _MANY,
        zorder=1.5,
    )
    ax.add_collection(pieces, autolim=False)


def _class_legend(ax: Axes, p: PlanarComplex) -> None:
    from matplotlib.patches import Patch

    values = p.network(p.vertices)
    if values.shape[1] == 1:
        shown = [k for k, there in ((0, values.min() <= 0), (1, values.max() > 0)) if there]
        names = {0: "f ≤ 0", 1: "f > 0"}
    else:
        shown = sorted(set(np.argmax(values, axis=1).tolist()) | set(palette.region_classes(p).tolist()))
        names = {k: f"class {k}" for k in shown}
    # Colours repeat after these: more names would not tell more.
    colors = palette.class_colors(np.array(shown))
    n = len(palette.CLASS_COLORS)
    handles = [Patch(facecolor=c, edgecolor=_INK, label=names[k]) for k, c in zip(shown[:n], colors, strict=False)]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, frameon=False)


def _on_white(colors: FloatArray, alpha: float | None) -> FloatArray:
    return colors if alpha is None else alpha * colors + (1 - alpha)


def _draw_boundary(ax: Axes, p: PlanarComplex) -> None:
    from matplotlib.collections import PathCollection

    paths = _segment_paths(tie_segments(p))
    # Ink on a light casing, so that it shows on every colour.
    for width, ink, order in ((3.4, "white", 3.0), (1.8, "black", 3.1)):
        ax.add_collection(
            PathCollection(
                paths,
                facecolors="none",
                edgecolors=ink,
                linewidths=width,
                capstyle="round",
                joinstyle="round",
                zorder=order,
            ),
            autolim=False,
        )


def _label_texts(p: PlanarComplex, labels: LabelChoice) -> Sequence[str] | None:
    if labels is False:
        return None
    if labels is True or (isinstance(labels, str) and labels == "id"):
        return [str(k) for k in range(p.n_regions)]
    if isinstance(labels, str):
        if labels != "map":
            raise InputError(f"plot: got labels={labels!r}, expected True, 'id', 'map' or a sequence of texts")
        chosen = _largest(p)
        texts = [""] * p.n_regions
        maps = p.affine_maps
        for k in np.flatnonzero(chosen).tolist():
            texts[k] = "\n".join(_map_text(a, float(b)) for a, b in zip(maps.A[k], maps.b[k], strict=True))
        return texts
    if len(labels) != p.n_regions:
        raise ShapeError(f"plot: got {len(labels)} labels for {p.n_regions} regions, expected one per region")
    return labels


def _largest(p: PlanarComplex) -> BoolArray:
    """The regions that are labelled: the largest `_MAX_LABELS`."""
    chosen = np.zeros(p.n_regions, dtype=bool)
    chosen[np.argsort(-p.areas, kind="stable")[:_MAX_LABELS]] = True
    return chosen


def _map_text(gradient: FloatArray, intercept: float) -> str:
    """An affine map in three significant digits, e.g. ``2x₁ − 0.5x₂ + 1``."""
    text = ""
    for value, name in ((float(gradient[0]), "x₁"), (float(gradient[1]), "x₂"), (intercept, "")):
        rounded = f"{abs(value):.3g}"
        if rounded == "0":
            continue
        sign = ("−" if value < 0 else "") if not text else (" − " if value < 0 else " + ")
        text += sign + ("" if rounded == "1" and name else rounded) + name
    return text or "0"


def _draw_labels(ax: Axes, p: PlanarComplex, texts: Sequence[str] | None) -> None:
    if texts is None:
        return
    size = float(np.clip(11 - 1.2 * np.log2(max(p.n_regions, 1)), 4.5, 10))
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.75, "linewidth": 0}
    for k in np.flatnonzero(_largest(p)).tolist():
        x, y = p.centroids[k]
        ax.text(x, y, texts[k], ha="center", va="center", fontsize=size, color=_INK, bbox=box, zorder=4, clip_on=True)


def _check_axes(ax: Any, function: str) -> None:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    if ax is None or isinstance(ax, Axes):
        return
    advice = "pass one pair of axes, such as figure.add_subplot()"
    if isinstance(ax, FigureBase):
        advice = "pass its axes: figure.gca() or figure.add_subplot()"
    elif isinstance(ax, np.ndarray | list | tuple):
        advice = "pass one of them, such as axes[0]"
    raise InputError(f"{function}: got ax of type {type(ax).__name__}; expected matplotlib Axes; {advice}")


def _limits(ax: Axes, p: PlanarComplex) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Limits of both axes so that the domain shows; None where the user has set some."""
    x0, y0, x1, y1 = p.domain.bounds
    margin = 0.01 * max(x1 - x0, y1 - y0)
    x, y = (x0 - margin, x1 + margin), (y0 - margin, y1 + margin)
    if ax.has_data():
        (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
        x, y = (min(x[0], left), max(x[1], right)), (min(y[0], bottom), max(y[1], top))
    return x if ax.get_autoscalex_on() else None, y if ax.get_autoscaley_on() else None


def _frame(ax: Axes, x: tuple[float, float] | None, y: tuple[float, float] | None) -> None:
    if x is not None:
        ax.set_xlim(x)
    if y is not None:
        ax.set_ylim(y)
    ax.set(xlabel=ax.get_xlabel() or "$x_1$", ylabel=ax.get_ylabel() or "$x_2$")
    ax.set_aspect("equal")
    ax.tick_params(labelsize="small")
    ax.spines[:].set_visible(False)


def _new_axes(projection: str | None = None) -> Axes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.0), dpi=150, layout="constrained" if projection is None else None)
    return figure.add_subplot(projection=projection)
