"""Builds the polyhedral complex of a network: layer by layer, neuron by neuron, on the skeleton.

A layer starts with one matrix product at all vertices and the signs that it gives; then each neuron cuts the
skeleton (`cutter`).  A polytope is cut out of a box around it in the same way, by its rows.  At the end the regions
are read off (`cells`), and the perturbation that kept the complex simple goes to zero (`limit`).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.domain import Box, Polytope
from geomrelu.errors import DomainError, InputDimensionError, UnsupportedLayerError
from geomrelu.network import Network
from geomrelu.planar.run import workers
from geomrelu.planar.scaling import Scaled, domain_exponents, scaled, shifted
from geomrelu.polyhedral.complex import PolyhedralComplex, Skeletal
from geomrelu.polyhedral.cutter import Cutter, Task
from geomrelu.polyhedral.limit import Gradient, limit_of
from geomrelu.polyhedral.limits import LimitReached, Limits, first_neurons
from geomrelu.polyhedral.merging import Merged, Part
from geomrelu.polyhedral.rows import Facets
from geomrelu.polyhedral.run import Plan, Progress, block_size, run
from geomrelu.polyhedral.simple import count_cells, read_cells, rising_of
from geomrelu.polyhedral.skeleton import BLUR, RADIUS, RENEWED, Cells

__all__ = [
    "Progress", "build_polyhedral", "check_input", "domain_cutter", "domain_facets", "gradients", "rising_edges",
    "valid_bits",
]  # fmt: skip

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
    n_jobs: int | None = None,
    max_regions: int | None = None,
    max_memory: float | None = None,
    caution: float = 1.0,
    block_vertices: int | None = None,
) -> PolyhedralComplex:
    """The exact partition of a domain of any dimension into the network's activation regions.

    Parameters
    ----------
    network : Network
    domain : Box or Polytope
        With as many dimensions as the network has inputs.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    n_jobs : int, optional
        Workers, as joblib has it; the complex does not depend on it, but for the numbering of its elements.
    max_regions, max_memory : int, float, optional
        Stop before the neuron with which there would be more regions, or bytes; the complex is then that of the
        network's first neurons (`limits.first_neurons`), and its report says ``partial``.
    caution : float
        Factor on the error bounds; more than 1 sends more decisions to the exact stages, the complex is the same.
    block_vertices : int, optional
        Vertices of a block at most (`run`); the complex is the same, but for the numbering.

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
    check_input(network, domain)
    begin = time.perf_counter()
    limits = Limits(network, max_regions, max_memory)
    cutter, own = domain_cutter(network, domain, caution)
    # For one worker all is one block: what blocks share would be cut twice, and put together.
    most = block_vertices
    if most is None and workers(n_jobs) > 1:
        most = block_size(network, cutter.words.total)
    most = None if limits.asked else most
    plan = Plan(n_jobs, most, progress)
    cutter.watch = lambda neurons: limits.check(cutter, neurons, _count)
    reached = None
    try:
        merged = _merged(cutter, plan, limits)
    except LimitReached as stop:
        # The cut that went too far cannot be undone: the ones before it are made again.
        reached = stop.neurons
        network = first_neurons(network, reached)
        cutter, own = domain_cutter(network, domain, caution)
        merged = _merged(cutter, Plan(None, None, progress), limits)
    return _finished(cutter, own, merged, network, domain, begin, progress, partial=reached is not None)


class _Parts:
    """Finished blocks, to be put together."""

    def finish(self, cutter: Cutter) -> Part:
        skeleton, valid = cutter.skeleton, valid_bits(cutter)
        border = (cutter.sides[0] ^ cutter.sides[1]) & cutter.words.sides()[1]
        # What was never split is kept as it is.
        used = skeleton.used() if border.any() else skeleton.trim()
        rising = rising_edges(cutter, used, valid)
        null = used.null if used.null.any() else used.null[:0]
        errors = used.errors[:, RADIUS] + used.errors[:, BLUR]
        return Part(used.xy, errors, used.positive, used.negative, null, used.ends, rising, border)

    def kept(self, value: Part) -> Part:
        return value.copied()


def valid_bits(cutter: Cutter) -> WordArray:
    """Bits that stand for a form."""
    return cutter.words.valid(len(cutter.words.sizes) - 1)


def _merged(cutter: Cutter, plan: Plan, limits: Limits) -> Merged:
    merged = Merged(cutter.skeleton.dimension, valid_bits(cutter))
    share = 0.0
    for part in run(cutter, _Parts(), plan, lambda layer: limits.expect(cutter, layer)):
        merged.add(part.value)
        share += part.share
        limits.check_merged(merged.n_vertices, merged.bytes, share)
    merged.trim()
    return merged


def check_input(network: Network, domain: Box | Polytope) -> None:
    """Raise what `build_polyhedral` raises for a network and a domain that it does not take."""
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


def domain_cutter(network: Network, domain: Box | Polytope, caution: float) -> tuple[Cutter, Scaled]:
    """A cutter whose skeleton is the domain, both scaled, and how."""
    ends = np.stack([domain.low, domain.high])
    own = scaled(network, ends, domain_exponents(network, ends))
    facets = _scaled_facets(domain_facets(domain), own)
    if facets is None:
        own = scaled(network, ends, [np.zeros_like(units) for units in own.exponents])
        facets = domain_facets(domain)
    cutter = Cutter(Task(own.network, facets, own.corners[0], own.corners[1], caution))
    cutter.start()
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
    cutter: Cutter, own: Scaled, merged: Merged, network: Network, domain: Box | Polytope, begin: float,
    progress: Progress | None, partial: bool = False,
) -> PolyhedralComplex:  # fmt: skip
    report, valid = cutter.report, valid_bits(cutter)
    simple = read_cells(
        merged.positive, merged.negative, merged.ends, merged.rising, valid, cutter.words.sides(), cutter.words.domain
    )
    report |= {"partial": partial, "neurons": network.n_neurons, "generic": report["signs_zero"] == 0}
    report["bytes"] += merged.bytes
    limit, null = None, merged.null if len(merged.null) else np.zeros_like(merged.positive)
    if not report["generic"]:
        limit = limit_of(simple, null, gradients(cutter))
    at, radii = own.back(merged.xy, merged.errors)
    skeletal = Skeletal(simple, null, limit, at, radii, domain_facets(domain), cutter.words)
    report["seconds"] = time.perf_counter() - begin
    if progress is not None:
        progress("done", 1.0)
    return PolyhedralComplex(skeletal, network, domain, report)


def gradients(cutter: Cutter) -> Gradient:
    """Gradients in integers of the forms with given bits."""
    rows, forms = cutter.judge.rows, cutter.words.forms

    def gradient(bit: int, pattern: WordArray) -> list[Any]:
        return rows.row(int(forms[bit]), pattern).gradient

    return gradient


def _count(cutter: Cutter, valid: WordArray) -> int:
    """Number of regions, before the perturbation goes to zero, of the forms that have cut so far."""
    return int(count_cells(rising_edges(cutter, cutter.skeleton.used(), valid), cutter.skeleton.dimension)[0][-1])


def rising_edges(cutter: Cutter, cells: Cells, valid: WordArray) -> npt.NDArray[np.uint16]:
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
