"""Volumes of regions, by recursion over the cells of all dimensions, each of which is met once.

For a cell C of dimension k with zero set Z let nu(C) = vol(C) / W(Z), W(Z) the volume spanned by the gradients of its
forms.  With b the lowest vertex of C, Lasserre's formula (J. B. Lasserre, J. Optim. Theory Appl. 39, 1983) says

    nu(C) = 1/k  sum over facets F of C of |z_j(b)| nu(F),

j the form that is zero on F and not on C, z_j its value at b: the norms of gradients cancel.  It starts with
nu = 1 / |det G| at a vertex, G the gradients of its d forms (`rows`), and ends with nu = vol at a region.  Facets
through b count for nothing.  W does not depend on the side of a zero set on which gradients are taken: beyond it they
change by multiples of the gradients of forms that come before.

It goes block by block (`blocks`).

Float64; all terms are positive, so nothing cancels: a relative error of a region's volume is that of the determinants
at its vertices and of the values z_j(b), whose absolute error is that of one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, lean
from geomrelu.errors import InvariantError
from geomrelu.planar.bits import lowest_bit, popcount
from geomrelu.planar.pool import thread_pool
from geomrelu.polyhedral.blocks import block_sides, dividing_form
from geomrelu.polyhedral.rows import vanishing
from geomrelu.polyhedral.simple import SimpleComplex, count_cells

__all__ = ["region_volumes"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_SEED = 7
# Cells of a block, about: their tables stay in the processor's caches.
_BLOCK_CELLS = 1 << 19


class SimpleBlock(NamedTuple):
    """A convex part of a simple complex."""

    positive: WordArray  # (V, words)
    negative: WordArray  # (V, words)
    null: WordArray  # (V, words)
    zeros: IntArray  # (V, d) bits of the forms that vanish, ascending: the vertex's slots
    keys: WordArray  # (V,) hashes of the sign vectors
    rising: npt.NDArray[np.uint16]  # (V, 2) slots with edges that rise, on the positive and the negative side
    falling: npt.NDArray[np.uint16]  # (V, 2) the same of edges that fall


class Cells(NamedTuple):
    """All cells of one dimension."""

    lowest: npt.NDArray[np.int32]  # (C,) lowest vertex
    released: npt.NDArray[np.uint16]  # (C,) its slots that are not zero on the cell
    signs: npt.NDArray[np.uint16]  # (C,) those of them that are positive
    keys: WordArray  # (C,) hash of the sign vector


@lean
def vertex_keys(positive: WordArray, negative: WordArray, codes: WordArray, keys: WordArray) -> None:
    """Hashes of sign vectors: a code for each sign that is not zero, (bits, 2), all together (A. L. Zobrist, 1970)."""
    for v in range(len(keys)):
        key = _ZERO
        for w in range(positive.shape[1]):
            for side in range(2):
                rest = positive[v, w] if side == 0 else negative[v, w]
                while rest != _ZERO:
                    key ^= codes[64 * w + lowest_bit(rest), side]
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
def list_cells(block: SimpleBlock, codes: WordArray, dimension: int, cells: Cells) -> int:
    """Fill in all cells of a dimension; those of dimension d come in the order of the regions."""
    found, d = 0, block.zeros.shape[1]
    for v in range(len(block.zeros)):
        up, down, some = np.int64(block.rising[v, 0]), np.int64(block.rising[v, 1]), np.int64(0)
        for chosen in range(1 << d):
            if popcount(np.uint64(chosen)) != dimension or chosen & ~(up | down):
                continue
            # Slots with edges on both sides take both signs.
            forced, free = chosen & ~down, chosen & up & down
            while True:
                positive = forced | some
                key = block.keys[v]
                for slot in range(d):
                    if (chosen >> slot) & 1:
                        key ^= codes[block.zeros[v, slot], 1 - ((positive >> slot) & 1)]
                cells.lowest[found], cells.keys[found] = v, key
                cells.released[found], cells.signs[found] = chosen, positive
                found += 1
                if some == free:
                    some = np.int64(0)
                    break
                some = (some - free) & free
    return found


@lean
def fill_cells(keys: WordArray, table: WordArray) -> bool:
    """Put cells into a table (size, 2) of zeros by their keys; False if two have the same."""
    mask = np.uint64(len(table) - 1)
    for c in range(len(keys)):
        key = keys[c]
        at = key & mask
        while table[at, 1] != _ZERO:
            if table[at, 0] == key:
                return False
            at = (at + _ONE) & mask
        table[at, 0], table[at, 1] = key, np.uint64(c) + _ONE
    return True


@lean
def gather(
    block: SimpleBlock, codes: WordArray, cells: Cells, nu: FloatArray, columns: IntArray, values: FloatArray,
    table: WordArray, larger_lowest: npt.NDArray[np.int32], larger: FloatArray,
) -> bool:  # fmt: skip
    """Add the shares of cells in those of the next dimension.

    ``values[:, columns[w] + k]`` is the value of the form of word w and bit k at the vertices.  False if a
    cell of the next dimension is missing.
    """
    mask = np.uint64(len(table) - 1)
    for c in range(len(cells.lowest)):
        if nu[c] == 0.0:
            continue
        v, chosen = cells.lowest[c], np.int64(cells.released[c])
        for side in range(2):
            # Where the edge rises, v is the lowest vertex of the larger cell, too.
            slots = np.int64(block.falling[v, side]) & ~chosen
            while slots:
                bit = block.zeros[v, lowest_bit(np.uint64(slots))]
                slots &= slots - 1
                key = cells.keys[c] ^ codes[bit, side]
                at = key & mask
                while table[at, 1] != _ZERO and table[at, 0] != key:
                    at = (at + _ONE) & mask
                if table[at, 1] == _ZERO:
                    return False
                found = np.int64(table[at, 1] - _ONE)
                b = larger_lowest[found]
                w, k = bit // 64, bit % 64
                if block.null[b, w] >> np.uint64(k) & _ONE == _ZERO:
                    larger[found] += abs(values[b, columns[w] + k]) * nu[c]
    return True


@lean
def scatter(
    vertices: IntArray, lowest: npt.NDArray[np.int32], signs: npt.NDArray[np.uint16], rising: npt.NDArray[np.uint16],
    starts: IntArray, nu: FloatArray, volumes: FloatArray,
) -> None:  # fmt: skip
    """Put a block's volumes in their places: vertex v's regions from ``starts[v]`` on, as in `cells.lowest_cells`."""
    for c in range(len(lowest)):
        v = vertices[lowest[c]]
        # Slots with edges on both sides count in binary.
        free, place, digit = int(rising[v, 0] & rising[v, 1]), 0, 0
        slot = 0
        while free >> slot:
            if (free >> slot) & 1:
                place |= ((int(signs[c]) >> slot) & 1) << digit
                digit += 1
            slot += 1
        volumes[starts[v] + place] = nu[c]


def region_volumes(
    simple: SimpleComplex, null: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Callable[[IntArray], Iterator[FloatArray]], block_vertices: int | None = None,
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
        Yields the values of each group's forms at some vertices (k,), (k, forms).
    block_vertices : int, optional
        Vertices of a block at most; the volumes are the same.
    """
    most = block_vertices or max(_BLOCK_CELLS >> simple.dimension, 2 << simple.dimension)
    _, own = count_cells(simple.rising, simple.dimension)
    first = np.cumsum(own) - own
    volumes = np.empty(len(simple.patterns))
    codes = np.random.default_rng(_SEED).integers(0, 1 << 64, (64 * starts[-1], 2), dtype=np.uint64)
    waiting = [(np.arange(len(simple.positive)), simple.sides)]
    while waiting:
        vertices, sides = waiting.pop()
        positive, negative = simple.positive[vertices], simple.negative[vertices]
        bit = dividing_form(positive, negative, starts, simple.valid) if len(vertices) > most else -1
        if bit >= 0:
            word, form = bit // 64, _ONE << np.uint64(bit % 64)
            above, below = block_sides(sides, bit)
            waiting.append((vertices[positive[:, word] & form == 0], below))
            waiting.append((vertices[negative[:, word] & form == 0], above))
            continue
        zeros = vanishing(positive, negative, np.arange(len(vertices)), simple.valid, simple.dimension)
        rising = simple.rising[vertices]
        falling = np.empty_like(rising)
        restrict(zeros, sides, rising, falling)
        keys = np.empty(len(vertices), dtype=np.uint64)
        vertex_keys(positive, negative, codes, keys)
        block = SimpleBlock(positive, negative, null[vertices], zeros, keys, rising, falling)
        nu, cells = _block_volumes(block, codes, determinants[vertices], starts, values(vertices))
        scatter(vertices, cells.lowest, cells.signs, simple.rising, first, nu, volumes)
    return volumes


