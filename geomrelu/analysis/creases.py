"""How sharp the creases are: the jump of the gradient across each edge between two regions.

Across an edge with unit normal n the map jumps by D = A_left - A_right = c n^T, since both maps
agree along it.  D has rank one, so its spectral, Frobenius and nuclear norms are all |c|.  The sum
of |c| times the edge's length is the total variation of the gradient, the Hessian's total variation: a
measure of complexity that does not change where a network is written with more neurons than it needs
(S. Aziznejad, J. Campos, M. Unser, "Measuring Complexity of Learning Schemes Using Hessian-Schatten
Total Variation", 2023).

*Exact.*  Whether an edge is a crease at all is decided without doubt: float jumps below a bound on
the maps' errors are looked up in integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isqrt
from typing import TYPE_CHECKING

import numpy as np

from geomrelu.affine import affine_map_errors
from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.errors import RangeError
from geomrelu.exact import ExactForms
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["Creases", "creases"]

# Numbers per block of jumps.
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Creases:
    """Jumps of the gradient at the edges between two regions.

    Attributes
    ----------
    edges : (K,) int64
        The complex's inner edges (`PlanarComplex.edges_inner`).
    jumps : (K,) float64
        Norm |c| of the gradient's jump, in units of output over input; exactly 0 where both regions
        have the same gradient.  Wrong by at most the maps' errors (`affine.affine_map_errors`).
    lengths : (K,) float64
        Lengths of the edges.
    total : float
        Sum of jumps times lengths: the gradient's total variation inside the domain.
    """

    edges: IntArray = field(repr=False)
    jumps: FloatArray = field(repr=False)
    lengths: FloatArray = field(repr=False)
    total: float

    @property
    def n_creases(self) -> int:
        """Number of edges at which the function bends; exact."""
        return int(np.count_nonzero(self.jumps))

    @property
    def length(self) -> float:
        """Total length of the edges at which the function bends."""
        return float(self.lengths[self.jumps > 0].sum())


def creases(p: PlanarComplex) -> Creases:
    """Jumps of the gradient at the inner edges; see `PlanarComplex.crease`.

    Costs little beside the maps, but where very many neighbours have equal maps to within
    rounding: each of these is then compared in integers.
    """
    inner = p.edges_inner
    left, right = p.edge_faces[inner].T
    slopes = p.affine_maps.A
    jumps = np.empty(len(inner))
    block = max(1, _BLOCK // slopes[0].size)
    for first in range(0, len(inner), block):
        chosen = slice(first, first + block)
        jumps[chosen] = _norms(slopes[left[chosen]], slopes[right[chosen]])
    _settle_zeros(p, left, right, jumps)
    if not np.isfinite(jumps).all():
        raise RangeError("crease: a jump is above 1.8e308, the most that float64 holds; scale the last layer down")
    steps = p.vertices[p.edges[inner, 1]] - p.vertices[p.edges[inner, 0]]
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    return Creases(inner, frozen(jumps), frozen(lengths), float(jumps @ lengths))


def _norms(a: FloatArray, b: FloatArray) -> FloatArray:
    """Frobenius norms of differences of matrices (k, out, 2), (k,); infinite where too large."""
    # Powers of two keep differences and squares within float64's range.
    jumps = np.ldexp(a, -2) - np.ldexp(b, -2)
    exponents = np.frexp(np.abs(jumps).max(axis=(1, 2), initial=0.0))[1]
    scaled = np.ldexp(jumps, -exponents[:, None, None])
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(np.sqrt((scaled * scaled).sum(axis=(1, 2))), exponents + 2))


def _settle_zeros(p: PlanarComplex, left: IntArray, right: IntArray, jumps: FloatArray) -> None:
    """Set the jumps to 0 where both gradients are equal, and to a float above 0 where they are not; exactly."""
    everything = Patterns.pack(np.ones((1, p.network.n_neurons), dtype=bool), p.network.widths)
    with np.errstate(over="ignore", invalid="ignore"):
        bound = 2.001 * affine_map_errors(p.network, everything).A.sum()
    doubtful = np.flatnonzero(~(jumps > bound))
    if not len(doubtful):
        return
    forms, words = ExactForms(p.network), p.patterns.words
    for k in doubtful.tolist():
        a, b = (forms.output_map(words[f])[:, :2] for f in (left[k], right[k]))
        jumps[k] = _rounded((a - b).ravel().tolist(), forms.scales[-1])


def _rounded(entries: list[int], scale: int) -> float:
    """The root of a sum of squares of integers over 2^scale; 0 only if it is exactly, infinite if too large."""
    squares = sum(v * v for v in entries)
    # 53 bits and more, whatever the numbers' size.
    spare = max(0, 128 - squares.bit_length() // 2)
    try:
        root = isqrt(squares << 2 * spare) / (1 << scale + spare)
    except OverflowError:
        return inf
    return max(root, 5e-324) if squares else 0.0
