"""What regions look like: corners, sides, perimeter, inscribed circle, eccentricity.

*Sides.*  Rings hold vertices in the middle of a side, too.  A vertex is a corner of a face unless
its two neighbours in the ring are on one line with it.  The orientation of the three is decided by its
float value where that exceeds a bound on the vertices' errors, and else in integers, so numbers of
sides are exact.  Edges of one neuron in one face lie on one line (but with a max pooling, where
a face does not tell two of its opponents apart).

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
from geomrelu.arrays import BoolArray, FloatArray, IntArray, lean, row_ids

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["eccentricities", "inradii", "on_border", "perimeters", "true_corners"]

# Stands for the tangent of a right angle.
_STEEP = 1e150


def true_corners(p: PlanarComplex) -> BoolArray:
    """Which ring entries are corners of their face, not vertices in the middle of a side, (C,) bool; exact."""
    corners = np.zeros(len(p.face_vertices), dtype=bool)
    lengths = _sides(p)
    _certain_corners(p.vertices, p.vertex_errors, p.face_offsets, p.face_vertices, lengths, corners)
    left = np.flatnonzero(~corners)
    if not len(left):
        return corners
    before = np.empty_like(p.ring_next)
    before[p.ring_next] = np.arange(len(before))
    if not p.network.has_pools:
        neurons = p.edge_neuron[p.face_edges]
        left = left[(neurons[left] < 0) | (neurons[left] != neurons[before[left]])]
    for k in left.tolist():
        u, v, w = (int(p.face_vertices[i]) for i in (before[k], k, p.ring_next[k]))
        corners[k] = _turns(p, u, v, w)
    return corners


def _sides(p: PlanarComplex) -> FloatArray:
    """Length of the edge that leaves each ring entry, (C,)."""
    steps = p.vertices[p.edges[:, 1]] - p.vertices[p.edges[:, 0]]
    return np.asarray(np.hypot(steps[:, 0], steps[:, 1])[p.face_edges])


@lean
def _certain_corners(
    vertices: FloatArray,
    errors: FloatArray,
    face_offsets: IntArray,
    face_vertices: IntArray,
    lengths: FloatArray,
    corners: BoolArray,
) -> None:
    """Mark the ring entries at which the float orientation exceeds the bound on its error."""
    for f in range(len(face_offsets) - 1):
        first, n = face_offsets[f], face_offsets[f + 1] - face_offsets[f]
        for i in range(n):
            h, k = first + (i - 1) % n, first + i
            u, v, w = face_vertices[h], face_vertices[k], face_vertices[first + (i + 1) % n]
            a, b = vertices[v, 0] - vertices[u, 0], vertices[v, 1] - vertices[u, 1]
            s, t = vertices[w, 0] - vertices[v, 0], vertices[w, 1] - vertices[v, 1]
            size, other = lengths[h], lengths[k]
            # Each difference is wrong by both ends' errors and a rounding.
            e = errors[u] + errors[v] + 2.0**-51 * size
            d = errors[v] + errors[w] + 2.0**-51 * other
            bound = (e * other + d * size + e * d + 2.0**-50 * size * other) * 1.001 + 1e-290
            corners[k] = a * t - b * s > bound


def _turns(p: PlanarComplex, u: int, v: int, w: int) -> bool:
    """Whether three vertices of a ring are not on one line; exact."""
    (px, py, pw), (ax, ay, aw), (bx, by, bw) = (p._exact_vertices.point(k) for k in (v, u, w))
    return (ax * pw - px * aw) * (by * pw - py * bw) != (ay * pw - py * aw) * (bx * pw - px * bw)


def perimeters(p: PlanarComplex) -> FloatArray:
    """Lengths of the regions' borders, (F,), from the float vertices."""
    return np.asarray(np.add.reduceat(_sides(p), p.face_offsets[:-1]))


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


def inradii(p: PlanarComplex, corners: BoolArray) -> FloatArray:
    """Radii of the largest circles inside the regions, (F,), from the float vertices.

    Relative errors are some units in the last place times the number of sides, but for regions so
    thin that their vertices' rounding tells: there the vertices' errors are the radius's too.

    Parameters
    ----------
    p : PlanarComplex
    corners : (C,) bool
        `true_corners`.
    """
    exponent = int(np.frexp(np.abs(p.domain.vertices).max())[1])
    faces = row_ids(p.face_offsets)[corners]
    sizes = np.bincount(faces, minlength=p.n_regions)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    points = np.ldexp(p.vertices[p.face_vertices[corners]], -exponent)
    scaled, exponent_of_areas = p.scaled_areas
    areas = np.ldexp(scaled if exponent_of_areas else p.areas, exponent_of_areas - 2 * exponent)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.nan_to_num(areas / np.ldexp(perimeters(p), -exponent))
    radii = 2 * least
    longest = int(sizes.max(initial=0))
    _shrink(points, offsets, np.empty((4, longest)), np.empty((2, longest), dtype=np.int64), radii)
    return np.asarray(np.ldexp(np.clip(radii, least, 2 * least), exponent))


@lean
def _shrink(points: FloatArray, offsets: IntArray, scratch: FloatArray, links: IntArray, radii: FloatArray) -> None:
    """Inscribed radii of polygons with more than three corners, into `radii`."""
    tangent, length, rate, end = scratch[0], scratch[1], scratch[2], scratch[3]
    before, after = links[0], links[1]
    for f in range(len(offsets) - 1):
        first, n = offsets[f], offsets[f + 1] - offsets[f]
        if n <= 3:
            continue
        for i in range(n):
            before[i], after[i] = (i - 1) % n, (i + 1) % n
            p, q = first + i, first + (i + 1) % n
            length[i] = np.hypot(points[q, 0] - points[p, 0], points[q, 1] - points[p, 1])
        for i in range(n):
            # Half the exterior angle between the sides before and behind corner i.
            o, p, q = first + (i - 1) % n, first + i, first + (i + 1) % n
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
                rest = max(end[k] - now, 0.0) * rate[k]
                rate[k] = new
                end[k] = now + rest / new if new > 0 else np.inf
