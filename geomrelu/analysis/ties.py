"""Where the largest of several outputs changes: the tie set of the two largest, exactly, region by region.

The outputs are affine on each region, so where one of them is the largest is convex there.  Hence
the exact set of largest outputs at each vertex (`VertexOutputs.top`) settles almost everything:

1. An output that is the largest at all corners of a region is so on the whole region.  If there is
   one, the region is *won* by it; if there are two, they tie on the whole region.
2. Otherwise the region is *mixed*.  An output that is below another one at all corners wins
   nowhere on it; of the rest, if only two are left, one segment tells them apart.  Its two ends
   are corners where both are largest, or lie on edges with different winners at their ends.
3. Regions with three or more outputs left, near the points where three classes meet, are cut
   one by one by `envelope`, in floats with bounds, or in fractions where these leave a doubt.
4. An edge along which two outputs are largest at both ends is a tie, too, whatever its regions.

An end on an edge is known by the edge and the two lowest outputs that tie there, so that regions
on both sides mean the same node, and segments join.  Coordinates come last, and decide nothing.
Cost: a few passes over the rings; Python loops run over the regions of step 3 only.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomrelu.analysis.envelope import Envelope, InDoubt, Row, alone_between, corner_rows, envelope
from geomrelu.arrays import BoolArray, FloatArray, IntArray, lean, row_ids

if TYPE_CHECKING:
    from geomrelu.analysis.outputs import Functionals, VertexOutputs
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Contest", "Ties", "alone_on_edges", "find_ties"]

_ROUNDING = 2.0**-50
# Nodes whose bound exceeds this share of the domain's extent are computed exactly.
_PLACE = 2.0**-22


class Contest:
    """Functions, affine on each region, of which the largest is asked for: outputs, or functionals of them.

    Attributes
    ----------
    values : (V, K) float64
        At the vertices.
    errors : (V,) float64
        Bounds on their errors.
    top : (V, K) bool
        Which are the largest, exactly.
    outputs : VertexOutputs
    """

    def __init__(self, outputs: VertexOutputs, top: BoolArray, asked: Functionals | None = None) -> None:
        self.outputs, self.top, self.asked = outputs, top, asked
        self.values, self.errors = outputs.values, outputs.errors
        if asked is not None:
            self.values, errors = outputs.level(asked)
            self.errors = errors.max(axis=1)

    def refine(self, vertices: IntArray) -> None:
        """Tighten values, positions and their bounds at some vertices."""
        self.outputs.refine(vertices)
        if self.asked is not None:
            self.values[vertices], errors = self.outputs.level(self.asked, vertices)
            self.errors[vertices] = errors.max(axis=1)

    def exact(self, vertex: int) -> list[Fraction]:
        """The exact values at a vertex."""
        y = self.outputs.exact(vertex)
        return y if self.asked is None else [self.asked.exactly(k, y) for k in range(len(self.asked.a))]


class Ties(NamedTuple):
    """The tie set, and what it leaves of the regions.  Points: the complex's V vertices, then N nodes."""

    points: FloatArray  # (V + N, 2)
    errors: FloatArray  # (V + N,)
    ends: IntArray  # (S, 2) segments' points
    classes: IntArray  # (S, 2) left and right of the segment
    face: IntArray  # (S,)
    winner: IntArray  # (F,) of a region that one output wins or several tie on; -1 for mixed ones
    tied: IntArray  # (T, 3) region and two outputs that tie on the region, or a part of it
    cell_offsets: IntArray  # (M + 1,) cells of the mixed regions, counter-clockwise
    cell_points: IntArray
    cell_class: IntArray  # (M,)
    cell_face: IntArray  # (M,)
    isolated: IntArray  # (Q,) vertices at which alone outputs tie


