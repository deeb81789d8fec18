"""The recursion over cells that gives the regions' volumes (`volumes`), and with them centroids and covariances.

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
from geomrelu.polyhedral.faces import CellList, SimpleBlock, cell_table, cells_of, sign_codes, simple_block
from geomrelu.polyhedral.simple import SimpleComplex

__all__ = ["CellMoments", "block_moments", "cell_moments"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


class CellMoments(NamedTuple):
    """Of the cells of one dimension; those of dimension d are in the order of the regions.

    Attributes
    ----------
    lowest, released : (C,)
        Lowest vertices, and which of their zeros are not zero on the cell; see `faces.CellList`.
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
    block: SimpleBlock, codes: WordArray, cells: CellList, nu: FloatArray, means: FloatArray, covariances: FloatArray,
    columns: IntArray, values: FloatArray, coordinates: FloatArray, table: WordArray, larger: FloatArray,
    first: FloatArray, second: FloatArray,
) -> bool:  # fmt: skip
    """Add the shares of cells in those of the next dimension, and their moments about b.

    ``values[:, columns[w] + k]`` is the value of the form of word w and bit k at the vertices.  False if a
    cell of the next dimension is missing.
    """
    mask, plain = np.uint64(len(table) - 1), len(block.null) == 0
    d = coordinates.shape[1]
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
                b, found = table[at, 1] >> _HALF, (table[at, 1] & _LOW) - _ONE
                w, k = bit // 64, bit % 64
                if not plain and block.null[b, w] >> np.uint64(k) & _ONE != _ZERO:
                    continue
                share = abs(values[b, columns[w] + k]) * nu[c]
                larger[found] += share
                place = 0
                for i in range(d):
                    off = means[c, i] - coordinates[b, i]
                    first[found, i] += share * off
                    for j in range(i, d if second.shape[1] > 0 else i):
                        both = covariances[c, place] + off * (means[c, j] - coordinates[b, j])
                        second[found, place] += share * both
                        place += 1
    return True


def block_moments(
    block: SimpleBlock, codes: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Iterator[FloatArray], coordinates: FloatArray, dimension: int | None = None, covariances: bool = False,
) -> CellMoments:  # fmt: skip
    """Measures, means and, if asked for, covariances of a block's cells of one dimension, by default the regions.

    Parameters
    ----------
    block : SimpleBlock
    codes : (bits, 2) uint64
        See `faces.sign_codes`.
    determinants : (V,)
        |det G| at the block's vertices.
    starts : tuple of int
        First word of each group of forms, and the end.
    values : iterator
        The values of each group's forms at the vertices, (V, forms).
    coordinates : (V, m)
        In any unit along each axis; of none, m = 0, there are measures alone.
    """
    m = coordinates.shape[1]
    i, j = np.triu_indices(m)
    columns, value = _value_columns(starts, values)
    cells = cells_of(block, codes, 0)
    with np.errstate(divide="ignore"):
        nu = 1.0 / determinants
    means = np.ascontiguousarray(coordinates[cells.lowest])
    spread = np.zeros((len(nu), len(i) if covariances else 0))
    for k in range(1, (block.zeros.shape[1] if dimension is None else dimension) + 1):
        larger = cells_of(block, codes, k)
        total, first = np.zeros(len(larger.keys)), np.zeros((len(larger.keys), m))
        second = np.zeros((len(larger.keys), spread.shape[1]))
        if not gather(
            block, codes, cells, nu, means, spread, columns, value, coordinates, cell_table(larger), total, first,
            second,
        ):  # fmt: skip
            raise InvariantError("cells", f"dimension {k}", "a cell that is missing", "a cell on each side")
        shares = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)[:, None]
        off = first * shares * (k / (k + 1))
        means = coordinates[larger.lowest] + off
        spread = second * shares * (k / (k + 2)) - off[:, i] * off[:, j] if covariances else second
        nu, cells = total / k, larger
    # Rounding leaves cells that are flat along an axis a variance that may be below 0.
    squares = np.flatnonzero(i == j)
    if covariances:
        spread[:, squares] = np.maximum(spread[:, squares], 0.0)
    return CellMoments(cells.lowest, cells.released, cells.signs, nu, means, spread)


def cell_moments(
    simple: SimpleComplex, null: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Callable[[IntArray], Iterator[FloatArray]], coordinates: FloatArray, dimension: int, covariances: bool,
) -> CellMoments:  # fmt: skip
    """`block_moments` of the whole complex.

    Parameters
    ----------
    simple, null, determinants, starts, values
        As in `volumes.region_volumes`.
    coordinates, dimension
        As in `block_moments`.
    covariances : bool
        The number of floats kept for each cell of two dimensions at a time grows by them from d + 1 by d (d + 1) / 2.
    """
    every, codes = np.arange(len(simple.positive)), sign_codes(simple)
    block = simple_block(simple, null, every, simple.positive, simple.negative, simple.sides, codes)
    return block_moments(block, codes, determinants, starts, values(every), coordinates, dimension, covariances)


def _value_columns(starts: tuple[int, ...], values: Iterator[FloatArray]) -> tuple[IntArray, FloatArray]:
    """First columns of words (see `gather`), and the values of all forms."""
    columns, width, parts = np.zeros(starts[-1], dtype=np.int64), 0, list(values)
    for first, stop, own in zip(starts[:-1], starts[1:], parts, strict=True):
        columns[first:stop] = width + 64 * np.arange(stop - first)
        width += own.shape[1]
    return columns, np.concatenate(parts, axis=1)
