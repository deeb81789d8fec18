"""The sampled path: gradients by autograd, distinct maps, rounding bounds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomrelu.domain import Box, Polygon, Polytope
from geomrelu.errors import (
    DomainError,
    InputDimensionError,
    InputError,
    ShapeError,
    UnsupportedLayerError,
    WeightError,
)
from geomrelu.network import Network, joint_network
from geomrelu.sampling import distinct_maps, doubtful_signs, grid_points, sample, sample_maps, trace, value_errors
from tests.networks import integer_network, random_network, to_torch

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(-1, 1, (300, 2))


def maps_from_patterns(network: Network, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each point's affine map, as a product of masked weight matrices."""
    a = np.broadcast_to(np.eye(network.n_inputs), (len(points), network.n_inputs, network.n_inputs))
    b = np.zeros((len(points), network.n_inputs))
    for layer, u in zip(network.hidden, network.preactivations(points), strict=True):
        on = np.ones(u.shape)
        on[:, : layer.n_neurons] = u[:, : layer.n_neurons] > 0
        a = on[:, :, None] * (layer.weight @ a)
        b = on * (b @ layer.weight.T + layer.bias)
    return network.output.weight @ a, b @ network.output.weight.T + network.output.bias


NETWORKS = {
    "one layer": random_network((20,), 0),
    "deep, three outputs": random_network((9, 8, 7, 6), 1, n_outputs=3),
    "joint, with passing units": joint_network(random_network((5,), 2), random_network((4, 6, 3), 3, n_outputs=2)),
    "no neuron": Network([[[1.0, 2.0]]], [[3.0]]),
    "float32 weights": random_network((16, 16), 4, np.float32),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_gradients_and_intercepts_are_the_regions_maps(network: Network) -> None:
    a, b = maps_from_patterns(network, POINTS)
    values, gradients, intercepts = sample_maps(network, POINTS)
    np.testing.assert_allclose(values, network(POINTS), atol=1e-13)
    np.testing.assert_allclose(gradients, a, atol=1e-13)
    np.testing.assert_allclose(intercepts, b, atol=1e-13)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_gradients_are_finite_differences(network: Network) -> None:
    step = 2.0**-26
    gradients = sample_maps(network, POINTS).gradients
    for axis in range(2):
        move = step * np.eye(2)[axis]
        stays = (network.pattern_bits(POINTS + move) == network.pattern_bits(POINTS - move)).all(axis=1)
        assert stays.mean() > 0.95
        slope = (network(POINTS + move) - network(POINTS - move)) / (2 * step)
        np.testing.assert_allclose(gradients[stays, :, axis], slope[stays], atol=1e-6)


def test_a_torch_module_is_sampled_in_float64_with_its_exact_weights_and_left_alone() -> None:
    network = random_network((12, 10), 7, np.float32, n_outputs=2)
    module = to_torch(network, torch.float32).train()
    maps, own = sample_maps(module, POINTS), sample_maps(network, POINTS)
    for got, expected in zip(maps, own, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert module.training
    assert all(m.training for m in module.modules())
    assert all(w.dtype == torch.float32 and w.grad is None and w.requires_grad for w in module.parameters())


def test_an_inactive_neuron_at_exactly_zero_has_gradient_zero() -> None:
    relu = Network([[[1.0, 0.0]], [[1.0]]])
    assert sample_maps(relu, [[0.0, 1.0]]).gradients.tolist() == [[[0.0, 0.0]]]
    assert not trace(relu, [[0.0, 1.0]]).patterns.unpack().any()


def test_training_layers_are_sampled_as_in_evaluation() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)
    )
    mean = module[1].running_mean.clone()
    first, second = sample_maps(module, POINTS), sample_maps(module, POINTS, chunk=7)
    np.testing.assert_allclose(first.gradients, second.gradients, atol=1e-14)
    assert torch.equal(module[1].running_mean, mean)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_whatever_the_mode_around(context: Any) -> None:
    expected = sample_maps(NETWORKS["one layer"], POINTS)
    with context():
        module = to_torch(NETWORKS["one layer"])
        np.testing.assert_array_equal(sample_maps(module, POINTS).gradients, expected.gradients)
        np.testing.assert_array_equal(trace(NETWORKS["one layer"], POINTS).maps.gradients, expected.gradients)


