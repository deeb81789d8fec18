"""`Reader`: the values of an ONNX graph while it is read, and the operations written so far.

A value is a constant (a numpy array) or a `Tensor`, which depends on the input.  A tensor has its ONNX
shape; its entries, in C order, are a (1, n) tensor of the `Program`, so that shapes, broadcasting and axes
are settled here and the program needs nothing of them.

Nodes that only move entries (reshapes, transposes, slices, padding, ...) are run by onnx's own reference on
the entries' numbers: what comes out says where each entry comes from.  The same reference folds constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from geomrelu.arrays import IntArray
from geomrelu.errors import FileFormatError, ShapeError, UnsupportedLayerError
from geomrelu.importers.program import Constant, Operation, Ref

__all__ = [
    "FOLDED",
    "LARGEST_SIZE",
    "Array",
    "Reader",
    "Tensor",
    "array_of",
    "attributes",
    "is_floating",
    "real",
    "widened",
]

Array = npt.NDArray[Any]
# More entries than this in one tensor are a damaged file rather than a network.
LARGEST_SIZE = 2**24


_BETWEEN_CONSTANTS = """
    Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape Cos DequantizeLinear Div Equal Exp Expand
    EyeLike Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual Identity Less LessOrEqual Log
    MatMul Max Mean Min Mod Mul Neg Not Or Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum Relu Reshape Round ScatterElements ScatterND Shape Sign Sin Size Slice Split Sqrt Squeeze Sub Sum
    Tile Transpose Trilu Unsqueeze Where Xor
