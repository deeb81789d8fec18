"""The outputs at a complex's vertices, and the signs of linear functionals of them, exactly.

Outputs are continuous, so they have one value at a vertex whatever the region: y(v), of the
network's forward pass at the true vertex.  It is computed in float64 at the stored vertex, with
the bounds of `planar.bounds`: the pass starts with the vertex's own error (`vertex_errors`), a
layer multiplies it by its operator norm and adds its rounding.  So with e(v) the bound on every
entry,

    |a . y - b - (float value)| <= sum |a_j| e(v) + gamma (sum |a_j y_j| + |b|),

gamma = n u / (1 - n u) for n terms.  A value beyond that bound has a certain sign.  Norms overestimate how
steep a trained deep network is, a millionfold on ACAS Xu, so where that leaves doubts the map x -> A x + b of a face
around the vertex gives e(v) anew: |A| times the vertex's own error, and the rounding of the map.  The others are
decided as the engine decides its own: in double precision with a bound on every entry
(`planar.balls`), then in integers, where the functional's affine form under the pattern of a
face around the vertex is evaluated at the crossing of the vertex's two lines.  Where all
corners of a face are in doubt its form comes first: if that is constant, it tells them all, and
no corner need be computed.

Cost: one forward pass over the vertices, kept for all questions.  On wide and deep networks that is more than
the partition itself (twice, for 2-256x4): the engine's products are those of the vertices before each cut,
and it interpolates the rest, while here every vertex goes through all layers.  What questions add is
less than the partition.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomrelu.affine import affine_map_errors, affine_maps
from geomrelu.analysis.vertices import crossing_in_face, faces_at_corners, lines_at_corners
from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.errors import InvariantError, RangeError
from geomrelu.exact import ExactForms, Point
from geomrelu.network import Layer, Network
from geomrelu.planar.balls import BallForms, Balls, cross, signs_at
from geomrelu.planar.bounds import bounded_errors, layer_bounds
from geomrelu.planar.settle import Forms, History, Judge

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["Functionals", "Outputs", "VertexOutputs", "outputs_near"]

_UNIT_ROUNDOFF = 2.0**-53
_SLACK = 1.0 + 2.0**-20
_TINY = 1e-290
# Vertices in a forward pass at a time: their rows stay in the cache.
_ROWS = 1024
# Rows of maps at a time, one for each output.
_MAP_ROWS = 1 << 20


class Functionals(NamedTuple):
    """Linear functionals a . y - b of the outputs y."""

    a: FloatArray  # (M, out)
    b: FloatArray  # (M,)

    @classmethod
    def difference(cls, n_outputs: int, first: IntArray, second: IntArray) -> Functionals:
        """The functionals y_first - y_second, for arrays (M,) of outputs."""
        a = np.zeros((len(first), n_outputs))
        a[np.arange(len(first)), first] = 1.0
        a[np.arange(len(first)), second] = -1.0
        return cls(a, np.zeros(len(first)))

    def exactly(self, which: int, outputs: list[Fraction]) -> Fraction:
        """The value of one functional, given exact outputs."""
        terms = (Fraction(a) * y for a, y in zip(self.a[which].tolist(), outputs, strict=True) if a)
        return sum(terms, -Fraction(float(self.b[which])))


class Outputs(ABC):
    """Outputs at the vertices of a complex of any dimension d, and signs of linear functionals of them.

    Attributes
    ----------
    values : (V, out) float64
        The outputs.
    errors : (V,) float64
        No entry of a vertex's row is farther from its true value than this.
    positions : (V, d) float64
    position_errors : (V,) float64
        As the complex stores them; like outputs, closer to the truth after `refine`.
    offsets, members : (R + 1,), (C,) int64
        Vertices of the regions: r's are ``members[offsets[r] : offsets[r + 1]]``.
    """

    # Whether `refine` is cheap beside exact values, and need not give them.
    refines_in_floats = True

    def __init__(self, p: PlanarComplex | PolyhedralComplex, offsets: IntArray, members: IntArray) -> None:
        self._network, self._patterns, self.offsets, self.members = p.network, p.patterns, offsets, members
        self.values, self.errors = _forward(p)
        for vertex in np.flatnonzero(~(np.isfinite(self.values).all(axis=1) & np.isfinite(self.errors))).tolist():
            self._compute_again(vertex)
        self.positions, self.position_errors = p.vertices.copy(), p.vertex_errors.copy()
        self._tightened, self._refined = np.zeros((2, p.n_vertices), dtype=bool)

    def _compute_again(self, vertex: int) -> None:
        """Of a vertex whose forward pass overflows: in integers, rounded once."""
        exact = self.exact(vertex)
        try:
            self.values[vertex] = [float(y) for y in exact]
        except OverflowError:
            raise RangeError(
                f"outputs: vertex {vertex} has an output above 2^1024; expected less, what float64 holds; scale the "
                "network's last layer down"
            ) from None
        self.errors[vertex] = np.abs(self.values[vertex]).max() * (2 * _UNIT_ROUNDOFF) + _TINY

    def corners(self, region: int) -> IntArray:
        """Vertices of a region."""
        return self.members[self.offsets[region] : self.offsets[region + 1]]

    # ------------------------------------------------------------------ exact values

    @property
    @abstractmethod
    def exact_forms(self) -> ExactForms:
        """The network's forms in integers."""

    @abstractmethod
    def region_of(self, vertex: int) -> int:
        """A region with this vertex."""

    @abstractmethod
    def regions_around(self, vertex: int) -> IntArray:
        """All regions with this vertex."""

    @abstractmethod
    def point(self, vertex: int) -> tuple[int, ...]:
        """A vertex's exact position, homogeneous: d + 1 integers, the last one positive."""

    def tighten(self, vertices: IntArray) -> None:
        """Tighten values and their bounds at many vertices, in floats; again at none."""
        fresh = vertices[~self._tightened[vertices]]
        self._tightened[fresh] = True
        if len(fresh):
            self._tighten(fresh)

    @abstractmethod
    def _tighten(self, vertices: IntArray) -> None:
        """See `tighten`."""

    @abstractmethod
    def refine(self, vertices: IntArray) -> None:
        """Tighten values, positions and their bounds at some vertices."""

    @abstractmethod
    def decide(self, asked: Functionals, vertices: IntArray, which: IntArray) -> IntArray:
        """Signs of functionals ``which`` (N,) at ``vertices`` (N,) whose float values leave them in doubt, (N,)."""

    def position(self, vertex: int) -> tuple[Fraction, ...]:
        """A vertex's exact position."""
        *x, w = self.point(vertex)
        return tuple(Fraction(v, w) for v in x)

    def exact(self, vertex: int) -> list[Fraction]:
        """The exact outputs at a vertex."""
        at = self.point(vertex)
        scale = at[-1] << self.exact_forms.scales[-1]
        rows = self.exact_forms.output_map(self._patterns.words[self.region_of(vertex)])
        return [Fraction(sum(int(a) * x for a, x in zip(row, at, strict=True)), scale) for row in rows]

    # ------------------------------------------------------------------ signs

    def level(self, asked: Functionals, vertices: IntArray | slice = slice(None)) -> tuple[FloatArray, FloatArray]:
        """Values of the functionals at (chosen) vertices and bounds on their errors, both (V, M)."""
        used = np.flatnonzero((asked.a != 0).any(axis=0))
        values, a = self.values[vertices][:, used], asked.a[:, used]
        with np.errstate(all="ignore"):
            value = values @ a.T - asked.b
            size = np.abs(a)
            gamma = (len(used) + 4) * _UNIT_ROUNDOFF * _SLACK
            rounding = gamma * (np.abs(values) @ size.T + np.abs(asked.b))
            error = (np.outer(self.errors[vertices], size.sum(axis=1)) + rounding) * _SLACK + _TINY
        error[~np.isfinite(value)] = np.inf
        return np.nan_to_num(value), error

    def signs(self, asked: Functionals) -> IntArray:
        """Signs -1, 0, 1 of the functionals at the vertices, exactly, (V, M) int64."""
        value, error = self.level(asked)
        unsure = np.flatnonzero(~(np.abs(value) > error).all(axis=1))
        if len(unsure):
            self.tighten(unsure)
            value[unsure], error[unsure] = self.level(asked, unsure)
        result = np.sign(value).astype(np.int64)
        vertices, which = np.nonzero(~(np.abs(value) > error))
        result[vertices, which] = self.decide(asked, vertices, which)
        return result

    def _in_integers(self, asked: Functionals, vertices: IntArray, which: IntArray) -> IntArray:
        unknown = -2
        result = np.full(len(vertices), unknown, dtype=np.int64)
        for m in np.unique(which).tolist():
            own = np.flatnonzero(which == m)
            found = np.full(len(self.values), unknown, dtype=np.int64)
            self._by_constant_regions(asked, m, vertices[own], found)
            for vertex in vertices[own][found[vertices[own]] == unknown].tolist():
                at = self.point(vertex)
                value = sum(a * x for a, x in zip(self._form(asked, m, self.region_of(vertex)), at, strict=True))
                found[vertex] = (value > 0) - (value < 0)
            result[own] = found[vertices[own]]
        return result

    def _by_constant_regions(self, asked: Functionals, m: int, doubtful: IntArray, found: IntArray) -> None:
        """Signs at the corners of regions on which the functional is constant."""
        flagged = np.zeros(len(self.values), dtype=bool)
        flagged[doubtful] = True
        for region in np.flatnonzero(np.logical_and.reduceat(flagged[self.members], self.offsets[:-1])).tolist():
            corners = self.corners(region)
            if (found[corners] == -2).any():
                *slope, c = self._form(asked, m, region)
                if not any(slope):
                    found[corners] = (c > 0) - (c < 0)

    def surely_constant(self, asked: Functionals) -> BoolArray:
        """Regions (R,) in which no active neuron leads from the inputs to a single functional: it is constant there.

        Zero weights and inactive neurons tell, so nothing is computed; a plateau's regions mostly are of this kind.
        """
        layers = self._network.layers
        found = np.zeros(len(self._patterns), dtype=bool)
        reached = np.broadcast_to((asked.a[0] != 0).astype(np.float64), (len(found), asked.a.shape[1]))
        for k in range(len(layers) - 1, 0, -1):
            gated = (reached @ abs(layers[k].weight) > 0).astype(np.float64)
            n = layers[k - 1].n_neurons
            gated[:, :n] *= self._patterns.unpack(k - 1)
            found |= ~gated.any(axis=1)
            reached = gated
        return found

    def is_constant(self, asked: Functionals, region: int) -> bool:
        """Whether a single functional is constant on a region, exactly."""
        return not any(self._form(asked, 0, region)[:-1])

    def _form(self, asked: Functionals, m: int, region: int) -> tuple[int, ...]:
        """A functional's affine form on a region, times a positive number, the constant last."""
        rows = self.exact_forms.output_map(self._patterns.words[region])
        weights = [Fraction(a) for a in asked.a[m].tolist()]
        offset = Fraction(float(asked.b[m])) * (1 << self.exact_forms.scales[-1])
        # Denominators are powers of two: the largest is common to all.
        unit = max(w.denominator for w in (*weights, offset))
        form = [
            sum(int(w * unit) * int(row[k]) for w, row in zip(weights, rows, strict=True)) for k in range(len(rows[0]))
        ]
        form[-1] -= int(offset * unit)
        return tuple(form)

    # ------------------------------------------------------------------ largest outputs

    @cached_property
    def top(self) -> BoolArray:
        """Which outputs are the largest at each vertex, exactly, (V, out) bool: more than one where they tie."""
        values, rows = self.values, np.arange(len(self.values))
        best, sure, limit = self._leads()
        if not sure.all():
            self.tighten(np.flatnonzero(~sure))
            best, sure, limit = self._leads()
        close = np.zeros(values.shape, dtype=bool)
        close[rows, best] = True
        tied = np.flatnonzero(~sure)
        if len(tied) == 0:
            return close
        close[tied] |= ~(values[tied, best[tied]][:, None] - values[tied] > limit[tied, None])
        place, other = np.nonzero(close[tied])
        keep = other != best[tied[place]]
        vertices, other = tied[place[keep]], other[keep]
        pairs, which = np.unique(np.stack([best[vertices], other], axis=1), axis=0, return_inverse=True)
        asked = Functionals.difference(values.shape[1], pairs[:, 0], pairs[:, 1])
        signs = self.decide(asked, vertices, which.ravel())
        close[vertices, other] = signs == 0
        # Where the float value had the wrong output in front.
        for vertex in np.unique(vertices[signs < 0]).tolist():
            exact = self.exact(vertex)
            close[vertex] = [y == max(exact) for y in exact]
        return close

    def _leads(self) -> tuple[IntArray, BoolArray, FloatArray]:
        """Each vertex's largest output by floats, whether it surely leads, and what a lead must exceed, (V,) each."""
        values, rows = self.values, np.arange(len(self.values))
        best = np.argmax(values, axis=1)
        others = values.copy()
        others[rows, best] = -np.inf
        size = np.maximum(values[rows, best], -values.min(axis=1))
        limit = 4 * self.errors + 4 * _UNIT_ROUNDOFF * size
        return best, values[rows, best] - others.max(axis=1) > limit, limit


