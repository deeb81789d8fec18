"""Memory that is used again.

Fresh memory costs a page fault for every 4096 bytes when it is first touched, more than all
that the engine does with it.  Arrays of a `Pool` are like those of ``np.empty``, but when the
last reference to one goes, its memory waits for the next one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Pool"]

# Smaller arrays are numpy's own.
_SMALL = 1 << 14


class Pool:
    """Memory for one thread's arrays, as much as it ever held at a time."""

    def __init__(self) -> None:
        self._free: list[npt.NDArray[np.uint8]] = []

    def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """An array of unspecified content.

        Examples
        --------
        >>> Pool().empty((2, 3)).shape
        (2, 3)
        """
        kind = np.dtype(dtype)
        size = kind.itemsize * (shape if isinstance(shape, int) else math.prod(shape))
        if size < _SMALL:
            return np.empty(shape, kind)
        lease = _Lease(self._free, size)
        return np.asarray(lease)[:size].view(kind).reshape(shape)


class _Lease:
    """Bytes that go back to where they were taken from when nothing refers to them any more."""

    def __init__(self, free: list[npt.NDArray[np.uint8]], size: int) -> None:
        fitting = [k for k in range(len(free)) if len(free[k]) >= size]
        if fitting:
            self._bytes = free.pop(min(fitting, key=lambda k: len(free[k])))
        else:
            if free:
                # What is too small for anything that comes makes room.
                free.pop(max(range(len(free)), key=lambda k: len(free[k])))
            self._bytes = np.empty(size + size // 4, dtype=np.uint8)
        self._free = free
        self.__array_interface__ = self._bytes.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._bytes)
