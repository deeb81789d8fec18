"""Cuts a domain or a block of it by a network's neurons, one after the other, and decides signs.

Signs in doubt are first tried with a radius made afresh (`rows`), then decided in rational numbers (`judge`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.errors import InvariantError, RangeError
from geomrelu.network import Network
from geomrelu.planar.bounds import bounded_errors, layer_bounds
from geomrelu.planar.cutter import add_report as add_numbers
from geomrelu.planar.records import LayerBounds
from geomrelu.polyhedral import cutting
from geomrelu.polyhedral.blocks import Block, block_sides, dividing_form
from geomrelu.polyhedral.judge import Judge
from geomrelu.polyhedral.rows import ExactRows, Facets, Rows
from geomrelu.polyhedral.skeleton import BLUR, ENTRY, RADIUS, RENEWED, ROW, SIZE, WORST, Skeleton, Words, part_of

__all__ = ["Cutter", "Task", "add_report", "new_report"]

# Radii above this share of the domain's extent are made afresh before they decide anything.
_COARSE = 2.0**-12
# Vertices whose 2-cells are fetched from memory together.
_AHEAD = 16
_SEEDS = 64
# Covers the rounding of bounds themselves.
_SLACK = 1.001


class Task(NamedTuple):
    """What is to be cut.

    Attributes
    ----------
    network : Network
    facets : Facets
        The domain's.
    low, high : (d,) float64
        The box around the domain.
    caution : float
        Factor on the bounds that decide signs.
    """

    network: Network
    facets: Facets
    low: FloatArray
    high: FloatArray
    caution: float = 1.0


class Cutter:
    """Cuts one domain, or blocks of it, by one network.

    Parameters
    ----------
    task : Task
    watch : callable
        Called with the number of neurons that have cut after each that did; may raise.

    Attributes
    ----------
    layer, neuron, sides, share
        As of a `Block`: of what is held.
    """

    def __init__(self, task: Task, watch: Callable[[int], None] = lambda _: None) -> None:
        network, facets, low, high, caution = task
        d = facets.normals.shape[1]
        self.task, self.network, self.facets, self.caution, self.watch = task, network, facets, caution * _SLACK, watch
        self.reach = float(max(np.abs(low).max(), np.abs(high).max()))
        self.sizes = high - low
        self.words = Words(facets.n_box, len(facets.normals) - facets.n_box, network.widths)
        self.skeleton = Skeleton(d, self.words)
        self.rows = Rows(network, facets, self.words)
        self.judge = Judge(self.skeleton, ExactRows(network, facets))
        self.layer, self.neuron, self.share = -1, 0, 1.0
        # Scratch of `join`: its table, and what it knows of the vertices that come next.
        self._table = np.empty((0, 2), dtype=np.uint64)
        self._ahead = (
            np.empty((_AHEAD, 2 * d), dtype=np.uint64), np.empty(_AHEAD, dtype=np.int64),
            np.zeros(1, dtype=np.uint64),
        )  # fmt: skip
        self._divider = -1  # bit of the form by which the block is to be split
        self.sides = self.words.sides()
        self.report = new_report(len(network.hidden))

    def start(self) -> None:
        """The box's corners and edges."""
        d, low, high = self.skeleton.dimension, self.task.low, self.task.high
        upper = (np.arange(1 << d)[:, None] >> np.arange(d)) & 1
        self.skeleton.reserve(1 << d, d << (d - 1))
        cells = self.skeleton.cells
        cells.xy[: 1 << d] = np.where(upper == 1, high, low)
        bits = np.zeros((1 << d, 64 * self.words.starts[1]), dtype=bool)
        bits[:, 0 : 2 * d : 2], bits[:, 1 : 2 * d : 2] = upper == 1, upper == 0
        packed = np.packbits(bits, axis=1, bitorder="little").view("<u8")
        for array in (cells.positive, cells.negative, cells.null):
            array[: 1 << d] = 0
        cells.positive[: 1 << d, : packed.shape[1]] = packed
        cells.errors[: 1 << d] = 0.0
        # A corner is where it is: nothing can be made afresh.
        cells.errors[: 1 << d, RENEWED] = 1.0
        corner, axis = np.nonzero(upper == 0)
        cells.ends[: len(corner)] = np.stack([corner, corner | (1 << axis)], axis=1)
        cells.distance[: len(corner)] = 0.0
        self.skeleton.n_vertices, self.skeleton.n_edges = 1 << d, len(corner)

    def cut_rows(self) -> None:
        """Cut out a polytope: by all its rows, of which the positive sides stay."""
        normals, offsets = self.facets.normals[self.facets.n_box :], self.facets.offsets[self.facets.n_box :]
        bounds = layer_bounds(Network([normals, np.ones((1, len(normals)))], [offsets, [0.0]]))[0]
        x = self.skeleton.cells.xy[: self.skeleton.n_vertices]
        self.sides = self.words.sides(self.words.starts[1])
        self._start_rows(x, self._column(BLUR), normals, offsets, bounds)
        self._start_cuts(1, len(normals), bounds.steepness)
        self._cuts(1, len(normals), 0, bounds.steepness, None)
        self.sides = self.words.sides()
        used, rows = self.skeleton.used(), slice(self.words.starts[1], self.words.starts[2])
        self.skeleton.keep(np.asarray(~used.negative[:, rows].any(axis=1)))
        self.judge.forget()

    def advance(self, most: int | None = None, tell: Callable[[int], None] = lambda _: None) -> bool:
        """Cut by all neurons that are left.

        Parameters
        ----------
        most : int, optional
            Number of vertices: stop before a cut that would leave more, if the block can be split.
        tell : callable
            Called with the number of each layer before its rows are made; may raise.

        Returns
        -------
        bool
            Whether all neurons have cut; False if the block is to be split.
        """
        hidden = self.network.hidden
        while True:
            if self.layer >= 0:
                n, steepness = hidden[self.layer].n_neurons, self.rows.bounds[self.layer].steepness
                if not self._cuts(self.layer + 2, n, self.neuron, steepness, most):
                    return False
                self._count_layer()
            if self.layer + 1 == len(hidden):
                return True
            tell(self.layer + 1)
            self._start_layer(self.layer + 1)

    def _start_layer(self, layer: int) -> None:
        """One matrix product, and the signs that it gives."""
        own, bounds = self.network.layers[layer], self.rows.bounds[layer]
        if layer == 0:
            h, h_error = self.skeleton.cells.xy[: self.skeleton.n_vertices], self._column(BLUR)
        else:
            h, h_error = self._rectified(layer - 1), self._column(ROW).copy()
        self._start_rows(h, h_error, own.weight, own.bias, bounds)
        self._start_cuts(layer + 2, own.n_neurons, bounds.steepness)
        self.layer, self.neuron = layer, 0

    def _count_layer(self) -> None:
        """Count vertices and edges; those between blocks belong to the one on the positive side."""
        skeleton, total = self.skeleton, self.report["layers"][self.layer]
        others = self.sides[1] & ~self.sides[0]
        n, e = skeleton.n_vertices, skeleton.n_edges
        if others.any():
            n, e = cutting.count_owned(skeleton.cells, n, e, others)
        total["vertices"] += n
        total["edges"] += e

    @property
    def valid(self) -> WordArray:
        """Bits of the forms that have cut so far, (words,)."""
        return self.words.valid(self.layer + 2, self.neuron) if self.layer >= 0 else self.words.valid(2, 0)

    def split(self) -> Block:
        """Leave one of two blocks that together are the one that was cut, before a cut that was not made.

        The cutter goes on with the other one.
        """
        used, bit = self.skeleton.used(), self._divider
        word, own = bit // 64, np.uint64(1) << np.uint64(bit % 64)
        above, below = block_sides(self.sides, bit)
        n_above, n_below = (int((v[:, word] & own == 0).sum()) for v in (used.negative, used.positive))
        part = self.share / (n_above + n_below)
        left = Block(self.layer, self.neuron, below, part * n_below, part_of(used, used.positive[:, word] & own == 0))
        self.skeleton.keep(used.negative[:, word] & own == 0)
        self._go_on(self.layer, self.neuron, above, part * n_above)
        return left

    def block(self) -> Block:
        """What the cutter holds, as a block."""
        used = self.skeleton.used()
        cells = part_of(used, np.ones(len(used.xy), dtype=np.bool_))
        return Block(self.layer, self.neuron, self.sides, self.share, cells)

    def take(self, block: Block) -> None:
        """Go on with a block."""
        self.skeleton.take(block.cells)
        self._go_on(block.layer, block.neuron, block.sides, block.share)

    def _go_on(self, layer: int, neuron: int, sides: WordArray, share: float) -> None:
        self.layer, self.neuron, self.sides, self.share = layer, neuron, sides, share
        self.judge.forget()
        if self.layer >= 0:
            group, cells = self.layer + 2, self.skeleton.cells
            cutting.fill_buckets(cells, self.skeleton.n_edges, self.words.starts[group], self.words.starts[group + 1])

    def _column(self, column: int) -> FloatArray:
        return self.skeleton.cells.errors[: self.skeleton.n_vertices, column]

    def _rectified(self, layer: int) -> FloatArray:
        """A layer's rows after rectification, by the signs."""
        n, h = self.network.layers[layer].n_neurons, self.skeleton.cells.z[: self.skeleton.n_vertices]
        # Stored values agree with signs, or are zero.
        np.maximum(h[:, :n], 0.0, out=h[:, :n])
        return h

    def _start_rows(
        self, h: FloatArray, h_error: FloatArray, weight: Any, bias: FloatArray, bounds: LayerBounds
    ) -> None:
        n = self.skeleton.n_vertices
        norms, largest = np.empty((2, n))
        cutting.row_sizes(h, norms, largest)
        entry, row = bounded_errors(bounds, norms, np.ascontiguousarray(h_error))
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.skeleton.start_layer(h, weight, bias)
        cutting.row_sizes(z, norms, largest)
        if not (np.isfinite(largest).all() and np.isfinite(entry).all() and np.isfinite(row).all()):
            raise RangeError(
                "partition: squares of preactivations exceed 1.8e308, the most that float64 holds; expected smaller "
                "ones; scale the weights or the domain down"
            )
        errors = self.skeleton.cells.errors[:n]
        errors[:, ENTRY], errors[:, ROW], errors[:, SIZE] = entry, row, largest
        errors[:, WORST] = np.maximum(errors[:, WORST], entry)

    def _start_cuts(self, group: int, n: int, steepness: float) -> None:
        skeleton, words = self.skeleton, self.words
        first, stop = words.starts[group], words.starts[group + 1]
        skeleton.cells.null[: skeleton.n_vertices, first:stop] = 0
        self._old_signs(group, n, steepness)
        cutting.fill_buckets(skeleton.cells, skeleton.n_edges, first, stop)

    def _cuts(self, group: int, n: int, start: int, steepness: float, most: int | None) -> bool:
        """Cut by the neurons start .. n of a group; False if the block is to be split before one of them."""
        for m in range(start, n):
            count = int(self.skeleton.cells.counts[m])
            if count:
                self.neuron = m
                if most is not None and self.skeleton.n_vertices + count > most and self._find_divider():
                    return False
                self._cut_by(m, count, group, steepness)
                self.watch(sum(self.words.sizes[2:group]) + m + 1)
        self.neuron = n
        return True

    def _find_divider(self) -> bool:
        used = self.skeleton.used()
        self._divider = dividing_form(used.positive, used.negative, self.words.starts, self.valid)
        return self._divider >= 0

    def _old_signs(self, group: int, n: int, steepness: float) -> None:
        skeleton, first = self.skeleton, self.words.starts[group]
        doubts = np.empty((1024, 2), dtype=np.int64)
        while True:
            found = cutting.row_signs(skeleton.cells, skeleton.n_vertices, n, first, steepness, self.caution, doubts)
            if found <= len(doubts):
                break
            doubts = np.empty((found, 2), dtype=np.int64)
        self.report["signs"] += skeleton.n_vertices * n
        self._settle(doubts[:found], group, self.words.valid(group, 0), steepness)

    def _cut_by(self, m: int, count: int, group: int, steepness: float) -> None:
        skeleton, words = self.skeleton, self.words
        first, stop = words.starts[group], words.starts[group + 1]
        last = group in (1, len(words.sizes) - 1)
        skeleton.reserve(count, count * skeleton.dimension)
        cells, start = skeleton.cells, skeleton.n_vertices
        crossed = np.empty(count, dtype=np.int64)
        cutting.bucket(cells, m, crossed)
        cutting.place(cells, crossed, start, m, m if last else 0, first, stop, steepness, self.reach)
        skeleton.n_vertices += count
        valid = words.valid(group, m + 1)
        coarse = start + np.flatnonzero(cells.errors[start : start + count, RADIUS] > _COARSE * float(self.sizes.max()))
        if len(coarse):
            self.rows.renew(skeleton, coarse, valid)
            self.report["renewed"] += len(coarse)
        doubts = np.empty((64, 2), dtype=np.int64)
        asked, found = cutting.decide(cells, crossed, start, m, first, stop, steepness, self.caution, doubts)
        if found > len(doubts):
            doubts = np.empty((found, 2), dtype=np.int64)
            cutting.decide(cells, crossed, start, m, first, stop, steepness, self.caution, doubts)
        self.report["signs"] += asked
        self._settle(doubts[:found], group, valid, steepness)
        self._join(crossed, start, words.valid(group, m), first, stop)

    def _join(self, crossed: IntArray, start: int, valid: WordArray, first: int, stop: int) -> None:
        skeleton = self.skeleton
        # Each crossed 2-cell stands once in the table, which is full by two thirds at most.
        size = 1 << max(4, (3 * len(crossed) * (skeleton.dimension - 1) // 2).bit_length())
        if len(self._table) < size:
            self._table = np.empty((size, 2), dtype=np.uint64)
        table = self._table[:size]
        for seed in range(_SEEDS):
            table[:] = 0
            edges = cutting.join(
                skeleton.cells, crossed, start, skeleton.n_edges, valid, self.sides, first, stop, np.uint64(seed),
                table, *self._ahead,
            )  # fmt: skip
            if edges >= 0:
                skeleton.n_edges = edges
                return
        raise InvariantError("two ends", "a 2-cell", "another number of zeros on its border", 2)

    def _settle(self, doubts: IntArray, group: int, valid: WordArray, steepness: float) -> None:
        """Decide pairs of a vertex and a neuron of the group that the bounds left open."""
        if len(doubts) == 0:
            return
        cells = self.skeleton.cells
        stale = np.unique(doubts[:, 0])
        stale = stale[cells.errors[stale, RENEWED] == 0.0]
        self.rows.renew(self.skeleton, stale, valid)
        v, m = doubts.T
        values = cells.z[v, m]
        limit = (cells.errors[v, ENTRY] + steepness * cells.errors[v, RADIUS]) * self.caution
        signs = np.where(values > limit, 1, np.where(values < -limit, -1, 0))
        open_ = np.flatnonzero(signs == 0)
        self.report["signs_renewed"] += len(doubts) - len(open_)
        null = np.zeros(len(doubts), dtype=np.int64)
        if len(open_):
            forms = self.words.forms[64 * self.words.starts[group] + m[open_]]
            signs[open_], null[open_] = self.judge.signs(doubts[open_], forms, valid)
            self.report["signs_exact"] += len(open_)
            self.report["signs_zero"] += int(null.sum())
        self._store(v, m, signs, null, group)

    def _store(self, v: IntArray, m: IntArray, signs: IntArray, null: IntArray, group: int) -> None:
        cells = self.skeleton.cells
        word, bit = self.words.starts[group] + m // 64, np.uint64(1) << (m % 64).astype(np.uint64)
        for array, chosen in ((cells.positive, signs > 0), (cells.negative, signs < 0), (cells.null, null > 0)):
            np.bitwise_or.at(array, (v[chosen], word[chosen]), bit[chosen])
        # A value that contradicts its sign is stored as zero, which its error pays for.
        wrong = (signs * cells.z[v, m] < 0) | (null > 0)
        v, m = v[wrong], m[wrong]
        off = np.abs(cells.z[v, m])
        cells.z[v, m] = 0.0
        np.maximum.at(cells.errors[:, ENTRY], v, cells.errors[v, ENTRY] + off)
        np.maximum.at(cells.errors[:, WORST], v, cells.errors[v, ENTRY])
        squares = np.zeros(self.skeleton.n_vertices)
        np.add.at(squares, v, off**2)
        touched = np.unique(v)
        cells.errors[touched, ROW] = np.sqrt(cells.errors[touched, ROW] ** 2 + squares[touched]) * 1.001


def new_report(n_layers: int) -> dict[str, Any]:
    """A report of nothing done."""
    counts = dict.fromkeys(("signs", "signs_renewed", "signs_exact", "signs_zero", "renewed", "blocks", "bytes"), 0)
    return {**counts, "layers": [{"vertices": 0, "edges": 0} for _ in range(n_layers)]}


def add_report(total: dict[str, Any], own: dict[str, Any]) -> None:
    """Add what another cutter did; of bytes that are held one after the other the most count."""
    most = max(total["bytes"], own["bytes"])
    add_numbers(total, own)
    total["bytes"] = most
