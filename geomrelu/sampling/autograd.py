"""Values, gradients and intercepts of a model at points by autograd, on any torch device.

Models are evaluated in float64, as a copy and in evaluation mode: what is sampled is the
real-arithmetic network with the given weights, up to float64 rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, real_array
from geomrelu.domain import Slice
from geomrelu.errors import InputDimensionError, ShapeError, UnsupportedLayerError, WeightError
from geomrelu.network import Network
from geomrelu.sampling.tensors import LocalMaps, batches, local_maps, plain_forward, tensor_layer, torch_device

if TYPE_CHECKING:
    import torch

__all__ = ["sample_maps"]


def sample_maps(
    model: Any,
    points: npt.ArrayLike,
    device: str | torch.device | None = None,
    chunk: int | None = None,
    plane: Slice | None = None,
) -> LocalMaps:
    """Value, gradient and intercept of each output at each point, by autograd in float64.

    Parameters
    ----------
    model : torch.nn.Module, Network or scikit-learn MLP
        A module is copied; the copy runs in float64 and in evaluation mode.  It must treat
        the rows of a batch independently.  One that `geomrelu.partition` cannot read
        (`UnsupportedLayerError`) is sampled all the same, unless it is not piecewise linear.
    points : (N, d) array_like
    device : str or torch.device, optional
        Where to compute; by default where the model's parameters are.
    chunk : int, optional
        Points per batch; by default chosen for the device.
    plane : Slice, optional
        Points (N, 2), and the maps, are in its coordinates; the model is asked at their lifts.

    Examples
    --------
    >>> import torch
    >>> maps = sample_maps(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten()), [[2.0, -3.0]])
    >>> maps.gradients.tolist()
    [[[1.0, 0.0], [0.0, 0.0]]]
    """
    import torch

    x = _points(points)
    with torch.inference_mode(False), torch.enable_grad():
        if plane is not None and x.shape[1] != 2:
            raise InputDimensionError(f"points: got shape {x.shape}, expected (N, 2), in the slice's coordinates")
        forward, where = _forward(model, x.shape[1], device, plane)
        parts = []
        for batch in batches(x, where, chunk):
            values = forward(batch)
            parts.append(local_maps(batch, values))
    return LocalMaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _forward(
    model: Any, n_inputs: int, device: str | torch.device | None, plane: Slice | None
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.device]:
    """The model as a float64 function of a batch, and the device it runs on."""
    import torch

    if isinstance(model, torch.nn.Module):
        return _module_forward(model, n_inputs, device, plane)
    if isinstance(model, Network):
        network = model
    else:
        from geomrelu.importers import as_network

        network = as_network(model)
    if plane is not None:
        network = plane.embed(network)
    if network.n_inputs != n_inputs:
        raise InputDimensionError(
            f"points: got shape (N, {n_inputs}), expected (N, {network.n_inputs}) for {network}; "
            "of a network with more inputs sample a plane, such as gr.Slice.through(a, b, c)"
        )
    where = torch_device(device, None)
    layers = [tensor_layer(layer, where) for layer in network.layers]
    return lambda x: plain_forward(layers, x), where


def _module_forward(
    model: torch.nn.Module, n_inputs: int, device: str | torch.device | None, plane: Slice | None
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.device]:
    import torch

    _check_module(model, n_inputs, plane)
    own = next((t.device for t in [*model.parameters(), *model.buffers()]), None)
    where = torch_device(device, own)
    try:
        module = copy.deepcopy(model)
    except Exception as error:
        raise UnsupportedLayerError(
            f"model: {type(model).__name__} cannot be copied ({error}); sampling runs on a copy, so that yours "
            "stays as it is.  Tensors kept as attributes must be parameters or buffers"
        ) from error
    module = module.to(device=where, dtype=torch.float64).eval().requires_grad_(False)

    if plane is not None:
        basis = torch.tensor(plane.basis.reshape(2, -1), device=where)
        origin = torch.tensor(plane.origin.reshape(-1), device=where)

    def forward(x: torch.Tensor) -> torch.Tensor:
        if plane is not None:
            x = (x @ basis + origin).reshape(len(x), *plane.input_shape)
        try:
            values = module(x)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise InputDimensionError(
                f"model: {type(model).__name__} failed on points of shape {tuple(x.shape)} ({error}); "
                f"expected a model that takes float64 points of that shape; wrap it in a module that does"
            ) from error
        if not isinstance(values, torch.Tensor) or values.ndim not in (1, 2) or len(values) != len(x):
            got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise ShapeError(f"model: got output {got} for {len(x)} points, expected a tensor of shape ({len(x)}, out)")
        return values[:, None] if values.ndim == 1 else values

    return forward, where


def _check_module(model: torch.nn.Module, n_inputs: int, plane: Slice | None) -> None:
    """Refuse what `geomrelu.partition` would refuse, but for modules that merely cannot be read."""
    import torch

    from geomrelu.importers import as_network

    try:
        network = as_network(model, None if plane is None else plane.input_shape)
        if plane is not None:
            network = plane.embed(network)
    except UnsupportedLayerError:
        for name, tensor in model.named_parameters():
            if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta:
                raise WeightError(f"{name}: holds no values yet; load the weights, or call the model once") from None
            if not torch.isfinite(tensor).all():
                raise WeightError(
                    f"{name}: holds NaN or infinity; expected finite numbers only, so mend or retrain the model"
                ) from None
        return
    if network.n_inputs != n_inputs:
        raise InputDimensionError(
            f"model: {type(model).__name__} takes {network.n_inputs} inputs, the points have {n_inputs} coordinates; "
            "expected as many; of a model with more inputs sample a plane, such as gr.Slice.through(a, b, c)"
        )


def _points(points: npt.ArrayLike) -> FloatArray:
    x = real_array(points, "points", advice="leave out the others")
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputDimensionError(f"points: got shape {x.shape}, expected (N, d), one point a row")
    return x
