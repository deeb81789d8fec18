"""`explore`: arguments checked, a walk run, its result put together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from geomrelu.arrays import FloatArray, real_array
from geomrelu.domain import Box, Polytope
from geomrelu.errors import (
    DomainError,
    GeomReluError,
    InputDimensionError,
    InputError,
    TooLargeError,
    UnsupportedLayerError,
)
from geomrelu.exploration.forms import Forms, Norm
from geomrelu.exploration.result import Exploration, NearestBorder, NearestBoundary, between
from geomrelu.exploration.walk import Walk
from geomrelu.network import Network
from geomrelu.patterns import Patterns

__all__ = ["build_exploration"]

# Without a radius, nothing farther than this times 1 + |x0| is looked for.
_FAR = 2.0**20
# Numbers in a layer's table of gradients.
_MOST_NUMBERS = 1 << 28
# Seconds between reports of progress.
_PAUSE = 0.1


def build_exploration(
    network: Network, x0: Any, *, max_regions: int, max_radius: float | None, norm: Any,
    domain: Box | Polytope | None, progress: Callable[[str, float], None] | None,
) -> Exploration:  # fmt: skip
    """The regions around a point; see `geomrelu.explore`."""
    begin = time.perf_counter()
    order = _checked_norm(norm)
    most = _checked_count(max_regions)
    limit = _checked_radius(max_radius)
    _check_network(network)
    point = _checked_point(x0, network)
    _check_domain(domain, network, point)
    forms = Forms(network, point, Norm(order), domain)
    within = min(limit, _far(forms))
    walk = Walk(forms)
    watch = _watcher(progress, most, limit)
    try:
        stopped = walk.run(most, within, watch)
        if stopped == "max_radius" and within < limit:
            stopped = "complete"
    except KeyboardInterrupt:
        if not walk.parents:
            raise
        stopped = "interrupted"
    if progress is not None:
        progress(f"{len(walk.bits)} regions", 1.0)
    return _result(walk, forms, within, stopped, begin)


def _far(forms: Forms) -> float:
    """How far from x0 anything can lie in the domain, or how far it is looked for."""
    domain, x0 = forms.domain, forms.x0
    if domain is None:
        return _FAR * (1.0 + float(forms.norm.length(x0)))
    reach = np.maximum(np.abs(domain.low - x0), np.abs(domain.high - x0))
    return float(forms.norm.length(reach)) * 1.01


def _watcher(progress: Callable[[str, float], None] | None, most: int, limit: float) -> Callable[[int, float], None]:
    last = 0.0

    def watch(n_regions: int, distance: float) -> None:
        nonlocal last
        if progress is not None and (now := time.monotonic()) - last > _PAUSE:
            last = now
            share = max(n_regions / most, distance / limit if np.isfinite(limit) else 0.0)
            progress(f"{n_regions} regions within {distance:.4g}", min(share, 1.0))

    return watch


def _result(walk: Walk, forms: Forms, within: float, stopped: str, begin: float) -> Exploration:
    network = forms.network
    # An interrupt may come while a region is put into the lists.
    count = min(len(walk.bits), len(walk.bounds), len(walk.parents))
    distances, errors = between(np.array(walk.bounds[:count]).reshape(-1, 2))
    arcs = [arc for arc in walk.arcs if max(arc[:2]) < count]
    facet_distances, facet_errors = between(np.array([arc[3:] for arc in arcs]).reshape(-1, 2))
    radius = min(walk.reached, within)
    partial = stopped in ("max_regions", "interrupted") or radius < within
    border = boundary = None
    if walk.border is not None:
        verdict, neuron = walk.border
        (distance,), (error,) = between(np.array([[verdict.lower, verdict.upper]]))
        border = NearestBorder(float(distance), float(error), forms.x0 + verdict.z, neuron)
    if walk.boundary is not None:
        own = walk.boundary
        (distance,), (error,) = between(np.array([[own.lower, own.upper]]))
        boundary = NearestBoundary(float(distance), float(error), own.point, own.region, own.classes)
    absent = "not reached" if partial else "none within the radius"
    report = {
        "stopped": stopped, "partial": partial,
        "border": absent if border is None else "found", "boundary": absent if boundary is None else "found",
        "within": within, "zeros": walk.zeros, **walk.counts, "doubts": len(walk.doubts),
        "seconds": time.perf_counter() - begin,
    }  # fmt: skip
    parents = np.array(walk.parents[:count], dtype=np.int64).reshape(-1, 2)
    links = np.array([arc[:3] for arc in arcs], dtype=np.int64).reshape(-1, 3)
    patterns = Patterns.pack(np.array(walk.bits[:count]), network.widths)
    return Exploration(
        forms.x0, forms.norm.order, radius, patterns, distances, errors, parents[:, 0], parents[:, 1], links[:, :2],
        links[:, 2], facet_distances, facet_errors, border, boundary, network, forms.domain, report,
    )  # fmt: skip


# ------------------------------------------------------------------ arguments


def _checked_norm(norm: Any) -> float:
    known = {"1": 1.0, "2": 2.0, "inf": np.inf}
    number = isinstance(norm, int | float | np.number) and not isinstance(norm, bool)
    order = known.get(norm if isinstance(norm, str) else f"{norm:g}" if number else "")
    if order is None:
        raise InputError(f"explore: got norm={norm!r}; expected 1, 2 or 'inf'")
    return order


def _checked_count(max_regions: Any) -> int:
    whole = isinstance(max_regions, int | np.integer) and not isinstance(max_regions, bool)
    if not whole or max_regions < 1:
        raise InputError(f"explore: got max_regions={max_regions!r}; expected a whole number, at least 1")
    return int(max_regions)


def _checked_radius(max_radius: Any) -> float:
    if max_radius is None:
        return float("inf")
    number = isinstance(max_radius, int | float | np.number) and not isinstance(max_radius, bool)
    if not number or not max_radius > 0:
        raise InputError(f"explore: got max_radius={max_radius!r}; expected a number above 0, or None")
    return float(max_radius)


def _check_network(network: Network) -> None:
    if network.has_pools:
        raise UnsupportedLayerError(
            "explore: got a network with max pooling, in whose regions one neuron may stand for several inequalities; "
            "expected affine layers and ReLU: look at a plane through the input instead (gr.partition of a gr.Slice)"
        )
    widest = max((layer.n_units for layer in network.layers[1:]), default=0)
    if widest * network.n_inputs > _MOST_NUMBERS:
        raise TooLargeError(
            f"explore: a layer of {widest} units over {network.n_inputs} inputs takes a table of "
            f"{widest * network.n_inputs / 2**27:.3g} GiB; expected at most {_MOST_NUMBERS / 2**27:.3g}; look at a "
            "plane through the input instead (gr.partition of a gr.Slice)"
        )


def _checked_point(x0: Any, network: Network) -> FloatArray:
    try:
        point = real_array(x0, "explore: x0", advice="give a finite input")
    except GeomReluError as error:
        raise InputError(str(error)) from error
    if point.size != network.n_inputs:
        raise InputDimensionError(
            f"explore: got x0 of shape {point.shape}, {point.size} numbers; expected one input of {network.n_inputs}"
        )
    return point.reshape(-1)


def _check_domain(domain: Any, network: Network, point: FloatArray) -> None:
    if domain is None:
        return
    if not isinstance(domain, Box | Polytope):
        raise DomainError(f"explore: got domain {domain!r}; expected gr.Box(low, high), gr.Polytope(A, b) or None")
    if domain.dimension != network.n_inputs:
        raise InputDimensionError(
            f"explore: got a domain of dimension {domain.dimension}; expected {network.n_inputs}, as the network has "
            "inputs"
        )
    if not domain.contains(point[None])[0]:
        raise DomainError(f"explore: x0 does not lie in the domain {domain!r}; expected a point of it")
