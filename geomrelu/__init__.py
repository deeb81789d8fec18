"""The exact geometry of ReLU networks: linear regions, their polygons, patterns and affine maps.

>>> import geomrelu as gr
>>> f = gr.Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])
>>> p = gr.partition(f, gr.Box(-1, 1))
>>> p.n_regions
3
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from geomrelu._version import __version__
from geomrelu.arrays import detached

# At once, though light: imported later, the package of that name would hide the function.
from geomrelu.crosscheck import crosscheck, refinement
from geomrelu.domain import Box, Polygon, Polytope, Segment, Segments, Slice, as_domain
from geomrelu.errors import GeomReluError, InputError
from geomrelu.network import Layer, Network, joint_network
from geomrelu.patterns import Patterns
from geomrelu.tracking import DEFAULT_DEFINITIONS, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt
    import torch

    from geomrelu.analysis.aggregates import Aggregates
    from geomrelu.analysis.comparison import Comparison
    from geomrelu.arrays import FloatArray
    from geomrelu.exploration.result import Exploration
    from geomrelu.linear.complex import LinearComplex
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


@overload
def partition(
    model: Any,
    domain: Segment | Segments,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
) -> LinearComplex: ...


@overload
def partition(
    model: Any,
    domain: Polytope,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    max_regions: int | None = None,
    max_memory: float | None = None,
) -> PolyhedralComplex: ...


# A box's type does not tell its dimension: type checkers take it for one of the plane.
@overload
def partition(
    model: Any,
    domain: Any,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
    max_regions: int | None = None,
    max_memory: float | None = None,
    device: str | torch.device | None = None,
) -> PlanarComplex: ...


def partition(
    model: Any,
    domain: Any,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
    max_regions: int | None = None,
    max_memory: float | None = None,
    device: str | torch.device | None = None,
) -> PlanarComplex | PolyhedralComplex | LinearComplex:
    """The exact partition of a domain into a model's activation regions.

    Parameters
    ----------
    model : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        With as many inputs as the domain has dimensions; on a slice or a segment, with inputs of its shape.
    domain : Box, Polygon, shapely polygon, (N, 2) array_like, Polytope, Slice, Segment or Segments
        Bounded and convex.  A box may have any dimension, and so may a `Polytope`.  A `Slice` is a plane
        through a space of many inputs, a `Segment` the line between two inputs.
    n_jobs : int, optional
        Workers, as joblib has it: threads here, -1 for all cores; inside a
        ``joblib.parallel_config("dask")`` (or ``"ray"``, ``"loky"``) its workers.  The result
        does not depend on it (outside the plane, but for the numbering).  Segments need none.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    resume : path-like, optional
        In the plane, a journal: finished blocks of regions are written to it, and taken from it if an
        earlier run of the same question was interrupted.
    max_regions, max_memory : int, float, optional
        Of polytopes, and boxes outside the plane: stop before the neuron with which there would be more regions, or
        bytes.  The result is then the partition by the first neurons, ``report["neurons"]`` of them, and
        ``report["partial"]`` is true.
    device : str or torch.device, optional
        In the plane: a torch device, such as ``"cuda"``, on which products with wide layers are computed; the
        result is the same but for bits of coordinates beyond their errors.

    Returns
    -------
    PlanarComplex, LinearComplex of segments, or PolyhedralComplex of polytopes and boxes outside the plane
        Counts, cells, patterns and maps of the regions.  Its combinatorial structure is
        that of the real-arithmetic network with exactly the given weights.

    Raises
    ------
    InputError
        Of a kind that names what is wrong: `UnsupportedLayerError`, `NotPiecewiseLinearError`,
        `WeightError`, `ShapeError`, `InputDimensionError`, `DomainError`, `TooLargeError`.
    FileFormatError, OutputPathError
        If the journal is another run's, or cannot be written.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> partition(f, Box(-1, 1)).areas
    array([1., 1., 1., 1.])
    >>> g = Network([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0]]])
    >>> partition(g, Box([-1] * 3, [1] * 3)).volumes
    array([2., 2., 2., 2.])
    """
    from geomrelu.importers import as_network
    from geomrelu.planar.build import build_complex

    n_jobs, progress = _checked_run("partition", n_jobs, progress)
    if _is_polyhedral(domain):
        network = as_network(model)
        # A network of the plane on another box is told so by the plane's engine.
        if isinstance(domain, Polytope) or network.n_inputs != 2:
            from geomrelu.polyhedral.build import build_polyhedral

            _no_journal("partition", resume)
            _refuse_device(device)
            return build_polyhedral(
                network, domain, progress, n_jobs=n_jobs, max_regions=max_regions, max_memory=max_memory
            )
    if max_regions is not None or max_memory is not None:
        raise InputError(
            "partition: max_regions and max_memory work on polytopes, and on boxes outside the plane; in the plane "
            "gr.count_regions and gr.aggregate need little memory"
        )
    if isinstance(domain, Segment | Segments):
        from geomrelu.linear.build import build_linear

        if resume is not None:
            raise InputError("partition: resume is for plane domains; leave it out for segments")
        _refuse_device(device)
        return build_linear(as_network(model, domain.input_shape), domain, progress)
    shape = as_domain(domain)
    return build_complex(_network(model, shape), shape, progress, n_jobs=n_jobs, resume=resume, device=device)


def count_regions(
    model: Any,
    domain: Any,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> int:
    """The number of activation regions; exact, in memory that does not grow with it (but for segments).

    Parameters, errors as in `partition`, whose ``n_regions`` it is.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> count_regions(f, Box(-1, 1))
    4
    """
    from geomrelu.analysis.aggregates import count_regions as count
    from geomrelu.importers import as_network

    n_jobs, progress = _checked_run("count_regions", n_jobs, progress)
    if isinstance(domain, Segment | Segments):
        return int(partition(model, domain, n_jobs=n_jobs, progress=progress, resume=resume, device=device).n_regions)
    if _is_polyhedral(domain):
        network = as_network(model)
        if isinstance(domain, Polytope) or network.n_inputs != 2:
            from geomrelu.polyhedral.counting import count_polyhedral

            _no_journal("count_regions", resume)
            _refuse_device(device)
            return count_polyhedral(network, domain, progress, n_jobs=n_jobs)
    shape = as_domain(domain)
    return count(_network(model, shape), shape, n_jobs=n_jobs, progress=progress, resume=resume, device=device)


def aggregate(
    model: Any,
    domain: Any,
    names: Sequence[str],
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> Aggregates:
    """Aggregates over all activation regions, in memory that does not grow with their number.

    Parameters
    ----------
    names : list of str
        Counts, exact:

        - ``"regions"``, or ``"proper_activation"``: the number of activation regions;
        - ``"activation"``, ``"open_connected"``, ``"affine"``: linear regions by these definitions, as
          `PlanarComplex.count`.  ``"activation"`` keeps patterns attained only at points or along
          segments, of which generic networks have none; ``"affine"`` one pattern for each distinct
          map, so its memory grows with their number.  ``"convex"`` and ``"closed_connected"`` need the
          whole partition, and are refused;
        - ``"active_neurons"``: numbers of regions by their number of active neurons.

        Measures, float64 with the rounding of vertices and maps:

        - ``"area"``: ``total``, ``smallest``, ``largest``;
        - ``"area_decades"``: numbers of regions by floor(log10(area));
        - ``"gradient_decades"``: for each output ``decades``, numbers of regions by floor(log10(length of
          the gradient)), and ``zero``, the number of those with gradient 0;
        - ``"integral"``: of each output over the domain.

        Measures with a rigorous bound on their error:

        - ``"extrema"``: for each output ``minimum`` and ``maximum``, each within ``_error`` of the true
          one.  ``_at`` is a vertex, within ``_at_error`` of its true place, where the output is within twice
          that error of the extremum;
        - ``"lipschitz"``, ``"lipschitz_1"``, ``"lipschitz_inf"``: the Lipschitz ``constant`` in the 2-, 1- and
          infinity-norm (of inputs and of outputs), within ``error`` of the true one, and ``at``, a point of a
          region whose map's norm is within twice the error of it.
    model, domain, n_jobs, progress, resume, device
        As in `partition`.

    Returns
    -------
    Aggregates
        A dict by name, with ``report`` as a partition's, which has the numbers of regions,
        vertices and edges after each layer.

    Raises
    ------
    InputError
        If a name is unknown, or that of a definition which cannot be counted so; and as in `partition`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> found = aggregate(f, Box(-1, 1), ["regions", "integral", "extrema"])
    >>> found["regions"], found["integral"], found["extrema"][0]["maximum"]
    (4, [2.0], 2.0)
    """
    from geomrelu.analysis.aggregates import aggregate as measure

    n_jobs, progress = _checked_run("aggregate", n_jobs, progress)
    shape = as_domain(domain)
    network = _network(model, shape)
    return measure(network, shape, names, n_jobs=n_jobs, progress=progress, resume=resume, device=device)


def _no_journal(function: str, resume: Any) -> None:
    if resume is not None:
        raise InputError(f"{function}: resume works in the plane only; leave it out for this domain")


def _is_polyhedral(domain: Any) -> bool:
    """Whether a domain is for the engine of other dimensions than two."""
    return isinstance(domain, Polytope) or (isinstance(domain, Box) and domain.dimension != 2)


def _refuse_device(device: Any) -> None:
    if device is not None:
        raise InputError("partition: device is for plane domains; leave it out for this one")


def _network(model: Any, domain: Any) -> Network:
    """The model as a network; a slice knows the shape of its inputs."""
    from geomrelu.importers import as_network

    return as_network(model, domain.input_shape if isinstance(domain, Slice) else None)


def _checked_run(function: str, n_jobs: Any, progress: Any) -> tuple[int | None, Any]:
    if hasattr(n_jobs, "__index__") and not isinstance(n_jobs, bool):
        n_jobs = n_jobs.__index__()  # numpy's integers, too
    whole = isinstance(n_jobs, int) and not isinstance(n_jobs, bool) and n_jobs != 0
    if n_jobs is not None and not whole:
        raise InputError(f"{function}: got n_jobs={n_jobs!r}; expected a number of workers, or -1 for all cores")
    if progress is not None and not callable(progress):
        raise InputError(
            f"{function}: got progress={progress!r}; expected a function of a message and a fraction, such as "
            "lambda message, fraction: print(message, fraction)"
        )
    return n_jobs, progress


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

    _, progress = _checked_run("explore", None, progress)
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
    if not _is_polyhedral(domain):
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

    return sample_grid(model, domain if _is_polyhedral(domain) else as_domain(domain), n, device, corners, tol, chunk)


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
