"""The six definitions, and the table, in 3 and more dimensions: against fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.analysis.definitions import DEFINITIONS, CountBounds
from geomrelu.errors import InputError
from tests.networks import integer_network, random_network
from tests.oracles.fraction_polytopes import enumerate_box
from tests.test_polyhedral_answers import NETWORKS, both, cube
from tests.test_polyhedral_complex import evaluated

DEGENERATE = {
    "ternary in 3": integer_network((4, 3), 1, n_inputs=3),
    "bias-free in 3": integer_network((4, 2), 0, 2, bias=False, n_inputs=3),
    "bias-free in 4": integer_network((3, 2), 3, 1, bias=False, n_inputs=4),
    "x, -x": gr.Network([[[1.0, 0, 0], [-1.0, 0, 0]], [[1.0, 2.0]]]),
    "three planes and their negatives": gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))]),
    "again": gr.Network(
        [np.vstack([np.eye(3), -np.eye(3)]), np.eye(6) - np.roll(np.eye(6), 1, axis=0), np.ones((1, 6))]
    ),
    "no neuron": gr.Network([[[1.0, 2.0, 3.0]]]),
    "generic": random_network((5, 3), 1, n_inputs=3),
}


def attained(network: gr.Network) -> int:
    """Patterns inside all faces of all cells, by forward passes in fractions at the means of their vertices."""
    d = network.n_inputs
    patterns = set()
    for cell in enumerate_box(network, [-1.0] * d, [1.0] * d).cells:
        constraints = set().union(*cell.vertices.values())
        facets = {frozenset(p for p, tight in cell.vertices.items() if k in tight) for k in constraints}
        faces, new = {frozenset(cell.vertices)}, {frozenset(cell.vertices)}
        while new:
            new = {face & facet for face in new for facet in facets} - faces - {frozenset()}
            faces |= new
        for face in faces:
            middle = [sum(x, Fraction(0)) / len(face) for x in zip(*face, strict=True)]
            patterns.add(evaluated(network, middle))
    return len(patterns)


@pytest.mark.parametrize("name", DEGENERATE)
def test_patterns_attained_anywhere(name: str) -> None:
    f = DEGENERATE[name]
    p = gr.partition(f, cube(f.n_inputs))
    assert p.count("activation") == attained(f)
    if name == "three planes and their negatives":
        assert (p.count("activation"), p.count("proper_activation")) == (27, 8)


@pytest.mark.parametrize("name", sorted({*DEGENERATE, *NETWORKS}))
def test_the_definitions_form_a_chain(name: str) -> None:
    f = {**DEGENERATE, **NETWORKS}[name]
    p = gr.partition(f, cube(f.n_inputs))
    counts = [p.count(definition) for definition in DEFINITIONS]
    least = [c.lower if isinstance(c, CountBounds) else c for c in counts]
    most = [c.upper if isinstance(c, CountBounds) else c for c in counts]
    assert all(a >= b for a, b in zip(most, least[1:], strict=False))
    assert (counts[1], counts[3], counts[5]) == (p.n_regions, p.n_linear_regions, p.n_affine_pieces)
    if p.n_affine_pieces == p.n_regions:
        assert counts[1:] == [p.n_regions] * 5
    with pytest.raises(InputError, match="activation"):
        p.count("regions")


@pytest.mark.parametrize("name", ["random in 3", "random in 4", "ternary in 3"])
def test_the_table_tells_what_the_cells_are(name: str) -> None:
    p, found = both(name)
    pytest.importorskip("pandas")
    frame: Any = p.table()
    d = p.dimension
    assert len(frame) == p.n_regions
    for row, bits in zip(frame.to_dict("records"), p.patterns.unpack().astype(int).tolist(), strict=True):
        cell = found.by_pattern[tuple(bits)]
        assert row["volume"] == pytest.approx(float(cell.volume), rel=1e-9)
        assert row["vertices"] == len(cell.vertices)
        assert row["active"] == sum(bits)
        on_sides = [sum(point[i] == side for point in cell.vertices) for i in range(d) for side in (-1, 1)]
        assert row["on_border"] == (max(on_sides) >= d)
        for k, form in enumerate(cell.map):
            own = [row[f"a{k}_x{i}"] for i in range(d)] + [row[f"b{k}"]]
            np.testing.assert_allclose(own, [float(v) for v in form], atol=1e-12)
    inner = sum(2 for _ in found.neighbors)
    assert frame["facets"].sum() == inner + (p.facet_regions[:, 0] < 0).sum()
    assert p.histogram("facets").counts.sum() == p.n_regions
    assert p.histogram("volume", 5).counts.sum() == p.n_regions
