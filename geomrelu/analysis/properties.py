"""Does a property of the outputs hold all over the domain?  A proof, or a point that breaks it.

*Constraints* that must hold everywhere, a . y <= b (or <): the left side is largest at a vertex, so
the property holds if and only if it holds at all vertices, and `extrema` finds the worst one exactly.

An *unsafe set* {y : A y <= b}, which must not be reached: it is reached on a region if and only if
the region, clipped by all its constraints, leaves anything, if only a point.  Signs at the corners settle
nearly all regions: one constraint broken at all corners excludes it, a corner that keeps all of them is a
witness.  Of the others each is clipped, in floats with bounds, or in fractions where these leave a doubt.
Outside the plane the set's faces cut the domain as neurons do, and signs at the vertices tell.

A witness is a float64 point of the domain where the network's own float64 forward pass breaks the
property; if rounding hides the violation at all points tried, it is the exact rational point alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomrelu.analysis.envelope import InDoubt, Row, clipped, corner_rows
from geomrelu.analysis.expressions import Constraint, linear_constraints
from geomrelu.analysis.extrema import largest
from geomrelu.analysis.outputs import Functionals
from geomrelu.arrays import BoolArray, FloatArray, IntArray, ReadOnly, frozen, real_array
from geomrelu.domain import Slice
from geomrelu.errors import InputError, ShapeError
from geomrelu.polyhedral.added_neurons import with_functionals
from geomrelu.polyhedral.build import build_polyhedral
from geomrelu.polyhedral.complex import PolyhedralComplex

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Unsafe", "Verification", "verify", "verify_unsafe"]

_EXPECTED = "expected an expression such as 'y0 > y1', or (A, b) for A y <= b"


class Unsafe(NamedTuple):
    """A set of outputs, {y : A y <= b}, that a network must not reach."""

    A: FloatArray  # (M, out)
    b: FloatArray  # (M,)


class _Witness(NamedTuple):
    """What `Verification` says of a float64 witness; None where none was found."""

    point: FloatArray | None
    input: FloatArray | None
    outputs: FloatArray | None


@dataclass(frozen=True, eq=False, repr=False)
class Verification(ReadOnly):
    """Whether a property holds; true if it does.

    Attributes
    ----------
    holds : bool
        Exact: a proof, or a violation that the exact witness proves.
    violated : str
        The constraint that is broken, or the unsafe set that is reached; empty if the property holds.
    margins : (M,) float64
        For each constraint a . y <= b the largest a . y - b on the domain, rounded once: how far it
        is from being broken (below 0), or how far it is broken.  Empty for unsafe sets.
    witness : (d,) float64, or None
        A point of the domain at which the network's float64 forward pass breaks the property; None if
        it holds, or if the violation is below what floats resolve.
    input : float64 array, or None
        The model's input there: on a slice the lifted point, in the input's shape; else the witness itself.
    outputs : (out,) float64, or None
        The forward pass of that input.
    exact_witness : tuple of d Fraction, or None
        A point of the domain at which the property is broken in real arithmetic.
    exact_outputs : tuple of Fraction, or None
        The outputs there.
    """

    holds: bool
    violated: str
    margins: FloatArray
    witness: FloatArray | None
    input: FloatArray | None
    outputs: FloatArray | None
    exact_witness: tuple[Fraction, ...] | None
    exact_outputs: tuple[Fraction, ...] | None

    def __bool__(self) -> bool:
        return self.holds

    def __repr__(self) -> str:
        if self.holds:
            return "Verification(holds)"
        at = "below float resolution" if self.witness is None else f"at {self.witness.tolist()}"
        return f"Verification(violated: {self.violated}, {at})"


def verify(p: PlanarComplex | PolyhedralComplex, property: Any) -> Verification:
    """Whether a property holds on the domain; see `PlanarComplex.verify`."""
    if isinstance(property, Unsafe):
        return verify_unsafe(p, [property])
    constraints = _constraints(p, property)
    asked = Functionals(np.array([c.a for c in constraints]), np.array([c.b for c in constraints]))
    worst = [largest(p, Functionals(asked.a[[k]], asked.b[[k]])) for k in range(len(constraints))]
    margins = frozen(np.array([found.value for found in worst]))
    broken = [
        k for k, c in enumerate(constraints) if worst[k].exact_value > 0 or (c.strict and not worst[k].exact_value)
    ]
    if not broken:
        return Verification(True, "", margins, None, None, None, None, None)
    # The one that is broken farthest; of equal ones the first.
    which = max(broken, key=lambda k: worst[k].exact_value)
    vertex, constraint = worst[which].vertex, constraints[which]
    outputs = p._vertex_outputs

    def breaks(y: list[Fraction]) -> bool:
        excess = asked.exactly(which, y)
        return excess > 0 or (constraint.strict and excess == 0)

    inside = _inner_points(p, outputs.regions_around(vertex))
    found = _float_witness(p, _around(worst[which].point, inside), breaks)
    exact = tuple(outputs.exact(vertex))
    return Verification(False, constraint.text, margins, *found, worst[which].exact_point, exact)


def _constraints(p: PlanarComplex | PolyhedralComplex, property: Any) -> list[Constraint]:
    n = p.network.n_outputs
    if isinstance(property, str):
        return linear_constraints(property, n)
    if not isinstance(property, tuple | list) or len(property) != 2:
        raise InputError(f"verify: got {property!r:.200}; {_EXPECTED}")
    A, b = (
        real_array(v, f"verify: {name}", advice="give finite numbers") for v, name in zip(property, "Ab", strict=True)
    )
    A, b = (A[None] if A.ndim == 1 else A), np.atleast_1d(b)
    if A.ndim != 2 or A.shape[1] != n or b.shape != A.shape[:1] or len(b) == 0:
        raise ShapeError(
            f"verify: got A of shape {A.shape} and b of shape {b.shape}; expected (M, {n}) and (M,), M >= 1"
        )
    return [Constraint(tuple(A[k]), float(b[k]), False, f"row {k} of A y <= b") for k in range(len(b))]


# ---------------------------------------------------------------------- witnesses


def _around(at: FloatArray, inside: FloatArray) -> Iterator[FloatArray]:
    """A point, and points ever farther towards those given."""
    yield at
    for exponent in (-45, -40, -34, -28, -22, -16, -12, -8, -4, -2, -1):
        for other in inside:
            yield at + (other - at) * 2.0**exponent


def _inner_points(p: PlanarComplex | PolyhedralComplex, regions: IntArray) -> FloatArray:
    """A point inside each of some regions, (k, d)."""
    return np.asarray((p.interior_points if isinstance(p, PolyhedralComplex) else p.centroids)[regions])


def _float_witness(p: PlanarComplex | PolyhedralComplex, points: Iterator[FloatArray], breaks: Any) -> _Witness:
    """The first of the points, if within the domain, at which the forward pass breaks the property."""
    if isinstance(p, PolyhedralComplex):
        low, high, network = p.domain.low, p.domain.high, p.network
    else:
        low, high = p.domain.vertices.min(axis=0), p.domain.vertices.max(axis=0)
        network = p.input_network
    for point in points:
        # Rounding must not carry it over a side of the domain.
        u = np.clip(point, low, high)
        if not p.domain.contains(u[None])[0]:
            continue
        x = p.domain.lift(u[None])[0] if isinstance(p.domain, Slice) else u
        with np.errstate(all="ignore"):
            y = network(x.reshape(1, -1))[0]
        if np.isfinite(y).all() and breaks([Fraction(v) for v in y.tolist()]):
            return _Witness(frozen(u), frozen(x), frozen(y))
    return _Witness(None, None, None)


# ---------------------------------------------------------------------- unsafe sets


def verify_unsafe(p: PlanarComplex | PolyhedralComplex, unsafe: Sequence[Unsafe]) -> Verification:
    """Whether none of some unsafe sets is reached on the domain.

    Raises
    ------
    ShapeError
        If a set's shapes do not fit the network's outputs.
    """
    n = p.network.n_outputs
    for number, one in enumerate(unsafe):
        if one.A.ndim != 2 or one.A.shape[1] != n or one.b.shape != one.A.shape[:1]:
            raise ShapeError(
                f"unsafe set: got A of shape {one.A.shape} and b of shape {one.b.shape}; expected (M, {n}) and (M,)"
            )
        asked, text = Functionals(one.A, one.b), f"unsafe set {number} is reached"
        if isinstance(p, PolyhedralComplex):
            reached = _reached_in_space(p, asked)
            if reached is not None:
                return _told(p, asked, *reached, text)
            continue
        found = _reached(p, asked)
        if found is not None:
            return _unsafe_witness(p, asked, found, text)
    return Verification(True, "", np.zeros(0), None, None, None, None, None)


def _reached(p: PlanarComplex, asked: Functionals) -> int | None:
    """A region that reaches the set, or None."""
    if len(asked.b) == 0:
        return 0
    value, error = p._vertex_outputs.level(asked)
    signs = np.where(np.abs(value) > error, np.sign(value), 0).astype(np.int64)
    in_doubt = ~(np.abs(value) > error)
    faces = _possible(p, signs, np.arange(p.n_regions))
    corners = np.zeros(p.n_vertices, dtype=bool)
    corners[_corners(p, faces)] = True
    vertices, which = np.nonzero(in_doubt & corners[:, None])
    signs[vertices, which] = p._vertex_outputs.decide(asked, vertices, which)
    safe_at = (signs <= 0).all(axis=1) & corners
    if safe_at.any():
        around = p._exact_vertices.faces_around(int(np.argmax(safe_at)))
        return int(around[0])
    faces = _possible(p, signs, faces)
    p._vertex_outputs.refine(_corners(p, faces))
    for face in faces.tolist():
        try:
            remains = _clipped_region(p, asked, face, exact=False)
        except InDoubt:
            remains = _clipped_region(p, asked, face, exact=True)
        if remains:
            return int(face)
    return None


def _corners(p: PlanarComplex, faces: IntArray) -> IntArray:
    """Corners of some regions, with repetitions."""
    chosen = np.zeros(p.n_regions, dtype=bool)
    chosen[faces] = True
    return np.asarray(p.face_vertices[np.repeat(chosen, np.diff(p.face_offsets))])


def _possible(p: PlanarComplex, signs: IntArray, faces: IntArray) -> IntArray:
    """Those of the faces on which no constraint is broken at all corners."""
    broken: BoolArray = np.logical_and.reduceat(signs[p.face_vertices] > 0, p.face_offsets[:-1], axis=0)
    return np.asarray(faces[np.logical_not(broken[faces].any(axis=1))])


def _clipped_region(p: PlanarComplex, asked: Functionals, face: int, exact: bool) -> list[Row]:
    """Corners of what the constraints leave of a region."""
    outputs, ring = p._vertex_outputs, p.ring(face).tolist()
    if exact:
        nothing = [0.0] * len(ring)
        rows = corner_rows(
            ring, [outputs.exact(v) for v in ring], [outputs.position(v) for v in ring], nothing, nothing
        )
    else:
        rows = corner_rows(
            ring, list(outputs.values[ring]), list(outputs.positions[ring]), outputs.errors[ring].tolist(),
            outputs.position_errors[ring].tolist(),
        )  # fmt: skip
    labels = [0] * len(rows)
    for a, b in zip(-asked.a, -asked.b, strict=True):
        if exact:
            a, b = np.array([Fraction(v) for v in a.tolist()], dtype=object), Fraction(float(b))
        rows, labels = clipped(rows, labels, a, b, 0, closed=True)
        if not rows:
            break
    return rows


def _unsafe_witness(p: PlanarComplex, asked: Functionals, face: int, text: str) -> Verification:
    rows = _clipped_region(p, asked, face, exact=True)
    n = len(rows)
    # The exact mean of what is left: inside, if that has an inside.
    mean = [sum((row.value[k] for row in rows), Fraction(0)) / n for k in range(len(rows[0].value))]
    exact_at, exact_outputs = (mean[-2], mean[-1]), tuple(mean[:-2])

    corners = np.array([[float(v) for v in row.value[-2:]] for row in rows])
    return _told(p, asked, exact_at, exact_outputs, np.concatenate([corners, p.centroids[[face]]]), text)


def _told(
    p: PlanarComplex | PolyhedralComplex, asked: Functionals, at: tuple[Fraction, ...], outputs: tuple[Fraction, ...],
    inside: FloatArray, text: str,
) -> Verification:  # fmt: skip
    """The violation at an exact point, with a float64 witness there or towards points (k, d)."""

    def breaks(y: list[Fraction]) -> bool:
        return all(asked.exactly(k, y) <= 0 for k in range(len(asked.b)))

    points = _around(np.array([float(v) for v in at]), inside)
    return Verification(False, text, np.zeros(0), *_float_witness(p, points, breaks), at, outputs)


def _reached_in_space(
    p: PolyhedralComplex, asked: Functionals
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...], FloatArray] | None:
    """An exact point at which the set is reached, its outputs, and points (k, d) inside regions around it.

    Within a region the set is a polytope, and its vertices are vertices of the partition by the set's faces, too.
    """
    q = build_polyhedral(with_functionals(p.network, asked.a, asked.b), p.domain)
    safe: BoolArray = np.asarray((q.vertex_signs(len(q.network.hidden) - 1) <= 0).all(axis=1))
    if not safe.any():
        return None
    inside: BoolArray = np.logical_and.reduceat(safe[q.region_vertices], q.region_offsets[:-1])
    whole = np.flatnonzero(inside)
    places = q._vertex_outputs
    if len(whole):
        region, vertices = int(whole[0]), places.corners(int(whole[0])).tolist()
    else:
        vertices = [int(np.argmax(safe))]
        region = places.region_of(vertices[0])
    # The exact mean of a region's vertices is inside.
    corners = [places.position(v) for v in vertices]
    at = tuple(sum(column, Fraction(0)) / len(corners) for column in zip(*corners, strict=True))
    forms = p._vertex_outputs.exact_forms
    rows = forms.output_map(q.patterns.words[region, : p.patterns.words.shape[1]])
    unit = 1 << forms.scales[-1]
    outputs = tuple(
        (sum((int(a) * x for a, x in zip(row, at, strict=False)), Fraction(int(row[-1])))) / unit for row in rows
    )
    return at, outputs, q.interior_points[places.regions_around(vertices[0])]
