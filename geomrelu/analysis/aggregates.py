"""Counts and aggregates of partitions that are too large to keep.

Blocks of regions are measured and let go (`planar.run`), so peak memory does not grow with
the number of regions.  `measures` says what is measured on a block, `streamed_definitions` how
linear regions are counted across blocks.  Blocks are combined in a fixed order, so the results do
not depend on the number of workers.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from geomrelu.analysis.definitions import DEFINITIONS
from geomrelu.analysis.measures import MEASURES, State
from geomrelu.analysis.streamed_definitions import NOT_COMPOSED, STREAMED_DEFINITIONS, Outline
from geomrelu.domain import Domain
from geomrelu.errors import InputError
from geomrelu.network import Network
from geomrelu.planar.build import as_complex, closed_report, prepared_task, run_planned
from geomrelu.planar.cutter import Cutter
from geomrelu.planar.run import BLOCK_VALUES, Ids, Plan, Progress

__all__ = ["AGGREGATES", "Aggregates", "aggregate", "count_regions"]

PathLike: TypeAlias = "str | os.PathLike[str]"

# Of a finished block: what an aggregate of that name came to.
States: TypeAlias = "dict[str, State]"

# Two names of one number, and a block of which nothing else is asked is not looked at.
_NUMBERS = ("regions", "proper_activation")
AGGREGATES = ("regions", *(name for name in DEFINITIONS if name not in NOT_COMPOSED), *MEASURES)


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

    def finish(self, cutter: Cutter) -> States:
        result: States = {name: {"regions": np.array(cutter.n_faces)} for name in self.names if name in _NUMBERS}
        if len(result) == len(self.names):
            return result
        p, outline = as_complex(cutter.task, cutter.finish(), {}), Outline.of(cutter)
        for name in self.names:
            if name in MEASURES:
                result[name] = MEASURES[name].of_block(p)
            elif name in STREAMED_DEFINITIONS:
                result[name] = STREAMED_DEFINITIONS[name].of_block(p, outline)
        return result

    def combine(self, cutter: Cutter, ids: Ids, values: Iterable[States]) -> States:
        result: States = {}
        counts = {name: STREAMED_DEFINITIONS[name](cutter) for name in self.names if name in STREAMED_DEFINITIONS}
        for k, value in enumerate(values):
            for name, state in value.items():
                if name in counts:
                    counts[name].add(*ids[k], state)
                elif name not in result:
                    result[name] = state
                elif name in _NUMBERS:
                    result[name] = {"regions": result[name]["regions"] + state["regions"]}
                else:
                    result[name] = MEASURES[name].combine([result[name], state])
        return result | {name: count.state() for name, count in counts.items()}

    def encode(self, value: States) -> bytes:
        file = io.BytesIO()
        arrays: dict[str, Any] = {f"{n} {key}": array for n in self.names for key, array in value[n].items()}
        np.savez(file, **arrays)
        return file.getvalue()

    def decode(self, data: bytes) -> States:
        result: dict[str, dict[str, Any]] = {name: {} for name in self.names}
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            for label in arrays.files:
                name, key = label.split(" ")
                result[name][key] = arrays[label]
        return dict(result)

    def tell(self, network: Network, value: States) -> dict[str, Any]:
        """The results, as they are told."""
        told: dict[str, Any] = {}
        for name, state in value.items():
            if name in _NUMBERS:
                told[name] = int(state["regions"])
            elif name in MEASURES:
                told[name] = MEASURES[name].tell(state)
            else:
                told[name] = STREAMED_DEFINITIONS[name].tell(network, state)
        return {name: told[name] for name in self.names}


def aggregate(
    network: Network,
    domain: Domain,
    names: Sequence[str],
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    resume: PathLike | None = None,
    block_values: int = BLOCK_VALUES,
    device: Any = None,
) -> Aggregates:
    """See `geomrelu.aggregate`."""
    stream = _Stream(_checked_names(network, names))
    task = prepared_task(network, domain, device=device)
    result = run_planned(task, stream, Plan(n_jobs, block_values, progress), resume)
    report = closed_report(task, result.report)
    if network.has_pools:
        # Some edges and vertices are of no region's border; only a kept partition is rid of them.
        report["layers"] = [{"regions": counts["regions"]} for counts in report["layers"]]
    return Aggregates(stream.tell(network, result.value), report)


def _checked_names(network: Network, names: Any) -> list[str]:
    given = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    for name in given:
        if isinstance(name, str) and name in NOT_COMPOSED:
            raise InputError(
                f"aggregate: {name!r} cannot be counted without keeping the partition, because {NOT_COMPOSED[name]}; "
                f"use gr.partition(model, domain).count({name!r})"
            )
        if not isinstance(name, str) or name not in AGGREGATES:
            raise InputError(f"aggregate: got {name!r}; expected a list of names from {', '.join(AGGREGATES)}")
    if not given:
        raise InputError(f"aggregate: got no name; expected a list of names from {', '.join(AGGREGATES)}")
    if "activation" in given and network.has_pools:
        raise InputError(
            "aggregate: 'activation' of a network with a max pooling is counted on a kept partition only, whose "
            "vertices it needs; use gr.partition(model, domain).count('activation')"
        )
    return list(dict.fromkeys(given))


def count_regions(network: Network, domain: Domain, **options: Any) -> int:
    """See `geomrelu.count_regions`."""
    return int(aggregate(network, domain, ["regions"], **options)["regions"])
