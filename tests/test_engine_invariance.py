"""What cannot change the function cannot change the complex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from tests.networks import SQUARE, fold, grid, integer_network, random_network, scaled

NETWORKS = {
    "random float32": random_network((7, 6, 4), 1, np.float32),
    "random float64": random_network((9, 5), 2),
    "bias-free": gr.Network([v.weight for v in random_network((6, 5), 3, np.float32).layers]),
    "ternary": integer_network((6, 5, 4), 4),
    "small integers": integer_network((5, 5), 5, largest=3),
    "ternary, bias-free": integer_network((6, 6), 6, bias=False),
    "grid with diagonals": grid(3),
    "fold": fold(3),
}
ALL = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def parts(network: gr.Network) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [v.weight for v in network.layers], [v.bias for v in network.layers]


def areas_by_pattern(p: Any, columns: np.ndarray | None = None) -> dict[bytes, float]:
    bits = p.patterns.unpack()
    bits = bits if columns is None else bits[:, columns]
    return {row.tobytes(): area for row, area in zip(np.ascontiguousarray(bits), p.areas, strict=True)}


def assert_same(p: Any, q: Any, columns: np.ndarray | None = None, area_factor: float = 1.0) -> None:
    """Equal counts, and equal areas by pattern; `columns` says which neurons of q are p's."""
    assert (p.n_regions, p.n_vertices, p.n_edges) == (q.n_regions, q.n_vertices, q.n_edges)
    assert p.n_affine_pieces == q.n_affine_pieces
    assert p.n_linear_regions == q.n_linear_regions
    a, b = areas_by_pattern(p), areas_by_pattern(q, columns)
    assert a.keys() == b.keys()
    # Far from the origin coordinates themselves are rounded, by up to half an ulp each.
    ulp = max(np.spacing(np.abs(r.domain.vertices).max()) * np.ptp(r.domain.vertices, axis=0).sum() for r in (p, q))
    atol = 1e-11 * p.domain.area + ulp
    np.testing.assert_allclose([b[k] * area_factor for k in a], list(a.values()), rtol=0, atol=atol)


@ALL
def test_permuted_neurons(network: gr.Network) -> None:
    rng = np.random.default_rng(0)
    weights, biases = parts(network)
    columns, first = [], 0
    for k, width in enumerate(network.widths):
        order = rng.permutation(width)
        weights[k], biases[k] = weights[k][order], biases[k][order]
        weights[k + 1] = weights[k + 1][:, order]
        columns.append(first + np.argsort(order))
        first += width
    permuted = gr.partition(gr.Network(weights, biases), SQUARE)
    assert_same(gr.partition(network, SQUARE), permuted, np.concatenate(columns))


@ALL
@pytest.mark.parametrize("mirror", [[-1, 1], [1, -1], [-1, -1]], ids=str)
def test_mirrored_inputs(network: gr.Network, mirror: list[int]) -> None:
    weights, biases = parts(network)
    weights[0] = weights[0] * mirror
    box = gr.Box([-1, -0.5], [0.75, 1])
    low, high = np.sort([box.low * mirror, box.high * mirror], axis=0)
    assert_same(gr.partition(network, box), gr.partition(gr.Network(weights, biases), gr.Box(low, high)))


@ALL
def test_swapped_inputs(network: gr.Network) -> None:
    weights, biases = parts(network)
    weights[0] = weights[0][:, ::-1]
    p = gr.partition(network, gr.Box([-1, -0.5], [0.75, 1]))
    assert_same(p, gr.partition(gr.Network(weights, biases), gr.Box([-0.5, -1], [1, 0.75])))


@ALL
@pytest.mark.parametrize("exponent", [-40, -20, -10, 1, 10, 20, 40])
def test_layers_scaled_by_powers_of_two(network: gr.Network, exponent: int) -> None:
    p = gr.partition(network, SQUARE)
    q = gr.partition(scaled(network, 2.0**exponent), SQUARE)
    assert_same(p, q)
    order, other = np.argsort(p.patterns.keys()), np.argsort(q.patterns.keys())
    np.testing.assert_array_equal(p.affine_maps.A[order], q.affine_maps.A[other])
    np.testing.assert_array_equal(p.affine_maps.b[order], q.affine_maps.b[other])
    np.testing.assert_array_equal(np.sort(p.areas), np.sort(q.areas))


@ALL
def test_scaled_domain(network: gr.Network) -> None:
    """Inputs halved, first layer's weights doubled: all coordinates are exactly half."""
    weights, biases = parts(network)
    weights[0] = weights[0] * 2
    assert_same(
        gr.partition(network, SQUARE), gr.partition(gr.Network(weights, biases), gr.Box(-0.5, 0.5)), area_factor=4
    )


