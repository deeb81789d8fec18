"""The README's picture: a 2-16-16-1 network trained on two interlocking moons, its regions and its graph.

python examples/readme_figure.py [PATH]      (docs/partition.png by default)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_moons
from torch import nn

import geomrelu as gr
from geomrelu.files import atomic_path
from geomrelu.plot import plot_partition, plot_surface


def trained_network(points: np.ndarray, labels: np.ndarray, seed: int = 0, steps: int = 600) -> nn.Sequential:
    """Adam on the squared error to -1 and +1; the output layer comes last, so its sign is the class."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    x = torch.tensor(points, dtype=torch.float32)
    y = torch.tensor(2.0 * labels - 1.0, dtype=torch.float32)[:, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(network(x), y).backward()
        optimizer.step()
    return network


def main(path: Path) -> None:
    torch.set_num_threads(1)
    points, labels = make_moons(300, noise=0.08, random_state=0)
    points = (points - [0.5, 0.25]) / [1.75, 1.1]
    p = gr.partition(trained_network(points, labels), gr.Box(-1, 1))

    figure = Figure(figsize=(10, 4.9), dpi=110)
    left = plot_partition(p, figure.add_axes((0.07, 0.1, 0.42, 0.84)), boundary=True)
    for label, ink in ((0, "#1b2330"), (1, "white")):
        left.scatter(*points[labels == label].T, s=9, c=ink, edgecolors="#1b2330", linewidths=0.5, zorder=5)
    right = plot_surface(p, figure.add_axes((0.51, 0.02, 0.47, 0.94), projection="3d"))
    right.view_init(elev=38, azim=-70)
    right.set_box_aspect((1, 1, 0.6), zoom=0.95)
    right.tick_params(labelsize="small", pad=0)
    right.locator_params(nbins=5)
    right.set_xticks([-1, -0.5, 0, 0.5])  # without 1, which would touch the other axis' -1 in the front corner
    figure.text(0.28, 0.965, f"{p.n_regions} regions and the line f = 0", ha="center")
    figure.text(0.75, 0.965, "the graph of f", ha="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, pil_kwargs={"optimize": True})
    print(f"{p}\nwritten: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "partition.png")
