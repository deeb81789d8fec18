"""The point of a region nearest to x0 on which one form is zero, in floating point, and a rigorous lower bound.

A region is { x0 + z : value_k + r_k z >= 0 for all rows k }, and the form is ``value + row z``.  Rows are brought in
only where they are violated: the nearest point for some rows is found, the worst of the others are added, and so on,
so that problems stay as small as the number of rows that matter.

- 2-norm: a least-distance problem, which is one of nonnegative least squares (C. L. Lawson, R. J. Hanson, "Solving
Least
  Squares Problems", 1974, chapter 23; scipy's `nnls`), solved once more on the rows that turned out tight.
- 1- and infinity-norm: linear programs (scipy's HiGHS).

*Lower bound.*  For any multipliers l_k >= 0 of rows and any m of the form, each z of the set has
sum l_k r_k z + m row z >= -(sum l_k value_k + m value), so

    |z| >= -(sum l_k value_k + m value) / |sum l_k r_k + m row|*,        |.|* the dual norm.

Optimal multipliers make it an equality; those of an empty set make the divisor (nearly) zero.  The bound needs no
optimality, only an evaluation with bounds on the rounding of values and rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray
from geomrelu.exploration.forms import Forms, Functional, RegionRows

__all__ = ["Multipliers", "Nearest", "nearest_zero"]

# Rows that are brought in at a time, and how often.
_BATCH, _ROUNDS = 8, 400
_ULP = 2.0**-52
_LARGEST_STRETCH = 1e12


class Multipliers(NamedTuple):
    """Multipliers of rows, those that are not zero, and of the form."""

    rows: IntArray
    shares: FloatArray
    own: float


class Nearest(NamedTuple):
    """An approximately nearest point, and what is certain."""

    z: FloatArray | None  # (n,) from x0; None if it is farther than the limit, or there is none
    lower: float  # no point is nearer than this: rigorous
    multipliers: Multipliers


def nearest_zero(
    forms: Forms, rows: RegionRows, target: Functional, free: BoolArray, limit: float, hint: Multipliers | None = None
) -> Nearest:
    """Where a form is zero in a region.

    Parameters
    ----------
    free : (m,) bool
        Rows that are no constraints.
    limit : float
        Points farther than this are not looked for.
    hint : Multipliers, optional
        What `Nearest.multipliers` was in a region beside this one.
    """
    norm = forms.norm
    plane = Multipliers(np.zeros(0, dtype=np.int64), np.zeros(0), -float(np.sign(target.value)))
    best, last = _lower_bound(forms, rows, target, plane), plane
    if target.size <= target.blur or best > limit:
        return Nearest(None, best, last)
    solve = _least_distance if norm.order == 2.0 else _linear_program
    size = np.where(free, 1.0, rows.size)
    rounding = np.where(free, 0.0, rows.error) / size
    chosen = plane.rows
    if hint is not None and len(hint.rows) and not free[hint.rows].any():
        bound = _lower_bound(forms, rows, target, hint)
        if bound > limit:
            return Nearest(None, bound, hint)
        chosen = hint.rows
    stretch, longest = 1.0, 0.0
    for _ in range(_ROUNDS):
        z, last = solve(forms, rows, target, chosen, stretch)
        if z is None or float(norm.length(z)) > limit:
            best = max(best, _lower_bound(forms, rows, target, last))
            if best > limit:
                return Nearest(None, best, last)
            if z is None:
                # Too far to tell from nowhere in these units.
                if stretch > _LARGEST_STRETCH:
                    return Nearest(None, best, last)
                stretch *= 1e4
                continue
        slack = forms.slack(rows, z) / size
        tolerance = 4 * rounding + 1e-12 * (float(norm.length(z)) + np.abs(rows.value) / size)
        slack[free] = np.inf
        slack[chosen] = np.inf
        violated = np.flatnonzero(slack < -tolerance)
        if len(violated) == 0:
            return Nearest(z, max(best, _lower_bound(forms, rows, target, last)), last)
        worst = violated[np.argsort(slack[violated])[:_BATCH]]
        # Rows without multipliers may go only where the distance grows: else they might come and go for ever.
        grown, longest = float(norm.length(z)) > longest * (1 + 1e-9), max(longest, float(norm.length(z)))
        chosen = np.concatenate([last.rows if grown else chosen, worst])
    return Nearest(None, max(best, _lower_bound(forms, rows, target, last)), last)


def _lower_bound(forms: Forms, rows: RegionRows, target: Functional, given: Multipliers) -> float:
    """The rigorous bound that multipliers give."""
    chosen, some, own = given.rows, np.maximum(given.shares, 0.0), given.own
    terms = np.append(some * rows.value[chosen], own * target.value)
    errors = np.append(some * rows.error[chosen], abs(own) * target.error)
    rounding = (len(terms) + 4) * _ULP
    drop = -terms.sum() - errors.sum() * 1.01 - rounding * np.abs(terms).sum()
    gradients, blurs = forms.take(rows, chosen)
    slope = some @ gradients + own * target.row
    blur = float(some @ blurs) + abs(own) * target.blur
    magnitudes = float(some @ rows.size[chosen]) + abs(own) * target.size
    n = len(slope)
    divisor = (
        float(forms.norm.sizes(slope[None])[0]) * (1 + (n + 4) * _ULP) + 1.01 * (blur + rounding * magnitudes) + 1e-300
    )
    if not drop > 0 or not np.isfinite(divisor):
        return 0.0
    return float(drop / divisor * (1 - 4 * _ULP))


def _least_distance(
    forms: Forms, rows: RegionRows, target: Functional, chosen: IntArray, stretch: float
) -> tuple[FloatArray | None, Multipliers]:
    """The 2-norm's answer for some rows."""
    from scipy.optimize import nnls

    size = np.append(rows.size[chosen], target.size)
    gradient = np.concatenate([forms.take(rows, chosen)[0], target.row[None]]) / size[:, None]
    height = -np.append(rows.value[chosen], target.value) / size
    if len(chosen) == 0:
        return gradient[0] * height[0], Multipliers(chosen, np.zeros(0), float(height[0] / target.size))
    # Both signs of the form, and lengths in units of the answer's.
    scale = _unit(height) * stretch
    both = np.vstack([gradient, -gradient[-1:]])
    heights = np.append(height, -height[-1]) / scale
    corner = np.linalg.qr(both.T, mode="r") if len(both) < both.shape[1] else both.T
    aim = np.zeros(len(corner) + 1)
    aim[-1] = 1.0
    share, _ = nnls(np.vstack([corner, heights]), aim, maxiter=30 * len(both))
    left = 1.0 - float(heights @ share)
    own = float(share[-2] - share[-1])
    support = np.flatnonzero(share[:-2] > 0)
    # What is lost by cancellation, of multipliers that are large because the set is far away or empty, decides nothing.
    if left < 1e-11 + 64 * _ULP * (1.0 + float(np.abs(heights) @ share)):
        return None, Multipliers(chosen[support], share[support] / size[support], own / target.size)
    used = np.append(support, len(chosen))
    z, multipliers = _tight(gradient[used], height[used])
    if z is None or (multipliers[:-1] < -1e-9 * np.abs(multipliers).max()).any():
        z = both.T @ share * (scale / left)
        multipliers = np.append(share[support], own) * (scale / left)
    return z, Multipliers(chosen[support], multipliers[:-1] / size[support], float(multipliers[-1] / target.size))


