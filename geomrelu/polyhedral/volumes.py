"""Volumes of regions, by recursion over the cells of all dimensions, each of which is met once.

For a cell C of dimension k with zero set Z let nu(C) = vol(C) / W(Z), W(Z) the volume spanned by the gradients of its
forms.  With b the lowest vertex of C, Lasserre's formula (J. B. Lasserre, J. Optim. Theory Appl. 39, 1983) says

    nu(C) = 1/k  sum over facets F of C of |z_j(b)| nu(F),

j the form that is zero on F and not on C, z_j its value at b: the norms of gradients cancel.  It starts with
nu = 1 / |det G| at a vertex, G the gradients of its d forms (`rows`), and ends with nu = vol at a region.  Facets
through b count for nothing.  W does not depend on the side of a zero set on which gradients are taken: beyond it they
change by multiples of the gradients of forms that come before.

Float64; all terms are positive, so nothing cancels: a relative error of a region's volume is that of the determinants
at its vertices and of the values z_j(b), whose absolute error is that of one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner, lean
from geomrelu.errors import InvariantError
from geomrelu.planar.bits import lowest_bit, popcount
from geomrelu.polyhedral.hashing import word_hash
from geomrelu.polyhedral.simple import SimpleComplex

__all__ = ["region_volumes"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_SEED = np.uint64(7)
# Bytes of values that are held at once.
_ROOM = 1 << 29


@lean
def list_cells(
    rising: npt.NDArray[np.uint16], d: int, dimension: int, lowest: npt.NDArray[np.int32],
    released: npt.NDArray[np.uint16], signs: npt.NDArray[np.uint16],
) -> int:  # fmt: skip
    """All cells of a dimension: lowest vertex, which of its zeros are not zero on the cell, and which of these
    positive.

    Those of dimension d come in the order of the regions.
    """
    found = 0
    for v in range(len(rising)):
        up, down = int(rising[v, 0]), int(rising[v, 1])
        for chosen in range(1 << d):
            if popcount(np.uint64(chosen)) != dimension or chosen & ~(up | down):
                continue
            for positive in range(chosen + 1):
                if positive & ~(chosen & up) or chosen & ~positive & ~down:
                    continue
                lowest[found], released[found], signs[found] = v, chosen, positive
                found += 1
    return found


@inner
def _cell_row(
    positive: WordArray, negative: WordArray, valid: WordArray, v: int, released: int, signs: int, row: WordArray
) -> None:
    """Sign vector of a cell, (2, words)."""
    slot = 0
    for w in range(len(valid)):
        row[0, w], row[1, w] = positive[v, w], negative[v, w]
        rest = ~(positive[v, w] | negative[v, w]) & valid[w]
        while rest != _ZERO:
            if (released >> slot) & 1:
                row[1 - ((signs >> slot) & 1), w] |= rest & ~(rest - _ONE)
            slot += 1
            rest &= rest - _ONE


@inner
def _cell_key(row: WordArray) -> np.uint64:
    found = _ZERO
    for w in range(row.shape[1]):
        found ^= word_hash(row[0, w], row[1, w], w, _SEED)
    return found


@lean
def fill_cells(
    positive: WordArray, negative: WordArray, valid: WordArray, lowest: npt.NDArray[np.int32],
    released: npt.NDArray[np.uint16], signs: npt.NDArray[np.uint16], row: WordArray, table: WordArray,
) -> bool:  # fmt: skip
    """Put cells into a table (size, 2) of zeros by the hash of their sign vector; False if two have the same."""
    mask = np.uint64(len(table) - 1)
    for c in range(len(lowest)):
        _cell_row(positive, negative, valid, lowest[c], int(released[c]), int(signs[c]), row)
        key = _cell_key(row)
        at = key & mask
        while table[at, 1] != _ZERO:
            if table[at, 0] == key:
                return False
            at = (at + _ONE) & mask
        table[at, 0], table[at, 1] = key, np.uint64(c) + _ONE
    return True


@lean
def gather(
    positive: WordArray, negative: WordArray, null: WordArray, valid: WordArray, n_domain: int,
    rising: npt.NDArray[np.uint16], lowest: npt.NDArray[np.int32], released: npt.NDArray[np.uint16],
    signs: npt.NDArray[np.uint16], nu: FloatArray, columns: IntArray, values: FloatArray, row: WordArray,
    table: WordArray, above_lowest: npt.NDArray[np.int32], above: FloatArray,
) -> bool:  # fmt: skip
    """Add the shares of cells in those of the next dimension, for some of the forms.

    ``values[:, columns[w] + k]`` is the value of the form of word w and bit k at the vertices; ``columns[w]`` is -1
    for the words of other forms.  False if a cell of the next dimension is missing.
    """
    mask = np.uint64(len(table) - 1)
    for c in range(len(lowest)):
        v, chosen, plus = lowest[c], int(released[c]), int(signs[c])
        if nu[c] == 0.0:
            continue
        _cell_row(positive, negative, valid, v, chosen, plus, row)
        base = _cell_key(row)
        slot = 0
        for w in range(len(valid)):
            rest = ~(positive[v, w] | negative[v, w]) & valid[w]
            while rest != _ZERO:
                own = rest & ~(rest - _ONE)
                rest &= rest - _ONE
                if columns[w] >= 0 and not (chosen >> slot) & 1:
                    others = base ^ word_hash(row[0, w], row[1, w], w, _SEED)
                    for side in range(2 if w >= n_domain else 1):
                        # Where the edge rises, v is the lowest vertex of the larger cell, too.
                        if int(rising[v, side] >> np.uint16(slot)) & 1:
                            continue
                        more, less = (own, _ZERO) if side == 0 else (_ZERO, own)
                        key = others ^ word_hash(row[0, w] | more, row[1, w] | less, w, _SEED)
                        at = key & mask
                        while table[at, 1] != _ZERO and table[at, 0] != key:
                            at = (at + _ONE) & mask
                        if table[at, 1] == _ZERO:
                            return False
                        larger = np.int64(table[at, 1] - _ONE)
                        b = above_lowest[larger]
                        if null[b, w] & own == _ZERO:
                            above[larger] += abs(values[b, columns[w] + lowest_bit(own)]) * nu[c]
                slot += 1
    return True


def region_volumes(
    simple: SimpleComplex, null: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Callable[[], Iterator[FloatArray]],
) -> FloatArray:  # fmt: skip
    """Volumes of the regions, (R,).

    Parameters
    ----------
    simple : SimpleComplex
    null : (V, words) uint64
        Signs that are zero without the perturbation: their values count as zero.
    determinants : (V,)
        |det G| at the vertices.
    starts : tuple of int
        First word of each group of forms, and the end.
    values : callable
        Yields the values of each group's forms at the vertices, (V, forms).
    """
    d, n_words = simple.dimension, len(simple.valid)
    signs = simple.positive, simple.negative
    cells = _cells(simple, 0)
    with np.errstate(divide="ignore"):
        nu = 1.0 / determinants
    row = np.empty((2, n_words), dtype=np.uint64)
    batches = list(_batches(starts, values())) if _size(simple) <= _ROOM else None
    for k in range(1, d + 1):
        above = _cells(simple, k)
        table = np.zeros((1 << int(3 * len(above[0]) // 2).bit_length(), 2), dtype=np.uint64)
        if not fill_cells(*signs, simple.valid, *above, row, table):
            raise InvariantError("cells", f"dimension {k}", "two cells with one hash of signs", "different ones")
        total = np.zeros(len(above[0]))
        for columns, own in batches or _batches(starts, values()):
            found = gather(
                *signs, null, simple.valid, simple.n_domain, simple.rising, *cells, nu, columns, own, row, table,
                above[0], total,
            )  # fmt: skip
            if not found:
                raise InvariantError("cells", f"dimension {k}", "a cell that is missing", "a cell on each side")
        nu, cells = total / k, above
    return nu


def _size(simple: SimpleComplex) -> int:
    """Bytes of the values of all forms at all vertices."""
    return 8 * len(simple.positive) * int(np.bitwise_count(simple.valid).sum())


def _batches(starts: tuple[int, ...], values: Iterator[FloatArray]) -> Iterator[tuple[IntArray, FloatArray]]:
    """Groups of forms, put together as long as they fit: first columns of words (see `gather`), and values."""
    columns, width = np.full(starts[-1], -1, dtype=np.int64), 0
    parts: list[FloatArray] = []
    for group, own in enumerate(values):
        words = np.arange(starts[group], starts[group + 1])
        if parts and 8 * (width + own.shape[1]) * len(own) > _ROOM:
            yield columns, np.concatenate(parts, axis=1)
            columns, parts, width = np.full(starts[-1], -1, dtype=np.int64), [], 0
        columns[words] = width + 64 * np.arange(len(words))
        parts.append(own)
        width += own.shape[1]
    if parts:
        yield columns, np.concatenate(parts, axis=1)


def _cells(simple: SimpleComplex, dimension: int) -> tuple[Any, Any, Any]:
    count = int(simple.cell_counts[dimension])
    lowest = np.empty(count, dtype=np.int32)
    released, signs = np.empty(count, dtype=np.uint16), np.empty(count, dtype=np.uint16)
    list_cells(simple.rising, simple.dimension, dimension, lowest, released, signs)
    return lowest, released, signs
