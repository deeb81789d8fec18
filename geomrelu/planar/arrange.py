"""Cutting faces: from chords and their order to the children, their edges and patterns.

See `records` for the algorithm as a whole.  Darts of a face with ring length R: dart k < R
runs along the ring from position k to k + 1; segment s of the chords has the darts R + 2 s
(forward, from the chord's first end to its second) and R + 2 s + 1 (back).  A dart's child
lies to its left.  The dart after d turns as far left as possible: among the directions at
d's head it is the next one clockwise from where d came.  Around a vertex, directions are in
the cyclic order of the ring positions to which their chords lead, so no angle is computed.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner, njit
from geomrelu.planar.chords import (
    chords_of_face,
    face_masks,
    find_pairs,
    list_items,
    new_face,
    new_pairs,
    pair_keys,
    ring_length,
    sort_items,
)
from geomrelu.planar.crossings import sort_by_key
from geomrelu.planar.records import Children, Cuts, Face, Links, Mesh, Pairs, Values

__all__ = ["CONTRADICTION", "DOUBTFUL", "cut_faces"]

# What `cut_faces` reports of a face that it did not cut.
DOUBTFUL = 1
CONTRADICTION = 2

_ONE = np.uint64(1)


@inner
def _new_links(ring: int, chords: int, pairs: int) -> Links:
    darts = ring + 2 * (chords + 2 * pairs)
    return Links(
        np.empty(chords + 1, dtype=np.int64),
        np.empty(pairs + 1, dtype=np.int64),
        np.empty(2 * pairs, dtype=np.int64),
        np.empty(2 * pairs, dtype=np.int64),
        np.empty(darts, dtype=np.int64),
        np.empty(darts, dtype=np.int64),
        np.empty(ring + 1, dtype=np.int64),
        np.empty(2 * chords, dtype=np.int64),
        np.empty(1 + chords + pairs, dtype=np.int64),
    )


@inner
def _root(parent: IntArray, x: int) -> int:
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@inner
def _number_vertices(pairs: Pairs, n_chords: int, n_pairs: int) -> int:
    """Local vertex of each pair: one a pair, but one for all that tie; returns their number."""
    for x in range(n_pairs):
        pairs.vertex[x] = x
    ties = False
    for c in range(n_chords):
        for k in range(pairs.offsets[c] + 1, pairs.offsets[c + 1]):
            a, b = pairs.order[k - 1], pairs.order[k]
            if pairs.key[a] == pairs.key[b]:
                ties = True
                p, q = _root(pairs.vertex, a >> 1), _root(pairs.vertex, b >> 1)
                pairs.vertex[max(p, q)] = min(p, q)
    if not ties:
        return n_pairs
    n_vertices = 0
    for x in range(n_pairs):
        # Roots are the smallest of their sets, so they are numbered before they are asked for.
        if pairs.vertex[x] == x:
            pairs.vertex[x] = n_vertices
            n_vertices += 1
        else:
            pairs.vertex[x] = -1 - _root_before(pairs.vertex, x)
    for x in range(n_pairs):
        if pairs.vertex[x] < 0:
            pairs.vertex[x] = -1 - pairs.vertex[x]
    return n_vertices


@inner
def _root_before(vertex: IntArray, x: int) -> int:
    """Number of x's set; all smaller entries are numbered (>= 0) or encoded (-1 - number)."""
    y = vertex[x]
    return int(vertex[y] if vertex[y] >= 0 else -1 - vertex[y])


@inner
def _segments_and_nodes(pairs: Pairs, links: Links, n_chords: int, n_vertices: int) -> int:
    """Number the chords' segments, list which chords meet at each local vertex; returns the segments' number."""
    for v in range(n_vertices + 1):
        links.node_offsets[v] = 0
    for fill in range(2):
        segment = 0
        for c in range(n_chords):
            links.segment[c] = segment
            at = 0
            for k in range(pairs.offsets[c], pairs.offsets[c + 1]):
                item = pairs.order[k]
                if k > pairs.offsets[c] and pairs.key[item] == pairs.key[pairs.order[k - 1]]:
                    continue
                v = pairs.vertex[item >> 1]
                if fill == 0:
                    links.node_offsets[v + 1] += 1
                else:
                    links.node_chord[links.node_offsets[v]] = c
                    links.node_at[links.node_offsets[v]] = at
                    links.node_offsets[v] += 1
                at += 1
            segment += at + 1
        links.segment[n_chords] = segment
        if fill == 0:
            for v in range(n_vertices):
                links.node_offsets[v + 1] += links.node_offsets[v]
        else:
            for v in range(n_vertices, 0, -1):
                links.node_offsets[v] = links.node_offsets[v - 1]
            links.node_offsets[0] = 0
    return int(links.segment[n_chords])


