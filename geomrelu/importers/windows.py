"""Where convolutions and poolings look: for each place of the output, the inputs under the kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomrelu.arrays import BoolArray, IntArray
from geomrelu.errors import ShapeError, UnsupportedLayerError
from geomrelu.importers.tensors import Tensor, whole

__all__ = ["Windows", "paddings", "per_axis", "spatial", "windows"]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows over a grid.

    Attributes
    ----------
    shape : tuple of int
        Of the output's grid.
    inside : (places, kernel) bool
        Whether an entry of the kernel meets the grid, not the padding.
    at : (places, kernel) int64
        The point of the flattened grid that it meets; 0 where none.
    padded_sizes : (places,) int64
        How many entries meet the grid or its padding.
    """

    shape: tuple[int, ...]
    inside: BoolArray
    at: IntArray
    padded_sizes: IntArray


def windows(
    grid: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    ceil_mode: bool = False,
    where: str = "",
) -> Windows:
    """The windows of a kernel that moves over a grid, as torch counts them.

    Raises
    ------
    ShapeError
        If the kernel is larger than the padded grid.
    """
    shape = []
    inside: BoolArray = np.ones((1, 1), dtype=bool)
    at: IntArray = np.zeros((1, 1), dtype=np.int64)
    sizes: IntArray = np.ones(1, dtype=np.int64)
    for n, k, s, (before, after), d in zip(grid, kernel, stride, padding, dilation, strict=True):
        if min(k, s, d) < 1:
            raise ShapeError(f"{where}: got kernel {k}, stride {s}, dilation {d}; expected positive numbers")
        room = n + before + after - d * (k - 1) - 1
        if room < 0:
            raise ShapeError(
                f"{where}: a kernel of size {d * (k - 1) + 1} meets an axis of length {n} with padding "
                f"({before}, {after}); expected a larger input, or a smaller kernel"
            )
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + before:
            count -= 1  # torch drops windows that begin in the padding behind
        first = np.arange(count) * s - before
        place = first[:, None] + np.arange(k) * d
        own = (place >= 0) & (place < n)
        reached = np.minimum(first + d * (k - 1) + 1, n + after) - first
        shape.append(count)
        inside = _crossed(inside, own, np.logical_and)
        at = _crossed(at * n, np.where(own, place, 0), np.add)
        sizes = (sizes[:, None] * reached).ravel()
    return Windows(tuple(shape), inside, np.where(inside, at, 0), sizes)


def _crossed(a: Any, b: Any, combine: Any) -> Any:
    """(places, kernel) of several axes and (places, kernel) of one more, as those of all."""
    result = combine(a[:, None, :, None], b[None, :, None, :])
    return result.reshape(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])


def per_axis(value: Any, n_axes: int, where: str, name: str) -> list[int]:
    """One whole number for each axis, given one for all or each."""
    given = [value] if isinstance(value, int | np.integer) else list(value)
    if len(given) == 1:
        given = given * n_axes
    if len(given) != n_axes:
        raise ShapeError(f"{where}: got {name}={value!r}; expected one number, or {n_axes}")
    return [whole(n, where, name) for n in given]


def paddings(value: Any, n_axes: int, where: str) -> list[tuple[int, int]]:
    """(before, after) for each axis, given one number, one each, or such pairs."""
    if isinstance(value, list | tuple) and any(isinstance(item, list | tuple) for item in value):
        if len(value) != n_axes or any(len(item) != 2 for item in value):
            raise ShapeError(f"{where}: got padding={value!r}; expected {n_axes} pairs (before, after)")
        pairs = [(whole(a, where, "padding"), whole(b, where, "padding")) for a, b in value]
    else:
        pairs = [(n, n) for n in per_axis(value, n_axes, where, "padding")]
    if min(min(pair) for pair in pairs) < 0:
        raise UnsupportedLayerError(f"{where}: got negative padding {value!r}; expected none: slice the input instead")
    return pairs


def spatial(tensor: Tensor, n_axes: int, where: str) -> tuple[IntArray, bool]:
    """Units as (channels, *grid), and whether the tensor has an axis of points before them."""
    units = tensor.units
    if tensor.rank == n_axes + 2 and units.shape[0] == 1 and tensor.batch in (0, None):
        return units[0], True
    if tensor.rank == n_axes + 1 and tensor.batch is None:
        return units, False
    names = ("length",) if n_axes == 1 else ("depth", "height", "width")[-n_axes:]
    expected, shown = ", ".join(("channels", *names)), ", ".join(str(n) for n in tensor.sizes)
    raise ShapeError(
        f"{where}: got a tensor of shape ({shown}); expected (N, {expected}): if that is the input, "
        f"give as_network(model, input_shape=({expected})), or a slice of inputs of that shape"
    )


def placed(tensor: Tensor, units: IntArray, has_points: bool) -> Tensor:
    """Units (channels, *grid) as the tensor that `spatial` took apart."""
    return tensor.with_units(units[None] if has_points else units)


def volume(shape: Sequence[int]) -> int:
    """Number of points of a grid."""
    return math.prod(shape)
