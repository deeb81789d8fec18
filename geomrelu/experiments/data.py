"""Parity data in any dimension, and its pictures."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.errors import InputError
from geomrelu.experiments.drawing import NEGATIVE, POSITIVE, flat_axes, new_figure, space_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MAX_DIMENSION", "parity_data", "plot_parity_2d", "plot_parity_3d"]

#: 2^20 points are as many as one can want; beyond that the answer is a memory error.
MAX_DIMENSION = 20


def parity_data(d: int) -> tuple[FloatArray, FloatArray]:
    """The parity task on the corners of the cube; exact.

    Parameters
    ----------
    d : int
        Dimension, 1 to 20.  ``d = 2`` is XOR.

    Returns
    -------
    points : (2^d, d) float64
        All of {-1, 1}^d, in lexicographic order.
    targets : (2^d,) float64
        +1 where the number of coordinates equal to +1 is odd, -1 where it is even.

    Raises
    ------
    InputError
        If `d` is not a whole number from 1 to 20.

    Examples
    --------
    >>> points, targets = parity_data(2)
    >>> points.tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    >>> targets.tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """
    try:
        dimension = operator.index(d)
    except TypeError as error:
        raise InputError(f"parity_data: got d={d!r}; expected a whole number from 1 to {MAX_DIMENSION}") from error
    if isinstance(d, bool) or not 1 <= dimension <= MAX_DIMENSION:
        raise InputError(f"parity_data: got d={d!r}; expected a whole number from 1 to {MAX_DIMENSION}")
    numbers = np.arange(2**dimension)[:, None]
    bits = (numbers >> np.arange(dimension - 1, -1, -1)) & 1
    targets = np.where(bits.sum(axis=1) % 2 == 1, 1.0, -1.0)
    return np.asarray(2.0 * bits - 1.0, dtype=np.float64), np.asarray(targets, dtype=np.float64)


def plot_parity_2d() -> Figure:
    """The XOR task as a scatter of its four points; shape and colour tell the target."""
    figure = new_figure(4.6, 4.4)
    ax = flat_axes(figure, 111, "XOR: parity of two coordinates", margin=0.35)
    points, targets = parity_data(2)
    scatter_targets(ax, points, targets, size=170)
    for point, target in zip(points, targets, strict=True):
        text = f"target {signed(target)}"
        ax.annotate(text, point, xytext=(0, 12), textcoords="offset points", ha="center", fontsize=11)
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    ax.axvline(0, color="0.8", lw=0.8, zorder=0)
    return figure


def plot_parity_3d() -> Figure:
    """The task in 3-D: XOR with the target as height, and the parity of three coordinates on the cube."""
    figure = new_figure(9.4, 4.6)
    points, targets = parity_data(2)
    left = space_axes(figure, 121, "XOR: the target as height", "target", azimuth=-66)
    ring = points[[0, 1, 3, 2, 0]]
    left.plot(ring[:, 0], ring[:, 1], np.zeros(5), color="0.6", lw=1.0)
    for target, colour, marker in ((1.0, POSITIVE, "o"), (-1.0, NEGATIVE, "s")):
        chosen = points[targets == target]
        for x, y in chosen:
            left.plot([x, x], [y, y], [0.0, target], color=colour, lw=1.5)
        left.scatter(
            chosen[:, 0], chosen[:, 1], target, c=colour, marker=marker, s=90, edgecolors="k", depthshade=False
        )
    right = space_axes(figure, 122, "Parity of three coordinates", "$x_3$", azimuth=-66)
    corners, parity = parity_data(3)
    for i, a in enumerate(corners):
        for b in corners[i + 1 :]:
            if np.count_nonzero(a != b) == 1:
                right.plot(*np.stack([a, b]).T, color="0.6", lw=1.0)
    for target, colour, marker in ((1.0, POSITIVE, "o"), (-1.0, NEGATIVE, "s")):
        chosen = corners[parity == target]
        right.scatter(
            *chosen.T, c=colour, marker=marker, s=90, edgecolors="k", depthshade=False, label=f"target {signed(target)}"
        )
    for ax in (left, right):
        ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), zlim=(-1.2, 1.2), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        ax.view_init(elev=24, azim=ax.azim)
        ax.set_box_aspect((4, 4, 3), zoom=0.9)
        ax.set_zticks([-1, 0, 1])
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def signed(target: float) -> str:
    """+1 or −1, with a true minus sign."""
    return f"{target:+.0f}".replace("-", "−")


def scatter_targets(
    ax: Any, points: FloatArray, targets: FloatArray, *, labels: bool = False, size: float = 60
) -> None:
    """Mark points (N, 2) by target: circles for +1, squares for -1."""
    for target, colour, marker in ((1.0, POSITIVE, "o"), (-1.0, NEGATIVE, "s")):
        chosen = points[targets == target]
        label = f"target {signed(target)}" if labels else None
        ax.scatter(
            *chosen.T, c=colour, marker=marker, s=size, edgecolors="k", lw=1.0, zorder=5, label=label, clip_on=False
        )
