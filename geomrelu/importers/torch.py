"""Torch modules, graph modules and exported programs, read through torch.fx graphs."""

from __future__ import annotations

import builtins
import inspect
import operator
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.weight_norm import WeightNorm

from geomrelu.errors import UnsupportedLayerError, WeightError
from geomrelu.importers.kinds import aten_kind, where_called
from geomrelu.importers.program import Constant, Operation, Program, Ref, network_of
from geomrelu.importers.randomness import read_twice
from geomrelu.importers.torch_layers import layer_call
from geomrelu.network import Network

__all__ = ["network_from_torch", "tensor_array"]

_EXPORT = "or pass torch.export.export(model, (example_input,))"


def network_from_torch(
    model: nn.Module | torch.export.ExportedProgram, input_shape: Sequence[int] | None = None
) -> Network:
    """A torch module, graph module or exported program as a `Network`, weights unchanged.

    The module's ``forward`` is traced with torch.fx; nothing is computed with it, and the
    module and the global random states are left as they were.  Tensors on any device and of any
    floating-point type are read exactly.

    Parameters
    ----------
    input_shape : sequence of int, or None
        Shape of one input, without the batch: needed where the module neither begins with a
        Linear layer nor is an exported program (convolutions on images, say).

    Raises
    ------
    NotPiecewiseLinearError, UnsupportedLayerError
        If a layer is not piecewise linear, or not read by this version; named with its path.
        If the forward draws random numbers: it is another function at each call.
    WeightError
        If a weight is not a finite real number, or has no value yet.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> network = network_from_torch(model)
    >>> network.widths, bool((network.layers[0].weight == model[1].weight.detach().numpy()).all())
    ((3,), True)
    """
    if isinstance(model, torch.export.ExportedProgram):
        return network_of(_exported_program(model), input_shape)
    # What torch.compile and the data-parallel wrappers compute is what the module inside does.
    while True:
        if isinstance(model, torch.jit.ScriptModule):
            raise UnsupportedLayerError("model: got a TorchScript module; pass the Python module it was made from")
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            break
        model = inner
    _refuse_hooks(model)
    read = partial(_traced_module, model)
    program = read() if _draws_nothing(model) else read_twice(read, f"model ({type(model).__name__})")
    return network_of(program, input_shape)


def tensor_array(tensor: torch.Tensor, name: str) -> npt.NDArray[Any]:
    """The tensor's values as a numpy array, exactly.

    Raises
    ------
    WeightError
        If it has no values (meta device, lazy) or is quantised.
    """
    if torch.nn.parameter.is_lazy(tensor):
        raise WeightError(f"{name}: not initialised yet; call the model once on a batch so that its shape is known")
    if tensor.is_meta:
        raise WeightError(f"{name}: is on the meta device and holds no values; load the weights first")
    if tensor.is_quantized:
        raise WeightError(f"{name}: is quantised ({tensor.dtype}); expected floating-point weights: call dequantize()")
    value = tensor.detach()
    if value.layout != torch.strided:
        value = value.to_dense()
    value = value.cpu().resolve_conj().resolve_neg()
    if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
        value = value.to(torch.float64)  # exact: numpy has no such type
    return np.array(value.numpy())


# ---- modules


class _Tracer(fx.Tracer):
    """Traces into user modules; torch's own layers stay whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _is_leaf(m)


def _is_leaf(module: nn.Module) -> bool:
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict | fx.GraphModule):
        return False
    return str(_own_forward(module).__module__).startswith(("torch.nn.", "torch.ao."))


def _own_forward(module: nn.Module) -> Any:
    # An instance may carry its own forward, and a subclass of Linear may override it.
    return inspect.unwrap(getattr(module.forward, "__func__", module.forward))


def _draws_nothing(model: nn.Module) -> bool:
    """Whether it is clear that reading runs no code but torch's own layers', which draws no random numbers."""
    return _chain(model) is not None and not any(map(is_parametrized, model.modules()))


def _chain(model: nn.Module, path: str = "") -> list[tuple[str, nn.Module]] | None:
    """The layers, with their paths, of one of torch's own, or of plain Sequentials of them; None if it is neither."""
    if _is_leaf(model):
        return [(path, model)]
    if type(model) is not nn.Sequential or _own_forward(model) is not nn.Sequential.forward:
        return None
    chain = []
    # Not `named_children`: a module may stand there twice.
    for name, module in model._modules.items():
        part = _chain(module, f"{path}.{name}" if path else name) if module is not None else None
        if part is None:
            return None
        chain += part
    return chain


def _chained(chain: list[tuple[str, nn.Module]]) -> Program:
    operations: list[Operation] = []
    for k, (path, module) in enumerate(chain):
        running = Ref(operations[-1].name if operations else "input")
        operations += _module_operations(f"layer {k}", module, path, (running,), {})
    return Program(operations, {}, "input", Ref(operations[-1].name if operations else "input"))


