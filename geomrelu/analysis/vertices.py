"""What is certain at the vertices of a complex: where they lie, and which neurons are positive there.

*Where.*  A vertex lies on two lines.  Under the pattern of a face around it where their affine
forms p and q are independent, with unit gradients, values r_p, r_q at the stored point, and
all of them known to within e, the true vertex is within

    ((|r_p| + e) (1 + e) + (|r_q| + e) (1 + e)) / (|sin| - error of the sine)

of the stored one.  The errors of a form, a chain of products, are bounded by gamma_N times
the product of the layers' Frobenius norms (Higham, "Accuracy and Stability of Numerical
Algorithms", section 3.5).

*Which are positive.*  A neuron is not positive at a vertex if it is inactive in one of the
faces around it, and else it is positive or touches zero there: zero at the vertex and
positive around it.  It can touch zero only where its layer's input bends, at an edge of an
earlier layer or at the domain's border.  A forward pass whose error bound starts from the
position error shows most of these values to be positive; the others are decided exactly.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, row_ids
from geomrelu.errors import InvariantError
from geomrelu.exact import Point, crossing, words_between
from geomrelu.matrices import dense_rows
from geomrelu.patterns import Patterns
from geomrelu.planar.bounds import bounded_errors, layer_bounds
from geomrelu.planar.settle import Forms, History, Judge

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["ExactVertices", "crossing_in_face"]

_UNIT_ROUNDOFF = 2.0**-53
_SLACK = 1.0 + 2.0**-20
# Pays for underflow, which later layers may amplify.
_TINY = 1e-290
# Numbers per block of rows.
_BLOCK = 1 << 19
# Faces around a vertex whose forms are tried in floating point.
_TRIES = 8


class _Forms(NamedTuple):
    """Lines at points, gradients scaled to length 1: all (m,) but `direction` (m, 2)."""

    direction: FloatArray
    direction_error: FloatArray
    value: FloatArray  # bound on the distance of the point from the line


def crossing_in_face(p: PlanarComplex, judge: Judge, vertex: int, face: int) -> Point | None:
    """A vertex's exact position by its two lines' forms in a face around it; None where they do not cross.

    Both forms vanish at the vertex, but in this face they may be parallel, or one of them zero.
    """
    corner = p.face_offsets[face] + int(np.argmax(p.ring(face) == vertex))
    lines, words = lines_at_corners(p, np.array([corner]))
    a, b = (judge.line(int(lines[0, k]), words[k][0]) for k in range(2))
    found = crossing(a, b)
    return found if found[2] else None


def faces_at_corners(p: PlanarComplex, corners: IntArray) -> IntArray:
    """The faces to which some ring entries (k,) belong, (k,)."""
    return np.searchsorted(p.face_offsets, corners, side="right") - 1


def lines_at_corners(p: PlanarComplex, corners: IntArray) -> tuple[IntArray, list[WordArray]]:
    """Two lines (k, 2) through the vertices at some ring entries, and for each the patterns (k, words) of its form.

    The vertex's own two under the face's pattern; with a max pooling, those of the edges before and
    behind the corner, since the pattern of a face does not tell by whom its winner is followed.
    """
    faces = faces_at_corners(p, corners)
    if not p.network.has_pools:
        words = p.patterns.words[faces]
        return p.vertex_lines[p.face_vertices[corners]], [words, words]
    before = np.where(corners == p.face_offsets[faces], p.face_offsets[faces + 1], corners) - 1
    lines, patterns = [], []
    for edges in (p.face_edges[before], p.face_edges[corners]):
        left, right = p.edge_faces[edges].T
        # Border edges: the side's number is that which the edge's ends share.
        ends = p.vertex_lines[p.edges[edges]]
        shared = (ends[:, 0, :, None] == ends[:, 1, None, :]) & (ends[:, 0, :, None] < 0)
        side = np.where(shared, ends[:, 0, :, None], -(1 << 40)).reshape(len(edges), 4).max(axis=1)
        lines.append(np.where(p.edge_neuron[edges] < 0, side, p.edge_neuron[edges]))
        known = np.where(left < 0, right, left), np.where(right < 0, left, right)
        patterns.append(words_between(p.network, p.patterns.words[known[0]], p.patterns.words[known[1]]))
    return np.stack(lines, axis=1), patterns


class ExactVertices:
    """Positions and signs at the vertices of a complex, certain or exact.

    Parameters
    ----------
    p : PlanarComplex

    Attributes
    ----------
    entries, offsets : (C,), (V + 1,) int64
        Ring entries by vertex: vertex v stands in the rings at ``entries[offsets[v] : offsets[v + 1]]``.
    owner : (C,) int64
        Face of each ring entry.
    """

    def __init__(self, p: PlanarComplex) -> None:
        self.p = p
        self.owner = row_ids(p.face_offsets)
        self.entries = np.argsort(p.face_vertices, kind="stable")
        counts = np.bincount(p.face_vertices, minlength=p.n_vertices)
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.firsts = np.concatenate([[0], np.cumsum(p.network.widths)]).astype(np.int64)
        self._found_parent: set[int] = set()

    def faces_around(self, vertex: int) -> IntArray:
        """Faces with this vertex, in no particular order."""
        return self.owner[self.entries[self.offsets[vertex] : self.offsets[vertex + 1]]]

    def layer_of(self, neurons: IntArray) -> IntArray:
        """Layers of flat neuron numbers, -1 for the domain's border."""
        return np.where(neurons < 0, -1, np.searchsorted(self.firsts, neurons, side="right") - 1).astype(np.int64)

    # ------------------------------------------------------------------ positions

    @cached_property
    def _places(self) -> tuple[FloatArray, IntArray]:
        p = self.p
        errors = np.full(p.n_vertices, np.inf)
        parents = self.owner[self.entries[self.offsets[:-1]]]
        left, degree = np.arange(p.n_vertices), np.diff(self.offsets)
        widest = max(layer.n_inputs for layer in p.network.layers)
        step = max(1, _BLOCK // widest)
        for turn in range(_TRIES):
            for first in range(0, len(left), step):
                chosen = left[first : first + step]
                corners = self.entries[self.offsets[chosen] + turn]
                faces = self.owner[corners]
                found = self._position_errors(chosen, corners)
                good = np.isfinite(found)
                errors[chosen[good]], parents[chosen[good]] = found[good], faces[good]
            left = left[~np.isfinite(errors[left]) & (degree[left] > turn + 1)]
            if len(left) == 0:
                break
        return errors, parents

    @property
    def position_errors(self) -> FloatArray:
        """Bounds on the distance of the stored vertices from the true ones, (V,); inf where none was found."""
        return self._places[0]

    def some_face(self, vertex: int) -> int:
        """A face around a vertex in which the vertex's two lines are independent."""
        errors, parents = self._places
        if not np.isfinite(errors[vertex]) and vertex not in self._found_parent:
            for face in self.faces_around(vertex).tolist():
                if crossing_in_face(self.p, self.judge, vertex, face) is not None:
                    parents[vertex] = face
                    self._found_parent.add(vertex)
                    break
            else:
                p, q = self.p.vertex_lines[vertex].tolist()
                raise InvariantError("vertex lines", f"vertex {vertex}", f"lines {p} and {q}", "lines that cross there")
        return int(parents[vertex])

    def point(self, vertex: int) -> Point:
        """A vertex's exact position."""
        face = self.some_face(vertex)
        if self.p.network.has_pools and vertex not in self.judge.points:
            found = crossing_in_face(self.p, self.judge, vertex, face)
            assert found is not None
            self.judge.points[vertex] = found
        return self.judge.point(vertex)

    @cached_property
    def judge(self) -> Judge:
        """Exact decisions about this complex; ask `some_face` before it is asked about a vertex."""
        p = self.p
        # Corners, too, are crossings of two lines, so every vertex counts as made in a face.
        made = np.zeros(p.n_vertices, dtype=np.int64)
        history = History(p.vertex_lines, self._places[1], made, [p.patterns.words])
        # With a max pooling a vertex's lines have their forms beside edges, which a history does not know.
        return Judge(p.domain.vertices, Forms(p.network), history, balls=not p.network.has_pools)

    def _position_errors(self, vertices: IntArray, corners: IntArray) -> FloatArray:
        lines, words = lines_at_corners(self.p, corners)
        a, b = (self._lines_at(lines[:, k], vertices, words[k]) for k in range(2))
        with np.errstate(all="ignore"):
            sine = np.abs(a.direction[:, 0] * b.direction[:, 1] - a.direction[:, 1] * b.direction[:, 0])
            slack = a.direction_error + b.direction_error + a.direction_error * b.direction_error
            low = sine - slack * _SLACK - 8 * _UNIT_ROUNDOFF
            reach = a.value * (1 + b.direction_error) + b.value * (1 + a.direction_error)
            found = reach / low * _SLACK + _TINY
        found[~(low > 0)] = np.inf
        return np.asarray(found)

    def _lines_at(self, lines: IntArray, vertices: IntArray, words: WordArray) -> _Forms:
        """The given lines, one for each vertex, under the given patterns."""
        m = len(lines)
        gradient, value = np.empty((m, 2)), np.empty(m)
        gradient_error, value_error = np.empty(m), np.empty(m)
        x = self.p.vertices[vertices]
        layers = self.layer_of(lines)
        with np.errstate(all="ignore"):
            for layer in np.unique(layers).tolist():
                rows = np.flatnonzero(layers == layer)
                found = (
                    self._sides_at(lines[rows], x[rows])
                    if layer < 0
                    else self._neurons_at(layer, lines[rows] - self.firsts[layer], x[rows], words[rows])
                )
                gradient[rows], value[rows], gradient_error[rows], value_error[rows] = found
            length = np.hypot(gradient[:, 0], gradient[:, 1])
            direction_error = 2 * gradient_error / length + 8 * _UNIT_ROUNDOFF
            # The length itself may be wrong by the gradient's error.
            shortest = length * (1 - 8 * _UNIT_ROUNDOFF) - gradient_error
            distance = (np.abs(value) + value_error) / shortest * _SLACK
            distance[~(shortest > 0)] = np.inf
            return _Forms(gradient / length[:, None], direction_error, distance)

    def _sides_at(
        self, lines: IntArray, x: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:  # fmt: skip
        corners = self.p.domain.vertices
        start = corners[-1 - lines]
        along, to = corners[-lines % len(corners)] - start, x - start
        value = along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0]
        size = np.hypot(along[:, 0], along[:, 1])
        gradient = np.stack([-along[:, 1], along[:, 0]], axis=1)
        value_error = 16 * _UNIT_ROUNDOFF * size * np.hypot(to[:, 0], to[:, 1]) + _TINY
        return gradient, value, 4 * _UNIT_ROUNDOFF * size + _TINY, value_error

    def _neurons_at(
        self, layer: int, units: IntArray, x: FloatArray, words: WordArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        layers = self.p.network.layers
        row, constant = dense_rows(layers[layer].weight, units), layers[layer].bias[units].copy()
        row_size = np.sqrt((row * row).sum(axis=1)) * _SLACK
        bias_size = np.abs(constant)
        terms = layers[layer].n_inputs + 8
        patterns = Patterns(words, self.p.network.widths)
        for k in range(layer - 1, -1, -1):
            n = layers[k].n_neurons
            gated = row.copy()
            gated[:, :n] *= patterns.unpack(k)
            constant += gated @ layers[k].bias
            row = gated @ layers[k].weight
            terms += layers[k].n_inputs + 2
        gamma = terms * _UNIT_ROUNDOFF * _SLACK
        slope, reach = self._magnitudes[layer]
        tiny = _TINY * (1 + reach) * (1 + max(s for s, _ in self._magnitudes[: layer + 1]))
        gradient_error = gamma * row_size * slope + tiny
        value_error = gamma * (row_size * reach + bias_size) + tiny
        return row, (row * x).sum(axis=1) + constant, gradient_error, value_error

    @cached_property
    def _magnitudes(self) -> list[tuple[float, float]]:
        """For each layer, bounds on the norm of (|W_l-1| ... |W_0|) and of |inputs|, summed by magnitudes."""
        # As far as the stored vertices reach.
        reach = float(np.hypot(*np.abs(self.p.vertices).max(axis=0))) * _SLACK
        slope, result = 1.0, []
        for bounds in layer_bounds(self.p.network):
            result.append((slope, reach))
            slope = slope * bounds.magnitude_norm * _SLACK
            reach = (bounds.magnitude_norm * reach + bounds.bias_norm) * _SLACK
        return result

    # ------------------------------------------------------------------ signs

    @cached_property
    def positive(self) -> Patterns:
        """The activation patterns at the vertices, exactly: V of them."""
        words = self._common_words()
        for layer, doubts in enumerate(self._doubts(words)):
            if len(doubts):
                self._settle(layer, doubts, words)
        return Patterns(words, self.p.network.widths)

    def _common_words(self) -> WordArray:
        """Bits that are 1 in all faces around each vertex, (V, words)."""
        faces = self.p.patterns.words
        words = np.empty((self.p.n_vertices, faces.shape[1]), dtype=np.uint64)
        step = max(1, _BLOCK // max(1, faces.shape[1]))
        for first in range(0, len(words), step):
            offsets = self.offsets[first : first + step + 1]
            around = self.owner[self.entries[offsets[0] : offsets[-1]]]
            words[first : first + step] = np.bitwise_and.reduceat(faces[around], offsets[:-1] - offsets[0], axis=0)
        # Where a block's border was made by a neuron, that neuron is zero.
        made = np.flatnonzero((self.p.edge_faces < 0).any(axis=1) & (self.p.edge_neuron >= 0))
        neurons = self.p.edge_neuron[made]
        layers = self.layer_of(neurons)
        units = neurons - self.firsts[layers]
        columns = np.array(self.p.patterns.starts)[layers] + units // 64
        bits = ~(np.uint64(1) << (units % 64).astype(np.uint64))
        for ends in self.p.edges[made].T:
            np.bitwise_and.at(words, (ends, columns), bits)
        return words

    def _lowest_layers(self) -> IntArray:
        """The earliest layer that has an edge at each vertex, -1 at the border, (V,)."""
        # Of a block's border the other side is not known.
        layers = np.where((self.p.edge_faces < 0).any(axis=1), -1, self.layer_of(self.p.edge_neuron))
        lowest = np.full(self.p.n_vertices, len(self.p.network.layers), dtype=np.int64)
        for end in self.p.edges.T:
            np.minimum.at(lowest, end, layers)
        return lowest

    def _doubts(self, words: WordArray) -> list[IntArray]:
        """For each layer, the (vertex, unit) pairs of common bits whose neuron may touch zero, (N, 2)."""
        network = self.p.network
        bounds = layer_bounds(network)
        lowest = self._lowest_layers()
        doubts: list[list[IntArray]] = [[np.empty((0, 2), dtype=np.int64)] for _ in network.hidden]
        step = max(1, _BLOCK // max((layer.n_units for layer in network.hidden), default=1))
        for first in range(0, self.p.n_vertices, step):
            h, error = self.p.vertices[first : first + step], self.position_errors[first : first + step]
            common = Patterns(words[first : first + step], network.widths)
            for k, layer in enumerate(network.hidden):
                with np.errstate(all="ignore"):
                    norm = np.sqrt((h * h).sum(axis=1)) * _SLACK
                    z = h @ layer.weight.T + layer.bias
                    limit, error = bounded_errors(bounds[k], norm, error)
                    certain: BoolArray = z[:, : layer.n_neurons] > limit[:, None]
                may_touch = common.unpack(k) & ~certain & (lowest[first : first + step] < k)[:, None]
                found = np.argwhere(may_touch)
                found[:, 0] += first
                doubts[k].append(found)
                h = z
                np.maximum(h[:, : layer.n_neurons], 0.0, out=h[:, : layer.n_neurons])
        return [np.concatenate(parts) for parts in doubts]

    def _settle(self, layer: int, doubts: IntArray, words: WordArray) -> None:
        """Clear the bits of the neurons that are exactly zero."""
        faces = np.array([self.some_face(vertex) for vertex in doubts[:, 0].tolist()], dtype=np.int64)
        if self.p.network.has_pools:
            for vertex in doubts[:, 0].tolist():
                self.point(vertex)
        # Values may overflow: that only leaves signs in doubt.
        with np.errstate(all="ignore"):
            signs = self.judge.signs(doubts, layer, faces, self.p.patterns.words)
        if (signs < 0).any():
            vertex, unit = doubts[int(np.argmax(signs < 0))].tolist()
            raise InvariantError("pattern", f"vertex {vertex}, neuron {self.firsts[layer] + unit}", "a negative value",
                                 "one that is positive in all faces around it")  # fmt: skip
        vertices, units = doubts[signs == 0].T
        columns = self.p.patterns.starts[layer] + units // 64
        np.bitwise_and.at(words, (vertices, columns), ~(np.uint64(1) << (units % 64).astype(np.uint64)))
