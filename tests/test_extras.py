"""Each package of each extra, when it is missing: the error names it and says what to install."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import MissingDependencyError
from geomrelu.importers.files import read_model

NETWORK = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
# Extras for working on this project, not with it.
OWN = {"bench", "bench-polyhedral", "dev", "docs"}


def extras() -> dict[str, list[str]]:
    """Packages of each extra, read without a TOML library: Python 3.10 has none."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    found = re.findall(r"^([\w-]+) = \[(.*)\]$", table, re.MULTILINE)
    return {name: re.findall(r'"([\w-]+)', packages) for name, packages in found if name not in OWN}


def flat() -> Any:
    return gr.partition(NETWORK, gr.Box(-1, 1))


def read(suffix: str) -> Callable[[Path], Any]:
    def call(folder: Path) -> Any:
        (folder / f"model{suffix}").write_bytes(b"not empty")
        return read_model(folder / f"model{suffix}")

    return call


def on_a_cluster(folder: Path) -> Any:
    import joblib

    with joblib.parallel_config("dask"):
        return gr.count_regions(NETWORK, gr.Box(-1, 1))


def surface(folder: Path) -> Any:
    return gr.partition(gr.Network([np.eye(3), np.ones((1, 3))]), gr.Box([-1] * 3, [1] * 3)).level_set(0.5)


# What needs each package.
NEEDS: dict[str, Callable[[Path], Any]] = {
    "safetensors": read(".safetensors"),
    "skops": read(".skops"),
    "onnx": read(".onnx"),
    "networkx": lambda folder: flat().dual_graph("networkx"),
    "pandas": lambda folder: flat().table(),
    "geopandas": lambda folder: flat().geo_table(),
    "pyarrow": lambda folder: flat().to_geoparquet(folder / "x.parquet"),
    "trimesh": lambda folder: surface(folder).save(folder / "x.ply"),
    "imageio-ffmpeg": lambda folder: gr.track([NETWORK], gr.Box(-1, 1)).animate(folder / "x.mp4"),
    "dask": on_a_cluster,
}


@pytest.mark.parametrize(
    ("extra", "package"), [(extra, package) for extra, packages in extras().items() for package in packages]
)
def test_a_missing_package_is_named_with_its_extra(
    extra: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "distributed":
        pytest.skip("dask is asked for first")
    if package == "pyarrow":
        pytest.importorskip("geopandas")
    # Programs of the machine do for some packages.
    monkeypatch.setenv("PATH", str(tmp_path))
    name = package.replace("-", "_")
    for module in [name, *(other for other in sys.modules if other.startswith(f"{name}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    # Whatever other tests have loaded: modules of ours that import it load it when they are imported.
    for module in [name for name in sys.modules if name.startswith(f"geomrelu.importers.{package}")]:
        monkeypatch.delitem(sys.modules, module)
    if package == "dask":
        # joblib's own words.
        with pytest.raises(ValueError, match="dask is not installed"):
            NEEDS[package](tmp_path)
        return
    with pytest.raises(MissingDependencyError) as raised:
        NEEDS[package](tmp_path)
    assert package in str(raised.value)
    assert f"pip install 'geomrelu[{extra}]'" in str(raised.value)
    assert not [file.name for file in tmp_path.iterdir() if file.name.startswith("x")]


def test_all_extras_are_here() -> None:
    assert {package for packages in extras().values() for package in packages} - {"distributed"} == set(NEEDS)