def test_chunks_do_not_matter() -> None:
    network = NETWORKS["deep, three outputs"]
    whole, parts = sample_maps(network, POINTS), sample_maps(network, POINTS, chunk=77)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)
    assert trace(network, POINTS, chunk=77).patterns == trace(network, POINTS).patterns


def test_no_points_give_empty_arrays() -> None:
    maps = sample_maps(NETWORKS["deep, three outputs"], np.empty((0, 2)))
    assert [a.shape for a in maps] == [(0, 3), (0, 3, 2), (0, 3)]
    assert len(trace(NETWORKS["one layer"], np.empty((0, 2))).patterns) == 0


def test_modules_with_flat_outputs_and_constant_modules() -> None:
    class Flat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x).sum(dim=1)

    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(x), 3)

    assert sample_maps(Flat(), [[1.0, -1.0]]).gradients.tolist() == [[[1.0, 0.0]]]
    maps = sample_maps(Constant(), POINTS)
    assert not maps.gradients.any()
    assert (maps.intercepts == 1).all()


def test_more_than_two_inputs() -> None:
    network = random_network((6, 5), 3, n_inputs=4, n_outputs=2)
    points = RNG.normal(size=(50, 4))
    a, b = maps_from_patterns(network, points)
    maps = sample_maps(network, points)
    np.testing.assert_allclose(maps.gradients, a, atol=1e-13)
    np.testing.assert_allclose(maps.intercepts, b, atol=1e-12)


def test_scikit_learn_models() -> None:
    from sklearn.neural_network import MLPRegressor

    target = POINTS[:, 0] * POINTS[:, 1]
    model = MLPRegressor(hidden_layer_sizes=(10,), max_iter=30, random_state=0, tol=1.0).fit(POINTS, target)
    maps = sample_maps(model, POINTS)
    np.testing.assert_allclose(maps.values[:, 0], model.predict(POINTS), atol=1e-12)
    assert sample(model, Box(-1, 1), n=21).n_maps > 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu() -> None:
    network = NETWORKS["deep, three outputs"]
    for a, b in zip(sample_maps(network, POINTS), sample_maps(network, POINTS, device="cuda"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    shown = trace(network, POINTS, device="cuda")
    assert shown.patterns == trace(network, POINTS).patterns


# The grid


def test_the_study_s_samples() -> None:
    points = grid_points(Box(-1, 1), 101)
    assert points.shape == (101 * 101 + 4, 2)
    np.testing.assert_array_equal(points[-4:], Box(-1, 1).vertices)
    np.testing.assert_array_equal(np.unique(points[:, 0]), np.linspace(-1, 1, 101))


def test_a_polygon_s_samples_lie_in_it() -> None:
    domain = Polygon([[0, 0], [3, 1], [1, 2]])
    points = grid_points(domain, 40)
    assert domain.contains(points).all()
    np.testing.assert_array_equal(points[-3:], domain.vertices)
    assert 0.4 < len(points) / 1600 < 0.45
    thin = Polygon([[0, 0], [1, 1e-9], [1, 2e-9]])
    assert len(sample(NETWORKS["one layer"], thin, n=5)) >= 3


def test_samples_of_the_hand_made_network() -> None:
    f = Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
    s = sample(f, Box(-1, 1))
    assert s.n_maps == 3
    assert len(s) == 10205
    rows = np.column_stack([s.gradients[s.representatives, 0], s.intercepts[s.representatives, 0]])
    np.testing.assert_allclose(rows, [[0, 0, -1], [2, 2, 1], [-2, -2, 1]], atol=1e-12)
    own = s.gradients[:, 0] - s.gradients[s.representatives[s.labels], 0]
    assert np.abs(own).max() <= s.tol
    with pytest.raises(ValueError, match="read-only"):
        s.values[0] = 0
    with pytest.raises(AttributeError):
        s.tol = 1.0  # type: ignore[misc]


# Distinct maps


def naive_distinct(rows: np.ndarray, tol: float) -> tuple[list[int], list[int]]:
    kept: list[int] = []
    labels = []
    for i, row in enumerate(rows):
        for label, r in enumerate(kept):
            if (np.abs(row - rows[r]) <= tol).all():
                labels.append(label)
                break
        else:
            labels.append(len(kept))
            kept.append(i)
    return kept, labels


@pytest.mark.parametrize("columns", [1, 2, 3, 7])
@pytest.mark.parametrize("spread", [1e-6, 3e-3, 0.05, 1.0])
def test_distinct_maps_are_those_of_the_plain_double_loop(columns: int, spread: float) -> None:
    rng = np.random.default_rng(columns)
    centres = rng.normal(size=(12, columns))
    rows = centres[rng.integers(0, 12, 400)] + spread * rng.uniform(-1, 1, (400, columns))
    got = distinct_maps(rows, 1e-3)
    assert (got.representatives.tolist(), got.labels.tolist()) == naive_distinct(rows, 1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-6, 6)] * 3), max_size=40),
    st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.75, 5.0]),
    st.sampled_from([1.0, 1e-8, 1e12]),
    st.sampled_from([0.0, 1e9]),
)
def test_distinct_maps_at_exact_ties(rows: list[tuple[int, ...]], tol: float, scale: float, shift: float) -> None:
    table = np.array(rows, dtype=float).reshape(-1, 3) / 4 * scale + shift
    got = distinct_maps(table, tol * scale)
    assert (got.representatives.tolist(), got.labels.tolist()) == naive_distinct(table, tol * scale)