class _Rings(NamedTuple):
    """Some regions of a complex in CSR form."""

    faces: IntArray
    offsets: IntArray
    vertices: IntArray
    edges: IntArray

    def chosen(self, rows: IntArray) -> _Rings:
        """Some of the regions."""
        sizes = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        at = np.repeat(self.offsets[:-1][rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return _Rings(self.faces[rows], offsets, self.vertices[at], self.edges[at])


class _Found(NamedTuple):
    """Segments and cells of some regions; nodes on edges are rows (edge, i, j), others rows (-1, number, 0)."""

    ends: IntArray  # (S, 2, 3)
    classes: IntArray
    face: IntArray
    cell_offsets: IntArray
    cell_points: IntArray  # (., 3)
    cell_class: IntArray
    cell_face: IntArray


def find_ties(p: PlanarComplex, contest: Contest) -> Ties:
    """The tie set of the two largest functions."""
    winner, tied, mixed = _settled(p, contest)
    pairs, crowded = _by_number_left(contest, mixed)
    parts = [_cut_in_two(contest.top, *pairs)]
    inner = np.zeros((0, 3))
    if len(crowded[0].faces):
        found, inner, equal = _cut_one_by_one(p, contest, *crowded)
        parts.append(found)
        tied = np.concatenate([tied, equal])
    parts.append(_along_edges(p, winner, contest.top, tied))
    return _assembled(p, contest, parts, inner, winner, tied)


def _settled(p: PlanarComplex, contest: Contest) -> tuple[IntArray, IntArray, _Rings]:
    """Winners of the regions, whole regions with ties (T, 3), and the mixed regions."""
    best = np.argmax(contest.top, axis=1)
    tied = np.count_nonzero(contest.top, axis=1) > 1
    starts = p.face_offsets[:-1]
    at_corners = best[p.face_vertices]
    winner = at_corners[starts].astype(np.int64)
    plain = np.minimum.reduceat(at_corners, starts) == np.maximum.reduceat(at_corners, starts)
    asked = np.flatnonzero(~plain | np.logical_or.reduceat(tied[p.face_vertices], starts))
    everything = _Rings(np.arange(p.n_regions), p.face_offsets, p.face_vertices, p.face_edges)
    rings = everything.chosen(asked)
    if len(asked) == 0:
        return winner, np.zeros((0, 3), dtype=np.int64), rings
    common = np.logical_and.reduceat(contest.top[rings.vertices], rings.offsets[:-1], axis=0)
    number = common.sum(axis=1)
    winner[asked] = np.where(number > 0, common.argmax(axis=1), -1)
    ties = np.flatnonzero(number > 1)
    whole = np.concatenate([asked[ties, None], _two_lowest(common[ties])], axis=1)
    return winner, whole, rings.chosen(np.flatnonzero(number == 0))


def _two_lowest(which: BoolArray) -> IntArray:
    """The two lowest columns that are set in each row, (N, 2)."""
    first = which.argmax(axis=1)
    rest = which.copy()
    rest[np.arange(len(which)), first] = False
    return np.stack([first, rest.argmax(axis=1)], axis=1).astype(np.int64)


def _by_number_left(contest: Contest, mixed: _Rings) -> tuple[tuple[_Rings, IntArray], tuple[_Rings, BoolArray]]:
    """Mixed regions with two functions that may win on them, and those with more."""
    n_functions = contest.values.shape[1]
    left = np.ones((len(mixed.faces), n_functions), dtype=bool)
    if n_functions > 2 and len(mixed.faces):
        corners = mixed.vertices
        _still_in(contest.values[corners], contest.errors[corners], contest.top[corners], mixed.offsets, left)
    two = left.sum(axis=1) == 2
    pairs, crowded = np.flatnonzero(two), np.flatnonzero(~two)
    return (mixed.chosen(pairs), _two_lowest(left[pairs])), (mixed.chosen(crowded), left[crowded])


@lean
def _still_in(values: FloatArray, errors: FloatArray, top: BoolArray, offsets: IntArray, left: BoolArray) -> None:
    """Which functions are not certainly below another one at all corners of a region: conservative."""
    n_functions = values.shape[1]
    for f in range(len(offsets) - 1):
        start, stop = offsets[f], offsets[f + 1]
        for k in range(n_functions):
            wins = False
            for c in range(start, stop):
                wins = wins or top[c, k]
            if wins:
                continue
            for c in range(start, stop):
                # Compare with the winner at each corner: only these can be above everywhere.
                for i in range(n_functions):
                    if i == k or not top[c, i]:
                        continue
                    below = True
                    for d in range(start, stop):
                        slack = 2 * errors[d] + _ROUNDING * (abs(values[d, i]) + abs(values[d, k]))
                        if not values[d, i] - values[d, k] > slack:
                            below = False
                            break
                    if below:
                        left[f, k] = False
                        break
                if not left[f, k]:
                    break


# ---------------------------------------------------------------------- two functions


def _cut_in_two(top: BoolArray, rings: _Rings, pair: IntArray) -> _Found:
    """Regions on which two functions, ``pair`` (F, 2), are the largest by turns: a segment and two cells each."""
    row = row_ids(rings.offsets)
    corner = np.arange(len(row))
    following = corner + 1
    following[rings.offsets[1:] - 1] = rings.offsets[:-1]
    sign = top[rings.vertices, pair[row, 0]].astype(np.int64) - top[rings.vertices, pair[row, 1]]
    crossed = sign * sign[following] < 0
    # In ring order: each corner, then the node on the edge that leaves it, if there is one.
    here = np.stack([np.ones(len(row), dtype=bool), crossed], axis=1).ravel()
    slot = np.flatnonzero(here)
    on_edge, at = slot % 2 == 1, slot // 2
    side = np.where(on_edge, 0, sign[at])
    owner = row[at]
    nodes = np.stack([rings.edges[at], pair[owner, 0], pair[owner, 1]], axis=1)
    corners = np.stack([np.full(len(at), -1), rings.vertices[at], np.zeros(len(at), dtype=np.int64)], axis=1)
    names = np.where(on_edge[:, None], nodes, corners)
    zero = np.flatnonzero(side == 0)
    ends = names[zero].reshape(-1, 2, 3)
    # What stands between the two ends in the ring lies right of the segment.
    right = np.where(side[zero[::2] + 1] > 0, 0, 1)
    rows = np.arange(len(pair))
    ends[right == 0] = ends[right == 0][:, ::-1]
    cells = [_halves(owner, names, side * (1 - 2 * k), len(pair)) for k in range(2)]
    return _Found(
        ends, pair, rings.faces,
        np.concatenate([cells[0][0], cells[0][0][-1] + cells[1][0][1:]]), np.concatenate([cells[0][1], cells[1][1]]),
        np.concatenate([pair[rows, 0], pair[rows, 1]]), np.concatenate([rings.faces, rings.faces]),
    )  # fmt: skip


def _halves(owner: IntArray, names: IntArray, side: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """The nodes of each region that are not on the negative side: offsets (n + 1,) and names (., 3)."""
    kept = np.flatnonzero(side >= 0)
    counts = np.bincount(owner[kept], minlength=n)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), names[kept]


# ---------------------------------------------------------------------- three and more


def _cut_one_by_one(
    p: PlanarComplex, contest: Contest, rings: _Rings, left: BoolArray
) -> tuple[_Found, FloatArray, IntArray]:
    """Regions on which three or more functions may win, with the nodes inside them, (., 3), and equal functions."""
    limit = _PLACE * float(np.ptp(p.domain.vertices, axis=0).max())
    inner: list[tuple[float, float, float]] = []
    ends: list[list[tuple[int, int, int]]] = []
    classes: list[tuple[int, int]] = []
    face: list[int] = []
    points: list[tuple[int, int, int]] = []
    sizes: list[int] = []
    cell_class: list[int] = []
    cell_face: list[int] = []
    equal: list[tuple[int, int, int]] = []
    beside: dict[Any, Any] = {}
    contest.refine(rings.vertices)
    for f, number in enumerate(rings.faces.tolist()):
        own = slice(rings.offsets[f], rings.offsets[f + 1])
        outputs = np.flatnonzero(left[f]).tolist()
        found = _one(p, contest, rings.vertices[own].tolist(), rings.edges[own].tolist(), outputs, limit)
        local: dict[tuple[int, ...], tuple[int, int, int]] = {}

        def named(row: Row, local: dict[tuple[int, ...], tuple[int, int, int]] = local) -> tuple[int, int, int]:
            kind, *rest = row.name
            if kind == 0:
                return -1, rest[0], 0
            if kind == 1:
                return rest[0], rest[1], rest[2]
            if row.name not in local:
                local[row.name] = (-1, p.n_vertices + len(inner), 0)
                inner.append((float(row.value[-2]), float(row.value[-1]), float(max(row.error[-2:]))))
            return local[row.name]

        for cell in found.cells:
            names = [named(row) for row in cell.rows]
            points += names
            sizes.append(len(names))
            cell_class.append(cell.output)
            cell_face.append(number)
            for k, beyond in enumerate(cell.beyond):
                # Cells run counter-clockwise, so each lies left of its sides.
                if beyond > cell.output:
                    ends.append([names[k], names[(k + 1) % len(names)]])
                    classes.append((cell.output, beyond))
                    face.append(number)
        won = {cell.output for cell in found.cells}
        equal += [(number, *both) for both in found.equal if both[0] in won]
        for a, b, pair, edge, equals in _along_parts_of_edges(contest.top, p.edges, found, outputs):
            both = (named(a), named(b))
            sides = beside.setdefault((edge, *sorted(both)), (number, both, pair, []))[3]
            sides.append(equals)
    for key, (number, both, pair, sides) in beside.items():
        # Between two regions on which they tie, or along the border of one, nothing ends.
        if sum(sides) < np.count_nonzero(p.edge_faces[key[0]] >= 0):
            ends.append(list(both))
            classes.append(pair)
            face.append(number)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    whole = _Found(
        np.array(ends, dtype=np.int64).reshape(-1, 2, 3), np.array(classes, dtype=np.int64).reshape(-1, 2),
        np.array(face, dtype=np.int64), offsets, np.array(points, dtype=np.int64).reshape(-1, 3),
        np.array(cell_class, dtype=np.int64), np.array(cell_face, dtype=np.int64),
    )  # fmt: skip
    return whole, np.array(inner).reshape(-1, 3), np.array(equal, dtype=np.int64).reshape(-1, 3)


def _one(
    p: PlanarComplex, contest: Contest, vertices: list[int], edges: list[int], outputs: list[int], limit: float
) -> Envelope:
    """One region's cells, in floats if these are sure of every sign and place."""
    try:
        found = envelope(_float_rows(contest, vertices, outputs), edges, outputs)
        if all(max(row.error[-2:]) <= limit for cell in found.cells for row in cell.rows if row.name[0] == 2):
            return found
    except InDoubt:
        pass
    return envelope(_exact_rows(contest, vertices, outputs), edges, outputs)


def _float_rows(contest: Contest, vertices: list[int], functions: list[int]) -> list[Row]:
    outcome = contest.outputs
    return corner_rows(
        vertices, list(contest.values[vertices][:, functions]), list(outcome.positions[vertices]),
        contest.errors[vertices].tolist(), outcome.position_errors[vertices].tolist(),
    )  # fmt: skip


def _exact_rows(contest: Contest, vertices: list[int], functions: list[int]) -> list[Row]:
    exact = [[y[k] for k in functions] for y in map(contest.exact, vertices)]
    nothing = [0.0] * len(vertices)
    places = [contest.outputs.position(v) for v in vertices]
    return corner_rows(vertices, exact, places, nothing, nothing)


def _along_parts_of_edges(
    top: BoolArray, edges: IntArray, found: Envelope, outputs: list[int]
) -> Iterator[tuple[Row, Row, tuple[int, int], int, bool]]:
    """Parts of a region's edges along which two functions tie, where other functions win at an end of the edge.

    Both ends, the two functions, the edge, and whether the two are equal all over the region.
    """
    for cell in found.cells:
        if cell.rows[0].value.dtype != object:
            continue
        own = outputs.index(cell.output)
        for k, beyond in enumerate(cell.beyond):
            a, b = cell.rows[k], cell.rows[(k + 1) % len(cell.rows)]
            edge = -1 - beyond
            if beyond >= 0 or top[edges[edge]].all(axis=0).sum() > 1:
                continue
            along = [j for n, j in enumerate(outputs) if n != own and all(r.value[n] == r.value[own] for r in (a, b))]
            if along:
                pair = (min(cell.output, along[0]), max(cell.output, along[0]))
                yield a, b, pair, edge, pair in found.equal


# ---------------------------------------------------------------------- edges, and all together


def _along_edges(p: PlanarComplex, winner: IntArray, top: BoolArray, tied: IntArray) -> _Found:
    """Edges at both ends of which the same two functions are the largest."""
    doubled = np.count_nonzero(top, axis=1) > 1
    chosen = np.flatnonzero(doubled[p.edges[:, 0]] & doubled[p.edges[:, 1]])
    common = top[p.edges[chosen, 0]] & top[p.edges[chosen, 1]]
    number = common.sum(axis=1)
    chosen, common = chosen[number > 1], common[number > 1]
    ends, beside, pair = p.edges[chosen], p.edge_faces[chosen], _two_lowest(common)
    # Between two regions on which they tie, or along the border of one, nothing ends.
    n = top.shape[1]
    inside = np.isin((beside * n + pair[:, :1]) * n + pair[:, 1:], (tied[:, 0] * n + tied[:, 1]) * n + tied[:, 2])
    kept = ~(inside | (beside < 0)).all(axis=1)
    ends, beside, pair = ends[kept], beside[kept], pair[kept]
    won = np.where(beside >= 0, winner[beside], -1)
    differ = (won >= 0).all(axis=1) & (won[:, 0] != won[:, 1])
    pair[differ] = won[differ]
    turned = pair[:, 0] > pair[:, 1]
    pair[turned], ends[turned] = pair[turned][:, ::-1], ends[turned][:, ::-1]
    names = np.stack([np.full(ends.shape, -1), ends, np.zeros_like(ends)], axis=2)
    none = np.zeros(0, dtype=np.int64)
    return _Found(
        names, pair, np.where(beside[:, 0] >= 0, beside[:, 0], beside[:, 1]),
        np.zeros(1, dtype=np.int64), np.zeros((0, 3), dtype=np.int64), none, none,
    )  # fmt: skip


def alone_on_edges(p: PlanarComplex, contest: Contest) -> BoolArray:
    """Which functions are, alone, the largest somewhere inside each edge, exactly, (E, K)."""
    first, second = contest.top[p.edges[:, 0]], contest.top[p.edges[:, 1]]
    common = first & second
    # Alone at an end, or the only one that is the largest at both.
    result: BoolArray = common & (np.count_nonzero(common, axis=1) == 1)[:, None]
    for top in (first, second):
        result |= top & (np.count_nonzero(top, axis=1) == 1)[:, None]
    apart = np.flatnonzero(~common.any(axis=1))
    ends = _Rings(apart, np.arange(0, 2 * len(apart) + 1, 2), p.edges[apart].ravel(), np.repeat(apart, 2))
    _, (crowded, left) = _by_number_left(contest, ends)
    contest.refine(crowded.vertices)
    for k, edge in enumerate(crowded.faces.tolist()):
        result[edge] = False
        result[edge, _alone_between(contest, p.edges[edge].tolist(), np.flatnonzero(left[k]).tolist())] = True
    return result


def _alone_between(contest: Contest, ends: list[int], functions: list[int]) -> list[int]:
    """The same of one edge, in floats if these are sure of every sign."""
    try:
        return alone_between(_float_rows(contest, ends, functions), functions)
    except InDoubt:
        return alone_between(_exact_rows(contest, ends, functions), functions)


def _assembled(
    p: PlanarComplex, contest: Contest, parts: list[_Found], inner: FloatArray, winner: IntArray, tied: IntArray
) -> Ties:
    ends = np.concatenate([part.ends for part in parts])
    cells = np.concatenate([part.cell_points for part in parts])
    names = np.concatenate([ends.reshape(-1, 3), cells])
    on_edge = np.flatnonzero(names[:, 0] >= 0)
    unique, number = np.unique(names[on_edge], axis=0, return_inverse=True)
    at, errors = _places(p, contest, unique)
    ids = names[:, 1].copy()
    ids[on_edge] = p.n_vertices + len(inner) + number.ravel()
    segments = ids[: 2 * len(ends)].reshape(-1, 2)
    sizes = np.concatenate([np.diff(part.cell_offsets) for part in parts])
    return Ties(
        np.concatenate([contest.outputs.positions, inner[:, :2], at]),
        np.concatenate([contest.outputs.position_errors, inner[:, 2], errors]),
        segments,
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.face for part in parts]),
        winner, tied,
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), ids[2 * len(ends) :],
        np.concatenate([part.cell_class for part in parts]), np.concatenate([part.cell_face for part in parts]),
        _isolated(p, contest.top, segments, tied),
    )  # fmt: skip


