"""Compiled loops of `blocks` and `merging`: taking faces out of a complex, putting blocks and faces together."""

from __future__ import annotations

from geomrelu.arrays import BoolArray, FloatArray, IntArray, lean

__all__ = ["extract_rings", "face_places", "join_edges", "joined_rings", "place_part", "trace_rings"]


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


@lean
def trace_rings(
    offsets: IntArray, edges: IntArray, edge_faces: IntArray, keep: BoolArray, vertices: IntArray, place: IntArray,
    seen: BoolArray, new_offsets: IntArray, ring_vertices: IntArray, ring_edges: IntArray, first: IntArray,
) -> int:  # fmt: skip
    """Fill the merged rings, in the order of their first corners; returns their number.

    `place` (E, 2) receives the corner at which an edge leaves in the face on its left and right.
    """
    for f in range(len(offsets) - 1):
        for c in range(offsets[f], offsets[f + 1]):
            place[edges[c], 0 if edge_faces[edges[c], 0] == f else 1] = c
    n = written = 0
    for f in range(len(offsets) - 1):
        for start in range(offsets[f], offsets[f + 1]):
            if seen[start] or not keep[edges[start]]:
                continue
            face, c = f, start
            while not seen[c]:
                seen[c] = True
                ring_vertices[written] = vertices[c]
                ring_edges[written] = edges[c]
                written += 1
                c = c + 1 if c + 1 < offsets[face + 1] else offsets[face]
                while not keep[edges[c]]:
                    # On to what follows the dropped edge in the face beyond it.
                    e = edges[c]
                    side = 1 if edge_faces[e, 0] == face else 0
                    face, c = edge_faces[e, side], place[e, side]
                    c = c + 1 if c + 1 < offsets[face + 1] else offsets[face]
            first[n] = f
            n += 1
            new_offsets[n] = written
    return n


@lean
def join_edges(
    edges: IntArray, needless: BoolArray, beside: IntArray, chain: IntArray, forward: IntArray, ends: IntArray,
    sample: IntArray,
) -> int:  # fmt: skip
    """Number the chains of edges that needless vertices join; returns how many there are.

    Fills `beside` (V, 2), the edges at a needless vertex; `chain` (E,); and for each chain its
    `ends`, its first edge (`sample`) and whether that runs `forward`.
    """
    for e in range(len(edges)):
        for side in range(2):
            v = edges[e, side]
            if needless[v]:
                beside[v, 0 if beside[v, 0] < 0 else 1] = e
    n = 0
    for e in range(len(edges)):
        for side in range(2):
            # From each end of a chain; one that was met from its other end has its number already.
            if needless[edges[e, side]] or chain[e] >= 0:
                continue
            at, here = edges[e, 1 - side], e
            chain[here] = n
            while needless[at]:
                here = beside[at, 0] if beside[at, 1] == here else beside[at, 1]
                chain[here] = n
                at = edges[here, 1] if edges[here, 0] == at else edges[here, 0]
            ends[n, 0], ends[n, 1] = edges[e, side], at
            sample[n] = e
            forward[n] = 1 - side
            n += 1
    return n


@lean
def joined_rings(
    offsets: IntArray, vertices: IntArray, edges: IntArray, needless: BoolArray, chain: IntArray,
    new_offsets: IntArray, corners: IntArray,
) -> int:  # fmt: skip
    """Rings without the needless vertices; returns the number of corners."""
    n = 0
    for f in range(len(offsets) - 1):
        for c in range(offsets[f], offsets[f + 1]):
            if not needless[vertices[c]]:
                corners[0, n], corners[1, n] = vertices[c], chain[edges[c]]
                n += 1
        new_offsets[f + 1] = n
    return n