@inner
def _link_inner(face: Face, links: Links, ring: int, n_vertices: int) -> None:
    """Link the darts around each local vertex."""
    for v in range(n_vertices):
        start, stop = links.node_offsets[v], links.node_offsets[v + 1]
        n = stop - start
        if n == 2:
            i, j = links.node_chord[start], links.node_chord[start + 1]
            a, b = links.node_at[start], links.node_at[start + 1]
            # Chords are numbered by their first ends: i opens before j, and closes before j.
            fi, fj = ring + 2 * (links.segment[i] + a), ring + 2 * (links.segment[j] + b)
            links.next[fi] = fj + 2
            links.next[fi + 3] = fj + 1
            links.next[fj] = fi + 1
            links.next[fj + 3] = fi + 2
            continue
        # Directions: (ring position they lead to, dart that leaves, dart that arrives from there).
        target = np.empty(2 * n, dtype=np.float64)
        order = np.empty(2 * n, dtype=np.int64)
        leave = np.empty(2 * n, dtype=np.int64)
        arrive = np.empty(2 * n, dtype=np.int64)
        for k in range(n):
            c = links.node_chord[start + k]
            dart = ring + 2 * (links.segment[c] + links.node_at[start + k])
            target[2 * k], leave[2 * k], arrive[2 * k] = face.first[c], dart + 1, dart
            target[2 * k + 1], leave[2 * k + 1], arrive[2 * k + 1] = face.second[c], dart + 2, dart + 3
        for k in range(2 * n):
            order[k] = k
        sort_by_key(order, target, 0, 2 * n)
        for k in range(2 * n):
            links.next[arrive[order[k]]] = leave[order[k - 1 if k > 0 else 2 * n - 1]]


@inner
def _link_ring(face: Face, links: Links, ring: int, n_chords: int) -> None:
    """Link the darts at each ring position."""
    for k in range(ring + 1):
        links.end_offsets[k] = 0
    for c in range(n_chords):
        links.end_offsets[face.first[c] + 1] += 1
        links.end_offsets[face.second[c] + 1] += 1
    for k in range(ring):
        links.end_offsets[k + 1] += links.end_offsets[k]
    for c in range(n_chords):
        for position in (face.first[c], face.second[c]):
            links.end_chord[links.end_offsets[position]] = c
            links.end_offsets[position] += 1
    for k in range(ring, 0, -1):
        links.end_offsets[k] = links.end_offsets[k - 1]
    links.end_offsets[0] = 0
    for position in range(ring):
        start, stop = links.end_offsets[position], links.end_offsets[position + 1]
        # Counter-clockwise from the ring ahead: chords by how far round the ring they lead.
        for k in range(start + 1, stop):
            c = links.end_chord[k]
            m = k
            while m > start and _ahead(face, links.end_chord[m - 1], position, ring) > _ahead(face, c, position, ring):
                links.end_chord[m] = links.end_chord[m - 1]
                m -= 1
            links.end_chord[m] = c
        out = position
        for k in range(start, stop):
            c = links.end_chord[k]
            outgoing = ring + 2 * links.segment[c]
            arriving = outgoing + 1
            if face.second[c] == position:
                arriving = ring + 2 * (links.segment[c + 1] - 1)
                outgoing = arriving + 1
            links.next[arriving] = out
            out = outgoing
        links.next[position - 1 if position > 0 else ring - 1] = out


