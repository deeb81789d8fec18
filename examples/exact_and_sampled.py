"""Exact regions of a network that learned XOR, and what a grid meets of them.

python examples/exact_and_sampled.py [PATH]      (docs/pictures/exact_and_sampled.png by default)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import geomrelu as gr
from geomrelu.experiments import xor
from geomrelu.files import atomic_path
from geomrelu.planar.complex import PlanarComplex


def main(path: Path, width: int = 20, seed: int = 4, n: int = 101) -> tuple[PlanarComplex, int]:
    """Train, partition, sample and draw; return the partition, and how many regions the grid met."""
    network = xor.train(width, seed=seed).network
    p = gr.partition(network, gr.Box(-1, 1))
    samples = gr.sample(network, gr.Box(-1, 1), n=n)
    met = np.isin(np.arange(p.n_regions), p.locate(samples.points))

    figure = Figure(figsize=(9.4, 4.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    p.plot(left, color="value", colorbar=False, boundary=True)
    left.set_title(f"{p.n_regions} exact regions and the line f = 0")
    p.plot(right, color=np.where(met[:, None], [[0.90, 0.92, 0.95]], [[0.84, 0.37, 0.0]]), boundary=False)
    right.set_title(f"a grid of {n} x {n} meets {met.sum()} of them")
    for face in np.flatnonzero(~met):  # a ring around each: most are too small to see
        right.plot(*p.centroids[face], "o", color="#d55e00", markersize=11, fillstyle="none", markeredgewidth=1.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, pil_kwargs={"optimize": True})
    print(f"{p}\nmet: {met.sum()}\nwritten: {path}")
    return p, int(met.sum())


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "exact_and_sampled.png"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
