"""The decision boundary of a network in d dimensions as polytopes of dimension d - 1, and the classes' regions.

The domain is partitioned once more, by neurons that are zero where an output ties with the largest of those before
it (`added_neurons.with_contest`), so the class is one on each region.  Signs at the vertices tell, exactly, which
outputs are the largest there; an output that is so at all vertices of a cell is so all over it.  The boundary is
made of the facets on which two outputs are the largest.

*Pieces.*  Zero sets of the added neurons also lie where outputs tie that are not the largest of all.  They cut the
boundary more finely than it is: facets in one region of the network (or in one facet of it) with the same two classes
are put together.  Of their vertices one counts if it is a vertex of the piece: if the gradients of what is tight
for the piece there (forms that are zero, differences of largest outputs) span the space.  In a generic network a vertex
of a tie among others never does; in a degenerate one their rank is computed in integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import flint
import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, ReadOnly, frozen, lean, row_ids
from geomrelu.errors import InputError
from geomrelu.exact import ExactForms
from geomrelu.patterns import Patterns
from geomrelu.polyhedral.added_neurons import with_contest
from geomrelu.polyhedral.rings import face_towards, facet_rings
from geomrelu.polyhedral.rows import ExactRows

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["ClassVolumes", "Contest", "PolyhedralBoundary", "class_volumes", "contest", "decision_boundary"]


@dataclass(frozen=True, eq=False, repr=False)
class PolyhedralBoundary(ReadOnly):
    """Where two classes tie for the largest output: convex polytopes of dimension d - 1, as flat arrays.

    Which pieces there are, with which vertices, between which classes and in which regions is exact.

    Attributes
    ----------
    vertices : (V, d) float64
    vertex_errors : (V,) float64
        Bounds on the vertices' distances from their true points.
    offsets, corners : (P + 1,), (C,) int64
        Piece k has the vertices ``corners[offsets[k] : offsets[k + 1]]``: in 3 dimensions around it, counter-clockwise
        as seen from where the second class wins; else ascending.
    classes : (P, 2) int64
        The two classes, the lower one first.  Of a tie that only touches, with one class on both sides: the two
        lowest that tie.
    region : (P,) int64
        The region of the partition that a piece lies in; of one along a facet a region beside it.
    tied : (T, 3) int64
        Region and two classes that tie all over it, or (only where three or more classes meet in it) all over a part
        of it.  Of such sets the pieces are the rims; the lowest class counts as the winner.
    partition : PolyhedralComplex
        The partition that also has the ties, of which pieces are made.
    facets, facet_piece : (F,), (F,) int64
        Facets of it, and the piece that each is a part of.
    """

    vertices: FloatArray
    vertex_errors: FloatArray
    offsets: IntArray
    corners: IntArray
    classes: IntArray
    region: IntArray
    tied: IntArray
    partition: PolyhedralComplex
    facets: IntArray
    facet_piece: IntArray

    @property
    def n_pieces(self) -> int:
        """Number of pieces, each in one region or in one facet between two; exact."""
        return len(self.offsets) - 1

    @cached_property
    def measures(self) -> FloatArray:
        """Measures of the pieces in d - 1 dimensions, (P,) float64: areas in 3, lengths in 2, 1 each in 1.

        From the float vertices; in more than 3 dimensions by the recursion that gives volumes.

        Raises
        ------
        InputError
            If the network is degenerate and d > 3.
        """
        d = self.vertices.shape[1]
        if d > 3:
            return frozen(_sums(self.facet_piece, _facet_measures(self.partition)[self.facets], self.n_pieces))
        if d == 1:
            return frozen(np.ones(self.n_pieces))
        at = self.vertices[self.corners]
        first = at[self.offsets[:-1]]
        if d == 2:
            return frozen(np.linalg.norm(at[self.offsets[:-1] + 1] - first, axis=1))
        owner = row_ids(self.offsets)
        following = np.arange(1, len(at) + 1)
        following[self.offsets[1:] - 1] = self.offsets[:-1]
        doubled = np.linalg.norm(np.cross(at - first[owner], at[following] - first[owner]), axis=1)
        return frozen(_sums(owner, doubled, self.n_pieces) / 2)

    @property
    def measure(self) -> float:
        """Measure of the whole boundary, touching ties included: area in 3 dimensions; see `measures`."""
        return float(self.measures.sum())

    def __repr__(self) -> str:
        return f"PolyhedralBoundary({self.n_pieces} pieces, {len(self.vertices)} vertices)"


@dataclass(frozen=True, eq=False, repr=False)
class ClassVolumes(ReadOnly):
    """How much of the domain each class has.

    Attributes
    ----------
    volumes : (K,) float64
        They sum to the domain's volume, to within rounding.
    winner : (R,) int64
        The class of each region of the partition, -1 for those that have several; exact.
    tied_volume : float
        Volume of the set on which classes tie all over: it counts as the lowest one's.
    """

    volumes: FloatArray
    winner: IntArray
    tied_volume: float

    def __repr__(self) -> str:
        return f"ClassVolumes({np.array2string(self.volumes, precision=4)})"


class Contest(NamedTuple):
    """Which outputs are the largest, in the partition that also has their ties; exact."""

    partition: PolyhedralComplex
    top: BoolArray  # (V, classes) at its vertices
    common: BoolArray  # (R, classes) all over its regions
    region: IntArray  # (R,) region of the network's own partition
    minor: BoolArray  # (V,) whether outputs tie there that are not the largest

    @property
    def winner(self) -> IntArray:
        """Class of each region, (R,)."""
        return np.asarray(self.common.argmax(axis=1))


def contest(p: PolyhedralComplex) -> Contest:
    """Partition the domain by ties of the outputs, too."""
    from geomrelu.polyhedral.build import build_polyhedral

    q = build_polyhedral(with_contest(p.network), p.domain)
    n = max(2, p.network.n_outputs)
    top, minor = np.zeros((q.n_vertices, n), dtype=bool), np.zeros(q.n_vertices, dtype=bool)
    signs = [q.vertex_signs(len(q.network.hidden) - n + k)[:, 0] for k in range(1, n)]
    top[:, 0] = True
    for k, sign in enumerate(signs, start=1):
        top[sign > 0] = False
        top[:, k] = sign >= 0
    for k, sign in enumerate(signs, start=1):
        minor |= (sign == 0) & ~top[:, k]
    common = np.logical_and.reduceat(top[q.region_vertices], q.region_offsets[:-1], axis=0)
    words = q.patterns.words[:, : p.patterns.words.shape[1]]
    return Contest(q, top, common, p._locator.by_pattern(Patterns(words, p.network.widths)), minor)


def class_volumes(p: PolyhedralComplex) -> ClassVolumes:
    """See `PolyhedralComplex.class_regions`."""
    found = p._contest
    volumes = _sums(found.winner, found.partition.volumes, found.top.shape[1])
    lowest, highest = np.full(p.n_regions, found.top.shape[1]), np.full(p.n_regions, -1)
    np.minimum.at(lowest, found.region, found.winner)
    np.maximum.at(highest, found.region, found.winner)
    tied = found.common.sum(axis=1) > 1
    return ClassVolumes(
        frozen(volumes), frozen(np.where(lowest == highest, lowest, -1)), float(found.partition.volumes[tied].sum())
    )


def decision_boundary(p: PolyhedralComplex) -> PolyhedralBoundary:
    """See `PolyhedralComplex.decision_boundary`."""
    found = p._contest
    q = found.partition
    facets, classes = _tied_facets(found)
    piece, kinds = _pieces(p, found, facets, classes)
    tied = found.common.sum(axis=1) > 1
    pairs = np.concatenate([found.region[tied, None], _two_lowest(found.common[tied])], axis=1)
    d = p.dimension
    offsets, corners = _outlines(q, facets, piece, len(kinds)) if d == 3 else _all_corners(q, facets, piece, len(kinds))
    region, pair = kinds[:, 1], kinds[:, 2:4]
    own = row_ids(offsets)
    kept = _extreme(p, found, corners, region[own])
    own, corners = own[kept], corners[kept]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(own, minlength=len(kinds)))]).astype(np.int64)
    used, places = np.unique(corners, return_inverse=True)
    places = places.ravel().astype(np.int64)
    if d == 3:
        face_towards(q.vertices[used], q.interior_points[_second_sides(found, facets, piece, pair)], offsets, places)
    return PolyhedralBoundary(
        frozen(q.vertices[used]), frozen(q.vertex_errors[used]), frozen(offsets), frozen(places), frozen(pair),
        frozen(region), frozen(np.unique(pairs, axis=0)), q, frozen(facets), frozen(piece),
    )  # fmt: skip


def _sums(group: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sums of values (N,) over each of n groups."""
    return np.bincount(group, values, n).astype(np.float64)


