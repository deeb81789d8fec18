"""Blocks of n-D partitions: cut one by one or by workers they give the whole run's partition, and what theorems say."""

from __future__ import annotations

import tracemalloc
from math import comb
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.polyhedral.build import build_polyhedral
from geomrelu.polyhedral.complex import PolyhedralComplex
from geomrelu.polyhedral.counting import count_polyhedral
from geomrelu.polyhedral.volumes import region_volumes
from tests.networks import fold, integer_network, random_network
from tests.test_polyhedral_oracle import DEGENERATE
from tests.test_polyhedral_theorems import one_layer


def box(d: int) -> gr.Box:
    return gr.Box([-1.0] * d, [1.0] * d)


def by_pattern(p: PolyhedralComplex) -> dict[bytes, tuple[float, frozenset[bytes]]]:
    """Volume, and the patterns of the neighbours, of each region."""
    keys = [key.tobytes() for key in p.patterns.keys()]  # noqa: SIM118
    beside: dict[bytes, set[bytes]] = {key: set() for key in keys}
    for a, b in p.facet_regions[(p.facet_regions >= 0).all(axis=1)].tolist():
        beside[keys[a]].add(keys[b])
        beside[keys[b]].add(keys[a])
    return {key: (volume, frozenset(beside[key])) for key, volume in zip(keys, p.volumes.tolist(), strict=True)}


def assert_same(p: PolyhedralComplex, q: PolyhedralComplex) -> None:
    """The same complex, but for the numbering."""
    assert (p.n_regions, p.n_vertices, p.n_edges, p.n_facets) == (q.n_regions, q.n_vertices, q.n_edges, q.n_facets)
    own, other = by_pattern(p), by_pattern(q)
    assert own.keys() == other.keys()
    for key, (volume, beside) in own.items():
        assert beside == other[key][1]
        assert abs(volume - other[key][0]) <= 1e-9 * volume + 1e-15
    assert p.report["layers"] == q.report["layers"]
    ends = [np.sort(v.vertices[v.edges].round(9), axis=1).reshape(v.n_edges, -1) for v in (p, q)]
    np.testing.assert_allclose(*(e[np.lexsort(e.T)].sum(axis=0) for e in ends), atol=1e-6)
    q.check()


