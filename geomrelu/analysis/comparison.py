"""How two networks differ: exactly equal or not, by how much at most and on average, where the classes differ.

Everything is asked of the partition of the joint network (`network.joint_network`), the common
refinement of both partitions, whose outputs are a's and then b's: on its cells the difference
d = a - b is affine.

*Equal.*  a = b on the domain if and only if both maps are equal on every cell.  Float maps that
differ by more than the bounds on their errors differ; if there are none, maps are compared in integers, cell by
cell, until two differ.

*Largest difference.*  |d| is convex on a cell, so its largest value is attained at a vertex: an extremum (`extrema`).

*Averages.*  Fans of triangles with values v_0, v_1, v_2 at the corners have the integrals

    integral of d    = area (v_0 + v_1 + v_2) / 3
    integral of d^2  = area (v_0^2 + v_1^2 + v_2^2 + v_0 v_1 + v_1 v_2 + v_2 v_0) / 6

and |d| is integrated on the two parts into which the line d = 0 cuts a cell.  These passes over the cells' corners,
one for each output, are why a comparison takes a few times as long as the partition of both networks.

In more dimensions see `polyhedral_comparison`.

*Classes.*  The class is the largest output's number, the first of those that tie; of one output, whether it
is positive.  Where it is the same, for certain, at all corners of a cell, it is the same on the cell; other cells are
cut where outputs tie.  Whether outputs tie all over a cell is decided exactly.  Areas are float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.affine import affine_map_errors
from geomrelu.analysis.cells import Cells, positive_part
from geomrelu.analysis.extrema import Extremum, largest
from geomrelu.analysis.outputs import Functionals
from geomrelu.analysis.polyhedral_comparison import differing_volume, distances
from geomrelu.analysis.regression import MapRegression, fit_maps, map_rows
from geomrelu.arrays import BoolArray, FloatArray, IntArray, frozen, row_ids
from geomrelu.domain import Polytope
from geomrelu.errors import InputError, RangeError, ShapeError
from geomrelu.exact import ExactForms
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar.complex import scaled_to_range
from geomrelu.polyhedral.complex import PolyhedralComplex

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Comparison", "check_outputs", "class_disagreement", "comparison"]

_DIRECTIONS = ("a->b", "b->a")


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two networks a and b differ on a domain.

    Attributes
    ----------
    equal : bool
        Whether they are the same function on the domain; exact.
    largest : float
        The largest |a_k(x) - b_k(x)|: the exact value, rounded.
    witness : (d,) float64
        A point where it is attained, a vertex of the refinement: its exact coordinates, rounded.  On a slice, in
        the slice's coordinates.
    exact_largest : Fraction
    exact_witness : tuple of d Fraction
    output : int
        The output k in which it is attained.
    l1, l2 : (out,) float64
        Distances of the outputs: the integral of |a_k - b_k| over the domain, and the root of that of its square.
    class_area : float
        Area (in d dimensions: volume) on which the classes differ.
    area : float
        Area, or volume, of the domain.
    n_regions : (int, int)
        Activation regions of a, and of b; exact.
    n_refinement : int
        Those of both together, the cells of their common refinement; exact.
    refinement : PlanarComplex or PolyhedralComplex
        The partition of the joint network: a's outputs, then b's.
    """

    equal: bool
    largest: float
    witness: FloatArray
    exact_largest: Fraction = field(repr=False)
    exact_witness: tuple[Fraction, ...] = field(repr=False)
    output: int
    l1: FloatArray
    l2: FloatArray
    class_area: float
    area: float
    n_regions: tuple[int, int]
    n_refinement: int
    refinement: PlanarComplex | PolyhedralComplex = field(repr=False)

    def regression(self, direction: str = "a->b", output: int = 0) -> MapRegression:
        """The least-squares relation from one network's maps to the other's, a row for each cell, weighted by its size.

        Parameters
        ----------
        direction : {"a->b", "b->a"}
        output : int
            The output whose maps (gradient and intercept) are related.

        Raises
        ------
        InputError
            If there is no such direction or output, or only one cell.
        """
        if direction not in _DIRECTIONS:
            raise InputError(f"regression: got direction {direction!r}; expected {' or '.join(_DIRECTIONS)}")
        n = len(self.l1)
        if not isinstance(output, int | np.integer) or isinstance(output, bool) or not 0 <= output < n:
            raise InputError(f"regression: got output {output!r}; expected a whole number from 0 to {n - 1}")
        p = self.refinement
        maps, sizes = p.affine_maps, p.volumes if isinstance(p, PolyhedralComplex) else p.areas
        rows = [map_rows(maps.A, maps.b, k) for k in (output, n + output)]
        source, target = rows if direction == "a->b" else rows[::-1]
        return fit_maps(source, target, sizes)


def check_outputs(a: Network, b: Network) -> None:
    """Raise `ShapeError` unless two networks have equally many outputs."""
    if a.n_outputs != b.n_outputs:
        raise ShapeError(f"compare: the networks have {a.n_outputs} and {b.n_outputs} outputs; expected equally many")


