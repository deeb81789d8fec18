"""Points in faces, by the rings: a uniform grid of cells, each with the faces that meet it.

`FaceGrid` lists faces by cell.  A cell's list may miss a face only by rounding at the cell's border.

`PointGrid` tells which face a point certainly lies in.  With orientations s = (b - a) x (p - a)
of the point p with respect to the edges of a face, a and b a stored edge's ends, e_a and e_b
bounds on their distances from the true points (`vertex_errors`), W and H the extents of the face's
bounding box and p in this box, the true orientation differs from the computed one by at most

    |b_x - a_x| e_a + H (e_a + e_b) + (e_a + e_b) e_a           likewise with x and y, W and H swapped,
    + 8 u (|b_x - a_x| H + |b_y - a_y| W)                       the rounding of s, u = 2^-53

and what underflow loses.  If all orientations exceed their bounds, the point lies strictly inside
the true, convex face.  No other point is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, inner, njit

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["FaceGrid", "PointGrid", "cell_at", "closed_rings", "face_grid", "in_box"]

# Entries in the lists of all cells together, per face.
_ENTRIES_PER_FACE = 16
_UNIT_ROUNDOFF = 2.0**-53
# Exceeds the rounding of a bound's own evaluation.
_SLACK = 1.001
# Exceeds what products of numbers below 2^101 lose to underflow.
_TINY = 1e-290


class FaceGrid(NamedTuple):
    """Which faces meet which cell of a grid of ``columns`` x ``rows`` cells.

    Attributes
    ----------
    low : (2,) float64
        Lower corner of the grid.
    per_unit : (2,) float64
        Cells per unit of length along each axis.
    columns, rows : int
    offsets, faces : (columns rows + 1,) int64, (entries,) int32
        Cell (i, j) has number j columns + i and the faces ``faces[offsets[k] : offsets[k + 1]]``.
    """

    low: FloatArray
    per_unit: FloatArray
    columns: int
    rows: int
    offsets: IntArray
    faces: npt.NDArray[np.int32]


class ClosedRings(NamedTuple):
    """Rings of a complex with the first corner repeated at the end, and their bounding boxes.

    Attributes
    ----------
    offsets : (F + 1,) int64
    corners : (C + F,) int64
        Entry of `face_vertices` that a row stands for.
    points : (C + F, 2) float64
    boxes : (F, 4) float64
        xmin, ymin, xmax, ymax; infinite, the wrong way round, where a coordinate is not finite or
        there are fewer than three corners.
    """

    offsets: IntArray
    corners: IntArray
    points: FloatArray
    boxes: FloatArray


def closed_rings(vertices: FloatArray, face_offsets: IntArray, face_vertices: IntArray) -> ClosedRings:
    """Rings as stretches of coordinates, for kernels that read them in a row.

    Parameters
    ----------
    vertices : (V, 2) float64
    face_offsets, face_vertices : (F + 1,), (C,) int64

    Examples
    --------
    >>> rings = closed_rings(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), np.array([0, 3]), np.arange(3))
    >>> rings.corners.tolist(), rings.boxes.tolist()
    ([0, 1, 2, 0], [[0.0, 0.0, 2.0, 1.0]])
    """
    starts = face_offsets[:-1]
    corners = np.insert(np.arange(len(face_vertices)), face_offsets[1:], starts)
    offsets = face_offsets + np.arange(len(face_offsets))
    points = vertices[face_vertices[corners]]
    low = np.minimum.reduceat(points, offsets[:-1], axis=0)
    high = np.maximum.reduceat(points, offsets[:-1], axis=0)
    boxes = np.concatenate([low, high], axis=1)
    boxes[~np.isfinite(boxes).all(axis=1) | (np.diff(face_offsets) < 3)] = np.inf, np.inf, -np.inf, -np.inf
    return ClosedRings(offsets, corners, np.ascontiguousarray(points), boxes)


def face_grid(rings: ClosedRings, low: FloatArray, high: FloatArray, margin: float = 0.0) -> FaceGrid:
    """Cells over the box from low to high, about as many as faces, with the faces that come within `margin`.

    Cells have the proportions of an average face's bounding box, and are larger where the lists
    would exceed 16 entries a face.

    Parameters
    ----------
    rings : ClosedRings
    low, high : (2,) float64
        The box; faces may stand out, and then are listed in the cells at its border as well.
    margin : float

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [2.0, 0.0], [2.0, 1.0]])
    >>> rings = closed_rings(corners, np.array([0, 4, 8]), np.array([0, 1, 2, 3, 1, 4, 5, 2]))
    >>> grid = face_grid(rings, np.array([0.0, 0.0]), np.array([2.0, 1.0]))
    >>> grid.columns, grid.rows, grid.offsets.tolist(), grid.faces.tolist()
    (2, 1, [0, 1, 3], [0, 0, 1])
    """
    n_faces = len(rings.boxes)
    extent = high - low
    finite = rings.boxes[:, 0] <= rings.boxes[:, 2]
    sizes = rings.boxes[finite, 2:] - rings.boxes[finite, :2]
    # Relative to the box; kept away from 0 for faces of no float width.
    with np.errstate(over="ignore"):
        share = np.clip(sizes.mean(axis=0) / extent, 1 / (n_faces + 1), 1.0) if len(sizes) else np.ones(2)
    columns = min(max(int(np.sqrt(n_faces * share[1] / share[0])), 1), n_faces)
    rows = max(n_faces // columns, 1)
    limit = _ENTRIES_PER_FACE * n_faces
    while True:
        per_unit = np.array([columns, rows]) / extent
        counts = np.zeros(columns * rows + 1, dtype=np.int64)
        none = np.empty(0, dtype=np.int32)
        total = _cover(rings.points, rings.offsets, rings.boxes, low, per_unit, columns, rows, margin, limit, counts,
                       none)  # fmt: skip
        if total <= limit or columns * rows == 1:
            break
        columns, rows = max(columns * 2 // 3, 1), max(rows * 2 // 3, 1)
    offsets = np.cumsum(counts)
    faces = np.empty(int(offsets[-1]), dtype=np.int32)
    _cover(rings.points, rings.offsets, rings.boxes, low, per_unit, columns, rows, margin, limit, offsets[:-1].copy(),
           faces)  # fmt: skip
    return FaceGrid(low, per_unit, columns, rows, offsets, faces)


class PointGrid:
    """Faces of points that lie in them for certain.

    Parameters
    ----------
    p : PlanarComplex
        Whose rings are convex and counter-clockwise, and whose `vertex_errors` hold.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0, 1.0]], [[2.0]]]), gr.Box(-1, 1))
    >>> PointGrid(p).find(np.array([[0.5, 0.5], [-0.5, -0.5], [0.5, -0.5], [3.0, 0.0]])).tolist()
    [1, 0, -1, -1]
    """

    def __init__(self, p: PlanarComplex) -> None:
        from geomrelu.planar.complex import scaled_to_range

        vertices, self.exponents = scaled_to_range(p.vertices, p.domain)
        corners = scaled_to_range(p.domain.vertices, p.domain)[0]
        rings = closed_rings(vertices, p.face_offsets, p.face_vertices)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = np.ldexp(p.vertex_errors[:, None], -self.exponents)
            errors = errors[p.face_vertices[rings.corners]]
            bounds = _orientation_bounds(rings.points, rings.offsets, rings.boxes, errors)
        self.offsets, self.boxes = rings.offsets, rings.boxes
        self.table = np.concatenate([rings.points, bounds[:, None]], axis=1)
        self.grid = face_grid(rings, corners.min(axis=0), corners.max(axis=0))
        # A test of a face costs about a quarter of a neuron's evaluation.
        self.most = 4 * p.network.n_neurons + 32

    def find(self, points: FloatArray) -> IntArray:
        """Face in whose interior a point (N, 2) certainly lies, or -1 where that is not clear; (N,) int64.

        Points in cells with more faces than the network has neurons, times a few, are left open:
        evaluating the network is faster.
        """
        found = np.full(len(points), -1, dtype=np.int64)
        if self.exponents.any():
            with np.errstate(over="ignore"):
                points = np.ldexp(points, -self.exponents)
        g = self.grid
        _find(np.ascontiguousarray(points), self.table, self.offsets, self.boxes, g.low, g.per_unit, g.columns, g.rows,
              g.offsets, g.faces, self.most, found)  # fmt: skip
        return found


@inner
def _cell_of(value: float, low: float, per_unit: float, n: int) -> int:
    """The cell, of n in a row, that a coordinate lies in, or is nearest to."""
    at = (value - low) * per_unit
    if not at > 0:
        return 0
    if at >= n:
        return n - 1
    return int(at)


@inner
def cell_at(x: float, y: float, low: FloatArray, per_unit: FloatArray, columns: int, rows: int) -> int:
    """Number of the cell of a `FaceGrid` that a point lies in, or is nearest to."""
    return _cell_of(y, low[1], per_unit[1], rows) * columns + _cell_of(x, low[0], per_unit[0], columns)


@inner
def in_box(x: float, y: float, boxes: FloatArray, face: int) -> bool:
    """Whether a point lies in a face's bounding box."""
    return bool(boxes[face, 0] <= x <= boxes[face, 2] and boxes[face, 1] <= y <= boxes[face, 3])


