"""Weight matrices: dense arrays, or sparse ones where a layer (a convolution) has few inputs per unit.

Both kinds hold exactly the numbers they were given.  ``h @ w.T``, ``w @ v`` and ``abs(w)`` mean
the same for both; what else differs between them is here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, frozen, real_array
from geomrelu.errors import ShapeError

__all__ = [
    "Matrix",
    "block_diagonal",
    "compact",
    "dense_rows",
    "entries",
    "exact_product",
    "exact_sum",
    "identity",
    "is_sparse",
    "parts",
    "real_matrix",
    "sparse_matrix",
    "stacked",
]

# A dense float64 array, or a scipy.sparse.csr_array of float64 with sorted indices and no duplicates.
Matrix: TypeAlias = Any
# Identity matrices from this size on are sparse.
_WIDE = 64
# Sparse matrices become dense ones from these shares of stored entries on, the first up to some size.
_FILLED, _CROWDED, _LARGE = 0.1, 0.4, 1 << 24
# Stands for the lowest bit of zero; twice it is still far from overflow.
_NO_BIT = 1 << 20
_SMALLEST_BIT = -1074
# Terms of a product that are looked at, in all and at a time.
_MAX_TERMS, _BLOCK_OF_TERMS = 1 << 26, 1 << 20


def is_sparse(matrix: Matrix) -> bool:
    """Whether a matrix is a sparse one.

    Examples
    --------
    >>> is_sparse(np.eye(2)), is_sparse(identity(1000))
    (False, True)
    """
    return not isinstance(matrix, np.ndarray) and hasattr(matrix, "tocsr")


def real_matrix(values: Any, what: str) -> Matrix:
    """`values`, an array or a scipy sparse array, as a read-only float64 `Matrix` of the same numbers.

    Raises
    ------
    WeightError
        If an entry is not a finite real number.
    ShapeError
        If a sparse array names an entry twice, whose sum may be rounded.
    """
    if not is_sparse(values):
        return frozen(real_array(values, what))
    from scipy.sparse import csr_array

    given = csr_array(values)
    if not given.has_canonical_format:
        before = given.nnz
        given = given.copy()
        given.sum_duplicates()
        if given.nnz < before:
            raise ShapeError(f"{what}: names an entry twice, and the sum may be rounded; expected each entry once")
    matrix = csr_array((real_array(given.data, what), given.indices, given.indptr), shape=given.shape)
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.setflags(write=False)
    return matrix


def entries(matrix: Matrix) -> FloatArray:
    """The stored entries, in a flat array; those left out are zero."""
    return np.asarray(matrix.data if is_sparse(matrix) else matrix.reshape(-1))


def parts(matrix: Matrix) -> list[npt.NDArray[Any]]:
    """The arrays that hold it, one if it is dense and three if it is sparse."""
    return [matrix.data, matrix.indices, matrix.indptr] if is_sparse(matrix) else [matrix]


def sparse_matrix(data: Any, indices: Any, indptr: Any, shape: Any) -> Matrix:
    """A sparse matrix from its `parts`; ValueError if they do not fit each other."""
    from scipy.sparse import csr_array

    n_rows, n_columns = (int(n) for n in shape)
    offsets, columns = np.asarray(indptr), np.asarray(indices)
    fits = (
        offsets.shape == (n_rows + 1,)
        and offsets[0] == 0
        and (np.diff(offsets) >= 0).all()
        and offsets[-1] == len(columns) == len(data)
        and (len(columns) == 0 or 0 <= columns.min() <= columns.max() < n_columns)
    )
    if not fits:
        raise ValueError("a sparse weight's arrays do not fit each other")
    return csr_array((data, columns, offsets), shape=(n_rows, n_columns))


def dense_rows(matrix: Matrix, rows: IntArray | slice) -> FloatArray:
    """Some rows, as a dense array (rows, inputs)."""
    chosen = matrix[rows]
    return np.asarray(chosen.toarray() if is_sparse(chosen) else chosen)


def identity(n: int) -> Matrix:
    """The n x n identity."""
    if n < _WIDE:
        return np.eye(n)
    from scipy.sparse import eye_array

    return eye_array(n, format="csr")


def stacked(above: Matrix, below: Matrix) -> Matrix:
    """Two matrices with as many columns, one above the other."""
    if not is_sparse(above) and not is_sparse(below):
        return np.concatenate([above, below])
    from scipy.sparse import csr_array, vstack

    return csr_array(vstack([csr_array(above), csr_array(below)]))


def block_diagonal(a: Matrix, b: Matrix) -> Matrix:
    """Two matrices side by side, each with inputs of its own."""
    if not is_sparse(a) and not is_sparse(b):
        result = np.zeros((a.shape[0] + b.shape[0], a.shape[1] + b.shape[1]))
        result[: a.shape[0], : a.shape[1]] = a
        result[a.shape[0] :, a.shape[1] :] = b
        return result
    from scipy.sparse import block_diag, csr_array

    return csr_array(block_diag([csr_array(a), csr_array(b)]))


def exact_product(a: Matrix, b: Matrix) -> Matrix | None:
    """The product a b if float64 certainly holds it exactly; None if it may be rounded, or takes long to tell.

    Where every term of an entry is a multiple of 2^k, and the terms' magnitudes sum to less than 2^(k + 53),
    no sum of them is ever rounded.
    """
    if not _certainly_exact(a, b):
        return None
    product = a @ b
    if is_sparse(product):
        product.sort_indices()
    return product


def exact_sum(matrix: Matrix, columns: IntArray, n_columns: int) -> Matrix | None:
    """The matrix with column j added to column ``columns[j]`` of `n_columns`; None if a sum may be rounded."""
    from scipy.sparse import csr_array

    n = len(columns)
    return exact_product(matrix, csr_array((np.ones(n), (np.arange(n), columns)), shape=(n, n_columns)))


def compact(matrix: Matrix) -> Matrix:
    """The matrix as a dense one if that is small or most entries are stored, else as a sparse one.

    A product with a sparse matrix takes some ten times as long an entry as one with a dense matrix.
    """
    n_entries = matrix.shape[0] * matrix.shape[1]
    share = len(entries(matrix)) / max(1, n_entries)
    dense = n_entries <= _WIDE * _WIDE or share > _CROWDED or (share > _FILLED and n_entries <= _LARGE)
    if not is_sparse(matrix):
        return matrix
    return matrix.toarray() if dense else matrix


def _certainly_exact(a: Matrix, b: Matrix) -> bool:
    """Whether no entry of the product is rounded, by the lowest bits that are set in its terms."""
    from scipy.sparse import csr_array

    left, right = csr_array(a), csr_array(b)
    low_left, low_right = _lowest_bits(left.data), _lowest_bits(right.data)
    lengths = np.diff(right.indptr)
    n_terms = np.concatenate([[0], np.cumsum(lengths[left.indices])])[left.indptr]
    if n_terms[-1] > _MAX_TERMS:
        return False
    row = 0
    # A few rows first: they tell of most weights that they do not compose.
    limit = 1 << 12
    while row < len(n_terms) - 1:
        stop = max(row + 1, int(np.searchsorted(n_terms, n_terms[row] + limit, side="right")) - 1)
        first, last = left.indptr[row], left.indptr[stop]
        count = lengths[left.indices[first:last]]
        ends = np.cumsum(count)
        entry = np.repeat(np.arange(first, last), count)
        other = np.repeat(right.indptr[left.indices[first:last]] - (ends - count), count) + np.arange(len(entry))
        place = np.repeat(np.repeat(np.arange(stop - row), np.diff(left.indptr[row : stop + 1])), count)
        place = place * right.shape[1] + right.indices[other]
        lowest = low_left[entry] + low_right[other]
        if not _sums_exact(place, np.abs(left.data[entry]), np.abs(right.data[other]), lowest):
            return False
        row, limit = stop, _BLOCK_OF_TERMS
    return True


def _sums_exact(place: IntArray, left: FloatArray, right: FloatArray, lowest: IntArray) -> bool:
    """Whether sums of the terms left x right, multiples of 2^lowest, over equal `place` are exact."""
    if not len(place):
        return True
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    with np.errstate(over="ignore"):
        size = np.add.reduceat((left * right)[order], starts)
    lowest = np.minimum.reduceat(lowest[order], starts)
    # The sum of magnitudes is itself rounded; a single term is not, if it is as small as this.
    room = np.where(np.diff(starts, append=len(place)) > 1, 1 - 1e-9, 1.0)
    fits = size < np.ldexp(room, np.minimum(lowest + 53, 1023))
    return bool((fits & (lowest >= _SMALLEST_BIT)).all())


def _lowest_bits(values: FloatArray) -> IntArray:
    """Exponent of the lowest bit set in each number; large for zeros."""
    fraction, exponent = np.frexp(values)
    whole = np.abs(np.ldexp(fraction, 53)).astype(np.int64)
    return np.where(whole == 0, _NO_BIT, exponent + np.frexp((whole & -whole).astype(float))[1] - 54)
