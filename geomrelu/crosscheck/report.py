"""What a cross-check found: reports that know neither path."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CrossCheck", "Failure", "Refinement", "RefinementRow"]


@dataclass(frozen=True)
class Failure:
    """One disagreement between the partition and the samples.

    Attributes
    ----------
    kind : str
        "location" (in no region), "pattern", "map", "value", "vertex" (not on its lines) or "area".
    subject : str
        What `index` counts: "sample", "region" (an interior point of it), "vertex" or "partition".
    index : int
        Which one; -1 for the partition as a whole.
    region : int
        The region concerned, -1 if there is none.
    got : str
        What the sample shows (for areas and vertices: what the rings show).
    expected : str
        What the partition says.
    """

    kind: str
    subject: str
    index: int
    region: int
    got: str
    expected: str

    def __str__(self) -> str:
        where = self.subject if self.index < 0 else f"{self.subject} {self.index}"
        region = f" in region {self.region}" if self.region >= 0 and self.subject != "region" else ""
        return f"{self.kind}: {where}{region}: got {self.got}, expected {self.expected}"


@dataclass(frozen=True, eq=False)
class CrossCheck:
    """Report of `crosscheck`.  Every sample either agrees, is near a border, or fails.

    Attributes
    ----------
    n_samples, n_agree, n_near_border, n_failed : int
        ``n_agree + n_near_border + n_failed == n_samples``.
    near_border : (n_near_border,) int64
        Samples within rounding of a border that contradict nothing.
    near_border_matches : (n_near_border,) bool
        Whether such a sample shows the very pattern of a region it touches; if not, it agrees
        with all regions it touches in the neurons that rounding leaves certain.
    n_exact : int
        Regions of the partition.
    n_affine_pieces : int
        Distinct affine maps of the partition.
    n_sampled_patterns, n_sampled_maps : int
        Distinct patterns among the samples, and distinct maps within `tol`.
    missed_regions : (M,) int64
        Regions that no sample shows, largest first.
    missed_areas : (M,) float64
        Their areas; in more dimensions than two volumes, here and below.
    undecided_regions : (U,) int64
        Regions so thin that rounding leaves signs open at their interior point: checked in
        the other neurons only.
    n_failures : dict
        Number of failures by kind.
    failures : tuple of Failure
        The first 100 of each kind.
    area, domain_area : float
        Sum of the rings' areas, and the domain's area.
    tol : float
        Tolerance for counting distinct sampled maps.
    dimension : int
        Of the domain: 2 in the plane.
    """

    n_samples: int
    n_agree: int
    n_near_border: int
    n_failed: int
    near_border: IntArray = field(repr=False)
    near_border_matches: BoolArray = field(repr=False)
    n_exact: int
    n_affine_pieces: int
    n_sampled_patterns: int
    n_sampled_maps: int
    missed_regions: IntArray = field(repr=False)
    missed_areas: FloatArray = field(repr=False)
    undecided_regions: IntArray = field(repr=False)
    n_failures: dict[str, int]
    failures: tuple[Failure, ...] = field(repr=False)
    area: float
    domain_area: float
    tol: float
    dimension: int = 2

    @property
    def ok(self) -> bool:
        """Whether nothing contradicts the partition."""
        return not self.n_failures

    def to_dict(self) -> dict[str, Any]:
        """The report as plain Python values, ready for JSON."""
        result = {key: v.tolist() if isinstance(v, np.ndarray) else v for key, v in vars(self).items()}
        return {"ok": self.ok, **result, "failures": [asdict(f) for f in self.failures]}

    @property
    def _measure(self) -> str:
        return {1: "length", 2: "area"}.get(self.dimension, "volume")

    def __str__(self) -> str:
        matching = int(self.near_border_matches.sum())
        missed = f"{len(self.missed_regions)} of {self.n_exact}"
        if len(self.missed_regions):
            smallest, largest = float(self.missed_areas.min()), float(self.missed_areas.max())
            missed += f", {self._measure}s {smallest:.3g} to {largest:.3g}"
            # The area of a tiny domain may round to 0, and shares of it mean nothing.
            if self.domain_area > 0:
                missed += f", together {float(self.missed_areas.sum()) / self.domain_area:.3g} of the domain"
        rows = [
            ("samples", f"{self.n_samples}"),
            ("  agree", f"{self.n_agree}"),
            ("  near a border", f"{self.n_near_border}, {matching} with the pattern of a region they touch"),
            ("  fail", f"{self.n_failed}"),
            ("regions (exact)", f"{self.n_exact}, {len(self.undecided_regions)} too thin to decide wholly"),
            ("patterns sampled", f"{self.n_sampled_patterns}"),
            ("regions missed", missed),
            ("affine maps (exact)", f"{self.n_affine_pieces}"),
            (f"maps sampled ({self.tol:g})", f"{self.n_sampled_maps}"),
            (f"{self._measure} / domain's", f"{self.area!r} / {self.domain_area!r}"),
        ]
        lines = [f"cross-check: {'ok' if self.ok else 'FAILED'}"]
        lines += [f"{name:<24}{text}" for name, text in rows]
        if not self.ok:
            lines.append("failures: " + ", ".join(f"{n} {kind}" for kind, n in self.n_failures.items()))
            lines += [f"  {f}" for f in self.failures[:10]]
        return "\n".join(lines)


@dataclass(frozen=True)
class RefinementRow:
    """One grid of `refinement`.

    Attributes
    ----------
    n : int
        Grid points along each axis.
    n_samples : int
        Samples in the domain, its corners included.
    n_patterns, n_maps : int
        Distinct patterns and distinct maps (within the tolerance) among the samples.
    n_regions_seen : int
        Regions whose pattern a sample shows; samples on borders may show patterns of no region.
    share_of_regions, share_of_area : float
        Regions seen, as a share of all regions and of the domain's area (NaN if all areas
        round to 0).
    """

    n: int
    n_samples: int
    n_patterns: int
    n_maps: int
    n_regions_seen: int
    share_of_regions: float
    share_of_area: float


@dataclass(frozen=True)
class Refinement:
    """Sampled counts beside the exact count as the grid refines; see `refinement`."""

    rows: tuple[RefinementRow, ...]
    n_regions: int
    n_affine_pieces: int
    tol: float

    def to_dict(self) -> dict[str, Any]:
        """The table as plain Python values, ready for JSON; an unknown share of area is None."""
        result = asdict(self)
        for row in result["rows"]:
            row["share_of_area"] = None if math.isnan(row["share_of_area"]) else row["share_of_area"]
        return result

    def __str__(self) -> str:
        head = f"{'n':>6} {'samples':>9} {'patterns':>9} {'maps':>9} {'seen':>9} {'of regions':>11} {'of area':>11}"
        lines = [f"exact: {self.n_regions} regions, {self.n_affine_pieces} affine maps", head]
        lines += [
            f"{r.n:>6} {r.n_samples:>9} {r.n_patterns:>9} {r.n_maps:>9} {r.n_regions_seen:>9} "
            f"{100 * r.share_of_regions:>10.2f}% {_percent(r.share_of_area)}"
            for r in self.rows
        ]
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the counts over the grid size, on logarithmic axes, and return the axes."""
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(layout="constrained")[1]
        # Blue and vermilion of Okabe and Ito's palette; markers and dashes differ as well.
        n = [row.n for row in self.rows]
        ax.axhline(self.n_regions, color="0.25", lw=1.2, label=f"exact: {self.n_regions} regions")
        if self.n_affine_pieces != self.n_regions:
            label = f"exact: {self.n_affine_pieces} affine maps"
            ax.axhline(self.n_affine_pieces, color="0.25", lw=1.2, ls=":", label=label)
        ax.plot(n, [row.n_regions_seen for row in self.rows], "o-", color="#0072B2", label="sampled: regions seen")
        label = f"sampled: maps within {self.tol:g}"
        # Hollow and larger: the two counts often coincide.
        style: dict[str, Any] = {"color": "#D55E00", "markersize": 9, "markerfacecolor": "none"}
        ax.plot(n, [row.n_maps for row in self.rows], "s--", label=label, **style)
        ax.set(xscale="log", yscale="log", xlabel="grid points along each axis", ylabel="count")
        ax.legend(frameon=False)
        return ax


def _percent(share: float) -> str:
    return f"{'unknown':>11}" if math.isnan(share) else f"{100 * share:>10.4f}%"
