"""Affine layers: matrix products, convolutions, normalisation by fixed statistics.

Convolutions become sparse matrices.  Batch normalisation stands for the real function
f (x - mean) + bias, where f is the float64 number nearest to weight / sqrt(var + eps).
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.errors import NotPiecewiseLinearError, ShapeError, UnsupportedLayerError
from geomrelu.importers.arithmetic import add
from geomrelu.importers.kinds import READ, refusal
from geomrelu.importers.tensors import Constant, Tensor, as_tensor, fixed, is_constant, kept_axis, raw
from geomrelu.importers.windows import paddings, per_axis, placed, spatial, volume, windows
from geomrelu.matrices import Matrix

__all__ = ["HANDLERS"]


# ---- matrices


def _matrix(value: Any, where: str) -> FloatArray:
    weight = fixed(value, where)
    if weight.ndim != 2:
        name = value.name if isinstance(value, Constant) else where
        raise ShapeError(f"{name}: got shape {weight.shape}, expected a matrix (outputs, inputs)")
    return weight


def _along(where: str, tensor: Tensor, axis: int, weight: FloatArray, bias: FloatArray) -> Tensor:
    """weight h + bias, where h runs along one axis."""
    n_out, n_in = weight.shape
    axis = kept_axis(tensor, axis, where)
    if tensor.units.shape[axis] != n_in:
        shown = ", ".join(str(n) for n in tensor.sizes)
        raise ShapeError(
            f"{where}: takes {n_in} inputs but the layer before it has {tensor.units.shape[axis]} outputs, "
            f"shape ({shown}); expected the same number (flatten images before a Linear layer)"
        )
    if bias.shape not in ((n_out,), ()):
        raise ShapeError(f"{where}: got a bias of shape {bias.shape}, expected ({n_out},)")
    bias = np.broadcast_to(bias, n_out)
    moved = np.moveaxis(tensor.units, axis, -1)
    rows = moved.reshape(-1, n_in)
    n = len(rows)
    if n == 1:
        made = tensor.graph.affine(rows[0], weight, np.array(bias))
    else:
        from scipy.sparse import csr_array

        columns = np.broadcast_to(np.arange(n)[:, None, None] * n_in + np.arange(n_in), (n, n_out, n_in))
        data = np.broadcast_to(weight, (n, n_out, n_in))
        matrix = csr_array(
            (data.ravel(), columns.ravel(), np.arange(n * n_out + 1) * n_in), shape=(n * n_out, n * n_in)
        )
        made = tensor.graph.affine(rows.ravel(), matrix, np.tile(bias, n))
    return tensor.with_units(np.moveaxis(made.reshape(*moved.shape[:-1], n_out), -1, axis))


def _linear(where: str, input: Any, weight: Any, bias: Any = None) -> Tensor:
    tensor, matrix = as_tensor(input, where), _matrix(weight, where)
    offset = np.zeros(len(matrix)) if bias is None else fixed(bias, where, "bias")
    return _along(where, tensor, -1, matrix, offset)


def _matmul(where: str, input: Any, other: Any) -> Any:
    if is_constant(input) and is_constant(other):
        return Constant(raw(input) @ raw(other), where)
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input; {READ}")
    left = is_constant(input)
    tensor = as_tensor(other if left else input, where)
    weight = fixed(input if left else other, where)
    if weight.ndim not in (1, 2) or (left and tensor.rank < 2):
        raise UnsupportedLayerError(f"{where}: multiplies by an array of shape {weight.shape}; expected a matrix")
    if weight.ndim == 1:
        axis = -2 if left else -1
        result = _along(where, tensor, axis, weight[None, :], np.zeros(()))
        batch = tensor.batch
        if left and batch == tensor.rank - 1:
            batch = tensor.rank - 2
        return result.with_units(result.units.squeeze(axis), batch=batch)
    matrix = weight if left else np.ascontiguousarray(weight.T)
    return _along(where, tensor, -2 if left else -1, matrix, np.zeros(()))


def _addmm(where: str, input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    if beta != 1 or alpha != 1:
        raise UnsupportedLayerError(f"{where}: got beta={beta}, alpha={alpha}; expected 1 and 1")
    if isinstance(mat1, Tensor) and is_constant(input) and np.ndim(raw(input)) == 1:
        return _along(
            where, mat1, -1, np.ascontiguousarray(_matrix(mat2, where).T), fixed(input, where, "bias")
        )  # fmt: skip
    return add(where, _matmul(where, mat1, mat2), input)


# ---- convolutions


def _kernel(where: str, tensor: Tensor, weight: Any, groups: int, n_axes: int, channel_axis: int) -> FloatArray:
    kernel = fixed(weight, where)
    if kernel.ndim != n_axes + 2 or 0 in kernel.shape:
        raise ShapeError(f"{where}: got a kernel of shape {kernel.shape}; expected {n_axes + 2} axes")
    channels = spatial(tensor, n_axes, where)[0].shape[0]
    own = kernel.shape[channel_axis] * (groups if channel_axis == 1 else 1)
    if own != channels or kernel.shape[0] % groups:
        raise ShapeError(
            f"{where}: its kernel of shape {kernel.shape} in {groups} group{'s' * (groups > 1)} takes {own} channels; "
            f"got {channels}"
        )
    return kernel


def _channel_bias(bias: Any, n_channels: int, n_places: int, where: str) -> FloatArray:
    if bias is None:
        return np.zeros(n_channels * n_places)
    values = fixed(bias, where, "bias")
    if values.shape != (n_channels,):
        raise ShapeError(f"{where}: got a bias of shape {values.shape}, expected ({n_channels},)")
    return np.repeat(values, n_places)


def _around(
    padding: Any, grid: Sequence[int], kernel: Sequence[int], stride: list[int], dilation: list[int], where: str
) -> list[tuple[int, int]]:
    if isinstance(padding, str):
        if padding == "valid":
            return [(0, 0)] * len(grid)
        if padding != "same" or any(s != 1 for s in stride):
            raise UnsupportedLayerError(
                f"{where}: got padding={padding!r}, stride={stride}; expected numbers, 'valid', or 'same' with stride 1"
            )
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [(n // 2, n - n // 2) for n in total]
    return paddings(padding, len(grid), where)


def _conv(n_axes: int) -> Callable[..., Tensor]:
    def handler(where: str, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                dilation: Any = 1, groups: int = 1) -> Tensor:  # fmt: skip
        tensor = as_tensor(input, where)
        kernel = _kernel(where, tensor, weight, groups, n_axes, 1)
        units, has_points = spatial(tensor, n_axes, where)
        grid, size = units.shape[1:], kernel.shape[2:]
        step, spread = (per_axis(v, n_axes, where, n) for v, n in ((stride, "stride"), (dilation, "dilation")))
        look = windows(grid, size, step, _around(padding, grid, size, step, spread, where), spread, where=where)
        matrix = _convolution_matrix(kernel, look.inside, look.at, volume(grid), units.shape[0], groups)
        offset = _channel_bias(bias, len(kernel), len(look.at), where)
        made = tensor.graph.affine(units.ravel(), matrix, offset)
        return placed(tensor, made.reshape(-1, *look.shape), has_points)

    return handler


def _convolution_matrix(
    kernel: FloatArray, inside: Any, at: IntArray, n_points: int, n_channels: int, groups: int
) -> Matrix:
    """Rows: channels, then places; columns: channels, then points of the grid."""
    from scipy.sparse import csr_array

    n_out, n_in = kernel.shape[:2]
    n_places = len(at)
    # What one output channel reads, place by place: channel by channel, the kernel's entries in order.
    own = np.broadcast_to(inside[:, None, :], (n_places, n_in, inside.shape[1]))
    place, channel, entry = np.nonzero(own)
    columns = channel * n_points + at[place, entry]
    data = kernel.reshape(n_out, n_in, -1)[:, channel, entry]
    group = np.arange(n_out) // (n_out // groups)
    indices = columns + (group * n_in * n_points)[:, None]
    lengths = np.tile(own.sum(axis=(1, 2)), n_out)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    small = np.int32 if max(offsets[-1], n_channels * n_points) < np.iinfo(np.int32).max else np.int64
    shape = (n_out * n_places, n_channels * n_points)
    return csr_array((data.ravel(), indices.ravel().astype(small), offsets.astype(small)), shape=shape)


def _conv_transpose(n_axes: int) -> Callable[..., Tensor]:
    def handler(where: str, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Tensor:  # fmt: skip
        tensor = as_tensor(input, where)
        kernel = _kernel(where, tensor, weight, groups, n_axes, 0)
        units, has_points = spatial(tensor, n_axes, where)
        grid, size = units.shape[1:], kernel.shape[2:]
        step, spread, more = (
            per_axis(v, n_axes, where, n)
            for v, n in ((stride, "stride"), (dilation, "dilation"), (output_padding, "output_padding"))
        )
        around = paddings(padding, n_axes, where)
        goal = [
            (n - 1) * s + d * (k - 1) + 1 + extra - before - after
            for n, s, d, k, extra, (before, after) in zip(grid, step, spread, size, more, around, strict=True)
        ]
        if min(goal) < 1:
            raise ShapeError(f"{where}: its output would be of shape {goal}; expected less padding")
        # It is the transpose of the convolution that takes the output's grid to the input's.
        behind = [
            (before, (n - 1) * s + d * (k - 1) + 1 - m - before)
            for n, s, d, k, m, (before, _) in zip(grid, step, spread, size, goal, around, strict=True)
        ]
        look = windows(goal, size, step, behind, spread, where=where)
        per_group = kernel.shape[0] // groups
        forward = _transposed_blocks(kernel, groups, look.inside, look.at, volume(goal), per_group)
        offset = _channel_bias(bias, kernel.shape[1] * groups, volume(goal), where)
        made = tensor.graph.affine(units.ravel(), forward, offset)
        return placed(tensor, made.reshape(-1, *goal), has_points)

    return handler


def _transposed_blocks(
    kernel: FloatArray, groups: int, inside: Any, at: IntArray, n_points: int, per_group: int
) -> Matrix:
    """The transpose of the convolution with this kernel (in channels, out channels of a group, ...)."""
    from scipy.sparse import csr_array

    matrix = _convolution_matrix(kernel, inside, at, n_points, kernel.shape[1] * groups, groups)
    result = csr_array(matrix.T.tocsr())
    result.sort_indices()
    return result


def _convolution(where: str, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
                 transposed: bool, output_padding: Any, groups: int, *_: Any) -> Tensor:  # fmt: skip
    """aten's name for all of them."""
    n_axes = np.ndim(raw(weight)) - 2
    if not 1 <= n_axes <= 3:
        raise ShapeError(f"{where}: got a kernel of {n_axes + 2} axes; expected 3 to 5")
    if transposed:
        return _conv_transpose(n_axes)(where, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(n_axes)(where, input, weight, bias, stride, padding, dilation, groups)


# ---- normalisation


def nearest_scale(weight: FloatArray, variance: FloatArray, eps: float) -> FloatArray:
    """weight / sqrt(variance + eps), each the float64 number nearest to the real one.

    Examples
    --------
    >>> float(nearest_scale(np.array([2.0]), np.array([0.75]), 0.25)[0])
    2.0
    """
    with decimal.localcontext(prec=120) as context:
        shift = decimal.Decimal(eps)
        values = [
            float(decimal.Decimal(w) / context.sqrt(decimal.Decimal(v) + shift))
            for w, v in zip(weight.tolist(), variance.tolist(), strict=True)
        ]
    return np.array(values)


def _batch_norm(where: str, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
                training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:  # fmt: skip
    tensor = as_tensor(input, where)
    if training:
        raise UnsupportedLayerError(
            f"{where}: batch normalisation in training mode depends on the other points; call model.eval() first"
        )
    if running_mean is None or running_var is None:
        raise NotPiecewiseLinearError(
            f"{where}: normalises by each batch's own statistics, so it is no function of one point; "
            "expected running statistics (track_running_stats=True, the default) and eval mode"
        )
    mean, variance = fixed(running_mean, where, "running_mean"), fixed(running_var, where, "running_var")
    if not (variance + eps > 0).all():
        raise UnsupportedLayerError(f"{where}: its running_var + eps is not positive everywhere; train the model again")
    channels = tensor.units.shape[1] if tensor.rank > 1 else 0
    if tensor.batch not in (0, None) or mean.shape != (channels,) or variance.shape != (channels,):
        shown = ", ".join(str(n) for n in tensor.sizes)
        raise ShapeError(f"{where}: {len(mean)} channels meet a tensor of shape ({shown}); expected (N, channels, ...)")
    ones = np.ones(channels) if weight is None else fixed(weight, where)
    shift = np.zeros(channels) if bias is None else fixed(bias, where, "bias")
    shape = (-1, *[1] * (tensor.rank - 2))
    scale = nearest_scale(ones, variance, eps)
    graph = tensor.graph
    centred = graph.combine([(1.0, tensor.units)], -mean.reshape(shape))
    return tensor.with_units(graph.combine([(scale.reshape(shape), centred)], shift.reshape(shape)))


def _aten_batch_norm(where: str, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
                     training: bool, momentum: float, eps: float, cudnn_enabled: bool = True) -> Tensor:  # fmt: skip
    return _batch_norm(where, input, running_mean, running_var, weight, bias, training, momentum, eps)


def _batch_norm_no_training(where: str, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
                            momentum: float, eps: float) -> list[Any]:  # fmt: skip
    """aten's decomposed form, which returns saved statistics too."""
    return [_batch_norm(where, input, running_mean, running_var, weight, bias, False, momentum, eps), None, None]


def _instance_norm(where: str, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
                   bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1,
                   eps: float = 1e-5) -> Tensor:  # fmt: skip
    """By running statistics that is batch normalisation."""
    if use_input_stats:
        raise refusal("instance_norm", where)
    tensor = as_tensor(input, where)
    if tensor.rank < 3:
        shown = ", ".join(str(n) for n in tensor.sizes)
        raise ShapeError(f"{where}: got a tensor of shape ({shown}); expected (N, channels, length, ...)")
    return _batch_norm(where, tensor, running_mean, running_var, weight, bias, False, momentum, eps)


def _aten_instance_norm(where: str, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
                        use_input_stats: bool, momentum: float, eps: float,
                        cudnn_enabled: bool = True) -> Tensor:  # fmt: skip
    return _instance_norm(where, input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


HANDLERS: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm"), _matmul),
    "addmm": _addmm,
    **{f"conv{n}d": _conv(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _conv_transpose(n) for n in (1, 2, 3)},
    "convolution": _convolution,
    "batch_norm": _batch_norm,
    "aten_batch_norm": _aten_batch_norm,
    "instance_norm": _instance_norm,
    "aten_instance_norm": _aten_instance_norm,
    "_native_batch_norm_legit_no_training": _batch_norm_no_training,
}
