"""Puts finished blocks together: what they share is told by its signs, and kept once.

A vertex on the border between blocks has the same sign vector in both, and no other vertex has it; vertices on borders
are looked up in a hash table, and compared word by word.  An edge is told by its lower end and the zero that it leaves,
on one side: blocks agree on which end is lower.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, WordArray, inner, lean
from geomrelu.planar.bits import popcount
from geomrelu.polyhedral.hashing import word_hash
from geomrelu.polyhedral.skeleton import check_ids

__all__ = ["Merged", "Part"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_SEED = np.uint64(3)
_SMALL = 1 << 16


class Part(NamedTuple):
    """A finished block."""

    xy: FloatArray  # (V, d)
    errors: FloatArray  # (V,) bounds on distances from the true points
    positive: WordArray  # (V, words)
    negative: WordArray  # (V, words)
    null: WordArray  # (V, words), or (0, words) if there are no such signs
    ends: npt.NDArray[np.int32]  # (E, 2) the lower end first
    rising: npt.NDArray[np.uint16]  # (V, 2)
    border: WordArray  # (words,) forms by which blocks were split, of which this one is on one side

    def copied(self) -> Part:
        """The same in memory of its own."""
        arrays: list[Any] = [array.copy() for array in self]
        return Part(*arrays)


@inner
def _sign_key(positive: WordArray, negative: WordArray, v: int) -> np.uint64:
    key = _ZERO
    for w in range(positive.shape[1]):
        key ^= word_hash(positive[v, w], negative[v, w], w, _SEED)
    return key


@lean
def widen(old: WordArray, table: WordArray) -> None:
    """Put the entries of a table into a larger one."""
    mask = np.uint64(len(table) - 1)
    for k in range(len(old)):
        if old[k] != _ZERO:
            at = (old[k] >> _HALF) & mask
            while table[at] != _ZERO:
                at = (at + _ONE) & mask
            table[at] = old[k]


@lean
def place_vertices(
    part: Part, first: int, table: WordArray, room: int, n: int, positive: WordArray, negative: WordArray,
    number: npt.NDArray[np.int32],
) -> tuple[int, int, int]:  # fmt: skip
    """Numbers in the whole, (V,), of which the first n are taken, and signs of the new ones.

    `table` (size,) has half of a hash and a number plus 1 in each entry.  Begins with vertex `first`; returns the
    vertex at which `room` entries were made, or V, then n after it, then the number of entries that were made.
    """
    mask = np.uint64(len(table) - 1)
    words, made = positive.shape[1], 0
    for v in range(first, len(part.xy)):
        shared = False
        for w in range(words):
            shared = shared or part.border[w] & ~(part.positive[v, w] | part.negative[v, w]) != _ZERO
        found = np.int64(-1)
        if shared:
            half = _sign_key(part.positive, part.negative, v) >> _HALF
            at = half & mask
            while table[at] != _ZERO:
                if table[at] >> _HALF == half:
                    other = np.int64((table[at] & _LOW) - _ONE)
                    same = True
                    for w in range(words):
                        same = same and positive[other, w] == part.positive[v, w]
                        same = same and negative[other, w] == part.negative[v, w]
                    if same:
                        found = other
                        break
                at = (at + _ONE) & mask
            if found < 0:
                if made >= room:
                    return v, n, made
                table[at] = half << _HALF | (np.uint64(n) + _ONE)
                made += 1
        if found < 0:
            found = np.int64(n)
            n += 1
            for w in range(words):
                positive[found, w], negative[found, w] = part.positive[v, w], part.negative[v, w]
        number[v] = found
    return len(part.xy), n, made


@lean
def place_rest(
    part: Part, number: npt.NDArray[np.int32], n: int, xy: FloatArray, errors: FloatArray, null: WordArray
) -> None:
    """What belongs to the vertices whose numbers are n or more."""
    for v in range(len(number)):
        k = number[v]
        if k < n:
            continue
        for i in range(xy.shape[1]):
            xy[k, i] = part.xy[v, i]
        errors[k] = part.errors[v]
        if len(null):
            for w in range(null.shape[1]):
                null[k, w] = part.null[v, w] if len(part.null) else _ZERO


@lean
def place_edges(
    part: Part, valid: WordArray, number: npt.NDArray[np.int32], n_edges: int, ends: npt.NDArray[np.int32],
    rising: npt.NDArray[np.uint16],
) -> int:  # fmt: skip
    """Edges that are not there yet; returns the number of edges after them."""
    for e in range(len(part.ends)):
        low, high = part.ends[e, 0], part.ends[e, 1]
        shared, slot, side, found = False, 0, 0, False
        for w in range(len(valid)):
            zero = ~(part.positive[low, w] | part.negative[low, w]) & valid[w]
            signs = part.positive[high, w] | part.negative[high, w]
            shared = shared or part.border[w] & zero & ~signs != _ZERO
            if not found:
                leaves = zero & signs
                if leaves != _ZERO:
                    found = True
                    slot += popcount(zero & (leaves - _ONE))
                    side = 0 if leaves & part.positive[high, w] != _ZERO else 1
                else:
                    slot += popcount(zero)
        if shared and rising[number[low], side] >> np.uint16(slot) & np.uint16(1) != np.uint16(0):
            continue
        ends[n_edges, 0], ends[n_edges, 1] = number[low], number[high]
        n_edges += 1
    for v in range(len(number)):
        rising[number[v], 0] |= part.rising[v, 0]
        rising[number[v], 1] |= part.rising[v, 1]
    return n_edges


class Merged:
    """The blocks put together so far.

    Parameters
    ----------
    d : int
    valid : (words,) uint64
        Bits that stand for a form.
    """

    def __init__(self, d: int, valid: WordArray) -> None:
        words = len(valid)
        self.valid = valid
        self.n_vertices, self.n_edges, self._n_shared = 0, 0, 0
        self.xy, self.errors = np.empty((0, d)), np.empty(0)
        self.positive, self.negative, self.null = (np.empty((0, words), dtype=np.uint64) for _ in range(3))
        self.ends = np.empty((0, 2), dtype=np.int32)
        self.rising = np.empty((0, 2), dtype=np.uint16)
        self._table = np.zeros(1 << 12, dtype=np.uint64)

    def add(self, part: Part) -> None:
        """Add a block."""
        n, edges = self.n_vertices, self.n_edges
        check_ids(n + len(part.xy), edges + len(part.ends))
        if not n:
            self._begin(part)
            return
        if len(part.null) and not len(self.null):
            self.null.resize((n, len(self.valid)), refcheck=False)
        self._reserve(n + len(part.xy), ("xy", "errors", "positive", "negative", "rising"))
        if len(part.null) or len(self.null):
            self._reserve(len(self.xy), ("null",))
        self._reserve(edges + len(part.ends), ("ends",))
        number = np.empty(len(part.xy), dtype=np.int32)
        self._place_vertices(part, number)
        place_rest(part, number, n, self.xy, self.errors, self.null)
        self.n_edges = place_edges(part, self.valid, number, edges, self.ends, self.rising)

    def _begin(self, part: Part) -> None:
        """Take the first block as it is."""
        if part.border.any():
            part = part.copied()
        self.xy, self.errors, self.positive, self.negative, self.null, self.ends, self.rising, _ = part
        number = np.empty(len(part.xy), dtype=np.int32)
        self._place_vertices(part, number)
        self.n_edges = len(part.ends)

    def _place_vertices(self, part: Part, number: npt.NDArray[np.int32]) -> None:
        at = 0
        while at < len(number):
            if 2 * self._n_shared >= len(self._table):
                table = np.zeros(2 * len(self._table), dtype=np.uint64)
                widen(self._table, table)
                self._table = table
            at, self.n_vertices, made = place_vertices(
                part, at, self._table, len(self._table) // 2 - self._n_shared, self.n_vertices, self.positive,
                self.negative, number,
            )  # fmt: skip
            self._n_shared += made

    def _reserve(self, wanted: int, names: tuple[str, ...]) -> None:
        for name in names:
            array = getattr(self, name)
            if len(array) < wanted:
                size = max(wanted, len(array) + len(array) // (1 if len(array) < _SMALL else 4))
                # In place: of large arrays the pages move, not what is in them.  New entries are zero.
                array.resize((size, *array.shape[1:]), refcheck=False)

    def trim(self) -> None:
        """Give back what is not in use."""
        self._table = np.empty(0, dtype=np.uint64)
        for used, names in (
            (self.n_vertices, ("xy", "errors", "positive", "negative", "rising")),
            (self.n_vertices if len(self.null) else 0, ("null",)),
            (self.n_edges, ("ends",)),
        ):
            for name in names:
                array = getattr(self, name)
                array.resize((used, *array.shape[1:]), refcheck=False)

    @property
    def bytes(self) -> int:
        """Memory held."""
        arrays: tuple[npt.NDArray[Any], ...] = (
            self.xy, self.errors, self.positive, self.negative, self.null, self.ends, self.rising, self._table,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays)
