"""Animations: a figure drawn frame by frame into a GIF or an MP4, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.errors import MissingDependencyError, OutputPathError
from geomrelu.files import atomic_path, check_suffix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_movie_path", "write_movie"]

# The last frame stays so many times as long.
_LAST_FRAME = 4


def check_movie_path(path: str | os.PathLike[str]) -> Path:
    """`path`, if an animation can be written there: asked before the work starts.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's.
    MissingDependencyError
        If it is an ``.mp4`` and there is no ffmpeg.
    """
    check_suffix(path, "animate", (".gif", ".mp4"))
    if Path(path).suffix.lower() == ".mp4" and _ffmpeg() is None:
        raise MissingDependencyError(
            f"animate: {path} needs ffmpeg, and neither that nor imageio-ffmpeg is installed; pip install "
            "'geomrelu[movies]', or write a .gif"
        )
    return Path(path)


def _ffmpeg() -> str | None:
    """The program: the machine's own, or that of the package imageio-ffmpeg."""
    import matplotlib

    own: str | None = shutil.which(matplotlib.rcParams["animation.ffmpeg_path"])
    if own is not None:
        return own
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # RuntimeError: the package is there, and a program for this machine is not
        return None


def write_movie(
    path: str | os.PathLike[str],
    figure: Figure,
    draw: Callable[[int], None],
    n_frames: int,
    seconds: float,
    dpi: int,
) -> Path:
    """Draw frames 0, 1, ... on a figure and write them; the last one stays four times as long.

    Parameters
    ----------
    path : path-like
        Ends in ``.gif`` or ``.mp4``; without a suffix it is a GIF.
    figure : matplotlib Figure
    draw : callable
        Makes the figure show the frame of that number.
    n_frames : int
    seconds : float
        How long a frame stays.
    dpi : int
        Pixels per inch.

    Raises
    ------
    OutputPathError, MissingDependencyError
        As `check_movie_path`, and if ffmpeg fails.
    """
    target = check_movie_path(path)
    write = _write_mp4 if target.suffix.lower() == ".mp4" else _write_gif
    with atomic_path(target) as temporary:
        write(temporary, figure, draw, n_frames, seconds, dpi)
    return target


def _write_gif(
    path: Path, figure: Figure, draw: Callable[[int], None], n_frames: int, seconds: float, dpi: int
) -> None:
    from PIL import Image

    images = []
    for k in range(n_frames):
        draw(k)
        images.append(Image.fromarray(_pixels(figure, dpi)).quantize(128))
    durations = [round(1000 * seconds)] * (n_frames - 1) + [round(_LAST_FRAME * 1000 * seconds)]
    images[0].save(path, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)


def _write_mp4(
    path: Path, figure: Figure, draw: Callable[[int], None], n_frames: int, seconds: float, dpi: int
) -> None:
    import matplotlib
    from matplotlib.animation import FFMpegWriter

    rate: Any = 1 / seconds
    writer = FFMpegWriter(fps=rate)
    try:
        with (
            matplotlib.rc_context({"animation.ffmpeg_path": _ffmpeg()}),
            writer.saving(figure, str(path), dpi),
        ):
            for k in range(n_frames):
                draw(k)
                for _ in range(_LAST_FRAME if k == n_frames - 1 else 1):
                    writer.grab_frame()
    except CalledProcessError as error:
        raise OutputPathError(f"animate: ffmpeg failed with status {error.returncode}; write a .gif instead") from error


def _pixels(figure: Figure, dpi: int) -> npt.NDArray[np.uint8]:
    """The figure as an (H, W, 3) picture.

    By hand, since matplotlib's own writer gives all frames the same duration.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
