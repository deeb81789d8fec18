"""The walk: regions in order of their distance from x0.

The distance of a region, and of a facet, is that of its nearest point.  A queue holds what may come next, by a lower
bound on its distance: facets of regions met so far (with bounds on their distance, `facets.decide`), and, for each
region, the nearest of its rows that is not decided yet, by the distance of its whole zero set.  The first of the
queue is decided if it is a row, and crossed if it is a facet.

*Complete.*  Regions are the closed n-dimensional sets on which the pattern around points inside is one; a region is
*nearer than c* if its inside meets the open ball B of radius c around x0 (in any norm, cut by the domain: B is
convex, and has an inside).  Regions that meet in less than a facet, at a corner that x0 may even be, need no links of
their own: any two regions R and S nearer than c are joined by a chain of regions, each sharing with the next a facet
that has points in B.  For take a and b in B, in the insides of R and of S.  The cells of dimension n - 2 and less are
finitely many, and with a they span affine sets of dimension n - 1 at most; so b can be moved, by as little as one
likes, until the segment from a to b meets none of these cells.  It lies in B, which is convex, and passes from region
to region through the relative insides of facets alone, each at a point of B.  Nothing is asked of the network: zero
sets may coincide, many may meet in a point, neurons may be zero on whole regions, x0 may lie on any of them.  What
touches the ball without its inside meeting it, such as a region at exactly `max_radius`, may be in the list or not.

*Order.*  By the same chain, from x0's region to R: none of its facets is farther than c, for every c larger than R's
distance, and there are finitely many chains without repetitions; so there is one none of whose facets is farther than
R.  The first of its facets that has not been crossed is in the queue, or its row is, with a bound not above R's
distance.  So when the first of the queue has the bound c, every region nearer than c has been met, and a region that
is met through a facet is as far as this facet, but for the width of the bounds.  The same holds for the decision
boundary, whose parts in the regions are decided like facets. (The argument is that of M. Jordan, J. Lewis,
A. Dimakis, "Provable Certificates for Adversarial Examples: Fitting a Ball in the Union of Polytopes", 2019.)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray
from geomrelu.exploration.facets import DOUBT, FACET, Target, Verdict, decide, output_target, pattern_beyond, row_target
from geomrelu.exploration.forms import Forms, Functional, RegionRows
from geomrelu.exploration.nearest import Multipliers
from geomrelu.exploration.pages import PAGE, page_bounds
from geomrelu.exploration.start import start_bits, top_two

__all__ = ["Boundary", "Walk"]


class Boundary(NamedTuple):
    """The nearest place at which the largest output changes."""

    lower: float
    upper: float
    point: FloatArray
    region: int
    classes: tuple[int, int]


class _Facet(NamedTuple):
    region: int
    row: int
    verdict: Verdict
    bits: BoolArray  # beyond


class _Cursor(NamedTuple):
    region: int
    place: int  # in the region's list of rows by distance
    fresh: bool = True  # whether the row at the place has not been looked at yet


class _Tie(NamedTuple):
    region: int
    other: int
    verdict: Verdict


class Walk:
    """A walk from x0, step by step."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.bits: list[BoolArray] = []
        self.bounds: list[tuple[float, float]] = []  # of regions' distances
        self.parents: list[tuple[int, int]] = []  # region and neuron through which each was met
        self.arcs: list[tuple[int, int, int, float, float]] = []  # regions, neuron, bounds of crossed facets
        self.boundary: Boundary | None = None
        self.border: tuple[Verdict, int] | None = None  # the nearest facet of the first region
        self.doubts: list[float] = []  # lower bounds of what could not be decided
        self.counts = {"rows": 0, "facets": 0}
        self._numbers: dict[bytes, int] = {}
        self._queue: list[tuple[float, int, Any]] = []
        self._ticket = 0
        self._lists: list[tuple[FloatArray, IntArray, BoolArray] | None] = []
        self._linked: set[tuple[bytes, bytes]] = set()
        self._hints: dict[int, Multipliers] = {}
        self._regions: list[tuple[RegionRows, list[Functional]]] = []
        bits, self.zeros = start_bits(forms)
        _, outputs = forms.region(bits)
        self.leader, tied = top_two(forms, outputs, bits)
        if tied:
            others = [k for k in range(max(len(outputs), 2)) if k != self.leader]
            values = np.array([p.value for p in outputs] + [0.0] * (len(outputs) == 1))
            second = max(others, key=lambda k: float(values[k]))
            self.boundary = Boundary(0.0, 0.0, forms.x0, 0, (self.leader, second))

    # ------------------------------------------------------------------ the loop

    def run(self, max_regions: int, max_radius: float, watch: Callable[[int, float], None]) -> str:
        """Walk on; returns what ended it, "max_regions" or "max_radius"."""
        if not self.bits:
            bits, _ = start_bits(self.forms)
            self._meet(bits, (0.0, 0.0), (-1, -1), max_radius)
        while self._queue:
            lower, _, item = self._queue[0]
            if lower > max_radius:
                break
            if self.border is None and isinstance(item, _Facet) and item.region == 0:
                self.border = item.verdict, int(item.verdict.group[0])
            if isinstance(item, _Facet) and self._is_new(item) and len(self.bits) >= max_regions:
                return "max_regions"
            heapq.heappop(self._queue)
            try:
                self._step(lower, item, max_radius)
            except KeyboardInterrupt:
                self._push(lower, item)
                raise
            watch(len(self.bits), lower)
        return "max_radius"

    @property
    def reached(self) -> float:
        """Every region nearer than this has been met: rigorous."""
        first = self._queue[0][0] if self._queue else np.inf
        return min([first, *self.doubts])

    def _step(self, lower: float, item: Any, limit: float) -> None:
        if isinstance(item, _Cursor):
            self._advance(lower, item, limit)
        elif isinstance(item, _Tie):
            if self.boundary is None:
                point = self.forms.x0 + item.verdict.z
                classes = (self.leader, item.other)
                least = min([item.verdict.lower, *self.doubts])
                self.boundary = Boundary(least, item.verdict.upper, point, item.region, classes)
        else:
            self._cross(item, limit)

    def _is_new(self, item: _Facet) -> bool:
        return item.bits.tobytes() not in self._numbers

    def _cross(self, item: _Facet, limit: float) -> None:
        key = item.bits.tobytes()
        bounds = (item.verdict.lower, item.verdict.upper)
        if key not in self._numbers:
            # Behind a facet that could not be proven there may be a shorter way.
            least = min([max(item.verdict.lower, self.bounds[item.region][0]), *self.doubts])
            self._meet(item.bits, (least, item.verdict.upper), (item.region, item.row), limit)
        number = self._numbers[key]
        self.arcs.append((item.region, number, int(item.verdict.group[0]), *bounds))

    def _meet(self, bits: BoolArray, bounds: tuple[float, float], parent: tuple[int, int], limit: float) -> None:
        number = len(self.bits)
        rows, outputs = self.forms.region(bits)
        distance, numbers = self._listed(rows, outputs, bounds[0], limit)
        self.bits.append(bits)
        self.bounds.append(bounds)
        self.parents.append(parent)
        self._lists.append((distance, numbers, np.zeros(len(numbers), dtype=bool)))
        self._numbers[bits.tobytes()] = number
        self._regions.append((rows, outputs))
        if len(numbers):
            self._push(float(distance[0]), _Cursor(number, 0))

    def _listed(
        self, rows: RegionRows, outputs: list[Functional], least: float, limit: float
    ) -> tuple[FloatArray, IntArray]:
        """Rows of neurons, and then outputs, from number `n_rows` on, by the distances of their zero sets."""
        n, m = self.forms.network.n_neurons, self.forms.n_rows
        numbers = np.flatnonzero(rows.cuts[:n])
        with np.errstate(divide="ignore", invalid="ignore"):
            plane = (np.abs(rows.value[:n]) - rows.error[:n]) / (rows.size[:n] + rows.blur[:n])
        found = plane[numbers]
        if self.boundary is None:
            others = [k for k in range(max(len(outputs), 2)) if k != self.leader]
            ties = [self._margin(rows, outputs, k).form for k in others]
            numbers = np.append(numbers, m + np.array(others))
            found = np.append(found, [(abs(f.value) - f.error) / (f.size + f.blur + 1e-300) for f in ties])
        distance = np.maximum(found * (1 - 2.0**-50), least)
        order = np.argsort(distance, kind="stable")
        order = order[distance[order] <= limit]
        return distance[order], numbers[order]

    def _turn_page(self, region: int, place: int) -> None:
        """Raise the bounds of the next rows of a region, by these and some of those before, and put them in order."""
        listed = self._lists[region]
        if listed is None:
            return
        distance, numbers, raised = listed
        start, end = max(0, place - PAGE // 2), min(len(numbers), place + PAGE)
        page = start + np.flatnonzero(numbers[start:end] < self.forms.n_rows)
        raised[place:end] = True
        if len(page) > 1:
            few = np.arange(self.forms.network.n_neurons, self.forms.n_rows)
            chosen = np.append(numbers[page], few if len(few) <= PAGE // 2 else few[:0])
            bound = page_bounds(self.forms, self.rows(region)[0], chosen)[: len(page)]
            distance[page] = np.where(page >= place, np.maximum(bound, distance[page]), distance[page])
            order = place + np.argsort(distance[place:], kind="stable")
            for each in listed:
                each[place:] = each[order]

    def _margin(self, rows: RegionRows, outputs: list[Functional], other: int) -> Target:
        """How much the leading output exceeds another one; of a single output, how far it is from 0."""
        if len(outputs) == 1:
            return output_target(self.forms, rows, outputs, ((0, 1 if self.leader == 0 else -1),))
        return output_target(self.forms, rows, outputs, ((self.leader, 1), (other, -1)))

    def _advance(self, lower: float, item: _Cursor, limit: float) -> None:
        own = self._lists[item.region]
        assert own is not None
        distance, numbers, raised = own
        place = item.place
        if not item.fresh:
            self._ask(item.region, int(numbers[place]), limit)
            place += 1
        if place == len(numbers):
            self._lists[item.region] = None
            return
        if not raised[place]:
            # Rows are bounded once more, together, before they are asked about one by one.
            self._turn_page(item.region, place)
        self._push(max(lower, float(distance[place])), _Cursor(item.region, place, fresh=False))

    def _ask(self, region: int, number: int, limit: float) -> None:
        """Decide one row, or one tie of outputs, of a region."""
        m = self.forms.n_rows
        least = self.bounds[region][0]
        if number >= m:
            if self.boundary is None:
                rows, outputs = self.rows(region)
                verdict = self._decided(rows, self._margin(rows, outputs, number - m), number, limit)
                self._note(verdict, least, _Tie(region, number - m, verdict))
            return
        beyond = self.bits[region].copy()
        beyond[number] ^= True
        if _link(self.bits[region], beyond) in self._linked:
            return  # found from the other side
        rows, _ = self.rows(region)
        verdict = self._decided(rows, row_target(self.forms, rows, number), number, limit)
        self.counts["rows"] += 1
        if verdict.kind == FACET:
            self.counts["facets"] += 1
            if int(verdict.group[0]) != number:
                return  # one row stands for the group
            beyond = pattern_beyond(self.forms, rows, verdict)
            link = _link(self.bits[region], beyond)
            if link in self._linked:
                return
            self._linked.add(link)
            self._note(verdict, least, _Facet(region, number, verdict, beyond))
        else:
            self._note(verdict, least, None)

    def _decided(self, rows: RegionRows, target: Target, number: int, limit: float) -> Verdict:
        verdict = decide(self.forms, rows, target, limit, self._hints.get(number))
        self._hints[number] = verdict.hint
        return verdict

    def _note(self, verdict: Verdict, least: float, item: Any) -> None:
        if verdict.kind == FACET:
            self._push(max(verdict.lower, least), item)
        elif verdict.kind == DOUBT:
            self.doubts.append(max(verdict.lower, least))

    def _push(self, key: float, item: Any) -> None:
        self._ticket += 1
        heapq.heappush(self._queue, (key, self._ticket, item))

    def rows(self, region: int) -> tuple[RegionRows, list[Functional]]:
        """A region's rows and outputs."""
        return self._regions[region]


def _link(a: BoolArray, b: BoolArray) -> tuple[bytes, bytes]:
    """Two regions share one facet at most."""
    p, q = a.tobytes(), b.tobytes()
    return (p, q) if p < q else (q, p)
