"""Blocks: convex parts of the complex that are cut on their own.

Below any layer the regions nest in their parents, so a part of the complex can go through the neurons that are left
by itself.  A block is the closure of the regions on one side of a neuron's zero set, of the whole complex or
of a block; in a block on whose both sides neurons of no earlier layer lie the zero set is flat, so blocks are
convex polytopes, simple ones like the domain, and all that is true of the domain is true of them.  A zero set
by which a block was split is a facet: its form has one sign in the block (`sides`), and cells on it are cut in
both blocks, alike since signs are exact.

That bounds memory, keeps a block in the processor's cache, and is the unit of parallel work.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, IntArray, WordArray, lean
from geomrelu.polyhedral.skeleton import Cells, Words, empty_cells

__all__ = ["Block", "block_sides", "dividing_form", "part_of"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)


class Block(NamedTuple):
    """A block before one of a layer's cuts: what it takes to go on.

    Attributes
    ----------
    layer, neuron : int
        The layer whose rows are made, -1 for none, and the next of its neurons.
    sides : (2, words) uint64
        Forms that may be positive, and negative.
    share : float
        Of the work, as far as numbers of vertices tell.
    cells : Cells
        All of whose entries are in use.
    """

    layer: int
    neuron: int
    sides: WordArray
    share: float
    cells: Cells


@lean
def count_signs(positive: WordArray, negative: WordArray, first: int, stop: int, counts: IntArray) -> None:
    """Add up how many vertices have each form of the words first .. stop positive, and negative, (2, bits)."""
    for v in range(len(positive)):
        for w in range(first, stop):
            p, q = positive[v, w], negative[v, w]
            for j in range(64):
                counts[0, 64 * (w - first) + j] += np.int64(p >> np.uint64(j) & _ONE)
                counts[1, 64 * (w - first) + j] += np.int64(q >> np.uint64(j) & _ONE)


@lean
def number_chosen(ends: npt.NDArray[np.int32], chosen: BoolArray, number: npt.NDArray[np.int32]) -> tuple[int, int]:
    """New numbers of the chosen vertices, (V,), -1 of others; how many vertices and edges between them there are."""
    vertices, edges = 0, 0
    for v in range(len(chosen)):
        number[v] = vertices if chosen[v] else -1
        vertices += chosen[v]
    for e in range(len(ends)):
        edges += chosen[ends[e, 0]] and chosen[ends[e, 1]]
    return vertices, edges


@lean
def copy_chosen(cells: Cells, number: npt.NDArray[np.int32], out: Cells) -> None:
    """The chosen vertices and the edges between them."""
    units = cells.z.shape[1]
    for v in range(len(number)):
        k = number[v]
        if k < 0:
            continue
        for i in range(cells.xy.shape[1]):
            out.xy[k, i] = cells.xy[v, i]
        for j in range(units):
            out.z[k, j] = cells.z[v, j]
        for w in range(cells.positive.shape[1]):
            out.positive[k, w] = cells.positive[v, w]
            out.negative[k, w] = cells.negative[v, w]
            out.null[k, w] = cells.null[v, w]
        for i in range(cells.errors.shape[1]):
            out.errors[k, i] = cells.errors[v, i]
    found = 0
    for e in range(len(cells.ends)):
        a, b = number[cells.ends[e, 0]], number[cells.ends[e, 1]]
        if a >= 0 and b >= 0:
            out.ends[found, 0], out.ends[found, 1] = a, b
            out.distance[found] = cells.distance[e]
            found += 1


def part_of(used: Cells, chosen: BoolArray) -> Cells:
    """The chosen vertices (V,), and the edges between them."""
    number = np.empty(len(chosen), dtype=np.int32)
    vertices, edges = number_chosen(used.ends, chosen, number)
    out = empty_cells(used.xy.shape[1], used.positive.shape[1], vertices, edges, used.z.shape[1])
    copy_chosen(used, number, out)
    return out


def dividing_form(used: Cells, words: Words, valid: WordArray) -> int:
    """The bit of a form that divides a block into convex parts, as equal ones as there are; -1 if there is none.

    Parameters
    ----------
    used : Cells
        Of the block.
    valid : (words,) uint64
        Bits of the forms that have cut so far.
    """
    either = np.bitwise_or.reduce(used.positive, axis=0) & np.bitwise_or.reduce(used.negative, axis=0) & valid
    for first, stop in zip(words.starts[:-1], words.starts[1:], strict=True):
        if not either[first:stop].any():
            continue
        # No form of the groups before changes its sign: these are flat.
        counts = np.zeros((2, 64 * (stop - first)), dtype=np.int64)
        count_signs(used.positive, used.negative, first, stop, counts)
        bits = np.unpackbits(either[first:stop].astype("<u8").view(np.uint8), bitorder="little").astype(bool)
        # What is on the zero set is cut twice.
        larger = np.where(bits, len(used.positive) - counts.min(axis=0), len(used.positive) + 1)
        return 64 * first + int(np.argmin(larger))
    return -1


def block_sides(sides: WordArray, bit: int) -> tuple[WordArray, WordArray]:
    """Signs of forms in the parts where the form of a bit is positive, and negative."""
    word, own = bit // 64, _ONE << np.uint64(bit % 64)
    above, below = sides.copy(), sides.copy()
    above[1, word] &= ~own
    below[0, word] &= ~own
    return above, below
