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
from geomrelu.exact import ExactForms, Line, Point, border_line, crossing, dyadic_point, sign_at, travel
from geomrelu.network import Network
from geomrelu.planar import balls
from geomrelu.planar.arrange import order_questions
from geomrelu.planar.balls import BallForms, Balls, border_ball, cross, part, signs_at
from geomrelu.planar.crossings import LEAST
from geomrelu.planar.records import Children, Cuts, Face, Mesh, Pairs, Values

__all__ = ["Forms", "History", "Judge"]

# Faces whose crossings are put in order at a time.
_FACES = 256


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
    """Exact decisions for one network on one domain, of which the corners (N, 2) are given."""

    def __init__(self, corners: FloatArray, forms: Forms, history: History, balls: bool = True) -> None:
        network = self.network = forms.network
        self._forms = forms
        self.history = history
        self._corners = corners
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        self.use_balls = balls
        self.exact_signs = 0
        self.exact_places = 0
        self.face_ties = 0
        self.points: dict[int, Point] = {}

    @cached_property
    def corners(self) -> list[Point]:
        """The domain's corners."""
        return [dyadic_point(x, y) for x, y in self._corners.tolist()]

    @cached_property
    def sides(self) -> list[Line]:
        """The domain's sides, from each corner to the next."""
        corners = self._corners
        return [border_line(corners[k], corners[(k + 1) % len(corners)]) for k in range(len(corners))]

    @property
    def forms(self) -> ExactForms:
        """Exact forms."""
        return self._forms.exact

    @property
    def ball_forms(self) -> BallForms:
        """Forms with error bounds."""
        return self._forms.balls

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

    def places(self, vertices: IntArray, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Coordinates (k, 2) of vertices, and bounds on their errors: at most `wanted` (k,), or from integers."""
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
            result = signs_at(forms, part(points, which))
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
        first = self.ball_lines(history.lines[vertices, 0], words)
        second = self.ball_lines(history.lines[vertices, 1], history.where_drawn(drawn, words))
        points = cross(first, second)
        for k in np.flatnonzero(layers < 0).tolist():
            corner = border_ball(self.corners[history.parents[vertices[k]]])
            points.value[k], points.error[k] = corner
        return points

    def ball_lines(self, lines: IntArray, words: WordArray) -> Balls:
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

    def order_edges(
        self, edges: IntArray, drawn: IntArray | None, layer: int, mesh: Mesh, values: Values, cuts: Cuts
    ) -> IntArray:
        """Put the crossings of some edges into exact order, ties in one group; returns the numbers of groups, (k,).

        `drawn` (k,) tells where the edges' lines were drawn, as `History.drawn`.
        """
        lines, sizes = mesh.edge_line[edges], cuts.offsets[edges + 1] - cuts.offsets[edges]
        beside = mesh.face_words[
            np.where(mesh.edge_faces[edges, 0] >= 0, mesh.edge_faces[edges, 0], mesh.edge_faces[edges, 1])
        ]
        own_words = self.history.where_drawn(drawn, beside)
        found: list[tuple[Balls, Balls] | None] = [None] * len(edges)
        if self.use_balls and len(edges):
            own = self.ball_lines(lines, own_words)
            neurons = np.concatenate([cuts.neuron[cuts.offsets[e] : cuts.offsets[e + 1]] for e in edges.tolist()])
            forms = self._forms.balls.rows(layer, neurons, np.repeat(beside, sizes, axis=0))
            ends = np.cumsum(sizes).tolist()
            found = [
                (part(own, slice(k, k + 1)), part(forms, slice(end - size, end)))
                for k, (end, size) in enumerate(zip(ends, sizes.tolist(), strict=True))
            ]
        groups = [
            self._order_edge(e, own_words[k], beside[k], layer, mesh, values, cuts, found[k])
            for k, e in enumerate(edges.tolist())
        ]
        return np.array(groups, dtype=np.int64)

    def _forward(self, edge: int, words: WordArray, mesh: Mesh) -> bool:
        """Whether an edge runs in its line's direction, the line's positive side on its right.

        `words` is the pattern under which the line has its form.
        """
        line = int(mesh.edge_line[edge])
        beside = dict(zip(("left", "right"), mesh.edge_faces[edge].tolist(), strict=True))
        if line < 0:
            # The domain lies on the positive side of its border.
            return bool(beside["right"] >= 0)
        layer = int(np.searchsorted(self.firsts, line, side="right")) - 1
        neuron = int(line - self.firsts[layer])
        column, bit = self._forms.balls.starts[layer] + neuron // 64, np.uint64(neuron % 64)
        # Beside a block's border there is one face only.
        bits = {side: bool((mesh.face_words[f, column] >> bit) & np.uint64(1)) for side, f in beside.items() if f >= 0}
        for side, active in bits.items():
            if active or not self.network.has_pools:
                return active == (side == "right")
        # A neuron that does not matter in a face has no bit there, whatever its sign.
        own = self.line(line, words)
        u, v = mesh.edges[edge].tolist()
        return travel(own, self.point(v)) > travel(own, self.point(u))

    def _order_edge(
        self, edge: int, own_words: WordArray, words: WordArray, layer: int, mesh: Mesh, values: Values, cuts: Cuts,
        found: tuple[Balls, Balls] | None,
    ) -> int:  # fmt: skip
        """One edge; `found`: its line's form and those of its crossings, with error bounds."""
        start, stop = int(cuts.offsets[edge]), int(cuts.offsets[edge + 1])
        u, v = mesh.edges[edge].tolist()
        forward = self._forward(edge, own_words, mesh)

        def place(item: int) -> Fraction:
            own = self.line(int(mesh.edge_line[edge]), own_words)
            other = self.forms.line(layer, int(cuts.neuron[start + item]), words)
            along = travel(own, crossing(own, other))
            return along if forward else -along

        length = float(np.hypot(*(mesh.xy[v] - mesh.xy[u]))) + 2 * values.blur
        ranks = ranked(cuts.t[start:stop] * length, cuts.radius[start:stop], length, place, _finer(found, forward))
        order = np.argsort(ranks, kind="stable")
        for column in (cuts.neuron, cuts.t, cuts.residual, cuts.radius, cuts.slope):
            column[start:stop] = column[start:stop][order]
        cuts.group[start:stop] = ranks[order].astype(np.int64)
        return int(ranks.max()) + 1

    def order_faces(
        self, faces: IntArray, layer: int, mesh: Mesh, values: Values, cuts: Cuts, out: Children
    ) -> list[FloatArray]:
        """Exact ranks of all items of each face, (items,)."""
        words = mesh.face_words[faces]
        ranks: list[FloatArray] = []
        for first in range(0, len(faces), _FACES):
            some = slice(first, first + _FACES)
            questions = [
                order_questions(f, self.network.hidden[layer].n_neurons, mesh, values, cuts, out)
                for f in faces[some].tolist()
            ]
            neurons = [
                face.strand_neuron[face.strand[: len(pairs.offsets) - 1]] for face, pairs in questions
            ]  # fmt: skip
            sizes = [len(own) for own in neurons]
            forms = None
            if self.use_balls:
                patterns = np.repeat(words[some], sizes, axis=0)
                forms = self._forms.balls.rows(layer, np.concatenate(neurons), patterns)
            at = 0
            for (face, pairs), own, pattern in zip(questions, neurons, words[some], strict=True):
                chosen = slice(at, at + len(own))
                found = None if forms is None else part(forms, chosen)
                ranks.append(self._order_face(face, pairs, own, pattern, layer, found))
                at += len(own)
        return ranks

    def _order_face(
        self, face: Face, pairs: Pairs, neurons: IntArray, words: WordArray, layer: int, forms: Balls | None
    ) -> FloatArray:
        """One face; `forms`: those of its chords' neurons, with error bounds."""
        lines: dict[int, Line] = {}

        def chord_line(chord: int) -> Line:
            if chord not in lines:
                lines[chord] = self.forms.line(layer, int(neurons[chord]), words)
            return lines[chord]

        ranks = np.zeros(2 * len(pairs.i))
        for c in range(len(neurons)):
            items = pairs.order[pairs.offsets[c] : pairs.offsets[c + 1]]
            if len(items) < 2:
                continue
            others = np.where(items % 2 == 0, pairs.j[items // 2], pairs.i[items // 2])
            right = bool(face.strand_right[face.strand[c]])

            def place(item: int, c: int = c, right: bool = right, o: IntArray = others) -> Fraction:
                own = chord_line(c)
                along = travel(own, crossing(own, chord_line(int(o[item]))))
                return along if right else -along

            found = None
            if forms is not None:
                found = part(forms, slice(c, c + 1)), part(forms, others)
            length = float(face.length[c])
            ranks[items] = ranked(
                pairs.key[items] * length, pairs.radius[items], length, place, _finer(found, right)
            )  # fmt: skip
            self.face_ties += len(items) - 1 - int(ranks[items].max())
        return ranks


def _finer(found: tuple[Balls, Balls] | None, forward: bool) -> Callable[[IntArray], Balls] | None:
    """Places along a line (1, 3) of some of the crossings with others (k, 3), with error bounds."""
    if found is None:
        return None
    own, others = found
    return lambda items: travel_ball(own, part(others, items), forward)


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
