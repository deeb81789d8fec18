"""Invariants of a partition of segments: in floats to within their bounds, and a proof in integers.

The proof, piece by piece: with the exact forms slope t + constant of all neurons under the piece's
pattern, and its exact ends, a neuron of bit 1 is nowhere below 0 between them and above 0 at one, a
neuron of bit 0 nowhere above 0.  So the pattern is that of every point inside; ends that rise
strictly from 0 to 1 cover the segment; and neighbours whose patterns differ are two regions, not one.
Neurons of a max pooling that do not matter in a piece are left out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import BoolArray
from geomrelu.errors import InvariantError
from geomrelu.exact import certain_bits

if TYPE_CHECKING:
    from geomrelu.linear.complex import LinearComplex

__all__ = ["audit_linear", "check_linear"]

# Pieces whose middles are evaluated at a time.
_STEP = 512
_EPS = 2.0**-52


def check_linear(p: LinearComplex) -> None:
    """Check what can be checked in floats; raise `InvariantError` at the first invariant that is broken."""
    _check_order(p)
    _check_changes(p)
    _check_middles(p)
    _check_values(p)


def _first(bad: BoolArray, invariant: str, what: str, got: str, expected: str) -> None:
    if bad.any():
        raise InvariantError(invariant, f"{what} {int(np.argmax(bad))}", got, expected)


def _check_order(p: LinearComplex) -> None:
    t, errors = p.breakpoints, p.breakpoint_errors
    if t.shape != (p.n_regions + p.n_segments,) or errors.shape != t.shape or p.offsets[-1] != p.n_regions:
        raise InvariantError("shape", "breakpoints", t.shape, (p.n_regions + p.n_segments,))
    _first(np.diff(p.offsets) < 1, "pieces", "segment", "no piece", "at least one")
    firsts, lasts = p.offsets[:-1] + np.arange(p.n_segments), p.offsets[1:] + np.arange(p.n_segments)
    _first((t[firsts] != 0) | (t[lasts] != 1), "ends", "segment", "other ends", "0 and 1")
    _first(~(p.lengths >= 0), "order", "piece", "an end before its beginning", "breakpoints that rise")
    _first(~((errors >= 0) & (errors < 1)), "error bounds", "breakpoint", "a bound out of range", "0 to 1")


def _check_changes(p: LinearComplex) -> None:
    """Neighbours differ, in the bit of the breakpoint's neuron unless that is one of a max pooling."""
    inner = np.flatnonzero(np.diff(p.segment) == 0)
    same = np.zeros(p.n_regions, dtype=bool)
    same[inner] = (p.patterns.words[inner] == p.patterns.words[inner + 1]).all(axis=1)
    _first(same, "patterns", "piece", "the pattern of the next piece", "another one")
    if p.network.has_pools or not len(inner):
        return
    neuron = p.breakpoint_neuron[p.left[inner] + 1]
    _first(neuron < 0, "breakpoint neuron", "inner breakpoint", "none", "a neuron")
    ends = np.cumsum([0, *p.network.widths])
    layer = np.searchsorted(ends, neuron, side="right") - 1
    within = neuron - ends[layer]
    word = np.asarray(p.patterns.starts)[layer] + within // 64
    change = p.patterns.words[inner, word] ^ p.patterns.words[inner + 1, word]
    kept = (change >> (within % 64).astype(np.uint64)) & np.uint64(1) == 0
    _first(kept, "breakpoint neuron", "inner breakpoint", "the same bit on both sides", "a change")


def _check_middles(p: LinearComplex) -> None:
    a, b = p.ends
    words = p.network.packed
    for first in range(0, p.n_regions, _STEP):
        pieces = np.arange(first, min(first + _STEP, p.n_regions))
        left = p.left[pieces]
        # Only where the middle is certainly in the piece.
        wide = p.lengths[pieces] > 4 * (p.breakpoint_errors[left] + p.breakpoint_errors[left + 1] + _EPS)
        pieces, left = pieces[wide], left[wide]
        t = ((p.breakpoints[left] + p.breakpoints[left + 1]) / 2)[:, None]
        s = p.segment[pieces]
        x = (1 - t) * a[s] + t * b[s]
        bits, certain = certain_bits(p.network, x)
        own = p.patterns[pieces].unpack() if len(pieces) else bits
        # The rounding of x is that of a step of 1e-15 along the segment and off it: bits it could turn are doubtful.
        moved, sure = certain_bits(p.network, x * (1 + 4 * _EPS))
        wrong = ((bits != own) & (moved != own) & certain & sure).any(axis=1)
        if wrong.any():
            piece = int(pieces[np.argmax(wrong)])
            raise InvariantError("pattern", f"piece {piece}", "another pattern in its middle", repr(words(bits[wrong])))


def _check_values(p: LinearComplex) -> None:
    slopes, constants = p.affine_maps.A[:, :, 0], p.affine_maps.b
    for side in range(2):
        vertex = p.left + side
        values, t = p.values[vertex], p.breakpoints[vertex][:, None]
        # What overflows is not compared.
        with np.errstate(over="ignore", invalid="ignore"):
            off = np.abs(slopes * t + constants - values)
            reach = p.value_errors[vertex][:, None] + np.abs(slopes) * p.breakpoint_errors[vertex][:, None]
            size = np.abs(slopes) + np.abs(constants) + np.abs(values).max(axis=1, keepdims=True)
            bad = (off > 2 * reach + 2.0**16 * _EPS * size).any(axis=1)
        _first(bad, "continuity", "piece", "a map off the value at its end", "the value there")


# ---------------------------------------------------------------------- the proof


def audit_linear(p: LinearComplex) -> None:
    """Prove the partition in integers; raise `InvariantError` at the first invariant that is broken."""
    places = [p.exact_breakpoint(k) for k in range(len(p.breakpoints))]
    for k, (place, t, error) in enumerate(
        zip(places, p.breakpoints.tolist(), p.breakpoint_errors.tolist(), strict=True)
    ):
        if abs(place - Fraction(t)) > Fraction(error):
            raise InvariantError("breakpoint error", f"breakpoint {k}", f"{float(place - Fraction(t))}", f"{error}")
    for piece, left in enumerate(p.left.tolist()):
        low, high = places[left], places[left + 1]
        if not low < high:
            raise InvariantError("order", f"piece {piece}", f"from {low} to {high}", "a positive length")
        _audit_piece(p, piece, low, high)


def _audit_piece(p: LinearComplex, piece: int, low: Fraction, high: Fraction) -> None:
    words = p.patterns.words[piece]
    forms = p.judge.forms(int(p.segment[piece]))
    bits = [p.patterns[piece].unpack(k) for k in range(len(p.network.hidden))]
    matters = p.network.clear_irrelevant([b.copy() for b in bits])
    for index, layer in enumerate(p.network.hidden):
        rows = forms.forms(index, words)
        for neuron in np.flatnonzero(matters[index][0]).tolist():
            slope, constant = (int(v) for v in rows[neuron])
            at = sorted((slope * low + constant, slope * high + constant))
            good = at[0] >= 0 and at[1] > 0 if bits[index][0, neuron] else at[1] <= 0
            if not good:
                got = f"{float(at[0]):.3g} to {float(at[1]):.3g} for bit {int(bits[index][0, neuron])}"
                raise InvariantError("pattern", f"piece {piece}, layer {index}, neuron {neuron}", got, "the bit's sign")
        assert layer.n_neurons == len(bits[index][0])
