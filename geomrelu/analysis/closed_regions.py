"""Closed connected linear regions: linear regions with one map, joined where the function equals it between them.

For a map g the set {f = g} is closed; in each face it is convex: empty, a point, a segment or
the face.  Two of its points in one face are therefore connected, and it passes from face to
face through vertices where f = g and edges that it meets.  Only maps that several linear
regions share have to be looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geomrelu.affine import affine_map_errors
from geomrelu.analysis.vertices import ExactVertices
from geomrelu.arrays import BoolArray, IntArray

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["closed_connected_labels"]


def closed_connected_labels(p: PlanarComplex, at: ExactVertices) -> IntArray:
    """Closed connected linear region of each face, (F,) int64; exact.

    Parameters
    ----------
    p : PlanarComplex
    at : ExactVertices
        Of `p`.
    """
    found = p._linear_regions
    labels = found.labels.copy()
    # One face of each linear region, and the maps that several regions share.
    regions, some_face = np.unique(labels, return_index=True)
    maps = found.map_labels[some_face]
    shared = np.flatnonzero(np.bincount(maps) > 1)
    if len(shared):
        differences = _Differences(p, at)
        for g in shared.tolist():
            pieces = np.flatnonzero(found.map_labels == g)
            labels[pieces] = _joined(p, differences, pieces)[pieces] + len(regions) + p.n_regions * g
    return np.asarray(np.unique(labels, return_inverse=True)[1].ravel().astype(np.int64))


def _joined(p: PlanarComplex, differences: _Differences, pieces: IntArray) -> IntArray:
    """Components of the set where f has the map of the faces `pieces`, as labels of all faces."""
    signs = differences.signs(pieces)
    zero = (signs == 0).all(axis=1)
    u, v = p.edges.T
    # Every output is zero at both ends, or changes sign: then the edge has one such point, if they agree on it.
    met = ((signs[u] * signs[v] < 0) | ((signs[u] == 0) & (signs[v] == 0))).all(axis=1) & ~(zero[u] & zero[v])
    several = np.flatnonzero(met & ((signs[u] != 0).sum(axis=1) > 1))
    for edge in several.tolist():
        met[edge] = differences.agree_on(edge, int(pieces[0]))
    # A face is tied to the zero vertices and the met edges of its ring: nodes are faces, vertices, edges.
    F, V = p.n_regions, p.n_vertices
    owner = differences.at.owner
    on_vertex, on_edge = zero[p.face_vertices], met[p.face_edges]
    rows = np.concatenate([owner[on_vertex], owner[on_edge]])
    columns = np.concatenate([F + p.face_vertices[on_vertex], F + V + p.face_edges[on_edge]])
    n = F + V + p.n_edges
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph.tocsr(), directed=False)[1][:F].astype(np.int64))


class _Differences:
    """Exact signs of f - g at the vertices, g being the map of a face."""

    def __init__(self, p: PlanarComplex, at: ExactVertices) -> None:
        self.p, self.at = p, at
        maps, errors = p.affine_maps, affine_map_errors(p.network, p.patterns)
        self.face = at.owner[at.entries[at.offsets[:-1]]]
        self.A, self.b = maps.A[self.face], maps.b[self.face]
        self.A_error, self.b_error = errors.A[self.face], errors.b[self.face]
        self.errors = errors

    def signs(self, pieces: IntArray) -> IntArray:
        """Signs of f - g at all vertices, (V, out), g being the map of the faces `pieces`."""
        p, g = self.p, int(pieces[0])
        x = p.vertices
        with np.errstate(all="ignore"):
            slope, constant = self.A - p.affine_maps.A[g], self.b - p.affine_maps.b[g]
            value = slope[:, :, 0] * x[:, :1] + slope[:, :, 1] * x[:, 1:] + constant
            slope_error = self.A_error + self.errors.A[g] + 2.0**-52 * np.abs(slope)
            rounding = 2.0**-50 * ((np.abs(slope) * np.abs(x)[:, None, :]).sum(axis=2) + np.abs(constant))
            error = (slope_error * np.abs(x)[:, None, :]).sum(axis=2) + self.b_error + self.errors.b[g] + rounding
            moved = (np.abs(slope) + slope_error).sum(axis=2) * self.at.position_errors[:, None]
            certain = np.abs(value) > (error + moved) * 1.001 + 1e-290
        signs = np.where(certain, np.sign(value), 0).astype(np.int64)
        # At the vertices of a face with the map g itself, the difference is zero.
        known = np.zeros(p.n_vertices, dtype=bool)
        known[p.face_vertices[_entries(p, pieces)]] = True
        signs[known] = 0
        for vertex in np.flatnonzero(~certain.all(axis=1) & ~known).tolist():
            value_at = self._exact(vertex, g)
            signs[vertex] = [(v > 0) - (v < 0) for v in value_at]
        return signs

    def _exact(self, vertex: int, g: int) -> list[int]:
        """f - g at a vertex, each output times a positive number that all outputs share."""
        forms, words = self.at.judge.forms, self.p.patterns.words
        x, y, w = self.at.point(vertex)
        own, other = forms.output_map(words[self.at.some_face(vertex)]), forms.output_map(words[g])
        return [int((a[0] - b[0]) * x + (a[1] - b[1]) * y + (a[2] - b[2]) * w) for a, b in zip(own, other, strict=True)]

    def agree_on(self, edge: int, g: int) -> bool:
        """Whether all outputs that change sign along an edge are zero at one point of it."""
        start, stop = (self._exact(vertex, g) for vertex in self.p.edges[edge].tolist())
        changing = [(a, b) for a, b in zip(start, stop, strict=True) if a or b]
        return all(a * changing[0][1] == b * changing[0][0] for a, b in changing[1:])


def _entries(p: PlanarComplex, faces: IntArray) -> BoolArray:
    """Which ring entries belong to the given faces, (C,)."""
    chosen = np.zeros(p.n_regions, dtype=bool)
    chosen[faces] = True
    return np.repeat(chosen, np.diff(p.face_offsets))
