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
from geomrelu.planar import balls
from geomrelu.planar.arrange import order_questions
from geomrelu.planar.balls import BallForms, Balls, border_ball, cross, signs_at
from geomrelu.planar.crossings import LEAST
from geomrelu.planar.records import Children, Cuts, Mesh, Values

__all__ = ["Forms", "History", "Judge"]


@dataclass
class History:
    """How the vertices came to be.

    Attributes
    ----------
    lines : (V, 2) int64
        The two lines that define a vertex: neuron >= 0, or -1 - k for the domain's side k.
    parents : (V,) int64
        The face in which they cross, numbered as before the layer that made the vertex; of a
        corner of the domain, its number.
    layers : (V,) int64
        That layer; -1 for the domain's corners.
    words : list of (F_l, words) uint64
        The faces' patterns before each layer cut them.
    drawn : (V,) int64, or None
        The face in which the second line, if a neuron's, was drawn, as a row of `words`, counted
        through all layers; -1 of a side.  With a max pooling that face alone is sure to know the
        line's form (`merging`); without, its pattern is that of `parents`, and this is None.
    """

    lines: IntArray
    parents: IntArray
    layers: IntArray
    words: list[WordArray] = field(default_factory=list)
    drawn: IntArray | None = None

    def where_drawn(self, drawn: IntArray | None, words: WordArray) -> WordArray:
        """Patterns (k, words) under which lines drawn in given faces have their forms; `words` are those beside."""
        if drawn is None:
            return words
        result, start = words.copy(), 0
        for rows in self.words:
            chosen = np.flatnonzero((drawn >= start) & (drawn < start + len(rows)))
            # Later layers' patterns are longer, but no line was drawn there.
            if len(chosen):
                result[chosen, : rows.shape[1]] = rows[drawn[chosen] - start]
            start += len(rows)
        return result


