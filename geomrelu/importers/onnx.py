"""ONNX models, read by the ``onnx`` package as data: nothing in a file is executed.

A graph is read for one point at a time, a batch of one, so that all shapes are numbers.  What does not
depend on the input (weights, shapes, and what the graph computes from them) is folded, integers exactly;
floating-point constants have exactly the file's values, and what the graph computes from them is computed
in float64.  Each other node becomes operations of a `Program` on tensors (1, n), entries in C order
(`onnx_reader`, `onnx_operators`).

A cast from one floating-point type to another stands for the identity, as in real arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, external_data_helper, inliner, numpy_helper

from geomrelu.arrays import same_order
from geomrelu.errors import FileFormatError, GeomReluError, ShapeError, UnsupportedLayerError, WeightError
from geomrelu.importers.onnx_operators import OPERATORS, refusal
from geomrelu.importers.onnx_reader import FOLDED, Array, Reader, Tensor, array_of, widened
from geomrelu.importers.program import Program, Step, network_of
from geomrelu.network import Network

__all__ = ["load_onnx", "model_input", "network_from_onnx", "opset", "point_shape", "program_from_onnx"]

_OLDEST = 7
_EXPORT_AGAIN = "export the model again"
_EXTRACT = "cut it with onnx.utils.extract_model(path, new_path, [input], [output])"
_REAL = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def network_from_onnx(model: onnx.ModelProto, input_shape: Sequence[int] | None = None) -> Network:
    """An ONNX model as a `Network`: its inputs and outputs are the tensors' entries in C order.

    Parameters
    ----------
    model : onnx.ModelProto
        With its external data loaded: `load_onnx` and ``onnx.load`` do that.
    input_shape : sequence of int, optional
        The input's shape without its batch axis, where the model leaves it open.

    Raises
    ------
    FileFormatError
        If it is not a valid ONNX model.
    NotPiecewiseLinearError, UnsupportedLayerError
        If an operator that the output needs is not piecewise linear, or not read; named with its node.
    ShapeError, WeightError
        If shapes are not known or do not fit, or weights are not finite.

    Examples
    --------
    >>> from onnx import TensorProto, helper
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    >>> network_from_onnx(helper.make_model(graph))([[-1.0, 2.0]])
    array([[0., 2.]])
    """
    return network_of(program_from_onnx(model, input_shape))


def program_from_onnx(model: onnx.ModelProto, input_shape: Sequence[int] | None = None) -> Program:
    """The operations of `network_from_onnx`."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    graph = model.graph
    version = opset(model)
    source = model_input(model)
    shape, batched = point_shape(source, input_shape)
    if len(graph.output) != 1:
        names = ", ".join(repr(value.name) for value in graph.output)
        raise UnsupportedLayerError(f"model: has {len(graph.output)} outputs ({names}); expected one: {_EXTRACT}")
    target = graph.output[0].name
    nodes = _needed_nodes(graph, target)
    for node, where in nodes:
        _refuse_unread(node, where)
        _check_node(node, where, version)
    _check_tensors(model)
    reader = Reader(version, source.name, (1, *shape) if batched else shape)
    for tensor in graph.initializer:
        reader.values[tensor.name] = widened(array_of(tensor, tensor.name))
    steps = []
    for node, where in nodes:
        _read_node(reader, node, where)
        results = [reader.values.get(name) for name in node.output]
        steps += [Step(where, value.shape) for value in results[:1] if isinstance(value, Tensor)]
    result = reader.values.get(target)
    if not isinstance(result, Tensor):
        raise UnsupportedLayerError(f"model: its output {target!r} does not depend on its input; {_EXTRACT}")
    return Program(reader.operations, {}, source.name, result.ref, (None, *shape), steps)


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators that the model uses.

    Raises
    ------
    UnsupportedLayerError
        If it is too old, newer than the installed onnx, or the model does not say.
    """
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if len(versions) != 1 or not _OLDEST <= versions[0] <= newest:
        found = ", ".join(map(str, versions)) or "none"
        raise UnsupportedLayerError(
            f"model: uses version {found} of the ONNX operators; expected {_OLDEST} to {newest} (what the installed "
            "onnx knows): convert it with onnx.version_converter.convert_version, or update onnx"
        )
    return int(versions[0])


def model_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The one input that is not a weight.

    Raises
    ------
    UnsupportedLayerError
        If there are several, or it is not a tensor of floating-point numbers.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs)
        raise UnsupportedLayerError(f"model: has {len(inputs)} inputs ({names}); expected one: {_EXTRACT}")
    source: onnx.ValueInfoProto = inputs[0]
    if not source.type.HasField("tensor_type"):
        kind = source.type.WhichOneof("value")
        raise UnsupportedLayerError(f"model: its input {source.name!r} is a {kind}; expected a tensor: {_EXTRACT}")
    kind = source.type.tensor_type.elem_type
    if kind not in _REAL:
        raise UnsupportedLayerError(
            f"model: its input {source.name!r} holds {_type_name(kind)} numbers; "
            f"expected floating-point ones: {_EXTRACT}"
        )
    return source


def _type_name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)) if kind in TensorProto.DataType.values() else f"unknown ({kind})"


def point_shape(source: onnx.ValueInfoProto, input_shape: Sequence[int] | None = None) -> tuple[tuple[int, ...], bool]:
    """Shape of one point, and whether the input has a batch axis before it.

    An input of two or more axes whose first one is free or of length 1 has a batch axis.

    Raises
    ------
    ShapeError
        If a length is not known, or `input_shape` does not fit the model.
    """
    tensor = source.type.tensor_type
    given = None if input_shape is None else tuple(input_shape)
    if not tensor.HasField("shape"):
        if given is None:
            raise ShapeError(f"model: the shape of its input {source.name!r} is not known; give input_shape=(...)")
        return given, True
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    batched = len(sizes) > 1 and sizes[0] in (None, 1)
    own = sizes[1:] if batched else sizes
    shown = tuple("?" if n is None else n for n in own)
    if given is not None:
        if len(given) == len(own) and all(n in (None, m) for n, m in zip(own, given, strict=True)):
            own = list(given)
        elif None in own or not same_order(given, tuple(n for n in own if n is not None)):
            raise ShapeError(f"model: got input_shape={given}, expected {shown}, its input {source.name!r}'s, or flat")
    if not own or any(n is None or n < 1 for n in own):
        raise ShapeError(
            f"model: its input {source.name!r} has shape {shown} after the batch axis; expected whole numbers, "
            "1 or more: give those that are open (?) by input_shape=(...)"
        )
    return tuple(n for n in own if n is not None), batched


# ---- nodes


def _needed_nodes(graph: onnx.GraphProto, target: str) -> list[tuple[onnx.NodeProto, str]]:
    """The nodes that the output needs, in order, and what messages call them."""
    wanted = {target}
    found = []
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if wanted & set(node.output):
            wanted |= set(node.input)
            if not all(isinstance(text, str) for text in (node.op_type, node.domain, *node.input, *node.output)):
                raise FileFormatError(f"model: node {index + 1} has a name that is no text; {_EXPORT_AGAIN}")
            name = node.name or next(iter(node.output), "")
            found.append((node, f"{name} ({node.op_type}, node {index + 1} of {len(graph.node)})"))
    return found[::-1]


def _refuse_unread(node: onnx.NodeProto, where: str) -> None:
    """Refuse by name what no operator table knows, before anything else is looked at."""
    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedLayerError(
            f"{where}: belongs to the custom domain {node.domain!r}; expected standard ONNX operators: "
            "export the model with those"
        )
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        raise UnsupportedLayerError(
            f"{where}: runs a graph of its own, depending on data; expected one fixed graph: "
            "export the model without branches and loops"
        )
    if node.op_type not in OPERATORS and node.op_type not in FOLDED:
        raise refusal(node.op_type, where)


def _read_node(reader: Reader, node: onnx.NodeProto, where: str) -> None:
    missing = [name for name in node.input if name and name not in reader.values]
    if missing:
        raise FileFormatError(
            f"{where}: needs {missing[0]!r}, which nothing in the graph gives (a second output of a node?); "
            f"{_EXPORT_AGAIN}"
        )
    try:
        results = _results(reader, node, where)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, ArithmeticError) as error:
        if isinstance(error, GeomReluError):
            raise
        # What the operator's rules do not say is left to numpy to object to.
        raise FileFormatError(
            f"{where}: its inputs and attributes do not fit each other ({error}); {_EXPORT_AGAIN}"
        ) from error
    reader.values.update(zip(node.output, results, strict=False))


def _results(reader: Reader, node: onnx.NodeProto, where: str) -> Sequence[Array | Tensor]:
    if not any(isinstance(reader.values[name], Tensor) for name in node.input if name):
        return reader.fold(node, where)
    if node.op_type not in OPERATORS:
        raise refusal(node.op_type, where)
    result = OPERATORS[node.op_type](reader, node, where)
    return result if isinstance(result, list) else [result]


def _check_tensors(model: onnx.ModelProto) -> None:
    """Refuse weights that are not there."""
    for tensor in _tensors(model):
        if external_data_helper.uses_external_data(tensor):
            raise WeightError(
                f"{tensor.name}: is external data that was not loaded; load the model with onnx.load(path)"
            )
    if model.graph.sparse_initializer:
        raise UnsupportedLayerError("model: holds sparse weights; expected dense ones: export the model with those")


def _check_node(node: onnx.NodeProto, where: str, version: int) -> None:
    """Hold a node to its operator's rules: numbers of inputs, names and types of attributes."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {"": version}
    try:
        onnx.checker.check_node(node, context)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileFormatError(f"{where}: not valid ONNX ({reason}); {_EXPORT_AGAIN}") from error


