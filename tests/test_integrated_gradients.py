"""Integrated gradients: completeness, fractions, the limit of the sampled rule, batches, misuse."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import geomrelu as gr
from geomrelu.errors import InputDimensionError, InputError, ShapeError, WeightError
from tests.misuse import Misuse, assert_raises
from tests.networks import random_network, sawtooth, to_torch
from tests.oracles.fraction_segments import enumerate_pieces

NETWORK = random_network((9, 8), 4, n_inputs=6, n_outputs=3)
RNG = np.random.default_rng(0)
X, BASE = RNG.normal(size=(20, 6)) * 3, RNG.normal(size=6)


def test_completeness_on_more_than_1024_pieces() -> None:
    network = random_network((3000, 40), 0, n_inputs=20, n_outputs=2)
    x, base = RNG.normal(size=(1, 20)) * 4, RNG.normal(size=20) * 4
    assert gr.partition(network, gr.Segment(base, x[0])).n_regions > 1024
    found = gr.integrated_gradients(network, x, base)
    np.testing.assert_allclose(found.sum(axis=2), network(x) - network(base[None]), rtol=1e-12, atol=1e-11)


def test_a_sawtooth_of_4096_pieces() -> None:
    """f climbs and falls between 0 and 1 all the way: attributions are what is left in the end."""
    network = sawtooth(12)
    start, end = np.array([0.0, 0.25]), np.array([1.0, 0.75])
    assert gr.partition(network, gr.Segment(start, end)).n_regions == 4096
    assert gr.integrated_gradients(network, end[None], start, 0).tolist() == [[0.0, 0.0]]
    third = gr.integrated_gradients(network, [[1 / 3, 0.75]], start, 0)
    np.testing.assert_allclose(third, [[network([[1 / 3, 0.75]])[0, 0], 0.0]], atol=1e-12)


def test_against_fractions() -> None:
    def exact(x: Any, base: Any) -> list[Fraction]:
        """Sum over pieces of length times the gradient, chained through the layers of the piece's pattern."""
        total = [Fraction(0)] * 6
        for piece in enumerate_pieces(NETWORK, base, x):
            row = [Fraction(int(k == 1)) for k in range(3)]
            bits, last = list(piece.pattern), len(NETWORK.layers) - 1
            for k in range(last, -1, -1):
                weight = NETWORK.layers[k].weight.tolist()
                row = [sum((r * Fraction(w[i]) for r, w in zip(row, weight, strict=True)), Fraction(0))
                       for i in range(len(weight[0]))]  # fmt: skip
                if k:
                    own = bits[sum(NETWORK.widths[: k - 1]) : sum(NETWORK.widths[:k])]
                    row = [r * bit for r, bit in zip(row, own, strict=True)]
            total = [t + r * (piece.high - piece.low) for t, r in zip(total, row, strict=True)]
        return [t * (Fraction(u) - Fraction(v)) for t, u, v in zip(total, x.tolist(), base.tolist(), strict=True)]

    found = gr.integrated_gradients(NETWORK, X[:4], BASE, output=1)
    for k in range(4):
        np.testing.assert_allclose(found[k], [float(v) for v in exact(X[k], BASE)], rtol=1e-12, atol=1e-13)


def test_the_limit_of_the_sampled_rule() -> None:
    model = to_torch(NETWORK)
    t = (torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000
    path = (torch.tensor(BASE) + t * torch.tensor(X[0] - BASE)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(path)[:, 2].sum(), path)
    sampled = gradient.mean(dim=0).numpy() * (X[0] - BASE)
    found = gr.integrated_gradients(model, X[:1], BASE, output=2)[0]
    # A midpoint rule is off by at most half a step at each of the few dozen breakpoints.
    assert np.abs(found - sampled).max() < 100 / 20_000 * np.abs(gradient.numpy() * (X[0] - BASE)).max()


def test_outputs_shapes_and_baselines() -> None:
    every = gr.integrated_gradients(NETWORK, X, BASE)
    assert every.shape == (20, 3, 6)
    np.testing.assert_allclose(every.sum(axis=2), NETWORK(X) - NETWORK(BASE[None]), atol=1e-11)
    own = RNG.integers(0, 3, 20)
    # The same numbers but for the order of summation in products of other shapes.
    same = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-13)
    same(gr.integrated_gradients(NETWORK, X, BASE, own), every[np.arange(20), own])
    same(gr.integrated_gradients(NETWORK, X, BASE, 2), every[:, 2])
    same(gr.integrated_gradients(NETWORK, X, np.tile(BASE, (20, 1)), 0), every[:, 0])
    same(gr.integrated_gradients(NETWORK, X), gr.integrated_gradients(NETWORK, X, np.zeros(6)))
    shaped = gr.integrated_gradients(NETWORK, X.reshape(20, 2, 3), BASE.reshape(2, 3), 1)
    same(shaped.reshape(20, 6), every[:, 1])
    # At the baseline itself there is nothing to attribute.
    assert (gr.integrated_gradients(NETWORK, np.stack([BASE, X[0]]), BASE, 0)[0] == 0).all()
    assert gr.integrated_gradients(NETWORK, X[:0], BASE, 0).shape == (0, 6)
    affine = gr.Network([[[1.0, -2.0]]], [[5.0]])
    assert gr.integrated_gradients(affine, [[3.0, 4.0]], output=0).tolist() == [[3.0, -8.0]]


def test_more_segments_than_a_batch() -> None:
    x = RNG.normal(size=(600, 6)) * 3
    found = gr.integrated_gradients(NETWORK, x, BASE, 1)
    np.testing.assert_allclose(found.sum(axis=1), (NETWORK(x) - NETWORK(BASE[None]))[:, 1], atol=1e-11)
    np.testing.assert_allclose(found[[3, 599]], gr.integrated_gradients(NETWORK, x[[3, 599]], BASE, 1), atol=1e-13)


ROWS: list[Misuse] = [
    ("one input", lambda: gr.integrated_gradients(NETWORK, X[0], BASE), InputDimensionError, ("(6,)", "x[None]")),
    (
        "other inputs",
        lambda: gr.integrated_gradients(NETWORK, X[:, :5], 0),
        InputDimensionError,
        ("5 numbers", "takes 6"),
    ),
    ("baseline", lambda: gr.integrated_gradients(NETWORK, X, BASE[:3]), ShapeError, ("(3,)", "(6,)")),
    ("nan", lambda: gr.integrated_gradients(NETWORK, X * np.nan, BASE), WeightError, ("nan",)),
    ("output", lambda: gr.integrated_gradients(NETWORK, X, BASE, 3), InputError, ("output=3", "0 to 2")),
    ("outputs", lambda: gr.integrated_gradients(NETWORK, X, BASE, [0, 1]), InputError, ("[0, 1]",)),
    ("name", lambda: gr.integrated_gradients(NETWORK, X, BASE, "first"), InputError, ("'first'",)),
]


@pytest.mark.parametrize(("call", "error", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_misuse(call: Any, error: Any, parts: tuple[str, ...]) -> None:
    assert_raises(call, error, parts)