class Forms:
    """Affine forms of a network's neurons, exact and with error bounds, made when first needed."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @cached_property
    def exact(self) -> ExactForms:
        """Exact forms."""
        return ExactForms(self.network)

    @cached_property
    def balls(self) -> BallForms:
        """Forms with error bounds."""
        return BallForms(self.network)


class Judge:
    """Exact decisions for one network on one domain."""

    def __init__(self, domain: Domain, forms: Forms, history: History, balls: bool = True) -> None:
        network = self.network = forms.network
        self._forms = forms
        self.history = history
        corners = domain.vertices
        self.corners = [dyadic_point(x, y) for x, y in corners.tolist()]
        self.sides = [border_line(corners[k], corners[(k + 1) % len(corners)]) for k in range(len(corners))]
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        self.use_balls = balls
        self.exact_signs = 0
        self.exact_places = 0
        self.face_ties = 0
        self.points: dict[int, Point] = {}

    @property
    def forms(self) -> ExactForms:
        """Exact forms."""
        return self._forms.exact

    def line(self, line: int, words: WordArray) -> Line:
        """A border side or a neuron's form under a pattern."""
        if line < 0:
            return self.sides[-1 - line]
        layer = int(np.searchsorted(self.firsts, line, side="right")) - 1
        return self.forms.line(layer, int(line - self.firsts[layer]), words)

    def point(self, vertex: int) -> Point:
        """A vertex's exact position."""
        found = self.points.get(vertex)
        if found is None:
            layer = int(self.history.layers[vertex])
            if layer < 0:
                found = self.corners[self.history.parents[vertex]]
            else:
                history = self.history
                words = history.words[layer][history.parents[vertex]]
                drawn = None if history.drawn is None else history.drawn[[vertex]]
                p, q = history.lines[vertex].tolist()
                found = crossing(self.line(p, words), self.line(q, history.where_drawn(drawn, words[None])[0]))
            self.points[vertex] = found
        return found

    def places(self, vertices: IntArray, wanted: float) -> tuple[FloatArray, FloatArray]:
        """Coordinates (k, 2) of vertices, and bounds on their errors: at most `wanted`, or from integers."""
        at, errors = np.zeros((len(vertices), 2)), np.full(len(vertices), np.inf)
        if self.use_balls and len(vertices):
            found = self._ball_points(vertices)
            with np.errstate(all="ignore"):
                x, y, w = found.value.T
                dx, dy, dw = found.error.T
                at = np.stack([x / w, y / w], axis=1)
                # The 1-norm of the error of a quotient of balls, and its rounding.
                size = np.abs(at).sum(axis=1)
                errors = (dx + dy + size * dw) / (w - dw) * 1.01 + size * 2.0**-52 + LEAST
            errors[~(w > dw)] = np.inf
        for k in np.flatnonzero(~(errors <= wanted)).tolist():
            x, y, w = self.point(int(vertices[k]))
            at[k] = float(Fraction(x, w)), float(Fraction(y, w))
            errors[k] = np.abs(at[k]).max() * 2.0**-52 + LEAST
            self.exact_places += 1
        return at, errors

    def signs(self, doubts: IntArray, layer: int, faces: IntArray, words: WordArray) -> IntArray:
        """Signs -1, 0, 1 of the (vertex, neuron) pairs in `doubts`, (N,).

        `faces` (N,) names a face at each pair's vertex, `words` holds the faces' patterns.
        """
        result = np.zeros(len(doubts), dtype=np.int64)
        if self.use_balls:
            vertices, which = np.unique(doubts[:, 0], return_inverse=True)
            points = self._ball_points(vertices)
            forms = self._forms.balls.rows(layer, doubts[:, 1], words[faces])
            result = signs_at(forms, Balls(points.value[which], points.error[which]))
        left = np.flatnonzero(result == 0)
        self.exact_signs += len(left)
        left = left[np.argsort(faces[left], kind="stable")]
        bounds = np.flatnonzero(np.diff(faces[left], prepend=-1, append=-1))
        for first, last in pairwise(bounds.tolist()):
            chosen = left[first:last]
            pattern = words[faces[chosen[0]]]
            # With several neurons in doubt all forms pay, and are kept.
            own = self.forms.forms(layer, pattern) if len(chosen) > 2 else None
            for k in chosen.tolist():
                vertex, neuron = doubts[k].tolist()
                line = tuple(own[neuron]) if own is not None else self.forms.line(layer, neuron, pattern)
                result[k] = sign_at(line, self.point(vertex))
        return result

    def _ball_points(self, vertices: IntArray) -> Balls:
        """Vertices as homogeneous points with error bounds, (k, 3)."""
        history = self.history
        layers = history.layers[vertices]
        words = np.zeros((len(vertices), max((w.shape[1] for w in history.words), default=0)), dtype=np.uint64)
        for layer in np.unique(layers[layers >= 0]).tolist():
            made = layers == layer
            rows = history.words[layer][history.parents[vertices[made]]]
            words[made, : rows.shape[1]] = rows
        drawn = None if history.drawn is None else history.drawn[vertices]
        first = self._ball_lines(history.lines[vertices, 0], words)
        second = self._ball_lines(history.lines[vertices, 1], history.where_drawn(drawn, words))
        points = cross(first, second)
        for k in np.flatnonzero(layers < 0).tolist():
            corner = border_ball(self.corners[history.parents[vertices[k]]])
            points.value[k], points.error[k] = corner
        return points

    def _ball_forms(self, layer: int, neurons: IntArray, words: WordArray) -> Balls:
        """Neurons' forms in one face, (k, 3)."""
        return self._forms.balls.rows(layer, neurons, np.broadcast_to(words, (len(neurons), len(words))))

    def _ball_lines(self, lines: IntArray, words: WordArray) -> Balls:
        """Lines (k,) under patterns (k, words), (k, 3)."""
        value, error = np.empty((len(lines), 3)), np.empty((len(lines), 3))
        layers = np.where(lines < 0, -1, np.searchsorted(self.firsts, lines, side="right") - 1)
        for layer in np.unique(layers).tolist():
            chosen = np.flatnonzero(layers == layer)
            if layer < 0:
                for k in chosen.tolist():
                    value[k], error[k] = border_ball(self.sides[-1 - lines[k]])
            else:
                value[chosen], error[chosen] = self._forms.balls.rows(
                    layer, lines[chosen] - self.firsts[layer], words[chosen]
                )
        return Balls(value, error)

    def order_edge(
        self, edge: int, edge_line: int, drawn: IntArray | None, words: WordArray, layer: int, mesh: Mesh,
        values: Values, cuts: Cuts,
    ) -> int:  # fmt: skip
        """Put an edge's crossings into exact order, ties in one group; returns the number of groups.

        `words` is the pattern of a face beside the edge, `drawn` (1,) tells where its line was drawn.
        """
        start, stop = int(cuts.offsets[edge]), int(cuts.offsets[edge + 1])
        u, v = mesh.edges[edge].tolist()
        own_words = self.history.where_drawn(drawn, words[None])
        own = self.line(edge_line, own_words[0])
        forward = travel(own, self.point(v)) > travel(own, self.point(u))

        def place(item: int) -> Fraction:
            other = self.forms.line(layer, int(cuts.neuron[start + item]), words)
            along = travel(own, crossing(own, other))
            return along if forward else -along

        def finer(items: IntArray) -> Balls:
            line = self._ball_lines(np.array([edge_line]), own_words)
            others = self._ball_forms(layer, cuts.neuron[start + items], words)
            return travel_ball(line, others, forward)

        length = float(np.hypot(*(mesh.xy[v] - mesh.xy[u]))) + 2 * values.blur
        ranks = ranked(
            cuts.t[start:stop] * length, cuts.radius[start:stop], length, place, finer if self.use_balls else None
        )
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
        neurons = face.strand_neuron[face.strand[:n_chords]]
        lines: dict[int, Line] = {}

        def chord_line(chord: int) -> Line:
            if chord not in lines:
                lines[chord] = self.forms.line(layer, int(neurons[chord]), words)
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

            def finer(chosen: IntArray, c: int = c, right: bool = positive_right, o: IntArray = others) -> Balls:
                forms = self._ball_forms(layer, neurons[np.append(c, o[chosen])], words)
                return travel_ball(
                    Balls(forms.value[:1], forms.error[:1]), Balls(forms.value[1:], forms.error[1:]), right
                )

            length = float(face.length[c])
            ranks[items] = ranked(
                pairs.key[items] * length, pairs.radius[items], length, place, finer if self.use_balls else None
            )
            self.face_ties += len(items) - 1 - int(ranks[items].max())
        return ranks