def _traced_module(model: nn.Module) -> Program:
    if isinstance(model, fx.GraphModule):
        return _graph_program(model.graph, model, {})
    chain = _chain(model)
    if chain is not None:
        return _chained(chain)
    defaults = _defaults(model)
    with _unchanged(model):
        tracer = _Tracer()
        try:
            graph = tracer.trace(model, concrete_args=defaults)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UnsupportedLayerError(
                f"model: the forward of {type(model).__name__} cannot be followed ({reason}); "
                f"expected layers without branches on values or shapes; rewrite it so, {_EXPORT}"
            ) from error
        return _graph_program(graph, model, {})


def _defaults(model: nn.Module) -> dict[str, Any]:
    """Values of the forward's arguments beyond the first, which must have defaults."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    given = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [p.name for p in given[1:] if p.default is p.empty]
    if not given or missing:
        raise UnsupportedLayerError(
            f"model: the forward of {type(model).__name__} takes {len(missing) + bool(given)} inputs; "
            "expected one tensor of shape (N, inputs)"
        )
    return {p.name: p.default for p in given[1:]}


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Put back whatever tracing changes: fx stores constants on the module, a forward may store values."""
    saved = []
    for module in model.modules():
        kept = dict(module.__dict__)
        contents = {key: value.copy() for key, value in kept.items() if type(value) in (dict, OrderedDict, list, set)}
        saved.append((module, kept, contents))
    with_values = (b for b in model.buffers() if not torch.nn.parameter.is_lazy(b) and not b.is_meta)
    buffers = [(buffer, buffer.detach().clone()) for buffer in with_values]
    try:
        yield
    finally:
        for module, kept, contents in saved:
            module.__dict__.clear()
            module.__dict__.update(kept)
            for key, content in contents.items():
                value = kept[key]
                value.clear()
                value.extend(content) if isinstance(value, list) else value.update(content)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def _refuse_hooks(model: nn.Module) -> None:
    for path, module in model.named_modules():
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        for hook in hooks:
            if not _is_harmless_hook(hook):
                raise UnsupportedLayerError(
                    f"{_where(path, module)}: has a forward hook, which may change what the layer computes; "
                    "remove it (handle.remove()) or pass a copy without it"
                )


# Pruning and the older weight and spectral norm, which set module.weight; lazy layers; export's checks of inputs.
_HARMLESS_HOOKS = ("torch.nn.utils.", "torch.nn.modules.lazy", "torch.export.", "torch._export.")


def _is_harmless_hook(hook: Any) -> bool:
    hook = inspect.unwrap(getattr(hook, "__func__", hook))
    module = hook.__module__ if inspect.isfunction(hook) else type(hook).__module__
    return str(module).startswith(_HARMLESS_HOOKS)


def _where(path: str, module: nn.Module) -> str:
    kind = type(module)
    # torch.ao's Linear, say, is not the Linear that everyone knows.
    imitation = getattr(nn, kind.__name__, kind) is not kind
    return f"{path or 'model'} ({kind.__module__ + '.' if imitation else ''}{kind.__name__})"


# ---- graphs


def _graph_program(graph: fx.Graph, root: nn.Module, fixed: dict[str, tuple[torch.Tensor, str]]) -> Program:
    """The graph's nodes as operations; placeholders not in `fixed` (tensors and their names) are the input."""
    operations: list[Operation] = []
    tensors: dict[str, Any] = {name: tensor for name, (tensor, _) in fixed.items()}
    values: dict[str, Any] = {name: Constant(tensor_array(*pair), pair[1]) for name, pair in fixed.items()}
    inputs: list[str] = []
    output: Any = None
    for node in graph.nodes:
        args, kwargs = _plain(node.args), _plain(node.kwargs)
        if node.op == "placeholder":
            if node.name in values:
                continue
            if inputs and node.args:
                values[node.name] = node.args[0]
            else:
                inputs.append(node.name)
        elif node.op == "output":
            output = args[0]
        elif node.op == "get_attr":
            tensors[node.name] = _attribute(root, node.target)
            values[node.name] = _constant(tensors[node.name], node.target)
        elif node.op == "call_module":
            module = root.get_submodule(node.target)
            operations += _module_operations(node.name, module, node.target, args, kwargs)
        else:
            kind = _function_kind(node.target)
            if _depends_on_constants_only(node, tensors, kind):
                tensors[node.name] = _called(node, tensors)
                values[node.name] = _constant(tensors[node.name], _where_called(node, root, kind))
                continue
            operations.append(Operation(node.name, kind, args, kwargs, _where_called(node, root, kind)))
    # A default argument is traced as a placeholder of its own that nothing but an assertion uses.
    used = {node.name for node in graph.nodes if node.users}
    inputs = inputs[:1] + [name for name in inputs[1:] if name in used and not _only_asserted(graph, name)]
    if len(inputs) != 1:
        raise UnsupportedLayerError(f"model: takes {len(inputs)} inputs; expected one tensor of shape (N, inputs)")
    shape = _input_shape(next(node for node in graph.nodes if node.name == inputs[0]))
    return Program(operations, values, inputs[0], output, shape)


