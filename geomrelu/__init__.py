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

from geomrelu._version import __version__

# At once, though light: imported later, the package of that name would hide the function.
from geomrelu.crosscheck import crosscheck, refinement
from geomrelu.domain import Box, Polygon, as_domain
from geomrelu.errors import GeomReluError, InputError
from geomrelu.network import Layer, Network, joint_network
from geomrelu.patterns import Patterns
from geomrelu.polytope import Polytope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from geomrelu.analysis.aggregates import Aggregates
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex
    from geomrelu.sampling import Samples

__all__ = [
    "Box",
    "GeomReluError",
    "Layer",
    "Network",
    "Patterns",
    "Polygon",
    "Polytope",
    "__version__",
    "aggregate",
    "count_regions",
    "crosscheck",
    "joint",
    "load",
    "partition",
    "refinement",
    "sample",
]


@overload
def partition(
    model: Any,
    domain: Polytope,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
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
) -> PlanarComplex | PolyhedralComplex:
    """The exact partition of a domain into a model's activation regions.

    Parameters
    ----------
    model : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
    domain : Box, Polygon, shapely polygon, (N, 2) array_like or Polytope
        Bounded and convex, with as many dimensions as the model has inputs.
    n_jobs : int, optional
        In the plane: workers, as joblib has it: threads here, -1 for all cores; inside a
        ``joblib.parallel_config("dask")`` (or ``"ray"``, ``"loky"``) its workers.  The result
        does not depend on it.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    resume : path-like, optional
        In the plane, a journal: finished blocks of regions are written to it, and taken from it if an
        earlier run of the same question was interrupted.
    max_regions, max_memory : int, float, optional
        In other dimensions: stop before the neuron with which there would be more regions, or bytes.  The result is
        then the partition by the first neurons, ``report["neurons"]`` of them, and ``report["partial"]`` is true.

    Returns
    -------
    PlanarComplex, or PolyhedralComplex
        Counts, cells, patterns and maps of the regions, in the plane and in other dimensions.  Its combinatorial
        structure is that of the real-arithmetic network with exactly the given weights.

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

    n_jobs, progress = _checked_run("partition", n_jobs, progress)
    network = as_network(model)
    if isinstance(domain, Polytope) or (isinstance(domain, Box) and domain.dimension != 2 and network.n_inputs != 2):
        from geomrelu.polyhedral.build import build_polyhedral

        if n_jobs not in (None, 1) or resume is not None:
            raise InputError("partition: n_jobs and resume work in the plane only; leave them out in other dimensions")
        return build_polyhedral(network, domain, progress, max_regions=max_regions, max_memory=max_memory)
    from geomrelu.planar.build import build_complex

    if max_regions is not None or max_memory is not None:
        raise InputError(
            "partition: max_regions and max_memory do not work in the plane; gr.count_regions and gr.aggregate need "
            "little memory there"
        )
    return build_complex(network, as_domain(domain), progress, n_jobs=n_jobs, resume=resume)


def count_regions(
    model: Any,
    domain: Any,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
) -> int:
    """The number of activation regions, in memory that does not grow with it; exact.

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
    return count(as_network(model), as_domain(domain), n_jobs=n_jobs, progress=progress, resume=resume)


def aggregate(
    model: Any,
    domain: Any,
    names: Sequence[str],
    *,
    n_jobs: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    resume: str | PathLike[str] | None = None,
) -> Aggregates:
    """Aggregates over all activation regions, in memory that does not grow with their number.

    Parameters
    ----------
    names : list of str
        - ``"regions"``: their number, exact;
        - ``"area"``: ``total``, ``smallest``, ``largest``;
        - ``"area_decades"``: numbers of regions by floor(log10(area));
        - ``"active_neurons"``: numbers of regions by their number of active neurons, exact;
        - ``"extrema"``: for each output ``minimum``, ``minimum_at``, ``maximum``, ``maximum_at``;
        - ``"lipschitz"``: ``constant`` in the 2-norm, and ``at``, a point of the steepest region;
        - ``"integral"``: of each output over the domain.

        But for the exact ones, float64 with the rounding of vertices and maps.
    model, domain, n_jobs, progress, resume
        As in `partition`.

    Returns
    -------
    Aggregates
        A dict by name, with ``report`` as a partition's, which has the numbers of regions,
        vertices and edges after each layer.

    Raises
    ------
    InputError
        If a name is unknown; and as in `partition`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> found = aggregate(f, Box(-1, 1), ["regions", "integral", "extrema"])
    >>> found["regions"], found["integral"], found["extrema"][0]["maximum"]
    (4, [2.0], 2.0)
    """
    from geomrelu.analysis.aggregates import aggregate as measure
    from geomrelu.importers import as_network

    n_jobs, progress = _checked_run("aggregate", n_jobs, progress)
    return measure(as_network(model), as_domain(domain), names, n_jobs=n_jobs, progress=progress, resume=resume)


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


def sample(
    model: Any,
    domain: Any,
    n: int = 101,
    device: str | torch.device | None = None,
    corners: bool = True,
    tol: float = 1e-3,
    chunk: int | None = None,
) -> Samples:
    """Sample a model's affine maps on a grid over a 2-D domain, by autograd in float64.

    Not exact: regions that no grid point hits are missed, and the number of distinct maps
    depends on `tol`.  The exact counts are those of `partition`.

    Parameters
    ----------
    model : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        With two inputs.  Never changed: a module is copied, and the copy runs in evaluation
        mode.  A module that `partition` cannot read (`UnsupportedLayerError`) is sampled all
        the same, unless it is not piecewise linear.
    domain : Box, Polygon, shapely polygon or (N, 2) array_like
        Bounded and convex.
    n : int
        Grid points along each axis of the domain's bounding box, at least 2.
    device : str or torch.device, optional
        Where to compute; by default where the model's parameters are.
    corners : bool
        Append the domain's corners to the samples.
    tol : float
        Two maps are the same if no gradient entry or intercept differs by more.
    chunk : int, optional
        Points per batch; by default chosen for the device.

    Returns
    -------
    Samples
        ``points`` (N, 2), ``values`` (N, out), ``gradients`` (N, out, 2), ``intercepts``
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

    return sample_grid(model, as_domain(domain), n, device, corners, tol, chunk)


def load(path: str | PathLike[str]) -> PlanarComplex:
    """Read a partition that `PlanarComplex.save` wrote; its network and domain come with it.

    Nothing in the file is run.  Shapes and index ranges are checked here; ``check()`` on the
    result verifies the geometry too.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file.

    Returns
    -------
    PlanarComplex
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
    from geomrelu.io import load as load_complex

    return load_complex(path)
