"""Slices: planes through a space of many inputs.

A slice maps a point u of a plane domain to the input x = origin + u_0 basis_0 + u_1 basis_1.  Its
numbers are float64, and taken at their word: what is partitioned is the network behind this one
affine step, in real arithmetic, so nothing is multiplied out or rounded.  Rounding enters only
where a slice is made of other numbers, and `Slice.through` says how much.

`Slice.through(a, b, c)` takes the orthonormal frame of the plane through three inputs: with
p = b - a, q = c - a, in exact integers,

    e_0 = p / |p|,    e_1 = r / |r|,  r = (p.p) q - (p.q) p,  |r|^2 = (p.p) D,  D = (p.p)(q.q) - (p.q)^2,

each entry rounded once.  The inputs are on one line where the Gram determinant D is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, ReadOnly, float_array, frozen
from geomrelu.domain.shapes import Box, Polygon, domain_array
from geomrelu.errors import DomainError, InputDimensionError, InputError, ShapeError
from geomrelu.network import Layer, Network

__all__ = ["Slice"]


class Slice(ReadOnly):
    """A plane domain embedded in a network's input space: u -> origin + u_0 basis_0 + u_1 basis_1.

    Partitions, samples and figures of a slice are in the coordinates u of its plane domain; `lift`
    gives the inputs that they stand for.  ``partition(model, slice).network`` is the network of two
    inputs behind the embedding, ``.input_maps()`` are its maps in the model's input space.

    Parameters
    ----------
    origin : array_like
        An input, in the model's own shape: (n,), or (1, 28, 28) for images.
    basis : (2, *input_shape) array_like
        Two directions, in the shape of `origin`.
    domain : Box or Polygon
        In the plane's coordinates; what `Polygon` takes will do.
    marks : (k, 2) array_like, optional
        Places to be shown on figures, such as those of known inputs.
    labels : sequence of str, optional
        Names of the marks.
    axis_labels : pair of str
        Names of the two coordinates.

    Raises
    ------
    DomainError
        If numbers are not finite, the directions are parallel, or the domain cannot be used.
    ShapeError
        If shapes do not fit each other.

    Examples
    --------
    >>> s = Slice([0.0, 0.0, 5.0], [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], Box(-1, 1))
    >>> s.lift([[1.0, 0.5]])
    array([[1. , 0.5, 5.5]])
    >>> s.coordinates([[1.0, 0.5, 5.5]])
    array([[1. , 0.5]])
    """

    origin: FloatArray
    basis: FloatArray
    domain: Box | Polygon
    marks: FloatArray
    labels: tuple[str, ...]
    axis_labels: tuple[str, str]

    def __init__(
        self,
        origin: npt.ArrayLike,
        basis: npt.ArrayLike,
        domain: Any,
        *,
        marks: npt.ArrayLike | None = None,
        labels: Sequence[str] | None = None,
        axis_labels: tuple[str, str] = ("$u_0$", "$u_1$"),
    ) -> None:
        start, directions = domain_array(origin, "Slice origin"), domain_array(basis, "Slice basis")
        if start.ndim == 0 or start.size < 2 or directions.shape != (2, *start.shape):
            raise ShapeError(
                f"Slice: got an origin of shape {start.shape} and a basis of shape {directions.shape}; expected an "
                "input of the model, and two directions in the same shape stacked along a new first axis"
            )
        p, q = _integers(directions.reshape(2, -1))[0]
        if _gram(p, q)[3] == 0:
            raise DomainError("Slice: the two directions of the basis are parallel, or one is zero; expected a plane")
        shape = _plane(domain)
        places = domain_array(np.zeros((0, 2)) if marks is None else marks, "Slice marks")
        if places.ndim != 2 or places.shape[1] != 2:
            raise ShapeError(f"Slice: got marks of shape {places.shape}; expected (k, 2), in the plane's coordinates")
        names = ("",) * len(places) if labels is None else tuple(str(name) for name in labels)
        if len(names) != len(places):
            raise ShapeError(f"Slice: got {len(names)} labels for {len(places)} marks; expected as many")
        vars(self).update(
            origin=frozen(start),
            basis=frozen(directions),
            domain=shape,
            marks=frozen(places),
            labels=names,
            axis_labels=(str(axis_labels[0]), str(axis_labels[1])),
        )

    @classmethod
    def through(
        cls,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        c: npt.ArrayLike,
        *,
        margin: float = 0.25,
        labels: Sequence[str] = ("a", "b", "c"),
    ) -> Slice:
        """The plane through three inputs, in an orthonormal frame: lengths and angles are those of the input space.

        a is at (0, 0), b on the positive first axis, and c above it.  The places are ``marks``;
        figures show them under their labels.  The lift of a's place is a; those of the other two
        are b and c to within 2^-51 times their distance from a, and the rounding of `lift`,
        in each entry: the frame is computed in integers and rounded once.

        Parameters
        ----------
        a, b, c : array_like
            Inputs in the model's own shape, not on one line.
        margin : float
            The domain is the box around the three places, enlarged on each side by this share of its
            longer side.  For another one see `with_domain`.
        labels : sequence of 3 str
            Names of a, b and c.

        Raises
        ------
        DomainError
            If the inputs lie on one line, decided exactly, or are not finite.

        Examples
        --------
        >>> s = Slice.through([0, 0, 1], [3, 0, 1], [3, 4, 1], margin=0)
        >>> s.marks.tolist(), s.domain
        ([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], Box([0.0, 0.0], [3.0, 4.0]))
        """
        inputs = [domain_array(x, f"Slice.through: input {name}") for name, x in zip("abc", (a, b, c), strict=True)]
        if len({x.shape for x in inputs}) > 1 or inputs[0].ndim == 0:
            raise ShapeError(
                f"Slice.through: got inputs of shapes {', '.join(str(x.shape) for x in inputs)}; expected one shape, "
                "the model's input without the batch axis"
            )
        share = float_array(margin, "Slice.through: margin")
        if share.ndim or not 0 <= share < np.inf:
            raise InputError(f"Slice.through: got margin={margin!r}; expected a finite number of at least 0")
        basis, places = _frame(np.stack([x.ravel() for x in inputs]))
        low, high = places.min(axis=0), places.max(axis=0)
        extra = share * (high - low).max()
        return cls(
            inputs[0], basis.reshape(2, *inputs[0].shape), Box(low - extra, high + extra), marks=places, labels=labels
        )

    @classmethod
    def axes(cls, i: Any, j: Any, *, at: npt.ArrayLike, domain: Any) -> Slice:
        """The plane in which inputs i and j vary and all others stay as they are at an input.

        The coordinates are the values of the two inputs, with no rounding at all.

        Parameters
        ----------
        i, j : int, or tuple of int
            Which inputs: numbers in the flat order, or an index into the model's input shape.
        at : array_like
            An input in the model's own shape; its entries i and j do not matter.
        domain : Box or Polygon
            Values of the inputs i and j.

        Examples
        --------
        >>> Slice.axes(0, 2, at=[9.0, 5.0, 9.0], domain=Box(0, 1)).lift([[0.25, 0.75]])
        array([[0.25, 5.  , 0.75]])
        """
        origin = domain_array(at, "Slice.axes: at")
        if origin.ndim == 0 or origin.size < 2:
            raise ShapeError(f"Slice.axes: got at of shape {origin.shape}; expected an input of the model")
        first, second = (_flat_index(k, origin.shape) for k in (i, j))
        if first == second:
            raise DomainError(f"Slice.axes: got input {i} twice; expected two different inputs")
        basis = np.zeros((2, origin.size))
        basis[[0, 1], [first, second]] = 1.0
        origin.ravel()[[first, second]] = 0.0
        return cls(
            origin, basis.reshape(2, *origin.shape), domain, axis_labels=(f"input {i}", f"input {j}")
        )  # fmt: skip

    def with_domain(self, domain: Any) -> Slice:
        """The same plane and marks with another domain."""
        return Slice(
            self.origin, self.basis, domain, marks=self.marks, labels=self.labels, axis_labels=self.axis_labels
        )

    # ------------------------------------------------------------------ the plane domain

    @property
    def dimension(self) -> int:
        """Number of coordinates in the plane: 2."""
        return 2

    @property
    def vertices(self) -> FloatArray:
        """Corners of the plane domain, counter-clockwise, (N, 2)."""
        return self.domain.vertices

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(xmin, ymin, xmax, ymax) of the plane domain."""
        return self.domain.bounds

    @property
    def area(self) -> float:
        """Area of the plane domain, in its coordinates."""
        return self.domain.area

    def contains(self, points: npt.ArrayLike) -> BoolArray:
        """Whether each point (N, 2) of the plane lies in the domain, its border included; exact."""
        return self.domain.contains(points)

    # ------------------------------------------------------------------ the input space

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input of the model."""
        return self.origin.shape

    @property
    def n_inputs(self) -> int:
        """Number of inputs of the model."""
        return self.origin.size

    def lift(self, points: npt.ArrayLike) -> FloatArray:
        """Inputs that points (N, 2) of the plane stand for, (N, *input_shape) float64; rounded."""
        u = float_array(points, "points")
        if u.ndim != 2 or u.shape[1] != 2:
            raise ShapeError(f"points: got shape {u.shape}, expected (N, 2); a single point is written [[u, v]]")
        flat = u @ self.basis.reshape(2, -1) + self.origin.ravel()
        return flat.reshape(len(u), *self.input_shape)

    def coordinates(self, inputs: npt.ArrayLike) -> FloatArray:
        """Points of the plane that are nearest to inputs (N, *input_shape), (N, 2) float64; rounded.

        Of inputs on the plane their own coordinates; others are projected onto it, orthogonally.
        """
        x = float_array(inputs, "inputs")
        if x.shape[1:] != self.input_shape or x.ndim == 0:
            raise ShapeError(f"inputs: got shape {x.shape}; expected (N, {', '.join(map(str, self.input_shape))})")
        basis = self.basis.reshape(2, -1)
        # Over the largest entry of each direction, so that squares neither over- nor underflow.
        size = np.abs(basis).max(axis=1)
        offset = x.reshape(len(x), -1) - self.origin.ravel()
        return np.asarray(np.linalg.lstsq((basis / size[:, None]).T, offset.T, rcond=None)[0].T / size)

    def embed(self, network: Network) -> Network:
        """The network of two inputs behind the embedding: one more affine step, exact.

        Raises
        ------
        InputDimensionError
            If the network has another number of inputs.
        """
        if network.n_inputs != self.n_inputs:
            raise InputDimensionError(
                f"slice: its points are inputs of shape {self.input_shape}, that is {self.n_inputs} numbers, and the "
                f"network takes {network.n_inputs}; expected as many"
            )
        step = Layer(self.basis.reshape(2, -1).T, self.origin.ravel(), 0)
        return Network.from_layers([step, *network.layers])

    def without(self, embedded: Network) -> Network:
        """The network of which `embed` made this one."""
        return Network.from_layers(embedded.layers[1:])

    # ------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Slice)
            and np.array_equal(self.origin, other.origin)
            and np.array_equal(self.basis, other.basis)
            and self.domain == other.domain
            and np.array_equal(self.marks, other.marks)
            and (self.labels, self.axis_labels) == (other.labels, other.axis_labels)
        )

    def __hash__(self) -> int:
        return hash(("Slice", self.domain, *self.origin.ravel()[:8].tolist(), *self.basis.ravel()[:8].tolist()))

    def __repr__(self) -> str:
        return f"Slice({self.domain!r} in the inputs of shape {self.input_shape})"


def _plane(domain: Any) -> Box | Polygon:
    if isinstance(domain, Slice):
        raise DomainError("Slice: got a Slice as domain; expected a box or polygon in the slice's own coordinates")
    if domain is None:
        raise DomainError("Slice: got None as domain; expected one in the slice's coordinates, such as gr.Box(-1, 1)")
    if isinstance(domain, Box) and domain.dimension != 2:
        raise DomainError(f"Slice: got a box of dimension {domain.dimension} as domain; expected 2")
    return domain if isinstance(domain, Box | Polygon) else Polygon(domain)


def _flat_index(index: Any, shape: tuple[int, ...]) -> int:
    """Number in the flat order of an entry that is named by its number or by a tuple."""
    own = tuple(index) if isinstance(index, tuple | list) else (index,)
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in own)
    sizes = shape if isinstance(index, tuple | list) else (int(np.prod(shape)),)
    if not whole or len(own) != len(sizes) or not all(0 <= k < n for k, n in zip(own, sizes, strict=True)):
        last = int(np.prod(shape)) - 1
        raise DomainError(
            f"Slice.axes: got input {index!r}; expected a number from 0 to {last}, or an index into the shape {shape}"
        )
    return int(np.ravel_multi_index(own, sizes))


# ---------------------------------------------------------------------- the frame, in integers


def _integers(rows: FloatArray) -> tuple[list[list[int]], int]:
    """Rows of floats times a power of two that makes them integers, and its exponent."""
    ratios = [[v.as_integer_ratio() for v in row] for row in rows.tolist()]
    exponent = max(d for row in ratios for _, d in row).bit_length() - 1
    return [[n << (exponent - d.bit_length() + 1) for n, d in row] for row in ratios], exponent


def _gram(p: list[int], q: list[int]) -> tuple[int, int, int, int]:
    """p.p, p.q, q.q and the Gram determinant, 0 where the vectors are parallel."""
    pp, qq = sum(v * v for v in p), sum(v * v for v in q)
    pq = sum(v * w for v, w in zip(p, q, strict=True))
    return pp, pq, qq, pp * qq - pq * pq


def _root(n: int) -> tuple[int, int]:
    """An integer square root of n times 4^k, of 70 bits or more, and k."""
    k = max(0, 70 - n.bit_length() // 2)
    return isqrt(n << 2 * k), k


def _frame(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Orthonormal directions (2, n) of the plane through three inputs (3, n), and their places in it (3, 2)."""
    (a, b, c), exponent = _integers(inputs)
    p = [y - x for x, y in zip(a, b, strict=True)]
    q = [y - x for x, y in zip(a, c, strict=True)]
    pp, pq, _, gram = _gram(p, q)
    if gram == 0:
        raise DomainError(
            "Slice.through: the three inputs lie on one line, or two of them are equal; expected three that span a "
            "plane (for the line between two inputs see gr.Segment)"
        )
    r = [pp * v - pq * w for v, w in zip(q, p, strict=True)]
    (length, k), (height, m) = _root(pp), _root(pp * gram)
    # Division of integers rounds correctly, whatever their size.
    basis = [[(v << k) / length for v in p], [(v << m) / height for v in r]]
    unit = 1 << exponent
    try:
        base = float(Fraction(length, unit << k))
        along = float(Fraction(pq << k, length * unit))
        above = float(Fraction(height, (pp * unit) << m))
    except OverflowError as error:
        raise DomainError("Slice.through: the inputs are farther apart than float64 holds; scale them down") from error
    return np.array(basis), np.array([[0.0, 0.0], [base, 0.0], [along, above]])
