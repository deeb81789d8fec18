"""What the sampled path has on a torch device: points in batches, a network's layers, affine maps.

torch's ReLU has derivative 0 at 0, which fits "exactly 0 counts as inactive".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.errors import InputError
from geomrelu.matrices import is_sparse, parts
from geomrelu.network import Layer

if TYPE_CHECKING:
    import torch

__all__ = [
    "LocalMaps",
    "TensorLayer",
    "affine_step",
    "as_numpy",
    "batches",
    "local_maps",
    "plain_forward",
    "rectified",
    "tensor_layer",
    "torch_device",
]


class LocalMaps(NamedTuple):
    """The affine map that a model shows at each of N points of dimension d.

    Attributes
    ----------
    values : (N, out) float64
        Outputs.
    gradients : (N, out, d) float64
        Gradient of each output.
    intercepts : (N, out) float64
        ``value - gradient . x``: the affine map is x -> gradients x + intercepts.
    """

    values: FloatArray
    gradients: FloatArray
    intercepts: FloatArray

    @property
    def rows(self) -> FloatArray:
        """Each map as one row: all gradient entries, then the intercepts, (N, out (d + 1))."""
        n, out, d = self.gradients.shape
        return np.concatenate([self.gradients.reshape(n, out * d), self.intercepts], axis=1)


class TensorLayer(NamedTuple):
    """A layer of a `Network` on a device; its first `n_neurons` units are rectified."""

    weight: torch.Tensor
    bias: torch.Tensor
    n_neurons: int


def tensor_layer(layer: Layer, device: torch.device) -> TensorLayer:
    """A layer's weight and bias, copied to a device."""
    import torch

    # from_numpy shares memory and dislikes read-only arrays; tensor() copies.
    if is_sparse(layer.weight):
        data, indices, indptr = (torch.tensor(part) for part in parts(layer.weight))
        shape = layer.weight.shape
        with warnings.catch_warnings():
            # torch calls its sparse matrices a beta.
            warnings.simplefilter("ignore", UserWarning)
            weight = torch.sparse_csr_tensor(indptr, indices, data, shape, dtype=torch.float64, device=device)
    else:
        weight = torch.tensor(layer.weight, dtype=torch.float64, device=device)
    return TensorLayer(
        weight,
        torch.tensor(layer.bias, dtype=torch.float64, device=device),
        layer.n_neurons,
    )


def torch_device(device: str | torch.device | None, own: torch.device | None) -> torch.device:
    """The device asked for, else the model's own, else the CPU; checked to exist and to know float64."""
    import torch

    available = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if hasattr(torch, "xpu"):
        available += [f"xpu:{k}" for k in range(torch.xpu.device_count())]
    wanted = device if device is not None else own if own is not None else "cpu"
    try:
        result = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device: got {device!r}, expected one of {', '.join(available)}") from error
    name = str(result) if result.index is not None or result.type == "cpu" else f"{result.type}:0"
    if name not in available and result.type != "cpu":
        hint = "; mps computes in float32 only, and sampling needs float64" if result.type == "mps" else ""
        raise InputError(f"device: got {str(wanted)!r}, expected one of {', '.join(available)}{hint}")
    return result


def batches(x: FloatArray, device: torch.device, chunk: int | None) -> Iterator[torch.Tensor]:
    """The points as leaf tensors of at most `chunk` rows; one empty batch if there are none."""
    import torch

    if chunk is None:
        # Small enough for the processor's caches; large enough to fill a GPU.
        size = 8192 if device.type == "cpu" else 1 << 18
    elif isinstance(chunk, bool) or not isinstance(chunk, int | np.integer) or chunk < 1:
        raise InputError(f"chunk: got {chunk!r}, expected a whole number of points, at least 1")
    else:
        size = int(chunk)
    for start in range(0, max(len(x), 1), size):
        yield torch.tensor(x[start : start + size], dtype=torch.float64, device=device).requires_grad_(True)


def rectified(u: torch.Tensor, n_neurons: int) -> torch.Tensor:
    """A layer's units (N, n) behind the ReLU of the first `n_neurons`."""
    import torch

    if n_neurons == u.shape[1]:
        return torch.relu(u)
    return torch.cat([torch.relu(u[:, :n_neurons]), u[:, n_neurons:]], dim=1)


def affine_step(h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``h weight^T + bias`` for rows h (N, inputs), or one (inputs,); the weight may be sparse."""
    import torch

    if weight.layout == torch.strided:
        return torch.nn.functional.linear(h, weight, bias)
    rows = h.reshape(-1, h.shape[-1])
    return ((weight @ rows.T).T + bias).reshape(*h.shape[:-1], len(bias))


def plain_forward(layers: list[TensorLayer], x: torch.Tensor) -> torch.Tensor:
    """Outputs of a network at points (N, d)."""
    h = x
    for weight, bias, n_neurons in layers[:-1]:
        h = rectified(affine_step(h, weight, bias), n_neurons)
    return affine_step(h, layers[-1].weight, layers[-1].bias)


def local_maps(x: torch.Tensor, values: torch.Tensor) -> LocalMaps:
    """Values, gradients and intercepts of a batch; rows are independent, so one backward pass per output."""
    import torch

    out = values.shape[1]
    gradients = x.new_zeros((len(x), out, x.shape[1]))
    if values.requires_grad:
        for k in range(out):
            (gradient,) = torch.autograd.grad(
                values[:, k].sum(), x, retain_graph=k + 1 < out, allow_unused=True, materialize_grads=True
            )
            gradients[:, k] = gradient
    with torch.no_grad():
        intercepts = values - torch.einsum("nod,nd->no", gradients, x)
    return LocalMaps(as_numpy(values), as_numpy(gradients), as_numpy(intercepts))


def as_numpy(tensor: torch.Tensor) -> FloatArray:
    """A float tensor as a float64 array."""
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
