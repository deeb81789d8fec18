"""Puts together faces that only a losing side of a max pooling tells apart.

A max pooling is a tournament of differences, one round a layer (`Layer.relevant`): in a face
where the other side wins the next round, a neuron of an early round has no effect, and its
bit is cleared.  Faces whose patterns then agree are one region, a convex one: that the winner
is this input is a set of linear inequalities there.

`merge_faces` drops the edges between such faces after each round, and leaves vertices as they
are, so that blocks still agree on the edges between them.  `tidied` does the rest to the
finished complex: it names each edge after a neuron that matters on both its sides, and
removes vertices at which nothing but a dropped edge ended.

What must hold so that a merged face can be cut by the layers that follow:

1. It is convex, and its ring runs around it once; vertices inside its sides do no harm.
2. Units of all later layers are affine in it, and its pattern, cleared bits and all, gates them
   to their forms.  A winner b + max(a - b, 0) is, though its parts are not: each of them may bend
   inside, where a loser does, so no unit of a later layer may depend on one of them alone.
3. A line on which an edge lies keeps the form that it had in the face in which it was drawn.
   Beside the edge that form may be lost: that of max(a, b) - max(c, d) takes the bits of both
   matches, the side where max(a, b) wins has cleared that of c and d, and the other side that of
   a and b; where both of them have lost another match since, neither bit is left (the edge
   stays if there another neuron changes sign, too).  So, with a pooling, each edge, and each
   vertex for the older one of its lines, refers to that face (`Faces.edge_drawn`, `History.drawn`).
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import BoolArray, IntArray, WordArray
from geomrelu.network import Network
from geomrelu.patterns import Patterns, word_starts
from geomrelu.planar.blocks import Faces, Part
from geomrelu.planar.regroup import join_edges, joined_rings, trace_rings

__all__ = ["inside_pool", "merge_faces", "relevant_words", "tidied"]

# Bits unpacked at a time.
_BITS = 1 << 24


def inside_pool(network: Network, layer: int) -> bool:
    """Whether the layer before `layer` has neurons on whose relevance this layer decides."""
    relevant = network.layers[layer - 1].relevant if layer > 0 else None
    return relevant is not None and bool((relevant[:, 0] >= 0).any())


def relevant_words(network: Network, words: WordArray, n_layers: int) -> WordArray:
    """Packed patterns (F, words) of the first layers without the bits of neurons that do not matter."""
    first = n_layers - 1
    while first > 0 and inside_pool(network, first):
        first -= 1
    widths = network.widths[:n_layers]
    start = word_starts(widths)[first]
    result = words.copy()
    step = max(1, _BITS // max(1, sum(widths[first:])))
    for at in range(0, len(words), step):
        patterns = Patterns(words[at : at + step, start:], widths[first:])
        bits = [patterns.unpack(k) for k in range(n_layers - first)]
        network.clear_irrelevant(bits, first)
        result[at : at + step, start:] = Patterns.pack(np.concatenate(bits, axis=1), widths[first:]).words
    return result


def merge_faces(faces: Faces, words: WordArray) -> Faces:
    """The faces, each with those that it shares an edge and its (new) pattern `words` with."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    mesh = faces.mesh
    inner = (mesh.edge_faces >= 0).all(axis=1)
    left, right = mesh.edge_faces.T
    dropped = inner & (words[left] == words[right]).all(axis=1)
    if not dropped.any():
        faces.mesh = mesh._replace(face_words=words)
        return faces
    n = len(words)
    arcs = coo_array((np.ones(int(dropped.sum()), dtype=bool), (left[dropped], right[dropped])), shape=(n, n))
    _, component = connected_components(arcs, directed=False)
    keep = ~dropped
    offsets, ring_vertices, ring_edges, first_face = merged_rings(
        mesh.face_offsets, mesh.face_vertices, mesh.face_edges, mesh.edge_faces, keep
    )
    new_face = np.full(component.max() + 2, -1, dtype=np.int64)
    new_face[component[first_face]] = np.arange(len(first_face))
    number = np.cumsum(keep) - 1
    beside = mesh.edge_faces[keep]
    faces.mesh = mesh._replace(
        edges=mesh.edges[keep],
        edge_faces=np.where(beside >= 0, new_face[component[beside]], -1),
        edge_distance=mesh.edge_distance[keep],
        face_offsets=offsets,
        face_vertices=ring_vertices,
        face_edges=number[ring_edges],
        face_words=words[first_face],
        edge_line=mesh.edge_line[keep],
    )
    # Those of the faces in one may differ, but what later layers make of them is the same (2 above).
    faces.stretch = faces.stretch[first_face]
    if faces.edge_drawn is not None:
        faces.edge_drawn = faces.edge_drawn[keep]
    return faces


