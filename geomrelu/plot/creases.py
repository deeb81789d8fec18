"""The edges of a figure coloured and weighted by how sharply the function bends at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import IntArray
from geomrelu.plot.paths import segment_paths
from geomrelu.plot.style import MANY, Theme, edge_style, mapped

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PathCollection

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["STEPS", "crease_lines", "crease_steps"]

# Steps of colour and width, and the smallest jump over the largest that is told apart.
STEPS = 64
_DECADES = 1e-3


def crease_lines(
    p: PlanarComplex, cmap: Any, linewidth: float | None, style: Theme, flat: bool
) -> tuple[PathCollection, ScalarMappable | None]:
    """The edges as one collection, sharpest on top, and what a colour bar needs, None where nothing bends.

    With `flat` the first paths are the edges at which nothing bends, the domain's border among them.
    """
    from matplotlib.collections import PathCollection

    edges, steps, mappable = crease_steps(p, cmap, style.dark)
    width, _ = edge_style(p.n_regions, linewidth)
    paths: list[Any] = []
    colors: list[Any] = []
    widths: list[float] = []

    def add(chosen: Any, color: Any, weight: float) -> None:
        found = segment_paths(p.vertices[p.edges[chosen]])
        paths.extend(found)
        colors.extend([color] * len(found))
        widths.extend([weight * width] * len(found))

    if flat:
        plain = np.ones(p.n_edges, dtype=bool)
        plain[edges] = False
        add(np.flatnonzero(plain), style.faint, 0.4)
    if mappable is not None:
        for k in np.unique(steps).tolist():
            middle = (k + 0.5) / STEPS
            add(edges[steps == k], mappable.cmap(middle), 0.5 + 1.5 * middle)
    lines = PathCollection(
        paths, facecolors="none", edgecolors=colors, linewidths=widths, rasterized=p.n_regions > MANY,
        capstyle="round", zorder=2,
    )  # fmt: skip
    return lines, mappable


def crease_steps(p: PlanarComplex, cmap: Any, dark: bool) -> tuple[IntArray, IntArray, ScalarMappable | None]:
    """Edges at which the function bends, how sharply in steps from 0 to `STEPS` - 1, and what a colour bar needs."""
    creases = p.crease()
    bent = creases.jumps > 0
    edges, jumps = creases.edges[bent], creases.jumps[bent]
    if not len(jumps):
        return edges, np.zeros(0, dtype=np.int64), None
    mappable = _scale(jumps, cmap, dark)
    share = np.asarray(mappable.norm(np.maximum(jumps, float(jumps.max()) * _DECADES)), dtype=np.float64)
    return edges, np.minimum((share * STEPS).astype(np.int64), STEPS - 1), mappable


def _scale(jumps: Any, cmap: Any, dark: bool) -> ScalarMappable:
    """A logarithmic scale of three decades at most; by default faint where the function bends little."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    top = float(jumps.max())
    chosen = cmap
    if cmap is None:
        # Without the end of viridis that paper swallows.
        steps = np.linspace(0.2, 1.0, 256)
        chosen = ListedColormap(colormaps["viridis"](steps if dark else 1.05 - steps), name="creases")
    # Jumps below the scale share its lowest colour.
    return mapped(np.maximum(jumps, top * _DECADES), chosen, logarithmic=True)[1]
