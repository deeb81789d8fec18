"""Training as an animation: exact decision regions and the surface at each snapshot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.analysis.cells import Cells, cells_of, corner_values, positive_part, zero_segments
from geomrelu.analysis.regression import map_rows
from geomrelu.arrays import FloatArray
from geomrelu.domain import Box
from geomrelu.experiments.data import parity_data, scatter_targets
from geomrelu.experiments.drawing import (
    NEGATIVE,
    POSITIVE,
    draw_cells,
    draw_segments,
    draw_surface,
    flat_axes,
    line_width,
    new_figure,
    relief,
    space_axes,
    value_norm,
)
from geomrelu.experiments.training import Progress, Snapshot, TrainingHistory
from geomrelu.movies import check_movie_path, write_movie

if TYPE_CHECKING:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

__all__ = ["animate", "plot_snapshot"]


@dataclass(frozen=True, eq=False)
class _Frame:
    """A snapshot's regions, ready to draw: cells, their maps (F, 3) and corner heights (C,)."""

    snapshot: Snapshot
    cells: Cells
    maps: FloatArray
    heights: FloatArray

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Frame:
        import geomrelu as gr

        p = gr.partition(snapshot.network, Box(-1, 1))
        cells, maps = cells_of(p), map_rows(p.affine_maps.A, p.affine_maps.b)
        return cls(snapshot, cells, maps, corner_values(cells, maps))


def animate(
    history: TrainingHistory,
    path: str | os.PathLike[str],
    seconds: float = 0.6,
    dpi: int = 90,
    progress: Progress | None = None,
) -> Path:
    """Write a training's snapshots as a GIF or MP4: exact decision regions, and the surface.

    Parameters
    ----------
    history : TrainingHistory
        From `train`; one frame for each of its snapshots.
    path : path-like
        ``.gif`` or ``.mp4`` (which needs ffmpeg); written whole or not at all.
    seconds : float
        How long a frame stays; the last one stays four times as long.
    dpi : int
        Pixels per inch of a 10 x 4.9 inch picture.
    progress : callable, optional
        Called with a message and the share of the frames that is done.

    Raises
    ------
    OutputPathError
        If the file cannot be written.
    MissingDependencyError
        If it is an ``.mp4`` and there is no ffmpeg.
    """
    target = check_movie_path(path)
    frames = [_Frame.of(snapshot) for snapshot in history.snapshots]
    norm = _scale(frames)
    figure = new_figure(10.0, 4.9)
    figure.set_layout_engine("none")  # the same places in every frame, and half the time
    stage = _Stage.on(figure, norm)

    def draw(k: int) -> None:
        if progress is not None:
            progress(f"animation of seed {history.seed}: epoch {frames[k].snapshot.epoch}", k / len(frames))
        stage.show(frames[k])

    return write_movie(target, figure, draw, len(frames), seconds, dpi)


def plot_snapshot(snapshot: Snapshot) -> Figure:
    """One frame of the animation as a figure of its own."""
    frame = _Frame.of(snapshot)
    figure = new_figure(10.0, 4.9)
    figure.set_layout_engine("none")
    _Stage.on(figure, _scale([frame])).show(frame)
    return figure


def _scale(frames: Sequence[_Frame]) -> Normalize:
    """Heights and colours of all frames: the last one's range and the targets, so that an overshoot does not set it."""
    return value_norm(frames[-1].heights, np.array([-1.0, 1.0]))


@dataclass
class _Stage:
    """The axes of an animation, set up once, and what the present frame has put there."""

    figure: Figure
    flat: Any
    space: Any
    norm: Normalize
    drawn: list[Any] = field(default_factory=list)

    @classmethod
    def on(cls, figure: Figure, norm: Normalize) -> _Stage:
        grid = figure.add_gridspec(1, 2, left=0.07, right=0.96, bottom=0.18, top=0.86, wspace=0.1)
        flat = flat_axes(figure, grid[0], "Decision regions")
        for colour, label in ((POSITIVE, "f > 0"), (NEGATIVE, "f < 0")):
            flat.scatter([], [], marker="s", s=80, color=colour, label=label)
        flat.plot([], [], color="black", lw=2.2, label="f = 0")
        scatter_targets(flat, *parity_data(2), labels=True)
        space = space_axes(figure, grid[1], "Surface", "f")
        space.set_zlim(norm.vmin, norm.vmax)
        figure.legend(loc="lower center", ncols=5, frameon=False)
        return cls(figure, flat, space, norm)

    def show(self, frame: _Frame) -> None:
        """Replace the present frame by another."""
        for artist in self.drawn:
            artist.remove()
        snapshot, cells, heights = frame.snapshot, frame.cells, frame.heights
        self.figure.suptitle(
            f"Epoch {snapshot.epoch}: {len(cells)} regions, loss {snapshot.loss:.1e}, accuracy {snapshot.accuracy:.0%}"
        )
        low, high = float(self.norm.vmin or 0.0), float(self.norm.vmax or 0.0)
        shown = np.clip(heights, low, high)
        cut = "" if np.array_equal(shown, heights) else f", cut off at {low:.2g} and {high:.2g}".replace("-", "−")
        self.space.set_title(f"Surface{cut}")
        positive = positive_part(cells, heights).without_empty()
        self.drawn = [
            draw_cells(self.flat, cells, NEGATIVE, edge="face", edge_width=0.2),
            draw_cells(self.flat, positive, POSITIVE, edge="face", edge_width=0.2),
            draw_cells(self.flat, cells, "none", edge_width=line_width(len(cells), 0.9)),
            draw_segments(self.flat, zero_segments(cells, heights), "black", 2.2),
            *self._surface(frame, low, high),
        ]

    def _surface(self, frame: _Frame, low: float, high: float) -> list[Any]:
        """The surface in the colours of the decisions, between two heights: its parts above and below 0."""
        cells, heights = frame.cells, frame.heights
        # A region on which f is 0 all over belongs to neither side by itself: it is drawn with the lower one.
        flat = np.maximum.reduceat(np.abs(heights), cells.offsets[:-1]) == 0
        sides = ((heights, POSITIVE), (np.where(flat[cells.owners()], 1.0, -heights), NEGATIVE))
        drawn = []
        for values, colour in sides:
            part = positive_part(cells, values)
            there = np.diff(part.offsets) > 0
            if there.any():
                shown = np.clip(corner_values(part, frame.maps), low, high)
                drawn.append(draw_surface(self.space, part.without_empty(), shown, relief(frame.maps[there], colour)))
        return drawn
