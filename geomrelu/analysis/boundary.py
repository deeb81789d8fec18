"""The decision boundary, level sets and the classes' regions.

All three ask where the largest of several functions changes (`ties`): of the outputs; of an
output and a constant; of a single output and 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.analysis.outputs import Functionals
from geomrelu.analysis.polylines import joined
from geomrelu.analysis.ties import Contest, Ties, find_ties
from geomrelu.arrays import FloatArray, IntArray, ReadOnly, frozen, real_array, row_ids
from geomrelu.errors import InputError

if TYPE_CHECKING:
    from geomrelu.network import Network
    from geomrelu.planar.complex import PlanarComplex

__all__ = [
    "Boundary",
    "ClassRegions",
    "checked_level",
    "checked_output",
    "class_regions",
    "class_ties",
    "decision_boundary",
    "level_set",
]


# Areas, over the domain's, that count as equal when polygons are put together.
_SAME_AREA = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class Boundary(ReadOnly):
    """Where two classes tie for the largest output, or an output equals a level: exact, as flat arrays.

    Which segments there are, between which classes, in which regions and how they join is exact.
    A node is where the boundary meets an edge or vertex of the partition, or where three classes meet.

    Attributes
    ----------
    nodes : (N, 2) float64
    node_errors : (N,) float64
        Bounds on the nodes' distances from their true points: at most 2^-22 of the domain's extent,
        but for nodes that are vertices of the partition.
    ends : (S, 2) int64
        Nodes at both ends of each segment.
    classes : (S, 2) int64
        Classes on the left and on the right of each segment, the lower one left.  Of a tie along an
        edge that only touches, with one class on both sides: the two lowest that tie.
    face : (S,) int64
        The region that a segment lies in; of one along an edge the region on one side.
    polyline_offsets, polyline_nodes : (P + 1,), (.,) int64
        Segments joined: polyline k runs through the nodes ``polyline_nodes[polyline_offsets[k] :
        polyline_offsets[k + 1]]``.  Polylines end at the domain's border and where three or more
        segments meet; closed ones end with their first node.
    tied : (T, 3) int64
        Region and two classes that tie all over it, or (only where three or more classes meet in
        it) all over a part of it.  Of such areas the segments are the rims (where the
        two lowest of the classes that tie stop doing so); the lowest class counts
        as the winner.
    isolated : (Q, 2) float64
        Points at which classes tie, and nowhere near.
    """

    nodes: FloatArray
    node_errors: FloatArray
    ends: IntArray
    classes: IntArray
    face: IntArray
    polyline_offsets: IntArray
    polyline_nodes: IntArray
    tied: IntArray
    isolated: FloatArray

    def __post_init__(self) -> None:
        for value in vars(self).values():
            frozen(value)

    @property
    def segments(self) -> FloatArray:
        """The segments' end points, (S, 2, 2) float64."""
        return self.nodes[self.ends]

    @property
    def n_pieces(self) -> int:
        """Number of segments: straight pieces, each in one region or along one edge between two; exact."""
        return len(self.ends)

    @property
    def n_polylines(self) -> int:
        """Number of joined polylines; exact."""
        return len(self.polyline_offsets) - 1

    @cached_property
    def length(self) -> float:
        """Total length of the segments, with the rounding of the nodes."""
        return float(np.hypot(*(self.segments[:, 1] - self.segments[:, 0]).T).sum())

    @cached_property
    def polylines(self) -> npt.NDArray[np.object_]:
        """The polylines as shapely LineStrings, (P,) object array."""
        import shapely

        lines: npt.NDArray[np.object_] = shapely.from_ragged_array(
            shapely.GeometryType.LINESTRING, self.nodes[self.polyline_nodes], (self.polyline_offsets,)
        )
        return lines

    def __repr__(self) -> str:
        return f"Boundary({self.n_pieces} pieces, {self.n_polylines} polylines, length {self.length:.6g})"


@dataclass(frozen=True, eq=False, repr=False)
class ClassRegions(ReadOnly):
    """Where each class has the largest output.

    Attributes
    ----------
    polygons : (K,) object array
        For each class a shapely MultiPolygon, empty for a class that wins nowhere.
    areas : (K,) float64
        They sum to the domain's area, to within rounding.
    winner : (F,) int64
        The class of each region of the partition, -1 for those that have several; exact.
    tied_area : float
        Area of whole regions on which classes tie: it counts as the lowest one's.
    """

    polygons: npt.NDArray[np.object_]
    areas: FloatArray
    winner: IntArray
    tied_area: float

    def __repr__(self) -> str:
        return f"ClassRegions(areas {np.array2string(self.areas, precision=4)})"


def checked_output(network: Network, output: Any, question: str) -> int:
    """`output` as a number of an output.

    Raises
    ------
    InputError
        If the network has no output of that number.
    """
    n = network.n_outputs
    if not isinstance(output, int | np.integer) or isinstance(output, bool) or not 0 <= output < n:
        only = "only 0" if n == 1 else f"a whole number from 0 to {n - 1}"
        raise InputError(f"{question}: got output {output!r}; the network has {n} output(s): expected {only}")
    return int(output)


def checked_level(c: Any) -> float:
    """The level of a level set.

    Raises
    ------
    InputError
        If it is not one finite number.
    """
    level = real_array(c, "level_set c", advice="give a finite level")
    if level.ndim:
        raise InputError(f"level_set: got c of shape {level.shape}; expected one number, such as 0.5")
    return float(level)


def decision_boundary(p: PlanarComplex) -> Boundary:
    """Where the class changes; see `PlanarComplex.decision_boundary`."""
    return _boundary(p, p._class_ties)


