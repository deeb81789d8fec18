"""The plane through three digits: the exact classes of a perceptron and of a convolutional network on it.

scikit-learn's perceptron (behind a scaler) and a small torch network learn the 8 x 8 digits of scikit-learn. Both are
cut on one plane, in which lengths and angles are those of the 64 pixels: their regions, coloured by class, the exact
decision boundary, and the three images at their places.

python examples/digits_plane.py [PATH]      (docs/digits_plane.png by default)
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import shapely
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea, VPacker
from matplotlib.patches import Patch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import geomrelu as gr
from geomrelu.analysis.boundary import ClassRegions
from geomrelu.files import atomic_path
from geomrelu.palette import CLASS_COLORS
from geomrelu.planar.complex import PlanarComplex

DIGITS = (0, 4, 7)
# A class on less of the plane than this is coloured, but its number would not fit.
NAMED_SHARE = 0.02


def trained_perceptron(x: np.ndarray, labels: np.ndarray, width: int, epochs: int) -> Pipeline:
    model = make_pipeline(StandardScaler(), MLPClassifier((width, width), max_iter=epochs, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # these few epochs are enough
        return model.fit(x, labels)


def trained_convolution(x: np.ndarray, labels: np.ndarray, channels: int, steps: int) -> nn.Sequential:
    """Adam on the cross entropy, all digits in each step."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * channels, 10)
    )
    inputs, classes = torch.tensor(x.reshape(-1, 1, 8, 8), dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), classes).backward()
        optimizer.step()
    return network.eval()


def draw(ax: Axes, p: PlanarComplex, found: ClassRegions, images: np.ndarray) -> None:
    """Regions and boundary, the number of each class on its largest part, and the images beside their places."""
    p.plot(ax, color="class", linewidth=0.3 if p.n_regions < 3000 else 0.12).get_legend().remove()
    for k in np.flatnonzero(found.areas > NAMED_SHARE * p.domain.area).tolist():
        largest = max(found.polygons[k].geoms, key=shapely.area)
        x, y = shapely.maximum_inscribed_circle(largest).coords[0]
        ax.text(x, y, str(k), ha="center", va="center", fontsize=19, fontweight="bold", color="#1b2330", zorder=4,
                bbox={"boxstyle": "circle,pad=0.2", "facecolor": CLASS_COLORS[k], "linewidth": 0})  # fmt: skip
    places = p.domain.marks
    outward = places - places.mean(axis=0)
    outward /= np.hypot(*outward.T)[:, None]
    for place, image, shift, digit in zip(places, images, outward, DIGITS, strict=True):
        picture = OffsetImage(image.reshape(8, 8), zoom=4, cmap="gray_r", interpolation="nearest")
        caption = TextArea(f"digit {digit}", textprops={"fontsize": 8})
        packed = VPacker(children=[picture, caption], align="center", pad=0, sep=2)
        box = AnnotationBbox(packed, place, xybox=42 * shift, boxcoords="offset points", pad=0.15, zorder=6,
                             arrowprops={"arrowstyle": "-", "linewidth": 1.2})  # fmt: skip
        ax.add_artist(box)


def main(path: Path, small: bool = False) -> dict[str, PlanarComplex]:
    """Train both networks, cut them on the plane through three digits, and draw them side by side."""
    torch.set_num_threads(1)
    digits = load_digits()
    x, labels = digits.data / 16.0, digits.target
    width, channels, rounds = (8, 2, 20) if small else (32, 6, 60)
    perceptron = trained_perceptron(x, labels, width, rounds)
    convolution = trained_convolution(x, labels, channels, rounds)
    images = np.stack([x[np.flatnonzero(labels == digit)[0]] for digit in DIGITS])
    flat = gr.Slice.through(*images, margin=0.32, labels=("", "", ""))
    square = gr.Slice.through(*images.reshape(3, 1, 8, 8), margin=0.32, labels=("", "", ""))
    partitions = {
        f"scikit-learn perceptron 64-{width}-{width}-10": gr.partition(perceptron, flat),
        f"torch convolution, {channels} channels": gr.partition(convolution, square),
    }

    figure = Figure(figsize=(11, 6.3), dpi=110)
    shown: set[int] = set()
    for k, (name, p) in enumerate(partitions.items()):
        ax = figure.add_axes((0.055 + 0.49 * k, 0.14, 0.44, 0.78))
        found = p.class_regions()
        draw(ax, p, found, images)
        shown.update(np.flatnonzero(found.areas > 0).tolist())
        ax.set(xlabel="on the plane through the images (lengths of pixel space)", ylabel="")
        ax.set_title(f"{name}: {p.n_regions:,} regions", fontsize="medium")
        print(f"{name}: {p.n_regions} regions, {p.decision_boundary()}")
        print("  share of the plane:", {c: round(float(a / p.domain.area), 4) for c, a in enumerate(found.areas) if a})
    classes = sorted(shown)
    handles = [Patch(facecolor=CLASS_COLORS[c], edgecolor="#1b2330") for c in classes]
    figure.legend(handles, [f"seen as {c}" for c in classes], loc="lower center", ncols=len(classes), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
        Image.open(temporary).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
            temporary, "PNG", optimize=True
        )
    print(f"written: {path}")
    return partitions


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "digits_plane.png")
