"""Where the largest output changes: the decision boundary's segments, and the regions it cuts into pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, row_ids

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["class_pieces", "tie_segments"]


def tie_segments(p: PlanarComplex) -> FloatArray:
    """Segments (S, 2, 2) on which the two largest outputs tie, or a single output is 0.

    One segment per region that the boundary crosses, computed from the region's own corner
    values: no grid.  Ends on a shared edge are shared, so the pieces join.  Whole regions on
    which outputs tie are not drawn, only their rims.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> sorted(sorted(segment.tolist()) for segment in tie_segments(p))
    [[[-1.0, 0.5], [0.5, -1.0]], [[-0.5, 1.0], [1.0, -0.5]]]
    """
    values = p.network(p.vertices)
    n_outputs = values.shape[1]
    if n_outputs == 1:
        return _zero_segments(p, values[:, 0])[0]
    pieces = []
    for i in range(n_outputs):
        for j in range(i + 1, n_outputs):
            segments, levels = _zero_segments(p, values[:, i] - values[:, j], values)
            pieces.append(_where_largest(segments, levels, i, j))
    return np.concatenate(pieces)


def _zero_segments(p: PlanarComplex, g: FloatArray, carried: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Zero set of the function with values g (V,) at the vertices, affine on each region.

    Returns the segments (S, 2, 2) and the values of `carried` (V, k) at their ends (S, 2, k).
    """
    extra = np.zeros((len(g), 0)) if carried is None else carried
    u, v = p.edges.T
    rows = np.concatenate([p.vertices, extra], axis=1)
    crossed = ((g[u] < 0) & (g[v] > 0)) | ((g[u] > 0) & (g[v] < 0))
    t = np.divide(g[u], g[u] - g[v], out=np.zeros(len(u)), where=crossed)[:, None]
    on_edge = (1 - t) * rows[u] + t * rows[v]
    # Events in ring order: corner k itself, then the edge to corner k + 1.
    flat = np.add.reduceat((g[p.face_vertices] != 0).astype(np.int64), p.face_offsets[:-1]) == 0
    face = row_ids(p.face_offsets)
    event = np.stack([(g[p.face_vertices] == 0) & ~flat[face], crossed[p.face_edges]], axis=1).ravel()
    where = np.flatnonzero(event)
    corner, is_edge = where // 2, (where % 2).astype(bool)
    points = np.where(is_edge[:, None], on_edge[p.face_edges[corner]], rows[p.face_vertices[corner]])
    pair = np.flatnonzero(face[corner[:-1]] == face[corner[1:]])
    ends = np.stack([points[pair], points[pair + 1]], axis=1)
    return ends[:, :, :2], ends[:, :, 2:]


def _where_largest(segments: FloatArray, levels: FloatArray, i: int, j: int) -> FloatArray:
    """The parts of segments (S, 2, 2), on which outputs i and j tie, where no other output is larger."""
    low, high = np.zeros(len(segments)), np.ones(len(segments))
    for k in range(levels.shape[2]):
        if k in (i, j):
            continue
        lead = levels[:, :, i] - levels[:, :, k]
        slope = lead[:, 1] - lead[:, 0]
        root = np.divide(-lead[:, 0], slope, out=np.zeros(len(slope)), where=slope != 0)
        low = np.where(slope > 0, np.maximum(low, root), low)
        high = np.where(slope < 0, np.minimum(high, root), high)
        high = np.where((slope == 0) & (lead[:, 0] < 0), -1.0, high)
    keep = low < high
    start, step = segments[keep, 0], segments[keep, 1] - segments[keep, 0]
    return np.stack([start + low[keep, None] * step, start + high[keep, None] * step], axis=1)


def class_pieces(p: PlanarComplex) -> tuple[list[FloatArray], IntArray]:
    """Polygons, and their classes, of the regions whose corners are not all of one class.

    Where one output is largest is convex, so a region with all corners in it lies in it whole.
    """
    values = p.network(p.vertices)
    if values.shape[1] == 1:
        values = np.concatenate([np.zeros_like(values), values], axis=1)
    best = np.argmax(values, axis=1)[p.face_vertices]
    low, high = (ufunc.reduceat(best, p.face_offsets[:-1]) for ufunc in (np.minimum, np.maximum))
    polygons, classes = [], []
    for face in np.flatnonzero(low != high):
        ring = p.face_vertices[p.face_offsets[face] : p.face_offsets[face + 1]]
        for k in range(values.shape[1]):
            rows = np.concatenate([p.vertices[ring], values[ring, k : k + 1] - values[ring]], axis=1)
            for j in range(values.shape[1]):
                rows = rows if j == k else _clipped(rows, 2 + j)
            if len(rows) > 2:
                polygons.append(rows[:, :2])
                classes.append(k)
    return polygons, np.array(classes, dtype=np.int64)


def _clipped(rows: FloatArray, column: int) -> FloatArray:
    """The part of a convex ring, with values affine on it, where one column is not negative."""
    here, there = rows, np.roll(rows, -1, axis=0)
    a, b = here[:, column], there[:, column]
    crossed = ((a < 0) & (b > 0)) | ((a > 0) & (b < 0))
    t = np.divide(a, a - b, out=np.zeros(len(a)), where=crossed)[:, None]
    both = np.stack([here, (1 - t) * here + t * there], axis=1)
    return np.asarray(both[np.stack([a >= 0, crossed], axis=1)])
