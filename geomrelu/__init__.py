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

from geomrelu._version import __version__
from geomrelu.domain import Box, Polygon, as_domain
from geomrelu.errors import GeomReluError
from geomrelu.network import Layer, Network, joint_network
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomrelu.crosscheck import CrossCheck
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.sampling import Samples

__all__ = [
    "Box",
    "GeomReluError",
    "Layer",
    "Network",
    "Patterns",
    "Polygon",
    "__version__",
    "crosscheck",
    "joint",
    "load",
    "partition",
    "sample",
]


def partition(model: Any, domain: Any, *, progress: Callable[[str, float], None] | None = None) -> PlanarComplex:
    """The exact partition of a domain into a model's activation regions.

    Parameters
    ----------
    model : torch.nn.Module, fitted sklearn MLPClassifier or MLPRegressor, or Network
        With two inputs.
    domain : Box, Polygon, shapely polygon or (N, 2) array_like
        Bounded and convex.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.

    Returns
    -------
    PlanarComplex
        Counts, polygons, patterns and maps of the regions.  Its combinatorial structure is
        that of the real-arithmetic network with exactly the given weights.

    Raises
    ------
    InputError
        Of a kind that names what is wrong: `UnsupportedLayerError`, `NotPiecewiseLinearError`,
        `WeightError`, `ShapeError`, `InputDimensionError`, `DomainError`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> partition(f, Box(-1, 1)).areas
    array([1., 1., 1., 1.])
    """
    from geomrelu.importers import as_network
    from geomrelu.planar.build import build_complex

    return build_complex(as_network(model), as_domain(domain), progress)


def joint(model_a: Any, model_b: Any) -> Network:
    """One network with both models' outputs; its partition is the common refinement of theirs.

    Examples
    --------
    >>> f = Network([[[1.0, 0.0]], [[1.0]]], [[0.0], [0.0]])
    >>> g = Network([[[0.0, 1.0]], [[1.0]]], [[0.0], [0.0]])
    >>> partition(joint(f, g), Box(-1, 1)).n_regions
    4
    """
    from geomrelu.importers import as_network

    return joint_network(as_network(model_a), as_network(model_b))


def sample(model: Any, domain: Any, n: int = 101, device: Any = None, **options: Any) -> Samples:
    """Sample a model's maps on a grid by autograd; options as in `geomrelu.sampling.sample`."""
    from geomrelu.sampling import sample as sample_grid

    return sample_grid(model, as_domain(domain), n, device, **options)


def crosscheck(p: PlanarComplex, n: int = 101, **options: Any) -> CrossCheck:
    """Hold an exact partition to samples; options as in `geomrelu.crosscheck.crosscheck`."""
    from geomrelu.crosscheck import crosscheck as check_by_samples

    return check_by_samples(p, n, **options)


def load(path: str | PathLike[str]) -> PlanarComplex:
    """Read a partition that `PlanarComplex.save` wrote."""
    from geomrelu.io import load as load_complex

    return load_complex(path)
