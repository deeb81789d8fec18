"""Samples on a grid over a planar domain, and how many distinct affine maps they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.domain import Domain, Slice, as_domain
from geomrelu.errors import InputDimensionError, InputError
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
    points : (N, 2)
    values : (N, out)
    gradients : (N, out, 2)
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
    """Points of an n x n grid over the domain's bounding box that lie in the domain, (N, 2).

    Parameters
    ----------
    domain : Box, Polygon or Slice
        Two-dimensional; anything `geomrelu.domain.as_domain` takes.
    n : int
        Grid points along each axis, at least 2; the box's sides are included.
    corners : bool
        Append the domain's corners, in their order, as the last rows (also where the grid
        has them, so that they can be told from the grid by position).

    Examples
    --------
    >>> from geomrelu.domain import Box
    >>> grid_points(Box(0, 1), 2, corners=False).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> len(grid_points(Box(-1, 1), 101))
    10205
    """
    shape = _plane_domain(domain)
    count = _grid_size(n)
    x0, y0, x1, y1 = shape.bounds
    x, y = np.meshgrid(np.linspace(x0, x1, count), np.linspace(y0, y1, count))
    grid = np.column_stack([x.ravel(), y.ravel()])
    grid = grid[shape.contains(grid)]
    return np.concatenate([grid, shape.vertices]) if corners else grid


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
        Takes points of shape (N, 2), or on a slice (N, *input_shape).  Never changed.
    domain : Box, Polygon or Slice
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
        If the model or the domain is not two-dimensional.
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


def _plane_domain(domain: Any) -> Domain:
    shape = as_domain(domain)
    if shape.dimension != 2:
        raise InputDimensionError(f"domain: got dimension {shape.dimension}, expected 2; fix the other inputs first")
    return shape


def _grid_size(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise InputError(f"n: got {n!r}, expected a whole number of grid points along each axis, at least 2")
    if int(n) ** 2 > _MAX_SAMPLES:
        raise InputError(f"n: got {n}, that is {int(n) ** 2} samples; expected at most {_MAX_SAMPLES}; split it")
    return int(n)
