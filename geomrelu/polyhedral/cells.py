"""Compiled loops that read cells off the finished skeleton; arrays only, they know no network.

A linear function in general position has one lowest vertex on every cell.  At a vertex v with zeros k_1 ... k_d
there is one edge for each k_i and sign, along which k_i takes that sign and the other zeros stay.  A cell at v gives
signs to some of the zeros, and v is its lowest vertex if the edges of those zeros and signs all rise.  So with u_i
rising edges of k_i the cells of dimension j with lowest vertex v number e_j(u_1, ..., u_d), the elementary symmetric
polynomial: each cell of the complex is met once, by its lowest vertex, and no set of sign vectors has to be made.

``rising`` (V, 2) has a bit for each zero of a vertex, in ascending order of forms: column 0 for edges on the positive
side, column 1 for the negative side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, lean
from geomrelu.planar.bits import popcount

__all__ = ["cell_counts", "directions", "lowest_cells", "rising_edges"]

_ULP = 2.0**-52
_ONE, _ZERO = np.uint64(1), np.uint64(0)


@lean
def directions(heights: FloatArray, reach: FloatArray, ends: npt.NDArray[np.int32], found: npt.NDArray[np.int8]) -> int:
    """Which end of each edge is higher: 1 the second, -1 the first, 0 in doubt; returns the number of doubts.

    ``reach`` (V,) bounds the errors of ``heights``.
    """
    doubts = 0
    for e in range(len(ends)):
        a, b = ends[e, 0], ends[e, 1]
        rise, limit = heights[b] - heights[a], (reach[a] + reach[b]) * 1.001
        found[e] = 1 if rise > limit else (-1 if rise < -limit else 0)
        doubts += found[e] == 0
    return doubts


@lean
def rising_edges(
    positive: WordArray, negative: WordArray, valid: WordArray, ends: npt.NDArray[np.int32],
    direction: npt.NDArray[np.int8], rising: npt.NDArray[np.uint16],
) -> None:  # fmt: skip
    """Fill `rising`, which is zero, and put the lower end of each edge first."""
    for e in range(len(ends)):
        low, high = ends[e, 0], ends[e, 1]
        if direction[e] < 0:
            low, high = high, low
            ends[e, 0], ends[e, 1] = low, high
        slot = 0
        for w in range(len(valid)):
            zero = ~(positive[low, w] | negative[low, w]) & valid[w]
            leaves = zero & (positive[high, w] | negative[high, w])
            if leaves != _ZERO:
                slot += popcount(zero & (leaves - _ONE))
                side = 0 if leaves & positive[high, w] != _ZERO else 1
                rising[low, side] |= np.uint16(1 << slot)
                break
            slot += popcount(zero)


@lean
def cell_counts(rising: npt.NDArray[np.uint16], d: int, totals: IntArray, regions: IntArray) -> None:
    """Numbers of cells of each dimension, totals (d + 1,), and of regions with each lowest vertex, (V,)."""
    for v in range(len(rising)):
        # Coefficients of (1 + u_1 x) ... (1 + u_d x); d is at most 15.
        row = totals[d + 1 :]
        row[:] = 0
        row[0] = 1
        for i in range(d):
            u = (rising[v, 0] >> np.uint16(i) & np.uint16(1)) + (rising[v, 1] >> np.uint16(i) & np.uint16(1))
            if u > 0:
                for j in range(i + 1, 0, -1):
                    row[j] += np.int64(u) * row[j - 1]
        for j in range(d + 1):
            totals[j] += row[j]
        regions[v] = row[d]


@lean
def lowest_cells(
    positive: WordArray, negative: WordArray, valid: WordArray, n_domain: int, rising: npt.NDArray[np.uint16], d: int,
    starts: IntArray, words: WordArray, lowest: IntArray,
) -> None:  # fmt: skip
    """Patterns (R, words) of all regions and their lowest vertices (R,); vertex v's from number ``starts[v]`` on."""
    full = np.uint16((1 << d) - 1)
    for v in range(len(rising)):
        up, down = rising[v, 0], rising[v, 1]
        if up | down != full:
            continue
        region = starts[v]
        for choice in range(1 << d):
            signs = np.uint16(choice)
            if signs & ~up != np.uint16(0) or ~signs & full & ~down != np.uint16(0):
                continue
            lowest[region] = v
            slot = 0
            for w in range(len(valid)):
                word = positive[v, w]
                rest = ~(word | negative[v, w]) & valid[w]
                while rest != _ZERO:
                    if signs >> np.uint16(slot) & np.uint16(1) != np.uint16(0):
                        word |= rest & ~(rest - _ONE)
                    slot += 1
                    rest &= rest - _ONE
                if w >= n_domain:
                    words[region, w - n_domain] = word
            region += 1
