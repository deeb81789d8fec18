"""Forms that vanish at vertices: their gradients with an error bound, and exactly.

A vertex with sign vector s lies on d zero sets.  With any pattern that agrees with s where s is not zero (here: zeros
inactive) the network is affine, x -> F(x), and has its true values at the vertex.  So with G the
d x d matrix of the gradients of the vanishing forms under that pattern, the true vertex x* solves G x + c = 0.
A neuron's gradient is a product of gated weights from its own row down to the inputs, one row at a time.

*Radius afresh* (`Rows.radii`).  A point x at which these forms are at most rho_k in size lies
near x*: for any B, B (G x + c) = B G (x - x*), so with q a bound on |I - B G| below 1,

    |x - x*| <= sum_k |B_k| rho_k / (1 - q),        B_k the columns of B.

B is a float inverse, and q pays for its rounding and for that of G, at most gamma times the same product of norms
(Higham, section 3.5).  Unlike the bound made when an edge is cut, it does not grow from edge to edge.

*Exactly* (`ExactRows`).  Weights are scaled to integers, layer by layer, as in `exact`.  Every row has
besides gradient and constant its derivatives by all biases, which the perturbation needs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import lcm
from typing import Any, NamedTuple

import flint
import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner, lean
from geomrelu.errors import InvariantError
from geomrelu.exact import exponent, scaled
from geomrelu.matrices import dense_rows
from geomrelu.network import Network
from geomrelu.patterns import layer_bits, word_starts
from geomrelu.planar.bounds import layer_bounds
from geomrelu.planar.records import LayerBounds
from geomrelu.polyhedral.cutting import zero_sets
from geomrelu.polyhedral.simple import SimpleComplex
from geomrelu.polyhedral.skeleton import RADIUS, RENEWED, WORST, Skeleton, Words

__all__ = [
    "ExactRow",
    "ExactRows",
    "Facets",
    "Rows",
    "exact_vertex",
    "fresh_radii",
    "layer_gates",
    "vanishing",
    "vertex_determinants",
]

_ULP = 2.0**-52
_TINY = 1e-290
_CACHED = 20_000
# Vertices whose gradients are computed together.
_GROUP = 4096


class Facets(NamedTuple):
    """Forms ``normals x + offsets`` of the domain's facets, positive inside; exact as float64.

    The first `n_box` are a box's, the others rows of a polytope.
    """

    normals: FloatArray  # (facets, d)
    offsets: FloatArray  # (facets,)
    n_box: int


class Rows:
    """Gradients of vanishing forms in float64, with bounds."""

    def __init__(self, network: Network, facets: Facets, words: Words) -> None:
        self.network, self.facets, self.words = network, facets, words
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        self.bounds = layer_bounds(network)
        widths = [words.n_facets, *network.widths]
        # Of forms from the last facet on: layer, -1 for facets, and bound on the norm of the error of the gradient.
        self._layers = np.repeat(np.arange(-1, len(network.widths)), widths)
        self._errors = np.repeat([0.0, *_gradient_errors(self.bounds)], widths)

    def forms(self, forms: IntArray, patterns: WordArray, owner: IntArray) -> tuple[FloatArray, FloatArray]:
        """Gradients (k, d) and constants (k,) of forms (k,) under the patterns ``patterns[owner]``."""
        value, constant = np.empty((len(forms), self.facets.normals.shape[1])), np.empty(len(forms))
        for layer, some in self._by_layer(forms):
            if layer < 0:
                value[some], constant[some] = (
                    self.facets.normals[-1 - forms[some]],
                    self.facets.offsets[-1 - forms[some]],
                )
                continue
            own = self.network.layers[layer]
            units = forms[some] - self.firsts[layer]
            rows, sums = dense_rows(own.weight, units), own.bias[units]
            for below in range(layer - 1, -1, -1):
                before = self.network.layers[below]
                rows = rows * layer_gates(self.network, patterns, below)[owner[some]]
                sums = sums + rows @ before.bias
                rows = rows @ before.weight
            value[some], constant[some] = rows, sums
        return value, constant

    def gradient_errors(self, forms: IntArray) -> FloatArray:
        """Bounds on the norms of the errors of gradients that `forms` computes, (k,)."""
        return np.asarray(self._errors[forms + self.words.n_facets])

    def constant_errors(self, forms: IntArray) -> FloatArray:
        """Bounds on the errors of constants that `forms` computes, (k,)."""
        errors = np.zeros(len(forms))
        for layer, some in self._by_layer(forms):
            if layer > 0:
                own, before, reach = self.bounds[layer], self.bounds[:layer], 0.0
                for bound in before:
                    reach = bound.magnitude_norm * reach + bound.bias_norm
                gamma = sum(bound.gamma for bound in self.bounds[: layer + 1])
                errors[some] = 1.01 * gamma * (own.row_norm * reach + own.bias_max) + _TINY
        return errors

    def _by_layer(self, forms: IntArray) -> Iterator[tuple[int, IntArray]]:
        layers = self._layers[forms + self.words.n_facets]
        for layer in np.flatnonzero(np.bincount(layers + 1)).tolist():
            yield layer - 1, np.flatnonzero(layers == layer - 1)

    def renew(self, skeleton: Skeleton, vertices: IntArray, valid: WordArray) -> None:
        """Bound vertices' radii afresh, where that is better; `valid` has the bits of the forms that have cut."""
        cells, d = skeleton.cells, skeleton.dimension
        for first in range(0, len(vertices), _GROUP):
            chosen = vertices[first : first + _GROUP]
            forms = self.words.forms[vanishing(cells.positive, cells.negative, chosen, valid, d)].reshape(-1)
            patterns = cells.positive[chosen, self.words.domain :]
            with np.errstate(all="ignore"):
                value, _ = self.forms(forms, patterns, np.repeat(np.arange(len(chosen)), d))
            errors = self.gradient_errors(forms).reshape(-1, d)
            radii = fresh_radii(value.reshape(-1, d, d), errors, cells.errors[chosen, WORST])
            cells.errors[chosen, RADIUS] = np.fmin(cells.errors[chosen, RADIUS], radii)
            cells.errors[chosen, RENEWED] = 1.0


