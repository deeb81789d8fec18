"""Memory that is used again.

Fresh memory costs a page fault for every 4096 bytes when it is first touched, more than all
that the engine does with it.  Arrays of a `Pool` are like those of ``np.empty``, but when the
last reference to one goes, its memory waits for the next one, of this run or another.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Pool", "thread_pool"]

# Bytes of arrays that are numpy's own: the system's allocator, too, uses memory of smaller ones again.
_SMALL = 1 << 17
# Bytes that one thread's pool keeps waiting; what is freed beyond them goes back to the system.
_KEPT = 1 << 26
_FEW = 64
_local = threading.local()


def thread_pool() -> Pool:
    """This thread's pool."""
    if not hasattr(_local, "pool"):
        _local.pool = Pool()
    found: Pool = _local.pool
    return found


class Pool:
    """Memory of arrays that were freed, not much above `_KEPT` bytes."""

    def __init__(self) -> None:
        # By identity.  Each step is atomic: an array may be freed at any time, by any thread.
        self._free: dict[int, npt.NDArray[np.uint8]] = {}

    def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """An array of unspecified content.

        Examples
        --------
        >>> thread_pool().empty((2, 3)).shape
        (2, 3)
        """
        kind = np.dtype(dtype)
        size = kind.itemsize * (shape if isinstance(shape, int) else math.prod(shape))
        if size < _SMALL:
            return np.empty(shape, kind)
        return np.asarray(_Lease(self, size))[:size].view(kind).reshape(shape)

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """At least `size` bytes: the smallest that will do of what is free, or fresh ones."""
        best, best_size = 0, 4 * size
        for key in list(self._free):
            memory = self._free.get(key)
            if memory is not None and size <= len(memory) <= best_size:
                best, best_size = key, len(memory)
        found = self._free.pop(best, None)
        return np.empty(size + size // 4, dtype=np.uint8) if found is None else found

    def give(self, memory: npt.NDArray[np.uint8]) -> None:
        """Take back what an array no longer needs."""
        self._free[id(memory)] = memory
        # As many small ones cannot be too much; counting takes time.
        if len(memory) < _KEPT // _FEW and len(self._free) <= _FEW:
            return
        while sum(len(self._free.get(key, ())) for key in list(self._free)) > _KEPT:
            self._free.pop(next(iter(self._free)), None)


class _Lease:
    """Bytes that go back to their pool when no array refers to them any more."""

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool, self._memory = pool, pool.take(size)
        self.__array_interface__ = self._memory.__array_interface__

    def __del__(self) -> None:
        self._pool.give(self._memory)
