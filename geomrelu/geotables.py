"""Regions as a table with polygons: geopandas in memory, GeoParquet in files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from geomrelu.analysis.table import region_columns
from geomrelu.errors import MissingDependencyError
from geomrelu.files import atomic_path, check_suffix
from geomrelu.io import PatternText, check_pattern_text, pattern_texts

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["geo_table", "to_geoparquet"]

PathLike: TypeAlias = "str | os.PathLike[str]"
_MISSING = "is not installed; pip install 'geomrelu[geo]'"


def geo_table(p: PlanarComplex, *, pattern: PatternText = "hex") -> GeoDataFrame:
    """The regions as a geopandas GeoDataFrame: `PlanarComplex.table`, patterns and polygons.

    Without a coordinate reference system: coordinates are the network's inputs, not places on earth.

    Parameters
    ----------
    p : PlanarComplex
    pattern : {"bits", "hex", "none"}
        As in `geomrelu.io.to_geojson`.

    Returns
    -------
    geopandas.GeoDataFrame
        One row for each region, in their order, index ``region``; the polygons are float64 as in the
        partition, with every corner that a neighbour has.

    Raises
    ------
    MissingDependencyError
        If geopandas is not installed.
    InputError
        If there is no such way to write patterns.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0, 0.0]], [[2.0]]]), gr.Box(-1, 1))
    >>> geo_table(p)[["pattern", "area", "a0_x"]]
           pattern  area  a0_x
    region
    0            0   2.0   0.0
    1            8   2.0   2.0
    """
    check_pattern_text(pattern, "geo_table")
    try:
        import geopandas
    except ImportError as error:
        raise MissingDependencyError(f"geo_table: geopandas {_MISSING}") from error
    columns = region_columns(p)
    texts = pattern_texts(p.patterns, pattern)
    if texts is not None:
        columns["pattern"] = np.array(texts, dtype=object)
    frame = geopandas.GeoDataFrame(columns, geometry=list(p.polygons))
    frame.index.name = "region"
    return frame


def to_geoparquet(p: PlanarComplex, path: PathLike, *, pattern: PatternText = "hex") -> None:
    """Write `geo_table` as GeoParquet: small, quick to read, and every float64 comes back the same.

    ``geopandas.read_parquet`` opens it, as do QGIS, DuckDB and others; any reader of Parquet sees the columns.

    Parameters
    ----------
    p : PlanarComplex
    path : path-like
        Ends in ``.parquet`` or ``.geoparquet``.
    pattern : {"bits", "hex", "none"}
        As in `geomrelu.io.to_geojson`.

    Raises
    ------
    MissingDependencyError
        If geopandas or pyarrow is not installed.
    OutputPathError
        If the file cannot be written, or its suffix is another format's; no partial file is left.
    """
    check_suffix(path, "to_geoparquet", (".parquet", ".geoparquet"))
    try:
        import pyarrow.parquet  # noqa: F401 - geopandas' own message would not name the extra
    except ImportError as error:
        raise MissingDependencyError(f"to_geoparquet: pyarrow {_MISSING}") from error
    frame = geo_table(p, pattern=pattern)
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary)
