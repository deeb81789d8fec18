"""Invariants of a planar complex, each checked with vectorised array operations."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geomrelu.affine import AffineMaps, affine_map_errors, affine_maps
from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, row_ids
from geomrelu.errors import InvariantError, RangeError
from geomrelu.exact import ExactForms, certain_bits
from geomrelu.network import Network
from geomrelu.patterns import Patterns, word_starts
from geomrelu.planar.bounds import place_bound

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["check_combinatorics", "check_complex"]

# Floats that must agree do so to this many units of rounding, times the magnitudes involved.
_ROUNDINGS = 2.0**16 * 2.0**-53
# Width of a face, over the largest coordinate, below which its centroid proves nothing.
_THIN = 2.0**-40


def check_complex(p: PlanarComplex) -> None:
    """Check every invariant; raise `InvariantError` at the first that is broken.

    Combinatorial ones are exact: index ranges, rings and edges that name each other, V - E + F
    = 1, unique patterns, and across each edge a change of its neuron's bit.  Geometric ones
    hold to rounding: counter-clockwise rings, areas that sum to the domain's, patterns and
    values that the network takes in each face, and maps that agree along each edge.
    """
    check_combinatorics(p)
    _check_areas(p)
    _check_inside(p)
    _check_continuity(p)


def check_combinatorics(p: PlanarComplex) -> None:
    """The part of `check_complex` that is exact; of coordinates only that they are finite."""
    _check_shapes(p)
    _check_rings(p)
    _check_euler(p)
    _check_patterns(p)


def _fail_first(bad: npt.ArrayLike, invariant: str, what: str, got: object, expected: object) -> None:
    if np.any(bad):
        k = int(np.argmax(bad))
        value = got[k] if isinstance(got, np.ndarray) else got
        wanted = expected[k] if isinstance(expected, np.ndarray) else expected
        raise InvariantError(invariant, f"{what} {k}", value, wanted)


def _check_shapes(p: PlanarComplex) -> None:
    shapes = {
        "vertices": (p.n_vertices, 2),
        "vertex_errors": (p.n_vertices,),
        "edges": (p.n_edges, 2),
        "edge_faces": (p.n_edges, 2),
        "edge_neuron": (p.n_edges,),
        "vertex_lines": (p.n_vertices, 2),
        "face_vertices": (int(p.face_offsets[-1]),),
        "face_edges": (int(p.face_offsets[-1]),),
    }
    for name, shape in shapes.items():
        if getattr(p, name).shape != shape:
            raise InvariantError("shape", name, getattr(p, name).shape, shape)
    if len(p.patterns) != p.n_regions or p.patterns.widths != p.network.widths:
        got, expected = (len(p.patterns), p.patterns.widths), (p.n_regions, p.network.widths)
        raise InvariantError("shape", "patterns (number, widths)", got, expected)
    if p.face_offsets[0] != 0:
        raise InvariantError("range", "face_offsets entry 0", p.face_offsets[0], 0)
    _fail_first(~np.isfinite(p.vertices).all(axis=1), "finite", "vertex", p.vertices, "finite coordinates")
    allowed = place_bound(p.domain.vertices)
    off = ~((p.vertex_errors >= 0) & (p.vertex_errors <= allowed))
    _fail_first(off, "error bounds", "vertex", p.vertex_errors, f"0 to {allowed:.3g}")
    n_lines = len(p.domain.vertices)
    ranges = [
        ("edges", p.edges, 0, p.n_vertices),
        ("edge_faces", p.edge_faces, -1, p.n_regions),
        ("edge_neuron", p.edge_neuron[:, None], -1, p.network.n_neurons),
        ("vertex_lines", p.vertex_lines, -n_lines, p.network.n_neurons),
        ("face_vertices", p.face_vertices[:, None], 0, p.n_vertices),
        ("face_edges", p.face_edges[:, None], 0, p.n_edges),
    ]
    for name, array, low, high in ranges:
        bad = ((array < low) | (array >= high)).any(axis=1)
        _fail_first(bad, "range", f"{name} entry", array, f"numbers from {low} to {high - 1}")
    _fail_first(np.diff(p.face_offsets) < 3, "ring length", "face", np.diff(p.face_offsets), "at least 3")


def _check_rings(p: PlanarComplex) -> None:
    face = row_ids(p.face_offsets)
    here, there = p.face_vertices, p.face_vertices[p.ring_next]
    ends = p.edges[p.face_edges]
    forward = p.edge_faces[p.face_edges, 0] == face
    backward = p.edge_faces[p.face_edges, 1] == face
    _fail_first(forward == backward, "ring", "ring entry", "an edge that does not name the face once", "left or right")
    side = np.where(forward, 0, 1)
    rows = np.arange(len(here))
    bad = (ends[rows, side] != here) | (ends[rows, 1 - side] != there)
    _fail_first(bad, "ring", "ring entry", ends, "the edge from this ring vertex to the next")
    uses = np.bincount(2 * p.face_edges + side, minlength=2 * p.n_edges).reshape(-1, 2)
    bad = (uses != (p.edge_faces >= 0)).any(axis=1) | (uses.sum(axis=1) == 0)
    _fail_first(bad, "ring", "edge", uses, "one use by each of its faces")
    corners = np.bincount(p.face_vertices, minlength=p.n_vertices)
    _fail_first(corners == 0, "ring", "vertex", corners, "at least one face around it")


def _check_euler(p: PlanarComplex) -> None:
    value = p.n_vertices - p.n_edges + p.n_regions
    if value != 1:
        raise InvariantError("euler", "V - E + F", value, 1)
    border = (p.edge_faces < 0).any(axis=1)
    _fail_first(border != (p.edge_neuron < 0), "border", "edge", p.edge_neuron, "no neuron exactly on the border")


def _check_patterns(p: PlanarComplex) -> None:
    # Unused bits would make equal patterns look different.
    used = Patterns.pack(np.ones((1, p.patterns.n_neurons), dtype=bool), p.patterns.widths).words
    unused = (p.patterns.words & ~used).any(axis=1)
    _fail_first(unused, "pattern", "face", "unused bits that are set", "0 in all unused bits")
    _, first, counts = np.unique(p.patterns.keys(), return_index=True, return_counts=True)
    if (counts > 1).any():
        face = int(first[np.argmax(counts > 1)])
        raise InvariantError("unique patterns", f"face {face}", "a pattern of several faces", "one face a pattern")
    inner = p.edges_inner
    left, right = p.edge_faces[inner].T
    word, bit = _bit_place(p.network, p.edge_neuron[inner])
    differs = ((p.patterns.words[left, word] ^ p.patterns.words[right, word]) >> bit) & np.uint64(1)
    bad = np.zeros(p.n_edges, dtype=bool)
    bad[inner] = differs == 0
    _fail_first(bad, "edge bit", "edge", "equal bits of its neuron on both sides", "a change")


def _bit_place(network: Network, neurons: IntArray) -> tuple[IntArray, WordArray]:
    """Word and bit of flat neurons in a packed pattern."""
    firsts = np.cumsum([0, *network.widths], dtype=np.int64)
    layer = np.searchsorted(firsts, neurons, side="right") - 1
    within = neurons - firsts[layer]
    starts = np.array(word_starts(network.widths), dtype=np.int64)
    return starts[layer] + within // 64, (within % 64).astype(np.uint64)


def _scale(p: PlanarComplex) -> float:
    return float(np.abs(p.domain.vertices).max())


def _check_areas(p: PlanarComplex) -> None:
    from geomrelu.planar.complex import scaled_to_range

    vertices, exponents = scaled_to_range(p.vertices, p.domain)
    at = vertices[p.face_vertices] - vertices[p.face_vertices[p.face_offsets[:-1]]][row_ids(p.face_offsets)]
    to = at[p.ring_next]
    areas = np.add.reduceat(at[:, 0] * to[:, 1] - at[:, 1] * to[:, 0], p.face_offsets[:-1]) / 2
    reach = np.add.reduceat(np.abs(to - at).sum(axis=1), p.face_offsets[:-1])
    corners = np.ldexp(p.domain.vertices, -exponents)
    allowed = _ROUNDINGS * np.abs(corners).max() * reach
    _fail_first(~(areas >= -allowed), "orientation", "face", areas, "a counter-clockwise ring")
    a, b = corners - corners[0], np.roll(corners, -1, axis=0) - corners[0]
    wanted, total = float(np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])) / 2, float(areas.sum())
    if not abs(total - wanted) <= 1e-9 * wanted + float(allowed.max()):
        raise InvariantError("area", "the sum over faces", total, wanted)


def _check_inside(p: PlanarComplex) -> None:
    """At each face's centroid the network has the face's pattern, wherever that is certain, and its value."""
    # There the rounding of the vertices may put the centroid outside.
    thin = p._thinner_than(_THIN)
    step = max(1, (1 << 19) // max(p.network.n_neurons, 1))
    for first in range(0, p.n_regions, step):
        faces = np.arange(first, min(first + step, p.n_regions))
        points = p.centroids[faces]
        bits, certain = certain_bits(p.network, points)
        # A neuron within rounding of zero at the centroid says nothing: faces may be slivers.
        wrong = (bits != p.patterns[faces].unpack()) & certain
        wrong &= ~thin[faces][:, None]
        if wrong.any():
            row, neuron = np.argwhere(wrong)[0]
            got = int(not bits[row, neuron])
            raise InvariantError("pattern", f"face {faces[row]}, neuron {neuron}", got, int(bits[row, neuron]))


def _check_continuity(p: PlanarComplex) -> None:
    """Maps of neighbouring faces agree at both ends of their edge, but for their error bounds and the vertices'."""
    inner = p.edges_inner
    try:
        maps = p.affine_maps
    except RangeError:
        maps = affine_maps(p.network, p.patterns)
    bad = np.zeros(p.n_edges, dtype=bool)
    too_large = np.zeros(p.n_edges, dtype=bool)
    jump = np.zeros(p.n_edges)
    rest = inner
    if _bounds_are_finite(p):
        # The bounds without those on the maps' own rounding suffice for most edges, and are never larger.
        jump[inner], fits, _ = _jumps(p, inner, maps, None)
        rest = inner[~fits]
    if len(rest):
        faces, at = np.unique(p.edge_faces[rest], return_inverse=True)
        errors = affine_map_errors(p.network, p.patterns[faces])
        jump[rest], fits, finite = _jumps(p, rest, maps, errors, at.reshape(-1, 2))
        bad[rest], too_large[rest] = ~fits, ~finite
    _fail_first(bad & ~too_large, "continuity", "edge", jump, "maps of both faces that agree along it")
    _check_exact_continuity(p, np.flatnonzero(too_large))


