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

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import IntArray, WordArray, lean
from geomrelu.polyhedral.skeleton import Cells

__all__ = ["Block", "block_sides", "dividing_form"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
# Vertices that are looked at for a good form to divide by.
_SAMPLE = 4096


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
def signs_of_all(positive: WordArray, negative: WordArray, either: WordArray) -> None:
    """Forms that are positive at a vertex and negative at another, (words,)."""
    for w in range(len(either)):
        p, q = _ZERO, _ZERO
        for v in range(len(positive)):
            p |= positive[v, w]
            q |= negative[v, w]
        either[w] = p & q


@lean
def count_signs(positive: WordArray, negative: WordArray, first: int, stop: int, step: int, counts: IntArray) -> None:
    """Add up how many of every step-th vertex have each form of some words positive, and negative, (2, bits)."""
    for v in range(0, len(positive), step):
        for w in range(first, stop):
            p, q = positive[v, w], negative[v, w]
            for j in range(64):
                counts[0, 64 * (w - first) + j] += np.int64(p >> np.uint64(j) & _ONE)
                counts[1, 64 * (w - first) + j] += np.int64(q >> np.uint64(j) & _ONE)


def dividing_form(positive: WordArray, negative: WordArray, starts: tuple[int, ...], valid: WordArray) -> int:
    """The bit of a form that divides a block into convex parts, about the most equal ones; -1 if there is none.

    Parameters
    ----------
    positive, negative : (V, words) uint64
        Signs of the block's vertices.
    starts : tuple of int
        First word of each group of forms, and the end.
    valid : (words,) uint64
        Bits of the forms that have cut so far.
    """
    either = np.empty_like(valid)
    signs_of_all(positive, negative, either)
    either &= valid
    for first, stop in pairwise(starts):
        if not either[first:stop].any():
            continue
        # No form of the groups before changes its sign: these are flat.
        counts = np.zeros((2, 64 * (stop - first)), dtype=np.int64)
        step = max(1, len(positive) // _SAMPLE)
        count_signs(positive, negative, first, stop, step, counts)
        bits = np.unpackbits(either[first:stop].astype("<u8").view(np.uint8), bitorder="little").astype(bool)
        # What is on the zero set is cut twice.
        larger = np.where(bits, len(positive) - counts.min(axis=0), len(positive) + 1)
        return 64 * first + int(np.argmin(larger))
    return -1


def block_sides(sides: WordArray, bit: int) -> tuple[WordArray, WordArray]:
    """Signs of forms in the parts where the form of a bit is positive, and negative."""
    word, own = bit // 64, _ONE << np.uint64(bit % 64)
    above, below = sides.copy(), sides.copy()
    above[1, word] &= ~own
    below[0, word] &= ~own
    return above, below
