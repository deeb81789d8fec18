"""Blocks: parts of the complex that go through the layers on their own.

Regions of deeper layers nest in their parents, so below any layer the faces can be dealt with
in blocks.  That bounds memory, keeps a block's values in the processor's cache, and is the
unit of parallel work and of resumption.  Blocks share the edges between them; each cuts them
for itself, and since signs and orders are exact, all cut them alike.

`split` orders the faces along a Z curve and takes runs of them, so blocks are compact and
share few edges.  `merge` numbers what the finished blocks share once: an edge is cut into
pieces, consecutive and in order in every block (`first_piece`), so pieces correspond by their
place on the edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.errors import InvariantError
from geomrelu.planar.records import Mesh, Rows
from geomrelu.planar.regroup import extract_rings, face_places, place_part
from geomrelu.planar.rows import rectified_rows
from geomrelu.planar.settle import History

__all__ = ["Block", "Faces", "Part", "merge", "split"]


@dataclass
class Faces:
    """A complex under construction, or a block of it."""

    mesh: Mesh
    radius: FloatArray  # (V,) rigorous bound on the position error, which is mostly far smaller
    place_error: FloatArray  # (V,) estimate of it: the bound, had values only the rounding of their last product
    stretch: FloatArray  # (F,) bound on the norm of the affine map to the next layer's inputs (`steepness`)
    edge_drawn: IntArray | None = None  # (E,) the face in which the edge's line was drawn, as `History.drawn`


@dataclass
class Block:
    """Faces before a layer, self-contained: what it takes to cut them by all layers that follow.

    Attributes
    ----------
    layer : int
        The layer that comes next.
    rows : Rows
        The next layer's inputs at the vertices.
    owned, owned_vertices : (E,), (V,) bool
        Whether an edge or a vertex is counted here; what blocks share is owned by one of them.
    share : float
        Of the domain's area.
    vertex_ids, edge_ids : (V,), (E,) int64
        Numbers in the complex that was split.
    """

    layer: int
    faces: Faces
    history: History
    rows: Rows
    owned: BoolArray
    owned_vertices: BoolArray
    share: float
    vertex_ids: IntArray
    edge_ids: IntArray


@dataclass
class Part:
    """A finished block.

    Attributes
    ----------
    first_piece : (block's edges + 1,) int64
        Edge e of the block became the edges ``first_piece[e]`` to ``first_piece[e + 1] - 1``, in order.
    """

    xy: FloatArray
    errors: FloatArray
    lines: IntArray
    edges: IntArray
    edge_faces: IntArray
    edge_line: IntArray
    face_offsets: IntArray
    face_vertices: IntArray
    face_edges: IntArray
    words: WordArray
    first_piece: IntArray


# ---------------------------------------------------------------------- split


def split(
    layer: int, faces: Faces, history: History, rows: Rows, owned: BoolArray, owned_vertices: BoolArray, share: float,
    size: int, n_inputs: int,
) -> Iterator[Block]:  # fmt: skip
    """Blocks of about `size` faces each, one at a time.

    Parameters
    ----------
    owned, owned_vertices : (E,), (V,) bool
    share : float
        Of the domain's area that all the faces have together.
    n_inputs : int
        Of the layer that comes next.
    """
    mesh = faces.mesh
    n_faces = len(mesh.face_offsets) - 1
    areas, centres = np.empty(n_faces), np.empty((n_faces, 2))
    face_places(mesh.xy, mesh.face_offsets, mesh.face_vertices, areas, centres)
    order = z_order(centres)
    n_blocks = -(-n_faces // size)
    bounds = np.linspace(0, n_faces, n_blocks + 1).astype(np.int64)
    block_of = np.empty(n_faces, dtype=np.int64)
    block_of[order] = np.repeat(np.arange(n_blocks), np.diff(bounds))
    first_block = np.full(len(mesh.xy), n_blocks, dtype=np.int64)
    np.minimum.at(first_block, mesh.face_vertices, np.repeat(block_of, np.diff(mesh.face_offsets)))
    total = float(areas.sum()) or 1.0
    place = np.full(n_faces, -1, dtype=np.int64)
    vertex_at, edge_at = np.full(len(mesh.xy), -1, dtype=np.int64), np.full(len(mesh.edges), -1, dtype=np.int64)
    for k in range(n_blocks):
        chosen = order[bounds[k] : bounds[k + 1]]
        place[chosen] = np.arange(len(chosen))
        sizes = np.diff(mesh.face_offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        ring_vertices, ring_edges = np.empty((2, offsets[-1]), dtype=np.int64)
        vertex_ids, edge_ids = np.empty((2, offsets[-1]), dtype=np.int64)
        n_vertices, n_edges = extract_rings(
            chosen, mesh.face_offsets, mesh.face_vertices, mesh.face_edges, offsets, vertex_at, edge_at,
            ring_vertices, ring_edges, vertex_ids, edge_ids,
        )  # fmt: skip
        vertex_ids, edge_ids = vertex_ids[:n_vertices].copy(), edge_ids[:n_edges].copy()
        beside = mesh.edge_faces[edge_ids]
        edge_faces = np.where(beside >= 0, place[beside], -1)
        first_owner = np.where(beside >= 0, block_of[beside], n_blocks).min(axis=1)
        own = Mesh(
            xy=mesh.xy[vertex_ids],
            edges=vertex_at[mesh.edges[edge_ids]],
            edge_faces=edge_faces,
            edge_distance=mesh.edge_distance[edge_ids],
            face_offsets=offsets,
            face_vertices=ring_vertices,
            face_edges=ring_edges,
            face_words=mesh.face_words[chosen],
            edge_line=mesh.edge_line[edge_ids],
        )
        edge_drawn = None if faces.edge_drawn is None else faces.edge_drawn[edge_ids]
        own_history, edge_drawn = chosen_history(history, vertex_ids, edge_drawn)
        yield Block(
            layer,
            Faces(
                own, faces.radius[vertex_ids], faces.place_error[vertex_ids], faces.stretch[chosen], edge_drawn
            ),
            own_history,
            chosen_rows(rows, vertex_ids, n_inputs),
            owned[edge_ids] & (first_owner == k),
            owned_vertices[vertex_ids] & (first_block[vertex_ids] == k),
            share * float(areas[chosen].sum()) / total,
            vertex_ids,
            edge_ids,
        )  # fmt: skip
        place[chosen], vertex_at[vertex_ids], edge_at[edge_ids] = -1, -1, -1


def chosen_history(
    history: History, vertices: IntArray, edge_drawn: IntArray | None
) -> tuple[History, IntArray | None]:
    """The history of some vertices and edges, with the patterns that it refers to and no others."""
    layers, parents = history.layers[vertices], history.parents[vertices].copy()
    nothing = np.empty(0, dtype=np.int64)
    drawn = nothing if history.drawn is None else np.concatenate([history.drawn[vertices], edge_drawn])
    new_drawn = np.full_like(drawn, -1)
    words, start, new_start = [], 0, 0
    for layer, rows in enumerate(history.words):
        made = np.flatnonzero(layers == layer)
        on = np.flatnonzero((drawn >= start) & (drawn < start + len(rows)))
        needed, place = np.unique(np.concatenate([parents[made], drawn[on] - start]), return_inverse=True)
        parents[made], new_drawn[on] = place[: len(made)], new_start + place[len(made) :]
        words.append(rows[needed])
        start, new_start = start + len(rows), new_start + len(needed)
    chosen = History(history.lines[vertices], parents, layers, words)
    if history.drawn is None:
        return chosen, None
    chosen.drawn = new_drawn[: len(vertices)]
    return chosen, new_drawn[len(vertices) :]


def chosen_rows(rows: Rows, vertices: IntArray, n_inputs: int) -> Rows:
    """The next layer's inputs at some vertices, computed."""
    n = len(vertices)
    h, norm, error = np.empty((n, n_inputs)), np.empty(n), np.empty(n)
    rectified_rows(rows, vertices, h, norm, error)
    return given_rows(h, error)


def given_rows(h: FloatArray, error: FloatArray) -> Rows:
    """Rows that are a layer's inputs already."""
    sources, lines, nothing = np.empty((0, 4), dtype=np.int64), np.empty((0, 2), dtype=np.int64), np.empty(0)
    return Rows(h, 0, 0, error, np.zeros(len(h)), sources, np.empty((0, 4)), lines, nothing)


def z_order(points: FloatArray) -> IntArray:
    """Order of points (N, 2) along a Z curve through their bounding box."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scaled = (points - low) / np.where(extent > 0, extent, 1.0) * 65535.0
    code = np.zeros(len(points), dtype=np.uint64)
    for axis in range(2):
        bits = np.nan_to_num(scaled[:, axis]).astype(np.uint64)
        for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
        code |= bits << np.uint64(axis)
    return np.argsort(code, kind="stable").astype(np.int64)


# ---------------------------------------------------------------------- merge


def merge(n_vertices: int, n_edges: int, blocks: Sequence[tuple[IntArray, IntArray]], parts: list[Part]) -> Part:
    """The finished complex of a complex that was split; `parts` is emptied on the way.

    Parameters
    ----------
    n_vertices, n_edges : int
        Of the complex that was split.
    blocks : sequence of (vertex_ids, edge_ids)
    parts : list of Part
    """
    pieces = np.zeros(n_edges + 1, dtype=np.int64)
    for (_, edge_ids), part in zip(blocks, parts, strict=True):
        own = np.diff(part.first_piece)
        before = pieces[edge_ids + 1]
        differing = (before != 0) & (before != own)
        if differing.any():
            k = int(np.argmax(differing))
            raise InvariantError("edge pieces", f"edge {edge_ids[k]} between blocks", int(own[k]), int(before[k]))
        pieces[edge_ids + 1] = own
    first_piece = np.cumsum(pieces)
    n_on_edges = int(first_piece[-1]) - n_edges
    inner_vertices = [
        len(p.xy) - len(v) - int(p.first_piece[-1]) + len(e) for (v, e), p in zip(blocks, parts, strict=True)
    ]
    sizes = {
        "vertices": n_vertices + n_on_edges + sum(inner_vertices),
        "edges": int(first_piece[-1]) + sum(len(p.edges) - int(p.first_piece[-1]) for p in parts),
        "faces": sum(len(p.words) for p in parts),
        "corners": sum(len(p.face_vertices) for p in parts),
    }
    whole = _empty_part(sizes, parts[0].words.shape[1], first_piece)
    vertex, edge, face, corner = n_vertices + n_on_edges, int(first_piece[-1]), 0, 0
    for k, (vertex_ids, edge_ids) in enumerate(blocks):
        part = parts[k]
        vertex, edge = place_part(
            part.xy, part.errors, part.lines, part.edges, part.edge_faces, part.edge_line, part.face_vertices,
            part.face_edges, part.first_piece, vertex_ids, edge_ids, first_piece, n_vertices, vertex, edge, face,
            corner, whole.xy, whole.errors, whole.lines, whole.edges, whole.edge_faces, whole.edge_line,
            whole.face_vertices, whole.face_edges, np.full(len(part.xy), -1, dtype=np.int64),
            np.empty(len(part.edges), dtype=np.int64),
        )  # fmt: skip
        n, c = len(part.words), len(part.face_vertices)
        whole.face_offsets[face : face + n + 1] = part.face_offsets + corner
        whole.words[face : face + n] = part.words
        face, corner = face + n, corner + c
        parts[k] = None  # type: ignore[call-overload]
    parts.clear()
    return whole


def _empty_part(sizes: dict[str, int], n_words: int, first_piece: IntArray) -> Part:
    v, e, f, c = (sizes[name] for name in ("vertices", "edges", "faces", "corners"))
    return Part(
        # A vertex that was left without edges before the split (`merging`) is in no block.
        xy=np.zeros((v, 2)),
        errors=np.zeros(v),
        lines=np.zeros((v, 2), dtype=np.int64),
        edges=np.empty((e, 2), dtype=np.int64),
        edge_faces=np.full((e, 2), -1, dtype=np.int64),
        edge_line=np.empty(e, dtype=np.int64),
        face_offsets=np.zeros(f + 1, dtype=np.int64),
        face_vertices=np.empty(c, dtype=np.int64),
        face_edges=np.empty(c, dtype=np.int64),
        words=np.empty((f, n_words), dtype=np.uint64),
        first_piece=first_piece,
    )