def _unit(height: FloatArray) -> float:
    """A length that the answer's is comparable to: it is at least the farthest of the violated rows'."""
    return max(float(abs(height[-1])), float(height.max()), 1e-9 * float(np.abs(height).max()), 1e-300)


def _tight(gradient: FloatArray, height: FloatArray) -> tuple[FloatArray | None, FloatArray]:
    """The shortest z with ``gradient z = height``, and its multipliers; None if rows are dependent."""
    from scipy.linalg import solve_triangular

    if len(gradient) > gradient.shape[1]:
        return None, height
    q, r = np.linalg.qr(gradient.T)
    diagonal = np.abs(np.diag(r))
    if diagonal.min() < 1e-10 * diagonal.max():
        return None, height
    along = solve_triangular(r, height, trans="T")
    return q @ along, solve_triangular(r, along)


def _linear_program(
    forms: Forms, rows: RegionRows, target: Functional, chosen: IntArray, stretch: float
) -> tuple[FloatArray | None, Multipliers]:
    """The 1- or infinity-norm's answer for some rows."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    size = np.append(rows.size[chosen], target.size)
    gradient = np.concatenate([forms.take(rows, chosen)[0], target.row[None]]) / size[:, None]
    height = -np.append(rows.value[chosen], target.value) / size
    n = gradient.shape[1]
    if len(chosen) == 0:
        step = forms.norm.steepest(gradient[0])
        return step * height[0], Multipliers(chosen, np.zeros(0), float(np.sign(height[0]) / target.size))
    scale = _unit(height) * stretch
    if forms.norm.order == 1.0:
        # z = p - q of nonnegative parts, whose sum is least.
        table, cost = np.hstack([gradient, -gradient]), np.ones(2 * n)
        upper = -table[:-1]
        limits = -height[:-1] / scale
    else:
        # z = t - p with 0 <= p <= 2 t.
        table, cost = np.hstack([-gradient, gradient.sum(axis=1, keepdims=True)]), np.append(np.zeros(n), 1.0)
        corridor = hstack([eye_array(n), csr_array(np.full((n, 1), -2.0))])
        upper = vstack([csr_array(-table[:-1]), corridor], format="csr")
        limits = np.append(-height[:-1] / scale, np.zeros(n))
    found = linprog(cost, upper, limits, table[-1:], height[-1:] / scale, method="highs")
    if found.status != 0 or found.x is None:
        # Multipliers of an empty set serve all norms.
        z, answer = _least_distance(forms, rows, target, chosen, stretch)
        return (None if found.status == 2 else z), answer
    x = found.x * scale
    z = x[:n] - x[n:] if forms.norm.order == 1.0 else x[-1] - x[:-1]
    multipliers = np.maximum(-found.ineqlin.marginals[: len(chosen)], 0.0)
    support = np.flatnonzero(multipliers > 0)
    own = float(found.eqlin.marginals[0] / target.size)
    return z, Multipliers(chosen[support], multipliers[support] / size[support], own)
