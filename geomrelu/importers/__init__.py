"""Readers of other libraries' models: everything becomes a `Network`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geomrelu.errors import InputError
from geomrelu.network import Network

__all__ = ["as_network"]

_ACCEPTED = (
    "expected a torch.nn.Module, a torch.export.ExportedProgram, "
    "a fitted scikit-learn MLPClassifier or MLPRegressor, or a gr.Network"
)


def as_network(model: Any, input_shape: Sequence[int] | None = None) -> Network:
    """`model` as a `Network` with exactly its weights.

    Parameters
    ----------
    model : Network, torch.nn.Module, torch.export.ExportedProgram, MLPClassifier or MLPRegressor
        A network is returned as it is.  A torch module is read by tracing its ``forward``, and
        left unchanged.  Of a scikit-learn classifier the outputs are the logits: the last
        activation (logistic, softmax) is left off.

    Returns
    -------
    Network
        Weights float64, each with exactly the value that the model holds.  Affine layers in a
        row stay apart (their product would be rounded); a final ReLU is followed by the
        identity; a ReLU that follows a ReLU is dropped, since it changes nothing.

    Raises
    ------
    InputError
        If the model is none of these, or not fitted.
    NotPiecewiseLinearError, UnsupportedLayerError
        If a layer is not piecewise linear, or not read by this version; named with its path.
    WeightError, ShapeError
        If weights are not finite real numbers, or do not fit each other.

    Examples
    --------
    >>> import torch
    >>> as_network(torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)))
    Network(2-8-1, 8 neurons)
    """
    if isinstance(model, Network):
        return model
    if isinstance(model, type):
        raise InputError(f"model: got the class {model.__name__}, not an instance of it; {_ACCEPTED}")
    # By name, so that neither library is imported for models of the other one.
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(model).__mro__}
    if bases & {"torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram"}:
        from geomrelu.importers.torch import network_from_torch

        return network_from_torch(model, input_shape)
    if "sklearn.base.BaseEstimator" in bases:
        from geomrelu.importers.sklearn import network_from_sklearn

        return network_from_sklearn(model)
    advice = ""
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        advice = "; to read a file use geomrelu.importers.files.read_model(path)"
    elif isinstance(model, dict):
        advice = "; load a state dict into its module first (module.load_state_dict)"
    raise InputError(f"model: got {type(model).__name__}; {_ACCEPTED}{advice}")
