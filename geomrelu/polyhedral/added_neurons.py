"""Networks with more neurons behind the last layer, whose zero sets are then cut out with all others.

A question about where outputs take a value, or tie, becomes one about a partition: by the same exact signs.  Nothing
is rounded: the outputs pass to the new layers unchanged, since products of weights would be rounded.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.network import Layer, Network

__all__ = ["with_functionals"]


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
