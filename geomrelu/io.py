"""Files: a partition saved and loaded whole (.npz), and exported as GeoJSON and SVG.

Every file is written whole or not at all (`geomrelu.files.atomic_path`).
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu import palette
from geomrelu.arrays import FloatArray, IntArray, float_array
from geomrelu.domain import Box, Domain, Polygon, Slice
from geomrelu.errors import FileFormatError, InputError
from geomrelu.files import atomic_path, check_suffix
from geomrelu.matrices import is_sparse, parts, sparse_matrix
from geomrelu.network import Layer, Network
from geomrelu.patterns import Patterns, word_starts

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = [
    "PatternText",
    "check_pattern_text",
    "check_tag",
    "integers",
    "load",
    "loaded",
    "network_content",
    "network_of",
    "pattern_texts",
    "read_npz",
    "report_content",
    "report_of",
    "save",
    "to_geojson",
    "to_svg",
]

PathLike: TypeAlias = "str | os.PathLike[str]"
PatternText: TypeAlias = Literal["bits", "hex", "none"]

_FORMAT = "geomrelu-partition"
_VERSION = 2
# Columns, and the numbers that an index may take: from `low` up to what `_limits` says of `kind`.
_INDEX_ARRAYS: dict[str, tuple[int, str, str]] = {
    "edges": (2, "zero", "vertices"),
    "edge_faces": (2, "outside", "faces"),
    "edge_neuron": (1, "outside", "neurons"),
    "face_vertices": (1, "zero", "vertices"),
    "face_edges": (1, "zero", "edges"),
    "vertex_lines": (2, "sides", "neurons"),
}
_CHUNK = 4096
# Pictures of longer or thinner domains are stretched to this.
_MAX_ASPECT = 20


def save(p: PlanarComplex, path: PathLike) -> None:
    """Write a partition to a ``.npz`` file from which `load` gives it back, bit for bit.

    The file holds plain arrays only: the complex, the network's weights, the domain and the
    report.  Indices are stored in the smallest integer type that holds them.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.

    Examples
    --------
    >>> import geomrelu as gr, os, tempfile
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> path = os.path.join(tempfile.mkdtemp(), "p.npz")
    >>> save(p, path)
    >>> load(path).n_regions
    3
    """
    check_suffix(path, "save", (".npz",))
    content: dict[str, Any] = {
        "format": np.array(_FORMAT),
        "version": np.array(_VERSION),
        "vertices": p.vertices,
        "vertex_errors": p.vertex_errors,
        "face_offsets": _narrow(p.face_offsets),
        "pattern_words": p.patterns.words,
        "report": report_content(p.report),
    }
    content |= {name: _narrow(getattr(p, name)) for name in _INDEX_ARRAYS}
    content |= network_content(p.network) | _domain_content(p.domain)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)


def _domain_content(domain: Domain) -> dict[str, npt.NDArray[Any]]:
    if isinstance(domain, Slice):
        return _domain_content(domain.domain) | {
            "slice_origin": domain.origin,
            "slice_basis": domain.basis,
            "slice_marks": domain.marks,
            "slice_names": np.array([*domain.axis_labels, *domain.labels], dtype=np.str_),
        }
    if isinstance(domain, Box):
        return {"domain_box": np.stack([domain.low, domain.high])}
    return {"domain_polygon": domain.vertices}


def network_content(network: Network) -> dict[str, npt.NDArray[Any]]:
    """A network as arrays for a file; `network_of` reads them."""
    content = {"n_neurons": np.array([layer.n_neurons for layer in network.layers])}
    for k, layer in enumerate(network.layers):
        content |= _layer_content(k, layer)
    return content


def report_content(report: Mapping[str, Any]) -> npt.NDArray[Any]:
    """A report as an array for a file; `report_of` reads it."""
    return np.array(json.dumps(dict(report), default=_plain))


def _layer_content(k: int, layer: Layer) -> dict[str, npt.NDArray[Any]]:
    content: dict[str, npt.NDArray[Any]] = {f"bias_{k}": layer.bias}
    if is_sparse(layer.weight):
        data, indices, indptr = parts(layer.weight)
        content |= {f"weight_{k}_data": data, f"weight_{k}_indices": indices, f"weight_{k}_indptr": indptr}
        content[f"weight_{k}_shape"] = np.array(layer.weight.shape)
    else:
        content[f"weight_{k}"] = layer.weight
    if layer.relevant is not None:
        content[f"relevant_{k}"] = layer.relevant
    return content


def load(path: PathLike) -> PlanarComplex:
    """Read a partition that `save` wrote; the network and the domain come with it.

    Nothing in the file is run.  Shapes and index ranges are checked here; `check()` on the
    result verifies the geometry too.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    PlanarComplex
        Bit for bit the saved one.

    Raises
    ------
    FileFormatError
        If the file is missing, is not a partition, is damaged, or is of a later version.
    """
    return loaded(read_npz(path), path)


def loaded(content: Mapping[str, npt.NDArray[Any]], path: PathLike) -> PlanarComplex:
    """The partition in the content of a file, as in `load`."""
    from geomrelu.planar.complex import PlanarComplex

    check_tag(content, path, _FORMAT, _VERSION)
    try:
        network = network_of(content)
        if network.n_inputs != 2:
            raise ValueError(f"its network takes {network.n_inputs} inputs, expected 2")
        domain = _domain(content)
        if isinstance(domain, Slice):
            _check_slice(domain, network)
        arrays = _complex_arrays(content, network, domain)
        report = report_of(content)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        detail = f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(f"{path}: damaged partition file: {detail}; save the partition again") from error
    patterns = Patterns(content["pattern_words"], network.widths)
    return PlanarComplex(**arrays, patterns=patterns, network=network, domain=domain, report=report)


def to_geojson(p: PlanarComplex, path: PathLike, *, pattern: PatternText = "bits") -> None:
    """Write a GeoJSON FeatureCollection with one polygon per region; opens in shapely and geopandas.

    A feature's properties are ``id``, ``area``, ``pattern``, and the affine map's ``A``
    (out, 2) and ``b`` (out,).  Numbers are written so that they read back as the same
    float64.  Rings are counter-clockwise, closed, with every corner that a neighbour has, so
    neighbours match edge for edge.  Coordinates are the network's inputs, not longitude and
    latitude: tell geopandas ``set_crs(None, allow_override=True)`` if it assumes otherwise.

    Parameters
    ----------
    p : PlanarComplex
    path : path-like
    pattern : {"bits", "hex", "none"}
        Patterns as ``"0110..."`` in the order of neurons; as the same bits in hexadecimal,
        first neuron in the highest bit, zeros at the end; or left out.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    """
    check_suffix(path, "to_geojson", (".geojson", ".json"))
    check_pattern_text(pattern, "to_geojson")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        header = {"regions": p.n_regions, "network": repr(p.network), "domain": repr(p.domain)}
        file.write(f'{{"type": "FeatureCollection", "geomrelu": {json.dumps(header)}, "features": [')
        separator = "\n"
        for feature in _features(p, pattern):
            file.write(separator + feature)
            separator = ",\n"
        file.write("\n]}\n")


def to_svg(
    p: PlanarComplex,
    path: PathLike,
    *,
    width: int = 800,
    color: Literal["pattern", "class", "gradient"] | npt.ArrayLike = "pattern",
    edges: bool = True,
    digits: int = 2,
) -> None:
    """Write a compact SVG: one ``<path id="r17">`` per region, in the order of regions; opens in a browser.

    For axes, colour bars and labels use `geomrelu.plot.plot_partition` and ``savefig``.  Both
    axes have one scale, except where one side of the domain is over 20 times as long as the
    other: then the shorter one is stretched to a 20th of the longer.

    Parameters
    ----------
    p : PlanarComplex
    path : path-like
    width : int
        Width in CSS pixels, 1 to 100,000; the height follows, 1/20 to 20 times the width.
    color : str or (F, 3) array
        ``"pattern"``, ``"class"``, ``"gradient"`` as in `plot_partition`, or sRGB colours in [0, 1].
    edges : bool
        Draw the edges.
    digits : int
        Corners are rounded to 1 / (1000 * 10**digits) of the width; 0 to 9.

    Raises
    ------
    InputError
        If `width`, `color` or `digits` cannot be used.
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    """
    check_suffix(path, "to_svg", (".svg",))
    _check_picture(width, digits)
    fill = palette.hex_colors(_svg_colors(p, color)).tolist()
    grid, full_width, full_height = _svg_grid(p, 1000 * 10**digits)
    height = max(1, round(width * full_height / full_width))
    stroke = (
        min(full_width, full_height * _MAX_ASPECT / 2)
        / 1000
        * float(np.clip(2.4 * (p.n_regions / 100) ** -0.32, 0.12, 3.0))
    )
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {full_width} {full_height}">\n<title>{p.n_regions} regions of a ReLU network</title>\n'
            # Crisp, since antialiased neighbours would leave white seams; the edges on top are smooth.
            '<g shape-rendering="crispEdges">\n'
        )
        for face, path_data in enumerate(_ring_paths(p, grid)):
            file.write(f'<path id="r{face}" fill="{fill[face]}" d="{path_data}"/>\n')
        file.write("</g>\n")
        if edges:
            file.write(
                f'<path id="edges" fill="none" stroke="#1b2330" stroke-opacity=".8" stroke-width="{stroke:.3g}" d="'
            )
            for u, step in zip(
                grid[p.edges[:, 0]].tolist(), np.diff(grid[p.edges], axis=1)[:, 0].tolist(), strict=True
            ):
                file.write(f"M{u[0]} {u[1]}l{step[0]} {step[1]}")
            file.write('"/>\n')
        file.write("</svg>\n")


def _svg_grid(p: PlanarComplex, full_width: int) -> tuple[IntArray, int, int]:
    """Vertices in the picture's whole-numbered units, (V, 2), and its width and height in them."""
    # Over a power of two per axis, so that huge and tiny domains neither overflow nor vanish.
    exponents = np.frexp(np.abs(p.domain.vertices).max(axis=0))[1] + 1
    corners, vertices = np.ldexp(p.domain.vertices, -exponents), np.ldexp(p.vertices, -exponents)
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = high - low
    with np.errstate(over="ignore", under="ignore"):
        aspect = np.ldexp(extent[1] / extent[0], exponents[1] - exponents[0])
    full_height = round(full_width * float(np.clip(aspect, 1 / _MAX_ASPECT, _MAX_ASPECT)))
    # SVG's y axis points down.  Whole numbers, so that relative steps add up exactly.
    across = (vertices[:, 0] - low[0]) / extent[0] * full_width
    down = (high[1] - vertices[:, 1]) / extent[1] * full_height
    return np.rint(np.column_stack([across, down])).astype(np.int64), full_width, full_height


