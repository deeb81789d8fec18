"""Counts the regions of partitions that are too large to keep: blocks are counted and let go."""

from __future__ import annotations

import numpy as np

from geomrelu.domain import Box, Polytope
from geomrelu.network import Network
from geomrelu.polyhedral.build import check_input, domain_cutter, gradients, rising_edges, valid_bits
from geomrelu.polyhedral.cutter import Cutter
from geomrelu.polyhedral.limit import count_full_regions
from geomrelu.polyhedral.run import Plan, Progress, block_size, run
from geomrelu.polyhedral.simple import count_cells, read_cells

__all__ = ["count_polyhedral"]


class _Counts:
    """Counts regions of finished blocks."""

    def finish(self, cutter: Cutter) -> int:
        used, valid = cutter.skeleton.used(), valid_bits(cutter)
        rising = rising_edges(cutter, used, valid)
        if not used.null.any():
            return int(count_cells(rising, cutter.skeleton.dimension)[0][-1])
        positive, negative = np.ascontiguousarray(used.positive), np.ascontiguousarray(used.negative)
        simple = read_cells(positive, negative, used.ends, rising, valid, cutter.sides, cutter.words.domain)
        return count_full_regions(simple, used.null, gradients(cutter))

    def kept(self, value: int) -> int:
        return value


def count_polyhedral(
    network: Network,
    domain: Box | Polytope,
    progress: Progress | None = None,
    *,
    n_jobs: int | None = None,
    caution: float = 1.0,
    block_vertices: int | None = None,
) -> int:
    """The number of activation regions, exact, in memory that does not grow with it.

    Parameters, errors as of `build_polyhedral`, whose ``n_regions`` it is.
    """
    check_input(network, domain)
    cutter, _ = domain_cutter(network, domain, caution)
    most = block_vertices or block_size(network, cutter.words.total)
    total = sum(result.value for result in run(cutter, _Counts(), Plan(n_jobs, most, progress)))
    if progress is not None:
        progress("done", 1.0)
    return total