@njit
def _orientation_bounds(points: FloatArray, offsets: IntArray, boxes: FloatArray, errors: FloatArray) -> FloatArray:
    """Bound on an orientation's error, for each edge and any point in its face's bounding box, (C + F,).

    `errors` bounds those of the rings' coordinates, (C + F, 2).  Rows that close a ring mean nothing.
    """
    bounds = np.full(len(points), np.inf)
    for f in range(len(boxes)):
        width, height = boxes[f, 2] - boxes[f, 0], boxes[f, 3] - boxes[f, 1]
        for c in range(offsets[f], offsets[f + 1] - 1):
            dx, dy = abs(points[c + 1, 0] - points[c, 0]), abs(points[c + 1, 1] - points[c, 1])
            ex, ey = errors[c, 0], errors[c, 1]
            both_x, both_y = ex + errors[c + 1, 0], ey + errors[c + 1, 1]
            placing = dx * ey + both_x * (height + ey) + dy * ex + both_y * (width + ex)
            rounding = 8 * _UNIT_ROUNDOFF * (dx * height + dy * width)
            bounds[c] = (placing + rounding) * _SLACK + _TINY
    return bounds


@njit
def _cover(
    points: FloatArray,
    offsets: IntArray,
    boxes: FloatArray,
    low: FloatArray,
    per_unit: FloatArray,
    columns: int,
    rows: int,
    margin: float,
    limit: int,
    places: IntArray,
    faces: npt.NDArray[np.int32],
) -> int:
    """Count the faces of each cell into ``places[cell + 1]``, or write them to ``faces[places[cell]]`` and on.

    Writes if `faces` is not empty.  Returns the number of entries; stops counting beyond `limit`
    unless there is one cell only.
    """
    left, right = np.empty(rows), np.empty(rows)
    total = 0
    for f in range(len(boxes)):
        if not boxes[f, 0] <= boxes[f, 2]:
            continue
        bottom = _cell_of(boxes[f, 1] - margin, low[1], per_unit[1], rows)
        top = _cell_of(boxes[f, 3] + margin, low[1], per_unit[1], rows)
        left[bottom : top + 1] = np.inf
        right[bottom : top + 1] = -np.inf
        for k in range(offsets[f], offsets[f + 1] - 1):
            ax, ay, bx, by = points[k, 0], points[k, 1], points[k + 1, 0], points[k + 1, 1]
            if ay > by:
                ax, ay, bx, by = bx, by, ax, ay
            first = _cell_of(ay - margin, low[1], per_unit[1], rows)
            last = _cell_of(by + margin, low[1], per_unit[1], rows)
            for row in range(first, last + 1):
                # The part of the edge between the row's lower and upper line.
                y0 = low[1] + row / per_unit[1] - margin
                y1 = low[1] + (row + 1) / per_unit[1] + margin
                x0, x1 = ax, bx
                if row > first and ay < y0 < by:
                    x0 = ax + (bx - ax) * ((y0 - ay) / (by - ay))
                if row < last and ay < y1 < by:
                    x1 = ax + (bx - ax) * ((y1 - ay) / (by - ay))
                left[row] = min(left[row], x0, x1)
                right[row] = max(right[row], x0, x1)
        for row in range(bottom, top + 1):
            if not left[row] <= right[row]:
                continue
            c0 = _cell_of(left[row] - margin, low[0], per_unit[0], columns)
            c1 = _cell_of(right[row] + margin, low[0], per_unit[0], columns)
            total += c1 - c0 + 1
            for cell in range(row * columns + c0, row * columns + c1 + 1):
                if len(faces):
                    faces[places[cell]] = f
                    places[cell] += 1
                else:
                    places[cell + 1] += 1
        if total > limit and columns * rows > 1:
            break
    return total


@njit
def _find(
    points: FloatArray,
    table: FloatArray,
    offsets: IntArray,
    boxes: FloatArray,
    low: FloatArray,
    per_unit: FloatArray,
    columns: int,
    rows: int,
    cells: IntArray,
    faces: npt.NDArray[np.int32],
    most: int,
    found: IntArray,
) -> None:
    """`PointGrid.find`; rows of `table` are a corner's x, y and the bound of the edge that leaves it."""
    for i in range(len(points)):
        x, y = points[i, 0], points[i, 1]
        if not (abs(x) < np.inf and abs(y) < np.inf):
            continue
        cell = cell_at(x, y, low, per_unit, columns, rows)
        if cells[cell + 1] - cells[cell] > most:
            continue
        for k in range(cells[cell], cells[cell + 1]):
            f = faces[k]
            if not in_box(x, y, boxes, f):
                continue
            inside = True
            for c in range(offsets[f], offsets[f + 1] - 1):
                ax, ay = table[c, 0], table[c, 1]
                side = (table[c + 1, 0] - ax) * (y - ay) - (table[c + 1, 1] - ay) * (x - ax)
                if not side > table[c, 2]:
                    inside = False
                    break
            if inside:
                found[i] = f
                break
