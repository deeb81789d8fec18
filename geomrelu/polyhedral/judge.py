"""Signs that the bounds leave in doubt, in rational arithmetic, under an infinitely small perturbation.

*Perturbation.*  Neuron j's bias is lowered by e_j, and row i of a polytope is moved outwards by e_i, with
1 >> e_0 >> e_1 >> ... > 0 in the order of the forms (rows first, then neurons): "simulation of simplicity"
(H. Edelsbrunner, E. P. Muecke, ACM Transactions on Graphics 9, 1990).  Then no sign is ever zero but at the d forms
that define a vertex: a form that vanishes truly has the sign of the first e_j on which it depends, at the latest its
own, which makes a neuron that is zero inactive, as the convention has it.

*A sign.*  Under a pattern that agrees with the vertex, its d forms are G x + c + E e = 0 and the asked one is
g x + k + f e, all integers (`rows.ExactRows`).  The value at the true vertex x = -G^-1 c is g x + k; if that is zero,
with m G = g, the first entry of f - m E that is not zero has the sign.

*Order of heights.*  Two vertices are compared by a linear function in the same way: value, then derivatives by the e_j.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flint
import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.exact import integers
from geomrelu.polyhedral.rows import ExactRow, ExactRows, vanishing
from geomrelu.polyhedral.skeleton import Skeleton

__all__ = ["Judge"]


class Judge:
    """Exact decisions on one skeleton."""

    def __init__(self, skeleton: Skeleton, rows: ExactRows) -> None:
        self.skeleton, self.rows = skeleton, rows
        self._solved: dict[int, tuple[list[ExactRow], Any]] = {}
        self._up: list[Any] = []  # the direction of `higher`, in integers
        self._lifts: dict[int, tuple[list[Any], Iterator[Any]]] = {}

    def forget(self) -> None:
        """Forget vertices, whose numbers have changed."""
        self._solved.clear()
        self._lifts.clear()

    def _pattern(self, vertex: int) -> WordArray:
        return self.skeleton.cells.positive[vertex, self.skeleton.words.domain :]

    def _solve(self, vertex: int, valid: WordArray) -> tuple[list[ExactRow], Any]:
        """The rows that vanish at a vertex, and its true position, (d, 1) rational."""
        found = self._solved.get(vertex)
        if found is None:
            cells = self.skeleton.cells
            bits = vanishing(cells.positive, cells.negative, np.array([vertex]), valid, self.skeleton.dimension)[0]
            pattern = self._pattern(vertex)
            rows = [self.rows.row(form, pattern) for form in self.skeleton.words.forms[bits].tolist()]
            d = len(rows)
            matrix = flint.fmpz_mat(d, d, [v for row in rows for v in row.gradient])
            found = rows, matrix.solve(flint.fmpz_mat(d, 1, [-row.constant for row in rows]))
            self._solved[vertex] = found
        return found

    def point(self, vertex: int, valid: WordArray) -> list[Any]:
        """A vertex's true position, d rationals."""
        return list(self._solve(vertex, valid)[1].entries())

    def sign(self, vertex: int, form: int, valid: WordArray) -> tuple[int, bool]:
        """Sign of a form at a vertex, -1 or 1, and whether it is zero without the perturbation."""
        rows, at = self._solve(vertex, valid)
        asked = self.rows.row(form, self._pattern(vertex))
        d = len(rows)
        value = (flint.fmpz_mat(1, d, asked.gradient) * at)[0, 0] + asked.constant
        if value != 0:
            return (1 if value > 0 else -1), False
        for change in self._changes(rows, asked.gradient, asked.derivatives):
            if change != 0:
                return (1 if change > 0 else -1), True
        raise AssertionError("a form depends on its own bias")

    def _changes(self, rows: list[ExactRow], gradient: list[Any], derivatives: list[Any]) -> Iterator[Any]:
        """Derivatives by the perturbations, in order, of a form with this gradient and these at a fixed point."""
        d = len(rows)
        transposed = flint.fmpz_mat(d, d, [rows[j].gradient[i] for i in range(d) for j in range(d)])
        shares = transposed.solve(flint.fmpz_mat(d, 1, gradient)).entries()
        used = [(share, row.derivatives) for share, row in zip(shares, rows, strict=True) if share != 0]
        for k in range(max([len(derivatives), *(len(own) for _, own in used)])):
            change = flint.fmpq(derivatives[k] if k < len(derivatives) else 0)
            for share, own in used:
                if k < len(own) and own[k] != 0:
                    change -= share * own[k]
            yield change

    def higher(self, a: int, b: int, direction: FloatArray, valid: WordArray) -> bool:
        """Whether vertex a lies higher than b along a direction, always the same one."""
        if not self._up:
            self._up = integers(direction)[0].tolist()
        up = flint.fmpz_mat(1, len(self._up), self._up)
        difference = (up * (self._solve(a, valid)[1] - self._solve(b, valid)[1]))[0, 0]
        if difference != 0:
            return bool(difference > 0)
        for k in range(len(self.skeleton.words.forms)):
            p, q = self._lift(a, k, valid), self._lift(b, k, valid)
            if p != q:
                return bool(p > q)
        raise AssertionError("two vertices at one place")

    def _lift(self, vertex: int, k: int, valid: WordArray) -> Any:
        """Derivative of a vertex's height by the k-th perturbation; those up to it are made and kept."""
        if vertex not in self._lifts:
            self._lifts[vertex] = [], self._changes(self._solve(vertex, valid)[0], self._up, [])
        known, rest = self._lifts[vertex]
        while len(known) <= k:
            known.append(next(rest, flint.fmpq(0)))
        return known[k]

    def signs(self, doubts: IntArray, forms: IntArray, valid: WordArray) -> tuple[IntArray, IntArray]:
        """Signs (k,) of forms at the vertices ``doubts[:, 0]``, and 1 where they are zero but for the perturbation."""
        found = [self.sign(v, form, valid) for v, form in zip(doubts[:, 0].tolist(), forms.tolist(), strict=True)]
        return np.array([s for s, _ in found], dtype=np.int64), np.array([n for _, n in found], dtype=np.int64)
