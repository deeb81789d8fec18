"""Colours of regions, as sRGB arrays: what `plot` and `io` paint with.  numpy only, deterministic.

Colours are made in OKLab (Ottosson 2020), a perceptual space: lightness, which every kind
of colour vision sees, tells neighbouring regions apart, and hue tells what regions have
in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.errors import InputError
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = [
    "CLASS_COLORS",
    "checked_colors",
    "class_colors",
    "darkened",
    "draw_gradient_key",
    "gradient_colors",
    "hex_colors",
    "pattern_colors",
    "region_classes",
]

# Lightness by number of active neurons, modulo 4: neighbours differ in one neuron (where zero sets
# coincide, in a few), so their lightness always differs by a visible step.
_LIGHTNESS = np.array([0.91, 0.76, 0.845, 0.69])
_CHROMA = 0.09
# Patterns at a time: their bits as floats stay in the cache.
_CHUNK = 1 << 10

# OKLab to the cube roots of cone responses, and those responses to linear sRGB.
_LAB_TO_LMS = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

# Found by a search for ten colours, light enough for lines and text, of which any two are at least 0.09 apart in OKLab,
# to normal vision and to each kind of dichromat (as Machado, Oliveira, Fernandes 2009 simulate them).
CLASS_COLORS: tuple[str, ...] = (
    "#8fc3e8", "#f3c06b", "#b1ab9b", "#d06c5a", "#c2d5bf", "#7792ed", "#fef48b", "#af7ca4", "#e29942", "#c2fef9",
)  # fmt: skip


def pattern_colors(patterns: Patterns) -> FloatArray:
    """One colour per activation pattern, sRGB in [0, 1], shape (F, 3).

    Every neuron has a fixed direction in the plane of hues and a pattern's hue is the sum over its
    active neurons, so regions with similar patterns look alike; lightness alternates with the
    number of active neurons, so neighbours differ.

    Examples
    --------
    >>> pattern_colors(Patterns.pack([[True, False], [True, True]], widths=[2])).shape
    (2, 3)
    """
    directions = np.random.default_rng(7).standard_normal((max(patterns.n_neurons, 1), 2))
    hue = np.zeros((len(patterns), 2))
    for start in range(0, len(patterns), _CHUNK):
        bits = patterns[start : start + _CHUNK].unpack()
        hue[start : start + _CHUNK] = bits.astype(np.float64) @ directions[: bits.shape[1]]
    if len(hue):
        hue -= hue.mean(axis=0)
    length = np.hypot(hue[:, 0], hue[:, 1])
    scale = _CHROMA / max(float(np.sqrt(np.mean(length**2))), 1e-12) if len(hue) else 0.0
    # Far outliers are drawn in to the rim of the hue disc.
    hue *= (scale / np.maximum(1.0, length * scale / _CHROMA))[:, None]
    return _srgb(_LIGHTNESS[patterns.n_active() % 4], hue[:, 0], hue[:, 1])


def gradient_colors(gradients: FloatArray, longest: float | None = None) -> FloatArray:
    """Colour of each gradient (F, 2): hue is its direction, paleness its smallness; sRGB (F, 3).

    Lightness goes with the first entry: opposite directions differ to every kind of colour
    vision.  A zero gradient is light grey.

    Parameters
    ----------
    gradients : (F, 2)
    longest : float, optional
        Chroma grows in proportion to the length, up to this one: for comparing several sets.  By
        default it grows with the length's rank, so that one steep region does not wash out the rest.

    Examples
    --------
    >>> hex_colors(gradient_colors(np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]))).tolist()
    ['#e8e8e8', '#ff9fc1', '#00b29b']
    """
    length = np.hypot(gradients[:, 0], gradients[:, 1])
    if longest is None:
        levels = np.unique(length)
        strength = np.where(length > 0, np.searchsorted(levels, length, side="right") / max(len(levels), 1), 0.0)
    else:
        strength = np.minimum(length / longest, 1.0) if longest > 0 else np.zeros(len(length))
    return _gradient_color(strength, np.arctan2(gradients[:, 1], gradients[:, 0]))


def darkened(rgb: FloatArray) -> FloatArray:
    """Colours for dark paper, sRGB (F, 3) -> (F, 3): hue and chroma stay, lightness L becomes 1.2 - L.

    Light colours that differ in lightness become dark ones that differ as much.

    Examples
    --------
    >>> hex_colors(darkened(np.array([[0.91, 0.91, 0.91]]))).tolist()
    ['#262626']
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lms = np.cbrt(linear @ np.linalg.inv(_LMS_TO_RGB).T)
    lightness, a, b = (lms @ np.linalg.inv(_LAB_TO_LMS).T).T
    return _srgb(np.clip(1.2 - lightness, 0.0, 1.0), a, b)


