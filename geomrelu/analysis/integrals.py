"""Integrals, means and covariances of the outputs over the domain, by closed formulas.

In a region of area (in d dimensions: volume) a and centroid c, with second moments M about c, the outputs
y = A x + b have

    integral of y_i      = a y_i(c)
    integral of y_i y_j  = a y_i(c) y_j(c) + A_i M A_j^T,

so nothing is sampled and no quadrature error arises.  Variances are those of y less its mean, so
they do not cancel.  The value at a point drawn uniformly from the domain has this mean and covariance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomrelu.analysis.moments import Moments, region_moments
from geomrelu.arrays import FloatArray
from geomrelu.errors import RangeError

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = [
    "RegionOutputs",
    "covariance",
    "integral",
    "mean",
    "product_integral",
    "product_sums",
    "region_outputs",
]


class RegionOutputs(NamedTuple):
    """The outputs over 2^unit, so that squares stay within float64's range, in scaled coordinates."""

    slopes: FloatArray  # (F, out, d)
    values: FloatArray  # at the centroids, (F, out)
    unit: int


def integral(p: PlanarComplex | PolyhedralComplex) -> FloatArray:
    """Integrals of the outputs over the domain, (out,)."""
    moments = region_moments(p, second=False)
    outputs = region_outputs(p, moments)
    return _in_range(moments.areas @ outputs.values, outputs.unit + int(moments.exponents.sum()), "integral")


def product_integral(p: PlanarComplex | PolyhedralComplex) -> FloatArray:
    """Integrals of the products of two outputs over the domain, (out, out)."""
    moments = region_moments(p)
    outputs = region_outputs(p, moments)
    return _in_range(product_sums(moments, outputs), 2 * outputs.unit + int(moments.exponents.sum()), "integral")


def mean(p: PlanarComplex | PolyhedralComplex, products: bool = False) -> FloatArray:
    """Means of the outputs (out,), or of the products of two, (out, out)."""
    moments = region_moments(p, second=products)
    outputs = region_outputs(p, moments)
    sums = product_sums(moments, outputs) if products else moments.areas @ outputs.values
    return _in_range(sums / moments.areas.sum(), outputs.unit * (2 if products else 1), "mean")


def covariance(p: PlanarComplex | PolyhedralComplex) -> FloatArray:
    """Covariances of the outputs, (out, out)."""
    moments = region_moments(p)
    slopes, values, unit = region_outputs(p, moments)
    area = moments.areas.sum()
    central = RegionOutputs(slopes, values - moments.areas @ values / area, unit)
    return _in_range(product_sums(moments, central) / area, 2 * unit, "covariance")


def region_outputs(p: PlanarComplex | PolyhedralComplex, moments: Moments) -> RegionOutputs:
    """The outputs on the regions, in the moments' coordinates."""
    maps = p.affine_maps
    largest = max(float(np.abs(part).max()) for part in (np.ldexp(maps.A / 4, moments.exponents), maps.b / 4))
    unit = int(np.frexp(largest)[1])
    slopes = np.ldexp(maps.A, moments.exponents - unit)
    return RegionOutputs(slopes, np.einsum("foi,fi->fo", slopes, moments.centroids) + np.ldexp(maps.b, -unit), unit)


def product_sums(moments: Moments, outputs: RegionOutputs) -> FloatArray:
    """Integrals of the products of two outputs, (out, out), in scaled coordinates."""
    spread = np.zeros((outputs.values.shape[1],) * 2)
    # Sums over all regions of A_i M A_j^T, as matrix products, the entries of M with i < j on both sides.
    for place, (i, j) in enumerate(zip(*np.triu_indices(outputs.slopes.shape[2]), strict=True)):
        share = outputs.slopes[:, :, i].T @ (moments.second[:, place, None] * outputs.slopes[:, :, j])
        spread += share if i == j else share + share.T
    total = outputs.values.T @ (moments.areas[:, None] * outputs.values) + spread
    return np.asarray((total + total.T) / 2)


def _in_range(values: FloatArray, exponent: int, what: str) -> FloatArray:
    with np.errstate(over="ignore"):
        result = np.ldexp(values, exponent)
    if not np.isfinite(result).all():
        raise RangeError(
            f"{what}: the value is above 1.8e308, the most that float64 holds; scale the domain or the outputs down"
        )
    return np.asarray(result)