@inner
def _ahead(face: Face, chord: int, position: int, ring: int) -> int:
    other = face.second[chord] if face.first[chord] == position else face.first[chord]
    return int(other - position if other > position else other - position + ring)


@inner
def _chord_of(links: Links, segment: int, n_chords: int) -> int:
    low, high = 0, n_chords
    while high - low > 1:
        middle = (low + high) >> 1
        if links.segment[middle] <= segment:
            low = middle
        else:
            high = middle
    return low


@inner
def _trace(face: Face, links: Links, ring: int, n_chords: int, n_segments: int, words: WordArray, limit: int) -> int:
    """Children of the face and their pattern words (limit, words); -1 if there are more than `limit`.

    ``words[0]`` holds the word of the child at dart 0.
    """
    for d in range(ring + 2 * n_segments):
        links.face[d] = -1
    links.start[0] = 0
    n_children = 1
    _mark(links, 0, 0)
    child = 0
    while child < n_children:
        dart = links.start[child]
        while True:
            if dart >= ring and links.face[ring + ((dart - ring) ^ 1)] < 0:
                if n_children == limit:
                    return -1
                other = ring + ((dart - ring) ^ 1)
                links.start[n_children] = other
                _mark(links, other, n_children)
                for w in range(words.shape[1]):
                    words[n_children, w] = words[child, w]
                s = face.strand[_chord_of(links, (dart - ring) >> 1, n_chords)]
                while s >= 0:
                    j = face.strand_neuron[s]
                    words[n_children, j >> 6] ^= _ONE << np.uint64(j & 63)
                    s = face.strand_next[s]
                n_children += 1
            dart = links.next[dart]
            if dart == links.start[child]:
                break
        child += 1
    return n_children


@inner
def _mark(links: Links, start: int, child: int) -> None:
    dart = start
    while True:
        links.face[dart] = child
        dart = links.next[dart]
        if dart == start:
            break


@inner
def _first_word(face: Face, n_chords: int, pending: WordArray, active: WordArray, word: WordArray) -> None:
    """Pattern of the child at dart 0, which lies right of the chords that start at position 0, left of the others."""
    for w in range(len(word)):
        word[w] = active[w] & ~pending[w]
    for c in range(n_chords):
        s = face.strand[c]
        while s >= 0:
            if (face.strand_right[s] == 1) == (face.first[c] == 0):
                j = face.strand_neuron[s]
                word[j >> 6] |= _ONE << np.uint64(j & 63)
            s = face.strand_next[s]


@inner
def _write_vertices(
    f: int, error: float, values: Values, face: Face, pairs: Pairs, links: Links, n_pairs: int, n_vertices: int,
    out: Children,
) -> None:  # fmt: skip
    """Write the vertices inside the face; each stands where its best-placed pair is represented."""
    base = out.used[0]
    for v in range(n_vertices):
        out.radius[base + v] = -1.0
    for x in range(n_pairs):
        at = base + pairs.vertex[x]
        side = 0 if pairs.radius[2 * x] <= pairs.radius[2 * x + 1] else 1
        item = 2 * x + side
        if out.radius[at] >= 0.0 and not pairs.radius[item] < out.radius[at]:
            continue
        along, other = (pairs.i[x], pairs.j[x]) if side == 0 else (pairs.j[x], pairs.i[x])
        # With exact ranks the key is no fraction; `t` holds it in either case.
        t = pairs.t[item]
        a = face.ring_vertex[face.first[along]]
        b = face.ring_vertex[face.second[along]]
        _blend(values, out, at, a, b, t)
        out.radius[at] = pairs.radius[item]
        out.residual[at] = face.residual[along] + pairs.residual[item]
        out.lines[at, 0] = _chord_neuron(face, along)
        out.lines[at, 1] = _chord_neuron(face, other)
        out.parents[at] = f
    for v in range(n_vertices):
        strands = 0
        for k in range(links.node_offsets[v], links.node_offsets[v + 1]):
            strands += face.strands[links.node_chord[k]]
        if strands > 2:
            # The other neurons vanish at the true point, so near it they are small.
            out.residual[base + v] += (strands - 2) * (values.steepness * out.radius[base + v] + error)
    out.used[0] += n_vertices


