"""`Network`: the canonical piecewise-linear program that the engine partitions.

A network is a chain of affine layers.  In layer l the first ``n_neurons`` units are
rectified, u -> max(u, 0), and the others pass unchanged, so that networks of different
depth can be joined, and branches carried along, without inventing neurons.  The last layer
is the output map: it has no neurons.  A layer without neurons is an affine step: products of
weights would be rounded, so steps in a row stay apart.

Weights keep the exact values they were given in (float16, float32 and float64 are all
exactly representable in float64, in which everything is computed).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, ReadOnly, float_array, frozen, real_array
from geomrelu.errors import InputDimensionError, InputError, ShapeError
from geomrelu.matrices import Matrix, block_diagonal, entries, identity, real_matrix, stacked
from geomrelu.patterns import Patterns

__all__ = ["Layer", "Network", "joint_network"]

# Numbers of a layer that are at work at a time.
_BLOCK = 1 << 18
_LAYOUT = "weights are (units, inputs), as in torch.nn.Linear: transpose those stored the other way"


@dataclass(frozen=True, eq=False)
class Layer(ReadOnly):
    """One affine layer, u = weight h + bias, whose first `n_neurons` units are rectified.

    Attributes
    ----------
    weight : (units, inputs) float64, or a scipy.sparse.csr_array of that shape
    bias : (units,) float64
    n_neurons : int
        Units ``0 .. n_neurons - 1`` are rectified, the rest pass unchanged.
    relevant : (n_neurons, 2) int64, or None
        Max pooling is a tournament of differences: a neuron of an early round matters only where
        its side wins the next.  ``relevant[j] = k, bit``: neuron j's sign matters only where
        neuron k of the next layer has that bit (1 where positive); k = -1: everywhere.  None
        stands for everywhere.
    """

    weight: Matrix
    bias: FloatArray
    n_neurons: int
    relevant: IntArray | None = None

    @property
    def n_units(self) -> int:
        """Number of units, neurons and passing ones."""
        return int(self.weight.shape[0])

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[1])


class Network(ReadOnly):
    """A ReLU network with exactly the given weights.

    Parameters
    ----------
    weights : sequence of (n_l, n_{l-1}) arrays
        One matrix per affine layer, as in ``torch.nn.Linear.weight``.  Copied; torch tensors
        will do, whether they require gradients or not, and scipy sparse arrays, which stay sparse.
    biases : sequence of (n_l,) arrays, or None
        None stands for zero biases.

    ReLU stands between consecutive layers; the last layer is the output map.  A network
    cannot be changed once it is made.

    Attributes
    ----------
    layers : tuple of Layer
    input_shape : tuple of int
        Shape of one input in the model that the network was made from, e.g. (1, 28, 28).

    Raises
    ------
    InputError
        If the weights or biases are not a list with one array per layer.
    ShapeError
        If shapes do not fit each other, or a layer is empty.
    WeightError
        If an entry is NaN or infinite.

    Examples
    --------
    >>> f = Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
    >>> f.widths, f.n_inputs, f.n_outputs
    ((2,), 2, 1)
    >>> f([[0.0, 0.0], [1.0, -1.0]])
    array([[1.],
           [1.]])
    """

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]

    def __init__(self, weights: Sequence[npt.ArrayLike], biases: Sequence[npt.ArrayLike] | None = None) -> None:
        matrices = _sequence(weights, "weights", "one (units, inputs) matrix per layer")
        vectors = [None] * len(matrices) if biases is None else _sequence(biases, "biases", "one vector per layer")
        if len(matrices) != len(vectors):
            raise ShapeError(
                f"network: got {len(matrices)} weight matrices and {len(vectors)} biases; "
                "expected as many: give None or zeros for a layer without bias"
            )
        last = len(matrices) - 1
        self._set_layers(
            [
                _layer(w, b, k, n_neurons=None if k < last else 0)
                for k, (w, b) in enumerate(zip(matrices, vectors, strict=True))
            ]
        )

    @classmethod
    def from_layers(cls, layers: Sequence[Layer], input_shape: Sequence[int] | None = None) -> Network:
        """A network from ready `Layer` objects; the last one must have no neurons.

        `input_shape` is the shape of one input in the model that it was made from, (n_inputs,) if
        it is None: the network itself takes inputs flattened in C order.
        """
        given = _sequence(layers, "layers", "Layer objects")
        for k, layer in enumerate(given):
            if not isinstance(layer, Layer):
                raise InputError(f"network: layer {k} is of type {type(layer).__name__}; expected gr.Layer objects")
        network = cls.__new__(cls)
        network._set_layers([_layer(v.weight, v.bias, k, v.n_neurons, v.relevant) for k, v in enumerate(given)])
        if input_shape is not None:
            shape = tuple(int(n) for n in input_shape)
            if math.prod(shape) != network.n_inputs:
                stack = math.prod(shape[1:]) == network.n_inputs
                advice = f", one input, not a stack of {shape[0]} (for many segments see gr.Segments)" if stack else ""
                raise InputDimensionError(
                    f"network: got inputs of shape {shape}, {math.prod(shape)} numbers, but it takes "
                    f"{network.n_inputs}; expected as many{advice}"
                )
            vars(network)["input_shape"] = shape
        return network

    def _set_layers(self, layers: list[Layer]) -> None:
        if not layers:
            raise ShapeError("network: got no layers; expected at least the output layer (a weight matrix and a bias)")
        for k, (before, after) in enumerate(pairwise(layers)):
            if after.n_inputs != before.n_units:
                raise ShapeError(
                    f"network: layer {k + 1} takes {after.n_inputs} inputs but layer {k} has {before.n_units} units; "
                    f"expected weight {k + 1} of shape (*, {before.n_units}); {_LAYOUT}"
                )
            if before.relevant is not None and before.relevant[:, 0].max(initial=-1) >= after.n_neurons:
                raise ShapeError(f"layer {k}: relevant names a neuron that layer {k + 1}, of {after.n_neurons}, lacks")
        if layers[-1].n_neurons != 0:
            raise ShapeError("network: the last layer must have no neurons; append an identity output layer")
        vars(self).update(layers=tuple(layers), input_shape=(layers[0].n_inputs,))

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """The layers before the output layer."""
        return self.layers[:-1]

    @property
    def output(self) -> Layer:
        """The output layer."""
        return self.layers[-1]

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.layers[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self.layers[-1].n_units

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons in each hidden layer."""
        return tuple(layer.n_neurons for layer in self.hidden)

    @property
    def n_neurons(self) -> int:
        """Number of neurons in all hidden layers."""
        return sum(self.widths)

    @property
    def n_parameters(self) -> int:
        """Number of stored weights and biases."""
        return sum(len(entries(layer.weight)) + layer.bias.size for layer in self.layers)

    def _points(self, points: npt.ArrayLike) -> FloatArray:
        x = float_array(points, "points")
        if x.ndim != 2 or x.shape[1] != self.n_inputs:
            raise InputDimensionError(f"points: got shape {x.shape}, expected (N, {self.n_inputs})")
        return x

    def preactivations(self, points: npt.ArrayLike) -> Iterator[FloatArray]:
        """Yield each hidden layer's units before rectification, (N, units), in float64."""
        h = self._points(points)
        for layer in self.hidden:
            u = h @ layer.weight.T + layer.bias
            yield u
            h = u.copy()
            np.maximum(h[:, : layer.n_neurons], 0.0, out=h[:, : layer.n_neurons])

    def clear_irrelevant(self, bits: list[BoolArray], first: int = 0) -> list[BoolArray]:
        """Clear, in place, the bits of neurons that do not matter (`Layer.relevant`).

        Parameters
        ----------
        bits : list of (N, n_neurons) bool
            Of hidden layers, from number `first` on.

        Returns
        -------
        list of (N, n_neurons) bool
            Which of them matter.
        """
        matters = [np.ones(own.shape, dtype=bool) for own in bits]
        for k in range(len(bits) - 2, -1, -1):
            relevant = self.layers[first + k].relevant
            if relevant is not None:
                some = np.flatnonzero(relevant[:, 0] >= 0)
                after, wanted = relevant[some].T
                matters[k][:, some] = matters[k + 1][:, after] & (bits[k + 1][:, after] == (wanted == 1))
                bits[k] &= matters[k]
        return matters

    @property
    def has_pools(self) -> bool:
        """Whether there are neurons that matter only in a part of the regions (`Layer.relevant`)."""
        return any(layer.relevant is not None for layer in self.hidden)

    def packed(self, bits: BoolArray) -> Patterns:
        """Bits (N, n_neurons) as patterns, without those of neurons that do not matter."""
        if self.has_pools:
            layers = np.split(bits.copy(), np.cumsum(self.widths)[:-1], axis=1)
            self.clear_irrelevant(layers)
            bits = np.concatenate(layers, axis=1)
        return Patterns.pack(bits, self.widths)

    def pattern_bits(self, points: npt.ArrayLike) -> BoolArray:
        """Activation pattern at each point as a float64 forward pass sees it, bool (N, n_neurons)."""
        x = self._points(points)
        columns = [u[:, : layer.n_neurons] > 0 for u, layer in zip(self.preactivations(x), self.hidden, strict=True)]
        self.clear_irrelevant(columns)
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(x), 0), dtype=bool)

    def patterns(self, points: npt.ArrayLike) -> Patterns:
        """`pattern_bits`, packed."""
        return Patterns.pack(self.pattern_bits(points), self.widths)

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Outputs at points (N, n_inputs), float64 forward pass, shape (N, n_outputs)."""
        x = self._points(points)
        values = np.empty((len(x), self.n_outputs))
        # Blocks of points whose rows stay in the cache.
        size = max(1, _BLOCK // max(layer.n_units for layer in self.layers))
        for start in range(0, len(x), size):
            h = x[start : start + size]
            for layer in self.hidden:
                h = h @ layer.weight.T + layer.bias
                np.maximum(h[:, : layer.n_neurons], 0.0, out=h[:, : layer.n_neurons])
            values[start : start + size] = h @ self.output.weight.T + self.output.bias
        return values

    def __repr__(self) -> str:
        shape = "-".join(str(n) for n in (self.n_inputs, *(layer.n_units for layer in self.layers)))
        return f"Network({shape}, {self.n_neurons} neurons)"


def _sequence(values: Any, what: str, expected: str) -> list[Any]:
    try:
        return list(values)
    except TypeError as error:
        raise InputError(
            f"network: got {what} of type {type(values).__name__}; expected a list of {expected}"
        ) from error


def _layer(weight: Any, bias: Any, index: int, n_neurons: int | None, relevant: IntArray | None = None) -> Layer:
    w = real_matrix(weight, f"weight {index}")
    b = real_array(np.zeros(w.shape[:1]) if bias is None else bias, f"bias {index}")
    if w.ndim != 2 or 0 in w.shape:
        raise ShapeError(f"weight {index}: got shape {w.shape}, expected a non-empty (units, inputs) matrix; {_LAYOUT}")
    if b.shape != (w.shape[0],):
        raise ShapeError(
            f"bias {index}: got shape {b.shape}, expected ({w.shape[0]},) to fit weight {index} {w.shape}; {_LAYOUT}"
        )
    if not isinstance(n_neurons, int | np.integer | None):
        raise InputError(f"layer {index}: got n_neurons={n_neurons!r}, expected a whole number")
    n = w.shape[0] if n_neurons is None else int(n_neurons)
    if not 0 <= n <= w.shape[0]:
        raise ShapeError(f"layer {index}: got n_neurons={n}, expected between 0 and {w.shape[0]}")
    if relevant is not None:
        relevant = frozen(np.array(relevant, dtype=np.int64))
        if relevant.shape != (n, 2) or not np.isin(relevant[:, 1], (0, 1)).all():
            raise ShapeError(f"layer {index}: got relevant of shape {relevant.shape}, expected ({n}, 2): neuron, bit")
    return Layer(w, frozen(b), n, relevant)


def joint_network(a: Network, b: Network) -> Network:
    """One network with both networks' outputs, a's first: (n_outputs_a + n_outputs_b).

    Its partition is the common refinement of the two partitions.  Of two networks of
    different depth the shallower one's outputs are carried along by passing units, which
    add no neurons.  Exact: no weight is changed or rounded.

    Raises
    ------
    InputDimensionError
        If the networks have different numbers of inputs.
    """
    for network in (a, b):
        if not isinstance(network, Network):
            raise InputError(f"joint: got {type(network).__name__}, expected two networks")
    if a.n_inputs != b.n_inputs:
        raise InputDimensionError(
            f"joint: the networks take {a.n_inputs} and {b.n_inputs} inputs; expected the same number"
        )
    depth = max(len(a.layers), len(b.layers))
    layers: list[Layer] = []
    order = None
    left, right = _padded(a, depth), _padded(b, depth)
    for k, (p, q) in enumerate(zip(left, right, strict=True)):
        shift = left[k + 1].n_neurons if k + 1 < depth else 0
        layer, order = _side_by_side(p, q, order, shift)
        layers.append(layer)
    return Network.from_layers(layers, a.input_shape)


def _padded(network: Network, depth: int) -> list[Layer]:
    passing = Layer(identity(network.n_outputs), np.zeros(network.n_outputs), 0)
    return [*network.layers, *[passing] * (depth - len(network.layers))]


def _side_by_side(p: Layer, q: Layer, order: IntArray | None, shift: int) -> tuple[Layer, IntArray]:
    """Both layers as one, and the order of its units in the stack (p's units, then q's).

    Neurons must come first, so units are reordered; `order` is the order that the layer
    before was given, None for the first layer, whose inputs the two share.  `shift` is the
    number of p's neurons in the next layer.
    """
    rows_p, rows_q = p.n_units, q.n_units
    if order is None:
        weight = stacked(p.weight, q.weight)
    else:
        weight = block_diagonal(p.weight, q.weight)[:, order]
    own_order = np.concatenate(
        [
            np.arange(p.n_neurons),
            rows_p + np.arange(q.n_neurons),
            np.arange(p.n_neurons, rows_p),
            rows_p + np.arange(q.n_neurons, rows_q),
        ]
    )
    bias = np.concatenate([p.bias, q.bias])
    relevant = _both_relevant(p, q, shift)
    return Layer(weight[own_order], bias[own_order], p.n_neurons + q.n_neurons, relevant), own_order


def _both_relevant(p: Layer, q: Layer, shift: int) -> IntArray | None:
    if p.relevant is None and q.relevant is None:
        return None
    always = np.array([[-1, 0]])
    own, other = (
        np.repeat(always, v.n_neurons, axis=0) if v.relevant is None else v.relevant.copy() for v in (p, q)
    )  # fmt: skip
    other[other[:, 0] >= 0, 0] += shift
    return np.concatenate([own, other])
