"""Integrals, means and covariances of the outputs over the domain, by closed formulas.

In a region of area a and centroid c, with second moments M about c, the outputs y = A x + b have

    integral of y_i      = a y_i(c)
    integral of y_i y_j  = a y_i(c) y_j(c) + A_i M A_j^T,

so nothing is sampled and no quadrature error arises.  Variances are those of y less its mean, so
they do not cancel.  The value at a point drawn uniformly from the domain has this mean and covariance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.analysis.moments import Moments, region_moments
from geomrelu.arrays import FloatArray
from geomrelu.errors import RangeError

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["covariance", "integral", "mean", "product_integral"]


def integral(p: PlanarComplex) -> FloatArray:
    """Integrals of the outputs over the domain, (out,)."""
    moments = region_moments(p)
    return _to_range(_first(p, moments), moments, "integral")


def product_integral(p: PlanarComplex) -> FloatArray:
    """Integrals of the products of two outputs over the domain, (out, out)."""
    moments = region_moments(p)
    return _to_range(_second(p, moments, np.zeros(p.network.n_outputs)), moments, "integral")


def mean(p: PlanarComplex, products: bool = False) -> FloatArray:
    """Means of the outputs (out,), or of the products of two, (out, out)."""
    moments = region_moments(p)
    sums = _second(p, moments, np.zeros(p.network.n_outputs)) if products else _first(p, moments)
    return np.asarray(sums / moments.areas.sum())


def covariance(p: PlanarComplex) -> FloatArray:
    """Covariances of the outputs, (out, out)."""
    moments = region_moments(p)
    area = moments.areas.sum()
    return np.asarray(_second(p, moments, _first(p, moments) / area) / area)


def _at_centroids(p: PlanarComplex, moments: Moments) -> tuple[FloatArray, FloatArray]:
    """Gradients in scaled coordinates (F, out, 2), and values at the centroids (F, out)."""
    maps = p.affine_maps
    slopes = np.ldexp(maps.A, moments.exponents)
    return slopes, np.einsum("foi,fi->fo", slopes, moments.centroids) + maps.b


def _first(p: PlanarComplex, moments: Moments) -> FloatArray:
    return np.asarray(moments.areas @ _at_centroids(p, moments)[1])


def _second(p: PlanarComplex, moments: Moments, origin: FloatArray) -> FloatArray:
    """Integrals of (y_i - origin_i)(y_j - origin_j), (out, out), in scaled coordinates."""
    slopes, values = _at_centroids(p, moments)
    values -= origin
    xx, xy, yy = moments.second.T[:, :, None]
    sx, sy = slopes[:, :, 0], slopes[:, :, 1]
    # sx^T (xx sx + xy sy) + sy^T (xy sx + yy sy), summed over faces: matrix products.
    spread = sx.T @ (xx * sx + xy * sy) + sy.T @ (xy * sx + yy * sy)
    total = values.T @ (moments.areas[:, None] * values) + spread
    return np.asarray((total + total.T) / 2)


def _to_range(sums: FloatArray, moments: Moments, what: str) -> FloatArray:
    exponent = int(moments.exponents.sum())
    with np.errstate(over="ignore"):
        result = np.ldexp(sums, exponent)
    if not np.isfinite(result).all():
        raise RangeError(
            f"{what}: the value is above 1.8e308, the most that float64 holds; scale the domain or the outputs down"
        )
    return np.asarray(result)
