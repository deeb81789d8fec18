"""What both interactive pages share: one HTML file of arrays (gzip, base64) beside a drawing program.

What makes pages small: patterns are a tree, a face's pattern being that of the face before it, on a way from face to
neighbouring face, but for the neurons that flip between them; and of many outputs the maps are kept as float32, and at
last only those that fit, which the page says.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu import palette
from geomrelu.affine import AffineMaps
from geomrelu.arrays import IntArray
from geomrelu.files import atomic_path
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["PathLike", "bar_of", "color_bytes", "map_arrays", "pattern_tree", "write_page"]

PathLike: TypeAlias = "str | os.PathLike[str]"

# Bytes of maps that a page may hold.
_MAP_BYTES = 4_000_000
_BAR_STOPS = 12
_BITS = 1 << 24


def write_page(
    path: PathLike,
    title: str,
    subtitle: str,
    about: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    words: Mapping[str, str],
    scripts: Sequence[str],
) -> None:
    """Write a page: `about` and `arrays` are for its scripts, `words` (HTML) for the places of ``page.html``."""
    packed, places = _packed(arrays)
    parts = {
        "title": html.escape(title),
        "subtitle": html.escape(subtitle),
        "about": json.dumps({**about, "arrays": places}, allow_nan=False).replace("<", "\\u003c"),
        "arrays": packed,
        "style": _source("page.css"),
        "script": "".join(_source(name) for name in ("common.js", *scripts)),
        **words,
    }
    # The template is cut before anything is put in, so that no content is taken for a place of its own.
    first, *rest = _source("page.html").split("{{")
    text = first + "".join(parts[name] + tail for name, _, tail in (piece.partition("}}") for piece in rest))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _source(name: str) -> str:
    return resources.files("geomrelu.page").joinpath(name).read_text(encoding="utf-8")


def _packed(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[str, list[dict[str, Any]]]:
    """All arrays' bytes, compressed, and where each lies among them."""
    content, places = bytearray(), []
    for name, array in arrays.items():
        content += bytes(-len(content) % 8)
        places.append({"name": name, "dtype": array.dtype.name, "size": int(array.size), "at": len(content)})
        content += np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(gzip.compress(bytes(content), compresslevel=6, mtime=0)).decode("ascii"), places


def pattern_tree(patterns: Patterns, graph: csr_array) -> dict[str, npt.NDArray[Any]]:
    """Patterns as flips from face to face: ``parent`` (F,), -1 at the root, and ``flips`` in CSR form.

    `graph` (F, F) says which faces are neighbours; the first face of each of its parts follows face 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    n = len(patterns)
    first = np.unique(connected_components(graph, directed=False)[1], return_index=True)[1]
    graph = graph + coo_array((np.ones(len(first) - 1), (np.zeros(len(first) - 1, dtype=int), first[1:])), shape=(n, n))
    _, parent = breadth_first_order(graph, 0, directed=False)
    parent = np.where(parent < 0, -1, parent).astype(np.int32)
    counts: list[IntArray] = []
    flips: list[IntArray] = []
    step = max(1, _BITS // max(1, patterns.n_neurons))
    for start in range(0, n, step):
        above = parent[start : start + step]
        own = patterns[start : start + step].unpack()
        differing = own != patterns[np.maximum(above, 0)].unpack()
        differing[above < 0] = False
        counts.append(differing.sum(axis=1))
        flips.append(np.nonzero(differing)[1])
    return {
        "parent": parent,
        "flip_offsets": np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32),
        "flips": np.concatenate(flips).astype(np.int32),
        "root_active": np.flatnonzero(patterns[:1].unpack()[0]).astype(np.int32),
    }


def map_arrays(maps: AffineMaps) -> tuple[list[str], str, npt.NDArray[np.floating]]:
    """Names of the outputs whose maps a page holds, what it says of the others, and the maps (F, shown, inputs + 1)."""
    both = np.concatenate([maps.A, maps.b[:, :, None]], axis=2)
    n = both.shape[1]
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


def color_bytes(colors: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Colours (F, 3 or 4) as bytes (F, 3)."""
    return np.asarray(np.rint(np.clip(colors[:, :3], 0.0, 1.0) * 255), dtype=np.uint8)


def bar_of(mappable: Any, logarithmic: bool) -> dict[str, Any]:
    """What a page's key says of colours that stand for numbers."""
    stops = mappable.cmap(np.linspace(0, 1, _BAR_STOPS))
    return {"stops": palette.hex_colors(stops).tolist(), "ends": list(mappable.get_clim()), "log": logarithmic}
