"""What is measured on float coordinates and maps, block by block: areas, extrema, steepness, integrals.

Each measure is three functions: of a block of regions, of the values of several blocks in
order, and the form in which the result is told.  Values are small dicts of arrays.

Extrema and Lipschitz constants come with a rigorous bound on their error.  Let v_k be the
computed candidates (an output at a vertex, the norm of a map) and e_k bounds on their errors,
so the largest of the true values lies between max(v_k - e_k) and max(v_k + e_k).  Both ends
are kept beside the largest v_k, and the error told is the distance to the farther end.

- *Output at a vertex.*  With the map A x + b of a face around it, wrong by at most E_A and E_b
  (`affine.affine_map_errors`), and the vertex by at most r (`PlanarComplex.vertex_errors`):
  e = E_A |x| + E_b + (|A|_2 + |E_A|_2) r + rounding of the sum.  An affine function has its extrema at
  vertices, and f is continuous, so these are those of f.
- *Norm of a map.*  The p-norm of A is wrong by at most that of E_A for p = 1 and infinity, the
  Frobenius norm of E_A for p = 2, and its own rounding.  f is continuous and the domain convex,
  so its Lipschitz constant is the largest norm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu.affine import AffineMaps, affine_map_errors
from geomrelu.arrays import FloatArray, IntArray, row_ids
from geomrelu.planar.complex import PlanarComplex

__all__ = ["MEASURES", "Measure", "State"]

# Arrays by name: what a block came to.
State: TypeAlias = "Mapping[str, npt.NDArray[Any]]"

_UNIT_ROUNDOFF = 2.0**-53
# Exceeds the rounding of a bound's own evaluation, as in `planar.bounds`.
_SLACK = 1.001
# Pays for underflow.
_TINY = 1e-290
# The senses of an extremum: minimum, maximum.
_SENSES = np.array([-1.0, 1.0])
_ORDERS = {"lipschitz": 2.0, "lipschitz_1": 1.0, "lipschitz_inf": np.inf}


class Measure(NamedTuple):
    """How a quantity is measured on a block, combined over blocks in order, and told in the end."""

    of_block: Callable[[PlanarComplex], State]
    combine: Callable[[Sequence[State]], State]
    tell: Callable[[State], Any]


# ---------------------------------------------------------------------- areas and histograms


def _area(p: PlanarComplex) -> State:
    return {"total": p.areas.sum(), "smallest": p.areas.min(), "largest": p.areas.max()}


def _join_areas(states: Sequence[State]) -> State:
    return {
        "total": np.sum([s["total"] for s in states]),
        "smallest": np.min([s["smallest"] for s in states]),
        "largest": np.max([s["largest"] for s in states]),
    }


def _tell_area(state: State) -> dict[str, float]:
    return {name: float(value) for name, value in state.items()}


def decades(values: FloatArray) -> IntArray:
    """The k with 10^k <= value < 10^(k + 1) of positive float64 values; infinity counts as the largest number.

    Examples
    --------
    >>> decades(np.array([0.0999, 0.1, 999.0, 1000.0])).tolist()
    [-2, -1, 2, 3]
    """
    found = np.floor(np.log10(np.minimum(values, np.finfo(np.float64).max))).astype(np.int64)
    # The logarithm is rounded: near a power of ten it may be off by one.
    powers = np.array([float(f"1e{k}") for k in range(-324, 309)] + [np.inf])
    found -= values < powers[found + 324]
    found += (values >= powers[found + 325]) & (found < 308)
    return found


def _histogram(values: IntArray) -> State:
    found, numbers = np.unique(values, return_counts=True)
    return {"bins": found, "counts": numbers}


def _join_histograms(states: Sequence[State]) -> State:
    bins, place = np.unique(np.concatenate([s["bins"] for s in states]), return_inverse=True)
    counts = np.zeros(len(bins), dtype=np.int64)
    np.add.at(counts, place.ravel(), np.concatenate([s["counts"] for s in states]))
    return {"bins": bins, "counts": counts}


def _tell_histogram(state: State) -> dict[int, int]:
    return {int(k): int(n) for k, n in zip(state["bins"], state["counts"], strict=True)}


def _area_decades(p: PlanarComplex) -> State:
    return _histogram(decades(np.maximum(p.areas, 5e-324)))


def _gradient_decades(p: PlanarComplex) -> State:
    """Per output the histogram of the gradients' lengths; those of length zero apart."""
    lengths = np.hypot(p.affine_maps.A[:, :, 0], p.affine_maps.A[:, :, 1])
    state: dict[str, npt.NDArray[Any]] = {"zero": (lengths == 0).sum(axis=0)}
    for o in range(lengths.shape[1]):
        for name, values in _histogram(decades(lengths[:, o][lengths[:, o] > 0])).items():
            state[f"{name}{o}"] = values
    return state


