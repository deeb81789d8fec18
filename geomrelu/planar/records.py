"""The planar engine's arrays, and how one layer of neurons cuts a complex.

Inside one *parent* face all neurons of the layer are affine, so the zero set of each neuron
that has both signs on the face is one *chord*, and the face is cut into the arrangement of
its chords:

1. `rows.sign_rows`: two bits per vertex and neuron, positive and negative; neither
   means zero.  A value below its error bound is in doubt, listed, and decided elsewhere.
2. `crossings.edge_crossings`: where each neuron crosses each edge, sorted along the edge.
   Every edge is cut once, so both its faces share the new vertices.
3. `chords.chords_of_face`: each chord joins two positions on the face's ring.  Two chords
   cross if and only if their ends interleave on the ring: no arithmetic (`chords.find_pairs`).
4. `chords.pair_keys`: the order of the crossings along each chord, the only geometry inside.
5. `arrange.cut_faces`: half-edges ("darts") are linked by the cyclic order of directions
   around each vertex, again the order of chord ends on the ring; following the links traces
   the children.  Most faces have no chord or one, and need no links.  Crossing a chord flips its neurons' bits.

So the topology is a function of signs and orders only: if those are right, it is right.  Work
is proportional to what is there: a face's chords, their crossings and the new faces.

Error bounds are derived in `bounds`.  Each vertex stands for a *represented point*, the exact
convex combination of older points that its stored weights name.  Two crossings whose
intervals of uncertainty overlap are in doubt; their edge or face is listed and decided by
exact integers (`settle`), and the loops go on with exact ranks in place of fractions.

Kernels know no network and trust their inputs.  New vertices are numbered after the old ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.planar.pool import Pool

__all__ = [
    "Children",
    "Cuts",
    "Face",
    "LayerBounds",
    "Links",
    "Mesh",
    "Pairs",
    "Rows",
    "Values",
    "grown",
    "new_children",
]


class Mesh(NamedTuple):
    """The complex before a layer cuts it."""

    xy: FloatArray  # (V, 2)
    edges: IntArray  # (E, 2)
    edge_faces: IntArray  # (E, 2) left, right
    edge_distance: FloatArray  # (E,) bound on the distance of represented points from the true line
    face_offsets: IntArray  # (F + 1,)
    face_vertices: IntArray  # (C,)
    face_edges: IntArray  # (C,)
    face_words: WordArray  # (F, words) patterns in the layers before
    edge_line: IntArray  # (E,) the neuron, or -1 - k for the domain's side k


class LayerBounds(NamedTuple):
    """Norms of one layer, rounded up."""

    gamma: float
    row_norm: float  # largest 2-norm of a row of the weights
    operator_norm: float
    magnitude_norm: float  # of the weights' magnitudes
    bias_max: float
    bias_norm: float
    steepness: float  # bound, by norms alone, on the gradient of every unit of the layer


class Rows(NamedTuple):
    """What a layer's inputs at the vertices are made of: old vertices' rows, and new ones' places between them."""

    z: FloatArray  # (old, units) preactivations
    n_neurons: int  # how many of the units are rectified
    first_neuron: int  # the number of the first
    row_error: FloatArray  # (old,) bound on the 2-norm of a row's error
    extra_error: FloatArray  # (old,) for values that contradict a sign that was decided exactly
    sources: IntArray  # (new, 4) old vertices
    weights: FloatArray  # (new, 4)
    lines: IntArray  # (new, 2) neurons that are zero by definition, among them of layers before, and the domain's sides
    new_limit: FloatArray  # (new,) how far a value may be from that at the true vertex


class Values(NamedTuple):
    """A layer's preactivations at the vertices, and what is known of their errors."""

    z: FloatArray  # (V, units)
    error: FloatArray  # (V,) bound on the error of every entry of a row at the represented point
    positive: WordArray  # (V, words)
    negative: WordArray  # (V, words)
    steepness: FloatArray  # (F,) bound on the gradient's norm of every neuron of the layer in each face
    first_neuron: int  # the number of the layer's first neuron
    blur: float  # bound on the distance of a stored coordinate pair from its represented point


class Cuts(NamedTuple):
    """Crossings of edges, in CSR form, sorted along each edge; ties share a group (a vertex)."""

    offsets: IntArray  # (E + 1,) into the next five
    neuron: IntArray
    group: IntArray  # index of the new vertex on its edge
    t: FloatArray
    residual: FloatArray  # bound on |neuron's value| at the represented point
    radius: FloatArray  # bound on the distance from the represented to the true point
    slope: FloatArray  # lower bound on the gradient's norm of the neuron beside the edge
    vertex_offsets: IntArray  # (E + 1,) number of new vertices on the edges before


