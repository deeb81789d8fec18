"""Distances of two networks, and where their classes differ, in d dimensions.

On a region of the joint partition d = a - b is affine, so the integral of its square follows from the region's moments
(`integrals`): sums of squares, in which nothing cancels.  For |d| the domain is partitioned once more, by the zero
sets of the differences, too: on each region |d| is affine, and its integral is the volume times its value at the
centroid.  For the classes it is partitioned by the ties of both networks' outputs (`polyhedral.added_neurons`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.analysis.integrals import RegionOutputs, product_sums, region_outputs
from geomrelu.analysis.moments import region_moments
from geomrelu.arrays import FloatArray, IntArray
from geomrelu.network import Network, joint_network
from geomrelu.patterns import Patterns
from geomrelu.polyhedral.added_neurons import with_contest, with_functionals
from geomrelu.polyhedral.build import build_polyhedral

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["differing_volume", "distances"]


def distances(p: PolyhedralComplex, n: int) -> tuple[FloatArray, FloatArray]:
    """L1 and L2 distances of the first n outputs from the others, (n,) each; not finite where too large."""
    return _absolute(p, n), _squared(p, n)


def _squared(p: PolyhedralComplex, n: int) -> FloatArray:
    moments = region_moments(p)
    slopes, values, unit = region_outputs(p, moments)
    difference = RegionOutputs(slopes[:, :n] - slopes[:, n:], values[:, :n] - values[:, n:], unit)
    squares = np.maximum(np.diagonal(product_sums(moments, difference)), 0.0)
    exponent = 2 * unit + int(moments.exponents.sum())
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(np.sqrt(np.ldexp(squares, exponent % 2)), exponent // 2))


def _absolute(p: PolyhedralComplex, n: int) -> FloatArray:
    rows = np.concatenate([np.eye(n), -np.eye(n)], axis=1)
    q = build_polyhedral(with_functionals(p.network, rows, np.zeros(n)), p.domain)
    moments = region_moments(q, second=False)
    words = q.patterns.words[:, : p.patterns.words.shape[1]]
    region = p._locator.by_pattern(Patterns(words, p.network.widths))
    maps = p.affine_maps
    a, b = maps.A[:, :n] - maps.A[:, n:], maps.b[:, :n] - maps.b[:, n:]
    at = np.ldexp(moments.centroids, moments.exponents)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.abs(np.einsum("rod,rd->ro", a[region], at) + b[region])
        return np.asarray(np.ldexp(moments.areas @ values, int(moments.exponents.sum())))


def differing_volume(p: PolyhedralComplex, a: Network, b: Network) -> float:
    """Volume on which the classes of two networks differ, float64."""
    both = with_contest(a), with_contest(b)
    q = build_polyhedral(joint_network(*both), p.domain)
    rounds = max(1, a.n_outputs - 1)
    classes = [_classes(q, both, side, rounds) for side in (0, 1)]
    return float(q.volumes[classes[0] != classes[1]].sum())


def _classes(q: PolyhedralComplex, both: tuple[Network, Network], side: int, rounds: int) -> IntArray:
    """One network's class on each region of the partition of two contests beside each other, (R,)."""
    own, others = both[side], both[0].layers
    result = np.zeros(q.n_regions, dtype=np.int64)
    for k in range(rounds):
        layer = len(own.hidden) - rounds + k
        # In each layer stand the first network's neurons, then the second one's.
        first = others[layer].n_neurons if side == 1 and layer < len(others) else 0
        result[q.patterns.unpack(layer)[:, first]] = k + 1
    return result
