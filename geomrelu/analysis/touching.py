"""Which polygons a point lies in, or within a given distance of: by the stored rings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geomrelu.analysis.point_grid import cell_at, closed_rings, face_grid, in_box
from geomrelu.arrays import FloatArray, IntArray, njit

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["touching_faces"]


def touching_faces(p: PlanarComplex, points: FloatArray, distance: float) -> tuple[IntArray, IntArray]:
    """All pairs (point, region) with the point in the region's stored ring or that near to it.

    Neither patterns nor `p.locate` have a say, and rings may be of any form: a point is in a ring
    if a ray from it crosses the ring an odd number of times.  A ring with a coordinate that is
    not finite holds no point.

    Parameters
    ----------
    p : PlanarComplex
    points : (N, 2) float64
    distance : float
        At least some 64 units of rounding of the largest coordinate; rays are then certain.

    Returns
    -------
    points, regions : (P,), (P,) int64
        In the order of the points, and for each point of the regions.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0, 1.0]], [[2.0]]]), gr.Box(-1, 1))
    >>> i, f = touching_faces(p, np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]]), 1e-14)
    >>> i.tolist(), f.tolist()
    ([0, 1, 1, 2], [1, 0, 1, 0])
    """
    # Powers of two: squares of coordinates stay within float64's range.
    exponent = -int(np.frexp(np.abs(p.domain.vertices).max())[1])
    corners, x, near = (np.ldexp(v, exponent) for v in (p.domain.vertices, points, distance))
    with np.errstate(over="ignore"):
        rings = closed_rings(np.ldexp(p.vertices, exponent), p.face_offsets, p.face_vertices)
    # Cells are assigned with rounding: twice the distance makes up for it.
    low, high = corners.min(axis=0), corners.max(axis=0)
    grid = face_grid(rings, low, np.maximum(high, low + near), margin=float(2 * near))
    counts = np.zeros(len(x) + 1, dtype=np.int64)
    first = np.empty(len(x), dtype=np.int64)
    box = rings.boxes + near * np.array([-1.0, -1.0, 1.0, 1.0]) * (1 + 1e-9)
    given = (rings.points, rings.offsets, box, *grid, float(near))
    everyone = np.arange(len(x))
    _touch(x, everyone, *given, counts, first, np.empty(0, dtype=np.int64))
    offsets = np.cumsum(counts)
    regions = np.empty(offsets[-1], dtype=np.int64)
    single = counts[1:] == 1
    regions[offsets[:-1][single]] = first[single]
    several = np.flatnonzero(counts[1:] > 1)
    _touch(x, several, *given, offsets, first, regions)
    return np.repeat(everyone, counts[1:]), regions


@njit
def _touch(
    x: FloatArray,
    chosen: IntArray,
    points: FloatArray,
    offsets: IntArray,
    boxes: FloatArray,
    low: FloatArray,
    per_unit: FloatArray,
    columns: int,
    rows: int,
    cells: IntArray,
    faces: npt.NDArray[np.int32],
    near: float,
    places: IntArray,
    first: IntArray,
    regions: IntArray,
) -> None:
    """Count the faces at each of the chosen points into ``places[i + 1]``, and note the first in ``first[i]``.

    If `regions` is not empty, write them to ``regions[places[i]]`` and on instead.
    """
    for i in chosen:
        px, py = x[i, 0], x[i, 1]
        cell = cell_at(px, py, low, per_unit, columns, rows)
        n = 0
        for k in range(cells[cell], cells[cell + 1]):
            f = faces[k]
            if not in_box(px, py, boxes, f):
                continue
            inside = False
            for c in range(offsets[f], offsets[f + 1] - 1):
                # The edge from a to b, as seen from the point; u = b - a has small errors even where it is short.
                ax, ay = points[c, 0] - px, points[c, 1] - py
                bx, by = points[c + 1, 0] - px, points[c + 1, 1] - py
                ux, uy = points[c + 1, 0] - points[c, 0], points[c + 1, 1] - points[c, 1]
                cross = ax * uy - ay * ux
                if (ay > 0) != (by > 0) and (cross > 0) == (by > 0):
                    inside = not inside
                # The nearest point of the edge: a, b, or one between them.
                square = ux * ux + uy * uy
                along = -(ax * ux + ay * uy)
                if along <= 0:
                    touches = ax * ax + ay * ay <= near * near
                elif along >= square:
                    touches = bx * bx + by * by <= near * near
                else:
                    touches = cross * cross <= near * near * square
                if touches:
                    inside = True
                    break
            if inside:
                if len(regions):
                    regions[places[i] + n] = f
                elif n == 0:
                    first[i] = f
                n += 1
        if not len(regions):
            places[i + 1] = n
