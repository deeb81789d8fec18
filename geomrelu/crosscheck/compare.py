"""The exact partition against samples: two paths to the same answer, compared.

The sampled path evaluates the network at points (patterns, gradients and values by torch); the
exact path's polygons locate those points geometrically, by the stored rings alone.  What the
polygon says (pattern, affine map, value) must be what the network does there.  The same is
done at one interior point of every region, so that regions missed by the samples are checked too.

Rounding is bounded, not guessed: a sample is set apart as near a border only if the sign of some
preactivation is within its forward rounding error, or the sample touches several polygons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, frozen, real_array
from geomrelu.crosscheck.report import CrossCheck, Failure, Refinement, RefinementRow
from geomrelu.domain import Slice
from geomrelu.errors import DomainError, InputDimensionError, InputError, ShapeError
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.sampling import (
    LocalMaps,
    Trace,
    checked_tolerance,
    distinct_maps,
    doubtful_signs,
    grid_points,
    sample_maps,
    trace,
    value_errors,
)

if TYPE_CHECKING:
    import torch

    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["crosscheck", "refinement"]

_EPS = float(np.finfo(np.float64).eps)
# Stored vertices are floats: a border is known to within some roundings of the coordinates.
_POSITION_ULPS = 64
_FAILURES_KEPT = 100
_BLOCK = 1 << 17


def crosscheck(
    p: PlanarComplex | PolyhedralComplex,
    n: int = 101,
    points: npt.ArrayLike | None = None,
    tol: float = 1e-3,
    model: Any = None,
    device: str | torch.device | None = None,
) -> CrossCheck:
    """Check a partition against samples of its network.

    Checked are: each sample's polygon against its pattern, gradient, intercept and value; the same
    at an interior point of every region; every vertex against the lines that define it; every
    ring's area, and the sum of areas.  Tolerances are bounds on float64 rounding.  In more dimensions: each sample's
    region by its pattern, that it lies within its facets (to within a share of 1e-9), and the sum of volumes.

    Parameters
    ----------
    p : PlanarComplex or PolyhedralComplex
    n : int
        Grid points along each axis, n^d in all; the corners of a plane domain, or of a box, are added.
    points : (N, d) array_like, optional
        Samples to use in place of the grid; all in the domain.
    tol : float
        Tolerance for counting distinct sampled maps; nothing is accepted or refused by it.
    model : torch.nn.Module or scikit-learn MLP, optional
        What `p.network` was read from: values and gradients are then taken from it, which
        checks the reading as well.
    device : str or torch.device, optional
        Where to sample; by default the CPU (with `model`: where it is).

    Returns
    -------
    CrossCheck
        Never raises for a wrong partition: see `.ok` and `.failures`.

    Raises
    ------
    InputError
        If `p` is no partition, or n, tol or device cannot be used; `DomainError` if a point
        lies outside the domain; `ShapeError` if `model` has other outputs than the network.

    Examples
    --------
    >>> import geomrelu as gr
    >>> f = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
    >>> report = crosscheck(gr.partition(f, gr.Box(-1, 1)), n=10)
    >>> report.ok, report.n_samples, report.n_exact, report.n_sampled_maps
    (True, 104, 3, 3)
    """
    from geomrelu.polyhedral.complex import PolyhedralComplex

    if isinstance(p, PolyhedralComplex):
        from geomrelu.crosscheck.space import crosscheck_in_space

        return crosscheck_in_space(p, n, points, tol, model, device)
    _check_complex(p, "crosscheck")
    tolerance = checked_tolerance(tol)
    x = _sample_points(p, n, points)
    position = _POSITION_ULPS * _EPS * float(np.abs(p.domain.vertices).max())
    found = _Findings()
    areas = _check_areas(p, found)
    _check_vertices(p, position, device, found)
    undecided = _check_interiors(p, position, model, device, found)
    seen = _trace(p, x, position, model, device)
    outcome = _check_samples(p, x, seen, position, model, found)
    near = np.flatnonzero(outcome.near & ~outcome.failed)
    missed = np.flatnonzero(~outcome.regions_seen)
    missed = missed[np.argsort(-areas[missed], kind="stable")]
    return CrossCheck(
        n_samples=len(x),
        n_agree=len(x) - len(near) - int(outcome.failed.sum()),
        n_near_border=len(near),
        n_failed=int(outcome.failed.sum()),
        near_border=frozen(near),
        near_border_matches=frozen(outcome.matches[near]),
        n_exact=p.n_regions,
        n_affine_pieces=int(p.n_affine_pieces),
        n_sampled_patterns=len(np.unique(seen.patterns.keys())),
        n_sampled_maps=len(distinct_maps(seen.maps.rows, tolerance).representatives),
        missed_regions=frozen(missed),
        missed_areas=frozen(areas[missed]),
        undecided_regions=frozen(undecided),
        n_failures=dict(found.counts),
        failures=tuple(found.kept),
        area=float(areas.sum()),
        domain_area=float(p.domain.area),
        tol=tolerance,
    )


def refinement(
    p: PlanarComplex,
    sizes: Sequence[int] = (11, 21, 51, 101, 201, 401),
    tol: float = 1e-3,
    device: str | torch.device | None = None,
) -> Refinement:
    """What ever finer grids see of a partition: sampled counts beside the exact count.

    Parameters
    ----------
    p : PlanarComplex
    sizes : sequence of int
        Grid points along each axis, at least 2 each.
    tol : float
        Tolerance for counting distinct sampled maps.
    device : str or torch.device, optional
        Where to sample; by default the CPU.

    Returns
    -------
    Refinement
        One row per grid; prints as a table, and draws itself with ``.plot()``.

    Raises
    ------
    InputError
        If `p` is no partition, or sizes, tol or device cannot be used.

    Examples
    --------
    >>> import geomrelu as gr
    >>> f = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
    >>> print(refinement(gr.partition(f, gr.Box(-1, 1)), sizes=[2, 10]))
    exact: 3 regions, 3 affine maps
         n   samples  patterns      maps      seen  of regions     of area
         2         8         3         3         3     100.00%   100.0000%
        10       104         3         3         3     100.00%   100.0000%
    """
    _check_complex(p, "refinement")
    tolerance = checked_tolerance(tol)
    if isinstance(sizes, str) or not np.iterable(sizes):
        raise InputError(f"sizes: got {sizes!r}, expected a list of grid sizes, such as [11, 51, 101]")
    areas, _ = p.scaled_areas
    area = float(areas.sum())
    keys = p.patterns.keys()
    rows = []
    for n in sizes:
        shown = trace(p.network, grid_points(p.domain, n), device=device)
        patterns = np.unique(shown.patterns.keys())
        seen = np.isin(keys, patterns)
        rows.append(
            RefinementRow(
                n=int(n),
                n_samples=len(shown.patterns),
                n_patterns=len(patterns),
                n_maps=len(distinct_maps(shown.maps.rows, tolerance).representatives),
                n_regions_seen=int(seen.sum()),
                share_of_regions=float(seen.mean()),
                share_of_area=float(areas[seen].sum() / area) if area > 0 else float("nan"),
            )
        )
    return Refinement(tuple(rows), p.n_regions, int(p.n_affine_pieces), tolerance)


def _check_complex(p: Any, function: str) -> None:
    from geomrelu.planar.complex import PlanarComplex

    if not isinstance(p, PlanarComplex):
        raise InputError(
            f"{function}: got {type(p).__name__}; expected a partition, as gr.partition(model, domain) returns it"
        )


class _Findings:
    """Failures as they come in: all counted, the first of each kind kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: list[Failure] = []

    def room(self, kind: str, n: int) -> int:
        """Count n failures of a kind; how many of them to describe."""
        if n == 0:
            return 0
        room = max(_FAILURES_KEPT - self.counts[kind], 0)
        self.counts[kind] += n
        return min(n, room)


