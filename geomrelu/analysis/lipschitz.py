"""The Lipschitz constant: how steep the function is, in each region and at most.

On a convex domain the smallest L with |f(x) - f(y)| <= L |x - y| is the largest operator norm of
the regions' gradients: every region has inner points, where its norm is attained in the limit, and
on a straight line from x to y the pieces add up.  So this is the constant, not a bound for it.

*Exact.*  Float norms are wrong by at most the norm of a bound on the maps' errors
(`affine.affine_map_errors`) and a rounding.  Regions whose norm may be the largest are compared in
integers: sums of magnitudes for the norms 1 and infinity; for the norm 2 the largest eigenvalue of A^T A or A A^T,
whichever is smaller.  Of two rows that is (s + sqrt(d)) / 2, s the trace and d = s^2 - 4 det, which are integers, too.
Of more it is the largest root of a characteristic polynomial with integer coefficients: two such roots are
compared in balls of growing precision, and are equal if they are the largest root of the polynomials' common divisor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cmp_to_key
from math import inf, isqrt
from typing import TYPE_CHECKING, Any, TypeAlias

import flint
import numpy as np

from geomrelu.affine import affine_map_errors
from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.errors import InputError, RangeError
from geomrelu.exact import ExactForms
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["Lipschitz", "checked_ord", "lipschitz"]

# What the largest norm is decided by: (s, 0) for the integer s, or (s, d) for the eigenvalue (s + sqrt(d)) / 2, or a
# polynomial for its largest root.
_Key: TypeAlias = "tuple[int, int] | flint.fmpz_poly"
_UNIT_ROUNDOFF = 2.0**-53
# Bits of the exact root that is rounded to 53.
_ROOT_BITS = 160
# LAPACK's singular values are wrong by a modest multiple of this, times rows plus columns, of the largest; this pays.
_SINGULAR = 1000 * _UNIT_ROUNDOFF
_TOO_STEEP = (
    "lipschitz: the constant is above 1.8e308, the most that float64 holds; scale the network's last layer down"
)


@dataclass(frozen=True, eq=False)
class Lipschitz:
    """Lipschitz constants of a network over its domain; on segments those of t -> f, slopes in t.

    Attributes
    ----------
    ord : float
        1, 2 or inf: the norm in which differences of inputs and of outputs are measured.
    constant : float
        The Lipschitz constant over the domain: the exact value, rounded.
    region : int
        Where it is attained, the first such region; exact.
    per_region : (F,) float64
        Of each region alone.  Their relative errors are those of `affine_maps`.
    """

    ord: float
    constant: float
    region: int
    per_region: FloatArray = field(repr=False)


def lipschitz(p: PlanarComplex | PolyhedralComplex, ord: Any = 2) -> Lipschitz:
    """Lipschitz constants; see `PlanarComplex.lipschitz`.

    Costs little beside the maps, but where very many regions are equally steep to within
    rounding: each is then compared in integers.
    """
    norm = checked_ord(ord)
    slopes = p.affine_maps.A
    norms = _operator_norms(slopes, norm)
    candidates = _candidates(p, norms, norm)
    forms = ExactForms(p.network)
    keys = [_key(forms.output_map(p.patterns.words[f])[:, :-1], norm) for f in candidates.tolist()]
    compare = cmp_to_key(_compare)
    best = max(range(len(keys)), key=lambda k: (compare(keys[k]), -k))
    return Lipschitz(norm, _rounded(keys[best], forms.scales[-1], norm), int(candidates[best]), frozen(norms))


def checked_ord(ord: Any) -> float:
    """The norm's order as a float.

    Raises
    ------
    InputError
        If there is no such norm here.
    """
    if isinstance(ord, int | float | np.number) and not isinstance(ord, bool) and ord in (1, 2, inf):
        return float(ord)
    raise InputError(f"lipschitz: got ord={ord!r}; expected 1, 2 or float('inf'), the norm of inputs and outputs")


def _operator_norms(slopes: FloatArray, norm: float) -> FloatArray:
    """Operator norms of matrices (F, out, d), (F,)."""
    # Powers of two keep squares within float64's range.
    exponents = np.frexp(np.abs(slopes).max(axis=(1, 2)))[1]
    a = np.ldexp(slopes, -exponents[:, None, None])
    if norm == 2 and a.shape[2] == 2:
        xx, yy = (a * a).sum(axis=1).T
        xy = (a[:, :, 0] * a[:, :, 1]).sum(axis=1)
        found = np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / 2)
    elif norm == 2:
        found = np.sqrt((a * a).sum(axis=(1, 2))) if 1 in a.shape[1:] else np.linalg.norm(a, ord=2, axis=(1, 2))
    else:
        found = np.abs(a).sum(axis=1 if norm == 1 else 2).max(axis=1)
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(found, exponents))


def _candidates(p: PlanarComplex | PolyhedralComplex, norms: FloatArray, norm: float) -> IntArray:
    """The regions that may have the largest norm."""
    # Bounds grow with the active neurons: those of the pattern that has all of them hold for every region.
    everything = Patterns.pack(np.ones((1, p.network.n_neurons), dtype=bool), p.network.widths)
    candidates = np.arange(p.n_regions)
    for patterns in (everything, None):
        if len(candidates) > 1:
            errors = affine_map_errors(p.network, p.patterns[candidates] if patterns is None else patterns).A
            with np.errstate(over="ignore", invalid="ignore"):
                reach = _errors(errors, norms[candidates], norm)
                low = np.nanmax(norms[candidates] - reach, initial=0.0)
                candidates = candidates[~(norms[candidates] + reach < low)]
    return candidates


def _errors(errors: FloatArray, norms: FloatArray, norm: float) -> FloatArray:
    """Bounds on how far the norms are off, given bounds on the matrices' entries."""
    size = np.abs(errors).sum(axis=(1, 2)) if norm == 2 else np.abs(errors).sum(axis=1 if norm == 1 else 2).max(axis=1)
    rounding = (2 * sum(errors.shape[1:]) + 16) * _UNIT_ROUNDOFF
    if norm == 2 and errors.shape[2] > 2:
        rounding += sum(errors.shape[1:]) * _SINGULAR
    return np.asarray(1.001 * size + rounding * norms)


