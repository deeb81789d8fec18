"""The sampled path: values, gradients and intercepts at points by autograd, on any torch device.

A sample sees the affine map of the region it falls in, so a grid of samples shows some of a
network's affine maps: those of the regions it hits.  This module knows networks and domains,
never the planar complex, and so can serve as an independent check of it.

Models are evaluated in float64, as a copy and in evaluation mode: what is sampled is the
real-arithmetic network with the given weights, up to float64 rounding.  torch's ReLU has
derivative 0 at 0, which fits "exactly 0 counts as inactive".
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, frozen, real_array
from geomrelu.domain import Domain, as_domain
from geomrelu.errors import InputDimensionError, InputError, ShapeError, UnsupportedLayerError, WeightError
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.sampling.distinct import checked_tolerance, distinct_maps

if TYPE_CHECKING:
    import torch

__all__ = [
    "LocalMaps",
    "Samples",
    "Trace",
    "doubtful_signs",
    "grid_points",
    "sample",
    "sample_maps",
    "trace",
    "value_errors",
]

_MAX_SAMPLES = 10**8
# Pays for products that underflow.
_UNDERFLOW = 1e-290
_UNIT_ROUNDOFF = 2.0**-53


class LocalMaps(NamedTuple):
    """The affine map that a model shows at each of N points of dimension d.

    Attributes
    ----------
    values : (N, out) float64
        Outputs.
    gradients : (N, out, d) float64
        Gradient of each output.
    intercepts : (N, out) float64
        ``value - gradient . x``: the affine map is x -> gradients x + intercepts.
    """

    values: FloatArray
    gradients: FloatArray
    intercepts: FloatArray

    @property
    def rows(self) -> FloatArray:
        """Each map as one row: all gradient entries, then the intercepts, (N, out (d + 1))."""
        n, out, d = self.gradients.shape
        return np.concatenate([self.gradients.reshape(n, out * d), self.intercepts], axis=1)


@dataclass(frozen=True, eq=False)
class Samples:
    """A model's affine maps at sample points; all arrays float64 (labels int64), read-only.

    Attributes
    ----------
    points : (N, 2)
    values : (N, out)
    gradients : (N, out, 2)
    intercepts : (N, out)
    labels : (N,)
        Which distinct map each sample shows, 0 .. n_maps - 1 in order of appearance.
    representatives : (n_maps,)
        First sample of each distinct map.
    tol : float
        Tolerance within which maps count as equal; see `distinct_maps`.
    """

    points: FloatArray
    values: FloatArray = field(repr=False)
    gradients: FloatArray = field(repr=False)
    intercepts: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    representatives: IntArray = field(repr=False)
    tol: float

    @property
    def n_maps(self) -> int:
        """Number of distinct affine maps among the samples, within `tol`."""
        return len(self.representatives)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Samples({len(self)} points, {self.n_maps} distinct maps within {self.tol:g})"


@dataclass(frozen=True, eq=False)
class Trace:
    """What a float64 forward and backward pass of a `Network` shows, with what rounding leaves open.

    Attributes
    ----------
    patterns : Patterns
        Activation pattern of each of N points as the pass saw it.
    doubtful : Patterns
        Bit 1 where rounding may have decided the sign of that preactivation.
    maps : LocalMaps
        Values, gradients and intercepts, from the same pass as the patterns.
    """

    patterns: Patterns
    doubtful: Patterns
    maps: LocalMaps


def grid_points(domain: Any, n: int, corners: bool = True) -> FloatArray:
    """Points of an n x n grid over the domain's bounding box that lie in the domain, (N, 2).

    Parameters
    ----------
    domain : Box or Polygon
        Two-dimensional; anything `geomrelu.domain.as_domain` takes.
    n : int
        Grid points along each axis, at least 2; the box's sides are included.
    corners : bool
        Append the domain's corners, in their order, as the last rows (also where the grid
        has them, so that they can be told from the grid by position).

    Examples
    --------
    >>> from geomrelu.domain import Box
    >>> grid_points(Box(0, 1), 2, corners=False).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> len(grid_points(Box(-1, 1), 101))
    10205
    """
    shape = _plane_domain(domain)
    count = _grid_size(n)
    x0, y0, x1, y1 = shape.bounds
    x, y = np.meshgrid(np.linspace(x0, x1, count), np.linspace(y0, y1, count))
    grid = np.column_stack([x.ravel(), y.ravel()])
    grid = grid[shape.contains(grid)]
    return np.concatenate([grid, shape.vertices]) if corners else grid


def sample(
    model: Any,
    domain: Any,
    n: int = 101,
    device: str | torch.device | None = None,
    corners: bool = True,
    tol: float = 1e-3,
    chunk: int | None = None,
) -> Samples:
    """Sample a model's affine maps on a grid over a 2-D domain, by autograd.

    Not exact: regions that no grid point hits are missed, and `n_maps` depends on `tol`.
    The exact counts are those of `geomrelu.partition`.

    Parameters
    ----------
    model : torch.nn.Module, Network or scikit-learn MLP
        Takes points of shape (N, 2).  Never changed.
    domain : Box or Polygon
    n, corners
        The sample points; see `grid_points`.
    device : str or torch.device, optional
        Where to compute; by default where the model's parameters are.
    tol : float
        Two maps are the same if no entry differs by more; see `distinct_maps`.
    chunk : int, optional
        Points per batch.

    Raises
    ------
    InputDimensionError
        If the model or the domain is not two-dimensional.
    NotPiecewiseLinearError
        If a layer of a module is not piecewise linear; named with its path.
    WeightError
        If a weight is NaN or infinite.
    InputError
        If n, tol, device or chunk cannot be used.

    Examples
    --------
    >>> import geomrelu.network, geomrelu.domain
    >>> f = geomrelu.network.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
    >>> s = sample(f, geomrelu.domain.Box(-1, 1))
    >>> s.n_maps
    3
    >>> s.gradients[s.representatives, 0].tolist(), s.intercepts[s.representatives, 0].tolist()
    ([[0.0, 0.0], [2.0, 2.0], [-2.0, -2.0]], [-1.0, 1.0, 1.0])
    """
    tolerance = checked_tolerance(tol)
    points = grid_points(domain, n, corners)
    maps = sample_maps(model, points, device=device, chunk=chunk)
    distinct = distinct_maps(maps.rows, tolerance)
    return Samples(
        points=frozen(points),
        values=frozen(maps.values),
        gradients=frozen(maps.gradients),
        intercepts=frozen(maps.intercepts),
        labels=frozen(distinct.labels),
        representatives=frozen(distinct.representatives),
        tol=tolerance,
    )


def sample_maps(
    model: Any, points: npt.ArrayLike, device: str | torch.device | None = None, chunk: int | None = None
) -> LocalMaps:
    """Value, gradient and intercept of each output at each point, by autograd in float64.

    Parameters
    ----------
    model : torch.nn.Module, Network or scikit-learn MLP
        A module is copied; the copy runs in float64 and in evaluation mode.  It must treat
        the rows of a batch independently.  One that `geomrelu.partition` cannot read
        (`UnsupportedLayerError`) is sampled all the same, unless it is not piecewise linear.
    points : (N, d) array_like
    device : str or torch.device, optional
        Where to compute; by default where the model's parameters are.
    chunk : int, optional
        Points per batch; by default chosen for the device.

    Examples
    --------
    >>> import torch
    >>> maps = sample_maps(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten()), [[2.0, -3.0]])
    >>> maps.gradients.tolist()
    [[[1.0, 0.0], [0.0, 0.0]]]
    """
    import torch

    x = _points(points)
    with torch.inference_mode(False), torch.enable_grad():
        forward, where = _forward(model, x.shape[1], device)
        parts = []
        for batch in _batches(x, where, chunk):
            values = forward(batch)
            parts.append(_local_maps(batch, values))
    return LocalMaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def trace(
    network: Network,
    points: npt.ArrayLike,
    position_error: float = 0.0,
    device: str | torch.device | None = None,
    chunk: int | None = None,
) -> Trace:
    """Patterns and maps of a `Network` at points by torch, with the signs that rounding leaves open.

    An elementwise bound on each preactivation's error is carried through the layers:
    ``e' = |W| e + gamma (|W| |h| + |b|)``, with ``gamma = k u / (1 - k u)`` for sums of k terms
    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and 0 behind a
    neuron that is certainly inactive.  A preactivation smaller than its bound is doubtful.  Most
    points are far from any doubt: the bound for the largest values of a batch settles those.

    Parameters
    ----------
    network : Network
    points : (N, d) array_like
    position_error : float
        Allowed error of each coordinate, to be counted into the bounds: signs that a move of
        that size could change are doubtful too.
    device, chunk
        As in `sample_maps`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.1]], [[1.0]]])
    >>> t = trace(f, [[0.1, -1.0], [0.5, 0.0]])
    >>> t.doubtful.unpack().ravel().tolist(), t.patterns.unpack().ravel().tolist()
    ([True, False], [False, True])
    """
    import torch

    x = network._points(points)
    where = _device(device, None)
    parts = []
    with torch.inference_mode(False), torch.enable_grad():
        layers = [_tensor_layer(layer, where) for layer in network.layers]
        for batch in _batches(x, where, chunk):
            values, active, clear = _filtered_forward(layers, batch, position_error)
            unclear = np.flatnonzero(~clear)
            if len(unclear) > len(batch) // 2:
                parts.append(_bounded_trace(layers, batch, position_error, network.widths))
                continue
            words = _packed(active, len(batch), network.widths)
            part = _Words(words.copy(), np.zeros_like(words), *_local_maps(batch, values))
            if len(unclear):
                again = batch.detach()[torch.from_numpy(unclear).to(where)].requires_grad_(True)
                for own, new in zip(part, _bounded_trace(layers, again, position_error, network.widths), strict=True):
                    own[unclear] = new
            parts.append(part)
    patterns, doubtful, *maps = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trace(Patterns(patterns, network.widths), Patterns(doubtful, network.widths), LocalMaps(*maps))


def value_errors(
    network: Network,
    points: npt.ArrayLike,
    position_error: float = 0.0,
    device: str | torch.device | None = None,
    chunk: int | None = None,
) -> FloatArray:
    """Bounds on the rounding errors of `trace`'s values, (N, out) float64; parameters as there.

    Examples
    --------
    >>> f = Network([[[1.0, 0.1]], [[1.0]]])
    >>> bool(0 < value_errors(f, [[0.1, 1.0]])[0, 0] < 1e-15)
    True
    """
    import torch

    x = network._points(points)
    where = _device(device, None)
    with torch.no_grad():
        layers = [_tensor_layer(layer, where) for layer in network.layers]
        return np.concatenate(
            [_numpy(_bounded_forward(layers, batch, position_error, [])[1]) for batch in _batches(x, where, chunk)]
        )


def doubtful_signs(
    network: Network,
    points: npt.ArrayLike,
    position_error: float = 0.0,
    device: str | torch.device | None = None,
    chunk: int | None = None,
) -> Patterns:
    """`trace`'s doubtful signs alone, without gradients: bit 1 where rounding may have decided, (N,).

    Examples
    --------
    >>> f = Network([[[1.0, 0.1]], [[1.0]]])
    >>> doubtful_signs(f, [[0.1, -1.0], [0.5, 0.0]]).unpack().ravel().tolist()
    [True, False]
    """
    import torch

    x = network._points(points)
    where = _device(device, None)
    doubtful = []
    with torch.no_grad():
        layers = [_tensor_layer(layer, where) for layer in network.layers]
        for batch in _batches(x, where, chunk):
            signs: list[tuple[torch.Tensor, torch.Tensor]] = []
            _bounded_forward(layers, batch, position_error, signs)
            doubtful.append(_packed([s[1] for s in signs], len(batch), network.widths))
    return Patterns(np.concatenate(doubtful), network.widths)


def _forward(
    model: Any, n_inputs: int, device: str | torch.device | None
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.device]:
    """The model as a float64 function of a batch, and the device it runs on."""
    import torch

    if isinstance(model, torch.nn.Module):
        return _module_forward(model, n_inputs, device)
    if isinstance(model, Network):
        network = model
    else:
        from geomrelu.importers import as_network

        network = as_network(model)
    if network.n_inputs != n_inputs:
        raise InputDimensionError(
            f"points: got shape (N, {n_inputs}), expected (N, {network.n_inputs}) for {network}; "
            "of a network with more inputs fix the others first (substitute their values into the first layer's bias)"
        )
    where = _device(device, None)
    layers = [_tensor_layer(layer, where) for layer in network.layers]
    return lambda x: _plain_forward(layers, x), where


def _module_forward(
    model: torch.nn.Module, n_inputs: int, device: str | torch.device | None
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.device]:
    import torch

    _check_module(model, n_inputs)
    own = next((t.device for t in [*model.parameters(), *model.buffers()]), None)
    where = _device(device, own)
    try:
        module = copy.deepcopy(model)
    except Exception as error:
        raise UnsupportedLayerError(
            f"model: {type(model).__name__} cannot be copied ({error}); sampling runs on a copy, so that yours "
            "stays as it is.  Tensors kept as attributes must be parameters or buffers"
        ) from error
    module = module.to(device=where, dtype=torch.float64).eval().requires_grad_(False)

    def forward(x: torch.Tensor) -> torch.Tensor:
        try:
            values = module(x)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise InputDimensionError(
                f"model: {type(model).__name__} failed on points of shape {tuple(x.shape)} ({error}); "
                f"expected a model that takes (N, {n_inputs}) float64 points; wrap it in a module that does"
            ) from error
        if not isinstance(values, torch.Tensor) or values.ndim not in (1, 2) or len(values) != len(x):
            got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise ShapeError(f"model: got output {got} for {len(x)} points, expected a tensor of shape ({len(x)}, out)")
        return values[:, None] if values.ndim == 1 else values

    return forward, where


def _check_module(model: torch.nn.Module, n_inputs: int) -> None:
    """Refuse what `geomrelu.partition` would refuse, but for modules that merely cannot be read."""
    import torch

    from geomrelu.importers import as_network

    try:
        network = as_network(model)
    except UnsupportedLayerError:
        for name, tensor in model.named_parameters():
            if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta:
                raise WeightError(f"{name}: holds no values yet; load the weights, or call the model once") from None
            if not torch.isfinite(tensor).all():
                raise WeightError(
                    f"{name}: holds NaN or infinity; expected finite numbers only, so mend or retrain the model"
                ) from None
        return
    if network.n_inputs != n_inputs:
        raise InputDimensionError(
            f"model: {type(model).__name__} takes {network.n_inputs} inputs, the points have {n_inputs} coordinates; "
            "expected as many; fix the other inputs first (substitute their values into the first layer's bias)"
        )


class _TensorLayer(NamedTuple):
    weight: torch.Tensor
    bias: torch.Tensor
    n_neurons: int


def _tensor_layer(layer: Any, device: torch.device) -> _TensorLayer:
    import torch

    # from_numpy shares memory and dislikes read-only arrays; tensor() copies.
    return _TensorLayer(
        torch.tensor(layer.weight, dtype=torch.float64, device=device),
        torch.tensor(layer.bias, dtype=torch.float64, device=device),
        layer.n_neurons,
    )


def _rectified(u: torch.Tensor, n_neurons: int) -> torch.Tensor:
    import torch

    if n_neurons == u.shape[1]:
        return torch.relu(u)
    return torch.cat([torch.relu(u[:, :n_neurons]), u[:, n_neurons:]], dim=1)


def _plain_forward(layers: list[_TensorLayer], x: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import linear

    h = x
    for weight, bias, n_neurons in layers[:-1]:
        h = _rectified(linear(h, weight, bias), n_neurons)
    return linear(h, layers[-1].weight, layers[-1].bias)


class _Words(NamedTuple):
    """A batch's share of a `Trace`, with packed words for its patterns."""

    patterns: npt.NDArray[np.uint64]
    doubtful: npt.NDArray[np.uint64]
    values: FloatArray
    gradients: FloatArray
    intercepts: FloatArray


