"""Pictures of a `Track`: columns over time, and an animation of the regions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu import palette
from geomrelu.arrays import FloatArray
from geomrelu.errors import InputError
from geomrelu.movies import check_movie_path, write_movie
from geomrelu.patterns import Patterns
from geomrelu.plot.axes import check_axes
from geomrelu.plot.partition import plot_partition
from geomrelu.plot.style import LINE_COLORS, mapped, theme_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.tracking import Track

__all__ = ["animate_track", "plot_track"]

_SHOWN = ("regions", "boundary_length", "crease")
_COLORS = ("pattern", "class", "value")


def plot_track(track: Track, ax: Axes | None = None, *, columns: str | Sequence[str] | None = None) -> Sequence[Axes]:
    """Draw columns of a track over time, one below the other.

    Parameters
    ----------
    track : Track
    ax : matplotlib Axes, optional
        Where to draw one column; without it, the axes of a new figure.
    columns : str or sequence of str, optional
        By default regions, boundary_length and crease; with `ax` regions.

    Returns
    -------
    list of matplotlib Axes

    Raises
    ------
    InputError
        If there is no such column, or several for one pair of axes.
    """
    from matplotlib.figure import Figure

    check_axes(ax, "Track.plot")
    default = _SHOWN if ax is None else _SHOWN[:1]
    names = list(default if columns is None else [columns] if isinstance(columns, str) else columns)
    for name in names:
        if name not in track.columns or name == "time":
            known = ", ".join(other for other in track.columns if other != "time")
            raise InputError(f"Track.plot: got column {name!r}; expected some of {known}")
    if not names or (ax is not None and len(names) > 1):
        raise InputError(f"Track.plot: got {len(names)} columns; expected one for the axes given, or some without axes")
    if ax is None:
        figure = Figure(figsize=(6.4, 1.2 + 1.7 * len(names)), dpi=150, layout="constrained")
        axes = list(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0])
    else:
        axes = [ax]
    for own, name, color in zip(axes, names, cycle(LINE_COLORS), strict=False):
        own.plot(track.columns["time"], track.columns[name], marker="o", markersize=3, color=color)
        own.set_ylabel(own.get_ylabel() or name.replace("_", " "))
    axes[-1].set_xlabel(axes[-1].get_xlabel() or "time")
    return axes


def animate_track(
    track: Track,
    path: str | os.PathLike[str],
    *,
    color: str = "pattern",
    seconds: float = 0.6,
    dpi: int = 100,
    theme: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Path:
    """Write the regions over time as an animation, in colours that mean the same in every frame.

    Parameters
    ----------
    track : Track
    path : path-like
        ``.gif`` or ``.mp4`` (which needs ffmpeg); written whole or not at all.
    color : str
        ``"pattern"``: a pattern has one colour throughout; ``"class"``; ``"value"``, of output 0, on one scale.
    seconds : float
        How long a frame stays; the last one stays four times as long.
    dpi : int
        Pixels per inch of a 6.4 x 6 inch picture.
    theme : {"light", "dark"}, optional
        As in `plot_partition`.
    progress : callable, optional
        Called with a message and the share of the frames that is done.

    Returns
    -------
    Path

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's.
    MissingDependencyError
        If it is an ``.mp4`` and there is no ffmpeg.
    InputError
        If there is no such colouring or theme, or patterns are of networks of other widths.
    """
    from matplotlib.figure import Figure

    import geomrelu as gr

    check_movie_path(path)
    if color not in _COLORS:
        raise InputError(f"animate: got color={color!r}; expected one of {', '.join(_COLORS)}")
    if not seconds > 0 or not np.isfinite(seconds):
        raise InputError(f"animate: got seconds={seconds!r}; expected a number above 0")
    style = theme_of(theme, None, "animate")
    partitions = [gr.partition(network, track.domain) for network in track.networks]
    colors, bar = _colors(partitions, color, style.dark)
    figure = Figure(figsize=(6.4, 6.0))

    def draw(k: int) -> None:
        if progress is not None:
            progress(f"frame {k + 1} of {len(partitions)}", k / len(partitions))
        figure.clear()
        ax = figure.add_axes((0.13, 0.13, 0.72, 0.76))
        p = partitions[k]
        plot_partition(p, ax, color=color if colors is None else colors[k], theme=theme)
        if bar is not None:
            mark = figure.colorbar(bar, cax=figure.add_axes((0.87, 0.13, 0.03, 0.76)))
            mark.ax.tick_params(colors=style.ink)
        ax.set_title(f"{track.columns['time'][k]:g}: {p.n_regions:,} regions", color=style.ink)

    return write_movie(path, figure, draw, len(partitions), seconds, dpi)


def _colors(partitions: Sequence[PlanarComplex], color: str, dark: bool) -> tuple[list[Any] | None, Any]:
    """Colours of the regions of all frames on one scale, None for those that plot chooses; and what a bar needs."""
    ends = np.cumsum([0, *(p.n_regions for p in partitions)])
    if color == "class":
        return None, None
    bar = None
    if color == "pattern":
        widths = {p.patterns.widths for p in partitions}
        if len(widths) > 1:
            raise InputError("animate: patterns of networks of different widths cannot be compared; use color='class'")
        found: FloatArray = palette.pattern_colors(
            Patterns(np.concatenate([p.patterns.words for p in partitions]), widths.pop())
        )
        found = palette.darkened(found) if dark else found
    else:
        values = np.concatenate([palette.outputs_at_centroids(p)[:, 0] for p in partitions])
        found, bar = mapped(values, None, logarithmic=False)
    return [found[a:b] for a, b in pairwise(ends.tolist())], bar
