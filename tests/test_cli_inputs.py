"""The command line on planes and segments through inputs of many-input models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from tests.networks import random_network
from tests.test_cli import run

NETWORK = random_network((6, 5), 0, n_inputs=4, n_outputs=2)
A, B, C = np.random.default_rng(1).normal(size=(3, 4)) * 2


@pytest.fixture
def model(tmp_path: Path) -> str:
    content = {f"W{k}": layer.weight for k, layer in enumerate(NETWORK.layers)}
    content |= {f"b{k}": layer.bias for k, layer in enumerate(NETWORK.layers)}
    np.savez(tmp_path / "four.npz", **content)
    return str(tmp_path / "four.npz")


def test_planes(model: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "abc.npz", a=A, b=B, c=C)
    np.save(tmp_path / "abc.npy", np.stack([A, B, C]))
    plane = gr.Slice.through(A, B, C)
    for name in ("abc.npz", "abc.npy"):
        done = run("count", model, "--slice", tmp_path / name, "--json")
        assert json.loads(done.stdout)["regions"] == gr.partition(NETWORK, plane).n_regions
    done = run("count", model, "--slice", tmp_path / "abc.npz", "--box", "0", "1", "--json")
    assert json.loads(done.stdout)["regions"] == gr.count_regions(NETWORK, plane.with_domain(gr.Box(0, 1)))
    np.savez(tmp_path / "frame.npz", origin=A, basis=np.eye(4)[:2])
    done = run("partition", model, "--slice", tmp_path / "frame.npz", "--box", "-2", "2", "-o", tmp_path / "p.npz")
    assert done.exit_code == 0
    loaded = gr.load(tmp_path / "p.npz")
    assert loaded.domain == gr.Slice(A, np.eye(4)[:2], gr.Box(-2, 2))
    assert run("plot", model, "--slice", tmp_path / "abc.npz", "-o", tmp_path / "p.svg").exit_code == 0
    assert run("check", model, "--slice", tmp_path / "abc.npz", "--n", "11", "--exact").exit_code == 0


def test_answers_on_planes(model: str, tmp_path: Path) -> None:
    path = tmp_path / "abc.npz"
    np.savez(path, a=A, b=B, c=C)
    p = gr.partition(NETWORK, gr.Slice.through(A, B, C))
    found = json.loads(run("boundary", model, "--slice", path, "--json").stdout)
    assert (found["regions"], found["pieces"]) == (p.n_regions, p.decision_boundary().n_pieces)
    found = json.loads(run("stats", model, "--slice", path, "--json").stdout)
    assert found["lipschitz"]["2"]["constant"] == p.lipschitz().constant
    found = json.loads(run("compare", model, model, "--slice", path, "--json").stdout)
    assert found["equal"]
    assert found["refinement_cells"] == p.n_regions
    top = p.maximum().value
    for margin, status in ((1e-9, 0), (-1e-9, 1)):
        done = run("verify", model, "--property", f"y0 <= {top + margin}", "--slice", path, "--json")
        found = json.loads(done.stdout)
        assert done.exit_code == status
        assert found["holds"] == (status == 0)
    # The witness is an input of the model, beside its place on the plane.
    assert len(found["witness"]) == 2
    assert NETWORK(np.array([found["input"]]))[0, 0] > top - 1e-9
    done = run("verify", model, "--vnnlib", tmp_path / "x.vnnlib", "--slice", path)
    assert done.exit_code == 2
    assert "--slice" in done.stderr


@pytest.mark.parametrize("command", ["check", "count", "stats"])
def test_a_model_of_many_inputs_without_a_plane(tmp_path: Path, command: str) -> None:
    np.savez(tmp_path / "many.npz", W0=np.eye(13), b0=np.zeros(13), W1=np.ones((1, 13)), b1=np.zeros(1))
    done = run(command, tmp_path / "many.npz")
    assert done.exit_code == 2
    assert "takes 13 inputs" in done.stderr
    assert "--slice" in done.stderr
    assert "--ends" in done.stderr


def test_images_of_a_model_with_open_axes(tmp_path: Path) -> None:
    """The plane tells the shape that the file leaves open."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(*pair) for pair in (("x", 1, ["n", 1, "h", "w"]), ("y", 1, None)))
    kernel = helper.make_tensor("k", TensorProto.FLOAT, [2, 1, 2, 2], [1, -1, 2, 0, -1, 0, 1, 2])
    nodes = [("Conv", ["x", "k"], "c"), ("Relu", ["c"], "r"), ("GlobalAveragePool", ["r"], "y")]
    graph = helper.make_graph([helper.make_node(op, i, [o]) for op, i, o in nodes], "g", [x], [y], [kernel])
    onnx.save(helper.make_model(graph), tmp_path / "open.onnx")
    images = np.random.default_rng(0).normal(size=(3, 1, 3, 4))
    np.save(tmp_path / "abc.npy", images)
    np.save(tmp_path / "ab.npy", images[:2])
    expected = gr.count_regions(onnx.load(tmp_path / "open.onnx"), gr.Slice.through(*images))
    assert expected > 3
    done = run("count", tmp_path / "open.onnx", "--slice", tmp_path / "abc.npy", "--json")
    assert json.loads(done.stdout)["regions"] == expected
    assert run("segment", tmp_path / "open.onnx", "--ends", tmp_path / "ab.npy").exit_code == 0


