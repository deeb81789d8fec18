"""Builds the polyhedral complex of a network: layer by layer, neuron by neuron, on the skeleton.

A layer starts with one matrix product at all vertices and the signs that it gives; then each neuron cuts the
skeleton (`cutter`).  A polytope is cut out of a box around it in the same way, by its rows.  At the end the regions
are read off (`cells`), and the perturbation that kept the complex simple goes to zero (`limit`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.domain import Box, Polytope
from geomrelu.errors import DomainError, InputDimensionError, UnsupportedLayerError
from geomrelu.network import Network
from geomrelu.planar.scaling import Scaled, domain_exponents, scaled, shifted
from geomrelu.polyhedral.complex import PolyhedralComplex, Skeletal
from geomrelu.polyhedral.cutter import Cutter
from geomrelu.polyhedral.limit import limit_of
from geomrelu.polyhedral.limits import LimitReached, Limits, first_neurons
from geomrelu.polyhedral.rows import Facets
from geomrelu.polyhedral.simple import SimpleComplex, count_cells, read_cells, rising_of
from geomrelu.polyhedral.skeleton import BLUR, RADIUS, RENEWED, Cells

__all__ = ["Progress", "build_polyhedral", "domain_facets"]

Progress: TypeAlias = Callable[[str, float], None]

# A box has 2^d corners, and cells keep a bit for each of d forms in 16.
_MOST_DIMENSIONS = 12
# Volumes of domains lie between 2^-900 and 2^900.
_LARGEST_VOLUME = 900
# Entries of a direction along which no two vertices are expected to be equally high.
_DIRECTION = np.random.default_rng(1).uniform(0.5, 1.0, _MOST_DIMENSIONS)


def build_polyhedral(
    network: Network,
    domain: Box | Polytope,
    progress: Progress | None = None,
    *,
    max_regions: int | None = None,
    max_memory: float | None = None,
    caution: float = 1.0,
) -> PolyhedralComplex:
    """The exact partition of a domain of any dimension into the network's activation regions.

    Parameters
    ----------
    network : Network
    domain : Box or Polytope
        With as many dimensions as the network has inputs.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    max_regions, max_memory : int, float, optional
        Stop before the neuron with which there would be more regions, or bytes; the complex is then that of the
        network's first neurons (`limits.first_neurons`), and its report says ``partial``.
    caution : float
        Factor on the error bounds; more than 1 sends more decisions to the exact stages, the complex is the same.

    Raises
    ------
    InputDimensionError
        If the dimensions differ, or are too many.
    UnsupportedLayerError
        If the network has max pooling.
    DomainError
        If the polytope has no inside, or is unbounded.
    TooLargeError
        If the complex is not expected to fit in memory and no limit was given, or does not.
    """
    _check(network, domain)
    begin = time.perf_counter()
    limits = Limits(network, max_regions, max_memory)
    cutter, own = _domain_cutter(network, domain, caution)
    cutter.watch = lambda neurons: limits.check(cutter, neurons, _count)
    n_layers = len(network.hidden)
    reached = None
    try:
        for layer in range(n_layers):
            if progress is not None:
                progress(
                    f"layer {layer + 1} of {n_layers}: {cutter.skeleton.n_vertices} vertices", layer / (n_layers + 1)
                )
            limits.expect(cutter, layer)
            cutter.cut_layer(layer)
    except LimitReached as stop:
        # The cut that went too far cannot be undone: the ones before it are made again.
        reached = stop.neurons
        network = first_neurons(network, reached)
        cutter, own = _domain_cutter(network, domain, caution)
        for layer in range(len(network.hidden)):
            cutter.cut_layer(layer)
    if progress is not None:
        progress("regions", n_layers / (n_layers + 1))
    cutter.report |= {"partial": reached is not None, "neurons": network.n_neurons}
    result = _finished(cutter, own, network, domain, begin)
    if progress is not None:
        progress("done", 1.0)
    return result


def _check(network: Network, domain: Box | Polytope) -> None:
    if network.n_inputs != domain.dimension:
        raise InputDimensionError(
            f"partition: the network takes {network.n_inputs} inputs and the domain has dimension {domain.dimension}; "
            f"expected the same, such as gr.Box([-1] * {network.n_inputs}, [1] * {network.n_inputs})"
        )
    if network.n_inputs > _MOST_DIMENSIONS:
        raise InputDimensionError(
            f"partition: the network takes {network.n_inputs} inputs, expected at most {_MOST_DIMENSIONS}; "
            "fix some inputs first (substitute their values into the first layer's bias)"
        )
    size = float(np.log2(domain.high / 2 - domain.low / 2).sum() + domain.dimension)
    if abs(size) > _LARGEST_VOLUME:
        raise DomainError(
            f"partition: the domain's bounding box has a volume of about 2^{size:.0f}; expected between "
            f"2^-{_LARGEST_VOLUME} and 2^{_LARGEST_VOLUME}, so that float64 holds volumes; scale the inputs"
        )
    if network.has_pools:
        raise UnsupportedLayerError(
            f"partition: max pooling in {network.n_inputs} dimensions; expected Linear and ReLU (pooling works in "
            f"the plane)"
        )


def domain_facets(domain: Box | Polytope) -> Facets:
    """Forms x_i - low_i and high_i - x_i, axis by axis, of the domain's box, then b - A x of a polytope's rows."""
    d = domain.dimension
    normals, offsets = np.zeros((2 * d, d)), np.empty(2 * d)
    normals[0::2], normals[1::2] = np.eye(d), -np.eye(d)
    offsets[0::2], offsets[1::2] = -domain.low, domain.high
    if isinstance(domain, Polytope):
        normals, offsets = np.concatenate([normals, -domain.A]), np.concatenate([offsets, domain.b])
    return Facets(normals, offsets, 2 * d)


def _domain_cutter(network: Network, domain: Box | Polytope, caution: float) -> tuple[Cutter, Scaled]:
    """A cutter whose skeleton is the domain, both scaled, and how."""
    ends = np.stack([domain.low, domain.high])
    own = scaled(network, ends, domain_exponents(network, ends))
    facets = _scaled_facets(domain_facets(domain), own)
    if facets is None:
        own = scaled(network, ends, [np.zeros_like(units) for units in own.exponents])
        facets = domain_facets(domain)
    cutter = Cutter(own.network, facets, caution)
    cutter.start(*own.corners)
    if isinstance(domain, Box):
        return cutter, own
    cutter.cut_rows()
    skeleton, words = cutter.skeleton, cutter.words
    cells, n = skeleton.cells, skeleton.n_vertices
    box, rows = slice(0, words.starts[1]), slice(words.starts[1], words.starts[2])
    if n == 0 or not _has_inside(cells.positive[:n, rows] & ~cells.null[:n, rows], words.valid(1)[rows]):
        raise DomainError("Polytope: A x <= b has no inside (it is empty or flat); expected a set of positive volume")
    if not (cells.positive[:n, box] == words.valid(1)[box]).all():
        raise DomainError(
            "Polytope: it reaches beyond the box found by linear programs; expected a bounded set of moderate scale"
        )
    return cutter, own


def _scaled_facets(facets: Facets, own: Scaled) -> Facets | None:
    """A domain's facets in scaled coordinates, those of its box with unit normals; None if that is not exact."""
    n, rows = facets.n_box, shifted(facets.normals[facets.n_box :], own.exponents[0])
    if rows is None:
        return None
    offsets = facets.offsets.copy()
    offsets[0:n:2], offsets[1:n:2] = -own.corners[0], own.corners[1]
    return Facets(np.concatenate([facets.normals[:n], rows]), offsets, n)


