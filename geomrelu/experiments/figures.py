"""The study's figures of a pair of networks: regions, map parameters, surfaces, wireframes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.analysis.cells import cells_of, corner_values, positive_part, zero_segments
from geomrelu.arrays import FloatArray
from geomrelu.experiments.data import parity_data, scatter_targets
from geomrelu.experiments.drawing import (
    BLUE,
    COLOURMAP,
    NEGATIVE,
    POSITIVE,
    PURPLE,
    RASTER_ABOVE,
    VERMILION,
    draw_cells,
    draw_segments,
    draw_surface,
    draw_wireframe,
    flat_axes,
    new_figure,
    space_axes,
    value_norm,
)
from geomrelu.experiments.handmade import label_places, write_maps
from geomrelu.experiments.pairs import DIRECTIONS, WAYS, Pair, Regions
from geomrelu.palette import draw_gradient_key, gradient_colors

if TYPE_CHECKING:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

__all__ = ["plot_parameters_2d", "plot_parameters_3d", "plot_regions", "plot_surfaces", "plot_wireframes"]

_ARROWS = {"1->2": "1 → 2", "2->1": "2 → 1"}
#: Predictions that leave the networks' own range by more than this share of it are cut off in the pictures.
_MARGIN = 0.15
#: Maps are written on regions if there are at most so many, and on those with at least this share of the area.
_MAX_WRITTEN, _WRITTEN_SHARE = 12, 0.08
#: An axis of map parameters spans at least this share of the largest parameter: rounding should not look like spread.
_LEAST_SPAN = 0.05


def plot_regions(pair: Pair) -> Figure:
    """Both networks' exact regions coloured by gradient, and their common refinement coloured by the decisions."""
    figure = new_figure(14.4, 5.4)
    positions = figure.add_gridspec(1, 4, width_ratios=(1, 1, 1, 0.3))
    longest = _longest_gradient(pair)
    for k, regions in enumerate((pair.first, pair.second)):
        _draw_regions(figure, positions[k], regions, f"Network {k + 1}", longest)
    ax = flat_axes(figure, positions[2], _counted("Common refinement", pair.refinement.areas, "cells"))
    _draw_decisions(ax, pair)
    draw_gradient_key(figure.add_subplot(positions[3]))
    figure.legend(loc="outside lower center", ncols=6, frameon=False)
    return figure


def _draw_regions(figure: Figure, position: Any, regions: Regions, name: str, longest: float) -> None:
    p, cells, maps = regions.partition, regions.cells, regions.maps
    ax = flat_axes(figure, position, _counted(f"{name} (seed {regions.history.seed})", p.areas, "regions"))
    heights = corner_values(cells, maps)
    draw_cells(ax, cells, gradient_colors(maps[:, :2], longest))
    first = len(figure.axes) == 1
    draw_segments(ax, zero_segments(cells, heights), "black", 2.4, label="$f = 0$" if first else None)
    scatter_targets(ax, *parity_data(2), labels=first)
    if len(cells) <= _MAX_WRITTEN:
        shown = np.argsort(-p.areas)[: np.count_nonzero(p.areas > _WRITTEN_SHARE * p.areas.sum())]
        write_maps(ax, cells, label_places(cells, heights), np.round(maps, 3) + 0.0, shown, size=9)


def _counted(name: str, areas: FloatArray, what: str) -> str:
    """A title with the number of cells and the smallest one's area: that one may be too small to be seen."""
    return f"{name}: {len(areas):,} {what}\nsmallest area {areas.min():.1g}"


def _longest_gradient(pair: Pair) -> float:
    """The steepest slope of both networks: one scale of colours for all pictures of a pair."""
    return max(float(np.hypot(*regions.maps[:, :2].T).max()) for regions in (pair.first, pair.second))


def _draw_decisions(ax: Any, pair: Pair) -> None:
    """The refinement's cells, cut where either network is 0, in three colours: painted one over the other."""
    cells, (one, two) = cells_of(pair.refinement), pair.refined_maps
    first = positive_part(cells, corner_values(cells, one))
    second = positive_part(cells, corner_values(cells, two))
    both = positive_part(first, corner_values(first, two))
    for part, colour in ((cells, NEGATIVE), (first, PURPLE), (second, PURPLE), (both, POSITIVE)):
        draw_cells(ax, part.without_empty(), colour, edge="face", edge_width=0.2)
    draw_cells(ax, cells, "none")
    labels = (
        (POSITIVE, "both positive"),
        (NEGATIVE, "neither positive"),
        (PURPLE, f"decisions differ ({1 - pair.agreement:.1%} of the area)"),
    )
    for colour, label in labels:
        # An empty collection: something for the legend to name.
        ax.scatter([], [], marker="s", s=80, color=colour, label=label)
    scatter_targets(ax, *parity_data(2))


