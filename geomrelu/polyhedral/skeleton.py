"""The 1-skeleton that the n-D engine cuts: vertices with sign vectors, edges, and nothing else.

*Sign vectors.*  Forms are numbered by bits: the domain's facets first (positive inside), then the
neurons, each layer from a fresh word on, as in `patterns`.  A cell of the complex (of any
dimension) is the set of points of the domain with one sign vector over all forms; its closure
contains a vertex exactly if the vertex's signs agree with the cell's wherever they are not zero.
So cells need not be stored: a vertex has d zeros, an edge the union of its ends' signs and
d - 1 zeros, a 2-cell d - 2 zeros, a region none.

*Simple complexes.*  Each vertex has exactly d zeros because the biases are perturbed (`judge`): a
generic network is not changed by that, a degenerate one becomes a simple complex some of whose
cells are infinitely small; `limit` lets the perturbation go to zero.  Bits of ``null`` mark
signs that are zero without it.

*Errors.*  Each vertex carries bounds, by which most signs are certain; `bounds` in `planar`
derives them, with d lines through a vertex instead of two:

- ENTRY, ROW: of a value of the current layer's row, and of the row in the 2-norm, at the represented point;
- SIZE: largest magnitude in the row;
- WORST: the largest ENTRY of all layers so far: the residual of the forms that vanish at the vertex;
- RADIUS: distance of the represented from the true point;
- BLUR: distance of the stored coordinates from the represented point;
- RENEWED: 1 where RADIUS was made afresh from the vertex's d forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.errors import TooLargeError
from geomrelu.matrices import Matrix, is_sparse
from geomrelu.patterns import word_starts

__all__ = ["BLUR", "ENTRY", "N_ERRORS", "RADIUS", "RENEWED", "ROW", "SIZE", "WORST", "Cells", "Skeleton", "Words"]

ENTRY, ROW, SIZE, WORST, RADIUS, BLUR, RENEWED = range(7)
N_ERRORS = 7
_MOST_IDS = 2**31 - 2**10
# Arrays of fewer rows are doubled when they are full, larger ones grow by a quarter.
_SMALL = 1 << 16


class Cells(NamedTuple):
    """The growing arrays, as kernels see them."""

    xy: FloatArray  # (capacity, d) coordinates
    z: FloatArray  # (capacity, units) the current layer's preactivations
    positive: WordArray  # (capacity, words)
    negative: WordArray  # (capacity, words)
    null: WordArray  # (capacity, words) signs that are zero without the perturbation
    errors: FloatArray  # (capacity, N_ERRORS)
    ends: npt.NDArray[np.int32]  # (edge capacity, 2)
    distance: FloatArray  # (edge capacity,) bound on the distance of represented points from the edge's true line
    following: npt.NDArray[np.int32]  # (edge capacity,) next edge in the same bucket, -1 at its end
    heads: npt.NDArray[np.int32]  # (units,) first edge that a neuron is the next to cross
    counts: IntArray  # (units,) number of such edges


class Words:
    """Where forms stand in sign vectors: those of a box, of a polytope's rows, of each layer, each from a fresh word
    on.

    Parameters
    ----------
    n_box, n_rows : int
        Facets of the box around the domain, and rows of a polytope.
    widths : sequence of int
        Neurons in each hidden layer.
    """

    def __init__(self, n_box: int, n_rows: int, widths: Sequence[int]) -> None:
        self.n_box, self.n_rows = n_box, n_rows
        self.sizes = (n_box, n_rows, *widths)
        self.starts = word_starts(self.sizes)
        self.domain = self.starts[2]  # words of the domain's facets
        # Form of each bit: neurons from 0 on, facet k as -1 - k; no form is below -1 - n_facets.
        self.forms = np.full(64 * self.starts[-1], -2 - self.n_facets, dtype=np.int64)
        first = -self.n_facets
        for start, size in zip(self.starts[:-1], self.sizes, strict=True):
            ids = first + np.arange(size)
            self.forms[64 * start : 64 * start + size] = np.where(ids < 0, -1 - self.n_facets - ids, ids)
            first += size
        bits = np.packbits(self.forms > -2 - self.n_facets, bitorder="little")
        self._all: WordArray = bits.view("<u8").astype(np.uint64)

    @property
    def n_facets(self) -> int:
        """Facets of the domain, as far as they are known."""
        return self.n_box + self.n_rows

    @property
    def total(self) -> int:
        """Words in a sign vector."""
        return self.starts[-1]

    def valid(self, group: int, below: int | None = None) -> WordArray:
        """Bits of the groups before one, and of the forms below a number (all) in this one, (words,)."""
        end = 64 * self.starts[group] + (self.sizes[group] if below is None else below)
        words = self._all.copy()
        words[end // 64 :] &= np.uint64((1 << end % 64) - 1)
        words[end // 64 + 1 :] = 0
        return words


class Skeleton:
    """Growing arrays of vertices and edges, and how many of each are in use."""

    def __init__(self, dimension: int, words: Words) -> None:
        self.dimension = dimension
        self.words = words
        self.n_vertices = 0
        self.n_edges = 0
        self.cells = Cells(
            np.empty((0, dimension)),
            np.empty((0, 0)),
            np.zeros((0, words.total), dtype=np.uint64),
            np.zeros((0, words.total), dtype=np.uint64),
            np.zeros((0, words.total), dtype=np.uint64),
            np.zeros((0, N_ERRORS)),
            np.empty((0, 2), dtype=np.int32),
            np.empty(0),
            np.empty(0, dtype=np.int32),
            np.empty(0, dtype=np.int32),
            np.empty(0, dtype=np.int64),
        )

    def reserve(self, vertices: int, edges: int) -> None:
        """Make room for so many more."""
        if self.n_vertices + vertices > _MOST_IDS or self.n_edges + edges > _MOST_IDS:
            raise TooLargeError(
                f"partition: more than {_MOST_IDS} vertices or edges, which ids do not hold; take a smaller domain"
            )
        cells = self.cells
        for size, used, wanted, names in (
            (len(cells.xy), self.n_vertices, vertices, ("xy", "z", "positive", "negative", "null", "errors")),
            (len(cells.ends), self.n_edges, edges, ("ends", "distance", "following")),
        ):
            if used + wanted > size:
                capacity = max(used + wanted, size + (size if size < _SMALL else size // 4), 64)
                for name in names:
                    array = getattr(cells, name)
                    # In place: of large arrays the pages move, not what is in them.  No view outlives a step.
                    array.resize((capacity, *array.shape[1:]), refcheck=False)

    def start_layer(self, h: FloatArray, weight: Matrix, bias: FloatArray) -> FloatArray:
        """Take a layer's rows ``h @ weight.T + bias`` (V, units), which are returned, and empty buckets."""
        units, n = len(bias), self.n_vertices
        rows = np.empty((len(self.cells.xy), units))
        if is_sparse(weight):
            rows[:n] = h @ weight.T
        else:
            np.matmul(h, weight.T, out=rows[:n])
        rows[:n] += bias
        self.cells = self.cells._replace(
            z=rows, heads=np.full(units, -1, dtype=np.int32), counts=np.zeros(units, dtype=np.int64)
        )
        return rows[:n]

    def keep(self, chosen: BoolArray) -> None:
        """Keep the chosen vertices (V,), and the edges between them."""
        cells, vertices = self.cells, np.flatnonzero(chosen)
        ends = cells.ends[: self.n_edges]
        edges = np.flatnonzero(chosen[ends].all(axis=1))
        number = np.cumsum(chosen) - 1
        self.cells = cells._replace(
            **{k: getattr(cells, k)[vertices] for k in ("xy", "positive", "negative", "null", "errors")},
            ends=number[ends[edges]].astype(np.int32),
            distance=cells.distance[edges],
            following=np.empty(len(edges), dtype=np.int32),
            z=np.empty((len(vertices), 0)),
        )
        self.n_vertices, self.n_edges = len(vertices), len(edges)

    def trim(self) -> Cells:
        """Give back what is not in use, the rows included."""
        cells = self.cells._replace(z=np.empty((self.n_vertices, 0)))
        for used, names in (
            (self.n_vertices, ("xy", "positive", "negative", "null", "errors")),
            (self.n_edges, ("ends", "distance", "following")),
        ):
            for name in names:
                array = getattr(cells, name)
                array.resize((used, *array.shape[1:]), refcheck=False)
        self.cells = cells
        return cells

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(array.nbytes for array in self.cells)
