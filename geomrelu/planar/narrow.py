"""Very wide layers as several narrower ones, so that memory stays bounded.

n neurons that all cross one face cut it into up to n (n + 1) / 2 + 1 regions at once, too many to
hold where n is tens of thousands, as in a convolution.  Cut by a few hundred first, the face
becomes many that go on in blocks (`blocks`), and each of these is crossed by few of the rest.

So a layer u = W h + b of many neurons becomes two, u_1 and u_2; the first passes h on, the second
what was rectified in the first:

    (h)  ->  (u_1 | h)  ->  (u_2 | relu u_1, rest)

Nothing is computed anew, so the function and its activation regions are the same.  Where affine
steps before the layer start from a shorter vector (a plane's two coordinates, say), that is
passed instead of h, and the steps are taken again for the second part.  The first has a multiple of 64
neurons, so packed patterns are the same words as those of the wide layer.  Two parts, not more:
the norms that bound errors count what is passed on with the rest.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.matrices import Matrix, identity, is_sparse
from geomrelu.network import Layer, Network

__all__ = ["WIDE", "narrowed"]

# Layers of more neurons are cut in two parts, the first of half as many as this ...
WIDE = 1024
# ... if they have this many times the neurons before them: else faces are small by then.
_TIMES = 8
# Numbers in a dense matrix at most.
_DENSE = 1 << 24


def narrowed(network: Network, wide: int) -> tuple[Network, IntArray]:
    """The network with layers of over `wide` neurons cut in two parts, and the last layer of each hidden layer's parts.

    Layers that take part in a max pooling stay whole: their neurons refer to each other.

    Parameters
    ----------
    network : Network
    wide : int
        A multiple of 128.

    Returns
    -------
    Network
        The same function, with the same neurons in the same order.
    (hidden layers,) int64
        Numbers of hidden layers of that network.

    Examples
    --------
    >>> f = Network([np.ones((300, 2)), np.ones((1, 300))])
    >>> narrow, last = narrowed(f, 128)
    >>> narrow.widths, last.tolist()
    ((64, 236), [1])
    """
    layers: list[Layer] = []
    last: list[int] = []
    hidden, start = network.hidden, 0
    order: IntArray | None = None
    for k, layer in enumerate(hidden):
        if layer.n_neurons == 0:
            # An affine step belongs to the layer that it leads to.
            last.append(-1)
            continue
        steps = [_reordered(hidden[start], order), *hidden[start + 1 : k + 1]]
        wide_here = layer.n_neurons > max(wide, _TIMES * sum(network.widths[:k]))
        if wide_here and not (_pools(layer) or (k > 0 and _pools(hidden[k - 1]))):
            own, order = _parts(steps, wide)
        else:
            own, order = steps, None
        # Steps before a layer that stays whole keep their places.
        last[start:] = range(len(layers), len(layers) + k - start)
        layers += own
        last.append(len(layers) - 1)
        start = k + 1
    tail = [_reordered(network.layers[start], order), *network.layers[start + 1 :]]
    last[start:] = range(len(layers), len(layers) + len(hidden) - start)
    if len(layers) + len(tail) == len(network.layers):
        return network, np.arange(len(hidden), dtype=np.int64)
    return Network.from_layers([*layers, *tail]), np.array(last, dtype=np.int64)


def _pools(layer: Layer) -> bool:
    return layer.relevant is not None and bool((layer.relevant[:, 0] >= 0).any())


def _reordered(layer: Layer, order: IntArray | None) -> Layer:
    """The layer behind one whose units stand in another order."""
    return layer if order is None else Layer(layer.weight[:, order], layer.bias, layer.n_neurons, layer.relevant)


def _parts(steps: list[Layer], wide: int) -> tuple[list[Layer], IntArray]:
    """Layers for some affine steps and the wide layer behind them, and the order of the last one's units.

    Between parts the units are what was rectified before, r, and the source, s; behind repeated steps
    x, what they make of the source, comes first.
    """
    *affine, layer = steps
    n = layer.n_neurons
    bounds = [0, wide // 2, n]
    repeated = affine if steps[0].n_inputs < layer.n_inputs else []
    layers = [] if repeated else list(affine)
    source = identity(steps[0].n_inputs if repeated else layer.n_inputs)
    rest = layer.weight[n:], layer.bias[n:]
    for first, stop in pairwise(bounds):
        # Where x, r and s start among the units, and how many there are.
        x, r, s, width = first, 0, first, first + _rows(source)
        for step in repeated:
            layers.append(
                _layer([(step.weight, x, step.bias), (identity(first), r, None), (source, s, None)], width, 0)
            )
            x, r, s, width = 0, step.n_units, step.n_units + first, step.n_units + first + _rows(source)
        left = (source, s, None) if stop < n else (rest[0], x, rest[1])
        own = layer.weight[first:stop], x, layer.bias[first:stop]
        layers.append(_layer([own, (identity(first), r, None), left], width, stop - first))
    newest_first = [np.arange(a, b) for a, b in pairwise(bounds)][::-1]
    return layers, np.concatenate([*newest_first, np.arange(n, layer.n_units)])


def _rows(matrix: Matrix) -> int:
    """Number of rows."""
    return int(matrix.shape[0])


def _layer(blocks: list[tuple[Matrix, int, FloatArray | None]], n_columns: int, n_neurons: int) -> Layer:
    """A layer of blocks of rows, each a matrix that acts on the inputs from some column on, and its biases."""
    from scipy.sparse import csr_array, vstack

    rows, biases = [], []
    for matrix, column, bias in blocks:
        if _rows(matrix):
            own = csr_array(matrix)
            rows.append(csr_array((own.data, own.indices + column, own.indptr), shape=(own.shape[0], n_columns)))
            biases.append(np.zeros(_rows(matrix)) if bias is None else bias)
    weight = csr_array(vstack(rows, format="csr"))
    dense = not is_sparse(blocks[0][0]) and weight.shape[0] * n_columns <= _DENSE
    return Layer(weight.toarray() if dense else weight, np.concatenate(biases), n_neurons)
