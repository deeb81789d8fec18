"""Texts on the regions of a figure: their numbers, their affine maps, or what the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray
from geomrelu.domain import Slice
from geomrelu.errors import InputError, ShapeError
from geomrelu.plot.style import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["LabelChoice", "draw_labels", "draw_marks", "label_texts"]

LabelChoice: TypeAlias = "bool | str | Sequence[str]"

_MAX_LABELS = 150


def label_texts(p: PlanarComplex, labels: LabelChoice) -> Sequence[str] | None:
    """The text on each region (only those of the largest are needed), or None for no labels."""
    if labels is False:
        return None
    if labels is True or (isinstance(labels, str) and labels == "id"):
        return [str(k) for k in range(p.n_regions)]
    if isinstance(labels, str):
        if labels != "map":
            raise InputError(f"plot: got labels={labels!r}, expected True, 'id', 'map' or a sequence of texts")
        chosen = _largest(p)
        texts = [""] * p.n_regions
        maps = p.affine_maps
        for k in np.flatnonzero(chosen).tolist():
            texts[k] = "\n".join(_map_text(a, float(b)) for a, b in zip(maps.A[k], maps.b[k], strict=True))
        return texts
    if len(labels) != p.n_regions:
        raise ShapeError(f"plot: got {len(labels)} labels for {p.n_regions} regions, expected one per region")
    return labels


def _largest(p: PlanarComplex) -> BoolArray:
    """The regions that are labelled: the largest `_MAX_LABELS`."""
    chosen = np.zeros(p.n_regions, dtype=bool)
    chosen[np.argsort(-p.areas, kind="stable")[:_MAX_LABELS]] = True
    return chosen


def _map_text(gradient: FloatArray, intercept: float) -> str:
    """An affine map in three significant digits, e.g. ``2x₁ − 0.5x₂ + 1``."""
    text = ""
    for value, name in ((float(gradient[0]), "x₁"), (float(gradient[1]), "x₂"), (intercept, "")):
        rounded = f"{abs(value):.3g}"
        if rounded == "0":
            continue
        sign = ("−" if value < 0 else "") if not text else (" − " if value < 0 else " + ")
        text += sign + ("" if rounded == "1" and name else rounded) + name
    return text or "0"


def draw_marks(ax: Axes, domain: Slice, theme: Theme) -> None:
    """Show the places of a slice's marks that lie in its domain, with their labels."""
    for k in np.flatnonzero(domain.contains(domain.marks)).tolist():
        x, y = domain.marks[k].tolist()
        ax.plot(x, y, marker="o", markersize=6, color=theme.paper, markeredgecolor=theme.ink, zorder=5)
        ax.annotate(
            domain.labels[k], (x, y), xytext=(5, 5), textcoords="offset points", color=theme.ink, zorder=5,
            clip_on=True, bbox={"boxstyle": "round,pad=0.15", "facecolor": theme.paper, "alpha": 0.75, "linewidth": 0},
        )  # fmt: skip


def draw_labels(ax: Axes, p: PlanarComplex, texts: Sequence[str] | None, theme: Theme) -> None:
    """Write its text on each of the largest regions."""
    if texts is None:
        return
    size = float(np.clip(11 - 1.2 * np.log2(max(p.n_regions, 1)), 4.5, 10))
    box = {"boxstyle": "round,pad=0.15", "facecolor": theme.paper, "alpha": 0.75, "linewidth": 0}
    for k in np.flatnonzero(_largest(p)).tolist():
        x, y = p.centroids[k]
        ax.text(
            x, y, texts[k], ha="center", va="center", fontsize=size, color=theme.ink, bbox=box, zorder=4, clip_on=True
        )  # fmt: skip
