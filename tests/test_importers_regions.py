"""Regions of imported networks: what the engine counts, against cells in fractions and the layers' definitions."""

from __future__ import annotations

import copy
from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import geomrelu as gr
from geomrelu.importers import as_network
from tests.networks import SQUARE
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.oracles.fraction_layers import evaluate
from tests.soundness import INTERPRETED


def image(*layers: nn.Module, channels: int = 1, height: int = 3, width: int = 3) -> nn.Sequential:
    """Layers behind an affine map of the plane to images."""
    size = channels * height * width
    return nn.Sequential(nn.Linear(2, size), nn.Unflatten(1, (channels, height, width)), *layers)


def shapes_of(model: nn.Sequential) -> list[tuple[int, ...]]:
    shapes, value = [], torch.zeros(1, 2, dtype=torch.float64)
    with torch.no_grad():
        for layer in model:
            value = layer(value)
            shapes.append(tuple(value.shape[1:]))
    return shapes


def pattern(model: nn.Sequential, point: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...]:
    """What tells regions apart, by the layers' definitions: signs, and winners of max poolings.

    Beside a ReLU a pooling's winner counts where it is positive, and the ReLU is told by that.
    """
    layers, seen, value = list(model), [], np.array(point, dtype=object)
    for k, layer in enumerate(layers):
        beside = [type(layers[j]) for j in (k - 1, k + 1) if 0 <= j < len(layers)]
        before, shape = value, [shapes[k]]
        value = (
            value.reshape(shape[0]) if isinstance(layer, nn.Unflatten) else evaluate(nn.Sequential(layer), value, shape)
        )
        if isinstance(layer, nn.MaxPool2d):
            rectified = nn.ReLU in beside
            numbers = np.arange(before.size).reshape(before.shape)
            for best, window in zip(value.ravel(), windows(layer, numbers, shape[0]), strict=True):
                winner = max(window, key=lambda j: before.ravel()[j])
                seen.append(-1 if rectified and best <= 0 else winner)
        elif (
            isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.PReLU)
            and nn.MaxPool2d not in beside[: 2 if isinstance(layer, nn.ReLU) else 0]
        ):
            seen += [v > 0 for v in before.ravel()]
        elif isinstance(layer, nn.Hardtanh):
            seen += [(v > Fraction(layer.min_val)) + (v > Fraction(layer.max_val)) for v in before.ravel()]
    return tuple(seen)


def windows(layer: nn.MaxPool2d, numbers: np.ndarray, shape: tuple[int, ...]) -> list[list[int]]:
    result = []
    kernel, stride, padding = (
        v if isinstance(v, tuple) else (v, v) for v in (layer.kernel_size, layer.stride, layer.padding)
    )
    for channel, i, j in np.ndindex(*shape):
        rows = range(i * stride[0] - padding[0], i * stride[0] - padding[0] + kernel[0])
        columns = range(j * stride[1] - padding[1], j * stride[1] - padding[1] + kernel[1])
        result.append([
            int(numbers[channel, r, c]) for r in rows for c in columns
            if 0 <= r < numbers.shape[1] and 0 <= c < numbers.shape[2]
        ])  # fmt: skip
    return result


def dense(network: gr.Network) -> gr.Network:
    """The same, for an enumerator that knows dense arrays only."""
    return gr.Network.from_layers([
        gr.Layer(v.weight.toarray() if hasattr(v.weight, "toarray") else v.weight, v.bias, v.n_neurons, v.relevant)
        for v in network.layers
    ])  # fmt: skip


def compare(model: nn.Sequential) -> gr.PlanarComplex:
    network = as_network(model)
    shapes = shapes_of(copy.deepcopy(model).double())
    areas: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction)
    for cell in enumerate_regions(dense(network), SQUARE.vertices).cells:
        areas[pattern(model, cell.inside, shapes)] += cell.area
    p = gr.partition(model, SQUARE)
    assert p.n_regions == len(areas)
    np.testing.assert_allclose(sorted(p.areas), sorted(map(float, areas.values())), atol=1e-12)
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(torch.from_numpy(p.centroids)).numpy().reshape(p.n_regions, -1)
    np.testing.assert_allclose(p(p.centroids), expected, atol=1e-9)
    p.check()
    p.check(level="exact")
    return p


MODELS = [
    image(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Conv2d(2, 1, 2), nn.LeakyReLU(0.2), nn.Flatten()),
    image(nn.Conv2d(1, 1, 2), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
    image(nn.ReLU(), nn.MaxPool2d(2, 1), nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten()),
    image(nn.MaxPool2d(2, 1), nn.Conv2d(1, 2, 2), nn.Hardtanh(-0.2, 0.3), nn.Flatten()),
    image(nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)),
    image(nn.BatchNorm2d(2), nn.PReLU(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2, 4), nn.ReLU6(),
          channels=2, width=2),
]  # fmt: skip


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the engine's own tests of poolings")
@pytest.mark.parametrize("k", range(len(MODELS)))
def test_regions_of_layers(k: int) -> None:
    torch.manual_seed(k)
    model = copy.deepcopy(MODELS[k]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    compare(model)


class Residual(nn.Module):
    """Two residual blocks, the second one with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 3)
        self.c, self.d, self.e = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        x = x + self.b(torch.relu(x))
        return self.d(torch.relu(self.c(torch.relu(x)))) - self.e(x)


def test_residual_branches() -> None:
    """The regions are those of the signs of the three rectifications."""
    torch.manual_seed(3)
    model = Residual()
    network = as_network(model)
    assert network.n_neurons == 3 + 3 + 4
    p = gr.partition(model, SQUARE)
    assert p.n_regions == len(enumerate_regions(dense(network), SQUARE.vertices).cells)
    double = copy.deepcopy(model).double()
    points = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (20000, 2)))
    with torch.no_grad():
        x = double.a(points)
        y = x + double.b(torch.relu(x))
        z = double.c(torch.relu(y))
        signs = torch.cat([x, y, z], 1) > 0
        np.testing.assert_allclose(p(p.centroids), double(torch.from_numpy(p.centroids)), atol=1e-12)
    assert len(torch.unique(signs, dim=0)) <= p.n_regions
    assert (p.patterns.unpack()[p.locate(points.numpy())] == signs.numpy()).all()


@pytest.mark.parametrize(
    ("function", "regions"),
    [
        (lambda x: torch.maximum(x[:, 0], x[:, 1]), 2),
        (lambda x: x.abs().sum(1), 4),
        (lambda x: x.amax(1).relu(), 3),  # x > y, x > 0; y > x, y > 0; both negative
        (lambda x: F.relu(x).amax(1), 3),
        (lambda x: (m := x.amax(1)).relu() + 0.25 * m, 4),  # the winner matters where the maximum is negative, too
        (lambda x: torch.minimum(x[:, 0], x[:, 1]).clamp(-0.5, 0.5), 6),
        (lambda x: torch.cat([x, -x, 0 * x[:, :1] + 0.5], 1).amax(1), 5),
        (lambda x: F.softshrink(x, 0.5).sum(1), 9),
        (lambda x: (F.relu(x) + F.relu(x)).relu().sum(1), 4),
        (lambda x: (x.abs() - 0.5).abs().sum(1), 16),
    ],
)
def test_counts_known_beforehand(function: Any, regions: int) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x)  # type: ignore[no-any-return]

    p = gr.partition(as_network(Model(), input_shape=(2,)), SQUARE)
    assert p.n_regions == regions
    p.check(level="exact")
