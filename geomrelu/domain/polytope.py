"""`Polytope`: a bounded convex set of any dimension, given by inequalities."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, ReadOnly, float_array, frozen, real_array
from geomrelu.domain.shapes import Box
from geomrelu.errors import DomainError, GeomReluError

__all__ = ["Polytope"]

# Share of its extent by which the box around a polytope exceeds what linear programs found.
_MARGIN = 2.0**-6
# Largest violation, in units of the rows' norms, that a linear program's answer may owe to its tolerance.
_TOLERANCE = 1e-6
_LARGEST = 2.0**500


class Polytope(ReadOnly):
    """The points x with ``A x <= b``.

    Rows may be redundant, and more than d may meet in a vertex.  Linear programs (scipy's HiGHS) find a box around it
    here; that it is bounded and has an inside is decided exactly when it is partitioned.

    Parameters
    ----------
    A : (m, d) array_like
    b : (m,) array_like

    Raises
    ------
    DomainError
        If an entry is not finite, shapes do not fit, or the set is empty, flat or unbounded.

    Examples
    --------
    >>> simplex = Polytope([[-1, 0, 0], [0, -1, 0], [0, 0, -1], [1, 1, 1]], [0, 0, 0, 1])
    >>> simplex.dimension, simplex.contains([[0.25, 0.25, 0.25], [0.5, 0.5, 0.5]]).tolist()
    (3, [True, False])
    """

    A: FloatArray
    b: FloatArray
    low: FloatArray
    high: FloatArray

    def __init__(self, A: npt.ArrayLike, b: npt.ArrayLike) -> None:
        rows, limits = _checked_rows(A, b)
        low, high = _bounding_box(rows, limits)
        vars(self).update(A=frozen(rows), b=frozen(limits), low=frozen(low), high=frozen(high))

    @classmethod
    def within(cls, A: npt.ArrayLike, b: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Polytope:
        """A polytope that is known to lie inside a box: no linear program is solved."""
        rows, limits = _checked_rows(A, b)
        box = Box(low, high)
        if box.dimension != rows.shape[1]:
            raise DomainError(f"Polytope: got a box of dimension {box.dimension}, expected {rows.shape[1]}")
        polytope = cls.__new__(cls)
        vars(polytope).update(A=frozen(rows), b=frozen(limits), low=box.low, high=box.high)
        return polytope

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return int(self.A.shape[1])

    def contains(self, points: npt.ArrayLike) -> BoolArray:
        """Whether each point (N, d) lies in the polytope, its border included; exact."""
        x = float_array(points, "points")
        with np.errstate(over="ignore", invalid="ignore"):
            value = x @ self.A.T - self.b
            bound = (np.abs(x) @ np.abs(self.A).T + np.abs(self.b)) * ((self.dimension + 3) * 2.0**-52) + 1e-290
        inside = np.asarray((value < -bound).all(axis=1))
        for k in np.flatnonzero(~inside & ~(value > bound).any(axis=1)).tolist():
            inside[k] = np.isfinite(x[k]).all() and self._holds(x[k])
        return np.asarray(inside)

    def _holds(self, point: FloatArray) -> bool:
        exact = [Fraction(v) for v in point.tolist()]
        return all(
            sum((Fraction(a) * v for a, v in zip(row, exact, strict=True)), Fraction(0)) <= Fraction(limit)
            for row, limit in zip(self.A.tolist(), self.b.tolist(), strict=True)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polytope) and np.array_equal(self.A, other.A) and np.array_equal(self.b, other.b)

    def __hash__(self) -> int:
        return hash(("Polytope", self.A.tobytes(), self.b.tobytes()))

    def __repr__(self) -> str:
        return f"Polytope({self.A.shape[0]} rows in {self.dimension} dimensions)"


def _checked_rows(A: npt.ArrayLike, b: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    rows, limits = _array(A, "Polytope A"), _array(b, "Polytope b")
    if rows.ndim != 2 or limits.shape != rows.shape[:1] or 0 in rows.shape:
        raise DomainError(
            f"Polytope: got A of shape {rows.shape} and b of shape {limits.shape}; expected (m, d) and (m,), a "
            f"row for "
            "each inequality A x <= b"
        )
    empty = (rows == 0).all(axis=1)
    if (limits[empty] < 0).any():
        raise DomainError(
            "Polytope: a row reads 0 x <= b with b < 0, so no point fulfils it; expected a set with an inside"
        )
    return rows[~empty], limits[~empty]


def _array(values: Any, what: str) -> FloatArray:
    try:
        array = real_array(values, what, advice="give a bounded domain")
    except GeomReluError as error:
        raise DomainError(str(error)) from error
    if array.size and np.abs(array).max() > _LARGEST:
        raise DomainError(
            f"{what}: got an entry of {np.abs(array).max():.3g}; expected at most 2^500, so scale the rows down"
        )
    return array


def _bounding_box(rows: FloatArray, limits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A box that holds the polytope well inside, as far as linear programs in floating point can tell."""
    from scipy.optimize import linprog

    d = rows.shape[1]
    size = np.linalg.norm(rows, axis=1) if len(rows) else np.ones(0)
    a, b = rows / size[:, None], limits / size
    if len(rows):
        # The smallest t with A x <= b + t is positive if the set is empty.
        slack = linprog(
            np.append(np.zeros(d), 1.0),
            np.hstack([a, -np.ones((len(a), 1))]),
            b,
            bounds=[(None, None)] * d + [(-1, None)],
        )
        if slack.status == 0 and slack.fun is not None and slack.fun > _TOLERANCE * max(1.0, np.abs(b).max()):
            raise DomainError("Polytope: no point fulfils all inequalities A x <= b; expected a set with an inside")
    ends = np.array([[sign * _lowest(a, b, axis, sign) for axis in range(d)] for sign in (1.0, -1.0)])
    margin = _MARGIN * np.maximum((ends[1] - ends[0]).max(), 1e-3 * np.abs(ends).max()) + 1e-9
    return ends[0] - margin, ends[1] + margin


def _lowest(a: FloatArray, b: FloatArray, axis: int, sign: float) -> float:
    """The least value of ``sign * x[axis]``, approximately."""
    from scipy.optimize import linprog

    cost = np.zeros(a.shape[1])
    cost[axis] = sign
    found = linprog(cost, a, b, bounds=[(None, None)] * len(cost)) if len(a) else None
    if found is None or found.status == 3:
        raise DomainError(
            f"Polytope: unbounded along axis {axis}; expected a bounded set, so add rows such as x_{axis} <= 1"
        )
    if found.status != 0 or found.fun is None:
        raise DomainError(f"Polytope: its extent along axis {axis} cannot be found ({found.message.strip()})")
    return float(found.fun)
