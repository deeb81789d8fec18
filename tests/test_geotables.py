"""GeoParquet and geopandas: what is written comes back bit for bit, and other software reads it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import geomrelu as gr
from geomrelu.errors import InputError, MissingDependencyError, OutputPathError
from tests.networks_for_figures import random_network

geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


@pytest.fixture(scope="module")
def p() -> Any:
    return gr.partition(random_network((9, 7), 2, seed=1), gr.Box([-1, -2], [1, 0.5]))


def test_a_geoparquet_file_gives_the_partition_back(p: Any, tmp_path: Path) -> None:
    p.to_geoparquet(tmp_path / "p.parquet", pattern="bits")
    frame = geopandas.read_parquet(tmp_path / "p.parquet")
    assert frame.crs is None
    assert frame.index.tolist() == list(range(p.n_regions))
    bits = p.patterns.unpack().astype(int)
    for f, polygon in enumerate(frame.geometry):
        np.testing.assert_array_equal(shapely.get_coordinates(polygon)[:-1], p.vertices[p.ring(f)])
        assert frame["pattern"][f] == "".join(map(str, bits[f]))
    np.testing.assert_array_equal(frame["area"], p.areas)
    maps = np.stack([[frame[f"a{k}_x"], frame[f"a{k}_y"]] for k in range(2)]).transpose(2, 0, 1)
    np.testing.assert_array_equal(maps, p.affine_maps.A)
    np.testing.assert_array_equal(np.column_stack([frame["b0"], frame["b1"]]), p.affine_maps.b)
    # Neighbours by geopandas' own spatial join are those of the dual graph.
    pairs = frame[["geometry"]].sjoin(frame[["geometry"]], predicate="touches")
    shared = {(i, j) for i, j in zip(*p.dual_graph().nonzero(), strict=True)}
    touching = set(zip(pairs.index, pairs["region_right"], strict=True))
    assert shared <= touching


def test_any_reader_of_parquet_sees_plain_columns(p: Any, tmp_path: Path) -> None:
    p.to_geoparquet(tmp_path / "p.geoparquet", pattern="none")
    table = parquet.read_table(tmp_path / "p.geoparquet")
    assert table.num_rows == p.n_regions
    assert "pattern" not in table.column_names
    assert b"geo" in table.schema.metadata
    np.testing.assert_array_equal(table["sides"].to_numpy(), p.table()["sides"])


def test_a_geojson_file_opens_in_geopandas(p: Any, tmp_path: Path) -> None:
    p.to_geojson(tmp_path / "p.geojson")
    frame = geopandas.read_file(tmp_path / "p.geojson").set_crs(None, allow_override=True)
    assert len(frame) == p.n_regions
    np.testing.assert_allclose(frame.geometry.area, p.areas, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(frame["area"], p.areas)


def test_bad_paths_and_options_leave_nothing(p: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputPathError, match=r"expected \.parquet or \.geoparquet"):
        p.to_geoparquet(tmp_path / "p.csv")
    with pytest.raises(InputError, match="geo_table: got pattern"):
        p.to_geoparquet(tmp_path / "p.parquet", pattern="octal")
    with pytest.raises(OutputPathError, match="no directory"):
        p.to_geoparquet(tmp_path / "none" / "p.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["geopandas", "pyarrow.parquet"])
def test_what_is_missing_is_named(p: Any, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependencyError, match=rf"{missing.split('.')[0]} is not installed.*geomrelu\[geo\]"):
        p.to_geoparquet(tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []
