"""Outputs at the vertices of a partition in d dimensions, and the signs that their bounds leave in doubt.

A vertex is the point where the d forms of its simple vertex vanish (`polyhedral.judge`): its true position solves
G x + c = 0, all integers, under a pattern that agrees with the vertex, and so is rational.  What the bounds of
`outputs` leave in doubt is decided there, by the integer form of a region with that vertex.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.analysis.outputs import Functionals, Outputs, outputs_near
from geomrelu.arrays import IntArray, row_ids
from geomrelu.errors import RangeError
from geomrelu.exact import ExactForms
from geomrelu.polyhedral.rows import ExactRows, exact_vertex, fresh_radii, vanishing

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["PolyhedralOutputs"]

_ULP = 2.0**-52
_TINY = 1e-290


class PolyhedralOutputs(Outputs):
    """Outputs at the vertices of a polyhedral complex, made once for each; asked through ``p._vertex_outputs``."""

    refines_in_floats = False

    def __init__(self, p: PolyhedralComplex) -> None:
        self.p = p
        super().__init__(p, p.region_offsets, p.region_vertices)

    # ------------------------------------------------------------------ exact values

    @cached_property
    def exact_forms(self) -> ExactForms:
        """The network's forms in integers."""
        return ExactForms(self.p.network)

    @cached_property
    def _rows(self) -> ExactRows:
        return ExactRows(self.p.network, self.p.skeletal.facets)

    @cached_property
    def _points(self) -> dict[int, tuple[int, ...]]:
        return {}

    def point(self, vertex: int) -> tuple[int, ...]:
        """A vertex's exact position, homogeneous."""
        found = self._points.get(vertex)
        if found is None:
            found = self._points[vertex] = self._solved(vertex)
        return found

    def _solved(self, vertex: int) -> tuple[int, ...]:
        own = self.p.skeletal
        v = vertex if own.limit is None else int(own.limit.vertices[vertex])
        return exact_vertex(self._rows, own.words, own.simple, v)

    @cached_property
    def _around(self) -> tuple[IntArray, IntArray]:
        """Regions of each vertex: offsets (V + 1,) and values."""
        order = np.argsort(self.members, kind="stable")
        sizes = np.bincount(self.members, minlength=len(self.values))
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), row_ids(self.offsets)[order]

    def regions_around(self, vertex: int) -> IntArray:
        """All regions with this vertex."""
        offsets, regions = self._around
        return regions[offsets[vertex] : offsets[vertex + 1]]

    def region_of(self, vertex: int) -> int:
        """The region with the lowest number that has this vertex."""
        return int(self.regions_around(vertex)[0])

    # ------------------------------------------------------------------ signs

    def decide(self, asked: Functionals, vertices: IntArray, which: IntArray) -> IntArray:
        """Signs of functionals ``which`` (N,) at ``vertices`` (N,) whose float values leave them in doubt, (N,)."""
        return self._in_integers(asked, vertices, which)

    def _tighten(self, vertices: IntArray) -> None:
        """Bounds afresh, in floats, from the residuals of each vertex's d forms (`polyhedral.rows.fresh_radii`)."""
        own, d, rows = self.p.skeletal, self.p.dimension, self.p._rows
        simple, places = own.simple, vertices if own.limit is None else own.limit.vertices[vertices]
        forms = own.words.forms[vanishing(simple.positive, simple.negative, places, simple.valid, d)].reshape(-1)
        patterns, owner = simple.positive[places, simple.n_domain :], np.repeat(np.arange(len(vertices)), d)
        x = self.p.vertices[vertices]
        with np.errstate(all="ignore"):
            slope, constant = rows.forms(forms, patterns, owner)
            errors, size = rows.gradient_errors(forms), np.linalg.norm(x, axis=1)[owner]
            value = np.abs((slope * x[owner]).sum(axis=1) + constant)
            rounding = 2 * (d + 2) * _ULP * (np.linalg.norm(slope, axis=1) * size + np.abs(constant))
            residual = 1.01 * (value + rounding + errors * size + rows.constant_errors(forms)) + _TINY
            radius = fresh_radii(slope.reshape(-1, d, d), errors.reshape(-1, d), residual.reshape(-1, d).max(axis=1))
            values, bounds = outputs_near(self.p.network, x, radius)
        better = np.isfinite(values).all(axis=1) & (bounds < self.errors[vertices])
        self.values[vertices[better]], self.errors[vertices[better]] = values[better], bounds[better]

    def refine(self, vertices: IntArray) -> None:
        """Exact values and positions at some vertices, each rounded once."""
        chosen = np.unique(vertices)
        for vertex in chosen[~self._refined[chosen]].tolist():
            at, outputs = self._rounded(self.position(vertex)), self._rounded(self.exact(vertex))
            self.positions[vertex], self.values[vertex] = at, outputs
            self.position_errors[vertex] = _ULP * float(np.linalg.norm(at)) + _TINY
            self.errors[vertex] = _ULP * float(np.abs(outputs).max()) + _TINY
            self._refined[vertex] = True

    @staticmethod
    def _rounded(values: tuple[Fraction, ...] | list[Fraction]) -> list[float]:
        try:
            return [float(v) for v in values]
        except OverflowError:
            raise RangeError(
                "outputs: a value is above 2^1024, the most that float64 holds; scale the network's last layer down"
            ) from None
