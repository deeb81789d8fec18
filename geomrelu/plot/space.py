"""Figures of partitions with three inputs: a level set, or the regions as the domain's border shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from geomrelu import palette
from geomrelu.arrays import FloatArray, IntArray, row_ids
from geomrelu.errors import InputDimensionError, InputError
from geomrelu.plot.axes import check_axes_in_space, draw_colorbar, dress, frame_in_space, new_axes
from geomrelu.plot.style import (
    INK,
    MANY,
    ColorChoice,
    checked_output,
    color_kind,
    edge_style,
    given_colors,
    mapped,
    theme_of,
)
from geomrelu.polyhedral.rings import doubled_areas, facet_rings

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from mpl_toolkits.mplot3d.axes3d import Axes3D

    from geomrelu.polyhedral.complex import PolyhedralComplex
    from geomrelu.polyhedral.level_set import LevelSet

__all__ = ["SURFACE_COLOR_NAMES", "check_not_empty", "plot_level_set", "plot_polyhedral", "surface_colors"]

SURFACE_COLOR_NAMES = ("pattern", "gradient", "area", "plain")
_REGION_COLOR_NAMES = ("pattern", "value", "gradient", "volume")
_PLAIN = np.array([0.62, 0.77, 0.91])
# Where light comes from, near where the axes are seen from: faces in all directions differ.
_LIGHT = np.array([0.34, -0.55, 0.76])  # of length 1


class _Look(NamedTuple):
    """What both kinds of figures are told of their looks."""

    edges: bool
    colorbar: bool | None
    linewidth: float | None
    alpha: float | None
    theme: str | None


class _Painted(NamedTuple):
    """Polygons and their colours."""

    rings: list[FloatArray]
    normals: FloatArray
    colors: Any  # (P, 3 or 4)
    mappable: ScalarMappable | None  # what a colour bar needs
    title: str  # of the colour bar


def plot_level_set(
    surface: LevelSet,
    ax: Axes3D | None = None,
    *,
    color: ColorChoice = "pattern",
    edges: bool = True,
    cmap: Any = None,
    colorbar: bool | None = None,
    linewidth: float | None = None,
    alpha: float | None = None,
    theme: str | None = None,
) -> Axes3D:
    """Draw a level set of a network with three inputs, every polygon flat and lit by its direction.

    Parameters
    ----------
    surface : LevelSet
    ax : matplotlib Axes3D, optional
        Axes with ``projection="3d"``; without it, those of a new figure.
    color : str or array
        ``"pattern"``: polygons of regions with similar patterns look alike, neighbours differ.
        ``"gradient"``: the length of the output's gradient in the polygon's region, with a colour bar (of a
        signed distance 1; its direction is the polygon's own).  ``"area"``: the polygon's area, on a logarithmic
        scale.  ``"plain"``: one colour.  An array (P,) is put through `cmap`; (P, 3) or (P, 4) are RGB or RGBA.
    edges : bool
        Draw the polygons' edges; their width falls as the number of polygons grows.
    cmap, colorbar, linewidth, alpha, theme
        As in `plot_partition`.

    Returns
    -------
    matplotlib Axes3D

    Raises
    ------
    InputError
        If the surface is empty (the error says which values there are), or an option names nothing known.
    ShapeError
        If an array of colours does not have one entry per polygon.

    Examples
    --------
    >>> import geomrelu as gr
    >>> f = gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))])  # |x| + |y| + |z|
    >>> p = gr.partition(f, gr.Box([-2] * 3, [2] * 3))
    >>> [float(z) for z in plot_level_set(p.level_set(1.0), color="gradient").get_zlim()]
    [-2.0, 2.0]
    """
    check_axes_in_space(ax, "plot")
    check_not_empty(surface, "plot")
    colors, mappable = surface_colors(surface, color, cmap)
    title = {"gradient": "length of the gradient", "area": "area of polygon"}.get(color_kind(color), "")
    rings = np.split(surface.vertices[surface.polygons], surface.offsets[1:-1])
    painted = _Painted(rings, surface.normals, colors, mappable, title)
    domain = surface.partition.domain
    return _drawn(ax, painted, domain.low, domain.high, _Look(edges, colorbar, linewidth, alpha, theme), color)


def plot_polyhedral(
    p: PolyhedralComplex,
    ax: Axes3D | None = None,
    *,
    level: float | None = None,
    output: int = 0,
    color: ColorChoice = "pattern",
    explode: float = 0.0,
    edges: bool = True,
    cmap: Any = None,
    colorbar: bool | None = None,
    linewidth: float | None = None,
    alpha: float | None = None,
    theme: str | None = None,
) -> Axes3D:
    """Draw the regions of three inputs, as the domain's border shows them or moved apart, or a level set.

    Parameters
    ----------
    p : PolyhedralComplex
        Of three dimensions.
    ax : matplotlib Axes3D, optional
        Axes with ``projection="3d"``; without it, those of a new figure.
    level : float, optional
        Draw the surface on which output `output` has this value, instead: see `plot_level_set`, also for `color`.
    output : int
        The output that `level`, ``"value"`` and ``"gradient"`` are about.
    color : str or array
        ``"pattern"``: similar patterns look alike, neighbours differ.  ``"value"``: the output at a point inside
        the region.  ``"gradient"``: the length of the output's gradient.  ``"volume"``: on a logarithmic scale.
        An array (R,) is put through `cmap`; (R, 3) or (R, 4) are RGB or RGBA.
    explode : float
        Move every region away from the domain's centre by this multiple of its distance, so that all its
        facets show: 0.3, say.  At 0 only what lies on the domain's border is drawn.
    edges : bool
        Draw the edges of the facets; their width falls as facets grow in number.
    cmap, colorbar, linewidth, alpha, theme
        As in `plot_partition`.

    Returns
    -------
    matplotlib Axes3D

    Raises
    ------
    InputDimensionError
        If the partition is not of three dimensions.
    InputError
        If there is no such output or surface, or an option names nothing known.
    ShapeError
        If an array of colours does not have one entry per region.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([np.eye(3), np.ones((1, 3))]), gr.Box([-1] * 3, [1] * 3))  # 8 cubes
    >>> [len(plot_polyhedral(p, explode=e).collections[0].get_facecolor()) for e in (0, 0.5)]
    [24, 48]
    """
    if p.dimension != 3:
        raise InputDimensionError(
            f"plot: got a partition in {p.dimension} dimensions, expected 3; of more inputs, partition a plane "
            "through three of them: gr.Slice.through(a, b, c)"
        )
    if level is not None:
        return plot_level_set(
            p.level_set(level, output), ax, color=color, edges=edges, cmap=cmap, colorbar=colorbar,
            linewidth=linewidth, alpha=alpha, theme=theme,
        )  # fmt: skip
    check_axes_in_space(ax, "plot")
    if not (isinstance(explode, int | float | np.number) and 0 <= explode < np.inf):
        raise InputError(f"plot: got explode={explode!r}, expected a number of at least 0, such as 0.3")
    colors, mappable = _region_colors(p, color, output, cmap)
    titles = {"value": "f inside the region", "gradient": "length of the gradient", "volume": "volume of region"}
    rings, regions, normals = _walls(p, float(explode))
    painted = _Painted(rings, normals, colors[regions], mappable, titles.get(color_kind(color), ""))
    middle, half = (p.domain.low + p.domain.high) / 2, (1 + explode) * (p.domain.high - p.domain.low) / 2
    look = _Look(edges, colorbar, linewidth, alpha, theme)
    return _drawn(ax, painted, middle - half, middle + half, look, color)


def check_not_empty(surface: LevelSet, function: str) -> None:
    """Raise `InputError`, with the values that there are, if a level set is empty."""
    if surface.n_polygons == 0:
        values = surface.partition.network(surface.partition.vertices)[:, surface.output]
        raise InputError(
            f"{function}: output {surface.output} is nowhere {surface.value:g} in the domain, so there is nothing to "
            f"show; its values lie between {values.min():.6g} and {values.max():.6g}: take a level between them"
        )


def surface_colors(surface: LevelSet, color: ColorChoice, cmap: Any = None) -> tuple[Any, ScalarMappable | None]:
    """Colours (P, 3 or 4) of a level set's polygons, and what a colour bar needs where they stand for numbers."""
    if not isinstance(color, str):
        return given_colors(color, surface.n_polygons, "polygon", cmap)
    if color == "pattern":
        return palette.pattern_colors(surface.patterns), None
    if color == "gradient":
        return mapped(np.linalg.norm(surface.affine_maps.A[:, surface.output], axis=1), cmap, logarithmic=False)
    if color == "area":
        return mapped(surface.areas, cmap, logarithmic=True)
    if color == "plain":
        return np.tile(_PLAIN, (surface.n_polygons, 1)), None
    raise InputError(
        f"plot: got color={color!r}, expected one of {', '.join(SURFACE_COLOR_NAMES)}, or an array with one entry per "
        "polygon"
    )


