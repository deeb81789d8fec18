"""Files of ``torch.export.save`` (.pt2), read as data.

``torch.export.load`` may unpickle tensors, load shared libraries and evaluate expressions that
the file holds.  The format itself (a zip file of JSON and raw little-endian numbers, torch 2.8
and later) needs none of that, so it is read here.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.errors import FileFormatError, UnsupportedLayerError, WeightError
from geomrelu.importers.kinds import aten_kind, where_called
from geomrelu.importers.program import Constant, Operation, Program, Ref

__all__ = ["read_pt2"]

# torch._export.serde.schema.ScalarType; bfloat16 is widened by hand, numpy has no such type.
_DTYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f2", 7: "<f4", 8: "<f8", 12: "?"}
_BFLOAT16 = 13
_SAVE_AGAIN = "save it again with torch.export.save(torch.export.export(model, (example,)), path)"
_NUMBERS = ("as_int", "as_float", "as_bool", "as_string", "as_ints", "as_floats", "as_bools")


def read_pt2(path: Path) -> Program:
    """The program in a ``.pt2`` file; nothing in it is unpickled or executed.

    Raises
    ------
    FileFormatError
        If it is not such a file, is damaged, or holds pickled tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            program = _read_program(archive, path)
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, EOFError) as error:
        raise FileFormatError(f"{path}: not a torch.export file, or damaged ({error}); {_SAVE_AGAIN}") from error
    except (KeyError, TypeError, AttributeError, IndexError, StopIteration) as error:
        raise FileFormatError(
            f"{path}: its contents are not laid out as torch.export.save does it ({error!r}); {_SAVE_AGAIN}"
        ) from error
    return program


def _read_program(archive: zipfile.ZipFile, path: Path) -> Program:
    models = [name for name in archive.namelist() if name.endswith(".json") and "/models/" in name]
    if not models:
        names = archive.namelist()
        guess = "not a torch.export file"
        if names and all(name.endswith(".npy") for name in names):
            guess += " but what numpy.savez writes: give it the suffix .npz"
        elif any(name.endswith("/data.pkl") for name in names):
            guess += " but what torch.save writes: give it the suffix .pt"
        raise FileFormatError(f"{path}: {guess}; or {_SAVE_AGAIN} (torch 2.8 or newer)")
    if len(models) != 1:
        raise FileFormatError(f"{path}: holds {len(models)} exported models; expected one; {_SAVE_AGAIN}")
    root, _, name = models[0].rpartition("/models/")
    model = json.loads(archive.read(models[0]))["graph_module"]
    stem = name.removesuffix(".json")
    tensors = {
        **_tensors(archive, path, f"{root}/data/weights/", f"{stem}_weights_config.json"),
        **_tensors(archive, path, f"{root}/data/constants/", f"{stem}_constants_config.json"),
    }
    constants, inputs = _inputs(model["signature"]["input_specs"], tensors)
    if len(inputs) != 1:
        raise UnsupportedLayerError(f"model: takes {len(inputs)} inputs; expected one tensor of shape (N, inputs)")
    outputs = [
        Ref(_name(spec["user_output"]["arg"]))
        for spec in model["signature"]["output_specs"]
        if "user_output" in spec and "as_none" not in spec["user_output"]["arg"]
    ]
    graph = model["graph"]
    shape = tuple(n.get("as_int") for n in graph["tensor_values"][inputs[0]]["sizes"])
    operations = [operation for node in graph["nodes"] for operation in _operations(node)]
    return Program(operations, constants, inputs[0], outputs, shape)


def _inputs(specs: list[dict[str, Any]], tensors: dict[str, Constant]) -> tuple[dict[str, Any], list[str]]:
    """Constants by the name of their placeholder, and the names of the true inputs."""
    constants: dict[str, Any] = {}
    inputs = []
    for spec in specs:
        kind, content = next(iter(spec.items()))
        key = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}.get(
            kind
        )
        if key is not None:
            constants[content["arg"]["name"]] = tensors[content[key]]
        elif kind == "user_input":
            inputs.append(_name(content["arg"]))
        elif kind == "constant_input":
            constants[content["name"]] = _argument(content["value"])
        else:
            raise UnsupportedLayerError(f"model: has an input of kind {kind!r}; expected tensors only")
    return constants, inputs


def _name(argument: dict[str, Any]) -> str:
    if "as_tensor" not in argument:
        raise UnsupportedLayerError(f"model: takes or returns {next(iter(argument))[3:]}; expected one tensor")
    return str(argument["as_tensor"]["name"])