def comparison(p: PlanarComplex | PolyhedralComplex, a: Network, b: Network) -> Comparison:
    """Compare two networks on the partition of their joint network; see `geomrelu.compare`."""
    n = a.n_outputs
    equal = _equal(p, n)
    most, output = (_none(p), 0) if equal else _largest(p, n)
    l1, l2, differ = np.zeros(n), np.zeros(n), 0.0
    if isinstance(p, PolyhedralComplex):
        if not equal:
            (l1, l2), differ = distances(p, n), differing_volume(p, a, b)
    elif not equal:
        (l1, l2), differ = _distances(p, n), class_disagreement(p)
    if not (np.isfinite(l1) & np.isfinite(l2)).all():
        raise RangeError("compare: a distance is above 1.8e308, the most that float64 holds; scale the domain down")
    return Comparison(
        equal=equal,
        largest=most.value,
        witness=most.point,
        exact_largest=most.exact_value,
        exact_witness=most.exact_point,
        output=output,
        l1=frozen(l1),
        l2=frozen(l2),
        class_area=differ,
        area=float(p.volumes.sum()) if isinstance(p.domain, Polytope) else p.domain.area,
        n_regions=_own_regions(p, a, b),
        n_refinement=p.n_regions,
        refinement=p,
    )


def _equal(p: PlanarComplex | PolyhedralComplex, n: int) -> bool:
    """Whether the first n outputs are the others, exactly."""
    everything = Patterns.pack(np.ones((1, p.network.n_neurons), dtype=bool), p.network.widths)
    try:
        maps, errors = p.affine_maps, affine_map_errors(p.network, everything)
    except RangeError:
        pass  # Entries beyond float64's range are compared in integers.
    else:
        for value, error in zip(maps, errors, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                bound = 1.001 * (error[:, :n] + error[:, n:])
                if (np.abs(value[:, :n] - value[:, n:]) > bound).any():
                    return False
    forms = ExactForms(p.network)
    rows = (forms.output_map(words) for words in p.patterns.words)
    return all((row[:n] == row[n:]).all() for row in rows)


def _none(p: PlanarComplex | PolyhedralComplex) -> Extremum:
    """The largest difference of equal functions: 0, anywhere."""
    outputs = p._vertex_outputs
    at = outputs.position(0)
    return Extremum(0.0, frozen(np.array([float(x) for x in at])), 0, outputs.region_of(0), Fraction(0), at)


def _largest(p: PlanarComplex | PolyhedralComplex, n: int) -> tuple[Extremum, int]:
    """The largest difference of an output from its counterpart, and the output; exact."""
    found = []
    for k in range(n):
        asked = Functionals.difference(2 * n, np.array([k]), np.array([n + k]))
        found += [(largest(p, Functionals(sign * asked.a, asked.b)), k) for sign in (1.0, -1.0)]
    # The first of several: max keeps it.
    return max(found, key=lambda pair: pair[0].exact_value)


def _distances(p: PlanarComplex, n: int) -> tuple[FloatArray, FloatArray]:
    """L1 and L2 distances of the first n outputs from the others, (n,) each."""
    values = p._vertex_outputs.values
    vertices, exponents = scaled_to_range(p.vertices, p.domain)
    # Powers of two keep squares and areas within float64's range.
    unit, area = int(np.frexp(np.abs(values).max())[1]) + 1, int(exponents.sum())
    difference = np.ldexp(values[:, :n], -unit) - np.ldexp(values[:, n:], -unit)
    corners = Cells(np.concatenate([vertices, difference], axis=1)[p.face_vertices], p.face_offsets)
    squares = _fans(corners, square=True)
    total = np.empty(n)
    for k in range(n):
        own = Cells(corners.points[:, [0, 1, 2 + k]], corners.offsets)
        low, high = (join.reduceat(own.points[:, 2], own.offsets[:-1]) for join in (np.minimum, np.maximum))
        cut = (low < 0) & (high > 0)
        # Where d has one sign |d| is affine, too.
        whole, mixed = own.chosen(~cut), own.chosen(cut)
        whole.points[:, 2] = np.abs(whole.points[:, 2])
        parts = [whole, *(positive_part(mixed, sign * mixed.points[:, 2]) for sign in (1.0, -1.0))]
        total[k] = sum(abs(float(_fans(part).sum())) for part in parts)
    with np.errstate(over="ignore"):
        return np.ldexp(total, unit + area), np.ldexp(np.sqrt(np.ldexp(squares, area % 2)), unit + area // 2)


def _fans(cells: Cells, square: bool = False) -> FloatArray:
    """Integrals over all cells of the carried functions, or of their squares, (m,)."""
    owners, following = cells.owners(), cells.following()
    x, v = cells.points[:, :2], cells.points[:, 2:]
    if not len(x):
        return np.zeros(v.shape[1])
    start = cells.offsets[:-1][owners]
    local = x - x[start]
    area = (local[:, 0] * local[following, 1] - local[following, 0] * local[:, 1]) / 2
    a, b, c = v[start], v, v[following]
    mean = (a * a + b * b + c * c + a * b + b * c + c * a) / 6 if square else (a + b + c) / 3
    return np.asarray(area @ mean)


# ---- classes


def class_disagreement(p: PlanarComplex) -> float:
    """Area on which the classes of the first half of a partition's outputs and of the second half differ, float64."""
    outputs = p._vertex_outputs
    scores = [_scores(p.network.n_outputs, side) for side in (0, 1)]
    n = len(scores[0])
    winners, simple = [], np.ones(p.n_regions, dtype=bool)
    starts = p.face_offsets[:-1]
    for own in scores:
        values = outputs.values @ own.T
        # The class is certain where all others are farther behind than both scores' errors.
        ranked = np.sort(values, axis=1)
        certain = ranked[:, -1] - ranked[:, -2] > 2.001 * outputs.errors + 2.0**-50 * np.abs(ranked).max(axis=1)
        best = np.argmax(values, axis=1)[p.face_vertices]
        low, high = np.minimum.reduceat(best, starts), np.maximum.reduceat(best, starts)
        simple &= (low == high) & np.logical_and.reduceat(certain[p.face_vertices], starts)
        winners.append(low)
    scaled, exponent = p.scaled_areas
    # Areas of thin regions are those of their exact corners.
    areas = scaled if exponent else p.areas
    differ = float(areas[simple & (winners[0] != winners[1])].sum())
    mixed = np.flatnonzero(~simple)
    if not len(mixed):
        return float(np.ldexp(differ, exponent))
    cells = _carrying(p, mixed, np.concatenate([outputs.values @ own.T for own in scores], axis=1))
    ties = [_ties(p, own, mixed) for own in scores]
    agree = 0.0
    for k in range(n):
        # Each cut keeps the places of all cells, empty ones too.
        part = cells
        for side in (0, 1):
            part = _won(part, 2 + side * n, n, k, ties[side])
        agree += float(part.areas().sum())
    return float(np.ldexp(max(differ + float(cells.areas().sum()) - agree, 0.0), exponent))


def _scores(n_outputs: int, side: int) -> FloatArray:
    """What is compared for the class, as functionals of all outputs, (classes, out): one output is compared with 0."""
    n = n_outputs // 2
    own = np.eye(n_outputs)[side * n : (side + 1) * n]
    return own if n > 1 else np.concatenate([np.zeros((1, n_outputs)), own])


def _carrying(p: PlanarComplex, faces: IntArray, values: FloatArray) -> Cells:
    """Some faces as cells that carry values at the vertices along."""
    chosen = np.zeros(p.n_regions, dtype=bool)
    chosen[faces] = True
    corners = p.face_vertices[chosen[row_ids(p.face_offsets)]]
    offsets = np.concatenate([[0], np.cumsum(np.diff(p.face_offsets)[faces])]).astype(np.int64)
    vertices = scaled_to_range(p.vertices, p.domain)[0]
    return Cells(np.concatenate([vertices[corners], values[corners]], axis=1), offsets)


def _ties(p: PlanarComplex, scores: FloatArray, faces: IntArray) -> BoolArray:
    """Which scores tie all over which of the faces, exactly, (faces, classes, classes)."""
    n = len(scores)
    ties = np.zeros((len(faces), n, n), dtype=bool)
    for i, j in combinations(range(n), 2):
        signs = p._vertex_outputs.signs(Functionals((scores[i] - scores[j])[None], np.zeros(1)))[:, 0]
        flat = np.logical_and.reduceat((signs == 0)[p.face_vertices], p.face_offsets[:-1])[faces]
        ties[:, i, j] = ties[:, j, i] = flat
    return ties


def _won(cells: Cells, column: int, n: int, k: int, ties: BoolArray) -> Cells:
    """The part of each cell where score k, in the columns carried from `column` on, is the first of the largest."""
    for j in range(n):
        if j != k:
            ahead = cells.points[:, column + k] - cells.points[:, column + j]
            tied = ties[:, k, j][cells.owners()]
            cells = positive_part(cells, np.where(tied, 1.0 if k < j else -1.0, ahead))
    return cells


# ---- counts


def _own_regions(p: PlanarComplex | PolyhedralComplex, a: Network, b: Network) -> tuple[int, int]:
    """Numbers of distinct patterns of a's neurons, and of b's: a region is convex, so it has one pattern to itself."""
    depth = max(len(a.widths), len(b.widths))
    widths = [np.pad(network.widths, (0, depth - len(network.widths))) for network in (a, b)]
    # Layer by layer a's neurons, then b's (`network.joint_network`).
    of_a = np.repeat(np.tile([True, False], depth), np.stack(widths, axis=1).astype(np.int64).ravel())
    counts = []
    for own in (of_a, ~of_a):
        kept = Patterns.pack(own[None], p.network.widths).words
        counts.append(len(np.unique(Patterns(p.patterns.words & kept, p.network.widths).keys())))
    return counts[0], counts[1]
