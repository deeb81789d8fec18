"""Domains of all shapes, and what a domain or network that cannot be used says."""

from __future__ import annotations

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import DomainError, InputDimensionError, InputError
from tests.networks import integer_network, lines, random_network
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import assert_equals_oracle, assert_locates, assert_sound

THIRDS = [[1 / 3, 0.1], [0.9, 0.2], [1.1, 0.7], [0.6, 1.3], [0.2, 0.8]]
DOMAINS = {
    "not centred": gr.Box([-2.5, 0.125], [-0.5, 7.0]),
    "flat": gr.Box([-1, -1e-3], [1, 1e-3]),
    "small": gr.Box([0.1, 0.2], [0.1 + 1e-7, 0.2 + 1e-7]),
    "large": gr.Box(-1e6, 1e6),
    "triangle": gr.Polygon([[0, 0], [1, 0], [0, 1]]),
    "thin triangle": gr.Polygon([[-1, -1], [1, 1], [1, 1 + 1e-9]]),
    "clockwise pentagon": gr.Polygon(THIRDS[::-1]),
    "twelve corners": gr.Polygon(
        np.column_stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)])
    ),
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
@pytest.mark.parametrize(
    "network",
    [random_network((6, 5), 1), random_network((5, 4, 3), 2, np.float32), integer_network((5, 4), 3, largest=2)],
    ids=["float64", "float32", "integers"],
)
def test_domain(domain: gr.Box | gr.Polygon, network: gr.Network) -> None:
    p = gr.partition(network, domain)
    assert_sound(p)
    assert_locates(p, n=200)
    assert_equals_oracle(p, enumerate_regions(network, domain.vertices))


def test_shapely_polygons_and_arrays_are_domains() -> None:
    shapely = pytest.importorskip("shapely")
    network = random_network((6,), 3)
    expected = gr.partition(network, gr.Polygon(THIRDS))
    for domain in (shapely.Polygon(THIRDS), np.array(THIRDS), THIRDS):
        p = gr.partition(network, domain)
        np.testing.assert_array_equal(p.vertices, expected.vertices)
        assert p.patterns == expected.patterns


def test_a_corner_on_a_neuron() -> None:
    triangle = gr.Polygon([[0, 0], [2, 1], [1, 2]])
    through = gr.partition(lines([[1, -1, 0]]), triangle)
    assert (through.n_regions, through.n_vertices, through.n_edges) == (2, 4, 5)
    touching = gr.partition(lines([[1, 1, 0]]), triangle)
    assert (touching.n_regions, touching.n_vertices) == (1, 3)
    assert touching.patterns.unpack().all()
    behind = gr.partition(lines([[-1, -1, 0]]), triangle)
    assert behind.n_regions == 1
    assert not behind.patterns.unpack().any()


def test_a_side_along_a_neuron() -> None:
    triangle = gr.Polygon([[0, 0], [2, 2], [0, 2]])
    for sign in (1, -1):
        p = gr.partition(lines([[sign, -sign, 0], [0, 1, -1]]), triangle)
        assert (p.n_regions, p.n_vertices, p.n_edges) == (2, 5, 6)
        assert (p.patterns.unpack()[:, 0] == (sign < 0)).all()


def test_domain_of_the_wrong_kind() -> None:
    network = random_network((3,), 0)
    for domain in (None, [[0, 0], [1, 1]], "square", 3.0):
        with pytest.raises(DomainError):
            gr.partition(network, domain)


def test_dimensions_must_fit() -> None:
    with pytest.raises(InputDimensionError, match="2"):
        gr.partition(random_network((3,), 0, n_inputs=3), gr.Box(-1, 1))
    with pytest.raises(InputDimensionError, match="3"):
        gr.partition(random_network((3,), 0, n_inputs=4), gr.Box([0, 0, 0], [1, 1, 1]))
    with pytest.raises(InputError):
        gr.partition(random_network((3,), 0), gr.Box([0, 0, 0], [1, 1, 1]))


def test_model_of_the_wrong_kind() -> None:
    with pytest.raises(InputError):
        gr.partition("network", gr.Box(-1, 1))
    with pytest.raises(InputError):
        gr.partition(None, gr.Box(-1, 1))
