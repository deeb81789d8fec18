"""A library of test networks: random ones, and hand-made ones with what makes engines stumble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.domain import Box, Polygon
from geomrelu.network import Network

SQUARE = Box(-1, 1)
UNIT = Box(0, 1)


@dataclass(frozen=True)
class Case:
    """A named network with a domain."""

    name: str
    network: Network
    domain: Box | Polygon = SQUARE

    def __str__(self) -> str:
        return self.name


def random_network(widths: Sequence[int], seed: int, dtype: npt.DTypeLike = np.float64, n_inputs: int = 2,
                   n_outputs: int = 1) -> Network:  # fmt: skip
    """He-initialised weights, uniform biases, as `dtype` holds them."""
    rng = np.random.default_rng(seed)
    sizes = [n_inputs, *widths, n_outputs]
    weights, biases = [], []
    for fan_in, fan_out in pairwise(sizes):
        weights.append((rng.normal(size=(fan_out, fan_in)) * np.sqrt(2 / fan_in)).astype(dtype))
        biases.append(rng.uniform(-1, 1, fan_out).astype(dtype) / np.asarray(np.sqrt(fan_in), dtype=dtype))
    return Network(weights, biases)


def integer_network(
    widths: Sequence[int], seed: int, largest: int = 1, bias: bool = True, n_inputs: int = 2
) -> Network:
    """Weights and biases drawn from {-largest, ..., largest}."""
    rng = np.random.default_rng(seed)
    sizes = [n_inputs, *widths, 1]
    weights = [rng.integers(-largest, largest + 1, (n, m)) for m, n in pairwise(sizes)]
    biases = [rng.integers(-largest, largest + 1, len(w)) if bias else np.zeros(len(w)) for w in weights]
    return Network(weights, biases)


def lines(abc: npt.ArrayLike, signs: npt.ArrayLike | None = None) -> Network:
    """One hidden layer: neuron k is zero on a_k x + b_k y + c_k = 0; the output tells all regions apart."""
    table = np.asarray(abc, dtype=float)
    out = np.arange(1.0, len(table) + 1) if signs is None else np.asarray(signs, dtype=float)
    return Network([table[:, :2], out[None, :]], [table[:, 2], [0.0]])


def sawtooth(depth: int, low: float = 0.0, high: float = 1.0) -> Network:
    """2 relu(x) - 4 relu(x - 1/2) composed `depth` times: 2**depth pieces for x in [low, high]; y unused."""
    return _composed(depth, low, high, axes=[0])


def fold(depth: int, low: float = 0.0, high: float = 1.0, n_inputs: int = 2) -> Network:
    """The sawtooth of each coordinate, summed: (2**n_inputs)**depth regions on [low, high]^n_inputs."""
    return _composed(depth, low, high, axes=list(range(n_inputs)), n_inputs=n_inputs)


def _composed(depth: int, low: float, high: float, axes: list[int], n_inputs: int = 2) -> Network:
    n = len(axes)
    first = np.zeros((2 * n, n_inputs))
    between, bias = np.zeros((2 * n, 2 * n)), np.tile([0.0, -0.5], n)
    for k, axis in enumerate(axes):
        first[2 * k : 2 * k + 2, axis] = 1 / (high - low)
        between[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [2, -4]
    out = np.tile([2.0, -4.0], n)[None, :]
    weights = [first, *[between] * (depth - 1), out]
    return Network(weights, [bias - low / (high - low), *[bias] * (depth - 1), [0.0]])


def grid(n: int = 7, diagonals: bool = True) -> Network:
    """n vertical and n horizontal lines, evenly spaced, and all diagonals through their crossings."""
    at = np.arange(n) - (n - 1) / 2
    table = [[8, 0, -v] for v in at] + [[0, 8, -v] for v in at]
    if diagonals:
        both = np.arange(-(n - 1), n)
        table += [[8, -8, -v] for v in both] + [[8, 8, -v] for v in both]
    return lines(table)


def triangle(size: float, x: float = 0.0, y: float = 0.0) -> Network:
    """Three lines around a right triangle with legs of length about `size` at (x, y)."""
    return lines([[1, 0, -x], [0, 1, -y], [1, 1, -(x + y + size)]])


def slabs(width: float, n: int = 5) -> Network:
    """n + 1 parallel lines, `width` apart, across a deeper layer of slanted ones."""
    return lines([[1, 0, -k * width] for k in range(n + 1)])


def scaled(network: Network, factor: float) -> Network:
    """The first layer times `factor` > 0, the next layer's weights divided by it: the same function."""
    first, second, *rest = network.layers
    return Network(
        [first.weight * factor, second.weight / factor, *[layer.weight for layer in rest]],
        [first.bias * factor, second.bias, *[layer.bias for layer in rest]],
    )


