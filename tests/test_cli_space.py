"""Commands on models with other than two inputs: the numbers of the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import geomrelu as gr
from tests.networks import integer_network, random_network
from tests.test_cli_measures import run, written

F = random_network((6, 4), 1, n_inputs=3, n_outputs=2)
G = random_network((3, 2), 2, n_inputs=4, n_outputs=3)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return written(tmp_path / "three.npz", F)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return written(tmp_path / "four.npz", G)


def cube(d: int, low: float = -1.0, high: float = 1.0) -> Any:
    return gr.Box([low] * d, [high] * d)


def told(*arguments: object) -> Any:
    done = run(*arguments, "--json")
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_count(three: Path, four: Path) -> None:
    p = gr.partition(F, cube(3))
    found = told("count", three)
    assert (found["regions"], found["vertices"], found["edges"]) == (p.n_regions, p.n_vertices, p.n_edges)
    assert (found["facets"], found["linear_regions"]) == (p.n_facets, p.n_linear_regions)
    assert found["domain"] == [[-1.0] * 3, [1.0] * 3]
    q = gr.partition(G, cube(4, 0.0, 2.0))
    assert told("count", four, "--box", 0, 2)["regions"] == q.n_regions
    named = told("count", four, "--box", 0, 2, "--definition", "all")
    assert named["activation"] == q.n_regions
    assert named["affine"] == q.n_affine_pieces
    assert "facets" in run("count", three).stdout


def test_stats(three: Path) -> None:
    p = gr.partition(F, cube(3))
    found = told("stats", three)
    assert found["shapes"]["volume"]["largest"] == p.volumes.max()
    assert found["shapes"]["facets"]["smallest"] >= 4
    assert found["lipschitz"]["2"] == {"constant": p.lipschitz().constant, "region": p.lipschitz().region}
    assert found["mean"] == p.mean().tolist()
    assert "creases" not in found
    assert "volume" in run("stats", three).stdout


def test_verify(three: Path) -> None:
    top = gr.partition(F, cube(3)).maximum(0).value
    assert told("verify", three, "--property", f"y0 <= {top + 0.01}")["holds"]
    broken = run("verify", three, "--property", f"y0 <= {top - 0.01}", "--json")
    assert broken.exit_code == 1
    found = json.loads(broken.stdout)
    assert F([found["witness"]])[0].tolist() == found["outputs"]
    assert found["outputs"][0] > top - 0.01
    assert "violated" in run("verify", three, "--property", f"y0 <= {top - 0.01}").stdout


def test_boundary(three: Path, four: Path, tmp_path: Path) -> None:
    p = gr.partition(F, cube(3))
    found = told("boundary", three)
    own = p.decision_boundary()
    assert (found["pieces"], found["area"]) == (own.n_pieces, own.measure)
    assert found["class_volumes"] == p.class_regions().volumes.tolist()
    level = told("boundary", three, "--level", 0.25, "--output", 1)
    assert (level["pieces"], level["area"]) == (p.level_set(0.25, 1).n_polygons, p.level_set(0.25, 1).area)
    assert told("boundary", four)["pieces"] == gr.partition(G, cube(4)).decision_boundary().n_pieces
    assert "volume of class 1" in run("boundary", three).stdout
    degenerate = written(tmp_path / "integer.npz", integer_network((3, 2), 3, 1, bias=False, n_inputs=4))
    assert told("boundary", degenerate)["measure"] is None
    assert "unknown" in run("boundary", degenerate).stdout


def test_check(three: Path, four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told("check", three)
    assert (found["ok"], found["invariants"]) == (True, "ok")
    assert found["crosscheck"]["n_exact"] == gr.partition(F, cube(3)).n_regions
    assert found["crosscheck"]["n_samples"] == 22**3 + 2**3
    assert told("check", four, "--n", 3, "--box", 0, 2)["crosscheck"]["n_samples"] == 3**4 + 2**4
    shown = run("check", three, "--n", 5)
    assert shown.exit_code == 0
    assert "volume / domain's" in shown.stdout
    # One regions' bits taken for another's are told.
    true = gr.partition

    def wrong(*arguments: Any, **options: Any) -> Any:
        p = true(*arguments, **options)
        vars(p)["patterns"] = p.patterns[::-1]
        return p

    monkeypatch.setattr(gr, "partition", wrong)
    assert run("check", three).exit_code == 1


def test_partition(four: Path, tmp_path: Path) -> None:
    out = tmp_path / "regions.npz"
    assert told("partition", four, "-o", out, "--jobs", 2)["regions"] == gr.partition(G, cube(4)).n_regions
    loaded = gr.load(out)
    assert loaded.n_regions == gr.partition(G, cube(4)).n_regions
    loaded.check()


def test_streamed_counts(three: Path) -> None:
    n = gr.partition(F, cube(3)).n_regions
    assert told("count", three, "--stream")["regions"] == n
    assert told("count", three, "--stream", "--jobs", 2, "--definition", "proper_activation")["proper_activation"] == n
    assert told("count", three, "--jobs", 2)["regions"] == n


def test_compare(three: Path, tmp_path: Path) -> None:
    g = random_network((5,), 4, n_inputs=3, n_outputs=2)
    other = written(tmp_path / "g.npz", g)
    found, own = told("compare", three, other), gr.compare(F, g, cube(3))
    assert (found["largest"], found["class_area"], found["l1"]) == (own.largest, own.class_area, own.l1.tolist())
    assert found["regions"] == list(own.n_regions)
    assert "volume where classes differ" in run("compare", three, other).stdout


def test_bad_input(three: Path, four: Path, tmp_path: Path) -> None:
    many = written(tmp_path / "many.npz", random_network((3,), 0, n_inputs=13))
    for arguments, words in (
        (("count", many), "takes 13 inputs, expected 1 to 12"),
        (("count", three, "--low", 0, 0, "--high", 1, 1), "--box LOW HIGH, the cube"),
        (("count", three, "--stream", "--definition", "affine"), "proper_activation, only"),
        (("count", three, "--stream", "--resume", tmp_path / "x.journal"), "in the plane only"),
        (("boundary", three, "-o", tmp_path / "x.geojson"), "leave it out"),
        (("boundary", four, "--level", 0), "4 dimensions"),
        (("verify", three, "--property", "y9 > 0"), "y9"),
        (("compare", three, four), "takes 4 inputs"),
        (("check", three, "--exact"), "that proof is of the plane"),
        (("check", three, "--n", 1), "--n"),
        (("partition", three, "-o", tmp_path / "x.geojson"), "write an .npz file"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