def vanishing(positive: WordArray, negative: WordArray, vertices: IntArray, valid: WordArray, d: int) -> IntArray:
    """Bits of the d forms that vanish at each vertex, (k, d) ascending.

    Raises
    ------
    InvariantError
        If there are more or fewer.
    """
    bits = np.empty((len(vertices), d), dtype=np.int64)
    failed = zero_sets(positive, negative, vertices, valid, bits)
    if failed >= 0:
        raise InvariantError("simple", f"vertex {vertices[failed]}", "another number of zeros", d)
    return bits


def vertex_determinants(rows: Rows, simple: SimpleComplex) -> tuple[FloatArray, FloatArray]:
    """|det G| of the gradients G of each vertex's d forms, (V,), and that over the product of their lengths, (V,)."""
    d, n = simple.dimension, len(simple.positive)
    found, share = np.empty((2, n))
    for first in range(0, n, _GROUP):
        chosen = np.arange(first, min(first + _GROUP, n))
        bits = vanishing(simple.positive, simple.negative, chosen, simple.valid, d)
        patterns = simple.positive[chosen, simple.n_domain :]
        value, _ = rows.forms(rows.words.forms[bits].reshape(-1), patterns, np.repeat(np.arange(len(chosen)), d))
        value = value.reshape(-1, d, d)
        found[chosen] = np.abs(np.linalg.det(value))
        with np.errstate(all="ignore"):
            share[chosen] = found[chosen] / np.linalg.norm(value, axis=2).prod(axis=1)
    return found, share


