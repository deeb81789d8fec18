"""How dense regions and creases are around points: what a disc meets.

A disc looks through the cells of a grid of faces (`point_grid.face_grid`) that its bounding box
covers; a face that stands in several of them is looked at once.  It meets the disc if the centre lies
inside its ring or a side comes as near as the radius.  Of each side the part inside the disc is the
chord of its line, with half length sqrt((r - d)(r + d)) at distance d from the centre, cut off at the ends.

*Rounding.*  Counts and lengths are those of the stored vertices, float64: a region counts wrongly only
if its distance from the centre is within rounding, some 1e-15 of the coordinates, of the
radius.  Lengths have relative errors of about 1e-14, but for a side that is all but tangent: its chord
may be wrong by sqrt(1e-15 r times the largest coordinate), which is what the vertices' rounding does to it.

Number of regions and length of the creases near a point are the local complexity of N. Patel, G. Montúfar,
"On the Local Complexity of Linear Regions in Deep ReLU Networks", 2024, and of A. Humayun,
R. Balestriero, R. Baraniuk, "Deep Networks Always Grok and Here is Why", 2024, without their sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geomrelu.analysis.point_grid import FaceGrid, cell_at, closed_rings, face_grid, in_box
from geomrelu.arrays import BoolArray, FloatArray, IntArray, float_array, frozen, lean
from geomrelu.errors import InputError, ShapeError

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["LocalComplexity", "local_complexity"]


@dataclass(frozen=True, eq=False)
class LocalComplexity:
    """What discs meet.

    Attributes
    ----------
    points : (N, 2) float64
        Centres.
    radii : (N,) float64
    n_regions : (N,) int64
        Activation regions that the closed disc meets, 1 or more.
    crease_lengths : (N,) float64
        Length inside the disc of the edges at which the function bends.
    """

    points: FloatArray = field(repr=False)
    radii: FloatArray = field(repr=False)
    n_regions: IntArray
    crease_lengths: FloatArray


def local_complexity(p: PlanarComplex, points: npt.ArrayLike, radius: npt.ArrayLike) -> LocalComplexity:
    """Regions and crease length in discs; see `PlanarComplex.local_complexity`."""
    x, r = _checked(p, points, radius)
    # Powers of two: squares of coordinates stay within float64's range.
    exponent = -int(np.frexp(np.abs(p.domain.vertices).max())[1])
    corners, centres, near = (np.ldexp(v, exponent) for v in (p.domain.vertices, x, r))
    rings = closed_rings(np.ldexp(p.vertices, exponent), p.face_offsets, p.face_vertices)
    grid = face_grid(rings, corners.min(axis=0), corners.max(axis=0))
    bends = np.zeros(p.n_edges, dtype=bool)
    creases = p.crease()
    bends[creases.edges[creases.jumps > 0]] = True
    counts, lengths = np.zeros(len(x), dtype=np.int64), np.zeros(len(x))
    seen = np.full(p.n_regions, -1, dtype=np.int64), np.full(p.n_edges, -1, dtype=np.int64)
    _meet(np.ascontiguousarray(centres), near, rings.points, rings.offsets, rings.boxes, p.face_edges, bends,
          *_cells(grid), *seen, counts, lengths)  # fmt: skip
    return LocalComplexity(frozen(x), frozen(r), frozen(counts), frozen(np.ldexp(lengths, -exponent)))


def _checked(p: PlanarComplex, points: npt.ArrayLike, radius: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, r = float_array(points, "local_complexity: points"), float_array(radius, "local_complexity: radius")
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(
            f"local_complexity: got points of shape {x.shape}, expected (N, 2); a single point is written [[x, y]]"
        )
    if r.ndim > 1 or (r.ndim == 1 and len(r) != len(x)):
        raise ShapeError(f"local_complexity: got radii of shape {r.shape}, expected one number, or ({len(x)},)")
    r = np.array(np.broadcast_to(r, len(x)))
    if not ((r > 0) & np.isfinite(r)).all():
        bad = r[~((r > 0) & np.isfinite(r))][0]
        raise InputError(f"local_complexity: got a radius of {bad}; expected finite numbers above 0")
    outside = np.flatnonzero(~p.domain.contains(x))
    if len(outside):
        k = int(outside[0])
        raise InputError(
            f"local_complexity: point {k}, {x[k].tolist()}, lies outside the domain {p.domain!r}; "
            "expected centres in it"
        )
    return x.copy(), r


def _cells(grid: FaceGrid) -> tuple[FloatArray, FloatArray, int, int, IntArray, npt.NDArray[np.int32]]:
    return grid.low, grid.per_unit, grid.columns, grid.rows, grid.offsets, grid.faces


@lean
def _meet(
    centres: FloatArray,
    radii: FloatArray,
    points: FloatArray,
    offsets: IntArray,
    boxes: FloatArray,
    face_edges: IntArray,
    bends: BoolArray,
    low: FloatArray,
    per_unit: FloatArray,
    columns: int,
    rows: int,
    cells: IntArray,
    faces: npt.NDArray[np.int32],
    seen_faces: IntArray,
    seen_edges: IntArray,
    counts: IntArray,
    lengths: FloatArray,
) -> None:
    """Count the faces that each disc meets, and add up the lengths of the bending edges inside it.

    `points`, `offsets` are closed rings: ring f has one point more than edges, which begin at ``offsets[f] - f``.
    """
    for i in range(len(centres)):
        px, py, r = centres[i, 0], centres[i, 1], radii[i]
        # Cells are assigned with rounding.
        reach = r * (1 + 1e-9) + 1e-12
        first = cell_at(px - reach, py - reach, low, per_unit, columns, rows)
        last = cell_at(px + reach, py + reach, low, per_unit, columns, rows)
        for row in range(first // columns, last // columns + 1):
            for cell in range(row * columns + first % columns, row * columns + last % columns + 1):
                for k in range(cells[cell], cells[cell + 1]):
                    f = faces[k]
                    if seen_faces[f] == i:
                        continue
                    seen_faces[f] = i
                    if (
                        px < boxes[f, 0] - reach
                        or py < boxes[f, 1] - reach
                        or px > boxes[f, 2] + reach
                        or py > boxes[f, 3] + reach
                    ):
                        continue
                    inside, touches = in_box(px, py, boxes, f), False
                    for c in range(offsets[f], offsets[f + 1] - 1):
                        ax, ay = points[c, 0] - px, points[c, 1] - py
                        ux, uy = points[c + 1, 0] - points[c, 0], points[c + 1, 1] - points[c, 1]
                        size = np.hypot(ux, uy)
                        if size == 0:
                            continue
                        ux, uy = ux / size, uy / size
                        # The centre's distance to the left of the side, and the place of its foot along it.
                        d, foot = ax * uy - ay * ux, -(ax * ux + ay * uy)
                        if d < 0:
                            inside = False
                        if abs(d) > r:
                            continue
                        half = np.sqrt((r - abs(d)) * (r + abs(d)))
                        start, stop = max(foot - half, 0.0), min(foot + half, size)
                        if start > stop:
                            continue
                        touches = True
                        edge = face_edges[c - f]
                        if bends[edge] and seen_edges[edge] != i:
                            seen_edges[edge] = i
                            lengths[i] += stop - start
                    if inside or touches:
                        counts[i] += 1
