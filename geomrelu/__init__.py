"""The exact geometry of ReLU networks: linear regions, their polygons, patterns and affine maps.

>>> import geomrelu as gr
>>> f = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
>>> p = gr.partition(f, gr.Box(-1, 1))
>>> p.n_regions
3
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu._version import __version__
from geomrelu.arrays import detached

# At once, though light: imported later, the package of that name would hide the function.
from geomrelu.crosscheck import crosscheck, refinement
from geomrelu.domain import Box, Polygon, Polytope, Segment, Segments, Slice, as_domain
from geomrelu.errors import GeomReluError
from geomrelu.network import Layer, Network, joint_network
from geomrelu.partitioning import aggregate, checked_run, count_regions, is_polyhedral, partition
from geomrelu.patterns import Patterns
from geomrelu.tracking import DEFAULT_DEFINITIONS, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt
    import torch

    from geomrelu.analysis.comparison import Comparison
    from geomrelu.arrays import FloatArray
    from geomrelu.exploration.result import Exploration
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex
    from geomrelu.sampling import Samples
    from geomrelu.tracking import Track

__all__ = [
    "Box",
    "GeomReluError",
    "Layer",
    "Network",
    "Patterns",
    "Polygon",
    "Polytope",
    "Segment",
    "Segments",
    "Slice",
    "Tracker",
    "__version__",
    "aggregate",
    "compare",
    "count_regions",
    "crosscheck",
    "explore",
    "integrated_gradients",
    "joint",
    "load",
    "partition",
    "refinement",
    "sample",
    "track",
]


def explore(
    model: Any,
    x0: npt.ArrayLike,
    *,
    max_regions: int = 1000,
    max_radius: float | None = None,
    norm: float | str = 2,
    domain: Box | Polytope | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Exploration:
    """The activation regions around a point, in order of distance: for inputs of many dimensions.

    Regions are entered through the facets of those met before, nearest first, until there are `max_regions` of them
    or all within `max_radius` have been met.  Facets are found by small least-distance problems or linear programs
    in floating point; each decision is then proven by a rigorous bound or in integers.

    Parameters
    ----------
    model : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        As in `partition`, of any number of inputs; max pooling is not supported.
    x0 : array_like
        One input, of the model's shape or flat.
    max_regions : int
        Stop before there would be more.
    max_radius : float, optional
        Stop at this distance from x0.
    norm : 1, 2 or "inf"
        In which distances are measured.
    domain : Box or Polytope, optional
        Stay inside: regions, facets and the boundary are those of the domain, and so are their distances.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.

    Returns
    -------
    Exploration
        ``patterns`` and ``distances`` of the regions, ``facet_regions`` and ``facet_neuron`` between them;
        ``border``, the nearest border of x0's region, and ``boundary``, the nearest decision boundary (where two
        outputs tie for the largest, or one output is zero), with distance, bound on its error, and point;
        ``radius``, within which nothing is missing;
        ``facets()`` and ``chebyshev()`` of x0's region.  An interrupt (Ctrl-C) returns what was found; ``report``
        tells.

    Raises
    ------
    InputError
        Of a kind that names what is wrong.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]])  # relu(x) - relu(y)
    >>> found = explore(f, [3.0, 1.0], max_radius=2.0)
    >>> found.n_regions, found.distances.round(9).tolist(), found.report["stopped"]
    (2, [0.0, 1.0], 'max_radius')
    >>> found.border.neuron, found.border.point.tolist(), round(found.boundary.distance**2, 9)
    (1, [3.0, 0.0], 2.0)
    """
    from geomrelu.exploration.build import build_exploration
    from geomrelu.importers import as_network

    _, progress = checked_run("explore", None, progress)
    shape = np.shape(detached(x0))
    network = as_network(model, None if isinstance(model, Network) else shape or None)
    return build_exploration(
        network, x0, max_regions=max_regions, max_radius=max_radius, norm=norm, domain=domain, progress=progress
    )


def integrated_gradients(
    model: Any, x: npt.ArrayLike, baseline: npt.ArrayLike = 0.0, output: int | npt.ArrayLike | None = None
) -> FloatArray:
    """Attributions of a model's outputs to its inputs, with the integral over the path computed exactly.

    The gradient is constant on each piece of the segment from baseline to input, so the integral is a
    finite sum over the exact partition: the limit of the rule that libraries sample.  The
    attributions of an output add up to its difference between input and baseline, but for
    rounding of float64 (completeness).

    Parameters
    ----------
    model
        As in `partition`, of any number of inputs.
    x : (N, *input_shape) array_like
        Inputs; a single one is written ``x[None]``.
    baseline : array_like
        A number, one input (*input_shape), or one for each x.
    output : int or (N,) array_like of int, optional
        Which output, for all x or for each; by default all.

    Returns
    -------
    (N, *input_shape) float64, or with ``output=None`` (N, out, *input_shape)
        Where neurons are zero all along a piece, they count as inactive.

    Raises
    ------
    InputError
        Of a kind that names what is wrong.

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", 2017.

    Examples
    --------
    >>> f = Network([[[1.0, 1.0]], [[2.0]]], [[-1.0], [0.0]])
    >>> integrated_gradients(f, [[1.0, 1.0]], output=0)
    array([[1., 1.]])
    """
    from geomrelu.analysis.integrated_gradients import integrated_gradients as attribute
    from geomrelu.importers import as_network

    shape = np.shape(x)[1:]
    return attribute(as_network(model, shape or None), x, baseline, output)


def joint(model_a: Any, model_b: Any) -> Network:
    """One network with both models' outputs; its partition is the common refinement of theirs.

    Parameters
    ----------
    model_a, model_b : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        With equally many inputs; their depths may differ.

    Returns
    -------
    Network
        Its outputs are model_a's, then model_b's.  Exact: no weight is changed or rounded.

    Raises
    ------
    InputError
        Of a kind that names what is wrong; `InputDimensionError` if the numbers of inputs differ.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0]], [[1.0]]], [[0.0], [0.0]])
    >>> g = Network([[[0.0, 1.0]], [[1.0]]], [[0.0], [0.0]])
    >>> partition(joint(f, g), Box(-1, 1)).n_regions
    4
    """
    from geomrelu.importers import as_network

    return joint_network(as_network(model_a), as_network(model_b))


def compare(
    model_a: Any,
    model_b: Any,
    domain: Any,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Comparison:
    """How two networks differ on a domain, on the common refinement of their partitions.

    Parameters
    ----------
    model_a, model_b : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        With equally many inputs and outputs.
    domain : Box, Polygon, shapely polygon, (N, 2) array_like, Polytope or Slice
        A box may have any dimension.
    n_jobs, progress
        As in `partition`.

    Returns
    -------
    Comparison
        ``equal``, exactly; ``largest`` difference of an output, ``witness`` (d,) and ``output``; ``l1``
        and ``l2`` distances (out,); ``class_area`` (a volume in more dimensions) on which the classes differ;
        ``n_regions`` of both and ``n_refinement``; ``regression(direction)`` of one's maps on the other's.  See
        `geomrelu.analysis.comparison`.  Distances take passes over all cells for each output, a few times
        the partition's time together; proving that two networks are equal takes a comparison in
        integers for each cell, and may so take longer still.  Outside the plane the domain is partitioned twice
        more, by differences' signs and by ties.

    Raises
    ------
    InputError
        As `partition`; `InputDimensionError` if the numbers of inputs differ, `ShapeError` if
        those of outputs do.
    RangeError
        If the largest difference is too large for float64.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, -1.0]]])  # x
    >>> g = Network([[[2.0, 0.0]], [[1.0]]])  # max(2 x, 0)
    >>> found = compare(f, g, Box(-1, 1))
    >>> found.equal, found.largest, found.l1.round(9).tolist(), round(found.class_area, 9), found.n_refinement
    (False, 1.0, [2.0], 0.0, 2)
    >>> compare(f, Network([[[1.0, 0.0]]]), Box(-1, 1)).equal
    True
    """
    from geomrelu.analysis.comparison import check_outputs, comparison
    from geomrelu.importers import as_network

    a, b = as_network(model_a), as_network(model_b)
    joined = joint_network(a, b)
    check_outputs(a, b)
    if not is_polyhedral(domain):
        domain = as_domain(domain)
    return comparison(partition(joined, domain, n_jobs=n_jobs, progress=progress), a, b)


def sample(
    model: Any,
    domain: Any,
    n: int = 101,
    device: str | torch.device | None = None,
    corners: bool = True,
    tol: float = 1e-3,
    chunk: int | None = None,
) -> Samples:
    """Sample a model's affine maps on a grid over a domain, by autograd in float64.

    Not exact: regions that no grid point hits are missed, and the number of distinct maps
    depends on `tol`.  The exact counts are those of `partition`.

    Parameters
    ----------
    model : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        With as many inputs as the domain has dimensions, or on a slice as its points have.  Never
        changed: a module is copied, and the copy runs in evaluation mode.  A module that
        `partition` cannot read (`UnsupportedLayerError`) is sampled all the same, unless it is
        not piecewise linear.
    domain : Box, Polygon, shapely polygon, (N, 2) array_like, Polytope or Slice
        Bounded and convex.
    n : int
        Grid points along each axis of the domain's bounding box, at least 2: n^d in d dimensions.
    device : str or torch.device, optional
        Where to compute; by default where the model's parameters are.
    corners : bool
        Append the domain's corners to the samples; of polytopes none are known.
    tol : float
        Two maps are the same if no gradient entry or intercept differs by more.
    chunk : int, optional
        Points per batch; by default chosen for the device.

    Returns
    -------
    Samples
        ``points`` (N, d), ``values`` (N, out), ``gradients`` (N, out, d), ``intercepts``
        (N, out), ``labels`` (N,) of the distinct maps, ``n_maps``.

    Raises
    ------
    InputError
        Of a kind that names what is wrong: `NotPiecewiseLinearError`, `WeightError`,
        `InputDimensionError`, `ShapeError`, `DomainError`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> samples = sample(f, Box(-1, 1), n=11)
    >>> len(samples), samples.n_maps
    (125, 4)
    """
    from geomrelu.sampling import sample as sample_grid

    return sample_grid(model, domain if is_polyhedral(domain) else as_domain(domain), n, device, corners, tol, chunk)


def load(path: str | PathLike[str]) -> PlanarComplex | PolyhedralComplex:
    """Read a partition that its ``save`` wrote; its network and domain come with it.

    Nothing in the file is run.  Shapes and index ranges are checked here; ``check()`` on the
    result verifies the geometry too.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file.

    Returns
    -------
    PlanarComplex or PolyhedralComplex
        Bit for bit the saved one.

    Raises
    ------
    FileFormatError
        If the file is missing, is not a partition, is damaged, or is of a later version.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "p.npz")
    >>> partition(Network([[[1.0, 0.0]], [[1.0]]]), Box(-1, 1)).save(path)
    >>> load(path).n_regions
    2
    """
    from geomrelu.io_polyhedral import load as load_complex

    return load_complex(path)


def track(
    models: Iterable[Any] | Mapping[float, Any],
    domain: Any,
    *,
    times: npt.ArrayLike | None = None,
    definitions: Sequence[str] = DEFAULT_DEFINITIONS,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Track:
    """How a model's regions change from checkpoint to checkpoint: a table, plots, an animation.

    While a model is trained, `Tracker` does the same step by step.

    Parameters
    ----------
    models : iterable, or dict by time
        Models that `partition` takes, or paths of model files.  A generator may train one module on and
        yield it again and again: each is measured before the next is asked for.
    domain : Box, Polygon, shapely polygon, (N, 2) array_like or Slice
    times : (T,) array_like, optional
        Epochs, say; ascending.  By default 0, 1, 2, ...
    definitions : sequence of str
        What to count, beside regions: names as in `PlanarComplex.count`.
    n_jobs : int, optional
        As in `partition`.
    progress : callable, optional
        Called with a message and a fraction (0 where the number of models is not known).

    Returns
    -------
    Track
        ``columns``, arrays (T,) by name; ``.table()`` (pandas), ``.plot()``, ``.animate("x.gif")``.

    Raises
    ------
    InputError
        If there are no models, one cannot be read, or times do not fit them.

    Examples
    --------
    >>> nets = [Network([[[1.0, 1.0], [1.0, -1.0]], [[1.0, 1.0]]], [[b, 0.0], [-1.0]]) for b in (0.0, 1.0, 2.0)]
    >>> found = track(nets, Box(-1, 1), times=[0, 10, 20])
    >>> found.columns["regions"].tolist(), found.columns["time"].tolist()
    ([4, 4, 2], [0.0, 10.0, 20.0])
    """
    from geomrelu.tracking import track as track_models

    return track_models(models, domain, times=times, definitions=definitions, n_jobs=n_jobs, progress=progress)
