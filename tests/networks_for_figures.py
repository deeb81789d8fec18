"""Networks that the tests of figures and files use."""

from __future__ import annotations

import itertools

import numpy as np

import geomrelu as gr

# f = 2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1: three regions.
TENT = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])


def random_network(widths: tuple[int, ...], n_outputs: int, seed: int) -> gr.Network:
    """Gaussian He weights and biases of standard deviation 0.3; outputs are centred on the square."""
    rng = np.random.default_rng(seed)
    sizes = [2, *widths, n_outputs]
    weights = [rng.standard_normal((m, n)) * np.sqrt(2 / n) for n, m in itertools.pairwise(sizes)]
    biases = [0.3 * rng.standard_normal(m) for m in sizes[1:]]
    centred = gr.Network(weights, biases)(rng.uniform(-1, 1, (1000, 2))).mean(axis=0)
    biases[-1] -= centred
    return gr.Network(weights, biases)
