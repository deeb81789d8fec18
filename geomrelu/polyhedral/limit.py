"""The true complex of a degenerate network: what the perturbed, simple one becomes as the perturbation goes to zero.

Flats of the simple complex are spanned by forms with independent gradients, which the perturbation does not
change; only cells may collapse.  A cell's true sign vector is the union of those of its vertices (signs without the
``null`` ones), and identifies the true cell that it tends to.  So

- vertices with the same true sign vector are one; edges whose ends become one vanish;
- a region keeps its dimension if every form that is zero on all of it has gradient zero under its pattern (an
  inactive neuron: its bit is cleared); the others vanish;
- a cell of dimension d - 1 keeps its dimension if every form that is zero on it has a gradient that is a
  multiple of its own form's; such cells with the same true sign vector are one facet, between those of the regions
  beside them that keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from geomrelu.arrays import BoolArray, IntArray, WordArray
from geomrelu.errors import InvariantError
from geomrelu.polyhedral.regions import facet_signs
from geomrelu.polyhedral.simple import SimpleComplex

__all__ = ["Gradient", "Limit", "count_full_regions", "limit_of"]

# Gradient, in integers, of the form with a given bit, under a pattern.
Gradient: TypeAlias = Callable[[int, WordArray], list[Any]]


@dataclass(frozen=True)
class Limit:
    """The true complex, in numbers of the simple one's elements.

    Attributes
    ----------
    vertices : (V,) int64
        One simple vertex of each true vertex.
    edges : (E, 2) int64
        Ends, true vertices.
    patterns : (R, words) uint64
    volume_regions : (R,) int64
        The simple region that tends to each true region; its volume is the same.
    region_offsets, region_vertices : (R + 1,), (.,) int64
    facet_regions : (M, 2) int64
        True regions on the negative and positive side, -1 outside.
    facet_bits : (M,) int64
        Bits of the facets' forms.
    positive, negative : (V, words) uint64
        True sign vectors of the vertices.
    """

    vertices: IntArray
    edges: IntArray
    patterns: WordArray
    volume_regions: IntArray
    region_offsets: IntArray
    region_vertices: IntArray
    facet_regions: IntArray
    facet_bits: IntArray
    positive: WordArray
    negative: WordArray


def limit_of(simple: SimpleComplex, null: WordArray, gradient: Gradient) -> Limit:
    """Let the perturbation go to zero.

    Parameters
    ----------
    simple : SimpleComplex
    null : (V, words) uint64
        Signs that are zero without the perturbation.
    gradient : callable
        Gradient in integers, up to a positive factor, of the form with a given bit, under a pattern.
    """
    signs = _true_signs(simple, null)
    first, vertex_of = _unique_rows(signs)
    edges = np.sort(vertex_of[simple.ends], axis=1)
    edges = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0)
    offsets, members = simple.region_vertices
    joined = np.bitwise_or.reduceat(signs[members], offsets[:-1], axis=0)
    full = _full_regions(simple, joined, gradient)
    kept = np.flatnonzero(full)
    region_of = np.where(full, np.cumsum(full) - 1, -1)
    words = len(simple.valid)
    # A true vertex stands once in the list of a region.
    pairs = np.stack([np.repeat(region_of, np.diff(offsets)), vertex_of[members]], axis=1)
    pairs = np.unique(pairs[pairs[:, 0] >= 0], axis=0)
    region_offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=len(kept)))])
    patterns = joined[kept, simple.n_domain : words]
    facet_regions, facet_bits = _true_facets(simple, signs, patterns, region_of, gradient)
    return Limit(
        first, edges, patterns, kept, region_offsets, pairs[:, 1].copy(), facet_regions, facet_bits,
        signs[first, :words], signs[first, words:],
    )  # fmt: skip


def count_full_regions(simple: SimpleComplex, null: WordArray, gradient: Gradient) -> int:
    """Number of regions that keep their dimension; parameters as of `limit_of`."""
    offsets, members = simple.region_vertices
    joined = np.bitwise_or.reduceat(_true_signs(simple, null)[members], offsets[:-1], axis=0)
    return int(_full_regions(simple, joined, gradient).sum())


def _true_signs(simple: SimpleComplex, null: WordArray) -> WordArray:
    return np.concatenate([simple.positive & ~null, simple.negative & ~null], axis=1)


def _unique_rows(rows: WordArray) -> tuple[IntArray, IntArray]:
    """First of each kind of row, in order, and the kind of each row."""
    keys = np.ascontiguousarray(rows).view(f"V{8 * rows.shape[1]}").ravel()
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[kind]


def _zeros(simple: SimpleComplex, joined: WordArray) -> BoolArray:
    """Which forms are zero in true sign vectors (k, 2 words), (k, bits)."""
    words = len(simple.valid)
    zero = ~(joined[:, :words] | joined[:, words:]) & simple.valid
    return np.unpackbits(np.ascontiguousarray(zero.astype("<u8")).view(np.uint8), axis=1, bitorder="little").astype(
        bool
    )


def _full_regions(simple: SimpleComplex, joined: WordArray, gradient: Gradient) -> BoolArray:
    """Which regions keep their dimension, (R,)."""
    zero = _zeros(simple, joined)
    # A facet of the domain that is zero on a region leaves it no dimension.
    full = np.asarray(~zero[:, : 64 * simple.n_domain].any(axis=1))
    for region in np.flatnonzero(full & zero.any(axis=1)).tolist():
        pattern = simple.patterns[region]
        full[region] = not any(any(gradient(bit, pattern)) for bit in np.flatnonzero(zero[region]).tolist())
    return full


def _true_facets(
    simple: SimpleComplex, signs: WordArray, patterns: WordArray, region_of: IntArray, gradient: Gradient
) -> tuple[IntArray, IntArray]:
    """Sides and bits of the true facets."""
    sides, bits = simple.facets
    beside = np.where(sides >= 0, region_of[sides], -1)
    some = np.flatnonzero((beside >= 0).any(axis=1))
    joined = np.zeros((len(some), signs.shape[1]), dtype=np.uint64)
    offsets, members = simple.region_vertices
    facet_signs(simple.positive, simple.negative, signs, sides[some], bits[some], offsets, members, joined)
    zero = _zeros(simple, joined)
    flat = np.zeros(len(some), dtype=bool)
    for k in np.flatnonzero(zero.sum(axis=1) > 1).tolist():
        pattern, own = simple.patterns[sides[some[k], 1]], int(bits[some[k]])
        normal = gradient(own, pattern)
        flat[k] = not all(
            _parallel(normal, gradient(bit, pattern)) for bit in np.flatnonzero(zero[k]).tolist() if bit != own
        )
    some, joined, zero = some[~flat], joined[~flat], zero[~flat]
    _, group = _unique_rows(joined)
    facet_regions, facet_bits = [], []
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    for members_of in np.split(order, starts[1:]) if len(order) else []:
        regions = np.unique(beside[some[members_of]])
        regions = regions[regions >= 0].tolist()
        # The first of the forms that are zero there, the domain's facets before neurons, but for inactive ones.
        pattern, candidates = patterns[regions[0]], np.flatnonzero(zero[members_of[0]]).tolist()
        own = next(bit for bit in candidates if any(gradient(bit, pattern)))
        outer = own < 64 * simple.n_domain
        if len(regions) != 2 - outer:
            raise InvariantError(
                "facets", f"a facet of region {regions[0]}", f"{len(regions)} regions beside it", 2 - outer
            )
        if not outer:
            word, bit = own // 64 - simple.n_domain, np.uint64(own % 64)
            regions.sort(key=lambda r: int(patterns[r, word] >> bit & np.uint64(1)))
        facet_regions.append([-1] * outer + regions)
        facet_bits.append(own)
    return np.array(facet_regions, dtype=np.int64).reshape(-1, 2), np.array(facet_bits, dtype=np.int64)


def _parallel(p: list[Any], q: list[Any]) -> bool:
    """Whether q is a multiple of p, which is not zero."""
    lead = next(k for k, v in enumerate(p) if v != 0)
    return all(p[lead] * w == q[lead] * v for v, w in zip(p, q, strict=True))
