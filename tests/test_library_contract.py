"""What the library promises of its objects: nothing changes them, and misuse has a typed error with advice."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import geomrelu as gr
from geomrelu.arrays import detached
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
from tests.misuse import Misuse, assert_raises

TENT = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
BOX = gr.Box(-1, 1)
P = gr.partition(TENT, BOX)


# ---- nothing changes what is made


def arrays_of(p: Any) -> dict[str, np.ndarray]:
    found = {key: value for key, value in vars(p).items() if isinstance(value, np.ndarray)}
    found |= {f"maps {k}": a for k, a in enumerate(p.affine_maps)}
    found |= {"areas": p.areas, "centroids": p.centroids, "polygons": p.polygons, "labels": p.linear_region_labels}
    found |= {"words": p.patterns.words, "next": p.ring_next, "inner": p.edges_inner}
    for k, layer in enumerate(p.network.layers):
        found |= {f"weight {k}": layer.weight, f"bias {k}": layer.bias}
    domain = p.domain
    found |= {"low": domain.low, "high": domain.high} if isinstance(domain, gr.Box) else {"corners": domain.vertices}
    return found


@pytest.mark.parametrize("domain", [BOX, gr.Polygon([[-1, -1], [1, -1], [0, 1]])], ids=["box", "polygon"])
@pytest.mark.parametrize(
    "twin",
    [lambda p: p, lambda p: pickle.loads(pickle.dumps(p)), copy.deepcopy, copy.copy],
    ids=["itself", "pickle", "deepcopy", "copy"],
)
def test_arrays_are_read_only(domain: Any, twin: Callable[[Any], Any]) -> None:
    p = gr.partition(TENT, domain)
    p.check()  # derive some of what is derived lazily
    other = twin(p)
    for name, array in arrays_of(other).items():
        assert not array.flags.writeable, name
        np.testing.assert_array_equal(array, arrays_of(p)[name])
    assert other.domain == p.domain
    assert other.patterns == p.patterns
    other.check()


@pytest.mark.parametrize(
    ("thing", "name"),
    [(TENT, "layers"), (TENT.layers[0], "weight"), (P.patterns, "words"), (BOX, "low"), (P, "vertices"),
     (gr.Polygon(BOX), "vertices"), (TENT, "new")],
)  # fmt: skip
def test_attributes_cannot_be_set(thing: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(thing, name, ())
    with pytest.raises(AttributeError):
        delattr(thing, name)


def test_network_keeps_its_own_copy() -> None:
    weight = np.ones((1, 2))
    f = gr.Network([weight])
    weight[:] = 7
    assert f.layers[0].weight.tolist() == [[1.0, 1.0]]


def test_domains_compare_by_value() -> None:
    assert gr.Box(-1, 1) == gr.Box([-1.0, -1.0], [1, 1])
    assert hash(gr.Box(-1, 0.0)) == hash(gr.Box(-1, -0.0))
    assert gr.Box(-1, 1) != gr.Box(-1, 2)
    assert gr.Polygon(BOX) == gr.Polygon(BOX.vertices)
    assert hash(gr.Polygon(BOX)) == hash(gr.Polygon(BOX.vertices))
    assert gr.Polygon(BOX) != BOX
    assert len({gr.Box(-1, 1), gr.Box(-1, 1), gr.Polygon(BOX)}) == 2


# ---- what is accepted


def test_tensors_are_read_whether_they_require_gradients_or_not() -> None:
    first, last = nn.Linear(2, 3), nn.Linear(3, 1)
    f = gr.Network([first.weight, last.weight], [first.bias, last.bias])
    np.testing.assert_array_equal(f.layers[0].weight, first.weight.detach().numpy())
    points = torch.tensor([[0.5, 0.25], [-0.5, 0.0]], requires_grad=True)
    np.testing.assert_array_equal(P.locate(points), P.locate(points.detach().numpy()))
    np.testing.assert_array_equal(P.locate(list(points)), P.locate(points.detach().numpy()))
    half = torch.tensor([0.1, 3.0], dtype=torch.bfloat16, requires_grad=True)
    assert detached(half).tolist() == half.tolist()


def test_missing_biases_are_zero() -> None:
    f = gr.Network([[[1, 2], [3, 4]], [[1, 1]]])
    assert [layer.bias.tolist() for layer in f.layers] == [[0.0, 0.0], [0.0]]


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + y


class Branching(nn.Module):
    """Cannot be traced, but is piecewise linear."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.layer(x)
        return u if bool((u > 1e9).all()) else torch.relu(u)


