"""The largest and smallest value of an output, or of any linear functional of the outputs.

On a region the functional is affine, and a region is the convex hull of its corners, so both are
attained at vertices.  Floats with their bounds leave a few vertices that may be the one; of these the
highest get tighter values, which rules out others, until only vertices are left that are
tight; they are compared as fractions.  Vertices of a region on which the functional is constant share
their value, so plateaus cost one comparison and one affine form for each of their regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.analysis.boundary import checked_output
from geomrelu.analysis.expressions import linear_expression
from geomrelu.analysis.outputs import Functionals
from geomrelu.arrays import FloatArray, ReadOnly, frozen, real_array
from geomrelu.errors import RangeError, ShapeError

if TYPE_CHECKING:
    from geomrelu.linear.complex import LinearComplex
    from geomrelu.network import Network
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["Extremum", "functional", "largest", "maximum", "minimum", "output_range"]

# Vertices whose values are tightened at a time.
_STEP = 64


@dataclass(frozen=True, eq=False, repr=False)
class Extremum(ReadOnly):
    """An extreme value and a vertex at which it is attained, the one with the lowest number of several.

    Attributes
    ----------
    value : float
        The exact value, rounded once.
    point : (d,) float64
        The vertex's coordinates, rounded once.
    vertex : int
    region : int
        A region with this vertex.
    exact_value : Fraction
    exact_point : tuple of d Fraction
    """

    value: float
    point: FloatArray
    vertex: int
    region: int
    exact_value: Fraction
    exact_point: tuple[Fraction, ...]

    def __repr__(self) -> str:
        return f"Extremum({self.value!r} at {self.point.tolist()})"


def functional(network: Network, of: Any, question: str) -> Functionals:
    """One functional: an output's number, an expression of the outputs, or coefficients (out,).

    Raises
    ------
    InputError
        If there is no such output, or the expression does not parse; `ShapeError` if coefficients do not fit.
    """
    n = network.n_outputs
    if isinstance(of, str):
        a, constant = linear_expression(of, n, question)
        return Functionals(a[None], np.array([-constant]))
    if isinstance(of, bool | int | np.integer):
        return Functionals(np.eye(n)[[checked_output(network, of, question)]], np.zeros(1))
    a = real_array(of, f"{question}: coefficients", advice="give finite ones")
    if a.shape != (n,):
        raise ShapeError(
            f"{question}: got coefficients of shape {a.shape}; expected ({n},), one for each output, or an output's "
            "number, or an expression such as 'y0 - y1'"
        )
    return Functionals(a[None], np.zeros(1))


def maximum(p: PlanarComplex | PolyhedralComplex, of: Any = 0) -> Extremum:
    """The largest value; see `PlanarComplex.maximum`."""
    return largest(p, functional(p.network, of, "maximum"))


def minimum(p: PlanarComplex | PolyhedralComplex, of: Any = 0) -> Extremum:
    """The smallest value; see `PlanarComplex.minimum`."""
    asked = functional(p.network, of, "minimum")
    found = largest(p, Functionals(-asked.a, -asked.b))
    # Zero has one sign only.
    return Extremum(
        0.0 - found.value, found.point, found.vertex, found.region, -found.exact_value, found.exact_point
    )  # fmt: skip


def output_range(p: PlanarComplex | PolyhedralComplex | LinearComplex, of: Any = None) -> FloatArray:
    """Smallest and largest values; see `PlanarComplex.output_range`."""
    if of is not None:
        return frozen(np.array([p.minimum(of).value, p.maximum(of).value]))
    return frozen(np.array([[p.minimum(k).value, p.maximum(k).value] for k in range(p.network.n_outputs)]))


def largest(p: PlanarComplex | PolyhedralComplex, asked: Functionals) -> Extremum:
    """The largest value of one functional over the domain.

    Raises
    ------
    RangeError
        If it is too large for float64.
    """
    outputs = p._vertex_outputs
    value, error = (v[:, 0].copy() for v in outputs.level(asked))
    candidates, tight = np.arange(p.n_vertices), np.zeros(p.n_vertices, dtype=bool)
    candidates = candidates[value + error >= (value - error).max()]
    if len(candidates) > 1:
        outputs.tighten(candidates)
        value[candidates], error[candidates] = (v[:, 0] for v in outputs.level(asked, candidates))
    while True:
        candidates = candidates[value[candidates] + error[candidates] >= (value - error)[candidates].max()]
        loose = candidates[~tight[candidates]]
        if len(candidates) == 1 or len(loose) == 0:
            break
        highest = loose[np.argsort(-(value + error)[loose], kind="stable")[:_STEP]]
        outputs.refine(highest)
        tight[highest] = True
        better, better_error = (v[:, 0] for v in outputs.level(asked, highest))
        value[highest], error[highest] = better, better_error
        # Where that takes exact values, and the highest are as high as all others may be, ties are likely.
        if not outputs.refines_in_floats and not (value + error < (value - error).max())[candidates].any():
            break
    exact = _exact_values(p, asked, candidates.tolist())
    top = max(exact.values())
    vertex = min(v for v, y in exact.items() if y == top)
    at = outputs.position(vertex)
    try:
        point = frozen(np.array([float(x) for x in at]))
        return Extremum(float(top), point, vertex, outputs.region_of(vertex), top, at)
    except OverflowError:
        raise RangeError(
            "extremum: the value is above 2^1024, the most that float64 holds; scale the functional down"
        ) from None


def _exact_values(
    p: PlanarComplex | PolyhedralComplex, asked: Functionals, candidates: list[int]
) -> dict[int, Fraction]:
    """The functional's exact value at each candidate."""
    outputs, known = p._vertex_outputs, dict[int, Fraction]()
    wanted = set(candidates)
    sure = outputs.surely_constant(asked) if len(candidates) > 1 else np.zeros(0, dtype=bool)
    seen: set[int] = set()
    for start in candidates:
        if start in known:
            continue
        known[start] = asked.exactly(0, outputs.exact(start))
        front = [start] if len(candidates) > 1 else []
        while front:
            for region in outputs.regions_around(front.pop()).tolist():
                corners = set(outputs.corners(region).tolist())
                # Constant on a region: all its corners are candidates.
                new = region not in seen and corners <= wanted
                if new and (sure[region] or outputs.is_constant(asked, region)):
                    # Not a difference of sets, which would walk through all that is known.
                    fresh = [v for v in corners if v not in known]
                    front += fresh
                    known.update(dict.fromkeys(fresh, known[start]))
                seen.add(region)
    return known