@pytest.mark.parametrize("name", ["ternary", "ternary, bias-free", "small integers", "grid with diagonals", "fold"])
@pytest.mark.parametrize("shift", [[0.5, -0.25], [8, 3], [-(2.0**20), 2.0**-10]], ids=str)
def test_translated_by_a_dyadic_vector(name: str, shift: list[float]) -> None:
    """These networks' biases stay exact under the shift."""
    weights, biases = parts(NETWORKS[name])
    biases[0] = biases[0] - weights[0] @ shift
    moved = gr.partition(gr.Network(weights, biases), gr.Box(np.array([-1, -1]) + shift, np.array([1, 1]) + shift))
    assert_same(gr.partition(NETWORKS[name], SQUARE), moved)


@pytest.mark.parametrize("shift", [[0.5, -0.25], [-4, 3]], ids=str)
def test_a_generic_network_translated(shift: list[float]) -> None:
    """Weights and biases in 2^-20: exact under the shift, and generic all the same."""
    found = random_network((8, 5), 9)
    weights = [np.round(v.weight * 2**20) / 2**20 for v in found.layers]
    biases = [np.round(v.bias * 2**20) / 2**20 for v in found.layers]
    p = gr.partition(gr.Network(weights, biases), SQUARE)
    assert p.report["generic"]
    moved = [biases[0] - weights[0] @ shift, *biases[1:]]
    assert_same(
        p, gr.partition(gr.Network(weights, moved), gr.Box(np.array([-1, -1]) + shift, np.array([1, 1]) + shift))
    )


@ALL
def test_a_layer_split_by_an_identity(network: gr.Network) -> None:
    """relu(relu(u)) = relu(u): the copies add no region, and are active where their originals are."""
    weights, biases = parts(network)
    width = network.widths[0]
    deeper = gr.Network([weights[0], np.eye(width), *weights[1:]], [biases[0], np.zeros(width), *biases[1:]])
    q = gr.partition(deeper, SQUARE)
    bits = q.patterns.unpack()
    np.testing.assert_array_equal(bits[:, :width], bits[:, width : 2 * width])
    columns = np.r_[:width, 2 * width : deeper.n_neurons]
    assert_same(gr.partition(network, SQUARE), q, columns)


@ALL
def test_a_repeated_neuron_with_halved_outgoing_weights(network: gr.Network) -> None:
    weights, biases = parts(network)
    width = network.widths[0]
    weights[0], biases[0] = np.vstack([weights[0], weights[0][:1]]), np.append(biases[0], biases[0][0])
    weights[1] = np.hstack([weights[1], weights[1][:, :1] / 2])
    weights[1][:, 0] /= 2
    q = gr.partition(gr.Network(weights, biases), SQUARE)
    columns = np.r_[:width, width + 1 : network.n_neurons + 1]
    assert_same(gr.partition(network, SQUARE), q, columns)


@ALL
def test_the_same_partition_twice(network: gr.Network) -> None:
    p, q = gr.partition(network, SQUARE), gr.partition(network, SQUARE)
    for name in ("vertices", "edges", "edge_faces", "edge_neuron", "face_offsets", "face_vertices", "face_edges"):
        np.testing.assert_array_equal(getattr(p, name), getattr(q, name))
    assert p.patterns == q.patterns


@ALL
def test_two_halves_of_the_domain(network: gr.Network) -> None:
    """Patterns of the whole are those of the halves, and areas add up."""
    whole = gr.partition(network, SQUARE)
    left = gr.partition(network, gr.Box([-1, -1], [0.125, 1]))
    right = gr.partition(network, gr.Box([0.125, -1], [1, 1]))
    total = areas_by_pattern(left)
    for key, area in areas_by_pattern(right).items():
        total[key] = total.get(key, 0) + area
    expected = areas_by_pattern(whole)
    assert total.keys() == expected.keys()
    np.testing.assert_allclose([total[k] for k in expected], list(expected.values()), rtol=0, atol=1e-12)


def test_joint_refines_both() -> None:
    a, b = NETWORKS["random float64"], NETWORKS["ternary"]
    joint = gr.partition(gr.joint(a, b), SQUARE)
    p, q = gr.partition(a, SQUARE), gr.partition(b, SQUARE)
    assert joint.n_regions >= max(p.n_regions, q.n_regions)
    inside = joint.centroids
    clear = joint.areas > 1e-9
    values = np.hstack([a(inside), b(inside)])
    np.testing.assert_allclose(joint(inside)[clear], values[clear], rtol=0, atol=1e-12)
    for part in (p, q):
        home = part.locate(inside)
        sums = np.bincount(home[home >= 0], weights=joint.areas[home >= 0], minlength=part.n_regions)
        np.testing.assert_allclose(sums, part.areas, rtol=0, atol=1e-6)
