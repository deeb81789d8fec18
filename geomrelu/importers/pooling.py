"""Maxima and means over windows and axes.

A maximum of several units is a tournament: in each round units play in pairs, b + relu(a - b), and
the winners go on.  The neuron a - b of a round matters only where its winner wins the next one
(`network.Layer.relevant`), so that regions are told apart by the last winner alone.  Rounds are
as many layers as log2 of the number of units, rounded up; units that no opponent is left for skip
the first round.

Max pooling and ReLU commute, max(relu(a), relu(b)) = relu(max(a, b)), so rectified units play
unrectified and the winner is rectified: that takes fewer neurons, and who wins matters only where
the winner is positive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from geomrelu.arrays import BoolArray, IntArray
from geomrelu.errors import ShapeError
from geomrelu.importers.graph import Graph
from geomrelu.importers.tensors import Constant, Tensor, as_tensor, kept_axis, number, whole
from geomrelu.importers.windows import Windows, paddings, per_axis, placed, spatial, windows

__all__ = ["HANDLERS", "largest_of"]


def largest_of(graph: Graph, table: IntArray) -> IntArray:
    """The largest of each row's units; -1 stands for none.

    Parameters
    ----------
    table : (rows, k) int64

    Returns
    -------
    (rows,) int64
        Units.
    """
    present = table >= 0
    rectified = bool(graph.is_rectified(table[present]).all())
    if rectified:
        table = table.copy()
        table[present] = graph.before(table[present])
    table = _without_repeats(table)
    decided = np.full_like(table, -1)  # the neuron that decided who stands here
    while table.shape[1] > 1:
        table, decided = _round(graph, table, decided)
    winners = table[:, 0]
    played = decided[:, 0] >= 0
    graph.finals.append((decided[played, 0], winners[played]))
    return graph.relu(winners) if rectified else winners


def _without_repeats(table: IntArray) -> IntArray:
    """Each row's units in order, each once, then -1; no wider than the longest row."""
    place = np.sort(np.where(table < 0, np.iinfo(np.int64).max, table), axis=1)
    again = np.zeros(table.shape, dtype=bool)
    again[:, 1:] = place[:, 1:] == place[:, :-1]
    gone = again | (place == np.iinfo(np.int64).max)
    order = np.argsort(gone, axis=1, kind="stable")
    result = np.take_along_axis(np.where(gone, -1, place), order, axis=1)
    return result[:, : max(1, int((~gone).sum(axis=1).max(initial=0)))]


