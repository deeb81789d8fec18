"""Invariants of a `PolyhedralComplex`.

Combinatorial ones are checked exactly: Euler's relation; every region has more than d vertices and d facets; patterns
differ; two regions beside a facet differ in its neuron's bit.  Geometric ones hold to rounding: a region's pattern is
that of the network at its interior point, where that is certain; volumes sum to a box's; maps have the network's
values at vertices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.affine import affine_map_errors
from geomrelu.arrays import IntArray, row_ids
from geomrelu.domain import Box
from geomrelu.errors import InvariantError
from geomrelu.exact import certain_bits
from geomrelu.matrices import entries
from geomrelu.planar.bounds import layer_bounds

if TYPE_CHECKING:
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["check_complex"]

_SHARE = 1e-9
# Pairs of a region and a vertex that are looked at together.
_BLOCK = 1 << 16


def check_complex(p: PolyhedralComplex) -> None:
    """Raise InvariantError for the first invariant that is broken."""
    _check_counts(p)
    _check_patterns(p)
    _check_facets(p)
    _check_volumes(p)
    _check_maps(p)


def _check_counts(p: PolyhedralComplex) -> None:
    if p.skeletal.limit is None or p.dimension <= 3:
        total = sum((-1) ** k * n for k, n in enumerate(p.cell_counts))
        if total != 1:
            raise InvariantError("euler", "the complex", total, "an alternating sum of the numbers of cells of 1")
    for name, sizes in (("vertices", np.diff(p.region_offsets)), ("facets", _facet_numbers(p))):
        few = np.flatnonzero(sizes <= p.dimension)
        if len(few):
            raise InvariantError(name, f"region {few[0]}", f"{sizes[few[0]]} {name}", f"more than {p.dimension}")


def _facet_numbers(p: PolyhedralComplex) -> IntArray:
    return np.bincount(p.facet_regions[p.facet_regions >= 0], minlength=p.n_regions)


def _check_patterns(p: PolyhedralComplex) -> None:
    keys = p.patterns.keys()
    _, first = np.unique(keys, return_index=True)
    if len(first) < len(keys):
        repeated = np.setdiff1d(np.arange(len(keys)), first)[0]
        raise InvariantError("patterns", f"region {repeated}", "another region's pattern", "a pattern of its own")
    own = p.patterns.unpack()
    bits, certain = certain_bits(p.network, p.interior_points)
    wrong = np.flatnonzero(((bits != own) & certain).any(axis=1))
    if len(wrong):
        neuron = int(np.argmax((bits != own)[wrong[0]] & certain[wrong[0]]))
        raise InvariantError(
            "patterns", f"region {wrong[0]}", f"neuron {neuron} {'inactive' if bits[wrong[0], neuron] else 'active'}",
            "what the network has at the region's interior point",
        )  # fmt: skip


def _inner(p: PolyhedralComplex) -> tuple[IntArray, IntArray]:
    inner = (p.facet_regions >= 0).all(axis=1)
    return p.facet_regions[inner], p.facet_neuron[inner]


def _check_facets(p: PolyhedralComplex) -> None:
    pairs, neurons = _inner(p)
    bits = p.patterns.unpack()
    wrong = np.flatnonzero(bits[pairs[:, 0], neurons] | ~bits[pairs[:, 1], neurons])
    if len(wrong):
        a, b = pairs[wrong[0]].tolist()
        raise InvariantError(
            "facets", f"regions {a} and {b}", "another sign", f"neuron {neurons[wrong[0]]} between them"
        )


def _check_volumes(p: PolyhedralComplex) -> None:
    if not (p.volumes > 0).all():
        raise InvariantError("volumes", f"region {int(np.argmin(p.volumes))}", p.volumes.min(), "a volume above 0")
    if isinstance(p.domain, Box):
        whole, total = p.domain.area, float(p.volumes.sum())
        if not abs(total - whole) <= _SHARE * whole:
            raise InvariantError("volumes", "the complex", total, f"the domain's, {whole}")


def _check_maps(p: PolyhedralComplex) -> None:
    """Each region's map has the network's value at each of its vertices, so neighbours' maps agree there."""
    values = p.network(p.vertices)
    maps, errors = p.affine_maps, affine_map_errors(p.network, p.patterns)
    last = p.network.output.weight
    steep = (
        float(np.sqrt((entries(last) ** 2).sum())) * layer_bounds(p.network)[-1].operator_norm
        if p.network.hidden
        else 0.0
    )
    for bound in layer_bounds(p.network)[:-1]:
        steep *= bound.operator_norm
    owner = row_ids(p.region_offsets)
    for first in range(0, len(owner), _BLOCK):
        r, v = owner[first : first + _BLOCK], p.region_vertices[first : first + _BLOCK]
        x = p.vertices[v]
        jump = np.abs(np.einsum("koi,ki->ko", maps.A[r], x) + maps.b[r] - values[v])
        room = np.einsum("koi,ki->ko", errors.A[r], np.abs(x)) + errors.b[r]
        room = 4 * room + 2 * steep * p.vertex_errors[v][:, None]
        wrong = np.flatnonzero((jump > room).any(axis=1))
        if len(wrong):
            k = wrong[0]
            raise InvariantError(
                "maps", f"region {r[k]}, vertex {v[k]}", f"{jump[k].max():.3g} off", "the network's value"
            )
