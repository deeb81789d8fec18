"""What repeats entries, or puts fixed ones among them: expansion, upsampling, padding.

These act on a tensor's array of units; only fixed entries make units of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from geomrelu.errors import ShapeError, UnsupportedLayerError
from geomrelu.importers.indexing import listed, shape_of, shown, size, take
from geomrelu.importers.tensors import BATCH, Constant, Tensor, as_tensor, fixed, indexed, kept_axis, raw, whole

__all__ = ["HANDLERS"]


# ---- copies


def _expand(where: str, input: Any, *sizes: Any) -> Any:
    goal = listed(sizes)
    if not isinstance(input, Tensor):
        if any(n is BATCH for n in goal):
            goal = [1 if n is BATCH else n for n in goal]
        shape = _expanded(np.shape(raw(input)), goal, where)
        return indexed(input, where, lambda a: np.broadcast_to(a, shape))
    shift = len(goal) - input.rank
    batch = None if input.batch is None else input.batch + shift
    if batch is not None and not (
        goal[batch] is BATCH or goal[batch] in (-1, 1) or goal[batch] == input.length
    ):  # fmt: skip
        raise UnsupportedLayerError(f"{where}: expands the batch to {goal[batch]}, which mixes points")
    wanted = [1 if n is BATCH or k == batch else n for k, n in enumerate(goal)]
    return input.with_units(np.broadcast_to(input.units, _expanded(input.units.shape, wanted, where)), batch=batch)


def _expanded(shape: tuple[int, ...], goal: list[Any], where: str) -> tuple[int, ...]:
    whole_goal = [whole(n, where, "size") for n in goal]
    own = (1,) * (len(goal) - len(shape)) + shape
    result = tuple(n if m == -1 else m for n, m in zip(own, whole_goal, strict=False))
    if len(own) != len(goal) or any(n not in (1, m) for n, m in zip(own, result, strict=True)):
        raise ShapeError(f"{where}: a tensor of shape ({shown(shape)}) does not expand to ({shown(goal)})")
    return result


def _expand_as(where: str, input: Any, other: Any) -> Any:
    return _expand(where, input, size(where, other))


def _repeat(where: str, input: Any, *repeats: Any) -> Any:
    times = [whole(n, where, "repeats") for n in listed(repeats)]
    tensor = as_tensor(input, where)
    if len(times) < tensor.rank:
        raise ShapeError(f"{where}: repeats {times} for a tensor of {tensor.rank} axes; expected one for each axis")
    batch = None if tensor.batch is None else tensor.batch + len(times) - tensor.rank
    if batch is not None and times[batch] != 1:
        raise UnsupportedLayerError(f"{where}: repeats the batch, which mixes points")
    return tensor.with_units(np.tile(tensor.units, times), batch=batch)


def _interpolate(where: str, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: Any = None, recompute_scale_factor: Any = None,
                 antialias: bool = False) -> Any:  # fmt: skip
    if mode != "nearest":
        raise UnsupportedLayerError(
            f"{where}: interpolates by mode={mode!r}, which is not read; nearest that works: mode='nearest'"
        )
    tensor = as_tensor(input, where)
    n_axes = tensor.rank - 2
    grid = tensor.units.shape[2:]
    given = size if size is not None else scale_factor
    each = list(given) if isinstance(given, list | tuple) else [given] * n_axes
    if given is None or len(each) != n_axes or tensor.batch not in (0, None):
        raise ShapeError(f"{where}: got size={size!r}, scale_factor={scale_factor!r} for {n_axes} axes")
    units = tensor.units
    for k, (n, want) in enumerate(zip(grid, each, strict=True)):
        # As torch has it: the scale is the given one, or, with a size, their quotient.
        goal = whole(want, where, "size") if size is not None else math.floor(n * want)
        scale = n / goal if size is not None else 1 / want
        at = np.minimum(np.floor(np.arange(goal) * np.float32(scale)).astype(np.int64), n - 1)
        units = np.take(units, at, axis=k + 2)
    return tensor.with_units(units)


def _upsample_nearest(where: str, input: Any, output_size: Any, *scales: Any) -> Any:
    given = [s for s in (scales[0] if scales and isinstance(scales[0], list) else scales) if s is not None]
    if given:
        return _interpolate(where, input, None, list(given))
    return _interpolate(where, input, output_size)


def _pixel_shuffle(where: str, input: Any, upscale_factor: int) -> Any:
    tensor, r = as_tensor(input, where), whole(upscale_factor, where, "upscale_factor")
    *lead, channels, height, width = tensor.units.shape
    if channels % (r * r) or (tensor.batch is not None and tensor.batch >= len(lead)):
        raise ShapeError(f"{where}: got {channels} channels; expected a multiple of {r * r}")
    parts = tensor.units.reshape(*lead, channels // (r * r), r, r, height, width)
    k = len(lead)
    moved = np.transpose(parts, [*range(k + 1), k + 3, k + 1, k + 4, k + 2])
    return tensor.with_units(moved.reshape(*lead, channels // (r * r), height * r, width * r))


def _pixel_unshuffle(where: str, input: Any, downscale_factor: int) -> Any:
    tensor, r = as_tensor(input, where), whole(downscale_factor, where, "downscale_factor")
    *lead, channels, height, width = tensor.units.shape
    if height % r or width % r or (tensor.batch is not None and tensor.batch >= len(lead)):
        raise ShapeError(f"{where}: got a grid {height} x {width}; expected multiples of {r}")
    parts = tensor.units.reshape(*lead, channels, height // r, r, width // r, r)
    k = len(lead)
    moved = np.transpose(parts, [*range(k + 1), k + 2, k + 4, k + 1, k + 3])
    return tensor.with_units(moved.reshape(*lead, channels * r * r, height // r, width // r))


def _channel_shuffle(where: str, input: Any, groups: int) -> Any:
    tensor = as_tensor(input, where)
    axis = kept_axis(tensor, 1, where)
    n = tensor.units.shape[axis]
    if n % groups:
        raise ShapeError(f"{where}: got {n} channels in {groups} groups")
    return take(where, tensor, axis, np.arange(n).reshape(groups, -1).T.ravel())


# ---- padding


def _pad(where: str, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    amounts = list(pad)
    rank = len(shape_of(input))
    if amounts and isinstance(amounts[0], list | tuple):
        pairs = [(whole(a, where, "pad"), whole(b, where, "pad")) for a, b in amounts]
    else:
        numbers = [whole(n, where, "pad") for n in amounts]
        if len(numbers) % 2:
            raise ShapeError(f"{where}: got pad={amounts}; expected two numbers for each axis, the last axis first")
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    if len(pairs) > rank:
        raise ShapeError(f"{where}: got {len(pairs)} pairs of padding for a tensor of {rank} axes")
    result = input
    for axis, (before, after) in enumerate(pairs, start=rank - len(pairs)):
        if (before, after) != (0, 0):
            result = _padded(where, result, axis, before, after, mode, 0.0 if value is None else value)
    return result


def _padded(where: str, input: Any, axis: int, before: int, after: int, mode: str, value: Any) -> Any:
    tensor = as_tensor(input, where)
    kept_axis(tensor, axis, where)
    n = tensor.units.shape[axis]
    # Negative padding cuts.
    first, last = max(-before, 0), n - max(-after, 0)
    if first >= last:
        raise ShapeError(f"{where}: cuts an axis of length {n} by {-before} and {-after}; nothing is left")
    before, after = max(before, 0), max(after, 0)
    inner = np.take(tensor.units, np.arange(first, last), axis=axis)
    if mode == "constant":
        shape = list(inner.shape)
        fill = tensor.graph.constants(fixed(value, where, "value").reshape(()))
        ends = []
        for amount in (before, after):
            shape[axis] = amount
            ends.append(np.broadcast_to(fill, shape))
        return tensor.with_units(np.concatenate([ends[0], inner, ends[1]], axis=axis))
    m = last - first
    place = np.arange(-before, m + after)
    if mode in ("replicate", "edge"):
        place = np.clip(place, 0, m - 1)
    elif mode in ("circular", "wrap") and max(before, after) <= m:
        place = place % m
    elif mode == "reflect" and max(before, after) < m:
        place = np.where(place < 0, -place, np.where(place >= m, 2 * (m - 1) - place, place))
    else:
        raise UnsupportedLayerError(
            f"{where}: pads an axis of length {m} by ({before}, {after}) in mode {mode!r}; "
            "expected 'constant', 'replicate', or 'reflect' or 'circular' by no more than there is"
        )
    return tensor.with_units(np.take(inner, place, axis=axis))


def _aten_pad(mode: str) -> Callable[..., Any]:
    def handler(where: str, input: Any, padding: Any) -> Any:
        return _pad(where, input, padding, mode)

    return handler


def _constant_pad_nd(where: str, input: Any, pad: Any, value: Any = 0) -> Any:
    return _pad(where, input, pad, "constant", value)


# ---- fixed tensors


def _filled(value: float | None) -> Callable[..., Constant]:
    """torch.zeros, ones, full: one value for all points."""

    def handler(where: str, *args: Any, **kwargs: Any) -> Constant:
        sizes, fill = list(args), value
        if fill is None and "fill_value" in kwargs:
            fill = kwargs["fill_value"]
        elif fill is None:
            *sizes, fill = sizes
        shape = [1 if n is BATCH else whole(n, where, "size") for n in listed(tuple(sizes) or (kwargs["size"],))]
        return Constant(np.full(shape, fill, dtype=float), where)

    return handler


def _filled_method(value: float | None) -> Callable[..., Constant]:
    plain = _filled(value)

    def handler(where: str, input: Any, *args: Any, **kwargs: Any) -> Constant:
        return plain(where, *args)

    return handler


def _filled_like(value: float | None) -> Callable[..., Constant]:
    def handler(where: str, input: Any, *args: Any, **kwargs: Any) -> Constant:
        fill = kwargs.get("fill_value", args[0] if args else None) if value is None else value
        return Constant(np.full(shape_of(input), fill, dtype=float), where)

    return handler


_FILLS = {"zeros": 0.0, "ones": 1.0, "full": None}

HANDLERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("expand", "expand_copy", "broadcast_to"), _expand),
    "expand_as": _expand_as,
    **dict.fromkeys(("repeat", "tile"), _repeat),
    "interpolate": _interpolate,
    **{f"upsample_nearest{n}d": _upsample_nearest for n in (1, 2, 3)},
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "pad": _pad,
    "constant_pad_nd": _constant_pad_nd,
    **{f"{mode}_pad{n}d": _aten_pad(name) for n in (1, 2, 3)
       for mode, name in (("reflection", "reflect"), ("replication", "replicate"))},
    **{name: _filled(value) for name, value in _FILLS.items()},
    **{f"new_{name}": _filled_method(value) for name, value in _FILLS.items()},
    **{f"{name}_like": _filled_like(value) for name, value in _FILLS.items()},
}  # fmt: skip
