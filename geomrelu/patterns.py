"""Activation patterns, bit-packed: one bit per neuron, 1 where the preactivation is positive.

Layout: every layer starts on a fresh 64-bit word, so that a layer's bits can be written
without touching its neighbours.  Neuron j of layer l sits in word ``starts[l] + j // 64``,
bit ``j % 64``.  Unused bits are 0, so equal patterns have equal words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, IntArray, ReadOnly, WordArray, detached, frozen
from geomrelu.errors import InputError, ShapeError

__all__ = ["Patterns", "layer_bits", "word_starts"]


def word_starts(widths: Sequence[int]) -> tuple[int, ...]:
    """First word of each layer, with the total number of words appended."""
    return tuple(int(s) for s in np.concatenate([[0], np.cumsum([(w + 63) // 64 for w in widths])]))


def layer_bits(words: WordArray, start: int, width: int) -> BoolArray:
    """One layer's bits of a single packed pattern: `width` of them from word `start` on."""
    own = np.ascontiguousarray(words[start : start + (width + 63) // 64].astype("<u8"))
    return np.unpackbits(own.view(np.uint8), count=width, bitorder="little").astype(bool)


class Patterns(ReadOnly):
    """A list of activation patterns of one network, bit-packed.

    Parameters
    ----------
    words : (F, words) uint64
        Packed bits; see the module's docstring for the layout.
    widths : sequence of int
        Neurons per hidden layer.

    Raises
    ------
    InputError
        If the words are not whole numbers of at least 0, or do not fit the widths (`ShapeError`).

    Examples
    --------
    >>> import numpy as np
    >>> p = Patterns.pack(np.array([[True, False, True]]), widths=(2, 1))
    >>> p.unpack()
    array([[ True, False,  True]])
    >>> len(p), p.n_neurons, p.words.shape
    (1, 3, (1, 2))
    """

    widths: tuple[int, ...]
    starts: tuple[int, ...]
    words: WordArray

    def __init__(self, words: npt.ArrayLike, widths: Sequence[int]) -> None:
        own_widths = _checked_widths(widths)
        starts = word_starts(own_widths)
        given = _checked_words(words)
        if given.ndim != 2 or given.shape[1] != starts[-1]:
            raise ShapeError(f"patterns: got words of shape {given.shape}, expected (F, {starts[-1]})")
        vars(self).update(widths=own_widths, starts=starts, words=frozen(given))

    @classmethod
    def pack(cls, bits: npt.ArrayLike, widths: Sequence[int]) -> Patterns:
        """Pack a bool array of shape (F, n_neurons), layer after layer."""
        widths = _checked_widths(widths)
        try:
            dense = np.asarray(detached(bits), dtype=bool)
        except (TypeError, ValueError) as error:
            raise ShapeError(
                f"patterns: got {type(bits).__name__}, expected bits of shape (F, {sum(widths)})"
            ) from error
        if dense.ndim != 2 or dense.shape[1] != sum(widths):
            raise ShapeError(f"patterns: got bits of shape {dense.shape}, expected (F, {sum(widths)})")
        starts = word_starts(widths)
        words = np.zeros((len(dense), starts[-1]), dtype=np.uint64)
        first = 0
        for start, end, width in zip(starts[:-1], starts[1:], widths, strict=True):
            padded = np.zeros((len(dense), (end - start) * 64), dtype=bool)
            padded[:, :width] = dense[:, first : first + width]
            packed = np.packbits(padded, axis=1, bitorder="little")
            words[:, start:end] = packed.view("<u8")
            first += width
        return cls(words, widths)

    @property
    def n_neurons(self) -> int:
        """Number of neurons in a pattern."""
        return sum(self.widths)

    def unpack(self, layer: int | None = None) -> BoolArray:
        """The bits as a bool array, of all neurons (F, n_neurons) or of one layer (F, width)."""
        if layer is None:
            columns = [self.unpack(k) for k in range(len(self.widths))]
            return np.concatenate(columns, axis=1) if columns else np.zeros((len(self), 0), dtype=bool)
        words = np.ascontiguousarray(self.words[:, self.starts[layer] : self.starts[layer + 1]].astype("<u8"))
        bits = np.unpackbits(words.view(np.uint8), axis=1, count=self.widths[layer], bitorder="little")
        return bits.astype(bool)

    def keys(self) -> npt.NDArray[np.void]:
        """One opaque, comparable key per pattern, shape (F,); equal keys mean equal patterns."""
        if self.words.shape[1] == 0:
            return np.zeros(len(self), dtype="V1")
        # Big-endian bytes, so that sorting keys sorts patterns by their words.
        big = np.ascontiguousarray(self.words.astype(">u8"))
        return big.view(f"V{8 * self.words.shape[1]}").ravel()

    def n_active(self) -> IntArray:
        """Number of active neurons in each pattern, shape (F,)."""
        return np.asarray(np.bitwise_count(self.words).sum(axis=1, dtype=np.int64))

    def hamming(self, i: npt.ArrayLike, j: npt.ArrayLike) -> IntArray:
        """Number of neurons in which patterns i and j differ, elementwise."""
        differing = self.words[np.asarray(i)] ^ self.words[np.asarray(j)]
        return np.asarray(np.bitwise_count(differing).sum(axis=-1, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int | slice | npt.NDArray[np.integer] | BoolArray) -> Patterns:
        return Patterns(np.atleast_2d(self.words[index]), self.widths)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patterns) and self.widths == other.widths and np.array_equal(self.words, other.words)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Patterns({len(self)} patterns of {self.n_neurons} neurons, widths {self.widths})"


def _checked_widths(widths: Any) -> tuple[int, ...]:
    try:
        result = tuple(int(w) for w in widths)
    except (TypeError, ValueError) as error:
        raise InputError(f"patterns: got widths={widths!r}, expected the number of neurons of each layer") from error
    if any(w < 0 for w in result):
        raise InputError(f"patterns: got widths={result}, expected numbers of at least 0")
    return result


def _checked_words(words: Any) -> WordArray:
    try:
        given = np.asarray(detached(words))
    except ValueError as error:
        raise ShapeError("patterns: words in rows of unequal length; expected an array of shape (F, words)") from error
    signed = given.dtype.kind == "i" and not (given < 0).any()
    if given.dtype.kind != "u" and not signed:
        raise InputError(
            f"patterns: got words of dtype {given.dtype}, expected uint64, packed; of bits use Patterns.pack"
        )
    return given.astype(np.uint64, copy=False)
