"""The engines' entry points: from a model and a domain to its partition, its number of regions, or aggregates."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from geomrelu.domain import Box, Polytope, Segment, Segments, Slice, as_domain
from geomrelu.errors import InputError
from geomrelu.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from geomrelu.analysis.aggregates import Aggregates
    from geomrelu.linear.complex import LinearComplex
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["aggregate", "checked_run", "count_regions", "is_polyhedral", "partition"]


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
        ``joblib.parallel_config("dask")`` (or ``"loky"``, or ``"ray"`` once ray has registered itself
        by ``ray.util.joblib.register_ray()``) its workers.  The result does not depend on it (outside
        the plane, but for the numbering).  Segments need none.
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

    n_jobs, progress = checked_run("partition", n_jobs, progress)
    network = _polyhedral_network("partition", model, domain, resume, device)
    if network is not None:
        from geomrelu.polyhedral.build import build_polyhedral

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

    n_jobs, progress = checked_run("count_regions", n_jobs, progress)
    if isinstance(domain, Segment | Segments):
        return int(partition(model, domain, n_jobs=n_jobs, progress=progress, resume=resume, device=device).n_regions)
    network = _polyhedral_network("count_regions", model, domain, resume, device)
    if network is not None:
        from geomrelu.polyhedral.counting import count_polyhedral

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
        If a name is unknown, or that of a definition which cannot be counted so; if the domain is not of the plane;
        and as in `partition`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> found = aggregate(f, Box(-1, 1), ["regions", "integral", "extrema"])
    >>> found["regions"], found["integral"], found["extrema"][0]["maximum"]
    (4, [2.0], 2.0)
    """
    from geomrelu.analysis.aggregates import aggregate as measure

    n_jobs, progress = checked_run("aggregate", n_jobs, progress)
    if _polyhedral_network("aggregate", model, domain, resume, device) is not None:
        raise InputError(
            "aggregate: works in the plane; of this domain gr.count_regions(model, domain) counts the regions, in "
            "memory that does not grow, and gr.partition(model, domain) answers the other questions"
        )
    shape = as_domain(domain)
    network = _network(model, shape)
    return measure(network, shape, names, n_jobs=n_jobs, progress=progress, resume=resume, device=device)


def _polyhedral_network(function: str, model: Any, domain: Any, resume: Any, device: Any) -> Network | None:
    """The model as a network if its question is for the engine of other dimensions than two, else None."""
    from geomrelu.importers import as_network

    if not is_polyhedral(domain):
        return None
    network = as_network(model)
    # A network of the plane on another box is told so by the plane's engine.
    if not isinstance(domain, Polytope) and network.n_inputs == 2:
        return None
    if resume is not None:
        raise InputError(f"{function}: resume works in the plane only; leave it out for this domain")
    _refuse_device(device)
    return network


def is_polyhedral(domain: Any) -> bool:
    """Whether a domain is for the engine of other dimensions than two."""
    return isinstance(domain, Polytope) or (isinstance(domain, Box) and domain.dimension != 2)


def _refuse_device(device: Any) -> None:
    if device is not None:
        raise InputError("partition: device is for plane domains; leave it out for this one")


def _network(model: Any, domain: Any) -> Network:
    """The model as a network; a slice knows the shape of its inputs."""
    from geomrelu.importers import as_network

    return as_network(model, domain.input_shape if isinstance(domain, Slice) else None)


def checked_run(function: str, n_jobs: Any, progress: Any) -> tuple[int | None, Any]:
    """The number of workers as a Python int, and the progress function, both checked; `function` is for messages."""
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