"""
#: Operators that may stand between constants.
FOLDED = frozenset(_BETWEEN_CONSTANTS.split())


@dataclass(frozen=True)
class Tensor:
    """A value that depends on the input: its entries, a (1, n) tensor, and its shape."""

    ref: Ref
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


def widened(array: Array) -> Array:
    """Floating-point arrays of any type as float64, which holds the same numbers; others as they are."""
    return array.astype(np.float64) if is_floating(array) else array


def array_of(tensor: TensorProto, where: str) -> Array:
    """A stored tensor's numbers.

    Raises
    ------
    FileFormatError
        If it is damaged.
    """
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(f"{where}: the numbers stored there are damaged ({error}); export it again") from error


def is_floating(array: Array) -> bool:
    """Whether an array's type is a floating-point one, bfloat16 and the like included."""
    return not np.issubdtype(array.dtype, np.integer) and array.dtype.kind not in "bOSU"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name, text as str."""
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def real(given: dict[str, Any], name: str, default: float) -> float:
    """A real attribute, or its default value, which the format stores as float32 too."""
    return float(np.float32(given.get(name, default)))


class Reader:
    """Values by name, and operations in order.

    Parameters
    ----------
    version : int
        Of the standard operators.
    source : str
        Name of the input.
    shape : tuple of int
        Its shape, with a batch axis of length 1 if it has one.
    """

    def __init__(self, version: int, source: str, shape: tuple[int, ...]) -> None:
        self.version = version
        self.operations: list[Operation] = []
        self.values: dict[str, Array | Tensor] = {}
        flat = self.emit("reshape", f"model ({source})", Ref(source), [-1, math.prod(shape)])
        self.values[source] = Tensor(flat, shape)

    def emit(self, kind: str, where: str, *args: Any, **kwargs: Any) -> Ref:
        """Write one operation down."""
        name = f"{len(self.operations)}:{kind}"
        self.operations.append(Operation(name, kind, args, kwargs, where))
        return Ref(name)

    def inputs(self, node: onnx.NodeProto) -> list[Array | Tensor | None]:
        """A node's inputs; None for those that it leaves out."""
        return [self.values[name] if name else None for name in node.input]

    def shaped(self, tensor: Tensor, shape: Sequence[int], where: str) -> Ref:
        """A tensor's entries as a tensor (1, *shape) of the program."""
        return self.emit("reshape", where, tensor.ref, [-1, *shape]) if len(shape) != 1 else tensor.ref

    def flat(self, ref: Ref, shape: Sequence[int], where: str) -> Tensor:
        """What a tensor (1, ...) of the program holds, as a `Tensor` of that shape."""
        return Tensor(self.emit("reshape", where, ref, [-1, math.prod(shape)]), tuple(shape))

    # ---- entry by entry

    def pair(self, kind: str, where: str, a: Array | Tensor, b: Array | Tensor) -> Tensor:
        """An operation of two values, one of which is a tensor, broadcast to each other."""
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError as error:
            raise ShapeError(f"{where}: got shapes {a.shape} and {b.shape}, which do not fit each other") from error
        return Tensor(self.emit(kind, where, *(self._operand(value, shape, where) for value in (a, b))), shape)

    def _operand(self, value: Array | Tensor, shape: tuple[int, ...], where: str) -> Ref | Constant:
        if isinstance(value, Tensor):
            numbers = np.arange(1, value.size + 1).reshape(value.shape)
            return self.moved([value], np.broadcast_to(numbers, shape), where).ref
        array = np.asarray(value)
        return Constant(array.reshape(()) if array.size == 1 else np.broadcast_to(array, shape).reshape(-1), where)

    # ---- moving entries

    def moved(self, sources: Sequence[Array | Tensor], numbers: Array, where: str) -> Tensor:
        """The tensor of the sources' entries with these numbers, as `entry_numbers` counts them."""
        shape, chosen = numbers.shape, np.asarray(numbers, dtype=np.int64).reshape(-1)
        tensors = [source for source in sources if isinstance(source, Tensor)]
        if len(sources) == 1 and len(tensors) == 1 and chosen.size and chosen.min() > 0:
            (tensor,) = tensors
            if chosen.size == tensor.size and (chosen == np.arange(1, tensor.size + 1)).all():
                return Tensor(tensor.ref, shape)
            return Tensor(self._chosen(tensor.ref, chosen - 1, where), shape)
        parts: list[Ref | Constant] = [Constant(np.zeros((1, 1)), where)]
        parts += [
            source.ref if isinstance(source, Tensor) else Constant(np.asarray(source).reshape(1, -1), where)
            for source in sources
        ]
        return Tensor(self._chosen(self.emit("cat", where, parts, 1), chosen, where), shape)

    def _chosen(self, ref: Ref, numbers: IntArray, where: str) -> Ref:
        return self.emit("index_select", where, ref, 1, Constant(numbers, where))

    def move(self, node: onnx.NodeProto, where: str, positions: Sequence[int]) -> list[Tensor]:
        """Run a node that only moves entries: those of its inputs at these positions."""
        inputs = self.inputs(node)
        sources: list[Array | Tensor] = []
        for k, value in enumerate(inputs):
            if value is None:
                continue
            if k in positions:
                sources.append(value)
            elif isinstance(value, Tensor):
                raise UnsupportedLayerError(
                    f"{where}: its input {node.input[k]!r} depends on the model's input; expected a constant there"
                )
        numbered = iter(entry_numbers(sources))
        feeds = [next(numbered) if k in positions and value is not None else value for k, value in enumerate(inputs)]
        return [self.moved(sources, result, where) for result in self.reference(node, where, feeds)]

    # ---- constants

    def fold(self, node: onnx.NodeProto, where: str) -> list[Array]:
        """The outputs of a node of constants."""
        values = attributes(node)
        if node.op_type not in FOLDED:
            raise UnsupportedLayerError(
                f"{where}: computes a constant in a way that is not read; export the model with constants folded"
            )
        if node.op_type == "Constant":
            results = [_constant(values, where)]
        elif node.op_type in ("Cast", "CastLike"):
            results = [self._cast(node, values)]
        elif node.op_type == "DequantizeLinear":
            results = [_dequantized(values, self.inputs(node), where)]
        else:
            results = self.reference(node, where, self.inputs(node))
        return [widened(np.asarray(result)) for result in results]

    def _cast(self, node: onnx.NodeProto, values: dict[str, Any]) -> Array:
        given = self.inputs(node)
        if node.op_type == "Cast":
            target = helper.tensor_dtype_to_np_dtype(values["to"])
        else:
            target = np.asarray(given[1]).dtype
        array = np.asarray(given[0])
        real = is_floating(np.empty(0, target))
        # Between floating-point types nothing is rounded: all stand for real numbers.
        return array if real and is_floating(array) else array.astype(np.float64 if real else target)

    def reference(self, node: onnx.NodeProto, where: str, inputs: Sequence[Any]) -> list[Array]:
        """A node's outputs as onnx's reference computes them."""
        self._refuse_huge(node, where, inputs)
        names = [name for name in node.input if name]
        ports = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in dict.fromkeys(names)]
        outputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output if name]
        graph = helper.make_graph([node], "node", ports, outputs)
        feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        try:
            results = ReferenceEvaluator(graph, opsets={"": self.version}).run(None, feeds)
        except Exception as error:  # a node that is not made as its operator expects may raise anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise FileFormatError(
                f"{where}: its inputs and attributes do not fit each other ({reason}); export the model again"
            ) from error
        return [np.asarray(result) for result in results]

    def _refuse_huge(self, node: onnx.NodeProto, where: str, inputs: Sequence[Any]) -> None:
        """Refuse the few nodes that can ask for any size before they get it."""
        given = [None if value is None else np.asarray(value) for value in inputs]
        sizes: list[Any] = [0]
        if node.op_type == "ConstantOfShape" and given[0] is not None:
            sizes = given[0].reshape(-1).tolist()
        elif node.op_type in ("Expand", "Tile") and given[0] is not None and len(given) > 1 and given[1] is not None:
            sizes = [*given[0].shape, *given[1].reshape(-1).tolist()] if node.op_type == "Tile" else given[1].tolist()
        elif node.op_type == "Pad" and given[0] is not None:
            pads = attributes(node).get("pads") if len(given) < 2 or given[1] is None else given[1].tolist()
            sizes = [n + sum(abs(int(p)) for p in pads or []) for n in given[0].shape]
        elif node.op_type == "Range" and all(value is not None and value.size == 1 for value in given[:3]):
            start, limit, step = (float(value.reshape(-1)[0]) for value in given[:3] if value is not None)
            sizes = [abs((limit - start) / step) if step else math.inf]
        if math.prod(max(float(n), 0.0) for n in sizes) > LARGEST_SIZE:
            raise ShapeError(
                f"{where}: asks for more than {LARGEST_SIZE:,} entries; expected a network of a size that is used"
            )