def to_torch(network: Network, dtype: Any = None) -> Any:
    """The same network as a torch module (layers without passing units only)."""
    import torch

    dtype = torch.float64 if dtype is None else dtype
    modules: list[Any] = []
    for k, layer in enumerate(network.layers):
        linear = torch.nn.Linear(layer.n_inputs, layer.n_units, dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer.weight))
            linear.bias.copy_(torch.tensor(layer.bias))
        modules.append(linear)
        if k < len(network.layers) - 1:
            assert layer.n_neurons == layer.n_units, "passing units have no torch twin here"
            modules.append(torch.nn.ReLU())
    return torch.nn.Sequential(*modules)


def _layered(first: npt.ArrayLike, second: npt.ArrayLike) -> Network:
    """Two hidden layers given as rows (weights..., bias); the output weighs all neurons differently."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return Network([a[:, :-1], b[:, :-1], np.arange(1.0, len(b) + 1)[None, :]], [a[:, -1], b[:, -1], [1.0]])


def _repeat(network: Network, factor: float) -> Network:
    """Every first-layer neuron twice, the copy times `factor`; both are read by the next layer."""
    first, *rest = network.layers
    weights = [np.concatenate([first.weight, factor * first.weight])]
    biases = [np.concatenate([first.bias, factor * first.bias])]
    doubled = np.concatenate([rest[0].weight, rest[0].weight / 2], axis=1)
    return Network([*weights, doubled, *[v.weight for v in rest[1:]]], [*biases, *[v.bias for v in rest]])


def _across(network: Network, factor: float) -> Network:
    """A second layer that computes the first one's preactivations again, times `factor`, and others."""
    first = network.layers[0]
    n = first.n_units
    # Neurons u and -u, so that u = relu(u) - relu(-u) is at hand in layer two.
    pair = np.concatenate([first.weight, -first.weight]), np.concatenate([first.bias, -first.bias])
    again = factor * np.concatenate([np.eye(n), -np.eye(n)], axis=1)
    own = np.random.default_rng(0).integers(-2, 3, (2, 2 * n))
    second = np.concatenate([again, own])
    return Network([pair[0], second, np.arange(1.0, n + 3)[None, :]], [pair[1], np.r_[np.zeros(n), 1, -1], [0.0]])


