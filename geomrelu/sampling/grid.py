"""Samples on a grid over a domain, and how many distinct affine maps they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.domain import Box, Domain, Polytope, Slice, as_domain
from geomrelu.errors import InputError
from geomrelu.sampling.autograd import sample_maps
from geomrelu.sampling.distinct import checked_tolerance, distinct_maps

if TYPE_CHECKING:
    import torch

__all__ = ["Samples", "grid_points", "sample"]

_MAX_SAMPLES = 10**8


@dataclass(frozen=True, eq=False)
class Samples:
    """A model's affine maps at sample points; all arrays float64 (labels int64), read-only.

    Attributes
    ----------
    points : (N, d)
    values : (N, out)
    gradients : (N, out, d)
    intercepts : (N, out)
    labels : (N,)
        Which distinct map each sample shows, 0 .. n_maps - 1 in order of appearance.
    representatives : (n_maps,)
        First sample of each distinct map.
    tol : float
        Tolerance within which maps count as equal; see `distinct_maps`.
    """

    points: FloatArray
    values: FloatArray = field(repr=False)
    gradients: FloatArray = field(repr=False)
    intercepts: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    representatives: IntArray = field(repr=False)
    tol: float

    @property
    def n_maps(self) -> int:
        """Number of distinct affine maps among the samples, within `tol`."""
        return len(self.representatives)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Samples({len(self)} points, {self.n_maps} distinct maps within {self.tol:g})"


def grid_points(domain: Any, n: int, corners: bool = True) -> FloatArray:
    """Points of a grid over the domain's bounding box, n along each axis, that lie in the domain, (N, d).

    Parameters
    ----------
    domain : Box, Polygon, Polytope or Slice
        Anything `geomrelu.domain.as_domain` takes, or a polytope.
    n : int
        Grid points along each axis, at least 2; the box's sides are included.
    corners : bool
        Append the domain's corners, in their order, as the last rows (also where the grid
        has them, so that they can be told from the grid by position); of polytopes none are known.

    Examples
    --------
    >>> from geomrelu.domain import Box
    >>> grid_points(Box(0, 1), 2, corners=False).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> len(grid_points(Box(-1, 1), 101)), len(grid_points(Box([-1] * 3, [1] * 3), 11))
    (10205, 1339)
    """
    shape = domain if isinstance(domain, Polytope) else as_domain(domain)
    count = _grid_size(n, shape.dimension)
    if isinstance(shape, Polytope) or shape.dimension != 2:
        assert isinstance(shape, Polytope | Box)
        low, high = shape.low, shape.high
    else:
        x0, y0, x1, y1 = shape.bounds
        low, high = np.array([x0, y0]), np.array([x1, y1])
    axes = [np.linspace(a, b, count) for a, b in zip(low, high, strict=True)]
    # The first coordinate runs fastest.
    grid = np.stack([axis.ravel(order="F") for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    grid = grid[shape.contains(grid)]
    return np.concatenate([grid, _corners(shape)]) if corners else grid


def _corners(shape: Domain | Polytope) -> FloatArray:
    if isinstance(shape, Polytope):
        return np.empty((0, shape.dimension))
    if shape.dimension == 2:
        return shape.vertices
    assert isinstance(shape, Box)
    upper = (np.arange(1 << shape.dimension)[:, None] >> np.arange(shape.dimension)) & 1
    return np.where(upper == 1, shape.high, shape.low)


def sample(
    model: Any,
    domain: Any,
    n: int = 101,
    device: str | torch.device | None = None,
    corners: bool = True,
    tol: float = 1e-3,
    chunk: int | None = None,
) -> Samples:
    """Sample a model's affine maps on a grid over a 2-D domain, by autograd.

    Not exact: regions that no grid point hits are missed, and `n_maps` depends on `tol`.
    The exact counts are those of `geomrelu.partition`.

    Parameters
    ----------
    model : torch.nn.Module, Network or scikit-learn MLP
        Takes points of shape (N, d), or on a slice (N, *input_shape).  Never changed.
    domain : Box, Polygon, Polytope or Slice
    n, corners
        The sample points; see `grid_points`.
    device : str or torch.device, optional
        Where to compute; by default where the model's parameters are.
    tol : float
        Two maps are the same if no entry differs by more; see `distinct_maps`.
    chunk : int, optional
        Points per batch.

    Raises
    ------
    InputDimensionError
        If the model takes another number of inputs than the domain has dimensions.
    NotPiecewiseLinearError
        If a layer of a module is not piecewise linear; named with its path.
    WeightError
        If a weight is NaN or infinite.
    InputError
        If n, tol, device or chunk cannot be used.

    Examples
    --------
    >>> import geomrelu.network, geomrelu.domain
    >>> f = geomrelu.network.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
    >>> s = sample(f, geomrelu.domain.Box(-1, 1))
    >>> s.n_maps
    3
    >>> s.gradients[s.representatives, 0].tolist(), s.intercepts[s.representatives, 0].tolist()
    ([[0.0, 0.0], [2.0, 2.0], [-2.0, -2.0]], [-1.0, 1.0, 1.0])
    """
    tolerance = checked_tolerance(tol)
    points = grid_points(domain, n, corners)
    plane = domain if isinstance(domain, Slice) else None
    maps = sample_maps(model, points, device=device, chunk=chunk, plane=plane)
    distinct = distinct_maps(maps.rows, tolerance)
    return Samples(
        points=frozen(points),
        values=frozen(maps.values),
        gradients=frozen(maps.gradients),
        intercepts=frozen(maps.intercepts),
        labels=frozen(distinct.labels),
        representatives=frozen(distinct.representatives),
        tol=tolerance,
    )


def _grid_size(n: Any, dimension: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise InputError(f"n: got {n!r}, expected a whole number of grid points along each axis, at least 2")
    samples = int(n) ** dimension
    if samples > _MAX_SAMPLES:
        most = max(2, int(_MAX_SAMPLES ** (1 / dimension)))
        raise InputError(
            f"n: got {n}, that is {samples} samples; expected at most {_MAX_SAMPLES}: take n up to {most}, or split "
            "the domain"
        )
    return int(n)