class _Outcome(NamedTuple):
    near: BoolArray
    failed: BoolArray
    matches: BoolArray
    regions_seen: BoolArray


class _Verdict(NamedTuple):
    """Of each pair of point and region, (P,): does what one shows fit the other?"""

    same: BoolArray
    conflict: BoolArray
    bad_map: BoolArray
    bad_value: BoolArray


def _sample_points(p: PlanarComplex, n: int, points: npt.ArrayLike | None) -> FloatArray:
    if points is None:
        return grid_points(p.domain, n)
    x = real_array(points, "points", advice="leave out the others")
    if x.ndim != 2 or x.shape[1] != 2:
        raise InputDimensionError(f"points: got shape {x.shape}, expected (N, 2)")
    outside = np.flatnonzero(~p.domain.contains(x))
    if len(outside):
        raise DomainError(
            f"points: {len(outside)} of {len(x)} lie outside the domain, the first is number {outside[0]} at "
            f"{x[outside[0]].tolist()}; expected points in {p.domain!r}"
        )
    return x


def _trace(
    p: PlanarComplex | PolyhedralComplex, x: FloatArray, position: float, model: Any, device: str | torch.device | None
) -> Trace:
    """The network at x; values and gradients from `model` where there is one."""
    # Once for the touching distance, once for the vertices' own rounding.
    network, domain = p.network, p.domain
    shown = trace(network, x, position_error=2 * position, device=device)
    if model is None:
        return shown
    maps = sample_maps(model, x, device=device, plane=domain if isinstance(domain, Slice) else None)
    if maps.values.shape != shown.maps.values.shape:
        raise ShapeError(
            f"model: got {maps.values.shape[1]} outputs, expected {network.n_outputs}, as the partition's network has; "
            "pass the model that was partitioned"
        )
    return Trace(shown.patterns, shown.doubtful, maps)


