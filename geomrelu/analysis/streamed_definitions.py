"""Definitions of a linear region, counted over blocks that are let go.

A count by definition composes where what two blocks have in common lies on the border between
them.  Beside its count a block then keeps what its border needs, and once blocks are put
together only what lies on their common outline:

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

from collections.abc import Callable, Sequence
from typing import NamedTuple

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
from geomrelu.planar.run import Ids

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
        pieces = np.flatnonzero((mesh.edge_faces < 0).any(axis=1) & (cutter.faces.edge_line >= 0))
        edge[pieces] = np.searchsorted(cutter.first_piece, pieces, side="right") - 1
        for ends in mesh.edges[pieces].T:
            vertex[ends] = np.where(ends < n, ends, n + edge[pieces])
        return cls(n, edge, vertex)


class StreamedDefinition(NamedTuple):
    """How linear regions are counted in a block, in blocks that are put together, and in all."""

    of_block: Callable[[PlanarComplex, Outline], State]
    combine: Callable[[Network, Outline, Ids, Sequence[State]], State]
    tell: Callable[[Network, State], int]


# ---------------------------------------------------------------------- activation


def _activation(p: PlanarComplex, outline: Outline) -> State:
    (edges, along), (vertices, there) = lower_patterns(p)
    given = np.concatenate([_edge_places(outline)[edges], outline.vertex[vertices]])
    words = np.concatenate([along, there])
    # Faces that touch the border, once for each vertex.
    touching = outline.vertex[p.face_vertices]
    faces = row_ids(p.face_offsets)[touching >= 0]
    return _resolved(
        p.n_regions,
        words[given < 0],
        (given[given >= 0], words[given >= 0]),
        (touching[touching >= 0], p.patterns.words[faces]),
    )


def _edge_places(outline: Outline) -> IntArray:
    return np.where(outline.edge >= 0, outline.edge + outline.n_vertices, -1)


def _resolved(
    regions: int, lower: WordArray, candidates: tuple[IntArray, WordArray], border: tuple[IntArray, WordArray]
) -> State:
    """The value: candidates without those that a face has, and each of the lower patterns once."""
    places, words = candidates
    free = ~np.isin(_keys(words), _keys(border[1]))
    return {
        "regions": np.array(regions),
        "lower": lower[np.unique(_keys(lower), return_index=True)[1]],
        "places": places[free],
        "candidates": words[free],
        "border_places": border[0],
        "border": border[1],
    }


def _keys(words: WordArray) -> npt.NDArray[np.void]:
    return Patterns(words, (64,) * words.shape[1]).keys()


def _combine_activation(network: Network, outline: Outline, ids: Ids, states: Sequence[State]) -> State:
    outer, edge_places = [], _edge_places(outline)
    for (vertex_ids, edge_ids), state in zip(ids, states, strict=True):
        place = np.concatenate([outline.vertex[vertex_ids], edge_places[edge_ids]])
        outer.append((place[state["places"]], place[state["border_places"]]))
    places = np.concatenate([own for own, _ in outer])
    border_places = np.concatenate([border for _, border in outer])
    words, border = (np.concatenate([s[name] for s in states]) for name in ("candidates", "border"))
    free = ~np.isin(_keys(words), _keys(border))
    inside, outside = free & (places < 0), free & (places >= 0)
    return _resolved(
        sum(int(s["regions"]) for s in states),
        np.concatenate([*(s["lower"] for s in states), words[inside]]),
        (places[outside], words[outside]),
        (border_places[border_places >= 0], border[border_places >= 0]),
    )


def _tell_activation(network: Network, state: State) -> int:
    return int(state["regions"]) + len(state["lower"])


# ---------------------------------------------------------------------- open_connected


def _open_connected(p: PlanarComplex, outline: Outline) -> State:
    pieces = np.flatnonzero(outline.edge >= 0)
    faces = p.edge_faces[pieces].max(axis=1)
    edges = outline.edge[pieces]
    return _labelled(p.n_linear_regions, p.linear_region_labels[faces], edges, pieces, p.patterns.words[faces])


def _labelled(n: int, labels: IntArray, edges: IntArray, order: IntArray, words: WordArray) -> State:
    """The value: how many of n labels do not reach the border; of the others, the border's pieces.

    Pieces lie on given `edges`, in the order of the numbers `order`.
    """
    by_edge = np.lexsort((order, edges))
    edges, labels = edges[by_edge], labels[by_edge]
    found, numbers = np.unique(labels, return_inverse=True)
    first = np.searchsorted(edges, edges)
    return {
        "closed": np.array(n - len(found)),
        "edges": edges,
        "ranks": np.arange(len(edges)) - first,
        "labels": numbers.ravel().astype(np.int64),
        "words": words[by_edge],
    }


def _combine_open_connected(network: Network, outline: Outline, ids: Ids, states: Sequence[State]) -> State:
    sizes = [int(s["labels"].max(initial=-1)) + 1 for s in states]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    labels = np.concatenate([s["labels"] + start for s, start in zip(states, starts, strict=False)])
    edges = np.concatenate([edge_ids[s["edges"]] for (_, edge_ids), s in zip(ids, states, strict=True)])
    ranks, words = (np.concatenate([s[name] for s in states]) for name in ("ranks", "words"))
    order = np.lexsort((ranks, edges))
    pair = (np.diff(edges[order]) == 0) & (np.diff(ranks[order]) == 0)
    left, right = order[:-1][pair], order[1:][pair]
    equal = same_maps(network, words[left], words[right])
    a, b = labels[left[equal]], labels[right[equal]]
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(int(starts[-1]),) * 2)
    n, component = connected_components(graph.tocsr(), directed=False)
    outer = np.ones(len(edges), dtype=bool)
    outer[left] = outer[right] = False
    _assert_border(outline.edge[edges[outer]])
    # Along a given edge, pieces of its pieces in order.
    place = np.empty(len(edges), dtype=np.int64)
    place[order] = np.arange(len(edges))
    state = _labelled(
        int(n), component[labels[outer]].astype(np.int64), outline.edge[edges[outer]], place[outer], words[outer]
    )
    return {**state, "closed": state["closed"] + sum(int(s["closed"]) for s in states)}


def _assert_border(places: IntArray) -> None:
    if (places < 0).any():
        n = int((places < 0).sum())
        raise InvariantError("border", "blocks put together", f"{n} pieces inside without another side", "none")


def _tell_open_connected(network: Network, state: State) -> int:
    return int(state["closed"])


# ---------------------------------------------------------------------- affine


def _affine(p: PlanarComplex, outline: Outline) -> State:
    first = np.unique(p._linear_regions.map_labels, return_index=True)[1]
    return {"words": p.patterns.words[first]}


def _combine_affine(network: Network, outline: Outline, ids: Ids, states: Sequence[State]) -> State:
    return {"words": np.concatenate([s["words"] for s in states])}


def _tell_affine(network: Network, state: State) -> int:
    patterns = Patterns(state["words"], network.widths)
    return distinct_maps(network, patterns, affine_maps(network, patterns))[1]


STREAMED_DEFINITIONS: dict[str, StreamedDefinition] = {
    "activation": StreamedDefinition(_activation, _combine_activation, _tell_activation),
    "open_connected": StreamedDefinition(_open_connected, _combine_open_connected, _tell_open_connected),
    "affine": StreamedDefinition(_affine, _combine_affine, _tell_affine),
}
