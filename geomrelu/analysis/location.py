"""Which region a point lies in.

A point's pattern is evaluated in float64 with a rigorous running error bound; neurons whose
value is below it are decided by exact integers.  So the answer is exact for the given
floating-point coordinates.  A point on the border of several regions belongs to the one
whose pattern it has (zero counts as inactive) or, where there is none, to the touching
region with the lowest number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray
from geomrelu.exact import ExactForms, dyadic_point, sign_at
from geomrelu.network import Network
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["PointLocator"]

# Preactivations per block of points.
_BLOCK = 1 << 21


class PointLocator:
    """Finds regions by pattern; made once per complex."""

    def __init__(self, p: PlanarComplex) -> None:
        self.p = p
        keys = p.patterns.keys()
        self.order = np.argsort(keys)
        self.keys = keys[self.order]
        self._forms: ExactForms | None = None

    def __call__(self, points: FloatArray) -> IntArray:
        """Region of each point (N, 2), -1 outside the domain or not finite; (N,) int64."""
        found = np.full(len(points), -1, dtype=np.int64)
        inside = np.flatnonzero(np.isfinite(points).all(axis=1))
        inside = inside[self.p.domain.contains(points[inside])]
        step = max(1, _BLOCK // max(self.p.network.n_neurons, 1))
        for first in range(0, len(inside), step):
            chosen = inside[first : first + step]
            found[chosen] = self._block(points[chosen])
        return found

    def _block(self, points: FloatArray) -> IntArray:
        bits, certain = certain_bits(self.p.network, points)
        regions = self._by_pattern(Patterns.pack(bits, self.p.network.widths))
        for k in np.flatnonzero(~certain.all(axis=1) | (regions < 0)).tolist():
            regions[k] = self._exactly(points[k])
        return regions

    def _by_pattern(self, patterns: Patterns) -> IntArray:
        keys = patterns.keys()
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.order[at], -1).astype(np.int64)

    def _exactly(self, point: FloatArray) -> int:
        if self._forms is None:
            self._forms = ExactForms(self.p.network)
        signs = exact_signs(self._forms, point)
        widths = self.p.network.widths
        region = int(self._by_pattern(Patterns.pack(signs[None] > 0, widths))[0])
        if region >= 0:
            return region
        # On a border and with a pattern of its own: any region that agrees where the sign is not zero.
        fixed = Patterns.pack(signs[None] != 0, widths).words[0]
        wanted = Patterns.pack(signs[None] > 0, widths).words[0]
        agreeing = ((self.p.words ^ wanted) & fixed == 0).all(axis=1)
        return int(np.argmax(agreeing)) if agreeing.any() else -1


def certain_bits(network: Network, points: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Pattern bits of a float64 forward pass, and which of them are certain; both (N, n_neurons).

    The error of a layer is bounded by |W| times the error before plus gamma (|W| |h| + |b|).
    """
    h = points
    error = np.zeros_like(h)
    bits, certain = [], []
    for layer in network.hidden:
        gamma = (layer.n_inputs + 2) * 2.0**-53 * 1.01
        u = h @ layer.weight.T + layer.bias
        error = (error + gamma * np.abs(h)) @ np.abs(layer.weight).T * 1.001 + gamma * np.abs(layer.bias) + 1e-290
        n = layer.n_neurons
        bits.append(u[:, :n] > 0)
        certain.append(np.abs(u[:, :n]) > error[:, :n])
        h = u
        np.maximum(h[:, :n], 0.0, out=h[:, :n])
    empty = np.zeros((len(points), 0), dtype=bool)
    return np.concatenate([empty, *bits], axis=1), np.concatenate([empty, *certain], axis=1)


def exact_signs(forms: ExactForms, point: FloatArray) -> IntArray:
    """Signs -1, 0, 1 of all neurons at one point, exactly, (n_neurons,)."""
    exact = dyadic_point(point[0], point[1])
    network = forms.network
    signs: list[int] = []
    for k, layer in enumerate(network.hidden):
        bits = np.zeros((1, network.n_neurons), dtype=bool)
        bits[0, : len(signs)] = np.array(signs, dtype=np.int64) > 0
        rows = forms.forms(k, Patterns.pack(bits, network.widths).words[0])
        signs.extend(sign_at((row[0], row[1], row[2]), exact) for row in rows[: layer.n_neurons])
    return np.array(signs, dtype=np.int64)
