"""`Exploration`: the regions around a point, as flat arrays, and what is nearest to it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from geomrelu.affine import AffineMaps, input_maps
from geomrelu.arrays import FloatArray, IntArray, ReadOnly, checked_numbers, frozen
from geomrelu.domain import Box, Polytope
from geomrelu.errors import InputError
from geomrelu.exploration.ball import Ball, largest_ball
from geomrelu.exploration.facets import DOUBT, FACET, decide, row_target
from geomrelu.exploration.forms import Forms, Norm
from geomrelu.network import Network
from geomrelu.patterns import Patterns

__all__ = ["Exploration", "NearestBoundary", "NearestBorder", "RegionFacets"]


class NearestBorder(NamedTuple):
    """The nearest border of the region of x0.

    Attributes
    ----------
    distance, error : float
        The true distance lies within `error` of `distance`: rigorous.
    point : (n,) float64
        About the nearest point of the border.
    neuron : int
        The neuron that is zero there, the first of several.
    """

    distance: float
    error: float
    point: FloatArray
    neuron: int


class NearestBoundary(NamedTuple):
    """The nearest place at which the largest output changes; of one output, its sign.

    Attributes
    ----------
    distance, error : float
        The true distance lies within `error` of `distance`: rigorous.
    point : (n,) float64
        About the nearest point of the decision boundary.
    region : int
        The region in which it lies, or on whose border.
    classes : (int, int)
        The output that is the largest at x0, and the one that ties with it; of one output 0 where it is positive, 1
        where it is not.
    """

    distance: float
    error: float
    point: FloatArray
    region: int
    classes: tuple[int, int]


class RegionFacets(NamedTuple):
    """A region's facets, and the region as the points x with ``A x <= b``; none is redundant.

    Attributes
    ----------
    A : (m, n) float64
    b : (m,) float64
    neuron : (m,) int64
        The neuron of each facet, the first of several; -1 - k for the domain's facet k.
    distances, errors : (m,) float64
        From x0, each within its error: rigorous.
    """

    A: FloatArray
    b: FloatArray
    neuron: IntArray
    distances: FloatArray
    errors: FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class Exploration(ReadOnly):
    """Regions around a point, in order of distance.

    Made by `geomrelu.explore`.  All arrays are read-only.  Which regions there are, their patterns and which of them
    share a facet are exact; distances have rigorous bounds on their errors, and regions are in the order of their
    distances but where these errors overlap.

    Attributes
    ----------
    point : (n,) float64
        x0, flat.
    norm : float
        1, 2 or infinity.
    radius : float
        Every region (of the domain) nearer than this is in the list: rigorous.
    patterns : Patterns
        Activation patterns of the R regions met, bit-packed; the first is that of the region of x0.
    distances, distance_errors : (R,) float64
        From x0 to the nearest point of each region.
    parents, entry_neuron : (R,) int64
        The region from which each was entered, and a neuron that is zero on the facet between them; -1 of the first.
    facet_regions : (M, 2) int64
        Pairs of regions that share a facet nearer than `radius`, each once.
    facet_neuron : (M,) int64
        The neuron that is zero on it, the first of several.
    facet_distances, facet_errors : (M,) float64
        From x0 to the nearest point of each facet.
    border : NearestBorder or None
        The nearest border of the region of x0; None if there is none, ``report["border"]`` says where.
    boundary : NearestBoundary or None
        The nearest decision boundary; None if none was found, ``report["boundary"]`` says where.
    network : Network
    domain : Box, Polytope or None
    report : dict
        ``stopped``: what ended the walk ("max_regions", "max_radius", "complete", "interrupted"); ``partial``: whether
        regions within the limits may be missing; ``border`` and ``boundary``: "found", "none within the radius"
        (proven) or "not reached";
        ``within``: how far from x0 anything was looked for; ``zeros``: rows that are zero at x0 but not around it;
        ``rows``, ``facets``: decisions, and those that found a facet; ``doubts``: decisions that could not be
        proven, which keep `radius` below their distance; ``seconds``.
    """

    point: FloatArray
    norm: float
    radius: float
    patterns: Patterns
    distances: FloatArray
    distance_errors: FloatArray
    parents: IntArray
    entry_neuron: IntArray
    facet_regions: IntArray
    facet_neuron: IntArray
    facet_distances: FloatArray
    facet_errors: FloatArray
    border: NearestBorder | None
    boundary: NearestBoundary | None
    network: Network
    domain: Box | Polytope | None
    report: dict[str, Any]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen(value))

    def __getstate__(self) -> dict[str, Any]:
        # What is derived lazily is derived again.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def n_regions(self) -> int:
        """Number of regions met."""
        return len(self.patterns)

    @cached_property
    def _forms(self) -> Forms:
        return Forms(self.network, self.point, Norm(self.norm), self.domain)

    def facets(self, region: int = 0) -> RegionFacets:
        """A region's facets within ``report["within"]`` of x0, nearest first; which there are is exact.

        Parameters
        ----------
        region : int
            By default the region of x0.

        Raises
        ------
        InputError
            If there is no region of that number, or a facet could not be decided.

        Examples
        --------
        >>> import geomrelu as gr
        >>> f = gr.Network([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 1.0, 1.0]]], [[0.0, 0.0, 4.0], [0.0]])
        >>> found = gr.explore(f, [1.0, 2.0]).facets()
        >>> found.neuron.tolist(), found.distances.round(9).tolist(), found.A.tolist()
        ([0, 1], [1.0, 2.0], [[-1.0, 0.0], [0.0, -1.0]])
        """
        forms, number = self._forms, self._region(region, "facets")
        rows, _ = forms.region(self.patterns[number].unpack()[0])
        n, found = forms.network.n_neurons, []
        for k in np.flatnonzero(rows.cuts).tolist():
            verdict = decide(forms, rows, row_target(forms, rows, k), self.report["within"])
            if verdict.kind == DOUBT:
                raise InputError(
                    f"facets: of {_name(k, n)} it cannot be proven whether it bounds region {number}: the region is "
                    "too thin there for float64; take another region"
                )
            if verdict.kind == FACET and verdict.group[0] == k:
                found.append((verdict.upper, verdict.lower, k))
        found.sort()
        chosen = np.array([k for *_, k in found], dtype=np.int64)
        distances, errors = between(np.array([(low, high) for high, low, _ in found]).reshape(-1, 2))
        gradients, _ = forms.take(rows, chosen)
        offsets = rows.value[chosen] - gradients @ self.point
        neuron = np.where(chosen < n, chosen, n - 1 - chosen)
        table, offsets = frozen(0.0 - gradients), frozen(offsets)
        return RegionFacets(table, offsets, frozen(neuron), frozen(distances), frozen(errors))

    def chebyshev(self, region: int = 0) -> Ball:
        """The largest ball in a region, in the norm of the exploration: one of several if there are.

        Parameters
        ----------
        region : int
            By default the region of x0.

        Returns
        -------
        Ball
            ``center`` (n,) and ``radius``.  The ball lies in the region for certain; that it is the largest is the
            answer of a linear program in floating point.  Where balls of any size fit the radius is infinite and the
            centre NaN.

        Raises
        ------
        InputError
            If there is no region of that number.

        Examples
        --------
        >>> import geomrelu as gr
        >>> f = gr.Network([[[1.0, 0.0]], [[1.0]]])
        >>> ball = gr.explore(f, [0.5, 0.5], domain=gr.Box(-1, 1)).chebyshev()
        >>> round(ball.radius, 9), float(ball.center[0].round(9))
        (0.5, 0.5)
        """
        forms = self._forms
        rows, _ = forms.region(self.patterns[self._region(region, "chebyshev")].unpack()[0])
        return largest_ball(forms, rows)

    def input_maps(self, regions: Any) -> AffineMaps:
        """Output maps x -> A x + b of some regions: ``A`` (k, out, n), ``b`` (k, out), float64.

        Raises
        ------
        InputError, RangeError
            If there is no region of such a number, or a map is too large for float64.
        """
        ids = checked_numbers(regions, self.n_regions, "input_maps")
        return input_maps(self.network, self.patterns[ids])

    def _region(self, region: Any, function: str) -> int:
        whole = isinstance(region, int | np.integer) and not isinstance(region, bool)
        if not whole or not 0 <= region < self.n_regions:
            raise InputError(
                f"{function}: got region {region!r}; expected a whole number from 0 to {self.n_regions - 1}"
            )
        return int(region)

    def __repr__(self) -> str:
        return (
            f"Exploration({self.n_regions} regions, all within {self.radius:.6g}, border {self.report['border']}, "
            f"boundary {self.report['boundary']}; {self.network!r}, norm {self.norm:g})"
        )


def between(bounds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Middles of intervals (k, 2), and how far their ends are at most from there, rounded up."""
    low, high = bounds[:, 0], bounds[:, 1]
    middle = np.minimum(low + 0.5 * (high - low), high)
    reach = np.maximum(middle - low, high - middle)
    return middle, np.where(reach > 0, np.nextafter(reach, np.inf), 0.0)


def _name(row: int, n_neurons: int) -> str:
    return f"neuron {row}" if row < n_neurons else f"facet {row - n_neurons} of the domain"