def test_distinct_maps_depend_on_the_order_as_said() -> None:
    assert distinct_maps([[0.0], [0.9], [1.8]], 1.0).labels.tolist() == [0, 0, 1]
    assert distinct_maps([[0.9], [0.0], [1.8]], 1.0).labels.tolist() == [0, 0, 0]
    # The earliest that is near enough, not the nearest.
    assert distinct_maps([[0.0], [1.5], [0.9]], 1.0).labels.tolist() == [0, 1, 0]


def test_distinct_maps_of_few_or_equal_rows() -> None:
    assert distinct_maps(np.empty((0, 3))).labels.shape == (0,)
    assert distinct_maps(np.empty((4, 0))).labels.tolist() == [0, 0, 0, 0]
    assert distinct_maps([[0.0, 1.0], [-0.0, 1.0]], 0).labels.tolist() == [0, 0]
    assert distinct_maps([[1e300], [1e-300], [-1e300]], 1e-3).labels.tolist() == [0, 1, 2]


# Signs within rounding


def exact_preactivations(network: Network, point: np.ndarray) -> list[Fraction]:
    h = [Fraction(float(v)) for v in point]
    result = []
    for layer in network.hidden:
        u = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        result += u[: layer.n_neurons]
        h = [max(v, Fraction(0)) if k < layer.n_neurons else v for k, v in enumerate(u)]
    return result


def test_signs_that_are_not_doubtful_are_those_of_exact_arithmetic() -> None:
    # Points on the first layer's zero sets, and on crossings of two: every sign in doubt that can be.
    network = NETWORKS["deep, three outputs"]
    w, b = network.layers[0].weight, network.layers[0].bias
    crossings = np.array([np.linalg.solve(w[[i, i + 1]], -b[[i, i + 1]]) for i in range(8)])
    points = np.concatenate([crossings, crossings * (1 + 1e-16), POINTS[:20]])
    shown = trace(network, points)
    active, doubtful = shown.patterns.unpack(), shown.doubtful.unpack()
    exact = np.array([[v > 0 for v in exact_preactivations(network, x)] for x in points])
    assert doubtful[:8, :9].sum() >= 16
    assert doubtful_signs(network, points, chunk=5) == shown.doubtful
    assert not doubtful[16:].any()
    assert (active == exact)[~doubtful].all()


def test_a_position_error_widens_the_doubt_accordingly() -> None:
    line = Network([[[1.0, 0.0]], [[1.0]]])
    near = [[1e-10, 0.0], [-1e-10, 0.0]]
    assert not trace(line, near).doubtful.unpack().any()
    assert trace(line, near, position_error=2e-10).doubtful.unpack().all()


