"""Definitions of a linear region, counted over blocks that are let go.

A count by definition composes where what two blocks have in common lies on the border between
them.  Beside its count a block then keeps what its border needs.  Blocks are put together one
after the other, and what lies on borders of which both sides are known is let go:

- *activation* (Definition 1): regions, and patterns attained only at points or along segments.
  A pattern's points form a convex set, so if a face has the pattern of a vertex or an edge, so has
  one of the faces around it.  Patterns at the border that no face of the block has are
  candidates; those that no face on the other side has either are counted.  In memory that grows
  with the number of such patterns, of which generic networks have none.
- *open_connected* (4): linear regions that do not reach the border are counted; of the others
  the border's edges keep the pattern and a label, and labels are joined where the maps on both sides
  of an edge are equal.
- *affine* (6): distinct maps, one pattern each.  Equal maps may lie anywhere, so this takes
  memory in proportion to the number of maps: the pattern, and some 100 bytes per output in the end.

*proper_activation* (2) is the number of regions: patterns of different blocks differ.  The two
others do not compose.  The fewest *convex* cells (3) are a minimum over complexes of the whole
domain, and *closed_connected* regions (5) are joined by paths on which f equals a map of far away.

A block's border has names that its neighbours know: an edge's piece by the edge that was given to
the block and its rank on it, a vertex by its given number, or by the given edge it lies on.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geomrelu.affine import affine_maps
from geomrelu.analysis.definitions import lower_patterns
from geomrelu.analysis.linear_regions import distinct_maps, same_maps
from geomrelu.analysis.measures import State
from geomrelu.arrays import IntArray, WordArray, row_ids
from geomrelu.errors import InvariantError
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar.complex import PlanarComplex
from geomrelu.planar.cutter import Cutter

__all__ = ["NOT_COMPOSED", "STREAMED_DEFINITIONS", "Outline", "StreamedDefinition"]

# Definitions that cannot be counted over blocks, and why.
NOT_COMPOSED = {
    "convex": "the fewest convex cells are a minimum over complexes of the whole domain",
    "closed_connected": "closed regions are joined by paths through regions with other maps, anywhere in the domain",
}


class Outline(NamedTuple):
    """The border of a block to others, by names that they know.

    Attributes
    ----------
    n_vertices : int
        Vertices that were given to the block.
    edge : (E,) int64
        The given edge that an edge on the border is a piece of, -1 off the border.
    vertex : (V,) int64
        Of vertices on the border, a given one's number, or `n_vertices` plus that of the given edge it lies on;
        -1 off the border.
    """

    n_vertices: int
    edge: IntArray
    vertex: IntArray

    @classmethod
    def of(cls, cutter: Cutter) -> Outline:
        """The outline of the faces that there are."""
        mesh, n = cutter.faces.mesh, cutter.n_given_vertices
        edge, vertex = np.full(len(mesh.edges), -1, dtype=np.int64), np.full(len(mesh.xy), -1, dtype=np.int64)
        # The domain's own border has no other side.
        pieces = np.flatnonzero((mesh.edge_faces < 0).any(axis=1) & (mesh.edge_line >= 0))
        edge[pieces] = np.searchsorted(cutter.first_piece, pieces, side="right") - 1
        for ends in mesh.edges[pieces].T:
            vertex[ends] = np.where(ends < n, ends, n + edge[pieces])
        return cls(n, edge, vertex)


class StreamedDefinition(Protocol):
    """Counts linear regions in a block; an instance puts the blocks together that a block was split into."""

    def __init__(self, cutter: Cutter) -> None:
        """Of the block that was split."""

    @staticmethod
    def of_block(p: PlanarComplex, outline: Outline) -> State:
        """The value of a finished block."""

    def add(self, vertex_ids: IntArray, edge_ids: IntArray, state: State) -> None:
        """Put the next part to those before; its given vertices and edges have these numbers in the whole."""

    def state(self) -> State:
        """The value of all parts together."""

    @staticmethod
    def tell(network: Network, state: State) -> int:
        """The count, from the value of the whole domain."""


# ---------------------------------------------------------------------- activation


class _Activation:
    """Regions, and patterns that no region has.

    A value has `regions`, their number; `lower`, the patterns (k, words) of no region; the border's
    given `edges`; `places` and `candidates`, patterns at the border that no face of the block has;
    `border_places` and `border`, patterns of the faces that touch it.
    """

    def __init__(self, cutter: Cutter) -> None:
        self.outline, self.ends = Outline.of(cutter), cutter.faces.mesh.edges
        self.edge_places = _edge_places(self.outline)
        n_words = sum((width + 63) // 64 for width in cutter.network.widths)
        self.regions = 0
        self.open_edges, self.places, self.border_places = np.empty((3, 0), dtype=np.int64)
        self.lower, self.candidates, self.border = np.empty((3, 0, n_words), dtype=np.uint64)

    @staticmethod
    def of_block(p: PlanarComplex, outline: Outline) -> State:
        (edges, along), (vertices, there) = lower_patterns(p)
        given = np.concatenate([_edge_places(outline)[edges], outline.vertex[vertices]])
        words = np.concatenate([along, there])
        # Faces that touch the border, once for each vertex.
        touching = outline.vertex[p.face_vertices]
        faces = row_ids(p.face_offsets)[touching >= 0]
        return {
            "regions": np.array(p.n_regions),
            "lower": _distinct(words[given < 0]),
            "edges": np.unique(outline.edge[outline.edge >= 0]),
            "places": given[given >= 0],
            "candidates": words[given >= 0],
            "border_places": touching[touching >= 0],
            "border": p.patterns.words[faces],
        }

    def add(self, vertex_ids: IntArray, edge_ids: IntArray, state: State) -> None:
        # Here places are vertices of the whole, and behind them its edges.
        place = np.concatenate([vertex_ids, len(self.outline.vertex) + edge_ids])
        self.regions += int(state["regions"])
        self.lower = _distinct(np.concatenate([self.lower, state["lower"]]))
        # An edge that comes a second time is known from both sides.
        self.open_edges = np.setxor1d(self.open_edges, edge_ids[state["edges"]])
        self.places = np.concatenate([self.places, place[state["places"]]])
        self.candidates = np.concatenate([self.candidates, state["candidates"]])
        self.border_places = np.concatenate([self.border_places, place[state["border_places"]]])
        self.border = np.concatenate([self.border, state["border"]])
        self._settle()

    def _settle(self) -> None:
        """Drop candidates that a face has, and let go what is known from all sides."""
        free = ~np.isin(_keys(self.candidates), _keys(self.border))
        is_open = np.zeros(len(self.outline.vertex) + len(self.ends), dtype=bool)
        is_open[self.ends[self.open_edges]] = True
        is_open[len(self.outline.vertex) + self.open_edges] = True
        closed = free & ~is_open[self.places]
        if closed.any():
            self.lower = _distinct(np.concatenate([self.lower, self.candidates[closed]]))
        free &= ~closed
        self.places, self.candidates = self.places[free], self.candidates[free]
        kept = is_open[self.border_places]
        self.border_places, self.border = self.border_places[kept], self.border[kept]

    def state(self) -> State:
        outer = np.concatenate([self.outline.vertex, self.edge_places])
        _assert_border(self.outline.edge[self.open_edges])
        return {
            "regions": np.array(self.regions),
            "lower": self.lower,
            "edges": np.unique(self.outline.edge[self.open_edges]),
            "places": outer[self.places],
            "candidates": self.candidates,
            "border_places": outer[self.border_places],
            "border": self.border,
        }

    @staticmethod
    def tell(network: Network, state: State) -> int:
        return int(state["regions"]) + len(state["lower"])


def _edge_places(outline: Outline) -> IntArray:
    return np.where(outline.edge >= 0, outline.edge + outline.n_vertices, -1)


def _keys(words: WordArray) -> npt.NDArray[np.void]:
    return Patterns(words, (64,) * words.shape[1]).keys()


def _distinct(words: WordArray) -> WordArray:
    return words[np.unique(_keys(words), return_index=True)[1]]


def _assert_border(places: IntArray) -> None:
    if (places < 0).any():
        n = int((places < 0).sum())
        raise InvariantError("border", "blocks put together", f"{n} edges inside without another side", "none")


# ---------------------------------------------------------------------- open_connected


class _OpenConnected:
    """Linear regions by their labels.

    A value has `closed`, the number of regions that do not reach the border; and for the border's
    pieces their given `edges` and `ranks` on them, `labels` of the region and `words` of the face beside.
    """

    def __init__(self, cutter: Cutter) -> None:
        self.network, self.outline = cutter.network, Outline.of(cutter)
        self.closed = self.n_labels = 0
        self.edges, self.ranks, self.labels = np.empty((3, 0), dtype=np.int64)
        self.words = np.empty((0, sum((width + 63) // 64 for width in cutter.network.widths)), dtype=np.uint64)

    @staticmethod
    def of_block(p: PlanarComplex, outline: Outline) -> State:
        pieces = np.flatnonzero(outline.edge >= 0)
        faces = p.edge_faces[pieces].max(axis=1)
        labels, words = p.linear_region_labels[faces], p.patterns.words[faces]
        return _labelled(p.n_linear_regions, labels, outline.edge[pieces], pieces, words)

    def add(self, vertex_ids: IntArray, edge_ids: IntArray, state: State) -> None:
        self.closed += int(state["closed"])
        self.edges = np.concatenate([self.edges, edge_ids[state["edges"]]])
        self.ranks = np.concatenate([self.ranks, state["ranks"]])
        self.labels = np.concatenate([self.labels, state["labels"] + self.n_labels])
        self.n_labels += int(state["labels"].max(initial=-1)) + 1
        self.words = np.concatenate([self.words, state["words"]])
        self._join()

    def _join(self) -> None:
        """Join labels across the pieces that are there twice, and let these go."""
        order = np.lexsort((self.ranks, self.edges))
        pair = (np.diff(self.edges[order]) == 0) & (np.diff(self.ranks[order]) == 0)
        left, right = order[:-1][pair], order[1:][pair]
        equal = same_maps(self.network, self.words[left], self.words[right])
        a, b = self.labels[left[equal]], self.labels[right[equal]]
        graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(self.n_labels, self.n_labels))
        n, component = connected_components(graph.tocsr(), directed=False)
        kept = np.ones(len(self.edges), dtype=bool)
        kept[left] = kept[right] = False
        found, numbers = np.unique(component[self.labels[kept]], return_inverse=True)
        self.closed += int(n) - len(found)
        self.n_labels, self.labels = len(found), numbers.ravel().astype(np.int64)
        self.edges, self.ranks, self.words = self.edges[kept], self.ranks[kept], self.words[kept]

    def state(self) -> State:
        _assert_border(self.outline.edge[self.edges])
        # Along a given edge: pieces of its pieces, in order.
        place = np.empty(len(self.edges), dtype=np.int64)
        place[np.lexsort((self.ranks, self.edges))] = np.arange(len(self.edges))
        state = _labelled(self.n_labels, self.labels, self.outline.edge[self.edges], place, self.words)
        return {**state, "closed": state["closed"] + self.closed}

    @staticmethod
    def tell(network: Network, state: State) -> int:
        return int(state["closed"])


def _labelled(n: int, labels: IntArray, edges: IntArray, order: IntArray, words: WordArray) -> State:
    """The value, of n labels and the border's pieces: on given `edges`, in the order of the numbers `order`."""
    by_edge = np.lexsort((order, edges))
    edges, labels = edges[by_edge], labels[by_edge]
    found, numbers = np.unique(labels, return_inverse=True)
    return {
        "closed": np.array(n - len(found)),
        "edges": edges,
        "ranks": np.arange(len(edges)) - np.searchsorted(edges, edges),
        "labels": numbers.ravel().astype(np.int64),
        "words": words[by_edge],
    }


# ---------------------------------------------------------------------- affine


class _Affine:
    """Distinct maps: a value has `words`, a pattern of each, or several of some."""

    def __init__(self, cutter: Cutter) -> None:
        self.words: list[WordArray] = []

    @staticmethod
    def of_block(p: PlanarComplex, outline: Outline) -> State:
        first = np.unique(p._linear_regions.map_labels, return_index=True)[1]
        return {"words": p.patterns.words[first]}

    def add(self, vertex_ids: IntArray, edge_ids: IntArray, state: State) -> None:
        self.words.append(state["words"])

    def state(self) -> State:
        return {"words": np.concatenate(self.words)}

    @staticmethod
    def tell(network: Network, state: State) -> int:
        patterns = Patterns(state["words"], network.widths)
        return distinct_maps(network, patterns, affine_maps(network, patterns))[1]


STREAMED_DEFINITIONS: dict[str, type[StreamedDefinition]] = {
    "activation": _Activation,
    "open_connected": _OpenConnected,
    "affine": _Affine,
}
