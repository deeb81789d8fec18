"""What ACAS Xu's network advises on a plane of encounters, exactly: distance and bearing of the intruder.

The network gives five scores, of which the smallest is the advisory. Heading and speeds are fixed (head-on, 150 ft/s
each by default); the plane is cut in the network's own normalised inputs, as the file holds them, and drawn in feet and
degrees, and once more as seen from above. Which regions there are, and where the advisory changes, is exact;
coordinates are rounded. Behind the own aircraft, where -180 meets 180 degrees, the network is not continuous.

The network is not part of this project: `ACASXU_run2a_1_1_batch_2000.nnet` is looked for in the folder acasxu of
GEOMRELU_DATA, or of shared/data beside the checkout.

python examples/acas_xu.py [PATH]      (docs/acas_xu.png by default)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from shapely.plotting import plot_polygon

import geomrelu as gr
from geomrelu.analysis.boundary import ClassRegions
from geomrelu.files import atomic_path
from geomrelu.importers.nnet import Nnet, read_nnet
from geomrelu.planar.complex import PlanarComplex

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GEOMRELU_DATA", ROOT.parent / "shared" / "data"))
MODEL = DATA / "acasxu" / "ACASXU_run2a_1_1_batch_2000.nnet"
ADVISORIES = ("clear of conflict", "weak left", "weak right", "strong left", "strong right")
COLORS = ("#eef0f2", "#b5d6f0", "#fbd9a0", "#5b9fd4", "#ee9b3a")
INK = "#1b2330"


def advisory_network(nnet: Nnet) -> gr.Network:
    """The file's network with its outputs negated, so that the largest one is the advisory; exact."""
    *hidden, output = nnet.network().layers
    return gr.Network.from_layers([*hidden, gr.Layer(-output.weight, -output.bias, 0)])


def encounter_plane(nnet: Nnet, reach: float, heading: float, own: float, intruder: float) -> gr.Slice:
    """Distance from 0 to `reach` feet, all bearings; heading in degrees, speeds in feet a second."""
    ends = np.array(
        [[0.0, -np.pi, np.deg2rad(heading), own, intruder], [reach, np.pi, np.deg2rad(heading), own, intruder]]
    )
    low, high = (np.clip(ends, nnet.low, nnet.high) - nnet.input_means) / nnet.input_ranges
    return gr.Slice.axes(0, 1, at=low, domain=gr.Box(low[:2], high[:2]))


def feet_and_degrees(nnet: Nnet, points: np.ndarray) -> np.ndarray:
    """Distance in feet and bearing in degrees of points (..., 2) of the plane."""
    own_units = points * nnet.input_ranges[:2] + nnet.input_means[:2]
    return own_units * [1.0, 180 / np.pi]


def seen_from_above(nnet: Nnet, points: np.ndarray) -> np.ndarray:
    """Feet to the right of the own aircraft, and ahead of it: bearings go counter-clockwise."""
    distance, bearing = np.moveaxis(feet_and_degrees(nnet, points), -1, 0)
    angle = np.deg2rad(bearing)
    return np.stack([-distance * np.sin(angle), distance * np.cos(angle)], axis=-1)


def draw(
    ax: Axes, p: PlanarComplex, found: ClassRegions, place: Callable[[np.ndarray], np.ndarray], pieces: int
) -> None:
    """Advisories, edges faint, decision boundary strong; straight lines bend in `pieces` steps under `place`."""
    steps = np.linspace(0, 1, pieces + 1)[:, None]

    def bent(segments: np.ndarray) -> np.ndarray:
        return place(segments[:, None, 0] * (1 - steps) + segments[:, None, 1] * steps)

    x0, _, x1, _ = p.domain.bounds
    for polygons, color in zip(found.polygons, COLORS, strict=True):
        fine = shapely.segmentize(polygons, (x1 - x0) / 50)
        plot_polygon(
            shapely.transform(fine, place), ax, add_points=False, facecolor=color, edgecolor=color, linewidth=0.2
        )
    ax.add_collection(LineCollection(bent(p.vertices[p.edges]), colors=INK, linewidths=0.12, alpha=0.45, zorder=2))
    boundary = bent(p.decision_boundary().segments)
    for width, ink in ((2.6, "white"), (1.3, "black")):
        ax.add_collection(LineCollection(boundary, colors=ink, linewidths=width, capstyle="round", zorder=3))


def main(
    path: Path, small: bool = False, heading: float = -180.0, own: float = 150.0, intruder: float = 150.0
) -> PlanarComplex | None:
    """Partition the plane, and draw the advisories on it; None where the network's file is absent."""
    if not MODEL.is_file():
        print(f"no {MODEL}: set GEOMRELU_DATA to the folder that holds acasxu; nothing drawn")
        return None
    nnet = read_nnet(MODEL)
    reach = 1_000.0 if small else float(np.hypot(10_000, 6_000))
    p = gr.partition(advisory_network(nnet), encounter_plane(nnet, reach, heading, own, intruder))
    found = p.class_regions()

    figure = Figure(figsize=(12.4, 6.2), dpi=110)
    left = figure.add_axes((0.06, 0.17, 0.44, 0.75))
    draw(left, p, found, lambda u: feet_and_degrees(nnet, u), 1)
    left.set(xlim=(0, reach), ylim=(-180, 180), yticks=range(-180, 181, 60), xlabel="distance of the intruder, ft",
             ylabel="bearing of the intruder, degrees (left positive)",
             title=f"heading {heading:g}°, speeds {own:g} and {intruder:g} ft/s: {p.n_regions:,} regions")  # fmt: skip
    right = figure.add_axes((0.565, 0.17, 0.42, 0.75))
    draw(right, p, found, lambda u: seen_from_above(nnet, u), 8)
    (aircraft,) = right.plot(0, 0, "^", markersize=11, color="white", markeredgecolor=INK, zorder=5)
    right.set(xlim=(-0.77 * reach, 0.77 * reach), ylim=(-0.52 * reach, 1.02 * reach), aspect="equal",
              xlabel="intruder to the right, ft", ylabel="intruder ahead, ft", title="the same from above")  # fmt: skip
    right.spines[:].set_visible(False)
    right.locator_params(axis="x", nbins=5)
    for axis in (left.xaxis, right.xaxis, right.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    handles = [*(Patch(facecolor=color, edgecolor=INK) for color in COLORS), aircraft]
    figure.legend(handles, [*ADVISORIES, "own aircraft"], loc="lower center", ncols=6, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
        Image.open(temporary).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
            temporary, "PNG", optimize=True
        )
    shares = {name: round(float(a / p.domain.area), 4) for name, a in zip(ADVISORIES, found.areas, strict=True)}
    print(
        f"{p.n_regions} regions, {p.decision_boundary().n_pieces} pieces of boundary\nshares: {shares}\nwritten: {path}"
    )
    return p


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "acas_xu.png")
