"""Bits of words, one instruction each: how they run interpreted, and their machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba.extending
import numba.np.arrayobj
import numpy as np
from llvmlite import ir
from numba import types

from geomrelu.arrays import FloatArray

__all__ = ["ONE", "ZERO", "eight_above", "eight_below", "lowest_bit", "popcount"]

ONE = np.uint64(1)
ZERO = np.uint64(0)
# Untyped parts of numba.
_arrayobj: Any = numba.np.arrayobj
_extending: Any = numba.extending


def popcount(word: np.uint64) -> int:
    """Number of set bits; one instruction where compiled."""
    return int(word).bit_count()


def lowest_bit(word: np.uint64) -> int:
    """Index of the lowest set bit of a word that is not zero; one instruction where compiled."""
    return (int(word) & -int(word)).bit_length() - 1


def eight_above(row: FloatArray, start: int, limit: float) -> np.uint64:
    """Bit k tells whether ``row[start + k] > limit``, k < 8; a few instructions where compiled."""
    return np.uint64(np.packbits(row[start : start + 8] > limit, bitorder="little")[0])


def eight_below(row: FloatArray, start: int, limit: float) -> np.uint64:
    """Bit k tells whether ``row[start + k] < limit``, k < 8."""
    return np.uint64(np.packbits(row[start : start + 8] < limit, bitorder="little")[0])


def _lower_eight(comparison: str) -> Callable[..., Any]:
    """Compiles eight comparisons to one of vectors, whose bits are the result's."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _arrayobj.make_array(signature.args[0])(context, builder, args[0]).data
        vector = ir.VectorType(ir.DoubleType(), 8)
        place = builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())
        limits = ir.Constant(vector, ir.Undefined)
        for k in range(8):
            limits = builder.insert_element(limits, args[2], ir.Constant(ir.IntType(32), k))
        flags = builder.fcmp_ordered(comparison, builder.load(place, align=8), limits)
        return builder.zext(builder.bitcast(flags, ir.IntType(8)), ir.IntType(64))

    return lower


def _compile_as(function: Callable[..., Any], typer: Any, arguments: tuple[Any, ...], lower: Any) -> None:
    """Tell numba the machine code of a function that runs interpreted as it stands."""
    _extending.lower_builtin(function, *arguments)(lower)
    _extending.type_callable(function)(lambda context: typer)


def _lower_popcount(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.ctpop(args[0])


def _lower_lowest_bit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))


_compile_as(popcount, lambda word: types.int64, (types.uint64,), _lower_popcount)
_compile_as(lowest_bit, lambda word: types.int64, (types.uint64,), _lower_lowest_bit)
_ROW_START_LIMIT = (types.Array, types.int64, types.float64)
_compile_as(eight_above, lambda row, start, limit: types.uint64, _ROW_START_LIMIT, _lower_eight(">"))
_compile_as(eight_below, lambda row, start, limit: types.uint64, _ROW_START_LIMIT, _lower_eight("<"))
