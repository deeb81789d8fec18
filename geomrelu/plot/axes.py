"""The axes that a figure is drawn on: the user's or new ones, their limits and their frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from geomrelu import palette
from geomrelu.arrays import IntArray
from geomrelu.domain import Slice
from geomrelu.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.plot.style import Theme

__all__ = [
    "axis_names",
    "check_axes",
    "check_axes_in_space",
    "domain_limits",
    "draw_class_legend",
    "draw_colorbar",
    "dress",
    "frame",
    "frame_in_space",
    "new_axes",
]


def check_axes(ax: Any, function: str) -> None:
    """Raise `InputError` unless `ax` is one pair of axes, or None."""
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    if ax is None or isinstance(ax, Axes):
        return
    advice = "pass one pair of axes, such as figure.add_subplot()"
    if isinstance(ax, FigureBase):
        advice = "pass its axes: figure.gca() or figure.add_subplot()"
    elif isinstance(ax, np.ndarray | list | tuple):
        advice = "pass one of them, such as axes[0]"
    raise InputError(f"{function}: got ax of type {type(ax).__name__}; expected matplotlib Axes; {advice}")


def check_axes_in_space(ax: Any, function: str) -> None:
    """Raise `InputError` unless `ax` is one pair of axes in three dimensions, or None."""
    check_axes(ax, function)
    if ax is not None and not hasattr(ax, "set_zlim"):
        raise InputError(f"{function}: got {type(ax).__name__}; expected axes made with projection='3d'")


def new_axes(projection: str | None = None) -> Axes:
    """Axes of a new figure that pyplot does not know."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.0), dpi=150, layout="constrained")
    ax: Any = figure.add_subplot(projection=projection)
    if projection == "3d":
        # The layout does not count the names of axes in space: leave room for them.
        ax.set_box_aspect(None, zoom=0.88)
    return cast("Axes", ax)


def dress(ax: Any, theme: Theme) -> None:
    """Give axes and their figure the theme's paper, and what is written around them its ink."""
    ax.figure.set_facecolor(theme.paper)
    ax.set_facecolor(theme.paper)
    ax.title.set_color(theme.ink)
    for axis in ("x", "y", "z") if hasattr(ax, "zaxis") else ("x", "y"):
        ax.tick_params(axis=axis, colors=theme.ink)
        getattr(ax, f"{axis}axis").label.set_color(theme.ink)
        pane = getattr(getattr(ax, f"{axis}axis"), "pane", None)
        if pane is not None:
            getattr(ax, f"{axis}axis").line.set_color(theme.faint)
            pane.set_facecolor(theme.fill)
            pane.set_edgecolor(theme.faint)
            # There is no public way to colour the grid of axes in space.
            getattr(ax, f"{axis}axis")._axinfo["grid"]["color"] = theme.faint


def draw_colorbar(ax: Axes, mappable: ScalarMappable, title: str, theme: Theme, pad: float = 0.04) -> None:
    """A colour bar beside the axes, in the theme's ink."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    bar = ax.figure.colorbar(mappable, ax=ax, fraction=0.046, pad=pad, label=title)
    low, high = mappable.get_clim()
    if isinstance(mappable.norm, LogNorm) and low is not None and high is not None and high < 30 * low:
        # Powers of ten are too far apart to be read here.
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_formatter("")
    bar.ax.tick_params(which="both", colors=theme.ink)
    bar.ax.yaxis.label.set_color(theme.ink)
    bar.outline.set_edgecolor(theme.faint)


def draw_class_legend(ax: Axes, classes: IntArray, names: list[str], theme: Theme) -> None:
    """The names of some classes beside their colours, below the axes."""
    from matplotlib.patches import Patch

    # Colours repeat after these: more names would not tell more.
    shown = classes[: len(palette.CLASS_COLORS)]
    colors = palette.class_colors(shown)
    colors = palette.darkened(colors) if theme.dark else colors
    handles = [Patch(facecolor=c, edgecolor=theme.ink, label=names[k]) for k, c in zip(shown, colors, strict=True)]
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=3.6,
        ncols=4,
        frameon=False,
        labelcolor=theme.ink,
    )


def domain_limits(ax: Axes, p: PlanarComplex) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Limits of both axes so that the domain shows; None where the user has set some."""
    x0, y0, x1, y1 = p.domain.bounds
    margin = 0.01 * max(x1 - x0, y1 - y0)
    x, y = (x0 - margin, x1 + margin), (y0 - margin, y1 + margin)
    if ax.has_data():
        (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
        x, y = (min(x[0], left), max(x[1], right)), (min(y[0], bottom), max(y[1], top))
    return x if ax.get_autoscalex_on() else None, y if ax.get_autoscaley_on() else None


def axis_names(p: PlanarComplex) -> tuple[str, str]:
    """Names of the domain's two coordinates."""
    return p.domain.axis_labels if isinstance(p.domain, Slice) else ("$x_1$", "$x_2$")


def frame(
    ax: Axes, x: tuple[float, float] | None, y: tuple[float, float] | None, names: tuple[str, str] = ("$x_1$", "$x_2$")
) -> None:
    """Set the limits that are not None, equal scales, and the names of axes that have none."""
    if x is not None:
        ax.set_xlim(x)
    if y is not None:
        ax.set_ylim(y)
    ax.set(xlabel=ax.get_xlabel() or names[0], ylabel=ax.get_ylabel() or names[1])
    ax.set_aspect("equal")
    ax.tick_params(labelsize="small")
    ax.spines[:].set_visible(False)


def frame_in_space(ax: Any, low: Any, high: Any, names: tuple[str, str, str]) -> None:
    """Set the limits of axes in three dimensions, and their names.

    Before polygons are added: matplotlib pads polygons of few corners by what is in memory, and scales axes to it.
    """
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    ax.set(xlabel=names[0], ylabel=names[1], zlabel=names[2])
    ax.tick_params(labelsize="small")
    ax.locator_params(nbins=5)
