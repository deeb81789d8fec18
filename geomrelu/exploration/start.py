"""The region in which x0 lies, with every sign decided: by a bound, or in integers.

Where x0 lies on zero sets, its own pattern (zero counts as inactive) may be that of a region beside it, or of none.  In
the second case the region is one that x0 touches: that of x0 + t v for small t > 0, v a fixed direction in general
position, under which every neuron is a form of t, in integers.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import BoolArray
from geomrelu.errors import InputError
from geomrelu.exact import ExactForms, certain_bits, integers
from geomrelu.exploration.facets import way_in
from geomrelu.exploration.forms import Forms, Functional, RegionRows

__all__ = ["start_bits", "top_two"]

# Directions that are tried.
_TRIES = 8


def start_bits(forms: Forms) -> tuple[BoolArray, int]:
    """The pattern of a region that holds x0, and the number of rows that are zero at x0 but not around it."""
    network = forms.network
    bits, certain = certain_bits(network, forms.x0[None])
    bits, certain = bits[0], certain[0]
    if not certain.all():
        at = forms.exact_at(forms.x0)
        bits = _signs(forms, at)
    rows, _ = forms.region(bits)
    tight = _touching(forms, rows)
    if len(tight) == 0 or _has_inside(forms, rows, tight):
        return bits, len(tight)
    for seed in range(_TRIES):
        direction = np.random.default_rng(seed).integers(-(2**20), 2**20, network.n_inputs).astype(np.float64)
        if forms.domain is not None:
            low, high = forms.domain.low, forms.domain.high
            direction = direction * 2.0**-40 * float((high - low).min()) + (low + high) / 2 - forms.x0
        (start, step), power = integers(np.stack([forms.x0, direction]))
        bits = _signs(forms, forms.exact.behind(np.stack([step, start], axis=1), power))
        rows, _ = forms.region(bits)
        tight = _touching(forms, rows)
        if _has_inside(forms, rows, tight):
            return bits, len(tight)
    raise InputError(
        "explore: x0 lies on zero sets of the network that meet in a way that leaves no region to start from; move x0 "
        "a little, such as by x0 + 1e-9 * numpy.random.randn(n)"
    )


def _signs(forms: Forms, at: ExactForms) -> BoolArray:
    """The pattern where the first number, of (slope, value) the value, decides, and the slope where that is zero."""
    bits = np.zeros(forms.network.n_neurons, dtype=bool)
    for layer, own in enumerate(forms.network.hidden):
        table = at.forms(layer, forms.words(bits))[: own.n_neurons]
        first = int(forms.firsts[layer])
        for j, row in enumerate(table):
            leading = row[-1] if row[-1] != 0 else row[0]
            bits[first + j] = leading > 0
    return bits


def _touching(forms: Forms, rows: RegionRows) -> list[int]:
    """Rows that are zero at x0, exactly, though not everywhere."""
    doubtful = np.flatnonzero(rows.cuts & (np.abs(rows.value) <= rows.error))
    if len(doubtful) == 0:
        return []
    signs = forms.exact_signs(rows.bits, forms.x0)
    return [k for k in doubtful.tolist() if signs[k] == 0]


def _has_inside(forms: Forms, rows: RegionRows, tight: list[int]) -> bool:
    """Whether x0 can be moved so that all rows become positive; approximately."""
    n = forms.network.n_inputs
    if not tight:
        return True
    still = Functional(np.zeros(n), 0.0, 0.0, 1.0, 0.0)
    return way_in(forms, rows, still, np.array(tight, dtype=np.int64)) is not None


def _exact_outputs(forms: Forms, bits: BoolArray) -> list[int]:
    """Outputs at x0 times a positive number, exactly."""
    at = forms.exact_at(forms.x0)
    return [int(v) for v in at.output_map(forms.words(bits))[:, 0]]


def top_two(forms: Forms, outputs: list[Functional], bits: BoolArray) -> tuple[int, bool]:
    """The largest output at x0, the first of several, and whether another, or 0 if it is alone, equals it; exact."""
    value = np.array([part.value for part in outputs])
    error = np.array([part.error for part in outputs])
    if len(value) == 1:
        value, error = np.append(value, 0.0), np.append(error, 0.0)
        if abs(value[0]) > error[0]:
            return (0 if value[0] > 0 else 1), False
        exact = [*_exact_outputs(forms, bits), 0]
    else:
        best = int(np.argmax(value))
        others = np.delete(np.arange(len(value)), best)
        if (value[best] - value[others] > error[best] + error[others] + 2.0**-50 * np.abs(value[others])).all():
            return best, False
        exact = _exact_outputs(forms, bits)
    best = max(range(len(exact)), key=lambda k: (exact[k], -k))
    return best, exact.count(exact[best]) > 1
