"""Exceptions: every error a user can cause is one of these.

Each message says what was got, what is expected and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "DomainError",
    "FileFormatError",
    "GeomReluError",
    "InputDimensionError",
    "InputError",
    "InvariantError",
    "MissingDependencyError",
    "NotPiecewiseLinearError",
    "OutputPathError",
    "RangeError",
    "ShapeError",
    "TooLargeError",
    "TrainingError",
    "UnsupportedLayerError",
    "WeightError",
]


class GeomReluError(Exception):
    """Base of all exceptions raised by geomrelu."""


class InputError(GeomReluError, ValueError):
    """An argument cannot be used; the base of the more specific input errors."""


class WeightError(InputError):
    """A weight or bias is NaN, infinite or not a real number."""


class ShapeError(InputError):
    """Array shapes do not fit each other."""


class InputDimensionError(InputError):
    """The network's number of inputs does not fit the domain or the engine."""


class NotPiecewiseLinearError(InputError):
    """A layer computes something that is not piecewise linear (sigmoid, GELU, ...)."""


class UnsupportedLayerError(InputError):
    """A layer or model that this version cannot read."""


class DomainError(InputError):
    """The domain is empty, degenerate, unbounded or not convex."""


class TooLargeError(InputError):
    """A partition has too many regions for the memory there is, or ids for the integers that hold them."""


class FileFormatError(InputError):
    """A file is not what it claims to be, or is damaged."""


class OutputPathError(GeomReluError, OSError):
    """A result cannot be written to the path that was given."""


class MissingDependencyError(GeomReluError, ImportError):
    """An optional package is needed for this feature and not installed."""


class InvariantError(GeomReluError):
    """A partition breaks an invariant: which one, where, what was got and expected.

    Raised by `PlanarComplex.check`.  A freshly built partition never raises it; a
    damaged or edited one does.

    Attributes
    ----------
    invariant : str
        Short name of the invariant, e.g. ``"euler"``.
    where : str
        The element at fault, e.g. ``"face 17"``.
    """

    def __init__(self, invariant: str, where: str, got: object, expected: object) -> None:
        super().__init__(f"invariant {invariant!r} broken at {where}: got {got}, expected {expected}")
        self.invariant = invariant
        self.where = where


class RangeError(GeomReluError, OverflowError):
    """An exact value (an area, an entry of an affine map) is too large for float64.

    The partition itself is right; only this number of it has no float64.
    """


class TrainingError(GeomReluError):
    """Training did not reach the requested accuracy within the allowed attempts."""
