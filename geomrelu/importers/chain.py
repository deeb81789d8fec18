"""Chains: what becomes of the input on its way to the output, and the layers that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.errors import UnsupportedLayerError
from geomrelu.network import Layer, Network

__all__ = ["Affine", "Flow", "Relu", "Scale", "Shift", "assemble"]


@dataclass(frozen=True, eq=False)
class Affine:
    """h -> weight h + bias; no bias means exactly zero."""

    weight: FloatArray
    bias: FloatArray | None


@dataclass(frozen=True, eq=False)
class Scale:
    """h -> factor h, entry by entry."""

    factor: FloatArray  # () or (width,)


@dataclass(frozen=True, eq=False)
class Shift:
    """h -> h + offset."""

    offset: FloatArray  # () or (width,)


class Relu:
    """h -> max(h, 0)."""


_Step: TypeAlias = Affine | Scale | Shift | Relu


@dataclass(frozen=True, eq=False)
class Flow:
    """A value that depends on the input: the steps that lead to it, linked backwards."""

    before: Flow | None = None
    step: _Step | None = None
    width: int | None = None
    rank: int = 2
    batch: int | None = None
    squeezed: bool = False  # the axis of the features, of length 1, was dropped

    def then(self, step: _Step, **changes: Any) -> Flow:
        """The value after one more step."""
        return replace(self, before=self, step=step, **changes)

    def steps(self) -> list[_Step]:
        """All steps from the input on."""
        result: list[_Step] = []
        flow: Flow | None = self
        while flow is not None and flow.step is not None:
            result.append(flow.step)
            flow = flow.before
        return result[::-1]


def assemble(flow: Flow) -> Network:
    """The layers that the steps make, each step exactly as it is.

    Raises
    ------
    UnsupportedLayerError
        If no step tells the number of inputs.
    """
    steps = flow.steps()
    layers: list[Layer] = []
    free = False  # whether the last layer's bias is exactly zero, so that an offset can take its place
    for step in steps:
        if isinstance(step, Affine):
            bias = np.zeros(len(step.weight)) if step.bias is None else step.bias
            layers.append(Layer(step.weight, bias, 0))
            free = step.bias is None
        elif isinstance(step, Relu):
            last = layers[-1] if layers else _passing(_first_width(steps))
            # A second ReLU in a row changes nothing: relu(relu(u)) = relu(u).
            layers[-1:] = [replace(last, n_neurons=last.n_units)]
        else:
            width = layers[-1].n_units if layers else _first_width(steps)
            if isinstance(step, Scale):
                layers.append(Layer(np.diag(np.broadcast_to(step.factor, (width,))), np.zeros(width), 0))
                free = True
                continue
            if not (free and layers[-1].n_neurons == 0):
                layers.append(_passing(width))
            layers[-1] = replace(layers[-1], bias=np.array(np.broadcast_to(step.offset, (width,))))
            free = False
    if not layers or layers[-1].n_neurons:
        layers.append(_passing(layers[-1].n_units if layers else _first_width(steps)))
    return Network.from_layers(layers)


def _passing(width: int) -> Layer:
    return Layer(np.eye(width), np.zeros(width), 0)


def _first_width(steps: list[_Step]) -> int:
    """Number of inputs, read off the first step that tells it."""
    for step in steps:
        if isinstance(step, Affine):
            return int(step.weight.shape[1])
        if isinstance(step, Scale | Shift):
            values = step.factor if isinstance(step, Scale) else step.offset
            if values.ndim == 1:
                return len(values)
    raise UnsupportedLayerError("model: it has no Linear layer, so its number of inputs is unknown; add one")
