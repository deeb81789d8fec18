"""Sparse weights and affine steps: other ways to write a network down must not change its partition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

import geomrelu as gr
from tests.networks import SQUARE, Case, degenerate_cases, integer_network, random_cases, random_network
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import assert_equals_oracle

Layers = list[gr.Layer]


def sparse(network: gr.Network) -> gr.Network:
    return gr.Network.from_layers([replace(v, weight=csr_array(v.weight)) for v in network.layers])


def with_steps(network: gr.Network, seed: int = 0) -> gr.Network:
    """The same function, with affine steps between the layers: permutations, powers of two, shifts to and fro."""
    rng = np.random.default_rng(seed)
    layers: Layers = []
    for layer in network.layers:
        n = layer.n_inputs
        order = rng.permutation(n)
        scale = 2.0 ** rng.integers(-3, 4, n)
        layers.append(gr.Layer(csr_array(np.eye(n)[order]), np.zeros(n), 0))
        layers.append(gr.Layer(csr_array(np.diag(scale)), np.full(n, 0.5), 0))
        layers.append(gr.Layer(np.eye(n), np.full(n, -0.5), 0))
        layers.append(replace(layer, weight=layer.weight[:, order] / scale))
    return gr.Network.from_layers(layers)


def leaky(network: gr.Network, slope: float) -> gr.Network:
    """The network with leaky rectifiers: u as a neuron and passing, then r and u - r, then r + slope (u - r)."""
    layers: Layers = []
    for layer in network.hidden:
        n = layer.n_units
        eye = np.eye(n)
        both = np.concatenate([layer.weight, layer.weight])
        layers.append(gr.Layer(both, np.concatenate([layer.bias, layer.bias]), n))
        layers.append(gr.Layer(csr_array(np.block([[eye, 0 * eye], [-eye, eye]])), np.zeros(2 * n), 0))
        layers.append(gr.Layer(csr_array(np.hstack([eye, slope * eye])), np.zeros(n), 0))
    return gr.Network.from_layers([*layers, network.output])


def same_partition(network: gr.Network, other: gr.Network, domain: gr.Box | gr.Polygon) -> None:
    p, q = gr.partition(network, domain), gr.partition(other, domain)
    assert sorted(map(bytes, p.patterns.unpack())) == sorted(map(bytes, q.patterns.unpack()))
    assert (q.n_vertices, q.n_edges) == (p.n_vertices, p.n_edges)
    assert q.count("affine") == p.count("affine")
    q.check()
    q.check(level="exact")


@pytest.mark.parametrize("case", [*degenerate_cases(), *random_cases()], ids=str)
@pytest.mark.parametrize("rewrite", [sparse, with_steps], ids=lambda f: f.__name__)
def test_rewritten_networks(case: Case, rewrite: Callable[[gr.Network], gr.Network]) -> None:
    same_partition(case.network, rewrite(case.network), case.domain)


@pytest.mark.parametrize("slope", [0.01, -1.0, 0.0, 2.5])
def test_leaky_rectifiers(slope: float) -> None:
    for network in (random_network((7, 6), 3), integer_network((6, 5), 4), integer_network((8,), 2, bias=False)):
        made = leaky(network, slope)
        p = gr.partition(sparse(made), SQUARE)
        assert_equals_oracle(p, enumerate_regions(made, SQUARE.vertices), 1e-9)
        p.check(level="exact")
        x = p.centroids
        h = x
        for layer in network.hidden:
            u = h @ layer.weight.T + layer.bias
            h = np.where(u > 0, u, slope * u)
        assert np.allclose(p(x), h @ network.output.weight.T + network.output.bias, atol=1e-12)


def test_steps_that_no_neuron_follows() -> None:
    eye = csr_array(np.eye(3))
    tail = [gr.Layer(eye, np.ones(3), 0), gr.Layer(eye, np.zeros(3), 0)]
    first = gr.Layer(np.array([[1.0, 0.5], [0.25, -1.0], [1.0, 1.0]]), np.array([0.1, 0.2, -0.3]), 3)
    p = gr.partition(gr.Network.from_layers([first, *tail]), SQUARE)
    assert (
        p.n_regions == gr.partition(gr.Network([first.weight, np.eye(3)], [first.bias, np.zeros(3)]), SQUARE).n_regions
    )
    p.check(level="exact")
    nothing = gr.partition(gr.Network.from_layers([gr.Layer(np.eye(2), np.zeros(2), 0)] * 3), SQUARE)
    assert nothing.n_regions == 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blocks_and_wide_sparse_layers(n_jobs: int) -> None:
    network = random_network((40, 40, 40), 5)
    for other in (sparse(network), with_steps(network)):
        p, q = gr.partition(network, SQUARE, n_jobs=n_jobs), gr.partition(other, SQUARE, n_jobs=n_jobs)
        assert sorted(map(bytes, p.patterns.words)) == sorted(map(bytes, q.patterns.words))
        assert gr.count_regions(other, SQUARE) == p.n_regions


def test_saved_and_loaded(tmp_path: Path) -> None:
    p = gr.partition(with_steps(random_network((6, 5), 1)), SQUARE)
    p.save(tmp_path / "p.npz")
    q = gr.load(tmp_path / "p.npz")
    assert [type(v.weight) for v in q.network.layers] == [type(v.weight) for v in p.network.layers]
    assert np.array_equal(q.network(p.vertices), p.network(p.vertices))
    q.check()
