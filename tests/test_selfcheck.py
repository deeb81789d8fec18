"""The importer's proof of itself: it passes where the reading is right, and tells small errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.utils import prune
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu import Layer, Network
from geomrelu.cli import app
from geomrelu.errors import DomainError, InputDimensionError, InputError
from geomrelu.importers import as_network, self_check
from geomrelu.importers.files import load_model
from geomrelu.importers.selfcheck import forward_growth
from tests.onnx_graphs import Case, model_of, node, normal

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.norm(self.conv(x))) + x
        return self.last(self.pool(h).flatten(1))


def residual() -> nn.Module:
    torch.manual_seed(0)
    model = Residual()
    with torch.no_grad():
        model(torch.randn(50, 1, 4, 4))  # so that the normalisation does something
    return model.eval()


def perceptron() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 20), nn.LeakyReLU(0.1), nn.Linear(20, 2))


def classifier() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) * 5 + 1
    return make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=9, random_state=0)).fit(x, x[:, 0] > 1)


def regressor() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    return MLPRegressor(hidden_layer_sizes=(8, 4), max_iter=9, random_state=0).fit(x, x[:, :2])


def exported() -> Any:
    return torch.export.export(residual(), (torch.zeros(1, 1, 4, 4),))


def graph() -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Add", "r x", "a"),
        node("Flatten", "a", "f"),
        node("Gemm", "f v"),
    ]
    return model_of(Case(nodes, [1, 1, 3, 3], {"w": normal(1, 1, 3, 3), "v": normal(9, 3)}))


MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...] | None, set[str]]] = {
    "torch": (perceptron, None, {"torch in float64"}),
    "torch-images": (residual, (1, 4, 4), {"torch in float64"}),
    "torch-export": (exported, None, {"torch in float64"}),
    "sklearn": (regressor, None, {"scikit-learn"}),
    "sklearn-pipeline": (classifier, None, {"scikit-learn"}),
    "onnx": (graph, None, {"onnx's reference in float64", "onnxruntime"}),
}


def nudged(network: Network, layer: int, relative: float) -> Network:
    """The weights of one layer a little wrong."""
    layers = list(network.layers)
    given = layers[layer]
    weight = given.weight if isinstance(given.weight, np.ndarray) else given.weight.toarray()
    weight = weight * (1 + relative * np.random.default_rng(0).normal(size=weight.shape))
    layers[layer] = Layer(weight, given.bias, given.n_neurons, given.relevant)
    return Network.from_layers(layers, network.input_shape)


@pytest.mark.parametrize("name", MODELS)
def test_readings_that_are_right(name: str) -> None:
    make, shape, expected = MODELS[name]
    model = make()
    network = as_network(model, shape)
    check = self_check(model, network, np.ones((2, network.n_inputs)))
    assert check.ok, str(check)
    assert {comparison.original for comparison in check.comparisons} == expected
    # 32 drawn, the corners of the box from -1 to 1, of which at most 32, and the two.
    n = 34 + min(2**network.n_inputs, 32)
    assert all(comparison.points == n for comparison in check.comparisons)
    assert f"equal within rounding at {n} points" in str(check)


@pytest.mark.parametrize("name", MODELS)
def test_a_weight_that_is_a_little_wrong_is_told(name: str) -> None:
    make, shape, _ = MODELS[name]
    model = make()
    network = as_network(model, shape)
    for layer in range(len(network.layers)):
        check = self_check(model, nudged(network, layer, 1e-9))
        assert not check.ok, f"layer {layer}: {check}"
        assert "DIFFERENT" in str(check)
        assert check.to_dict()["comparisons"][0]["ok"] is False


def test_what_must_overflow_in_float32_is_no_difference() -> None:
    """Hidden units beyond 3.4e38 become infinite where they are active: there is nothing to compare, and it is said."""
    pytest.importorskip("onnxruntime")
    weights = {"w": np.array([[1e30, -1e30], [1e30, 1e30]]), "v": np.array([[1e-30, 1e-30]])}
    steps = [node("Gemm", "x w", "u", transB=1), node("Relu", "u", "h"), node("Gemm", "h v", transB=1)]
    model = model_of(Case(steps, ["N", 2], weights))
    points = np.array([[3e9, 1e9], [0.5, 0.25]])
    runtime = {c.original: c for c in self_check(model, points=points).comparisons}["onnxruntime"]
    assert runtime.ok, str(runtime)
    assert runtime.overflowed == 1
    assert runtime.points == 34 + 4 - 1
    assert "overflow at 1 more" in str(runtime)
    wrong = nudged(as_network(model), 0, 1e-4)
    assert not self_check(model, wrong, points=points).ok


NORMALISED = {
    "weight norm": nn.utils.parametrizations.weight_norm,
    "spectral norm": nn.utils.parametrizations.spectral_norm,
    "older weight norm": nn.utils.weight_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 3),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NORMALISED)
def test_weights_that_torch_computes_have_their_own_precision(name: str) -> None:
    """They are float32 numbers: the same computed in float64 are other weights, and no error of the reading."""
    torch.manual_seed(0)
    model = nn.Sequential(NORMALISED[name](nn.Linear(3, 8)), nn.ReLU(), nn.Linear(8, 2)).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for form in (model, torch.export.export(model, (torch.ones(1, 3),))):
        network = as_network(form)
        check = self_check(form, network)
        assert check.ok, str(check)
        assert not self_check(form, nudged(network, 0, 1e-9)).ok
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model[0].bias.dtype == torch.float32


@pytest.mark.parametrize("whiten", [False, True])
def test_pipelines_fitted_to_float32(whiten: bool) -> None:
    x, y = load_digits(return_X_y=True)
    model = make_pipeline(PCA(5, whiten=whiten), MLPClassifier((4,), max_iter=2, random_state=0))
    model.fit(x[:100].astype(np.float32), y[:100])
    network = as_network(model)
    assert self_check(model, network).ok
    assert not self_check(model, nudged(network, 1, 1e-9)).ok


def test_float32_runtimes_tell_errors_of_float32() -> None:
    model = graph()
    check = self_check(model, nudged(as_network(model), 0, 1e-3))
    assert [comparison.ok for comparison in check.comparisons] == [False, False]


def test_outputs_of_another_number_are_told() -> None:
    model = perceptron()
    layers = as_network(model).layers
    fewer = Network.from_layers([*layers[:-1], Layer(layers[-1].weight[:1], layers[-1].bias[:1], 0)])
    assert not self_check(model, fewer).ok


def test_the_points_that_are_given_count() -> None:
    """A network that is wrong only far away is wrong at a point there."""
    model = nn.Linear(1, 1).double()
    far = Network([[[1.0], [1.0]], [[0.0, 1e-3]]], [[0.0, -1000.0], [0.0]])
    wrong = gr.joint(as_network(model), far)
    total = Network.from_layers([*wrong.layers, Layer(np.ones((1, 2)), np.zeros(1), 0)])
    assert self_check(model, total).ok
    assert not self_check(model, total, [[1001.0]]).ok
    with pytest.raises(InputDimensionError, match=r"points: got shape \(1, 2\), expected \(N, 1\)"):
        self_check(model, total, [[1.0, 2.0]])


def total_with(model: nn.Module, other: Network) -> Network:
    """The model's outputs and the other network's single one, added up."""
    both = gr.joint(as_network(model), other)
    return Network.from_layers([*both.layers, Layer(np.ones((1, 2)), np.zeros(1), 0)])


def test_the_domains_corners_count() -> None:
    """A network that is wrong only near a corner is wrong there: of a box, a polygon, a plane."""
    model = nn.Linear(2, 1).double()
    corner = total_with(model, Network([[[1.0, 1.0]], [[1.0]]], [[-99.5], [0.0]]))
    assert self_check(model, corner).ok
    assert self_check(model, corner, domain=gr.Box(-49, 49)).ok
    assert not self_check(model, corner, domain=gr.Box(-50, 50)).ok
    assert not self_check(model, corner, domain=gr.Polygon([[0, 0], [50, 50], [0, 1]])).ok
    third = nn.Linear(3, 1).double()
    wrong = total_with(third, Network([[[1.0, 1.0, 1.0]], [[1.0]]], [[-98.0], [0.0]]))
    plane = gr.Slice.axes(0, 2, at=[0.0, 49.5, 0.0], domain=gr.Box(-1, 24))
    assert self_check(third, wrong, domain=plane).ok
    assert not self_check(third, wrong, domain=plane.with_domain(gr.Box(-1, 25))).ok
    assert not self_check(third, wrong, domain=gr.Box([-1] * 3, [40] * 3)).ok


def test_the_unit_boxs_corners_are_compared_by_default() -> None:
    """Five inputs have 32 corners; of more, some are drawn, the same in every run."""
    for n in (2, 5):
        model = nn.Linear(n, 1).double()
        # Wrong within 1e-4 of the corner (1, ..., 1) only: no drawn point is there.
        weights = [np.vstack([np.ones((1, n)), np.eye(n)]), np.concatenate([[1.0], -np.full(n, 4.0 * n)])[None]]
        bump = Network(weights, [np.concatenate([[1e-4 - n], -np.ones(n)]), [0.0]])
        check = self_check(model, total_with(model, bump))
        assert not check.ok
        assert check.comparisons[0].points == 32 + 2**n
    model = nn.Linear(40, 1).double()
    assert self_check(model).comparisons[0].points == 64
    assert self_check(model).to_dict() == self_check(model).to_dict()


def test_domains_that_do_not_fit() -> None:
    model = nn.Linear(3, 1).double()
    with pytest.raises(InputDimensionError, match="a space of 2 inputs, and the network takes 3"):
        self_check(model, domain=gr.Box(-1, 1))
    with pytest.raises(InputDimensionError, match="a space of 2 inputs"):
        self_check(model, domain=gr.Polygon([[0, 0], [1, 0], [0, 1]]))
    with pytest.raises(InputDimensionError, match="a space of 4 inputs"):
        self_check(model, domain=gr.Slice.axes(0, 1, at=np.zeros(4), domain=gr.Box(-1, 1)))
    with pytest.raises(DomainError, match=r"type Segment; expected a gr\.Box, gr\.Polygon or gr\.Slice"):
        self_check(model, domain=gr.Segment([0, 0, 0], [1, 1, 1]))  # type: ignore[arg-type]


def test_models_are_left_as_they_are() -> None:
    model = perceptron()
    before = [p.clone() for p in model.parameters()]
    state = torch.get_rng_state()
    self_check(model)
    assert all(p.dtype == torch.float32 and torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_of_many_outputs_those_that_differ_are_judged() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 3000))
    network = as_network(model)
    assert self_check(model, network).ok
    last = network.output
    weight = last.weight.copy()
    weight[1234] *= 1 + 1e-9
    assert not self_check(model, Network.from_layers([*network.hidden, Layer(weight, last.bias, 0)])).ok


def test_models_that_cannot_run_are_told() -> None:
    class Single(nn.Module):
        def forward(self, x: Any) -> Any:
            if isinstance(x, torch.Tensor):
                raise RuntimeError("no batches of one point")
            return torch.nn.functional.linear(x, self.weight)

    model = Single()
    model.weight = torch.ones(2, 2)
    with pytest.raises(InputError, match=r"torch in float64: cannot run the model .*does it run on one input"):
        self_check(model)


def test_weights_that_are_neither_parameters_nor_buffers() -> None:
    class Plain(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.weight)

    model = Plain()
    model.weight = torch.rand(2, 2)  # module.double() leaves it in float32
    assert self_check(model).ok


def test_networks_have_nothing_to_be_compared_with() -> None:
    check = self_check(Network([np.eye(2)]))
    assert check.comparisons == ()
    assert "taken as they stand" in str(check)


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_and_is_near(seed: int) -> None:
    """Float32 forward passes differ from float64 ones by less than the bound, not by far less than it."""
    rng = np.random.default_rng(seed)
    widths = [4, 30, 30, 30, 2]
    weights = [rng.normal(size=(m, n)).astype(np.float32) for n, m in pairwise(widths)]
    biases = [rng.normal(size=m).astype(np.float32) for m in widths[1:]]
    points = rng.normal(size=(200, 4)).astype(np.float32)
    h = points
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        h = h @ w.T + b
        h = np.maximum(h, 0) if k < 3 else h
    assert h.dtype == np.float32
    network, same = Network(weights, biases), points.astype(np.float64)
    errors = np.abs(network(same) - h) / (forward_growth(network, same, np.arange(2)) * 2.0**-24)
    assert errors.max() <= 1
    assert errors.max() > 1e-3


# ---- geomrelu info


def info(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["info", *map(str, arguments)])
    assert "Traceback" not in done.output
    return done


def test_info_of_an_onnx_file(tmp_path: Path) -> None:
    onnx.save(graph(), tmp_path / "model.onnx")
    done = info(tmp_path / "model.onnx")
    assert done.exit_code == 0
    for text in (
        "9 (1 x 3 x 3)",
        "Conv_to_c (Conv, node 1 of 5)",
        "1 x 1 x 3 x 3",
        "onnxruntime: equal within rounding",
    ):
        assert text in done.stdout
    facts = json.loads(info(tmp_path / "model.onnx", "--json").stdout)
    assert facts["kind"].startswith("ONNX, operators of version 17")
    assert (facts["inputs"], facts["outputs"], facts["neurons"], facts["parameters"]) == (9, 3, 9, 36)
    assert facts["input_shape"] == [1, 3, 3]
    assert [step["shape"] for step in facts["steps"]] == [[1, 1, 3, 3]] * 3 + [[1, 9], [1, 3]]
    assert facts["layers"][0]["neurons"] == 9
    assert facts["check"]["ok"] is True
    assert len(facts["check"]["comparisons"]) == 2


def test_other_commands_read_onnx_and_nnet_files(tmp_path: Path) -> None:
    """f(x) = 2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1 in three formats has three regions."""
    first, second = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[2.0, -4.0]])
    np.savez(tmp_path / "three.npz", W0=first, b0=np.array([1.0, 0.0]), W1=second, b1=np.array([-1.0]))
    nodes = [node("Gemm", "x w b", "h", transB=1), node("Relu", "h", "r"), node("Gemm", "r v c", transB=1)]
    constants = {"w": first, "b": np.array([1.0, 0.0]), "v": second, "c": np.array([-1.0])}
    onnx.save(model_of(Case(nodes, ["N", 2], constants)), tmp_path / "three.onnx")
    lines = ["2,2,1,2", "2,2,1", "0", "-2,-2", "2,2", "0,0,0", "2,2,1", "1,1", "1,1", "1", "0", "2,-4", "-1"]
    (tmp_path / "three.nnet").write_text(",\n".join(lines) + ",\n")
    for name in ("three.npz", "three.onnx", "three.nnet"):
        done = CliRunner().invoke(app, ["count", str(tmp_path / name), "--json"])
        assert json.loads(done.stdout)["regions"] == 3
    # In its own units, twice as large, both lines are still in the box.
    box = ["--box", "-2", "2", "--normalise", "--json"]
    done = CliRunner().invoke(app, ["count", str(tmp_path / "three.nnet"), *box])
    assert json.loads(done.stdout)["regions"] == 3
    assert json.loads(done.stdout)["network"]["neurons"] == 2


def test_info_of_a_torch_export_file(tmp_path: Path) -> None:
    torch.export.save(exported(), tmp_path / "model.pt2")
    facts = json.loads(info(tmp_path / "model.pt2", "--json").stdout)
    assert facts["check"]["comparisons"][0]["original"] == "torch's operators in float64"
    assert facts["check"]["ok"] is True
    assert facts["steps"][0] == {"name": "conv (Conv2d)", "shape": [1, 2, 4, 4]}
    assert facts["input_shape"] == [1, 4, 4]


def test_info_of_a_deep_model_is_short(tmp_path: Path) -> None:
    arrays = {f"{c}{k}": np.eye(2) if c == "W" else np.zeros(2) for k in range(60) for c in "Wb"}
    np.savez(tmp_path / "deep.npz", **arrays)
    short, full = info(tmp_path / "deep.npz"), info(tmp_path / "deep.npz", "--full")
    assert "... 36 more (--full shows them)" in short.stdout
    assert len(full.stdout.splitlines()) - len(short.stdout.splitlines()) == 35
    assert "taken as they stand" in short.stdout


def test_info_compares_at_points(tmp_path: Path) -> None:
    onnx.save(graph(), tmp_path / "model.onnx")
    np.save(tmp_path / "points.npy", np.ones((3, 9)))
    facts = json.loads(info(tmp_path / "model.onnx", "--points", tmp_path / "points.npy", "--json").stdout)
    assert facts["check"]["comparisons"][0]["points"] == 67
    np.save(tmp_path / "points.npy", np.ones((3, 2)))
    done = info(tmp_path / "model.onnx", "--points", tmp_path / "points.npy")
    assert done.exit_code == 2
    assert "expected (N, 9)" in done.stderr
    (tmp_path / "points.npy").write_text("no numbers")
    assert info(tmp_path / "model.onnx", "--points", tmp_path / "points.npy").exit_code == 2


def test_info_compares_at_a_domains_corners(tmp_path: Path) -> None:
    onnx.save(graph(), tmp_path / "model.onnx")
    np.savez(tmp_path / "plane.npz", a=np.zeros(9), b=np.eye(9)[0], c=np.eye(9)[1])
    for options, points in (
        (["--box", "0", "255"], 64),
        (["--slice", tmp_path / "plane.npz"], 36),
        (["--slice", tmp_path / "plane.npz", "--polygon", "0,0 1,0 0,1"], 35),
    ):
        facts = json.loads(info(tmp_path / "model.onnx", *options, "--json").stdout)
        assert facts["check"]["comparisons"][0]["points"] == points
    done = info(tmp_path / "model.onnx", "--low", "0", "0", "--high", "1", "1")
    assert done.exit_code == 2
    assert "a space of 2 inputs, and the network takes 9" in done.stderr
    done = info(tmp_path / "model.onnx", "--box", "0", "1", "--polygon", "0,0 1,0 0,1")
    assert done.exit_code == 2
    assert "got --box and --polygon; expected one of them" in done.stderr


def test_info_of_open_shapes(tmp_path: Path) -> None:
    onnx.save(model_of(Case([node("Relu", "x")], ["N", "height", 2])), tmp_path / "open.onnx")
    done = info(tmp_path / "open.onnx")
    assert done.exit_code == 2
    assert "input_shape" in done.stderr
    assert "6 (3 x 2)" in info(tmp_path / "open.onnx", "--input-shape", "3,2").stdout
    assert info(tmp_path / "open.onnx", "--input-shape", "3,x").exit_code == 2


def test_info_tells_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(graph(), tmp_path / "model.onnx")
    monkeypatch.setattr("geomrelu.importers.as_network", lambda model, shape=None: nudged(as_network(model), 0, 1e-6))
    done = info(tmp_path / "model.onnx")
    assert done.exit_code == 1
    assert "DIFFERENT" in done.stdout


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real networks at {DATA}")
def test_info_of_acas_xu() -> None:
    path = DATA / "acasxu" / "ACASXU_run2a_1_1_batch_2000.nnet"
    facts = json.loads(info(path, "--normalise", "--json").stdout)
    assert facts["kind"] == ".nnet network, inputs and outputs in its own units"
    assert (facts["neurons"], facts["parameters"]) == (300, 13305)
    assert facts["check"]["ok"] is True
    assert as_network(load_model(path)).n_parameters == 13305