def _key(form: Any, norm: float) -> _Key:
    """An exact norm of an integer matrix (out, d), to be compared by `_compare`."""
    rows = [[int(v) for v in row] for row in form]
    if norm == 1:
        return max(sum(abs(v) for v in column) for column in zip(*rows, strict=True)), 0
    if norm == inf:
        return max(sum(abs(v) for v in row) for row in rows), 0
    if len(rows) > len(rows[0]):
        rows = [list(column) for column in zip(*rows, strict=True)]
    gram = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]
    if len(gram) > 2:
        return flint.fmpz_mat(gram).charpoly()
    if len(gram) == 1:
        # (s + sqrt(s^2)) / 2 = s.
        return gram[0][0], gram[0][0] ** 2
    (xx, xy), (_, yy) = gram
    return xx + yy, (xx - yy) ** 2 + 4 * xy * xy


def _compare(a: _Key, b: _Key) -> int:
    """Sign of (s + sqrt(d)) - (t + sqrt(e)) for keys (s, d) and (t, e), or of a difference of largest roots."""
    if isinstance(a, flint.fmpz_poly):
        return _compare_roots(a, b)
    (s, d), (t, e) = a, b
    if s < t:
        return -_compare(b, a)
    # With s >= t: (s - t) + sqrt(d) against sqrt(e), squared, and once more.
    rest = e - d - (s - t) ** 2
    twice = 4 * (s - t) ** 2 * d
    if rest < 0:
        return 1
    return (twice > rest * rest) - (twice < rest * rest)


def _compare_roots(p: Any, q: Any) -> int:
    """Sign of the difference of the largest roots of two polynomials, all of whose roots are real."""
    if p == q:
        return 0
    common = p.gcd(q)
    bits = _ROOT_BITS
    while True:
        x, y = _largest_root(p, bits), _largest_root(q, bits)
        if not x.overlaps(y):
            return 1 if x > y else -1
        # The balls hold no other roots of p and q, so a root of both in each is their largest.
        if common.degree() > 0:
            z = _largest_root(common, bits)
            if z.overlaps(x) and z.overlaps(y) and _alone(p, x, z, bits) and _alone(q, y, z, bits):
                return 0
        bits *= 2


def _largest_root(p: Any, bits: int) -> Any:
    """A ball that holds the largest root."""
    with flint.ctx.workprec(bits):
        roots = [root.real for root, _ in p.complex_roots()]
        found = max(roots, key=lambda root: root.mid())
        for root in roots:
            found = found.union(root) if root.overlaps(found) else found
        return found


def _alone(p: Any, x: Any, z: Any, bits: int) -> bool:
    """Whether of the balls of p's roots only x, the largest, meets z."""
    with flint.ctx.workprec(bits):
        return sum(bool(root.real.overlaps(z)) for root, _ in p.complex_roots()) == 1


def _rounded(key: _Key, scale: int, norm: float) -> float:
    """The norm that a key stands for, over 2^scale."""
    if isinstance(key, flint.fmpz_poly):
        return _rounded_root(key, scale)
    s, d = key
    if norm == 2:
        # 2^m sqrt((s + sqrt(d)) / 2), m large enough for all digits of a float.
        m = _ROOT_BITS
        s, scale = isqrt(2 * ((s << 2 * m) + isqrt(d << 4 * m))), scale + m + 1
    try:
        return s / (1 << scale)
    except OverflowError:
        raise RangeError(_TOO_STEEP) from None


def _rounded_root(p: Any, scale: int) -> float:
    """The root of the largest root of a polynomial, over 2^scale."""
    bits = _ROOT_BITS
    while True:
        with flint.ctx.workprec(bits):
            norm = _largest_root(p, bits).sqrt() / flint.arb(2) ** scale
            low, high = (float(end) for end in (norm.lower(), norm.upper()))
        if low == high:
            if low == inf:
                raise RangeError(_TOO_STEEP)
            return low
        if bits > 64 * _ROOT_BITS:
            return float(norm.mid())
        bits *= 2