def broken(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        next(model.parameters())[0, 0] = np.nan
    return model


def mlp(inputs: int = 2, middle: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 4), middle or nn.ReLU(), nn.Linear(4, 1))


def test_modules_that_cannot_be_read_are_sampled() -> None:
    model = Branching()
    with pytest.raises(UnsupportedLayerError):
        gr.partition(model, BOX)
    assert 1 <= gr.sample(model, BOX, n=11).n_maps <= 2
    assert gr.sample(mlp(middle=nn.LeakyReLU()), BOX, n=11).n_maps >= 1


# ---- misuse: (name, call, error, parts of the message)


def axes(rows: int = 1) -> Any:
    return Figure().subplots(rows, 2)


ROWS: list[Misuse] = [
    ("ragged weights", lambda: gr.Network([[[1, 2], [3]]]), ShapeError, ("weight 0", "unequal")),
    ("no weights", lambda: gr.Network(None), InputError, ("NoneType", "matrix per layer")),
    ("weights 3", lambda: gr.Network(3), InputError, ("int", "matrix per layer")),
    ("scalar weight", lambda: gr.Network([3.0]), ShapeError, ("weight 0", "matrix")),
    ("biases 3", lambda: gr.Network([[[1, 2]]], 3), InputError, ("biases", "int")),
    ("layers", lambda: gr.Network.from_layers([3]), InputError, ("layer 0", "int", "gr.Layer")),
    ("no layers", lambda: gr.Network.from_layers(None), InputError, ("NoneType",)),
    ("float words", lambda: gr.Patterns([[0.5]], (1,)), InputError, ("float64", "Patterns.pack")),
    ("negative words", lambda: gr.Patterns([[-1]], (1,)), InputError, ("uint64",)),
    ("flat words", lambda: gr.Patterns([1], (1,)), ShapeError, ("(1,)", "(F, 1)")),
    ("no widths", lambda: gr.Patterns([[1]], None), InputError, ("None",)),
    ("text points", lambda: P.locate([["a", "b"]]), InputError, ("points", "real numbers")),
    ("ragged points", lambda: P.locate([[1, 2], [3]]), ShapeError, ("unequal",)),
    ("complex points", lambda: P([[1j, 2]]), InputError, ("complex128",)),
    ("text to network", lambda: TENT([["a", "b"]]), InputError, ("real numbers",)),
    ("dual graph", lambda: P.dual_graph("foo"), InputError, ("'foo'", "scipy")),
    ("ring -1", lambda: P.ring(-1), InputError, ("-1", "0 to 2")),
    ("ring 999", lambda: P.ring(999), InputError, ("999", "0 to 2")),
    ("crosscheck model", lambda: gr.crosscheck(mlp()), InputError, ("Sequential", "gr.partition")),
    ("crosscheck None", lambda: gr.crosscheck(None), InputError, ("NoneType",)),
    ("refinement model", lambda: gr.refinement(mlp()), InputError, ("Sequential",)),
    ("sizes", lambda: gr.refinement(P, sizes=5), InputError, ("sizes", "5", "[11, 51, 101]")),
    ("size 1", lambda: gr.refinement(P, sizes=[1]), InputError, ("at least 2",)),
    ("progress", lambda: gr.partition(TENT, BOX, progress=True), InputError, ("True", "function")),
    ("plot figure", lambda: P.plot(Figure()), InputError, ("Figure", "gca")),
    ("plot 3", lambda: P.plot(3), InputError, ("int", "Axes")),
    ("plot axes", lambda: P.plot(axes()), InputError, ("ndarray", "axes[0]")),
    ("surface figure", lambda: P.plot_surface(Figure()), InputError, ("Figure",)),
    ("cmap", lambda: P.plot(color="value", cmap="nope"), InputError, ("'nope'", "viridis")),
    ("cmap 3", lambda: P.plot(color="value", cmap=3), InputError, ("3", "viridis")),
    ("plot colours", lambda: P.plot(color=[[0, 0, 2.0]] * 3), InputError, ("0 to 1", "255")),
    ("plot nan", lambda: P.plot(color=[[0, 0, np.nan]] * 3), InputError, ("0 to 1",)),
    ("plot text", lambda: P.plot(color=["red"] * 3), InputError, ("real numbers",)),
    ("two numbers", lambda: gr.partition(TENT, [-1, 1]), DomainError, ("gr.Box(-1, 1)",)),
    ("dict", lambda: gr.partition(TENT, {"low": -1}), DomainError, ("dict", "gr.Box(low, high)")),
    ("class", lambda: gr.partition(TENT, gr.Box), DomainError, ("class Box", "gr.Box(-1, 1)")),
    ("polygon of class", lambda: gr.Polygon(gr.Box), DomainError, ("class Box",)),
    ("polygon of dict", lambda: gr.Polygon({}), DomainError, ("dict",)),
    ("1-d box", lambda: gr.partition(TENT, gr.Box([0], [1])), InputDimensionError, ("1", "gr.Box([-1, -1], [1, 1])")),
    ("3-d box", lambda: gr.partition(TENT, gr.Box([0] * 3, [1] * 3)), InputDimensionError, ("3", "gr.Box(")),
    (
        "sample 3-d box",
        lambda: gr.sample(TENT, gr.Box([0] * 3, [1] * 3)),
        InputDimensionError,
        ("(N, 3)", "expected (N, 2)"),
    ),
    ("sample 3 inputs", lambda: gr.sample(mlp(3), BOX), InputDimensionError, ("takes 3 inputs", "gr.Slice")),
    ("sample network", lambda: gr.sample(gr.Network([[[1, 1, 1]]]), BOX), InputDimensionError, ("(N, 3)", "gr.Slice")),
    ("sample nan", lambda: gr.sample(broken(mlp()), BOX), WeightError, ("0.weight", "(0, 0)", "nan")),
    ("sample nan, unread", lambda: gr.sample(broken(Branching()), BOX), WeightError, ("layer.weight",)),
    ("sample sigmoid", lambda: gr.sample(mlp(middle=nn.Sigmoid()), BOX), NotPiecewiseLinearError, ("1 (Sigmoid)",)),
    ("two inputs", lambda: gr.partition(Two(), BOX), UnsupportedLayerError, ("Two takes 2 inputs",)),
]