class VertexOutputs(Outputs):
    """Outputs at the vertices of a planar complex, made once for each; asked through ``p._vertex_outputs``."""

    def __init__(self, p: PlanarComplex) -> None:
        self.p = p
        super().__init__(p, p.face_offsets, p.face_vertices)

    # ------------------------------------------------------------------ exact values

    @cached_property
    def judge(self) -> Judge:
        """Exact forms of the network, and the exact points found so far."""
        nowhere = np.empty(0, dtype=np.int64)
        return Judge(self.p.domain.vertices, Forms(self.p.network), History(self.p.vertex_lines, nowhere, nowhere))

    @cached_property
    def _faces(self) -> dict[int, int]:
        return {}

    def region_of(self, vertex: int) -> int:
        """A face around a vertex in which its two lines cross."""
        self.point(vertex)
        return self._faces[vertex]

    def point(self, vertex: int) -> Point:
        """A vertex's exact position, homogeneous."""
        if vertex not in self._faces:
            for face in self._faces_with(vertex):
                found = crossing_in_face(self.p, self.judge, vertex, face)
                if found is not None:
                    self.judge.points[vertex], self._faces[vertex] = found, face
                    break
            else:
                p, q = self.p.vertex_lines[vertex].tolist()
                raise InvariantError("vertex lines", f"vertex {vertex}", f"lines {p} and {q}", "lines that cross there")
        return self.judge.points[vertex]

    def _faces_with(self, vertex: int) -> Iterator[int]:
        """All faces around a vertex, first such that are quickly found."""
        yield from faces_at_corners(self.p, self._some_corners[:, vertex]).tolist()
        yield from self.p._exact_vertices.faces_around(vertex).tolist()

    def regions_around(self, vertex: int) -> IntArray:
        """All faces around a vertex."""
        return self.p._exact_vertices.faces_around(vertex)

    @property
    def exact_forms(self) -> ExactForms:
        """The network's forms in integers."""
        return self.judge.forms

    # ------------------------------------------------------------------ signs

    def _tighten(self, vertices: IntArray) -> None:
        """By the map of a face around each vertex: how steep it is there, not what norms say, multiplies its error."""
        step = max(1, _MAP_ROWS // self.p.network.n_outputs)
        for first in range(0, len(vertices), step):
            some = vertices[first : first + step]
            with np.errstate(all="ignore"):
                value, error = self._by_maps(some)
                better = np.isfinite(value).all(axis=1) & (error < self.errors[some])
            self.values[some[better]], self.errors[some[better]] = value[better], error[better]

    def _by_maps(self, vertices: IntArray) -> tuple[FloatArray, FloatArray]:
        """Values (N, out) and bounds (N,) at some vertices: the map is exact as far as the true vertex."""
        faces = faces_at_corners(self.p, self._some_corners[0][vertices])
        used, place = np.unique(faces, return_inverse=True)
        maps, wrong = (f(self.p.network, self.p.patterns[used]) for f in (affine_maps, affine_map_errors))
        a, b, da, db = maps.A[place], maps.b[place], wrong.A[place], wrong.b[place]
        x, away = self.p.vertices[vertices][:, None, :], self.p.vertex_errors[vertices][:, None]
        products = a * x
        rounding = 4 * _UNIT_ROUNDOFF * (np.abs(products).sum(axis=2) + np.abs(b))
        error = np.linalg.norm(a, axis=2) * away + (da * (np.abs(x) + away[:, :, None])).sum(axis=2) + db + rounding
        return products.sum(axis=2) + b, error.max(axis=1) * _SLACK + _TINY

    def decide(self, asked: Functionals, vertices: IntArray, which: IntArray) -> IntArray:
        """Signs of functionals ``which`` (N,) at ``vertices`` (N,) whose float values leave them in doubt, (N,)."""
        if len(vertices) == 0:
            return np.zeros(0, dtype=np.int64)
        used, number = np.unique(which, return_inverse=True)
        asked, which = Functionals(asked.a[used], asked.b[used]), number.ravel()
        result = self._by_balls(asked, vertices, which)
        left = np.flatnonzero(result == 0)
        if len(left):
            result[left] = self._in_integers(asked, vertices[left], which[left])
        return result

    def _by_balls(self, asked: Functionals, vertices: IntArray, which: IntArray) -> IntArray:
        """Certain signs, 0 where in doubt."""
        used, place = np.unique(vertices, return_inverse=True)
        points, words = self._ball_points(used)
        network = Network.from_layers([*self.p.network.layers, Layer(asked.a, -asked.b, 0)])
        with np.errstate(all="ignore"):
            forms = BallForms(network).rows(len(network.layers) - 1, which, words[place.ravel()])
            return signs_at(forms, Balls(points.value[place.ravel()], points.error[place.ravel()]))

    def _ball_points(self, vertices: IntArray, turn: int = 0) -> tuple[Balls, WordArray]:
        """Vertices as homogeneous points with bounds, and the pattern of a face around each; `turn` says which."""
        corners = self._some_corners[turn][vertices]
        lines, words = lines_at_corners(self.p, corners)
        with np.errstate(all="ignore"):
            points = cross(*(self.judge.ball_lines(lines[:, k], words[k]) for k in range(2)))
        return points, self.p.patterns.words[faces_at_corners(self.p, corners)]

    @cached_property
    def _some_corners(self) -> IntArray:
        """Two ring entries of each vertex, (2, V): the last and the first."""
        corner, result = np.arange(len(self.p.face_vertices)), np.zeros((2, self.p.n_vertices), dtype=np.int64)
        result[0, self.p.face_vertices] = corner
        result[1, self.p.face_vertices[::-1]] = corner[::-1]
        return result

    def refine(self, vertices: IntArray) -> None:
        """Tighten values, positions and their bounds at some vertices: in ball arithmetic, from their two lines."""
        chosen = np.unique(vertices)
        chosen = chosen[~self._refined[chosen]]
        self._refined[chosen] = True
        step = max(1, _ROWS // self.p.network.n_outputs)
        for turn in range(len(self._some_corners)):
            unknown = [self._refine_some(chosen[k : k + step], turn) for k in range(0, len(chosen), step)]
            # In one face the two lines may be parallel, in another not.
            chosen = np.concatenate([chosen[:0], *unknown])

    def _refine_some(self, vertices: IntArray, turn: int) -> IntArray:
        """`refine`, in one of the faces around each; returns those about which that face tells nothing."""
        n, last = self.p.network.n_outputs, len(self.p.network.layers) - 1
        points, words = self._ball_points(vertices, turn)
        units, owner = np.tile(np.arange(n), len(vertices)), np.repeat(np.arange(len(vertices)), n)
        with np.errstate(all="ignore"):
            value, error = _quotients(self.judge.ball_forms.rows(last, units, words[owner]), points, owner)
            value, error = value.reshape(-1, n), error.reshape(-1, n).max(axis=1)
            axes = np.tile([[1.0, 0, 0], [0, 1, 0]], (len(vertices), 1))
            at, away = _quotients(Balls(axes, np.zeros_like(axes)), points, np.repeat(np.arange(len(vertices)), 2))
            at, away = at.reshape(-1, 2), np.hypot(*away.reshape(-1, 2).T) * _SLACK
        better = error < self.errors[vertices]
        self.values[vertices[better]], self.errors[vertices[better]] = value[better], error[better]
        better = away < self.position_errors[vertices]
        self.positions[vertices[better]], self.position_errors[vertices[better]] = at[better], away[better]
        unknown: IntArray = vertices[~np.isfinite(error)]
        return unknown


def _quotients(forms: Balls, points: Balls, owner: IntArray) -> tuple[FloatArray, FloatArray]:
    """Values of forms (N, 3) at the points (k, 3) of number `owner` (N,), and bounds; infinite where unknown."""
    x, dx = points.value[owner], points.error[owner]
    products, size = forms.value * x, np.abs(forms.value)
    error = (size * dx + forms.error * (np.abs(x) + dx) + 8 * _UNIT_ROUNDOFF * np.abs(products)).sum(axis=1)
    w, dw = x[:, 2], dx[:, 2]
    value = products.sum(axis=1) / w
    bound = (error * 1.01 + np.abs(value) * dw + _TINY) / (w - dw) * 1.01 + np.abs(value) * 8 * _UNIT_ROUNDOFF + _TINY
    return value, np.where((w > dw) & np.isfinite(value) & np.isfinite(bound), bound, np.inf)


def _forward(p: PlanarComplex | PolyhedralComplex) -> tuple[FloatArray, FloatArray]:
    """Outputs at the stored vertices, (V, out), and bounds on their distance from those at the true ones, (V,)."""
    return outputs_near(p.network, p.vertices, p.vertex_errors)


def outputs_near(network: Network, points: FloatArray, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Outputs at points (V, d), and bounds on their distance from those at others so far away (V,)."""
    # The bounds are those of hidden layers: an identity after the output layer makes it one.
    n = network.n_outputs
    bounds = layer_bounds(Network.from_layers([*network.layers, Layer(np.eye(n), np.zeros(n), 0)]))
    values, errors = np.empty((len(points), n)), np.empty(len(points))
    last = len(network.layers) - 1
    for first in range(0, len(points), _ROWS):
        h, error = points[first : first + _ROWS], distances[first : first + _ROWS]
        with np.errstate(all="ignore"):
            for k, layer in enumerate(network.layers):
                norm = np.sqrt(np.einsum("vn,vn->v", h, h)) * _SLACK
                each, error = bounded_errors(bounds[k], norm, error)
                h = h @ layer.weight.T + layer.bias
                if k < last:
                    np.maximum(h[:, : layer.n_neurons], 0.0, out=h[:, : layer.n_neurons])
        values[first : first + _ROWS], errors[first : first + _ROWS] = h, np.minimum(each, error)
    return values, errors
