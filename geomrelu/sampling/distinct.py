"""Distinct affine maps within a tolerance, first come first kept, without a quadratic loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, real_array
from geomrelu.errors import InputError, ShapeError

__all__ = ["DistinctMaps", "checked_tolerance", "distinct_maps"]


class DistinctMaps(NamedTuple):
    """Rows that stand for distinct maps, and which of them each row belongs to.

    Attributes
    ----------
    representatives : (M,) int64
        Row number of each distinct map's first appearance, increasing.
    labels : (N,) int64
        For each row the index, into `representatives`, of the map it belongs to.
    """

    representatives: IntArray
    labels: IntArray


def distinct_maps(maps: npt.ArrayLike, tol: float = 1e-3) -> DistinctMaps:
    """Distinct rows within a tolerance, first come first kept.

    Rows are taken in order.  A row belongs to the earliest kept row from which no entry
    differs by more than `tol` (``abs(a - b) <= tol`` in float64); where there is none, the row
    is kept itself.  "Within a tolerance" is not transitive, so the result depends on the order of the
    rows; for a given order it is deterministic.  Kept rows are found through a hash grid, so the work is
    about proportional to the number of rows.

    Parameters
    ----------
    maps : (N, k) array_like
        One map a row, e.g. two gradient entries and an intercept.
    tol : float
        At least 0; 0 joins equal rows only.

    Raises
    ------
    WeightError
        If an entry is NaN or infinite.

    Examples
    --------
    >>> d = distinct_maps([[0.0, 0.0], [0.0, 1.0], [0.0004, 0.0], [0.0, 0.9995]])
    >>> d.representatives.tolist(), d.labels.tolist()
    ([0, 1], [0, 1, 0, 1])
    """
    rows = real_array(maps, "maps", advice="leave out the others")
    tolerance = checked_tolerance(tol)
    if rows.ndim != 2:
        raise ShapeError(f"maps: got shape {rows.shape}, expected (N, k), one map a row")
    if rows.shape[1] == 0 or len(rows) == 0:
        labels = np.zeros(len(rows), dtype=np.int64)
        return DistinctMaps(np.arange(min(len(rows), 1), dtype=np.int64), labels)
    # Here, since whoever imports compiled loops waits for numba.
    from geomrelu.sampling.first_come import first_come

    columns, sizes = _hash_columns(rows, tolerance)
    # Cells of the lowest and highest values a partner may have; a few ulps of room, so that rounding
    # in the cell numbers cannot hide a partner.
    keyed = rows[:, columns]
    room = tolerance * (1 + 1e-12) + 4 * np.finfo(np.float64).eps * np.abs(keyed)
    low, own, high = (np.floor(v / sizes) for v in (keyed - room, keyed, keyed + room))
    # The grid is hashed by float cell numbers; adding 0.0 turns -0.0 into 0.0.
    representatives, labels = first_come(rows, tolerance, low + 0.0, own + 0.0, high + 0.0)
    return DistinctMaps(representatives, labels)


def _hash_columns(rows: FloatArray, tol: float) -> tuple[IntArray, FloatArray]:
    """Up to three columns that tell rows apart best, (c,), and their cell sizes, (c,)."""
    scale = np.abs(rows).max(axis=0)
    # Cells wider than 2 (tol + room), so that a row's partners lie in at most two cells a column.
    sizes = np.maximum(4 * tol, scale * 2.0**-40)
    sizes[sizes == 0] = 1.0
    few = np.floor(rows[:: -(-len(rows) // 4096)] / sizes)
    ids = np.stack([np.unique(column, return_inverse=True)[1] for column in few.T], axis=1)
    chosen: list[int] = []
    joint = np.zeros(len(few), dtype=np.int64)
    for _ in range(min(3, rows.shape[1])):
        options = [np.unique(joint * len(few) + ids[:, c], return_inverse=True) for c in range(rows.shape[1])]
        counts = [len(keys) for keys, _ in options]
        best = int(np.argmax(counts))
        if chosen and counts[best] == joint.max() + 1:
            break
        chosen.append(best)
        joint = options[best][1]
    columns = np.array(chosen, dtype=np.int64)
    return columns, sizes[columns]


def checked_tolerance(tol: Any) -> float:
    """`tol` as a float; an `InputError` if it is not a finite number of at least 0."""
    try:
        value = float(tol)
    except (TypeError, ValueError) as error:
        raise InputError(f"tol: got {tol!r}, expected a number, at least 0") from error
    if not 0 <= value < np.inf:
        raise InputError(f"tol: got {tol!r}, expected a finite number, at least 0")
    return value
