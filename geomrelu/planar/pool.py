"""Memory that is used again.

Fresh memory costs a page fault for every 4096 bytes when it is first touched, more than all
that the engine does with it.  Arrays of a `Pool` are like those of ``np.empty``, but when the
last reference to one goes, its memory waits for the next one, of this run or another.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Pool", "thread_pool"]

# Bytes of arrays that are numpy's own: the system's allocator, too, uses memory of smaller ones again.
_SMALL = 1 << 17
# Bytes that one thread's pool keeps waiting; what is freed beyond them goes back to the system.
_KEPT = 1 << 26
_FEW = 64
# Bytes of a number, mostly, and of a line of the processor's cache, at which arrays begin.
_WORD, _LINE = 8, 64
_local = threading.local()


def thread_pool() -> Pool:
    """This thread's pool."""
    if not hasattr(_local, "pool"):
        _local.pool = Pool()
    found: Pool = _local.pool
    return found


class Pool:
    """Memory of arrays that were freed, not much above `_KEPT` bytes.

    Sizes are 5, 6, 7 or 8 times a power of two, and what is free waits on a shelf for each size.
    """

    def __init__(self) -> None:
        # Each step is atomic: an array may be freed at any time, by any thread.
        self._shelves: dict[int, deque[npt.NDArray[np.uint8]]] = {}
        self._given = 0

    def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """An array of unspecified content.

        Examples
        --------
        >>> thread_pool().empty((2, 3)).shape
        (2, 3)
        """
        return self.arrays((shape, dtype))[0]

    def arrays(self, *wanted: tuple[int | tuple[int, ...], npt.DTypeLike]) -> list[npt.NDArray[Any]]:
        """Arrays of such shapes and types, of unspecified content.

        They lie in one piece of memory, which is free when the last of them goes: one lease costs as
        much as many arrays.

        Examples
        --------
        >>> [a.shape for a in thread_pool().arrays(((2, 3), np.float64), (4, np.int64))]
        [(2, 3), (4,)]
        """
        # Interpreted kernels give numpy's integers, which know no bit_length.
        numbers = [int(math.prod(shape) if isinstance(shape, tuple) else shape) for shape, _ in wanted]
        if _WORD * sum(numbers) < _SMALL:
            return [np.empty(shape, kind) for shape, kind in wanted]
        places, size = [], 0
        for n, (_, kind) in zip(numbers, wanted, strict=True):
            places.append(size)
            size += -(-n * np.dtype(kind).itemsize // _LINE) * _LINE
        memory = np.asarray(_Lease(self, size))
        return [np.ndarray(shape, kind, memory, at) for (shape, kind), at in zip(wanted, places, strict=True)]

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """At least `size` bytes: what is free and not four times too much, or fresh ones."""
        first = _shelf(size)
        for k in range(first, first + 9):
            shelf = self._shelves.get(k)
            if shelf:
                with suppress(IndexError):
                    return shelf.pop()
        # Some more, so that it will do for what is a little larger, too.
        return np.empty(_capacity(first + 1), dtype=np.uint8)

    def give(self, memory: npt.NDArray[np.uint8]) -> None:
        """Take back what an array no longer needs."""
        self._shelves.setdefault(_shelf(len(memory)), deque()).append(memory)
        self._given += 1
        # A few small ones cannot be too much; counting takes time.
        if len(memory) >= _KEPT // _FEW or self._given % (_FEW // 4) == 0:
            self._trim()

    def _trim(self) -> None:
        """Let go of what is above `_KEPT` bytes, from where there is most."""
        while True:
            held = {k: _capacity(k) * len(shelf) for k, shelf in list(self._shelves.items())}
            if sum(held.values()) <= _KEPT:
                return
            with suppress(IndexError):
                self._shelves[max(held, key=held.__getitem__)].popleft()


def _shelf(size: int) -> int:
    """The number of the smallest size that will do."""
    bits = max((size - 1).bit_length() - 3, 0)
    return 4 * bits + max(-(-size >> bits), 5) - 5


def _capacity(shelf: int) -> int:
    """Bytes of each piece on a shelf."""
    return (5 + shelf % 4) << (shelf // 4)


class _Lease:
    """Bytes that go back to their pool when no array refers to them any more."""

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool, self._memory = pool, pool.take(size)
        self.__array_interface__ = self._memory.__array_interface__

    def __del__(self) -> None:
        self._pool.give(self._memory)