def _two_lowest(which: BoolArray) -> IntArray:
    """The two lowest columns that are set in each row, (N, 2)."""
    first = which.argmax(axis=1)
    rest = which.copy()
    rest[np.arange(len(which)), first] = False
    return np.stack([first, rest.argmax(axis=1)], axis=1).astype(np.int64)


def _tied_facets(found: Contest) -> tuple[IntArray, IntArray]:
    """Facets on which two outputs are the largest, and which, but for those within sets on which the two tie."""
    q = found.partition
    common = np.logical_and.reduceat(found.top[q.facet_vertices], q.facet_offsets[:-1], axis=0)
    facets = np.flatnonzero(common.sum(axis=1) > 1)
    pair, sides = _two_lowest(common[facets]), q.facet_regions[facets]
    won = np.where(sides >= 0, found.winner[sides], -1)
    differ = (won >= 0).all(axis=1) & (won[:, 0] != won[:, 1])
    pair[differ] = np.sort(won[differ], axis=1)
    inside = found.common[sides, pair[:, :1]] & found.common[sides, pair[:, 1:]]
    kept = ~(inside | (sides < 0)).all(axis=1)
    return facets[kept], pair[kept]


def _pieces(
    p: PolyhedralComplex, found: Contest, facets: IntArray, classes: IntArray
) -> tuple[IntArray, IntArray]:  # fmt: skip
    """The piece of each facet, and each piece's regions beside it, classes, and facet of the domain if on one."""
    q = found.partition
    sides = q.facet_regions[facets]
    beside = np.sort(np.where(sides >= 0, found.region[sides], -1), axis=1)
    on_domain = np.where(sides[:, 0] < 0, q.facet_neuron[facets], 0)
    kinds, piece = np.unique(np.concatenate([beside, classes, on_domain[:, None]], axis=1), axis=0, return_inverse=True)
    return piece.ravel().astype(np.int64), kinds