def _ring_areas(p: PlanarComplex) -> FloatArray:
    """Signed area of every ring, (F,), relative to its first vertex for accuracy."""
    starts = p.face_offsets[:-1]
    lengths = np.diff(p.face_offsets)
    corners = p.vertices[p.face_vertices] - np.repeat(p.vertices[p.face_vertices[starts]], lengths, axis=0)
    following = np.roll(corners, -1, axis=0)
    following[p.face_offsets[1:] - 1] = corners[starts]
    cross = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
    return np.asarray(np.add.reduceat(cross, starts) / 2)


def _check_areas(p: PlanarComplex, found: _Findings) -> FloatArray:
    areas = _ring_areas(p)
    lengths = np.diff(p.face_offsets)
    size = float(np.abs(p.vertices).max()) ** 2
    slack = 16 * _EPS * size * lengths
    bad = np.flatnonzero(~((np.abs(areas - p.areas) <= slack) & (areas >= -slack)))
    for f in bad[: found.room("area", len(bad))]:
        found.kept.append(Failure("area", "region", int(f), int(f), f"{areas[f]!r}", f"{p.areas[f]!r}, not negative"))
    total, domain = float(areas.sum()), float(p.domain.area)
    if not abs(total - domain) <= 16 * _EPS * size * len(p.face_vertices):
        found.room("area", 1)
        found.kept.append(Failure("area", "partition", -1, -1, f"a sum of {total!r}", f"the domain's {domain!r}"))
    return np.maximum(areas, 0.0)


def _check_vertices(p: PlanarComplex, position: float, device: str | torch.device | None, found: _Findings) -> None:
    """Every vertex must lie, within rounding, on the lines that define it and on its edges' lines."""
    rows = np.concatenate([np.repeat(np.arange(len(p.vertices)), 2), p.edges.ravel()])
    lines = np.concatenate([p.vertex_lines.ravel(), np.repeat(p.edge_neuron, 2)])
    of_edge = np.arange(len(rows)) >= p.vertex_lines.size
    neurons = lines >= 0
    doubtful = doubtful_signs(p.network, p.vertices, position_error=2 * position, device=device)
    off = np.zeros(len(rows), dtype=bool)
    off[neurons] = ~_bits(doubtful, rows[neurons], lines[neurons])
    sides = np.flatnonzero((lines < 0) & ~of_edge)
    a = p.domain.vertices[-1 - lines[sides]]
    along = np.roll(p.domain.vertices, -1, axis=0)[-1 - lines[sides]] - a
    offset = p.vertices[rows[sides]] - a
    distance = np.abs(along[:, 0] * offset[:, 1] - along[:, 1] * offset[:, 0]) / np.hypot(along[:, 0], along[:, 1])
    off[sides] = ~(distance <= 2 * position)
    bad, first = np.unique(rows[off], return_index=True)
    wrong = lines[off][first]
    for v, line in list(zip(bad, wrong, strict=True))[: found.room("vertex", len(bad))]:
        name = f"neuron {line}'s zero set" if line >= 0 else f"side {-1 - line} of the domain"
        got = f"{p.vertices[v].tolist()}, off it by more than rounding"
        found.kept.append(Failure("vertex", "vertex", int(v), -1, got, f"a point on {name}"))


