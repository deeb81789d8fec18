"""Whether a form has a facet in a region: where it is zero, on a set of dimension n - 1, and how far from x0.

*Yes* takes two float points, one on each side of the form's zero set and near each other, at which all rows of the
region are certainly positive: so they are on the segment between them, which meets the zero set in the inside of a
facet.  The longer of the two ways from x0 bounds the facet's distance from above.  The points are made from the
nearest point (`nearest`): a little inwards along all rows that are tight there, then a little up and down the form's
gradient.

*No* takes a lower bound on the distance that is beyond all that is asked for, or, where tight rows leave no way
inwards, Motzkin's certificate: l_k >= 0, not all zero, and m with sum l_k r_k = m row and sum l_k value_k <= m
value, as a relation of integers that is found by elimination.  Then rows with l_k > 0 are zero wherever the form is
zero in the region.

Rows that are multiples of the form (repeated neurons, say) are its *group*: they are zero on the facet, too, as are
neurons that are zero in the whole region.  The pattern beyond the facet is the same but for the group, whose signs are
taken at a point beyond, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray
from geomrelu.exploration.forms import Forms, Functional, RegionRows
from geomrelu.exploration.nearest import Multipliers, nearest_zero

__all__ = ["Target", "Verdict", "decide", "output_target", "pattern_beyond", "row_target", "way_in"]

FACET, FAR, NONE, DOUBT = "facet", "far", "none", "doubt"
# What a sum of two numbers loses, as a share of them.
_ROUNDING = 2.0**-51
# Rows whose gradients have a larger cosine with the form's may be multiples of it.
_PARALLEL = 1 - 1e-7
# Rows nearer than this share of the distances at hand count as tight; where that leads to nothing, fewer.
_TIGHT = (1e-9, 1e-12, 0.0)


class Target(NamedTuple):
    """A form that is asked about."""

    form: Functional
    row: int  # its number among the region's rows, -1 if it is none
    weights: FloatArray | None  # of the outputs whose sum it is, if it is no row
    exactly: Callable[[], list[int]]  # gradient and constant, times a positive number


class Verdict(NamedTuple):
    """Whether there is a facet, and where.

    ``kind``: "facet"; "far", if nearer than `lower` there is none; "none"; "doubt" if neither could be proven.
    """

    kind: str
    lower: float  # rigorous bounds on the distance
    upper: float
    z: FloatArray  # (n,) about the nearest point, from x0
    beyond: FloatArray  # (n,) a point beyond the facet
    group: IntArray  # rows that are multiples of the form, its own included
    hint: Multipliers  # for the same question in a region beside this one


def row_target(forms: Forms, rows: RegionRows, k: int) -> Target:
    """A region's own row."""
    return Target(forms.functional(rows, k), k, None, lambda: forms.exact_row(rows, k))


def output_target(
    forms: Forms, rows: RegionRows, outputs: list[Functional], weights: tuple[tuple[int, int], ...]
) -> Target:
    """A sum of outputs with weights 1 and -1, given as pairs (output, weight)."""
    parts = [(outputs[k], w) for k, w in weights]
    row = sum((w * part.row for part, w in parts), np.zeros(forms.network.n_inputs))
    value = float(sum(w * part.value for part, w in parts))
    size = float(forms.norm.sizes(row[None])[0])
    form = Functional(
        row, value, sum(part.error + _ROUNDING * abs(part.value) for part, _ in parts), size,
        sum(part.blur + _ROUNDING * part.size for part, _ in parts),
    )  # fmt: skip

    def exactly() -> list[int]:
        table = forms.exact.output_map(forms.words(rows.bits))
        return [int(v) for v in sum(w * table[k] for k, w in weights)]

    shares = np.zeros(len(outputs))
    for k, w in weights:
        shares[k] = w
    return Target(form, -1, shares, exactly)


