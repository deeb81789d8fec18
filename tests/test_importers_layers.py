"""Every kind of layer that is read is what torch computes: in float64 within rounding, and exactly in rationals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geomrelu.importers import as_network
from geomrelu.importers.files import read_model
from geomrelu.network import Network
from tests.oracles.fraction_layers import evaluate, exact, network_value

Shape = tuple[int, ...]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def prepared(model: nn.Module) -> nn.Module:
    """In eval mode, with statistics and slopes that are not all alike."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 3)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.5, 1.5)
    return model.eval()


def assert_same(model: nn.Module, network: Network, shape: Shape, n: int = 20, scale: float = 2.0) -> None:
    """The network and the module in float64 agree within rounding at random inputs."""
    x = np.random.default_rng(0).normal(size=(n, *shape)) * scale
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(torch.from_numpy(x)).numpy().reshape(n, -1)
    size = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(network(x.reshape(n, -1)), expected, rtol=0, atol=1e-12 * size)


def read(model: nn.Module, shape: Shape) -> Network:
    network = as_network(prepared(model), shape)
    assert network.input_shape == shape
    assert_same(model, network, shape)
    return network


# ---- torch's layers, one at a time

CASES: list[tuple[nn.Module, Shape]] = [
    (nn.Linear(4, 3), (2, 5, 4)),
    (nn.Linear(4, 3, bias=False), (4,)),
    (nn.Conv1d(2, 3, 3, stride=2, padding=2), (2, 9)),
    (nn.Conv1d(4, 6, 2, groups=2, dilation=3, bias=False), (4, 9)),
    (nn.Conv1d(2, 3, 4, padding="same", dilation=2), (2, 9)),
    (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)), (3, 6, 7)),
    (nn.Conv2d(4, 4, 3, groups=4, padding="valid"), (4, 5, 6)),
    (nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode="circular"), (2, 4, 5)),
    (nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"), (2, 4, 5)),
    (nn.Conv2d(2, 3, 3, padding="same", padding_mode="replicate"), (2, 4, 5)),
    (nn.Conv3d(2, 2, 2, stride=(1, 2, 1), padding=(0, 1, 0)), (2, 3, 4, 3)),
    (nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1), (2, 5)),
    (nn.ConvTranspose2d(4, 6, (2, 3), stride=(3, 1), groups=2, dilation=(1, 2), bias=False), (4, 3, 4)),
    (nn.ConvTranspose3d(2, 2, 2, stride=2, padding=1), (2, 3, 2, 3)),
    (nn.BatchNorm1d(3), (3,)),
    (nn.BatchNorm1d(3), (3, 5)),
    (nn.BatchNorm2d(3), (3, 2, 2)),
    (nn.BatchNorm3d(2, eps=0.1), (2, 2, 1, 3)),
    (nn.InstanceNorm1d(3, affine=True, track_running_stats=True), (3, 5)),
    (nn.InstanceNorm2d(2, eps=0.1, track_running_stats=True), (2, 3, 2)),
    (nn.InstanceNorm3d(2, affine=True, track_running_stats=True), (2, 2, 1, 3)),
    (nn.AvgPool1d(3, 2, 1), (2, 8)),
    (nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 6, 7)),
    (nn.AvgPool2d(2, stride=3, ceil_mode=True, count_include_pad=False), (2, 6, 7)),
    (nn.AvgPool2d(3, padding=1, count_include_pad=False), (1, 7, 5)),
    (nn.AvgPool2d(2, divisor_override=3), (1, 4, 4)),
    (nn.AvgPool3d(2, 1), (1, 3, 3, 2)),
    (nn.AdaptiveAvgPool1d(3), (2, 7)),
    (nn.AdaptiveAvgPool2d((2, None)), (2, 5, 3)),
    (nn.AdaptiveAvgPool3d(1), (2, 2, 3, 2)),
    (nn.MaxPool1d(3, 2, 1), (2, 8)),
    (nn.MaxPool2d(2), (2, 5, 4)),
    (nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 6, 7)),
    (nn.MaxPool2d((1, 3), dilation=(1, 2), stride=1), (1, 3, 7)),
    (nn.MaxPool3d(2, 1), (1, 3, 3, 2)),
    (nn.AdaptiveMaxPool1d(3), (2, 7)),
    (nn.AdaptiveMaxPool2d((2, 1)), (2, 5, 3)),
    (nn.Flatten(), (2, 3)),
    (nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (3, 2))), (2, 6, 1)),
    (nn.ReLU(), (3, 2)),
    (nn.LeakyReLU(0.2), (3,)),
    (nn.LeakyReLU(-0.5), (3,)),
    (nn.PReLU(), (3,)),
    (nn.PReLU(3), (3, 2, 2)),
    (nn.RReLU(), (3,)),
    (nn.Hardtanh(), (3,)),
    (nn.Hardtanh(-0.3, 0.8), (3,)),
    (nn.ReLU6(), (3,)),
    (nn.Hardsigmoid(), (5,)),
    (nn.Softshrink(0.7), (5,)),
    (nn.Threshold(0.4, 0.4), (5,)),
    (nn.Sequential(nn.Dropout2d(), nn.Identity(), nn.AlphaDropout()), (3, 2, 2)),
    (nn.ZeroPad2d((1, 0, 2, 1)), (1, 2, 3)),
    (nn.ConstantPad1d((2, 1), -0.3), (2, 3)),
    (nn.ReflectionPad2d(1), (1, 3, 3)),
    (nn.ReplicationPad1d((1, 3)), (2, 3)),
    (nn.CircularPad2d((1, 2, 0, 1)), (1, 2, 3)),
    (nn.ZeroPad2d((-1, 0, 1, -1)), (1, 3, 3)),
    (nn.Upsample(scale_factor=2), (2, 3)),
    (nn.Upsample(size=(5, 4)), (1, 3, 2)),
    (nn.Upsample(scale_factor=(1.5, 3.0)), (1, 3, 2)),
    (nn.PixelShuffle(2), (8, 2, 3)),
    (nn.PixelUnshuffle(2), (2, 4, 2)),
    (nn.ChannelShuffle(3), (6, 2, 2)),
]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=lambda v: str(v) if isinstance(v, nn.Module) else None)
def test_layer(layer: nn.Module, shape: Shape) -> None:
    read(layer, shape)


