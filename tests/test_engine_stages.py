"""Every stage of a decision gives the same complex: filter, balls, exact integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.planar.build import build_complex
from tests.networks import SQUARE, Case, degenerate_cases, random_cases, random_network
from tests.soundness import INTERPRETED

CASES = [*degenerate_cases(), *random_cases()]
if INTERPRETED:
    CASES = CASES[::4]


def structure(p: Any) -> dict[bytes, tuple[Any, ...]]:
    """What is combinatorial about each region: its pattern, its ring's length, its neighbours' patterns in order."""
    keys = [words.tobytes() for words in p.patterns.words]
    result = {}
    for f in range(p.n_regions):
        edges = p.face_edges[p.face_offsets[f] : p.face_offsets[f + 1]]
        others = p.edge_faces[edges].sum(axis=1) - f
        around = [keys[g] if g >= 0 else b"" for g in others.tolist()]
        start = around.index(min(around))
        result[keys[f]] = (len(edges), tuple(sorted(around)), around.count(around[start]))
    return result


@pytest.mark.parametrize("caution", [1e3, 1e6, 1e12, math.inf])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_inflated_bounds_change_nothing(case: Case, caution: float) -> None:
    expected = gr.partition(case.network, case.domain)
    p = build_complex(case.network, case.domain, caution=caution, balls=caution < 1e12)
    assert (p.n_vertices, p.n_edges) == (expected.n_vertices, expected.n_edges)
    assert structure(p) == structure(expected)
    order, wanted = np.argsort(p.patterns.keys()), np.argsort(expected.patterns.keys())
    size = float(np.abs(p.domain.vertices).max()) ** 2
    np.testing.assert_allclose(p.areas[order], expected.areas[wanted], rtol=1e-9, atol=1e-12 * size)
    if math.isinf(caution) and case.network.n_neurons:
        assert p.report["signs_exact"] == p.report["signs"]
        assert p.report["vertices_exact"] >= p.n_vertices - len(p.domain.vertices)


@pytest.mark.parametrize("widths", [(32,), (16, 16), (8, 8, 8)], ids=str)
def test_the_filter_alone_decides_generic_networks_as_integers_do(widths: tuple[int, ...]) -> None:
    network = random_network(widths, 5)
    p = gr.partition(network, SQUARE)
    assert p.report["signs_filter"] == p.report["signs"]
    assert p.report["edges_exact"] == p.report["faces_exact"] == p.report["vertices_again"] == 0
    exact = build_complex(network, SQUARE, caution=math.inf, balls=False)
    assert exact.report["signs_exact"] == exact.report["signs"]
    assert structure(p) == structure(exact)


def test_tighter_bounds_decide_what_norms_leave_in_doubt() -> None:
    p = build_complex(random_network((16, 16, 16), 5), SQUARE, caution=1e9)
    assert p.report["signs_ball"] > 0
    assert p.report["signs_exact"] == 0