def entry_numbers(sources: Sequence[Array | Tensor]) -> list[Array]:
    """Arrays of the sources' shapes that number their entries 1, 2, ... through all of them; 0 stands for a zero.

    float64, exact for all numbers that occur, since some operators move nothing else.
    """
    numbered, start = [], 1
    for source in sources:
        stop = start + int(math.prod(source.shape))
        numbered.append(np.arange(start, stop, dtype=np.float64).reshape(source.shape))
        start = stop
    return numbered


def _dequantized(values: dict[str, Any], inputs: Sequence[Any], where: str) -> Array:
    """Stored whole numbers as the real ones they stand for, (number - zero point) * scale.

    Here rather than by onnx's reference, which knows the operator only in its newer versions.
    """
    if values.get("block_size"):
        raise UnsupportedLayerError(
            f"{where}: has a scale for each block of {values['block_size']} numbers, which is not read; "
            "export the model with floating-point weights"
        )
    numbers, scale, *rest = (np.asarray(value, dtype=np.float64) for value in inputs if value is not None)
    zero = rest[0] if rest else np.zeros(1)
    # One number for all, or one for each place along an axis.
    places = np.ones(numbers.ndim, dtype=np.int64)
    if scale.size > 1:
        places[values.get("axis", 1)] = -1
    zero, scale = (v.reshape(places if v.size > 1 else ()) for v in (zero, scale))
    return np.asarray((numbers - zero) * scale)


def _constant(values: dict[str, Any], where: str) -> Array:
    name, value = next(iter(values.items()), ("", None))
    if name == "value" and isinstance(value, TensorProto):
        return array_of(value, where)
    if name in ("value_float", "value_floats", "value_int", "value_ints"):
        return np.asarray(value, dtype=np.float64 if "float" in name else np.int64)
    raise UnsupportedLayerError(f"{where}: holds {name or 'nothing'}; expected numbers: export the model with those")