@pytest.mark.parametrize("seed", range(12))
def test_random_convolutional_networks(seed: int) -> None:
    """Layers in a row, with random settings; float32 and float64."""
    rng = np.random.default_rng(seed)
    channels, size = int(rng.integers(1, 4)), int(rng.integers(7, 11))
    shape = (channels, size, size + 1)
    layers: list[nn.Module] = []
    for _ in range(3):
        out = int(rng.integers(1, 4))
        layers.append(nn.Conv2d(channels, out, int(rng.integers(1, 4)), padding=int(rng.integers(0, 3))))
        channels = out
        others = [
            nn.ReLU(), nn.LeakyReLU(), nn.Hardtanh(), nn.ReLU6(), nn.Softshrink(), nn.PReLU(out), nn.BatchNorm2d(out),
            nn.MaxPool2d(2, 1), nn.AvgPool2d(2, 1), nn.MaxPool2d(3, 1, 1),
        ]  # fmt: skip
        layers += [others[k] for k in rng.choice(len(others), 3, replace=False)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3))
    read(model.double() if seed % 2 else model, shape)


# ---- exactly


EXACT: list[tuple[nn.Sequential, Shape]] = [
    (nn.Sequential(nn.Conv2d(2, 2, 2, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(3, 1, 1), nn.LeakyReLU()),
     (2, 2, 3)),
    (nn.Sequential(nn.Conv1d(2, 4, 2, groups=2), nn.PReLU(4), nn.MaxPool1d(3, 2, 1), nn.Hardtanh(-0.1, 0.3)), (2, 6)),
    (nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(4, 3),
                   nn.Softshrink(0.1)), (1, 4, 3)),
    (nn.Sequential(nn.Linear(3, 4), nn.RReLU(), nn.Linear(4, 4), nn.Threshold(0.1, 0.1), nn.Hardsigmoid()), (3,)),
    (nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 2, stride=2, dilation=1)), (1, 3, 4)),
    (nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU6(), nn.Linear(5, 2), nn.Linear(2, 4)), (3,)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("model", "shape"), EXACT)
def test_exactly_the_same_function(model: nn.Sequential, shape: Shape, dtype: torch.dtype) -> None:
    """Rational arithmetic, layer by layer by definition, against the network's: equal, not close."""
    model = prepared(copy.deepcopy(model).to(dtype))  # type: ignore[assignment]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=dtype))
    network = as_network(model, shape)
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = rng.normal(size=shape)
        shapes, value = [], torch.from_numpy(x)[None].to(dtype)
        with torch.no_grad():
            for layer in model:
                value = layer(value)
                shapes.append(tuple(value.shape[1:]))
        expected = evaluate(model, exact(x), shapes).reshape(-1)
        got = network_value(network, exact(x))
        assert (got == expected).all()
        np.testing.assert_allclose(expected.astype(float), value.numpy().reshape(-1), atol=1e-4)


