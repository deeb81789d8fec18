"""Which piece of a segment a place lies in: by floats where their bounds allow, else in rational numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from geomrelu.linear.complex import LinearComplex

__all__ = ["locate"]


def locate(p: LinearComplex, t: FloatArray, segment: IntArray) -> IntArray:
    """Piece of each place, -1 outside [0, 1]; see `LinearComplex.locate`."""
    result = np.full(len(t), -1, dtype=np.int64)
    inside = (t >= 0) & (t <= 1)
    for s in np.unique(segment[inside]).tolist():
        own = np.flatnonzero(inside & (segment == s))
        result[own] = p.offsets[s] + _on_segment(p, s, t[own])
    return result


def _on_segment(p: LinearComplex, s: int, t: FloatArray) -> IntArray:
    first, n = int(p.offsets[s]) + s, int(p.offsets[s + 1] - p.offsets[s])
    inner = slice(first + 1, first + n)
    # True places lie between these; both are made to rise.
    low = np.maximum.accumulate(p.breakpoints[inner] - p.breakpoint_errors[inner])
    high = np.minimum.accumulate((p.breakpoints[inner] + p.breakpoint_errors[inner])[::-1])[::-1]
    # As many breakpoints are certainly below, and at most as many are not certainly above.
    below, reached = np.searchsorted(high, t, side="left"), np.searchsorted(low, t, side="right")
    for k in np.flatnonzero(below < reached).tolist():
        below[k] = _exact_piece(p, first, Fraction(float(t[k])), int(below[k]), int(reached[k]))
    return np.asarray(below, dtype=np.int64)


def _exact_piece(p: LinearComplex, first: int, t: Fraction, low: int, high: int) -> int:
    """Piece of t, counted from the segment's first; it has `low` to `high` breakpoints below it."""
    while low < high:
        middle = (low + high) // 2
        place = p.exact_breakpoint(first + 1 + middle)
        if place == t:
            return _beside(p, first + 1 + middle, middle)
        low, high = (middle + 1, high) if place < t else (low, middle)
    return low


def _beside(p: LinearComplex, vertex: int, left: int) -> int:
    """The piece on the left of a breakpoint, or the right one if that is active in fewer neurons."""
    piece = int(np.searchsorted(p.left, vertex)) - 1
    before, after = p.patterns.words[piece], p.patterns.words[piece + 1]
    fewer = np.array_equal(before & after, after)
    return left + 1 if fewer else left
