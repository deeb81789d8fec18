"""The figure of a partition of a segment: its outputs, and where they bend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.errors import InputError
from geomrelu.plot.axes import check_axes
from geomrelu.plot.style import INK, LINE_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geomrelu.linear.complex import LinearComplex

__all__ = ["plot_segment"]

# Above so many outputs a legend tells nothing.
_NAMED = 12
# Of lines of one colour, in turn.
_DASHES = ("-", "--", "-.", ":")


def plot_segment(
    p: LinearComplex,
    ax: Axes | None = None,
    *,
    outputs: Sequence[int] | None = None,
    breakpoints: bool = True,
    labels: Sequence[str] | None = None,
    linewidth: float = 1.6,
) -> Axes:
    """Draw outputs along one segment, and its breakpoints as ticks along the foot of the figure.

    Parameters
    ----------
    p : LinearComplex
        Of one segment; of many take ``p[0]``.
    ax : matplotlib Axes, optional
        Where to draw; without it, the axes of a new figure (``.figure.savefig(...)``).
    outputs : sequence of int, optional
        Which outputs; by default all.
    breakpoints : bool
        Draw the breakpoints; where they are many they are fainter.
    labels : sequence of str, optional
        Names of the outputs drawn.
    linewidth : float
        Width of the outputs' lines in points.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If there are several segments, no such output, or `ax` is not a pair of axes.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0]], [[-2.0]]], [[-0.5], [3.0]]), gr.Segment([0.0], [1.0]))
    >>> [line.get_xydata().tolist() for line in plot_segment(p).get_lines()]
    [[[0.0, 3.0], [0.5, 3.0], [1.0, 2.0]]]
    """
    check_axes(ax, "plot_segment")
    if p.n_segments != 1:
        raise InputError(f"plot_segment: got {p.n_segments} segments; expected one: take p[0], p[1], ...")
    n = p.network.n_outputs
    shown = list(range(n)) if outputs is None else list(outputs)
    if not all(isinstance(k, int | np.integer) and 0 <= k < n for k in shown):
        raise InputError(f"plot_segment: got outputs={outputs!r}; expected numbers from 0 to {n - 1}")
    if labels is not None and len(labels) != len(shown):
        raise InputError(f"plot_segment: got {len(labels)} labels for {len(shown)} outputs; expected as many")
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained").add_subplot()
    names = [f"$f_{{{k}}}$" for k in shown] if labels is None else labels
    for k, name in zip(shown, names, strict=True):
        turn, color = divmod(k, len(LINE_COLORS))
        ax.plot(p.breakpoints, p.values[:, k], linewidth=linewidth, label=name, color=LINE_COLORS[color],
                linestyle=_DASHES[turn % len(_DASHES)], zorder=3)  # fmt: skip
    if breakpoints:
        inner = p.breakpoints[1:-1]
        opacity = float(np.clip(30 / max(len(inner), 1), 0.12, 0.8))
        ax.vlines(inner, 0.0, 0.045, transform=ax.get_xaxis_transform(), color=INK, linewidth=0.6, zorder=2)
        ax.vlines(
            inner, 0.045, 1.0, transform=ax.get_xaxis_transform(), color=INK, linewidth=0.4, alpha=0.35 * opacity,
            zorder=1,
        )  # fmt: skip
    ax.set(xlim=(0, 1), xlabel=ax.get_xlabel() or "$t$", ylabel=ax.get_ylabel() or "outputs")
    ax.margins(y=0.08)
    if len(shown) <= _NAMED:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
    return ax
