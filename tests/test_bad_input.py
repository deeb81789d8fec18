"""Bad input: each kind has its own typed error that says what was got, what is expected and what to do.

From the command line it is exit status 2 and one line on stderr; no traceback, no file left behind.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import shapely
import skops.io
import torch
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from torch import nn
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu.cli.commands import app
from geomrelu.errors import (
    DomainError,
    FileFormatError,
    GeomReluError,
    InputDimensionError,
    InputError,
    NotPiecewiseLinearError,
    OutputPathError,
    ShapeError,
    UnsupportedLayerError,
    WeightError,
)
from geomrelu.importers.files import read_model
from tests.misuse import Misuse, assert_raises

BOX = gr.Box(-1, 1)
GOOD = {"W0": np.eye(2), "b0": np.zeros(2), "W1": np.ones((1, 2)), "b1": np.zeros(1)}


def model_with(*middle: nn.Module, inputs: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 4), *middle, nn.Linear(4, 1))


def with_weight(value: float) -> nn.Sequential:
    model = model_with(nn.ReLU())
    with torch.no_grad():
        model[0].bias[2] = value
    return model


SIGMOID, SHRINK, GELU = model_with(nn.Sigmoid()), model_with(nn.Hardshrink()), nn.Sequential(model_with(nn.GELU()))

# ---- models and domains, from Python: (name, call, error, parts of the message)

PYTHON: list[Misuse] = [
    ("nan weight", lambda: gr.Network([[[float("nan"), 1.0]]]), WeightError, ("weight 0", "(0, 0)", "nan", "finite")),
    ("inf bias", lambda: gr.Network([[[1.0, 1.0]]], [[np.inf]]), WeightError, ("bias 0", "inf", "finite")),
    ("nan in torch", lambda: gr.partition(with_weight(np.nan), BOX), WeightError, ("0.bias", "(2,)", "nan")),
    ("shapes", lambda: gr.Network([np.ones((3, 2)), np.ones((1, 4))]), ShapeError, ("layer 1 takes 4", "3 units")),
    ("bias shape", lambda: gr.Network([np.ones((3, 2))], [np.ones(2)]), ShapeError, ("bias 0", "(2,)", "(3,)")),
    ("no layers", lambda: gr.Network([]), ShapeError, ("no layers", "expected")),
    (
        "sigmoid",
        lambda: gr.partition(model_with(nn.Sigmoid()), BOX),
        NotPiecewiseLinearError,
        ("1 (Sigmoid)", "leave it off"),
    ),
    (
        "gelu",
        lambda: gr.partition(nn.Sequential(model_with(nn.GELU())), BOX),
        NotPiecewiseLinearError,
        ("0.1 (GELU)", "ReLU"),
    ),
    (
        "shrink",
        lambda: gr.partition(model_with(nn.Hardshrink()), BOX),
        NotPiecewiseLinearError,
        ("1 (Hardshrink)", "jumps", "expected"),
    ),
    ("3 inputs", lambda: gr.partition(model_with(nn.ReLU(), inputs=3), BOX), InputDimensionError, ("3", "2")),
    ("1 input", lambda: gr.partition(model_with(nn.ReLU(), inputs=1), BOX), InputDimensionError, ("1", "2")),
    ("no model", lambda: gr.partition(None, BOX), InputError, ("NoneType", "torch.nn.Module")),
    ("not fitted", lambda: gr.partition(MLPRegressor(), BOX), InputError, ("not fitted", "fit(X, y)")),
    ("no domain", lambda: gr.partition(model_with(), None), DomainError, ("None", "gr.Box")),
    ("empty box", lambda: gr.Box(1, -1), DomainError, ("axis 0", "low < high")),
    ("flat box", lambda: gr.Box([0, 0], [1, 0]), DomainError, ("axis 1", "not empty")),
    ("infinite box", lambda: gr.Box(-np.inf, 1), DomainError, ("inf", "finite")),
    ("nan box", lambda: gr.Box(np.nan, 1), DomainError, ("got nan", "finite", "give a bounded domain")),
    ("3-d box", lambda: gr.partition(model_with(), gr.Box([0] * 3, [1] * 3)), GeomReluError, ("3",)),
    ("flat polygon", lambda: gr.Polygon([[0, 0], [1, 1], [2, 2]]), DomainError, ("no area",)),
    ("two corners", lambda: gr.Polygon([[0, 0], [1, 1]]), DomainError, ("at least three",)),
    (
        "non-convex polygon",
        lambda: gr.Polygon([[0, 0], [2, 0], [0.5, 0.5], [0, 2]]),
        DomainError,
        ("not convex at corner [0.5, 0.5]", "convex_hull"),
    ),
    ("crossing ring", lambda: gr.Polygon([[0, 0], [1, 1], [1, 0], [0, 1]]), DomainError, ("crosses itself",)),
    ("bow tie", lambda: gr.Polygon([[0, 0], [2, 2], [2, 0], [0, 2]]), DomainError, ("crosses itself",)),
    (
        "hole",
        lambda: gr.Polygon(shapely.box(0, 0, 3, 3).difference(shapely.box(1, 1, 2, 2))),
        DomainError,
        ("hole", "convex parts"),
    ),
    ("empty shapely", lambda: gr.Polygon(shapely.Polygon()), DomainError, ("empty",)),
    ("text as domain", lambda: gr.partition(model_with(), "box"), DomainError, ("expected",)),
]


@pytest.mark.parametrize(("call", "error", "parts"), [row[1:] for row in PYTHON], ids=[row[0] for row in PYTHON])
def test_from_python(call: Callable[[], Any], error: type[GeomReluError], parts: tuple[str, ...]) -> None:
    assert_raises(call, error, parts)


# ---- model files: (file name, writer, error, parts of the message)


def write_npz(**changes: Any) -> Callable[[Path], None]:
    arrays = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return lambda path: np.savez(path, **arrays)


def save_torch(content: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


def save_export(model: nn.Module) -> Callable[[Path], None]:
    return lambda path: torch.export.save(torch.export.export(model, (torch.zeros(3, 2),)), path)


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def cut(write: Callable[[Path], None], keep: float = 0.6) -> Callable[[Path], None]:
    def write_cut(path: Path) -> None:
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content))])

    return write_cut


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no model")


def state(**tensors: Any) -> dict[str, torch.Tensor]:
    return {key.replace("_", ".", 1): torch.tensor(value) for key, value in tensors.items()}


SAFE = safetensors.torch.save_file
W, V = np.ones((4, 2)), np.ones((1, 4))
FILES: list[tuple[str, Callable[[Path], Any], type[GeomReluError], tuple[str, ...]]] = [
    ("m.txt", raw(b"text"), FileFormatError, ("unknown suffix '.txt'", ".npz", ".pt2")),
    ("m", raw(b"text"), FileFormatError, ("unknown suffix ''",)),
    ("m.npz", lambda path: path.mkdir(), FileFormatError, ("is a directory",)),
    ("m.npz", lambda path: None, FileFormatError, ("no such file",)),
    ("m" * 300 + ".npz", lambda path: None, FileFormatError, ("name too long", "check the path")),
    *((f"m{s}", raw(b""), FileFormatError, ("is empty",)) for s in (".npz", ".pt", ".pt2", ".safetensors", ".skops")),
    *(
        (f"m{s}", raw(b"nothing of the sort" * 9), FileFormatError, (f"m{s}", "not "))
        for s in (".npz", ".pt", ".pth", ".pt2", ".safetensors", ".skops")
    ),
    *((f"m{s}", zipped, FileFormatError, (f"m{s}",)) for s in (".npz", ".pt", ".pt2", ".skops")),
    ("m.npz", cut(write_npz()), FileFormatError, ("truncated", "numpy.savez")),
    ("m.pt", cut(save_torch(model_with().state_dict())), FileFormatError, ("m.pt",)),
    ("m.pt2", cut(save_export(model_with())), FileFormatError, ("m.pt2", "torch.export.save")),
    ("m.safetensors", cut(lambda path: SAFE(state(a_weight=W), path)), FileFormatError, ("damaged",)),
    ("m.npz", write_npz(b0=None), FileFormatError, ("has no b0", "zeros")),
    ("m.npz", write_npz(W0=None, b0=None), FileFormatError, ("has no W0, b0", "W0, b0, W1, b1")),
    ("m.npz", write_npz(W3=V, b3=np.zeros(1)), FileFormatError, ("has no W2, b2",)),
    ("m.npz", write_npz(extra=W), FileFormatError, ("'extra'", "nothing else")),
    ("m.npz", write_npz(W0=np.array([[None]])), FileFormatError, ("numbers",)),
    ("m.npz", write_npz(W0=np.full((2, 2), np.nan)), WeightError, ("m.npz: W0:", "nan")),
    ("m.npz", write_npz(W0=np.ones((2, 2)) * 1j), WeightError, ("m.npz: W0", "complex128")),
    ("m.npz", write_npz(W1=np.ones((1, 3))), ShapeError, ("m.npz: W1 takes 3", "W0", "2 outputs", "transpose")),
    ("m.npz", write_npz(b1=np.zeros(2)), ShapeError, ("m.npz: b1", "(2,)", "(1,)", "transpose")),
    ("m.npz", write_npz(W0=np.array([["a", "b"]])), WeightError, ("m.npz: W0", "real numbers")),
    ("m.pt", save_torch(model_with()), FileFormatError, ("pickled module", "state_dict", "torch.export")),
    ("m.pt", save_torch(torch.ones(3)), FileFormatError, ("a Tensor", "state dict")),
    ("m.pt", save_torch({"epoch": 3}), FileFormatError, ("epoch", "state dict")),
    ("m.pt", save_torch({}), FileFormatError, ("no tensors",)),
    ("m.pt", lambda path: torch.jit.script(model_with()).save(path), FileFormatError, ("TorchScript",)),
    ("m.pt", raw(pickle.dumps({"a": 1})), FileFormatError, ("m.pt",)),
    ("m.pt", save_torch(nn.BatchNorm1d(4).state_dict()), UnsupportedLayerError, ("weight", "(4,)", "Linear")),
    ("m.pt", save_torch(nn.Conv2d(1, 2, 3).state_dict()), UnsupportedLayerError, ("weight", "(2, 1, 3, 3)")),
    ("m.pt", save_torch(state(a_weight=V, b_weight=W)), ShapeError, ("b.weight takes 2", "a.weight", "order")),
    ("m.pt", save_torch(state(a_bias=W[0])), UnsupportedLayerError, ("a.bias",)),
    ("m.pt", save_torch(state(a_weight=W * np.nan)), WeightError, ("a.weight", "nan")),
    ("m.safetensors", lambda path: SAFE(state(a_weight=W, a_scale=W), path), UnsupportedLayerError, ("a.scale",)),
    ("m.pt2", save_export(model_with(nn.Tanh())), NotPiecewiseLinearError, ("m.pt2: 1 (Tanh)", "works: Hardtanh")),
    ("m.pt2", save_export(model_with(nn.LayerNorm(4))), NotPiecewiseLinearError, ("1 (LayerNorm)", "BatchNorm")),
    ("m.pt2", save_export(model_with(nn.Hardshrink())), NotPiecewiseLinearError, ("1 (Hardshrink)", "jumps")),
    ("m.pt2", save_export(model_with(nn.Dropout())), UnsupportedLayerError, ("1 (Dropout)", "eval()")),
    ("m.joblib", raw(b"x"), FileFormatError, ("run code", "--allow-joblib", "skops")),
    ("m.pkl", raw(b"x"), FileFormatError, ("run code", "--allow-joblib")),
    ("m.skops", lambda path: skops.io.dump(MLPRegressor(), path), InputError, ("m.skops: ", "not fitted")),
    ("m.skops", lambda path: skops.io.dump(LinearRegression(), path), UnsupportedLayerError, ("LinearRegression",)),
    ("m.skops", lambda path: skops.io.dump(DomainError, path), FileFormatError, ("not part of a scikit-learn MLP",)),
    ("m.npz", write_npz(W0=np.ones((2, 3))), InputDimensionError, ("3 inputs",)),
]
FILE_IDS = [f"{k}-{row[0]}" for k, row in enumerate(FILES)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "write", "error", "parts"), FILES, ids=FILE_IDS)
def test_model_files(
    tmp_path: Path, name: str, write: Callable[[Path], Any], error: type[GeomReluError], parts: tuple[str, ...]
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(error) as caught:
        gr.partition(read_model(path), BOX)
    for part in parts:
        assert part.lower() in str(caught.value).lower()
    # A file of the plane: others take more inputs.
    done = CliRunner().invoke(app, ["partition", str(path), "-o", str(tmp_path / "out.geojson")])
    assert_refused(done, tmp_path / "out.geojson")
    assert done.stderr.startswith(f"error: {path}: ")


def assert_refused(done: Any, *absent: Path) -> None:
    """Exit status 2, one line on stderr, nothing on stdout, and no file."""
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output
    assert done.stdout == ""
    for path in absent:
        assert not path.exists()
        assert not list(path.parent.glob(f".{path.stem}*")) if path.parent.is_dir() else True


# ---- the command line: (arguments, parts of the message)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    np.savez(path, **GOOD)
    return path


DOMAINS: list[tuple[list[str], tuple[str, ...]]] = [
    (["--box", "1", "-1"], ("low < high",)),
    (["--box", "0", "0"], ("low < high",)),
    (["--box", "nan", "1"], ("nan",)),
    (["--box", "-1", "inf"], ("inf",)),
    (["--low", "0", "0"], ("both --low and --high",)),
    (["--high", "0", "0"], ("both --low and --high",)),
    (["--low", "0", "0", "--high", "1", "0"], ("axis 1",)),
    (["--box", "0", "1", "--low", "0", "0", "--high", "1", "1"], ("--box and --low/--high",)),
    (["--polygon", ""], ("no corners",)),
    (["--polygon", "0,0 1,1 2,2"], ("no area",)),
    (["--polygon", "0,0 2,0 0.5,0.5 0,2"], ("not convex",)),
    (["--polygon", "0,0 1,x 1,1"], ("'1,x'", "expected corners such as")),
    (["--polygon", "0,0 1,1,1 1,0"], ("'1,1,1'",)),
]


@pytest.mark.parametrize(("arguments", "parts"), DOMAINS, ids=[" ".join(row[0]) for row in DOMAINS])
@pytest.mark.parametrize("command", ["count", "check", "plot", "partition"])
def test_domains(tmp_path: Path, model: Path, command: str, arguments: list[str], parts: tuple[str, ...]) -> None:
    out = {"plot": [tmp_path / "out.svg"], "partition": [tmp_path / "out.npz"]}.get(command, [])
    done = CliRunner().invoke(app, [command, str(model), *arguments, *(x for path in out for x in ("-o", str(path)))])
    assert_refused(done, *out)
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("command", "out", "part"),
    [
        ("partition", "missing/out.npz", "there is no directory"),
        ("partition", "model.npz/out.npz", "is not a directory"),
        ("partition", "folder.npz", "is a directory"),
        ("partition", "out.csv", "unknown suffix '.csv'; expected .npz or .geojson"),
        ("partition", "out", "unknown suffix ''"),
        ("plot", "missing/out.svg", "there is no directory"),
        ("plot", "out.jpg", "expected .svg or .png or .pdf"),
        ("xor", "model.npz", "model.npz is a file; choose another path"),
        ("xor", "model.npz/deeper", "model.npz is a file; choose another path"),
        ("xor", "study", "report.md is a directory"),
        ("xor", "y" * 300, "name too long"),
        ("plot", "y" * 300 + ".svg", "name too long"),
        ("partition", "y" * 300 + ".npz", "name too long"),
    ],
)
def test_output_paths(tmp_path: Path, model: Path, command: str, out: str, part: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "study" / "report.md").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    arguments = ["xor", "--out"] if command == "xor" else [command, str(model), "-o"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / out)])
    assert_refused(done)
    assert part.lower() in done.stderr.lower()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["out.npz", "out.geojson", "out.svg", "out.png", "out.pdf"])
def test_a_write_that_fails_half_way_leaves_nothing(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The disk is full when the finished file is put in its place."""

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    command = "partition" if name.endswith(("npz", "json")) else "plot"
    done = CliRunner().invoke(app, [command, str(model), "-o", str(tmp_path / name)])
    assert_refused(done, tmp_path / name)
    assert "No space left" in done.stderr
    assert sorted(tmp_path.iterdir()) == [model]


