"""Cutting faces: from chords and their order to the children, their edges and patterns.

See `records` for the algorithm as a whole.  Darts of a face with ring length R: dart k < R
runs along the ring from position k to k + 1; segment s of the chords has the darts R + 2 s
(forward, from the chord's first end to its second) and R + 2 s + 1 (back).  A dart's child
lies to its left.  The dart after d turns as far left as possible: among the directions at
d's head it is the next one clockwise from where d came.  Around a vertex, directions are in
the cyclic order of the ring positions to which their chords lead, so no angle is computed.

A child is written as soon as it is found, so each dart is walked once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner, lean
from geomrelu.planar.bits import ONE
from geomrelu.planar.chords import (
    chords_of_face,
    face_masks,
    find_pairs,
    list_items,
    new_face,
    new_pairs,
    pair_keys,
    sort_items,
)
from geomrelu.planar.records import Children, Cuts, Face, Links, Mesh, Pairs, Values

__all__ = ["CONTRADICTION", "DOUBTFUL", "Scratch", "cut_faces", "kernel", "order_questions"]

# What `cut_faces` reports of a face that it did not cut.
DOUBTFUL = 1
CONTRADICTION = 2


class Scratch:
    """Space for the work on one face at a time: Python makes it, as allocation takes long to compile."""

    def __init__(self) -> None:
        self._sizes = [0, 0, 0, 0]

    def make(self, n_neurons: int, ring: int = 128, strands: int = 64, pairs: int = 1024) -> None:
        """Have room for a layer's neurons, and for a face of this size."""
        sizes = [max(a, b) for a, b in zip((n_neurons, ring, strands, pairs), self._sizes, strict=True)]
        if sizes == self._sizes:
            return
        self._sizes = sizes
        n_neurons, ring, strands, pairs = sizes
        self.face, self.pairs = new_face(n_neurons, ring, strands), new_pairs(strands, pairs)
        self.links = _new_links(ring, strands, pairs)
        self.masks = np.empty((2, (n_neurons + 63) // 64), dtype=np.uint64)
        # Of ring, strands and pairs, what a face wanted for which there is too little room.
        self.wanted = np.zeros(3, dtype=np.int64)


def cut_faces(
    faces: IntArray,
    begin: int,
    end: int,
    mesh: Mesh,
    values: Values,
    cuts: Cuts,
    n_neurons: int,
    ranks: FloatArray,
    rank_offsets: IntArray,
    status: npt.NDArray[np.int8],
    scratch: Scratch,
    out: Children,
) -> int:
    """Cut ``faces[begin:end]`` until the output is full; returns where to go on.

    Without `rank_offsets` these are the faces `begin` to `end`.

    ``status[k]`` becomes 0 when ``faces[k]`` is done, `DOUBTFUL` when the order along a chord
    is not certain, `CONTRADICTION` when no arrangement has these signs.  Items of face k take
    their keys from ``ranks[rank_offsets[k]:rank_offsets[k + 1]]`` where that is not empty:
    exact ranks, equal for ties.
    """
    n_words = values.positive.shape[1]
    room = np.array([len(out.xy), len(out.edges), len(out.face_parent), len(out.face_vertices)])
    scratch.make(n_neurons)
    while True:
        pending, active = scratch.masks[:, :n_words]
        begin = kernel(
            faces, begin, end, mesh, values, cuts, ranks, rank_offsets, status, scratch.face, scratch.pairs,
            scratch.links, pending, active, scratch.wanted, room, out,
        )  # fmt: skip
        if not scratch.wanted.any():
            return begin
        scratch.make(n_neurons, *(2 * scratch.wanted).tolist())


def order_questions(
    f: int, n_neurons: int, mesh: Mesh, values: Values, cuts: Cuts, out: Children
) -> tuple[Face, Pairs]:
    """Chords and pairs of one face whose order is in doubt; `Pairs.offsets` tells how many chords there are."""
    nothing = np.zeros(2, dtype=np.int64)
    # What is in doubt stays in the scratch space.
    scratch, status = Scratch(), np.empty(1, dtype=np.int8)
    cut_faces(np.array([f]), 0, 1, mesh, values, cuts, n_neurons, np.empty(0), nothing, status, scratch, out)
    face, pairs = scratch.face, scratch.pairs
    chords, n = face.counts[3:5].tolist()
    lengths = {"i": n, "j": n, "vertex": n, "offsets": chords + 1}
    return face, Pairs(**{name: column[: lengths.get(name, 2 * n)] for name, column in pairs._asdict().items()})


def _new_links(ring: int, chords: int, pairs: int) -> Links:
    segments = chords + 2 * pairs
    vertices = np.empty((2, pairs), dtype=np.int64)
    return Links(
        segment=np.empty(chords + 1, dtype=np.int64),
        chord=np.empty(segments, dtype=np.int64),
        first_dart=vertices[0],
        last_dart=vertices[1],
        next=np.empty(ring + 2 * segments, dtype=np.int64),
        child=np.empty(2 * segments, dtype=np.int64),
        queue=np.empty(2 * segments, dtype=np.int64),
        ends=np.empty(chords, dtype=np.int64),
    )


@lean
def kernel(
    faces: IntArray,
    begin: int,
    end: int,
    mesh: Mesh,
    values: Values,
    cuts: Cuts,
    ranks: FloatArray,
    rank_offsets: IntArray,
    status: npt.NDArray[np.int8],
    face: Face,
    pairs: Pairs,
    links: Links,
    pending: WordArray,
    active: WordArray,
    wanted: IntArray,
    room: IntArray,
    out: Children,
) -> int:
    """See `cut_faces`.

    `room` (4,) is for how many vertices, edges, faces and corners there is room; `wanted` (3,)
    receives (ring, strands, pairs) where there is too little scratch space for a face.
    """
    given = len(rank_offsets) > 0
    for k in range(begin, end):
        f = faces[k] if given else k
        status[k] = 0
        n_chords = 0
        n_pairs = 0
        n_pending, ring = face_masks(f, mesh, values, cuts, pending, active)
        if n_pending > 0:
            if ring > len(face.ring_vertex) or n_pending > len(face.strand):
                wanted[0] = ring
                wanted[1] = n_pending
                return k
            n_chords = chords_of_face(f, mesh, values, cuts, pending, face)
            if n_chords < 0:
                status[k] = CONTRADICTION
                continue
            if n_chords > 1:
                n_pairs = find_pairs(
                    n_chords, face.first, face.second, face.closing, face.before, face.after, pairs.i, pairs.j
                )
                if n_pairs > len(pairs.i):
                    wanted[2] = n_pairs
                    return k
        if not _room(out.used, out.face_offsets, room, ring, n_chords, n_pairs):
            return k
        exact = given and rank_offsets[k + 1] > rank_offsets[k]
        if n_pairs > 0:
            pair_keys(f, mesh, values, face, out, pairs, n_chords, n_pairs)
            list_items(n_chords, n_pairs, pairs.i, pairs.j, pairs.offsets, pairs.order)
            if exact:
                for x in range(rank_offsets[k + 1] - rank_offsets[k]):
                    pairs.key[x] = ranks[rank_offsets[k] + x]
            certain = sort_items(n_chords, pairs.offsets, pairs.order, pairs.key, pairs.radius, face.length)
            if not certain and not exact:
                face.counts[3] = n_chords
                face.counts[4] = n_pairs
                status[k] = DOUBTFUL
                continue
        if n_chords == 0:
            _keep_face(f, mesh, cuts, active, out)
            continue
        _first_word(f, mesh, face, n_chords, pending, active, out.face_words[out.used[2]])
        if n_chords == 1:
            _halve_face(f, ring, mesh, face, values.first_neuron, out)
            continue
        n_vertices = n_pairs
        if exact:
            n_vertices = _number_vertices(
                n_chords, n_pairs, pairs.offsets, pairs.order, pairs.key, pairs.vertex, links.first_dart
            )
        else:
            for x in range(n_pairs):
                pairs.vertex[x] = x
        n_segments = _link_chords(
            face, pairs, links, ring, n_chords, n_pairs, n_vertices, len(mesh.xy), values.first_neuron, out
        )
        _link_ring(n_chords, ring, face.first, face.second, face.closing, links.segment, links.next, links.ends)
        _write_vertices(f, mesh.xy, values, face, pairs, n_pairs, n_vertices, out)
        status[k] = _trace(f, mesh.face_words.shape[1], face, links, ring, n_segments, n_vertices, out)
    return end


@inner
def _room(used: IntArray, face_offsets: IntArray, room: IntArray, ring: int, chords: int, pairs: int) -> bool:
    """Whether a face of this size fits into what is left of the output."""
    return bool(
        used[0] + pairs <= room[0]
        and used[1] + chords + 2 * pairs <= room[1]
        and used[2] + 1 + chords + pairs <= room[2]
        and face_offsets[used[2]] + ring + 2 * (chords + 2 * pairs) <= room[3]
    )


@inner
def _keep_face(f: int, mesh: Mesh, cuts: Cuts, active: WordArray, out: Children) -> None:
    """Copy a face that no neuron cuts."""
    number = out.used[2]
    at = out.face_offsets[number]
    for c in range(mesh.face_offsets[f], mesh.face_offsets[f + 1]):
        e = mesh.face_edges[c]
        edge = e + cuts.vertex_offsets[e]
        out.face_vertices[at] = mesh.face_vertices[c]
        out.face_edges[at] = edge
        out.edge_faces[edge, 0 if mesh.edge_faces[e, 0] == f else 1] = number
        at += 1
    out.face_offsets[number + 1] = at
    out.face_parent[number] = f
    n_before = mesh.face_words.shape[1]
    for w in range(n_before):
        out.face_words[number, w] = mesh.face_words[f, w]
    for w in range(len(active)):
        out.face_words[number, n_before + w] = active[w]
    out.used[2] = number + 1


@inner
def _halve_face(f: int, ring: int, mesh: Mesh, face: Face, first_neuron: int, out: Children) -> None:
    """Cut a face by its only chord, in the order of the general way: first the child at dart 0."""
    edge, number = out.used[1], out.used[2]
    first, second = face.first[0], face.second[0]
    out.edges[edge, 0] = face.ring_vertex[first]
    out.edges[edge, 1] = face.ring_vertex[second]
    out.edge_line[edge] = first_neuron + face.name[0]
    out.edge_distance[edge] = face.distance[0]
    # The first child has the darts below a, then the chord, then those from b on; the second has the others.
    a, b, side = first, second, 0
    if first == 0:
        a, b, side = second, ring, 1
    start = out.face_offsets[number]
    middle = start + a + 1 + ring - b
    out.face_vertices[start + a] = out.edges[edge, side]
    out.face_edges[start + a] = edge
    out.edge_faces[edge, side] = number
    out.face_vertices[middle] = out.edges[edge, 1 - side]
    out.face_edges[middle] = edge
    out.edge_faces[edge, 1 - side] = number + 1
    for k in range(ring):
        at, child = start + k, number
        if k >= b:
            at -= b - a - 1
        elif k >= a:
            at, child = middle + 1 + k - a, number + 1
        piece = face.ring_side[k]
        out.face_vertices[at] = face.ring_vertex[k]
        out.face_edges[at] = piece >> 1
        out.edge_faces[piece >> 1, piece & 1] = child
    out.face_offsets[number + 1] = middle
    out.face_offsets[number + 2] = start + ring + 2
    out.face_parent[number] = f
    out.face_parent[number + 1] = f
    _flip(face.strand[0], face, mesh.face_words.shape[1], out.face_words, number, number + 1)
    out.used[1] = edge + 1
    out.used[2] = number + 2


@inner
def _first_word(
    f: int, mesh: Mesh, face: Face, n_chords: int, pending: WordArray, active: WordArray, word: WordArray
) -> None:
    """Pattern of the child at dart 0, which lies right of the chords that start at position 0, left of the others."""
    n_before = mesh.face_words.shape[1]
    for w in range(n_before):
        word[w] = mesh.face_words[f, w]
    for w in range(len(active)):
        word[n_before + w] = active[w] & ~pending[w]
    for c in range(n_chords):
        s = face.strand[c]
        while s >= 0:
            if (face.strand_right[s] == 1) == (face.first[c] == 0):
                j = face.strand_neuron[s]
                word[n_before + (j >> 6)] |= ONE << np.uint64(j & 63)
            s = face.strand_next[s]


@inner
def _flip(strand: int, face: Face, n_before: int, words: WordArray, child: int, beyond: int) -> None:
    """Pattern of the child beyond a chord with the given first strand."""
    for w in range(words.shape[1]):
        words[beyond, w] = words[child, w]
    while strand >= 0:
        j = face.strand_neuron[strand]
        words[beyond, n_before + (j >> 6)] ^= ONE << np.uint64(j & 63)
        strand = face.strand_next[strand]


@inner
def _number_vertices(
    n_chords: int, n_pairs: int, offsets: IntArray, order: IntArray, key: FloatArray, vertex: IntArray,
    number: IntArray,
) -> int:  # fmt: skip
    """Local vertex of each pair, the same for all that tie; returns their number.  `number` is scratch space."""
    for x in range(n_pairs):
        vertex[x] = -1
    # The first chord through a point meets there all others: after it, each group has a labelled pair.
    n_vertices = 0
    for c in range(n_chords):
        start = offsets[c]
        while start < offsets[c + 1]:
            stop = start
            label = -1
            while stop < offsets[c + 1] and key[order[stop]] == key[order[start]]:
                if vertex[order[stop] >> 1] >= 0:
                    label = vertex[order[stop] >> 1]
                stop += 1
            if label < 0:
                number[n_vertices] = -1
                label = n_vertices
                n_vertices += 1
            for k in range(start, stop):
                vertex[order[k] >> 1] = label
            start = stop
    # Numbers in the order of the pairs, as without ties.
    numbered = 0
    for x in range(n_pairs):
        if number[vertex[x]] < 0:
            number[vertex[x]] = numbered
            numbered += 1
        vertex[x] = number[vertex[x]]
    return n_vertices


@inner
def _link_chords(
    face: Face, pairs: Pairs, links: Links, ring: int, n_chords: int, n_pairs: int, n_vertices: int, n_old: int,
    first_neuron: int, out: Children,
) -> int:  # fmt: skip
    """Number the chords' segments, write them as edges, link the darts at local vertices; returns their number."""
    for v in range(n_vertices):
        links.first_dart[v] = -1
    base = n_old + out.used[0]
    segment = 0
    for c in range(n_chords):
        links.segment[c] = segment
        before = face.ring_vertex[face.first[c]]
        start, stop = (pairs.offsets[c], pairs.offsets[c + 1]) if n_pairs > 0 else (0, 0)
        for k in range(start, stop + 1):
            vertex = face.ring_vertex[face.second[c]]
            if k < stop:
                if k > start and pairs.key[pairs.order[k]] == pairs.key[pairs.order[k - 1]]:
                    continue
                v = pairs.vertex[pairs.order[k] >> 1]
                _link_vertex(links.first_dart, links.last_dart, links.next, v, ring + 2 * segment)
                vertex = base + v
            edge = out.used[1] + segment
            out.edges[edge, 0] = before
            out.edges[edge, 1] = vertex
            out.edge_line[edge] = first_neuron + face.name[c]
            out.edge_distance[edge] = face.distance[c]
            before = vertex
            links.chord[segment] = c
            links.child[2 * segment] = -1
            links.child[2 * segment + 1] = -1
            segment += 1
    links.segment[n_chords] = segment
    for v in range(n_vertices):
        dart = links.first_dart[v]
        if dart >= 0:
            links.next[dart] = links.last_dart[v] + 2
            links.next[dart + 3] = links.last_dart[v] + 1
    return segment


@inner
def _link_vertex(first_dart: IntArray, last_dart: IntArray, following: IntArray, v: int, dart: int) -> None:
    """Link a chord's darts at a local vertex, where `dart` arrives, to those of the chord before.

    Chords come in the order of their first ends, which are all before their second ends, as
    they cross each other: so around the vertex come first all ways back, then all ways forward.
    """
    if first_dart[v] < 0:
        first_dart[v] = dart
    else:
        following[dart] = last_dart[v] + 1
        following[dart + 3] = last_dart[v] + 2
    last_dart[v] = dart


@inner
def _link_ring(
    n_chords: int, ring: int, first: IntArray, second: IntArray, closing: IntArray, segment: IntArray,
    following: IntArray, ends: IntArray,
) -> None:  # fmt: skip
    """Link the darts at each ring position; `ends` is scratch space."""
    for k in range(ring):
        following[k] = k + 1
    following[ring - 1] = 0
    opened = 0
    closed = 0
    while closed < n_chords:
        position = second[closing[closed]]
        if opened < n_chords and first[opened] < position:
            position = first[opened]
        # Chords that end here, counter-clockwise from the ring ahead: by how far round the ring they lead.
        n = 0
        while True:
            if opened < n_chords and first[opened] == position:
                chord = opened
                opened += 1
            elif closed < n_chords and second[closing[closed]] == position:
                chord = closing[closed]
                closed += 1
            else:
                break
            ahead = _ahead(first[chord], second[chord], position, ring)
            m = n
            while m > 0 and _ahead(first[ends[m - 1]], second[ends[m - 1]], position, ring) > ahead:
                ends[m] = ends[m - 1]
                m -= 1
            ends[m] = chord
            n += 1
        out = position
        for k in range(n):
            c = ends[k]
            outgoing = ring + 2 * segment[c]
            arriving = outgoing + 1
            if second[c] == position:
                arriving = ring + 2 * (segment[c + 1] - 1)
                outgoing = arriving + 1
            following[arriving] = out
            out = outgoing
        following[position - 1 if position > 0 else ring - 1] = out


@inner
def _ahead(first: int, second: int, position: int, ring: int) -> int:
    """How far along the ring the other end of a chord is that ends at a position."""
    other = first + second - position
    return other - position if other > position else other - position + ring


@inner
def _write_vertices(
    f: int, xy: FloatArray, values: Values, face: Face, pairs: Pairs, n_pairs: int, n_vertices: int, out: Children
) -> None:
    """Write the vertices inside the face; each stands where its best-placed pair is represented."""
    base = out.used[0]
    for v in range(n_vertices):
        out.radius[base + v] = -1.0
    for x in range(n_pairs):
        at = base + pairs.vertex[x]
        item = 2 * x if pairs.radius[2 * x] <= pairs.radius[2 * x + 1] else 2 * x + 1
        if out.radius[at] >= 0.0 and not pairs.radius[item] < out.radius[at]:
            continue
        along, other = (pairs.i[x], pairs.j[x]) if item == 2 * x else (pairs.j[x], pairs.i[x])
        out.radius[at] = pairs.radius[item]
        out.lines[at, 0] = values.first_neuron + face.name[along]
        out.lines[at, 1] = values.first_neuron + face.name[other]
        out.parents[at] = f
        # With exact ranks the key is no fraction; `t` holds it in either case.
        t = pairs.t[item]
        for end in range(2):
            v = face.ring_vertex[face.first[along] if end == 0 else face.second[along]]
            _blend(len(xy), out.sources, out.weights, at, 2 * end, v, 1.0 - t if end == 0 else t)
        for axis in range(2):
            total = 0.0
            for m in range(4):
                total += out.weights[at, m] * xy[out.sources[at, m], axis]
            out.xy[at, axis] = total
    for v in range(n_vertices):
        out.limit[base + v] = values.steepness[f] * out.radius[base + v]
    out.used[0] = base + n_vertices


@inner
def _blend(n_old: int, sources: IntArray, weights: FloatArray, at: int, m: int, v: int, share: float) -> None:
    """Let vertex `at` have `share` of ring vertex v, in terms of old vertices, as its sources m and m + 1."""
    k = v - n_old
    if k < 0:
        sources[at, m] = v
        sources[at, m + 1] = v
        weights[at, m] = share
        weights[at, m + 1] = 0.0
    else:
        for j in range(2):
            sources[at, m + j] = sources[k, j]
            weights[at, m + j] = share * weights[k, j]


@inner
def _trace(
    f: int, n_before: int, face: Face, links: Links, ring: int, n_segments: int, n_vertices: int, out: Children
) -> int:
    """Write the children, of which the first at dart 0 has its pattern; 0, or `CONTRADICTION`.

    The darts of segments are queued as they are walked.  Beyond a segment is a new child where
    the other dart is in none yet.
    """
    limit = out.used[2] + 1 + n_segments - n_vertices
    number = out.used[2]
    at = out.face_offsets[number]
    start = 0
    n_queued = 0
    k = 0
    while True:
        dart = start
        while True:
            vertex, side = 0, 0
            if dart < ring:
                vertex, side = face.ring_vertex[dart], face.ring_side[dart]
            else:
                side = 2 * out.used[1] + dart - ring
                vertex = out.edges[side >> 1, side & 1]
                links.child[dart - ring] = number
                links.queue[n_queued] = dart - ring
                n_queued += 1
            out.face_vertices[at] = vertex
            out.face_edges[at] = side >> 1
            out.edge_faces[side >> 1, side & 1] = number
            at += 1
            dart = links.next[dart]
            if dart == start:
                break
        out.face_parent[number] = f
        number += 1
        out.face_offsets[number] = at
        while k < n_queued and links.child[links.queue[k] ^ 1] >= 0:
            k += 1
        if k == n_queued or number == limit:
            break
        inside = links.queue[k]
        start = ring + (inside ^ 1)
        strand = face.strand[links.chord[inside >> 1]]
        _flip(strand, face, n_before, out.face_words, links.child[inside], number)
    if k < n_queued or number < limit:
        return CONTRADICTION
    out.used[1] += n_segments
    out.used[2] = number
    return 0