def _isolated(p: PlanarComplex, top: BoolArray, ends: IntArray, tied: IntArray) -> IntArray:
    """Vertices with a tie that no segment and no region with a tie touches."""
    alone = np.count_nonzero(top, axis=1) > 1
    alone[ends[ends < p.n_vertices]] = False
    with_tie = np.zeros(p.n_regions, dtype=bool)
    with_tie[tied[:, 0]] = True
    alone[p.face_vertices[np.repeat(with_tie, np.diff(p.face_offsets))]] = False
    return np.flatnonzero(alone)


def _places(p: PlanarComplex, contest: Contest, nodes: IntArray) -> tuple[FloatArray, FloatArray]:
    """Coordinates of nodes (N, 3) on edges, where two functions tie, and bounds on their errors."""
    limit = _PLACE * float(np.ptp(p.domain.vertices, axis=0).max())
    at, bound = _interpolated(p, contest, nodes)
    bad = np.flatnonzero(~(bound <= limit))
    if len(bad):
        contest.refine(p.edges[nodes[bad, 0]].ravel())
        at[bad], bound[bad] = _interpolated(p, contest, nodes[bad])
    outcome = contest.outputs
    for k in np.flatnonzero(~(bound <= limit)).tolist():
        edge, i, j = nodes[k].tolist()
        u, v = p.edges[edge].tolist()
        (xu, yu), (xv, yv) = outcome.position(u), outcome.position(v)
        du, dv = (y[i] - y[j] for y in (contest.exact(u), contest.exact(v)))
        t = du / (du - dv)
        at[k] = float(xu + t * (xv - xu)), float(yu + t * (yv - yu))
        bound[k] = _ROUNDING * np.abs(at[k]).max()
    return at, bound


def _interpolated(p: PlanarComplex, contest: Contest, nodes: IntArray) -> tuple[FloatArray, FloatArray]:
    """The same by linear interpolation between the ends of the edge; the bound is that of `envelope`."""
    edge, i, j = nodes.T
    u, v = p.edges[edge].T
    values, errors = contest.values, contest.errors
    du, dv = (values[w, i] - values[w, j] for w in (u, v))
    eu, ev = (2 * errors[w] + _ROUNDING * (np.abs(values[w, i]) + np.abs(values[w, j])) for w in (u, v))
    places, place_errors = contest.outputs.positions, contest.outputs.position_errors
    a, b, wide = places[u], places[v], np.maximum(place_errors[u], place_errors[v])
    with np.errstate(all="ignore"):
        span = np.abs(du - dv) - eu - ev
        t = du / (du - dv)
        at = (1 - t)[:, None] * a + t[:, None] * b
        shift = np.maximum(eu, ev) / span + _ROUNDING
        bound = wide + shift * (np.hypot(*(b - a).T) + 2 * wide)
        bound = bound * 1.001 + _ROUNDING * (np.abs(a).max(axis=1, initial=0) + np.abs(b).max(axis=1, initial=0))
    bound[~(span > 0)] = np.inf
    return at, bound
