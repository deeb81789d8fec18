"""The six things that are called a linear region, counted.

After C. Stargalla, C. Hertrich, D. Reichman, "The Computational Complexity of Counting Linear
Regions in ReLU Neural Networks", 2025 (arXiv 2505.16716), Definitions 1 to 6.  All counts
are of the function on the complex's domain, and exact: no tolerance enters.  They form a
chain, each at least the next::

    activation >= proper_activation >= convex >= open_connected >= closed_connected >= affine
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from geomrelu.analysis.closed_regions import closed_connected_labels
from geomrelu.analysis.convex_cells import convex_cells
from geomrelu.analysis.polyhedral_definitions import count_bounds
from geomrelu.analysis.vertices import ExactVertices
from geomrelu.arrays import IntArray, WordArray
from geomrelu.errors import InputError
from geomrelu.patterns import Patterns
from geomrelu.polyhedral.complex import PolyhedralComplex

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = [
    "DEFINITIONS",
    "Count",
    "CountBounds",
    "count",
    "count_activation",
    "count_affine",
    "count_closed_connected",
    "count_convex",
    "count_open_connected",
    "count_proper_activation",
    "lower_patterns",
]


class CountBounds(NamedTuple):
    """A count that is not decided: at least `lower`, at most `upper`."""

    lower: int
    upper: int

    def __str__(self) -> str:
        return f"{self.lower} to {self.upper}"


Count: TypeAlias = "int | CountBounds"


def count_activation(p: PlanarComplex) -> int:
    """Activation patterns attained anywhere in the closed domain (Definition 1); exact.

    Patterns that are attained only at points, or along segments, count too.  A neuron that
    is exactly zero counts as inactive.

    Examples
    --------
    The neurons x and -x are both inactive where x = 0, and nowhere else:

    >>> import geomrelu as gr
    >>> f = gr.Network([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 2.0]]])
    >>> p = gr.partition(f, gr.Box(-1, 1))
    >>> count_activation(p), count_proper_activation(p)
    (3, 2)
    """
    (_, along), (_, there) = lower_patterns(p)
    lower: WordArray = np.concatenate([along, there])
    return p.n_regions + len(np.unique(Patterns(lower, p.network.widths).keys()))


def lower_patterns(p: PlanarComplex) -> tuple[tuple[IntArray, WordArray], tuple[IntArray, WordArray]]:
    """Edges, and vertices, whose pattern is that of no face beside or around them: numbers, and patterns (k, words).

    With exact signs, of a block of faces too: its border's edges have one side, and vertices a part of their faces.
    """
    nowhere, n_words = np.empty(0, dtype=np.int64), p.patterns.words.shape[1]
    if p.network.n_neurons == 0:
        nothing = np.empty((0, n_words), dtype=np.uint64)
        return (nowhere, nothing), (nowhere, nothing)
    at = _vertices(p)
    at_vertices = at.positive.words
    u, v = p.edges.T
    left, right = p.edge_faces.T
    faces = p.patterns.words
    # Along an edge a neuron that is positive beside it is zero only if it is zero at both ends.
    beside = faces[np.where(left >= 0, left, right)] & faces[np.where(right >= 0, right, left)]
    along = beside & (at_vertices[u] | at_vertices[v])
    new_edges = ~((along == faces[left]).all(axis=1) & (left >= 0))
    new_edges &= ~((along == faces[right]).all(axis=1) & (right >= 0))
    # A pattern's points form a convex set, so one that a face has is also that of a face around the vertex.
    around = (at_vertices[p.face_vertices] == faces[at.owner]).all(axis=1)
    new_vertices = np.ones(p.n_vertices, dtype=bool)
    new_vertices[p.face_vertices[around]] = False
    return (np.flatnonzero(new_edges), along[new_edges]), (np.flatnonzero(new_vertices), at_vertices[new_vertices])


def count_proper_activation(p: PlanarComplex) -> int:
    """Activation patterns of full-dimensional regions (Definition 2): ``p.n_regions``.

    Examples
    --------
    relu(x) - relu(-x) is x, one piece in every later sense, but has two patterns:

    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, -1.0]]]), gr.Box(-1, 1))
    >>> count_proper_activation(p), count_convex(p)
    (2, 1)
    """
    return p.n_regions


def count_convex(p: PlanarComplex) -> Count:
    """Fewest cells of a polyhedral complex on whose cells f is affine (Definition 3).

    Cells of a polyhedral complex are convex and meet in common faces, so no vertex lies
    inside another cell's side.  Finding the minimum is hard in general; here it lies
    between two bounds, which mostly agree.  Lower: how many cuts the corners of 180 degrees
    or more of the linear regions need at least.  Upper: a complex found by leaving out
    edges of the partition.  `geomrelu.analysis.convex_cells` proves the one and builds the other.

    Returns
    -------
    int or CountBounds
        The count where the bounds agree, else both.

    Examples
    --------
    relu(relu(x) - y) - relu(x) is linear on two wedges and on the rest of the plane, which
    is not convex:

    >>> import geomrelu as gr
    >>> f = gr.Network([[[1, 0], [0, 1], [0, -1]], [[1, -1, 1], [1, 0, 0]], [[1, -1]]])
    >>> p = gr.partition(f, gr.Box(-3, 3))
    >>> count_proper_activation(p), count_convex(p), count_open_connected(p)
    (5, 4, 3)
    """
    found = convex_cells(p, _vertices(p))
    return found.upper if found.lower == found.upper else CountBounds(found.lower, found.upper)


def count_open_connected(p: PlanarComplex) -> int:
    """Maximal open connected sets on which f is affine (Definition 4): ``p.n_linear_regions``; exact.

    Examples
    --------
    f = relu(|y| - relu(|x| - 1)) is zero on two wedges that point at each other, and on the
    segment between their tips:

    >>> import geomrelu as gr
    >>> f = gr.Network([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[-1, -1, 1, 1]], [[1]]], [[-1, -1, 0, 0], [0], [0]])
    >>> p = gr.partition(f, gr.Box(-3, 3))
    >>> count_open_connected(p), count_closed_connected(p)
    (8, 7)
    """
    return p.n_linear_regions


def count_closed_connected(p: PlanarComplex) -> int:
    """Maximal closed connected sets on which f is affine, full-dimensional ones (Definition 5); exact.

    Such a set is a component of {f = g} for an affine map g.  Two pieces with one map that
    touch in a vertex, or are joined by a path on which f = g, are one; the path may run
    through the inside of faces with other maps.

    Examples
    --------
    relu(x) - relu(x - 1) - relu(x - 2) + relu(x - 3) is 0 both below 0 and above 3, and not
    between:

    >>> import geomrelu as gr
    >>> f = gr.Network([[[1, 0]] * 4, [[1, -1, -1, 1]]], [[0, -1, -2, -3], [0]])
    >>> p = gr.partition(f, gr.Box(-1, 4))
    >>> count_closed_connected(p), count_affine(p)
    (5, 4)
    """
    return int(closed_connected_labels(p, _vertices(p)).max()) + 1


def count_affine(p: PlanarComplex) -> int:
    """Distinct affine maps of full-dimensional pieces, connected or not (Definition 6): ``p.n_affine_pieces``; exact.

    Examples
    --------
    Both functions have slopes 0, 1, 0, -1 or 1 and 0 in five strips.  The one that goes up twice has five
    different maps; the one that comes back has the map 0 in its first strip and its last:

    >>> import geomrelu as gr
    >>> weights, biases = [[0, 1]] * 4, [0, -1, -2, -3]
    >>> up_and_down = gr.Network([weights, [[1, -1, 1, -1]]], [biases, [0]])
    >>> there_and_back = gr.Network([weights, [[1, -1, -1, 1]]], [biases, [0]])
    >>> for f in (up_and_down, there_and_back):
    ...     p = gr.partition(f, gr.Box(-1, 4))
    ...     print(count_closed_connected(p), count_affine(p))
    5 5
    5 4
    """
    return p.n_affine_pieces


DEFINITIONS: dict[str, Callable[[PlanarComplex], Count]] = {
    "activation": count_activation,
    "proper_activation": count_proper_activation,
    "convex": count_convex,
    "open_connected": count_open_connected,
    "closed_connected": count_closed_connected,
    "affine": count_affine,
}


def count(p: PlanarComplex | PolyhedralComplex, definition: str) -> Count:
    """Number of linear regions in the sense of one of `DEFINITIONS`.

    Raises
    ------
    InputError
        If there is no definition of that name.
    """
    if not isinstance(definition, str) or definition not in DEFINITIONS:
        raise InputError(f"count: got definition {definition!r}; expected one of {', '.join(DEFINITIONS)}")
    if isinstance(p, PolyhedralComplex):
        lower, upper = count_bounds(p, definition)
        return upper if lower == upper else CountBounds(lower, upper)
    return DEFINITIONS[definition](p)


def _vertices(p: PlanarComplex) -> ExactVertices:
    return p._exact_vertices