def _round(graph: Graph, table: IntArray, decided: IntArray) -> tuple[IntArray, IntArray]:
    """One round: afterwards no row has more units than the largest power of two below the longest."""
    n_rows, width = table.shape
    goal = 1 << ((width - 1).bit_length() - 1)
    n_units = (table >= 0).sum(axis=1)
    n_pairs = np.maximum(n_units - goal, 0)
    row, pair = np.nonzero(np.arange(width // 2) < n_pairs[:, None])
    left, right = (row, 2 * pair), (row, 2 * pair + 1)
    a, b = table[left], table[right]
    neurons = graph.relu(graph.combine([(1.0, a), (-1.0, b)]))
    for side, bit in ((left, 1), (right, 0)):
        before = decided[side]
        known = before >= 0
        graph.relevant.append((before[known], neurons[known], np.full(int(known.sum()), bit)))
    winners = graph.combine([(1.0, b), (1.0, neurons)])
    after, by = np.full((2, n_rows, goal), -1, dtype=np.int64)
    after[row, pair], by[row, pair] = winners, neurons
    # Those that did not play stand behind the winners.
    others_row, others = np.nonzero((np.arange(width) >= 2 * n_pairs[:, None]) & (table >= 0))
    place = others - n_pairs[others_row]
    after[others_row, place], by[others_row, place] = table[others_row, others], decided[others_row, others]
    return after, by


# ---- pooling layers


def _window_units(tensor: Tensor, look: Windows, n_axes: int, where: str) -> tuple[IntArray, bool]:
    """(channels, places, kernel) units, -1 in the padding, and whether there is an axis of points."""
    units, has_points = spatial(tensor, n_axes, where)
    flat = units.reshape(units.shape[0], -1)
    return np.where(look.inside, flat[:, look.at], -1), has_points


def _max_pool(n_axes: int) -> Callable[..., Tensor]:
    def handler(where: str, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                ceil_mode: bool = False, return_indices: bool = False) -> Tensor:  # fmt: skip
        tensor = as_tensor(input, where)
        grid = spatial(tensor, n_axes, where)[0].shape[1:]
        kernel = per_axis(kernel_size, n_axes, where, "kernel_size")
        step = kernel if stride is None or stride in ([], ()) else per_axis(stride, n_axes, where, "stride")
        around = paddings(padding, n_axes, where)
        spread = per_axis(dilation, n_axes, where, "dilation")
        return _largest(tensor, windows(grid, kernel, step, around, spread, ceil_mode, where), n_axes, where)

    return handler


def _largest(tensor: Tensor, look: Windows, n_axes: int, where: str) -> Tensor:
    table, has_points = _window_units(tensor, look, n_axes, where)
    if not look.inside.any(axis=1).all():
        raise ShapeError(f"{where}: a window lies wholly in the padding; expected padding of at most half the kernel")
    best = largest_of(tensor.graph, table.reshape(-1, table.shape[-1]))
    return placed(tensor, best.reshape(-1, *look.shape), has_points)


def _with_indices(plain: Callable[..., Tensor]) -> Callable[..., Any]:
    def handler(where: str, *args: Any, **kwargs: Any) -> _Extreme:
        return _Extreme(plain(where, *args, **kwargs))

    return handler


class _Extreme(NamedTuple):
    """A maximum, and where it stands: that jumps between whole numbers, so nothing is done with it."""

    values: Tensor
    indices: None = None


def _means(tensor: Tensor, table: IntArray, factors: Any) -> IntArray:
    """Sums of each row's units, -1 left out, times one factor a row."""
    from scipy.sparse import csr_array

    inside = table >= 0
    lengths = inside.sum(axis=1)
    data = np.repeat(np.broadcast_to(factors, len(table)), lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kinds, columns = np.unique(table[inside], return_inverse=True)
    weight = csr_array((data, columns, offsets), shape=(len(table), len(kinds)))
    if not weight.has_canonical_format:
        # A unit twice in a row, or units out of order.
        kinds, columns = table[inside], np.arange(len(data))
        weight = csr_array((data, columns, offsets), shape=(len(table), len(kinds)))
    return tensor.graph.affine(kinds, weight, np.zeros(len(table)))


def _avg_pool(n_axes: int) -> Callable[..., Tensor]:
    def handler(where: str, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
                ceil_mode: bool = False, count_include_pad: bool = True,
                divisor_override: Any = None) -> Tensor:  # fmt: skip
        tensor = as_tensor(input, where)
        grid = spatial(tensor, n_axes, where)[0].shape[1:]
        kernel = per_axis(kernel_size, n_axes, where, "kernel_size")
        step = kernel if stride is None or stride in ([], ()) else per_axis(stride, n_axes, where, "stride")
        look = windows(grid, kernel, step, paddings(padding, n_axes, where), [1] * n_axes, ceil_mode, where)
        if divisor_override is not None:
            sizes = np.full(len(look.inside), number(divisor_override, where, "divisor_override"))
        else:
            sizes = np.asarray(look.padded_sizes if count_include_pad else look.inside.sum(axis=1), dtype=float)
        return _averaged(tensor, look, sizes, n_axes, where)

    return handler


def _averaged(tensor: Tensor, look: Windows, sizes: Any, n_axes: int, where: str) -> Tensor:
    table, has_points = _window_units(tensor, look, n_axes, where)
    factors = np.broadcast_to(1.0 / np.maximum(sizes, 1), table.shape[:2]).ravel()
    means = _means(tensor, table.reshape(-1, table.shape[-1]), factors)
    return placed(tensor, means.reshape(-1, *look.shape), has_points)


def _adaptive_windows(grid: tuple[int, ...], output_size: Any, n_axes: int, where: str) -> Windows:
    """Windows from floor(i n / m) to ceil((i + 1) n / m) for each of m places."""
    given = [output_size] * n_axes if output_size is None or isinstance(output_size, int) else list(output_size)
    if len(given) != n_axes:
        raise ShapeError(f"{where}: got output_size={output_size!r}; expected one number, or {n_axes}")
    goals = [n if m is None else whole(m, where, "output_size") for n, m in zip(grid, given, strict=True)]
    inside: BoolArray = np.ones((1, 1), dtype=bool)
    at: IntArray = np.zeros((1, 1), dtype=np.int64)
    for n, m in zip(grid, goals, strict=True):
        first, last = np.arange(m) * n // m, -(-(np.arange(m) + 1) * n // m)
        place = first[:, None] + np.arange((last - first).max(initial=1))
        own = place < last[:, None]
        inside = (inside[:, None, :, None] & own[None, :, None, :]).reshape(len(inside) * m, -1)
        at = (at[:, None, :, None] * n + np.where(own, place, 0)[None, :, None, :]).reshape(len(at) * m, -1)
    return Windows(tuple(goals), inside, np.where(inside, at, 0), inside.sum(axis=1))


def _adaptive_max_pool(n_axes: int) -> Callable[..., Any]:
    def handler(where: str, input: Any, output_size: Any, return_indices: bool = False) -> Tensor:
        tensor = as_tensor(input, where)
        grid = spatial(tensor, n_axes, where)[0].shape[1:]
        return _largest(tensor, _adaptive_windows(grid, output_size, n_axes, where), n_axes, where)

    return handler


def _adaptive_avg_pool(n_axes: int) -> Callable[..., Any]:
    def handler(where: str, input: Any, output_size: Any) -> Tensor:
        tensor = as_tensor(input, where)
        grid = spatial(tensor, n_axes, where)[0].shape[1:]
        look = _adaptive_windows(grid, output_size, n_axes, where)
        return _averaged(tensor, look, look.padded_sizes, n_axes, where)

    return handler


# ---- over axes


def _reduced(tensor: Tensor, dim: Any, where: str) -> tuple[IntArray, list[int]]:
    """Units (rest, k) over the axes `dim`, and those axes."""
    dims = range(tensor.rank) if dim is None or dim == [] else dim if isinstance(dim, list | tuple) else [dim]
    axes = sorted({kept_axis(tensor, d, where) for d in dims})
    rest = [k for k in range(tensor.rank) if k not in axes]
    moved = np.transpose(tensor.units, [*rest, *axes])
    return moved.reshape(int(np.prod([tensor.units.shape[k] for k in rest])), -1), axes


def _result(tensor: Tensor, units: IntArray, axes: list[int], keepdim: bool) -> Tensor:
    shape = [1 if k in axes else n for k, n in enumerate(tensor.units.shape)]
    batch = tensor.batch
    if not keepdim:
        shape = [n for k, n in enumerate(shape) if k not in axes]
        batch = None if batch is None else batch - sum(k < batch for k in axes)
    return tensor.with_units(units.reshape(shape), batch=batch)


def _sum(where: str, input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    tensor = as_tensor(input, where)
    table, axes = _reduced(tensor, dim, where)
    return _result(tensor, _means(tensor, table, 1.0), axes, keepdim)


def _mean(where: str, input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    tensor = as_tensor(input, where)
    table, axes = _reduced(tensor, dim, where)
    return _result(tensor, _means(tensor, table, 1.0 / table.shape[1]), axes, keepdim)


def _amax(where: str, input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    tensor = as_tensor(input, where)
    table, axes = _reduced(tensor, dim, where)
    return _result(tensor, largest_of(tensor.graph, table), axes, keepdim)


def _amin(where: str, input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    tensor = as_tensor(input, where)
    graph = tensor.graph
    table, axes = _reduced(tensor, dim, where)
    best = largest_of(graph, graph.combine([(-1.0, table)]))
    return _result(tensor, graph.combine([(-1.0, best)]), axes, keepdim)


def _extreme(of_two: str, over_axes: Callable[..., Tensor]) -> Callable[..., Any]:
    """torch.max and torch.min: of two tensors, along an axis (with indices), or of all."""

    def handler(where: str, input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        second = dim if isinstance(dim, Tensor | Constant) else other
        if second is not None:
            from geomrelu.importers.activations import HANDLERS as activations

            return activations[of_two](where, input, second)
        best = over_axes(where, input, dim, keepdim)
        return best if dim is None else _Extreme(best)

    return handler


def _pools(name: str, make: Callable[[int], Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {f"{name}{n}d": make(n) for n in (1, 2, 3)}


HANDLERS: dict[str, Callable[..., Any]] = {
    **_pools("max_pool", _max_pool),
    **{f"max_pool{n}d_with_indices": _with_indices(_max_pool(n)) for n in (1, 2, 3)},
    **{f"aten_adaptive_max_pool{n}d": _with_indices(_adaptive_max_pool(n)) for n in (1, 2, 3)},
    **_pools("avg_pool", _avg_pool),
    **_pools("adaptive_max_pool", _adaptive_max_pool),
    **_pools("adaptive_avg_pool", _adaptive_avg_pool),
    **_pools("_adaptive_avg_pool", _adaptive_avg_pool),
    "sum": _sum,
    "mean": _mean,
    "amax": _amax,
    "amin": _amin,
    "max": _extreme("maximum", _amax),
    "min": _extreme("minimum", _amin),
}
