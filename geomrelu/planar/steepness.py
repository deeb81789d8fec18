"""How steep neurons are: bounds for each face, from its vertices' values.

Products of norms bound the gradients of all faces at once, but exceed those of trained deep
networks a millionfold, and positions' errors with them.  So each face has bounds of its own:

*steepness*, at least the gradient's norm of every neuron of the layer there, and *stretch*, at
least the operator norm of the face's affine map to the layer's inputs.  Rectification, which
is a projection there, makes neither larger.  A layer takes them from the norms of its own
weights alone, steepness <= max |W_i| stretch and next stretch <= |W|_2 stretch, and every few
layers measures them; the less counts:

With stored corners a, b, c, E the matrix of rows b - a, c - a, and D the differences of the
stored values, the gradients (columns) are G = E^-1 D.  Stored corners are off the represented
points by at most blur, values by at most error: for the true E' = E + dE and D' = D + dD,
E' G' = D' gives |G'| <= (|E^-1 D| + |E^-1| |dD|) / (1 - |E^-1| |dE|).  In a face so thin
that E^-1 means little, the norms stand.  Of all units together the norms are Frobenius norms, and no less; the
steepness is the greatest of the neurons' own: in a layer of thousands a hundredth of that, and passing units, which
are never cut, do not count.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, inner, lean
from geomrelu.planar.crossings import SLACK
from geomrelu.planar.records import LayerBounds, Mesh, Values

__all__ = ["face_steepness", "vertex_stretch"]

# |E|^2 / |det E|, at least E's condition number: below this, E^-1 D is good to six digits.
_WELL_CONDITIONED = 1e9
# Squares above this have not underflowed.
_ORDINARY = 1e-280
# Exceeds the gradients whose squares underflow.
_LEAST = 1e-140


@lean
def vertex_stretch(offsets: IntArray, ring: IntArray, stretch: FloatArray, least: FloatArray) -> None:
    """Lower `least` (V,) to the least stretch of the faces around each vertex: any of them bounds its values."""
    for f in range(len(stretch)):
        for c in range(offsets[f], offsets[f + 1]):
            least[ring[c]] = min(least[ring[c]], stretch[f])


def face_steepness(
    mesh: Mesh, values: Values, bounds: LayerBounds, n_neurons: int, measured: bool, stretch: FloatArray,
    next_stretch: FloatArray,
) -> None:  # fmt: skip
    """Fill `values.steepness` (F,) and the faces' stretch behind the layer, (F,), by norms or `measured`, too."""
    values.steepness[:] = bounds.row_norm * stretch * SLACK + _LEAST
    next_stretch[:] = bounds.operator_norm * stretch * SLACK + _LEAST
    if not measured:
        return
    squares = np.zeros(-(-values.z.shape[1] // 4) * 4)
    _measure(mesh, values, n_neurons, next_stretch, squares)


@lean
def _measure(
    mesh: Mesh, values: Values, n_neurons: int, next_stretch: FloatArray, squares: FloatArray
) -> None:  # fmt: skip
    """Lower both bounds to what is measured, where that is less."""
    for f in range(len(next_stretch)):
        a, b, c = _corners(f, mesh)
        px, py = mesh.xy[b, 0] - mesh.xy[a, 0], mesh.xy[b, 1] - mesh.xy[a, 1]
        qx, qy = mesh.xy[c, 0] - mesh.xy[a, 0], mesh.xy[c, 1] - mesh.xy[a, 1]
        size = px * px + py * py + qx * qx + qy * qy
        area = px * qy - py * qx
        if size > _ORDINARY and size < _WELL_CONDITIONED * abs(area):
            inverse = np.sqrt(size) / abs(area)
            off = inverse * 4.0 * values.blur * SLACK + 2.0**-20
            if off < 0.5:
                error = 2.0 * values.error[a] + values.error[b] + values.error[c]
                total = _gradients(values.z, a, b, c, px / area, py / area, qx / area, qy / area, squares)
                doubt = inverse * error
                # Where a value is infinite or no number nothing changes.
                if total < np.inf and doubt < np.inf:
                    steepest = (np.sqrt(_greatest(squares, n_neurons)) + doubt) * SLACK / (1.0 - off) + _LEAST
                    whole = (np.sqrt(total) + doubt * np.sqrt(values.z.shape[1])) * SLACK / (1.0 - off) + _LEAST
                    values.steepness[f] = min(values.steepness[f], steepest)
                    next_stretch[f] = min(next_stretch[f], whole)


@inner
def _corners(f: int, mesh: Mesh) -> tuple[int, int, int]:
    """Three of a face's vertices: the first, the one farthest from it, and the one farthest from their line."""
    begin, end = mesh.face_offsets[f], mesh.face_offsets[f + 1]
    a = mesh.face_vertices[begin]
    b, c = mesh.face_vertices[begin + 1], mesh.face_vertices[end - 1]
    if end - begin > 3:
        ax, ay = mesh.xy[a, 0], mesh.xy[a, 1]
        most = -1.0
        for k in range(begin + 1, end):
            v = mesh.face_vertices[k]
            far = abs(mesh.xy[v, 0] - ax) + abs(mesh.xy[v, 1] - ay)
            if far > most:
                b, most = v, far
        px, py = mesh.xy[b, 0] - ax, mesh.xy[b, 1] - ay
        most = -1.0
        for k in range(begin + 1, end):
            v = mesh.face_vertices[k]
            far = abs(px * (mesh.xy[v, 1] - ay) - py * (mesh.xy[v, 0] - ax))
            if far > most:
                c, most = v, far
    return a, b, c


@inner
def _gradients(
    z: FloatArray, a: int, b: int, c: int, px: float, py: float, qx: float, qy: float, squares: FloatArray
) -> float:  # fmt: skip
    """Sum of all units' squared gradients; `squares` is scratch space, a multiple of four with zeros at its end."""
    # Without a sum inside, the loop is vectorised.
    for j in range(z.shape[1]):
        d, e = z[b, j] - z[a, j], z[c, j] - z[a, j]
        x, y = d * qy - e * py, e * px - d * qx
        squares[j] = x * x + y * y
    s0 = s1 = s2 = s3 = 0.0
    for j in range(0, len(squares), 4):
        s0 += squares[j]
        s1 += squares[j + 1]
        s2 += squares[j + 2]
        s3 += squares[j + 3]
    return (s0 + s2) + (s1 + s3)


@inner
def _greatest(squares: FloatArray, n: int) -> float:
    """The greatest of the first n."""
    most = 0.0
    for j in range(n):
        most = max(most, squares[j])
    return most
