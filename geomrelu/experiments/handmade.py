"""The hand-made XOR network f(x) = 2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1, and its picture."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.analysis.cells import Cells, cells_of, corner_values, positive_part, zero_segments
from geomrelu.analysis.regression import map_rows
from geomrelu.arrays import FloatArray, IntArray
from geomrelu.domain import Box
from geomrelu.experiments.data import parity_data, scatter_targets
from geomrelu.experiments.drawing import (
    BLUE,
    VERMILION,
    draw_cells,
    draw_segments,
    draw_surface,
    flat_axes,
    new_figure,
    space_axes,
)
from geomrelu.network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["hand_made_network", "map_text", "plot_hand_made"]

#: Coordinates of [-1, 1]^2 to a point of type, on axes that are 3.5 inches wide: the narrowest that are written on.
_UNITS_PER_POINT = 2 / (3.5 * 72)
_REGION_COLOURS = ("#CFE8F7", "#FBE3B0", "#BFE6D8", "#F2D6E5")


def hand_made_network() -> Network:
    """The 2-2-1 network ``f(x) = 2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1``; exact.

    Examples
    --------
    >>> hand_made_network()([[-1, -1], [-1, 1], [1, -1], [1, 1]]).ravel().tolist()
    [-1.0, 1.0, 1.0, -3.0]
    """
    return Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])


def plot_hand_made() -> Figure:
    """Exact regions with each map written on its region, neuron lines and zero lines; beside it the surface."""
    import geomrelu as gr

    p = gr.partition(hand_made_network(), Box(-1, 1))
    cells, maps = cells_of(p), map_rows(p.affine_maps.A, p.affine_maps.b)
    heights = corner_values(cells, maps)
    figure = new_figure(11.0, 5.2)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.0, 1.1))
    ax = flat_axes(figure, grid[0], f"The {p.n_regions} regions and their affine maps")
    colours = [_REGION_COLOURS[i % len(_REGION_COLOURS)] for i in range(len(cells))]
    draw_cells(ax, cells, colours=colours, edge="none")
    draw_segments(ax, neuron_segments(p), BLUE, 2.0, label="nonlinearity: a neuron is 0")
    draw_segments(ax, zero_segments(cells, heights), VERMILION, 2.0, (0, (4, 3)), label="decision: f = 0")
    write_maps(ax, cells, label_places(cells, heights), maps, np.arange(len(cells)))
    scatter_targets(ax, *parity_data(2), labels=True, size=90)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    space = space_axes(figure, grid[1], "f(x) = 2 relu(x₁ + x₂ + 1) − 4 relu(x₁ + x₂) − 1", "f", azimuth=-66)
    draw_surface(space, cells, heights, colours)
    for ends in zero_segments(cells, heights):
        space.plot(*ends.T, [0.0, 0.0], color=VERMILION, lw=2.0, ls=(0, (4, 3)), zorder=5)
    space.computed_zorder = False  # lines on the surface, not behind it
    space.set_zlim(float(heights.min()), float(heights.max()))
    space.set_zticks([-3, -2, -1, 0, 1])
    return figure


def label_places(cells: Cells, heights: FloatArray) -> FloatArray:
    """A place for a label on each cell, (F, 2), off the zero line: amid the larger of the two parts that it makes."""
    parts = [positive_part(cells, heights), positive_part(cells, -heights)]
    larger = np.argmax([part.areas() for part in parts], axis=0)
    rings = [part.rings() for part in parts]
    return np.array([rings[k][i].mean(axis=0) for i, k in enumerate(larger)])


def neuron_segments(p: PlanarComplex) -> FloatArray:
    """The edges that neurons made, without the domain's border, (S, 2 ends, 2)."""
    return np.asarray(p.vertices[p.edges[p.edge_neuron >= 0]])


def write_maps(ax: Any, cells: Cells, places: FloatArray, maps: FloatArray, chosen: IntArray, size: float = 13) -> None:
    """Write the chosen cells' maps at their places (F, 2), along their longest sides.

    The cells come in order of importance: a text that would overlap an earlier one is left out.
    """
    from matplotlib.textpath import TextPath
    from shapely import MultiPolygon, box
    from shapely.affinity import rotate

    following = cells.following()
    sides = cells.points[following] - cells.points
    lengths = np.hypot(*sides.T)
    written = MultiPolygon()
    for i in chosen.tolist():
        x, y = places[i]
        own = slice(cells.offsets[i], cells.offsets[i + 1])
        dx, dy = sides[own][int(np.argmax(lengths[own]))]
        angle = (float(np.degrees(np.arctan2(dy, dx))) + 90) % 180 - 90
        text = map_text(maps[i])
        extent = np.array(TextPath((0, 0), text, size=size).get_extents().size) / 2 + size / 2  # with its white box
        half_width, half_height = extent * _UNITS_PER_POINT
        ground = rotate(box(x - half_width, y - half_height, x + half_width, y + half_height), angle)
        if ground.intersects(written):
            continue
        written = written.union(ground)
        ax.text(
            *(x, y, text),
            rotation=angle,
            rotation_mode="anchor",
            ha="center",
            va="center",
            fontsize=size,
            zorder=6,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "0.6", "alpha": 0.95},
        )


def map_text(row: FloatArray) -> str:
    """An affine map (3,) as mathtext; small fractions are written as such.

    Examples
    --------
    >>> map_text(np.array([-2.0, 0.5, 1.0])), map_text(np.array([0.0, 0.0, -1.0])), map_text(np.array([1.0, -1.0, 0.0]))
    ('$-2x_1 + 1/2\\\\,x_2 + 1$', '$-1$', '$x_1 - x_2$')
    """
    text = ""
    for value, variable in zip(row.tolist(), ("x_1", "x_2", ""), strict=True):
        if value == 0:
            continue
        size = _size_text(abs(value))
        if variable:
            size = "" if size == "1" else size + ("\\," if "/" in size else "")
        sign = "-" if value < 0 else "+"
        text += (f" {sign} " if text else sign.replace("+", "")) + size + variable
    return f"${text or '0'}$"


def _size_text(value: float) -> str:
    fraction = Fraction(value)
    return str(fraction) if fraction.denominator <= 16 else f"{value:.3g}"
