"""A region's affine forms, float64 with bounds, and exactly.

Under the pattern of a region every neuron is an affine form of the input.  A region and the domain are cut out by
*rows*: forms that are positive inside, a neuron's own or its negative, first all neurons' in flat order, then the
domain's facets'.  Rows are used relative to the start x0: row k at x0 + z is ``value[k] + rows[k] z``.

*Values.*  At a float point a gated forward pass gives all forms of a pattern, with error bounds of two kinds of which
the smaller counts: entry by entry, |W| e + gamma (|W| |h| + |b|), and by norms, |W_i| |e| + gamma (|W_i| |h| + |b_i|)
(Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1; gamma = n u / (1 - n u) for n products).

*Gradients.*  Layer by layer, G_l = W_l D G_{l-1}, D the pattern's gate.  The 2-norm of the error of row i is at most
sum_k |W_ik| (e_k + gamma |G_k|), and 0 in the first layer, whose rows are its weights.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.domain import Box, Polytope
from geomrelu.exact import ExactForms, exponent, integers, scaled
from geomrelu.matrices import Matrix, dense_rows, is_sparse
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar.bounds import layer_bounds
from geomrelu.polyhedral.build import domain_facets

__all__ = ["Forms", "Functional", "Norm", "RegionRows", "Values"]

_UNIT_ROUNDOFF = 2.0**-53
_SLACK = 1.001
_TINY = 1e-290
# Numbers in rows that are kept.
_KEPT = 1 << 25
# Sparse gradients become dense ones from this share of stored entries on.
_CROWDED = 0.1


class Norm:
    """A norm of inputs, and its dual, in which gradients are measured."""

    def __init__(self, order: float) -> None:
        self.order = order
        self.dual = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[order]

    def length(self, z: FloatArray) -> FloatArray:
        """Lengths of displacements (..., n)."""
        return np.asarray(np.linalg.norm(z, ord=self.order, axis=-1))

    def sizes(self, rows: Matrix) -> FloatArray:
        """Dual norms of rows (m, n), dense or sparse; rounded."""
        if not is_sparse(rows):
            return np.asarray(np.linalg.norm(rows, ord=self.dual, axis=1)) if len(rows) else np.zeros(0)
        size = abs(rows)
        if self.dual == 1.0:
            return np.asarray(size.sum(axis=1)).ravel()
        if self.dual == 2.0:
            return np.asarray(np.sqrt((size * size).sum(axis=1))).ravel()
        largest = size.max(axis=1)
        return np.asarray(largest.toarray() if is_sparse(largest) else largest).ravel()

    def at_most(self, euclidean: FloatArray, n: int) -> FloatArray:
        """Bounds on dual norms of vectors of n entries from their 2-norms."""
        return euclidean * (float(np.sqrt(n)) * _SLACK if self.dual == 1.0 else 1.0)

    def steepest(self, row: FloatArray) -> FloatArray:
        """The displacement of length 1 along which a form with this gradient grows most."""
        if self.order == 2.0:
            return np.asarray(row / np.linalg.norm(row))
        if self.order == np.inf:
            return np.sign(row)
        step = np.zeros_like(row)
        k = int(np.argmax(np.abs(row)))
        step[k] = np.sign(row[k])
        return step


_EUCLIDEAN = Norm(2.0)


class Values(NamedTuple):
    """Forms at points, and bounds on their errors."""

    neurons: FloatArray  # (N, n_neurons) preactivations
    neuron_errors: FloatArray
    outputs: FloatArray  # (N, out)
    output_errors: FloatArray


class Functional(NamedTuple):
    """An affine form relative to x0: ``value + row z`` at x0 + z."""

    row: FloatArray  # (n,)
    value: float
    error: float  # of the value
    size: float  # dual norm of the row
    blur: float  # bound on the dual norm of the row's error


class RegionRows(NamedTuple):
    """What cuts out a region; m rows, neurons first."""

    bits: BoolArray  # (n_neurons,)
    orientation: FloatArray  # (n_neurons,) 1 or -1
    value: FloatArray  # (m,) at x0
    error: FloatArray  # (m,)
    size: FloatArray  # (m,) dual norms
    blur: FloatArray  # (m,) bounds on the errors of `size`
    cuts: BoolArray  # (m,) False for rows that are the same number everywhere
    null: IntArray  # neurons that are zero everywhere in the region


class _Sizes(NamedTuple):
    """What the units of a layer have under a pattern of the layers before."""

    length: FloatArray  # (units,) 2-norms of gradients
    size: FloatArray  # (units,) dual norms of gradients
    blur: FloatArray  # (units,) bounds on the 2-norms of the gradients' errors
    possible: BoolArray  # (units,) False where the gradient is zero for want of a way from the inputs


class Forms:
    """One network on one domain, seen from x0.

    Parameters
    ----------
    network : Network
    x0 : (n,) float64
    norm : Norm
    domain : Box or Polytope, optional
    """

    def __init__(self, network: Network, x0: FloatArray, norm: Norm, domain: Box | Polytope | None = None) -> None:
        self.network, self.x0, self.norm, self.domain = network, x0, norm, domain
        self.firsts = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
        layers = network.layers
        self._magnitudes = [abs(layer.weight) for layer in layers]
        self._gammas = [(layer.n_inputs + 4) * _UNIT_ROUNDOFF * 1.01 for layer in layers]
        self._known: dict[tuple[int, bytes], _Sizes] = {}
        self._tables: OrderedDict[tuple[int, bytes], Matrix] = OrderedDict()
        self._rows: dict[tuple[int, int, bytes], tuple[FloatArray, float]] = {}
        self._row_norms = [_EUCLIDEAN.sizes(layer.weight) * _SLACK for layer in layers]
        self._bounds = layer_bounds(network)
        self.normals: Matrix = np.zeros((0, network.n_inputs))
        offsets = np.zeros(0)
        if domain is not None:
            from scipy.sparse import csr_array

            facets = domain_facets(domain)
            self.normals, offsets = csr_array(facets.normals), facets.offsets
        self.offsets = offsets
        self.n_rows = network.n_neurons + len(offsets)
        self._domain_value, self._domain_error = (v[0] for v in self.domain_values(x0[None]))
        self._domain_size = norm.sizes(self.normals)

    # ------------------------------------------------------------------ values

    def values(self, bits: BoolArray, points: FloatArray) -> Values:
        """All forms under a pattern at points (N, n), with bounds."""
        h, error = points, np.zeros_like(points)
        total = np.zeros(len(points))  # bound on the 2-norm of a row of errors
        neurons, errors = [np.zeros((len(points), 0))], [np.zeros((len(points), 0))]
        with np.errstate(over="ignore", invalid="ignore"):
            for k, layer in enumerate(self.network.layers):
                gamma = self._gammas[k]
                u = h @ layer.weight.T + layer.bias
                length = np.linalg.norm(h, axis=1)
                by_entry = (error + gamma * np.abs(h)) @ self._magnitudes[k].T
                by_norm = (total + gamma * length)[:, None] * self._row_norms[k]
                error = np.minimum(by_entry, by_norm) * _SLACK + gamma * np.abs(layer.bias) + _TINY
                error[~np.isfinite(u)] = np.inf
                if k == len(self.network.layers) - 1:
                    return Values(np.concatenate(neurons, axis=1), np.concatenate(errors, axis=1), u, error)
                bound = self._bounds[k]
                total = np.minimum(
                    np.linalg.norm(error, axis=1) * _SLACK,
                    bound.operator_norm * total + gamma * (bound.magnitude_norm * length + bound.bias_norm) * _SLACK,
                )
                neurons.append(u[:, : layer.n_neurons])
                errors.append(error[:, : layer.n_neurons])
                gate = self._gate(bits, k)
                h, error = u * gate, np.where(gate, error, 0.0)
        raise AssertionError("a network has an output layer")

    def domain_values(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The domain's rows at points, and bounds on their errors, (N, facets) each."""
        value = points @ self.normals.T + self.offsets
        size = np.abs(points) @ abs(self.normals).T + np.abs(self.offsets)
        return value, size * ((points.shape[1] + 4) * 2.0**-52) + _TINY

    def oriented(self, bits: BoolArray, found: Values, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A region's rows at points, and bounds on their errors, (N, m) each."""
        value, error = self.domain_values(points)
        own = np.where(bits, found.neurons, -found.neurons)
        return np.concatenate([own, value], axis=1), np.concatenate([found.neuron_errors, error], axis=1)

    def _gate(self, bits: BoolArray, layer: int) -> BoolArray:
        own = self.network.layers[layer]
        gate = np.ones(own.n_units, dtype=bool)
        gate[: own.n_neurons] = bits[self.firsts[layer] : self.firsts[layer + 1]]
        return gate

    # ------------------------------------------------------------------ rows

    def region(self, bits: BoolArray) -> tuple[RegionRows, list[Functional]]:
        """A region's rows and its outputs' forms."""
        network, hidden = self.network, self.network.hidden
        found = [self._sizes(k, bits) for k in range(len(network.layers))]
        neurons = [slice(layer.n_neurons) for layer in hidden]
        none, facets = np.zeros(0), np.zeros(len(self.offsets))
        size = [v.size[own] for v, own in zip(found, neurons, strict=False)]
        blur = [self.norm.at_most(v.blur[own], network.n_inputs) for v, own in zip(found, neurons, strict=False)]
        cuts = [v.possible[own] for v, own in zip(found, neurons, strict=False)]
        values = self.values(bits, self.x0[None])
        value, error = self.oriented(bits, values, self.x0[None])
        rows = RegionRows(
            bits, np.where(bits, 1.0, -1.0), value[0], error[0], np.concatenate([none, *size, self._domain_size]),
            np.concatenate([none, *blur, facets]), np.concatenate([none, *cuts, facets + 1]).astype(bool),
            np.zeros(0, dtype=np.int64),
        )  # fmt: skip
        return self._without_constants(rows), self._outputs(bits, values, found[-1])

    def _outputs(self, bits: BoolArray, values: Values, sizes: _Sizes) -> list[Functional]:
        gradients, blur = self._gradients(len(self.network.layers) - 1, np.arange(self.network.n_outputs), bits)
        table = (values.outputs[0], values.output_errors[0], sizes.size, self.norm.at_most(blur, self.network.n_inputs))
        return [Functional(gradients[k], *(float(v[k]) for v in table)) for k in range(self.network.n_outputs)]

    def _sizes(self, layer: int, bits: BoolArray) -> _Sizes:
        """Sizes of the gradients of a layer's units; the pattern's bits of the layers before count."""
        key = (layer, bits[: self.firsts[layer]].tobytes())
        found = self._known.get(key)
        if found is None:
            gradients = self._table(layer, bits)
            length, size = _EUCLIDEAN.sizes(gradients) * _SLACK, self.norm.sizes(gradients)
            blur, possible = np.zeros(len(size)), np.ones(len(size), dtype=bool)
            if layer > 0:
                below = self._sizes(layer - 1, bits)
                scale = (below.blur + self._gammas[layer] * below.length) * self._gate(bits, layer - 1)
                blur = self._magnitudes[layer] @ scale * _SLACK
                possible = blur > 0
                blur = np.where(possible, blur + _TINY, 0.0)
            found = self._known[key] = _Sizes(length, size, blur, possible)
        return found

    def _table(self, layer: int, bits: BoolArray) -> Matrix:
        """Gradients of all units of a layer, (units, n)."""
        if layer == 0:
            return self.network.layers[0].weight
        key = (layer, bits[: self.firsts[layer]].tobytes())
        found = self._tables.get(key)
        if found is None:
            below = self._table(layer - 1, bits)
            found = _product(self.network.layers[layer].weight, below, self._gate(bits, layer - 1))
            while len(self._tables) >= 2 * len(self.network.layers):
                self._tables.popitem(last=False)
            self._tables[key] = found
        return found

    def _without_constants(self, rows: RegionRows) -> RegionRows:
        """Rows whose gradient is zero, exactly, do not cut; those that are zero altogether are `null`."""
        n = self.network.n_neurons
        cuts = rows.cuts.copy()
        for k in np.flatnonzero(cuts[:n] & (rows.size[:n] <= 2 * rows.blur[:n])).tolist():
            cuts[k] = any(self.exact_row(rows, k)[:-1])
        constant = np.flatnonzero(~cuts[:n] & (np.abs(rows.value[:n]) <= rows.error[:n]))
        null = [k for k in constant.tolist() if self.exact_row(rows, k)[-1] == 0]
        return rows._replace(cuts=cuts, null=np.array(null, dtype=np.int64))

    def take(self, rows: RegionRows, chosen: IntArray) -> tuple[FloatArray, FloatArray]:
        """Some rows' gradients, oriented, (k, n), and bounds on the dual norms of their errors, (k,)."""
        found, blur = np.empty((len(chosen), self.network.n_inputs)), np.zeros(len(chosen))
        n = self.network.n_neurons
        domain = chosen >= n
        if domain.any():
            found[domain] = dense_rows(self.normals, chosen[domain] - n)
        for layer in range(len(self.network.hidden)):
            own = np.flatnonzero((chosen >= self.firsts[layer]) & (chosen < self.firsts[layer + 1]))
            if len(own):
                gradients, blur[own] = self._kept_gradients(layer, chosen[own] - self.firsts[layer], rows.bits)
                found[own] = gradients * rows.orientation[chosen[own], None]
        return found, self.norm.at_most(blur, self.network.n_inputs)

    def _kept_gradients(self, layer: int, units: IntArray, bits: BoolArray) -> tuple[FloatArray, FloatArray]:
        """As `_gradients`, which are kept: regions beside each other have most of them in common."""
        if layer == 0:
            return dense_rows(self.network.layers[0].weight, units), np.zeros(len(units))
        prefix = bits[: self.firsts[layer]].tobytes()
        keys = [(layer, unit, prefix) for unit in units.tolist()]
        missing = [j for j, key in enumerate(keys) if key not in self._rows]
        if missing:
            made = self._gradients(layer, units[missing], bits)
            for j, row, blur in zip(missing, *made, strict=True):
                self._rows[keys[j]] = row, float(blur)
        found = [self._rows[key] for key in keys]
        while len(self._rows) * self.network.n_inputs > _KEPT:
            del self._rows[next(iter(self._rows))]
        return np.array([row for row, _ in found]), np.array([blur for _, blur in found])

    def _gradients(self, layer: int, units: IntArray, bits: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Gradients of some units, and bounds on the 2-norms of their errors, by products from above.

        What is lost at a unit on the way reaches the inputs by the unit's true gradient.
        """
        found, blur = dense_rows(self.network.layers[layer].weight, units), np.zeros(len(units))
        for below in range(layer - 1, -1, -1):
            found = found * self._gate(bits, below)
            weight = self.network.layers[below].weight
            if below == 0:
                blur += self._gammas[1] * (np.abs(found) @ self._sizes(0, bits).length)
            else:
                lost = self._gammas[below + 1] * (np.abs(found) @ self._magnitudes[below])
                above = self._sizes(below - 1, bits)
                blur += (lost * self._gate(bits, below - 1)) @ (above.length + above.blur)
            found = np.asarray(found @ weight)
        return found, blur * _SLACK + (_TINY if layer else 0.0)

    def functional(self, rows: RegionRows, k: int) -> Functional:
        """A row as a functional."""
        gradient, blur = self.take(rows, np.array([k]))
        return Functional(gradient[0], float(rows.value[k]), float(rows.error[k]), float(rows.size[k]), float(blur[0]))

    def slack(self, rows: RegionRows, z: FloatArray) -> FloatArray:
        """All rows at x0 + z, (m,), float64 without a bound."""
        parts, h = [np.zeros(0)], z
        for k, layer in enumerate(self.network.hidden):
            u = layer.weight @ h
            parts.append(u[: layer.n_neurons])
            h = u * self._gate(rows.bits, k)
        return np.asarray(rows.value + np.concatenate([np.concatenate(parts) * rows.orientation, self.normals @ z]))

    # ------------------------------------------------------------------ exactly

    @cached_property
    def exact(self) -> ExactForms:
        """The network's forms in integers."""
        return ExactForms(self.network)

    def words(self, bits: BoolArray) -> WordArray:
        """A pattern, packed."""
        return np.asarray(Patterns.pack(bits[None], self.network.widths).words[0])

    def exact_row(self, rows: RegionRows, k: int) -> list[int]:
        """Row k in integers, times a positive number: gradient and constant, (n + 1,)."""
        if k >= self.network.n_neurons:
            facet = np.array([k - self.network.n_neurons])
            own = np.append(dense_rows(self.normals, facet)[0], self.offsets[facet])
            return [int(v) for v in scaled(own, exponent(own))]
        layer = int(np.searchsorted(self.firsts, k, side="right")) - 1
        row = self.exact.row(layer, k - int(self.firsts[layer]), self.words(rows.bits))
        return row if rows.bits[k] else [-v for v in row]

    def exact_at(self, point: FloatArray) -> ExactForms:
        """Forms in integers at a float point: rows of one number, the value there."""
        whole, power = integers(point)
        return self.exact.behind(whole[:, None], power)

    def exact_signs(self, bits: BoolArray, point: FloatArray) -> IntArray:
        """Signs of a region's rows at a float point, exactly, (m,)."""
        at, words = self.exact_at(point), self.words(bits)
        signs: list[int] = []
        for layer, own in enumerate(self.network.hidden):
            signs += [(v > 0) - (v < 0) for v in at.forms(layer, words)[: own.n_neurons, 0]]
        found = np.array(signs, dtype=np.int64) * np.where(bits, 1, -1)
        value, error = self.domain_values(point[None])
        domain = np.sign(value[0]).astype(np.int64)
        for k in np.flatnonzero(np.abs(value[0]) <= error[0]).tolist():
            domain[k] = self._exact_domain_sign(k, point)
        return np.concatenate([found, domain])

    def _exact_domain_sign(self, facet: int, point: FloatArray) -> int:
        normal = dense_rows(self.normals, np.array([facet]))[0]
        used = np.flatnonzero(normal)
        (a, _), (x, power) = integers(normal[used]), integers(point[used])
        scale = exponent(normal[used])
        both = scale + power
        offset = self.offsets[[facet]]
        more = max(0, exponent(offset) - both)
        total = (int(a @ x) << more) + int(scaled(offset, both + more)[0])
        return (total > 0) - (total < 0)


def _product(weight: Matrix, gradients: Matrix, gate: BoolArray) -> Matrix:
    """Weights times gated gradients."""
    if is_sparse(gradients) and is_sparse(weight):
        from scipy.sparse import csr_array, diags_array

        found = csr_array(weight @ (diags_array(gate.astype(float)) @ gradients))
        return found if found.nnz < _CROWDED * np.prod(found.shape) else found.toarray()
    kept = np.flatnonzero(gate)
    if is_sparse(gradients):
        return np.asarray((gradients[kept].T @ weight[:, kept].T).T)
    return np.asarray(weight[:, kept] @ gradients[kept])
