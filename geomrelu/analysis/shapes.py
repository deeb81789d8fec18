"""What regions look like: sides, perimeter, inscribed circle, eccentricity.

*Sides.*  Every vertex of a ring is a corner of its face, so numbers of sides are exact.  For let a vertex lie inside
a side of face f when a neuron's zero set, coming from the other side, makes it.  The neuron is affine on f and
zero there.  If it is not constant along the side it changes sign inside f as well, and cuts it; if it is, it is
zero all along the side, on both sides of it, and so has no zero set that leaves the side.

*Inscribed circle.*  Let all sides of a convex polygon move inwards at unit speed.  A side of length L
between exterior angles a and b shrinks at the rate tan(a/2) + tan(b/2), so it vanishes after
L / (tan(a/2) + tan(b/2)); then its neighbours meet at the exterior angle a + b and go on.  The time
at which three sides, or two parallel ones, vanish together is the radius of the largest inscribed
circle.  Side by side the earliest one is taken, n^2 steps for n sides; no linear system is solved, and
area / perimeter <= radius <= 2 area / perimeter, with equality on the right where every side touches
the circle, as in triangles, keeps slivers right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.analysis.moments import region_moments
from geomrelu.arrays import BoolArray, FloatArray, IntArray, lean

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["eccentricities", "inradii", "n_sides", "on_border", "perimeters"]

# Stands for the tangent of a right angle.
_STEEP = 1e150


def n_sides(p: PlanarComplex) -> IntArray:
    """Numbers of sides of the regions, (F,); exact."""
    return np.diff(p.face_offsets)


def perimeters(p: PlanarComplex) -> FloatArray:
    """Lengths of the regions' borders, (F,), from the float vertices."""
    steps = p.vertices[p.edges[:, 1]] - p.vertices[p.edges[:, 0]]
    lengths = np.hypot(steps[:, 0], steps[:, 1])[p.face_edges]
    return np.asarray(np.add.reduceat(lengths, p.face_offsets[:-1]))


def on_border(p: PlanarComplex) -> BoolArray:
    """Which regions have a side on the domain's border, (F,); exact."""
    faces = p.edge_faces[(p.edge_faces < 0).any(axis=1)].max(axis=1)
    found = np.zeros(p.n_regions, dtype=bool)
    found[faces] = True
    return found


def eccentricities(p: PlanarComplex) -> FloatArray:
    """Eccentricity of the ellipse with each region's second moments, (F,): 0 if round, towards 1 if long."""
    moments = region_moments(p)
    # One unit for both axes.
    x, y = moments.exponents - moments.exponents.max()
    xx, xy, yy = (np.ldexp(v, n) for v, n in zip(moments.second.T, (2 * x, x + y, 2 * y), strict=True))
    spread = np.hypot(xx - yy, 2 * xy)
    larger = xx + yy + spread
    # Of the eigenvalues (xx + yy +- spread) / 2: e^2 = 1 - smaller / larger.
    share = np.divide(2 * spread, larger, out=np.ones_like(larger), where=larger > 0)
    return np.asarray(np.sqrt(np.minimum(share, 1.0)))


def inradii(p: PlanarComplex) -> FloatArray:
    """Radii of the largest circles inside the regions, (F,), from the float vertices.

    Relative errors are some units in the last place times the number of sides, but for regions so
    thin that their vertices' rounding tells: there the vertices' errors are the radius's too.
    """
    exponent = int(np.frexp(np.abs(p.domain.vertices).max())[1])
    points = np.ldexp(p.vertices, -exponent)
    scaled, exponent_of_areas = p.scaled_areas
    areas = np.ldexp(scaled if exponent_of_areas else p.areas, exponent_of_areas - 2 * exponent)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.nan_to_num(areas / np.ldexp(perimeters(p), -exponent))
    radii = 2 * least
    longest = int(n_sides(p).max())
    _shrink(points, p.face_offsets, p.face_vertices, np.empty((5, longest)), np.empty((2, longest), np.int64), radii)
    return np.asarray(np.ldexp(np.clip(radii, least, 2 * least), exponent))


@lean
def _shrink(
    points: FloatArray,
    offsets: IntArray,
    vertices: IntArray,
    scratch: FloatArray,
    links: IntArray,
    radii: FloatArray,
) -> None:
    """Inscribed radii of the rings with more than three corners, into `radii`."""
    # Half angles' tangents; lengths at the times since which the rates hold; when sides vanish.
    tangent, length, since, rate, end = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    before, after = links[0], links[1]
    for f in range(len(offsets) - 1):
        first, n = offsets[f], offsets[f + 1] - offsets[f]
        if n <= 3:
            continue
        for i in range(n):
            before[i], after[i], since[i] = (i - 1) % n, (i + 1) % n, 0.0
            p, q = vertices[first + i], vertices[first + (i + 1) % n]
            length[i] = np.hypot(points[q, 0] - points[p, 0], points[q, 1] - points[p, 1])
        for i in range(n):
            # Half the exterior angle between the sides before and behind corner i.
            o, p, q = vertices[first + (i - 1) % n], vertices[first + i], vertices[first + (i + 1) % n]
            ax, ay = points[p, 0] - points[o, 0], points[p, 1] - points[o, 1]
            bx, by = points[q, 0] - points[p, 0], points[q, 1] - points[p, 1]
            cross, dot, size = ax * by - ay * bx, ax * bx + ay * by, length[(i - 1) % n] * length[i]
            if cross <= 0:
                tangent[i] = 0.0 if dot > 0 else _STEEP
            else:
                tangent[i] = cross / (size + dot) if dot > 0 else min((size - dot) / cross, _STEEP)
        for i in range(n):
            rate[i] = tangent[i] + tangent[(i + 1) % n]
            end[i] = length[i] / rate[i] if rate[i] > 0 else np.inf
        left, start = n, 0
        while True:
            first_gone, k = start, start
            for _ in range(left):
                if end[k] < end[first_gone]:
                    first_gone = k
                k = after[k]
            now = end[first_gone]
            if left <= 3:
                radii[f] = now
                break
            # Its neighbours meet where it was: tan(a + b) for the half angles a and b.
            i, j = before[first_gone], after[first_gone]
            product = tangent[first_gone] * tangent[j]
            both = tangent[first_gone] + tangent[j]
            tangent[j] = min(both / (1.0 - product), _STEEP) if product < 1.0 else _STEEP
            after[i], before[j] = j, i
            left, start = left - 1, i
            for k, new in ((i, tangent[i] + tangent[j]), (j, tangent[j] + tangent[after[j]])):
                length[k] = max(length[k] - (now - since[k]) * rate[k], 0.0)
                since[k], rate[k] = now, new
                end[k] = now + length[k] / new if new > 0 else np.inf
