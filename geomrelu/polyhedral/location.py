"""Which region a point lies in: by its pattern, which is certain or decided in rational numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.exact import certain_bits
from geomrelu.matrices import dense_rows
from geomrelu.network import Network
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["RegionLocator", "signs_at_point"]

# Preactivations per block of points.
_BLOCK = 1 << 21


class RegionLocator:
    """Finds regions by pattern; made once per complex."""

    def __init__(self, p: PolyhedralComplex) -> None:
        self.p = p
        keys = p.patterns.keys()
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def __call__(self, points: FloatArray) -> IntArray:
        """Region of each point (N, d), -1 outside the domain or not finite; (N,) int64."""
        found = np.full(len(points), -1, dtype=np.int64)
        inside = np.flatnonzero(np.isfinite(points).all(axis=1))
        inside = inside[self.p.domain.contains(points[inside])]
        step = max(1, _BLOCK // max(self.p.network.n_neurons, 1))
        for first in range(0, len(inside), step):
            chosen = inside[first : first + step]
            bits, certain = certain_bits(self.p.network, points[chosen])
            regions = self.by_pattern(Patterns.pack(bits, self.p.network.widths))
            for k in np.flatnonzero(~certain.all(axis=1) | (regions < 0)).tolist():
                regions[k] = self._exactly(points[chosen[k]])
            found[chosen] = regions
        return found

    def by_pattern(self, patterns: Patterns) -> IntArray:
        """Region with each of these patterns (N,), -1 where there is none."""
        keys = patterns.keys()
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1).astype(np.int64)

    def _exactly(self, point: FloatArray) -> int:
        network = self.p.network
        signs = signs_at_point(network, point)
        pattern = Patterns.pack(signs[None] > 0, network.widths)
        region = int(self.by_pattern(pattern)[0])
        if region >= 0:
            return region
        # On a border and with a pattern of its own: any region that agrees where the sign is not zero.
        fixed = Patterns.pack(signs[None] != 0, network.widths).words[0]
        agreeing = ((self.p.patterns.words ^ pattern.words[0]) & fixed == 0).all(axis=1)
        return int(np.argmax(agreeing)) if agreeing.any() else -1


def signs_at_point(network: Network, point: FloatArray) -> IntArray:
    """Signs -1, 0, 1 of all neurons at one point, exactly, (n_neurons,)."""
    h = [Fraction(float(v)) for v in point]
    signs: list[int] = []
    for layer in network.hidden:
        weight = dense_rows(layer.weight, slice(None))
        u = []
        for row, bias in zip(weight.tolist(), layer.bias.tolist(), strict=True):
            u.append(sum((Fraction(w) * v for w, v in zip(row, h, strict=True) if w and v), Fraction(bias)))
        signs.extend((v > 0) - (v < 0) for v in u[: layer.n_neurons])
        h = [max(v, Fraction(0)) if j < layer.n_neurons else v for j, v in enumerate(u)]
    return np.array(signs, dtype=np.int64)
