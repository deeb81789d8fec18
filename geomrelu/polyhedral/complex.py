"""`PolyhedralComplex`: the exact partition of a domain of any dimension, as flat arrays."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.affine import AffineMaps, affine_maps
from geomrelu.arrays import FloatArray, IntArray, ReadOnly, WordArray, float_array, frozen
from geomrelu.domain import Box, Polytope
from geomrelu.errors import InputDimensionError, InputError, RangeError
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.polyhedral.limit import Limit
from geomrelu.polyhedral.moments import CellMoments, cell_moments
from geomrelu.polyhedral.questions import Questions
from geomrelu.polyhedral.regions import facet_corners
from geomrelu.polyhedral.rows import ExactRows, Facets, Rows, vertex_determinants
from geomrelu.polyhedral.simple import SimpleComplex
from geomrelu.polyhedral.skeleton import Words
from geomrelu.polyhedral.thin import ThinRegions, placed_again, thin_regions
from geomrelu.polyhedral.volumes import region_volumes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from geomrelu.analysis.linear_regions import LinearRegions
    from geomrelu.polyhedral.level_set import LevelSet
    from geomrelu.polyhedral.location import RegionLocator

__all__ = ["Halfspaces", "PolyhedralComplex", "Skeletal"]


class Halfspaces(NamedTuple):
    """A region as the points x with ``A x <= b``; no row is redundant.

    Attributes
    ----------
    A : (m, d) float64
    b : (m,) float64
    neuron : (m,) int64
        The neuron of each row, -1 - k for the domain's facet k.
    """

    A: FloatArray
    b: FloatArray
    neuron: IntArray


class Skeletal(NamedTuple):
    """What a complex is made from: a simple complex and what it tends to, if that is another."""

    simple: SimpleComplex
    null: WordArray  # (V, words) signs that are zero without the perturbation
    limit: Limit | None  # None if nothing is null
    coordinates: FloatArray  # (V, d) of the simple vertices
    errors: FloatArray  # (V,)
    facets: Facets
    words: Words


class PolyhedralComplex(Questions, ReadOnly):
    """The partition of a domain into a network's activation regions, in d dimensions.

    Made by `geomrelu.partition`.  All arrays are read-only.  The combinatorial structure is that of the
    real-arithmetic network with the given weights, degenerate networks included; coordinates, volumes
    and maps are float64 approximations of it.

    Attributes
    ----------
    vertices : (V, d) float64
        Each within its entry of ``vertex_errors`` of the true point.
    vertex_errors : (V,) float64
        Rigorous bounds on distances; pessimistic, and at most 2^-11 of the domain's extent: coarser vertices are
        computed again, in rational numbers.
    edges : (E, 2) int64
        End points.
    patterns : Patterns
        Activation patterns of the R regions, bit-packed.
    network : Network
    domain : Box or Polytope
    report : dict
        How the partition was made.  ``layers``: vertices and edges after each layer, before vertices that
        coincide are put together; ``signs``: decisions that took a value, of which ``signs_renewed``
        needed the vertex's radius afresh and ``signs_exact`` rational numbers; ``signs_zero``: of these, exactly zero;
        ``generic``: whether there is no zero sign; ``seconds``; ``bytes`` held while cutting; ``partial``: whether a
        limit stopped it, so that the network is cut by its first ``neurons`` neurons only.
    """

    vertices: FloatArray
    vertex_errors: FloatArray
    edges: IntArray
    patterns: Patterns
    network: Network
    domain: Box | Polytope
    report: dict[str, Any]
    skeletal: Skeletal

    def __init__(self, skeletal: Skeletal, network: Network, domain: Box | Polytope, report: dict[str, Any]) -> None:
        coordinates, errors = placed_again(
            skeletal.simple, skeletal.words, ExactRows(network, skeletal.facets), skeletal.coordinates, skeletal.errors,
            float((domain.high / 2 - domain.low / 2).max() * 2),
        )  # fmt: skip
        skeletal = skeletal._replace(coordinates=coordinates, errors=errors)
        limit, simple = skeletal.limit, skeletal.simple
        chosen = slice(None) if limit is None else limit.vertices
        vars(self).update(
            vertices=frozen(skeletal.coordinates[chosen]),
            vertex_errors=frozen(skeletal.errors[chosen]),
            edges=frozen(simple.ends.astype(np.int64) if limit is None else limit.edges),
            patterns=Patterns(simple.patterns if limit is None else limit.patterns, network.widths),
            network=network,
            domain=domain,
            report=report,
            skeletal=skeletal,
        )

    # ------------------------------------------------------------------ counts

    @property
    def dimension(self) -> int:
        """Number of inputs, d."""
        return self.network.n_inputs

    @property
    def n_regions(self) -> int:
        """Number of activation regions; exact."""
        return len(self.patterns)

    @property
    def n_vertices(self) -> int:
        """Number of vertices; exact."""
        return len(self.vertices)

    @property
    def n_edges(self) -> int:
        """Number of edges; exact."""
        return len(self.edges)

    @property
    def n_facets(self) -> int:
        """Number of cells of dimension d - 1; exact."""
        return len(self.facet_regions)

    @property
    def cell_counts(self) -> tuple[int, ...]:
        """Number of cells of each dimension, vertices first; exact.  Their alternating sum is 1.

        Raises
        ------
        InputError
            If the network is degenerate and d > 3: only vertices, edges, facets and regions are put together then.
        """
        if self.skeletal.limit is None:
            return tuple(int(n) for n in self.skeletal.simple.cell_counts)
        if self.dimension > 3:
            raise InputError(
                f"cell_counts: got a degenerate network in {self.dimension} dimensions, expected a generic one or 3 "
                "dimensions; use n_vertices, n_edges, n_facets and n_regions"
            )
        between = (self.n_edges, self.n_facets)[: self.dimension - 1]
        return (self.n_vertices, *between, self.n_regions)

    @property
    def n_linear_regions(self) -> int:
        """Number of linear regions: regions with equal map that are connected through facets, joined; exact."""
        return self._linear_regions.n_linear_regions

    @property
    def linear_region_labels(self) -> IntArray:
        """Linear region of each region, (R,) int64; exact."""
        return self._linear_regions.labels

    @property
    def n_affine_pieces(self) -> int:
        """Number of distinct affine maps, connected or not; exact."""
        return self._linear_regions.n_affine_pieces

    @cached_property
    def _linear_regions(self) -> LinearRegions:
        from geomrelu.analysis.linear_regions import joined_regions

        pairs = self.facet_regions[(self.facet_regions >= 0).all(axis=1)]
        return joined_regions(self.network, self.patterns, self.affine_maps, pairs)

    # ------------------------------------------------------------------ incidences

    @cached_property
    def region_offsets(self) -> IntArray:
        """Where the regions' vertices start in `region_vertices`, (R + 1,) int64."""
        limit = self.skeletal.limit
        return frozen(self.skeletal.simple.region_vertices[0] if limit is None else limit.region_offsets)

    @cached_property
    def region_vertices(self) -> IntArray:
        """Vertices of the regions, exact: r's are ``region_vertices[region_offsets[r] : region_offsets[r + 1]]``."""
        limit = self.skeletal.limit
        found = self.skeletal.simple.region_vertices[1].astype(np.int64) if limit is None else limit.region_vertices
        return frozen(found)

    @cached_property
    def facet_regions(self) -> IntArray:
        """Regions on the negative and the positive side of each cell of dimension d - 1, -1 outside, (M, 2); exact.

        Every facet of a region is in the list once: there are no redundant ones.
        """
        limit = self.skeletal.limit
        return frozen(self.skeletal.simple.facets[0].astype(np.int64) if limit is None else limit.facet_regions)

    @cached_property
    def facet_neuron(self) -> IntArray:
        """The neuron on whose zero set each facet lies, -1 - k on the domain's facet k, (M,) int64."""
        limit = self.skeletal.limit
        bits = self.skeletal.simple.facets[1] if limit is None else limit.facet_bits
        return frozen(self.skeletal.words.forms[bits])

    @cached_property
    def _facet_corners(self) -> tuple[IntArray, IntArray]:
        own = self.skeletal
        signs, bits = (own.simple, own.simple.facets[1]) if own.limit is None else (own.limit, own.limit.facet_bits)
        offsets = np.zeros(self.n_facets + 1, dtype=np.int64)
        corners = np.empty(0, dtype=np.int64)
        # Twice: for the numbers of vertices, and for the vertices.
        for _ in range(2):
            facet_corners(
                signs.positive, signs.negative, np.ascontiguousarray(self.facet_regions[:, 1]), bits,
                self.region_offsets, self.region_vertices, offsets, corners,
            )  # fmt: skip
            if not len(corners):
                offsets = np.cumsum(offsets)
                corners = np.empty(offsets[-1], dtype=np.int64)
        return frozen(offsets), frozen(corners)

    @property
    def facet_offsets(self) -> IntArray:
        """Where the facets' vertices start in `facet_vertices`, (M + 1,) int64."""
        return self._facet_corners[0]

    @property
    def facet_vertices(self) -> IntArray:
        """Vertices of the facets, in no order around them; exact."""
        return self._facet_corners[1]

    def vertex_signs(self, layer: int) -> IntArray:
        """Signs -1, 0, 1 of a hidden layer's neurons at the vertices, (V, n_neurons); exact."""
        own, n = self.skeletal, self.network.hidden[layer].n_neurons
        if own.limit is None:
            positive, negative = own.simple.positive & ~own.null, own.simple.negative & ~own.null
        else:
            positive, negative = own.limit.positive, own.limit.negative
        start = own.words.starts[layer + 2]
        words = slice(start, start + (n + 63) // 64)
        bits = [
            np.unpackbits(
                np.ascontiguousarray(v[:, words].astype("<u8")).view(np.uint8), axis=1, count=n, bitorder="little"
            )
            for v in (positive, negative)
        ]
        return bits[0].astype(np.int64) - bits[1]

    @cached_property
    def _region_facets(self) -> tuple[IntArray, IntArray]:
        """Facets of each region: offsets (R + 1,) and values."""
        regions = self.facet_regions
        facet, side = np.nonzero(regions >= 0)
        order = np.argsort(regions[facet, side], kind="stable")
        sizes = np.bincount(regions[facet, side], minlength=self.n_regions)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), facet[order]

    def region_facets(self, region: int) -> IntArray:
        """Numbers of a region's facets.

        Raises
        ------
        InputError
            If there is no region of that number.
        """
        offsets, values = self._region_facets
        r = self._region(region, "region_facets")
        return values[offsets[r] : offsets[r + 1]]

    def neighbors(self, region: int) -> IntArray:
        """Regions that share a facet with a region, in the order of its facets on them; exact."""
        beside = self.facet_regions[self.region_facets(region)]
        others = np.where(beside[:, 0] == region, beside[:, 1], beside[:, 0])
        return others[others >= 0]

    def halfspaces(self, region: int) -> Halfspaces:
        """A region's irredundant inequalities ``A x <= b``, in float64; which there are is exact.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 2.0, 3.0]], [[1.0]]]), gr.Box([-1] * 3, [1] * 3))
        >>> A, b, neuron = p.halfspaces(0)
        >>> A[neuron >= 0].tolist(), b[neuron >= 0].tolist()
        ([[1.0, 2.0, 3.0]], [0.0])
        """
        own = self.region_facets(region)
        neuron = self.facet_neuron[own]
        value, constant = self._rows.forms(neuron, self.patterns.words[[region]], np.zeros(len(own), dtype=np.int64))
        # The positive side of a facet lies where its form is positive: A x <= b has the negated form.
        sign = np.where(self.facet_regions[own, 1] == region, -1.0, 1.0)
        return Halfspaces(sign[:, None] * value, 0.0 - sign * constant, neuron)

    def _region(self, region: int, function: str) -> int:
        whole = isinstance(region, int | np.integer) and not isinstance(region, bool)
        if not whole or not 0 <= region < self.n_regions:
            raise InputError(
                f"{function}: got region {region!r}; expected a whole number from 0 to {self.n_regions - 1}"
            )
        return int(region)

    # ------------------------------------------------------------------ what lies on a region

    @cached_property
    def affine_maps(self) -> AffineMaps:
        """Output maps x -> A x + b of the regions: ``A`` (R, out, d), ``b`` (R, out), float64, errors as in `affine`.

        Raises
        ------
        RangeError
            If a product is too large for float64.
        """
        maps = affine_maps(self.network, self.patterns)
        if not (np.isfinite(maps.A).all() and np.isfinite(maps.b).all()):
            raise RangeError(
                "affine_maps: a product of weights exceeds 1.8e308, what float64 holds; scale the weights down"
            )
        return AffineMaps(frozen(maps.A), frozen(maps.b))

    @cached_property
    def interior_points(self) -> FloatArray:
        """A point inside each region: the mean of its vertices, (R, d), rounded."""
        sums = np.add.reduceat(self.vertices[self.region_vertices], self.region_offsets[:-1], axis=0)
        return frozen(sums / np.diff(self.region_offsets)[:, None])

    @cached_property
    def volumes(self) -> FloatArray:
        """Volumes of the regions, (R,), float64; see `volumes`, and for some `thin`, for the method and its error."""
        found = self._recursive_volumes.copy()
        found[self._thin.regions] = self._thin.volumes
        return frozen(found[self.volume_regions])

    @cached_property
    def _recursive_volumes(self) -> FloatArray:
        own = self.skeletal
        with np.errstate(invalid="ignore"):
            return region_volumes(own.simple, own.null, self._determinants[0], own.words.starts, self._form_values)

    @cached_property
    def _determinants(self) -> tuple[FloatArray, FloatArray]:
        return vertex_determinants(self._rows, self.skeletal.simple)

    @cached_property
    def _thin(self) -> ThinRegions:
        """Regions that floats do not measure well; see `thin`."""
        own, sizes = self.skeletal, self.domain.high - self.domain.low
        return thin_regions(
            own.simple, own.words, ExactRows(self.network, own.facets), self._determinants[1], self._recursive_volumes,
            float(np.prod(sizes)),
        )  # fmt: skip

    @cached_property
    def centroids(self) -> FloatArray:
        """Centroids of the regions, (R, d), float64; see `moments` for the method and its error."""
        found, exponents = self.moments(self.dimension, False)
        return frozen(np.ldexp(found.means[self.volume_regions], exponents))

    def moments(self, dimension: int, covariances: bool) -> tuple[CellMoments, IntArray]:
        """Moments of the simple complex's cells of a dimension, and the exponents of two of the axes' units, (d,)."""
        own = self.skeletal
        exponents = np.frexp(np.maximum(np.abs(self.domain.low), np.abs(self.domain.high)))[1].astype(np.int64)
        # Only where products of a few coordinates come near float64's range.
        exponents[np.abs(exponents) <= 100] = 0
        with np.errstate(invalid="ignore"):
            found = cell_moments(
                own.simple, own.null, self._determinants[0], own.words.starts, self._form_values,
                np.ldexp(own.coordinates, -exponents), dimension, covariances,
            )  # fmt: skip
        if dimension == self.dimension:
            # They are the same: no second recursion for them.
            vars(self).setdefault("_recursive_volumes", found.measures.copy())
            thin, (i, j) = self._thin, np.triu_indices(dimension)
            found.measures[thin.regions] = thin.volumes
            found.means[thin.regions] = np.ldexp(thin.means, -exponents)
            if covariances:
                found.covariances[thin.regions] = np.ldexp(thin.covariances, -exponents[i] - exponents[j])
        return found, exponents

    @property
    def volume_regions(self) -> Any:
        """An index that picks each region's simple region, which has its volume."""
        limit = self.skeletal.limit
        return slice(None) if limit is None else limit.volume_regions

    @cached_property
    def _rows(self) -> Rows:
        return Rows(self.network, self.skeletal.facets, self.skeletal.words)

    def _form_values(self, vertices: IntArray) -> Any:
        """Values of each group of forms at some simple vertices, (k, forms)."""
        own = self.skeletal
        x = own.coordinates[vertices]
        facets = x @ own.facets.normals.T + own.facets.offsets
        yield facets[:, : own.words.n_box]
        yield facets[:, own.words.n_box :]
        yield from self.network.preactivations(x)

    # ------------------------------------------------------------------ questions

    @cached_property
    def _locator(self) -> RegionLocator:
        from geomrelu.polyhedral.location import RegionLocator

        return RegionLocator(self)

    def locate(self, points: npt.ArrayLike) -> IntArray:
        """Region of each point, -1 outside the domain, (N,) int64; exact.

        A point on a border belongs to the region whose pattern it has (zero counts as inactive), or else to the
        touching region with the lowest number.

        Parameters
        ----------
        points : (N, d) array_like
        """
        return self._locator(self._points(points))

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Output at points (N, d) by the regions' maps, (N, out) float64; NaN outside the domain."""
        x = self._points(points)
        regions = self.locate(x)
        maps = self.affine_maps
        values = np.einsum("noi,ni->no", maps.A[regions], x) + maps.b[regions]
        values[regions < 0] = np.nan
        return np.asarray(values)

    def _points(self, points: npt.ArrayLike) -> FloatArray:
        x = float_array(points, "points")
        if x.ndim != 2 or x.shape[1] != self.dimension:
            raise InputDimensionError(f"points: got shape {x.shape}, expected (N, {self.dimension})")
        return x

    def dual_graph(self, format: str = "scipy") -> Any:
        """Which regions share a facet; formats and errors as in `PlanarComplex.dual_graph`."""
        from geomrelu.analysis.dual_graph import networkx_graph, region_graph

        inner = (self.facet_regions >= 0).all(axis=1)
        pairs = self.facet_regions[inner]
        if format == "networkx":
            return networkx_graph(pairs, self.facet_neuron[inner], self.n_regions)
        if format != "scipy":
            raise InputError(f"dual_graph: got format {format!r}; expected 'scipy' or 'networkx'")
        graph: csr_array = region_graph(pairs, self.n_regions)
        return graph

    def level_set(self, value: float, output: int = 0, *, capped: bool = False) -> LevelSet:
        """The surface on which an output has a value, for three inputs: an exact polygon mesh.

        Parameters
        ----------
        value : float
        output : int
        capped : bool
            Close the surface by the part of the domain's border where the output is larger.

        Returns
        -------
        LevelSet
            Polygons that share edges and vertices, each in one region; area, volume, genus, files.

        Raises
        ------
        InputDimensionError
            If the partition is not of three dimensions.
        InputError
            If the value is not finite, or there is no such output.

        Examples
        --------
        >>> import geomrelu as gr
        >>> f = gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))])  # |x| + |y| + |z|
        >>> octahedron = gr.partition(f, gr.Box([-2] * 3, [2] * 3)).level_set(1.0)
        >>> octahedron.n_polygons, len(octahedron.vertices), octahedron.is_closed, octahedron.genus
        (8, 6, True, 0)
        """
        from geomrelu.polyhedral.level_set import level_set

        return level_set(self, value, output, capped)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the regions, or a level set, of three inputs; options as in `geomrelu.plot.plot_polyhedral`."""
        from geomrelu.plot import plot_polyhedral

        return plot_polyhedral(self, ax, **options)

    def check(self) -> None:
        """Check the complex's invariants; see `polyhedral.check`.

        Raises
        ------
        InvariantError
            Naming the first invariant that is broken, where, and what was got and expected.
        """
        from geomrelu.polyhedral.check import check_complex

        check_complex(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the partition, network and domain included, to an ``.npz`` file; see `geomrelu.load`.

        Raises
        ------
        OutputPathError
            If the file cannot be written, or its suffix is another format's; no partial file is left.
        """
        from geomrelu.io_polyhedral import save

        save(self, path)

    def _repr_html_(self) -> str:
        from geomrelu.plot import polyhedral_html

        return polyhedral_html(self)

    def __repr__(self) -> str:
        return (
            f"PolyhedralComplex({self.n_regions} regions, {self.n_vertices} vertices, {self.n_edges} edges; "
            f"{self.network!r} on {self.domain!r})"
        )
