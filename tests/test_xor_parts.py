"""The XOR study's parts: data, training, LaTeX, cells, regression."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from geomrelu.analysis.cells import Cells, corner_values, positive_part, zero_segments
from geomrelu.errors import InputError, ShapeError, TrainingError
from geomrelu.experiments import xor
from geomrelu.experiments.handmade import map_text
from geomrelu.network import Network, joint_network


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_parity_counts_positive_coordinates(d):
    points, targets = xor.parity_data(d)
    assert points.shape == (2**d, d)
    assert len({tuple(p) for p in points.tolist()}) == 2**d
    assert set(np.unique(points)) == {-1.0, 1.0}
    for point, target in zip(points, targets, strict=True):
        assert target == (1 if sum(point > 0) % 2 else -1)


@pytest.mark.parametrize("d", [0, -1, 1.5, True, "2", 64])
def test_parity_rejects(d):
    with pytest.raises(InputError, match="parity_data"):
        xor.parity_data(d)


def test_training_is_reproducible_and_leaves_the_global_state():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, again, other = xor.train(3, seed=4), xor.train(3, seed=4), xor.train(3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.attempts == again.attempts
    for a, b in zip(first.network.layers, again.network.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
        np.testing.assert_array_equal(a.bias, b.bias)
    assert not np.array_equal(first.network.layers[0].weight, other.network.layers[0].weight)


def test_training_solves_xor_and_records():
    history = xor.train(3, seed=0)
    points, targets = xor.parity_data(2)
    assert (np.sign(history.network(points)[:, 0]) == targets).all()
    assert history.accuracy == 1.0
    assert [s.epoch for s in history.snapshots] == list(range(0, 101, 10))
    assert len(history.losses) == 101
    assert history.losses[-1] == history.loss == history.snapshots[-1].loss
    mse = np.mean((history.network(points)[:, 0] - targets) ** 2)
    assert history.loss == pytest.approx(mse, rel=1e-4, abs=1e-9)
    with torch.no_grad():
        outputs = history.model(torch.tensor(points, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(outputs, history.network(points), atol=1e-5)


def test_training_first_epochs_are_plain_gradient_descent():
    history = xor.train(3, seed=0, record_every=1)
    before, after = history.snapshots[0].network, history.snapshots[1].network
    points, targets = xor.parity_data(2)
    hidden = np.maximum(points @ before.layers[0].weight.T + before.layers[0].bias, 0)
    residual = 2 * (before(points)[:, 0] - targets) / 4
    expected = before.layers[1].weight[0] - 0.1 * residual @ hidden
    np.testing.assert_allclose(after.layers[1].weight[0], expected, atol=1e-6)


def test_training_without_seed_says_which_it_took():
    history = xor.train(8)
    again = xor.train(8, seed=history.seed)
    np.testing.assert_array_equal(history.network.layers[0].weight, again.network.layers[0].weight)


def test_training_bound():
    messages = []
    seed = next(seed for seed in range(30) if xor.train(2, seed).attempts > 2)
    with pytest.raises(TrainingError, match=rf"none of 2 attempts from seed {seed} .* best reached 0\.(5|75)"):
        xor.train(2, seed, max_attempts=2, progress=lambda message, share: messages.append((message, share)))
    assert [share for _, share in messages] == [0.0, 0.5]


def test_one_neuron_is_refused_at_once():
    with pytest.raises(InputError, match=r"width=1.*2 or more.*half-plane"):
        xor.train(1, progress=lambda message, share: pytest.fail(message))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_does_not_depend_on_torchs_modes(mode):
    expected = xor.train(3, seed=4)
    torch.set_default_dtype(torch.float64)
    try:
        with mode():
            history = xor.train(3, seed=4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(parameter.dtype == torch.float32 for parameter in history.model.parameters())
    for layer, other in zip(history.network.layers, expected.network.layers, strict=True):
        np.testing.assert_array_equal(layer.weight, other.weight)


def test_training_that_diverges_is_a_failed_attempt():
    with pytest.raises(TrainingError, match="none of 1 attempts"):
        xor.train(3000, seed=0, max_attempts=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": 0},
        {"width": 2.5},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": "a"},
        {"max_attempts": 0},
        {"record_every": 0},
    ],
)
def test_training_rejects(arguments):
    with pytest.raises(InputError, match="train: got"):
        xor.train(**{"width": 2, **arguments})


def parse_latex(text):
    """Matrices of a LaTeX display by name, each a float array, put together from their blocks."""
    blocks = {}
    pattern = r"([Wb]_\{\d+\})(?:\[(\d+)\{:\}(\d+), (\d+)\{:\}(\d+)\])? &?= \\begin\{bmatrix\} (.*?) \\end\{bmatrix\}"
    for name, *place, body in re.findall(pattern, text):
        block = np.array([[parse_number(cell) for cell in row.split("&")] for row in body.split(r"\\")])
        i, last_row, j, last_column = (int(v) for v in place) if place[0] else (1, block.shape[0], 1, block.shape[1])
        assert block.shape == (last_row - i + 1, last_column - j + 1)
        assert block.shape[0] <= 10
        assert block.shape[1] <= 5
        blocks.setdefault(name, []).append((i - 1, j - 1, block))
    matrices = {}
    for name, parts in blocks.items():
        whole = np.full([max(part[axis] + part[2].shape[axis] for part in parts) for axis in (0, 1)], np.nan)
        for i, j, block in parts:
            whole[i : i + block.shape[0], j : j + block.shape[1]] = block
        assert not np.isnan(whole).any()
        matrices[name] = whole
    return matrices


def parse_number(text):
    mantissa, _, exponent = text.strip().partition(r" \cdot 10^{")
    return float(mantissa + ("e" + exponent.rstrip("}") if exponent else ""))


def evaluate_latex(text, points):
    matrices = parse_latex(text)
    depth = len(matrices) // 2
    h = points
    for k in range(1, depth + 1):
        h = h @ matrices[f"W_{{{k}}}"].T + matrices[f"b_{{{k}}}"][:, 0]
        if k < depth:
            h = np.maximum(h, 0)
    return h


@pytest.mark.parametrize("widths", [(2, 2, 1), (2, 20, 1), (2, 3, 5, 2), (3, 12, 1), (2, 1), (2, 23, 17, 1)])
def test_latex_numbers_give_the_network_back(widths):
    rng = np.random.default_rng(3)
    weights = [
        (rng.normal(size=(b, a)) * 10.0 ** rng.integers(-7, 3, size=(b, a))).astype(np.float32)
        for a, b in pairwise(widths)
    ]
    network = Network(weights, [rng.normal(size=b).astype(np.float32) for b in widths[1:]])
    u = rng.uniform(0, 1, size=(50, widths[0]))
    x = 2 * u - 1
    plain = xor.network_latex(network, digits=None)
    np.testing.assert_allclose(evaluate_latex(plain, x), network(x), rtol=1e-13, atol=1e-12)
    unit = xor.network_latex(network, "unit", digits=None)
    np.testing.assert_allclose(evaluate_latex(unit, u), network(x), rtol=1e-9, atol=1e-11)
    for k, layer in enumerate(network.layers, start=1):
        np.testing.assert_array_equal(parse_latex(xor.network_latex(network, digits=17))[f"W_{{{k}}}"], layer.weight)
        np.testing.assert_allclose(parse_latex(xor.network_latex(network))[f"W_{{{k}}}"], layer.weight, rtol=5e-6)


def test_latex_of_the_hand_made_network():
    matrices = parse_latex(xor.network_latex(xor.hand_made_network(), "unit"))
    np.testing.assert_array_equal(matrices["W_{1}"], [[2, 2], [2, 2]])
    np.testing.assert_array_equal(matrices["b_{1}"], [[-1], [-2]])
    np.testing.assert_array_equal(matrices["W_{2}"], [[2, -4]])
    np.testing.assert_array_equal(matrices["b_{2}"], [[-1]])


def test_latex_layout():
    deep = Network([np.eye(2), np.eye(2), [[1.0, -0.0]]])
    text = xor.network_latex(deep)
    assert r"W_{3}\,\mathrm{relu}\bigl(W_{2}\,\mathrm{relu}\bigl(W_{1}\,x + b_{1}\bigr) + b_{2}\bigr) + b_{3}" in text
    assert "-0" not in text
    wide = xor.network_latex(Network([np.ones((11, 2)), np.ones((1, 11))]))
    assert wide.startswith("\\begin{aligned}\n")
    assert "W_{1}[11{:}11, 1{:}2] &= " in wide
    assert "W_{2}[1{:}1, 6{:}10] &= " in wide
    assert text.count("{") == text.count("}")
    joined = xor.network_latex(joint_network(xor.hand_made_network(), Network([[[1.0, 2.0]]])))
    assert r"on the first } 2 \text{ of } 3" in joined


@pytest.mark.parametrize(("arguments", "word"), [({"coordinates": "01"}, "coordinates"), ({"digits": 0}, "digits")])
def test_latex_rejects(arguments, word):
    with pytest.raises(InputError, match=word):
        xor.network_latex(xor.hand_made_network(), **arguments)


SQUARES = Cells(
    np.array([[0, 0], [1, 0], [1, 1], [0, 1], [1, 0], [2, 0], [2, 1], [1, 1.0]]), np.array([0, 4, 8], dtype=np.int64)
)


def test_cells_areas_and_following():
    np.testing.assert_array_equal(SQUARES.following(), [1, 2, 3, 0, 5, 6, 7, 4])
    np.testing.assert_array_equal(SQUARES.areas(), [1, 1])
    assert [ring.shape for ring in SQUARES.rings()] == [(4, 2), (4, 2)]


def test_positive_part_against_shapely():
    from shapely import MultiPoint, Polygon

    rng = np.random.default_rng(0)
    rings, halves, maps = [], [], []
    for _ in range(60):
        hull = MultiPoint(rng.integers(-4, 5, size=(8, 2))).convex_hull
        if hull.geom_type != "Polygon":
            continue
        ring = np.array(hull.exterior.coords)[:-1]
        if not hull.exterior.is_ccw:
            ring = ring[::-1]
        rings.append(ring)
        a, b, c = rng.integers(-3, 4, size=3).astype(float)
        maps.append((a, b, c))
        if a == b == 0:
            halves.append(hull.area if c > 0 else 0.0)
            continue
        normal = np.array([a, b]) / np.hypot(a, b)
        along = np.array([-normal[1], normal[0]])
        foot = -c * normal / np.hypot(a, b)
        ends = np.array([foot - 99 * along, foot + 99 * along])
        half = Polygon([*ends, ends[1] + 199 * normal, ends[0] + 199 * normal])
        halves.append(hull.intersection(half).area)
    cells = Cells(np.concatenate(rings), np.concatenate([[0], np.cumsum([len(r) for r in rings])]))
    part = positive_part(cells, corner_values(cells, np.array(maps)))
    np.testing.assert_allclose(part.areas(), halves, atol=1e-9)
    assert (np.diff(part.without_empty().offsets) > 0).all()


def test_zero_segments():
    across = zero_segments(SQUARES, corner_values(SQUARES, np.array([[1.0, 0, -0.5], [1.0, 0, -0.5]])))
    np.testing.assert_array_equal(np.sort(across[:, :, 1], axis=1), [[0, 1]])
    np.testing.assert_array_equal(across[:, :, 0], [[0.5, 0.5]])
    diagonal = zero_segments(SQUARES, corner_values(SQUARES, np.array([[1.0, -1.0, 0], [0, 0, 1.0]])))
    assert sorted(diagonal[0].tolist()) == [[0, 0], [1, 1]]
    along = zero_segments(SQUARES, corner_values(SQUARES, np.array([[1.0, 0, -1], [1.0, 0, -1]])))
    assert {tuple(sorted(map(tuple, s))) for s in along.tolist()} == {((1.0, 0.0), (1.0, 1.0))}


def test_regression_of_known_relations():
    rng = np.random.default_rng(1)
    maps, weights = rng.normal(size=(40, 3)), rng.uniform(0.1, 1, size=40)
    matrix, shift = rng.normal(size=(3, 3)), rng.normal(size=3)
    fit = xor.fit_maps(maps, maps @ matrix.T + shift, weights)
    assert fit.score == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(fit.coefficients, matrix, atol=1e-10)
    np.testing.assert_allclose(fit.intercepts, shift, atol=1e-10)
    assert xor.fit_maps(maps, maps).score == pytest.approx(1, abs=1e-12)


def test_weights_count_as_repeated_rows():
    rng = np.random.default_rng(2)
    source, target = rng.normal(size=(10, 3)), rng.normal(size=(10, 3))
    times = rng.integers(1, 5, size=10)
    weighted = xor.fit_maps(source, target, times.astype(float))
    repeated = xor.fit_maps(np.repeat(source, times, axis=0), np.repeat(target, times, axis=0))
    assert weighted.score == pytest.approx(repeated.score, abs=1e-12)
    assert weighted.score_on(source, target, times.astype(float)) == pytest.approx(weighted.score, abs=1e-12)
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, atol=1e-10)


def test_regression_rejects():
    with pytest.raises(ShapeError, match="equal"):
        xor.fit_maps(np.zeros((3, 3)), np.zeros((2, 3)))
    with pytest.raises(InputError, match="weights"):
        xor.fit_maps(np.zeros((3, 3)), np.zeros((3, 3)), np.array([1.0, 1.0, -1.0]))
    with pytest.raises(InputError, match="at least two"):
        xor.fit_maps(np.zeros((1, 3)), np.zeros((1, 3)))


def test_map_text():
    assert map_text(np.array([2.0, 2.0, 1.0])) == "$2x_1 + 2x_2 + 1$"
    assert map_text(np.array([0.0, 0.0, 0.0])) == "$0$"
    assert map_text(np.array([0.0, -1.0, 0.1])) == "$-x_2 + 0.1$"