def merged_rings(
    offsets: IntArray, vertices: IntArray, edges: IntArray, edge_faces: IntArray, keep: BoolArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Rings of the faces without the edges that are not kept, and for each an old face that is in it."""
    corners, n_faces = len(vertices), len(offsets) - 1
    place, seen = np.empty((len(edge_faces), 2), dtype=np.int64), np.zeros(corners, dtype=np.bool_)
    new_offsets = np.zeros(n_faces + 1, dtype=np.int64)
    ring = np.empty((2, corners), dtype=np.int64)
    first = np.empty(n_faces, dtype=np.int64)
    n = trace_rings(offsets, edges, edge_faces, keep, vertices, place, seen, new_offsets, ring[0], ring[1], first)
    used = int(new_offsets[n])
    return new_offsets[: n + 1].copy(), ring[0, :used].copy(), ring[1, :used].copy(), first[:n].copy()


# ---------------------------------------------------------------------- the finished complex


def tidied(network: Network, part: Part) -> Part:
    """The finished complex with edges named after neurons that matter, without needless vertices."""
    _name_edges(network, part)
    degree = np.bincount(part.edges.ravel(), minlength=len(part.xy))
    # A corner of the domain is the only vertex of degree 2 that is no point of a straight line.
    corner = (part.lines < 0).all(axis=1)
    needless = (degree < 3) & ~corner
    _name_vertices(network, part, needless)
    return _without(part, needless)


def _name_edges(network: Network, part: Part) -> None:
    widths = network.widths
    flexible = np.concatenate([_maybe_irrelevant(network, k) for k in range(len(widths))])
    asked = np.flatnonzero((part.edge_line >= 0) & flexible[np.maximum(part.edge_line, 0)])
    step = max(1, _BITS // max(1, sum(widths)))
    for at in range(0, len(asked), step):
        chosen = asked[at : at + step]
        sides = []
        for side in range(2):
            patterns = Patterns(part.words[part.edge_faces[chosen, side]], widths)
            bits = [patterns.unpack(k) for k in range(len(widths))]
            sides.append((np.concatenate(bits, axis=1), np.concatenate(network.clear_irrelevant(bits, 0), axis=1)))
        (left, alive), (right, alive_right) = sides
        differing = (left != right) & alive & alive_right
        own = part.edge_line[chosen]
        stays = differing[np.arange(len(chosen)), own]
        part.edge_line[chosen] = np.where(stays, own, differing.argmax(axis=1))


def _maybe_irrelevant(network: Network, layer: int) -> BoolArray:
    relevant = network.layers[layer].relevant
    return np.zeros(network.widths[layer], dtype=bool) if relevant is None else relevant[:, 0] >= 0


def _name_vertices(network: Network, part: Part, needless: BoolArray) -> None:
    """Two lines for each vertex with one that does not matter everywhere: of the edges at a face's true corner.

    Both neurons matter in that face, and there each has one form, so the two lines differ.
    """
    flexible = np.concatenate([*(_maybe_irrelevant(network, k) for k in range(len(network.widths))), [False]])
    asked = flexible[np.maximum(part.lines, -1)].any(axis=1) & ~needless
    before = np.arange(-1, len(part.face_edges) - 1)
    before[part.face_offsets[:-1]] = part.face_offsets[1:] - 1
    lines = np.stack([part.edge_line[part.face_edges[before]], part.edge_line[part.face_edges]], axis=1)
    corners = np.flatnonzero((lines[:, 0] != lines[:, 1]) & asked[part.face_vertices])
    # The last one counts: on the border one that names the side.
    corners = corners[np.argsort(lines[corners].min(axis=1) < 0, kind="stable")]
    part.lines[part.face_vertices[corners]] = lines[corners]


def _without(part: Part, needless: BoolArray) -> Part:
    """The complex without some vertices, all isolated or between two edges of a straight line."""
    if not needless.any():
        return part
    n_edges = len(part.edges)
    chain, forward = np.full(n_edges, -1, dtype=np.int64), np.empty(n_edges, dtype=np.int64)
    ends, sample = np.empty((n_edges, 2), dtype=np.int64), np.empty(n_edges, dtype=np.int64)
    beside = np.full((len(part.xy), 2), -1, dtype=np.int64)
    n = join_edges(part.edges, needless, beside, chain, forward, ends, sample)
    offsets = np.zeros(len(part.face_offsets), dtype=np.int64)
    corners = np.empty((2, len(part.face_vertices)), dtype=np.int64)
    used = joined_rings(part.face_offsets, part.face_vertices, part.face_edges, needless, chain, offsets, corners)
    number = np.cumsum(~needless) - 1
    # An edge's left face is that of its first piece, if that runs the same way.
    edge_faces = part.edge_faces[sample[:n]]
    turned = forward[:n] == 0
    edge_faces[turned] = edge_faces[turned][:, ::-1]
    kept = ~needless
    return Part(
        part.xy[kept], part.errors[kept], part.lines[kept], number[ends[:n]], edge_faces, part.edge_line[sample[:n]],
        offsets, number[corners[0, :used]], corners[1, :used].copy(), part.words, np.arange(n + 1, dtype=np.int64),
    )  # fmt: skip
