"""Bit-packed patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomrelu.errors import ShapeError
from geomrelu.patterns import Patterns, word_starts

WIDTHS = [(1,), (63,), (64,), (65,), (128,), (1, 64, 1), (64, 64), (3, 130, 65), (), (200, 7)]


def random_bits(widths: tuple[int, ...], n: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, sum(widths))) < 0.5


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_pack_and_unpack_are_inverse(widths: tuple[int, ...]) -> None:
    bits = random_bits(widths)
    packed = Patterns.pack(bits, widths)
    assert len(packed) == 20
    assert packed.n_neurons == sum(widths)
    np.testing.assert_array_equal(packed.unpack(), bits)
    first = 0
    for layer, width in enumerate(widths):
        np.testing.assert_array_equal(packed.unpack(layer), bits[:, first : first + width])
        first += width
    assert packed == Patterns.pack(bits, widths)
    assert Patterns(packed.words, widths) == packed


@pytest.mark.parametrize("neuron", [0, 1, 63, 64, 65, 127, 128, 132])
def test_layout_of_a_single_bit(neuron: int) -> None:
    """Neuron j of a layer sits in word start + j // 64, bit j % 64; layers start on fresh words."""
    widths = (3, 130)
    bits = np.zeros((1, 133), dtype=bool)
    bits[0, neuron] = True
    words = Patterns.pack(bits, widths).words
    assert words.dtype == np.uint64
    assert words.shape == (1, 4)
    word, bit = (0, neuron) if neuron < 3 else (1 + (neuron - 3) // 64, (neuron - 3) % 64)
    expected = [0, 0, 0, 0]
    expected[word] = 1 << bit
    assert words[0].tolist() == expected


def test_word_starts() -> None:
    assert word_starts((1, 64, 65)) == (0, 1, 2, 4)
    assert word_starts(()) == (0,)


@given(st.lists(st.integers(1, 70), max_size=3).map(tuple), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_counts_follow_the_dense_bits(widths: tuple[int, ...], seed: int) -> None:
    bits = random_bits(widths, n=6, seed=seed)
    packed = Patterns.pack(bits, widths)
    np.testing.assert_array_equal(packed.n_active(), bits.sum(axis=1))
    i, j = np.divmod(np.arange(36), 6)
    np.testing.assert_array_equal(packed.hamming(i, j), (bits[i] != bits[j]).sum(axis=1))


@pytest.mark.parametrize("widths", [(2,), (2, 1), (65, 2)], ids=str)
def test_keys_are_equal_where_patterns_are(widths: tuple[int, ...]) -> None:
    bits = random_bits(widths, n=40)
    bits[20:] = bits[:20]
    keys = Patterns.pack(bits, widths).keys()
    dense = [row.tobytes() for row in bits]
    assert [[a == b for b in dense] for a in dense] == [[bool(a == b) for b in keys] for a in keys]
    assert len(np.unique(keys)) == len(set(dense))


def test_keys_without_neurons() -> None:
    keys = Patterns.pack(np.zeros((3, 0)), ()).keys()
    assert len(keys) == 3
    assert len(np.unique(keys)) == 1


def test_indexing_keeps_rows() -> None:
    bits = random_bits((70, 2))
    packed = Patterns.pack(bits, (70, 2))
    np.testing.assert_array_equal(packed[3].unpack(), bits[3:4])
    np.testing.assert_array_equal(packed[2:5].unpack(), bits[2:5])
    np.testing.assert_array_equal(packed[np.array([5, 1, 1])].unpack(), bits[[5, 1, 1]])
    np.testing.assert_array_equal(packed[bits[:, 0]].unpack(), bits[bits[:, 0]])


def test_words_are_frozen() -> None:
    packed = Patterns.pack(random_bits((5,)), (5,))
    with pytest.raises(ValueError, match="read-only"):
        packed.words[0, 0] = 1


def test_equality_needs_equal_widths() -> None:
    bits = random_bits((4,))
    assert Patterns.pack(bits, (4,)) != Patterns.pack(bits, (3, 1))
    assert Patterns.pack(bits, (4,)) != "patterns"


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\), expected \(F, 4\)"):
        Patterns.pack(np.zeros((2, 3)), (4,))
    with pytest.raises(ShapeError, match=r"expected \(F, 2\)"):
        Patterns(np.zeros((2, 1), dtype=np.uint64), (65,))
