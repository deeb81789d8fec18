"""The surface on which an output of a network with three inputs has a value: an exact polygon mesh.

The output minus the value is one more neuron behind the last layer, and its zero set is cut out with all others: by
the same exact signs.  The surface is the border of the set where the output exceeds the value: the facets beside
which that neuron is active on one side only.  Its polygons are convex, lie in one region each, and share edges and
vertices, so it has no gaps; each vertex is the point in which the surface crosses an edge of the partition (or a
vertex of it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.affine import AffineMaps, affine_maps
from geomrelu.arrays import FloatArray, IntArray, ReadOnly, frozen
from geomrelu.errors import InputDimensionError, InputError, MissingDependencyError
from geomrelu.files import atomic_path, check_output_path
from geomrelu.patterns import Patterns
from geomrelu.polyhedral.added_neurons import with_functionals
from geomrelu.polyhedral.rings import doubled_areas, face_towards, facet_rings

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["LevelSet", "face_towards", "facet_rings", "level_set"]

_FORMATS = (".ply", ".obj", ".stl")


@dataclass(frozen=True, eq=False, repr=False)
class LevelSet(ReadOnly):
    """A surface of convex polygons.

    Attributes
    ----------
    vertices : (V, 3) float64
    vertex_errors : (V,) float64
        Bounds on the vertices' distances from their true points.
    offsets, polygons : (P + 1,), (C,) int64
        Polygon k has the vertices ``polygons[offsets[k] : offsets[k + 1]]``, counter-clockwise as seen from where the
        output is larger.
    regions : (P,) int64
        The region of the partition in which each polygon lies, or to which it belongs where the output is larger if it
        lies on a border between regions; exact.  -1 where a partial partition has no such region.
    patterns : Patterns
        The activation pattern of each polygon's region; exact.
    partition : PolyhedralComplex
    value : float
    output : int
        What it is a level set of.
    capped : bool
        Whether the part of the domain's border where the output is larger belongs to the surface, too.
    """

    vertices: FloatArray
    vertex_errors: FloatArray
    offsets: IntArray
    polygons: IntArray
    regions: IntArray
    patterns: Patterns
    partition: PolyhedralComplex
    value: float
    output: int
    capped: bool

    @property
    def n_polygons(self) -> int:
        """Number of polygons."""
        return len(self.offsets) - 1

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray]:
        """Edges (E, 2), and how many polygons each has beside it (E,); exact."""
        following = np.arange(1, len(self.polygons) + 1)
        following[self.offsets[1:] - 1] = self.offsets[:-1]
        ends = np.sort(np.stack([self.polygons, self.polygons[following]], axis=1), axis=1)
        found, counts = np.unique(ends, axis=0, return_counts=True)
        return frozen(found), frozen(counts.astype(np.int64))

    @property
    def is_closed(self) -> bool:
        """Whether each edge has two polygons (or more even), so that the surface ends nowhere; exact."""
        return bool((self.edges[1] % 2 == 0).all())

    @property
    def euler_characteristic(self) -> int:
        """Vertices minus edges plus polygons; exact."""
        return len(self.vertices) - len(self.edges[0]) + self.n_polygons

    @cached_property
    def n_components(self) -> int:
        """Number of connected parts; exact."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ends, n = self.edges[0], len(self.vertices)
        graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
        return int(connected_components(graph, directed=False)[0]) if n else 0

    @property
    def genus(self) -> int:
        """Number of handles of all parts together, half the first Betti number of a closed surface; exact.

        Raises
        ------
        InputError
            If the surface is not closed, or not a surface at some edge: more than two polygons meet there.
        """
        if not (self.edges[1] == 2).all():
            raise InputError(
                "genus: got a surface with edges that have not two polygons; expected a closed one: take a larger "
                "domain "
                "or level_set(..., capped=True)"
            )
        return (2 * self.n_components - self.euler_characteristic) // 2

    @cached_property
    def affine_maps(self) -> AffineMaps:
        """Output maps of the polygons' regions: ``A`` (P, out, 3), ``b`` (P, out), errors as in `affine`."""
        maps = affine_maps(self.partition.network, self.patterns)
        return AffineMaps(frozen(maps.A), frozen(maps.b))

    @cached_property
    def normals(self) -> FloatArray:
        """Unit normals of the polygons, towards where the output is larger, (P, 3), rounded."""
        own = self._twice_areas
        return frozen(own / np.maximum(np.linalg.norm(own, axis=1), 1e-300)[:, None])

    @cached_property
    def areas(self) -> FloatArray:
        """Areas of the polygons, (P,), rounded."""
        return frozen(np.linalg.norm(self._twice_areas, axis=1) / 2)

    @cached_property
    def _twice_areas(self) -> FloatArray:
        """Normal vectors of the polygons, as long as twice their areas, (P, 3)."""
        return doubled_areas(self.vertices[self.polygons], self.offsets)

    def triangles(self) -> IntArray:
        """The polygons as fans of triangles, (T, 3)."""
        sizes = np.diff(self.offsets)
        polygon = np.repeat(np.arange(len(sizes)), sizes - 2)
        at = np.arange(len(polygon)) - np.repeat(np.cumsum(sizes - 2) - (sizes - 2), sizes - 2)
        first = self.offsets[:-1][polygon]
        return np.stack([self.polygons[first], self.polygons[first + at + 1], self.polygons[first + at + 2]], axis=1)

    @property
    def area(self) -> float:
        """Area, rounded."""
        return float(self.areas.sum())

    @property
    def volume(self) -> float:
        """Volume of the part where the output is smaller, by the divergence theorem, rounded.

        Of a capped surface it is minus the volume of the part where the output is larger.
        """
        a, b, c = self.vertices[self.triangles()].transpose(1, 0, 2)
        return float(np.einsum("ti,ti->", a, np.cross(b, c)) / 6)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the surface; options as in `geomrelu.plot.plot_level_set`."""
        from geomrelu.plot import plot_level_set

        return plot_level_set(self, ax, **options)

    def to_html(self, path: str | PathLike[str], **options: Any) -> None:
        """Write an interactive page that needs no network; options as in `geomrelu.page.mesh_to_html`."""
        from geomrelu.page import mesh_to_html

        mesh_to_html(self, path, **options)

    def to_trimesh(self) -> Any:
        """The triangles as a ``trimesh.Trimesh``.

        Raises
        ------
        MissingDependencyError
            If trimesh is not installed.
        """
        try:
            import trimesh
        except ImportError as error:
            raise MissingDependencyError("level_set: trimesh is not installed; pip install 'geomrelu[mesh]'") from error
        return trimesh.Trimesh(self.vertices, self.triangles(), process=False)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the triangles to a ``.ply``, ``.obj`` or ``.stl`` file (the last two round to fewer digits).

        Raises
        ------
        OutputPathError
            If the file cannot be written; no partial file is left.
        InputError
            If the suffix is another one.
        MissingDependencyError
            If trimesh is not installed.
        """
        target = check_output_path(path)
        suffix = target.suffix.lower()
        if suffix not in _FORMATS:
            raise InputError(f"save: got the suffix {target.suffix!r} ({target}); expected {', '.join(_FORMATS)}")
        data = self.to_trimesh().export(file_type=suffix[1:])
        with atomic_path(target) as temporary:
            temporary.write_bytes(data if isinstance(data, bytes) else data.encode())

    def __repr__(self) -> str:
        return f"LevelSet({self.n_polygons} polygons, {len(self.vertices)} vertices)"


