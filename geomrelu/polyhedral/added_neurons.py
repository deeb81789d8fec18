"""Networks with more neurons behind the last layer, whose zero sets are then cut out with all others.

A question about where outputs take a value, or tie, becomes one about a partition: by the same exact signs.  Nothing
is rounded: the outputs pass to the new layers unchanged, since products of weights would be rounded.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.network import Layer, Network

__all__ = ["with_contest", "with_functionals"]


def with_functionals(network: Network, a: FloatArray, b: FloatArray) -> Network:
    """The network with one more layer of neurons, linear functionals a . y - b of its outputs, (M, out) and (M,).

    Examples
    --------
    >>> with_functionals(Network([[[1.0, 2.0]], [[3.0]]]), np.array([[1.0]]), np.array([0.5]))
    Network(2-1-1-1-1, 2 neurons)
    """
    last, m = network.output, len(b)
    return Network.from_layers(
        [*network.hidden, Layer(last.weight, last.bias, 0), Layer(a, -b, m), Layer(np.eye(m), np.zeros(m), 0)]
    )


def with_contest(network: Network) -> Network:
    """The network with layers of one neuron each, y_k - max(y_0, ..., y_(k-1)) for k = 1, 2, ...

    The last active one is the class, 0 if there is none: of largest outputs the first.  Of a single output the one
    neuron is that itself.  The output is the largest one.

    Examples
    --------
    >>> f = with_contest(Network([np.eye(3)]))
    >>> f.widths, f([[1.0, 3.0, 2.0]]), f.pattern_bits([[1.0, 3.0, 2.0], [1.0, 1.0, 1.0]])
    ((0, 1, 1), array([[3.]]), array([[ True, False],
           [False, False]]))
    """
    n, last = network.n_outputs, network.output
    if n == 1:
        return with_functionals(network, np.ones((1, 1)), np.zeros(1))
    layers = [*network.hidden, Layer(last.weight, last.bias, 0)]
    # Units of a round: its neuron, the largest output so far without it, the outputs still to come.
    largest, following = np.eye(n)[:1], np.eye(n)[1:]
    while len(following):
        weight = np.concatenate([following[:1] - largest, largest, following[1:]])
        layers.append(Layer(weight, np.zeros(len(weight)), 1))
        unit = np.eye(len(weight))
        largest, following = unit[:1] + unit[1:2], unit[2:]
    return Network.from_layers([*layers, Layer(largest, np.zeros(1), 0)])
