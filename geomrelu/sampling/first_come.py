"""Compiled loops that take rows in order, and keep the first of each kind; see `distinct`."""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, njit

__all__ = ["first_come"]


@njit
def _cell_hash(cell: FloatArray) -> int:
    """Hash of a cell: a polynomial in its numbers modulo the prime 2**31 - 1.

    Cell numbers stay below 2**42 in size, so nothing overflows, compiled or not.
    """
    h = 1
    for value in cell:
        h = (h * 1048573 + int(value)) % 2147483647
    return h


@njit
def first_come(
    rows: FloatArray, tol: float, low: FloatArray, own: FloatArray, high: FloatArray
) -> tuple[IntArray, IntArray]:
    """Greedy representatives and labels; `low`, `own`, `high` are cell numbers, (N, c).

    Kept rows hang in chained lists, one per slot of a hash table over cells.
    """
    n, k = rows.shape
    c = own.shape[1]
    slots = 1024
    while slots < 2 * n:
        slots *= 2
    head = np.full(slots, -1, dtype=np.int64)
    next_kept = np.empty(n, dtype=np.int64)
    kept = np.empty(n, dtype=np.int64)
    labels = np.empty(n, dtype=np.int64)
    n_kept = 0
    cell = np.empty(c)
    for i in range(n):
        best = n_kept
        for corner in range(1 << c):
            repeated = False
            for j in range(c):
                if corner >> j & 1:
                    cell[j] = high[i, j]
                    repeated = repeated or high[i, j] == low[i, j]
                else:
                    cell[j] = low[i, j]
            if repeated:
                continue
            candidate = head[_cell_hash(cell) & (slots - 1)]
            while candidate >= 0:
                if candidate < best:
                    r = kept[candidate]
                    close = True
                    for j in range(k):
                        if not abs(rows[i, j] - rows[r, j]) <= tol:
                            close = False
                            break
                    if close:
                        best = candidate
                candidate = next_kept[candidate]
        labels[i] = best
        if best == n_kept:
            slot = _cell_hash(own[i]) & (slots - 1)
            kept[n_kept] = i
            next_kept[n_kept] = head[slot]
            head[slot] = n_kept
            n_kept += 1
    return kept[:n_kept].copy(), labels
