"""Components and holes of superlevel sets and of classes, and which lies inside which, on the complex itself.

A set U like {f > c} meets every cell (vertex, open edge, open face) in a convex set or not at all, and
a cell whose border it meets it meets, too.  Call the cells that U meets *selected*.  By the nerve
theorem, for the cover of U by its convex parts in the closed faces, U has the homotopy type of the
selected cells' order complex, so

    components   = components of the selected faces, joined through selected edges,
    Euler number = selected faces - selected inner edges + selected inner vertices,
    holes        = components - Euler number

(of the chains of cells that begin at a vertex on the domain's border, or at an edge on it, as many
are of even as of odd length).  The cells that are left form a closed subcomplex with the homotopy type of the
complement: its components are those of its vertices, joined through its edges.

f is affine on each cell, so a cell is selected if one of its vertices is: by an exact sign.  For {f > c}
vertices where f = c are not selected, so parts that meet in a point only are apart; for {f >= c}
they are, and such parts are one.  The complement is closed, or open, the other way round, as it should be.

A class k's set, {y_k > all other outputs}, is convex in each cell, too, but may meet a face, or an edge, and none of
its vertices, if there are three outputs or more.  The faces that it meets are those in which output k has a cell of its
own and equals no other output (`ties`); an edge without a common largest output at its ends is asked by itself.

*Inside.*  Parts of U and of the complement are nodes, joined if they touch.  The domain has no holes, so
this graph is a tree, in which those parts that reach the domain's border are connected with one another.
Any other part has one neighbour on the way to them: the part around it.

References: H. Edelsbrunner, J. Harer, "Computational Topology", 2010, chapters III and IV; for networks'
level sets M. Bianchini, F. Scarselli, "On the Complexity of Neural Network Classifiers", 2014.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from geomrelu.analysis.outputs import Functionals
from geomrelu.analysis.ties import Contest, alone_on_edges
from geomrelu.arrays import BoolArray, IntArray, frozen
from geomrelu.errors import InputError

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Betti", "betti", "class_betti"]


@dataclass(frozen=True, eq=False)
class Betti:
    """Betti numbers of a set in the domain and of its complement there, and how their components are nested.

    Attributes
    ----------
    components, holes : int
        Of the set.
    complement_components, complement_holes : int
        Of the rest of the domain.  A hole is a bounded part of what is left of the plane, if all beyond
        the domain's border is thought of as reached from outside.
    parents : (components + complement_components,) int64
        The tree: for each component of the set, then of the complement, the one that surrounds it, -1 if it
        reaches the domain's border.
    face_components : (F,) int64
        The component of the set that each region of `partition` meets, -1 where it meets none.
    partition : PlanarComplex
        The partition that was asked.
    """

    components: int
    holes: int
    complement_components: int
    complement_holes: int
    parents: IntArray = field(repr=False)
    face_components: IntArray = field(repr=False)
    partition: PlanarComplex = field(repr=False)

    @property
    def depths(self) -> IntArray:
        """How many components surround each one, in the order of `parents`."""
        depths = np.zeros(len(self.parents), dtype=np.int64)
        above = self.parents
        while (above >= 0).any():
            depths += above >= 0
            above = np.where(above >= 0, self.parents[above], -1)
        return depths

    def holes_of(self, component: int) -> int:
        """Holes of one component of the set: the components of the complement directly inside it.

        Raises
        ------
        InputError
            If there is no component of that number.
        """
        if not isinstance(component, int | np.integer) or not 0 <= component < self.components:
            raise InputError(
                f"holes_of: got component {component!r}; expected a whole number from 0 to {self.components - 1}"
            )
        return int(np.count_nonzero(self.parents[self.components :] == component))


def betti(p: PlanarComplex, c: Any = 0.0, output: Any = 0, closed: bool = False) -> Betti:
    """Betti numbers of {f > c}, or {f >= c}; see `PlanarComplex.betti`."""
    if not isinstance(output, int | np.integer) or isinstance(output, bool) or not 0 <= output < p.network.n_outputs:
        raise InputError(f"betti: got output {output!r}; expected a whole number from 0 to {p.network.n_outputs - 1}")
    if not isinstance(c, int | float | np.number) or isinstance(c, bool) or not np.isfinite(c):
        raise InputError(f"betti: got c={c!r}; expected a finite number, the level that f is compared with")
    row = np.zeros((1, p.network.n_outputs))
    row[0, output] = 1.0
    signs = p._vertex_outputs.signs(Functionals(row, np.array([float(c)])))[:, 0]
    return _betti(p, _by_vertices(p, signs >= 0 if closed else signs > 0))


def class_betti(p: PlanarComplex) -> tuple[Betti, ...]:
    """Betti numbers of each class's open set; see `PlanarComplex.class_betti`."""
    n = p.network.n_outputs
    if n <= 2:
        row = np.ones((1, 1)) if n == 1 else np.array([[-1.0, 1.0]])
        signs = p._vertex_outputs.signs(Functionals(row, np.zeros(1)))[:, 0]
        return tuple(_betti(p, _by_vertices(p, signs * side > 0)) for side in (-1, 1))
    outputs = p._vertex_outputs
    on_edges = alone_on_edges(p, Contest(outputs, outputs.top))
    return tuple(_betti(p, _by_class(p, k, on_edges[:, k])) for k in range(n))


