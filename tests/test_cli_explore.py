"""``geomrelu explore``: the numbers of the library, and one line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu.cli import app
from tests.networks import random_network


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["explore", *(str(argument) for argument in arguments)])
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    f = random_network((5, 4), seed=0, n_inputs=3, n_outputs=2)
    arrays = {}
    for k, layer in enumerate(f.layers):
        arrays |= {f"W{k}": layer.weight, f"b{k}": layer.bias}
    np.savez(tmp_path / "model.npz", **arrays)
    np.save(tmp_path / "at.npy", np.array([0.1, 0.2, 0.3]))
    return tmp_path / "model.npz", tmp_path / "at.npy"


def test_json_has_the_library_s_numbers(files: tuple[Path, Path]) -> None:
    model, at = files
    found = json.loads(run(model, "--at", at, "--max-regions", 9, "--norm", 1, "--facets", "--json").stdout)
    e = gr.explore(random_network((5, 4), seed=0, n_inputs=3, n_outputs=2), np.load(at), max_regions=9, norm=1)
    assert (found["regions"], found["radius"], found["distances"]) == (9, e.radius, e.distances.tolist())
    assert e.border is not None
    assert (found["border"]["neuron"], found["border"]["point"]) == (e.border.neuron, e.border.point.tolist())
    assert found["facets"] == e.facets().neuron.tolist()
    assert found["report"]["stopped"] == "max_regions"


def test_table(files: tuple[Path, Path]) -> None:
    done = run(files[0], "--at", files[1], "--max-radius", "0.05")
    assert done.exit_code == 0
    for part in ("regions", "nearest border", "nearest decision boundary", "max_radius"):
        assert part in done.stdout


def test_bad_input(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, at = files
    np.save(tmp_path / "long.npy", np.zeros(4))
    for arguments, parts in [
        ((model, "--at", tmp_path / "none.npy"), ("none.npy", "no such file", "one input")),
        ((model, "--at", model), ("model.npz", "one input")),
        ((model, "--at", tmp_path / "long.npy"), ("4", "3")),
        ((model, "--at", at, "--norm", "3"), ("norm='3'", "inf")),
        ((model, "--at", at, "--max-radius", "-1"), ("max_radius=-1", "above 0")),
        ((model, "--at", at, "--max-radius", "far"), ("--max-radius", "'far'")),
        ((model, "--at", at, "--max-regions", "0"), ("--max-regions", "'0'")),
    ]:
        done = run(*arguments)
        assert done.exit_code == 2
        for part in parts:
            assert part in done.output
