"""Second opinion on a sign in doubt: one neuron's affine form in double precision, with its own bound.

The bounds of `bounds` follow whole rows by norms, so they overestimate: most signs in doubt
are not close to zero.  Here the affine forms of just the three neurons concerned (the two
lines that define the vertex, and the neuron asked about) are multiplied out from the neuron
back to the input, each entry with its own error bound

    gamma_N (|w| |W_{l-1}| ... |W_1|),   N = sum of the inner dimensions + 2 per layer,

the a priori bound for a chain of products (Higham, section 3.5).  Each product's magnitudes
get `_TINY` on top: gamma times it exceeds what underflow loses, and further layers multiply
it as they multiply that loss.  The sign of the 3 x 3
determinant is then evaluated in ball arithmetic (flint's `arb`); if the ball contains zero
the question goes on to exact integers.  A vector times a matrix per layer: some 20 times
cheaper than an exact form.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geomrelu.arrays import WordArray
from geomrelu.exact import Line
from geomrelu.network import Network
from geomrelu.patterns import layer_bits, word_starts

__all__ = ["BallForms", "ball_crossing", "ball_sign"]

_TINY = 1e-290


class BallForms:
    """Affine forms as balls, ``(A, B, C)`` of flint's `arb`."""

    def __init__(self, network: Network) -> None:
        from flint import arb

        self._arb = arb
        self.network = network
        self.starts = word_starts(network.widths)
        self._magnitudes = [(np.abs(v.weight), np.abs(v.bias)) for v in network.layers]

    def line(self, layer: int, unit: int, words: WordArray) -> tuple[Any, Any, Any]:
        """A unit's form under a pattern, of which only the layers before count."""
        layers = self.network.layers
        row, constant = layers[layer].weight[unit], layers[layer].bias[unit]
        size, constant_size = np.abs(row), abs(constant)
        terms = layers[layer].n_inputs + 2
        for k in range(layer - 1, -1, -1):
            n = layers[k].n_neurons
            gate = np.ones(layers[k].n_units)
            gate[:n] = layer_bits(words, self.starts[k], n)
            row, size = row * gate, size * gate
            magnitude, bias_magnitude = self._magnitudes[k]
            with np.errstate(over="ignore", invalid="ignore"):
                constant, constant_size = constant + row @ layers[k].bias, constant_size + size @ bias_magnitude + _TINY
                row, size = row @ layers[k].weight, size @ magnitude + _TINY
            terms += layers[k].n_inputs + 2
        gamma = terms * 2.0**-53 * 1.01
        a, b = (self._ball(float(row[i]), gamma * float(size[i]) + _TINY) for i in range(2))
        return a, b, self._ball(float(constant), gamma * float(constant_size) + _TINY)

    def border(self, line: Line) -> tuple[Any, Any, Any]:
        """A border side, exact."""
        return self._arb(line[0]), self._arb(line[1]), self._arb(line[2])

    def _ball(self, middle: float, radius: float) -> Any:
        return self._arb(middle, radius) if np.isfinite(middle) and np.isfinite(radius) else self._arb("nan")


def ball_crossing(p: tuple[Any, Any, Any], q: tuple[Any, Any, Any]) -> tuple[Any, Any, Any] | None:
    """The point where two lines cross, with W > 0; None if the lines may be parallel."""
    x, y, w = p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]
    if w > 0:
        return x, y, w
    return (-x, -y, -w) if w < 0 else None


def ball_sign(line: tuple[Any, Any, Any], point: tuple[Any, Any, Any]) -> int:
    """Sign of a form at a point: -1 or 1, or 0 if in doubt."""
    value = line[0] * point[0] + line[1] * point[1] + line[2] * point[2]
    return int(value > 0) - int(value < 0)
