"""Decision boundaries, level sets and class regions: against fractions, the engine, samples and known shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.boundary import Boundary
from geomrelu.errors import InputError, WeightError
from geomrelu.network import Layer
from geomrelu.planar.complex import PlanarComplex
from tests.drawn import ENTRIES, drawn_networks
from tests.networks import Case, degenerate_cases, integer_network, random_cases, random_network
from tests.oracles.fraction_boundary import class_areas, edge_segments, inner_segments
from tests.oracles.fraction_enumerator import Enumeration, enumerate_regions


def oracle(p: PlanarComplex) -> Enumeration:
    return enumerate_regions(p.network, p.domain.vertices.tolist())


def as_float(segment: Any) -> np.ndarray:
    """Both ends, (2, 2), in order of their coordinates."""
    return np.array(sorted((float(x), float(y)) for x, y in segment))


def assert_same_segments(p: PlanarComplex, got: Boundary, **asked: Any) -> None:
    """The same segments with the same classes in the same regions, each end within its bound."""
    found = oracle(p)
    inner, along = inner_segments(found, **asked), edge_segments(found, **asked)
    assert got.n_pieces == len(inner) + len(along)
    expected = [(as_float(ends), facts) for ends, facts in inner.items()] + [(as_float(ends), None) for ends in along]
    patterns = p.patterns.unpack().astype(int)
    close = 1e-9 * np.abs(p.domain.vertices).max()
    left = list(range(got.n_pieces))
    for ends, facts in expected:
        matching = [
            s
            for s in left
            if min(np.abs(got.segments[s] - ends).max(), np.abs(got.segments[s][::-1] - ends).max()) <= close
            and (facts is None or (*got.classes[s].tolist(), tuple(patterns[got.face[s]])) == facts)
        ]
        assert matching, f"no segment {ends.tolist()} with {facts}"
        own = matching[0]
        left.remove(own)
        bound = got.node_errors[got.ends[own]] + 1e-300
        distances = [np.hypot(*(got.segments[own] - e).T) for e in (ends, ends[::-1])]
        # The exact ends are rounded, too.
        assert any((d <= bound * (1 + 1e-9) + 2**-52 * np.abs(ends).max()).all() for d in distances)
    assert (got.classes[:, 0] < got.classes[:, 1]).all()


def assert_same_areas(p: PlanarComplex) -> None:
    found = p.class_regions()
    n = max(2, p.network.n_outputs)
    exact = np.array([float(a) for a in class_areas(oracle(p), n)])
    np.testing.assert_allclose(found.areas, exact, rtol=1e-9, atol=1e-11 * p.domain.area)
    np.testing.assert_allclose(shapely.area(found.polygons), exact, rtol=1e-9, atol=1e-11 * p.domain.area)


def with_outputs(network: gr.Network, n_outputs: int, seed: int, whole: bool) -> gr.Network:
    """The same hidden layers with other outputs."""
    rng = np.random.default_rng(seed)
    shape = (n_outputs, network.output.n_inputs)
    weight = rng.integers(-2, 3, shape) if whole else rng.normal(size=shape)
    bias = rng.integers(-1, 2, n_outputs) if whole else rng.normal(size=n_outputs)
    return gr.Network.from_layers([*network.hidden, Layer(weight.astype(float), bias.astype(float), 0)])


CASES = [case for case in degenerate_cases() if "2^" not in case.name] + random_cases()[::3]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_boundary_equals_fractions(case: Case) -> None:
    for n_outputs in (1, 2, 3, 5):
        for whole in (True, False):
            p = gr.partition(with_outputs(case.network, n_outputs, n_outputs, whole), case.domain)
            if p.n_regions > 120:
                continue
            assert_same_segments(p, p.decision_boundary())
            assert_same_areas(p)


@settings(max_examples=150, deadline=None)
@given(st.one_of(*(drawn_networks(entries, most_outputs=4) for entries in ENTRIES.values())))
def test_boundaries_of_drawn_networks_equal_fractions(network: gr.Network) -> None:
    p = gr.partition(network, gr.Box(-1, 1))
    assert_same_segments(p, p.decision_boundary())
    assert_same_areas(p)