def _bounded_trace(
    layers: list[_TensorLayer], x: torch.Tensor, position_error: float, widths: tuple[int, ...]
) -> _Words:
    """A batch's trace with a bound of its own for every preactivation."""
    signs: list[tuple[torch.Tensor, torch.Tensor]] = []
    values, _ = _bounded_forward(layers, x, position_error, signs)
    active, doubtful = (_packed([s[k] for s in signs], len(x), widths) for k in range(2))
    return _Words(active, doubtful, *_local_maps(x, values))


def _filtered_forward(
    layers: list[_TensorLayer], x: torch.Tensor, position_error: float
) -> tuple[torch.Tensor, list[torch.Tensor], BoolArray]:
    """Outputs, active neurons of each hidden layer, and the points at which no sign is in doubt, (N,).

    One bound per neuron serves the whole batch: `_bounded_forward`'s, for the largest sizes of
    its inputs and with all neurons active, so it is no smaller at any point.
    """
    import torch
    from torch.nn.functional import linear

    active: list[torch.Tensor] = []
    clear = torch.ones(len(x), dtype=torch.bool, device=x.device)
    if len(x) == 0:
        return _plain_forward(layers, x), [x.new_zeros((0, layer.n_neurons)) > 0 for layer in layers[:-1]], _bool(clear)
    h, error = x, torch.full_like(x[:1], position_error, requires_grad=False)
    for weight, bias, n in layers[:-1]:
        u = linear(h, weight, bias)
        with torch.no_grad():
            terms = weight.shape[1] + 8
            gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
            size = torch.maximum(h.amax(dim=0), -h.amin(dim=0))
            # The factor pays for sums in another order.
            error = 1.001 * linear(error + gamma * size, weight.abs(), gamma * bias.abs()) + _UNDERFLOW
            v = u[:, :n]
            active.append(v > 0)
            # What is not a number is not clear.
            clear &= (v.abs() >= error[:, :n]).all(dim=1)
        h = _rectified(u, n)
    return linear(h, layers[-1].weight, layers[-1].bias), active, _bool(clear)


