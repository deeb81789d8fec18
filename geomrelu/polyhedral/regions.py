"""Compiled loops that find regions by their patterns; arrays only, they know no network.

A vertex touches 2^q regions, q of its d forms being neurons'.  Their patterns are looked up in a hash table, and
compared word by word, so a find is certain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import IntArray, WordArray, inner, lean
from geomrelu.planar.bits import lowest_bit, popcount
from geomrelu.polyhedral.hashing import pattern_hash

__all__ = [
    "count_touching",
    "facet_cells",
    "facet_corners",
    "facet_signs",
    "fill_table",
    "group_by_region",
    "touching_regions",
]

_ONE, _ZERO = np.uint64(1), np.uint64(0)


@inner
def _find(words: WordArray, patterns: WordArray, table: npt.NDArray[np.int32]) -> int:
    """The region with a pattern, -1 if there is none."""
    mask = np.uint64(len(table) - 1)
    at = pattern_hash(words) & mask
    while table[at] >= 0:
        region = table[at]
        same = True
        for w in range(len(words)):
            same = same and patterns[region, w] == words[w]
        if same:
            return int(region)
        at = (at + _ONE) & mask
    return -1


@lean
def fill_table(patterns: WordArray, table: npt.NDArray[np.int32]) -> int:
    """Put all regions into the table, of -1 only, its size a power of two; returns a repeated one, or -1."""
    mask = np.uint64(len(table) - 1)
    for region in range(len(patterns)):
        if _find(patterns[region], patterns, table) >= 0:
            return region
        at = pattern_hash(patterns[region]) & mask
        while table[at] >= 0:
            at = (at + _ONE) & mask
        table[at] = region
    return -1


@lean
def count_touching(positive: WordArray, negative: WordArray, sides: WordArray, counts: IntArray) -> None:
    """Number of regions that each vertex touches, (V,)."""
    for v in range(len(counts)):
        zeros = 0
        for w in range(sides.shape[1]):
            zeros += popcount(~(positive[v, w] | negative[v, w]) & sides[0, w] & sides[1, w])
        counts[v] = 1 << zeros


@lean
def touching_regions(
    positive: WordArray, negative: WordArray, valid: WordArray, sides: WordArray, n_domain: int, patterns: WordArray,
    table: npt.NDArray[np.int32], row: WordArray, offsets: IntArray, found: npt.NDArray[np.int32],
) -> int:  # fmt: skip
    """The regions that each vertex touches, ``found[offsets[v] : offsets[v + 1]]``; `row` is scratch, (words,).

    Returns a vertex beside which a pattern is missing, or -1.
    """
    for v in range(len(offsets) - 1):
        for choice in range(offsets[v + 1] - offsets[v]):
            slot = 0
            for w in range(n_domain, len(valid)):
                zero = ~(positive[v, w] | negative[v, w]) & valid[w]
                # Forms with only one side have it.
                word = positive[v, w] | zero & ~sides[1, w]
                rest = zero & sides[0, w] & sides[1, w]
                while rest != _ZERO:
                    if (choice >> slot) & 1:
                        word |= rest & ~(rest - _ONE)
                    slot += 1
                    rest &= rest - _ONE
                row[w - n_domain] = word
            region = _find(row, patterns, table)
            if region < 0:
                return v
            found[offsets[v] + choice] = region
    return -1


@lean
def group_by_region(
    offsets: IntArray, touched: npt.NDArray[np.int32], starts: IntArray, vertices: npt.NDArray[np.int32]
) -> None:
    """Vertices of each region, ascending, region r's from ``starts[r]`` on, which then is the next one's start."""
    for v in range(len(offsets) - 1):
        for k in range(offsets[v], offsets[v + 1]):
            region = touched[k]
            vertices[starts[region]] = v
            starts[region] += 1


@lean
def facet_cells(
    positive: WordArray, negative: WordArray, valid: WordArray, n_domain: int, rising: npt.NDArray[np.uint16], d: int,
    patterns: WordArray, table: npt.NDArray[np.int32], row: WordArray, regions: npt.NDArray[np.int32], bits: IntArray,
) -> int:  # fmt: skip
    """All cells of dimension d - 1: the regions on their negative and positive side (M, 2), and their form's bit (M,).

    The positive side of a facet of the domain is the inner one, the other -1.  Returns their number, or -1 if a
    pattern is missing.
    """
    full = (1 << d) - 1
    found = 0
    for v in range(len(rising)):
        up, down = int(rising[v, 0]), int(rising[v, 1])
        for k in range(d):
            others = full & ~(1 << k)
            if (up | down) & others != others:
                continue
            for signs in range(1 << d):
                if signs & (1 << k) or signs & others & ~up or ~signs & others & ~down:
                    continue
                slot, own_word, own_bit = 0, 0, _ZERO
                for w in range(len(valid)):
                    word = positive[v, w]
                    rest = ~(word | negative[v, w]) & valid[w]
                    while rest != _ZERO:
                        if slot == k:
                            own_word, own_bit = w, rest & ~(rest - _ONE)
                        elif (signs >> slot) & 1:
                            word |= rest & ~(rest - _ONE)
                        slot += 1
                        rest &= rest - _ONE
                    if w >= n_domain:
                        row[w - n_domain] = word
                bits[found] = 64 * own_word + lowest_bit(own_bit)
                first = _find(row, patterns, table)
                if own_word < n_domain:
                    regions[found, 0], regions[found, 1] = -1, first
                else:
                    row[own_word - n_domain] |= own_bit
                    second = _find(row, patterns, table)
                    regions[found, 0], regions[found, 1] = first, second
                    if second < 0:
                        return -1
                if first < 0:
                    return -1
                found += 1
    return found


@lean
def facet_signs(
    positive: WordArray, negative: WordArray, signs: WordArray, regions: npt.NDArray[np.int32], bits: IntArray,
    region_offsets: IntArray, region_vertices: npt.NDArray[np.int32], joined: WordArray,
) -> None:  # fmt: skip
    """Union of the vertices' true signs (V, 2 words) over each cell of dimension d - 1, (M, 2 words)."""
    for f in range(len(bits)):
        region = regions[f, 1]
        w, bit = bits[f] // 64, _ONE << np.uint64(bits[f] % 64)
        for k in range(region_offsets[region], region_offsets[region + 1]):
            v = region_vertices[k]
            if (positive[v, w] | negative[v, w]) & bit == _ZERO:
                for c in range(signs.shape[1]):
                    joined[f, c] |= signs[v, c]


@lean
def facet_corners(
    positive: WordArray, negative: WordArray, regions: IntArray, bits: IntArray, region_offsets: IntArray,
    region_vertices: IntArray, offsets: IntArray, corners: IntArray,
) -> None:  # fmt: skip
    """Vertices of each facet, those of its inner or positive region where its form is zero.

    Fills ``offsets[1:]`` with their numbers if `corners` is empty, else `corners`, for which `offsets` are sums.
    """
    for f in range(len(bits)):
        w, bit = bits[f] // 64, _ONE << np.uint64(bits[f] % 64)
        found = 0
        for k in range(region_offsets[regions[f]], region_offsets[regions[f] + 1]):
            v = region_vertices[k]
            if (positive[v, w] | negative[v, w]) & bit == _ZERO:
                if len(corners):
                    corners[offsets[f] + found] = v
                found += 1
        if not len(corners):
            offsets[f + 1] = found