@inner
def _blend(values: Values, out: Children, at: int, a: int, b: int, t: float) -> None:
    """Represent vertex `at` as (1 - t) a + t b for ring vertices a and b, in terms of old vertices."""
    n_old = len(values.z)
    for end in range(2):
        v = a if end == 0 else b
        share = 1.0 - t if end == 0 else t
        if v < n_old:
            out.sources[at, 2 * end], out.sources[at, 2 * end + 1] = v, v
            out.weights[at, 2 * end], out.weights[at, 2 * end + 1] = share, 0.0
        else:
            k = v - n_old
            for m in range(2):
                out.sources[at, 2 * end + m] = out.sources[k, m]
                out.weights[at, 2 * end + m] = share * out.weights[k, m]


@inner
def _chord_neuron(face: Face, chord: int) -> int:
    """The neuron that names a chord: the first of those whose zero sets coincide."""
    s = face.strand[chord]
    neuron = face.strand_neuron[s]
    while s >= 0:
        neuron = min(neuron, face.strand_neuron[s])
        s = face.strand_next[s]
    return int(neuron)


@inner
def _write_edges(
    mesh: Mesh, face: Face, pairs: Pairs, links: Links, n_chords: int, first_vertex: int, out: Children
) -> None:
    """Write the chords' segments as edges."""
    n_old = len(mesh.xy)
    at = out.used[1]
    for c in range(n_chords):
        before = face.ring_vertex[face.first[c]]
        for k in range(pairs.offsets[c], pairs.offsets[c + 1]):
            item = pairs.order[k]
            if k > pairs.offsets[c] and pairs.key[item] == pairs.key[pairs.order[k - 1]]:
                continue
            v = n_old + first_vertex + pairs.vertex[item >> 1]
            out.edges[at, 0], out.edges[at, 1] = before, v
            out.edge_neuron[at] = _chord_neuron(face, c)
            out.edge_distance[at] = face.distance[c]
            before = v
            at += 1
        out.edges[at, 0], out.edges[at, 1] = before, face.ring_vertex[face.second[c]]
        out.edge_neuron[at] = _chord_neuron(face, c)
        out.edge_distance[at] = face.distance[c]
        at += 1


@inner
def _write_children(
    f: int, face: Face, links: Links, ring: int, n_children: int, n_segments: int, words: WordArray, out: Children
) -> None:
    first_edge = out.used[1]
    for child in range(n_children):
        number = out.used[2] + child
        at = out.face_offsets[number]
        dart = links.start[child]
        while True:
            if dart < ring:
                edge = face.ring_edge[dart]
                forward = face.ring_forward[dart] == 1
                out.face_vertices[at] = face.ring_vertex[dart]
            else:
                edge = first_edge + ((dart - ring) >> 1)
                forward = (dart - ring) & 1 == 0
                out.face_vertices[at] = out.edges[edge, 0 if forward else 1]
            out.face_edges[at] = edge
            out.edge_faces[edge, 0 if forward else 1] = number
            at += 1
            dart = links.next[dart]
            if dart == links.start[child]:
                break
        out.face_offsets[number + 1] = at
        out.face_parent[number] = f
        for w in range(words.shape[1]):
            out.face_words[number, w] = words[child, w]
    out.used[1] += n_segments
    out.used[2] += n_children


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
    for w in range(len(active)):
        out.face_words[number, w] = active[w]
    out.used[2] += 1


@inner
def _room(out: Children, ring: int, chords: int, pairs: int) -> bool:
    """Whether a face of this size fits into what is left of the output."""
    corners = out.face_offsets[out.used[2]] + ring + 2 * (chords + 2 * pairs)
    return bool(
        out.used[0] + pairs <= len(out.xy)
        and out.used[1] + chords + 2 * pairs <= len(out.edges)
        and out.used[2] + 1 + chords + pairs <= len(out.face_parent)
        and corners <= len(out.face_vertices)
    )