def _has_inside(positive: WordArray, valid: WordArray) -> bool:
    """Whether no row is zero on the whole domain."""
    return bool((np.bitwise_or.reduce(positive, axis=0) == valid).all())


def _finished(
    cutter: Cutter, own: Scaled, network: Network, domain: Box | Polytope, begin: float
) -> PolyhedralComplex:  # fmt: skip
    report = cutter.report
    report["bytes"] = cutter.skeleton.bytes
    simple, null = _read(cutter)
    report["generic"] = report["signs_zero"] == 0
    errors = cutter.skeleton.cells.errors
    limit = None
    if not report["generic"]:
        rows = cutter.judge.rows

        def gradient(bit: int, pattern: WordArray) -> list[Any]:
            return rows.row(int(cutter.words.forms[bit]), pattern).gradient

        limit = limit_of(simple, null, gradient)
    at, radii = own.back(cutter.skeleton.cells.xy, errors[:, RADIUS] + errors[:, BLUR])
    skeletal = Skeletal(simple, null, limit, at, radii, domain_facets(domain), cutter.words)
    report["seconds"] = time.perf_counter() - begin
    return PolyhedralComplex(skeletal, network, domain, report)


def _read(cutter: Cutter) -> tuple[SimpleComplex, WordArray]:
    """The simple complex, and which of its signs are zero without the perturbation."""
    cells, words = cutter.skeleton.trim(), cutter.words
    valid = words.valid(len(words.sizes) - 1)
    rising = _rising(cutter, cells, valid)
    return read_cells(cells.positive, cells.negative, cells.ends, rising, valid, words.domain), cells.null


def _count(cutter: Cutter, valid: WordArray) -> int:
    """Number of regions, before the perturbation goes to zero, of the forms that have cut so far."""
    skeleton, cells = cutter.skeleton, cutter.skeleton.cells
    n, e = skeleton.n_vertices, skeleton.n_edges
    used = cells._replace(
        **{k: getattr(cells, k)[:n] for k in ("xy", "positive", "negative", "null", "errors")}, ends=cells.ends[:e]
    )
    return int(count_cells(_rising(cutter, used, valid), skeleton.dimension)[0][-1])


def _rising(cutter: Cutter, cells: Cells, valid: WordArray) -> npt.NDArray[np.uint16]:
    """Which edges rise from each vertex, along a direction in general position."""
    shares = cutter.sizes / cutter.sizes.max()
    direction = _DIRECTION[: cutter.skeleton.dimension] / np.maximum(shares, 1e-100)
    rounding = 2.0**-51 * len(direction) * (np.abs(cells.xy) @ direction)
    steep = float(np.linalg.norm(direction))

    def reach(afresh: IntArray) -> FloatArray:
        cutter.rows.renew(cutter.skeleton, afresh[cells.errors[afresh, RENEWED] == 0.0], valid)
        # With infinite caution 0 times infinity is NaN, which decides nothing either.
        with np.errstate(invalid="ignore"):
            bound = (cells.errors[:, RADIUS] + cells.errors[:, BLUR]) * steep + rounding
            return np.asarray(bound * cutter.caution)

    def higher(a: int, b: int) -> bool:
        return cutter.judge.higher(a, b, direction, valid)

    return rising_of(cells.positive, cells.negative, cells.ends, cells.xy @ direction, valid, reach, higher)