def test_exact_zeros_are_not_in_doubt() -> None:
    # Behind a dead layer everything is exactly 0; integer networks are exact at integer points.
    dead = Network([[[1.0, 1.0]], [[1.0], [-1.0]], [[1.0, 1.0]]], [[-9.0], [0.0, 0.0], [0.0]])
    assert not trace(dead, POINTS, position_error=1e-12).doubtful.unpack().any()
    assert (value_errors(integer_network((4, 3), 0), POINTS) < 1e-12).all()


# Bad input


@pytest.mark.parametrize("n", [1, 0, -3, 2.5, "many", None, True, 10**6])
def test_bad_grid_sizes(n: Any) -> None:
    with pytest.raises(InputError, match=r"n: got .*expected"):
        sample(NETWORKS["one layer"], Box(-1, 1), n=n)


@pytest.mark.parametrize("tol", [-1e-3, np.nan, np.inf, "small", None])
def test_bad_tolerances(tol: Any) -> None:
    with pytest.raises(InputError, match=r"tol: got .*expected"):
        sample(NETWORKS["one layer"], Box(-1, 1), tol=tol)
    with pytest.raises(InputError, match=r"tol: got .*expected"):
        distinct_maps([[0.0]], tol)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "mps:0", 3.5, "meta"])
def test_bad_devices_are_named_beside_those_there_are(device: Any) -> None:
    with pytest.raises(InputError, match=r"device: got .*expected one of cpu"):
        sample(NETWORKS["one layer"], Box(-1, 1), n=3, device=device)


@pytest.mark.parametrize("chunk", [0, -1, 1.5, True])
def test_bad_chunks(chunk: Any) -> None:
    with pytest.raises(InputError, match=r"chunk: got .*expected"):
        sample_maps(NETWORKS["one layer"], POINTS, chunk=chunk)


def test_wrong_dimensions() -> None:
    three = random_network((4,), 0, n_inputs=3)
    for model in (three, to_torch(three)):
        with pytest.raises(InputDimensionError, match="expected"):
            sample(model, Box(-1, 1), n=3)
    with pytest.raises(InputDimensionError, match="expected"):
        sample(three, Box([0] * 4, [1] * 4), n=3)
    with pytest.raises(InputDimensionError, match="shape"):
        sample_maps(three, [1.0, 2.0, 3.0])


def test_grids_in_three_dimensions() -> None:
    f = random_network((4, 3), 0, n_inputs=3)
    box = Box([-1.0, 0.0, 1.0], [1.0, 2.0, 4.0])
    found = sample(f, box, n=7)
    assert len(found) == 7**3 + 8
    assert found.points[:2].tolist() == [[-1.0, 0.0, 1.0], [-1.0 + 2 / 6, 0.0, 1.0]]
    assert {tuple(x) for x in found.points[-8:].tolist()} == {
        (x, y, z) for x in (-1, 1) for y in (0, 2) for z in (1, 4)
    }
    np.testing.assert_allclose(found.values, f(found.points), atol=1e-14)
    step = np.array([1e-6, -2e-6, 3e-6])
    inside = found.points[:343] + step
    rise = f(inside) - found.values[:343]
    same = np.abs(rise - found.gradients[:343] @ step) < 1e-12
    assert same.mean() > 0.95
    simplex = Polytope(np.vstack([-np.eye(3), np.ones((1, 3))]), [0.0, 0, 0, 1])
    assert simplex.contains(grid_points(simplex, 9)).all()
    with pytest.raises(InputError, match="take n up to 100"):
        grid_points(Box([-1] * 4, [1] * 4), 101)


def test_other_bad_input() -> None:
    class Wrong(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum()

    class Uncopied(torch.nn.Module):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no copies")

    with pytest.raises(ShapeError, match=r"expected a tensor of shape"):
        sample_maps(Wrong(), POINTS)
    with pytest.raises(UnsupportedLayerError, match="cannot be copied"):
        sample_maps(Uncopied(), POINTS)
    with pytest.raises(DomainError):
        sample(NETWORKS["one layer"], None)
    with pytest.raises(InputError):
        sample("a string", Box(-1, 1))
    with pytest.raises(WeightError, match="finite"):
        distinct_maps([[np.nan]])
    with pytest.raises(ShapeError, match="one map a row"):
        distinct_maps([1.0, 2.0])
    with pytest.raises(WeightError, match="points"):
        sample_maps(NETWORKS["one layer"], [[np.nan, 0.0]])