@pytest.mark.parametrize(
    "arguments",
    [
        ["count"],
        ["count", "model.npz", "--box", "-1"],
        ["count", "model.npz", "--box", "-1", "x"],
        ["count", "model.npz", "--nonsense"],
        ["plot", "model.npz"],
        ["check", "model.npz", "--n", "1"],
        ["xor", "--width", "0"],
        ["nonsense"],
    ],
)
def test_usage_errors(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "error: " in done.stderr.lower()


def test_other_options(tmp_path: Path, model: Path) -> None:
    done = CliRunner().invoke(app, ["plot", str(model), "-o", str(tmp_path / "a.svg"), "--color", "pink"])
    assert_refused(done, tmp_path / "a.svg")
    assert "'pink'" in done.stderr
    done = CliRunner().invoke(app, ["xor", "--all", "--width", "3", "--out", str(tmp_path / "study")])
    assert_refused(done, tmp_path / "study")


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The whole way: status, streams and no traceback, as a shell sees them."""
    np.savez(tmp_path / "m.npz", W0=np.full((1, 2), np.inf), b0=np.zeros(1))
    done = subprocess.run(
        [sys.executable, "-m", "geomrelu", "count", str(tmp_path / "m.npz"), "--box", "-1", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        done.stderr == f"error: {tmp_path / 'm.npz'}: W0: entry (0, 0) is inf; expected finite numbers only, "
        "so mend or retrain the model\n"
    )


def test_output_errors_are_os_errors_too() -> None:
    assert issubclass(OutputPathError, OSError)
    assert issubclass(InputError, ValueError)
