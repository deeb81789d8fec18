"""Extrema, level sets and steepness along segments; exact.

Outputs are affine on each piece, so extrema are attained at breakpoints and the slope is one number a
piece.  Float values come with bounds; those that the bounds leave in doubt are compared as rational
numbers, from the output's integer form on a piece and the breakpoint's exact place.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomrelu.analysis.boundary import checked_level, checked_output
from geomrelu.analysis.extrema import functional
from geomrelu.analysis.lipschitz import Lipschitz, checked_ord
from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.errors import RangeError

if TYPE_CHECKING:
    from geomrelu.linear.complex import LinearComplex

__all__ = ["Crossings", "Extremum", "extremum", "level_set", "lipschitz"]

_EPS = 2.0**-52


@dataclass(frozen=True, repr=False)
class Extremum:
    """An extreme value and a breakpoint at which it is attained, the one with the lowest number of several.

    Attributes
    ----------
    value : float
        The exact value, rounded once.
    point : float
        The breakpoint's place t: within its `breakpoint_errors` of the true one.
    vertex : int
        The breakpoint's number.
    region : int
        A piece there.
    exact_value : Fraction
    exact_point : Fraction
    """

    value: float
    point: float
    vertex: int
    region: int
    exact_value: Fraction
    exact_point: Fraction

    def __repr__(self) -> str:
        return f"Extremum({self.value!r} at t = {self.point!r})"


class Crossings(NamedTuple):
    """Where an output has a value.

    Attributes
    ----------
    points : (K,) float64
        Places t, by segment and in order; those at the ends of flat pieces included.
    regions : (K,) int64
        A piece at each.
    flat : (M,) int64
        Pieces on which the output has the value all along.
    """

    points: FloatArray
    regions: IntArray
    flat: IntArray


def extremum(p: LinearComplex, of: Any, sign: int) -> Extremum:
    """The largest (sign 1) or smallest (-1) value of a functional of the outputs; see `LinearComplex.maximum`."""
    asked = functional(p.network, of, "maximum" if sign > 0 else "minimum")
    weights, constant = asked.a[0], -float(asked.b[0])
    with np.errstate(over="ignore", invalid="ignore"):
        values = sign * (p.values @ weights + constant)
        size = np.abs(weights).sum()
        rounding = 4 * (len(weights) + 1) * _EPS * (np.abs(p.values) @ np.abs(weights) + abs(constant))
        errors = size * p.value_errors + rounding
        low = np.nanmax(np.where(np.isfinite(values), values - errors, -inf))
        candidates = np.flatnonzero(~(values + errors < low))
    exact = {v: _value(p, v, weights) + Fraction(constant) for v in candidates.tolist()}
    best = max(candidates.tolist(), key=lambda v: (sign * exact[v], -v))
    value = _rounded(exact[best], "extremum")
    return Extremum(
        value, float(p.breakpoints[best]), best, _piece(p, best), exact[best], p.exact_breakpoint(best)
    )  # fmt: skip


def level_set(p: LinearComplex, c: float, output: int) -> Crossings:
    """Where an output equals c; see `LinearComplex.level_set`."""
    weights = np.eye(p.network.n_outputs)[checked_output(p.network, output, "level_set")]
    level = checked_level(c)
    values = p.values[:, output] - level
    errors = p.value_errors + 2 * _EPS * np.abs(values)
    signs = np.sign(values).astype(np.int64)
    for v in np.flatnonzero(~(np.abs(values) > errors)).tolist():
        off = _value(p, v, weights) - Fraction(level)
        signs[v] = (off > 0) - (off < 0)
    left = p.left
    crossed = np.flatnonzero(signs[left] * signs[left + 1] < 0)
    t = [_root(p, piece, output, level, weights) for piece in crossed.tolist()]
    touched = np.flatnonzero(signs == 0)
    points = np.concatenate([np.array(t, dtype=np.float64), p.breakpoints[touched]])
    # In order along the chain: a breakpoint comes before the piece that it begins.
    order = np.argsort(np.concatenate([2 * left[crossed] + 1, 2 * touched]), kind="stable")
    pieces = np.array([_piece(p, v) for v in touched.tolist()], dtype=np.int64)
    flat = np.flatnonzero((signs[left] == 0) & (signs[left + 1] == 0))
    return Crossings(points[order], np.concatenate([crossed, pieces])[order], flat)


def _root(p: LinearComplex, piece: int, output: int, level: float, weights: FloatArray) -> float:
    """Where the output has the level on a piece that it crosses, rounded once."""
    slope, constant, unit = _form(p, piece, weights)
    return float((Fraction(level) * unit - constant) / slope)


def lipschitz(p: LinearComplex, ord: Any) -> Lipschitz:
    """The steepest piece; see `LinearComplex.lipschitz`."""
    norm = checked_ord(ord)
    slopes = np.abs(p.affine_maps.A[:, :, 0])
    # Powers of two keep squares within float64's range.
    exponents = np.frexp(slopes.max(axis=1))[1]
    with np.errstate(over="ignore"):
        norms = np.ldexp(np.linalg.norm(np.ldexp(slopes, -exponents[:, None]), ord=norm, axis=1), exponents)
    # The largest ones to within rounding that no chain of products exceeds.
    gamma = 4 * sum(layer.n_inputs + 2 for layer in p.network.layers) * _EPS
    candidates = np.flatnonzero(norms + gamma * _magnitudes(p) >= np.max(norms - gamma * _magnitudes(p)))
    forms = {k: _norm(p, k, norm) for k in candidates.tolist()}
    best = max(candidates.tolist(), key=lambda k: (forms[k], -k))
    return Lipschitz(norm, _root_of(forms[best], norm), best, frozen(norms))


def _magnitudes(p: LinearComplex) -> FloatArray:
    """Bounds on sums of magnitudes in the products of the slopes, all outputs together, (P,)."""
    a, b = p.ends
    size = np.abs(a) + np.abs(b)
    for layer in p.network.layers:
        size = size @ abs(layer.weight).T
    return np.asarray(size.sum(axis=1)[p.segment])


def _norm(p: LinearComplex, piece: int, ord: float) -> Fraction:
    """The exact norm of a piece's slopes; of the 2-norm its square."""
    forms = p.judge.forms(int(p.segment[piece]))
    column = [abs(int(row[0])) for row in forms.output_map(p.patterns.words[piece])]
    unit = 1 << forms.scales[-1]
    if ord == 2:
        return Fraction(sum(v * v for v in column), unit * unit)
    return Fraction(sum(column) if ord == 1 else max(column), unit)


