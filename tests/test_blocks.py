"""Blocks of any size, run anywhere, give the same partition."""

from __future__ import annotations

import dataclasses
from typing import Any

import joblib
import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputError, InvariantError
from geomrelu.planar.blocks import merge, z_order
from geomrelu.planar.build import build_complex
from geomrelu.planar.cutter import Cutter, Task, root_block
from tests.networks import SQUARE, Case, degenerate_cases, integer_network, random_cases, random_network
from tests.soundness import INTERPRETED
from tests.test_engine_stages import structure

CASES = [*degenerate_cases(), *random_cases()]
if INTERPRETED:
    CASES = CASES[::6]
compiled_only = pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")


def in_blocks(network: gr.Network, domain: Any = SQUARE, block_values: int = 1, **options: Any) -> Any:
    return build_complex(network, domain, block_values=block_values, **options)


def assert_same(p: Any, q: Any) -> None:
    """Bit for bit."""
    for field in dataclasses.fields(p):
        mine, other = getattr(p, field.name), getattr(q, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(p.patterns.words, q.patterns.words)


@pytest.mark.parametrize("block_values", [1, 100, 1000])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_blocks_of_any_size(case: Case, block_values: int) -> None:
    """Down to one face each, split again at every layer; borders through every vertex."""
    whole = gr.partition(case.network, case.domain)
    p = in_blocks(case.network, case.domain, block_values)
    p.check()
    assert structure(p) == structure(whole)
    assert p.report["layers"] == whole.report["layers"]
    # What blocks share is counted once.
    assert all(p.report[name] == whole.report[name] for name in ("generic", "signs_zero", "ties"))
    order, wanted = np.argsort(p.patterns.keys()), np.argsort(whole.patterns.keys())
    size = float(np.abs(p.domain.vertices).max()) ** 2
    np.testing.assert_allclose(p.areas[order], whole.areas[wanted], rtol=1e-9, atol=1e-12 * size)


@compiled_only
@pytest.mark.parametrize("network", [random_network((8, 8, 8), 1), integer_network((6, 6, 4), 2)], ids=str)
def test_blocks_pass_the_audit(network: gr.Network) -> None:
    in_blocks(network).check(level="exact")


def test_blocks_in_exact_arithmetic() -> None:
    network = random_network((5, 5, 4), 3)
    p = in_blocks(network, caution=float("inf"), balls=False)
    assert p.report["signs_exact"] == p.report["signs"]
    assert structure(p) == structure(gr.partition(network, SQUARE))


def test_blocks_are_compact() -> None:
    """A block of a grid of n cells shares about as many edges with others as a square of them has."""
    network = gr.Network([np.eye(2).repeat(15, axis=0), np.ones((3, 30)), np.ones((1, 3))],
                         [np.tile(-np.linspace(-0.97, 0.96, 15), 2), np.zeros(3), [0]])  # fmt: skip
    cutter = Cutter(Task(network, SQUARE), root_block(Task(network, SQUARE)))
    cutter.advance()
    assert cutter.n_faces == 256
    blocks = list(cutter.blocks(16))
    assert [len(b.faces.mesh.face_words) for b in blocks] == [16] * 16
    assert sum(b.share for b in blocks) == pytest.approx(1.0)
    borders = [int((b.faces.mesh.edge_faces < 0).any(axis=1).sum()) for b in blocks]
    assert max(borders) <= 20
    assert sum(int(b.owned.sum()) for b in blocks) == len(cutter.faces.mesh.edges)


def test_z_order() -> None:
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * 0.7
    assert z_order(corners[[3, 1, 2, 0]]).tolist() == [3, 1, 2, 0]
    assert sorted(z_order(np.full((5, 2), 3.0)).tolist()) == list(range(5))


def test_blocks_that_disagree_are_not_merged() -> None:
    task = Task(random_network((6, 6), 1), SQUARE)
    cutter = Cutter(task, root_block(task))
    cutter.advance()
    ids, parts = [], []
    for block in cutter.blocks(2):
        own = Cutter(task, block)
        own.advance()
        ids.append((block.vertex_ids, block.edge_ids))
        parts.append(own.finish())
    shared = np.flatnonzero(np.isin(ids[0][1], np.concatenate([e for _, e in ids[1:]])))[0]
    parts[0].first_piece[shared + 1 :] += 1
    with pytest.raises(InvariantError, match="edge pieces"):
        merge(len(cutter.faces.mesh.xy), len(cutter.faces.mesh.edges), ids, parts)


# ------------------------------------------------------------------ workers


@compiled_only
@pytest.mark.parametrize("n_jobs", [2, -1])
def test_threads_change_nothing(n_jobs: int) -> None:
    network = random_network((16, 16, 16), 2)
    assert_same(in_blocks(network, block_values=4000, n_jobs=n_jobs), in_blocks(network, block_values=4000))


@compiled_only
def test_processes_change_nothing() -> None:
    network = random_network((16, 16, 16), 2)
    with joblib.parallel_config("loky", n_jobs=2):
        p = in_blocks(network, block_values=4000)
    assert_same(p, in_blocks(network, block_values=4000))


@compiled_only
def test_exact_decisions_in_threads() -> None:
    """Caches of exact forms are not shared between threads."""
    network = integer_network((8, 8, 6), 1)
    assert_same(in_blocks(network, block_values=500, n_jobs=3), in_blocks(network, block_values=500))


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2", True])
def test_bad_number_of_jobs(n_jobs: Any) -> None:
    for function in (gr.partition, gr.count_regions, lambda *a, **k: gr.aggregate(*a, ["area"], **k)):
        with pytest.raises(InputError, match="expected a number of workers"):
            function(random_network((3,), 1), SQUARE, n_jobs=n_jobs)


def test_progress_tells_regions_and_area() -> None:
    told: list[tuple[str, float]] = []
    p = in_blocks(random_network((12, 12), 1), progress=lambda message, share: told.append((message, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[-1] == ("done", 1.0)
    assert told[-2][0].startswith(f"{p.n_regions:,} regions")
    assert "of the area" in told[-2][0]


def test_edges_in_doubt_on_a_blocks_border_keep_their_direction():
    """There one of the faces beside an edge is another block's, so its bits are not at hand."""
    network = random_network((16, 16, 16), seed=5)
    whole = build_complex(network, SQUARE)
    for balls in (True, False):
        # All orders in doubt, and blocks of a few faces.
        parts = build_complex(network, SQUARE, caution=1e13, balls=balls, block_values=300)
        parts.check()
        assert parts.report["edges_exact"] > 20
        assert sorted(map(bytes, parts.patterns.words)) == sorted(map(bytes, whole.patterns.words))
