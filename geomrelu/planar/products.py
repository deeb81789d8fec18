"""A layer's matrix products: by numpy on the processor, or on a torch device.

The rounding bounds (`bounds`) hold for sums of float64 products in any order, with or without fused
multiply-adds, so a device's sums are as good as the processor's: signs, and all that is combinatorial, are
the same.  Only bits of coordinates, beyond their stated errors, may differ.  A device that imitates
float64 by shorter numbers would have other bounds, so it is refused.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.errors import InputError
from geomrelu.matrices import is_sparse
from geomrelu.network import Network
from geomrelu.sampling.tensors import torch_device

__all__ = ["Products"]

# Entries of a matrix from which on a device is worth the way there and back.
_WORTH = 1 << 13
_IMITATION = "CUBLAS_EMULATE_DOUBLE_PRECISION"


class Products:
    """The products of rows with the transposed weights of a network's hidden layers.

    Parameters
    ----------
    network : Network
    device : str, torch.device or None
        Where products with large matrices are computed; None for numpy.

    Raises
    ------
    InputError
        If there is no such device, or it computes in no true float64.
    """

    def __init__(self, network: Network, device: Any = None) -> None:
        self.weights = [
            layer.weight.T if is_sparse(layer.weight) else np.ascontiguousarray(layer.weight.T)
            for layer in network.hidden
        ]
        self.device = None if device is None else torch_device(device, None)
        if self.device is not None and self.device.type == "meta":
            raise InputError("device: got 'meta', which computes nothing; expected one such as 'cuda'")
        if self.device is not None and os.environ.get(_IMITATION, "0") not in ("", "0"):
            raise InputError(
                f"device: {_IMITATION} is set, so products may not be float64's; unset it, or leave device out"
            )
        self._there: dict[int, Any] = {}

    def __call__(self, layer: int, rows: FloatArray, out: FloatArray) -> None:
        """Write the rows (k, inputs) times the layer's transposed weights to `out` (k, units)."""
        weight = self.weights[layer]
        if is_sparse(weight):
            out[...] = rows @ weight
        elif self.device is None or weight.size < _WORTH:
            np.matmul(rows, weight, out=out)
        else:
            import torch

            if layer not in self._there:
                self._there[layer] = torch.from_numpy(weight).to(self.device)
            out[...] = (torch.from_numpy(rows).to(self.device) @ self._there[layer]).cpu().numpy()
