"""Outputs at vertices: their bounds hold against exact fractions, and steep norms do not spoil them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.network import Network
from tests.networks import SQUARE, Case, degenerate_cases, random_cases, random_network


def scaled_network(factor: float) -> Network:
    """Deep and narrow, with norms of some `factor` a layer that its slopes are far from."""
    rng = np.random.default_rng(3)
    widths = (2, 8, 8, 8, 8, 8, 3)
    weights = [factor * rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(widths)]
    return Network(weights, [-factor * rng.random(b) for b in widths[1:]])


def farthest(p: Any) -> tuple[float, float]:
    """How far outputs are from exact ones, as a share of the bounds, and the largest bound."""
    own, most = p._vertex_outputs, Fraction(0)
    for v in range(p.n_vertices):
        off = max(abs(Fraction(y) - z) for y, z in zip(own.values[v].tolist(), own.exact(v), strict=True))
        assert off == 0 or own.errors[v] > 0
        most = max(most, off / Fraction(own.errors[v]) if off else off)
    return float(most), float(own.errors.max())


CASES = [*degenerate_cases(), *random_cases()][::3]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_bounds_hold(case: Case) -> None:
    p = gr.partition(case.network, SQUARE)
    share, before = farthest(p)
    assert share <= 1.0
    p._vertex_outputs.tighten(np.arange(p.n_vertices))
    share, after = farthest(p)
    assert share <= 1.0
    assert after <= before


def test_bounds_hold_on_a_plane_and_for_three_inputs() -> None:
    network = random_network((6, 5), 4, n_inputs=3)
    plane = gr.Slice([0.1, 0.2, -0.3], [[1.0, 0.5, 0.0], [0.0, 0.3, 1.0]], SQUARE)
    for p in (gr.partition(network, plane), gr.partition(network, gr.Box([-1] * 3, [1] * 3))):
        p._vertex_outputs.tighten(np.arange(p.n_vertices))
        assert farthest(p)[0] <= 1.0


def test_a_steep_network_is_told_by_its_maps() -> None:
    p = gr.partition(scaled_network(30.0), SQUARE)
    _, before = farthest(p)
    p._vertex_outputs.tighten(np.arange(p.n_vertices))
    share, after = farthest(p)
    assert share <= 1.0
    assert after < before / 20


def test_signs_and_leads_are_exact_where_norms_leave_all_in_doubt() -> None:
    p = gr.partition(scaled_network(30.0), SQUARE)
    exact = [p._vertex_outputs.exact(v) for v in range(p.n_vertices)]
    found = gr.partition(scaled_network(30.0), SQUARE)
    assert found.maximum(0).exact_value == max(y[0] for y in exact)
    assert found.minimum("y1 - y2").exact_value == min(y[1] - y[2] for y in exact)
    top = [[y == max(row) for y in row] for row in exact]
    np.testing.assert_array_equal(found._vertex_outputs.top, top)
