"""Small ONNX models, each made of the nodes under test, for the importer's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Case(NamedTuple):
    nodes: Sequence[onnx.NodeProto]
    shape: Sequence[int | str]
    constants: Mapping[str, Any] = {}
    opset: int = 17


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """Names are separated by blanks; a dash stands for an input that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), name=f"{kind}_to_{outputs.split()[0]}", **attributes)


def model_of(case: Case) -> onnx.ModelProto:
    """A model from x to y of float32 numbers; floating-point constants become float32."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, case.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = []
    for name, value in case.constants.items():
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        tensors.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(list(case.nodes), "graph", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=8)


def normal(*shape: int) -> np.ndarray:
    """Weights that are the same in every run."""
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


def _conv(weight: Sequence[int], shape: Sequence[int], bias: bool = True, **attributes: Any) -> Case:
    constants = {"w": normal(*weight), **({"b": normal(weight[0])} if bias else {})}
    return Case([node("Conv", "x w b" if bias else "x w", **attributes)], shape, constants)


def _turned(weight: Sequence[int], shape: Sequence[int], groups: int = 1, bias: bool = True, **attributes: Any) -> Case:
    constants = {"w": normal(*weight), **({"b": normal(weight[1] * groups)} if bias else {})}
    return Case([node("ConvTranspose", "x w b" if bias else "x w", group=groups, **attributes)], shape, constants)


def _pool(kind: str, shape: Sequence[int], opset: int = 19, **attributes: Any) -> Case:
    return Case([node(kind, "x", **attributes)], shape, {}, opset)


def _int(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


AFFINE = {
    "gemm": Case([node("Gemm", "x w b", transB=1)], ["N", 3], {"w": normal(4, 3), "b": normal(4)}),
    "gemm-scaled": Case([node("Gemm", "x w b", alpha=0.5, beta=3.0)], [1, 3], {"w": normal(3, 4), "b": normal(1, 4)}),
    "gemm-number": Case([node("Gemm", "x w b")], [1, 3], {"w": normal(3, 4), "b": np.float32(0.3)}),
    "gemm-without-bias": Case([node("Gemm", "x w")], [1, 3], {"w": normal(3, 4)}),
    "gemm-stored-as-integers": Case(
        [node("DequantizeLinear", "q s z", "w"), node("DequantizeLinear", "b t", "c"), node("Gemm", "x w c")],
        ["N", 3],
        {
            "q": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
            "s": np.array([0.1, 0.2, 0.3, 0.7]),
            "z": np.array([-3, 0, 2, 5], dtype=np.int8),
            "b": np.array([70, -30, 10, 20], dtype=np.int32),
            "t": np.float32(0.01),
        },
    ),
    "gemm-left": Case([node("Gemm", "w x b", transB=1)], [1, 3], {"w": normal(4, 3), "b": normal(4, 1)}),
    "gemm-rows": Case([node("Gemm", "x w b", transA=1)], [3, 2], {"w": normal(3, 4), "b": normal(2, 4)}),
    "gemm-tensor-bias": Case([node("Gemm", "x w", "h"), node("Gemm", "x w h", beta=2.0)], [1, 3], {"w": normal(3, 3)}),
    "matmul": Case([node("MatMul", "x w")], ["N", 3], {"w": normal(3, 4)}),
    "matmul-last-axis": Case([node("MatMul", "x w")], [1, 2, 3], {"w": normal(3, 4)}),
    "matmul-vector": Case([node("MatMul", "x w")], [1, 3], {"w": normal(3)}),
    "matmul-left": Case([node("MatMul", "w x")], [1, 3, 2], {"w": normal(4, 3)}),
    "matmul-left-vector": Case([node("MatMul", "w x")], [3, 1], {"w": normal(3)}),
    "matmul-one-axis": Case([node("MatMul", "x w")], [3], {"w": normal(3, 4)}),
    "matmul-higher": Case([node("MatMul", "x w")], [1, 3], {"w": normal(1, 1, 3, 4)}),
    "add-broadcast": Case([node("Add", "x w")], [1, 2, 3], {"w": normal(2, 1)}),
    "add-wider": Case([node("Add", "w x")], [1, 3], {"w": normal(2, 1, 3)}),
    "sub-from": Case([node("Sub", "w x")], [1, 3], {"w": normal(3)}),
    "residual": Case([node("MatMul", "x w", "h"), node("Sub", "h x")], [1, 3], {"w": normal(3, 3)}),
    "mul": Case([node("Mul", "x w")], [1, 2, 3], {"w": normal(2, 1)}),
    "div": Case([node("Div", "x w")], [1, 3], {"w": normal(3)}),
    "neg": Case([node("Neg", "x")], [1, 3]),
    "sum": Case([node("Sum", "w x x")], [1, 3], {"w": normal(3)}),
    "mean": Case([node("Mean", "x w x")], [1, 3], {"w": normal(3)}),
    "batch-norm": Case(
        [node("BatchNormalization", "x s b m v", epsilon=0.01)],
        [1, 3, 2, 2],
        {"s": normal(3), "b": normal(3), "m": normal(3), "v": normal(3) ** 2},
    ),
    "batch-norm-features": Case(
        [node("BatchNormalization", "x s b m v")],
        ["N", 3],
        {"s": normal(3), "b": normal(3), "m": normal(3), "v": normal(3) ** 2},
    ),
    "reduce-mean": Case([node("ReduceMean", "x", axes=[2, 3])], [1, 2, 3, 3]),
    "reduce-mean-first": Case([node("ReduceMean", "x", axes=[1], keepdims=0)], [1, 3, 2]),
    "reduce-mean-input": Case([node("ReduceMean", "x a", keepdims=0)], [1, 3, 2], {"a": _int(-1)}, 18),
    "reduce-sum": Case([node("ReduceSum", "x a")], [1, 3, 2], {"a": _int(1, -1)}),
    "reduce-sum-old": Case([node("ReduceSum", "x", axes=[-1])], [1, 3, 2], {}, 11),
    "reduce-all": Case([node("ReduceSum", "x", keepdims=0)], [1, 3, 2]),
    "reduce-none": Case([node("ReduceSum", "x", noop_with_empty_axes=1)], [1, 3, 2]),
}
CONVOLUTIONS = {
    "conv1d": _conv((4, 3, 2), [1, 3, 5]),
    "conv2d": _conv((4, 3, 2, 3), ["N", 3, 5, 6], strides=[2, 1], pads=[1, 0, 2, 1]),
    "conv3d": _conv((2, 2, 2, 1, 2), [1, 2, 3, 2, 3], bias=False),
    "conv-dilated": _conv((2, 1, 2, 2), [1, 1, 6, 6], dilations=[2, 3]),
    "conv-groups": _conv((6, 2, 2, 2), [1, 4, 3, 3], group=2),
    "conv-same-upper": _conv((2, 1, 2, 3), [1, 1, 5, 6], auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv-same-lower": _conv((2, 1, 2, 4), [1, 1, 5, 6], auto_pad="SAME_LOWER"),
    "conv-same-dilated": _conv((2, 1, 3), [1, 1, 7], auto_pad="SAME_UPPER", dilations=[2]),
    "conv-valid": _conv((2, 1, 2, 2), [1, 1, 5, 6], auto_pad="VALID", strides=[2, 2]),
    "turned1d": _turned((3, 2, 3), [1, 3, 4], strides=[2]),
    "turned2d": _turned((2, 3, 2, 3), [1, 2, 3, 3], strides=[2, 3], pads=[1, 0, 0, 2]),
    "turned-output-padding": _turned((2, 3, 2, 2), [1, 2, 3, 3], strides=[3, 3], output_padding=[1, 2]),
    "turned-output-shape": _turned((2, 1, 3, 3), [1, 2, 3, 3], strides=[2, 2], output_shape=[6, 6]),
    "turned-groups": _turned((4, 2, 2, 2), [1, 4, 2, 2], groups=2, bias=False),
    "turned-dilated": _turned((1, 2, 2, 2), [1, 1, 3, 3], dilations=[2, 3]),
    "turned-same": _turned((1, 2, 3, 3), [1, 1, 3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
}
POOLS = {
    "max-pool": _pool("MaxPool", [1, 2, 4, 4], kernel_shape=[2, 2], strides=[2, 2]),
    "max-pool-1d": _pool("MaxPool", [1, 2, 5], kernel_shape=[3]),
    "max-pool-padded": _pool("MaxPool", [1, 1, 4, 5], kernel_shape=[3, 2], pads=[1, 0, 2, 1], strides=[2, 1]),
    "max-pool-ceil": _pool("MaxPool", [1, 1, 5, 6], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
    "max-pool-ceil-in-padding": _pool("MaxPool", [1, 1, 5], kernel_shape=[2], strides=[3], pads=[1, 1], ceil_mode=1),
    "average-pool-ceil-in-padding": _pool(
        "AveragePool", [1, 1, 5], kernel_shape=[2], strides=[3], pads=[1, 1], ceil_mode=1, count_include_pad=1
    ),
    "max-pool-dilated": _pool("MaxPool", [1, 1, 5, 5], kernel_shape=[2, 2], dilations=[2, 3]),
    "max-pool-same": _pool("MaxPool", [1, 1, 4, 5], kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "average-pool": _pool("AveragePool", ["N", 2, 4, 4], kernel_shape=[3, 3]),
    "average-pool-padded": _pool("AveragePool", [1, 2, 4, 4], kernel_shape=[3, 2], pads=[1, 0, 2, 1]),
    "average-pool-counted": _pool("AveragePool", [1, 1, 4, 4], kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    "average-pool-ceil": _pool("AveragePool", [1, 1, 5, 5], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "max-pool-same-lower": _pool("MaxPool", [1, 1, 7, 8], kernel_shape=[3, 2], strides=[2, 1], auto_pad="SAME_LOWER"),
    "average-pool-same": _pool("AveragePool", [1, 1, 5, 4], kernel_shape=[2, 3], auto_pad="SAME_LOWER"),
    "average-pool-1d": _pool("AveragePool", [1, 2, 5], kernel_shape=[2], strides=[3]),
    "average-pool-dilated": _pool("AveragePool", [1, 1, 5, 5], kernel_shape=[2, 2], dilations=[2, 2]),
    "global-average-pool": _pool("GlobalAveragePool", [1, 3, 2, 3]),
    "global-max-pool": _pool("GlobalMaxPool", [1, 3, 2, 3]),
    "reduce-max": Case([node("ReduceMax", "x", axes=[1])], [1, 3, 2]),
    "reduce-min": Case([node("ReduceMin", "x a", keepdims=0)], [1, 3, 2], {"a": _int(2)}, 18),
}
RECTIFIERS = {
    "relu": Case([node("Relu", "x")], ["N", 3]),
    "leaky-relu": Case([node("LeakyRelu", "x", alpha=0.3)], [1, 3]),
    "leaky-relu-default": Case([node("LeakyRelu", "x")], [1, 3]),
    "p-relu": Case([node("PRelu", "x s")], [1, 3, 2, 2], {"s": normal(3, 1, 1)}),
    "p-relu-number": Case([node("PRelu", "x s")], [1, 3], {"s": normal(1)}),
    "p-relu-entries": Case([node("PRelu", "x s")], [1, 3, 2], {"s": normal(3, 2)}),
    "clip": Case([node("Clip", "x lo hi")], [1, 3], {"lo": np.float32(-0.5), "hi": np.float32(0.7)}),
    "clip-below": Case([node("Clip", "x lo")], [1, 3], {"lo": np.float32(-0.5)}),
    "clip-above": Case([node("Clip", "x - hi")], [1, 3], {"hi": np.float32(0.5)}),
    "clip-none": Case([node("Clip", "x")], [1, 3]),
    "clip-old": Case([node("Clip", "x", min=0.0, max=6.0)], [1, 3], {}, 9),
    "abs": Case([node("Abs", "x")], [1, 3]),
    "max": Case([node("MatMul", "x w", "h"), node("Max", "x h c")], [1, 3], {"w": normal(3, 3), "c": normal(3)}),
    "min": Case([node("MatMul", "x w", "h"), node("Min", "c h x")], [1, 3], {"w": normal(3, 3), "c": normal(1, 3)}),
    "hard-sigmoid": Case([node("HardSigmoid", "x", alpha=0.4)], [1, 3]),
    "hard-sigmoid-default": Case([node("HardSigmoid", "x")], [1, 3]),
    "thresholded-relu": Case([node("ThresholdedRelu", "x", alpha=0.0)], [1, 3]),
    "shrink": Case([node("Shrink", "x", lambd=0.3, bias=0.3)], [1, 3]),
}
MOVING = {
    "flatten": Case([node("Flatten", "x")], [1, 2, 3]),
    "reshape": Case([node("Reshape", "x s")], ["N", 2, 3], {"s": _int(0, -1)}),
    "reshape-to-images": Case(
        [node("Reshape", "x s", "h"), node("Conv", "h w")], ["N", 4], {"s": _int(-1, 1, 2, 2), "w": normal(2, 1, 2, 1)}
    ),
    "transpose": Case([node("Transpose", "x", perm=[0, 2, 3, 1])], ["N", 2, 3, 2]),
    "transpose-batch": Case([node("Transpose", "x", perm=[2, 0, 1])], [1, 2, 3]),
    "squeeze": Case([node("Squeeze", "x a")], [1, 1, 3], {"a": _int(1)}),
    "squeeze-old": Case([node("Squeeze", "x", axes=[0])], [1, 3], {}, 11),
    "unsqueeze": Case([node("Unsqueeze", "x a")], [1, 3], {"a": _int(0, -1)}),
    "slice": Case(
        [node("Slice", "x s e a t")], [1, 6], {"s": _int(5), "e": _int(-(2**62)), "a": _int(1), "t": _int(-2)}
    ),
    "slice-old": Case([node("Slice", "x", starts=[1], ends=[2**31], axes=[2])], [1, 2, 4], {}, 9),
    "split": Case([node("Split", "x n", "a y", axis=1)], [1, 5], {"n": _int(2, 3)}),
    "split-old": Case([node("Split", "x", "y b", axis=-1, split=[2, 3])], [1, 5], {}, 11),
    "gather": Case([node("Gather", "x i", axis=1)], [1, 4, 2], {"i": _int(3, -4, 3)}),
    "gather-one": Case([node("Gather", "x i", axis=1)], [1, 4, 2], {"i": np.array(2)}),
    "gather-table": Case([node("Gather", "x i", axis=1)], [1, 4], {"i": np.array([[0, 1], [3, 3]])}),
    "gather-elements": Case([node("GatherElements", "x i", axis=1)], [1, 4], {"i": np.array([[3, 0]])}),
    "concat": Case([node("Neg", "x", "h"), node("Concat", "c x h", axis=1)], [1, 2, 2], {"c": normal(1, 1, 2)}),
    "pad": Case([node("Pad", "x p v")], [1, 2, 2], {"p": _int(0, 1, 0, 0, 0, 2), "v": np.float32(0.7)}),
    "pad-zeros": Case([node("Pad", "x p")], [1, 2, 2], {"p": _int(0, -1, 1, 0, 1, -1)}),
    "pad-axes": Case([node("Pad", "x p v a")], [1, 2, 2], {"p": _int(1, 2), "v": np.float32(1), "a": _int(-1)}, 18),
    "pad-old": Case([node("Pad", "x", pads=[0, 1, 0, 2], value=0.3)], [1, 3], {}, 9),
    "pad-reflect": Case([node("Pad", "x p", mode="reflect")], [1, 1, 4], {"p": _int(0, 0, 2, 0, 0, 1)}),
    "pad-edge": Case([node("Pad", "x p", mode="edge")], [1, 1, 4], {"p": _int(0, 0, 2, 0, 0, 1)}),
    "expand": Case([node("Expand", "x s")], [1, 1, 3], {"s": _int(1, 2, 3)}),
    "tile": Case([node("Tile", "x s")], [1, 2, 2], {"s": _int(1, 3, 2)}),
    "where": Case([node("Where", "c x v")], [1, 3], {"c": np.array([True, False, True]), "v": normal(1, 3)}),
    "depth-to-space": Case([node("DepthToSpace", "x", blocksize=2, mode="CRD")], [1, 4, 2, 3]),
    "space-to-depth": Case([node("SpaceToDepth", "x", blocksize=2)], [1, 2, 4, 2]),
    "upsample": Case([node("Upsample", "x s")], [1, 1, 2, 3], {"s": np.array([1.0, 1.0, 2.0, 3.0])}, 9),
    "resize": Case([node("Resize", "x - s", mode="nearest")], [1, 2, 2, 3], {"s": np.array([1.0, 1.0, 2.0, 1.5])}, 13),
    "resize-sizes": Case(
        [node("Resize", "x - - n", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        [1, 1, 3, 3],
        {"n": _int(1, 1, 5, 2)},
        13,
    ),
    "identity": Case([node("Identity", "x", "a"), node("Dropout", "a", "b"), node("Cast", "b", to=1)], [1, 3]),
}
# What frameworks write around layers: shapes computed in the graph.
FOLDED = {
    "flatten-by-shape": Case(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n"),
            node("Unsqueeze", "n zeros", "n1"),
            node("Concat", "n1 rest", "t", axis=0),
            node("Reshape", "x t"),
        ],
        ["N", 2, 3],
        {"zero": np.array(0), "zeros": _int(0), "rest": _int(-1)},
    ),
    "halves": Case(
        [
            node("Shape", "x", "s"),
            node("Gather", "s one", "n"),
            node("Div", "n two", "half"),
            node("Slice", "x zeros half ones", "a"),
            node("Relu", "a"),
        ],
        ["N", 5],
        {"one": _int(1), "two": _int(2), "zeros": _int(0), "ones": _int(1)},
    ),
    "constants": Case(
        [
            helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(normal(3, 3), "w")),
            helper.make_node("Constant", [], ["half"], value_float=0.5),
            node("Transpose", "w", "wt", perm=[1, 0]),
            node("Mul", "wt half", "scaled"),
            node("MatMul", "x scaled"),
        ],
        ["N", 3],
    ),
    "zeros-of-shape": Case(
        [
            node("Shape", "x", "s"),
            helper.make_node(
                "ConstantOfShape", ["s"], ["c"], value=helper.make_tensor("value", TensorProto.FLOAT, [1], [2.5])
            ),
            node("Max", "x c"),
        ],
        [1, 3],
    ),
}
CASES = {**AFFINE, **CONVOLUTIONS, **POOLS, **RECTIFIERS, **MOVING, **FOLDED}


def random_graph(seed: int) -> Case:
    """A chain of a few operators on a small image, their settings drawn at random, with a branch or two."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {}
    shape = [int(rng.integers(1, 4)), int(rng.integers(4, 8)), int(rng.integers(4, 8))]
    given, name = list(shape), "x"

    def drawn(low: int, high: int, n: int = 2) -> list[int]:
        return rng.integers(low, high, n).tolist()

    for k in range(int(rng.integers(2, 6))):
        out, channels = f"h{k}", shape[0]
        kind = str(
            rng.choice(["Conv", "MaxPool", "AveragePool", "BatchNormalization", "Clip", "LeakyRelu", "Pad", "Sum"])
        )
        if kind in ("Conv", "MaxPool", "AveragePool"):
            kernel = [min(n, int(m)) for n, m in zip(shape[1:], drawn(1, 4), strict=True)]
            options: dict[str, Any] = {"kernel_shape": kernel, "strides": drawn(1, 3)}
            options["pads"] = [int(rng.integers(0, m)) for m in kernel] * 2
            if kind == "Conv":
                groups = channels if rng.random() < 0.3 else 1
                constants[f"w{k}"] = rng.normal(size=(2 * groups, channels // groups, *kernel)).astype(np.float32)
                nodes.append(node(kind, f"{name} w{k}", out, group=groups, **options))
                shape[0] = 2 * groups
            elif kind == "MaxPool":
                nodes.append(node(kind, name, out, ceil_mode=int(rng.integers(2)), **options))
            else:
                nodes.append(node(kind, name, out, count_include_pad=int(rng.integers(2)), **options))
            room = [n + 2 * p - m for n, p, m in zip(shape[1:], options["pads"], kernel, strict=False)]
            shape[1:] = [r // s + 1 for r, s in zip(room, options["strides"], strict=True)]
            if kind == "MaxPool" and nodes[-1].attribute[0].name == "ceil_mode" and nodes[-1].attribute[0].i:
                break  # its shape is not followed up here
        elif kind == "BatchNormalization":
            for letter, low in (("s", -1.0), ("b", -1.0), ("m", -1.0), ("v", 0.1)):
                constants[f"{letter}{k}"] = rng.uniform(low, 1, channels).astype(np.float32)
            nodes.append(node(kind, f"{name} s{k} b{k} m{k} v{k}", out))
        elif kind == "Clip":
            constants[f"l{k}"], constants[f"u{k}"] = np.float32(rng.normal() - 0.5), np.float32(rng.normal() + 0.5)
            nodes.append(node(kind, f"{name} l{k} u{k}", out))
        elif kind == "LeakyRelu":
            nodes.append(node(kind, name, out, alpha=float(rng.uniform(-0.5, 0.5))))
        elif kind == "Pad":
            pads = [0, 0, *drawn(0, 2), 0, 0, *drawn(0, 2)]
            constants[f"p{k}"] = np.array(pads)
            nodes.append(node(kind, f"{name} p{k}", out, mode=str(rng.choice(["constant", "edge", "reflect"]))))
            shape[1:] = [n + pads[2 + i] + pads[6 + i] for i, n in enumerate(shape[1:])]
        else:
            nodes.append(node("Relu", name, f"r{k}"))
            nodes.append(node(kind, f"{name} r{k} {name}", out))
        name = out
    nodes.append(node("Flatten", name))
    return Case(nodes, ["N", *given], constants)