def exact_vertex(rows: ExactRows, words: Words, simple: SimpleComplex, vertex: int) -> tuple[int, ...]:
    """A simple vertex's true position, homogeneous: d + 1 integers, the last one positive."""
    d = simple.dimension
    bits = vanishing(simple.positive, simple.negative, np.array([vertex]), simple.valid, d)[0]
    pattern = simple.positive[vertex, simple.n_domain :]
    own = [rows.row(form, pattern) for form in words.forms[bits].tolist()]
    matrix = flint.fmpz_mat(d, d, [entry for row in own for entry in row.gradient])
    at = matrix.solve(flint.fmpz_mat(d, 1, [-row.constant for row in own]))
    fractions = [(int(x.p), int(x.q)) for x in at.entries()]
    w = lcm(*(q for _, q in fractions))
    return (*(x * (w // q) for x, q in fractions), w)


def layer_gates(network: Network, patterns: WordArray, layer: int) -> FloatArray:
    """What a layer's units are multiplied with under patterns (k, words), (k, units): 1 where they pass, else 0."""
    own = network.layers[layer]
    start = word_starts(network.widths)[layer]
    words = np.ascontiguousarray(patterns[:, start : start + (own.n_neurons + 63) // 64].astype("<u8"))
    gates = np.ones((len(patterns), own.n_units))
    gates[:, : own.n_neurons] = np.unpackbits(
        words.view(np.uint8).reshape(len(patterns), -1), axis=1, count=own.n_neurons, bitorder="little"
    )
    return gates


def _gradient_errors(bounds: list[LayerBounds]) -> list[float]:
    """Bounds on the norms of the errors of each layer's gradients; the first layer's are its weights."""
    errors, product, gamma = [], 1.0, 0.0
    for k, own in enumerate(bounds):
        gamma += own.gamma
        errors.append(gamma * own.row_norm * product * 1.01 + _TINY if k else 0.0)
        product *= own.magnitude_norm
    return errors


def fresh_radii(gradients: FloatArray, errors: FloatArray, residuals: FloatArray) -> FloatArray:
    """Bounds on the distances from the true vertices, (k,); infinite where the gradients may be dependent.

    Parameters
    ----------
    gradients : (k, d, d)
    errors : (k, d)
        Bounds on the norms of the gradients' errors.
    residuals : (k,)
        Bounds on the vanishing forms at the represented points.
    """
    d, radii = gradients.shape[1], np.empty(len(gradients))
    radii_of(gradients.copy(), errors.copy(), residuals, np.empty((d, 2 * d)), radii)
    return radii


@lean
def radii_of(
    gradients: FloatArray, errors: FloatArray, residuals: FloatArray, room: FloatArray, radii: FloatArray
) -> None:
    """See `fresh_radii`; `gradients` and `errors` are used up, `room` is scratch, (d, 2 d)."""
    d = gradients.shape[1]
    for k in range(len(gradients)):
        rows, relative = gradients[k], 0.0
        for i in range(d):
            size = 0.0
            for j in range(d):
                size += rows[i, j] ** 2
            size = np.sqrt(size)
            # A row that vanishes or overflows decides nothing.
            sound = size > 0.0 and size < np.inf
            relative += (errors[k, i] / size) ** 2 if sound else np.inf
            for j in range(d):
                rows[i, j] = rows[i, j] / size if sound else 0.0
                room[i, j], room[i, d + j] = rows[i, j], 1.0 if i == j else 0.0
            errors[k, i] = size
        radii[k] = np.inf
        if not relative < 1.0 or not _reduce(room):
            continue
        norm, defect, reach = 0.0, 0.0, 0.0
        for j in range(d):
            column = 0.0
            for i in range(d):
                column += room[i, d + j] ** 2
                product = 1.0 if i == j else 0.0
                for m in range(d):
                    product -= room[i, d + m] * rows[m, j]
                defect += product * product
            norm += column
            reach += np.sqrt(column) / errors[k, j]
        relative = np.sqrt(relative) + 4 * _ULP * d
        q = (np.sqrt(defect) + np.sqrt(norm) * (relative + (d + 2) * _ULP * np.sqrt(d))) * 1.01
        if q < 0.5:
            radii[k] = reach * residuals[k] / (1.0 - q) * 1.01 + _TINY


@inner
def _reduce(room: FloatArray) -> bool:
    """Float inverse of the left half into the right one, by elimination with pivots; False if there is none."""
    d = len(room)
    for i in range(d):
        pivot = i
        for k in range(i + 1, d):
            if abs(room[k, i]) > abs(room[pivot, i]):
                pivot = k
        if not abs(room[pivot, i]) > 0.0:
            return False
        for j in range(2 * d):
            room[i, j], room[pivot, j] = room[pivot, j], room[i, j]
        scale = 1.0 / room[i, i]
        for j in range(2 * d):
            room[i, j] *= scale
        for k in range(d):
            factor = room[k, i]
            if k != i and factor != 0.0:
                for j in range(i, 2 * d):
                    room[k, j] -= factor * room[i, j]
    return True


class ExactRow(NamedTuple):
    """A form in integers, over a common positive factor."""

    gradient: list[Any]  # (d,)
    constant: Any
    derivatives: list[Any]  # by the perturbations of the polytope's rows, then of the neurons up to its own


class ExactRows:
    """Forms under given patterns in integers, made when first needed."""

    def __init__(self, network: Network, facets: Facets) -> None:
        self.network, self.facets = network, facets
        self.starts = word_starts(network.widths)
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        self.n_rows = len(facets.normals) - facets.n_box
        self._weights: list[Any] = []
        self._biases: list[list[Any]] = []
        self._scales: list[int] = []
        scale = 0
        for layer in network.hidden:
            weight = dense_rows(layer.weight, slice(None))
            step = max(exponent(weight), exponent(layer.bias) - scale)
            scale += step
            whole = scaled(weight.reshape(-1), step).tolist()
            self._weights.append(flint.fmpz_mat(len(weight), layer.n_inputs, whole))
            self._biases.append(scaled(layer.bias, scale).tolist())
            self._scales.append(scale)
        self._cache: OrderedDict[tuple[int, bytes], ExactRow] = OrderedDict()

    def row(self, form: int, pattern: WordArray) -> ExactRow:
        """One form under a packed pattern, of which only the bits of the layers before its own are used."""
        layer = -1 if form < 0 else int(np.searchsorted(self.firsts, form, side="right")) - 1
        key = (form, b"" if layer < 0 else pattern[: self.starts[layer]].tobytes())
        found = self._cache.get(key)
        if found is None:
            found = self._facet(-1 - form) if form < 0 else self._neuron(layer, form - int(self.firsts[layer]), pattern)
            self._cache[key] = found
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return found

    def _facet(self, facet: int) -> ExactRow:
        values = np.append(self.facets.normals[facet], self.facets.offsets[facet])
        scale = exponent(values)
        *gradient, constant = scaled(values, scale).tolist()
        derivatives = [0] * self.n_rows
        if facet >= self.facets.n_box:
            # A polytope's rows are moved outwards.
            derivatives[facet - self.facets.n_box] = 1 << scale
        return ExactRow(gradient, constant, derivatives)

    def _neuron(self, layer: int, unit: int, pattern: WordArray) -> ExactRow:
        weights = self._weights[layer]
        row = flint.fmpz_mat(1, weights.ncols(), [weights[unit, j] for j in range(weights.ncols())])
        constant = self._biases[layer][unit]
        parts: list[list[Any]] = [[0] * unit + [-(1 << self._scales[layer])]]
        for below in range(layer - 1, -1, -1):
            before = self.network.layers[below]
            bits = layer_bits(pattern, self.starts[below], before.n_neurons).tolist()
            bits += [True] * (before.n_units - before.n_neurons)
            gated = [v if bit else 0 for v, bit in zip(row.entries(), bits, strict=True)]
            constant += sum(v * b for v, b in zip(gated, self._biases[below], strict=True))
            shift = self._scales[below]
            parts.append([-(v << shift) for v in gated[: before.n_neurons]])
            row = flint.fmpz_mat(1, len(gated), gated) * self._weights[below]
        derivatives = [0] * self.n_rows + [v for part in reversed(parts) for v in part]
        return ExactRow(row.entries(), constant, derivatives)
