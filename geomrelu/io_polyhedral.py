"""Files of n-D partitions: saved and loaded whole (.npz); `load` reads those of the plane, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu import io
from geomrelu.domain import Box, Polytope
from geomrelu.errors import FileFormatError, GeomReluError
from geomrelu.files import atomic_path, check_suffix
from geomrelu.polyhedral.build import domain_facets
from geomrelu.polyhedral.complex import PolyhedralComplex, Skeletal
from geomrelu.polyhedral.limit import Limit
from geomrelu.polyhedral.simple import SimpleComplex, count_cells
from geomrelu.polyhedral.skeleton import Words

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["load", "save"]

_FORMAT = "geomrelu-polyhedral"
_VERSION = 1
# Arrays of `SimpleComplex` in the file; the others follow from the network and the domain.
_SIMPLE = {"positive": np.uint64, "negative": np.uint64, "ends": np.int32, "rising": np.uint16, "lowest": np.int64,
           "patterns": np.uint64}  # fmt: skip


def save(p: PolyhedralComplex, path: io.PathLike) -> None:
    """Write a partition to a ``.npz`` file from which `load` gives it back, bit for bit.

    Raises
    ------
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    """
    check_suffix(path, "save", (".npz",))
    own = p.skeletal
    content: dict[str, Any] = {
        "format": np.array(_FORMAT),
        "version": np.array(_VERSION),
        "report": io.report_content(p.report),
        "coordinates": own.coordinates,
        "errors": own.errors,
        "null": own.null,
    }
    content |= {f"simple_{name}": getattr(own.simple, name) for name in _SIMPLE}
    if own.limit is not None:
        content |= {f"limit_{f.name}": getattr(own.limit, f.name) for f in fields(Limit)}
    content |= io.network_content(p.network)
    if isinstance(p.domain, Box):
        content["domain_box"] = np.stack([p.domain.low, p.domain.high])
    else:
        content |= {"domain_rows": p.domain.A, "domain_limits": p.domain.b}
        content["domain_bounds"] = np.stack([p.domain.low, p.domain.high])
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)


def load(path: io.PathLike) -> PlanarComplex | PolyhedralComplex:
    """Read a partition of the plane or of other dimensions; see `geomrelu.load`."""
    content = io.read_npz(path)
    tag = content.get("format")
    if tag is None or tag.shape != () or str(tag[()]) != _FORMAT:
        return io.loaded(content, path)
    io.check_tag(content, path, _FORMAT, _VERSION)
    try:
        return _complex(content)
    except (KeyError, ValueError, TypeError, IndexError, GeomReluError) as error:
        detail = f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(f"{path}: damaged partition file: {detail}; save the partition again") from error


def _complex(content: Mapping[str, npt.NDArray[Any]]) -> PolyhedralComplex:
    network, domain = io.network_of(content), _domain(content)
    if network.n_inputs != domain.dimension:
        raise ValueError(f"its network takes {network.n_inputs} inputs, its domain has dimension {domain.dimension}")
    facets = domain_facets(domain)
    words = Words(facets.n_box, len(facets.normals) - facets.n_box, network.widths)
    simple = _simple(content, words, domain.dimension)
    n = len(simple.positive)
    coordinates = _floats(content, "coordinates", (n, domain.dimension))
    errors = _floats(content, "errors", (n,))
    null = _array(content, "null", np.uint64, (n, words.total))
    limit = _limit(content, simple, words, domain.dimension) if "limit_vertices" in content else None
    if limit is None and null.any():
        raise ValueError("its network is degenerate, and it lacks the arrays limit_*")
    skeletal = Skeletal(simple, null, limit, coordinates, errors, facets, words)
    return PolyhedralComplex(skeletal, network, domain, io.report_of(content))


def _domain(content: Mapping[str, npt.NDArray[Any]]) -> Box | Polytope:
    if "domain_box" in content:
        low, high = content["domain_box"]
        return Box(low, high)
    return Polytope.within(content["domain_rows"], content["domain_limits"], *content["domain_bounds"])


def _array(
    content: Mapping[str, npt.NDArray[Any]], name: str, kind: Any, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """An array of a type and shape, in which None stands for any length."""
    found = content[name]
    fits = found.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, found.shape, strict=True))
    if found.dtype != kind or not fits:
        raise ValueError(f"{name} of shape {found.shape}, {found.dtype}; expected {shape}, {np.dtype(kind)}")
    return found


def _floats(content: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    found = _array(content, name, np.float64, shape)
    if not np.isfinite(found).all() or (name == "errors" and (found < 0).any()):
        raise ValueError(f"{name} holds numbers that are not finite, or negative")
    return found


def _in_range(found: npt.NDArray[Any], name: str, low: int, high: int) -> None:
    if found.size and (found.min() < low or found.max() >= high):
        raise ValueError(f"{name} holds {found.min()} to {found.max()}, expected {low} to {high - 1}")


def _simple(content: Mapping[str, npt.NDArray[Any]], words: Words, d: int) -> SimpleComplex:
    """The simple complex; its arrays fit each other so far that no loop runs beyond them."""
    shapes: dict[str, tuple[int | None, ...]] = {
        "positive": (None, words.total), "negative": (None, words.total), "ends": (None, 2), "rising": (None, 2),
        "lowest": (None,), "patterns": (None, words.total - words.domain),
    }  # fmt: skip
    own = {name: _array(content, f"simple_{name}", kind, shapes[name]) for name, kind in _SIMPLE.items()}
    n = len(own["positive"])
    if len(own["negative"]) != n or len(own["rising"]) != n or len(own["lowest"]) != len(own["patterns"]):
        raise ValueError("its arrays have not as many rows as each other")
    _in_range(own["ends"], "simple_ends", 0, n)
    _in_range(own["lowest"], "simple_lowest", 0, n)
    _in_range(own["rising"], "simple_rising", 0, 1 << d)
    valid = words.valid(len(words.sizes) - 1)
    zeros = np.bitwise_count(~(own["positive"] | own["negative"]) & valid).sum(axis=1)
    if (
        (own["positive"] & own["negative"]).any()
        or ((own["positive"] | own["negative"]) & ~valid).any()
        or (own["patterns"] & ~valid[words.domain :]).any()
        or (zeros != d).any()
    ):
        raise ValueError(f"its sign vectors are not those of vertices with {d} zeros")
    counts, _ = count_cells(own["rising"], d)
    if counts[d] != len(own["patterns"]):
        raise ValueError(f"{len(own['patterns'])} patterns, expected {counts[d]}")
    return SimpleComplex(**own, valid=valid, n_domain=words.domain, cell_counts=counts, sides=words.sides())


def _limit(content: Mapping[str, npt.NDArray[Any]], simple: SimpleComplex, words: Words, d: int) -> Limit:
    n, r = len(content["limit_vertices"]), len(content["limit_patterns"])
    shapes: dict[str, tuple[Any, tuple[int | None, ...]]] = {
        "vertices": (np.int64, (n,)), "edges": (np.int64, (None, 2)),
        "patterns": (np.uint64, (r, words.total - words.domain)), "volume_regions": (np.int64, (r,)),
        "region_offsets": (np.int64, (r + 1,)), "region_vertices": (np.int64, (None,)),
        "facet_regions": (np.int64, (None, 2)), "facet_bits": (np.int64, (None,)),
        "positive": (np.uint64, (n, words.total)), "negative": (np.uint64, (n, words.total)),
    }  # fmt: skip
    own = {name: _array(content, f"limit_{name}", *shapes[name]) for name in shapes}
    for name, low, high in (
        ("vertices", 0, len(simple.positive)), ("edges", 0, n), ("volume_regions", 0, len(simple.patterns)),
        ("region_vertices", 0, n), ("facet_regions", -1, r), ("facet_bits", 0, 64 * words.total),
    ):  # fmt: skip
        _in_range(own[name], f"limit_{name}", low, high)
    offsets = own["region_offsets"]
    if offsets[0] != 0 or (np.diff(offsets) <= d).any() or offsets[-1] != len(own["region_vertices"]):
        raise ValueError(f"limit_region_offsets do not start at 0 and rise by more than {d}")
    if len(own["facet_bits"]) != len(own["facet_regions"]) or (own["facet_regions"][:, 1] < 0).any():
        raise ValueError("its facets are damaged")
    return Limit(**own)