def plot_parameters_2d(pair: Pair) -> Figure:
    """Gradient entries of the target network's maps, and of the maps predicted from the other, by each regression."""
    figure = new_figure(13.6, 9.4)
    for k, (direction, way) in enumerate(product(DIRECTIONS, WAYS)):
        ax = figure.add_subplot(2, 3, k + 1)
        _scatter_maps(ax, pair, direction, way, columns=(0, 1))
        ax.set(xlabel=r"$\partial f / \partial x_1$", ylabel=r"$\partial f / \partial x_2$")
        ax.set_axisbelow(True)
        ax.grid(color="0.9")
    for row in (figure.axes[:3], figure.axes[3:]):
        # One target in a row: one scale for its three fits, square so that slopes look as they are.
        low = np.min([ax.dataLim.min for ax in row], axis=0)
        high = np.max([ax.dataLim.max for ax in row], axis=0)
        centre, half = (low + high) / 2, 0.55 * max(float((high - low).max()), 1e-9)
        for ax in row:
            ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
            ax.set_aspect("equal")
    _map_legend(figure)
    return figure


def plot_parameters_3d(pair: Pair) -> Figure:
    """As `plot_parameters_2d`, with the intercept as height."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(13.6, 9.8)
    for k, (direction, way) in enumerate(product(DIRECTIONS, WAYS)):
        ax: Any = figure.add_subplot(2, 3, k + 1, projection="3d", proj_type="ortho")
        _scatter_maps(ax, pair, direction, way, columns=(0, 1, 2))
        ax.set(xlabel=r"$\partial f / \partial x_1$", ylabel=r"$\partial f / \partial x_2$")
        ax.set_zlabel("intercept", labelpad=14)
        ax.xaxis.labelpad = ax.yaxis.labelpad = 8
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.set_major_locator(MaxNLocator(4))
        ax.zaxis.set_tick_params(pad=7)
        ax.view_init(elev=24, azim=-58)
        ax.set_box_aspect(None, zoom=0.8)  # room for the labels, which layouts do not see
    for row in (figure.axes[:3], figure.axes[3:]):
        _set_limits_in_space(row)
    _map_legend(figure)
    return figure


def _set_limits_in_space(row: Sequence[Any]) -> None:
    """One target in a row: one box for its three fits, no side of it next to nothing beside the largest parameter."""
    rows = [np.column_stack(c._offsets3d) for ax in row for c in ax.collections]
    points = np.concatenate(rows)
    low, high = points.min(axis=0), points.max(axis=0)
    least = _LEAST_SPAN * max(float(np.abs(points).max()), 1e-9)
    centre, half = (low + high) / 2, 0.55 * np.maximum(high - low, least)
    for ax in row:
        for k, axis in enumerate("xyz"):
            ax.set(**{f"{axis}lim": (centre[k] - half[k], centre[k] + half[k])})


def _scatter_maps(ax: Any, pair: Pair, direction: str, way: str, columns: tuple[int, ...]) -> None:
    """Target maps as rings, predicted maps as crosses, on all samples or all cells; sizes by their share of those."""
    fit = pair.regressions[direction, way]
    source, target, weights = pair.rows(direction, "exact" if way == "exact" else "sampled")
    shares = np.ones(len(source)) if weights is None else weights
    styles: tuple[tuple[FloatArray, dict[str, Any]], ...] = (
        (target, {"facecolors": "none", "edgecolors": BLUE, "marker": "o"}),
        (fit.predict(source), {"color": VERMILION, "marker": "x"}),
    )
    for rows, style in styles:
        distinct, label = np.unique(np.round(rows, 6), axis=0, return_inverse=True)
        share = np.bincount(label.ravel(), weights=shares) / shares.sum()
        many = len(distinct) > 500
        # Marker areas follow the shares, within what the eye can tell.
        sizes = np.clip(900 * share, 4 if many else 10, 160)
        look = {"alpha": 0.5 if many else 0.9, "linewidths": 0.8, "rasterized": len(distinct) > RASTER_ABOVE, **style}
        if len(columns) == 3:
            look["depthshade"] = False
        ax.scatter(*distinct[:, columns].T, s=sizes, **look)
    fitted_to = {"sampled": "all samples", "corners": "the 4 corners", "exact": f"{fit.n_rows} cells by area"}[way]
    score = fit.score_on(source, target, weights)
    measured = "" if way != "corners" else " on all samples"
    ax.set_title(f"{_ARROWS[direction]}, fitted to {fitted_to}\n$R^2$ = {score:.3f}{measured}".replace("= -", "= −"))


def _map_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", marker="o", mfc="none", mec=BLUE, label="maps of the target network"),
        Line2D([], [], ls="", marker="x", color=VERMILION, label="maps predicted from the other network"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)


def plot_surfaces(pair: Pair) -> Figure:
    """Four surfaces: network 1, 1 -> 2, 2 -> 1, network 2; exact cells coloured by gradient, one scale."""
    figure, axes = _four_axes(pair)
    norm, longest = _norm(pair), _longest_gradient(pair)
    for ax, (_, regions, maps) in zip(axes, four_functions(pair), strict=True):
        heights = _cut_off(corner_values(regions.cells, maps), norm)
        draw_surface(ax, regions.cells, heights, gradient_colors(maps[:, :2], longest))
    draw_gradient_key(figure.add_axes((0.445, 0.425, 0.11, 0.11)))
    return figure


def plot_wireframes(pair: Pair) -> Figure:
    """The same four functions as wireframes: the lifted borders of the exact cells."""
    figure, axes = _four_axes(pair)
    norm = _norm(pair)
    for ax, (_, regions, maps) in zip(axes, four_functions(pair), strict=True):
        heights = _cut_off(corner_values(regions.cells, maps), norm)
        continuous = maps is regions.maps
        draw_wireframe(ax, _lifted_borders(regions, heights, continuous), norm, len(regions.cells))
    _height_bar(figure, norm)
    return figure


def _four_axes(pair: Pair) -> tuple[Figure, list[Any]]:
    """A figure with 3-D axes for each of `four_functions`, and one range of heights: all that they show."""
    figure, norm = new_figure(11.0, 9.6), _norm(pair)
    functions = four_functions(pair)
    shown = np.concatenate([_cut_off(corner_values(regions.cells, maps), norm) for _, regions, maps in functions])
    axes = [space_axes(figure, (2, 2, k + 1), title, "$f$") for k, (title, _, _) in enumerate(functions)]
    for ax in axes:
        ax.set_zlim(float(shown.min()), float(shown.max()))
    return figure, axes


def four_functions(pair: Pair) -> list[tuple[str, Regions, FloatArray]]:
    """Title, regions and maps (F, 3) of network 1, 1 -> 2, 2 -> 1 and network 2.

    A prediction depends on its source network's map alone, so the source's regions are its
    pieces: the common refinement would only cut them further.  It may jump between them.
    """
    predicted = []
    for direction in DIRECTIONS:
        source = pair.ends(direction)[0]
        fit = pair.regressions[direction, "exact"]
        title = f"{_ARROWS[direction]}: network {direction[-1]} predicted from network {direction[0]}"
        predicted.append((title, source, fit.predict(source.maps)))
    one, two = pair.first, pair.second
    return [
        (f"Network 1 (seed {one.history.seed})", one, one.maps),
        *predicted,
        (f"Network 2 (seed {two.history.seed})", two, two.maps),
    ]


def _lifted_borders(regions: Regions, heights: FloatArray, continuous: bool) -> FloatArray:
    """Borders at their heights, (S, 2 ends, 3): each once where the surface is continuous, else from both sides."""
    p, cells = regions.partition, regions.cells
    if continuous:
        at_vertices = np.empty(len(p.vertices))
        at_vertices[p.face_vertices] = heights
        return np.asarray(np.column_stack([p.vertices, at_vertices])[p.edges])
    lifted = np.column_stack([cells.points, heights])
    return np.stack([lifted, lifted[cells.following()]], axis=1)


def _height_bar(figure: Figure, norm: Normalize, shrink: float = 0.5) -> None:
    from matplotlib.cm import ScalarMappable

    mappable = ScalarMappable(norm, COLOURMAP)
    figure.colorbar(mappable, ax=figure.axes, location="bottom", shrink=shrink, aspect=40, label="$f$")


def _norm(pair: Pair) -> Normalize:
    """One scale for both networks: their exact range over the domain, which vertices attain."""
    return value_norm(*(corner_values(r.cells, r.maps) for r in (pair.first, pair.second)))


def _limits(norm: Normalize) -> tuple[float, float]:
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    return low - _MARGIN * (high - low), high + _MARGIN * (high - low)


def _cut_off(heights: FloatArray, norm: Normalize) -> FloatArray:
    return np.clip(heights, *_limits(norm))
