"""Readers of other libraries' models: everything becomes a `Network`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from geomrelu.arrays import same_order
from geomrelu.errors import InputError, ShapeError
from geomrelu.importers.selfcheck import self_check
from geomrelu.network import Network

__all__ = ["as_network", "self_check"]

_ACCEPTED = (
    "expected a torch.nn.Module, a torch.export.ExportedProgram, an onnx.ModelProto, "
    "a fitted scikit-learn MLPClassifier or MLPRegressor or a Pipeline that ends with one, or a gr.Network"
)

_LARGEST = 10**8


def as_network(model: Any, input_shape: Sequence[int] | None = None) -> Network:
    """`model` as a `Network` with exactly its weights.

    Parameters
    ----------
    model : Network, torch.nn.Module, torch.export.ExportedProgram, onnx.ModelProto, MLPClassifier, \
            MLPRegressor, Pipeline
        A network is returned as it is.  A torch module is read by tracing its ``forward``, and
        left unchanged.  Of a scikit-learn classifier the outputs are the logits: the last
        activation (logistic, softmax) is left off.
    input_shape : sequence of int, optional
        Shape of one input, without the batch, e.g. (1, 28, 28): needed where the model does not
        tell it (convolutions, open axes of files).  Where the model tells it, the flat shape (784,)
        and axes of length 1 more or fewer will do, too: the numbers are in the same order.

    Returns
    -------
    Network
        Weights float64, each with exactly the value that the model holds.  Affine steps in a row
        are one where float64 holds their product exactly, and stay apart elsewhere; a ReLU that
        follows a ReLU is dropped, since it changes nothing.

    Raises
    ------
    InputError
        If the model is none of these, or not fitted.
    NotPiecewiseLinearError, UnsupportedLayerError
        If a layer is not piecewise linear, or not read by this version; named with its path.
    WeightError, ShapeError
        If weights are not finite real numbers, or do not fit each other or the input; if
        `input_shape` is none, or another than the model's own.
    MissingDependencyError
        If an ONNX model is given, and onnx is not installed.

    Examples
    --------
    >>> import torch
    >>> as_network(torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)))
    Network(2-8-1, 8 neurons)
    """
    input_shape = None if input_shape is None else _checked(input_shape)
    if isinstance(model, type):
        raise InputError(f"model: got the class {model.__name__}, not an instance of it; {_ACCEPTED}")
    # By name, so that no library is imported for models of another one.
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(model).__mro__}
    if bases & {"torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram"}:
        from geomrelu.importers.torch import network_from_torch

        return network_from_torch(model, input_shape)
    if any(name.startswith("onnx.") and name.endswith(".ModelProto") for name in bases):
        from geomrelu.importers.onnx import network_from_onnx

        return network_from_onnx(model, input_shape)
    if "geomrelu.importers.program.Program" in bases:
        from geomrelu.importers.program import network_of

        return network_of(model, input_shape)
    if isinstance(model, Network):
        network = model
    elif "geomrelu.importers.nnet.Nnet" in bases:
        network = model.network()
    elif "sklearn.base.BaseEstimator" in bases:
        from geomrelu.importers.sklearn import network_from_sklearn

        network = network_from_sklearn(model)
    else:
        advice = ""
        if isinstance(model, str) or hasattr(model, "__fspath__"):
            advice = "; to read a file use geomrelu.importers.files.read_model(path)"
        elif isinstance(model, dict):
            advice = "; load a state dict into its module first (module.load_state_dict)"
        raise InputError(f"model: got {type(model).__name__}; {_ACCEPTED}{advice}")
    if input_shape is None or input_shape == network.input_shape:
        return network
    if math.prod(input_shape) == network.n_inputs and not same_order(input_shape, network.input_shape):
        raise ShapeError(
            f"model: got inputs of shape {input_shape}, but its own are of shape {network.input_shape}; expected that "
            "shape (numpy.moveaxis puts axes into another order), or the flat one"
        )
    return Network.from_layers(network.layers, input_shape)


def _checked(input_shape: Any) -> tuple[int, ...]:
    """The shape as a tuple of whole numbers, 1 or more, of an input that fits into memory."""
    sizes = input_shape.tolist() if isinstance(input_shape, np.ndarray) else input_shape
    if (
        not isinstance(sizes, list | tuple)
        or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in sizes)
        or min(sizes, default=0) < 1
        or math.prod(int(n) for n in sizes) > _LARGEST
    ):
        raise ShapeError(
            f"model: got input_shape={input_shape!r}; expected whole numbers, 1 or more, with a product of at most "
            f"{_LARGEST:,}, such as (3, 32, 32): the shape of one input, without the batch"
        )
    return tuple(int(n) for n in sizes)
