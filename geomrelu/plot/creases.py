"""The edges of a figure coloured and weighted by how sharply the function bends at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.plot.paths import segment_paths
from geomrelu.plot.style import MANY, Theme, edge_style, mapped

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PathCollection

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["crease_lines"]

# Steps of colour and width, and the smallest jump over the largest that is told apart.
_STEPS = 64
_DECADES = 1e-3


def crease_lines(
    p: PlanarComplex, cmap: Any, linewidth: float | None, style: Theme, flat: bool
) -> tuple[PathCollection, ScalarMappable | None]:
    """The edges as one collection, sharpest on top, and what a colour bar needs, None where nothing bends.

    With `flat` the first paths are the edges at which nothing bends, the domain's border among them.
    """
    from matplotlib.collections import PathCollection

    creases = p.crease()
    bent = creases.jumps > 0
    edges, jumps = creases.edges[bent], creases.jumps[bent]
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
    mappable = None
    if len(jumps):
        mappable = _scale(jumps, cmap, style)
        low = float(jumps.max()) * _DECADES
        share = np.asarray(mappable.norm(np.maximum(jumps, low)), dtype=np.float64)
        step = np.minimum((share * _STEPS).astype(np.int64), _STEPS - 1)
        for k in np.unique(step).tolist():
            middle = (k + 0.5) / _STEPS
            add(edges[step == k], mappable.cmap(middle), 0.5 + 1.5 * middle)
    lines = PathCollection(
        paths, facecolors="none", edgecolors=colors, linewidths=widths, rasterized=p.n_regions > MANY,
        capstyle="round", zorder=2,
    )  # fmt: skip
    return lines, mappable


def _scale(jumps: Any, cmap: Any, style: Theme) -> ScalarMappable:
    """A logarithmic scale of three decades at most; by default faint where the function bends little."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    top = float(jumps.max())
    chosen = cmap
    if cmap is None:
        # Without the end of viridis that paper swallows.
        steps = np.linspace(0.2, 1.0, 256)
        chosen = ListedColormap(colormaps["viridis"](steps if style.dark else 1.05 - steps), name="creases")
    # Jumps below the scale share its lowest colour.
    return mapped(np.maximum(jumps, top * _DECADES), chosen, logarithmic=True)[1]
