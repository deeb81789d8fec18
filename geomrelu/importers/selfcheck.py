"""The importer's proof of itself: what was read computes what the original computes, within rounding.

Both are evaluated at the same points, the network by a float64 forward pass, the original by its own
library.  Either may be off by what rounding does to it.  With unit roundoff u, and n the number of terms
of a layer's longest sum, a layer u = W h + b adds at most n u (|W| |h| + |b|) to the errors of its units.
An error of a unit reaches the outputs as the network's own Jacobian J from that unit on has it, so that

    |error of the outputs|  <=  sum over layers of  |J| n u (|W| |h| + |b|),

to first order in u: with the slopes at the point (1 for a neuron within its own error of zero).  The
original adds up the same terms, perhaps more of them (a batch normalisation that is one step here, say):
it is given the same bound with its own u, and both are doubled.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, float_array
from geomrelu.domain import Box, Polygon, Slice
from geomrelu.errors import DomainError, InputDimensionError, InputError
from geomrelu.importers.originals import Original, originals
from geomrelu.matrices import is_sparse
from geomrelu.network import Network

__all__ = ["Comparison", "SelfCheck", "forward_growth", "self_check"]

# Points that are drawn, and corners of a box at most.
_POINTS = 32
_SLACK = 2.0
# Entries of the Jacobians at work at a time.
_BLOCK = 2**24
# Outputs that are judged in one comparison.
_JUDGED = 64
_DOUBLE = float(np.finfo(np.float64).eps) / 2


@dataclass(frozen=True)
class Comparison:
    """A network beside one way of computing the original.

    Attributes
    ----------
    original : str
        Who computed it, and in which numbers.
    points : int
    difference, bound : float
        Where the difference is largest beside its bound: the two.
    overflowed : int
        Points besides at which the original's numbers overflow, as they must: nothing is compared there.
    """

    original: str
    points: int
    difference: float
    bound: float
    overflowed: int = 0

    @property
    def ok(self) -> bool:
        """Whether rounding explains every difference."""
        return self.difference <= self.bound

    def __str__(self) -> str:
        beyond = f"; its numbers overflow at {self.overflowed} more, as they must" if self.overflowed else ""
        if not self.points:
            return f"{self.original}: nothing to compare{beyond}"
        verdict = "equal within rounding" if self.ok else "DIFFERENT"
        return (
            f"{self.original}: {verdict} at {self.points} points "
            f"(largest difference {self.difference:.2g}, of rounding at most {self.bound:.2g}){beyond}"
        )


@dataclass(frozen=True)
class SelfCheck:
    """What `self_check` found; no comparisons where nothing but geomrelu computes the model."""

    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        """Whether the network differs nowhere from the original by more than rounding does."""
        return all(comparison.ok for comparison in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """All of it as numbers and text, for JSON."""
        return {"ok": self.ok, "comparisons": [{**asdict(c), "ok": c.ok} for c in self.comparisons]}

    def __str__(self) -> str:
        if not self.comparisons:
            return "nothing else computes this model: its weights are taken as they stand"
        return "\n".join(str(comparison) for comparison in self.comparisons)


def self_check(
    model: Any,
    network: Network | None = None,
    points: npt.ArrayLike | None = None,
    domain: Box | Polygon | Slice | None = None,
) -> SelfCheck:
    """Compare a network with the model that it was read from, at random inputs, a domain's corners and given points.

    Parameters
    ----------
    model : torch module, exported program, scikit-learn model, onnx.ModelProto, Nnet
        The original; left unchanged.  ``geomrelu.importers.files.load_model`` opens files.
    network : Network, optional
        What was read; read again if it is not given.
    points : (N, n_inputs) array, optional
        More points to compare at; rounded to float32, which all the originals take.
    domain : Box, Polygon or Slice, optional
        Whose corners are compared at, rounded likewise; of a box with more than five dimensions 32 that are drawn.
        By default the box from -1 to 1.

    Returns
    -------
    SelfCheck
        Comparisons with torch in float64, scikit-learn, onnx's reference in float64, and onnxruntime
        where it is installed.  The bounds are of rounding; a wrong weight shows as far more.

    Raises
    ------
    InputDimensionError
        If the points or the domain do not fit the network.
    DomainError
        If the domain is another one.
    InputError
        If the original cannot be run.

    Examples
    --------
    >>> import torch
    >>> check = self_check(torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)))
    >>> check.ok, check.comparisons[0].original, check.comparisons[0].difference < 1e-14
    (True, 'torch in float64', True)
    """
    if network is None:
        from geomrelu.importers import as_network

        network = as_network(model)
    places = _places(network, points, domain)
    return SelfCheck(tuple(_compared(network, original, places) for original in originals(model, network.input_shape)))


def _places(network: Network, points: npt.ArrayLike | None, domain: Any) -> FloatArray:
    """Random points of many sizes, the same in every run, the domain's corners, and the points that were given."""
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.uniform(-1, 1, (_POINTS, 1))
    # Values that float16 and float32 have too, so that all are asked about the same points.
    drawn = (scales * rng.normal(size=(_POINTS, network.n_inputs))).astype(np.float16).astype(np.float64)
    places = [drawn, _corners(network, domain, rng).astype(np.float32).astype(np.float64)]
    if points is not None:
        given = float_array(points, "points")
        if given.ndim != 2 or given.shape[1] != network.n_inputs:
            raise InputDimensionError(f"points: got shape {given.shape}, expected (N, {network.n_inputs})")
        places.append(given.astype(np.float32).astype(np.float64))
    return np.concatenate(places)


