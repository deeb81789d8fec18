"""Centroids and covariances of regions, by the recursion over cells that gives their volumes (`volumes`).

A cell C of dimension k is the union of the cones from its lowest vertex b over its facets F, whose shares in its
volume are those of |z_j(b)| nu(F).  For a point x = b + t (y - b) drawn uniformly from the cone over F, y is uniform
in F and t has the density k t^(k-1), so with means over F

    mean of x - b               = k / (k + 1)  (mean of y - b),
    mean of (x - b) (x - b)^T   = k / (k + 2)  (mean of (y - b) (y - b)^T).

Float64; shares are positive, so means are convex combinations of vertices, each as exact as these and the shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, lean
from geomrelu.errors import InvariantError
from geomrelu.planar.bits import lowest_bit
from geomrelu.polyhedral.hashing import word_hash
from geomrelu.polyhedral.simple import SimpleComplex
from geomrelu.polyhedral.volumes import _batches, _cell_key, _cell_row, _cells, fill_cells

__all__ = ["CellMoments", "cell_moments"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_SEED = np.uint64(7)


class CellMoments(NamedTuple):
    """Of the cells of one dimension; those of dimension d are in the order of the regions.

    Attributes
    ----------
    lowest, released : (C,)
        Lowest vertices, and which of their zeros are not zero on the cell; see `volumes.list_cells`.
    signs : (C,)
    measures : (C,) float64
        nu, the volume over that which the gradients of the forms that are zero on the cell span.
    means : (C, d) float64
    covariances : (C, d (d + 1) / 2) float64
        Of a point drawn uniformly from each cell, i <= j, row by row; empty if not asked for.
    """

    lowest: npt.NDArray[np.int32]
    released: npt.NDArray[np.uint16]
    signs: npt.NDArray[np.uint16]
    measures: FloatArray
    means: FloatArray
    covariances: FloatArray


@lean
def gather(
    positive: WordArray, negative: WordArray, null: WordArray, valid: WordArray, n_domain: int,
    rising: npt.NDArray[np.uint16], lowest: npt.NDArray[np.int32], released: npt.NDArray[np.uint16],
    signs: npt.NDArray[np.uint16], nu: FloatArray, means: FloatArray, covariances: FloatArray, columns: IntArray,
    values: FloatArray, coordinates: FloatArray, row: WordArray, table: WordArray,
    above_lowest: npt.NDArray[np.int32], above: FloatArray, first: FloatArray, second: FloatArray,
) -> bool:  # fmt: skip
    """Add the shares of cells in those of the next dimension, as `volumes.gather`, and their moments about b."""
    mask = np.uint64(len(table) - 1)
    d = coordinates.shape[1]
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
                        if null[b, w] & own != _ZERO:
                            continue
                        share = abs(values[b, columns[w] + lowest_bit(own)]) * nu[c]
                        above[larger] += share
                        place = 0
                        for i in range(d):
                            off = means[c, i] - coordinates[b, i]
                            first[larger, i] += share * off
                            for j in range(i, d if second.shape[1] > 0 else i):
                                both = covariances[c, place] + off * (means[c, j] - coordinates[b, j])
                                second[larger, place] += share * both
                                place += 1
                slot += 1
    return True


def cell_moments(
    simple: SimpleComplex, null: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Callable[[], Iterator[FloatArray]], coordinates: FloatArray, dimension: int, covariances: bool,
) -> CellMoments:  # fmt: skip
    """Measures, means and, if asked for, covariances of the cells of one dimension.

    Parameters
    ----------
    simple, null, determinants, starts, values
        As in `volumes.region_volumes`.
    coordinates : (V, d)
        In any unit along each axis.
    dimension : int
    covariances : bool
        The number of floats kept for each cell of two dimensions at a time grows by them from d + 1 by d (d + 1) / 2.
    """
    d = simple.dimension
    i, j = np.triu_indices(d)
    cells = _cells(simple, 0)
    with np.errstate(divide="ignore"):
        nu = 1.0 / determinants
    means = np.ascontiguousarray(coordinates[cells[0]])
    spread = np.zeros((len(nu), len(i) if covariances else 0))
    row = np.empty((2, len(simple.valid)), dtype=np.uint64)
    for k in range(1, dimension + 1):
        above = _cells(simple, k)
        table = np.zeros((1 << int(3 * len(above[0]) // 2).bit_length(), 2), dtype=np.uint64)
        if not fill_cells(simple.positive, simple.negative, simple.valid, *above, row, table):
            raise InvariantError("cells", f"dimension {k}", "two cells with one hash of signs", "different ones")
        total, first = np.zeros(len(above[0])), np.zeros((len(above[0]), d))
        second = np.zeros((len(above[0]), spread.shape[1]))
        for columns, own in _batches(starts, values()):
            found = gather(
                simple.positive, simple.negative, null, simple.valid, simple.n_domain, simple.rising, *cells, nu,
                means, spread, columns, own, coordinates, row, table, above[0], total, first, second,
            )  # fmt: skip
            if not found:
                raise InvariantError("cells", f"dimension {k}", "a cell that is missing", "a cell on each side")
        shares = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)[:, None]
        off = first * shares * (k / (k + 1))
        means = coordinates[above[0]] + off
        spread = second
        if covariances:
            spread = second * shares * (k / (k + 2)) - off[:, i] * off[:, j]
        nu, cells = total / k, above
    # Rounding leaves cells that are flat along an axis a variance that may be below 0.
    squares = np.flatnonzero(i == j)
    if covariances:
        spread[:, squares] = np.maximum(spread[:, squares], 0.0)
    return CellMoments(*cells, nu, means, spread)
