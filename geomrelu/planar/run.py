"""Takes a partition's blocks through the layers: in turn or in parallel, kept or streamed, and resumed.

The domain is cut as one block until it is large (`Plan.block_size`) or about to be (`forecast`),
then split.  Its blocks are independent, so they may run anywhere; each is split again if it
grows too large.  What becomes of a finished block is a `Reducer`'s business: `build` keeps and
merges them, `analysis.aggregates` measures them and lets them go.  Blocks do not depend on how
they are run, so neither does the result, bit for bit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from geomrelu.arrays import IntArray
from geomrelu.network import Network
from geomrelu.planar.blocks import Block
from geomrelu.planar.cutter import Cutter, Task, add_report, new_report, root_block
from geomrelu.planar.forecast import expected_faces
from geomrelu.planar.journal import Journal
from geomrelu.planar.merging import inside_pool

__all__ = ["BLOCK_VALUES", "Ids", "Plan", "Progress", "Reducer", "Result", "parallel_results", "run", "workers"]

# Numbers that a block's preactivations should take at most.
BLOCK_VALUES = 1 << 21
# How many times the faces of a good block a layer may leave before the block is split again.
_MANY = 4
# How many times more faces a block is to become at most.
_MOST_GROWTH = 25.0

Progress: TypeAlias = Callable[[str, float], None]
Ids: TypeAlias = list[tuple[IntArray, IntArray]]
R = TypeVar("R")


class Result(NamedTuple, Generic[R]):
    """What a block came to, and its report."""

    value: R
    report: dict[str, Any]


class Reducer(Protocol[R]):
    """What is done with finished blocks; sent to other processes, so it must pickle."""

    kind: str

    def finish(self, cutter: Cutter) -> R:
        """The value of a finished block."""

    def combine(self, cutter: Cutter, ids: Ids, values: Iterable[R]) -> R:
        """The value of a block that was split, from those of its parts, which come in order."""

    def encode(self, value: R) -> bytes:
        """A value for the journal."""

    def decode(self, data: bytes) -> R:
        """A value from the journal."""


class Plan(NamedTuple):
    """How to run.

    Attributes
    ----------
    n_jobs : int or None
        As joblib has it: None is 1, unless a ``joblib.parallel_config`` says otherwise; -1 is all cores.
    block_values : int
        Size of blocks; results are the same, but for the numbering.
    progress : callable or None
    journal : Journal or None
        Of finished blocks, to resume from.
    """

    n_jobs: int | None = None
    block_values: int = BLOCK_VALUES
    progress: Progress | None = None
    journal: Journal | None = None

    def block_size(self, network: Network, layer: int) -> int:
        """Faces that a block should have before a layer, to stay within `block_values`.

        The number of regions grows about as the square of the number of layers; a block that grows
        more, or that wider layers wait for, is split again in time.
        """
        last = len(network.hidden) - 1
        layer = min(layer, last)
        growth = min((max(last, 1) / max(layer, 1)) ** 2, _MOST_GROWTH)
        cut = next((k for k in range(layer, last) if network.hidden[k].n_neurons), last)
        widest = max(v.n_units for v in network.hidden[layer : cut + 1])
        return max(1, int(self.block_values / (widest * growth)))


def run(task: Task, reducer: Reducer[R], plan: Plan) -> Result[R]:
    """Partition the task's domain; what comes back is the reducer's."""
    teller = _Teller(plan.progress, len(task.network.hidden))
    # Values may overflow and bounds be infinite: both only leave signs in doubt.
    with np.errstate(over="ignore", invalid="ignore"):
        cutter = Cutter(task, root_block(task))
        size = _advance(cutter, plan, teller.layer)
        if size is None:
            result = Result(reducer.finish(cutter), cutter.report)
        else:
            ids: Ids = []
            report = new_report(len(task.network.hidden))
            add_report(report, cutter.report)
            results = _all_blocks(task, cutter.blocks(size), reducer, plan, ids, teller)
            value = reducer.combine(cutter, ids, _values(results, report))
            result = Result(value, report)
    teller.done()
    return result


def _values(results: Iterable[Result[R]], report: dict[str, Any]) -> Iterator[R]:
    """The results' values; their reports are added up on the way."""
    for result in results:
        add_report(report, result.report)
        yield result.value


def _advance(cutter: Cutter, plan: Plan, tell: Callable[[Cutter], None] | None) -> int | None:
    """Cut by all layers, or until the block is or will be too large: then the size that its parts should have."""
    first, network = cutter.layer, cutter.task.network
    while cutter.layer < len(network.hidden):
        # Between the rounds of a pooling faces are not final, so blocks could not be merged.
        if cutter.layer > first and not inside_pool(network, cutter.layer):
            size = plan.block_size(network, cutter.layer)
            if cutter.n_faces > 2 * size:
                return size
            limit = _MANY * plan.block_size(network, cutter.layer + 1)
            expected = expected_faces(cutter, limit)
            if expected > limit and cutter.n_faces > 1:
                return max(1, int(cutter.n_faces * limit / (_MANY * expected)))
        cutter.advance()
        if tell is not None:
            tell(cutter)
    return None


