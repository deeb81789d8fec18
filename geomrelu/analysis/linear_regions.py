"""Which faces share their affine map: linear regions and affine pieces.

Maps are compared exactly.  Two float maps that differ by more than the sum of their error
bounds differ; the others are compared as integers (`geomrelu.exact`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geomrelu.affine import AffineMaps, affine_map_errors, affine_maps
from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, frozen
from geomrelu.errors import RangeError
from geomrelu.exact import ExactForms
from geomrelu.network import Network
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["LinearRegions", "distinct_maps", "joined_regions", "linear_regions", "same_maps"]

# Pays for the rounding of a difference and of a sum of bounds.
_SLACK = 1.001


class LinearRegions(NamedTuple):
    """Faces grouped by their exact affine map.

    Attributes
    ----------
    labels : (F,) int64
        Linear region of each face: faces with one map that are connected through edges,
        numbered in the order of their first faces.
    n_linear_regions : int
        Number of such regions: maximal open connected sets on which the function is affine
        (Stargalla, Hertrich, Reichman 2025, Definition 4).
    map_labels : (F,) int64
        Equal for faces with equal maps, connected or not.
    n_affine_pieces : int
        Number of distinct maps (their Definition 6).
    """

    labels: IntArray
    n_linear_regions: int
    map_labels: IntArray
    n_affine_pieces: int


def linear_regions(p: PlanarComplex) -> LinearRegions:
    """Group the faces of a complex by affine map, exactly."""
    try:
        maps = p.affine_maps
    except RangeError:
        maps = affine_maps(p.network, p.patterns)
    return joined_regions(p.network, p.patterns, maps, p.edge_faces[p.edges_inner])


def joined_regions(network: Network, patterns: Patterns, maps: AffineMaps, pairs: IntArray) -> LinearRegions:
    """Group regions, of any dimension, by affine map, exactly.

    Parameters
    ----------
    network : Network
    patterns : Patterns
        F of them.
    maps : AffineMaps
        Theirs, as `affine.affine_maps` has them or better.
    pairs : (M, 2) int64
        Neighbours: regions that share an edge, or a facet.
    """
    map_labels, n_maps = distinct_maps(network, patterns, maps)
    left, right = pairs.T
    joined = map_labels[left] == map_labels[right]
    a, b = left[joined], right[joined]
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(patterns), len(patterns)))
    n, labels = connected_components(graph.tocsr(), directed=False)
    own_labels = _by_first(labels.astype(np.int64))
    return LinearRegions(frozen(own_labels), int(n), frozen(_by_first(map_labels)), n_maps)


def _by_first(labels: IntArray) -> IntArray:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.ravel()]


def distinct_maps(network: Network, patterns: Patterns, maps: AffineMaps) -> tuple[IntArray, int]:
    """Labels of the patterns (F,), equal where their exact maps are, and the number of distinct maps.

    Parameters
    ----------
    network : Network
    patterns : Patterns
        F of them.
    maps : AffineMaps
        Theirs, as `affine.affine_maps` has them or better.
    """
    values, bounds = _entries(maps), _entries(affine_map_errors(network, patterns))
    groups = _overlapping(values, bounds)
    counts = np.bincount(groups)
    shared = np.flatnonzero(counts[groups] > 1)
    labels = groups.astype(np.int64)
    next_label = int(groups.max()) + 1 if len(groups) else 0
    if len(shared):
        forms = ExactForms(network)
        keys: dict[tuple[int, ...], int] = {}
        for f in shared.tolist():
            key = _exact_key(forms, patterns.words[f])
            labels[f] = keys.setdefault(key, next_label + len(keys))
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.ravel().astype(np.int64)
    return labels, int(labels.max()) + 1 if len(labels) else 0


def same_maps(network: Network, left: WordArray, right: WordArray) -> BoolArray:
    """Whether the maps under two packed patterns are equal, row by row of (N, words), exactly; (N,)."""
    values, bounds = [], []
    for words in (left, right):
        patterns = Patterns(words, network.widths)
        values.append(_entries(affine_maps(network, patterns)))
        bounds.append(_entries(affine_map_errors(network, patterns)))
    with np.errstate(over="ignore", invalid="ignore"):
        differing = np.abs(values[0] - values[1]) > (bounds[0] + bounds[1]) * _SLACK
    same: BoolArray = ~np.asarray(differing.any(axis=1))
    forms = ExactForms(network)
    for k in np.flatnonzero(same).tolist():
        same[k] = _exact_key(forms, left[k]) == _exact_key(forms, right[k])
    return same


def _exact_key(forms: ExactForms, words: WordArray) -> tuple[int, ...]:
    return tuple(int(v) for v in forms.output_map(words).ravel())


def _entries(maps: AffineMaps) -> FloatArray:
    """A map's numbers in a row, (F, (d + 1) out)."""
    return np.concatenate([maps.A.reshape(len(maps.b), maps.A.shape[1] * maps.A.shape[2]), maps.b], axis=1)


def _overlapping(values: FloatArray, bounds: FloatArray) -> IntArray:
    """Groups of rows such that rows whose boxes ``values +- bounds`` overlap are in one group.

    Refined one column after another: within the groups so far, rows are sorted and split
    where a gap between intervals is certain.
    """
    n = len(values)
    groups = np.zeros(n, dtype=np.int64)
    for column in range(values.shape[1]):
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = values[:, column] - bounds[:, column], values[:, column] + bounds[:, column]
        # What overflowed may be anything.
        low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
        order = np.lexsort((low, groups))
        g, lo, hi = groups[order], low[order], high[order]
        # Running maximum of the intervals' ends within each group: ranks keep groups apart.
        ends = np.unique(hi, return_inverse=True)[1].ravel()
        reach = np.maximum.accumulate(g * (n + 1) + ends)
        sorted_ends = np.unique(hi)
        before = sorted_ends[(reach % (n + 1))[:-1]]
        new = np.empty(n, dtype=bool)
        new[:1] = True
        new[1:] = (g[1:] != g[:-1]) | (lo[1:] > before)
        groups[order] = np.cumsum(new) - 1
    return groups
