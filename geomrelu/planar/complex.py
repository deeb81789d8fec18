"""`PlanarComplex`: the exact partition of a two-dimensional domain, as flat arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.affine import AffineMaps, affine_maps, input_maps, map_batches, may_underflow
from geomrelu.arrays import BoolArray, FloatArray, IntArray, ReadOnly, checked_numbers, float_array, frozen, row_ids
from geomrelu.domain import Domain, Slice
from geomrelu.errors import InputError, InvariantError, RangeError, ShapeError
from geomrelu.exact import exact_maps
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar.measures import Measures
from geomrelu.planar.questions import Questions

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from matplotlib.axes import Axes
    from scipy.sparse import csr_array

    from geomrelu.analysis.definitions import Count
    from geomrelu.analysis.linear_regions import LinearRegions
    from geomrelu.analysis.location import PointLocator
    from geomrelu.analysis.vertices import ExactVertices
    from geomrelu.planar.build import Progress

__all__ = ["PlanarComplex"]

# Width of a face, over the largest coordinate, below which its area is computed exactly.
_THIN = 2.0**-32.5


@dataclass(frozen=True, eq=False, repr=False)
class PlanarComplex(Measures, Questions, ReadOnly):
    """The partition of a domain into a network's activation regions.

    Made by `geomrelu.partition`.  All arrays are read-only.  The combinatorial structure is
    that of the real-arithmetic network with the given weights; coordinates, areas and maps
    are float64 approximations of it.

    Each vertex lies within its entry of ``vertex_errors`` of the true point: a rigorous bound
    (`planar.bounds`), at most 2^-16 of the domain's extent and mostly far smaller; vertices that
    would exceed it are computed again, if need be in integers.  The bound is pessimistic: actual
    errors are near 1e-15 on ordinary networks, and those estimated to exceed 2^-27 of the extent
    are computed again, too.  ``check(level="exact")`` holds each coordinate to its bound.

    Attributes
    ----------
    vertices : (V, 2) float64
    vertex_errors : (V,) float64
        Bounds on the vertices' distances from their true points.
    edges : (E, 2) int64
        End points.
    edge_faces : (E, 2) int64
        Faces on the left and right of an edge, -1 outside the domain.
    edge_neuron : (E,) int64
        The neuron (flat, layer-major) whose zero set the edge lies on, -1 on the domain's border.
    vertex_lines : (V, 2) int64
        Two lines that cross at a vertex: a neuron, or -1 - k for the domain's k-th side.
    face_offsets, face_vertices, face_edges : (F + 1,), (C,), (C,) int64
        Counter-clockwise rings: face f has the vertices ``face_vertices[face_offsets[f] :
        face_offsets[f + 1]]``, collinear ones included; ``face_edges[k]`` leaves ``face_vertices[k]``.
    patterns : Patterns
        Activation patterns, bit-packed, F of them; ``.unpack()`` gives bool (F, n_neurons).
    network : Network
        Of two inputs: on a slice the one behind the slice's embedding, see `input_network`.
    domain : Box, Polygon or Slice
    report : dict
        How the partition was made.  ``layers``: regions, vertices and edges after each layer;
        ``seconds`` by stage.  What the network is, whatever the run: ``signs_zero``, pairs of a
        vertex and a later layer's neuron that is exactly zero there; ``ties``, crossings that coincide
        with others; ``generic``, whether there is neither.  What was done; blocks of a large
        partition decide what they share each for itself: ``signs``, decisions neuron at vertex, of
        which ``signs_filter`` by the error bound, ``signs_ball`` in ball arithmetic and ``signs_exact``
        in integers (the three add up to ``signs``); ``edges_exact``, ``faces_exact``, edges and
        faces whose order of crossings took integers; ``vertices_again``, vertices computed again with
        tighter bounds, of which ``vertices_exact`` in integers, rounded once.
    """

    vertices: FloatArray
    vertex_errors: FloatArray
    edges: IntArray
    edge_faces: IntArray
    edge_neuron: IntArray
    vertex_lines: IntArray
    face_offsets: IntArray
    face_vertices: IntArray
    face_edges: IntArray
    patterns: Patterns
    network: Network
    domain: Domain
    report: dict[str, Any]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen(value))

    def __getstate__(self) -> dict[str, Any]:
        # What is derived lazily is derived again.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    # ------------------------------------------------------------------ counts

    @property
    def n_regions(self) -> int:
        """Number of activation regions (faces)."""
        return len(self.face_offsets) - 1

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.edges)

    @property
    def n_linear_regions(self) -> int:
        """Number of linear regions: connected faces with equal map, joined; exact."""
        return self._linear_regions.n_linear_regions

    @property
    def linear_region_labels(self) -> IntArray:
        """Linear region of each face, (F,) int64; exact."""
        return self._linear_regions.labels

    @property
    def n_affine_pieces(self) -> int:
        """Number of distinct affine maps, connected or not; exact."""
        return self._linear_regions.n_affine_pieces

    @cached_property
    def _linear_regions(self) -> LinearRegions:
        from geomrelu.analysis.linear_regions import linear_regions

        return linear_regions(self)

    @cached_property
    def _exact_vertices(self) -> ExactVertices:
        from geomrelu.analysis.vertices import ExactVertices

        return ExactVertices(self)

    def count(self, definition: str) -> Count:
        """Number of linear regions in one of the six senses of the literature; exact.

        Parameters
        ----------
        definition : str
            ``"activation"``, ``"proper_activation"``, ``"convex"``, ``"open_connected"``,
            ``"closed_connected"`` or ``"affine"``: Stargalla, Hertrich and Reichman 2025
            (arXiv 2505.16716), Definitions 1 to 6.  Each count is at least the next.  See
            `geomrelu.analysis.definitions` for what each means.

        Returns
        -------
        int or CountBounds
            `CountBounds` (lower, upper) for ``"convex"`` where the minimum is not decided.

        Raises
        ------
        InputError
            If there is no definition of that name.
        """
        from geomrelu.analysis.definitions import count

        return count(self, definition)

    # ------------------------------------------------------------------ what lies on a face

    @cached_property
    def affine_maps(self) -> AffineMaps:
        """Output maps x -> A x + b of the faces: ``A`` (F, out, 2), ``b`` (F, out), float64.

        Products of float64 matrices, with errors below `affine.affine_map_errors`: some 1e-15
        times the same product of absolute values, and what is lost to underflow.  Where a
        product overflows, or layers of very small and of large weights follow each other
        (`affine.may_underflow`), the map is computed in integers and rounded once.  Computed on
        first use, at the cost of about one forward pass per output and region, which on wide
        networks is more than the partition: that multiplies the rows of vertices before each cut only.

        Raises
        ------
        RangeError
            If an exact entry is too large for float64.
        """
        maps = affine_maps(self.network, self.patterns)
        finite = np.isfinite(maps.A).all(axis=(1, 2)) & np.isfinite(maps.b).all(axis=1)
        bad = np.flatnonzero(~finite | may_underflow(self.network))
        if len(bad):
            exact = exact_maps(self.network, self.patterns.words[bad])
            maps.A[bad], maps.b[bad] = exact[:, :, :2], exact[:, :, 2]
        return AffineMaps(frozen(maps.A), frozen(maps.b))

    @cached_property
    def input_network(self) -> Network:
        """The network in the model's input space: on a slice without the slice's embedding, else `network`."""
        return self.domain.without(self.network) if isinstance(self.domain, Slice) else self.network

    def input_maps(self, ids: npt.ArrayLike | None = None) -> AffineMaps:
        """Output maps x -> A x + b of faces in the model's input space: ``A`` (F, out, n_inputs), ``b`` (F, out).

        On a slice these are maps of whole inputs, flat in C order, where `affine_maps` are maps of
        the slice's coordinates; else they are the same.  Float64, with errors below
        `affine.affine_map_errors` of `input_network`.  For many faces and inputs see
        `input_map_batches`: a batch takes 8 bytes times faces, outputs and inputs.

        Parameters
        ----------
        ids : (k,) array_like of int, optional
            Faces; by default all.

        Raises
        ------
        InputError
            If there is no face of such a number.
        RangeError
            If an entry is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> f = gr.Network([[[1.0, 2.0, 4.0]], [[1.0]]])
        >>> p = gr.partition(f, gr.Slice.axes(0, 2, at=[0, 1, 0], domain=gr.Box(0, 1)))
        >>> p.affine_maps.A[0, 0], p.input_maps([0]).A[0, 0]
        (array([1., 4.]), array([1., 2., 4.]))
        """
        patterns = self.patterns if ids is None else self.patterns[checked_numbers(ids, self.n_regions, "input_maps")]
        return input_maps(self.input_network, patterns)

    def input_map_batches(
        self, size: int = 1024, ids: npt.ArrayLike | None = None
    ) -> Iterator[tuple[IntArray, AffineMaps]]:
        """`input_maps` of many faces, at most `size` at a time: pairs of faces' numbers (k,) and their maps."""
        faces = np.arange(self.n_regions) if ids is None else checked_numbers(ids, self.n_regions, "input_map_batches")
        return map_batches(self.input_network, self.patterns, faces, size)

    @cached_property
    def areas(self) -> FloatArray:
        """Areas of the faces, (F,), in the domain's coordinates squared.

        Computed from the float vertices, relative to each face's first corner; for faces
        narrower than about 2^-33 of the domain's largest coordinate, on which the vertices'
        rounding would tell, from exact corners, rounded once.

        Raises
        ------
        RangeError
            If an area is too large for float64.
        """
        scaled, exponent = self.scaled_areas
        with np.errstate(over="ignore"):
            areas = np.ldexp(scaled, exponent)
        thin = np.flatnonzero(self._thinner_than(_THIN))
        if len(thin):
            from geomrelu.analysis.exact_areas import exact_areas

            # A damaged partition's lines need not cross: that is for `check` to say.
            with contextlib.suppress(InvariantError):
                areas[thin] = exact_areas(self, thin)
        # A damaged partition's vertices may be infinite or NaN: that is for `check` to say.
        large = np.isfinite(scaled) & ~np.isfinite(areas)
        if large.any():
            f = int(np.argmax(large))
            raise RangeError(
                f"areas: region {f}'s area is about 2^{int(np.log2(scaled[f])) + exponent}; expected "
                "less than 2^1024, what float64 holds; scale the domain down and the first layer's weights up"
            )
        return frozen(areas)

    @cached_property
    def centroids(self) -> FloatArray:
        """Centroids of the faces, (F, 2); of a face of no float area, the mean of its corners."""
        return frozen(self._moments[1])

    @property
    def scaled_areas(self) -> tuple[FloatArray, int]:
        """Areas in units of 2^exponent, and the exponent, 0 but for domains of extreme size; never too large."""
        return self._moments[0], self._moments[2]

    def _thinner_than(self, share: float) -> BoolArray:
        """Faces of which area over perimeter is at most this share of the domain's largest coordinate, (F,)."""
        vertices = scaled_to_range(self.vertices, self.domain)[0]
        size = np.abs(scaled_to_range(self.domain.vertices, self.domain)[0]).max()
        steps = vertices[self.face_vertices[self.ring_next]] - vertices[self.face_vertices]
        perimeters = np.add.reduceat(np.hypot(steps[:, 0], steps[:, 1]), self.face_offsets[:-1])
        return np.asarray(~(self.scaled_areas[0] > perimeters * share * size))

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray, int]:
        """Areas in units of 2^exponent, centroids, that exponent."""
        face = row_ids(self.face_offsets)
        vertices, exponents = scaled_to_range(self.vertices, self.domain)
        origin = vertices[self.face_vertices[self.face_offsets[:-1]]]
        at = vertices[self.face_vertices] - origin[face]
        to = at[self.ring_next]
        doubled = at[:, 0] * to[:, 1] - at[:, 1] * to[:, 0]
        starts = self.face_offsets[:-1]
        areas = np.add.reduceat(doubled, starts) / 2
        weighted = np.add.reduceat((at + to) * doubled[:, None], starts, axis=0)
        means = np.add.reduceat(at, starts, axis=0) / np.diff(self.face_offsets)[:, None]
        flat = ~(areas > 0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            centroids = weighted / (6 * areas[:, None])
        # In a sliver the quotient is rounding noise; the centroid lies within the corners' range.
        low, high = np.minimum.reduceat(at, starts, axis=0), np.maximum.reduceat(at, starts, axis=0)
        off = flat | ~((low <= centroids) & (centroids <= high)).all(axis=1)
        centroids[off] = means[off]
        return np.maximum(areas, 0.0), np.ldexp(centroids + origin, exponents), int(exponents.sum())

    @cached_property
    def ring_next(self) -> IntArray:
        """For each entry of the rings, the index of the entry that follows it in its face, (C,)."""
        following = np.arange(1, len(self.face_vertices) + 1, dtype=np.int64)
        following[self.face_offsets[1:] - 1] = self.face_offsets[:-1]
        return frozen(following)

    @cached_property
    def edges_inner(self) -> IntArray:
        """Numbers of the edges between two faces."""
        return frozen(np.flatnonzero((self.edge_faces >= 0).all(axis=1)))

    @cached_property
    def polygons(self) -> npt.NDArray[np.object_]:
        """Shapely polygons of the faces, (F,) object array."""
        import shapely

        sizes = np.diff(self.face_offsets)
        ring_offsets = np.concatenate([[0], np.cumsum(sizes + 1)])
        closed = np.insert(self.face_vertices, self.face_offsets[1:], self.face_vertices[self.face_offsets[:-1]])
        polygons: npt.NDArray[np.object_] = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON,
            self.vertices[closed],
            (ring_offsets, np.arange(len(sizes) + 1)),
        )
        polygons.setflags(write=False)
        return polygons

    def ring(self, face: int) -> IntArray:
        """Vertices of one face, counter-clockwise.

        Raises
        ------
        InputError
            If there is no face of that number.
        """
        if not isinstance(face, int | np.integer) or isinstance(face, bool) or not 0 <= face < self.n_regions:
            raise InputError(f"ring: got face {face!r}; expected a whole number from 0 to {self.n_regions - 1}")
        return self.face_vertices[self.face_offsets[face] : self.face_offsets[face + 1]]

    # ------------------------------------------------------------------ questions

    @cached_property
    def _locator(self) -> PointLocator:
        from geomrelu.analysis.location import PointLocator

        return PointLocator(self)

    def locate(self, points: npt.ArrayLike) -> IntArray:
        """Region of each point, -1 outside the domain, (N,) int64; exact.

        A point on a border belongs to the region whose pattern it has (zero counts as
        inactive), or else to the touching region with the lowest number.

        Parameters
        ----------
        points : (N, 2) array_like
        """
        return self._locator(_points(points))

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Output at points (N, 2) by the regions' maps, (N, out) float64; NaN outside the domain."""
        x = _points(points)
        regions = self.locate(x)
        maps = self.affine_maps
        values = np.einsum("noi,ni->no", maps.A[regions], x) + maps.b[regions]
        values[regions < 0] = np.nan
        return np.asarray(values)

    def dual_graph(self, format: str = "scipy") -> Any:
        """Which regions share an edge.

        Parameters
        ----------
        format : {"scipy", "networkx"}
            A symmetric scipy.sparse csr_array (F, F) of ones, or a networkx.Graph whose
            edges carry ``neuron``.

        Raises
        ------
        MissingDependencyError
            If networkx is asked for and not installed.
        InputError
            If there is no such format.
        """
        from geomrelu.analysis.dual_graph import networkx_graph, region_graph

        pairs = self.edge_faces[self.edges_inner]
        if format == "networkx":
            return networkx_graph(pairs, self.edge_neuron[self.edges_inner], self.n_regions)
        if format != "scipy":
            raise InputError(f"dual_graph: got format {format!r}; expected 'scipy' or 'networkx'")
        graph: csr_array = region_graph(pairs, self.n_regions)
        return graph

    def check(self, level: str = "float", progress: Progress | None = None) -> None:
        """Check the complex's invariants.

        Combinatorial ones are checked exactly.  Geometric ones hold to these tolerances, u =
        2^-53: rings turn left, and areas sum to the domain's (relative error 1e-9), but for 2^16
        u times coordinates times perimeter; patterns at centroids are compared where a bound on
        the forward pass's rounding leaves no doubt, in faces of area above 2^-40 times
        perimeter times coordinates; maps of neighbours agree along their edge but for bounds on
        the maps' own rounding (`affine.affine_map_errors`) and on the vertices' positions.

        Parameters
        ----------
        level : {"float", "exact"}
            "float": combinatorics exactly, geometry to within rounding; fast.  "exact": a proof
            in integers that these are all the regions, independent of how the partition was
            made; some thousand faces of a small network take seconds.  See `planar.audit`.
        progress : callable, optional
            Called with a message and a fraction between 0 and 1 now and then ("exact" only).

        Raises
        ------
        InvariantError
            Naming the first invariant that is broken, where, and what was got and expected.
        InputError
            If there is no such level.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 1.0]], [[2.0]]]), gr.Box(-1, 1))
        >>> p.check(level="exact")
        """
        if level == "exact":
            from geomrelu.planar.audit import audit_complex

            audit_complex(self, progress)
        elif level == "float":
            from geomrelu.planar.check import check_complex

            check_complex(self)
        else:
            raise InputError(f"check: got level {level!r}; expected 'float' or 'exact'")

    # ------------------------------------------------------------------ output

    def save(self, path: str | PathLike[str]) -> None:
        """Write the partition, network and domain included, to an ``.npz`` file; see `geomrelu.load`."""
        from geomrelu.io import save

        save(self, path)

    def to_geojson(self, path: str | PathLike[str], **options: Any) -> None:
        """Write the regions as GeoJSON with pattern, area and map; options as in `geomrelu.io.to_geojson`."""
        from geomrelu.io import to_geojson

        to_geojson(self, path, **options)

    def geo_table(self, **options: Any) -> GeoDataFrame:
        """The regions as a geopandas GeoDataFrame; options as in `geomrelu.geotables.geo_table`."""
        from geomrelu.geotables import geo_table

        return geo_table(self, **options)

    def to_geoparquet(self, path: str | PathLike[str], **options: Any) -> None:
        """Write the regions as GeoParquet; options as in `geomrelu.geotables.to_geoparquet`."""
        from geomrelu.geotables import to_geoparquet

        to_geoparquet(self, path, **options)

    def to_svg(self, path: str | PathLike[str], **options: Any) -> None:
        """Write the regions as an SVG picture; options as in `geomrelu.io.to_svg`."""
        from geomrelu.io import to_svg

        to_svg(self, path, **options)

    def to_html(self, path: str | PathLike[str], **options: Any) -> None:
        """Write an interactive page that needs no network; options as in `geomrelu.page.to_html`."""
        from geomrelu.page import to_html

        to_html(self, path, **options)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the regions; options as in `geomrelu.plot.plot_partition`."""
        from geomrelu.plot import plot_partition

        return plot_partition(self, ax, **options)

    def plot_surface(self, ax: Any = None, **options: Any) -> Any:
        """Draw an output over the domain in 3-D; options as in `geomrelu.plot.plot_surface`."""
        from geomrelu.plot import plot_surface

        return plot_surface(self, ax, **options)

    def _repr_html_(self) -> str:
        from geomrelu.plot import notebook_html

        return notebook_html(self)

    def __repr__(self) -> str:
        return (
            f"PlanarComplex({self.n_regions} regions, {self.n_vertices} vertices, {self.n_edges} edges; "
            f"{self.network!r} on {self.domain!r})"
        )


def scaled_to_range(vertices: FloatArray, domain: Domain) -> tuple[FloatArray, IntArray]:
    """Vertices over 2^exponents (one per axis), 0 unless products of a few coordinates come near float64's range."""
    exponents = np.frexp(np.abs(domain.vertices).max(axis=0))[1].astype(np.int64)
    exponents[np.abs(exponents) <= 100] = 0
    return (np.ldexp(vertices, -exponents) if exponents.any() else vertices), exponents


def _points(points: npt.ArrayLike) -> FloatArray:
    x = float_array(points, "points")
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(f"points: got shape {x.shape}, expected (N, 2); a single point is written [[x, y]]")
    return x
