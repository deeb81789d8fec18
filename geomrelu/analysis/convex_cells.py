"""Coarse polyhedral complexes on whose cells the function is affine: bounds on the fewest cells.

Between two faces with one map the edge may be left out.  What is left is a polyhedral complex
if at every inner vertex all angles between consecutive edges are below 180 degrees, or
there are no edges, or just two in one line: then no vertex lies inside a cell's side, and
cells, being convex at each corner, are convex.

*Upper bound.*  Start from the edges that cannot be left out and put one back wherever an
angle is too large, best those that run straight to an edge which is there; then leave out again
whatever turns out not to be needed.

*Lower bound.*  Any complex on whose cells f is affine contains the edges that cannot be left
out.  Let a linear region have Euler characteristic c, and r corners with an angle of 180 degrees
or more between its border's edges (two edges in one line are no corner).  A complex has
further edges: with s vertices inside the region, and a edges, the region has c + a - s cells.
Each of the r corners has such an edge.  A connected group of these edges that touches m of the
corners has a - s >= m - 1, and >= 1 if m = 1, so each group of two or more saves at most one cell against one
for each corner.  A group with m = 2 saves one only if it is a single edge that leaves angles below 180
degrees at both ends (with vertices of its own, each of degree 3 or more, it has a - s >= 2).
So the region has at least c + r - x - y cells, where x disjoint pairs of corners can be so joined
and y further groups have three corners each.
"""

from __future__ import annotations

from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geomrelu.analysis.vertices import ExactVertices
from geomrelu.arrays import BoolArray, IntArray

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["ConvexCells", "convex_cells"]

# Of more wide corners in one region, any two are taken to be within reach of one edge.
_MANY_CORNERS = 48


class ConvexCells(NamedTuple):
    """A polyhedral complex on whose cells f is affine.

    Attributes
    ----------
    labels : (F,) int64
        The cell that each face is part of.
    lower : int
        No such complex has fewer cells.
    upper : int
        Number of cells of this one.
    """

    labels: IntArray
    lower: int
    upper: int


def convex_cells(p: PlanarComplex, at: ExactVertices) -> ConvexCells:
    """A complex with few cells on which f is affine, and a lower bound; all angles compared exactly.

    Parameters
    ----------
    p : PlanarComplex
    at : ExactVertices
        Of `p`.
    """
    inner = p.edges_inner
    left, right = p.edge_faces[inner].T
    maps = p._linear_regions.map_labels
    optional = np.zeros(p.n_edges, dtype=bool)
    optional[inner] = maps[left] == maps[right]
    if not optional.any():
        return ConvexCells(np.arange(p.n_regions), p.n_regions, p.n_regions)
    stars = _Stars(p, at)
    vertices = np.unique(p.edges[optional])
    lower = _lower_bound(p, stars, optional, vertices)
    kept = _completed(p, stars, optional, vertices)
    labels, upper = _cells(p, kept)
    return ConvexCells(labels, lower, upper)


def _cells(p: PlanarComplex, kept: BoolArray) -> tuple[IntArray, int]:
    """Unions of faces between the edges `kept`."""
    left, right = p.edge_faces[p.edges_inner[~kept[p.edges_inner]]].T
    shape = (p.n_regions, p.n_regions)
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=shape)
    n, labels = connected_components(graph.tocsr(), directed=False)
    return labels.astype(np.int64), int(n)


def _lower_bound(p: PlanarComplex, stars: _Stars, optional: BoolArray, vertices: IntArray) -> int:
    region = p.linear_region_labels
    n = p.n_linear_regions
    corners: dict[int, list[tuple[int, int, int]]] = {}
    inside = np.zeros(n, dtype=np.int64)
    kept = ~optional
    for vertex in vertices.tolist():
        star = stars.star(vertex)
        if star.border:
            continue
        if not kept[star.edges].any():
            inside[region[star.faces[0]]] += 1
        for i, j in stars.wide_sectors(vertex, kept):
            ends = (stars.other_end(star.edges[k], vertex) for k in (i, j))
            corners.setdefault(int(region[star.faces[i]]), []).append((vertex, *ends))
    edges = np.bincount(region[p.edge_faces[optional, 0]], minlength=n)
    cells = np.bincount(region, minlength=n) - edges + inside
    for label, wide in corners.items():
        pairs = _pairs(stars, wide)
        cells[label] += len(wide) - pairs - (len(wide) - 2 * pairs) // 3
    return int(np.maximum(1, cells).sum())