def _output_histogram(state: State, o: int) -> State:
    return {"bins": state[f"bins{o}"], "counts": state[f"counts{o}"]}


def _join_gradient_decades(states: Sequence[State]) -> State:
    result: dict[str, npt.NDArray[Any]] = {"zero": np.sum([s["zero"] for s in states], axis=0)}
    for o in range(len(result["zero"])):
        for name, values in _join_histograms([_output_histogram(s, o) for s in states]).items():
            result[f"{name}{o}"] = values
    return result


def _tell_gradient_decades(state: State) -> list[dict[str, Any]]:
    return [
        {"zero": int(n), "decades": _tell_histogram(_output_histogram(state, o))} for o, n in enumerate(state["zero"])
    ]


# ---------------------------------------------------------------------- the largest of values with errors


def _largest(values: FloatArray, errors: FloatArray, places: FloatArray) -> State:
    """The largest of values (N, k) with errors, per column: where (k, ...) `places` (N, ...) say, and its bounds.

    The first of equal values counts.  What overflowed is no number, and its error infinite.
    """
    unknown = np.isnan(values)
    values, errors = np.where(unknown, -np.inf, values), np.where(unknown | np.isnan(errors), np.inf, errors)
    first = values.argmax(axis=0)
    with np.errstate(invalid="ignore"):
        low, high = values - errors, values + errors
    return {
        "value": values.max(axis=0),
        "place": places[first],
        "low": np.where(np.isnan(low), -np.inf, low).max(axis=0),
        "high": np.where(np.isnan(high), np.inf, high).max(axis=0),
    }


def _join_largest(states: Sequence[State]) -> State:
    values = np.stack([s["value"] for s in states])
    first = values.argmax(axis=0)
    places = np.stack([s["place"] for s in states])
    return {
        "value": values.max(axis=0),
        "place": places[first, np.arange(len(first))],
        "low": np.max([s["low"] for s in states], axis=0),
        "high": np.max([s["high"] for s in states], axis=0),
    }


def _largest_error(state: State) -> FloatArray:
    """How far the true largest values may be from those told."""
    with np.errstate(invalid="ignore"):
        error = np.maximum(state["high"] - state["value"], state["value"] - state["low"]) * _SLACK
    return np.asarray(np.where(np.isnan(error), np.inf, error))


# ---------------------------------------------------------------------- extrema, Lipschitz constants, integrals


def _extrema(p: PlanarComplex) -> State:
    faces, x = row_ids(p.face_offsets), p.vertices[p.face_vertices]
    maps, errors = p.affine_maps, affine_map_errors(p.network, p.patterns)
    with np.errstate(over="ignore", invalid="ignore"):
        steepness = np.linalg.norm(maps.A, axis=2) + np.linalg.norm(errors.A, axis=2)
        radius = p.vertex_errors[p.face_vertices]
        values, slack = np.empty((2, len(x), p.network.n_outputs))
        for o in range(p.network.n_outputs):
            A, b = maps.A[faces, o], maps.b[faces, o]
            values[:, o] = (A * x).sum(axis=1) + b
            magnitude = (np.abs(A) * np.abs(x)).sum(axis=1) + np.abs(b)
            wrong = (errors.A[faces, o] * np.abs(x)).sum(axis=1) + errors.b[faces, o]
            moved = steepness[faces, o] * radius
            slack[:, o] = (wrong + moved + 4 * _UNIT_ROUNDOFF * magnitude) * _SLACK + _TINY
    both = (values[:, :, None] * _SENSES).reshape(len(x), -1)
    return _largest(both, np.repeat(slack, 2, axis=1), np.concatenate([x, radius[:, None]], axis=1))