def _gradient_color(strength: FloatArray, angle: FloatArray) -> FloatArray:
    chroma = 0.13 * strength
    return _srgb(0.93 - strength * (0.18 - 0.07 * np.cos(angle)), chroma * np.cos(angle), chroma * np.sin(angle))


def draw_gradient_key(ax: Any, ink: str = "black", dark: bool = False, size: int = 160) -> None:
    """What `gradient_colors` mean, as a disc on matplotlib axes: the colour of each direction, paler where flatter."""
    x, y = np.meshgrid(*[(np.arange(size) + 0.5) * 2 / size - 1] * 2)
    radius = np.hypot(x, y).ravel()
    disc = np.ones((size * size, 4))
    colors = _gradient_color(np.minimum(radius, 1.0), np.arctan2(y, x).ravel())
    disc[:, :3] = darkened(colors) if dark else colors
    disc[:, 3] = radius <= 1
    ax.imshow(disc.reshape(size, size, 4), extent=(-1, 1, -1, 1), origin="lower", interpolation="bilinear")
    for x_end, y_end, name in ((1.0, 0.0, "$x_1$"), (0.0, 1.0, "$x_2$")):
        arrow = {"arrowstyle": "->", "lw": 0.8, "shrinkA": 0, "shrinkB": 0, "color": ink}
        ax.annotate("", (x_end, y_end), (0, 0), arrowprops=arrow)
        sides = ("left", "center") if x_end else ("center", "bottom")
        ax.text(1.15 * x_end, 1.12 * y_end, name, ha=sides[0], va=sides[1], color=ink)
    said = f"direction in which\n$f$ rises; {'grey' if dark else 'pale'}: flat"
    ax.text(-1, -1.25, said, ha="left", va="top", fontsize="small", color=ink)
    ax.set_axis_off()


def class_colors(classes: IntArray) -> FloatArray:
    """Colour of each class number (F,), from a colour-blind-safe palette that repeats; sRGB (F, 3)."""
    table = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in CLASS_COLORS])
    return np.asarray(table[classes % len(table)])


def region_classes(p: PlanarComplex) -> IntArray:
    """Class of each region, (F,): the largest output, or, of one output, 1 where it is positive.

    Exact where a region has one class; of the others the class at the centroid, in floats.
    """
    classes = p._class_ties.winner.copy()
    mixed = np.flatnonzero(classes < 0)
    values = p.network(p.centroids[mixed])
    classes[mixed] = values[:, 0] > 0 if values.shape[1] == 1 else np.argmax(values, axis=1)
    return np.asarray(classes, dtype=np.int64)


def outputs_at_centroids(p: PlanarComplex) -> FloatArray:
    """Outputs at the regions' centroids, which are their means over the regions, (F, out); floats."""
    return p.network(p.centroids)


def hex_colors(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.str_]:
    """``#rrggbb`` of sRGB colours in [0, 1], (F, 3 or 4) -> (F,).

    Examples
    --------
    >>> hex_colors(np.array([[1.0, 0.5, 0.0]])).tolist()
    ['#ff8000']
    """
    levels = np.rint(np.clip(rgb[:, :3], 0.0, 1.0) * 255).astype(np.int64)
    codes, inverse = np.unique((levels[:, 0] << 16) | (levels[:, 1] << 8) | levels[:, 2], return_inverse=True)
    return np.array([f"#{code:06x}" for code in codes], dtype="U7")[inverse]


def checked_colors(colors: FloatArray, function: str) -> FloatArray:
    """Colours (F, 3 or 4) as they are, if they lie in [0, 1]; else an `InputError`."""
    bad = np.flatnonzero(~((colors >= 0) & (colors <= 1)).all(axis=1))
    if len(bad):
        raise InputError(
            f"{function}: colour {bad[0]} is {colors[bad[0]].tolist()}; expected numbers from 0 to 1 "
            "(divide by 255 if they go up to that)"
        )
    return colors


def _srgb(lightness: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """OKLab to sRGB in [0, 1], (F, 3); colours outside the gamut are clipped."""
    lms = np.stack([lightness, a, b], axis=1) @ _LAB_TO_LMS.T
    linear = np.clip(lms**3 @ _LMS_TO_RGB.T, 0.0, 1.0)
    curved = 1.055 * np.power(linear, 1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, curved))
