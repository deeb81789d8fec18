"""Volumes and moments of regions that floats do not measure well, from exact simplices.

Where zero sets nearly coincide, a vertex's determinant is lost in rounding, and with it what the recursion of
`volumes` makes of it, for all regions around; and between them are regions as thin as the rounding of values.  These
are cut into simplices by pulling: a polytope is the cone from its first vertex over those of its facets that do not
touch it, which are cut up in the same way.  The simplices' volumes are rational numbers; rounding is left to the end.
Some milliseconds a region; there are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from typing import NamedTuple

import flint
import numpy as np

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.polyhedral.rows import ExactRows, exact_vertex, vanishing
from geomrelu.polyhedral.simple import SimpleComplex
from geomrelu.polyhedral.skeleton import Words

__all__ = ["ThinRegions", "placed_again", "thin_regions"]

# Volume spanned by a vertex's gradients, over the product of their lengths, below which it is not left to floats.
_DEPENDENT = 2.0**-16


# Of a cube that is so much smaller than the bounding box, a region of less volume is measured again.
_TINY = 2.0**-14
# Vertices whose bounds exceed this share of the domain's extent are computed again.
_COARSE = 2.0**-11


def placed_again(
    simple: SimpleComplex, words: Words, rows: ExactRows, coordinates: FloatArray, errors: FloatArray, extent: float
) -> tuple[FloatArray, FloatArray]:
    """Coordinates (V, d) and bounds (V,) with those that are coarse computed in rational numbers, rounded once."""
    coarse = np.flatnonzero(~(errors <= _COARSE * extent))
    if len(coarse) == 0:
        return coordinates, errors
    coordinates, errors = coordinates.copy(), errors.copy()
    for v in coarse.tolist():
        *x, w = exact_vertex(rows, words, simple, v)
        coordinates[v] = [value / w for value in x]
        errors[v] = 2.0**-52 * float(np.linalg.norm(coordinates[v])) + 1e-290
    return coordinates, errors


class ThinRegions(NamedTuple):
    """Some regions of a simple complex.

    Attributes
    ----------
    regions : (k,) int64
    volumes : (k,) float64
    means : (k, d) float64
    covariances : (k, d (d + 1) / 2) float64
        Of a point drawn uniformly, i <= j, row by row.
    """

    regions: IntArray
    volumes: FloatArray
    means: FloatArray
    covariances: FloatArray


def thin_regions(
    simple: SimpleComplex, words: Words, rows: ExactRows, independence: FloatArray, volumes: FloatArray, box: float
) -> ThinRegions:  # fmt: skip
    """Regions with nearly dependent gradients at a vertex, or of next to no volume, measured exactly.

    Parameters
    ----------
    simple, words, rows
        The complex, and its forms in integers.
    independence : (V,)
        Volume that the gradients span at each vertex, over the product of their lengths.
    volumes : (R,)
        What the recursion found.
    box : float
        Volume of the domain's bounding box.
    """
    d = simple.dimension
    offsets, members = simple.region_vertices
    dependent = ~(independence > _DEPENDENT)
    chosen = ~(volumes > _TINY**d * box)
    if dependent.any():
        chosen |= np.logical_or.reduceat(dependent[members], offsets[:-1])
    regions = np.flatnonzero(chosen)
    i, j = np.triu_indices(d)
    found = ThinRegions(regions, np.zeros(len(regions)), np.zeros((len(regions), d)), np.zeros((len(regions), len(i))))
    points: dict[int, list[flint.fmpq]] = {}
    rounded: dict[int, list[float]] = {}
    for k, region in enumerate(regions.tolist()):
        own = members[offsets[region] : offsets[region + 1]].astype(np.int64)
        zeros = vanishing(simple.positive, simple.negative, own, simple.valid, d)
        forms = {v: set(row) for v, row in zip(own.tolist(), zeros.tolist(), strict=True)}
        for v in forms.keys() - points.keys():
            *x, w = exact_vertex(rows, words, simple, v)
            points[v] = [flint.fmpq(value, w) for value in x]
            rounded[v] = [_float(x) for x in points[v]]
        chains = list(_chains(own.tolist(), forms, d))
        whole, share = _sum_and_shares(_sizes(chains, points))
        at = np.array([[rounded[v] for v in chain] for chain in chains])
        mean = at.mean(axis=1)
        found.volumes[k] = float(whole) / factorial(d)
        found.means[k] = share @ mean
        off = at - found.means[k]
        sums = off.sum(axis=1)
        second = np.einsum("cvi,cvj->cij", off, off) + sums[:, :, None] * sums[:, None, :]
        found.covariances[k] = np.einsum("c,cij->ij", share, second)[i, j] / ((d + 1) * (d + 2))
    return found


def _chains(vertices: list[int], forms: dict[int, set[int]], dimension: int) -> Iterator[tuple[int, ...]]:
    """Vertices of the simplices of a face of a simple polytope."""
    apex = vertices[0]
    if dimension == 0:
        yield (apex,)
        return
    for form in sorted(set().union(*(forms[v] for v in vertices)) - forms[apex]):
        for rest in _chains([v for v in vertices if form in forms[v]], forms, dimension - 1):
            yield apex, *rest


def _sizes(chains: list[tuple[int, ...]], points: dict[int, list[flint.fmpq]]) -> list[flint.fmpq]:
    """d! times the volume of each simplex; all have their first vertex in common."""
    apex, used = points[chains[0][0]], {v for chain in chains for v in chain[1:]}
    edges = {v: [a - b for a, b in zip(points[v], apex, strict=True)] for v in used}
    d = len(apex)
    return [abs(flint.fmpq_mat(d, d, [x for v in chain[1:] for x in edges[v]]).det()) for chain in chains]


def _sum_and_shares(sizes: list[flint.fmpq]) -> tuple[flint.arb, FloatArray]:
    """The sum of numbers that are not negative, and what each is of it, 0 if that is 0.

    In balls of 256 bits, whose exponents are unlimited: a sum of fractions would cost more than all else.
    """
    with flint.ctx.workprec(256):
        parts = [flint.arb(size) for size in sizes]
        whole = sum(parts, flint.arb(0))
        empty = not any(sizes)
        return whole, np.array([0.0 if empty else float(part / whole) for part in parts])


def _float(value: flint.fmpq) -> float:
    return int(value.p) / int(value.q)
