"""The examples, on small sizes, beside the models' own answers."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely

from geomrelu.planar.complex import PlanarComplex

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_classes(p: PlanarComplex, points: np.ndarray, scores: np.ndarray) -> None:
    """Each point lies in the region of the class with the largest score, but for scores that rounding could swap."""
    order = np.sort(scores, axis=1)
    clear = order[:, -1] - order[:, -2] > 1e-6 * np.abs(scores).max()
    assert clear.mean() > 0.95
    polygons = p.class_regions().polygons
    inside = np.stack([shapely.contains_xy(polygon, *points[clear].T) for polygon in polygons], axis=1)
    np.testing.assert_array_equal(inside, np.eye(len(polygons), dtype=bool)[scores[clear].argmax(axis=1)])


def points_in(p: PlanarComplex, n: int = 800) -> np.ndarray:
    x0, y0, x1, y1 = p.domain.bounds
    return np.random.default_rng(1).uniform((x0, y0), (x1, y1), (n, 2))


def test_digits_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    module = example("digits_plane")
    models = {}
    for name in ("trained_perceptron", "trained_convolution"):
        train = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, train=train, name=name: models.setdefault(name, train(*a)))
    partitions = list(module.main(tmp_path / "new" / "figure.png", small=True).values())
    assert (tmp_path / "new" / "figure.png").read_bytes().startswith(b"\x89PNG")
    perceptron, convolution = models["trained_perceptron"], models["trained_convolution"].double()
    for p in partitions:
        p.check()
        points = points_in(p)
        x = p.domain.lift(points)
        if p.domain.input_shape == (64,):
            scores = np.log(perceptron.predict_proba(x))
        else:
            with torch.no_grad():
                scores = convolution(torch.from_numpy(x)).numpy()
        assert_classes(p, points, scores)
    # The marks are the images themselves.
    flat, square = (p.domain.lift(p.domain.marks).reshape(3, 64) for p in partitions)
    digits = module.load_digits()
    first = [np.flatnonzero(digits.target == digit)[0] for digit in module.DIGITS]
    np.testing.assert_allclose(flat, digits.data[first] / 16, atol=1e-12)
    np.testing.assert_allclose(square, flat, atol=1e-12)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real networks at {DATA}")
def test_acas_xu(tmp_path: Path) -> None:
    module = example("acas_xu")
    p = module.main(tmp_path / "new" / "figure.png", small=True)
    assert (tmp_path / "new" / "figure.png").read_bytes().startswith(b"\x89PNG")
    p.check()
    points = points_in(p)
    nnet = module.read_nnet(module.MODEL)
    units = module.feet_and_degrees(nnet, points)
    assert 0 <= units[:, 0].min() < units[:, 0].max() <= 1000
    assert -180 <= units[:, 1].min() < -170 < 170 < units[:, 1].max() <= 180
    # The file's formula, on encounters in their own units.
    rest = np.tile([-np.pi, 150.0, 150.0], (len(points), 1))
    own = np.column_stack([units[:, 0], np.deg2rad(units[:, 1]), rest])
    assert_classes(p, points, -nnet.evaluate((own - nnet.input_means) / nnet.input_ranges))
    ahead = (np.array([[500.0, 0.0], [500.0, np.pi / 2]]) - nnet.input_means[:2]) / nnet.input_ranges[:2]
    np.testing.assert_allclose(module.seen_from_above(nnet, ahead), [[0, 500], [-500, 0]], atol=1e-9)


def test_acas_xu_without_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = example("acas_xu")
    monkeypatch.setattr(module, "MODEL", tmp_path / "absent.nnet")
    assert module.main(tmp_path / "figure.png") is None
    assert "GEOMRELU_DATA" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_exact_and_sampled(tmp_path: Path) -> None:
    p, met = example("exact_and_sampled").main(tmp_path / "figure.png", n=5)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    # The grid's points and the domain's corners, by the forward pass.
    axis = np.linspace(-1, 1, 5)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert met == len(np.unique(p.network.pattern_bits(grid), axis=0)) < p.n_regions


def test_definitions(tmp_path: Path) -> None:
    module = example("definitions")
    counts = module.main(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    # Each network is one on which the two definitions in its name, neighbours in the chain, differ.
    for k, (name, found) in enumerate(counts.items()):
        assert found[k] > found[k + 1], name
        assert found == sorted(found, reverse=True)
        first, second = (word.replace(" ", "_") for word in name.split(" > "))
        assert list(module.DEFINITIONS)[k : k + 2] == [first, second]
