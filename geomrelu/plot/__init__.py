"""Figures of a partition: the plane filled by regions, the graph above it, outputs along a segment, surfaces in space.

matplotlib is imported when a figure is asked for, and pyplot never: a figure made here
belongs to its caller alone and is freed with it.
"""

from geomrelu.plot.notebook import notebook_html, polyhedral_html
from geomrelu.plot.partition import plot_partition
from geomrelu.plot.segment import plot_segment
from geomrelu.plot.space import plot_level_set, plot_polyhedral
from geomrelu.plot.surface import plot_surface

__all__ = [
    "notebook_html",
    "plot_level_set",
    "plot_partition",
    "plot_polyhedral",
    "plot_segment",
    "plot_surface",
    "polyhedral_html",
]