@pytest.mark.parametrize(("call", "error", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_misuse(call: Callable[[], Any], error: type[GeomReluError], parts: tuple[str, ...]) -> None:
    assert assert_raises(call, error, parts).count("model:") <= 1


@pytest.mark.parametrize("width", ["a", None, 0, -5, True, 1.5, 10**9])
def test_svg_width(width: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="width="):
        P.to_svg(tmp_path / "x.svg", width=width)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("digits", [-5, 30, "a", None])
def test_svg_digits(digits: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="digits="):
        P.to_svg(tmp_path / "x.svg", digits=digits)


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
def test_svg_colours(value: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 to 1"):
        P.to_svg(tmp_path / "x.svg", color=np.full((3, 3), value))


def test_paths_with_nul(tmp_path: Path) -> None:
    path = f"{tmp_path}/a\0b"
    for write in (P.save, P.to_svg, P.to_geojson):
        with pytest.raises(OutputPathError, match="NUL"):
            write(path)
    with pytest.raises(FileFormatError):
        gr.load(path)


# ---- files that are not partitions


def content(tmp_path: Path) -> dict[str, np.ndarray]:
    P.save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_0": np.ones((2, 3))}, "3 inputs"),
        ({"report": np.array("[1, 2]")}, "report is a list"),
        ({"report": np.array("3")}, "report is a int"),
        ({"domain_box": None}, "no 'domain'"),
        ({"domain_box": np.array([[0.0] * 3, [1.0] * 3])}, "dimension 3"),
    ],
)
def test_load_refuses(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    arrays = {name: array for name, array in (content(tmp_path) | changes).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FileFormatError, match=message):
        gr.load(tmp_path / "bad.npz")


def test_load_names_other_files(tmp_path: Path) -> None:
    text, single = tmp_path / "a.npz", tmp_path / "b.npz"
    text.write_text("not a partition")
    with single.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(FileFormatError, match=r"not a \.npz file") as caught:
        gr.load(text)
    assert "pickle" not in str(caught.value)
    with pytest.raises(FileFormatError, match=r"is a \.npy file"):
        gr.load(single)


# ---- extreme domains


def test_reports_of_a_domain_without_float_area() -> None:
    p = gr.partition(gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]]), gr.Box(-1e-300, 1e-300))
    points = np.array([[1e-301, 1e-301]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = str(gr.crosscheck(p, points=points))
        (row,) = gr.refinement(p, sizes=[3]).rows
    assert "regions missed" in text
    assert "of the domain" not in text
    assert row.share_of_area == 1.0


def test_shares_of_an_area_that_underflows() -> None:
    low = 2.0**-499
    p = gr.partition(gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]]), gr.Box(low, low + 2.0**-545))
    assert p.domain.area == 0.0
    table = gr.refinement(p, sizes=[3])
    assert "100.0000%" in str(table)
    assert table.to_dict()["rows"][0]["share_of_area"] == 1.0


