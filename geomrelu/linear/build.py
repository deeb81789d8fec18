"""Partitions segments: blocks of them through the layers (`engine`), and their results put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.domain import Segment, Segments
from geomrelu.errors import InputDimensionError
from geomrelu.linear.complex import LinearComplex
from geomrelu.linear.engine import Chains, Prepared, advance, finish, place_rounding, start
from geomrelu.linear.settle import Judge
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar.bounds import PLACE_ERROR
from geomrelu.planar.scaling import scaled, unit_exponents

__all__ = ["build_linear"]

# Numbers in a block's rows: few enough to stay in the cache's reach, many enough for BLAS.
_BLOCK = 1 << 20


# Breakpoints with a larger bound are computed in integers; bounds are pessimistic in deep networks.
_PLACE_BOUND = 2.0**-10


@lru_cache(maxsize=2)
def prepared_network(network: Network) -> Prepared:
    """What is computed once for a network; of the last networks it is kept."""
    return Prepared(network)


class Finished(NamedTuple):
    """A block's vertices and pieces."""

    offsets: IntArray
    t: FloatArray
    errors: FloatArray
    line: IntArray
    parent: WordArray
    words: WordArray
    values: FloatArray
    value_errors: FloatArray


def build_linear(
    network: Network,
    domain: Segment | Segments,
    progress: Callable[[str, float], None] | None = None,
    *,
    block_numbers: int = _BLOCK,
) -> LinearComplex:
    """The exact partition of segments into a network's pieces.

    Parameters
    ----------
    network : Network
        Of as many inputs as the segments' points have.
    domain : Segment or Segments
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    block_numbers : int
        Size of the blocks; the result is the same.

    Raises
    ------
    InputDimensionError
        If the network has another number of inputs.
    """
    if network.n_inputs != domain.n_inputs:
        raise InputDimensionError(
            f"partition: the segment's ends are inputs of shape {domain.input_shape}, that is {domain.n_inputs} "
            f"numbers, and the network takes {network.n_inputs}; expected as many"
        )
    began = time.perf_counter()
    a, b = (ends.reshape(-1, domain.n_inputs) for ends in (domain.a, domain.b))
    ends = np.concatenate([a, b])
    found = scaled(network, ends, unit_exponents(network, np.abs(ends).max(axis=0)))
    prepared = prepared_network(found.network)
    judge, report = Judge(network, a, b), new_report(len(network.hidden))
    blocks = []
    for chains in _run(prepared, found.corners[: len(a)], found.corners[len(a) :], judge, report, block_numbers):
        blocks.append(_finished(prepared, chains, judge, report))
        if progress is not None:
            progress("segments", float(chains.number[-1] + 1) / len(a))
    report["signs_filter"] = report["signs"] - report["signs_exact"]
    report["generic"] = report["signs_zero"] == 0 and report["ties"] == 0
    report["seconds"] = time.perf_counter() - began
    return _as_complex(network, domain, blocks, report)


def new_report(n_layers: int) -> dict[str, Any]:
    """A report in which nothing has happened yet."""
    counts = ["signs", "signs_exact", "signs_zero", "orders_exact", "ties", "breakpoints_exact"]
    return {"layers": [{"regions": 0} for _ in range(n_layers)], **dict.fromkeys(counts, 0)}


def _run(
    prepared: Prepared, a: FloatArray, b: FloatArray, judge: Judge, report: dict[str, Any], block_numbers: int
) -> Iterator[Chains]:
    """Blocks of segments behind the last hidden layer, in order; what grows too large is split."""
    size = max(1, block_numbers // (2 * prepared.widest))
    depth = len(prepared.network.hidden)
    for first in range(0, len(a), size):
        some = slice(first, first + size)
        stack = [(0, start(prepared, a[some], b[some], first))]
        while stack:
            index, chains = stack.pop()
            while index < depth:
                if chains.rows.size > block_numbers and chains.n_segments > 1:
                    half = int(np.searchsorted(chains.offsets, chains.offsets[-1] / 2))
                    half = min(max(half, 1), chains.n_segments - 1)
                    stack.append((index, chains.part(half, chains.n_segments)))
                    chains = chains.part(0, half)
                chains = advance(prepared, chains, index, judge, report)
                index += 1
            yield chains


def _finished(prepared: Prepared, chains: Chains, judge: Judge, report: dict[str, Any]) -> Finished:
    values, value_errors = finish(prepared, chains)
    t, errors = chains.t.copy(), chains.radius + place_rounding(len(prepared.network.hidden))
    errors[chains.line < 0] = 0.0
    number = chains.number[chains.segment]
    # These are computed in integers, and rounded once.
    for v in np.flatnonzero((errors > _PLACE_BOUND) | (chains.estimate > PLACE_ERROR)).tolist():
        t[v] = float(Fraction(*judge.place(int(number[v]), int(chains.line[v]), chains.parent[v])))
        errors[v] = 2.0**-53
        report["breakpoints_exact"] += 1
    # Values beyond what float64 can add up: exact, rounded once; infinite where they are too large for it.
    for v in np.flatnonzero(np.isinf(value_errors)).tolist():
        place = Fraction(*judge.place(int(number[v]), int(chains.line[v]), chains.parent[v]))
        piece = min(v, int(chains.offsets[chains.segment[v] + 1]) - 2) - int(chains.segment[v])
        values[v] = judge.outputs(int(number[v]), chains.words[piece], place)
        value_errors[v] = np.abs(values[v]).max() * 2.0**-52 + 2.0**-1074
    _put_in_order(t, errors, chains.offsets)
    return Finished(
        chains.offsets, t, errors, chains.line, chains.parent, chains.words, values, value_errors
    )  # fmt: skip


def _put_in_order(t: FloatArray, errors: FloatArray, offsets: IntArray) -> None:
    """Raise, in place, floats that rounding has put behind one that they truly follow; bounds follow suit."""
    inner = np.ones(len(t) - 1, dtype=bool)
    inner[offsets[1:-1] - 1] = False
    bad = np.flatnonzero(inner & (t[1:] < t[:-1]))
    for segment in np.unique(np.searchsorted(offsets, bad, side="right") - 1).tolist():
        own = slice(offsets[segment], offsets[segment + 1])
        raised = np.minimum(np.maximum.accumulate(t[own]), 1.0)
        source = np.maximum.accumulate(np.where(raised == t[own], np.arange(len(raised)), 0))
        errors[own] = np.maximum(errors[own], errors[own][source])
        t[own] = raised


def _as_complex(
    network: Network, domain: Segment | Segments, blocks: list[Finished], report: dict[str, Any]
) -> LinearComplex:
    sizes = np.concatenate([np.diff(block.offsets) for block in blocks])
    offsets = np.concatenate([[0], np.cumsum(sizes - 1)]).astype(np.int64)
    _, t, errors, line, parent, words, values, value_errors = (
        np.concatenate(column) for column in zip(*blocks, strict=True)
    )
    return LinearComplex(
        offsets=offsets, breakpoints=t, breakpoint_errors=errors, breakpoint_neuron=np.maximum(line, -1),
        breakpoint_words=parent, patterns=Patterns(words, network.widths), values=values, value_errors=value_errors,
        network=network, domain=domain, report=report,
    )  # fmt: skip
