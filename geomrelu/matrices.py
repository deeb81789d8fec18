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
    "dense_rows",
    "entries",
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