def _region_colors(p: PolyhedralComplex, color: ColorChoice, output: int, cmap: Any) -> tuple[Any, Any]:
    """Colours (R, 3 or 4) of regions, and what a colour bar needs where they stand for numbers."""
    if not isinstance(color, str):
        return given_colors(color, p.n_regions, "region", cmap)
    if color == "pattern":
        return palette.pattern_colors(p.patterns), None
    if color == "volume":
        return mapped(p.volumes, cmap, logarithmic=True)
    maps, k = p.affine_maps, checked_output(p, output)
    if color == "value":
        values = np.einsum("ri,ri->r", maps.A[:, k], p.interior_points) + maps.b[:, k]
        return mapped(values, cmap, logarithmic=False)
    if color == "gradient":
        return mapped(np.linalg.norm(maps.A[:, k], axis=1), cmap, logarithmic=False)
    raise InputError(
        f"plot: got color={color!r}, expected one of {', '.join(_REGION_COLOR_NAMES)}, with level= one of "
        f"{', '.join(SURFACE_COLOR_NAMES)}, or an array with one entry per region"
    )


def _walls(p: PolyhedralComplex, explode: float) -> tuple[list[FloatArray], IntArray, FloatArray]:
    """The facets that show, of each the region that it belongs to, and their normals (P, 3)."""
    sides = p.facet_regions
    if explode:
        facets, side = np.nonzero(sides >= 0)
        regions = sides[facets, side]
    else:
        facets = np.flatnonzero((sides < 0).any(axis=1))
        regions = sides[facets].max(axis=1)
    used, offsets, rings = facet_rings(p, facets)
    polygon = row_ids(offsets)
    centers = (p.domain.low + p.domain.high) / 2
    corners = p.vertices[used][rings] + explode * (p.interior_points[regions] - centers)[polygon]
    doubled = doubled_areas(corners, offsets)
    normals = doubled / np.maximum(np.linalg.norm(doubled, axis=1), 1e-300)[:, None]
    return np.split(corners, offsets[1:-1]), regions, normals


