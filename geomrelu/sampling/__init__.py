"""The sampled path: models evaluated at points by autograd, and the distinct maps that shows."""

from geomrelu.sampling.autograd import (
    LocalMaps,
    Samples,
    Trace,
    doubtful_signs,
    grid_points,
    sample,
    sample_maps,
    trace,
    value_errors,
)
from geomrelu.sampling.distinct import DistinctMaps, checked_tolerance, distinct_maps

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
