"""How many faces a layer will leave, before it cuts: an estimate, so that blocks are split in time.

A face that n lines cross has at least 1 + n and at most 1 + n + n (n - 1) / 2 children.  A
third of the pairs of random chords cross.  The neurons that cross a face are those with both
signs at its vertices, here by plain floats: nothing but the size of blocks depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomrelu.arrays import FloatArray, IntArray
from geomrelu.planar.blocks import chosen_rows

if TYPE_CHECKING:
    from geomrelu.planar.cutter import Cutter

__all__ = ["expected_faces"]

# Faces that are looked at.
_SAMPLE = 48
_CORNERS = 64


def expected_faces(cutter: Cutter, limit: float) -> float:
    """The number of faces after the next layer with neurons, estimated from some; an upper bound if that is in `limit`.

    Parameters
    ----------
    cutter : Cutter
        Before a layer.
    limit : float
        Where the answer begins to matter.
    """
    index, n_faces = cutter.task.next_cut(cutter.layer), cutter.n_faces
    if index == len(cutter.network.hidden):
        return n_faces
    n = cutter.network.hidden[index].n_neurons
    most = n_faces * (1.0 + n + n * (n - 1) / 2)
    if most <= limit:
        return most
    sample = min(_SAMPLE, n_faces)
    faces = np.arange(sample) * n_faces // sample
    crossing = _crossing_neurons(cutter, faces, index)
    return n_faces * float((1 + crossing + crossing * (crossing - 1) / 6).mean())


def _crossing_neurons(cutter: Cutter, faces: IntArray, index: int) -> FloatArray:
    """Numbers of neurons of a layer that have both signs on the given faces, about."""
    mesh, hidden = cutter.faces.mesh, cutter.network.hidden
    sizes = np.diff(mesh.face_offsets)[faces]
    # As many corners of each, some more than once; of a face with very many, some.
    width = min(int(sizes.max()), _CORNERS)
    ring = mesh.face_offsets[:-1][faces][:, None] + np.arange(width) * sizes[:, None] // width
    z = chosen_rows(cutter.rows, mesh.face_vertices[ring].ravel(), hidden[cutter.layer].n_inputs).z
    for k in range(cutter.layer, index + 1):
        z = z @ cutter.task.products.weights[k] + hidden[k].bias
    z = z.reshape(*ring.shape, -1)[:, :, : hidden[index].n_neurons]
    return np.asarray(((z.max(axis=1) > 0) & (z.min(axis=1) < 0)).sum(axis=1), dtype=np.float64)
