"""Convex cells as rings in CSR form, and cutting them where an affine function vanishes; arrays only.

Used to draw and to measure where functions are positive.  Coordinates are float64 roundings:
which cells exist was decided by the engine, and nothing here changes that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, row_ids

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Cells", "cells_of", "centre_values", "corner_values", "positive_part", "zero_segments"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Convex polygons: cell i has the corners ``points[offsets[i]:offsets[i + 1]]``, counter-clockwise.

    Attributes
    ----------
    points : (C, 2 + m) float64
        Coordinates, and whatever else is affine on each cell and to be carried along when cells are cut.
    offsets : (F + 1,) int64

    Examples
    --------
    >>> square = Cells(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), np.array([0, 4]))
    >>> len(square), square.areas().tolist(), square.owners().tolist()
    (1, [1.0], [0, 0, 0, 0])
    """

    points: FloatArray
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def owners(self) -> IntArray:
        """Cell of each corner, (C,)."""
        return row_ids(self.offsets)

    def following(self) -> IntArray:
        """Index of the next corner in the same ring, (C,)."""
        following = np.arange(1, len(self.points) + 1, dtype=np.int64)
        counts = np.diff(self.offsets)
        filled = counts > 0
        following[self.offsets[1:][filled] - 1] = self.offsets[:-1][filled]
        return following

    def rings(self) -> list[FloatArray]:
        """One (k, 2) array a cell: what matplotlib's collections take."""
        return np.split(self.points, self.offsets[1:-1])

    def without_empty(self) -> Cells:
        """The same cells without those that have no corners."""
        counts = np.diff(self.offsets)
        return Cells(self.points, np.concatenate([[0], np.cumsum(counts[counts > 0])]))

    def chosen(self, which: BoolArray) -> Cells:
        """Some of the cells, by a mask (F,)."""
        counts = np.diff(self.offsets)[which]
        return Cells(self.points[which[self.owners()]], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    def areas(self) -> FloatArray:
        """Area of each cell, (F,); 0 for an empty ring."""
        # Relative to each ring's first corner, so that small cells far from the origin keep their digits.
        owners, following = self.owners(), self.following()
        local = self.points - self.points[self.offsets[:-1][owners]] if len(self.points) else self.points
        cross = local[:, 0] * local[following, 1] - local[following, 0] * local[:, 1]
        return np.bincount(owners, weights=cross, minlength=len(self)) / 2


def cells_of(p: PlanarComplex) -> Cells:
    """The regions of a partition as rings."""
    return Cells(p.vertices[p.face_vertices], np.asarray(p.face_offsets, dtype=np.int64))


def corner_values(cells: Cells, maps: FloatArray) -> FloatArray:
    """Value of each cell's own map at its corners, (C,).

    Parameters
    ----------
    cells : Cells
    maps : (F, 3)
        Two gradient entries and an intercept for each cell.
    """
    own = maps[cells.owners()]
    return np.asarray(own[:, 0] * cells.points[:, 0] + own[:, 1] * cells.points[:, 1] + own[:, 2])


def centre_values(cells: Cells, values: FloatArray) -> FloatArray:
    """Mean of the corners' values of each cell, (F,): a value that the cell's function takes inside."""
    return np.asarray(np.add.reduceat(values, cells.offsets[:-1]) / np.diff(cells.offsets))


def positive_part(cells: Cells, values: FloatArray) -> Cells:
    """The part of each cell where its affine function is at least 0; rings may become empty.

    Parameters
    ----------
    cells : Cells
    values : (C,)
        The functions' values at the corners.

    Examples
    --------
    >>> square = Cells(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]), np.array([0, 4]))
    >>> positive_part(square, np.array([-1.0, 1.0, 1.0, -1.0])).points.tolist()
    [[1.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0]]
    """
    owners = cells.owners()
    crossing, where = _crossings(cells, values)
    somewhere_positive = np.zeros(len(cells), dtype=bool)
    np.logical_or.at(somewhere_positive, owners, values > 0)
    inside = (values >= 0) & somewhere_positive[owners]
    # Slot 2 k holds corner k, slot 2 k + 1 the crossing between it and the next corner.
    slots = np.stack([cells.points, where], axis=1).reshape(-1, cells.points.shape[1])
    keep = np.stack([inside, crossing], axis=1).reshape(-1)
    counts = np.bincount(owners, weights=inside.astype(float) + crossing, minlength=len(cells)).astype(np.int64)
    return Cells(slots[keep], np.concatenate([[0], np.cumsum(counts)]))


def zero_segments(cells: Cells, values: FloatArray) -> FloatArray:
    """Where the cells' affine functions change sign or vanish along a side, (S, 2 ends, 2).

    A cell on which the function is 0 throughout contributes its sides.
    """
    owners = cells.owners()
    crossing, where = _crossings(cells, values)
    both = np.zeros((2, len(cells)), dtype=bool)
    np.logical_or.at(both[0], owners, values > 0)
    np.logical_or.at(both[1], owners, values < 0)
    changes = (both[0] & both[1])[owners]
    at_corner = changes & (values == 0)
    slots = np.stack([cells.points, where], axis=1).reshape(-1, cells.points.shape[1])
    hit = np.stack([at_corner, crossing], axis=1).reshape(-1)
    cell = np.repeat(owners, 2)[hit]
    ends = slots[hit]
    # A line meets the border of a convex cell twice; take the first and the last, whatever rounding did.
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    last = np.append(first[1:], len(cell))[: len(first)] - 1
    through = np.stack([ends[first], ends[last]], axis=1)
    flat = ~changes & (values == 0) & (values[cells.following()] == 0)
    along = np.stack([cells.points[flat], cells.points[cells.following()[flat]]], axis=1)
    return np.concatenate([through, along])


def _crossings(cells: Cells, values: FloatArray) -> tuple[BoolArray, FloatArray]:
    """For each corner and the next one: whether the sign changes strictly on the way, and where, as `points`."""
    following = cells.following()
    after = values[following]
    crossing = ((values > 0) & (after < 0)) | ((values < 0) & (after > 0))
    share = np.zeros(len(values))
    np.divide(values, values - after, out=share, where=crossing)
    where = cells.points + share[:, None] * (cells.points[following] - cells.points)
    return crossing, where
