"""How figures look: light or dark, the colours of regions, and the ink and width of edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu import palette
from geomrelu.arrays import FloatArray, float_array
from geomrelu.errors import InputError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = [
    "COLOR_NAMES",
    "INK",
    "LINE_COLORS",
    "MANY",
    "ColorChoice",
    "Theme",
    "checked_output",
    "color_title",
    "edge_style",
    "given_colors",
    "mapped",
    "names_of_classes",
    "region_colors",
    "theme_of",
]

ColorChoice: TypeAlias = "str | npt.ArrayLike"

COLOR_NAMES = ("pattern", "value", "class", "gradient", "area")
# Those whose colours are made for light paper, and darkened for dark.
_FIXED = ("pattern", "class", "gradient")
INK = "#1b2330"
# Okabe and Ito (2008), told apart by every colour vision; but for black and yellow, which some paper would hide.
LINE_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
# From here on faces are drawn without antialiasing (no white seams between them) and as pixels in vector files.
MANY = 20_000


@dataclass(frozen=True)
class Theme:
    """What a figure is drawn with: paper, ink for lines and text, and the neutral fill and faint line of creases."""

    dark: bool
    paper: str
    ink: str
    fill: str
    faint: str


_THEMES = {
    "light": Theme(False, "#ffffff", INK, "#f4f5f7", "#aab2bf"),
    "dark": Theme(True, "#15181d", "#e8eaee", "#1e2229", "#525b69"),
}


def theme_of(theme: str | None, ax: Axes | None, function: str = "plot") -> Theme:
    """The theme of that name; of None the one that fits the axes' background, or matplotlib's present style.

    Raises
    ------
    InputError
        If there is no such theme.
    """
    if theme is None:
        import matplotlib
        from matplotlib.colors import to_rgba

        paper: Any = matplotlib.rcParams["axes.facecolor"]
        if ax is not None:
            paper = ax.get_facecolor() if to_rgba(ax.get_facecolor())[3] > 0 else ax.figure.get_facecolor()
        red, green, blue, alpha = to_rgba(paper)
        theme = "dark" if alpha > 0 and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4 else "light"
    if not isinstance(theme, str) or theme not in _THEMES:
        raise InputError(f"{function}: got theme={theme!r}; expected 'light', 'dark' or None")
    return _THEMES[theme]


def region_colors(
    p: PlanarComplex, color: ColorChoice, output: int, cmap: Any, dark: bool = False
) -> tuple[Any, ScalarMappable | None]:
    """Colours (F, 3 or 4), and what a colour bar needs where colours stand for numbers."""
    colors, mappable = _region_colors(p, color, output, cmap)
    # Numbers have the colours of their bar, and given colours are the user's.
    return (palette.darkened(colors) if dark and color_kind(color) in _FIXED else colors), mappable


def color_kind(color: ColorChoice) -> str:
    """The colouring's name; of an array ``"given"``."""
    return color if isinstance(color, str) else "given"


def _region_colors(p: PlanarComplex, color: ColorChoice, output: int, cmap: Any) -> tuple[Any, ScalarMappable | None]:
    if not isinstance(color, str):
        return given_colors(color, p.n_regions, "region", cmap)
    if color == "pattern":
        return palette.pattern_colors(p.patterns), None
    if color == "class":
        return palette.class_colors(palette.region_classes(p)), None
    if color == "gradient":
        return palette.gradient_colors(p.affine_maps.A[:, checked_output(p, output)]), None
    if color == "value":
        return mapped(palette.outputs_at_centroids(p)[:, checked_output(p, output)], cmap, logarithmic=False)
    if color == "area":
        return mapped(p.areas, cmap, logarithmic=True)
    raise InputError(
        f"plot: got color={color!r}, expected one of {', '.join(COLOR_NAMES)}, of a flat figure 'crease', "
        "or an array with one entry per region"
    )


def given_colors(color: npt.ArrayLike, n: int, what: str, cmap: Any) -> tuple[Any, ScalarMappable | None]:
    """Colours (n, 3 or 4) from a user's array, one entry per region or polygon, which `what` says."""
    given = float_array(color, "plot: color")
    if given.shape in ((n, 3), (n, 4)):
        return palette.checked_colors(given, "plot"), None
    if given.shape != (n,):
        raise ShapeError(
            f"plot: got a color array of shape {given.shape}, expected ({n},), one number per {what}, or ({n}, 3 or 4)"
        )
    return mapped(given, cmap, logarithmic=False)


def mapped(numbers: FloatArray, cmap: Any, logarithmic: bool) -> tuple[Any, ScalarMappable]:
    """Colours of numbers (N, 4) by a colour map, viridis by default, and what their colour bar needs."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    if logarithmic:
        # A sliver may have an area that rounds to zero or below; it takes the lowest colour.
        positive = numbers[numbers > 0]
        numbers = np.maximum(numbers, positive.min(initial=1.0))
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 1.0)
    norm = LogNorm(low, high) if logarithmic and low < high else Normalize(low, high)
    try:
        mappable = ScalarMappable(norm, "viridis" if cmap is None else cmap)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"plot: got cmap={cmap!r}; expected the name of a matplotlib colour map, such as 'viridis', or a Colormap"
        ) from error
    mappable.set_array(numbers)
    return mappable.to_rgba(numbers), mappable


def color_title(p: PlanarComplex, color: ColorChoice, output: int) -> str:
    """What the numbers beside a colour bar are."""
    if not isinstance(color, str):
        return ""
    if color == "area":
        return "area of region"
    if color == "crease":
        return "jump of the gradient"
    return "mean of f" if p.network.n_outputs == 1 else f"mean of output {output}"


def names_of_classes(p: PlanarComplex, class_names: Sequence[str] | None, function: str) -> list[str]:
    """What the classes are called: by the user, or by what they are."""
    n = p.network.n_outputs
    own = ["f ≤ 0", "f > 0"] if n == 1 else [f"class {k}" for k in range(n)]
    if class_names is None:
        return own
    if isinstance(class_names, str) or len(class_names) != len(own):
        raise ShapeError(f"{function}: got class_names={class_names!r}, expected {len(own)} names, one for each class")
    return [str(name) for name in class_names]


def checked_output(p: PlanarComplex | PolyhedralComplex, output: int) -> int:
    """The number of an output, which must be there."""
    n = p.network.n_outputs
    if not isinstance(output, int | np.integer) or not 0 <= output < n:
        raise InputError(f"plot: got output={output!r}, expected an integer from 0 to {n - 1}")
    return int(output)


def edge_style(n_regions: int, linewidth: float | None) -> tuple[float, float]:
    """Width in points and opacity of edges: both fall as regions grow in number, so that faces stay visible."""
    many = max(n_regions, 1) / 100
    width = float(np.clip(0.9 * many**-0.32, 0.06, 1.4)) if linewidth is None else linewidth
    return width, float(np.clip(0.95 * many**-0.16, 0.2, 0.95))
