"""VNN-LIB files: what they say, ACAS Xu's properties on slices, and what is refused."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu.analysis.properties import verify_unsafe
from geomrelu.analysis.vnnlib import parse_vnnlib, plane_domain, read_vnnlib, regions_of_interest
from geomrelu.cli import app
from geomrelu.errors import FileFormatError, GeomReluError, InputError
from tests.networks import random_network

DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data")) / "acasxu"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no networks at {DATA}")

HEAD = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)\n"
BOX = "(assert (<= X_0 1))(assert (>= X_0 -1))(assert (<= X_1 0.5))(assert (>= X_1 0))\n"


def nnet(path: Path) -> gr.Network:
    """Weights and biases of a .nnet file, for normalised inputs: the function of the .onnx file."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("//")]
    sizes = [int(word) for word in lines[1].split(",") if word]
    rows = iter(lines[7:])
    weights, biases = [], []
    for n in sizes[1:]:
        weights.append(np.array([[float(w) for w in next(rows).split(",") if w.strip()] for _ in range(n)]))
        biases.append(np.array([float(next(rows).split(",")[0]) for _ in range(n)]))
    return gr.Network(weights, biases)


def reaches(found: Any, low: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which rows of outputs lie in an unsafe set of the box that begins at `low`."""
    return np.any(
        [
            (y @ u.A.T <= u.b).all(axis=1)
            for start, u in zip(found.low, found.unsafe, strict=True)
            if (start == low).all()
        ],
        axis=0,
    )


def test_what_a_file_says() -> None:
    found = parse_vnnlib(
        HEAD
        + "; a comment (assert\n"
        + BOX
        + "(assert (or (and (<= Y_0 Y_1) (>= Y_1 3)) (<= (- (* 2 Y_0) Y_1 1) -4.5)))"
    )
    assert (found.n_inputs, found.n_outputs) == (2, 2)
    assert found.low.tolist() == [[-1, 0]] * 2
    assert found.high.tolist() == [[1, 0.5]] * 2
    first, second = found.unsafe
    assert (first.A.tolist(), first.b.tolist()) == ([[1, -1], [0, -1]], [0, -3])
    assert (second.A.tolist(), second.b.tolist()) == ([[2, -1]], [-3.5])
    ((plane, unsafe),) = regions_of_interest(found)
    assert len(unsafe) == 2
    np.testing.assert_array_equal(plane.vertices, gr.Box([-1, 0], [1, 0.5]).vertices)


def test_alternatives_may_have_boxes_of_their_own() -> None:
    text = HEAD + "(assert (<= Y_0 0))(assert (or (and (>= X_0 0)(<= X_0 1)(>= X_1 0)(<= X_1 1)) " \
                  "(and (>= X_0 2)(<= X_0 3)(>= X_1 2)(<= X_1 3))))"  # fmt: skip
    planes = regions_of_interest(parse_vnnlib(text))
    assert [plane.bounds for plane, _ in planes] == [(0, 0, 1, 1), (2, 2, 3, 3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no X_0"),
        (HEAD, "without a lower and an upper bound"),
        (HEAD + "(assert (<= X_0 1)", r"inside '\('"),
        (HEAD + ")", "without"),
        (HEAD + "(assert (< X_0 1))", "closed"),
        (HEAD + "(assert (<= X_2 1))", "declared"),
        (HEAD + "(assert (<= X_0 1e999))", "finite"),
        (HEAD + "(assert (<= X_0 one))", "a number"),
        (HEAD + BOX + "(assert (<= X_0 Y_0))", "bounded by numbers"),
        (HEAD + BOX + "(assert (<= (+ X_0 X_1) 1))", "bounded by numbers"),
        (HEAD + BOX + "(assert (<= (* Y_0 Y_1) 1))", "at most one variable"),
        (HEAD + BOX + "(assert (=> Y_0 1))", "<=, >="),
        (HEAD + BOX + "(assert)", "assert CONDITION"),
        (HEAD + BOX + "(check-sat)", "declare-const"),
        (HEAD + "(declare-const X_0 Real)", "declared twice"),
        (HEAD + "(declare-const Z_0 Real)", "declare-const X_0"),
        (HEAD + "(declare-const X_3 Real)", "no X_2"),
        (HEAD + "word", "declare-const"),
        ("(" * 1000, "nested"),
        (HEAD + BOX + "(assert (or (<= Y_0 0) (<= Y_1 0)))" * 20, "at most 10000"),
    ],
)
def test_bad_files_are_refused(text: str, words: str) -> None:
    with pytest.raises(FileFormatError, match=words):
        parse_vnnlib(text)


def test_boxes_that_are_no_plane_are_refused(tmp_path: Path) -> None:
    low, high = np.zeros(3), np.ones(3)
    with pytest.raises(InputError, match="3 of 3 inputs vary"):
        plane_domain(low, high)
    with pytest.raises(InputError, match="fixed"):
        plane_domain(low, np.array([1, 1, 0.0]), (0, 2))
    with pytest.raises(GeomReluError, match="from 0 to 2"):
        plane_domain(low, high, (0, 3))
    with pytest.raises(InputError, match="low <= high"):
        plane_domain(high, low, (0, 1))
    plane = plane_domain(low, np.array([1, 3.0, 2.0]), (2, 0))
    assert plane.lift([[0.5, 0.25]]).tolist() == [[0.25, 1.5, 0.5]]
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_vnnlib(tmp_path / "none.vnnlib")


@needs_data
@pytest.mark.parametrize("which", ["1_1", "2_3", "4_2"])
def test_acas_xu_properties_that_hold_do_so_on_slices(which: str) -> None:
    """Properties 1, 3 and 4 hold for these networks on the whole box (Katz et al. 2017), so on every slice of it."""
    network = nnet(DATA / f"ACASXU_run2a_{which}_batch_2000.nnet")
    for number, pairs in ((1, [(0, 1), (2, 4)]), (3, [(0, 1), (1, 2), (3, 4)]), (4, [(0, 1), (3, 4)])):
        found = read_vnnlib(DATA / f"prop_{number}.vnnlib")
        for pair in pairs:
            ((plane, unsafe),) = regions_of_interest(found, pair)
            assert verify_unsafe(gr.partition(network, plane), unsafe), (number, pair)


@needs_data
def test_acas_xu_property_2_on_slices_agrees_with_samples() -> None:
    found = read_vnnlib(DATA / "prop_2.vnnlib")
    rng = np.random.default_rng(0)
    answers = set()
    for which in ("1_1", "2_3", "4_2"):
        network = nnet(DATA / f"ACASXU_run2a_{which}_batch_2000.nnet")
        for pair in list(combinations(range(5), 2))[::2]:
            ((plane, unsafe),) = regions_of_interest(found, pair)
            low, high = plane.vertices[0], plane.vertices[2]
            y = network(plane.lift(rng.uniform(low, high, (20_000, 2))))
            result = verify_unsafe(gr.partition(network, plane), unsafe)
            answers.add(result.holds)
            if result.holds:
                assert not reaches(found, found.low[0], y).any()
            else:
                assert ((found.low[0] <= result.input) & (result.input <= found.high[0])).all()
                assert reaches(found, found.low[0], network(result.input[None])).all()
    assert answers == {True, False}


# ---------------------------------------------------------------------- the command line


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = random_network((8, 6), 1, n_outputs=2)
    arrays = {f"{name}{k}": v for k, layer in enumerate(network.layers) for name, v in
              (("W", layer.weight), ("b", layer.bias))}  # fmt: skip
    np.savez(tmp_path / "model.npz", **arrays)
    return tmp_path / "model.npz"


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_verify_command(model: Path, tmp_path: Path) -> None:
    p = gr.partition(random_network((8, 6), 1, n_outputs=2), gr.Box(-1, 1))
    top = p.maximum(0).value
    holds = run("verify", model, "--property", f"y0 <= {top + 1}", "--json")
    assert holds.exit_code == 0
    assert json.loads(holds.stdout)["holds"] is True
    broken = run("verify", model, "--property", f"y0 <= {top - 0.1}", "--json")
    assert broken.exit_code == 1
    facts = json.loads(broken.stdout)
    assert facts["margins"] == [pytest.approx(0.1)]
    assert p.network([facts["witness"]])[0].tolist() == facts["outputs"]
    assert "violated" in run("verify", model, "--property", f"y0 <= {top - 0.1}").stdout

    file = tmp_path / "p.vnnlib"
    file.write_text(HEAD + BOX + f"(assert (>= Y_0 {top + 1}))")
    assert run("verify", model, "--vnnlib", file).exit_code == 0
    low = p.minimum(0).value
    file.write_text(HEAD + BOX + f"(assert (>= Y_0 {low}))")
    assert run("verify", model, "--vnnlib", file, "--json").exit_code == 1


def test_boundary_command(model: Path, tmp_path: Path) -> None:
    p = gr.partition(random_network((8, 6), 1, n_outputs=2), gr.Box(-1, 1))
    boundary = p.decision_boundary()
    facts = json.loads(run("boundary", model, "--json").stdout)
    assert facts["pieces"] == boundary.n_pieces
    assert facts["length"] == pytest.approx(boundary.length)
    assert sum(facts["class_areas"]) == pytest.approx(4)
    level = p.output_range(1).mean()
    out = tmp_path / "level.geojson"
    assert run("boundary", model, "--level", level, "--output", 1, "-o", out).exit_code == 0
    features = json.loads(out.read_text())["features"]
    assert len(features) == p.level_set(level, 1).n_polylines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify",), "one of --property"),
        (("verify", "--property", "y0 > y7"), "only y0|y0 to y1"),
        (("verify", "--property", "y0 > 0", "--inputs", "0", "1"), "--vnnlib"),
        (("verify", "--vnnlib", "none.vnnlib"), "cannot be read"),
        (("verify", "--vnnlib", "none.vnnlib", "--box", "0", "1"), "holds the domain"),
        (("boundary", "--level", "nan"), "finite"),
        (("boundary", "--level", "1", "--output", "2"), "numbered from 0"),
        (("boundary", "--output", "1"), "give both"),
        (("boundary", "-o", "x.png"), "suffix"),
    ],
)
def test_bad_requests_are_one_line(model: Path, words: tuple[str, ...], message: str) -> None:
    import re

    done = run(words[0], model, *words[1:])
    assert done.exit_code == 2
    assert re.search(message, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1


def test_files_about_other_networks_are_refused(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.vnnlib"
    file.write_text(HEAD.replace("(declare-const Y_1 Real)", "") + BOX + "(assert (>= Y_0 0))")
    done = run("verify", model, "--vnnlib", file)
    assert done.exit_code == 2
    assert "about 1 outputs" in done.stderr
