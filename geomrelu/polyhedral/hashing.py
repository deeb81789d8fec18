"""Hashes of packed signs: arithmetic of unsigned 64-bit integers that wraps around on purpose.

A hash of a sign vector is the exclusive or of one hash per word, so that a changed word costs two hashes, not all.
"""

import numpy as np

from geomrelu.arrays import WordArray, inner

__all__ = ["pattern_hash", "word_hash"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inner
def _mixed(x: np.uint64) -> np.uint64:
    """A bijection whose output bits depend on all input bits (splitmix64, Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inner
def word_hash(positive: np.uint64, negative: np.uint64, w: int, seed: np.uint64) -> np.uint64:
    """The hash of word `w` of a sign vector: which of its neurons are positive, and which negative."""
    salt = (np.uint64(w) + seed) * _GOLDEN
    return _mixed(_mixed(positive + salt) + negative)


@inner
def pattern_hash(words: WordArray) -> np.uint64:
    """The hash of an activation pattern's words."""
    found = np.uint64(0)
    for w in range(len(words)):
        found ^= _mixed(words[w] + np.uint64(w + 1) * _GOLDEN)
    return found
