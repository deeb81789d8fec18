"""Two trained networks beside each other: their regions and maps, sampled and exact, and what relates them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.analysis.cells import Cells, cells_of
from geomrelu.analysis.comparison import class_disagreement
from geomrelu.analysis.regression import MapRegression, fit_maps, map_rows
from geomrelu.arrays import FloatArray
from geomrelu.domain import Box
from geomrelu.errors import InputError
from geomrelu.experiments.training import Progress, TrainingHistory, train
from geomrelu.network import Network

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.sampling import Samples

__all__ = ["DEFAULT_SEEDS", "DIRECTIONS", "WAYS", "Pair", "Regions", "compare", "decision_agreement", "find_pair"]

#: The study's domain, grid and tolerance.
DOMAIN = Box(-1, 1)
GRID = 101
TOLERANCE = 1e-3
DECIMALS = 5

DIRECTIONS = ("1->2", "2->1")
WAYS = ("sampled", "corners", "exact")

#: What `find_pair` finds at the study's widths: (similar pair, dissimilar pair).
DEFAULT_SEEDS: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {
    2: ((2, 6), (3, 7)),
    20: ((1, 5), (4, 5)),
    100: ((5, 7), (3, 4)),
}


@dataclass(frozen=True, eq=False)
class Regions:
    """One trained network with its regions, exact and sampled.

    Attributes
    ----------
    history : TrainingHistory
    partition : PlanarComplex
    samples : Samples
        A 101 x 101 grid over [-1, 1]^2 and the four corners, the corners last.
    """

    history: TrainingHistory
    partition: PlanarComplex = field(repr=False)
    samples: Samples = field(repr=False)

    @classmethod
    def of(cls, history: TrainingHistory) -> Regions:
        """Partition and sample a trained network."""
        import geomrelu as gr

        network = history.network
        return cls(history, gr.partition(network, DOMAIN), gr.sample(network, DOMAIN, n=GRID, tol=TOLERANCE))

    @cached_property
    def cells(self) -> Cells:
        """The exact regions as rings."""
        return cells_of(self.partition)

    @cached_property
    def maps(self) -> FloatArray:
        """The regions' maps, (F, 3)."""
        return map_rows(self.partition.affine_maps.A, self.partition.affine_maps.b)

    @cached_property
    def sampled_maps(self) -> FloatArray:
        """The samples' maps, rounded to 5 decimals as in the original study, (N, 3)."""
        rows = map_rows(self.samples.gradients, self.samples.intercepts)
        return np.asarray(np.round(rows, DECIMALS) + 0.0)

    @cached_property
    def n_regions_met(self) -> int:
        """Exact regions in which at least one sample lies."""
        return len(np.unique(self.partition.locate(self.samples.points)))

    def to_dict(self) -> dict[str, Any]:
        """Counts and training, as plain JSON values."""
        h, p = self.history, self.partition
        return {
            "seed": h.seed,
            "attempts": h.attempts,
            "loss": h.loss,
            "accuracy": h.accuracy,
            "exact_regions": int(p.n_regions),
            "linear_regions": int(p.n_linear_regions),
            "affine_pieces": int(p.n_affine_pieces),
            "sampled_maps": int(self.samples.n_maps),
            "regions_met_by_samples": self.n_regions_met,
        }


