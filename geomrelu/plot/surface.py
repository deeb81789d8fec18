"""The figure of a network's graph above a partition, in three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from geomrelu import palette
from geomrelu.arrays import FloatArray, row_ids
from geomrelu.plot.axes import (
    axis_names,
    check_axes_in_space,
    draw_class_legend,
    draw_colorbar,
    dress,
    frame_in_space,
    new_axes,
)
from geomrelu.plot.style import (
    INK,
    MANY,
    ColorChoice,
    checked_output,
    color_title,
    edge_style,
    names_of_classes,
    region_colors,
    theme_of,
)

if TYPE_CHECKING:
    from mpl_toolkits.mplot3d.axes3d import Axes3D

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["plot_surface"]


def plot_surface(
    p: PlanarComplex,
    ax: Axes3D | None = None,
    *,
    output: int = 0,
    color: ColorChoice = "pattern",
    faces: bool = True,
    edges: bool = True,
    class_names: Sequence[str] | None = None,
    cmap: Any = None,
    colorbar: bool | None = None,
    linewidth: float | None = None,
    alpha: float | None = None,
    theme: str | None = None,
) -> Axes3D:
    """Draw the graph of one output over the domain, every region a flat polygon lifted by its own map.

    Parameters
    ----------
    p : PlanarComplex
    ax : matplotlib Axes3D, optional
        Axes with ``projection="3d"``; without it, those of a new figure.
    output : int
        Which output is the height.
    color, class_names, cmap, colorbar, theme
        As in `plot_partition`; ``"crease"`` is for the plane only, and a key of gradients is left out.
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

    check_axes_in_space(ax, "plot_surface")
    style = theme_of(theme, ax, "plot_surface")
    names = names_of_classes(p, class_names, "plot_surface")
    colors, mappable = region_colors(p, color, output, cmap, style.dark)
    ax = cast("Axes3D", new_axes(projection="3d")) if ax is None else ax
    many = p.n_regions > MANY
    ink = style.ink if mappable is None else INK
    corners = _lifted_corners(p, output)
    width, _ = edge_style(p.n_regions, linewidth)
    x0, y0, x1, y1 = p.domain.bounds
    low, high = float(corners[:, 2].min()), float(corners[:, 2].max())
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    name = "$f$" if p.network.n_outputs == 1 else f"$f_{{{output}}}$"
    frame_in_space(ax, (x0, y0, low), (x1, y1, high), (*axis_names(p), name))
    if faces:
        polygons = Poly3DCollection(
            np.split(corners, p.face_offsets[1:-1]), facecolors=colors, alpha=alpha, rasterized=many,
            edgecolors=ink if edges else colors, linewidths=0.6 * width if edges else 0.2, zsort="average",
        )  # fmt: skip
        ax.add_collection3d(polygons)
    elif edges:
        # Of each edge the copy in the ring of its left face, or of its right one at the border.
        first = np.unique(p.face_edges, return_index=True)[1]
        segments = np.stack([corners[first], corners[p.ring_next[first]]], axis=1)
        ax.add_collection3d(Line3DCollection(segments, colors=style.ink, linewidths=width, rasterized=many))
    if theme is not None:
        dress(ax, style)
    if mappable is not None and colorbar is not False:
        draw_colorbar(ax, mappable, color_title(p, color, output), style, pad=0.12)
    if isinstance(color, str) and color == "class":
        draw_class_legend(ax, np.unique(palette.region_classes(p)), names, style)
    return ax


def _lifted_corners(p: PlanarComplex, output: int) -> FloatArray:
    """Ring corners with their height by their own region's map, (C, 3)."""
    k, face = checked_output(p, output), row_ids(p.face_offsets)
    xy = p.vertices[p.face_vertices]
    maps = p.affine_maps
    z = np.einsum("ci,ci->c", maps.A[face, k], xy) + maps.b[face, k]
    return np.column_stack([xy, z])
