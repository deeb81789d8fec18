"""Torch's own layers as calls of the functions that they are: ``nn.Conv2d`` as ``conv2d``, and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["layer_call"]

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
# What a layer's parameter or buffer is now, as a constant; None if it has none.
Tensors = Callable[[str], Any]


def layer_call(forward: Any, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any],
               tensor: Tensors) -> list[Call] | None:  # fmt: skip
    """The functions that a layer calls one after the other, each on the result of the one before.

    Parameters
    ----------
    forward : function
        The module's forward, by which its kind is known: a subclass may override it.
    tensor : callable
        Gives a parameter or buffer of the module by its name.

    Returns
    -------
    list of (kind, args, kwargs), or None
        Arguments of all but the first call lack the running value.  None if the layer is not read.
    """
    if forward in _ATTRIBUTES:
        kind, names = _ATTRIBUTES[forward]
        return [(kind, args, {**kwargs, **{name: getattr(module, name) for name in names}})]
    if forward in _MAKERS:
        return _MAKERS[forward](module, args, kwargs, tensor)
    return None


def _linear(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
    return [("linear", (*args, tensor("weight"), tensor("bias")), kwargs)]


def _conv(n_axes: int) -> Callable[..., list[Call]]:
    def calls(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
        padding, before = module.padding, []
        if module.padding_mode != "zeros":
            # The layer pads its input itself.
            before = [("pad", (*args, list(module._reversed_padding_repeated_twice)), {"mode": module.padding_mode})]
            args, padding = (), 0
        weights = (tensor("weight"), tensor("bias"), module.stride, padding, module.dilation, module.groups)
        return [*before, (f"conv{n_axes}d", (*args, *weights), kwargs)]

    return calls


def _conv_transpose(n_axes: int) -> Callable[..., list[Call]]:
    def calls(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
        settings = (module.stride, module.padding, module.output_padding, module.groups, module.dilation)
        return [(f"conv_transpose{n_axes}d", (*args, tensor("weight"), tensor("bias"), *settings), kwargs)]

    return calls


def _batch_norm(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
    tensors = [tensor(name) for name in ("running_mean", "running_var", "weight", "bias")]
    return [("batch_norm", (*args, *tensors, module.training, module.momentum, module.eps), kwargs)]


def _instance_norm(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
    tensors = [tensor(name) for name in ("running_mean", "running_var", "weight", "bias")]
    by_input = module.training or not module.track_running_stats
    return [("instance_norm", (*args, *tensors, by_input, module.momentum, module.eps), kwargs)]


def _prelu(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
    return [("prelu", (*args, tensor("weight")), kwargs)]


def _unflatten(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
    return [("unflatten", (*args, module.dim, list(module.unflattened_size)), kwargs)]


def _padding(mode: str) -> Callable[..., list[Call]]:
    def calls(module: Any, args: Any, kwargs: Any, tensor: Tensors) -> list[Call]:
        value = getattr(module, "value", 0.0) if mode == "constant" else None
        return [("pad", (*args, list(module.padding)), {**kwargs, "mode": mode, "value": value})]

    return calls


_POOL = ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode")
_MEAN = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

# Layers whose attributes are the function's arguments, by name.
_ATTRIBUTES: dict[Any, tuple[str, tuple[str, ...]]] = {
    nn.ReLU.forward: ("relu", ("inplace",)),
    nn.Identity.forward: ("identity", ()),
    nn.Flatten.forward: ("flatten", ("start_dim", "end_dim")),
    nn.LeakyReLU.forward: ("leaky_relu", ("negative_slope", "inplace")),
    nn.RReLU.forward: ("rrelu", ("lower", "upper", "training", "inplace")),
    nn.Hardtanh.forward: ("hardtanh", ("min_val", "max_val", "inplace")),
    nn.ReLU6.forward: ("hardtanh", ("min_val", "max_val", "inplace")),
    nn.Hardsigmoid.forward: ("hardsigmoid", ("inplace",)),
    nn.Threshold.forward: ("threshold", ("threshold", "value", "inplace")),
    nn.Softshrink.forward: ("softshrink", ("lambd",)),
    nn.MaxPool1d.forward: ("max_pool1d", _POOL),
    nn.MaxPool2d.forward: ("max_pool2d", _POOL),
    nn.MaxPool3d.forward: ("max_pool3d", _POOL),
    nn.AvgPool1d.forward: ("avg_pool1d", _MEAN),
    nn.AvgPool2d.forward: ("avg_pool2d", (*_MEAN, "divisor_override")),
    nn.AvgPool3d.forward: ("avg_pool3d", (*_MEAN, "divisor_override")),
    nn.AdaptiveMaxPool1d.forward: ("adaptive_max_pool1d", ("output_size", "return_indices")),
    nn.AdaptiveMaxPool2d.forward: ("adaptive_max_pool2d", ("output_size", "return_indices")),
    nn.AdaptiveMaxPool3d.forward: ("adaptive_max_pool3d", ("output_size", "return_indices")),
    nn.AdaptiveAvgPool1d.forward: ("adaptive_avg_pool1d", ("output_size",)),
    nn.AdaptiveAvgPool2d.forward: ("adaptive_avg_pool2d", ("output_size",)),
    nn.AdaptiveAvgPool3d.forward: ("adaptive_avg_pool3d", ("output_size",)),
    nn.Upsample.forward: ("interpolate", ("size", "scale_factor", "mode", "align_corners")),
    nn.PixelShuffle.forward: ("pixel_shuffle", ("upscale_factor",)),
    nn.PixelUnshuffle.forward: ("pixel_unshuffle", ("downscale_factor",)),
    nn.ChannelShuffle.forward: ("channel_shuffle", ("groups",)),
    **{layer.forward: ("dropout", ("p", "training")) for layer in (
        nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)},
}  # fmt: skip

_MAKERS: dict[Any, Callable[..., list[Call]]] = {
    nn.Linear.forward: _linear,
    nn.Conv1d.forward: _conv(1),
    nn.Conv2d.forward: _conv(2),
    nn.Conv3d.forward: _conv(3),
    nn.ConvTranspose1d.forward: _conv_transpose(1),
    nn.ConvTranspose2d.forward: _conv_transpose(2),
    nn.ConvTranspose3d.forward: _conv_transpose(3),
    nn.BatchNorm1d.forward: _batch_norm,  # of all three: they share it
    nn.SyncBatchNorm.forward: _batch_norm,
    nn.InstanceNorm1d.forward: _instance_norm,  # of all three
    nn.PReLU.forward: _prelu,
    nn.Unflatten.forward: _unflatten,
    nn.ConstantPad1d.forward: _padding("constant"),  # zero padding too
    nn.ReflectionPad1d.forward: _padding("reflect"),
    nn.ReplicationPad1d.forward: _padding("replicate"),
    nn.CircularPad1d.forward: _padding("circular"),
}
