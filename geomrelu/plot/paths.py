"""matplotlib's paths of many regions and segments, made without a loop over their corners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.path import Path

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["face_paths", "segment_paths"]

_SEGMENTS_PER_PATH = 2000


def face_paths(p: PlanarComplex) -> list[Path]:
    """Closed path of each region, made ring size by ring size."""
    from matplotlib.collections import PolyCollection

    sizes = np.diff(p.face_offsets)
    paths: list[Any] = [None] * p.n_regions
    for size in np.unique(sizes):
        faces = np.flatnonzero(sizes == size)
        rings: Any = p.vertices[p.face_vertices[p.face_offsets[faces][:, None] + np.arange(size)]]
        # Of rings of one size a collection makes paths several times faster than their constructor.
        for face, path in zip(faces.tolist(), PolyCollection(rings).get_paths(), strict=True):
            paths[face] = path
    return paths


def segment_paths(segments: FloatArray) -> list[Path]:
    """Segments (S, 2, 2) as a few compound paths, which draw several times faster than one path each."""
    from matplotlib.path import Path

    paths = []
    for start in range(0, len(segments), _SEGMENTS_PER_PATH):
        ends = segments[start : start + _SEGMENTS_PER_PATH].reshape(-1, 2)
        paths.append(Path(ends, np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), len(ends) // 2)))
    return paths
