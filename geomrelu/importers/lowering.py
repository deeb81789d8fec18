"""From a graph of units to a `Network`: one layer a level, units that are needed later passed on.

Units that no output depends on do not exist in the network, neurons among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.importers.graph import Graph, Node
from geomrelu.matrices import Matrix, compact, is_sparse
from geomrelu.network import Layer, Network

__all__ = ["network_of_units"]


def network_of_units(graph: Graph, outputs: IntArray, input_shape: tuple[int, ...] | None = None) -> Network:
    """The network that computes some units of a graph from its inputs.

    Parameters
    ----------
    outputs : (n_outputs,) int64
        Units, in order; one may stand twice.
    input_shape : tuple of int, or None
        Shape of one input, whose entries in C order are the graph's inputs.
    """
    plan = _plan(graph, outputs)
    layers: list[Layer] = []
    state = graph.nodes[0].units
    scratch = np.full(graph.n_units, -1, dtype=np.int64)
    for level in range(1, plan.depth + 1):
        last = level == plan.depth
        neurons = plan.neurons(level)
        rest = outputs if last else plan.passing(level)
        if not len(neurons) and not len(rest):
            rest = state[:1]  # what follows is constant; but a layer has units
        scratch[state] = np.arange(len(state))
        weight, bias = _rows(graph, plan.rectified[neurons], rest, level, scratch, state)
        scratch[state] = -1
        layers.append(Layer(weight, bias, len(neurons)))
        state = np.concatenate([neurons, rest])
    return Network.from_layers(_with_relevance(graph, plan, layers), input_shape)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which units exist, and how long.

    Attributes
    ----------
    level, last_use : (units,) int64
        The layer that computes a unit, and the last one that reads it; -1 where none does.
    n_readers : (units,) int64
        How many units and outputs read it.
    rectified : (units,) int64
        Of a rectification the unit that it rectifies, else -1.
    """

    level: IntArray
    last_use: IntArray
    n_readers: IntArray
    rectified: IntArray
    depth: int

    def neurons(self, level: int) -> IntArray:
        """The rectified units of a layer."""
        return np.flatnonzero((self.level == level) & (self.rectified >= 0) & (self.last_use > level))

    def passing(self, level: int) -> IntArray:
        """The other units that later layers read."""
        own_neuron = (self.level == level) & (self.rectified >= 0)
        return np.flatnonzero((self.level <= level) & (self.last_use > level) & ~own_neuron)


def _plan(graph: Graph, outputs: IntArray) -> _Plan:
    level = np.repeat([node.level for node in graph.nodes], [node.n for node in graph.nodes])
    rectified = np.full(graph.n_units, -1, dtype=np.int64)
    for node in graph.nodes:
        if node.weight is None and node.level:
            rectified[node.units] = node.sources
    latest = max(1, int(level[outputs].max()))
    # The output layer has no neurons.
    depth = latest + int((rectified[outputs][level[outputs] == latest] >= 0).any())
    last_use = np.full(graph.n_units, -1, dtype=np.int64)
    last_use[outputs] = depth
    n_readers = np.bincount(outputs, minlength=graph.n_units)
    computed = np.zeros(graph.n_units, dtype=bool)  # affine units that are read or rectified
    for node in reversed(graph.nodes):
        if node.weight is None:
            if node.level:
                computed[node.sources[last_use[node.units] >= 0]] = True
            continue
        rows = np.flatnonzero(computed[node.units] | (last_use[node.units] >= 0))
        if len(rows):
            lengths = _column_lengths(node.weight, rows)
            n_readers[node.sources] += lengths
            read = node.sources[lengths > 0]
            last_use[read] = np.maximum(last_use[read], node.level)
    return _Plan(level, last_use, n_readers, rectified, depth)


def _column_lengths(weight: Matrix, rows: IntArray) -> IntArray:
    """How many of some rows have an entry in each column; a dense matrix has all."""
    n_rows, n_columns = weight.shape
    if not is_sparse(weight):
        return np.full(n_columns, len(rows), dtype=np.int64)
    some = weight if len(rows) == n_rows else weight[rows]
    return np.bincount(some.indices, minlength=n_columns)


