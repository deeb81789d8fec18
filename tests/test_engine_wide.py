"""Very wide layers are cut in parts (`planar.narrow`): the function, the neurons and the partition stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

import geomrelu as gr
from geomrelu.planar import narrow
from geomrelu.planar.narrow import narrowed


def wide_network(seed: int, widths: tuple[int, ...], sparse: bool = False, step: int = 0) -> gr.Network:
    """Random layers, the first hidden one wide; behind `step` units of an affine step; passing units beside neurons."""
    rng = np.random.default_rng(seed)
    layers, size = [], 2
    if step:
        layers.append(gr.Layer(rng.standard_normal((step, 2)), rng.standard_normal(step), 0))
        size = step
    for k, width in enumerate(widths):
        units = width + (3 if k % 2 == 0 else 0)
        weight = rng.standard_normal((units, size)) / np.sqrt(size)
        if sparse:
            weight = csr_array(random_array((units, size), density=0.5, rng=rng))
        layers.append(gr.Layer(weight, 0.3 * rng.standard_normal(units), width))
        size = units
    layers.append(gr.Layer(rng.standard_normal((2, size)), rng.standard_normal(2), 0))
    return gr.Network.from_layers(layers)


CASES = [
    ((300,), False, 0),
    ((300, 8), False, 0),
    ((200, 8), True, 0),
    ((257, 8), False, 7),
    ((257, 8), True, 7),
    ((3, 300, 8), False, 0),
    ((192,), False, 1),
]


@pytest.mark.parametrize(("widths", "sparse", "step"), CASES)
def test_the_function_and_the_neurons_stay_the_same(widths, sparse, step):
    network = wide_network(1, widths, sparse, step)
    narrow_network, last = narrowed(network, 128)
    assert len(narrow_network.layers) > len(network.layers)
    assert max(narrow_network.widths) < max(network.widths)
    assert narrow_network.n_neurons == network.n_neurons
    assert len(last) == len(network.hidden)
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    np.testing.assert_allclose(narrow_network(x), network(x), rtol=1e-12, atol=1e-12)
    # Packed words, not only bits: layers start at the same words.
    np.testing.assert_array_equal(narrow_network.patterns(x).words, network.patterns(x).words)


@pytest.mark.parametrize(("widths", "sparse", "step"), CASES)
def test_the_partition_stays_the_same(widths, sparse, step, monkeypatch):
    network = wide_network(2, widths, sparse, step)
    box = gr.Box(-0.4, 0.4)
    monkeypatch.setattr(narrow, "WIDE", 1 << 20)
    whole = gr.partition(network, box)
    monkeypatch.setattr(narrow, "WIDE", 128)
    parts = gr.partition(network, box)
    parts.check()
    assert parts.network is whole.network
    assert parts.patterns.widths == network.widths
    a, b = (np.lexsort(p.patterns.words.T) for p in (whole, parts))
    np.testing.assert_array_equal(whole.patterns.words[a], parts.patterns.words[b])
    np.testing.assert_allclose(whole.areas[a], parts.areas[b], rtol=1e-6, atol=1e-12)
    for own, other in zip(whole.report["layers"], parts.report["layers"], strict=True):
        assert own == other
    assert gr.aggregate(network, box, ["regions"]).report["layers"] == whole.report["layers"]
    assert sorted(np.bincount(whole.edge_neuron + 1)) == sorted(np.bincount(parts.edge_neuron + 1))
    np.testing.assert_array_equal(np.bincount(whole.edge_neuron + 1), np.bincount(parts.edge_neuron + 1))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), first=st.integers(129, 400), step=st.integers(0, 5))
def test_random_networks_stay_the_same(seed, first, step):
    network = wide_network(seed, (first, 5), sparse=seed % 2 == 0, step=step)
    x = np.random.default_rng(seed).uniform(-1, 1, (20, 2))
    np.testing.assert_array_equal(narrowed(network, 128)[0].patterns(x).words, network.patterns(x).words)


def test_what_needs_no_parts_is_left_alone():
    for network in (wide_network(0, (100, 20)), wide_network(0, (60, 300))):
        same, last = narrowed(network, 128)
        assert same is network
        assert last.tolist() == [0, 1]
    pooled = gr.Layer(np.ones((300, 2)), np.zeros(300), 300, np.full((300, 2), [0, 1]))
    after = gr.Layer(np.ones((1, 300)), np.zeros(1), 1)
    network = gr.Network.from_layers([pooled, after, gr.Layer(np.ones((1, 1)), np.zeros(1), 0)])
    assert narrowed(network, 128)[0] is network