def _root_of(norm: Fraction, ord: float) -> float:
    if ord != 2:
        return _rounded(norm, "lipschitz")
    n, d = norm.numerator, norm.denominator
    # isqrt(n d 4^k) / (d 2^k), with 70 bits or more.
    k = max(0, 70 - (n * d).bit_length() // 2)
    return _rounded(Fraction(isqrt((n * d) << 2 * k), d << k), "lipschitz")


def _rounded(value: Fraction, what: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise RangeError(
            f"{what}: the value is above 1.8e308, the most that float64 holds; scale the network's last layer down"
        ) from None


def _piece(p: LinearComplex, vertex: int) -> int:
    """The piece that a breakpoint begins, or the last one of its segment."""
    return int(np.searchsorted(p.left, vertex, side="right")) - 1


def _form(p: LinearComplex, piece: int, weights: FloatArray) -> tuple[Fraction, Fraction, int]:
    """Slope and constant of a functional of the outputs on a piece, times `unit`, and the unit."""
    forms = p.judge.forms(int(p.segment[piece]))
    rows = forms.output_map(p.patterns.words[piece])
    slope, constant = (
        sum((Fraction(float(w)) * int(v) for w, v in zip(weights, column, strict=True) if w), Fraction(0))
        for column in rows.T
    )
    return slope, constant, 1 << forms.scales[-1]


def _value(p: LinearComplex, vertex: int, weights: FloatArray) -> Fraction:
    """A functional's exact value at a breakpoint."""
    slope, constant, unit = _form(p, _piece(p, vertex), weights)
    return (slope * p.exact_breakpoint(vertex) + constant) / unit