def _tell_extrema(state: State) -> list[dict[str, Any]]:
    values, errors = state["value"].reshape(-1, 2) * _SENSES, _largest_error(state).reshape(-1, 2)
    places = state["place"].reshape(-1, 2, 3)
    result = []
    for o in range(len(values)):
        facts: dict[str, Any] = {}
        for k, name in enumerate(("minimum", "maximum")):
            x, y, radius = places[o, k].tolist()
            facts |= {name: float(values[o, k]), f"{name}_error": float(errors[o, k])}
            facts |= {f"{name}_at": [x, y], f"{name}_at_error": radius}
        result.append(facts)
    return result


def _lipschitz(order: float) -> Measure:
    def of_block(p: PlanarComplex) -> State:
        maps, errors = p.affine_maps, affine_map_errors(p.network, p.patterns)
        norms, wrong = _norms(maps, errors, order)
        return _largest(norms[:, None], wrong[:, None], p.centroids)

    def tell(state: State) -> dict[str, Any]:
        error = float(_largest_error(state)[0])
        return {"constant": float(state["value"][0]), "error": error, "at": state["place"][0].tolist()}

    return Measure(of_block, _join_largest, tell)


def _norms(maps: AffineMaps, errors: AffineMaps, order: float) -> tuple[FloatArray, FloatArray]:
    """Operator norms of the maps (F,), and bounds on their errors (F,)."""
    n_outputs = maps.A.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        if order == 2:
            norms, wrong = _spectral_norms(maps.A), np.sqrt((errors.A**2).sum(axis=(1, 2))) + _TINY
            rounding = (4 * n_outputs + 16) * _UNIT_ROUNDOFF
        else:
            axis = 1 if order == 1 else 2
            norms, wrong = (np.abs(M).sum(axis=axis).max(axis=1) for M in (maps.A, errors.A))
            rounding = (n_outputs + 2) * _UNIT_ROUNDOFF
        return norms, (wrong + rounding * norms) * _SLACK + _TINY


def _spectral_norms(A: FloatArray) -> FloatArray:
    """Largest singular values of matrices (F, out, 2), to within (4 out + 16) 2^-53 times themselves.

    The larger eigenvalue of the 2 x 2 matrix A^T A is half its trace, plus the length of (half
    the difference of its diagonal, the entry beside it): a sum of numbers that are not negative.
    Columns are scaled by a power of two, so that squares neither overflow nor vanish.
    """
    exponents = np.frexp(np.abs(A).max(axis=(1, 2)))[1]
    scaled = np.ldexp(A, -exponents[:, None, None])
    squares = (scaled * scaled).sum(axis=1)
    beside = (scaled[:, :, 0] * scaled[:, :, 1]).sum(axis=1)
    largest = squares.sum(axis=1) / 2 + np.hypot((squares[:, 0] - squares[:, 1]) / 2, beside)
    return np.asarray(np.ldexp(np.sqrt(largest), exponents))


def _integral(p: PlanarComplex) -> State:
    """Of an affine function: its value at the centroid times the area."""
    maps = p.affine_maps
    values = np.einsum("foi,fi->fo", maps.A, p.centroids) + maps.b
    # In domains of extreme size areas under- or overflow, while their products with values need not.
    scaled, exponent = p.scaled_areas
    areas = scaled if exponent else p.areas
    return {"integral": np.ldexp((values * areas[:, None]).sum(axis=0), exponent)}


MEASURES: dict[str, Measure] = {
    "area": Measure(_area, _join_areas, _tell_area),
    "area_decades": Measure(_area_decades, _join_histograms, _tell_histogram),
    "active_neurons": Measure(lambda p: _histogram(p.patterns.n_active()), _join_histograms, _tell_histogram),
    "gradient_decades": Measure(_gradient_decades, _join_gradient_decades, _tell_gradient_decades),
    "extrema": Measure(_extrema, _join_largest, _tell_extrema),
    **{name: _lipschitz(order) for name, order in _ORDERS.items()},
    "integral": Measure(
        _integral,
        lambda states: {"integral": np.sum([s["integral"] for s in states], axis=0)},
        lambda state: state["integral"].tolist(),
    ),
}