def _block_volumes(
    block: SimpleBlock, codes: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Iterator[FloatArray],
) -> tuple[FloatArray, Cells]:  # fmt: skip
    """Volumes of a block's regions, and the cells that they are."""
    d = block.zeros.shape[1]
    counts, _ = count_cells(block.rising, d)
    columns, value = _columns(starts, list(values))
    cells = _cells(block, codes, 0, int(counts[0]))
    with np.errstate(divide="ignore"):
        nu = 1.0 / determinants
    for k in range(1, d + 1):
        larger = _cells(block, codes, k, int(counts[k]))
        table = thread_pool().empty((1 << int(3 * len(larger.keys) // 2).bit_length(), 2), np.uint64)
        table[:] = 0
        if not fill_cells(larger.keys, table):
            raise InvariantError("cells", f"dimension {k}", "two cells with one hash of signs", "different ones")
        total = np.zeros(len(larger.keys))
        if not gather(block, codes, cells, nu, columns, value, table, larger.lowest, total):
            raise InvariantError("cells", f"dimension {k}", "a cell that is missing", "a cell on each side")
        nu, cells = total / k, larger
    return nu, cells


def _cells(block: SimpleBlock, codes: WordArray, dimension: int, count: int) -> Cells:
    empty = thread_pool().empty
    cells = Cells(empty(count, np.int32), empty(count, np.uint16), empty(count, np.uint16), empty(count, np.uint64))
    list_cells(block, codes, dimension, cells)
    return cells


def _columns(starts: tuple[int, ...], values: list[FloatArray]) -> tuple[IntArray, FloatArray]:
    """First columns of words (see `gather`), and the values of all forms."""
    columns, width = np.zeros(starts[-1], dtype=np.int64), 0
    for first, stop, own in zip(starts[:-1], starts[1:], values, strict=True):
        columns[first:stop] = width + 64 * np.arange(stop - first)
        width += own.shape[1]
    return columns, np.concatenate(values, axis=1)
