"""``geomrelu stats`` and ``geomrelu compare``: the numbers of the library, and one line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu.cli import app
from tests.networks import SQUARE, random_network


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in done.output
    return done


def written(path: Path, network: gr.Network) -> Path:
    arrays = {}
    for k, layer in enumerate(network.layers):
        arrays |= {f"W{k}": layer.weight, f"b{k}": layer.bias}
    np.savez(path, **arrays)
    return path


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    a, b = (written(tmp_path / f"{seed}.npz", random_network((6, 4), seed, n_outputs=2)) for seed in (0, 1))
    return a, b


def test_stats(models: tuple[Path, Path]) -> None:
    found = json.loads(run("stats", models[0], "--json").stdout)
    p = gr.partition(random_network((6, 4), 0, n_outputs=2), SQUARE)
    table = p.table()
    assert found["regions"] == p.n_regions
    assert found["on_border"] == table["on_border"].sum()
    for name, row in found["shapes"].items():
        column = table[name]
        assert list(row.values()) == pytest.approx([column.min(), column.median(), column.mean(), column.max()])
    for name, order in (("1", 1), ("2", 2), ("inf", np.inf)):
        constant = p.lipschitz(order)
        assert found["lipschitz"][name] == {"constant": constant.constant, "region": constant.region}
    assert found["mean"] == p.mean().tolist()
    assert found["variance"] == p.variance().tolist()
    assert found["creases"]["edges"] == p.crease().n_creases
    assert found["creases"]["total"] == p.crease().total
    human = run("stats", models[0], "--polygon", "0,0 1,0 0,1")
    assert human.exit_code == 0
    for word in ("area", "inradius", "2-norm", "output 1", "total variation"):
        assert word in human.stdout


def test_compare(models: tuple[Path, Path]) -> None:
    done = run("compare", *models, "--json")
    found = json.loads(done.stdout)
    expected = gr.compare(*(random_network((6, 4), seed, n_outputs=2) for seed in (0, 1)), SQUARE)
    assert found["model"] == [str(path) for path in models]
    assert found["equal"] is False
    assert found["largest"] == expected.largest
    assert found["witness"] == expected.witness.tolist()
    assert found["l1"] == expected.l1.tolist()
    assert found["class_area"] == expected.class_area
    assert found["regions"] == list(expected.n_regions)
    assert found["refinement_cells"] == expected.n_refinement
    assert found["regression"]["b->a"] == [expected.regression("b->a", k).score for k in (0, 1)]
    human = run("compare", *models, "--box", "0", "1")
    assert human.exit_code == 0
    for word in ("equal", "largest difference", "L1 distance", "classes differ", "B->A"):
        assert word in human.stdout


def test_compare_equal_networks(models: tuple[Path, Path], tmp_path: Path) -> None:
    network = random_network((6, 4), 0, n_outputs=2)
    order = np.array([3, 1, 5, 0, 2, 4])
    first, second, out = network.layers
    weights = [first.weight[order], second.weight[:, order], out.weight]
    other = gr.Network(weights, [first.bias[order], second.bias, out.bias])
    path = written(tmp_path / "permuted.npz", other)
    assert json.loads(run("compare", models[0], path, "--json").stdout)["equal"] is True
    assert "yes, exactly" in run("compare", models[0], path).stdout


def test_compare_networks_of_one_cell(tmp_path: Path) -> None:
    a, b = (written(tmp_path / f"{c}.npz", gr.Network([[[1.0, 0.0]]], [[c]])) for c in (0.0, 1.0))
    assert json.loads(run("compare", a, b, "--json").stdout)["regression"] == {"a->b": [None], "b->a": [None]}
    assert run("compare", a, b).exit_code == 0


def test_bad_input(models: tuple[Path, Path], tmp_path: Path) -> None:
    one = written(tmp_path / "one.npz", random_network((3,), 0))
    three = written(tmp_path / "three.npz", random_network((3,), 0, n_inputs=3, n_outputs=2))
    for arguments, words in (
        (("compare", models[0], one), "2 and 1 outputs"),
        (("compare", models[0], three), "three.npz: takes 3 inputs, and"),
        (("compare", three, three, "--low", "0", "0", "--high", "1", "1"), "three.npz: takes 3 inputs; --low"),
        (("compare", models[0], tmp_path / "none.npz"), "no such file"),
        (("stats", tmp_path / "none.npz"), "no such file"),
        (("stats", three, "--polygon", "0,0 1,0 0,1"), "three.npz"),
        (("stats", models[0], "--box", "1", "-1"), "low < high"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