def _check_picture(width: Any, digits: Any) -> None:
    for name, value, low, high in (("width", width, 1, 100_000), ("digits", digits, 0, 9)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise InputError(f"to_svg: got {name}={value!r}, expected a whole number from {low} to {high}")


def _ring_paths(p: PlanarComplex, grid: IntArray) -> Iterator[str]:
    """SVG path data of each region, relative steps from its first corner."""
    for start in range(0, p.n_regions, _CHUNK):
        offsets = p.face_offsets[start : start + _CHUNK + 1]
        corners = grid[p.face_vertices[offsets[0] : offsets[-1]]]
        steps = np.diff(corners, axis=0, prepend=corners[:1]).ravel().tolist()
        firsts = corners[offsets[:-1] - offsets[0]].tolist()
        local = (2 * (offsets - offsets[0])).tolist()
        for (x, y), low, high in zip(firsts, local[:-1], local[1:], strict=True):
            yield f"M{x} {y}l{' '.join(map(str, steps[low + 2 : high]))}z"


def _svg_colors(p: PlanarComplex, color: Any) -> FloatArray:
    if not isinstance(color, str):
        given = float_array(color, "to_svg: color")
        if given.shape != (p.n_regions, 3):
            raise InputError(f"to_svg: got colours of shape {given.shape}, expected ({p.n_regions}, 3)")
        return palette.checked_colors(given, "to_svg")
    if color == "pattern":
        return palette.pattern_colors(p.patterns)
    if color == "class":
        return palette.class_colors(palette.region_classes(p))
    if color == "gradient":
        return palette.gradient_colors(p.affine_maps.A[:, 0])
    raise InputError(f"to_svg: got color={color!r}, expected 'pattern', 'class', 'gradient' or an (F, 3) array")


def _features(p: PlanarComplex, pattern: PatternText) -> Iterator[str]:
    """Each region as a line of GeoJSON."""
    maps, areas = p.affine_maps, p.areas
    for start in range(0, p.n_regions, _CHUNK):
        stop = min(start + _CHUNK, p.n_regions)
        offsets = p.face_offsets[start : stop + 1]
        corners = p.vertices[p.face_vertices[offsets[0] : offsets[-1]]].tolist()
        local = (offsets - offsets[0]).tolist()
        texts = pattern_texts(p.patterns[start:stop], pattern)
        columns = areas[start:stop].tolist(), maps.A[start:stop].tolist(), maps.b[start:stop].tolist()
        for k, (area, gradient, intercept) in enumerate(zip(*columns, strict=True)):
            properties = {"id": start + k, "area": area, "A": gradient, "b": intercept}
            if texts is not None:
                properties["pattern"] = texts[k]
            ring = corners[local[k] : local[k + 1]]
            geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
            yield json.dumps({"type": "Feature", "id": start + k, "properties": properties, "geometry": geometry})


def check_pattern_text(kind: PatternText, function: str) -> None:
    """Raise `InputError` unless `kind` says how patterns are written."""
    if kind not in ("bits", "hex", "none"):
        raise InputError(f"{function}: got pattern={kind!r}, expected 'bits', 'hex' or 'none'")


def pattern_texts(patterns: Patterns, kind: PatternText) -> list[str] | None:
    """Each pattern as a text, or None for none; see `to_geojson`."""
    if kind == "none":
        return None
    bits = patterns.unpack()
    if kind == "hex":
        return [row.tobytes().hex()[: -(-bits.shape[1] // 4)] for row in np.packbits(bits, axis=1)]
    digits = (bits.astype(np.uint8) + ord("0")).astype(np.uint8)
    return [row.tobytes().decode("ascii") for row in digits]


def _narrow(indices: IntArray) -> npt.NDArray[np.integer]:
    """Indices in 4 bytes each where they fit."""
    fits = len(indices) == 0 or max(-int(indices.min()), int(indices.max())) < 2**31
    return indices.astype(np.int32) if fits else indices


def _plain(value: Any) -> Any:
    """What json cannot write by itself: numpy scalars and arrays."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def read_npz(path: PathLike) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file; FileFormatError if it is no ``.npz`` file, or damaged."""
    expected = "expected a .npz file written by save()"
    try:
        with open(path, "rb") as file:
            # numpy would offer to unpickle what it does not know.
            if file.read(6) == b"\x93NUMPY":
                raise FileFormatError(f"{path} is a .npy file, a single array; {expected}")
            if not zipfile.is_zipfile(file):
                raise FileFormatError(f"{path} is not a .npz file; {expected}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except FileFormatError:
        raise
    except FileNotFoundError as error:
        raise FileFormatError(f"{path}: there is no such file; {expected}") from error
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}; {expected}") from error
    except (
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        SyntaxError,
        NotImplementedError,
        RuntimeError,
        MemoryError,
        OverflowError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise FileFormatError(f"{path} is not a readable .npz file ({error}); {expected}") from error


def check_tag(content: Mapping[str, npt.NDArray[Any]], path: PathLike, expected: str, latest: int) -> None:
    """FileFormatError if a file's content is of another kind, or of a later version."""
    tag = content.get("format")
    if tag is None or tag.shape != () or str(tag[()]) != expected:
        raise FileFormatError(f"{path} is a .npz file but not a saved partition; expected one written by save()")
    version = content.get("version")
    if version is None or version.shape != () or version.dtype.kind not in "iu" or not 1 <= int(version) <= latest:
        got = "none" if version is None else version.tolist()
        raise FileFormatError(f"{path}: got format version {got}, expected 1 to {latest}; a later geomrelu may read it")


def network_of(content: Mapping[str, npt.NDArray[Any]]) -> Network:
    """The network in a file's content; ValueError, KeyError or a `GeomReluError` if it is damaged."""
    neurons = integers(content, "n_neurons", 1)
    return Network.from_layers([_layer(content, k, int(n)) for k, n in enumerate(neurons)])


def _layer(content: Mapping[str, npt.NDArray[Any]], k: int, n_neurons: int) -> Layer:
    if f"weight_{k}_data" in content:
        data, indices, indptr, shape = (
            content[f"weight_{k}_{part}"] for part in ("data", "indices", "indptr", "shape")
        )
        weight = sparse_matrix(data, indices, indptr, shape)
    else:
        weight = content[f"weight_{k}"]
    return Layer(weight, content[f"bias_{k}"], n_neurons, content.get(f"relevant_{k}"))


def _domain(content: Mapping[str, npt.NDArray[Any]]) -> Domain:
    if "domain_box" in content:
        low, high = content["domain_box"]
        domain: Domain = Box(low, high)
    elif "domain_polygon" in content:
        domain = Polygon(content["domain_polygon"])
    else:
        raise KeyError("domain")
    if domain.dimension != 2:
        raise ValueError(f"its domain has dimension {domain.dimension}, expected 2")
    if "slice_origin" not in content:
        return domain
    first, second, *labels = content["slice_names"].tolist()
    return Slice(
        content["slice_origin"], content["slice_basis"], domain,
        marks=content["slice_marks"], labels=labels, axis_labels=(first, second),
    )  # fmt: skip


def _check_slice(domain: Slice, network: Network) -> None:
    step = network.layers[0]
    same = (
        step.n_neurons == 0
        and not is_sparse(step.weight)
        and np.array_equal(step.weight, domain.basis.reshape(2, -1).T)
        and np.array_equal(step.bias, domain.origin.ravel())
    )
    if not same:
        raise ValueError("its network's first layer is not the embedding of its slice")


def report_of(content: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The report in a file's content; ValueError if it is damaged."""
    report = json.loads(str(content["report"][()]))
    if not isinstance(report, dict):
        raise ValueError(f"its report is a {type(report).__name__}, expected a dict")
    return report


def _complex_arrays(content: Mapping[str, npt.NDArray[Any]], network: Network, domain: Domain) -> dict[str, Any]:
    """The arrays of the complex, cast; every shape and index checked.  Raises ValueError."""
    vertices = content["vertices"]
    if vertices.dtype != np.float64 or vertices.ndim != 2 or vertices.shape[1] != 2 or not np.isfinite(vertices).all():
        raise ValueError(f"vertices of shape {vertices.shape}, {vertices.dtype}; expected (V, 2) finite float64")
    offsets = integers(content, "face_offsets", 1)
    if len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) < 3).any():
        raise ValueError("face_offsets do not start at 0 and rise by at least 3 from each region to the next")
    errors = content["vertex_errors"]
    if errors.dtype != np.float64 or errors.shape != (len(vertices),) or not (errors >= 0).all():
        raise ValueError(f"vertex_errors of shape {errors.shape}, {errors.dtype}; expected (V,) float64, none below 0")
    arrays: dict[str, Any] = {"vertices": vertices, "vertex_errors": errors, "face_offsets": offsets}
    arrays |= {name: integers(content, name, columns) for name, (columns, _, _) in _INDEX_ARRAYS.items()}
    n_vertices, n_edges, n_faces = len(vertices), len(arrays["edges"]), len(offsets) - 1
    lengths = {
        "edge_faces": n_edges, "edge_neuron": n_edges, "vertex_lines": n_vertices,
        "face_vertices": int(offsets[-1]), "face_edges": int(offsets[-1]),
    }  # fmt: skip
    for name, length in lengths.items():
        if len(arrays[name]) != length:
            raise ValueError(f"{name} has {len(arrays[name])} rows, expected {length}")
    limits = {"vertices": n_vertices, "edges": n_edges, "faces": n_faces, "neurons": network.n_neurons}
    lows = {"zero": 0, "outside": -1, "sides": -len(domain.vertices)}
    for name, (_, low, kind) in _INDEX_ARRAYS.items():
        found = arrays[name]
        if found.size and (found.min() < lows[low] or found.max() >= limits[kind]):
            raise ValueError(f"{name} holds {found.min()} to {found.max()}, expected {lows[low]} to {limits[kind] - 1}")
    words = content["pattern_words"]
    expected = (n_faces, word_starts(network.widths)[-1])
    if words.dtype != np.uint64 or words.shape != expected:
        raise ValueError(f"pattern_words of shape {words.shape}, {words.dtype}; expected {expected} uint64")
    every = Patterns.pack(np.ones((1, network.n_neurons), dtype=bool), network.widths).words[0]
    if (words & ~every).any():
        raise ValueError("pattern_words has bits beyond the last neuron of a layer")
    return arrays


def integers(content: Mapping[str, npt.NDArray[Any]], name: str, columns: int) -> IntArray:
    """An array of integers, (*, columns) or (*,) if there is one; ValueError if it is another."""
    found = content[name]
    if found.dtype.kind not in "iu" or (found.shape[1:] != (() if columns == 1 else (columns,))) or found.ndim == 0:
        raise ValueError(f"{name} of shape {found.shape}, {found.dtype}; expected integers of shape (*, {columns})")
    return found.astype(np.int64)