class Children(NamedTuple):
    """Growing output of `cut_faces`."""

    xy: FloatArray  # new vertices, the ones on edges first
    lines: IntArray  # (., 2) as `Mesh.edge_line`, one of this layer first
    parents: IntArray  # (.,) parent face in which the two lines cross
    sources: IntArray  # (., 4) old vertices
    weights: FloatArray  # (., 4) of the represented point
    radius: FloatArray
    limit: FloatArray  # bound on the distance of any value from that at the true vertex
    edges: IntArray
    edge_faces: IntArray
    edge_line: IntArray
    edge_distance: FloatArray
    face_offsets: IntArray
    face_parent: IntArray
    face_words: WordArray  # patterns, this layer's included
    face_vertices: IntArray
    face_edges: IntArray
    used: IntArray  # (3,) vertices, edges, faces written so far


class Face(NamedTuple):
    """Scratch space for one face: its ring, strands (neurons with both signs) and chords."""

    local: IntArray  # (neurons,) strand of a neuron, -1 where none
    ring_vertex: IntArray
    ring_side: IntArray  # 2 edge + 0 where the face lies left of the ring's edge, + 1 where right
    strand_neuron: IntArray
    strand_right: IntArray  # 1 where the neuron is positive right of the chord
    strand_next: IntArray  # next strand of the same chord, -1 at the end
    first: IntArray  # per chord: ring position of its first end
    second: IntArray
    strand: IntArray  # per chord: its first strand
    name: IntArray  # per chord: the first of its neurons
    residual: FloatArray
    slope: FloatArray
    distance: FloatArray
    length: FloatArray
    closing: IntArray  # chords in the order of their second ends
    before: IntArray  # linked list of open chords
    after: IntArray
    counts: IntArray  # (5,) strands, strands with both ends, third ends, chords, pairs


class Pairs(NamedTuple):
    """Scratch space for the crossings of chords in one face.

    Pair x of chords i < j has two items: 2 x, j's place along i; 2 x + 1, i's place along j.
    """

    i: IntArray
    j: IntArray
    t: FloatArray  # per item: fraction of the way along the chord
    key: FloatArray  # per item: t, or an exact rank that is equal for ties
    radius: FloatArray
    order: IntArray  # items of chord 0 in order, of chord 1, ...
    vertex: IntArray  # per pair: local vertex
    offsets: IntArray  # (chords + 1,) into order


class Links(NamedTuple):
    """Scratch space for tracing the children of one face."""

    segment: IntArray  # (chords + 1,): a chord's first segment
    chord: IntArray  # per segment
    first_dart: IntArray  # per local vertex: forward dart that arrives on the first of its chords
    last_dart: IntArray  # the same on the last chord so far
    next: IntArray  # per dart
    child: IntArray  # per dart of a segment
    queue: IntArray  # darts of segments in the order in which children were walked
    ends: IntArray  # chords that end at one ring position


def new_children(pool: Pool, vertices: int, edges: int, faces: int, corners: int, n_words: int) -> Children:
    """Output of `cut_faces` with room for so many of each, nothing written yet."""
    integer, real, pair, four = np.int64, np.float64, (vertices, 2), (vertices, 4)
    # What lives as long lies together.
    xy, lines, parents, sources, weights, radius, limit = pool.arrays(
        (pair, real), (pair, integer), (vertices, integer), (four, integer), (four, real), (vertices, real),
        (vertices, real),
    )  # fmt: skip
    edge_ends, edge_faces, edge_line, edge_distance, *rest = pool.arrays(
        ((edges, 2), integer), ((edges, 2), integer), (edges, integer), (edges, real), (faces + 1, integer),
        (faces, integer), ((faces, n_words), np.uint64), (corners, integer), (corners, integer),
    )  # fmt: skip
    face_offsets, face_parent, face_words, face_vertices, face_edges = rest
    face_offsets[0] = 0
    return Children(
        xy, lines, parents, sources, weights, radius, limit, edge_ends, edge_faces, edge_line, edge_distance,
        face_offsets, face_parent, face_words, face_vertices, face_edges, np.zeros(3, dtype=integer),
    )  # fmt: skip


def grown(pool: Pool, out: Children, factor: int) -> Children:
    """A copy with `factor` times the room."""
    bigger = new_children(
        pool,
        factor * len(out.xy),
        factor * len(out.edges),
        factor * len(out.face_parent),
        factor * len(out.face_vertices),
        out.face_words.shape[1],
    )
    for old, new in zip(out, bigger, strict=True):
        new[: len(old)] = old
    return bigger