def _grow(task: Task, block: Block, reducer: Reducer[R], block_values: int) -> Result[R]:
    """Take one block through all remaining layers."""
    plan = Plan(block_values=block_values)
    with np.errstate(over="ignore", invalid="ignore"):
        cutter = Cutter(task, block)
        size = _advance(cutter, plan, None)
        if size is None:
            return Result(reducer.finish(cutter), cutter.report)
        report = new_report(len(task.network.hidden))
        add_report(report, cutter.report)
        ids: Ids = []

        def parts() -> Iterator[Result[R]]:
            for part in cutter.blocks(size):
                ids.append((part.vertex_ids, part.edge_ids))
                yield _grow(task, part, reducer, block_values)

        return Result(reducer.combine(cutter, ids, _values(parts(), report)), report)


def _all_blocks(
    task: Task, blocks: Iterable[Block], reducer: Reducer[R], plan: Plan, ids: Ids, teller: _Teller
) -> Iterator[Result[R]]:
    """Results of the blocks, in order; those in the journal are not computed again."""
    known: dict[int, Result[R]] = {}
    shares: list[float] = []
    wanted = _Known(plan.journal, reducer)

    def calls() -> Iterator[tuple[int, Block]]:
        for k, block in enumerate(blocks):
            ids.append((block.vertex_ids, block.edge_ids))
            shares.append(block.share)
            found = wanted.get(k)
            if found is not None:
                known[k] = found
            else:
                yield k, block

    def told(k: int, result: Result[R]) -> Result[R]:
        teller.block(result.report["layers"][-1]["regions"], shares[k])
        return result

    at = 0
    with closing(_computed(task, reducer, plan)(calls())) as computed:
        for k, result in computed:
            while at < k:
                yield told(at, known.pop(at))
                at += 1
            wanted.put(k, result)
            yield told(k, result)
            at = k + 1
        while at < len(ids):
            yield told(at, known.pop(at))
            at += 1


class _Known(Generic[R]):
    """Results in the journal, if there is one."""

    def __init__(self, journal: Journal | None, reducer: Reducer[R]) -> None:
        self.journal, self.reducer = journal, reducer

    def get(self, k: int) -> Result[R] | None:
        found = self.journal.get(k) if self.journal is not None else None
        return None if found is None else Result(self.reducer.decode(found[0]), found[1])

    def put(self, k: int, result: Result[R]) -> None:
        if self.journal is not None:
            self.journal.put(k, self.reducer.encode(result.value), result.report)


# Numbered blocks to numbered results, in order.
_Compute: TypeAlias = Callable[[Iterable[tuple[int, Block]]], Generator[tuple[int, Result[R]], None, None]]


def _computed(task: Task, reducer: Reducer[R], plan: Plan) -> _Compute[R]:
    """How to compute numbered blocks: here in turn, or by workers."""

    def in_turn(calls: Iterable[tuple[int, Block]]) -> Generator[tuple[int, Result[R]], None, None]:
        for k, block in calls:
            yield k, _grow(task, block, reducer, plan.block_values)

    def in_parallel(calls: Iterable[tuple[int, Block]]) -> Generator[tuple[int, Result[R]], None, None]:
        import joblib

        step = joblib.delayed(_numbered)
        return parallel_results((step(k, task, block, reducer, plan.block_values) for k, block in calls), plan.n_jobs)

    return in_turn if workers(plan.n_jobs) == 1 else in_parallel


def workers(n_jobs: int | None) -> int:
    """Number of workers that joblib takes."""
    import joblib

    return int(joblib.effective_n_jobs(n_jobs))


def parallel_results(calls: Iterable[Any], n_jobs: int | None) -> Generator[Any, None, None]:
    """Results of joblib's delayed calls, in order: by threads here, or what a ``joblib.parallel_config`` names."""
    import joblib
    from threadpoolctl import threadpool_limits

    # One thread each: the blocks' matrix products would only get in each other's way.
    with threadpool_limits(1):
        results = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(calls)
        try:
            # Not "yield from", which would close `results` itself, and let the warning below through.
            for result in results:  # noqa: UP028
                yield result
        finally:
            with warnings.catch_warnings():
                # An interrupted run leaves blocks in flight; joblib warns of the work that is lost.
                warnings.simplefilter("ignore", UserWarning)
                results.close()


def _numbered(k: int, task: Task, block: Block, reducer: Reducer[R], block_values: int) -> tuple[int, Result[R]]:
    return k, _grow(task, block, reducer, block_values)


class _Teller:
    """Tells a progress function how far the run is."""

    def __init__(self, progress: Progress | None, n_layers: int) -> None:
        self.progress, self.n_layers = progress, n_layers
        self.start = time.perf_counter()
        self.regions, self.area = 0, 0.0

    def layer(self, cutter: Cutter) -> None:
        """A layer is done, of the whole domain."""
        if self.progress is not None:
            self.progress(f"layer {cutter.layer} of {self.n_layers}: {cutter.n_faces:,} regions", 0.0)

    def block(self, regions: int, share: float) -> None:
        """A block is done."""
        self.regions += regions
        self.area += share
        if self.progress is not None:
            rate = self.regions / max(time.perf_counter() - self.start, 1e-9)
            area = min(self.area, 1.0)
            self.progress(f"{self.regions:,} regions, {rate:,.0f} a second, {area:.1%} of the area", area)

    def done(self) -> None:
        """All is done."""
        if self.progress is not None:
            self.progress("done", 1.0)
