"""Models as their own libraries compute them, for the importer's self-check.

Nothing here shares code with what reads the models: torch runs the module, scikit-learn its pipeline,
onnx's reference and onnxruntime the graph.
"""

from __future__ import annotations

import copy
import io
import math
import operator
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.importers.program import Constant, Program, Ref

__all__ = ["Original", "in_float64", "originals"]

_DOUBLE = float(np.finfo(np.float64).eps) / 2


@dataclass(frozen=True, eq=False)
class Original:
    """A model that can be run.

    Attributes
    ----------
    name : str
        Who computes, and in which numbers.
    evaluate : callable
        Outputs at points (N, n_inputs), as (N, n_outputs).
    roundoff : float
        Unit roundoff of its arithmetic.
    """

    name: str
    evaluate: Callable[[FloatArray], FloatArray]
    roundoff: float = _DOUBLE


def originals(model: Any, shape: tuple[int, ...]) -> list[Original]:
    """What computes a model besides geomrelu; empty where nothing else does.

    Parameters
    ----------
    model : as for `as_network`
    shape : tuple of int
        Shape of one input.
    """
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(model).__mro__}
    if "geomrelu.importers.nnet.Nnet" in bases:
        return [Original("the format's formula in float64", model.evaluate)]
    if "sklearn.base.BaseEstimator" in bases:
        return [Original("scikit-learn", _sklearn_outputs(model))]
    if "torch.nn.modules.module.Module" in bases:
        return [Original("torch in float64", _torch_outputs(_copy(model), shape))]
    if "torch.export.exported_program.ExportedProgram" in bases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself
            return [Original("torch in float64", _torch_outputs(copy.deepcopy(model.module()), shape))]
    if isinstance(model, Program):
        evaluate = _aten_outputs(model, shape)
        return [Original("torch's operators in float64", evaluate)] if _runs(evaluate, shape) else []
    if any(name.endswith(".ModelProto") for name in bases):
        return _onnx_originals(model, shape)
    return []


# ---- torch


def _copy(module: Any) -> Any:
    """A deep copy; of weights that pruning or the older weight norm has computed, which torch does not copy, too."""
    import torch

    held = [value for own in module.modules() for value in vars(own).values() if isinstance(value, torch.Tensor)]
    return copy.deepcopy(module, {id(value): value.detach().clone() for value in held if not value.is_leaf})


def _torch_outputs(module: Any, shape: tuple[int, ...]) -> Callable[[FloatArray], FloatArray]:
    """A module of one's own, run in float64, one point at a time: its batch axis may have a fixed length.

    What it computes of its weights alone (weight normalisation, say) is a weight, and keeps their precision.
    """
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._pytree import tree_leaves, tree_map_only

    class Widened(TorchFunctionMode):
        """Functions of the input, which is float64, take everything in float64."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = (args, kwargs or {})
            if any(isinstance(v, torch.Tensor) and v.dtype == torch.float64 for v in tree_leaves(given)):
                given = tree_map_only(torch.Tensor, lambda v: v.double() if v.is_floating_point() else v, given)
            return func(*given[0], **given[1])

    own = module.to("cpu")

    def run(points: FloatArray) -> FloatArray:
        with torch.no_grad(), Widened():
            rows = [own(torch.tensor(point.reshape(1, *shape))) for point in points]
        return np.array([row.reshape(-1).numpy() for row in rows])

    return run


def _aten_outputs(program: Program, shape: tuple[int, ...]) -> Callable[[FloatArray], FloatArray]:
    """An exported program run by torch's own operators, since `torch.export.load` may run what a file holds."""
    import torch

    def tensor(value: Any) -> Any:
        if not isinstance(value, Constant):
            return value
        array = torch.tensor(value.array)
        return array.double() if array.is_floating_point() else array

    constants = {name: tensor(value) for name, value in program.constants.items()}

    def run_one(point: FloatArray) -> FloatArray:
        values = {**constants, program.input: torch.tensor(point.reshape(1, *shape))}

        def given(value: Any) -> Any:
            if isinstance(value, Ref):
                return values[value.name]
            if isinstance(value, list | tuple):
                return [given(item) for item in value]
            return torch.float64 if value == "float" else tensor(value)

        for operation in program.operations:
            args = [given(arg) for arg in operation.args]
            # Layouts and devices come as the names of their kinds, and make no difference.
            named = {key: arg for key, arg in operation.kwargs.items() if not str(arg).startswith("as_")}
            kwargs = {key: given(arg) for key, arg in named.items()}
            if operation.kind.rpartition(".")[2] == "getitem":
                values[operation.name] = operator.getitem(*args)
            else:
                run_kind = getattr(torch.ops.aten, operation.kind.removeprefix("aten_"))
                values[operation.name] = run_kind(*args, **kwargs)
        (output,) = given(program.output)
        return np.asarray(output.reshape(-1).numpy())

    def run(points: FloatArray) -> FloatArray:
        with torch.no_grad():
            return np.array([run_one(point) for point in points])

    return run


# ---- scikit-learn


