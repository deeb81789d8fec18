"""The cross-check in 3 and more dimensions: right partitions pass, damaged ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import DomainError, InputDimensionError
from tests.networks import integer_network, random_network, to_torch
from tests.test_polyhedral_answers import cube

F = random_network((6, 5), 1, n_inputs=3, n_outputs=2)


@pytest.mark.parametrize(
    ("network", "n"),
    [
        (F, 21),
        (random_network((5, 3), 2, n_inputs=4), 9),
        (integer_network((4, 3), 1, 2, n_inputs=3), 11),
        (integer_network((4,), 0, 2, bias=False, n_inputs=3), 9),
        (gr.Network([np.eye(3)]), 3),
    ],
    ids=str,
)
def test_right_partitions_pass(network: gr.Network, n: int) -> None:
    p = gr.partition(network, cube(network.n_inputs))
    report = gr.crosscheck(p, n=n)
    assert report.ok, str(report)
    assert report.n_samples == n**p.dimension + 2**p.dimension
    assert report.n_agree + report.n_near_border == report.n_samples
    assert report.n_exact == p.n_regions
    assert report.n_sampled_patterns <= p.count("activation")
    assert len(report.missed_regions) + report.n_sampled_patterns >= p.n_regions
    assert "ok" in str(report)


def test_models_points_and_polytopes() -> None:
    simplex = gr.Polytope(np.vstack([-np.eye(3), np.ones((1, 3))]), [0.0, 0, 0, 1])
    assert gr.crosscheck(gr.partition(F, simplex), n=15).ok
    p = gr.partition(F, cube(3))
    x = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    assert gr.crosscheck(p, points=x, model=to_torch(F)).n_agree == 500
    with pytest.raises(DomainError, match="outside"):
        gr.crosscheck(p, points=[[2.0, 0, 0]])
    with pytest.raises(InputDimensionError, match="expected \\(N, 3\\)"):
        gr.crosscheck(p, points=[[0.0, 0]])


def changed(**attributes: Any) -> Any:
    p = gr.partition(F, cube(3))
    vars(p).update(attributes)
    return p


def test_damage_is_seen() -> None:
    good = gr.partition(F, cube(3))
    words = good.patterns.words.copy()
    words[[0, 1]] = words[[1, 0]]
    swapped = gr.crosscheck(changed(patterns=gr.Patterns(words, F.widths)), n=11)
    assert {"pattern", "location"} <= swapped.n_failures.keys()
    words = good.patterns.words.copy()
    words[0, 0] ^= np.uint64(1)
    assert "pattern" in gr.crosscheck(changed(patterns=gr.Patterns(words, F.widths)), n=11).n_failures
    maps = good.affine_maps
    tilted = type(maps)(maps.A * (1 + 1e-10), maps.b)
    assert {"map", "value"} & gr.crosscheck(changed(affine_maps=tilted), n=11).n_failures.keys()
    assert gr.crosscheck(changed(volumes=good.volumes * (1 + 1e-6)), n=3).n_failures.keys() == {"area"}
    other = gr.Network([F.layers[0].weight + 1e-3, *[v.weight for v in F.layers[1:]]], [v.bias for v in F.layers])
    assert not gr.crosscheck(changed(network=other), n=21).ok