# ---- functions and custom modules


class Expression(nn.Module):
    """A forward that is one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.offset = nn.Buffer(torch.tensor([0.3, -0.7, 1.1]))
        self.matrix = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


FUNCTIONS: list[Callable[[Expression, torch.Tensor], Any]] = [
    lambda m, x: x.abs() + torch.abs(x - m.offset) + F.threshold(x, 0.1, 0.1) + F.rrelu(x) + x.max(1).values[:, None],
    lambda m, x: torch.maximum(x, 2 * x + m.offset),
    lambda m, x: torch.minimum(x[:, :1], x[:, 1:].sum(1, True)) - torch.max(x, -x),
    lambda m, x: torch.max(x, 1)[0],
    lambda m, x: x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True) + x,
    lambda m, x: torch.min(x, dim=1)[0] + x.amin((1,)),
    lambda m, x: torch.clamp(x, min=m.offset / 2, max=m.offset),
    lambda m, x: x.clamp(-0.2, 0.5) + x.clamp(max=0.1) + torch.clip(x, 0.3, None),
    lambda m, x: x.clamp(0.5, -0.5),
    lambda m, x: torch.cat([x, F.relu(x), (m.offset + 0 * x)], 1),
    lambda m, x: torch.stack([x, x * 2, 1 - x], -1).flatten(1).view(-1, 9),
    lambda m, x: sum(torch.split(torch.cat([x, x.relu()], -1), [1, 2, 3], -1)[k].sum(1) for k in range(3)),
    lambda m, x: torch.chunk(x, 2, dim=-1)[0].repeat(1, 2) + 0.25,
    lambda m, x: x.unsqueeze(1).expand(-1, 4, -1).permute(0, 2, 1).reshape(x.shape[0], -1),
    lambda m, x: x[:, None, ::2, None].squeeze(1).squeeze(-1) + x[..., -1:],
    lambda m, x: x[:, [2, 0, 0]] - x[:, torch.tensor([1, 1, 2])],
    lambda m, x: (m.matrix @ x.T).T,
    lambda m, x: torch.matmul(x, m.matrix.t()) @ m.matrix,
    lambda m, x: torch.addmm(m.offset[:1].expand(4), x, m.matrix.T),
    lambda m, x: F.linear(x, m.matrix, None).mean(1),
    lambda m, x: x / 3 - x / m.offset + (-x) * m.offset,
    lambda m, x: torch.sub(x, F.relu(x), alpha=2) + torch.rsub(x, 1.5),
    lambda m, x: F.pad(x, (1, 2)).roll(1, 1).flip(1),
    lambda m, x: F.pad(x, (1, 1), value=0.5),
    lambda m, x: F.leaky_relu(F.hardtanh(x), 0.1) + F.prelu(x, m.offset) + F.softshrink(x) + F.hardsigmoid(x),
    lambda m, x: F.relu_(x * 1.0).add_(1).mul_(m.offset),
    lambda m, x: x.mean(1, keepdim=True) + x.sum(-1, keepdim=True),
    lambda m, x: x.new_zeros(x.size(0), 3) + torch.zeros_like(x) + torch.ones_like(x) - x,
    lambda m, x: F.interpolate(x[:, None], scale_factor=2).movedim(1, 2).transpose(1, 2).select(1, 0),
    lambda m, x: F.relu(F.relu(x)) + F.relu(x) - x.relu().abs(),
    lambda m, x: x.narrow(1, 0, 2).tile(1, 2).unflatten(1, (2, 2)).amax((1, 2)),
    lambda m, x: torch.unbind(x, 1)[1] - x.select(1, 0),
]


@pytest.mark.parametrize("k", range(len(FUNCTIONS)))
@pytest.mark.parametrize("form", ["fx", "export"])
def test_function(k: int, form: str) -> None:
    model = Expression(FUNCTIONS[k]).eval()
    if form == "fx":
        read(model, (3,))
        return
    program = torch.export.export(model, (torch.randn(2, 3),), dynamic_shapes=({0: torch.export.Dim("n")},))
    assert_same(model, as_network(program), (3,))


EXPORTED: list[tuple[nn.Module, Shape]] = [
    (nn.Sequential(nn.Conv1d(2, 3, 3, padding="same"), nn.BatchNorm1d(3), nn.LeakyReLU(), nn.AdaptiveMaxPool1d(2)),
     (2, 7)),
    (nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU6(), nn.MaxPool2d(2, 1), nn.Flatten(),
                   nn.Linear(12, 2)), (2, 4, 4)),
    (nn.Sequential(nn.ZeroPad2d(1), nn.Hardtanh(), nn.AvgPool2d(2, ceil_mode=True), nn.Dropout2d(),
                   nn.PixelShuffle(2)), (4, 3, 3)),
    (nn.Sequential(nn.ConvTranspose2d(2, 2, 2, 2), nn.PReLU(2), nn.AdaptiveAvgPool2d(2), nn.Softshrink()), (2, 2, 3)),
    (nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.RReLU()),
     (1, 2, 3)),
    (nn.Sequential(nn.Threshold(0.1, 0.1), nn.Hardsigmoid(), nn.Unflatten(1, (2, 3)), nn.MaxPool1d(3, 2, 1)), (6,)),
]  # fmt: skip


@pytest.mark.parametrize("batch", ["free", "one", "three"])
@pytest.mark.parametrize("k", range(len(EXPORTED)))
def test_exported_layers(k: int, batch: str, tmp_path: Path) -> None:
    """The operators of exported programs, whose arguments stand in another order; and as a file, by another reader."""
    layer, shape = EXPORTED[k]
    model = prepared(copy.deepcopy(layer))
    sizes = ({0: torch.export.Dim("n")},) if batch == "free" else None
    program = torch.export.export(model, (torch.randn(1 if batch == "one" else 3, *shape),), dynamic_shapes=sizes)
    torch.export.save(program, tmp_path / "model.pt2")
    for network in (as_network(program), read_model(tmp_path / "model.pt2")):
        assert network.input_shape == shape
        assert_same(model, network, shape)


def test_exported_indices(tmp_path: Path) -> None:
    """A list of indices has holes for the axes that are not indexed."""
    model = Expression(lambda m, x: x[:, [2, 0]].relu() - x[:, :2])
    program = torch.export.export(model, (torch.randn(1, 3),))
    torch.export.save(program, tmp_path / "model.pt2")
    assert_same(model, read_model(tmp_path / "model.pt2"), (3,))


@pytest.mark.parametrize("k", [0, 1, 3])
def test_decomposed_programs(k: int) -> None:
    layer, shape = EXPORTED[k]
    model = prepared(nn.Sequential(*[v for v in copy.deepcopy(layer) if not isinstance(v, nn.PReLU | nn.Softshrink)]))
    program = torch.export.export(model, (torch.randn(2, *shape),)).run_decompositions()
    assert_same(model, as_network(program), shape)


def test_weights_computed_from_parameters() -> None:
    """What does not depend on the input is computed by torch, in the parameters' precision, and is a weight."""

    class Weights(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.direction, self.length = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.rand(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weight = F.softmax(self.direction, 1) * (self.length.exp() / self.direction.norm(dim=1))[:, None]
            first, rest = torch.split(self.length, [1, 2])
            return F.relu(F.linear(x, weight, torch.cat([rest, first])))

    model = Weights()
    with torch.no_grad():
        weight = F.softmax(model.direction, 1) * (model.length.exp() / model.direction.norm(dim=1))[:, None]
    for form in (model, torch.export.export(model, (torch.randn(1, 2),))):
        network = as_network(form)
        assert network.widths == (3,)
        np.testing.assert_array_equal(network.layers[0].weight, weight.double().numpy())


def test_neurons_that_change_nothing_do_not_exist() -> None:
    def widths(function: Callable[..., Any]) -> tuple[int, ...]:
        return as_network(Expression(function), (3,)).widths

    assert widths(lambda m, x: F.relu(x).relu()) == (3,)
    assert widths(lambda m, x: x.relu() + x.abs() + F.leaky_relu(x)) == (3, 0)
    assert widths(lambda m, x: torch.cat([x, x.relu()], 1)[:, 2:5].sum(1)) == (2,)
    assert widths(lambda m, x: F.pad(x, (2, 2)).relu().sum(1)) == (3,)
    assert widths(lambda m, x: (x * 1 + 0).relu()[:, [0, 0, 1]]) == (2,)
    assert widths(lambda m, x: F.max_pool1d(x[:, None].relu(), 3)[:, 0]) == (1, 1, 1)
