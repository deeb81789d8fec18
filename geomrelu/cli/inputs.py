"""Inputs of a model from files: the planes and segments that options name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from geomrelu.errors import DomainError, FileFormatError

if TYPE_CHECKING:
    from geomrelu.arrays import FloatArray
    from geomrelu.domain import Box, Polygon, Segment, Slice

__all__ = ["SliceOption", "read_point", "read_segment", "read_slice"]

SliceOption = Annotated[
    Path | None,
    typer.Option(
        "--slice",
        metavar="FILE",
        help="A plane through inputs of a model with more than two: .npz with the arrays a, b, c (three inputs) or "
        "origin, basis (an input, two directions), or .npy with three inputs. The domain is then in the "
        "plane's coordinates; for three inputs by default the box around them.",
    ),
]
_PLANE = "expected arrays a, b, c (three inputs) or origin, basis (an input and two directions), or a .npy of 3 inputs"
_POINT = "expected a .npy file of one input"
_LINE = "expected arrays a, b (the two inputs at the ends), or a .npy of 2 inputs"


def read_slice(path: Path, domain: Box | Polygon | None) -> Slice:
    """The plane that a file describes, with a domain in its coordinates.

    Raises
    ------
    FileFormatError
        If it cannot be read, or holds other arrays.
    DomainError
        If the arrays span no plane, or there is no domain.
    """
    from geomrelu.domain import Slice

    arrays = _arrays(path, ("a", "b", "c"), _PLANE)
    if {"a", "b", "c"} <= arrays.keys():
        plane = Slice.through(arrays["a"], arrays["b"], arrays["c"])
        return plane if domain is None else plane.with_domain(domain)
    if {"origin", "basis"} <= arrays.keys():
        if domain is None:
            raise DomainError(
                "--slice: an origin and a basis need a domain in the plane's coordinates; give --box, too, such as "
                "--box -1 1"
            )
        return Slice(arrays["origin"], arrays["basis"], domain)
    raise FileFormatError(f"{path}: got {', '.join(sorted(arrays)) or 'no arrays'}; {_PLANE}")


def read_segment(path: Path) -> Segment:
    """The segment that a file describes by its ends.

    Raises
    ------
    FileFormatError
        If it cannot be read, or holds other arrays.
    DomainError, ShapeError
        If the arrays are no ends of a segment.
    """
    from geomrelu.domain import Segment

    arrays = _arrays(path, ("a", "b"), _LINE)
    if not {"a", "b"} <= arrays.keys():
        raise FileFormatError(f"{path}: got {', '.join(sorted(arrays)) or 'no arrays'}; {_LINE}")
    return Segment(arrays["a"], arrays["b"])


def read_point(path: Path) -> FloatArray:
    """One input from a .npy file.

    Raises
    ------
    FileFormatError
        If it cannot be read, or holds something else.
    """
    arrays = _loaded(path, _POINT)
    if not isinstance(arrays, np.ndarray):
        raise FileFormatError(f"{path}: got arrays {', '.join(arrays.files) or 'none'}; {_POINT}")
    return arrays


def _arrays(path: Path, names: tuple[str, ...], expected: str) -> dict[str, Any]:
    """Arrays of an .npz file by name, or the rows of a .npy file by the given names."""
    found = _loaded(path, expected)
    if isinstance(found, np.ndarray):
        if found.ndim < 2 or len(found) != len(names):
            raise FileFormatError(f"{path}: got one array of shape {found.shape}; {expected}")
        return dict(zip(names, found, strict=True))
    with _readable(path, expected), found:
        return {name: found[name] for name in found.files}


def _loaded(path: Path, expected: str) -> Any:
    """What numpy finds in a file."""
    with _readable(path, expected):
        return np.load(path, allow_pickle=False)


@contextmanager
def _readable(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileFormatError(f"{path}: there is no such file; {expected}") from error
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}; {expected}") from error
    except Exception as error:  # numpy and zipfile raise all kinds of errors on damaged files.
        raise FileFormatError(f"{path} is not a readable .npz or .npy file ({error}); {expected}") from error
