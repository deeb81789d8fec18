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

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, lean
from geomrelu.errors import TooLargeError
from geomrelu.matrices import Matrix, is_sparse
from geomrelu.patterns import word_starts
from geomrelu.planar.pool import thread_pool

__all__ = [
    "BLUR", "ENTRY", "N_ERRORS", "RADIUS", "RENEWED", "ROW", "SIZE", "WORST", "Cells", "Skeleton", "Words", "check_ids",
    "empty_cells", "part_of",
]  # fmt: skip

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


def check_ids(vertices: int, edges: int) -> None:
    """Raise TooLargeError if ids do not hold so many."""
    if max(vertices, edges) > _MOST_IDS:
        raise TooLargeError(
            f"partition: more than {_MOST_IDS} vertices or edges, which ids do not hold; take a smaller domain, or "
            "gr.count_regions"
        )


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

    def sides(self, n_domain: int | None = None) -> WordArray:
        """Signs that forms may take: bits of those that may be positive and negative, (2, words).

        The first `n_domain` words (by default the domain's) are facets', positive inside.
        """
        sides = np.stack([self._all, self._all])
        sides[1, : self.domain if n_domain is None else n_domain] = 0
        return sides

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
        # Memory of rows: the current layer's, and that of the next or the one before.
        self._rows = [np.empty(0), np.empty(0)]
        self.cells = empty_cells(dimension, words.total, 0, 0, 0)

    def reserve(self, vertices: int, edges: int) -> None:
        """Make room for so many more."""
        check_ids(self.n_vertices + vertices, self.n_edges + edges)
        for size, used, wanted, names in (
            (len(self.cells.xy), self.n_vertices, vertices, _OF_VERTICES),
            (len(self.cells.ends), self.n_edges, edges, _OF_EDGES),
        ):
            if used + wanted > size:
                capacity = max(used + wanted, size + (size if size < _SMALL else size // 4), 64)
                for name in names:
                    array = getattr(self.cells, name)
                    # In place: of large arrays the pages move, not what is in them.  No view outlives a step.
                    array.resize((capacity, *array.shape[1:]), refcheck=False)
        if len(self.cells.z) < len(self.cells.xy):
            self.cells = self.cells._replace(z=self._rows_of(0, self.cells.z.shape[1]))

    def _rows_of(self, which: int, units: int) -> FloatArray:
        """A memory of rows as an array (capacity, units)."""
        flat, size = self._rows[which], len(self.cells.xy) * units
        if len(flat) < size:
            flat.resize(size, refcheck=False)
        return flat[:size].reshape(-1, units) if units else np.empty((len(self.cells.xy), 0))

    def start_layer(self, h: FloatArray, weight: Matrix, bias: FloatArray) -> FloatArray:
        """Take a layer's rows ``h @ weight.T + bias`` (V, units), which are returned, and empty buckets."""
        units, n = len(bias), self.n_vertices
        # `h` may lie in the memory of the layer before.
        rows = self._rows_of(1, units)
        if is_sparse(weight):
            rows[:n] = h @ weight.T
        else:
            np.matmul(h, weight.T, out=rows[:n])
        rows[:n] += bias
        self._rows.reverse()
        self.cells = self.cells._replace(z=rows)
        self.empty_buckets()
        return rows[:n]

    def empty_buckets(self) -> None:
        """No edge waits for a neuron of the current layer."""
        units = self.cells.z.shape[1]
        self.cells = self.cells._replace(
            heads=np.full(units, -1, dtype=np.int32), counts=np.zeros(units, dtype=np.int64)
        )

    def keep(self, chosen: BoolArray) -> None:
        """Keep the chosen vertices (V,), and the edges between them; buckets are empty."""
        used, number = self.used(), np.empty(len(chosen), dtype=np.int32)
        self.n_vertices, self.n_edges = number_chosen(used.ends, chosen, number)
        copy_chosen(used, number, used)
        self.empty_buckets()

    def take(self, block: Cells) -> None:
        """Hold a block, all of whose entries are in use, instead of what was held."""
        n, e, units = len(block.xy), len(block.ends), block.z.shape[1]
        self.n_vertices, self.n_edges = 0, 0
        self.reserve(n, e)
        self.cells = self.cells._replace(z=self._rows_of(0, units))
        for name in (*_OF_VERTICES, "z", "ends", "distance"):
            own = getattr(block, name)
            getattr(self.cells, name)[: len(own)] = own
        self.n_vertices, self.n_edges = n, e
        self.empty_buckets()

    def used(self) -> Cells:
        """Views of what is in use."""
        cells, n, e = self.cells, self.n_vertices, self.n_edges
        own = {name: getattr(cells, name)[:n] for name in (*_OF_VERTICES, "z")}
        return cells._replace(**own, **{name: getattr(cells, name)[:e] for name in _OF_EDGES})

    def trim(self) -> Cells:
        """Give back what is not in use, the rows included."""
        self._rows = [np.empty(0), np.empty(0)]
        self.cells = self.cells._replace(z=np.empty((self.n_vertices, 0)))
        for used, names in ((self.n_vertices, _OF_VERTICES), (self.n_edges, _OF_EDGES)):
            for name in names:
                array = getattr(self.cells, name)
                array.resize((used, *array.shape[1:]), refcheck=False)
        return self.cells

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(array.nbytes for array in self.cells) + self._rows[1].nbytes


_OF_VERTICES = ("xy", "positive", "negative", "null", "errors")
_OF_EDGES = ("ends", "distance", "following")


def empty_cells(d: int, n_words: int, n_vertices: int, n_edges: int, units: int) -> Cells:
    """Arrays of unspecified content."""
    empty = thread_pool().empty
    return Cells(
        empty((n_vertices, d)),
        empty((n_vertices, units)),
        empty((n_vertices, n_words), np.uint64),
        empty((n_vertices, n_words), np.uint64),
        empty((n_vertices, n_words), np.uint64),
        empty((n_vertices, N_ERRORS)),
        empty((n_edges, 2), np.int32),
        empty(n_edges),
        empty(n_edges, np.int32),
        empty(0, np.int32),
        empty(0, np.int64),
    )


@lean
def number_chosen(ends: npt.NDArray[np.int32], chosen: BoolArray, number: npt.NDArray[np.int32]) -> tuple[int, int]:
    """New numbers of the chosen vertices, (V,), -1 of others; how many vertices and edges between them there are."""
    vertices, edges = 0, 0
    for v in range(len(chosen)):
        number[v] = vertices if chosen[v] else -1
        vertices += chosen[v]
    for e in range(len(ends)):
        edges += chosen[ends[e, 0]] and chosen[ends[e, 1]]
    return vertices, edges


@lean
def copy_chosen(cells: Cells, number: npt.NDArray[np.int32], out: Cells) -> None:
    """The chosen vertices and the edges between them; `out` may be `cells`."""
    units = cells.z.shape[1]
    for v in range(len(number)):
        k = number[v]
        if k < 0:
            continue
        for i in range(cells.xy.shape[1]):
            out.xy[k, i] = cells.xy[v, i]
        for j in range(units):
            out.z[k, j] = cells.z[v, j]
        for w in range(cells.positive.shape[1]):
            out.positive[k, w] = cells.positive[v, w]
            out.negative[k, w] = cells.negative[v, w]
            out.null[k, w] = cells.null[v, w]
        for i in range(cells.errors.shape[1]):
            out.errors[k, i] = cells.errors[v, i]
    found = 0
    for e in range(len(cells.ends)):
        a, b = number[cells.ends[e, 0]], number[cells.ends[e, 1]]
        if a >= 0 and b >= 0:
            out.ends[found, 0], out.ends[found, 1] = a, b
            out.distance[found] = cells.distance[e]
            found += 1


def part_of(used: Cells, chosen: BoolArray) -> Cells:
    """The chosen vertices (V,), and the edges between them."""
    number = np.empty(len(chosen), dtype=np.int32)
    vertices, edges = number_chosen(used.ends, chosen, number)
    out = empty_cells(used.xy.shape[1], used.positive.shape[1], vertices, edges, used.z.shape[1])
    copy_chosen(used, number, out)
    return out
