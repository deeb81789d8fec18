"""Which region a point lies in.

Most points lie well inside a face, as orientations with respect to its edges tell for certain
(`point_grid`).  Of the others, near a border or outside, the pattern is evaluated in float64 with
a rigorous running error bound; neurons whose value is below it are decided by exact integers.  So
the answer is exact for the given floating-point coordinates, whichever way it is found.  A point
on the border of several regions belongs to the one whose pattern it has (zero counts as inactive)
or, where there is none, to the touching region with the lowest number.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geomrelu.analysis.point_grid import PointGrid
from geomrelu.arrays import FloatArray, IntArray
from geomrelu.exact import ExactForms, certain_bits, exact_signs
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["PointLocator"]

# Preactivations per block of points.
_BLOCK = 1 << 21
# So few points do not pay for building a grid of the faces.
_FEW = 64


class PointLocator:
    """Finds regions by geometry where that is certain, by pattern elsewhere; made once per complex."""

    def __init__(self, p: PlanarComplex) -> None:
        self.p = p
        self._grid: PointGrid | None = None
        self._forms: ExactForms | None = None

    def __call__(self, points: FloatArray) -> IntArray:
        """Region of each point (N, 2), -1 outside the domain or not finite; (N,) int64."""
        found = np.full(len(points), -1, dtype=np.int64)
        if self._grid is None and len(points) > _FEW:
            self._grid = PointGrid(self.p)
        if self._grid is not None:
            found = self._grid.find(points)
        rest = np.flatnonzero(found < 0)
        rest = rest[np.isfinite(points[rest]).all(axis=1)]
        rest = rest[self.p.domain.contains(points[rest])]
        step = max(1, _BLOCK // max(self.p.network.n_neurons, 1))
        for first in range(0, len(rest), step):
            chosen = rest[first : first + step]
            found[chosen] = self._block(points[chosen])
        return found

    @cached_property
    def _sorted_keys(self) -> tuple[npt.NDArray[np.void], IntArray]:
        """Keys of the patterns in order, and the faces they belong to."""
        keys = self.p.patterns.keys()
        order = np.argsort(keys)
        return keys[order], order

    def _block(self, points: FloatArray) -> IntArray:
        bits, certain = certain_bits(self.p.network, points)
        regions = self._by_pattern(Patterns.pack(bits, self.p.network.widths))
        for k in np.flatnonzero(~certain.all(axis=1) | (regions < 0)).tolist():
            regions[k] = self._exactly(points[k])
        return regions

    def _by_pattern(self, patterns: Patterns) -> IntArray:
        keys = patterns.keys()
        known, order = self._sorted_keys
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[at] == keys, order[at], -1).astype(np.int64)

    def _exactly(self, point: FloatArray) -> int:
        if self._forms is None:
            self._forms = ExactForms(self.p.network)
        signs = exact_signs(self._forms, point)
        pattern = self.p.network.packed(signs[None] > 0)
        region = int(self._by_pattern(pattern)[0])
        if region >= 0:
            return region
        # On a border and with a pattern of its own: any region that agrees where the sign is not zero.
        fixed, wanted = Patterns.pack(signs[None] != 0, self.p.network.widths).words[0], pattern.words[0]
        agreeing = ((self.p.patterns.words ^ wanted) & fixed == 0).all(axis=1)
        return int(np.argmax(agreeing)) if agreeing.any() else -1
