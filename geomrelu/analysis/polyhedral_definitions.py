"""The six things that are called a linear region, counted in d dimensions; see `definitions`.

Three are the partition's own: proper activation, open connected and affine.  Activation regions in the wide sense are
patterns attained anywhere: in a generic network each has a region, in a degenerate one lower cells may have
patterns of their own.  Of convex and closed connected regions the chain of the definitions gives bounds, which agree
where no two regions share their map::

    proper_activation >= convex >= open_connected >= closed_connected >= affine
"""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import IntArray, WordArray
from geomrelu.polyhedral.rows import vanishing

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["count_attained", "count_bounds"]


def count_bounds(p: PolyhedralComplex, definition: str) -> tuple[int, int]:
    """Least and most there can be by one of the definitions; equal where it is decided."""
    if definition == "activation":
        return (count_attained(p),) * 2
    chain = (p.n_regions, p.n_linear_regions, p.n_affine_pieces)
    lower, upper = {
        "proper_activation": (0, 0), "convex": (1, 0), "open_connected": (1, 1), "closed_connected": (2, 1),
        "affine": (2, 2),
    }[definition]  # fmt: skip
    return chain[lower], chain[upper]


def count_attained(p: PolyhedralComplex) -> int:
    """Activation patterns attained anywhere in the closed domain; exact.

    A cell of the perturbed, simple complex (`polyhedral.judge`) tends to a cell of the true one, on which a neuron is
    positive if it is so at one of the vertices.  All cells around each vertex are listed, 3^d at most, and those with
    one sign vector are put together.

    Examples
    --------
    The neurons x and -x are both inactive where x = 0, and nowhere else:

    >>> import geomrelu as gr
    >>> f = gr.Network([[[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], [[1.0, 2.0]]])
    >>> p = gr.partition(f, gr.Box([-1] * 3, [1] * 3))
    >>> p.count("activation"), p.count("proper_activation")
    (3, 2)
    """
    own, d = p.skeletal, p.dimension
    simple = own.simple
    if own.limit is None or p.network.n_neurons == 0:
        return p.n_regions
    vertices = np.arange(len(simple.positive))
    zeros = vanishing(simple.positive, simple.negative, vertices, simple.valid, d)
    attained = [np.empty((0, simple.patterns.shape[1]), dtype=np.uint64)]
    for released in range(d + 1):
        keys, positive = _cells_of(simple.positive, simple.negative, own.null, zeros, simple.n_domain, released)
        _, cell = np.unique(keys, return_inverse=True)
        order = np.argsort(cell.ravel(), kind="stable")
        starts = np.flatnonzero(np.diff(cell.ravel()[order], prepend=-1))
        attained.append(np.unique(np.bitwise_or.reduceat(positive[order], starts, axis=0), axis=0))
    return len(np.unique(np.concatenate(attained), axis=0))


def _cells_of(
    positive: WordArray, negative: WordArray, null: WordArray, zeros: IntArray, n_domain: int, released: int
) -> tuple[np.ndarray, WordArray]:
    """Cells around vertices on which so many of their zeros take signs: keys (N,), and the neurons that are truly
    positive at the vertex (N, words)."""
    rows = np.arange(len(positive))
    keys, found = [], []
    for chosen in combinations(range(zeros.shape[1]), released):
        for signs in product((0, 1), repeat=released):
            # Beyond a facet of the domain there is nothing.
            inside = np.ones(len(rows), dtype=bool)
            both = np.stack([positive, negative], axis=1)
            for slot, sign in zip(chosen, signs, strict=True):
                word, bit = zeros[:, slot] // 64, np.uint64(1) << (zeros[:, slot] % 64).astype(np.uint64)
                both[rows, sign, word] |= bit
                inside &= (word >= n_domain) | (sign == 0)
            signed = np.ascontiguousarray(both[inside].reshape(-1, 2 * positive.shape[1]))
            keys.append(signed.view(f"V{8 * signed.shape[1]}").ravel())
            found.append((positive & ~null)[inside, n_domain:])
    return np.concatenate(keys), np.concatenate(found)