def _bits(patterns: Patterns, rows: IntArray, neurons: IntArray) -> BoolArray:
    """Bit `neurons[i]` of pattern `rows[i]`, for every i."""
    first = np.cumsum([0, *patterns.widths])
    layer = np.searchsorted(first, neurons, side="right") - 1
    within = neurons - first[layer]
    words = patterns.words[rows, np.asarray(patterns.starts, dtype=np.int64)[layer] + within // 64]
    return np.asarray((words >> (within % 64).astype(np.uint64)) & np.uint64(1), dtype=bool)


def _check_interiors(
    p: PlanarComplex, position: float, model: Any, device: str | torch.device | None, found: _Findings
) -> IntArray:
    """Compare every region with the network at the mean of its corners; the regions left undecided."""
    _, first, pattern = np.unique(p.patterns.keys(), return_index=True, return_inverse=True)
    twins = np.flatnonzero(first[pattern] != np.arange(p.n_regions))
    for f in twins[: found.room("pattern", len(twins))]:
        got = f"the pattern of region {first[pattern[f]]}"
        found.kept.append(Failure("pattern", "region", int(f), int(f), got, "a pattern of its own"))
    lengths = np.diff(p.face_offsets)
    sums = np.add.reduceat(p.vertices[p.face_vertices], p.face_offsets[:-1], axis=0)
    inside = sums / lengths[:, None]
    shown = _trace(p, inside, position, model, device)
    regions = np.arange(p.n_regions)
    verdict = _verdict(p, inside, shown, regions, regions, position, model is None)
    _record(p, "region", shown, inside, regions, regions, verdict, found)
    failed = verdict.conflict | verdict.bad_map | verdict.bad_value
    return np.flatnonzero(_any_bit(shown.doubtful) & ~failed)


def _check_samples(
    p: PlanarComplex, x: FloatArray, shown: Trace, position: float, model: Any, found: _Findings
) -> _Outcome:
    # Here: compiled loops import numba.
    from geomrelu.analysis.touching import touching_faces

    samples, regions = touching_faces(p, x, position)
    touched = np.bincount(samples, minlength=len(x))
    lost = np.flatnonzero(touched == 0)
    for i in lost[: found.room("location", len(lost))]:
        found.kept.append(Failure("location", "sample", int(i), -1, f"{x[i].tolist()} in no region", "one region"))
    verdict = _verdict(p, x, shown, samples, regions, position, model is None)
    _record(p, "sample", shown, x, samples, regions, verdict, found)
    failed = touched == 0
    failed[samples[verdict.conflict | verdict.bad_map | verdict.bad_value]] = True
    matches = np.zeros(len(x), dtype=bool)
    matches[samples[verdict.same]] = True
    seen = np.zeros(p.n_regions, dtype=bool)
    seen[regions[verdict.same | ((touched[samples] == 1) & ~verdict.conflict)]] = True
    return _Outcome((touched > 1) | _any_bit(shown.doubtful), failed, matches, seen)


def _any_bit(patterns: Patterns) -> BoolArray:
    return np.asarray((patterns.words != 0).any(axis=1))


def _map_bounds(network: Network) -> tuple[FloatArray, FloatArray]:
    """Bounds on the rounding error of any region's A and b, whatever the order of products.

    gamma times the product of absolute values (Higham 2002, section 3.5), all neurons active;
    four times, for two computed sides and the rounding of the bound itself.
    """
    gradient: FloatArray = np.eye(network.n_inputs)
    constant: FloatArray = np.zeros(network.n_inputs)
    terms = 0
    for layer in network.layers:
        weight = abs(layer.weight)
        gradient, constant = weight @ gradient, weight @ constant + np.abs(layer.bias)
        terms += layer.n_inputs + 8
    gamma = 4 * terms * _EPS / 2 / (1 - terms * _EPS / 2)
    # The constants pay for products that underflow.
    return gamma * gradient + 1e-290, gamma * constant + 1e-290


def _verdict(
    p: PlanarComplex | PolyhedralComplex,
    x: FloatArray,
    shown: Trace,
    samples: IntArray,
    regions: IntArray,
    position: float,
    own_maps: bool,
) -> _Verdict:
    """Compare what the points show with what the regions say, pair by pair, in blocks.

    A map is compared where the patterns are equal; if the maps come from another evaluation
    (`own_maps` False), only where no sign is in doubt.
    """
    error_a, error_b = _map_bounds(p.network)
    parts = []
    for block in _blocks(len(samples)):
        i, f = samples[block], regions[block]
        differing = shown.patterns.words[i] ^ p.patterns.words[f]
        doubtful = shown.doubtful.words[i]
        same: BoolArray = np.logical_not(differing.any(axis=1))
        conflict: BoolArray = np.asarray((differing & ~doubtful).any(axis=1))
        comparable = same if own_maps else same & ~doubtful.any(axis=1)
        a, b = p.affine_maps.A[f], p.affine_maps.b[f]
        reach = np.abs(x[i]) @ error_a.T
        values = np.einsum("nod,nd->no", a, x[i]) + b
        # "Within", not "beyond": what is not a number is within nothing.
        fits_a = (np.abs(shown.maps.gradients[i] - a) <= error_a).all(axis=(1, 2))
        fits_b = (np.abs(shown.maps.intercepts[i] - b) <= error_b + 2 * reach).all(axis=1)
        apart, allowed = np.abs(shown.maps.values[i] - values), reach + error_b
        fits: BoolArray = (apart <= 4 * allowed).all(axis=1)
        # The bounds on the sampled values themselves matter to few.
        open_ = np.flatnonzero(~fits)
        own = value_errors(p.network, x[i[open_]], position_error=2 * position)
        fits[open_] = (apart[open_] <= 4 * (own + allowed[open_])).all(axis=1)
        # A region that is none of the sample's would fail in value too: once is enough.
        parts.append(_Verdict(same, conflict, comparable & ~(fits_a & fits_b), ~fits & ~conflict))
    return _Verdict(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _blocks(n: int) -> Iterator[slice]:
    """Slices that cover range(n); one empty slice if n is 0."""
    return (slice(start, start + _BLOCK) for start in range(0, max(n, 1), _BLOCK))


def _record(
    p: PlanarComplex | PolyhedralComplex,
    subject: str,
    shown: Trace,
    x: FloatArray,
    samples: IntArray,
    regions: IntArray,
    verdict: _Verdict,
    found: _Findings,
) -> None:
    """Count the pairs that disagree and describe the first of each kind."""
    for kind, mask in (("pattern", verdict.conflict), ("map", verdict.bad_map), ("value", verdict.bad_value)):
        bad = np.flatnonzero(mask)
        for pair in bad[: found.room(kind, len(bad))]:
            i, f = int(samples[pair]), int(regions[pair])
            if kind == "pattern":
                got, expected = _differing(shown, p.patterns, i, f)
            elif kind == "map":
                got, expected = _map_text(shown.maps, i), _region_map_text(p, f)
            else:
                value = p.affine_maps.A[f] @ x[i] + p.affine_maps.b[f]
                got, expected = f"{shown.maps.values[i].tolist()}", f"{value.tolist()}"
            found.kept.append(Failure(kind, subject, i, f, got, expected))


def _differing(shown: Trace, patterns: Patterns, i: int, f: int) -> tuple[str, str]:
    bits, says, open_ = (q[k].unpack()[0] for q, k in ((shown.patterns, i), (patterns, f), (shown.doubtful, i)))
    neurons = np.flatnonzero((bits != says) & ~open_)[:5]
    words = np.array(["inactive", "active"])
    got = ", ".join(f"neuron {k} {words[int(bits[k])]}" for k in neurons)
    return got, ", ".join(f"{words[int(says[k])]}" for k in neurons)


def _map_text(maps: LocalMaps, i: int) -> str:
    return f"A = {maps.gradients[i].tolist()}, b = {maps.intercepts[i].tolist()}"


def _region_map_text(p: PlanarComplex | PolyhedralComplex, f: int) -> str:
    return f"A = {p.affine_maps.A[f].tolist()}, b = {p.affine_maps.b[f].tolist()}"
