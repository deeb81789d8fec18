"""Second moments of the regions about their centroids: what integrals of products and eccentricities rest on.

With corners d_i relative to a point of the polygon and c_i = d_i x d_{i+1}, Green's theorem gives

    integral of x^2   = sum c_i (x_i^2 + x_i x_{i+1} + x_{i+1}^2) / 12
    integral of x y   = sum c_i (2 x_i y_i + x_i y_{i+1} + x_{i+1} y_i + 2 x_{i+1} y_{i+1}) / 24

(C. Steger, "On the calculation of moments of polygons", 1996).  The point is the float centroid, so
that no digits cancel; what it is off the true one is a rounding's square.  Outside the plane they are those of
`polyhedral.moments`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, lean
from geomrelu.planar.complex import scaled_to_range
from geomrelu.polyhedral.complex import PolyhedralComplex

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Moments", "region_moments"]


class Moments(NamedTuple):
    """Moments of the regions in scaled coordinates, x = 2^exponents xi per axis; exponents are 0 for usual domains.

    Attributes
    ----------
    exponents : (d,) int64
    areas : (F,) float64
        In more dimensions volumes.
    centroids : (F, d) float64
    second : (F, d (d + 1) / 2) float64
        Integrals of x_i x_j about the centroid, i <= j, row by row: in the plane of (x^2, x y, y^2).  Empty if not
        asked for.
    """

    exponents: IntArray
    areas: FloatArray
    centroids: FloatArray
    second: FloatArray


def region_moments(p: PlanarComplex | PolyhedralComplex, second: bool = True) -> Moments:
    """Areas, centroids and (if asked for) central second moments of the regions, from their float vertices.

    In the plane, relative errors are a few units in the last place, but for regions so thin that their
    vertices' rounding tells: there they are below that rounding times perimeter times diameter squared.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0, 0.0]], [[1.0]]]), gr.Box(-1, 1))
    >>> (12 * region_moments(p).second).round(9).tolist()
    [[2.0, 0.0, 8.0], [2.0, 0.0, 8.0]]
    """
    if isinstance(p, PolyhedralComplex):
        return _of_polytopes(p, second)
    vertices, exponents = scaled_to_range(p.vertices, p.domain)
    centroids = np.ldexp(p.centroids, -exponents)
    # Areas of thin regions are those of their exact corners.
    scaled, exponent = p.scaled_areas
    areas = scaled if exponent else p.areas
    if not second:
        return Moments(exponents, areas, centroids, np.zeros((p.n_regions, 0)))
    about = np.zeros((p.n_regions, 3))
    _add_up(vertices, p.face_offsets, p.face_vertices, centroids, about)
    # What rounding makes of a sliver need not be a matrix of moments: squares are not negative, xy^2 <= xx yy.
    about[:, 0::2] = np.maximum(about[:, 0::2], 0.0)
    most = np.sqrt(about[:, 0] * about[:, 2])
    about[:, 1] = np.clip(about[:, 1], -most, most)
    return Moments(exponents, areas, centroids, about)


def _of_polytopes(p: PolyhedralComplex, second: bool) -> Moments:
    found, exponents = p.moments(p.dimension, second)
    own = p.volume_regions
    volumes = np.ldexp(found.measures[own], -int(exponents.sum()))
    return Moments(exponents, volumes, found.means[own], volumes[:, None] * found.covariances[own])


@lean
def _add_up(
    vertices: FloatArray, face_offsets: IntArray, face_vertices: IntArray, centroids: FloatArray, second: FloatArray
) -> None:
    """Add the moments of each ring to a row of `second`."""
    for f in range(len(second)):
        v = face_vertices[face_offsets[f + 1] - 1]
        x, y = vertices[v, 0] - centroids[f, 0], vertices[v, 1] - centroids[f, 1]
        for k in range(face_offsets[f], face_offsets[f + 1]):
            v = face_vertices[k]
            s, t = vertices[v, 0] - centroids[f, 0], vertices[v, 1] - centroids[f, 1]
            cross = x * t - y * s
            second[f, 0] += cross * (x * x + x * s + s * s) / 12
            second[f, 1] += cross * (2 * x * y + x * t + s * y + 2 * s * t) / 24
            second[f, 2] += cross * (y * y + y * t + t * t) / 12
            x, y = s, t
