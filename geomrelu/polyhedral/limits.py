"""How large a complex may become: an estimate before the work, and limits while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import WordArray
from geomrelu.errors import InputError, TooLargeError
from geomrelu.matrices import dense_rows
from geomrelu.network import Layer, Network

if TYPE_CHECKING:
    from geomrelu.polyhedral.cutter import Cutter

__all__ = ["LimitReached", "Limits", "first_neurons"]

# The estimate of vertices may be too large by about this factor.
_DOUBT = 8
# The same where a part of the blocks is done.
_DOUBT_OF_BLOCKS = 2
# Share of the free memory that may be taken.
_SHARE = 0.8
# Below this size memory is not looked at.
_LARGE = 1 << 28


class LimitReached(Exception):
    """A limit was passed; the cuts of the first `neurons` neurons are within it."""

    def __init__(self, neurons: int) -> None:
        super().__init__(neurons)
        self.neurons = neurons


class Limits:
    """What the caller allows, and what the machine has.

    Parameters
    ----------
    network : Network
    max_regions : int, optional
    max_memory : float, optional
        Bytes.

    Raises
    ------
    InputError
        If a limit is not a number above 0.
    """

    def __init__(self, network: Network, max_regions: int | None, max_memory: float | None) -> None:
        for name, limit in (("max_regions", max_regions), ("max_memory", max_memory)):
            number = isinstance(limit, int | float | np.number) and not isinstance(limit, bool)
            if limit is not None and not (number and limit >= 1):
                raise InputError(f"partition: got {name}={limit!r}, expected a number of at least 1")
        self.network, self.max_regions, self.max_memory = network, max_regions, max_memory
        self.asked = max_regions is not None or max_memory is not None

    def expect(self, cutter: Cutter, layer: int) -> None:
        """Refuse a layer after which the complex is not expected to fit in memory, unless limits were given.

        n generic hyperplanes in d dimensions make sum over i <= d of C(n, i) regions and about as many
        vertices (R. C. Buck, American Mathematical Monthly 50, 1943); of those of n neurons so far as many lie in the
        domain as there are, and for the next layer the share is taken to be the same.
        """
        d, widths = self.network.n_inputs, self.network.widths
        before, after = sum(widths[:layer]), sum(widths[: layer + 1])
        vertices = cutter.skeleton.n_vertices * _arrangement(after, d) / _arrangement(before, d) if layer else None
        expected = vertices if vertices is not None else float(_arrangement(after, d))
        free = _free_memory()
        if self.asked or free is None:
            return
        each = 40 * d + 24 * cutter.words.total + 8 * self.network.layers[layer].n_units + 64
        if expected * each > _DOUBT * free:
            raise TooLargeError(
                f"partition: about {expected:.2g} vertices are expected after layer {layer + 1}, "
                f"{expected * each / 2**30:.3g} "
                f"GiB, and {free / 2**30:.3g} are free; take a smaller domain or fewer inputs, or say max_memory= "
                f"(bytes) or "
                "max_regions= to go as far as that"
            )

    def check(self, cutter: Cutter, neurons: int, count: Callable[[Cutter, WordArray], int]) -> None:
        """Raise `LimitReached` if the cut by the last of so many neurons went too far.

        Raises
        ------
        TooLargeError
            If no limit was given and the memory is nearly used up.
        """
        held = 1.25 * cutter.skeleton.bytes
        if self.max_memory is not None and held > self.max_memory:
            raise LimitReached(neurons - 1)
        # A region has a lowest vertex, and a vertex is that of 2^d regions at most.
        if self.max_regions is not None and cutter.skeleton.n_vertices << cutter.skeleton.dimension > self.max_regions:
            group, below = _place(self.network, neurons)
            if count(cutter, cutter.words.valid(group, below)) > self.max_regions:
                raise LimitReached(neurons - 1)
        if not self.asked and cutter.skeleton.bytes > _LARGE:
            free = _free_memory()
            if free is not None and free < (1 - _SHARE) * (free + held):
                raise TooLargeError(
                    f"partition: {cutter.skeleton.n_vertices} vertices after {neurons} of {self.network.n_neurons} "
                    f"neurons take "
                    f"{held / 2**30:.3g} GiB, and {free / 2**30:.3g} are free; take a smaller domain, or say "
                    f"max_memory= (bytes) "
                    "or max_regions= to keep what is found within that"
                )

    def check_merged(self, vertices: int, held: int, share: float) -> None:
        """Refuse to go on where what is kept, a share of all, will not fit in memory; see `expect`.

        Raises
        ------
        TooLargeError
            If no limit was given.
        """
        free = _free_memory() if held > _LARGE and not self.asked else None
        if free is None:
            return
        expected = held / max(share, 1e-9)
        if free < (1 - _SHARE) * (free + held) or (share < 1 and expected - held > _DOUBT_OF_BLOCKS * free):
            raise TooLargeError(
                f"partition: {vertices:,} vertices take {held / 2**30:.3g} GiB, {expected / 2**30:.3g} are expected in "
                f"the end, and {free / 2**30:.3g} are free; take a smaller domain, count with gr.count_regions, "
                "which keeps nothing, or say max_memory= (bytes) or max_regions= to keep what is found within that"
            )


def _arrangement(n: int, d: int) -> int:
    return sum(comb(n, i) for i in range(d + 1))


def _free_memory() -> float | None:
    """Bytes that can be had, caches of files included; None where the system does not tell (Linux does)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _place(network: Network, neurons: int) -> tuple[int, int]:
    """Group of forms (see `skeleton.Words`) of the last of the first so many neurons, and how many of it count."""
    before = 0
    for layer, width in enumerate(network.widths):
        if neurons <= before + width:
            return layer + 2, neurons - before
        before += width
    raise AssertionError("more neurons than there are")


def first_neurons(network: Network, neurons: int) -> Network:
    """The network's first neurons, whose rectified values are its outputs.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]])
    >>> first_neurons(f, 1)
    Network(2-1-1, 1 neurons)
    """
    layers: list[Layer] = []
    left = neurons
    for layer in network.hidden:
        if left <= 0:
            break
        n = min(left, layer.n_neurons)
        rows: Any = slice(None) if n == layer.n_neurons else slice(n)
        layers.append(Layer(dense_rows(layer.weight, rows), layer.bias[rows], n))
        left -= n
    inputs = layers[-1].n_units if layers else network.n_inputs
    return Network.from_layers([*layers, Layer(np.eye(inputs), np.zeros(inputs), 0)])