def _second_sides(found: Contest, facets: IntArray, piece: IntArray, pair: IntArray) -> IntArray:
    """A region of the contest's partition beside each piece, on the side where its second class wins, if it does."""
    sides = found.partition.facet_regions[facets]
    won = np.where(sides >= 0, found.winner[sides], -1)
    second = pair[piece, 1]
    # Where it wins on neither, the side where the first does not.
    on_first = (won[:, 0] == second) | ((won[:, 1] != second) & (won[:, 1] == pair[piece, 0]) & (sides[:, 0] >= 0))
    chosen = np.where(on_first, sides[:, 0], sides[:, 1])
    result = np.zeros(len(pair), dtype=np.int64)
    result[piece] = chosen
    return result


# ---------------------------------------------------------------------- vertices of pieces


def _all_corners(q: PolyhedralComplex, facets: IntArray, piece: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Vertices of the facets of each piece, ascending: offsets (n + 1,) and values."""
    sizes = np.diff(q.facet_offsets)[facets]
    starts = np.cumsum(sizes) - sizes
    at = np.repeat(q.facet_offsets[facets] - starts, sizes) + np.arange(sizes.sum())
    pairs = np.unique(np.stack([np.repeat(piece, sizes), q.facet_vertices[at]], axis=1), axis=0)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=n))]).astype(np.int64)
    return offsets, np.ascontiguousarray(pairs[:, 1])


def _outlines(q: PolyhedralComplex, facets: IntArray, piece: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Rings around pieces in three dimensions: the edges that only one of a piece's facets has."""
    used, offsets, rings = facet_rings(q, facets)
    following = np.arange(1, len(rings) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    ends = np.sort(np.stack([rings, rings[following]], axis=1), axis=1)
    sides, count = np.unique(np.concatenate([piece[row_ids(offsets), None], ends], axis=1), axis=0, return_counts=True)
    sides = sides[count == 1]
    both = np.concatenate([sides, sides[:, [0, 2, 1]]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    # Each corner has two sides, so it stands in two rows that follow each other.
    corners, neighbors = both[::2, :2], both[:, 2].reshape(-1, 2)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(corners[:, 0], minlength=n))]).astype(np.int64)
    key = corners[:, 0] * len(used) + corners[:, 1]
    places = np.searchsorted(key, corners[:, :1] * len(used) + neighbors)
    order = np.empty(len(corners), dtype=np.int64)
    _walk(bounds, places, order)
    return bounds, used[corners[order, 1]]


@lean
def _walk(offsets: IntArray, neighbors: IntArray, order: IntArray) -> None:
    """Nodes in order around each of several cycles, given both neighbours of each node, (N, 2)."""
    for cycle in range(len(offsets) - 1):
        at, before = offsets[cycle], -1
        for k in range(offsets[cycle], offsets[cycle + 1]):
            order[k] = at
            step = neighbors[at, 0] if neighbors[at, 0] != before else neighbors[at, 1]
            before, at = at, step


def _extreme(p: PolyhedralComplex, found: Contest, vertices: IntArray, region: IntArray) -> BoolArray:
    """Which of some vertices (N,), of pieces in the given regions (N,), are vertices of the pieces."""
    q = found.partition
    kept = ~found.minor[vertices]
    limit = q.skeletal.limit
    if limit is None or kept.all():
        return np.asarray(kept)
    zero = ~(limit.positive | limit.negative) & q.skeletal.simple.valid
    # With d zeros only, one of which is no constraint of the piece, the rest do not span.
    open_ = np.flatnonzero(~kept & (np.bitwise_count(zero).sum(axis=1)[vertices] > p.dimension))
    rows, forms = ExactRows(p.network, p.skeletal.facets), ExactForms(p.network)
    of_p = np.unpackbits(np.ascontiguousarray(zero.astype("<u8")).view(np.uint8), axis=1, bitorder="little")
    of_p[:, q.skeletal.words.forms >= p.network.n_neurons] = 0
    for k in open_.tolist():
        v, words = int(vertices[k]), p.patterns.words[region[k]]
        tight = [rows.row(form, words).gradient for form in q.skeletal.words.forms[np.flatnonzero(of_p[v])].tolist()]
        maps = forms.output_map(words)[:, :-1]
        best, *others = np.flatnonzero(found.top[v]).tolist()
        tight += [[int(x) for x in maps[other] - maps[best]] for other in others]
        kept[k] = flint.fmpz_mat(tight).rank() == p.dimension
    return np.asarray(kept)


def _facet_measures(q: PolyhedralComplex) -> FloatArray:
    """Measures of a partition's facets in d - 1 dimensions, (M,)."""
    if q.skeletal.limit is not None:
        raise InputError(
            f"measures: got a degenerate network in {q.dimension} dimensions, expected a generic one or 3 dimensions; "
            "the pieces and their vertices are exact all the same"
        )
    found, _ = q.moments(q.dimension - 1, False)
    # Facets are listed by lowest vertex, the zero that stays, and signs.
    full = (1 << q.dimension) - 1
    order = np.lexsort((found.signs, full & ~found.released.astype(np.int64), found.lowest))
    gradients, _ = q._rows.forms(q.facet_neuron, q.patterns.words, np.ascontiguousarray(q.facet_regions[:, 1]))
    return np.asarray(found.measures[order] * np.linalg.norm(gradients, axis=1))
