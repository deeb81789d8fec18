"""Readers of other libraries' models: everything becomes a `Network`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geomrelu.errors import InputError
from geomrelu.importers.selfcheck import self_check
from geomrelu.network import Network

__all__ = ["as_network", "self_check"]

_ACCEPTED = (
    "expected a torch.nn.Module, a torch.export.ExportedProgram, an onnx.ModelProto, "
    "a fitted scikit-learn MLPClassifier or MLPRegressor or a Pipeline that ends with one, or a gr.Network"
)


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
        tell it.

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
        If weights are not finite real numbers, or do not fit each other or the input.
    MissingDependencyError
        If an ONNX model is given, and onnx is not installed.

    Examples
    --------
    >>> import torch
    >>> as_network(torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)))
    Network(2-8-1, 8 neurons)
    """
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
    if input_shape is None or tuple(input_shape) == network.input_shape:
        return network
    return Network.from_layers(network.layers, input_shape)
