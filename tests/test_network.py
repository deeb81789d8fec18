"""`Network`: exact weights, the forward pass, joints, bad input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from geomrelu.errors import InputDimensionError, InputError, ShapeError, WeightError
from geomrelu.network import Layer, Network, joint_network
from tests.networks import random_network, sawtooth, to_torch
from tests.oracles.fraction_enumerator import evaluate, pattern_at

POINTS = np.random.default_rng(0).uniform(-1, 1, (40, 2))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_keep_their_exact_values(dtype: type) -> None:
    values = np.random.default_rng(1).normal(size=(3, 2)).astype(dtype)
    network = Network([values, np.ones((1, 3), dtype=dtype)])
    assert network.layers[0].weight.dtype == np.float64
    assert [Fraction(float(v)) for v in network.layers[0].weight.ravel()] == [
        Fraction(*v.as_integer_ratio()) for v in values.ravel()
    ]


def test_integers_that_float64_cannot_hold_are_refused() -> None:
    Network([[[2**53, 0]], [[1]]])
    with pytest.raises(WeightError, match="round them first"):
        Network([np.array([[2**53 + 1, 0]]), [[1]]])


@pytest.mark.parametrize("widths", [(), (5,), (6, 4), (3, 70, 2)], ids=str)
def test_forward_pass_equals_torch_and_exact_arithmetic(widths: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    network = random_network(widths, 3, n_outputs=2)
    got = network(POINTS)
    assert got.shape == (40, 2)
    np.testing.assert_allclose(got, to_torch(network)(torch.tensor(POINTS)).detach().numpy(), rtol=0, atol=1e-13)
    for point, value, bits in zip(POINTS[:5], got, network.pattern_bits(POINTS), strict=False):
        exact = (Fraction(float(point[0])), Fraction(float(point[1])))
        np.testing.assert_allclose(value, [float(v) for v in evaluate(network, exact)], rtol=0, atol=1e-13)
        assert tuple(bits.astype(int)) == pattern_at(network, exact)
    np.testing.assert_array_equal(network.patterns(POINTS).unpack(), network.pattern_bits(POINTS))


def test_sizes() -> None:
    network = random_network((5, 7), 0, n_outputs=3)
    assert (network.n_inputs, network.n_outputs, network.widths, network.n_neurons) == (2, 3, (5, 7), 12)
    assert network.n_parameters == 5 * 3 + 7 * 6 + 3 * 8
    assert repr(network) == "Network(2-5-7-3, 12 neurons)"


def test_weights_are_copied_and_frozen() -> None:
    weight = np.ones((2, 2))
    network = Network([weight, np.ones((1, 2))])
    weight[:] = 7
    assert network.layers[0].weight[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        network.layers[0].weight[0, 0] = 2


def test_preactivations_do_not_change_when_outputs_are_computed() -> None:
    network = random_network((4, 3), 2)
    first, second = network.preactivations(POINTS)
    assert (first < 0).any()
    h = np.maximum(first, 0)
    np.testing.assert_allclose(second, h @ network.layers[1].weight.T + network.layers[1].bias)


@pytest.mark.parametrize(
    ("widths_a", "widths_b"),
    [((4,), (3,)), ((4,), (3, 5)), ((3, 5), (4,)), ((), (3, 2, 4)), ((4, 3, 2), ()), ((), ()), ((70,), (65, 3))],
    ids=str,
)
def test_joint_network_has_both_outputs(widths_a: tuple[int, ...], widths_b: tuple[int, ...]) -> None:
    a, b = random_network(widths_a, 1, n_outputs=2), random_network(widths_b, 2, n_outputs=3)
    joint = joint_network(a, b)
    assert joint.n_outputs == 5
    assert joint.n_neurons == a.n_neurons + b.n_neurons
    np.testing.assert_allclose(joint(POINTS), np.concatenate([a(POINTS), b(POINTS)], axis=1), rtol=0, atol=1e-13)
    point = (Fraction(1, 3), Fraction(-2, 7))
    assert evaluate(joint, point) == evaluate(a, point) + evaluate(b, point)


def test_joint_network_lists_neurons_layer_by_layer() -> None:
    a, b = random_network((4,), 1), random_network((3, 5), 2)
    joint = joint_network(a, b)
    assert joint.widths == (7, 5)
    bits_a, bits_b = a.pattern_bits(POINTS), b.pattern_bits(POINTS)
    expected = np.concatenate([bits_a, bits_b[:, :3], bits_b[:, 3:]], axis=1)
    np.testing.assert_array_equal(joint.pattern_bits(POINTS), expected)


def test_joints_of_joints() -> None:
    a, b, c = random_network((2, 3), 1), sawtooth(4), random_network((3,), 3)
    joint = joint_network(joint_network(a, b), c)
    other = joint_network(a, joint_network(b, c))
    np.testing.assert_allclose(joint(POINTS), other(POINTS), rtol=0, atol=1e-13)
    np.testing.assert_allclose(joint(POINTS), np.hstack([a(POINTS), b(POINTS), c(POINTS)]), rtol=0, atol=1e-13)


def test_joint_network_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputDimensionError, match="2 and 3 inputs"):
        joint_network(random_network((2,), 0), random_network((2,), 0, n_inputs=3))
    with pytest.raises(InputError, match="got str"):
        joint_network(random_network((2,), 0), "network")  # type: ignore[arg-type]


def test_layers_with_passing_units() -> None:
    network = Network.from_layers(
        [Layer(np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2), 1), Layer(np.ones((1, 2)), np.zeros(1), 0)]
    )
    np.testing.assert_array_equal(network([[-1.0, -2.0], [1.0, -2.0]]), [[-2.0], [-1.0]])
    assert network.n_neurons == 1


@pytest.mark.parametrize(
    ("weights", "biases", "error", "message"),
    [
        ([], [], ShapeError, "no layers"),
        ([[[1, 2]]], [[1], [2]], ShapeError, "1 weight matrices and 2 biases"),
        ([[[1, 2]], [[1, 2]]], [[1], [1]], ShapeError, "layer 1 takes 2 inputs but layer 0 has 1 units"),
        ([[[1, 2]]], [[1, 2]], ShapeError, r"bias 0: got shape \(2,\), expected \(1,\)"),
        ([[1, 2]], [[1, 2]], ShapeError, "weight 0: got shape"),
        ([np.zeros((0, 2))], [np.zeros(0)], ShapeError, "non-empty"),
        ([[[1, 2], [3]]], [[1, 2]], ShapeError, "rows of unequal length"),
        ([[[1, np.nan]]], [[1]], WeightError, r"weight 0: entry \(0, 1\) is nan"),
        ([[[1, 2]]], [[np.inf]], WeightError, r"bias 0: entry \(0,\) is inf"),
        ([[[1, 2j]]], [[1]], WeightError, "complex"),
        ([[["a", "b"]]], [[1]], WeightError, "dtype"),
    ],
)
def test_bad_weights_are_named(weights: list, biases: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Network(weights, biases)


def test_a_last_layer_with_neurons_is_refused() -> None:
    layer = Layer(np.ones((1, 2)), np.zeros(1), 1)
    with pytest.raises(ShapeError, match="identity output layer"):
        Network.from_layers([layer])


@pytest.mark.parametrize(
    "points", [[1.0, 2.0], [[1.0, 2.0, 3.0]], np.zeros((2, 2, 2))], ids=["1-D", "3 columns", "3-D"]
)
def test_points_of_the_wrong_shape(points: object) -> None:
    with pytest.raises(InputDimensionError, match=r"expected \(N, 2\)"):
        random_network((2,), 0)(points)
