"""Polygons of three dimensions: the facets' corners in order around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, lean, row_ids

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["doubled_areas", "face_towards", "facet_rings", "walk_rings"]


def facet_rings(p: PolyhedralComplex, facets: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Some facets of a partition in three dimensions as rings, in one of two directions; exact.

    A facet may be named twice.

    Returns
    -------
    used : (V,) int64
        The vertices that they have.
    offsets, rings : (P + 1,), (C,) int64
        Ring k is ``rings[offsets[k] : offsets[k + 1]]``, places in `used`.
    """
    sizes = np.diff(p.facet_offsets)[facets]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    corners = p.facet_vertices[np.repeat(p.facet_offsets[facets] - offsets[:-1], sizes) + np.arange(offsets[-1])]
    used, number = np.unique(corners, return_inverse=True)
    place = np.full(p.n_vertices, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    ends = place[p.edges]
    ends = ends[(ends >= 0).all(axis=1)]
    ends = np.concatenate([ends, ends[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    starts = np.searchsorted(ends[:, 0], np.arange(len(used) + 1))
    rings = np.empty(len(corners), dtype=np.int64)
    walk_rings(
        offsets, number.astype(np.int64), starts, np.ascontiguousarray(ends[:, 1]), np.full(len(used), -1), rings
    )
    return used, offsets, rings


def doubled_areas(corners: FloatArray, offsets: IntArray) -> FloatArray:
    """Normal vectors (P, 3), as long as twice the areas, of flat polygons with corners (C, 3), rounded.

    They point to where the corners are counter-clockwise.
    """
    polygon = row_ids(offsets)
    following = np.arange(1, len(corners) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    at = corners - corners[offsets[:-1]][polygon]
    terms = np.cross(at, at[following])
    return np.stack([np.bincount(polygon, term, len(offsets) - 1) for term in terms.T], axis=1)


@lean
def walk_rings(
    offsets: IntArray, corners: IntArray, starts: IntArray, neighbors: IntArray, mark: IntArray, rings: IntArray
) -> None:
    """Put the corners of convex polygons in order around them: an edge joins neighbours on a ring and no others of it.

    Vertex v has edges to ``neighbors[starts[v] : starts[v + 1]]``; `mark` (V,) is scratch, of -1.
    """
    for polygon in range(len(offsets) - 1):
        first, stop = offsets[polygon], offsets[polygon + 1]
        for k in range(first, stop):
            mark[corners[k]] = polygon
        at = corners[first]
        for k in range(first, stop):
            rings[k] = at
            mark[at] = -1
            for n in range(starts[at], starts[at + 1]):
                if mark[neighbors[n]] == polygon:
                    at = neighbors[n]
                    break


def face_towards(vertices: FloatArray, seen_from: FloatArray, offsets: IntArray, rings: IntArray) -> None:
    """Turn rings so that they are counter-clockwise as seen from points (P, 3), in place."""
    polygon = row_ids(offsets)
    origin = vertices[rings[offsets[:-1]]]
    normal = doubled_areas(vertices[rings], offsets)
    wrong = (normal * (seen_from - origin)).sum(axis=1) < 0
    turned = wrong[polygon]
    places = np.arange(len(rings))
    mirrored = offsets[:-1][polygon] + offsets[1:][polygon] - 1 - places
    rings[:] = np.where(turned, rings[mirrored], rings)
