"""Along the straight line between two digits: a network's exact pieces, and its outputs on them.

A small network learns the 8 x 8 digits of scikit-learn. The figure shows the logits on the way from one digit to
another, every breakpoint, and where the class changes; below, an attribution of the last class's logit to the pixels
by exact integrated gradients, whose sum is the rise of that logit to within rounding.

python examples/segment_digits.py [PATH]      (segment_digits.png by default)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import nn

import geomrelu as gr
from geomrelu.files import atomic_path
from geomrelu.linear.complex import LinearComplex


def trained_network(x: np.ndarray, labels: np.ndarray, width: int, steps: int) -> nn.Sequential:
    """Adam on the cross entropy, all digits in each step."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )  # fmt: skip
    inputs, classes = torch.tensor(x, dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), classes).backward()
        optimizer.step()
    return network


def class_changes(p: LinearComplex) -> list[tuple[float, int]]:
    """Where along the segment the largest output changes, and to which class."""
    # The largest output can change only where two outputs tie: at the ends of pieces, or inside by their maps.
    t = [0.0]
    for k in range(p.n_regions):
        a, b = p.affine_maps.A[k, :, 0], p.affine_maps.b[k]
        with np.errstate(divide="ignore", invalid="ignore"):
            ties = ((b[None] - b[:, None]) / (a[:, None] - a[None])).ravel()
        inside = np.unique(ties[(ties > p.breakpoints[k]) & (ties < p.breakpoints[k + 1])])
        t += [*inside.tolist(), float(p.breakpoints[k + 1])]
    middles = (np.array(t[1:]) + np.array(t[:-1])) / 2
    classes = p(middles).argmax(axis=1)
    return [(0.0, int(classes[0]))] + [
        (t[k + 1], int(classes[k + 1])) for k in range(len(classes) - 1) if classes[k] != classes[k + 1]
    ]


def main(path: Path, width: int = 48, steps: int = 200, first: int = 0, second: int = 4) -> LinearComplex:
    """Train, partition the segment from a digit `first` to a digit `second`, and draw it."""
    torch.set_num_threads(1)
    digits = load_digits()
    x, labels = digits.data / 16.0, digits.target
    network = trained_network(x, labels, width, steps)
    a, b = (x[np.flatnonzero(labels == digit)[0]] for digit in (first, second))
    p = gr.partition(network, gr.Segment(a, b))
    changes = class_changes(p)

    figure = Figure(figsize=(9.6, 5.6), dpi=110)
    ax = p.plot(figure.add_axes((0.08, 0.37, 0.8, 0.57)), labels=[f"digit {k}" for k in range(10)])
    for t, digit in changes[1:]:
        ax.axvline(t, color="black", linewidth=1.2, linestyle=":")
        ax.annotate(
            f"{digit}", (t, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -12), textcoords="offset points"
        )
    ax.set_title(f"{p.n_regions} exact pieces between two digits; class {' → '.join(str(k) for _, k in changes)}")
    ax.set_ylabel("logits")
    for k, t in enumerate(np.linspace(0, 1, 5)):
        image = figure.add_axes((0.06 + 0.14 * k, 0.04, 0.1, 0.19))
        image.imshow(p.domain.lift([t])[0].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        image.set(title=f"t = {t:.2g}", xticks=[], yticks=[])
    pushed = gr.integrated_gradients(network, b[None], a, output=changes[-1][1])[0]
    image = figure.add_axes((0.8, 0.04, 0.1, 0.19))
    image.imshow(pushed.reshape(8, 8), cmap="RdBu", vmin=-np.abs(pushed).max(), vmax=np.abs(pushed).max())
    image.set(title=f"for {changes[-1][1]}: {pushed.sum():+.2f}", xticks=[], yticks=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    print(f"{p}\nclasses: {changes}\nwritten: {path}")
    return p


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("segment_digits.png"))
