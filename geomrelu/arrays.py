"""Array types, casts at the public boundary and helpers for CSR (ragged) arrays.

A ragged list of rows is stored as ``offsets`` (rows + 1,) and ``values``: row i is
``values[offsets[i]:offsets[i + 1]]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from geomrelu.errors import InputError, ShapeError, WeightError

__all__ = [
    "BoolArray",
    "FloatArray",
    "IntArray",
    "ReadOnly",
    "WordArray",
    "checked_numbers",
    "detached",
    "float_array",
    "frozen",
    "inner",
    "lean",
    "njit",
    "real_array",
    "row_ids",
    "same_order",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
WordArray: TypeAlias = npt.NDArray[np.uint64]

_F = TypeVar("_F", bound=Callable[..., Any])
_A = TypeVar("_A", bound=npt.NDArray[Any])


def njit(function: _F) -> _F:
    """Compile a kernel that Python calls: cached on disk, releasing the GIL.

    No fast-math: the error bounds rest on IEEE 754 arithmetic.
    """
    return _kernel(function)


def lean(function: _F) -> _F:
    """As `njit`, for a kernel that allocates no array.

    It counts no references to its arguments: counting costs half the time of loops over many
    arrays, and half of their compilation.
    """
    return _kernel(function, _nrt=False, no_cfunc_wrapper=True)


def inner(function: _F) -> _F:
    """Compile a function that only lean kernels call, into its callers: no entry of its own."""
    import numba

    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True, "_nrt": False}
    return cast(_F, numba.njit(nogil=True, **options)(function))


def _kernel(function: _F, **options: Any) -> _F:
    # Here: whoever needs no compiled loop does not wait for numba.
    import numba

    compiled = numba.njit(cache=True, nogil=True, **options)(function)
    _watch_neighbours(compiled, Path(function.__code__.co_filename).parent)
    return cast(_F, compiled)


def _watch_neighbours(compiled: Any, folder: Path) -> None:
    """Let a cached kernel depend on all modules beside its own.

    numba's cache looks at the kernel's own file only, so it would keep a kernel whose inner
    functions, in another file, have changed.
    """
    cache_file: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(cache_file, "_source_stamp"):
        stats = [path.stat() for path in sorted(folder.glob("*.py"))]
        cache_file._source_stamp = (max(s.st_mtime for s in stats), sum(s.st_size for s in stats))


def real_array(values: Any, what: str, advice: str = "mend or retrain the model") -> FloatArray:
    """`values` as a C-contiguous float64 copy that holds exactly the same numbers.

    `what` names them in messages, `advice` says what to do where they are not finite.

    Raises
    ------
    WeightError
        If an entry is NaN, infinite, complex, not a number, or not representable.
    """
    given = _rectangular(values, what)
    if given.dtype.kind not in "fiub":
        raise WeightError(f"{what}: got dtype {given.dtype}, expected real numbers; convert it to float64 first")
    # An overflow (from longdouble, say) shows as a changed value below, not as a warning.
    with np.errstate(over="ignore"):
        result = np.array(given, dtype=np.float64, order="C")
    if not np.isfinite(result).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        entry = f"entry {where} is" if where else "got"
        raise WeightError(f"{what}: {entry} {result[where]}; expected finite numbers only, so {advice}")
    if given.dtype != np.float64 and not np.array_equal(result.astype(given.dtype), given):
        raise WeightError(f"{what}: dtype {given.dtype} holds values that float64 cannot; round them first")
    return result


def float_array(values: Any, what: str) -> FloatArray:
    """`values` as float64, in which NaN and infinities may stand (points, colours).

    Raises
    ------
    InputError
        If they are not real numbers, or the rows are of unequal length (`ShapeError`).
    """
    given = _rectangular(values, what)
    if given.dtype.kind not in "fiub":
        raise InputError(f"{what}: got dtype {given.dtype}, expected real numbers; convert them to float64 first")
    return given.astype(np.float64, copy=False)


def _rectangular(values: Any, what: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(detached(values))
    except ValueError as error:
        raise ShapeError(f"{what}: rows of unequal length; expected a rectangular array of numbers") from error


def detached(values: Any) -> Any:
    """`values` with torch tensors in it, on any device and with gradients or not, as numpy arrays."""
    if isinstance(values, list | tuple):
        # Rows are only copied where there is a tensor to be replaced.
        rows = [detached(row) for row in values]
        return rows if any(row is not own for row, own in zip(rows, values, strict=True)) else values
    if not (hasattr(values, "detach") and hasattr(values, "is_floating_point")):
        return values
    tensor = values.detach().cpu()
    # numpy has no bfloat16; float64 holds its values exactly.
    return (tensor.double() if tensor.is_floating_point() and tensor.dtype.itemsize < 4 else tensor).numpy()


def checked_numbers(ids: Any, n: int, what: str) -> IntArray:
    """`ids` as numbers of things from 0 to n - 1, (k,) int64.

    Raises
    ------
    InputError
        If they are not a list of such numbers.
    """
    given = _rectangular(ids, what)
    if given.ndim == 1 and given.size == 0:
        return np.zeros(0, dtype=np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= n:
        got = f"{given.tolist()!r}"
        raise InputError(
            f"{what}: got numbers {got if len(got) < 60 else got[:60] + '...'}; expected a list of whole numbers "
            f"from 0 to {n - 1}"
        )
    return given.astype(np.int64)


class ReadOnly:
    """Base of objects whose attributes are set once; their arrays stay read-only in pickles and copies."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is read-only; make a new {type(self).__name__} instead")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
        vars(self).update(state)


def frozen(array: _A) -> _A:
    """`array`, C-contiguous and marked read-only."""
    result = np.ascontiguousarray(array)
    result.setflags(write=False)
    return cast(_A, result)


def row_ids(offsets: IntArray) -> IntArray:
    """Row number of every value of a CSR array, shape ``(offsets[-1],)``."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))


def same_order(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether arrays of the two shapes hold as many entries, in the same flat order beyond doubt.

    So they do if one of them is flat, or if they differ in axes of length 1 only.

    Examples
    --------
    >>> same_order((784,), (28, 28)), same_order((1, 28, 28), (28, 28)), same_order((3, 32, 32), (32, 32, 3))
    (True, True, False)
    """
    if len(a) == 1 or len(b) == 1:
        return math.prod(a) == math.prod(b)
    return [n for n in a if n != 1] == [n for n in b if n != 1]