def _input_shape(node: fx.Node) -> tuple[int | None, ...] | None:
    """The input's shape as torch.export has noted it down, None for axes of free length."""
    shape = getattr(node.meta.get("val"), "shape", None)
    return None if shape is None else tuple(n if isinstance(n, int) else None for n in shape)


def _only_asserted(graph: fx.Graph, name: str) -> bool:
    node = next(n for n in graph.nodes if n.name == name)
    return all(
        user.op == "call_function" and ("assert" in getattr(user.target, "__name__", "") or user.target is operator.eq)
        for user in node.users
    )


def _plain(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return Ref(value.name)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        return Constant(tensor_array(value, "constant"), "constant")
    return value


def _attribute(root: nn.Module, target: str) -> Any:
    """A parameter, buffer or other attribute by its path."""
    value: Any = root
    for part in target.split("."):
        value = getattr(value, part)
    return value


def _constant(value: Any, name: str) -> Any:
    """Tensors, also those in a tuple, as `Constant`."""
    if isinstance(value, tuple | list):
        return [_constant(item, name) for item in value]
    return Constant(tensor_array(value, name), name) if isinstance(value, torch.Tensor) else value


def _depends_on_constants_only(node: fx.Node, tensors: dict[str, Any], kind: str) -> bool:
    """Whether a function of parameters and buffers makes a new tensor of them: part of the weights."""
    inputs = node.all_input_nodes
    writes = kind.endswith("_") or kind in ("setitem", "iadd", "isub", "imul", "itruediv") or "out" in node.kwargs
    chance = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    held = [tensors.get(n.name) for n in inputs]
    empty = any(isinstance(v, torch.Tensor) and (v.is_meta or torch.nn.parameter.is_lazy(v)) for v in held)
    return bool(inputs) and all(n.name in tensors for n in inputs) and not (writes or chance or empty)


def _called(node: fx.Node, tensors: dict[str, Any]) -> Any:
    """The function's result as torch computes it, in the weights' own precision."""
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: tensors[n.name])
    with torch.no_grad():
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]


def _function_kind(target: Any) -> str:
    """Torch's name of a function, method or overload; of others their qualified name."""
    if isinstance(target, str):
        return target
    if isinstance(target, torch._ops.OpOverload):
        namespace, _, name = target._schema.name.partition("::")
        return aten_kind(name) if namespace == "aten" else f"{namespace}::{name}"
    name = str(getattr(target, "__name__", target))
    for home in (torch, nn.functional, operator, builtins):
        if getattr(home, name, None) is target:
            return name
    return f"{getattr(target, '__module__', '')}.{name}"


def _where_called(node: fx.Node, root: nn.Module, kind: str) -> str:
    """Path and class of the module in whose forward the function is called, for messages."""
    stack = node.meta.get("nn_module_stack") or {}
    path, owner = next(reversed(stack.values()), ("", type(root)))
    owner_name = owner.rsplit(".", 1)[-1] if isinstance(owner, str) else owner.__name__
    return where_called(path, owner_name, kind)


# ---- torch's own layers


def _module_operations(
    name: str, module: nn.Module, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Operation]:
    """A leaf module's call; `_own_forward` has made sure that its forward is torch's."""
    where = _where(path, module)

    def tensor(attribute: str) -> Constant | None:
        value, full = _current(module, attribute), f"{path}.{attribute}" if path else attribute
        return None if value is None else Constant(tensor_array(value, full), full)

    calls = layer_call(_own_forward(module), module, args, kwargs, tensor)
    if calls is None:
        kind = next(base.__name__ for base in type(module).__mro__ if base.__module__.startswith("torch."))
        return [Operation(name, kind, args, kwargs, where)]
    operations: list[Operation] = []
    for k, (kind, own, named) in enumerate(calls):
        running = (Ref(operations[-1].name),) if operations else ()
        own_name = name if k == len(calls) - 1 else f"{name}:{k}"
        operations.append(Operation(own_name, kind, (*running, *own), named, where))
    return operations


def _current(module: nn.Module, name: str) -> Any:
    """`module.weight` or `.bias` as the next forward pass would use it."""
    with torch.no_grad():
        for hook in module._forward_pre_hooks.values():
            if getattr(hook, "_tensor_name", None) == name and hasattr(hook, "apply_mask"):
                return hook.apply_mask(module)  # pruning: module.weight may be stale after a training step
            if isinstance(hook, WeightNorm) and hook.name == name:
                return hook.compute_weight(module)  # likewise
        if not is_parametrized(module):
            return getattr(module, name)
        with _unchanged(module):  # a parametrization may count its calls
            return getattr(module, name)


def _exported_program(program: torch.export.ExportedProgram) -> Program:
    signature = program.graph_signature
    tensors = {**program.state_dict, **program.constants}
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    fixed = {name: (tensors[target], target) for name, target in targets.items()}
    result = _graph_program(program.graph, program.graph_module, fixed)
    return replace(result, output=[Ref(str(name)) for name in signature.user_outputs])
