"""A slow, independent enumerator of the pieces of a segment, in rational arithmetic.

Depth first, one neuron after the other: a piece is an interval with the affine forms of its layer's
inputs in t.  Nothing of geomrelu is imported; a network is anything with ``layers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

Form = tuple[Fraction, Fraction]  # slope, constant


@dataclass(frozen=True)
class Piece:
    """An interval on which the network has one pattern, and its outputs' forms."""

    low: Fraction
    high: Fraction
    pattern: tuple[int, ...]
    map: tuple[Form, ...]


def enumerate_pieces(network: Any, a: Sequence[float], b: Sequence[float]) -> list[Piece]:
    """All pieces of the segment from a to b, in order."""
    start = [Fraction(float(v)) for v in a]
    inputs = [(Fraction(float(v)) - u, u) for u, v in zip(start, b, strict=True)]
    found: list[Piece] = []
    _descend(network.layers, 0, inputs, Fraction(0), Fraction(1), (), found)
    return found


def _descend(
    layers: Any, index: int, h: list[Form], low: Fraction, high: Fraction, bits: tuple[int, ...], found: list[Piece]
) -> None:
    layer = layers[index]
    units = []
    for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True):
        terms = [(Fraction(w), form) for w, form in zip(row, h, strict=True) if w]
        units.append(
            (sum((w * s for w, (s, _) in terms), Fraction(0)), sum((w * c for w, (_, c) in terms), Fraction(bias)))
        )
    if index == len(layers) - 1:
        found.append(Piece(low, high, bits, tuple(units)))
        return
    roots = {-c / s for s, c in units[: layer.n_neurons] if s}
    cuts = [low, *sorted(r for r in roots if low < r < high), high]
    for left, right in pairwise(cuts):
        middle = (left + right) / 2
        own = tuple(int(s * middle + c > 0) for s, c in units[: layer.n_neurons])
        gated = [u if bit else (Fraction(0), Fraction(0)) for u, bit in zip(units[: layer.n_neurons], own, strict=True)]
        _descend(layers, index + 1, gated + units[layer.n_neurons :], left, right, bits + own, found)


def merged(pieces: list[Piece]) -> list[Piece]:
    """The pieces, neighbours of one pattern put together (a neuron that only touches zero cuts nothing)."""
    result: list[Piece] = []
    for piece in pieces:
        if result and result[-1].pattern == piece.pattern:
            result[-1] = Piece(result[-1].low, piece.high, piece.pattern, piece.map)
        else:
            result.append(piece)
    return result