@dataclass(frozen=True, eq=False)
class Pair:
    """Two networks and the common refinement of their partitions.

    Attributes
    ----------
    kind : str
        ``"similar"``, ``"dissimilar"`` or ``"given"``.
    first, second : Regions
        Networks 1 and 2.
    refinement : PlanarComplex
        Partition of the joint network; output 0 is network 1, output 1 network 2.
    regressions : dict of (direction, way) -> MapRegression
        Direction ``"1->2"`` or ``"2->1"``; way ``"sampled"`` (all samples), ``"corners"`` (the four
        corners' samples) or ``"exact"`` (cells of the refinement, weighted by area).
    agreement : float
        Share of the domain's area on which both networks decide alike.
    """

    kind: str
    first: Regions
    second: Regions
    refinement: PlanarComplex = field(repr=False)
    regressions: dict[tuple[str, str], MapRegression] = field(repr=False)
    agreement: float

    @property
    def width(self) -> int:
        """Hidden neurons of either network."""
        return self.first.history.width

    @cached_property
    def refined_maps(self) -> tuple[FloatArray, FloatArray]:
        """Both networks' maps on the refinement's cells, (F, 3) each."""
        return _refined_maps(self.refinement)

    def ends(self, direction: str) -> tuple[Regions, Regions]:
        """The network that is predicted from, and the one that is predicted."""
        return (self.first, self.second) if direction == "1->2" else (self.second, self.first)

    def rows(self, direction: str, way: str) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Source rows, target rows (N, 3) and weights (N,) or None, as the regression takes them."""
        if way == "exact":
            one, two = self.refined_maps
            weights: FloatArray | None = self.refinement.areas
        else:
            rows = slice(-4, None) if way == "corners" else slice(None)
            one, two = self.first.sampled_maps[rows], self.second.sampled_maps[rows]
            weights = None
        return (one, two, weights) if direction == "1->2" else (two, one, weights)

    def scores(self) -> list[dict[str, Any]]:
        """Every regression's R^2: on its own rows, on all samples, and on the exact cells weighted by area."""
        return [
            {
                "direction": direction,
                "way": way,
                "rows": fit.n_rows,
                "score": fit.score,
                "score_on_samples": fit.score_on(*self.rows(direction, "sampled")),
                "score_on_exact_cells": fit.score_on(*self.rows(direction, "exact")),
                "coefficients": fit.coefficients.tolist(),
                "intercepts": fit.intercepts.tolist(),
            }
            for (direction, way), fit in self.regressions.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything but arrays and pictures, as plain JSON values."""
        return {
            "width": self.width,
            "kind": self.kind,
            "networks": [self.first.to_dict(), self.second.to_dict()],
            "refinement_cells": int(self.refinement.n_regions),
            "decision_agreement": self.agreement,
            "scores": self.scores(),
        }


def compare(first: TrainingHistory, second: TrainingHistory, kind: str = "given") -> Pair:
    """Partition and sample two trained networks, refine, and regress their maps both ways.

    Examples
    --------
    >>> h = train(3, seed=0)
    >>> pair = compare(h, h)
    >>> round(pair.regressions["1->2", "exact"].score, 9), round(pair.agreement, 9)
    (1.0, 1.0)
    """
    import geomrelu as gr

    one, two = Regions.of(first), Regions.of(second)
    refinement = gr.partition(gr.joint(first.network, second.network), DOMAIN)
    pair = Pair(kind, one, two, refinement, {}, _agreement(refinement))
    for direction in DIRECTIONS:
        for way in WAYS:
            pair.regressions[direction, way] = fit_maps(*pair.rows(direction, way))
    return pair


def decision_agreement(a: Network, b: Network) -> float:
    """Share of [-1, 1]^2, by area, on which two networks with one output are positive or not together.

    Measured on the exact common refinement; areas are float64 roundings.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0]], [[1.0]]], [[0.0], [0.0]])
    >>> g = Network([[[0.0, 1.0]], [[1.0]]], [[0.0], [0.0]])
    >>> round(decision_agreement(f, f), 9), round(decision_agreement(f, g), 9)
    (1.0, 0.5)
    """
    import geomrelu as gr

    return _agreement(gr.partition(gr.joint(a, b), DOMAIN))


def find_pair(
    width: int, similar: bool = True, candidates: int = 8, progress: Progress | None = None
) -> tuple[int, int]:
    """Seeds of the two networks that decide most alike, or least alike.

    Networks are trained from the seeds 0 .. candidates - 1, and every two of them are compared by `decision_agreement`:
    a measure that does not know of the regression, so that the regression's scores are a finding.

    Examples
    --------
    >>> find_pair(2, similar=True, candidates=3)
    (0, 1)
    """
    if candidates < 2:
        raise InputError(f"find_pair: got candidates={candidates}; expected at least two networks to choose from")
    networks = []
    for seed in range(candidates):
        if progress is not None:
            progress(f"looking for a pair of width {width}: training seed {seed}", 0.5 * seed / candidates)
        networks.append(train(width, seed).network)
    pairs = list(combinations(range(candidates), 2))
    agreements = []
    for k, (a, b) in enumerate(pairs):
        if progress is not None:
            progress(f"looking for a pair of width {width}: comparing {a} and {b}", 0.5 + 0.5 * k / len(pairs))
        agreements.append(decision_agreement(networks[a], networks[b]))
    return pairs[int(np.argmax(agreements) if similar else np.argmin(agreements))]


def _agreement(refinement: PlanarComplex) -> float:
    return float(np.clip(1 - class_disagreement(refinement) / refinement.areas.sum(), 0.0, 1.0))


def _refined_maps(refinement: PlanarComplex) -> tuple[FloatArray, FloatArray]:
    maps = refinement.affine_maps
    return map_rows(maps.A, maps.b, 0), map_rows(maps.A, maps.b, 1)
