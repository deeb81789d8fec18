"""Graphs of units: each number that a model computes, as an affine function or a rectification of earlier ones.

A **unit** is one number that depends on one input point, named by a whole number.  Units come in
nodes: the inputs; affine nodes u = W h + b over any earlier units h; rectifications max(u, 0).
Tensors are integer arrays of unit names, so reshaping, slicing or joining them makes nothing.

The **level** of a unit is the layer of the network to come that computes it: inputs have level 0,
an affine node one more than the latest unit it reads, a rectification the level of what it
rectifies (a layer does both).  An affine node that reads affine units of the latest level is
composed with them, and comes one level earlier, where float64 holds the composed weights exactly
(`matrices.exact_product`); elsewhere the steps stay apart.  No weight is ever rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray
from geomrelu.matrices import Matrix, entries, exact_product, exact_sum, is_sparse

__all__ = ["Graph", "Node"]


@dataclass(frozen=True, eq=False)
class Node:
    """Some units ``start .. start + n - 1``.

    Attributes
    ----------
    level : int
        The layer that computes them.
    sources : (columns,) or (n,) int64
        An affine node's: the units that it reads.  A rectification's: the unit that each rectifies.
    weight : (n, columns) Matrix, or None
        None for inputs and rectifications.
    bias : (n,) float64, or None
    fixed : bool
        Whether the node is kept as it is: an affine node that only makes copies of units.
    """

    start: int
    n: int
    level: int
    sources: IntArray
    weight: Matrix | None = None
    bias: FloatArray | None = None
    fixed: bool = False

    @property
    def units(self) -> IntArray:
        """The names of its units."""
        return np.arange(self.start, self.start + self.n)


@dataclass(eq=False)
class Graph:
    """Nodes in order of computation.

    Attributes
    ----------
    relevant : list of (neurons, neurons, bits)
        Of max poolings (`network.Layer.relevant`), by the names of rectified units.
    finals : list of (neurons, winners)
        The neurons that decide the last round of a max pooling, and the units that are its result.
    """

    nodes: list[Node] = field(default_factory=list)
    relevant: list[tuple[IntArray, IntArray, IntArray]] = field(default_factory=list)
    finals: list[tuple[IntArray, IntArray]] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _constants: dict[float, int] = field(default_factory=dict)
    _rectified: dict[int, IntArray] = field(default_factory=dict)
    n_units: int = 0

    # ---- what makes units

    def inputs(self, n: int) -> IntArray:
        """The input's units."""
        return self._add(n, 0, _NONE)

    def constants(self, values: npt.ArrayLike) -> IntArray:
        """Units that hold fixed values, of the shape of `values`."""
        array = np.asarray(values, dtype=float) + 0.0  # no negative zeros
        distinct, place = np.unique(array, return_inverse=True)
        new = np.array([v for v in distinct if float(v) not in self._constants])
        if len(new):
            made = self._add(len(new), 1, _NONE, np.zeros((len(new), 0)), new)
            self._constants.update(zip(new.tolist(), made.tolist(), strict=True))
        units = np.array([self._constants[float(v)] for v in distinct], dtype=np.int64)
        return units[place.reshape(array.shape)]

    def affine(self, sources: IntArray, weight: Matrix, bias: FloatArray) -> IntArray:
        """Units weight h + bias, where h are the units `sources`, in which some may stand twice."""
        sources, weight, bias = self._without_constants(np.asarray(sources, dtype=np.int64), weight, bias)
        sources, weight = self._distinct(sources, weight)
        composed: tuple[IntArray, Matrix, FloatArray] | None = (sources, weight, bias)
        while composed is not None:
            sources, weight, bias = composed
            composed = self._composed(sources, weight, bias)
        level = 1 + max((node.level for node, _ in self._by_node(sources)), default=0)
        return self._add(weight.shape[0], level, sources, weight, bias)

    def combine(self, terms: list[tuple[Any, IntArray]], offset: npt.ArrayLike = 0.0) -> IntArray:
        """Entry by entry, the sum of factors times units, plus an offset; all broadcast against each other."""
        arrays = [np.asarray(part) for pair in terms for part in pair]
        shape = np.broadcast_shapes(*(a.shape for a in arrays), np.shape(offset))
        factors = [np.broadcast_to(np.asarray(f, dtype=float), shape).ravel() for f, _ in terms]
        units = [np.broadcast_to(u, shape).ravel() for _, u in terms]
        bias = np.array(np.broadcast_to(np.asarray(offset, dtype=float), shape).ravel())
        if len(terms) == 1 and (factors[0] == 1).all() and not bias.any():
            return units[0].reshape(shape)
        from scipy.sparse import csr_array

        n, k = len(bias), len(terms)
        # Each term reads a column of its own; `affine` finds those that are the same unit.
        columns = (np.arange(n)[:, None] * k + np.arange(k)).ravel()
        weight = csr_array((np.stack(factors, axis=1).ravel(), columns, np.arange(n + 1) * k), shape=(n, n * k))
        return self.affine(np.stack(units, axis=1).ravel(), weight, bias).reshape(shape)

    def relu(self, units: IntArray) -> IntArray:
        """The rectified units, of the shape of `units`.

        A unit is rectified once, and a rectified one again is itself.
        """
        distinct, place = np.unique(units, return_inverse=True)
        result = np.empty(len(distinct), dtype=np.int64)
        for node, some in self._by_node(distinct):
            local = distinct[some] - node.start
            if node.weight is not None:
                result[some] = self._rectify(node, local)
            elif node.level and node.bias is None:
                result[some] = distinct[some]
            else:
                result[some] = self._rectify_inputs(node, local)
        return result[place.reshape(np.shape(units))]

    def is_rectified(self, units: IntArray) -> BoolArray:
        """Which units are rectifications."""
        owner = self.owners(units)
        return np.array([self._rectifies(node) for node in self.nodes])[owner]

    def before(self, units: IntArray) -> IntArray:
        """The units that rectified ones rectify."""
        result = np.empty_like(units)
        for node, some in self._by_node(units.ravel()):
            result.reshape(-1)[some] = node.sources[units.ravel()[some] - node.start]
        return result

    # ---- parts

    def owners(self, units: IntArray) -> IntArray:
        """The number of each unit's node."""
        return np.searchsorted(np.array(self._starts), units, side="right") - 1

    @staticmethod
    def _rectifies(node: Node) -> bool:
        return node.weight is None and node.level > 0

    def _by_node(self, units: IntArray) -> list[tuple[Node, IntArray]]:
        """Each node that has some of the units, and which of them."""
        owner = self.owners(units)
        return [(self.nodes[k], np.flatnonzero(owner == k)) for k in np.unique(owner)]

    def _add(self, n: int, level: int, sources: IntArray, weight: Matrix | None = None, bias: Any = None,
             fixed: bool = False) -> IntArray:  # fmt: skip
        node = Node(self.n_units, n, level, sources, weight, bias, fixed)
        self.nodes.append(node)
        self._starts.append(self.n_units)
        self.n_units += n
        return node.units

    def _rectify(self, node: Node, local: IntArray) -> IntArray:
        """Rectified units of some of an affine node's units, those that are constant at once."""
        assert node.weight is not None
        assert node.bias is not None
        known = self._rectified.setdefault(node.start, np.full(node.n, -1, dtype=np.int64))
        new = local[known[local] < 0]
        fixed = new[_n_entries(node.weight)[new] == 0]
        if len(fixed):
            known[fixed] = self.constants(np.maximum(node.bias[fixed], 0.0))
            new = local[known[local] < 0]
        if len(new):
            known[new] = self._add(len(new), node.level, node.start + new)
        return known[local]

    def _rectify_inputs(self, node: Node, local: IntArray) -> IntArray:
        """Rectified inputs: a layer rectifies affine units only, so copies of them."""
        known = self._rectified.setdefault(node.start, np.full(node.n, -1, dtype=np.int64))
        new = local[known[local] < 0]
        if len(new):
            self.affine(node.start + new, _eye(len(new)), np.zeros(len(new)))
            known[new] = self._rectify(self.nodes[-1], np.arange(len(new)))
        return known[local]

    def _distinct(self, sources: IntArray, weight: Matrix) -> tuple[IntArray, Matrix]:
        """Each source once; copies of units first where adding their columns would round."""
        units, first, place = np.unique(sources, return_index=True, return_inverse=True)
        if len(units) == len(sources):
            return sources, weight
        order = np.argsort(first)
        number = np.empty(len(units), dtype=np.int64)
        number[order] = np.arange(len(units))
        added = exact_sum(weight, number[place], len(units))
        if added is not None:
            return units[order], added
        repeated = np.ones(len(sources), dtype=bool)
        repeated[first] = False
        sources = sources.copy()
        copied = sources[repeated]
        level = 1 + max(node.level for node, _ in self._by_node(copied))
        kinds, at = np.unique(copied, return_inverse=True)
        n = len(copied)
        from scipy.sparse import csr_array

        one_each = csr_array((np.ones(n), at, np.arange(n + 1)), shape=(n, len(kinds)))
        sources[repeated] = self._add(n, level, kinds, one_each, np.zeros(n), fixed=True)
        return sources, weight

    def _without_constants(
        self, sources: IntArray, weight: Matrix, bias: FloatArray
    ) -> tuple[IntArray, Matrix, FloatArray]:
        """Fixed units taken into the bias, if nothing is rounded."""
        constant, value = np.zeros(len(sources), dtype=bool), np.zeros(len(sources))
        for node, some in self._by_node(sources):
            if node.bias is not None and len(node.sources) == 0:
                constant[some], value[some] = True, node.bias[sources[some] - node.start]
        if not constant.any():
            return sources, weight, bias
        total = _exact_bias(weight[:, constant], value[constant], bias)
        if total is None:
            return sources, weight, bias
        return sources[~constant], weight[:, ~constant], total

    def _composed(
        self, sources: IntArray, weight: Matrix, bias: FloatArray
    ) -> tuple[IntArray, Matrix, FloatArray] | None:
        """The same units from earlier ones: the affine units of the latest level replaced by what they are."""
        groups = self._by_node(sources)
        latest = max((node.level for node, _ in groups), default=0)
        late = [(node, some) for node, some in groups if node.level == latest]
        if not late or any(node.weight is None or node.fixed for node, _ in late):
            return None
        rows, base, offsets = self._rows(sources, late)
        total = _exact_bias(weight, offsets, bias)
        product = None if total is None else exact_product(weight, rows)
        # Composed weights may be more than the steps' own: then the steps are cheaper.
        if product is None or total is None or len(entries(product)) > len(entries(weight)) + len(entries(rows)):
            return None
        return base, product, total

    def _rows(self, sources: IntArray, late: list[tuple[Node, IntArray]]) -> tuple[Matrix, IntArray, FloatArray]:
        """The sources over earlier units: a matrix (sources, units), those units and offsets (sources,)."""
        offsets = np.zeros(len(sources))
        for node, some in late:
            assert node.bias is not None
            offsets[some] = node.bias[sources[some] - node.start]
        early = np.ones(len(sources), dtype=bool)
        early[np.concatenate([some for _, some in late])] = False
        if len(late) == 1 and not early.any():
            node, _ = late[0]
            assert node.weight is not None
            return node.weight[sources - node.start], node.sources, offsets
        from scipy.sparse import csr_array, vstack

        base = np.unique(np.concatenate([sources[early], *(node.sources for node, _ in late)]))
        blocks, order = [], []
        for node, some in late:
            assert node.weight is not None
            block = csr_array(node.weight[sources[some] - node.start])
            at = np.searchsorted(base, node.sources)
            blocks.append(csr_array((block.data, at[block.indices], block.indptr), shape=(len(some), len(base))))
            order.append(some)
        own = np.flatnonzero(early)
        at = np.searchsorted(base, sources[own])
        blocks.append(csr_array((np.ones(len(own)), at, np.arange(len(own) + 1)), shape=(len(own), len(base))))
        rows = csr_array(vstack(blocks))[np.argsort(np.concatenate([*order, own]))]
        return rows, base, offsets


_NONE: IntArray = np.zeros(0, dtype=np.int64)


def _eye(n: int) -> Matrix:
    from scipy.sparse import eye_array

    return eye_array(n, format="csr")


def _n_entries(matrix: Matrix) -> IntArray:
    """Stored entries of each row."""
    return np.diff(matrix.indptr) if is_sparse(matrix) else np.full(matrix.shape[0], matrix.shape[1])


def _exact_bias(weight: Matrix, offsets: FloatArray, bias: FloatArray) -> FloatArray | None:
    """``weight @ offsets + bias``, or None if that may be rounded."""
    used = np.flatnonzero(offsets)
    if not len(used):
        return bias
    from scipy.sparse import csr_array, hstack

    left = hstack([csr_array(weight[:, used]), csr_array(bias[:, None])])
    right = np.concatenate([offsets[used], [1.0]])[:, None]
    total = exact_product(csr_array(left), right)
    return None if total is None else np.asarray(total)[:, 0]
