"""Volumes of regions, by recursion over the cells of all dimensions, each of which is met once.

For a cell C of dimension k with zero set Z let nu(C) = vol(C) / W(Z), W(Z) the volume spanned by the gradients of its
forms.  With b the lowest vertex of C, Lasserre's formula (J. B. Lasserre, J. Optim. Theory Appl. 39, 1983) says

    nu(C) = 1/k  sum over facets F of C of |z_j(b)| nu(F),

j the form that is zero on F and not on C, z_j its value at b: the norms of gradients cancel.  It starts with
nu = 1 / |det G| at a vertex, G the gradients of its d forms (`rows`), and ends with nu = vol at a region.  Facets
through b count for nothing.  W does not depend on the side of a zero set on which gradients are taken: beyond it they
change by multiples of the gradients of forms that come before.

It goes by convex blocks of the complex (`blocks`), whose cells the processor's caches hold (`faces`).

Float64; all terms are positive, so nothing cancels: a relative error of a region's volume is that of the determinants
at its vertices and of the values z_j(b), whose absolute error is that of one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, lean
from geomrelu.errors import InvariantError
from geomrelu.planar.bits import lowest_bit
from geomrelu.polyhedral.blocks import block_sides, dividing_form
from geomrelu.polyhedral.faces import CellList, SimpleBlock, cell_table, cells_of, sign_codes, simple_block
from geomrelu.polyhedral.simple import SimpleComplex, count_cells

__all__ = ["region_volumes", "value_columns"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
# Vertices of a block: of fewer, more is shared between blocks.
_BLOCK_VERTICES = 10_000


@lean
def gather(
    block: SimpleBlock, codes: WordArray, cells: CellList, nu: FloatArray, columns: IntArray, values: FloatArray,
    table: WordArray, larger: FloatArray,
) -> bool:  # fmt: skip
    """Add the shares of cells in those of the next dimension.

    ``values[:, columns[w] + k]`` is the value of the form of word w and bit k at the vertices.  False if a
    cell of the next dimension is missing.
    """
    mask, plain = np.uint64(len(table) - 1), len(block.null) == 0
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
                b = table[at, 1] >> _HALF
                w, k = bit // 64, bit % 64
                if plain or block.null[b, w] >> np.uint64(k) & _ONE == _ZERO:
                    larger[(table[at, 1] & _LOW) - _ONE] += abs(values[b, columns[w] + k]) * nu[c]
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
        Vertices of a block at most; the volumes are the same, but for rounding.
    """
    most = block_vertices or max(_BLOCK_VERTICES, 8 << simple.dimension)
    _, own = count_cells(simple.rising, simple.dimension)
    first = np.cumsum(own) - own
    volumes = np.empty(len(simple.patterns))
    codes = sign_codes(simple)
    waiting = [(np.arange(len(simple.positive)), simple.positive, simple.negative, simple.sides)]
    while waiting:
        vertices, positive, negative, sides = waiting.pop()
        bit = dividing_form(positive, negative, starts, simple.valid) if len(vertices) > most else -1
        if bit >= 0:
            word, form = bit // 64, _ONE << np.uint64(bit % 64)
            for opposite, side in zip((positive, negative), reversed(block_sides(sides, bit)), strict=True):
                chosen = np.flatnonzero(opposite[:, word] & form == _ZERO)
                waiting.append((vertices[chosen], positive[chosen], negative[chosen], side))
            continue
        block = simple_block(simple, null, vertices, positive, negative, sides, codes)
        nu, cells = _block_volumes(block, codes, determinants[vertices], starts, values(vertices))
        scatter(vertices, cells.lowest, cells.signs, simple.rising, first, nu, volumes)
    return volumes


def _block_volumes(
    block: SimpleBlock, codes: WordArray, determinants: FloatArray, starts: tuple[int, ...],
    values: Iterator[FloatArray],
) -> tuple[FloatArray, CellList]:  # fmt: skip
    """Volumes of a block's regions, and the cells that they are."""
    columns, value = value_columns(starts, values)
    cells = cells_of(block, codes, 0)
    with np.errstate(divide="ignore"):
        nu = 1.0 / determinants
    for k in range(1, block.zeros.shape[1] + 1):
        larger = cells_of(block, codes, k)
        total = np.zeros(len(larger.keys))
        if not gather(block, codes, cells, nu, columns, value, cell_table(larger), total):
            raise InvariantError("cells", f"dimension {k}", "a cell that is missing", "a cell on each side")
        total /= k
        nu, cells = total, larger
    return nu, cells


def value_columns(starts: tuple[int, ...], values: Iterator[FloatArray]) -> tuple[IntArray, FloatArray]:
    """First columns of words (see `gather`), and the values of all forms."""
    columns, width, parts = np.zeros(starts[-1], dtype=np.int64), 0, list(values)
    for first, stop, own in zip(starts[:-1], starts[1:], parts, strict=True):
        columns[first:stop] = width + 64 * np.arange(stop - first)
        width += own.shape[1]
    return columns, np.concatenate(parts, axis=1)
