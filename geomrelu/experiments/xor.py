"""The XOR study: every part of it as a function, and the whole as one call.

>>> from geomrelu.experiments import xor
>>> xor.run_study(2, seed_a=0, seed_b=2).pairs[0].refinement.n_regions
9
"""

from __future__ import annotations

from geomrelu.analysis.regression import MapRegression, fit_maps, map_rows
from geomrelu.experiments.animation import animate, plot_snapshot
from geomrelu.experiments.data import parity_data, plot_parity_2d, plot_parity_3d
from geomrelu.experiments.figures import (
    plot_parameters_2d,
    plot_parameters_3d,
    plot_regions,
    plot_surfaces,
    plot_wireframes,
)
from geomrelu.experiments.handmade import hand_made_network, plot_hand_made
from geomrelu.experiments.latex import network_latex, unit_coordinates
from geomrelu.experiments.pairs import DEFAULT_SEEDS, Pair, Regions, compare, decision_agreement, find_pair
from geomrelu.experiments.report import FigureFile, StudyResult
from geomrelu.experiments.study import STUDY_WIDTHS, run_all, run_study
from geomrelu.experiments.training import Snapshot, TrainingHistory, train

__all__ = [
    "DEFAULT_SEEDS",
    "STUDY_WIDTHS",
    "FigureFile",
    "MapRegression",
    "Pair",
    "Regions",
    "Snapshot",
    "StudyResult",
    "TrainingHistory",
    "animate",
    "compare",
    "decision_agreement",
    "find_pair",
    "fit_maps",
    "hand_made_network",
    "map_rows",
    "network_latex",
    "parity_data",
    "plot_hand_made",
    "plot_parameters_2d",
    "plot_parameters_3d",
    "plot_parity_2d",
    "plot_parity_3d",
    "plot_regions",
    "plot_snapshot",
    "plot_surfaces",
    "plot_wireframes",
    "run_all",
    "run_study",
    "train",
    "unit_coordinates",
]