@pytest.mark.parametrize(
    "domain",
    [gr.Box([-1e9, -1], [1e9, 1]), gr.Box([-1, -1e9], [1, 1e9]), gr.Box([0, 0], [1e-300, 1e300]),
     gr.Box(-4e307, 4e307), gr.Box(0, 5e-324)],
    ids=["wide", "tall", "far apart", "huge", "tiny"],
)  # fmt: skip
def test_svg_of_extreme_domains_has_a_sane_size(domain: gr.Box, tmp_path: Path) -> None:
    p = gr.partition(gr.Network([[[1.0, 0.0]]]), domain)
    p.to_svg(tmp_path / "x.svg", color=np.zeros((p.n_regions, 3)))
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    _, _, width, height = (int(v) for v in root.attrib["viewBox"].split())
    assert 1 / 20 <= height / width <= 20
    assert width / height == pytest.approx(int(root.attrib["width"]) / int(root.attrib["height"]), rel=0.05)
    ring = next(e.attrib["d"] for e in root.iter() if e.attrib.get("id") == "r0")
    x, y, *steps = (int(v) for v in ring[1:-1].replace("l", " ").split())
    corners = np.cumsum([[x, y], *np.reshape(steps, (-1, 2)).tolist()], axis=0)
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [width, height]


# ---- figures on axes that are in use


def test_plot_keeps_limits_that_were_set() -> None:
    ax = Figure().add_subplot()
    ax.plot([0, 5], [0, 5])
    ax.set(xlim=(-3, 7), xlabel="mine")
    P.plot(ax)
    assert ax.get_xlim() == (-3, 7)
    assert ax.get_xlabel() == "mine"
    low, high = ax.get_ylim()
    assert low <= -1
    assert high >= 5


def test_plot_frames_the_domain_on_fresh_axes() -> None:
    ax = P.plot(Figure().add_subplot())
    assert ax.get_xlim() == pytest.approx((-1.02, 1.02))


# ---- the notice about compilation


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled")
def test_notice_looks_where_numba_keeps_its_cache(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from geomrelu.planar import compilation
from geomrelu.planar.arrange import kernel
cache = Path(kernel.stats.cache_path)
cache.mkdir(parents=True, exist_ok=True)
entry = cache / "arrange.kernel-1.nbc"
print(cache)
for exists in (True, False):
    entry.touch() if exists else entry.unlink()
    compilation._told = False
    print(f"exists: {exists}", file=sys.stderr)
    compilation.announce()
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith(str(tmp_path))
    first, second, notice = done.stderr.splitlines()
    assert (first, second) == ("exists: True", "exists: False")
    assert "compiling" in notice


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled")
def test_the_second_process_compiles_what_a_run_calls() -> None:
    code = """
import geomrelu as gr
from geomrelu.planar.arrange import kernel
from geomrelu.planar.compilation import compile_kernel
compile_kernel()
compiled = list(kernel.signatures)
gr.partition(gr.Network([[[1, 0], [0, 1]], [[1, 1]]]), gr.Box(-1, 1))
print(len(compiled), compiled == kernel.signatures)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 True\n"


def test_the_citation_names_the_version():
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {gr.__version__}\n" in citation