def _corners(network: Network, domain: Any, rng: np.random.Generator) -> FloatArray:
    """A domain's corners as inputs, (N, n_inputs)."""
    n = network.n_inputs
    if domain is None:
        domain = Box([-1.0] * n, [1.0] * n)
    if not isinstance(domain, Box | Polygon | Slice):
        raise DomainError(
            f"self_check: got a domain of type {type(domain).__name__}; expected a gr.Box, gr.Polygon or gr.Slice"
        )
    dimension = domain.n_inputs if isinstance(domain, Slice) else domain.dimension
    if dimension != n:
        raise InputDimensionError(
            f"self_check: got a domain in a space of {dimension} inputs, and the network takes {n}; expected as many"
        )
    if isinstance(domain, Slice):
        return domain.lift(domain.vertices).reshape(-1, n)
    if isinstance(domain, Polygon):
        return domain.vertices
    few = 2**n <= _POINTS
    upper = (np.arange(2**n)[:, None] >> np.arange(n)) & 1 if few else rng.integers(0, 2, (_POINTS, n))
    return np.where(upper == 1, domain.high, domain.low)


def _compared(network: Network, original: Original, points: FloatArray) -> Comparison:
    try:
        expected = original.evaluate(points)
    except Exception as error:  # a module that cannot run in float64, say: it may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{original.name}: cannot run the model ({reason}); does it run on one input?") from error
    values = network(points)
    if expected.shape != values.shape:
        return Comparison(original.name, len(points), float("inf"), 0.0)
    beyond = ~np.isfinite(expected).all(axis=1) & _overflows(network, points, original.roundoff)
    if beyond.all():
        return Comparison(original.name, 0, 0.0, 0.0, len(points))
    points, values, expected = points[~beyond], values[~beyond], expected[~beyond]
    difference = np.abs(values - expected)
    difference[~np.isfinite(difference)] = np.inf  # what overflows is not explained by rounding
    # The bound costs a Jacobian: of many outputs it is asked of those that differ most.
    judged = np.argsort(difference.max(axis=0))[-_JUDGED:]
    difference = difference[:, judged]
    bound = _SLACK * (_DOUBLE + original.roundoff) * _growth(network, points, judged)
    excess = difference / np.maximum(bound, np.finfo(np.float64).tiny)
    worst = np.unravel_index(int((excess if excess.any() else bound).argmax()), excess.shape)
    found = float(difference[worst]), float(bound[worst])
    return Comparison(original.name, len(points), *found, overflowed=int(beyond.sum()))


def _overflows(network: Network, points: FloatArray, roundoff: float) -> BoolArray:
    """Points (N,) at which float64, or float32 if the roundoff is its, cannot hold the terms of some sum."""
    limit = np.finfo(np.float64 if roundoff <= _DOUBLE else np.float32).max
    largest, h = np.zeros(len(points)), points
    for layer in network.layers:
        size = np.abs(h) @ abs(layer.weight).T + np.abs(layer.bias)
        largest = np.maximum(largest, size.max(axis=1, initial=0.0))
        h = np.asarray(h @ layer.weight.T + layer.bias)
        h[:, : layer.n_neurons] = np.maximum(h[:, : layer.n_neurons], 0.0)
    return ~(largest <= limit)


def _growth(network: Network, points: FloatArray, outputs: IntArray) -> FloatArray:
    """`forward_growth` of many points, in blocks whose Jacobians fit into memory."""
    size = max(1, _BLOCK // (len(outputs) * max(layer.n_units for layer in network.layers)))
    blocks = [forward_growth(network, points[k : k + size], outputs) for k in range(0, len(points), size)]
    return np.concatenate(blocks)


def forward_growth(network: Network, points: FloatArray, outputs: IntArray) -> FloatArray:
    """The bound at the module's top divided by u, of some outputs, (N, len(outputs)); a float approximation."""
    h = points
    added, open_ = [], []
    for layer in network.layers:
        size = abs(layer.weight)
        terms = int(np.diff(size.indptr).max(initial=0)) if is_sparse(size) else layer.n_inputs
        added.append((terms + 2) * (np.abs(h) @ size.T + np.abs(layer.bias)))
        h = np.asarray(h @ layer.weight.T + layer.bias)
        slopes = np.ones(h.shape)
        neurons = slice(0, layer.n_neurons)
        slopes[:, neurons] = h[:, neurons] > -_DOUBLE * added[-1][:, neurons]
        open_.append(slopes)
        np.maximum(h[:, neurons], 0.0, out=h[:, neurons])
    n_points, n_outputs = len(points), len(outputs)
    last = np.zeros((n_outputs, network.n_outputs))
    last[np.arange(n_outputs), outputs] = 1.0
    jacobian = np.broadcast_to(last, (n_points, *last.shape))
    growth = np.zeros((n_points, n_outputs))
    for k in range(len(network.layers) - 1, -1, -1):
        jacobian = jacobian * open_[k][:, None, :]
        growth += np.einsum("nou,nu->no", np.abs(jacobian), added[k])
        if k:
            flat = jacobian.reshape(n_points * n_outputs, -1) @ network.layers[k].weight
            jacobian = np.asarray(flat).reshape(n_points, n_outputs, -1)
    return growth
