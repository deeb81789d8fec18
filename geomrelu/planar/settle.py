"""Decisions that the floating-point bounds leave in doubt, by exact integers.

Three questions come here: the sign of a neuron at a vertex, the order of crossings along an
edge, and the order of crossings along the chords of a face.  A sign is first tried with
tighter bounds in double precision (`balls`).  A vertex is defined by two lines that cross in a face of an earlier
layer (`History`), so its exact position is at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.domain import Domain
from geomrelu.exact import ExactForms, Line, Point, border_line, crossing, dyadic_point, sign_at, travel
from geomrelu.network import Network
from geomrelu.planar.arrange import order_questions
from geomrelu.planar.balls import BallForms, Balls, border_ball, cross, signs_at
from geomrelu.planar.records import Children, Cuts, Mesh, Values

__all__ = ["History", "Judge"]


@dataclass
class History:
    """How the vertices came to be.

    Attributes
    ----------
    lines : (V, 2) int64
        The two lines that define a vertex: neuron >= 0, or -1 - k for the domain's side k.
    parents : (V,) int64
        The face in which they cross, numbered as before the layer that made the vertex.
    layers : (V,) int64
        That layer; -1 for the domain's corners.
    words : list of (F_l, words) uint64
        The faces' patterns before each layer cut them.
    """

    lines: IntArray
    parents: IntArray
    layers: IntArray
    words: list[WordArray] = field(default_factory=list)


class Judge:
    """Exact decisions for one network on one domain."""

    def __init__(self, network: Network, domain: Domain, history: History, balls: bool = True) -> None:
        self.network = network
        self.history = history
        corners = domain.vertices
        self.corners = [dyadic_point(x, y) for x, y in corners.tolist()]
        self.sides = [border_line(corners[k], corners[(k + 1) % len(corners)]) for k in range(len(corners))]
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        self.use_balls = balls
        self.exact_signs = 0
        self.face_ties = 0
        self._points: dict[int, Point] = {}
        self._ball_points: dict[int, Balls] = {}

    @cached_property
    def forms(self) -> ExactForms:
        """Exact forms, made when first needed."""
        return ExactForms(self.network)

    @cached_property
    def balls(self) -> BallForms:
        """Forms with error bounds, made when first needed."""
        return BallForms(self.network)

    def line(self, line: int, words: WordArray) -> Line:
        """A border side or a neuron's form under a pattern."""
        if line < 0:
            return self.sides[-1 - line]
        layer = int(np.searchsorted(self.firsts, line, side="right")) - 1
        return self.forms.line(layer, int(line - self.firsts[layer]), words)

    def point(self, vertex: int) -> Point:
        """A vertex's exact position."""
        found = self._points.get(vertex)
        if found is None:
            layer = int(self.history.layers[vertex])
            if layer < 0:
                found = self.corners[vertex]
            else:
                words = self.history.words[layer][self.history.parents[vertex]]
                p, q = self.history.lines[vertex].tolist()
                found = crossing(self.line(p, words), self.line(q, words))
            self._points[vertex] = found
        return found

    def signs(self, doubts: IntArray, layer: int, faces: IntArray, words: WordArray) -> IntArray:
        """Signs -1, 0, 1 of the (vertex, neuron) pairs in `doubts`, (N,).

        `faces` (N,) names a face at each pair's vertex, `words` holds the faces' patterns.
        """
        result = np.zeros(len(doubts), dtype=np.int64)
        by_face = np.argsort(faces, kind="stable")
        bounds = np.flatnonzero(np.diff(faces[by_face], prepend=-1, append=-1))
        for first, last in pairwise(bounds.tolist()):
            chosen = by_face[first:last]
            pattern = words[faces[chosen[0]]]
            if self.use_balls:
                result[chosen] = self._ball_signs(doubts[chosen], layer, pattern)
            chosen = chosen[result[chosen] == 0]
            self.exact_signs += len(chosen)
            # With several neurons in doubt all forms pay, and are kept.
            forms = self.forms.forms(layer, pattern) if len(chosen) > 2 else None
            for k in chosen.tolist():
                vertex, neuron = doubts[k].tolist()
                line = tuple(forms[neuron]) if forms is not None else self.forms.line(layer, neuron, pattern)
                result[k] = sign_at(line, self.point(vertex))
        return result

    def _ball_signs(self, doubts: IntArray, layer: int, words: WordArray) -> IntArray:
        """Signs with double-precision bounds, 0 where in doubt."""
        forms = self.balls.rows(layer, doubts[:, 1], words)
        points = [self._ball_point(vertex) for vertex in doubts[:, 0].tolist()]
        place = Balls(np.array([p.value for p in points]), np.array([p.error for p in points]))
        return signs_at(forms, place)

    def _ball_point(self, vertex: int) -> Balls:
        found = self._ball_points.get(vertex)
        if found is None:
            layer = int(self.history.layers[vertex])
            if layer < 0:
                found = border_ball(self.corners[vertex])
            else:
                words = self.history.words[layer][self.history.parents[vertex]]
                p, q = (self._ball_line(line, words) for line in self.history.lines[vertex].tolist())
                # An unknown point leaves every sign in doubt.
                found = cross(p, q) or Balls(np.zeros(3), np.full(3, np.inf))
            self._ball_points[vertex] = found
        return found

    def _ball_line(self, line: int, words: WordArray) -> Balls:
        if line < 0:
            return border_ball(self.sides[-1 - line])
        layer = int(np.searchsorted(self.firsts, line, side="right")) - 1
        form = self.balls.rows(layer, np.array([line - self.firsts[layer]]), words)
        return Balls(form.value[0], form.error[0])

    def order_edge(
        self, edge: int, edge_line: int, words: WordArray, layer: int, mesh: Mesh, values: Values, cuts: Cuts
    ) -> int:
        """Put an edge's crossings into exact order, ties in one group; returns the number of groups."""
        start, stop = int(cuts.offsets[edge]), int(cuts.offsets[edge + 1])
        u, v = mesh.edges[edge].tolist()
        own = self.line(edge_line, words)
        forward = travel(own, self.point(v)) > travel(own, self.point(u))

        def place(item: int) -> Fraction:
            other = self.forms.line(layer, int(cuts.neuron[start + item]), words)
            along = travel(own, crossing(own, other))
            return along if forward else -along

        length = float(np.hypot(*(mesh.xy[v] - mesh.xy[u]))) + 2 * values.blur
        ranks = exact_ranks(cuts.t[start:stop] * length, cuts.radius[start:stop], length, place)
        order = np.argsort(ranks, kind="stable")
        for column in (cuts.neuron, cuts.t, cuts.residual, cuts.radius, cuts.slope):
            column[start:stop] = column[start:stop][order]
        cuts.group[start:stop] = ranks[order].astype(np.int64)
        return int(ranks.max()) + 1

    def order_face(
        self, f: int, words: WordArray, layer: int, mesh: Mesh, values: Values, cuts: Cuts, out: Children
    ) -> FloatArray:
        """Exact ranks of all items of a face, (items,)."""
        face, pairs = order_questions(f, self.network.hidden[layer].n_neurons, mesh, values, cuts, out)
        n_chords, n_pairs = len(pairs.offsets) - 1, len(pairs.i)
        lines: dict[int, Line] = {}

        def chord_line(chord: int) -> Line:
            if chord not in lines:
                lines[chord] = self.forms.line(layer, int(face.strand_neuron[face.strand[chord]]), words)
            return lines[chord]

        ranks = np.zeros(2 * n_pairs)
        for c in range(n_chords):
            items = pairs.order[pairs.offsets[c] : pairs.offsets[c + 1]]
            if len(items) < 2:
                continue
            others = np.where(items % 2 == 0, pairs.j[items // 2], pairs.i[items // 2])
            own = chord_line(c)
            positive_right = bool(face.strand_right[face.strand[c]])

            def place(item: int, own: Line = own, right: bool = positive_right, o: IntArray = others) -> Fraction:
                along = travel(own, crossing(own, chord_line(int(o[item]))))
                return along if right else -along

            length = float(face.length[c])
            ranks[items] = exact_ranks(pairs.key[items] * length, pairs.radius[items], length, place)
            self.face_ties += len(items) - 1 - int(ranks[items].max())
        return ranks


def exact_ranks(
    at: FloatArray, radius: FloatArray, length: float, place: Callable[[int], Fraction]
) -> FloatArray:  # fmt: skip
    """Ranks 0, 1, ... of crossings along a line, equal for ties.

    Crossings whose intervals ``at +- radius`` are linked by overlap are sorted by their exact
    place; the order between such clusters is certain already.
    """
    known = np.nan_to_num(at, nan=0.0)
    reach_of = np.where(np.isfinite(at), radius, np.inf) + 2.0**-49 * length
    order = np.argsort(known - reach_of, kind="stable")
    ranks = np.empty(len(at))
    rank, k = 0, 0
    while k < len(order):
        cluster = [int(order[k])]
        reach = known[order[k]] + reach_of[order[k]]
        k += 1
        while k < len(order) and not known[order[k]] - reach_of[order[k]] > reach:
            reach = max(reach, known[order[k]] + reach_of[order[k]])
            cluster.append(int(order[k]))
            k += 1
        if len(cluster) > 1:
            placed = sorted((place(item), item) for item in cluster)
            for m, (where, item) in enumerate(placed):
                rank += m > 0 and where != placed[m - 1][0]
                ranks[item] = rank
        else:
            ranks[cluster[0]] = rank
        rank += 1
    return ranks
