"""Five small networks on which the six definitions of a linear region come apart, one picture each.

Colours stand for distinct affine maps, so two faces of one colour have one map; dashed edges are neurons' lines at
which the function does not bend. The counts in the titles are `p.count(...)`, in the order of the definitions.

python examples/definitions.py [PATH]      (docs/pictures/definitions.png by default)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

import geomrelu as gr
from geomrelu.analysis.definitions import DEFINITIONS
from geomrelu.files import atomic_path
from geomrelu.planar.complex import PlanarComplex

COLOURS = ("#d9d9d9", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442")

NETWORKS = {
    "activation > proper activation": gr.Network([[[1, 0], [-1, 0]], [[1, 2]]]),  # both inactive on x = 0 only
    "proper activation > convex": gr.Network([[[1, 0], [-1, 0], [1, -1]], [[1, -1, 1]]]),  # x + max(x - y, 0)
    "convex > open connected": gr.Network(  # max(min(x, y), 0): 0 on an L
        [[[1, 0], [-1, 0], [1, -1]], [[1, -1, -1]], [[1]]]
    ),
    "open connected > closed connected": gr.Network(  # max(min(x, y), 0) + min(max(x, y), 0): maps meet in one point
        [[[1, 0], [-1, 0], [1, -1], [-1, 1]], [[1, -1, -1, 0], [-1, 1, 0, -1]], [[1, -1]]]
    ),
    "closed connected > affine": gr.Network(  # a ridge: 0 on both sides of it
        [[[1, 0], [1, 0], [1, 0]], [[1, -2, 1]]], [[0.5, 0, -0.5], [0]]
    ),
}


def draw(p: PlanarComplex, ax: object) -> None:
    """Faces coloured by map, bends as lines, other edges dashed."""
    maps = np.column_stack([p.affine_maps.A[:, 0], p.affine_maps.b])
    _, colour = np.unique(maps, axis=0, return_inverse=True)
    rings = [p.vertices[p.ring(face)] for face in range(p.n_regions)]
    ax.add_collection(PolyCollection(rings, facecolors=[COLOURS[k] for k in colour.ravel()]))
    creases = p.crease()
    bends = creases.jumps > 0
    lines = p.vertices[p.edges[creases.edges]]
    ax.add_collection(LineCollection(lines[bends], colors="black", linewidths=1.3))
    ax.add_collection(LineCollection(lines[~bends], colors="black", linewidths=0.9, linestyles=(0, (4, 3))))
    ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def main(path: Path) -> dict[str, list[int]]:
    """Draw all five, and return their counts."""
    figure = Figure(figsize=(8.4, 6.4), dpi=110, layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    counts = {}
    for ax, (name, network) in zip(panels, NETWORKS.items(), strict=False):
        p = gr.partition(network, gr.Box(-1, 1))
        counts[name] = [p.count(definition) for definition in DEFINITIONS]
        draw(p, ax)
        left, right = name.split(" > ")
        ax.set_title(f"{left}\n> {right}\n{', '.join(map(str, counts[name]))}", fontsize=10)
    panels[-1].set_axis_off()
    panels[-1].text(0, 0.95, "Counts are, in this order:\n\n" + "\n".join(DEFINITIONS), va="top", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, pil_kwargs={"optimize": True})
    print(f"{counts}\nwritten: {path}")
    return counts


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "definitions.png"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
