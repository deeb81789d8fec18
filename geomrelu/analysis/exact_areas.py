"""Areas of single faces in rational arithmetic: for faces too thin for their float vertices."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.analysis.vertices import crossing_in_face
from geomrelu.arrays import IntArray
from geomrelu.exact import Point
from geomrelu.planar.settle import Forms, History, Judge

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["exact_areas"]


def exact_areas(p: PlanarComplex, faces: IntArray) -> list[float]:
    """Areas of the given faces, by the shoelace formula on their exact corners, rounded once; inf where too large.

    Raises
    ------
    InvariantError
        If a vertex's two lines do not cross: the partition is damaged.
    """
    nowhere = np.empty(0, dtype=np.int64)
    judge = Judge(p.domain.vertices, Forms(p.network), History(p.vertex_lines, nowhere, nowhere))
    return [_area([_corner(p, judge, f, v) for v in p.ring(f).tolist()]) for f in faces.tolist()]


def _corner(p: PlanarComplex, judge: Judge, face: int, vertex: int) -> Point:
    found = crossing_in_face(p, judge, vertex, face)
    return p._exact_vertices.point(vertex) if found is None else found


def _area(ring: list[Point]) -> float:
    corners = [(Fraction(x, w), Fraction(y, w)) for x, y, w in ring]
    (x0, y0), *others = corners
    steps = [(x - x0, y - y0) for x, y in others]
    doubled = (a[0] * b[1] - a[1] * b[0] for a, b in pairwise(steps))
    try:
        return float(abs(sum(doubled, Fraction(0))) / 2)
    except OverflowError:
        return float("inf")