# ---- files


def load_onnx(path: Path) -> onnx.ModelProto:
    """The model in an ``.onnx`` file, with external data from the file's own folder only.

    Raises
    ------
    FileFormatError
        If it is not such a file, is damaged, or its external data is missing or lies elsewhere.
    """
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise FileFormatError(f"{path}: not an ONNX file, or damaged ({error}); {_EXPORT_AGAIN}") from error
    if not model.graph.node and not model.graph.output:
        raise FileFormatError(f"{path}: holds no graph: not an ONNX file, or damaged; {_EXPORT_AGAIN}")
    folder = path.resolve().parent
    for tensor in _tensors(model):
        if external_data_helper.uses_external_data(tensor):
            _load_external(path, folder, tensor)
    return model


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _load_external(path: Path, folder: Path, tensor: onnx.TensorProto) -> None:
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    try:
        data = (folder / location).resolve()
        if not location or not data.is_relative_to(folder):
            raise FileFormatError(
                f"{path}: the data of {tensor.name!r} lies at {location!r}, outside the model's folder, which is not "
                "read; move it there and save the model again"
            )
        if not data.is_file():
            raise FileFormatError(
                f"{path}: the data of {tensor.name!r} is missing: no file {location!r} beside it; copy it there"
            )
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = TensorProto.DEFAULT
        numpy_helper.to_array(tensor)
    except (onnx.checker.ValidationError, OSError, ValueError, TypeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{path}: the data of {tensor.name!r} in {location!r} is damaged or cut off ({error}); {_EXPORT_AGAIN}"
        ) from error