def level_set(p: PolyhedralComplex, value: float, output: int, capped: bool) -> LevelSet:
    """See `PolyhedralComplex.level_set`."""
    from geomrelu.polyhedral.build import build_polyhedral

    if p.dimension != 3:
        raise InputDimensionError(f"level_set: got a partition in {p.dimension} dimensions, expected 3")
    if not np.isfinite(value):
        raise InputError(f"level_set: got the value {value!r}, expected a finite number")
    outputs = p.network.n_outputs
    if not isinstance(output, int | np.integer) or isinstance(output, bool) or not 0 <= output < outputs:
        raise InputError(f"level_set: got output={output!r}, expected a whole number from 0 to {outputs - 1}")
    row = np.eye(outputs)[[int(output)]]
    q = build_polyhedral(with_functionals(p.network, row, np.array([float(value)])), p.domain)
    return _surface(p, q, float(value), int(output), capped)


def _surface(p: PolyhedralComplex, q: PolyhedralComplex, value: float, output: int, capped: bool) -> LevelSet:
    """The border of the set on which the last neuron of q, p's network with one more neuron, is active."""
    active = q.patterns.unpack(len(q.network.hidden) - 1)[:, 0]
    sides = q.facet_regions
    beside = np.where(sides >= 0, active[sides], False)
    chosen = np.flatnonzero((beside[:, 0] != beside[:, 1]) & (capped | (sides[:, 0] >= 0)))
    larger = sides[chosen, beside[chosen, 1].astype(np.int64)]
    used, offsets, rings = facet_rings(q, chosen)
    vertices = q.vertices[used]
    face_towards(vertices, q.interior_points[larger], offsets, rings)
    # The added neuron has the last word of a pattern for itself.
    patterns = Patterns(q.patterns.words[larger, :-1], p.network.widths)
    return LevelSet(
        frozen(vertices), frozen(q.vertex_errors[used]), frozen(offsets), frozen(rings),
        frozen(p._locator.by_pattern(patterns)), patterns, p, value, output, capped,
    )  # fmt: skip