def travel_ball(own: Balls, others: Balls, forward: bool) -> Balls:
    """Places of crossings of a line (1, 3) with others (k, 3) along it, or against it, (k,)."""
    repeated = Balls(np.repeat(own.value, len(others.value), axis=0), np.repeat(own.error, len(others.error), axis=0))
    found = balls.travel(Balls(own.value[0], own.error[0]), cross(repeated, others))
    return found if forward else Balls(-found.value, found.error)


def clusters(at: FloatArray, reach: FloatArray) -> list[list[int]]:
    """Numbers of intervals ``at +- reach`` in order, those that are linked by overlap together."""
    order = np.argsort(at - reach, kind="stable").tolist()
    found: list[list[int]] = []
    end = -np.inf
    for k in order:
        if found and not at[k] - reach[k] > end:
            found[-1].append(k)
        else:
            found.append([k])
        end = max(end, at[k] + reach[k])
    return found


def ranked(
    at: FloatArray, radius: FloatArray, length: float, place: Callable[[int], Fraction],
    finer: Callable[[IntArray], Balls] | None,
) -> FloatArray:  # fmt: skip
    """Ranks 0, 1, ... of crossings along a line, equal for ties.

    Crossings whose intervals ``at +- radius`` are linked by overlap are put in order by finer
    intervals, those that still overlap by their exact place.
    """
    groups = clusters(np.nan_to_num(at, nan=0.0), np.where(np.isfinite(at), radius, np.inf) + 2.0**-49 * length)
    if finer is not None:
        finest = []
        for group in groups:
            if len(group) > 1:
                found = finer(np.array(group))
                finest += [[group[k] for k in part] for part in clusters(found.value, found.error)]
            else:
                finest.append(group)
        groups = finest
    ranks = np.empty(len(at))
    rank = 0
    for group in groups:
        placed = sorted((place(item), item) for item in group) if len(group) > 1 else [(Fraction(0), group[0])]
        for m, (where, item) in enumerate(placed):
            rank += m > 0 and where != placed[m - 1][0]
            ranks[item] = rank
        rank += 1
    return ranks