def decide(forms: Forms, rows: RegionRows, target: Target, limit: float, hint: Multipliers | None = None) -> Verdict:
    """Whether a form has a facet in a region within a distance of x0."""
    free = ~rows.cuts
    if target.row >= 0:
        free = free.copy()
        free[target.row] = True
    own = np.array([target.row] if target.row >= 0 else [], dtype=np.int64)
    nothing = np.zeros(0)
    near = nearest_zero(forms, rows, target.form, free, limit, hint)
    if near.z is None:
        kind = FAR if near.lower > limit else DOUBT
        return Verdict(kind, near.lower, np.inf, nothing, nothing, own, near.multipliers)
    n, tight = forms.network.n_neurons, _tight_rows(forms, rows, near.z, free, _TIGHT[0])
    group = _group(forms, rows, target, tight)
    if target.row < n and (group >= n).any():
        # The form is zero along a facet of the domain, and beyond it there is nothing.
        return Verdict(NONE, near.lower, np.inf, near.z, nothing, own, near.multipliers)
    free[group] = True
    for share in _TIGHT:
        tight = _tight_rows(forms, rows, near.z, free, share)
        inwards = way_in(forms, rows, target.form, tight)
        if inwards is None and _refused(forms, rows, target, tight):
            return Verdict(NONE, near.lower, np.inf, near.z, nothing, own, near.multipliers)
        found = None if inwards is None else _straddle(forms, rows, target, near.z, inwards, tight, free)
        if found is not None:
            beyond, upper = found
            return Verdict(FACET, near.lower, upper, near.z, beyond, np.union1d(own, group), near.multipliers)
    return Verdict(DOUBT, near.lower, np.inf, near.z, nothing, own, near.multipliers)


def _tight_rows(forms: Forms, rows: RegionRows, z: FloatArray, free: BoolArray, share: float) -> IntArray:
    """Rows that are zero at a point, or nearly."""
    size = np.where(free, 1.0, rows.size)
    slack = forms.slack(rows, z) / size
    near = share * (float(forms.norm.length(z)) + np.abs(rows.value) / size) + 64 * rows.error / size
    return np.flatnonzero(~free & (slack <= near))


def _group(forms: Forms, rows: RegionRows, target: Target, tight: IntArray) -> IntArray:
    """Those of the tight rows that are multiples of the form."""
    if len(tight) == 0:
        return tight
    gradients = forms.take(rows, tight)[0]
    lengths = np.linalg.norm(gradients, axis=1) * np.linalg.norm(target.form.row)
    candidates: IntArray = tight[np.abs(gradients @ target.form.row) > _PARALLEL * lengths]
    if len(candidates) == 0:
        return candidates
    exact = target.exactly()
    pivot = next((j for j, v in enumerate(exact) if v), 0)

    def multiple(k: int) -> bool:
        row = forms.exact_row(rows, k)
        return all(a * row[pivot] == b * exact[pivot] for a, b in zip(exact, row, strict=True))

    return np.array([k for k in candidates.tolist() if multiple(k)], dtype=np.int64)


def way_in(forms: Forms, rows: RegionRows, form: Functional, tight: IntArray) -> FloatArray | None:
    """A step along the form's zero set on which each tight row grows by its size or more; None if there is none."""
    n = len(form.row)
    if len(tight) == 0:
        return np.zeros(n)
    gradients = np.vstack([form.row / form.size, forms.take(rows, tight)[0] / rows.size[tight, None]])
    aim = np.append(0.0, np.ones(len(tight)))
    step: FloatArray = np.linalg.lstsq(gradients, aim, rcond=1e-9)[0]
    if _grows(gradients, step):
        return step
    return _inwards_by_program(gradients)


def _grows(gradients: FloatArray, step: FloatArray) -> bool:
    gains = gradients @ step
    return bool((gains[1:] >= 0.5).all() and abs(gains[0]) <= 1e-6)


def _inwards_by_program(gradients: FloatArray) -> FloatArray | None:
    """The same by a linear program, for rows that depend on each other."""
    from scipy.optimize import linprog

    basis = np.linalg.qr(gradients.T)[0]  # steps across all gradients are of no use
    table = gradients @ basis
    k = table.shape[1]
    cost = np.ones(2 * k)
    both = np.hstack([table, -table])
    found = linprog(cost, -both[1:], -np.ones(len(table) - 1), both[:1], [0.0], method="highs")
    if found.status != 0 or found.x is None:
        return None
    step = basis @ (found.x[:k] - found.x[k:])
    return np.asarray(step) if _grows(gradients, step) and np.abs(step).max() < 1e9 else None


