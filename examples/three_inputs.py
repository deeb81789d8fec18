"""Three ways to look at a network with three inputs: its regions, some moved apart, and a level set.

python examples/three_inputs.py [docs/pictures/three_inputs.png]
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import geomrelu as gr

CUBE = gr.Box([-1] * 3, [1] * 3)


def random_partition(sizes: list[int], seed: int) -> Any:
    """The cube's partition by a He-initialised network with biases of a third of that size."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, np.sqrt(2 / n), (m, n)) for n, m in itertools.pairwise(sizes)]
    biases = [rng.normal(0, 0.3, m) for m in sizes[1:]]
    return gr.partition(gr.Network(weights, biases), CUBE)


def main(path: str = "docs/pictures/three_inputs.png") -> tuple[int, int, int]:
    """Draw the picture; the numbers of regions and of polygons shown."""
    p, small = random_partition([3, 24, 24, 1], 1), random_partition([3, 5, 1], 3)
    surface = p.level_set(float(np.median(p.network(p.interior_points))))
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    left, middle, right = (figure.add_subplot(1, 3, k, projection="3d") for k in (1, 2, 3))
    p.plot(left).set_title(f"{p.n_regions:,} regions, as the border shows them")
    small.plot(middle, explode=0.6).set_title(f"{small.n_regions} regions, moved apart")
    surface.plot(right, color="gradient").set_title(f"f = {surface.value:.2f}: {surface.n_polygons:,} polygons")
    figure.savefig(path, dpi=110)
    return p.n_regions, small.n_regions, surface.n_polygons


if __name__ == "__main__":
    print("regions, regions, polygons:", *main(*sys.argv[1:]))
