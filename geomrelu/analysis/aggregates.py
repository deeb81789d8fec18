"""Counts and aggregates of partitions that are too large to keep.

Blocks of regions are measured and let go (`planar.run`), so peak memory does not grow with
the number of regions.  Numbers of regions, vertices and edges are exact; what is measured on
float coordinates and maps has their errors.  Sums run over blocks in a fixed order, so the
results do not depend on the number of workers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from geomrelu.arrays import IntArray
from geomrelu.domain import Domain
from geomrelu.errors import InputError
from geomrelu.network import Network
from geomrelu.planar.build import as_complex, closed_report, prepared_task, run_planned
from geomrelu.planar.complex import PlanarComplex
from geomrelu.planar.cutter import Cutter
from geomrelu.planar.run import BLOCK_VALUES, Ids, Plan, Progress

__all__ = ["AGGREGATES", "Aggregates", "aggregate", "count_regions"]

State: TypeAlias = Any  # what JSON can hold
PathLike: TypeAlias = "str | os.PathLike[str]"


class Aggregate(NamedTuple):
    """How a quantity is measured on a block, combined over blocks, and told in the end."""

    measure: Callable[[PlanarComplex], State]
    combine: Callable[[State, State], State]
    tell: Callable[[State], Any] = lambda state: state


def _add(a: State, b: State) -> State:
    return (np.asarray(a) + np.asarray(b)).tolist()


def _add_counts(a: State, b: State) -> State:
    return {key: a.get(key, 0) + b.get(key, 0) for key in sorted(a.keys() | b.keys(), key=int)}


def _counts(values: IntArray) -> State:
    found, numbers = np.unique(values, return_counts=True)
    return {str(int(v)): int(n) for v, n in zip(found, numbers, strict=True)}


def _whole_keys(state: State) -> dict[int, int]:
    return {int(key): number for key, number in state.items()}


def _area(p: PlanarComplex) -> State:
    return {"total": float(p.areas.sum()), "smallest": float(p.areas.min()), "largest": float(p.areas.max())}


def _join_areas(a: State, b: State) -> State:
    return {
        "total": a["total"] + b["total"],
        "smallest": min(a["smallest"], b["smallest"]),
        "largest": max(a["largest"], b["largest"]),
    }


def _area_decades(p: PlanarComplex) -> State:
    return _counts(np.floor(np.log10(np.maximum(p.areas, 5e-324))).astype(np.int64))


def _extrema(p: PlanarComplex) -> State:
    """Per output the least and the largest value, which vertices attain, and where."""
    faces = np.repeat(np.arange(p.n_regions), np.diff(p.face_offsets))
    x = p.vertices[p.face_vertices]
    maps = p.affine_maps
    result = []
    for o in range(p.network.n_outputs):
        values = (maps.A[faces, o] * x).sum(axis=1) + maps.b[faces, o]
        low, high = int(np.argmin(values)), int(np.argmax(values))
        result.append([[float(values[k]), *x[k].tolist()] for k in (low, high)])
    return result


def _join_extrema(a: State, b: State) -> State:
    # The first of equal values stays.
    return [
        [low if low[0] <= low_b[0] else low_b, high if high[0] >= high_b[0] else high_b]
        for (low, high), (low_b, high_b) in zip(a, b, strict=True)
    ]


def _tell_extrema(state: State) -> list[dict[str, Any]]:
    return [
        {"minimum": low[0], "minimum_at": low[1:], "maximum": high[0], "maximum_at": high[1:]} for low, high in state
    ]


def _lipschitz(p: PlanarComplex) -> State:
    norms = np.linalg.norm(p.affine_maps.A, ord=2, axis=(1, 2))
    steepest = int(np.argmax(norms))
    return [float(norms[steepest]), *p.centroids[steepest].tolist()]


def _integral(p: PlanarComplex) -> State:
    """Of an affine function: its value at the centroid times the area."""
    maps = p.affine_maps
    values = np.einsum("foi,fi->fo", maps.A, p.centroids) + maps.b
    # In domains of extreme size areas under- or overflow, while their products with values need not.
    scaled, exponent = p.scaled_areas
    areas = scaled if exponent else p.areas
    return np.ldexp((values * areas[:, None]).sum(axis=0), exponent).tolist()


AGGREGATES: dict[str, Aggregate] = {
    "regions": Aggregate(lambda p: p.n_regions, lambda a, b: a + b),
    "area": Aggregate(_area, _join_areas),
    "area_decades": Aggregate(_area_decades, _add_counts, _whole_keys),
    "active_neurons": Aggregate(lambda p: _counts(p.patterns.n_active()), _add_counts, _whole_keys),
    "extrema": Aggregate(_extrema, _join_extrema, _tell_extrema),
    "lipschitz": Aggregate(
        _lipschitz, lambda a, b: a if a[0] >= b[0] else b, lambda state: {"constant": state[0], "at": state[1:]}
    ),
    "integral": Aggregate(_integral, _add),
}


class Aggregates(dict[str, Any]):
    """Aggregates by name; ``report`` tells how they were found, as a partition's does."""

    def __init__(self, values: Mapping[str, Any], report: dict[str, Any]) -> None:
        super().__init__(values)
        self.report = report


class _Stream:
    """Measures finished blocks, and lets them go."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.kind = f"aggregate {' '.join(self.names)}"

    def finish(self, cutter: Cutter) -> State:
        if not set(self.names) - {"regions"}:
            return dict.fromkeys(self.names, cutter.n_faces)
        p = as_complex(cutter.task, cutter.finish(), {})
        return {name: AGGREGATES[name].measure(p) for name in self.names}

    def combine(self, cutter: Cutter, ids: Ids, values: Iterable[State]) -> State:
        total: State = None
        for value in values:
            if total is None:
                total = value
            else:
                total = {name: AGGREGATES[name].combine(total[name], value[name]) for name in self.names}
        return total

    def encode(self, value: State) -> bytes:
        return json.dumps(value).encode()

    def decode(self, data: bytes) -> State:
        return json.loads(data)


def aggregate(
    network: Network,
    domain: Domain,
    names: Sequence[str],
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    resume: PathLike | None = None,
    block_values: int = BLOCK_VALUES,
) -> Aggregates:
    """See `geomrelu.aggregate`."""
    given = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    unknown = [name for name in given if not isinstance(name, str) or name not in AGGREGATES]
    if unknown or not given:
        got = f"{unknown[0]!r}" if unknown else "no name"
        raise InputError(f"aggregate: got {got}; expected a list of names from {', '.join(AGGREGATES)}")
    task = prepared_task(network, domain)
    stream = _Stream(list(dict.fromkeys(given)))
    result = run_planned(task, stream, Plan(n_jobs, block_values, progress), resume)
    told = {name: AGGREGATES[name].tell(result.value[name]) for name in stream.names}
    return Aggregates(told, closed_report(result.report))


def count_regions(network: Network, domain: Domain, **options: Any) -> int:
    """See `geomrelu.count_regions`."""
    return int(aggregate(network, domain, ["regions"], **options)["regions"])