def _sklearn_outputs(model: Any) -> Callable[[FloatArray], FloatArray]:
    *before, last = (_widened(step) for step in _steps(model))
    perceptron = last
    # Then what it calls probabilities are the logits.
    perceptron.out_activation_ = "identity"

    def run(points: FloatArray) -> FloatArray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the points have no feature names
            x: Any = points
            for step in before:
                x = step.transform(x)
            if not hasattr(perceptron, "predict_proba"):
                return np.asarray(perceptron.predict(x), dtype=np.float64).reshape(len(points), -1)
            scores = np.asarray(perceptron.predict_proba(x), dtype=np.float64)
        # Of two classes the columns are 1 - logit and logit.
        return scores[:, 1:] if perceptron.n_outputs_ == 1 else scores

    return run


def _widened(step: Any) -> Any:
    """A copy of a step; PCA fitted to float32 numbers would multiply its mean and components in float32."""
    step = copy.copy(step)
    if hasattr(step, "components_") and hasattr(step, "mean_"):
        step.mean_, step.components_ = (np.asarray(v, dtype=np.float64) for v in (step.mean_, step.components_))
    return step


def _steps(model: Any) -> list[Any]:
    """The estimators in a pipeline, in order, those of pipelines in it too."""
    if not hasattr(model, "steps"):
        return [] if model is None or model == "passthrough" else [model]
    return [inner for _, step in model.steps for inner in _steps(step)]


# ---- ONNX


def _onnx_originals(model: Any, shape: tuple[int, ...]) -> list[Original]:
    """onnx's reference in float64, and onnxruntime, in the model's own numbers, if it is installed."""
    from onnx import TensorProto

    from geomrelu.importers.onnx import model_input, point_shape

    source = model_input(model)
    batched = point_shape(source, shape)[1]
    full = (1, *shape) if batched else shape

    def rows(run: Callable[[FloatArray], Any]) -> Callable[[FloatArray], FloatArray]:
        def evaluate(points: FloatArray) -> FloatArray:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return np.array([np.asarray(run(x.reshape(full)), dtype=np.float64).reshape(-1) for x in points])

        return evaluate

    found = []
    reference = _reference(model)
    if reference is not None:
        evaluate = rows(lambda x: reference.run(None, {source.name: x})[0])
        if _runs(evaluate, shape):
            found.append(Original("onnx's reference in float64", evaluate))
    dtypes: dict[Any, Any] = {
        TensorProto.FLOAT: np.float32,
        TensorProto.DOUBLE: np.float64,
        TensorProto.FLOAT16: np.float16,
    }
    dtype = dtypes.get(source.type.tensor_type.elem_type)
    session = _session(model) if dtype is not None else None
    if session is not None and dtype is not None:
        evaluate = rows(lambda x: session.run(None, {source.name: x.astype(dtype)})[0])
        if _runs(evaluate, shape):
            found.append(Original("onnxruntime", evaluate, float(np.finfo(dtype).eps) / 2))
    return found


def _reference(model: Any) -> Any:
    """onnx's reference for the model in float64; None where it cannot run it or is known to be wrong."""
    from onnx.reference import ReferenceEvaluator

    from geomrelu.importers.onnx import opset

    version = opset(model)
    if any(_misjudged(node, version) for node in model.graph.node):
        return None
    try:
        return ReferenceEvaluator(in_float64(model))
    except Exception:  # an operator, needed or not, that it does not know
        return None


def _misjudged(node: Any, version: int) -> bool:
    """Whether onnx's reference is wrong about a node.

    It is about transposed convolutions in groups, about maxima over windows padded at their beginnings, and
    about batch normalisation before version 14, which it takes to be in training mode.
    """
    given = {a.name: a for a in node.attribute}
    if node.op_type == "BatchNormalization":
        return version < 14
    if node.op_type == "MaxPool":
        return "auto_pad" in given and given["auto_pad"].s == b"SAME_LOWER"
    return node.op_type == "ConvTranspose" and "group" in given and bool(given["group"].i > 1)


def _runs(evaluate: Callable[[FloatArray], FloatArray], shape: tuple[int, ...]) -> bool:
    try:
        evaluate(np.zeros((1, math.prod(shape))))
    except Exception:  # whatever an operator raises that it does not know
        return False
    return True


def _session(model: Any) -> Any:
    """A session of onnxruntime; None where it is not installed, or cannot run the model."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    # Higher levels may compute another function: weights stored as integers are multiplied by rounded inputs.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    try:
        # It prints what goes wrong, and standard output is not its own.
        with redirect_stdout(io.StringIO()):
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # an operator set that is too new for it, say
        return None


def in_float64(model: Any) -> Any:
    """A copy of an ONNX model whose floating-point numbers are all float64; the same real function.

    Examples
    --------
    >>> from onnx import TensorProto, helper
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)], "cast", [x], [y])
    >>> in_float64(helper.make_model(graph)).graph.node[0].attribute[0].i == TensorProto.DOUBLE
    True
    """
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    def widen(tensor: Any) -> None:
        if tensor.data_type in real:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))

    real = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    result = ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        widen(tensor)
    for value in (*result.graph.input, *result.graph.output):
        if value.type.tensor_type.elem_type in real:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del result.graph.value_info[:]
    for node in result.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                widen(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i in real:
                attribute.i = TensorProto.DOUBLE
            elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                numbers = np.asarray(helper.get_attribute_value(attribute), dtype=np.float64)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(numbers)))
    return result
