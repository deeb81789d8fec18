"""The interactive page of a partition: one HTML file that needs no network.

`to_html` packs the complex into arrays (gzip, base64) beside a drawing program in plain
JavaScript (`page.js`: WebGL, or a 2-D canvas where there is none).  What makes a page of
50,000 regions small:

- patterns are a tree: a region's pattern is that of the region before it, on a way from
  region to neighbouring region, but for the neurons that flip on the edge between them;
- vertices are shared by regions, as in the complex itself;
- of many outputs the maps are kept as float32, and at last only those that fit, which the page says.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu import palette
from geomrelu.arrays import IntArray
from geomrelu.errors import InputError
from geomrelu.files import atomic_path, check_suffix
from geomrelu.plot.style import COLOR_NAMES, color_title, region_colors

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["COLOR_NAMES", "to_html"]

PathLike: TypeAlias = "str | os.PathLike[str]"

# Bytes of maps that a page may hold.
_MAP_BYTES = 4_000_000
_BAR_STOPS = 12
_BITS = 1 << 24


def to_html(
    p: PlanarComplex,
    path: PathLike,
    *,
    title: str | None = None,
    color: str = "pattern",
    output: int = 0,
    edges: bool = True,
    boundary: bool = False,
) -> None:
    """Write a partition as one interactive page that opens in a browser, without a network.

    Pan, zoom, search by coordinates or number; pointing at a region (or bringing it to the
    centre by the arrow keys) shows its pattern, map and area.  50,000 regions of a network with
    one output take 3 to 4 MB.  Numbers are the partition's own float64, shown with nine digits;
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
        ``"class"``, ``"gradient"``, ``"area"``.
    output : int
        The output that ``"value"`` and ``"gradient"`` are about.
    edges, boundary : bool
        Whether edges and the decision boundary show to begin with.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    InputError
        If there is no such colouring or output.

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
    arrays: dict[str, npt.NDArray[Any]] = {
        "vertices": p.vertices,
        "edges": p.edges.astype(np.int32),
        "face_offsets": p.face_offsets.astype(np.int32),
        "face_vertices": p.face_vertices.astype(np.int32),
        "areas": p.areas,
        "centroids": p.centroids,
        "boundary": p.decision_boundary().segments,
    }
    arrays |= _pattern_tree(p)
    names, note, arrays["maps"] = _maps(p)
    colors = []
    for name in COLOR_NAMES:
        about, arrays[f"color_{name}"] = _coloring(p, name, output)
        colors.append(about)
    packed, places = _packed(arrays)
    heading = title if title is not None else f"{p.n_regions:,} regions"
    about = {
        "arrays": places,
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
    }
    parts = {
        "title": html.escape(heading),
        "subtitle": html.escape(f"{p.network!r} on {p.domain!r}" if len(repr(p.domain)) < 80 else repr(p.network)),
        "about": json.dumps(about, allow_nan=False).replace("<", "\\u003c"),
        "arrays": packed,
        "style": _source("page.css"),
        "script": _source("page.js"),
    }
    # The template is cut before anything is put in, so that no content is taken for a place of its own.
    first, *rest = _source("page.html").split("{{")
    text = first + "".join(parts[name] + tail for name, _, tail in (piece.partition("}}") for piece in rest))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _source(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _packed(arrays: dict[str, npt.NDArray[Any]]) -> tuple[str, list[dict[str, Any]]]:
    """All arrays' bytes, compressed, and where each lies among them."""
    content, places = bytearray(), []
    for name, array in arrays.items():
        content += bytes(-len(content) % 8)
        places.append({"name": name, "dtype": array.dtype.name, "size": int(array.size), "at": len(content)})
        content += np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(gzip.compress(bytes(content), compresslevel=6, mtime=0)).decode("ascii"), places


def _pattern_tree(p: PlanarComplex) -> dict[str, npt.NDArray[Any]]:
    """Patterns as flips from region to region: ``parent`` (F,), -1 at the root, and ``flips`` in CSR form."""
    from scipy.sparse.csgraph import breadth_first_order

    _, parent = breadth_first_order(p.dual_graph(), 0, directed=False)
    parent = np.where(parent < 0, -1, parent).astype(np.int32)
    counts: list[IntArray] = []
    flips: list[IntArray] = []
    step = max(1, _BITS // max(1, p.patterns.n_neurons))
    for start in range(0, p.n_regions, step):
        above = parent[start : start + step]
        own = p.patterns[start : start + step].unpack()
        differing = own != p.patterns[np.maximum(above, 0)].unpack()
        differing[above < 0] = False
        counts.append(differing.sum(axis=1))
        flips.append(np.nonzero(differing)[1])
    return {
        "parent": parent,
        "flip_offsets": np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32),
        "flips": np.concatenate(flips).astype(np.int32),
        "root_active": np.flatnonzero(p.patterns[:1].unpack()[0]).astype(np.int32),
    }


def _maps(p: PlanarComplex) -> tuple[list[str], str, npt.NDArray[np.floating]]:
    """Names of the outputs whose maps the page holds, what it says of the others, and the maps (F, shown, 3)."""
    maps = p.affine_maps
    both = np.concatenate([maps.A, maps.b[:, :, None]], axis=2)
    n = p.network.n_outputs
    names = ["f"] if n == 1 else [f"f{k}" for k in range(n)]
    if both.size * 8 <= _MAP_BYTES:
        return names, "", both
    with np.errstate(over="ignore"):
        single = both.astype(np.float32)
    shown = max(1, min(n, _MAP_BYTES // (single[:, :1].size * 4)))
    note = "maps rounded to seven digits, for the page's size"
    if shown < n:
        note += f"; those of outputs {shown} to {n - 1} are left out"
    return names[:shown], note, single[:, :shown]


def _coloring(p: PlanarComplex, name: str, output: int) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    """What the page's key says of a colouring, and its colours (F, 3) as bytes."""
    colors, mappable = region_colors(p, name, output, None)
    about: dict[str, Any] = {"name": name, "title": _TITLES.get(name, "")}
    if mappable is not None:
        low, high = mappable.get_clim()
        stops = mappable.cmap(np.linspace(0, 1, _BAR_STOPS))
        about["title"] = color_title(p, name, output)
        about["bar"] = {"stops": palette.hex_colors(stops).tolist(), "ends": [low, high], "log": name == "area"}
    elif name == "class":
        n = p.network.n_outputs
        names = ["f ≤ 0", "f > 0"] if n == 1 else [f"class {k}" for k in range(n)]
        # Colours repeat after these.
        inks = palette.CLASS_COLORS[: len(names)]
        about["swatches"] = [list(pair) for pair in zip(names, inks, strict=False)]
    return about, np.rint(np.clip(colors[:, :3], 0.0, 1.0) * 255).astype(np.uint8)


_TITLES = {
    "pattern": "similar patterns look alike; neighbours differ in lightness",
    "gradient": "hue: direction in which the output rises; pale: flat",
}