def _straddle(
    forms: Forms, rows: RegionRows, target: Target, z: FloatArray, inwards: FloatArray, tight: IntArray, free: BoolArray
) -> tuple[FloatArray, float] | None:
    """A point beyond the facet, and a bound on the facet's distance; None if no pair of points proves it."""
    form, norm = target.form, forms.norm
    up = forms.norm.steepest(form.row)  # along it the form grows by its size
    size = np.where(free, np.inf, rows.size)
    slack = forms.slack(rows, z) / size
    slack[free], slack[tight] = np.inf, np.inf
    room = 0.5 * float(slack.min(initial=np.inf)) / (float(norm.length(inwards)) + 1.0)
    reach = float(norm.length(z)) + float(np.abs(forms.x0).max())
    doubt = max(float((rows.error / size).max(initial=0.0)), form.error / form.size)
    least = 16 * max(doubt, 2.0**-52 * reach)
    for step in (least, 1e3 * least, 1e6 * least, room):
        if not np.isfinite(step) or step > room:
            continue
        inner = z + step * inwards
        points = forms.x0 + np.stack([inner + 0.25 * step * up, inner - 0.25 * step * up])
        if _proven(forms, rows, target, points, free):
            rounding = 1 + (len(z) + 8) * 2.0**-52
            upper = float(norm.length(points - forms.x0).max()) * rounding
            return points[1], upper
    return None


def _proven(forms: Forms, rows: RegionRows, target: Target, points: FloatArray, free: BoolArray) -> bool:
    """Whether all rows are certainly positive at both points, and the form at the first one only."""
    found = forms.values(rows.bits, points)
    value, error = forms.oriented(rows.bits, found, points)
    if target.weights is None:
        own, own_error = value[:, target.row], error[:, target.row]
    else:
        own = found.outputs @ target.weights
        own_error = (found.output_errors + _ROUNDING * np.abs(found.outputs)) @ np.abs(target.weights)
    if not (own[0] > own_error[0] and -own[1] > own_error[1]):
        return False
    certain = (value > error).all(axis=0) | free
    if certain.all():
        return True
    if (value < -error)[:, ~certain].any():
        return False
    return all((forms.exact_signs(rows.bits, point)[~certain] > 0).all() for point in points)


def _refused(forms: Forms, rows: RegionRows, target: Target, tight: IntArray) -> bool:
    """Whether tight rows prove that the form has no facet, in integers."""
    import flint
    from scipy.optimize import nnls

    form = target.form
    gradients = forms.take(rows, tight)[0] / rows.size[tight, None]
    own = form.row / form.size
    both = np.concatenate([gradients, own[None], -own[None]])
    table = np.vstack([both.T, np.append(np.ones(len(tight)), [0.0, 0.0])])
    aim = np.zeros(len(table))
    aim[-1] = 1.0
    shares, _ = nnls(table, aim, maxiter=100 * table.shape[1])
    used = tight[np.flatnonzero(shares[:-2] > 1e-9)]
    if len(used) == 0:
        return False
    exact = [forms.exact_row(rows, k) for k in used.tolist()] + [target.exactly()]
    n = len(exact[0]) - 1
    matrix = flint.fmpz_mat(n, len(exact), [row[j] for j in range(n) for row in exact])
    relations, nullity = matrix.nullspace()
    for column in range(nullity):
        relation = [relations[k, column] for k in range(len(exact))]
        if any(v < 0 for v in relation[:-1]):
            relation = [-v for v in relation]
        constant = sum((v * row[-1] for v, row in zip(relation, exact, strict=True)), flint.fmpz(0))
        if all(v >= 0 for v in relation[:-1]) and any(v > 0 for v in relation[:-1]) and constant <= 0:
            return True
    return False


def pattern_beyond(forms: Forms, rows: RegionRows, verdict: Verdict) -> BoolArray:
    """The pattern of the region beyond a facet of neurons."""
    bits = rows.bits.copy()
    n = forms.network.n_neurons
    changing = np.union1d(verdict.group, rows.null)
    changing = changing[changing < n]
    if len(changing) == 1:
        bits[changing] ^= True
        return bits
    for layer in range(len(forms.network.hidden)):
        own = changing[(changing >= forms.firsts[layer]) & (changing < forms.firsts[layer + 1])]
        if len(own) == 0:
            continue
        found = forms.values(bits, verdict.beyond[None])
        value, error = found.neurons[0, own], found.neuron_errors[0, own]
        bits[own] = value > 0
        doubtful = np.flatnonzero(np.abs(value) <= error)
        if len(doubtful):
            exact = forms.exact_at(verdict.beyond).forms(layer, forms.words(bits))
            for j in doubtful.tolist():
                bits[own[j]] = exact[own[j] - forms.firsts[layer], 0] > 0
    return bits
