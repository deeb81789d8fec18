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

from geomrelu.arrays import FloatArray, IntArray, ReadOnly, frozen, lean, row_ids
from geomrelu.errors import InputDimensionError, InputError, MissingDependencyError
from geomrelu.files import atomic_path, check_output_path
from geomrelu.polyhedral.added_neurons import with_functionals

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
    capped : bool
        Whether the part of the domain's border where the output is larger belongs to the surface, too.
    """

    vertices: FloatArray
    vertex_errors: FloatArray
    offsets: IntArray
    polygons: IntArray
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
        a, b, c = self.vertices[self.triangles()].transpose(1, 0, 2)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    @property
    def volume(self) -> float:
        """Volume of the part where the output is smaller, by the divergence theorem, rounded.

        Of a capped surface it is minus the volume of the part where the output is larger.
        """
        a, b, c = self.vertices[self.triangles()].transpose(1, 0, 2)
        return float(np.einsum("ti,ti->", a, np.cross(b, c)) / 6)

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
    return surface_of(build_polyhedral(with_functionals(p.network, row, np.array([float(value)])), p.domain), capped)


def surface_of(q: PolyhedralComplex, capped: bool) -> LevelSet:
    """The border of the set on which the last neuron of a partition is active."""
    active = q.patterns.unpack(len(q.network.hidden) - 1)[:, 0]
    sides = q.facet_regions
    beside = np.where(sides >= 0, active[sides], False)
    chosen = np.flatnonzero((beside[:, 0] != beside[:, 1]) & (capped | (sides[:, 0] >= 0)))
    larger = sides[chosen, beside[chosen, 1].astype(np.int64)]
    used, offsets, rings = facet_rings(q, chosen)
    vertices = q.vertices[used]
    face_towards(vertices, q.interior_points[larger], offsets, rings)
    return LevelSet(frozen(vertices), frozen(q.vertex_errors[used]), frozen(offsets), frozen(rings), capped)


def facet_rings(q: PolyhedralComplex, chosen: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Some facets of a partition in three dimensions as rings, in one of two directions; exact.

    Returns
    -------
    used : (V,) int64
        The vertices that they have.
    offsets, rings : (P + 1,), (C,) int64
        Ring k is ``rings[offsets[k] : offsets[k + 1]]``, places in `used`.
    """
    sizes = np.diff(q.facet_offsets)[chosen]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    corners = q.facet_vertices[np.repeat(q.facet_offsets[chosen] - offsets[:-1], sizes) + np.arange(offsets[-1])]
    used, number = np.unique(corners, return_inverse=True)
    place = np.full(q.n_vertices, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    ends = place[q.edges]
    ends = ends[(ends >= 0).all(axis=1)]
    ends = np.concatenate([ends, ends[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    starts = np.searchsorted(ends[:, 0], np.arange(len(used) + 1))
    rings = np.empty(len(corners), dtype=np.int64)
    walk_rings(
        offsets, number.astype(np.int64), starts, np.ascontiguousarray(ends[:, 1]), np.full(len(used), -1), rings
    )
    return used, offsets, rings


@lean
def walk_rings(
    offsets: IntArray, corners: IntArray, starts: IntArray, neighbors: IntArray, mark: IntArray, rings: IntArray
) -> None:
    """Put the corners of convex polygons in order around them: an edge joins neighbours on a ring and no others of it.

    Vertex v has edges to ``neighbors[starts[v] : starts[v + 1]]``; `mark` (V,) is scratch, of -1.
    """
    for polygon in range(len(offsets) - 1):
        first, stop = offsets[polygon], offsets[polygon + 1]
        for k in range(first, stop):
            mark[corners[k]] = polygon
        at = corners[first]
        for k in range(first, stop):
            rings[k] = at
            mark[at] = -1
            for n in range(starts[at], starts[at + 1]):
                if mark[neighbors[n]] == polygon:
                    at = neighbors[n]
                    break


def face_towards(vertices: FloatArray, larger: FloatArray, offsets: IntArray, rings: IntArray) -> None:
    """Turn rings so that they are counter-clockwise as seen from points (P, 3), in place."""
    polygon = row_ids(offsets)
    following = np.arange(1, len(rings) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    origin = vertices[rings[offsets[:-1]]]
    at = vertices[rings] - origin[polygon]
    normal = np.zeros((len(origin), 3))
    np.add.at(normal, polygon, np.cross(at, at[following]))
    wrong = (normal * (larger - origin)).sum(axis=1) < 0
    turned = wrong[polygon]
    places = np.arange(len(rings))
    mirrored = offsets[:-1][polygon] + offsets[1:][polygon] - 1 - places
    rings[:] = np.where(turned, rings[mirrored], rings)