class _Selected(NamedTuple):
    """Which cells a set meets; whatever is selected, all cells that have it on their border are."""

    vertices: BoolArray
    edges: BoolArray
    faces: BoolArray


def _by_vertices(p: PlanarComplex, chosen: BoolArray) -> _Selected:
    u, v = p.edges.T
    return _Selected(
        chosen, chosen[u] | chosen[v], np.logical_or.reduceat(chosen[p.face_vertices], p.face_offsets[:-1])
    )


def _by_class(p: PlanarComplex, k: int, on_edges: BoolArray) -> _Selected:
    """Cells that the set where output k alone is the largest meets; `on_edges` (E,) says so of the edges."""
    top, ties = p._vertex_outputs.top, p._class_ties
    on_faces = ties.winner == k
    on_faces[ties.cell_face[ties.cell_class == k]] = True
    # Equal to another one on the region, it is nowhere alone there.
    on_faces[ties.tied[(ties.tied[:, 1:] == k).any(axis=1), 0]] = False
    return _Selected(top[:, k] & (np.count_nonzero(top, axis=1) == 1), on_edges, on_faces)


def _betti(p: PlanarComplex, selected: _Selected) -> Betti:
    inner, (left, right), (u, v) = p.edges_inner, p.edge_faces.T, p.edges.T
    border = (p.edge_faces < 0).any(axis=1)
    on_border = np.zeros(p.n_vertices, dtype=bool)
    on_border[p.edges[border]] = True
    joined = inner[selected.edges[inner]]
    n_in, of_face = _components(p.n_regions, left[joined], right[joined], selected.faces)
    rest = ~selected.edges
    n_out, of_vertex = _components(p.n_vertices, u[rest], v[rest], ~selected.vertices)
    euler = int(selected.faces.sum()) - len(joined) + int((selected.vertices & ~on_border).sum())
    euler_rest = int((~selected.vertices).sum()) - int(rest.sum()) + int((~selected.faces).sum())
    # Which touch: a selected face and a vertex of its border that is not.
    faces = np.repeat(of_face, np.diff(p.face_offsets))
    around = of_vertex[p.face_vertices]
    touching = np.unique(np.stack([faces, n_in + around], axis=1)[(faces >= 0) & (around >= 0)], axis=0)
    reached = border & selected.edges
    outermost = np.concatenate(
        [of_face[np.maximum(left, right)[reached]], n_in + of_vertex[on_border & ~selected.vertices]]
    )
    parents = _parents(n_in + n_out, touching, np.unique(outermost))
    return Betti(n_in, n_in - euler, n_out, n_out - euler_rest, frozen(parents), frozen(of_face), p)


def _components(n: int, a: IntArray, b: IntArray, chosen: BoolArray) -> tuple[int, IntArray]:
    """Components of the chosen ones of n nodes with arcs (a, b), in the order of their first nodes; -1 elsewhere."""
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    labels = connected_components(graph.tocsr(), directed=False)[1]
    own, first, numbers = np.unique(labels[chosen], return_index=True, return_inverse=True)
    rank = np.empty(len(own), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(own))
    result = np.full(n, -1, dtype=np.int64)
    result[chosen] = rank[numbers.ravel()]
    return len(own), result


def _parents(n: int, arcs: IntArray, outermost: IntArray) -> IntArray:
    """For each of n nodes of a tree the next one on the way to the outermost, -1 for these."""
    # One more node, outside of all.
    a = np.concatenate([arcs[:, 0], np.full(len(outermost), n)])
    b = np.concatenate([arcs[:, 1], outermost])
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n + 1, n + 1)).tocsr()
    before = breadth_first_order(graph, n, directed=False, return_predecessors=True)[1][:n].astype(np.int64)
    return np.where(before == n, -1, before)
