"""Decisions along segments that the floating-point bounds leave in doubt, by exact integers.

On a segment x(t) = a + t (b - a) every preactivation under a pattern is an integer form
(slope, constant) of t, times a positive power of two (`exact.ExactForms.behind`).  A vertex is the root of
its line's form under the pattern of the piece that it was made in: a fraction X / W.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.exact import ExactForms, integers
from geomrelu.network import Network
from geomrelu.planar.settle import ranked

__all__ = ["Judge"]

# X / W with W > 0.
Place: TypeAlias = tuple[int, int]
# Segments whose forms are kept.
_KEPT = 64


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


class Judge:
    """Exact decisions for one network on segments from inputs a (S, n_inputs) to b.

    Segments, layers and neurons are numbers; lines are flat numbers of neurons, -1 and -2 for the
    ends at 0 and 1; words are packed patterns.
    """

    def __init__(self, network: Network, a: FloatArray, b: FloatArray) -> None:
        self.network, self.a, self.b = network, a, b
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        self._kept: dict[int, ExactForms] = {}

    @cached_property
    def _forms(self) -> ExactForms:
        return ExactForms(self.network)

    def forms(self, segment: int) -> ExactForms:
        """Forms of t on a segment."""
        found = self._kept.get(segment)
        if found is None:
            (a, b), exponent = integers(np.stack([self.a[segment], self.b[segment]]))
            found = self._forms.behind(np.stack([b - a, a], axis=1), exponent)
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[segment] = found
        return found

    def place(self, segment: int, line: int, words: WordArray) -> Place:
        """A vertex's exact place."""
        if line < 0:
            return -1 - line, 1
        layer = int(np.searchsorted(self.firsts, line, side="right")) - 1
        slope, constant = self.forms(segment).row(layer, int(line - self.firsts[layer]), words)
        return (-constant, slope) if slope > 0 else (constant, -slope)

    def outputs(self, segment: int, words: WordArray, place: Fraction) -> FloatArray:
        """Outputs at a place of a piece, rounded once, (out,); infinite where they are too large for float64."""
        forms = self.forms(segment)
        unit = 1 << forms.scales[-1]
        exact = [(int(slope) * place + int(constant)) / unit for slope, constant in forms.output_map(words)]
        return np.array([_nearest(value) for value in exact])

    def signs(
        self, segments: IntArray, lines: IntArray, parents: WordArray, layer: int, neurons: IntArray, words: WordArray
    ) -> IntArray:
        """Signs -1, 0, 1 of neurons of a layer at vertices, (N,).

        Parameters
        ----------
        segments, lines, parents : (N,), (N,), (N, words)
            The vertices: their segment, line, and the pattern that the line belongs to.
        neurons, words : (N,), (N, words)
            The neurons asked about, and patterns of pieces at the vertices.
        """
        result = np.empty(len(segments), dtype=np.int64)
        before = words[:, : self._forms.starts[layer]]
        keys = np.concatenate([segments[:, None].astype(np.uint64), before], axis=1)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        places: dict[tuple[int, int, bytes], Place] = {}
        for k in np.argsort(group.ravel(), kind="stable").tolist():
            segment, line = int(segments[k]), int(lines[k])
            # All rows of a layer are computed at once where many neurons of a piece are asked about, and kept.
            forms = self.forms(segment)
            if (group == group[k]).sum() > 2:
                forms.forms(layer, words[k])
            slope, constant = forms.row(layer, int(neurons[k]), words[k])
            key = segment, line, parents[k].tobytes()
            if key not in places:
                places[key] = self.place(segment, line, parents[k])
            x, w = places[key]
            value = slope * x + constant * w
            result[k] = (value > 0) - (value < 0)
        return result

    def order(
        self, segment: int, layer: int, neurons: IntArray, words: WordArray, at: FloatArray, radius: FloatArray,
        length: float,
    ) -> IntArray:  # fmt: skip
        """Ranks of the crossings of some neurons with a piece, equal for those that coincide, (k,).

        `at` +- `radius` are their places along the piece, of the given length.
        """

        def place(item: int) -> Fraction:
            slope, constant = self.forms(segment).row(layer, int(neurons[item]), words)
            return Fraction(-constant, slope)

        return ranked(at, radius, length, place, None).astype(np.int64)
