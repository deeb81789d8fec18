"""The figure of a partition: regions, edges, decision boundary and labels in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu import palette
from geomrelu.arrays import FloatArray
from geomrelu.domain import Slice
from geomrelu.plot.axes import axis_names, check_axes, domain_limits, frame, new_axes
from geomrelu.plot.labels import LabelChoice, draw_labels, draw_marks, label_texts
from geomrelu.plot.style import INK, MANY, ColorChoice, color_title, edge_style, region_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.path import Path

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["plot_partition"]

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
        Draw the decision boundary (`PlanarComplex.decision_boundary`); by default with ``color="class"`` only.
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
    check_axes(ax, "plot")
    colors, mappable = region_colors(p, color, output, cmap)
    texts = label_texts(p, labels)
    ax = new_axes() if ax is None else ax
    limits = domain_limits(ax, p)
    by_class = isinstance(color, str) and color == "class"
    _draw_faces(ax, p, colors, alpha)
    if by_class:
        _draw_class_pieces(ax, p, alpha)
    if edges:
        _draw_edges(ax, p, linewidth)
    if boundary or (boundary is None and by_class):
        _draw_boundary(ax, p)
    draw_labels(ax, p, texts)
    if isinstance(p.domain, Slice):
        draw_marks(ax, p.domain)
    frame(ax, *limits, axis_names(p))
    if by_class:
        _class_legend(ax, p)
    if colorbar is not False:
        _draw_key(ax, p, color, output, mappable)
    return ax


def _draw_faces(ax: Axes, p: PlanarComplex, colors: FloatArray, alpha: float | None) -> None:
    from matplotlib.collections import PathCollection

    many = p.n_regions > MANY
    # Below MANY a thin line in the face's own colour closes the seams that antialiasing leaves.
    faces = PathCollection(
        _face_paths(p), facecolors=colors, edgecolors="none" if many or alpha is not None else "face",
        linewidths=0.0 if many or alpha is not None else 0.35, antialiaseds=not many, alpha=alpha,
        rasterized=many, zorder=1,
    )  # fmt: skip
    ax.add_collection(faces, autolim=False)


def _draw_class_pieces(ax: Axes, p: PlanarComplex, alpha: float | None) -> None:
    from matplotlib.collections import PolyCollection

    ties = p._class_ties
    if len(ties.cell_class) == 0:
        return
    polygons = np.split(ties.points[ties.cell_points], ties.cell_offsets[1:-1])
    colors = palette.class_colors(ties.cell_class)
    # Over the regions' own fill, which is of one class only; its translucency would show through, so alpha is left out.
    pieces = PolyCollection(
        polygons,
        facecolors=_on_white(colors, alpha),
        edgecolors="face",
        linewidths=0.35,
        rasterized=len(polygons) > MANY,
        zorder=1.5,
    )
    ax.add_collection(pieces, autolim=False)


def _draw_edges(ax: Axes, p: PlanarComplex, linewidth: float | None) -> None:
    from matplotlib.collections import PathCollection

    width, opacity = edge_style(p.n_regions, linewidth)
    lines = PathCollection(
        _segment_paths(p.vertices[p.edges]), facecolors="none", edgecolors=INK, linewidths=width,
        alpha=opacity, rasterized=p.n_regions > MANY, capstyle="round", zorder=2,
    )  # fmt: skip
    ax.add_collection(lines, autolim=False)


def _draw_boundary(ax: Axes, p: PlanarComplex) -> None:
    from matplotlib.collections import PathCollection

    paths = _segment_paths(p.decision_boundary().segments)
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


def _draw_key(ax: Axes, p: PlanarComplex, color: ColorChoice, output: int, mappable: ScalarMappable | None) -> None:
    """What the colours stand for: a key of gradients, or a colour bar of numbers."""
    if isinstance(color, str) and color == "gradient":
        palette.draw_gradient_key(ax.inset_axes((1.04, 0.4, 0.16, 0.16)))
    if mappable is not None:
        title = color_title(p, color, output)
        ax.figure.colorbar(mappable, ax=ax, fraction=0.046, pad=0.04, label=title)


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
    handles = [Patch(facecolor=c, edgecolor=INK, label=names[k]) for k, c in zip(shown[:n], colors, strict=False)]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, frameon=False)


def _on_white(colors: FloatArray, alpha: float | None) -> FloatArray:
    return colors if alpha is None else alpha * colors + (1 - alpha)


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
