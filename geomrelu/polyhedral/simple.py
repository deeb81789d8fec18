"""`SimpleComplex`: a finished skeleton, from which the cells of all dimensions are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, ReadOnly, WordArray, frozen
from geomrelu.errors import InvariantError
from geomrelu.polyhedral import cells, regions

__all__ = ["SimpleComplex", "count_cells", "read_cells", "rising_of"]


@dataclass(frozen=True, eq=False)
class SimpleComplex(ReadOnly):
    """A complex in which each vertex has exactly d zeros; of a degenerate network, the perturbed one (`judge`).

    Attributes
    ----------
    positive, negative : (V, words) uint64
        Sign vectors; see `skeleton.Words` for the places of forms.
    ends : (E, 2) int32
        The lower end first.
    rising : (V, 2) uint16
        See `cells`.
    lowest : (R,) int64
        Lowest vertex of each region.
    patterns : (R, words) uint64
        Patterns of the regions.
    valid : (words,) uint64
        Bits that stand for a form.
    n_domain : int
        Words of the domain's facets.
    cell_counts : (d + 1,) int64
        Number of cells of each dimension.
    sides : (2, words) uint64
        Forms that may be positive, and negative; facets of the domain are positive, those of a block (`blocks`)
        one of both.
    """

    positive: WordArray
    negative: WordArray
    ends: npt.NDArray[np.int32]
    rising: npt.NDArray[np.uint16]
    lowest: IntArray
    patterns: WordArray
    valid: WordArray
    n_domain: int
    cell_counts: IntArray
    sides: WordArray

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.cell_counts) - 1

    @cached_property
    def _table(self) -> npt.NDArray[np.int32]:
        table = np.full(1 << int(2 * len(self.patterns)).bit_length(), -1, dtype=np.int32)
        repeated = regions.fill_table(self.patterns, table)
        if repeated >= 0:
            raise InvariantError("patterns", f"region {repeated}", "another region's pattern", "a pattern of its own")
        return table

    @cached_property
    def region_vertices(self) -> tuple[IntArray, npt.NDArray[np.int32]]:
        """Vertices of the regions, ascending: offsets (R + 1,) and values."""
        n_regions, n_vertices = len(self.patterns), len(self.positive)
        counts = np.empty(n_vertices, dtype=np.int64)
        regions.count_touching(self.positive, self.negative, self.sides, counts)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        touched = np.empty(offsets[-1], dtype=np.int32)
        row = np.empty(self.patterns.shape[1], dtype=np.uint64)
        missing = regions.touching_regions(
            self.positive, self.negative, self.valid, self.sides, self.n_domain, self.patterns, self._table, row,
            offsets, touched,
        )  # fmt: skip
        if missing >= 0:
            raise InvariantError("regions", f"vertex {missing}", "a pattern without a region", "a region on each side")
        sizes = np.bincount(touched, minlength=n_regions)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        vertices = np.empty(len(touched), dtype=np.int32)
        regions.group_by_region(offsets, touched, starts[:-1].copy(), vertices)
        return frozen(starts), frozen(vertices)

    @cached_property
    def facets(self) -> tuple[npt.NDArray[np.int32], IntArray]:
        """Cells of dimension d - 1: regions on negative and positive sides (M, 2), -1 outside; bits of forms (M,)."""
        total = int(self.cell_counts[-2])
        sides, bits = np.empty((total, 2), dtype=np.int32), np.empty(total, dtype=np.int64)
        row = np.empty(self.patterns.shape[1], dtype=np.uint64)
        found = regions.facet_cells(
            self.positive, self.negative, self.valid, self.n_domain, self.rising, self.dimension, self.patterns,
            self._table, row, sides, bits,
        )  # fmt: skip
        if found != total:
            raise InvariantError("facets", "the complex", f"{found} cells between regions", total)
        return frozen(sides), frozen(bits)


def rising_of(
    positive: WordArray, negative: WordArray, ends: npt.NDArray[np.int32], heights: FloatArray,
    valid: WordArray, reach: Callable[[IntArray], FloatArray], higher: Callable[[int, int], bool],
) -> npt.NDArray[np.uint16]:  # fmt: skip
    """Which edges rise from each vertex, (V, 2); see `cells`.  The lower end of each edge is put first.

    Parameters
    ----------
    positive, negative, ends, valid
        As in `SimpleComplex`; `ends` is changed.
    heights : (V,)
        A linear function at the vertices.
    reach : callable
        Bounds on its errors, (V,), after those of some vertices were made afresh.
    higher : callable
        Exact answer to whether the first of two vertices is the higher one.
    """
    direction = np.empty(len(ends), dtype=np.int8)
    if cells.directions(heights, reach(np.empty(0, dtype=np.int64)), ends, direction):
        doubtful = np.unique(ends[direction == 0]).astype(np.int64)
        cells.directions(heights, reach(doubtful), ends, direction)
        for e in np.flatnonzero(direction == 0).tolist():
            a, b = ends[e].tolist()
            direction[e] = 1 if higher(b, a) else -1
    rising = np.zeros((len(positive), 2), dtype=np.uint16)
    cells.rising_edges(positive, negative, valid, ends, direction, rising)
    return rising


def count_cells(rising: npt.NDArray[np.uint16], d: int) -> tuple[IntArray, IntArray]:
    """Number of cells of each dimension, (d + 1,), and of regions with each lowest vertex, (V,)."""
    totals, own = np.zeros(2 * (d + 1), dtype=np.int64), np.empty(len(rising), dtype=np.int64)
    cells.cell_counts(rising, d, totals, own)
    return totals[: d + 1].copy(), own


def read_cells(
    positive: WordArray, negative: WordArray, ends: npt.NDArray[np.int32], rising: npt.NDArray[np.uint16],
    valid: WordArray, sides: WordArray, n_domain: int,
) -> SimpleComplex:  # fmt: skip
    """Find the regions of a finished skeleton; the arrays are those of `SimpleComplex`.

    Raises
    ------
    InvariantError
        If the alternating sum of the numbers of cells (Euler's) is not 1.
    """
    d = int(np.bitwise_count(~(positive[0] | negative[0]) & valid).sum())
    counts, own = count_cells(rising, d)
    if int((counts * (-1) ** np.arange(d + 1)).sum()) != 1:
        raise InvariantError("euler", "the complex", counts.tolist(), "an alternating sum of 1")
    patterns = np.empty((int(counts[d]), len(valid) - n_domain), dtype=np.uint64)
    lowest = np.empty(len(patterns), dtype=np.int64)
    cells.lowest_cells(positive, negative, valid, n_domain, rising, d, np.cumsum(own) - own, patterns, lowest)
    return SimpleComplex(positive, negative, ends, rising, lowest, patterns, valid, n_domain, counts, sides)
