"""What a model is made of, for people to read: `geomrelu info`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geomrelu.importers.nnet import Nnet
from geomrelu.importers.program import Constant, Program, Step, steps_of
from geomrelu.network import Network

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """A model.

    Attributes
    ----------
    kind : str
        What it is, e.g. ``"ONNX, operators of version 9, from pytorch"``.
    n_parameters : int
        Numbers that the model holds; a convolution's weights count once.
    steps : tuple of Step
        Its layers or operators in order, and the shapes of their results; empty where it has
        none besides the network's layers.
    """

    kind: str
    n_parameters: int
    steps: tuple[Step, ...]


def describe(model: Any, network: Network) -> Description:
    """A model as `geomrelu.importers.files.load_model` gives it, and the network that it was read as.

    Examples
    --------
    >>> network = Network([[[1.0], [-1.0]], [[1.0, 1.0]]])
    >>> describe(network, network)
    Description(kind='weights and biases, ReLU between', n_parameters=7, steps=())
    """
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(model).__mro__}
    program: Program | None = None
    if any(name.startswith("onnx.") and name.endswith(".ModelProto") for name in bases):
        from geomrelu.importers.onnx import opset, program_from_onnx

        program = program_from_onnx(model, network.input_shape)
        maker = f", from {model.producer_name}" if model.producer_name else ""
        kind = f"ONNX, operators of version {opset(model)}{maker}"
        count = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    elif "sklearn.base.BaseEstimator" in bases:
        from geomrelu.importers.sklearn import program_from_sklearn

        program = program_from_sklearn(model)
        kind, count = f"scikit-learn {type(model).__name__}", _n_constants(program)
    elif isinstance(model, Program):
        program = model
        kind, count = "torch.export program", _n_constants(program)
    elif isinstance(model, Nnet):
        units = "its own" if model.normalise else "normalised"
        kind = f".nnet network, inputs and outputs in {units} units"
        count = sum(array.size for array in (*model.weights, *model.biases))
    else:
        kind, count = "weights and biases, ReLU between", network.n_parameters
    steps = () if program is None else tuple(steps_of(program, network.input_shape))
    return Description(kind, count, steps)


def _n_constants(program: Program) -> int:
    arguments = [arg for operation in program.operations for arg in operation.args]
    found = [value for value in (*program.constants.values(), *arguments) if isinstance(value, Constant)]
    return sum(value.array.size for value in found)
