"""The cross-check in d dimensions: samples and interior points against regions.

A sample's pattern, as torch shows it, names the region in which it should lie.  That region's facets must have it on
their inner sides, and its map and value must be what the network does there; so must those at an interior point
of every region.  Volumes must sum to a box's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, frozen, real_array
from geomrelu.crosscheck.compare import _EPS, _POSITION_ULPS, _any_bit, _Findings, _record, _trace, _verdict
from geomrelu.crosscheck.report import CrossCheck, Failure
from geomrelu.domain import Box
from geomrelu.errors import DomainError, InputDimensionError
from geomrelu.patterns import Patterns
from geomrelu.sampling import checked_tolerance, distinct_maps, grid_points

if TYPE_CHECKING:
    import torch

    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["crosscheck_in_space"]

# Share by which a sum of volumes, or a form over its terms' sizes, may be off.
_SHARE = 1e-9
# Pairs of a sample and a facet that are looked at together.
_BLOCK = 1 << 18


def crosscheck_in_space(
    p: PolyhedralComplex, n: int, points: npt.ArrayLike | None, tol: float, model: Any,
    device: str | torch.device | None,
) -> CrossCheck:  # fmt: skip
    """See `crosscheck`."""
    tolerance = checked_tolerance(tol)
    x = grid_points(p.domain, n) if points is None else _checked_points(p, points)
    position = _POSITION_ULPS * _EPS * float(max(np.abs(p.domain.low).max(), np.abs(p.domain.high).max()))
    found = _Findings()
    _check_volumes(p, found)
    everything = np.arange(p.n_regions)
    inside = _trace(p, p.interior_points, position, model, device)
    own = _verdict(p, p.interior_points, inside, everything, everything, position, model is None)
    _record(p, "region", inside, p.interior_points, everything, everything, own, found)
    undecided = np.flatnonzero(_any_bit(inside.doubtful) & ~(own.conflict | own.bad_map | own.bad_value))
    shown = _trace(p, x, position, model, device)
    doubtful = _any_bit(shown.doubtful)
    regions = p._locator.by_pattern(Patterns(shown.patterns.words, p.network.widths))
    # What rounding may have decided is decided exactly.
    lost = np.flatnonzero((regions < 0) & doubtful)
    regions[lost] = p.locate(x[lost])
    samples = np.flatnonzero(regions >= 0)
    verdict = _verdict(p, x, shown, samples, regions[samples], position, model is None)
    _record(p, "sample", shown, x, samples, regions[samples], verdict, found)
    failed = regions < 0
    failed[samples[verdict.conflict | verdict.bad_map | verdict.bad_value]] = True
    outside = _outside(p, x[samples], regions[samples], position)
    for i in np.concatenate([np.flatnonzero(failed & (regions < 0)), samples[outside]]).tolist():
        failed[i] = True
        if found.room("location", 1):
            at = "in no region" if regions[i] < 0 else "beyond a facet of the region with its pattern"
            found.kept.append(Failure("location", "sample", i, int(regions[i]), f"{x[i].tolist()} {at}", "one region"))
    matches = np.zeros(len(x), dtype=bool)
    matches[samples[verdict.same]] = True
    seen = np.zeros(p.n_regions, dtype=bool)
    seen[regions[samples[~verdict.conflict]]] = True
    near, missed = np.flatnonzero(doubtful & ~failed), np.flatnonzero(~seen)
    missed = missed[np.argsort(-p.volumes[missed], kind="stable")]
    volume = float(p.volumes.sum())
    return CrossCheck(
        n_samples=len(x),
        n_agree=len(x) - len(near) - int(failed.sum()),
        n_near_border=len(near),
        n_failed=int(failed.sum()),
        near_border=frozen(near),
        near_border_matches=frozen(matches[near]),
        n_exact=p.n_regions,
        n_affine_pieces=int(p.n_affine_pieces),
        n_sampled_patterns=len(np.unique(shown.patterns.keys())),
        n_sampled_maps=len(distinct_maps(shown.maps.rows, tolerance).representatives),
        missed_regions=frozen(missed),
        missed_areas=frozen(p.volumes[missed]),
        undecided_regions=frozen(undecided),
        n_failures=dict(found.counts),
        failures=tuple(found.kept),
        area=volume,
        domain_area=p.domain.area if isinstance(p.domain, Box) else volume,
        tol=tolerance,
        dimension=p.dimension,
    )


def _checked_points(p: PolyhedralComplex, points: npt.ArrayLike) -> FloatArray:
    x = real_array(points, "points", advice="leave out the others")
    if x.ndim != 2 or x.shape[1] != p.dimension:
        raise InputDimensionError(f"points: got shape {x.shape}, expected (N, {p.dimension})")
    outside = np.flatnonzero(~p.domain.contains(x))
    if len(outside):
        raise DomainError(
            f"points: {len(outside)} of {len(x)} lie outside the domain, the first is number {outside[0]} at "
            f"{x[outside[0]].tolist()}; expected points in {p.domain!r}"
        )
    return x


def _check_volumes(p: PolyhedralComplex, found: _Findings) -> None:
    bad = np.flatnonzero(~(p.volumes > 0))
    for r in bad[: found.room("area", len(bad))].tolist():
        found.kept.append(Failure("area", "region", r, r, f"a volume of {p.volumes[r]!r}", "one above 0"))
    total = float(p.volumes.sum())
    if isinstance(p.domain, Box) and not abs(total - p.domain.area) <= _SHARE * p.domain.area:
        found.room("area", 1)
        found.kept.append(
            Failure("area", "partition", -1, -1, f"a sum of {total!r}", f"the domain's {p.domain.area!r}")
        )


def _outside(p: PolyhedralComplex, x: FloatArray, regions: IntArray, position: float) -> BoolArray:
    """Which points (N, d) lie beyond a facet of their regions (N,), by more than rounding."""
    offsets, values = p._region_facets
    sizes = np.diff(offsets)
    outside = np.zeros(len(x), dtype=bool)
    step = max(1, _BLOCK // max(int(sizes.max(initial=1)), 1))
    for first in range(0, len(x), step):
        own = regions[first : first + step]
        place = np.repeat(np.arange(len(own)), sizes[own])
        starts = np.cumsum(sizes[own]) - sizes[own]
        facets = values[np.repeat(offsets[:-1][own] - starts, sizes[own]) + np.arange(len(place))]
        slope, constant = p._rows.forms(p.facet_neuron[facets], p.patterns.words[own], place)
        sign = np.where(p.facet_regions[facets, 1] == own[place], 1.0, -1.0)
        at = x[first : first + step][place]
        value = sign * ((slope * at).sum(axis=1) + constant)
        size = (np.abs(slope) * (np.abs(at) + position)).sum(axis=1) + np.abs(constant)
        outside[first + place[value < -_SHARE * size]] = True
    return outside
