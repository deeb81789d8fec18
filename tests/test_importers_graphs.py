"""Random graphs of branches: the imported network is the same function, in rational arithmetic; exact products."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import nn

from geomrelu.importers import as_network
from geomrelu.matrices import exact_product
from tests.oracles.fraction_layers import exact, network_value

WIDTH = 3
# Name, number of operands.
OPERATIONS = {
    "linear": 1, "relu": 1, "leaky": 1, "abs": 1, "clamp": 1, "scale": 1, "shift": 1, "swap": 1, "pool": 1,
    "add": 2, "sub": 2, "maximum": 2, "minimum": 2, "mix": 2,
}  # fmt: skip
Step = tuple[str, int, int, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 20), st.integers(0, 20), st.integers(0, 2)),
    min_size=1,
    max_size=9,
)


def constants(steps: list[Step], seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A matrix and a vector for each step: small whole numbers, float32 or float64."""
    rng = np.random.default_rng(seed)
    result = []
    for *_, kind in steps:
        matrix, vector = rng.normal(size=(WIDTH, WIDTH)), rng.normal(size=WIDTH)
        if kind == 0:
            matrix, vector = np.round(2 * matrix), np.round(2 * vector)
        elif kind == 1:
            matrix, vector = matrix.astype(np.float32), vector.astype(np.float32)
        result.append((torch.from_numpy(matrix).double(), torch.from_numpy(vector).double()))
    return result


class Branches(nn.Module):
    """Each step acts on the results of earlier ones; the output is the last one beside an early one."""

    def __init__(self, steps: list[Step], seed: int) -> None:
        super().__init__()
        self.steps = steps
        self.matrices = nn.ParameterList([nn.Parameter(m) for m, _ in constants(steps, seed)])
        self.vectors = nn.ParameterList([nn.Parameter(v) for _, v in constants(steps, seed)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for k, (name, i, j, _) in enumerate(self.steps):
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(self.step(name, a, b, self.matrices[k], self.vectors[k]))
        return torch.cat([values[-1], values[len(values) // 2]], 1)

    def step(self, name: str, a: torch.Tensor, b: torch.Tensor, w: Any, v: Any) -> torch.Tensor:
        return {
            "linear": lambda: F.linear(a, w, v),
            "relu": lambda: F.relu(a),
            "leaky": lambda: F.prelu(a, v),
            "abs": lambda: a.abs(),
            "clamp": lambda: a.clamp(-0.5, 0.25),
            "scale": lambda: a * v,
            "shift": lambda: a + v,
            "swap": lambda: a[:, [2, 0, 0]],
            "pool": lambda: F.max_pool1d(a[:, None], 2, 1, 1)[:, 0, :WIDTH],
            "add": lambda: a + b,
            "sub": lambda: a - b,
            "maximum": lambda: torch.maximum(a, b),
            "minimum": lambda: torch.minimum(a, b),
            "mix": lambda: torch.cat([a[:, 1:], b[:, :1]], 1),
        }[name]()


def by_definition(steps: list[Step], seed: int, x: Any) -> Any:
    """The same in rational numbers."""
    values = [x]
    zero = Fraction(0)
    for (name, i, j, _), (matrix, vector) in zip(steps, constants(steps, seed), strict=True):
        a, b = values[i % len(values)], values[j % len(values)]
        w, v = exact(matrix), exact(vector)
        values.append({
            "linear": lambda a=a, w=w, v=v: np.array([sum(row * a, c) for row, c in zip(w, v, strict=True)]),
            "relu": lambda a=a: np.maximum(a, zero),
            "leaky": lambda a=a, v=v: np.where(a > 0, a, v * a),
            "abs": lambda a=a: abs(a),
            "clamp": lambda a=a: np.minimum(np.maximum(a, Fraction(-1, 2)), Fraction(1, 4)),
            "scale": lambda a=a, v=v: a * v,
            "shift": lambda a=a, v=v: a + v,
            "swap": lambda a=a: a[[2, 0, 0]],
            "pool": lambda a=a: np.array([a[0], max(a[0], a[1]), max(a[1], a[2])]),
            "add": lambda a=a, b=b: a + b,
            "sub": lambda a=a, b=b: a - b,
            "maximum": lambda a=a, b=b: np.maximum(a, b),
            "minimum": lambda a=a, b=b: np.minimum(a, b),
            "mix": lambda a=a, b=b: np.concatenate([a[1:], b[:1]]),
        }[name]())  # fmt: skip
    return np.concatenate([values[-1], values[len(values) // 2]])


# The output is constant, from some layer on.
CONSTANT = [("abs", 0, 0, 0), ("abs", 0, 0, 0), ("scale", 1, 0, 0), ("abs", 0, 0, 0), ("abs", 18, 0, 0)]


@settings(max_examples=60, deadline=None)
@example(CONSTANT, 131)
@given(STEPS, st.integers(0, 1000))
def test_random_graphs_are_the_same_function(steps: list[Step], seed: int) -> None:
    model = Branches(steps, seed)
    network = as_network(model, input_shape=(WIDTH,))
    rng = np.random.default_rng(seed)
    points = [rng.normal(size=WIDTH), np.round(rng.normal(size=WIDTH))]
    for point in points:
        assert (network_value(network, exact(point)) == by_definition(steps, seed, exact(point))).all()
    # And with torch, in rounded numbers.
    with torch.no_grad():
        expected = model(torch.from_numpy(np.array(points))).numpy()
    np.testing.assert_allclose(network(points), expected, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(expected).max()))


NUMBERS = st.one_of(
    st.integers(-8, 8).map(float),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_exact_products_are_exact(data: st.DataObject, n: int, m: int, k: int, sparse: bool) -> None:
    """What is returned is the product in rational arithmetic; integers of moderate size always are."""
    shapes = ((n, m), (m, k))
    a, b = (np.array(data.draw(st.lists(NUMBERS, min_size=r * c, max_size=r * c))).reshape(r, c) for r, c in shapes)
    got = exact_product(csr_array(a) if sparse else a, csr_array(b))
    product = exact(a) @ exact(b)
    if got is not None:
        values = got.toarray() if hasattr(got, "toarray") else got
        assert (exact(values) == product).all()
    elif np.abs(a).max() < 1e6 and np.abs(b).max() < 1e6 and (a == np.round(a)).all() and (b == np.round(b)).all():
        raise AssertionError("a product of integers was refused")
