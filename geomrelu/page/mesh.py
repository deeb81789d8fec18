"""The interactive page of a level set in three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.analysis.dual_graph import region_graph
from geomrelu.arrays import IntArray, row_ids
from geomrelu.errors import InputError
from geomrelu.files import check_suffix
from geomrelu.page.document import PathLike, bar_of, color_bytes, map_arrays, pattern_tree, write_page
from geomrelu.plot.space import SURFACE_COLOR_NAMES, check_not_empty, surface_colors

if TYPE_CHECKING:
    from geomrelu.polyhedral.level_set import LevelSet

__all__ = ["mesh_to_html"]

_WORDS = {
    "switches": '<label><input type="checkbox" id="box" checked> box</label>',
    "place": "x, y, z or #region",
    "place_label": "Go to the surface's point nearest to coordinates x, y, z, or to a region's number, #17",
    "main_label": "A surface in space. Arrow keys turn it, with shift they move it, plus and minus zoom, 0 shows all; "
    "the polygon at the centre is described beside it.",
    "pointing": "Point at the surface: the region's number, pattern and map show here. A click keeps it.",
    "keys": "<kbd>drag</kbd> or <kbd>arrows</kbd> turn, with <kbd>shift</kbd> move, <kbd>wheel</kbd> or <kbd>+</kbd> "
    "<kbd>-</kbd> zoom, <kbd>0</kbd> all, <kbd>Esc</kbd> lets a kept polygon go",
}


def mesh_to_html(
    surface: LevelSet,
    path: PathLike,
    *,
    title: str | None = None,
    color: str = "pattern",
    edges: bool = True,
) -> None:
    """Write a level set as one interactive page that opens in a browser, without a network.

    Turn, move, zoom, search by coordinates or region; pointing at the surface shows the polygon's region, with its
    pattern, map and area.  10,000 polygons of a network with one output take about 1 MB.  It needs WebGL 2.

    Parameters
    ----------
    surface : LevelSet
    path : path-like
        Ends in ``.html`` or ``.htm``.
    title : str, optional
        By default what it is a level set of.
    color : str
        The colouring to begin with, one of those of `plot_level_set`: ``"pattern"``, ``"gradient"``, ``"area"``,
        ``"plain"``.
    edges : bool
        Whether edges show to begin with.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    InputError
        If there is no such colouring, or the surface is empty (the error says which values there are).

    Examples
    --------
    >>> import geomrelu as gr, os, tempfile
    >>> f = gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))])  # |x| + |y| + |z|
    >>> surface = gr.partition(f, gr.Box([-2] * 3, [2] * 3)).level_set(1.0)
    >>> path = os.path.join(tempfile.mkdtemp(), "octahedron.html")
    >>> surface.to_html(path)
    >>> os.path.getsize(path) < 100_000
    True
    """
    check_suffix(path, "to_html", (".html", ".htm"))
    if color not in SURFACE_COLOR_NAMES:
        raise InputError(f"to_html: got color={color!r}; expected one of {', '.join(SURFACE_COLOR_NAMES)}")
    check_not_empty(surface, "to_html")
    network, domain = surface.partition.network, surface.partition.domain
    names, note, maps = map_arrays(surface.affine_maps)
    arrays: dict[str, npt.NDArray[Any]] = {
        "vertices": surface.vertices,
        "edges": surface.edges[0].astype(np.int32),
        "offsets": surface.offsets.astype(np.int32),
        "polygons": surface.polygons.astype(np.int32),
        "regions": surface.regions.astype(np.int32),
        "areas": surface.areas,
        "maps": maps,
    }
    arrays |= pattern_tree(surface.patterns, region_graph(_neighbors(surface), surface.n_polygons))
    colors = []
    for name in SURFACE_COLOR_NAMES:
        found, mappable = surface_colors(surface, name)
        arrays[f"color_{name}"] = color_bytes(found)
        about = {"name": name, "title": _TITLES[name]}
        colors.append(about if mappable is None else about | {"bar": bar_of(mappable, name == "area")})
    output = "f" if network.n_outputs == 1 else f"f{surface.output}"
    write_page(
        path,
        title if title is not None else f"{output} = {surface.value:g}: {surface.n_polygons:,} polygons",
        f"{network!r} on {domain!r}" if len(repr(domain)) < 80 else repr(network),
        {
            "axes": ["x₁", "x₂", "x₃"],
            "bounds": [domain.low.tolist(), domain.high.tolist()],
            "color": color,
            "colors": colors,
            "edges": edges,
            "maps": names,
            "maps_note": note,
            "n_neurons": network.n_neurons,
            "output": surface.output,
            "widths": list(network.widths),
        },
        arrays,
        _WORDS,
        ["mesh.js"],
    )


def _neighbors(surface: LevelSet) -> IntArray:
    """Pairs of polygons that share an edge, (M, 2)."""
    polygon = row_ids(surface.offsets)
    following = np.arange(1, len(polygon) + 1)
    following[surface.offsets[1:] - 1] = surface.offsets[:-1]
    ends = np.sort(np.stack([surface.polygons, surface.polygons[following]], axis=1), axis=1)
    order = np.lexsort(ends.T)
    same = (ends[order[1:]] == ends[order[:-1]]).all(axis=1)
    return np.asarray(np.stack([polygon[order[:-1]], polygon[order[1:]]], axis=1)[same])


_TITLES = {
    "pattern": "similar patterns look alike; neighbours differ in lightness",
    "gradient": "length of the gradient",
    "area": "area of polygon",
    "plain": "",
}