def degenerate_cases() -> list[Case]:
    """Hand-made networks, each degenerate in its own way."""
    small = integer_network((4, 3), seed=3, largest=3)
    generic = random_network((4, 3), seed=5, dtype=np.float32)
    cases = [
        Case("affine, no neuron", Network([[[1.0, 2.0]]], [[3.0]])),
        Case("one neuron", lines([[1, 1, 0.25]])),
        Case("parallel lines", lines([[1, 2, c / 4] for c in range(-4, 5)])),
        Case(
            "parallel lines, both ways",
            lines([[1, 2, c / 4] for c in range(-2, 3)] + [[-1, -2, c / 4] for c in range(-2, 3)]),
        ),
        Case("antiparallel pair", lines([[1, 2, 0.25], [-1, -2, -0.25]])),
        Case("repeated neurons", _repeat(small, 1)),
        Case("negated neurons", _repeat(small, -1)),
        Case("neurons scaled by 2", _repeat(small, 2)),
        Case("neurons scaled by 3", _repeat(small, 3)),
        Case("random, repeated neurons", _repeat(generic, 1)),
        Case("random, negated neurons", _repeat(generic, -1)),
        Case("random, scaled by 2", _repeat(generic, 2)),
        Case("random, scaled by 3", _repeat(generic, 3)),
        Case("all neurons equal", lines([[1, -1, 0.5]] * 5)),
        Case("repeated across layers", _across(small, 1)),
        Case("negated across layers", _across(small, -1)),
        Case("scaled by 3 across layers", _across(small, 3)),
        Case("random, repeated across layers", _across(generic, 1)),
        Case("random, scaled by 3 across layers", _across(generic, 3)),
        Case(
            "dead neurons",
            _layered([[1, 1, -9], [1, 0, 0], [0, 0, -1]], [[1, 1, 1, -1], [-1, -1, -1, -1], [2, -1, 0, 0]]),
        ),
        Case("always active neurons", _layered([[1, 1, 9], [1, 2, 0]], [[1, 0, 0], [1, -1, -9]])),
        Case("dead layer", _layered([[1, 1, -3], [1, -1, -3]], [[1, 1, 0], [1, 1, 1], [1, -1, -1]])),
        Case("dead last layer", _layered([[1, 1, 0], [1, -1, 0]], [[-1, -1, 0], [0, -1, -1]])),
        Case("zero weights", Network([np.zeros((3, 2)), np.zeros((2, 3)), np.zeros((1, 2))])),
        Case(
            "zero weights, some bias",
            Network([np.zeros((3, 2)), np.ones((2, 3)), np.ones((1, 2))], [[1, 0, -1], [0, -1], [0]]),
        ),
        Case("zero rows among others", lines([[1, 1, 0.25], [0, 0, 0], [1, -1, 0.5], [0, 0, 1]])),
        Case("through one corner", lines([[1, -2, 3], [2, 1, 0.5]])),
        Case("through two corners", lines([[1, 1, 0], [1, -1, 0]])),
        Case("touches a corner from outside", lines([[1, 1, -2], [1, 2, 3], [1, 1, 2]])),
        Case("along the border", lines([[1, 0, 1], [0, 1, -1], [1, 0, -1], [0, -1, -1], [1, 1, 0]])),
        Case(
            "along the border and inside",
            _layered([[1, 0, 1], [0, 1, 1], [1, 1, 0]], [[1, 0, 0, 0], [1, -1, 0, 0], [0, 1, 0, -1], [1, 1, -1, -2]]),
        ),
        Case("bias-free", integer_network((4, 4), seed=8, largest=3, bias=False)),
        Case("bias-free, deep", integer_network((4, 3, 3), seed=2, largest=2, bias=False)),
        Case("random, bias-free", Network([v.weight for v in random_network((6, 5), 11, np.float32).layers])),
        Case("random, bias-free, deep", Network([v.weight for v in random_network((5, 5, 4), 12, np.float32).layers])),
        Case("random, bias-free 12-12", Network([v.weight for v in random_network((12, 12), 13, np.float32).layers])),
        Case("concurrent at the origin", lines([[np.cos(t), np.sin(t), 0] for t in np.arange(6) / 2])),
        Case(
            "concurrent at a dyadic point",
            lines([[a, b, -(a * 0.25 - b * 0.375)] for a, b in [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, -3)]]),
        ),
        Case(
            "concurrent at (1/3, 1/3)",
            lines([[3, 0, -1], [0, 3, -1], [1, -1, 0], [3, 3, -2], [6, -3, -1]]),
        ),
        Case(
            "concurrent at a rounded point",
            lines([[a, b, -(a / 3 + b / 10)] for a, b in [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1)]]),
        ),
        Case(
            "second layer through crossings",
            _layered([[1, 0, 0], [0, 1, 0], [1, 1, 0]], [[1, -1, 0, 0], [1, 1, -1, 0], [2, -1, 1, 0], [1, 1, 1, 0]]),
        ),
        Case("zero on whole faces", _layered([[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, -1, 0], [-1, 0, 0], [1, 1, 0]])),
        Case(
            "zero on a middle face",
            _layered(
                [[1, 0, -0.5], [-1, 0, -0.5], [0, 1, 0]], [[1, -1, 0, 0], [1, 1, 0, 0], [-1, 1, 0, 0], [1, 1, 1, 0]]
            ),
        ),
        Case("sawtooth 4", sawtooth(4), UNIT),
        Case("sawtooth 4 on the larger square", sawtooth(4)),
        Case("sawtooth 5, centred", sawtooth(5, -1, 1)),
        Case("fold 1", fold(1), UNIT),
        Case("fold 3", fold(3), UNIT),
        Case("fold 3 on the larger square", fold(3)),
        Case("fold 3, centred", fold(3, -1, 1)),
        Case("fold 4", fold(4), UNIT),
        Case("grid 3 with diagonals", grid(3)),
        Case("grid 7", grid(7, diagonals=False)),
        Case("grid 7 with diagonals", grid(7)),
        Case("triangle 2^-20", triangle(2.0**-20, 0.25, -0.5)),
        Case("triangle 1e-6", triangle(1e-6)),
        Case("triangle 1e-9 off centre", triangle(1e-9, 0.1, 0.3)),
        Case("triangle 1e-15", triangle(1e-15)),
        Case("slabs 1e-6", slabs(1e-6)),
        Case("slabs 1e-12", slabs(1e-12)),
        Case("slabs 1e-12 off centre", lines([[1, 0, -0.3 - k * 1e-12] for k in range(5)] + [[1, 1, 0]])),
        Case("box of half-width 1e-5", random_network((5, 4), 3, np.float32), Box(-1e-5, 1e-5)),
        Case("box of half-width 1e5", random_network((5, 4), 3, np.float32), Box(-1e5, 1e5)),
        Case("box that is not centred", random_network((6, 4), 4, np.float32), Box([0.5, -3.0], [2.25, -0.125])),
        Case("triangular domain", random_network((6, 4), 6, np.float32), Polygon([[-1, -1], [2, 0], [0.5, 1.5]])),
        Case("thin triangular domain", random_network((6, 4), 6, np.float32), Polygon([[-1, -1], [1, 1], [1, 1.0001]])),
        Case(
            "domain corner on a neuron",
            lines([[1, 0, 0], [1, 1, 0], [1, -1, 0.25]]),
            Polygon([[0, 0], [1, -1], [1, 1], [0, 1]]),
        ),
        Case(
            "domain side along a neuron",
            lines([[1, -1, 0], [1, 1, -0.5], [2, -2, 0]]),
            Polygon([[0, 0], [1, 1], [0, 1]]),
        ),
        Case(
            "hexagonal domain",
            integer_network((5, 4), seed=4, largest=2),
            Polygon([[2, 0], [1, 2], [-1, 2], [-2, 0], [-1, -2], [1, -2]]),
        ),
    ]
    # Extreme scales, exact powers of two: the same complex as with ordinary weights.
    cases += [Case(f"random, layers scaled by 2^{k} and 2^-{k}", scaled(generic, 2.0**k)) for k in (-100, -40, 40, 100)]
    cases += [Case(f"ternary {seed}", integer_network((5, 4, 3), seed=seed)) for seed in range(6)]
    cases += [Case(f"ternary, one layer {seed}", integer_network((7,), seed=seed)) for seed in range(3)]
    cases += [Case(f"small integers {seed}", integer_network((5, 4), seed=seed, largest=3))
              for seed in range(4)]  # fmt: skip
    return cases


def random_cases() -> list[Case]:
    """Small random networks, float32 and float64, for comparison with the enumerator."""
    shapes = [
        (3,),
        (8,),
        (12,),
        (4, 4),
        (8, 6),
        (6, 8),
        (3, 3, 3),
        (6, 5, 4),
        (8, 8, 8),
        (2, 2, 2, 2, 2),
        (1, 1),
        (1, 5),
        (5, 1, 5),
    ]
    return [
        Case(f"random {'-'.join(map(str, widths))} {np.dtype(dtype)} {seed}", random_network(widths, seed, dtype))
        for widths in shapes
        for dtype in (np.float32, np.float64)
        for seed in (0, 1)
    ]
