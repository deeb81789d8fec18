"""The interactive page of a partition of the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu import palette
from geomrelu.errors import InputError
from geomrelu.files import check_suffix
from geomrelu.page.document import PathLike, bar_of, color_bytes, map_arrays, pattern_tree, write_page
from geomrelu.plot.creases import crease_steps
from geomrelu.plot.style import COLOR_NAMES as FILLS
from geomrelu.plot.style import color_title, names_of_classes, region_colors

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["COLOR_NAMES", "to_html"]

COLOR_NAMES = (*FILLS, "crease")

_WORDS = {
    "switches": '<label><input type="checkbox" id="boundary"> boundary</label>',
    "place": "x, y or #region",
    "place_label": "Go to coordinates x, y or to a region's number, #17",
    "main_label": "The domain cut into regions. Arrow keys pan, plus and minus zoom, 0 shows all; the region at the "
    "centre is described beside it.",
    "pointing": "Point at a region: its pattern, map and area show here. A click keeps it.",
    "keys": "<kbd>drag</kbd> or <kbd>arrows</kbd> pan, <kbd>wheel</kbd> or <kbd>+</kbd> <kbd>-</kbd> zoom, "
    "<kbd>0</kbd> all, <kbd>Esc</kbd> lets a kept region go",
}


def to_html(
    p: PlanarComplex,
    path: PathLike,
    *,
    title: str | None = None,
    color: str = "pattern",
    output: int = 0,
    edges: bool = True,
    boundary: bool = False,
    class_names: Sequence[str] | None = None,
) -> None:
    """Write a partition as one interactive page that opens in a browser, without a network.

    Pan, zoom, search by coordinates or number; pointing at a region (or bringing it to the
    centre by the arrow keys) shows its pattern, map and area.  50,000 regions of a network with
    one output take 4 to 7 MB.  Numbers are the partition's own float64, shown with nine digits;
    where maps of many outputs are kept as float32 or left out, the page says so.

    Parameters
    ----------
    p : PlanarComplex
    path : path-like
        Ends in ``.html`` or ``.htm``.
    title : str, optional
        By default the network's sizes and the number of regions.
    color : str
        The colouring to begin with, one of those of `plot_partition`: ``"pattern"``, ``"value"``,
        ``"class"``, ``"gradient"``, ``"area"``, ``"crease"``.
    output : int
        The output that ``"value"`` and ``"gradient"`` are about.
    edges, boundary : bool
        Whether edges and the decision boundary show to begin with.
    class_names : sequence of str, optional
        What the key calls the classes, as in `plot_partition`.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    InputError
        If there is no such colouring or output.
    ShapeError
        If there is not one name for each class.

    Examples
    --------
    >>> import geomrelu as gr, os, tempfile
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> path = os.path.join(tempfile.mkdtemp(), "p.html")
    >>> to_html(p, path)
    >>> os.path.getsize(path) < 100_000
    True
    """
    check_suffix(path, "to_html", (".html", ".htm"))
    if color not in COLOR_NAMES:
        raise InputError(f"to_html: got color={color!r}; expected one of {', '.join(COLOR_NAMES)}")
    classes = names_of_classes(p, class_names, "to_html")
    crease, steps = _creases(p)
    sharpest_last = np.argsort(steps, kind="stable")
    arrays: dict[str, npt.NDArray[Any]] = {
        "vertices": p.vertices,
        "edges": p.edges[sharpest_last].astype(np.int32),
        "edge_steps": steps[sharpest_last],
        "face_offsets": p.face_offsets.astype(np.int32),
        "face_vertices": p.face_vertices.astype(np.int32),
        "areas": p.areas,
        "centroids": p.centroids,
        "boundary": p.decision_boundary().segments,
    }
    arrays |= pattern_tree(p.patterns, p.dual_graph())
    names, note, arrays["maps"] = map_arrays(p.affine_maps)
    colors = []
    for name in FILLS:
        about, arrays[f"color_{name}"] = _coloring(p, name, output, classes)
        colors.append(about)
    colors.append(crease)
    write_page(
        path,
        title if title is not None else f"{p.n_regions:,} regions",
        f"{p.network!r} on {p.domain!r}" if len(repr(p.domain)) < 80 else repr(p.network),
        {
            "axes": ["x₁", "x₂"],
            "bounds": list(p.domain.bounds),
            "boundary": boundary,
            "color": color,
            "colors": colors,
            "edges": edges,
            "maps": names,
            "maps_note": note,
            "n_neurons": p.network.n_neurons,
            "widths": list(p.network.widths),
        },
        arrays,
        _WORDS,
        ["page.js"],
    )


def _creases(p: PlanarComplex) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    """What the page's key says of creases, and how sharp each edge is (E,): 0 where nothing bends."""
    edges, sharpness, light = crease_steps(p, None, dark=False)
    steps = np.zeros(p.n_edges, dtype=np.uint8)
    steps[edges] = sharpness + 1
    about: dict[str, Any] = {"name": "crease", "title": color_title(p, "crease", 0)}
    if light is None:
        return about | {"title": "f bends nowhere"}, steps
    dark = bar_of(crease_steps(p, None, dark=True)[2], True)
    return about | {"bar": bar_of(light, True) | {"dark": dark["stops"]}}, steps


def _coloring(
    p: PlanarComplex, name: str, output: int, classes: list[str]
) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    """What the page's key says of a colouring, and its colours (F, 3) as bytes."""
    colors, mappable = region_colors(p, name, output, None)
    about: dict[str, Any] = {"name": name, "title": _TITLES.get(name, "")}
    if mappable is not None:
        about["title"] = color_title(p, name, output)
        about["bar"] = bar_of(mappable, name == "area")
    elif name == "class":
        # Colours repeat after these.
        inks = palette.CLASS_COLORS[: len(classes)]
        about["swatches"] = [list(pair) for pair in zip(classes, inks, strict=False)]
    return about, color_bytes(colors)


_TITLES = {
    "pattern": "similar patterns look alike; neighbours differ in lightness",
    "gradient": "hue: direction in which the output rises; pale: flat",
}
