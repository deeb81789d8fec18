"""Drawing convex cells, flat and lifted: one matplotlib collection a picture, whatever the number of cells.

Cells are rings in CSR form (see `cells`); nothing here knows a network.  Figures are
`matplotlib.figure.Figure` objects of their own: no pyplot, no global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.analysis.cells import Cells
from geomrelu.arrays import FloatArray

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "COLOURMAP",
    "GREEN",
    "INK",
    "NEGATIVE",
    "POSITIVE",
    "PURPLE",
    "VERMILION",
    "draw_cells",
    "draw_segments",
    "draw_surface",
    "draw_wireframe",
    "flat_axes",
    "line_width",
    "new_figure",
    "relief",
    "save_figure",
    "space_axes",
    "value_norm",
]

# Okabe and Ito's colours, told apart with every common kind of colour blindness.
POSITIVE = "#E69F00"
NEGATIVE = "#56B4E9"
VERMILION = "#D55E00"
BLUE = "#0072B2"
GREEN = "#009E73"
PURPLE = "#CC79A7"
#: Borders of cells: dark on every fill, which are all light or bright.
INK = "#1B2330"
#: Perceptually uniform and colour-blind safe.
COLOURMAP = "viridis"
#: Above this many cells a vector file would be too heavy to open: pixels instead.
RASTER_ABOVE = 2000


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, with a canvas that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, dpi: int = 130) -> Path:
    """Write a figure whole or not at all; the format follows the suffix."""
    from geomrelu.files import atomic_path

    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path


def flat_axes(figure: Figure, position: Any, title: str, margin: float = 0.0) -> Any:
    """Axes over [-1, 1]^2 with equal aspect, named coordinates and a title."""
    ax = figure.add_subplot(position)
    ax.set(xlim=(-1 - margin, 1 + margin), ylim=(-1 - margin, 1 + margin), xlabel="x₁", ylabel="x₂")
    ax.set_title(title, pad=9)
    ax.set_aspect("equal")
    ax.spines[:].set_linewidth(1.6)
    ax.set_xticks([-1, 0, 1])
    ax.set_yticks([-1, 0, 1])
    return ax


def space_axes(figure: Figure, position: Any, title: str, zlabel: str, azimuth: float = -108) -> Any:
    """3-D axes over [-1, 1]^2 in orthographic projection.

    The usual view is from above and between the axis and the diagonal from (-1, -1) to (1, 1): XOR's two
    peaks, at (-1, 1) and (1, -1), stand left and right of the valley between them, and of a ridge from one
    to the other both flanks are seen.
    """
    at = position if isinstance(position, tuple) else (position,)
    ax: Any = figure.add_subplot(*at, projection="3d", proj_type="ortho")
    ax.set(xlabel="x₁", ylabel="x₂", title=title, xlim=(-1, 1), ylim=(-1, 1))
    ax.set_zlabel(zlabel)
    ax.set_xticks([-1, 0, 1])
    ax.set_yticks([-1, 0, 1])
    # Both axes' labels would all but touch in the front corner.
    ax.set_xticklabels(["−1", "0", ""] if np.cos(np.radians(azimuth)) > 0 else ["", "0", "1"])
    ax.locator_params(axis="z", nbins=5)
    ax.view_init(elev=44, azim=azimuth)
    ax.set_box_aspect((4, 4, 2.6), zoom=0.95)  # room for the labels, which layouts do not see
    return ax


def value_norm(*values: FloatArray) -> Normalize:
    """One colour scale for several sets of values."""
    from matplotlib.colors import Normalize

    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    return Normalize(low, high) if low < high else Normalize(low - 0.5, high + 0.5)


def relief(maps: FloatArray, colour: str) -> Any:
    """One colour for each cell, (F, 4): `colour`, shaded by the cells' maps (F, 3) as by light from one side.

    Neighbouring cells differ in slope, and so in shade.
    """
    from matplotlib.colors import to_rgba

    # Light that is no multiple of (1, 1) or (1, -1): the slopes of XOR lie along those.
    light = np.array([-0.8, -0.25, 0.6])
    normals = np.column_stack([-maps[:, 0], -maps[:, 1], np.ones(len(maps))])
    cosine = normals @ light / (np.linalg.norm(normals, axis=1) * np.linalg.norm(light))
    colours = np.tile(to_rgba(colour), (len(maps), 1))
    colours[:, :3] *= (0.75 + 0.25 * np.clip(cosine, 0, 1))[:, None]
    return colours


def draw_cells(ax: Axes, cells: Cells, colours: Any, edge: str = INK, edge_width: float | None = None) -> Any:
    """Cells as flat polygons, in one colour or one each; returns the collection, as the others here do."""
    from matplotlib.collections import PolyCollection

    width = line_width(len(cells), 0.8) if edge_width is None else edge_width
    collection = PolyCollection(
        cells.rings(),
        facecolors=colours,
        edgecolors=edge,
        linewidths=width,
        rasterized=len(cells) > RASTER_ABOVE,
        zorder=1,
    )
    return ax.add_collection(collection)


def draw_segments(
    ax: Axes, segments: FloatArray, colour: str, width: float, style: Any = "-", label: str | None = None
) -> Any:
    """Straight segments (S, 2 ends, 2), on a light casing so that they show on every fill and among borders."""
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import Normal, Stroke

    lines = LineCollection(
        list(segments), colors=colour, linewidths=width, linestyles=style, label=label, zorder=3, capstyle="round"
    )
    lines.set_path_effects([Stroke(linewidth=width + 1.6, foreground="white"), Normal()])
    return ax.add_collection(lines)


def draw_surface(ax: Any, cells: Cells, heights: FloatArray, colours: Any) -> Any:
    """Cells lifted to their corners' heights (C,), in one colour each."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    lifted = np.column_stack([cells.points, heights])
    # Rings of one length, the last corner repeated: matplotlib would fill up with uninitialised numbers.
    places = cells.offsets[:-1, None] + np.arange(np.diff(cells.offsets).max())
    rings: Any = lifted[np.minimum(places, cells.offsets[1:, None] - 1)]
    collection = Poly3DCollection(
        rings,
        facecolors=colours,
        edgecolors=INK,
        linewidths=line_width(len(cells), 0.6),
    )
    collection.set_rasterized(len(cells) > RASTER_ABOVE)
    return ax.add_collection3d(collection, autolim=False)


def draw_wireframe(ax: Any, segments: FloatArray, norm: Normalize, n_cells: int) -> Any:
    """Lifted borders (S, 2 ends, 3), in the colour of their heights."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    width = 0.25 + line_width(n_cells, 1.1)
    lines = Line3DCollection(segments, cmap=COLOURMAP, norm=norm, linewidths=width)
    lines.set_array(segments[:, :, 2].mean(axis=1))
    lines.set_rasterized(n_cells > RASTER_ABOVE)
    return ax.add_collection3d(lines, autolim=False)


def line_width(n_cells: int, widest: float) -> float:
    """Border width in points that leaves the cells' colours to be seen, however many they are."""
    return float(np.clip(widest * np.sqrt(60 / max(n_cells, 1)), 0.05, widest))
