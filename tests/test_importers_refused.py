"""What is not read is refused by name, with its place and the nearest thing that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geomrelu.errors import InputError, NotPiecewiseLinearError, ShapeError, UnsupportedLayerError, WeightError
from geomrelu.importers import as_network
from tests.test_importers_layers import Expression

IMAGE = (2, 4, 4)
NOT_LINEAR, NOT_READ = NotPiecewiseLinearError, UnsupportedLayerError

LAYERS: list[tuple[nn.Module, type[InputError], str]] = [
    (nn.GELU(), NOT_LINEAR, r"1 \(GELU\): not piecewise linear.*nearest that works: ReLU"),
    (nn.ELU(), NOT_LINEAR, "nearest that works: LeakyReLU"),
    (nn.Tanh(), NOT_LINEAR, "nearest that works: Hardtanh"),
    (nn.Sigmoid(), NOT_LINEAR, "leave it off; else nearest that works: Hardsigmoid"),
    (nn.Softmax(1), NOT_LINEAR, r"1 \(Softmax\).*probabilities, leave it off"),
    (nn.Hardswish(), NOT_LINEAR, "nearest that works: ReLU"),
    (nn.LayerNorm(4), NOT_LINEAR, r"1 \(LayerNorm\).*nearest that works: BatchNorm in eval mode"),
    (nn.GroupNorm(1, 2), NOT_LINEAR, r"1 \(GroupNorm\).*BatchNorm"),
    (nn.InstanceNorm2d(2), NOT_LINEAR, r"1 \(InstanceNorm2d\).*BatchNorm, or this layer with track_running_stats=True"),
    (nn.BatchNorm2d(2, track_running_stats=False), NOT_LINEAR, r"1 \(BatchNorm2d\).*own statistics"),
    (nn.Hardshrink(), NOT_LINEAR, r"1 \(Hardshrink\): Hardshrink jumps.*nearest that works: Softshrink"),
    (nn.Threshold(0.5, 0.0), NOT_LINEAR, r"1 \(Threshold\): jumps from 0.0 to 0.5.*not continuous.*ReLU"),
    (nn.Upsample(scale_factor=2, mode="bilinear"), NOT_READ, r"1 \(Upsample\).*mode='nearest'"),
    (nn.FractionalMaxPool2d(2, output_size=2), NOT_READ, r"1 \(FractionalMaxPool2d\)"),
    (nn.LPPool2d(2, 2), NOT_READ, r"1 \(LPPool2d\)"),
    (nn.MaxPool2d(9), ShapeError, r"1 \(MaxPool2d\): a kernel of size 9 meets an axis of length 4"),
    (nn.Conv2d(3, 1, 1), ShapeError, r"1 \(Conv2d\): its kernel .* takes 3 channels; got 2"),
    (nn.Conv1d(2, 1, 1), ShapeError, r"1 \(Conv1d\): got a tensor of shape \(N, 2, 4, 4\).*\(N, channels, length\)"),
    (nn.BatchNorm2d(3), ShapeError, r"1 \(BatchNorm2d\): 3 channels meet"),
    (nn.PReLU(3), ShapeError, r"1 \(PReLU\): got 3 slopes for 2 channels"),
    (nn.Linear(5, 1), ShapeError, r"1 \(Linear\): takes 5 inputs .*flatten images before"),
    (nn.Flatten(0), NOT_READ, r"1 \(Flatten\): .*mixes points"),
]


@pytest.mark.parametrize(("layer", "error", "message"), LAYERS, ids=[str(v[0]) for v in LAYERS])
def test_layer(layer: nn.Module, error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        as_network(nn.Sequential(nn.ReLU(), layer).eval(), input_shape=IMAGE)


def test_instance_norm_of_rows() -> None:
    """torch takes a batch of rows for one input without a batch axis, and so mixes points."""
    layer = nn.InstanceNorm1d(4, track_running_stats=True)
    with pytest.raises(
        ShapeError, match=r"1 \(InstanceNorm1d\): got a tensor of shape \(N, 4\); expected \(N, channels"
    ):
        as_network(nn.Sequential(nn.Linear(4, 4), layer).eval())


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(2), nn.RReLU(), nn.Dropout2d(), nn.AlphaDropout()])
def test_training_mode(layer: nn.Module) -> None:
    name = type(layer).__name__
    with pytest.raises(NOT_READ, match=rf"1 \({name}\): .*training mode.*model\.eval\(\)"):
        as_network(nn.Sequential(nn.ReLU(), layer), input_shape=IMAGE)
    as_network(nn.Sequential(nn.ReLU(), layer).eval(), input_shape=IMAGE)


FUNCTIONS: list[tuple[Callable[[Any, torch.Tensor], Any], type[InputError], str]] = [
    (lambda m, x: x * x, NOT_LINEAR, "multiplies two values"),
    (lambda m, x: 1 / x, NOT_LINEAR, "divides by a value that depends on the input"),
    (lambda m, x: x @ x.mT, NOT_LINEAR, "multiplies two values"),
    (lambda m, x: torch.where(x > 0, x, 0.1 * x), NOT_LINEAR, "gt in its forward.*torch.maximum"),
    (lambda m, x: x.sign(), NOT_LINEAR, "sign jumps"),
    (lambda m, x: x // 2, NOT_LINEAR, "rounds a value"),
    (lambda m, x: torch.div(x, 2, rounding_mode="floor"), NOT_LINEAR, "rounds its result"),
    (lambda m, x: x / torch.tensor([1.0, 0, 2, 3]), WeightError, "divides by zero"),
    (lambda m, x: x.argmax(1), NOT_LINEAR, "argmax jumps"),
    (lambda m, x: x.std(1), NOT_LINEAR, "std in its forward"),
    (lambda m, x: F.scaled_dot_product_attention(x, x, x), NOT_LINEAR, "attention"),
    (lambda m, x: x.sort(1)[0], NOT_READ, r"nearest that works: max along an axis"),
    (lambda m, x: torch.einsum("nchw,wk->nchk", x, m.matrix), NOT_READ, "nearest that works: a product with a fixed"),
    (lambda m, x: x.mean(0), NOT_READ, "the batch's, so it mixes points"),
    (lambda m, x: x[0], NOT_READ, "mixes points"),
    (lambda m, x: x[1:], NOT_READ, "takes some points of the batch"),
    (lambda m, x: x.view(2, -1), NOT_READ, r"reshapes \(N, 2, 4, 4\) to \(2, -1\), which mixes points"),
    (lambda m, x: x.permute(1, 0, 2, 3).reshape(2, -1), NOT_READ, "mixes points"),
    (lambda m, x: x + torch.ones(5, 1, 1, 1), ShapeError, "for every number N of points"),
    (lambda m, x: x + torch.ones(3), ShapeError, "do not fit each other"),
    (lambda m, x: torch.cat([x, x[:, :, :2]], 1), ShapeError, "do not fit each other along axis 1"),
    (lambda m, x: x[:, 7], ShapeError, "axis 7"),
    (lambda m, x: x.clamp(min=x.mean(1, keepdim=True)), NOT_READ, "write torch.maximum"),
    (lambda m, x: F.max_pool2d(x, 2, return_indices=True)[1], NOT_READ, "an output that is not a tensor"),
    (lambda m, x: F.pad(x, (9, 0), mode="reflect"), NOT_READ, r"pads an axis of length 4 by \(9, 0\)"),
    (lambda m, x: x.int(), NOT_READ, "int in its forward"),
    (lambda m, x: x.to(torch.int64), NOT_READ, "which rounds"),
    (lambda m, x: F.linear(x, m.matrix * float("nan")), WeightError, "nan"),
    (lambda m, x: x if x.sum() > 0 else -x, NOT_READ, "cannot be followed"),
    (lambda m, x: x[:, :, :0], ShapeError, "empty tensor"),
    (lambda m, x: m.offset, NOT_READ, "does not depend on its input"),
    (lambda m, x: (x, x), NOT_READ, "returns 2 outputs"),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(FUNCTIONS)))
def test_function(k: int) -> None:
    function, error, message = FUNCTIONS[k]
    model = Expression(function)
    model.matrix = nn.Parameter(torch.ones(3, 4))
    with pytest.raises(error, match=message):
        as_network(model, input_shape=IMAGE)


# ---- the input's shape


def test_shape_that_is_not_told() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(NOT_READ, match=r"0 \(Conv2d\): needs the input's shape.*as_network\(model, input_shape="):
        as_network(model)
    assert as_network(model, input_shape=(1, 5, 6)).input_shape == (1, 5, 6)
    with pytest.raises(NOT_READ, match=r"number of inputs is unknown.*input_shape"):
        as_network(nn.ReLU())
    with pytest.raises(ShapeError, match=r"\(N, 30\); expected \(N, channels, height, width\).*slice of inputs"):
        as_network(model, input_shape=(30,))


@pytest.mark.parametrize(
    ("model", "width"),
    [
        (nn.Sequential(nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(5)), 5),
        (Expression(lambda m, x: (2 * x.relu()).clamp(-1, 1) + m.offset), 3),
        (Expression(lambda m, x: F.conv1d(x.view(-1, 1, 6), m.matrix[:, None])), 6),
        (Expression(lambda m, x: torch.matmul(-x.view(x.size(0), -1), m.matrix)), 4),
        (nn.Sequential(nn.Dropout(), nn.LeakyReLU(), nn.PReLU(7)), 7),
    ],
)
def test_number_of_inputs_is_told_by_the_first_layer_that_does(model: nn.Module, width: int) -> None:
    assert as_network(model.eval()).input_shape == (width,)


@pytest.mark.parametrize("shape", [(), (0, 2), (3, -1)])
def test_shapes_that_are_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected whole numbers, 1 or more"):
        as_network(nn.ReLU(), input_shape=shape)


def test_dynamic_shapes_of_exported_programs() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.convolution(x)).amax((2, 3))

    sizes = ({0: torch.export.Dim("n"), 2: torch.export.Dim("height", min=4)},)
    program = torch.export.export(Net(), (torch.randn(2, 1, 6, 5),), dynamic_shapes=sizes)
    with pytest.raises(NOT_READ, match=r"dynamic shape \(N, 1, N, 5\); give as_network"):
        as_network(program)
    assert as_network(program, input_shape=(1, 7, 5)).n_inputs == 35
    with pytest.raises(ShapeError, match=r"got input_shape=\(1, 7, 6\); its inputs are of shape"):
        as_network(program, input_shape=(1, 7, 6))


def test_shape_that_contradicts_an_exported_program() -> None:
    program = torch.export.export(nn.Conv2d(1, 2, 3), (torch.randn(1, 1, 6, 5),))
    assert as_network(program).input_shape == (1, 6, 5)
    assert as_network(program, input_shape=(30,)).input_shape == (1, 6, 5)  # a flat slice will do
    with pytest.raises(ShapeError, match="its inputs are of shape"):
        as_network(program, input_shape=(1, 5, 5))


def test_one_input_without_a_batch() -> None:
    """A program of one point: its first axis is not the batch's if the caller says so."""
    model = nn.Conv1d(3, 2, 2).double()
    program = torch.export.export(model, (torch.randn(3, 5, dtype=torch.float64),))
    network = as_network(program, input_shape=(3, 5))
    x = np.random.default_rng(0).normal(size=(4, 3, 5))
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy().reshape(4, -1)
    np.testing.assert_allclose(network(x.reshape(4, -1)), expected, atol=1e-12)