@njit
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
    status: IntArray,
    out: Children,
) -> int:
    """Cut ``faces[begin:end]`` until the output is full; returns where to go on.

    ``status[k]`` becomes 0 when ``faces[k]`` is done, `DOUBTFUL` when the order along a chord
    is not certain, `CONTRADICTION` when no arrangement has these signs.  Items of face k take
    their keys from ``ranks[rank_offsets[k]:rank_offsets[k + 1]]`` where that is not empty:
    exact ranks, equal for ties.
    """
    n_words = values.positive.shape[1]
    pending = np.empty(n_words, dtype=np.uint64)
    active = np.empty(n_words, dtype=np.uint64)
    face = new_face(n_neurons, 64, 32)
    pairs = new_pairs(32, 256)
    links = _new_links(64, 32, 256)
    words = np.empty((64, n_words), dtype=np.uint64)
    for k in range(begin, end):
        f = faces[k]
        status[k] = 0
        n_pending = face_masks(f, mesh, values, pending, active)
        ring = ring_length(f, mesh, cuts)
        if not _room(out, ring, n_pending, 0):
            return k
        if n_pending == 0:
            _keep_face(f, mesh, cuts, active, out)
            continue
        if ring > len(face.ring_vertex) or n_pending > len(face.residual):
            face = new_face(n_neurons, 2 * ring, 2 * n_pending)
        ring, n_chords = chords_of_face(f, mesh, values, cuts, out, pending, face)
        if n_chords < 0:
            status[k] = CONTRADICTION
            continue
        n_pairs = find_pairs(face, n_chords, pairs)
        if not _room(out, ring, n_chords, n_pairs):
            return k
        if n_pairs > len(pairs.i) or n_chords >= len(pairs.offsets):
            pairs = new_pairs(2 * n_chords, 2 * n_pairs)
            find_pairs(face, n_chords, pairs)
        if ring > len(links.end_offsets) - 1 or n_chords >= len(links.segment) or n_pairs >= len(links.node_offsets):
            links = _new_links(2 * ring, 2 * n_chords, 2 * n_pairs)
        if 1 + n_chords + n_pairs > len(words):
            words = np.empty((2 * (1 + n_chords + n_pairs), n_words), dtype=np.uint64)
        status[k] = _arrange(
            f, mesh, values, face, pairs, links, ring, n_chords, n_pairs, pending, active,
            ranks[rank_offsets[k] : rank_offsets[k + 1]], words, out,
        )  # fmt: skip
    return end


@inner
def _arrange(
    f: int, mesh: Mesh, values: Values, face: Face, pairs: Pairs, links: Links, ring: int, n_chords: int,
    n_pairs: int, pending: WordArray, active: WordArray, ranks: FloatArray, words: WordArray, out: Children,
) -> int:  # fmt: skip
    error = pair_keys(f, mesh, values, face, out, pairs, n_pairs)
    list_items(pairs, n_chords, n_pairs)
    if len(ranks):
        for x in range(len(ranks)):
            pairs.key[x] = ranks[x]
    if not sort_items(face, pairs, n_chords) and len(ranks) == 0:
        return DOUBTFUL
    n_vertices = _number_vertices(pairs, n_chords, n_pairs)
    n_segments = _segments_and_nodes(pairs, links, n_chords, n_vertices)
    _link_inner(face, links, ring, n_vertices)
    _link_ring(face, links, ring, n_chords)
    _first_word(face, n_chords, pending, active, words[0])
    expected = 1 + n_segments - n_vertices
    n_children = _trace(face, links, ring, n_chords, n_segments, words, expected)
    if n_children != expected:
        return CONTRADICTION
    first_vertex = out.used[0]
    _write_vertices(f, error, values, face, pairs, links, n_pairs, n_vertices, out)
    _write_edges(mesh, face, pairs, links, n_chords, first_vertex, out)
    _write_children(f, face, links, ring, n_children, n_segments, words, out)
    _write_places(mesh, first_vertex, out)
    return 0


@inner
def _write_places(mesh: Mesh, first: int, out: Children) -> None:
    """Coordinates of the vertices from `first` on."""
    for at in range(first, out.used[0]):
        for axis in range(2):
            total = 0.0
            for m in range(4):
                total += out.weights[at, m] * mesh.xy[out.sources[at, m], axis]
            out.xy[at, axis] = total
