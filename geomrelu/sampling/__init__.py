"""The sampled path: models evaluated at points by autograd, and the distinct maps that shows.

A sample sees the affine map of the region it falls in, so a grid of samples shows some of a
network's affine maps: those of the regions it hits.  These modules know networks and domains,
never the planar complex, and so can serve as an independent check of it: `grid` samples a
domain, `autograd` finds a model's maps at points, `rounding` bounds what float64 leaves open,
`distinct` counts the maps.
"""

from geomrelu.sampling.autograd import sample_maps
from geomrelu.sampling.distinct import DistinctMaps, checked_tolerance, distinct_maps
from geomrelu.sampling.grid import Samples, grid_points, sample
from geomrelu.sampling.rounding import Trace, doubtful_signs, trace, value_errors
from geomrelu.sampling.tensors import LocalMaps

__all__ = [
    "DistinctMaps",
    "LocalMaps",
    "Samples",
    "Trace",
    "checked_tolerance",
    "distinct_maps",
    "doubtful_signs",
    "grid_points",
    "sample",
    "sample_maps",
    "trace",
    "value_errors",
]
