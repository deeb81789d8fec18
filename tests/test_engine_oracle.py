"""The engine against the slow rational enumerator: counts, patterns, neighbours, areas, corners, maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from tests.drawn import DYADICS, ENTRIES, INTEGERS, drawn_networks
from tests.networks import (
    SQUARE,
    UNIT,
    Case,
    degenerate_cases,
    fold,
    integer_network,
    lines,
    random_cases,
    random_network,
)
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import INTERPRETED, assert_equals_oracle, assert_sound

EXAMPLES = 25 if INTERPRETED else 120


def compare(network: gr.Network, domain: gr.Box | gr.Polygon = SQUARE, tolerance: float = 1e-9) -> None:
    p = gr.partition(network, domain)
    found = enumerate_regions(network, domain.vertices)
    assert_equals_oracle(p, found, tolerance)
    assert p.n_affine_pieces == found.n_affine_pieces
    assert p.n_linear_regions == found.n_linear_regions
    p.check()


@pytest.mark.parametrize("case", [*degenerate_cases(), *random_cases()], ids=str)
def test_named_networks(case: Case) -> None:
    compare(case.network, case.domain)


@pytest.mark.parametrize("widths", [(10, 10), (16, 8), (6, 6, 6), (5, 5, 5, 5), (40,)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_larger_random_networks(widths: tuple[int, ...], dtype: type) -> None:
    compare(random_network(widths, 20, dtype, n_outputs=2))


@pytest.mark.parametrize("widths", [(16, 16), (8, 8, 8)], ids=str)
def test_larger_degenerate_networks(widths: tuple[int, ...]) -> None:
    compare(integer_network(widths, 5))
    compare(integer_network(widths, 6, largest=3))
    compare(gr.Network([layer.weight for layer in random_network(widths, 7, np.float32).layers]))


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
def test_deep_fold() -> None:
    compare(fold(5), UNIT)


def test_corners_where_almost_equal_lines_cross() -> None:
    """-2.1 is not 3 times -0.7 in floats: the two lines cross at the origin alone, at an angle of 1e-16."""
    compare(gr.Network([[[-1, -0.7], [-3, 3 * -0.7]], [[1, 1]]]), gr.Polygon([[-1, -1], [2, 0], [0.5, 1.5]]))


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_drawn_networks(entries: st.SearchStrategy[float]) -> None:
    @settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
    @given(drawn_networks(entries))
    def check(network: gr.Network) -> None:
        compare(network)

    check()


@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(st.lists(st.tuples(INTEGERS, INTEGERS, DYADICS), min_size=1, max_size=10))
def test_drawn_lines(table: list[tuple[float, float, float]]) -> None:
    compare(lines(table))


@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(
    drawn_networks(INTEGERS),
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=3, unique=True),
)
def test_drawn_triangles_as_domains(network: gr.Network, corners: list[tuple[int, int]]) -> None:
    (a, b), (c, d), (e, f) = corners
    if (c - a) * (f - b) == (d - b) * (e - a):
        return
    compare(network, gr.Polygon(corners))


@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(drawn_networks(INTEGERS), drawn_networks(DYADICS))
def test_drawn_joints(a: gr.Network, b: gr.Network) -> None:
    p = gr.partition(gr.joint(a, b), SQUARE)
    found = enumerate_regions(p.network, SQUARE.vertices)
    assert_equals_oracle(p, found)
    assert_sound(p)