def _bounded_forward(
    layers: list[_TensorLayer],
    x: torch.Tensor,
    position_error: float,
    signs: list[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and their error bounds; appends (active, doubtful) of each hidden layer to `signs`."""
    import torch
    from torch.nn.functional import linear

    h, error = x, torch.full_like(x, position_error, requires_grad=False)
    for index, (weight, bias, n) in enumerate(layers):
        u = linear(h, weight, bias)
        with torch.no_grad():
            # Terms of the sum, the bias, and room for the rounding of the bound itself.
            terms = weight.shape[1] + 8
            gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
            size = h if index and layers[index - 1].n_neurons == h.shape[1] else h.abs()
            error = linear(torch.add(error, size, alpha=gamma), weight.abs(), gamma * bias.abs())
            error += _UNDERFLOW * ((error > 0) | (u != 0))
            if index < len(layers) - 1:
                v, e = u[:, :n], error[:, :n]
                # Strictly smaller (the bound has room): where it is 0, the value 0 is exact.
                signs.append((v > 0, v.abs() < e))
                e.masked_fill_(v <= -e, 0.0)
        h = _rectified(u, n) if index < len(layers) - 1 else u
    return h, error


def _local_maps(x: torch.Tensor, values: torch.Tensor) -> LocalMaps:
    """Values, gradients and intercepts of a batch; rows are independent, so one backward pass per output."""
    import torch

    out = values.shape[1]
    gradients = x.new_zeros((len(x), out, x.shape[1]))
    if values.requires_grad:
        for k in range(out):
            (gradient,) = torch.autograd.grad(
                values[:, k].sum(), x, retain_graph=k + 1 < out, allow_unused=True, materialize_grads=True
            )
            gradients[:, k] = gradient
    with torch.no_grad():
        intercepts = values - torch.einsum("nod,nd->no", gradients, x)
    return LocalMaps(_numpy(values), _numpy(gradients), _numpy(intercepts))


def _numpy(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)


def _bool(tensor: torch.Tensor) -> BoolArray:
    return np.asarray(tensor.cpu().numpy(), dtype=bool)


def _packed(columns: list[torch.Tensor], n: int, widths: tuple[int, ...]) -> npt.NDArray[np.uint64]:
    bits: list[BoolArray] = [c.cpu().numpy() for c in columns]
    dense = np.concatenate(bits, axis=1) if bits else np.zeros((n, 0), dtype=bool)
    return Patterns.pack(dense, widths).words


def _batches(x: FloatArray, device: torch.device, chunk: int | None) -> Iterator[torch.Tensor]:
    """The points as leaf tensors of at most `chunk` rows; one empty batch if there are none."""
    import torch

    if chunk is None:
        # Small enough for the processor's caches; large enough to fill a GPU.
        size = 8192 if device.type == "cpu" else 1 << 18
    elif isinstance(chunk, bool) or not isinstance(chunk, int | np.integer) or chunk < 1:
        raise InputError(f"chunk: got {chunk!r}, expected a whole number of points, at least 1")
    else:
        size = int(chunk)
    for start in range(0, max(len(x), 1), size):
        yield torch.tensor(x[start : start + size], dtype=torch.float64, device=device).requires_grad_(True)


def _device(device: str | torch.device | None, own: torch.device | None) -> torch.device:
    """The device asked for, else the model's own, else the CPU; checked to exist and to know float64."""
    import torch

    available = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if hasattr(torch, "xpu"):
        available += [f"xpu:{k}" for k in range(torch.xpu.device_count())]
    wanted = device if device is not None else own if own is not None else "cpu"
    try:
        result = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device: got {device!r}, expected one of {', '.join(available)}") from error
    name = str(result) if result.index is not None or result.type == "cpu" else f"{result.type}:0"
    if name not in available and result.type != "cpu":
        hint = "; mps computes in float32 only, and sampling needs float64" if result.type == "mps" else ""
        raise InputError(f"device: got {str(wanted)!r}, expected one of {', '.join(available)}{hint}")
    return result


def _points(points: npt.ArrayLike) -> FloatArray:
    x = real_array(points, "points", advice="leave out the others")
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputDimensionError(f"points: got shape {x.shape}, expected (N, d), one point a row")
    return x


def _plane_domain(domain: Any) -> Domain:
    shape = as_domain(domain)
    if shape.dimension != 2:
        raise InputDimensionError(f"domain: got dimension {shape.dimension}, expected 2; fix the other inputs first")
    return shape


def _grid_size(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise InputError(f"n: got {n!r}, expected a whole number of grid points along each axis, at least 2")
    if int(n) ** 2 > _MAX_SAMPLES:
        raise InputError(f"n: got {n}, that is {int(n) ** 2} samples; expected at most {_MAX_SAMPLES}; split it")
    return int(n)
