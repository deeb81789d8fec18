"""``geomrelu view``, and the formats of ``plot`` and ``partition`` that came with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import geomrelu as gr
from tests.networks_for_figures import random_network
from tests.test_cli import run

NETWORK = random_network((6, 5), 2, seed=4)


@pytest.fixture
def model(tmp_path: Path) -> str:
    content = {f"W{k}": layer.weight for k, layer in enumerate(NETWORK.layers)}
    content |= {f"b{k}": layer.bias for k, layer in enumerate(NETWORK.layers)}
    np.savez(tmp_path / "net.npz", **content)
    return str(tmp_path / "net.npz")


def test_view_writes_the_page(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("view", model, "-o", tmp_path / "x.html", "--color", "class", "--json")
    p = gr.partition(NETWORK, gr.Box(-1, 1))
    assert json.loads(done.stdout)["regions"] == p.n_regions
    p.to_html(tmp_path / "own.html", title=f"net.npz: {p.n_regions:,} regions", color="class")
    assert (tmp_path / "x.html").read_text() == (tmp_path / "own.html").read_text()
    monkeypatch.chdir(tmp_path)
    assert run("view", model).exit_code == 0
    assert (tmp_path / "net.html").exists()


def test_view_opens_the_browser_if_asked(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    assert run("view", model, "-o", tmp_path / "x.html").exit_code == 0
    assert opened == []
    assert run("view", model, "-o", tmp_path / "x.html", "--open").exit_code == 0
    assert opened == [(tmp_path / "x.html").resolve().as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    done = run("view", model, "-o", tmp_path / "x.html", "--open")
    assert done.exit_code == 0
    assert "found no browser" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "x.png"), "expected .html or .htm"),
        (("-o", "none/x.html"), "no directory"),
        (("-o", "x.html", "--color", "hue"), "--color: got 'hue'"),
    ],
)
def test_bad_input(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("view", model, *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert [f.name for f in tmp_path.iterdir()] == ["net.npz"]


def test_dark_creases(model: str, tmp_path: Path) -> None:
    done = run("plot", model, "-o", tmp_path / "x.png", "--color", "crease", "--theme", "dark", "--dpi", "60")
    assert done.exit_code == 0
    shown = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"))
    assert shown[0, 0].max() < 40
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 100
    done = run("plot", model, "-o", tmp_path / "y.png", "--theme", "sepia")
    assert (done.exit_code, "--theme" in done.stderr) == (2, True)


def test_geoparquet(model: str, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    assert run("partition", model, "-o", tmp_path / "x.parquet").exit_code == 0
    assert geopandas.read_parquet(tmp_path / "x.parquet").geometry.area.sum() == pytest.approx(4)


# |x| + |y| + |z| - 1: an octahedron, the same in models' files.
OCTAHEDRON = {
    "W0": np.vstack([np.eye(3), -np.eye(3)]),
    "b0": np.zeros(6),
    "W1": np.vstack([np.ones((1, 6)), np.ones((1, 6))]),
    "b1": np.array([-1.0, 0.0]),
}


@pytest.fixture
def shape(tmp_path: Path) -> str:
    np.savez(tmp_path / "shape.npz", **OCTAHEDRON)
    return str(tmp_path / "shape.npz")


def test_a_model_of_three_inputs_is_shown_by_a_level_set(shape: str, tmp_path: Path) -> None:
    done = run("view", shape, "-o", tmp_path / "x.html", "--box", "-2", "2", "--color", "gradient", "--json")
    facts = json.loads(done.stdout)
    assert (facts["polygons"], facts["regions"], facts["closed"], facts["level"]) == (8, 8, True, 0)
    assert facts["domain"] == [[-2.0] * 3, [2.0] * 3]
    p = gr.partition(
        gr.Network([OCTAHEDRON["W0"], OCTAHEDRON["W1"]], [OCTAHEDRON["b0"], OCTAHEDRON["b1"]]),
        gr.Box([-2] * 3, [2] * 3),
    )
    p.level_set(0.0).to_html(tmp_path / "own.html", title="shape.npz: f0 = 0, 8 polygons", color="gradient")
    assert (tmp_path / "x.html").read_text() == (tmp_path / "own.html").read_text()
    done = run("plot", shape, "-o", tmp_path / "x.png", "--level", "0.5", "--output", "1", "--color", "plain")
    assert done.stdout == f"wrote {tmp_path / 'x.png'}: 8 polygons, in 8 regions\n"
    shown = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"), dtype=float)
    assert ((shown[..., 2] - shown[..., 0]) > 30).mean() > 0.02, "the surface is blue"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--level", "7"), "output 0 is nowhere 7"),
        (("--level", "high"), "--level: got 'high'"),
        (("--output", "2"), "the model has 2 output(s)"),
        (("--color", "class"), "expected one of pattern, gradient, area, plain"),
        (("--low", "0", "0", "--high", "1", "1"), "give --box LOW HIGH, the cube"),
    ],
)
def test_bad_input_for_surfaces(shape: str, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = run("plot", shape, "-o", tmp_path / "x.png", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert [f.name for f in tmp_path.iterdir()] == ["shape.npz"]


def test_levels_are_for_three_inputs(model: str, tmp_path: Path) -> None:
    done = run("plot", model, "-o", tmp_path / "x.png", "--level", "0")
    assert done.exit_code == 2
    assert "geomrelu boundary" in done.stderr
    done = run("view", model, "-o", tmp_path / "x.html", "--color", "plain")
    assert (done.exit_code, "--color: got 'plain'" in done.stderr) == (2, True)
