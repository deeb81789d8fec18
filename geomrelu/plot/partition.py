"""The figure of a partition: regions, edges, decision boundary and labels in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu import palette
from geomrelu.arrays import FloatArray
from geomrelu.domain import Slice
from geomrelu.plot.axes import (
    axis_names,
    check_axes,
    domain_limits,
    draw_class_legend,
    draw_colorbar,
    dress,
    frame,
    new_axes,
)
from geomrelu.plot.creases import crease_lines
from geomrelu.plot.labels import LabelChoice, draw_labels, draw_marks, label_texts
from geomrelu.plot.paths import face_paths, segment_paths
from geomrelu.plot.style import (
    INK,
    MANY,
    ColorChoice,
    Theme,
    color_title,
    edge_style,
    names_of_classes,
    region_colors,
    theme_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["plot_partition"]


def plot_partition(
    p: PlanarComplex,
    ax: Axes | None = None,
    *,
    color: ColorChoice = "pattern",
    output: int = 0,
    edges: bool = True,
    boundary: bool | None = None,
    labels: LabelChoice = False,
    class_names: Sequence[str] | None = None,
    cmap: Any = None,
    colorbar: bool | None = None,
    linewidth: float | None = None,
    alpha: float | None = None,
    theme: str | None = None,
) -> Axes:
    """Draw every region of a partition; legible and quick from 3 to 300,000 of them.

    Parameters
    ----------
    p : PlanarComplex
    ax : matplotlib Axes, optional
        Where to draw; without it, the axes of a new figure (``.figure.savefig(...)``).  Limits
        that were set on them are kept; those that follow from data drawn before are widened.
    color : str or array
        ``"pattern"``: similar patterns look alike, neighbours differ.
        ``"value"``: mean of output `output` over the region, with a colour bar.
        ``"class"``: largest output (of a single output: its sign); regions that the decision
        boundary crosses are filled on both sides of it.
        ``"gradient"``: hue by direction, strength by length, of the gradient of `output`; with a key.
        ``"area"``: area, on a logarithmic scale, with a colour bar.
        ``"crease"``: the edges, by the jump of the gradient across them (`PlanarComplex.crease`, over
        all outputs), on a logarithmic scale of at most three decades in 64 steps, with a colour bar;
        sharper ones are wider and on top.  Regions are left plain.
        An array (F,) is put through `cmap`; (F, 3) or (F, 4) are RGB or RGBA in [0, 1].
    output : int
        The output that ``"value"`` and ``"gradient"`` are about.
    edges : bool
        Draw the edges; their width falls as the number of regions grows.  With ``"crease"``: draw, faintly,
        those at which the function does not bend, too.
    boundary : bool, optional
        Draw the decision boundary (`PlanarComplex.decision_boundary`); by default with ``color="class"`` only.
    labels : bool, str or sequence of str
        True or ``"id"`` writes the region's number on it, ``"map"`` its affine map, a sequence
        (F,) its entries; on the 150 largest regions at most.
    class_names : sequence of str, optional
        What the legend of ``"class"`` calls the classes, one name for each; of one output, that where it is
        negative first.
    cmap : str or Colormap, optional
        For values, areas and arrays; viridis by default.
    colorbar : bool, optional
        A colour bar or a key of gradients; by default where a colour stands for a number or a gradient.
    linewidth : float, optional
        Width of edges in points; by default chosen from the number of regions.
    alpha : float, optional
        Opacity of the regions.
    theme : {"light", "dark"}, optional
        Also gives the axes' whole figure that background.  By default what fits the background that
        the axes have, or that matplotlib's style gives new ones.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If `ax` is not a pair of axes, or `color`, `cmap`, `output`, `theme` or `labels` name nothing known.
    ShapeError
        If an array of colours or labels does not have one entry per region, or there is not one name for each class.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> ax = plot_partition(p, color="value", labels="map")
    >>> len(ax.collections[0].get_paths())
    3
    """
    check_axes(ax, "plot")
    style = theme_of(theme, ax)
    by_crease = isinstance(color, str) and color == "crease"
    if by_crease:
        lines, mappable = crease_lines(p, cmap, linewidth, style, edges)
        colors: Any = style.fill
    else:
        colors, mappable = region_colors(p, color, output, cmap, style.dark)
    texts = label_texts(p, labels)
    names = names_of_classes(p, class_names, "plot")
    ax = new_axes() if ax is None else ax
    limits = domain_limits(ax, p)
    by_class = isinstance(color, str) and color == "class"
    _draw_faces(ax, p, colors, alpha)
    if by_class:
        _draw_class_pieces(ax, p, alpha, style)
    if by_crease:
        ax.add_collection(lines, autolim=False)
    elif edges:
        # On the colours of numbers, which are the same in both, ink is dark in both.
        _draw_edges(ax, p, linewidth, style.ink if mappable is None else INK)
    if boundary or (boundary is None and by_class):
        _draw_boundary(ax, p, style)
    draw_labels(ax, p, texts, style)
    if isinstance(p.domain, Slice):
        draw_marks(ax, p.domain, style)
    frame(ax, *limits, axis_names(p))
    if by_class:
        ties = p._class_ties
        shown = np.union1d(ties.winner[ties.winner >= 0], ties.cell_class)
        draw_class_legend(ax, shown, names, style)
    if theme is not None:
        dress(ax, style)
    if colorbar is not False:
        _draw_key(ax, p, color, output, mappable, style)
    return ax


def _draw_faces(ax: Axes, p: PlanarComplex, colors: FloatArray, alpha: float | None) -> None:
    from matplotlib.collections import PathCollection

    many = p.n_regions > MANY
    # Below MANY a thin line in the face's own colour closes the seams that antialiasing leaves.
    faces = PathCollection(
        face_paths(p), facecolors=colors, edgecolors="none" if many or alpha is not None else "face",
        linewidths=0.0 if many or alpha is not None else 0.35, antialiaseds=not many, alpha=alpha,
        rasterized=many, zorder=1,
    )  # fmt: skip
    ax.add_collection(faces, autolim=False)


def _draw_class_pieces(ax: Axes, p: PlanarComplex, alpha: float | None, style: Theme) -> None:
    from matplotlib.collections import PolyCollection

    ties = p._class_ties
    if len(ties.cell_class) == 0:
        return
    polygons = np.split(ties.points[ties.cell_points], ties.cell_offsets[1:-1])
    colors = palette.class_colors(ties.cell_class)
    colors = palette.darkened(colors) if style.dark else colors
    # Over the regions' own fill, which is of one class only; its translucency would show through, so alpha is left out.
    pieces = PolyCollection(
        polygons,
        facecolors=_on_paper(colors, alpha, style),
        edgecolors="face",
        linewidths=0.35,
        rasterized=len(polygons) > MANY,
        zorder=1.5,
    )
    ax.add_collection(pieces, autolim=False)


def _draw_edges(ax: Axes, p: PlanarComplex, linewidth: float | None, ink: str) -> None:
    from matplotlib.collections import PathCollection

    width, opacity = edge_style(p.n_regions, linewidth)
    lines = PathCollection(
        segment_paths(p.vertices[p.edges]), facecolors="none", edgecolors=ink, linewidths=width,
        alpha=opacity, rasterized=p.n_regions > MANY, capstyle="round", zorder=2,
    )  # fmt: skip
    ax.add_collection(lines, autolim=False)


def _draw_boundary(ax: Axes, p: PlanarComplex, style: Theme) -> None:
    from matplotlib.collections import PathCollection

    paths = segment_paths(p.decision_boundary().segments)
    # Ink cased in paper, so that it shows on every colour.
    casing, line = ("black", "white") if style.dark else ("white", "black")
    for width, ink, order in ((3.4, casing, 3.0), (1.8, line, 3.1)):
        ax.add_collection(
            PathCollection(
                paths,
                facecolors="none",
                edgecolors=ink,
                linewidths=width,
                capstyle="round",
                joinstyle="round",
                zorder=order,
            ),
            autolim=False,
        )


def _draw_key(
    ax: Axes, p: PlanarComplex, color: ColorChoice, output: int, mappable: ScalarMappable | None, style: Theme
) -> None:
    """What the colours stand for: a key of gradients, or a colour bar of numbers."""
    if isinstance(color, str) and color == "gradient":
        palette.draw_gradient_key(ax.inset_axes((1.04, 0.4, 0.16, 0.16)), style.ink, style.dark)
    if mappable is not None:
        draw_colorbar(ax, mappable, color_title(p, color, output), style)


def _on_paper(colors: FloatArray, alpha: float | None, style: Theme) -> FloatArray:
    from matplotlib.colors import to_rgb

    return colors if alpha is None else alpha * colors + (1 - alpha) * np.array(to_rgb(style.paper))