def level_set(p: PlanarComplex, c: float, output: int = 0) -> Boundary:
    """Where an output equals c; see `PlanarComplex.level_set`."""
    return _boundary(
        p, find_ties(p, _against_level(p, checked_level(c), checked_output(p.network, output, "level_set")))
    )


def class_ties(p: PlanarComplex) -> Ties:
    """The tie set of the classes: outputs, or below and above 0 of a single one."""
    if p.network.n_outputs == 1:
        return find_ties(p, _against_level(p, 0.0, 0))
    found = p._vertex_outputs
    return find_ties(p, Contest(found, found.top))


def _against_level(p: PlanarComplex, c: float, output: int) -> Contest:
    """The contest of 0 (class 0, which wins below the level) and the output minus c (class 1)."""
    found = p._vertex_outputs
    row = np.eye(p.network.n_outputs)[[output]]
    sign = found.signs(Functionals(row, np.array([c])))
    both = Functionals(np.concatenate([np.zeros_like(row), row]), np.array([0.0, c]))
    return Contest(found, np.concatenate([sign <= 0, sign >= 0], axis=1), both)


def _boundary(p: PlanarComplex, ties: Ties) -> Boundary:
    used, number = np.unique(ties.ends, return_inverse=True)
    ends = number.reshape(-1, 2).astype(np.int64)
    n_classes = int(ties.classes.max(initial=0)) + 1
    offsets, path = joined(ends, ties.classes[:, 0] * n_classes + ties.classes[:, 1], len(used))
    return Boundary(
        ties.points[used], ties.errors[used], ends, ties.classes, ties.face, offsets, path, ties.tied,
        p.vertices[ties.isolated],
    )  # fmt: skip


def class_regions(p: PlanarComplex) -> ClassRegions:
    """Where each class wins; see `PlanarComplex.class_regions`."""
    import shapely

    ties = p._class_ties
    n_classes = max(2, p.network.n_outputs)
    cells = _cell_polygons(ties)
    whole = ties.winner >= 0
    owner, size = np.append(ties.winner[whole], ties.cell_class), np.append(p.areas[whole], shapely.area(cells))
    areas = np.bincount(owner, size, minlength=n_classes).astype(np.float64)
    polygons = np.empty(n_classes, dtype=object)
    sides, side_class = _outlines(p, ties)
    lines = shapely.linestrings(ties.points[sides])
    for k in range(n_classes):
        found = _multipolygon(shapely.build_area(shapely.multilinestrings(lines[side_class == k])))
        # Outlines may touch themselves in points, or be thinner than rounding: their area would tell.
        if not abs(found.area - areas[k]) <= _SAME_AREA * p.domain.area:
            found = _united(np.concatenate([p.polygons[ties.winner == k], cells[ties.cell_class == k]]))
        polygons[k] = found
    tied = np.unique(ties.tied[:, 0])
    return ClassRegions(
        polygons, frozen(areas), frozen(ties.winner), float(p.areas[tied[ties.winner[tied] >= 0]].sum())
    )


def _outlines(p: PlanarComplex, ties: Ties) -> tuple[IntArray, IntArray]:
    """Sides (S, 2) of the classes' regions, by points, and the class that each is of, (S,)."""
    whole = np.append(ties.winner, -1)[p.edge_faces]
    # Of regions with one class what separates them from others; of cells everything, and what two share goes.
    kept = whole[:, 0] != whole[:, 1]
    left, right = kept & (whole[:, 0] >= 0), kept & (whole[:, 1] >= 0)
    following = np.arange(1, len(ties.cell_points) + 1)
    following[ties.cell_offsets[1:] - 1] = ties.cell_offsets[:-1]
    sides = np.concatenate([
        p.edges[left], p.edges[right][:, ::-1], np.stack([ties.cell_points, ties.cell_points[following]], axis=1)
    ])  # fmt: skip
    owner = np.concatenate([whole[left, 0], whole[right, 1], ties.cell_class[row_ids(ties.cell_offsets)]])
    n = len(ties.points)
    low, high = sides.min(axis=1), sides.max(axis=1)
    _, place, count = np.unique((owner * n + low) * n + high, return_inverse=True, return_counts=True)
    single = count[place.ravel()] == 1
    # Points apart may have one float.
    single &= (ties.points[sides[:, 0]] != ties.points[sides[:, 1]]).any(axis=1)
    return sides[single], owner[single]


def _united(own: npt.NDArray[np.object_]) -> Any:
    """Polygons that share their edges' ends exactly, as one MultiPolygon."""
    import shapely

    try:
        # Drops shared edges, with no geometry at all.
        found = shapely.coverage_union_all(own)
    except shapely.errors.GEOSException:
        # Slivers thinner than the rounding of their corners may overlap their neighbours.
        found = shapely.union_all(shapely.buffer(own, 0))
    return _multipolygon(found)


def _multipolygon(found: Any) -> Any:
    """The polygons of a geometry."""
    import shapely

    parts = shapely.get_parts(found)
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _cell_polygons(ties: Ties) -> npt.NDArray[np.object_]:
    """The cells of mixed regions as shapely polygons, (M,)."""
    import shapely

    starts = ties.cell_offsets[:-1]
    closed = np.insert(ties.cell_points, ties.cell_offsets[1:], ties.cell_points[starts])
    rings = np.concatenate([[0], np.cumsum(np.diff(ties.cell_offsets) + 1)])
    polygons: npt.NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, ties.points[closed], (rings, np.arange(len(rings)))
    )
    return polygons