def _bounds_are_finite(p: PlanarComplex) -> bool:
    """Whether no bound on a map's rounding, at any vertex, can overflow: that with all neurons active does not."""
    active = Patterns.pack(np.ones((1, p.network.n_neurons), dtype=bool), p.network.widths)
    worst = affine_map_errors(p.network, active)
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = worst.A[0] @ np.abs(p.vertices).max(axis=0) + worst.b[0]
        return bool((8 * sizes < np.finfo(np.float64).max).all())


def _jumps(
    p: PlanarComplex, edges: IntArray, maps: AffineMaps, errors: AffineMaps | None, rows: IntArray | None = None
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Largest difference of the maps beside each edge at its ends, whether bounds allow it, and are finite; all (E,).

    `errors` are bounds on the maps, of the faces' ``rows`` (E, 2).
    """
    left, right = p.edge_faces[edges].T
    jump = np.zeros(len(edges))
    fits, finite = np.ones(len(edges), dtype=bool), np.ones(len(edges), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        slope = np.abs(maps.A[left] - maps.A[right]).sum(axis=2)
        for end in range(2):
            x = p.vertices[p.edges[edges, end]]
            values, allowed = [], slope * p.vertex_errors[p.edges[edges, end], None]
            for side, face in enumerate((left, right)):
                values.append(np.einsum("noi,ni->no", maps.A[face], x) + maps.b[face])
                size = np.einsum("noi,ni->no", np.abs(maps.A[face]), np.abs(x)) + np.abs(maps.b[face])
                allowed += 2.0**-50 * size
                if errors is not None and rows is not None:
                    row = rows[:, side]
                    allowed += np.einsum("noi,ni->no", errors.A[row], np.abs(x)) + errors.b[row]
            apart = np.abs(values[0] - values[1])
            jump = np.maximum(jump, apart.max(axis=1))
            fits &= (apart <= allowed).all(axis=1)
            finite &= np.isfinite(allowed).all(axis=1)
    return jump, fits & finite, finite


def _check_exact_continuity(p: PlanarComplex, edges: IntArray) -> None:
    """The same where floats overflow: exact maps at the rounded vertices, which may be misplaced."""
    forms = ExactForms(p.network)
    unit = 1 << forms.scales[-1]
    for e in edges.tolist():
        left, right = (forms.output_map(p.patterns.words[f]) for f in p.edge_faces[e].tolist())
        ends = p.edges[e]
        for (x, y), error in zip(p.vertices[ends].tolist(), p.vertex_errors[ends].tolist(), strict=True):
            for a, b, c in ((int(v) for v in row) for row in left - right):
                jump = abs(a * Fraction(x) + b * Fraction(y) + c) / unit
                if jump > (abs(a) + abs(b)) * Fraction(error) / unit:
                    got = f"a jump of about 2^{jump.numerator.bit_length() - jump.denominator.bit_length()}"
                    raise InvariantError("continuity", f"edge {e}", got, "maps of both faces that agree along it")
