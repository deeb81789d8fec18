"""Volumes of regions, by recursion over the cells of all dimensions, each of which is met once.

For a cell C of dimension k with zero set Z let nu(C) = vol(C) / W(Z), W(Z) the volume spanned by the gradients of its
forms.  With b the lowest vertex of C, Lasserre's formula (J. B. Lasserre, J. Optim. Theory Appl. 39, 1983) says

    nu(C) = 1/k  sum over facets F of C of |z_j(b)| nu(F),

j the form that is zero on F and not on C, z_j its value at b: the norms of gradients cancel.  It starts with
nu = 1 / |det G| at a vertex, G the gradients of its d forms (`rows`), and ends with nu = vol at a region.  Facets
through b count for nothing.  W does not depend on the side of a zero set on which gradients are taken: beyond it they
change by multiples of the gradients of forms that come before.

It goes by convex blocks of the complex (`blocks`), whose cells the processor's caches hold (`faces`); the recursion
itself is in `moments`.

Float64; all terms are positive, so nothing cancels: a relative error of a region's volume is that of the determinants
at its vertices and of the values z_j(b), whose absolute error is that of one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, lean
from geomrelu.polyhedral.blocks import block_sides, dividing_form
from geomrelu.polyhedral.faces import sign_codes, simple_block
from geomrelu.polyhedral.moments import block_moments
from geomrelu.polyhedral.simple import SimpleComplex, count_cells

__all__ = ["region_volumes"]

_ONE, _ZERO = np.uint64(1), np.uint64(0)
# Vertices of a block: of fewer, more is shared between blocks.
_BLOCK_VERTICES = 10_000


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
        # Of vertices without coordinates there are measures alone.
        nowhere = np.empty((len(vertices), 0))
        found = block_moments(block, codes, determinants[vertices], starts, values(vertices), nowhere)
        scatter(vertices, found.lowest, found.signs, simple.rising, first, found.measures, volumes)
    return volumes