def _rows(
    graph: Graph, first: IntArray, rest: IntArray, level: int, place: IntArray, state: IntArray
) -> tuple[Matrix, FloatArray]:
    """Weights and biases that compute units (affine ones of this level, any of earlier ones) from a state."""
    units = np.concatenate([first, rest])
    owners = graph.owners(units)
    kinds = np.unique(owners)
    if len(kinds) == 1:
        # The common case: a layer of one node, which reads the state as it is.
        node = graph.nodes[kinds[0]]
        if node.level == level and not is_sparse(node.weight) and np.array_equal(node.sources, state):
            assert node.weight is not None
            assert node.bias is not None
            local = units - node.start
            return node.weight[local], node.bias[local]
    from scipy.sparse import csr_array, vstack

    blocks, order, bias = [], [], np.zeros(len(units))
    for kind in kinds:
        node, some = graph.nodes[kind], np.flatnonzero(owners == kind)
        if node.level == level:
            blocks.append(_placed(node, units[some] - node.start, place, len(state)))
            assert node.bias is not None
            bias[some] = node.bias[units[some] - node.start]
        else:
            n = len(some)
            blocks.append(csr_array((np.ones(n), place[units[some]], np.arange(n + 1)), shape=(n, len(state))))
        order.append(some)
    stacked = csr_array(vstack(blocks)) if len(blocks) > 1 else blocks[0]
    stacked = stacked[np.argsort(np.concatenate(order))] if len(blocks) > 1 else stacked
    stacked.sort_indices()
    return compact(stacked), bias


def _placed(node: Node, local: IntArray, place: IntArray, n_state: int) -> Matrix:
    """Some rows of an affine node over the places of its sources in the state."""
    from scipy.sparse import csr_array

    assert node.weight is not None
    whole = len(local) == node.n and (np.diff(local) == 1).all()
    block = csr_array(node.weight if whole else node.weight[local])
    return csr_array((block.data, place[node.sources][block.indices], block.indptr), shape=(len(local), n_state))


def _with_relevance(graph: Graph, plan: _Plan, layers: list[Layer]) -> list[Layer]:
    """The layers, with what is known of where their neurons matter (`Layer.relevant`)."""
    if not graph.relevant and not graph.finals:
        return layers
    number = np.full(graph.n_units, -1, dtype=np.int64)
    for level in range(1, plan.depth):
        neurons = plan.neurons(level)
        number[neurons] = np.arange(len(neurons))
    after, bit = np.full(graph.n_units, -1, dtype=np.int64), np.zeros(graph.n_units, dtype=np.int64)
    for own, other, side in [*graph.relevant, *_rectified_winners(graph, plan)]:
        known = (number[own] >= 0) & (number[other] >= 0) & (plan.level[other] == plan.level[own] + 1)
        after[own[known]], bit[own[known]] = number[other[known]], side[known]
    result = []
    for level, layer in enumerate(layers, start=1):
        neurons = plan.neurons(level) if layer.n_neurons else np.zeros(0, dtype=np.int64)
        relevant = np.stack([after[neurons], bit[neurons]], axis=1)
        known = (relevant[:, 0] >= 0).any()
        result.append(Layer(layer.weight, layer.bias, layer.n_neurons, relevant if known else None))
    return result


def _rectified_winners(graph: Graph, plan: _Plan) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Poolings whose result is rectified and not used otherwise: who wins matters where it is positive."""
    rectifying = np.full(graph.n_units, -1, dtype=np.int64)
    units = np.flatnonzero((plan.rectified >= 0) & (plan.last_use >= 0))
    rectifying[plan.rectified[units]] = units
    found = []
    for neurons, winners in graph.finals:
        only = (rectifying[winners] >= 0) & (plan.last_use[winners] < 0) & (plan.n_readers[neurons] == 1)
        found.append((neurons[only], rectifying[winners[only]], np.ones(int(only.sum()), dtype=np.int64)))
    return found
