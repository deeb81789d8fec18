"""Joins segments that share their ends into polylines."""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import BoolArray, IntArray, lean

__all__ = ["joined"]


def joined(ends: IntArray, kind: IntArray, n_points: int) -> tuple[IntArray, IntArray]:
    """Polylines as long as possible, through points with two segments of one kind.

    Parameters
    ----------
    ends : (S, 2) int64
        Points of each segment.
    kind : (S,) int64
        Segments of different kinds are not joined.
    n_points : int

    Returns
    -------
    offsets, points : (P + 1,), (.,) int64
        Polyline k runs through ``points[offsets[k] : offsets[k + 1]]``; a closed one ends where it
        begins.  Open ones come first.  Each runs as its first segment does.

    Examples
    --------
    >>> offsets, points = joined(np.array([[0, 1], [2, 1], [3, 4], [4, 5], [5, 3]]), np.zeros(5, dtype=np.int64), 6)
    >>> offsets.tolist(), points.tolist()
    ([0, 3, 7], [0, 1, 2, 3, 4, 5, 3])
    """
    n = len(ends)
    flat = ends.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=n_points))]).astype(np.int64)
    at = order // 2
    through = np.zeros(n_points, dtype=bool)
    double = np.flatnonzero(np.diff(starts) == 2)
    through[double] = kind[at[starts[double]]] == kind[at[starts[double] + 1]]
    offsets, points = np.zeros(n + 1, dtype=np.int64), np.empty(2 * n, dtype=np.int64)
    used = _walk(ends, starts, at, through, np.zeros(n, dtype=np.bool_), offsets, points)
    return offsets[: used + 1].copy(), points[: offsets[used]].copy()


@lean
def _walk(
    ends: IntArray,
    starts: IntArray,
    at: IntArray,
    through: BoolArray,
    seen: BoolArray,
    offsets: IntArray,
    points: IntArray,
) -> int:
    """Open polylines first, then closed ones; returns their number."""
    n, used = 0, 0
    for closed in range(2):
        for first in range(len(ends)):
            for turn in range(2):
                # An open polyline begins where no other segment joins; either end may be that.
                if seen[first] or (closed == 0 and through[ends[first, turn]]):
                    continue
                here, segment = ends[first, turn], first
                points[used] = here
                used += 1
                while segment >= 0:
                    seen[segment] = True
                    here = ends[segment, 0] + ends[segment, 1] - here
                    points[used] = here
                    used += 1
                    segment = -1
                    if through[here]:
                        for k in range(starts[here], starts[here + 1]):
                            if not seen[at[k]]:
                                segment = at[k]
                n += 1
                offsets[n] = used
    return n