def _operations(node: dict[str, Any]) -> list[Operation]:
    """A node's operation, and one for each part of its result if it has several."""
    namespace, _, rest = node["target"].removeprefix("torch.ops.").partition(".")
    kind = aten_kind(rest.partition(".")[0]) if namespace == "aten" else node["target"]
    args = tuple(_argument(item["arg"]) for item in node["inputs"] if item.get("kind") != 2)
    kwargs = {item["name"]: _argument(item["arg"]) for item in node["inputs"] if item.get("kind") == 2}
    where = _where(node, kind)
    outputs = [next(iter(output.values())) for output in node["outputs"]]
    if len(outputs) == 1 and isinstance(outputs[0], dict):
        name = outputs[0].get("name") or outputs[0].get("as_name") or node.get("name") or ""
        return [Operation(name, kind, args, kwargs, where)]
    parts = outputs[0] if len(outputs) == 1 and isinstance(outputs[0], list) else outputs
    whole = "".join(f"{part['name']}," for part in parts if isinstance(part, dict)) or node.get("name") or ""
    taken = [
        Operation(part["name"], "getitem", (Ref(whole), k), {}, where)
        for k, part in enumerate(parts)
        if isinstance(part, dict)
    ]
    return [Operation(whole, kind, args, kwargs, where), *taken]


def _where(node: dict[str, Any], kind: str) -> str:
    """From metadata such as ``L__self__,,M;L__self__a,a,torch.nn.modules.linear.Linear``."""
    stack = node.get("metadata", {}).get("nn_module_stack", "").split(";")
    _, path, owner = [*stack[-1].split(","), "", "", ""][:3]
    if owner.startswith("_empty"):
        path, owner = "", "Module"
    return where_called(path, owner.rpartition(".")[2] or "Module", kind)


def _argument(argument: dict[str, Any]) -> Any:
    tag, value = next(iter(argument.items()))
    if tag == "as_tensor":
        return Ref(value["name"])
    if tag in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return _symbol(value)
    if tag in ("as_sym_ints", "as_sym_floats", "as_sym_bools"):
        return [_symbol(item) for item in value]
    if tag == "as_tensors":
        return [Ref(item["name"]) for item in value]
    if tag == "as_optional_tensor":
        return _argument(value)
    if tag == "as_optional_tensors":
        return [_argument(item) for item in value]
    if tag == "as_none":
        return None
    if tag in _NUMBERS:
        return value
    if tag == "as_scalar_type":
        return "float" if value in (6, 7, 8, _BFLOAT16) else "int"
    return tag  # layouts, devices, memory formats: of no effect on values


def _symbol(value: dict[str, Any]) -> Any:
    return Ref(value["as_name"]) if "as_name" in value else next(iter(value.values()))


def _tensors(archive: zipfile.ZipFile, path: Path, folder: str, config: str) -> dict[str, Constant]:
    if folder + config not in archive.namelist():
        raise FileFormatError(f"{path}: has no {config}; {_SAVE_AGAIN} (torch 2.8 or newer)")
    entries = json.loads(archive.read(folder + config))["config"]
    raw: dict[str, bytes] = {}
    result = {}
    for name, entry in entries.items():
        if entry.get("use_pickle") or entry.get("tensor_meta") is None:
            raise FileFormatError(f"{path}: {name} is stored as a pickle, which may run code; {_SAVE_AGAIN}")
        file = folder + entry["path_name"]
        if file not in raw:
            raw[file] = archive.read(file)
        result[name] = Constant(_array(raw[file], entry["tensor_meta"], name, path), name)
    return result


def _array(raw: bytes, meta: dict[str, Any], name: str, path: Path) -> npt.NDArray[Any]:
    """A strided tensor out of its storage, bounds checked."""
    dtype = _DTYPES.get(meta["dtype"])
    if dtype is None and meta["dtype"] != _BFLOAT16:
        raise WeightError(f"{path}: {name} has a number type that cannot be read; expected real floating-point weights")
    stored = np.dtype(dtype or "<u2")
    flat: npt.NDArray[Any] = np.frombuffer(raw, stored, count=len(raw) // stored.itemsize)
    if dtype is None:
        flat = (flat.astype("<u4") << 16).view("<f4")
    sizes = [int(n["as_int"]) for n in meta["sizes"]]
    strides = [int(n["as_int"]) for n in meta["strides"]]
    index = np.full((), int(meta["storage_offset"]["as_int"]))
    for size, stride in zip(sizes, strides, strict=True):
        index = index[..., None] + stride * np.arange(size)
    if index.size and not 0 <= index.min() <= index.max() < len(flat):
        raise FileFormatError(
            f"{path}: {name} has {len(flat)} stored numbers, fewer than its shape {sizes} needs; {_SAVE_AGAIN}"
        )
    return np.asarray(flat[index])
