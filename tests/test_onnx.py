"""ONNX models: every operator against onnxruntime and onnx's reference, real networks, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import geomrelu as gr
from geomrelu.errors import (
    FileFormatError,
    InputError,
    NotPiecewiseLinearError,
    ShapeError,
    UnsupportedLayerError,
    WeightError,
)
from geomrelu.importers import as_network, self_check
from geomrelu.importers.files import load_model, read_model
from tests.onnx_graphs import CASES, Case, model_of, node, normal, random_graph

onnxruntime = pytest.importorskip("onnxruntime")
DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real networks at {DATA}")
REAL = sorted(path.relative_to(DATA) for path in DATA.glob("*/*.onnx") if "SIGMOID" not in path.name)


def run(model: onnx.ModelProto, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Outputs (N, n_outputs) of onnxruntime, a point at a time."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.array([session.run(None, {name: x.reshape(shape)})[0].reshape(-1) for x in points.astype(np.float32)])


def concrete(shape: Sequence[int | str]) -> list[int]:
    return [1 if isinstance(n, str) else n for n in shape]


# ---- operators


@pytest.mark.parametrize("name", CASES)
def test_operators(name: str) -> None:
    model = model_of(CASES[name])
    network = as_network(model)
    shape = concrete(CASES[name].shape)
    points = np.random.default_rng(0).normal(size=(20, int(np.prod(shape))))
    if name == "conv-same-dilated":  # which onnxruntime does not know
        expected = (
            ReferenceEvaluator(model).run(None, {"x": points.reshape(20, 1, 7).astype(np.float32)})[0].reshape(20, -1)
        )
    else:
        expected = run(model, points, shape)
    np.testing.assert_allclose(network(points.astype(np.float32)), expected, rtol=2e-5, atol=2e-6)
    check = self_check(model, network)
    assert check.ok, str(check)
    assert check.comparisons


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    model = model_of(random_graph(seed))
    check = self_check(model)
    assert check.ok, str(check)
    assert check.comparisons


@pytest.mark.parametrize("version", [7, 9, 11, 13, 15, 18, 21])
def test_operator_versions(version: int) -> None:
    """A network of the operators that did not change, in every version."""
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", "f"),
        node("Gemm", "f v a", transB=1),
    ]
    constants = {"w": normal(2, 1, 3, 3), "b": normal(2), "v": normal(3, 8), "a": normal(3)}
    model = model_of(Case(nodes, ["N", 1, 4, 4], constants, version))
    network = as_network(model)
    assert network.n_outputs == 3
    assert network.input_shape == (1, 4, 4)
    assert self_check(model, network).ok


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE])
def test_weights_keep_their_values(kind: int) -> None:
    weight = numpy_helper.from_array(normal(3, 3), "w")
    wanted = normal(3, 3).astype(helper.tensor_dtype_to_np_dtype(kind))
    weight = numpy_helper.from_array(wanted, "w")
    x, y = (helper.make_tensor_value_info(name, kind, ["N", 3]) for name in "xy")
    graph = helper.make_graph([node("MatMul", "x w", "h"), node("Relu", "h")], "graph", [x], [y], [weight])
    network = as_network(helper.make_model(graph))
    np.testing.assert_array_equal(network.layers[0].weight.T, wanted.astype(np.float64))


def test_open_shapes_are_given() -> None:
    model = model_of(Case([node("Flatten", "x", "f"), node("Relu", "f")], ["N", 1, "height", "width"]))
    with pytest.raises(ShapeError, match=r"\(1, '\?', '\?'\).*input_shape"):
        as_network(model)
    network = as_network(model, (1, 2, 3))
    assert network.input_shape == (1, 2, 3)
    assert network.n_outputs == 6
    with pytest.raises(ShapeError, match=r"got input_shape=\(2, 2, 3\)"):
        as_network(model, (2, 2, 3))


def test_only_what_the_output_needs_is_read() -> None:
    nodes = [node("Sigmoid", "x", "unused"), node("Relu", "x")]
    assert as_network(model_of(Case(nodes, [1, 2]))).n_neurons == 2


def test_bounds_that_float32_cannot_reach_make_no_neurons() -> None:
    """Exporters write a missing bound of Clip as the largest float32 number."""
    largest = np.finfo(np.float32).max
    model = model_of(Case([node("Clip", "x lo hi")], [1, 2], {"lo": -largest, "hi": np.float32(np.inf)}))
    assert as_network(model).n_neurons == 0


def test_weights_among_the_inputs() -> None:
    """Old files list their weights as inputs too."""
    model = model_of(Case([node("MatMul", "x w")], [1, 2], {"w": normal(2, 2)}))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 2]))
    assert as_network(model).n_inputs == 2


def test_functions_of_the_model_are_inlined() -> None:
    body = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    twice = helper.make_node("Twice", ["x"], ["y"], domain="own")
    model = model_of(Case([twice], [1, 2]))
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("own", 1))
    np.testing.assert_array_equal(as_network(model)([[1.0, -2.0]]), [[2.0, -4.0]])


def test_regions_of_a_convolutional_network_match_its_dense_twin() -> None:
    """The same function with its convolution written as a matrix has the same partition."""
    weight = normal(3, 1, 1, 2)
    dense = np.zeros((3, 2))
    dense[:, :] = weight[:, 0, 0, :]
    nodes = [
        node("Reshape", "x s", "i"),
        node("Conv", "i w", "c"),
        node("Relu", "c", "r"),
        node("Flatten", "r", "f"),
        node("MatMul", "f v"),
    ]
    constants = {"s": np.array([-1, 1, 1, 2]), "w": weight, "v": normal(3, 1)}
    network = as_network(model_of(Case(nodes, ["N", 2], constants)))
    twin = gr.Network([dense, normal(3, 1).T])
    box = gr.Box(-1, 1)
    assert gr.count_regions(network, box) == gr.count_regions(twin, box) > 1


# ---- refusals

_BRANCH = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 2])])
REFUSED: dict[str, tuple[Sequence[onnx.NodeProto], type[InputError], str]] = {
    "sigmoid": (
        [node("Sigmoid", "x")],
        NotPiecewiseLinearError,
        r"Sigmoid_to_y \(Sigmoid, node 1 of 1\).*extract_model",
    ),
    "softmax": ([node("Softmax", "x")], NotPiecewiseLinearError, "probabilities, cut it off"),
    "tanh": ([node("Relu", "x", "h"), node("Tanh", "h")], NotPiecewiseLinearError, "node 2 of 2.*works: Hardtanh"),
    "layer-norm": (
        [node("LayerNormalization", "x s")],
        NotPiecewiseLinearError,
        "LayerNormalization.*not piecewise linear",
    ),
    "argmax": ([node("ArgMax", "x")], NotPiecewiseLinearError, "jumps.*works: the model up to there, whose outputs"),
    **{
        kind: (
            [node(kind, "x s", "b"), node("Cast", "b", to=TensorProto.FLOAT)],
            NotPiecewiseLinearError,
            rf"{kind}, node 1 of 2\): {kind} jumps, or picks by comparing.*works: torch\.maximum",
        )
        for kind in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    },
    "equal": (
        [node("Equal", "x s", "b"), node("Cast", "b", to=TensorProto.FLOAT)],
        NotPiecewiseLinearError,
        "Equal jumps",
    ),
    "square": ([node("Mul", "x x")], NotPiecewiseLinearError, "multiplies two values that depend on the input"),
    "quotient": ([node("Div", "s x")], NotPiecewiseLinearError, "divides by a value that depends on the input"),
    "gram": ([node("MatMul", "x x")], NotPiecewiseLinearError, "multiplies two values"),
    "to-int": ([node("Cast", "x", to=TensorProto.INT64)], NotPiecewiseLinearError, "converts to INT64, which rounds"),
    "threshold": ([node("ThresholdedRelu", "x", alpha=1.0)], NotPiecewiseLinearError, "jumps from 0 to 1"),
    "shrink": ([node("Shrink", "x", lambd=1.0)], NotPiecewiseLinearError, "jumps.*expected bias=lambd"),
    "unknown": ([node("Einsum", "x", equation="ij->ji")], UnsupportedLayerError, "Einsum.*cannot be read"),
    "custom": ([helper.make_node("Fancy", ["x"], ["y"], domain="my.ops")], UnsupportedLayerError, "domain 'my.ops'"),
    "linear-resize": ([node("Resize", "x - s", mode="linear")], UnsupportedLayerError, "mode 'linear'.*'nearest'"),
    "if": (
        [node("If", "x", then_branch=_BRANCH, else_branch=_BRANCH)],
        UnsupportedLayerError,
        "runs a graph of its own, depending on data",
    ),
    "condition": ([node("Where", "x x s")], UnsupportedLayerError, "its input 'x' depends on the model's input"),
    "training": ([node("Dropout", "x r t")], UnsupportedLayerError, "training mode is random"),
    "random": (
        [node("RandomNormalLike", "x", "r"), node("Add", "x r")],
        UnsupportedLayerError,
        "RandomNormalLike.*cannot be read",
    ),
    "shapes": ([node("Add", "x three")], ShapeError, r"\(1, 2\) and \(3,\), which do not fit"),
    "inner-shapes": ([node("Gemm", "x square")], ShapeError, r"multiplies shapes \(1, 2\) and \(3, 3\)"),
    "reshape": ([node("Reshape", "x three_ints")], FileFormatError, "do not fit each other"),
    "attributes": ([node("Relu", "x", alpha=1.0)], FileFormatError, "not valid ONNX"),
    "missing": ([node("Add", "x nowhere")], FileFormatError, "needs 'nowhere', which nothing in the graph gives"),
    "huge": ([node("Expand", "x huge")], ShapeError, "asks for more than"),
    "constant-output": ([node("Neg", "s")], UnsupportedLayerError, "does not depend on its input"),
    "conv-1-axis": ([node("Conv", "x square")], UnsupportedLayerError, r"tensor of shape \(1, 2\)"),
}
PARAMETERS = {
    "s": np.ones(2),
    "r": np.float32(0.5),
    "t": np.array(True),
    "three": np.ones(3),
    "three_ints": np.array([3]),
    "square": normal(3, 3),
    "huge": np.array([2**40, 1, 2]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    nodes, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        as_network(model_of(Case(nodes, [1, 2], PARAMETERS)))


def test_a_scale_for_each_block_of_weights() -> None:
    nodes = [node("DequantizeLinear", "q s", "w", axis=0, block_size=2), node("MatMul", "x w")]
    constants = {"q": np.ones((2, 2), dtype=np.int8), "s": np.ones((1, 2))}
    with pytest.raises(UnsupportedLayerError, match="scale for each block of 2 numbers"):
        as_network(model_of(Case(nodes, [1, 2], constants, 21)))


@pytest.mark.parametrize("version", [7, 9, 13])
def test_statistics_of_a_batch_as_outputs(version: int) -> None:
    """Before version 14 an output for them is what says that a node is in training mode."""
    constants = {name: np.full(2, 0.5) for name in "sbmv"}
    plain = model_of(Case([node("BatchNormalization", "x s b m v", "y")], ["N", 2], constants, version))
    check = self_check(plain)
    assert check.ok, str(check)
    assert check.comparisons
    trained = Case([node("BatchNormalization", "x s b m v", "y mean var a c")], ["N", 2], constants, version)
    with pytest.raises(UnsupportedLayerError, match="training mode; export the model in eval mode"):
        as_network(model_of(trained))


def test_weights_that_are_not_finite() -> None:
    with pytest.raises(WeightError, match=r"entry \(0, 0\) is nan"):
        as_network(model_of(Case([node("MatMul", "x w")], [1, 2], {"w": np.full((2, 2), np.nan)})))


def test_several_inputs_and_outputs() -> None:
    model = model_of(Case([node("Relu", "x")], [1, 2]))
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2]))
    with pytest.raises(UnsupportedLayerError, match=r"2 inputs .'x', 'z'.*extract_model"):
        as_network(model)
    model = model_of(Case([node("Relu", "x"), node("Neg", "x", "z")], [1, 2]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2]))
    with pytest.raises(UnsupportedLayerError, match=r"2 outputs .'y', 'z'.*extract_model"):
        as_network(model)


def test_inputs_that_are_no_real_tensors() -> None:
    model = model_of(Case([node("Relu", "x")], [1, 2]))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(UnsupportedLayerError, match="'x' holds UINT8 numbers"):
        as_network(model)
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None))
    with pytest.raises(UnsupportedLayerError, match="'x' is a sequence_type"):
        as_network(model)


def test_operator_versions_that_are_not_known() -> None:
    model = model_of(Case([node("Relu", "x")], [1, 2]))
    model.opset_import[0].version = 6
    with pytest.raises(UnsupportedLayerError, match=r"version 6 .* expected 7 to"):
        as_network(model)


# ---- files


def saved(folder: Path, **options: Any) -> Path:
    model = model_of(Case([node("MatMul", "x w", "h"), node("Relu", "h")], ["N", 64], {"w": normal(64, 64)}))
    onnx.save_model(model, folder / "model.onnx", **options)
    return folder / "model.onnx"


def test_files(tmp_path: Path) -> None:
    network = read_model(saved(tmp_path))
    np.testing.assert_array_equal(network.layers[0].weight, normal(64, 64).T)


def test_external_data(tmp_path: Path) -> None:
    path = saved(tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_array_equal(read_model(path).layers[0].weight, normal(64, 64).T)
    data = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(data[:-8])
    with pytest.raises(FileFormatError, match=r"'w' in 'weights.bin' is damaged or cut off"):
        read_model(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FileFormatError, match=r"'w' is missing: no file 'weights.bin'"):
        read_model(path)
    with pytest.raises(WeightError, match="external data that was not loaded"):
        as_network(onnx.load(path, load_external_data=False))


@pytest.mark.parametrize("link", [False, True])
def test_external_data_outside_the_folder_is_not_read(tmp_path: Path, link: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = saved(folder, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").rename(tmp_path / "secret.bin")
    if link:
        (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    else:
        model = onnx.load(path, load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = "../secret.bin"
        path.write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError, match="outside the model's folder"):
        read_model(path)


def test_damaged_files(tmp_path: Path) -> None:
    """However a file is cut, the error is typed, or what is left is still read without a crash."""
    whole = saved(tmp_path).read_bytes()
    path = tmp_path / "cut.onnx"
    refused = 0
    for length in range(1, len(whole), len(whole) // 150):
        path.write_bytes(whole[:length])
        try:
            read_model(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            refused += 1
    assert refused > 140


def test_files_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a model\n" * 20)
    with pytest.raises(FileFormatError, match=r"text\.onnx: .*not an ONNX file"):
        read_model(path)


def test_without_onnx(tmp_path: Path) -> None:
    path = saved(tmp_path)
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from geomrelu.importers.files import read_model; from geomrelu.errors import MissingDependencyError\n"
        f"try: read_model({str(path)!r})\nexcept MissingDependencyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'geomrelu[onnx]'" in done.stdout


# ---- real networks


@needs_data
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_networks(path: Path) -> None:
    model = load_model(DATA / path)
    network = as_network(model)
    points = None
    if network.n_inputs in (784, 3072):
        points = np.load(DATA / f"{'mnist' if network.n_inputs == 784 else 'cifar10'}_inputs.npz")["x"]
    check = self_check(model, network, points)
    assert check.ok, str(check)
    exact, runtime = check.comparisons
    assert exact.original == "onnx's reference in float64"
    assert exact.difference < 1e-10 * max(1.0, float(np.abs(network(np.zeros((1, network.n_inputs)))).max()))
    assert runtime.original == "onnxruntime"


@needs_data
def test_a_real_sigmoid_is_refused_by_name() -> None:
    with pytest.raises(NotPiecewiseLinearError, match=r"Sigmoid_6 \(Sigmoid, node 7 of 18\)"):
        read_model(DATA / "onnx" / "ffnnSIGMOID__Point_6x200.onnx")
