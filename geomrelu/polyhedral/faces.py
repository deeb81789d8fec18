"""Lists the cells of each dimension of a simple complex, or of a convex block of one, for recursions over them.

A cell is told by a hash of its sign vector: a random code for each sign that is not zero, all together by exclusive or
(A. L. Zobrist, 1970).  So a cell's key differs from that of a larger cell by the code of the one sign that this has
more.  Two cells of one dimension with the same key would show (`cell_table`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import IntArray, WordArray, lean
from geomrelu.errors import InvariantError
from geomrelu.planar.bits import lowest_bit
from geomrelu.planar.pool import thread_pool
from geomrelu.polyhedral.rows import vanishing
from geomrelu.polyhedral.simple import SimpleComplex, count_cells

__all__ = ["CellList", "SimpleBlock", "cell_table", "cells_of", "sign_codes", "simple_block"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_HALF = np.uint64(32)
_SEED = 7


class SimpleBlock(NamedTuple):
    """A convex part of a simple complex."""

    null: WordArray  # (V, words) signs that are zero without the perturbation, or (0, words) if there are none
    zeros: IntArray  # (V, d) bits of the forms that vanish, ascending: the vertex's slots
    keys: WordArray  # (V,) hashes of the sign vectors
    rising: npt.NDArray[np.uint16]  # (V, 2) slots with edges that rise, on the positive and the negative side
    falling: npt.NDArray[np.uint16]  # (V, 2) the same of edges that fall
    counts: IntArray  # (d + 1,) number of cells of each dimension


class CellList(NamedTuple):
    """All cells of one dimension; those of dimension d are in the order of the regions."""

    lowest: npt.NDArray[np.int32]  # (C,) lowest vertex
    released: npt.NDArray[np.uint16]  # (C,) its slots that are not zero on the cell
    signs: npt.NDArray[np.uint16]  # (C,) those of them that are positive
    keys: WordArray  # (C,) hash of the sign vector


@lean
def vertex_keys(positive: WordArray, negative: WordArray, codes: WordArray, keys: WordArray) -> None:
    """Hashes of sign vectors."""
    for v in range(len(keys)):
        key = _ZERO
        for w in range(positive.shape[1]):
            rest = positive[v, w]
            while rest != _ZERO:
                key ^= codes[64 * w + lowest_bit(rest), 0]
                rest &= rest - _ONE
            rest = negative[v, w]
            while rest != _ZERO:
                key ^= codes[64 * w + lowest_bit(rest), 1]
                rest &= rest - _ONE
        keys[v] = key


@lean
def restrict(
    zeros: IntArray, sides: WordArray, rising: npt.NDArray[np.uint16], falling: npt.NDArray[np.uint16]
) -> None:
    """Leave those rising edges (V, 2) that lie in a block, and find those that fall."""
    for v in range(len(rising)):
        for side in range(2):
            inside = np.uint16(0)
            for slot in range(zeros.shape[1]):
                bit = zeros[v, slot]
                inside |= np.uint16(sides[side, bit // 64] >> np.uint64(bit % 64) & _ONE) << np.uint16(slot)
            rising[v, side] &= inside
            falling[v, side] = inside & ~rising[v, side]


@lean
def list_cells(block: SimpleBlock, codes: WordArray, masks: IntArray, room: WordArray, cells: CellList) -> int:
    """Fill in all cells that release the slots of one of some masks, ascending; `room` is scratch, (2, 2^d)."""
    found, d = 0, block.zeros.shape[1]
    for v in range(len(block.zeros)):
        up, down, some = np.int64(block.rising[v, 0]), np.int64(block.rising[v, 1]), np.int64(0)
        # For each set of slots: their negative codes, and what changes them into positive ones.
        room[0, 0], room[1, 0] = _ZERO, _ZERO
        for slot in range(d):
            bit, own = block.zeros[v, slot], 1 << slot
            minus, change = codes[bit, 1], codes[bit, 0] ^ codes[bit, 1]
            for k in range(own):
                room[0, own + k], room[1, own + k] = room[0, k] ^ minus, room[1, k] ^ change
        for m in range(len(masks)):
            chosen = masks[m]
            if chosen & ~(up | down):
                continue
            # Slots with edges on both sides take both signs.
            forced, free, base = chosen & ~down, chosen & up & down, block.keys[v] ^ room[0, chosen]
            while True:
                positive = forced | some
                cells.lowest[found], cells.keys[found] = v, base ^ room[1, positive]
                cells.released[found], cells.signs[found] = chosen, positive
                found += 1
                if some == free:
                    some = np.int64(0)
                    break
                some = (some - free) & free
    return found


@lean
def fill_table(cells: CellList, table: WordArray) -> bool:
    """Put cells into a table (size, 2) of zeros: key; lowest vertex in the upper half, number + 1 in the lower one.

    False if two have the same key.
    """
    mask = np.uint64(len(table) - 1)
    for c in range(len(cells.keys)):
        key = cells.keys[c]
        at = key & mask
        while table[at, 1] != _ZERO:
            if table[at, 0] == key:
                return False
            at = (at + _ONE) & mask
        table[at, 0], table[at, 1] = key, np.uint64(cells.lowest[c]) << _HALF | (np.uint64(c) + _ONE)
    return True


def sign_codes(simple: SimpleComplex) -> WordArray:
    """A code for each positive and negative sign, (bits, 2)."""
    shape = (64 * len(simple.valid), 2)
    return np.random.default_rng(_SEED).integers(0, 1 << 64, shape, dtype=np.uint64)


def simple_block(
    simple: SimpleComplex, null: WordArray, vertices: IntArray, positive: WordArray, negative: WordArray,
    sides: WordArray, codes: WordArray,
) -> SimpleBlock:  # fmt: skip
    """The part of a complex that some vertices (V,) span, of which forms have the given sides (2, words).

    Parameters
    ----------
    null : (., words) uint64
        Of the whole complex, as ``simple.positive``.
    positive, negative : (V, words) uint64
        Signs of the vertices.
    """
    zeros = vanishing(positive, negative, np.arange(len(vertices)), simple.valid, simple.dimension)
    rising, keys = simple.rising[vertices], np.empty(len(vertices), dtype=np.uint64)
    falling = np.empty_like(rising)
    restrict(zeros, sides, rising, falling)
    vertex_keys(positive, negative, codes, keys)
    own, counts = null[vertices], count_cells(rising, simple.dimension)[0]
    return SimpleBlock(own if own.any() else own[:0], zeros, keys, rising, falling, counts)


def cells_of(block: SimpleBlock, codes: WordArray, dimension: int) -> CellList:
    """All cells of a dimension."""
    d, empty = block.zeros.shape[1], thread_pool().empty
    count = int(block.counts[dimension])
    cells = CellList(empty(count, np.int32), empty(count, np.uint16), empty(count, np.uint16), empty(count, np.uint64))
    masks = np.array([m for m in range(1 << d) if m.bit_count() == dimension], dtype=np.int64)
    list_cells(block, codes, masks, np.empty((2, 1 << d), dtype=np.uint64), cells)
    return cells


def cell_table(cells: CellList) -> WordArray:
    """A hash table of cells; see `fill_table`.

    Raises
    ------
    InvariantError
        If two cells have the same key.
    """
    table = thread_pool().empty((1 << int(3 * len(cells.keys) // 2).bit_length(), 2), np.uint64)
    table[:] = 0
    if not fill_table(cells, table):
        raise InvariantError("cells", "one dimension", "two cells with one hash of signs", "different ones")
    return table