NETWORKS = {
    "three inputs": random_network((8, 7), 3, n_inputs=3),
    "deep": random_network((5, 4, 4), 4, n_inputs=3),
    "wide": random_network((70,), 5, n_inputs=2),
    "four inputs": random_network((6, 4), 6, n_inputs=4),
    "five inputs": random_network((6, 3), 6, n_inputs=5),
    "passing units": gr.joint(random_network((4,), 1, n_inputs=3), random_network((3, 3), 2, n_inputs=3)),
    **DEGENERATE,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_are_the_whole_complex(name: str) -> None:
    f = NETWORKS[name]
    whole = build_polyhedral(f, box(f.n_inputs), block_vertices=10**6)
    assert whole.report["blocks"] == 1
    for size in (3 << f.n_inputs, 100):
        p = build_polyhedral(f, box(f.n_inputs), block_vertices=size)
        assert_same(whole, p)
        assert count_polyhedral(f, box(f.n_inputs), block_vertices=size) == whole.n_regions
    if len(whole.vertices) > 200:
        assert p.report["blocks"] > 1


@pytest.mark.parametrize("f", [NETWORKS["three inputs"], DEGENERATE["bias-free"]], ids=["generic", "degenerate"])
def test_blocks_of_a_polytope(f: gr.Network) -> None:
    simplex = gr.Polytope(np.vstack([-np.eye(3), np.ones(3)]), [0.5, 0.5, 0.5, 1.0])
    whole = build_polyhedral(f, simplex, block_vertices=10**6)
    p = build_polyhedral(f, simplex, block_vertices=24)
    assert p.report["blocks"] > 1
    assert_same(whole, p)
    assert count_polyhedral(f, simplex, block_vertices=24) == whole.n_regions


@pytest.mark.parametrize("caution", [1e9, np.inf])
def test_blocks_agree_where_all_is_decided_exactly(caution: float) -> None:
    f = random_network((4, 3), 7, n_inputs=3)
    assert_same(build_polyhedral(f, box(3)), build_polyhedral(f, box(3), caution=caution, block_vertices=24))


@pytest.mark.parametrize("name", ["three inputs", "four inputs", "negated"])
def test_workers_do_not_change_the_result(name: str) -> None:
    f = NETWORKS[name]
    p = build_polyhedral(f, box(f.n_inputs), block_vertices=60)
    for _ in range(2):
        q, r = (build_polyhedral(f, box(f.n_inputs), block_vertices=60, n_jobs=n) for n in (2, 2))
        assert_same(p, q)
        # From run to run all is the same, bit for bit.
        assert q.patterns == r.patterns
        for array in ("vertices", "edges", "vertex_errors", "facet_regions", "region_vertices"):
            assert np.array_equal(getattr(q, array), getattr(r, array)), array
        assert {**q.report, "seconds": 0, "bytes": 0} == {**r.report, "seconds": 0, "bytes": 0}
    assert count_polyhedral(f, box(f.n_inputs), block_vertices=60, n_jobs=2) == p.n_regions
    assert gr.count_regions(f, box(f.n_inputs), n_jobs=2) == p.n_regions


@pytest.mark.parametrize("name", ["three inputs", "four inputs", "five inputs", "bias-free", "ternary in 4 dimensions"])
def test_volumes_by_blocks(name: str) -> None:
    """Those of enumerated cells in fractions are held to in test_polyhedral_oracle."""
    f = NETWORKS[name]
    p = build_polyhedral(f, box(f.n_inputs))
    own, determinants = p.skeletal, p._determinants[0]
    whole, blocks = (
        region_volumes(own.simple, own.null, determinants, own.words.starts, p._form_values, most)
        for most in (10**6, 3 << f.n_inputs)
    )
    np.testing.assert_allclose(blocks, whole, rtol=1e-12, atol=0)
    assert abs(blocks.sum() / 2.0**f.n_inputs - 1) < 1e-13


@pytest.mark.parametrize(("n", "d"), [(40, 3), (16, 4), (13, 5), (12, 6)])
def test_counts_of_hyperplanes_in_general_position(n: int, d: int) -> None:
    rng = np.random.default_rng(n + d)
    f = one_layer(rng.normal(size=(n, d)), rng.normal(size=n))
    domain = gr.Box([-1e9] * d, [1e9] * d)
    assert count_polyhedral(f, domain, block_vertices=8 << d) == sum(comb(n, i) for i in range(d + 1))


@pytest.mark.parametrize("depth", [2, 3])
def test_counts_of_folds(depth: int) -> None:
    """Each axis folded `depth` times, 8^depth cubes: degenerate, with planes along borders."""
    assert count_polyhedral(fold(depth, n_inputs=3), gr.Box([0.0] * 3, [1.0] * 3), block_vertices=100) == 8**depth


def test_memory_of_counting_does_not_grow() -> None:
    f = random_network((48, 48), 1, n_inputs=3)
    count_polyhedral(f, gr.Box([-0.1] * 3, [0.1] * 3), block_vertices=600)
    peaks, counts = [], []
    for half in (0.3, 1.0):
        tracemalloc.start()
        counts.append(count_polyhedral(f, gr.Box([-half] * 3, [half] * 3), block_vertices=600))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert counts[1] > 6 * counts[0]
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interruption_ends_the_run(n_jobs: int) -> None:
    f = NETWORKS["three inputs"]

    def stop(message: str, fraction: float) -> None:
        if fraction > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_polyhedral(f, box(3), stop, block_vertices=40, n_jobs=n_jobs)
    said: list[Any] = []
    n = count_polyhedral(f, box(3), lambda *news: said.append(news), block_vertices=40, n_jobs=n_jobs)
    assert n == build_polyhedral(f, box(3)).n_regions
    fractions = [fraction for _, fraction in said]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("blocks" in message for message, _ in said)


def test_integer_networks_in_four_dimensions() -> None:
    for seed in range(6):
        f = integer_network((4, 3), seed, 2, n_inputs=4)
        whole = build_polyhedral(f, box(4), block_vertices=10**6)
        assert count_polyhedral(f, box(4), block_vertices=48) == whole.n_regions