def test_segments(model: str, tmp_path: Path) -> None:
    np.save(tmp_path / "ab.npy", np.stack([A, B]))
    p = gr.partition(NETWORK, gr.Segment(A, B))
    done = run("segment", model, "--ends", tmp_path / "ab.npy", "--json", "-o", tmp_path / "x.png")
    found = json.loads(done.stdout)
    assert found["breakpoints"] == p.breakpoints.tolist()
    assert found["output_range"] == p.output_range().tolist()
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    done = run("segment", model, "--ends", tmp_path / "ab.npy")
    assert ["pieces", str(p.n_regions)] in [line.split() for line in done.stdout.splitlines()]


def damaged(path: Path) -> None:
    np.savez(path, a=A, b=B, c=C)
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (lambda path: None, ("no such file", "a, b")),
        (damaged, ("expected arrays",)),
        (lambda path: path.write_text("a,b,c"), ("expected arrays",)),
        (lambda path: np.savez(path, x=A), ("got x", "expected arrays")),
        (lambda path: np.savez(path, origin=A, basis=np.eye(4)[:2]), ("--box",)),
        (lambda path: np.savez(path, a=A, b=B, c=A), ("one line",)),
        (lambda path: np.savez(path, a=A[:2], b=B[:2], c=C[:2]), ("takes 4",)),
        (lambda path: np.savez(path, a=np.array([None]), b=B, c=C), ("expected arrays",)),
    ],
)
def test_bad_planes(model: str, tmp_path: Path, write: Callable[[Path], Any], parts: tuple[str, ...]) -> None:
    path = tmp_path / "plane.npz"
    write(path)
    done = run("count", model, "--slice", path)
    assert done.exit_code == 2
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("ends", "parts"),
    [
        (np.stack([A, A]), ("equal",)),
        (np.stack([A, B, C]), ("2 inputs",)),
        (np.stack([A, B])[:, :3], ("takes 4",)),
        (np.stack([A, B * np.nan]), ("nan",)),
    ],
)
def test_bad_ends(model: str, tmp_path: Path, ends: np.ndarray, parts: tuple[str, ...]) -> None:
    np.save(tmp_path / "ends.npy", ends)
    done = run("segment", model, "--ends", tmp_path / "ends.npy", "-o", tmp_path / "x.svg")
    assert done.exit_code == 2
    assert not (tmp_path / "x.svg").exists()
    for part in parts:
        assert part in done.stderr
