"""Takes a partition's blocks through the neurons: in turn or in parallel.

The domain is cut as one block until a cut would leave too many vertices; then it is split, and so are its parts.
Their results come in one order.  For several workers it is split earlier, until there are enough blocks, so it is not
the same blocks, but the same complex.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from geomrelu.network import Network
from geomrelu.planar.run import parallel_results, workers
from geomrelu.polyhedral.blocks import Block
from geomrelu.polyhedral.cutter import Cutter, Task, add_report, new_report

__all__ = ["Plan", "Progress", "Reducer", "Result", "block_size", "run"]

Progress: TypeAlias = Callable[[str, float], None]
R = TypeVar("R")

# Bytes that a block should take.  Of smaller ones, more is shared and cut twice (in six dimensions of half the
# size a fifth of all); larger ones gain nothing.
_BLOCK_BYTES = 3 << 24
# Vertices of a block are at least so many times a cube's.
_CUBES = 32
# Blocks for each worker, so that they end at about the same time.
_BLOCKS_EACH = 3
# For them blocks have this share of their size before they are split, but at least so many times a cube's vertices.
_EARLY, _LEAST = 8, 3
_local = threading.local()


class Reducer(Protocol[R]):
    """What is done with finished blocks; sent to other processes, so it must pickle."""

    def finish(self, cutter: Cutter) -> R:
        """The value of a finished block, valid until the cutter goes on."""

    def kept(self, value: R) -> R:
        """The value, valid for good."""


class Plan(NamedTuple):
    """How to run.

    Attributes
    ----------
    n_jobs : int or None
        As joblib has it: None is 1, unless a ``joblib.parallel_config`` says otherwise; -1 is all cores.
    most : int or None
        Vertices of a block; None for one block.
    progress : callable or None
    """

    n_jobs: int | None
    most: int | None
    progress: Progress | None = None


class Result(NamedTuple, Generic[R]):
    """What a finished block came to, and its share of the work."""

    value: R
    share: float


def block_size(network: Network, n_words: int) -> int:
    """Number of vertices that a block should have at most."""
    d = network.n_inputs
    units = max([layer.n_units for layer in network.hidden], default=0)
    edges = 20 * d
    return max(_BLOCK_BYTES // (8 * (d + units + 3 * n_words + 7) + edges), _CUBES << d)


def run(
    cutter: Cutter, reducer: Reducer[R], plan: Plan, tell: Callable[[int], None] = lambda _: None
) -> Iterator[Result[R]]:
    """Results of the blocks of a domain that a cutter holds, in order; its report is completed on the way.

    A result is valid until the next one is asked for.

    `tell` is called with each layer that the whole domain is cut by, before; it may raise.
    """
    teller, jobs = _Teller(plan.progress, cutter), workers(plan.n_jobs)

    def before(layer: int) -> None:
        teller.layer(layer)
        tell(layer)

    # For several workers blocks are split early, until there are enough.
    early = (
        plan.most if jobs == 1 or plan.most is None else max(plan.most // _EARLY, _LEAST << cutter.skeleton.dimension)
    )
    if cutter.advance(early, before):
        yield _finished(cutter, reducer)
    elif jobs == 1:
        for result in _grow(cutter, reducer, plan.most):
            teller.block(result.share)
            yield result
    else:
        for result in _in_parallel(cutter, reducer, plan, early, _BLOCKS_EACH * jobs):
            teller.block(result.share)
            yield result


def _finished(cutter: Cutter, reducer: Reducer[R]) -> Result[R]:
    cutter.report["blocks"] += 1
    cutter.report["bytes"] = max(cutter.report["bytes"], cutter.skeleton.bytes)
    return Result(reducer.finish(cutter), cutter.share)


def _kept(result: Result[R], reducer: Reducer[R]) -> Result[R]:
    return result._replace(value=reducer.kept(result.value))


def _grow(cutter: Cutter, reducer: Reducer[R], most: int | None) -> Iterator[Result[R]]:
    """Take what a cutter holds through all that is left, depth first."""
    waiting: list[Block] = []
    while True:
        while not cutter.advance(most):
            waiting.append(cutter.split())
        yield _finished(cutter, reducer)
        if not waiting:
            return
        cutter.take(waiting.pop())


def _in_parallel(
    cutter: Cutter, reducer: Reducer[R], plan: Plan, early: int | None, wanted: int
) -> Iterator[Result[R]]:
    """Split until there are enough blocks for all workers, and let them go on."""
    import joblib

    below = cutter.split()
    blocks: list[Block | Result[R]] = [cutter.block(), below]
    while True:
        pending = [k for k, block in enumerate(blocks) if isinstance(block, Block)]
        if not pending or len(pending) >= wanted:
            break
        k = max(pending, key=lambda k: blocks[k].share)
        cutter.take(blocks[k])  # type: ignore[arg-type]
        if cutter.advance(early):
            blocks[k] = _kept(_finished(cutter, reducer), reducer)
        else:
            below = cutter.split()
            blocks[k : k + 1] = [cutter.block(), below]
    step = joblib.delayed(_grown)
    calls = (step(cutter.task, block, reducer, plan.most) for block in blocks if isinstance(block, Block))
    with closing(parallel_results(calls, plan.n_jobs)) as results:
        for block in blocks:
            if isinstance(block, Block):
                values, report = next(results)
                add_report(cutter.report, report)
                yield from values
            else:
                yield block


def _grown(task: Task, block: Block, reducer: Reducer[R], most: int | None) -> tuple[list[Result[R]], dict[str, Any]]:
    cutter = _own_cutter(task)
    cutter.take(block)
    return [_kept(result, reducer) for result in _grow(cutter, reducer, most)], cutter.report


def _own_cutter(task: Task) -> Cutter:
    """This thread's cutter, whose memory is used again."""
    cutter: Cutter | None = getattr(_local, "cutter", None)
    if cutter is None or cutter.task is not task:
        _local.cutter = cutter = Cutter(task)
    cutter.report = new_report(len(task.network.hidden))
    return cutter


class _Teller:
    """Tells a progress function how far the run is."""

    def __init__(self, progress: Progress | None, cutter: Cutter) -> None:
        self.progress, self.cutter = progress, cutter
        self.n_layers = len(cutter.network.hidden)
        self.start = time.perf_counter()
        self.blocks, self.share = 0, 0.0

    def layer(self, layer: int) -> None:
        """A layer begins, of the whole domain."""
        if self.progress is not None:
            vertices = self.cutter.skeleton.n_vertices
            self.progress(f"layer {layer + 1} of {self.n_layers}: {vertices:,} vertices", 0.0)

    def block(self, share: float) -> None:
        """A block is done."""
        self.blocks, self.share = self.blocks + 1, self.share + share
        if self.progress is not None:
            rate = self.blocks / max(time.perf_counter() - self.start, 1e-9)
            done = min(self.share, 1.0)
            self.progress(f"{self.blocks:,} blocks, {rate:.3g} a second, about {done:.1%} of the work", done)
