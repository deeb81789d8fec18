"""A row for each region: what it looks like and what the network computes there; histograms of the columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.analysis.shapes import eccentricities, inradii, n_sides, on_border, perimeters
from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.errors import InputError, MissingDependencyError
from geomrelu.polyhedral.complex import PolyhedralComplex

if TYPE_CHECKING:
    from pandas import DataFrame

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Histogram", "histogram", "region_columns", "table"]

# Of sizes, which differ by orders of magnitude, histograms have bins of equal ratios.
_SIZES = ("area", "perimeter", "inradius", "volume")


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often a column's values fall between edges.

    Attributes
    ----------
    column : str
    counts : (bins,) int64
        Regions in each bin; the last bin includes its upper edge.
    edges : (bins + 1,) float64
        Of whole-numbered columns n - 1/2 and n + 1/2; of sizes in equal ratios.
    n_left_out : int
        Regions that no bin can hold: sizes that are 0 in float64.
    """

    column: str
    counts: IntArray = field(repr=False)
    edges: FloatArray = field(repr=False)
    n_left_out: int = 0


def region_columns(p: PlanarComplex | PolyhedralComplex) -> dict[str, npt.NDArray[Any]]:
    """Columns of `PlanarComplex.table`, or of `PolyhedralComplex.table`, by name, (F,) each, without pandas."""
    if isinstance(p, PolyhedralComplex):
        return _polytope_columns(p)
    columns: dict[str, npt.NDArray[Any]] = {
        "area": p.areas,
        "centroid_x": p.centroids[:, 0],
        "centroid_y": p.centroids[:, 1],
        "perimeter": perimeters(p),
        "sides": n_sides(p),
        "inradius": inradii(p),
        "eccentricity": eccentricities(p),
        "on_border": on_border(p),
        "active": p.patterns.n_active(),
    }
    maps = p.affine_maps
    for k in range(p.network.n_outputs):
        columns |= {f"a{k}_x": maps.A[:, k, 0], f"a{k}_y": maps.A[:, k, 1], f"b{k}": maps.b[:, k]}
    return columns


def _polytope_columns(p: PolyhedralComplex) -> dict[str, npt.NDArray[Any]]:
    sides, maps = p.facet_regions, p.affine_maps
    border = np.zeros(p.n_regions, dtype=bool)
    border[sides[sides[:, 0] < 0, 1]] = True
    axes = range(p.dimension)
    columns: dict[str, npt.NDArray[Any]] = {"volume": p.volumes}
    columns |= {f"centroid_x{i}": p.centroids[:, i] for i in axes}
    columns |= {
        "vertices": np.diff(p.region_offsets),
        "facets": np.bincount(sides[sides >= 0], minlength=p.n_regions),
        "on_border": border,
        "active": p.patterns.n_active(),
    }
    for k in range(p.network.n_outputs):
        columns |= {f"a{k}_x{i}": maps.A[:, k, i] for i in axes} | {f"b{k}": maps.b[:, k]}
    return columns


def table(p: PlanarComplex | PolyhedralComplex) -> DataFrame:
    """The regions as a pandas DataFrame; see `PlanarComplex.table`."""
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError("table: pandas is not installed; pip install 'geomrelu[pandas]'") from error
    frame = pandas.DataFrame(region_columns(p))
    frame.index.name = "region"
    return frame


def histogram(p: PlanarComplex | PolyhedralComplex, column: str, bins: int = 20) -> Histogram:
    """How a column of the table is distributed; see `PlanarComplex.histogram`."""
    columns = region_columns(p)
    if not isinstance(column, str) or column not in columns:
        raise InputError(f"histogram: got column {column!r}; expected one of {', '.join(columns)}")
    if not isinstance(bins, int | np.integer) or isinstance(bins, bool) or not 1 <= bins <= 1_000_000:
        raise InputError(f"histogram: got bins={bins!r}; expected a whole number, 1 to 1,000,000")
    values = columns[column]
    if values.dtype.kind in "bi":
        whole = values.astype(np.int64)
        first, last = int(whole.min()), int(whole.max())
        return Histogram(
            column, frozen(np.bincount(whole - first)), frozen(np.arange(first, last + 2, dtype=np.float64) - 0.5)
        )
    edges: Any = int(bins)
    kept = values
    if column in _SIZES:
        kept = values[values > 0]
        low, high = (float(kept.min()), float(kept.max())) if len(kept) else (1.0, 1.0)
        # Of equal sizes the bins go from half to twice of them.
        low, high = (low, high) if low < high else (low / 2, high * 2)
        edges = np.geomspace(low, high, int(bins) + 1)
        edges[0], edges[-1] = low, high
    counts, edges = np.histogram(kept, bins=edges)
    ends = np.asarray(edges, dtype=np.float64)
    return Histogram(column, frozen(counts.astype(np.int64)), frozen(ends), len(values) - len(kept))