def _pairs(stars: _Stars, corners: list[tuple[int, int, int]]) -> int:
    """At most how many disjoint pairs of corners (vertex, ends of the edges beside) one edge each could mend."""
    n = len(corners)
    if n > _MANY_CORNERS:
        return n // 2
    pairs = [
        (k, m)
        for k, m in combinations(range(n), 2)
        if stars.mends(corners[k], corners[m][0]) and stars.mends(corners[m], corners[k][0])
    ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (rows, columns)), shape=(n, n))
    groups = connected_components(graph.tocsr(), directed=False)[1]
    return int((np.bincount(groups, minlength=1) // 2).sum())


def _completed(p: PlanarComplex, stars: _Stars, optional: BoolArray, vertices: IntArray) -> BoolArray:
    """Edges of a polyhedral complex: those that are not optional, and few of the others, (E,)."""
    kept = ~optional
    added: list[int] = []
    waiting = vertices[::-1].tolist()
    while waiting:
        vertex = waiting.pop()
        sectors = stars.wide_sectors(vertex, kept)
        if not sectors:
            continue
        edge = stars.best_edge(vertex, sectors[0], kept)
        kept[edge] = True
        added.append(edge)
        # First the far end, so that a straight cut is finished before another one begins.
        waiting += [vertex, stars.other_end(edge, vertex)]
    for edge in reversed(added):
        _leave_out(stars, edge, optional, kept)
    return kept


def _leave_out(stars: _Stars, edge: int, optional: BoolArray, kept: BoolArray) -> None:
    """Leave out an edge and what hangs on it, if a polyhedral complex remains."""
    if not kept[edge]:
        return
    gone = [edge]
    kept[edge] = False
    waiting = list(stars.ends(edge))
    while waiting:
        vertex = waiting.pop()
        if not stars.wide_sectors(vertex, kept):
            continue
        loose = stars.loose_edge(vertex, optional, kept)
        if loose < 0:
            kept[gone] = True
            return
        gone.append(loose)
        kept[loose] = False
        waiting += [vertex, stars.other_end(loose, vertex)]


class _Star(NamedTuple):
    """What is around a vertex, counter-clockwise: ``faces[i]`` follows ``edges[i]``."""

    edges: list[int]
    faces: list[int]
    border: bool


class _Stars:
    """Edges around vertices and the angles between them, exactly."""

    def __init__(self, p: PlanarComplex, at: ExactVertices) -> None:
        self.p, self.at = p, at
        self._stars: dict[int, _Star] = {}
        self._turns: dict[tuple[int, int, int], int] = {}
        self.edge_layer = at.layer_of(p.edge_neuron)

    @cached_property
    def _ring_before(self) -> IntArray:
        before = np.empty_like(self.p.ring_next)
        before[self.p.ring_next] = np.arange(len(before))
        return before

    def ends(self, edge: int) -> tuple[int, int]:
        """An edge's two vertices."""
        u, v = self.p.edges[edge].tolist()
        return u, v

    def other_end(self, edge: int, vertex: int) -> int:
        """The end of an edge that is not this one."""
        u, v = self.p.edges[edge].tolist()
        return int(v if u == vertex else u)

    def star(self, vertex: int) -> _Star:
        """Edges and faces around a vertex; of one on the border, only that it is there."""
        found = self._stars.get(vertex)
        if found is None:
            p, at = self.p, self.at
            entries = at.entries[at.offsets[vertex] : at.offsets[vertex + 1]]
            # A face lies between the edge that leaves the vertex along its ring and the one that arrives.
            leaving = p.face_edges[entries].tolist()
            arriving = p.face_edges[self._ring_before[entries]].tolist()
            if set(leaving) != set(arriving):
                found = _Star([], [], True)
            else:
                following = dict(zip(leaving, zip(arriving, at.owner[entries].tolist(), strict=True), strict=True))
                edges: list[int] = [leaving[0]]
                faces: list[int] = []
                while len(faces) < len(leaving):
                    edge, face = following[edges[-1]]
                    edges.append(edge)
                    faces.append(face)
                found = _Star(edges[:-1], faces, False)
            self._stars[vertex] = found
        return found

    def wide_sectors(self, vertex: int, kept: BoolArray) -> list[tuple[int, int]]:
        """Pairs of consecutive kept edges, by place in the star, that are 180 degrees or more apart.

        None if there are no edges, or two in one line; a single edge is 360 degrees from itself.
        """
        star = self.star(vertex)
        on = [i for i, edge in enumerate(star.edges) if kept[edge]]
        if not on:
            return []
        if len(on) == 1:
            return [(on[0], on[0])]
        if len(on) == 2 and self.turn(vertex, star.edges[on[0]], star.edges[on[1]]) == 0:
            return []
        return [(i, j) for i, j in zip(on, on[1:] + on[:1], strict=True) if not self._narrow(vertex, star, i, j)]

    def _narrow(self, vertex: int, star: _Star, i: int, j: int) -> bool:
        # A face's own corner is always below 180 degrees.
        if (i + 1) % len(star.edges) == j:
            return True
        return self.turn(vertex, star.edges[i], star.edges[j]) > 0

    def turn(self, vertex: int, a: int, b: int) -> int:
        """1 if edge b is less than 180 degrees counter-clockwise from edge a, 0 if opposite, else -1; exact."""
        if (vertex, b, a) in self._turns:
            return -self._turns[vertex, b, a]
        key = (vertex, a, b)
        if key not in self._turns:
            i, j = self.other_end(a, vertex), self.other_end(b, vertex)
            self._turns[key] = 0 if self._in_line(a, b) else self._turn(vertex, i, j)
        return self._turns[key]

    def _in_line(self, a: int, b: int) -> bool:
        """Whether two edges at a vertex are of one neuron with one form."""
        p = self.p
        if p.edge_neuron[a] != p.edge_neuron[b] or p.edge_neuron[a] < 0:
            return False
        end = p.patterns.starts[int(self.edge_layer[a])]
        f, g = p.edge_faces[a, 0], p.edge_faces[b, 0]
        return bool((p.patterns.words[f, :end] == p.patterns.words[g, :end]).all())

    def mends(self, corner: tuple[int, int, int], towards: int) -> bool:
        """Whether an edge straight to another vertex leaves angles below 180 degrees in a wide corner."""
        vertex, first, last = corner
        if vertex == towards:
            return False
        return self._turn(vertex, first, towards) > 0 and self._turn(vertex, towards, last) > 0

    def _turn(self, vertex: int, i: int, j: int) -> int:
        """`turn`, for the directions from a vertex to two others."""
        p, errors = self.p, self.at.position_errors
        (x, y), (s, t) = ((p.vertices[k] - p.vertices[vertex]).tolist() for k in (i, j))
        size, other = float(np.hypot(x, y)), float(np.hypot(s, t))
        # Each difference is wrong by both ends' position errors and a rounding.
        e, d = (float(errors[k] + errors[vertex]) + 2.0**-51 * (size + other) for k in (i, j))
        value = float(x * t - y * s)
        if abs(value) > (e * other + d * size + e * d + 2.0**-50 * size * other) * 1.001 + 1e-290:
            return 1 if value > 0 else -1
        (px, py, pw), (ax, ay, aw), (bx, by, bw) = (self.at.point(k) for k in (vertex, i, j))
        exact = (ax * pw - px * aw) * (by * pw - py * bw) - (ay * pw - py * aw) * (bx * pw - px * bw)
        return (exact > 0) - (exact < 0)

    # ------------------------------------------------------------------ which edge

    def best_edge(self, vertex: int, sector: tuple[int, int], kept: BoolArray) -> int:
        """The edge to put back into a sector that is too wide: the one that promises the fewest further cuts."""
        star = self.star(vertex)
        n = len(star.edges)
        i, j = sector
        between = [(i + k) % n for k in range(1, (j - i) % n or n)]

        def cost(place: int) -> tuple[int, int]:
            edge = star.edges[place]
            # Of three edges the sector is mended if both halves are below 180 degrees.
            halves = self._narrow(vertex, star, i, place), self._narrow(vertex, star, place, j)
            if i == j:
                halves = (self.turn(vertex, star.edges[i], edge) == 0, True)
            return 2 * halves.count(False) + self._walk(edge, vertex, kept), place

        return star.edges[min(between, key=cost)]

    def _walk(self, edge: int, vertex: int, kept: BoolArray) -> int:
        """How many further cuts follow if an edge is put back and prolonged straight, about."""
        further = 0
        for _ in range(self.p.n_edges):
            vertex = self.other_end(edge, vertex)
            star = self.star(vertex)
            on = [e for e in star.edges if kept[e]]
            if star.border:
                return further
            straight = next((e for e in star.edges if e != edge and self.turn(vertex, edge, e) == 0), -1)
            if on:
                wide = len(self.wide_sectors(vertex, kept))
                smooth = not wide and len(on) == 2
                if not smooth:
                    # It ends here, and mends a corner if it comes into a wide sector.
                    return further - (wide > 0)
                further += 1
            if straight < 0:
                return further + 2
            edge = straight
        return further

    def loose_edge(self, vertex: int, optional: BoolArray, kept: BoolArray) -> int:
        """A kept optional edge without which the vertex is in order, -1 if there is none."""
        for edge in self.star(vertex).edges:
            if kept[edge] and optional[edge]:
                kept[edge] = False
                good = not self.wide_sectors(vertex, kept)
                kept[edge] = True
                if good:
                    return edge
        return -1
