"""Segments: the straight lines between pairs of inputs, of any dimension.

The point at t is x(t) = (1 - t) a + t b, in real arithmetic: the ends are exactly the inputs
that were given, and no difference of them is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, ReadOnly, float_array, frozen
from geomrelu.domain.shapes import domain_array
from geomrelu.errors import DomainError, InputError, ShapeError

__all__ = ["Segment", "Segments"]


class Segment(ReadOnly):
    """The straight line between two inputs: t in [0, 1] stands for (1 - t) a + t b, exactly.

    Parameters
    ----------
    a, b : array_like
        Two different inputs, in the model's own shape: (n,), or (1, 28, 28) for images.

    Raises
    ------
    DomainError
        If a = b, or numbers are not finite.
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> Segment([0.0, 1.0], [2.0, 1.0]).lift([0.0, 0.25])
    array([[0. , 1. ],
           [0.5, 1. ]])
    """

    a: FloatArray
    b: FloatArray

    def __init__(self, a: npt.ArrayLike, b: npt.ArrayLike) -> None:
        start, end = domain_array(a, "Segment a"), domain_array(b, "Segment b")
        if start.ndim == 0 or start.size == 0 or start.shape != end.shape:
            raise ShapeError(
                f"Segment: got inputs of shapes {start.shape} and {end.shape}; expected one shape, the model's input "
                "without the batch axis; for many segments at once see gr.Segments"
            )
        if np.array_equal(start, end):
            raise DomainError("Segment: both inputs are equal; expected two different ones")
        vars(self).update(a=frozen(start), b=frozen(end))

    @property
    def dimension(self) -> int:
        """Number of coordinates: 1."""
        return 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input of the model."""
        return self.a.shape

    @property
    def n_inputs(self) -> int:
        """Number of inputs of the model."""
        return self.a.size

    def lift(self, t: npt.ArrayLike) -> FloatArray:
        """Inputs at t (N,), (N, *input_shape) float64; rounded, but for those at 0 and 1."""
        at = float_array(t, "t")
        if at.ndim != 1:
            raise ShapeError(f"t: got shape {at.shape}, expected (N,), numbers from 0 to 1")
        weight = at.reshape(-1, *[1] * self.a.ndim)
        return np.asarray((1 - weight) * self.a + weight * self.b)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segment) and np.array_equal(self.a, other.a) and np.array_equal(self.b, other.b)

    def __hash__(self) -> int:
        return hash(("Segment", *self.a.ravel()[:8].tolist(), *self.b.ravel()[:8].tolist()))

    def __repr__(self) -> str:
        return f"Segment(between two inputs of shape {self.input_shape})"


class Segments(ReadOnly):
    """Many segments at once, which are partitioned together.

    Parameters
    ----------
    a, b : (S, *input_shape) array_like
        The inputs at t = 0 and at t = 1 of each segment.

    Raises
    ------
    DomainError
        If a segment has equal ends, or numbers are not finite.
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> s = Segments([[0.0, 1.0], [0.0, 2.0]], [[2.0, 1.0], [2.0, 1.0]])
    >>> len(s), s[1].b
    (2, array([2., 1.]))
    """

    a: FloatArray
    b: FloatArray

    def __init__(self, a: npt.ArrayLike, b: npt.ArrayLike) -> None:
        start, end = domain_array(a, "Segments a"), domain_array(b, "Segments b")
        if start.ndim < 2 or start.size == 0 or start.shape != end.shape:
            raise ShapeError(
                f"Segments: got inputs of shapes {start.shape} and {end.shape}; expected one shape (S, *input_shape), "
                "a segment a row"
            )
        equal = (start == end).reshape(len(start), -1).all(axis=1)
        if equal.any():
            raise DomainError(f"Segments: both inputs of segment {int(np.argmax(equal))} are equal; leave it out")
        vars(self).update(a=frozen(start), b=frozen(end))

    @property
    def dimension(self) -> int:
        """Number of coordinates: 1."""
        return 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input of the model."""
        return self.a.shape[1:]

    @property
    def n_inputs(self) -> int:
        """Number of inputs of the model."""
        return int(self.a[0].size)

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, index: Any) -> Segment:
        if not isinstance(index, int | np.integer) or isinstance(index, bool) or not 0 <= index < len(self):
            # IndexError ends iteration over a sequence; what is no number is the caller's error.
            if isinstance(index, int | np.integer) and not isinstance(index, bool):
                raise IndexError(f"segment {index} of {len(self)}")
            raise InputError(f"segments: got number {index!r}; expected a whole number from 0 to {len(self) - 1}")
        return Segment(self.a[index], self.b[index])

    def __iter__(self) -> Iterator[Segment]:
        return (self[k] for k in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segments) and np.array_equal(self.a, other.a) and np.array_equal(self.b, other.b)

    def __hash__(self) -> int:
        return hash(("Segments", *self.a.ravel()[:8].tolist(), *self.b.ravel()[:8].tolist()))

    def __repr__(self) -> str:
        return f"Segments({len(self)} between inputs of shape {self.input_shape})"