def _drawn(
    ax: Axes3D | None, painted: _Painted, low: FloatArray, high: FloatArray, look: _Look, color: ColorChoice
) -> Axes3D:
    """Put polygons on axes whose limits are those of a box."""
    from matplotlib.colors import to_rgba
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    style = theme_of(look.theme, ax)
    axes = cast("Axes3D", new_axes(projection="3d") if ax is None else ax)
    colors, numbers = painted.colors, painted.mappable is not None
    if style.dark and not numbers and isinstance(color, str):
        colors = palette.darkened(colors)
    # Colours that stand for numbers are shaded less, so that the colour bar can be read.
    shade = 1 - (0.2 if numbers else 0.45) * (1 - np.abs(painted.normals @ _LIGHT))
    colors = np.hstack([colors[:, :3] * shade[:, None], colors[:, 3:]])
    n = len(painted.rings)
    width, opacity = edge_style(n, look.linewidth)
    ink = to_rgba(INK if numbers else style.ink, opacity)
    polygons = Poly3DCollection(
        painted.rings, facecolors=colors, alpha=look.alpha, edgecolors=ink if look.edges else colors,
        linewidths=0.6 * width if look.edges else 0.2, rasterized=n > MANY, zsort="average",
    )  # fmt: skip
    frame_in_space(axes, low, high, ("$x_1$", "$x_2$", "$x_3$"))
    sizes = high - low
    axes.set_box_aspect(np.maximum(sizes, sizes.max() / 20), zoom=0.88 if ax is None else 1)
    axes.add_collection3d(polygons)
    if look.theme is not None:
        dress(axes, style)
    if painted.mappable is not None and look.colorbar is not False:
        draw_colorbar(axes, painted.mappable, painted.title, style, pad=0.12)
    return axes
