"""Compiled loops of `blocks`: taking faces out of a complex, and putting finished blocks together."""

from __future__ import annotations

from geomrelu.arrays import FloatArray, IntArray, lean

__all__ = ["extract_rings", "face_places", "place_part"]


@lean
def face_places(xy: FloatArray, offsets: IntArray, ring: IntArray, areas: FloatArray, centres: FloatArray) -> None:
    """Fill the faces' areas (F,), rounded, and the means of their corners (F, 2)."""
    for f in range(len(areas)):
        first, last = offsets[f], offsets[f + 1]
        x0, y0 = xy[ring[first], 0], xy[ring[first], 1]
        doubled = x = y = 0.0
        for c in range(first, last):
            d = c + 1 if c + 1 < last else first
            ax, ay = xy[ring[c], 0] - x0, xy[ring[c], 1] - y0
            bx, by = xy[ring[d], 0] - x0, xy[ring[d], 1] - y0
            doubled += ax * by - ay * bx
            x += ax
            y += ay
        areas[f] = abs(doubled) / 2
        centres[f, 0], centres[f, 1] = x0 + x / (last - first), y0 + y / (last - first)


@lean
def extract_rings(
    faces: IntArray, face_offsets: IntArray, face_vertices: IntArray, face_edges: IntArray, offsets: IntArray,
    vertex_at: IntArray, edge_at: IntArray, ring_vertices: IntArray, ring_edges: IntArray, vertex_ids: IntArray,
    edge_ids: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Renumber the rings of some faces from 0; returns the numbers of vertices and edges met.

    `vertex_at` and `edge_at` are -1 all over, and become the new numbers; the ids lead back.
    """
    n_vertices = n_edges = 0
    for k in range(len(faces)):
        old = face_offsets[faces[k]]
        for c in range(offsets[k + 1] - offsets[k]):
            v, e = face_vertices[old + c], face_edges[old + c]
            if vertex_at[v] < 0:
                vertex_at[v] = n_vertices
                vertex_ids[n_vertices] = v
                n_vertices += 1
            if edge_at[e] < 0:
                edge_at[e] = n_edges
                edge_ids[n_edges] = e
                n_edges += 1
            ring_vertices[offsets[k] + c] = vertex_at[v]
            ring_edges[offsets[k] + c] = edge_at[e]
    return n_vertices, n_edges


@lean
def place_part(
    xy: FloatArray, errors: FloatArray, lines: IntArray, edges: IntArray, edge_faces: IntArray, edge_line: IntArray,
    face_vertices: IntArray, face_edges: IntArray, own_first: IntArray, vertex_ids: IntArray, edge_ids: IntArray,
    first_piece: IntArray, n_old: int, vertex: int, edge: int, face: int, corner: int, out_xy: FloatArray,
    out_errors: FloatArray, out_lines: IntArray, out_edges: IntArray, out_edge_faces: IntArray,
    out_edge_line: IntArray, out_face_vertices: IntArray, out_face_edges: IntArray, vertex_at: IntArray,
    edge_at: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Copy a finished block into the whole, renumbered; returns the next free vertex and edge.

    `vertex_at`, -1 all over, and `edge_at` receive the new numbers.
    """
    for v in range(len(vertex_ids)):
        vertex_at[v] = vertex_ids[v]
    for e in range(len(edge_ids)):
        start = first_piece[edge_ids[e]]
        n = own_first[e + 1] - own_first[e]
        for k in range(n):
            edge_at[own_first[e] + k] = start + k
            if k + 1 < n:
                vertex_at[edges[own_first[e] + k, 1]] = n_old + start - edge_ids[e] + k
    for e in range(own_first[-1], len(edges)):
        edge_at[e] = edge
        edge += 1
    for v in range(len(xy)):
        if vertex_at[v] < 0:
            vertex_at[v] = vertex
            vertex += 1
        at = vertex_at[v]
        out_errors[at] = errors[v]
        for axis in range(2):
            out_xy[at, axis] = xy[v, axis]
            out_lines[at, axis] = lines[v, axis]
    for e in range(len(edges)):
        at = edge_at[e]
        out_edge_line[at] = edge_line[e]
        for side in range(2):
            out_edges[at, side] = vertex_at[edges[e, side]]
            if edge_faces[e, side] >= 0:
                out_edge_faces[at, side] = face + edge_faces[e, side]
    for c in range(len(face_vertices)):
        out_face_vertices[corner + c] = vertex_at[face_vertices[c]]
        out_face_edges[corner + c] = edge_at[face_edges[c]]
    return vertex, edge
