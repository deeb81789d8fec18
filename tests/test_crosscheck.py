"""The exact path against the sampled path, and planted errors that must be caught."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import geomrelu as gr
from geomrelu.crosscheck import crosscheck, refinement
from geomrelu.errors import DomainError, InputDimensionError, InputError, ShapeError
from geomrelu.matrices import is_sparse
from geomrelu.patterns import Patterns
from tests.networks import SQUARE, Case, degenerate_cases, grid, lines, random_cases, random_network, to_torch

P = Any


@pytest.fixture(scope="module")
def sound() -> P:
    return gr.partition(random_network((8, 6), 1, n_outputs=2), SQUARE)


@pytest.mark.parametrize("case", [*degenerate_cases(), *random_cases()[::4]], ids=str)
def test_exact_and_sampled_agree(case: Case) -> None:
    p = gr.partition(case.network, case.domain)
    report = crosscheck(p, n=21)
    assert report.ok, str(report)
    assert report.n_agree + report.n_near_border == report.n_samples
    assert report.n_failed == 0
    assert report.n_exact == p.n_regions


@pytest.mark.parametrize("widths", [(20,), (100,), (32, 32), (24, 24, 24), (8,) * 8], ids=str)
def test_larger_networks(widths: tuple[int, ...]) -> None:
    p = gr.partition(random_network(widths, 3, np.float32, n_outputs=3), SQUARE)
    report = crosscheck(p)
    assert report.ok, str(report)
    assert report.n_samples == 10205
    # In general position only the domain's corners could be on a border, and are not.
    assert report.n_near_border <= 5
    assert len(report.undecided_regions) <= p.n_regions // 100
    assert report.n_sampled_patterns + len(report.missed_regions) == p.n_regions
    assert report.n_sampled_maps <= report.n_sampled_patterns


def test_missed_regions_are_named_with_their_areas() -> None:
    # A triangle of legs 1e-4 between samples: three lines through the square make 7 regions.
    triangle = lines([[1, 0, -0.31], [0, 1, -0.57], [1, 1, -0.8801]])
    p = gr.partition(triangle, SQUARE)
    report = crosscheck(p, n=11)
    assert report.ok
    assert report.n_exact == 7
    (missed,) = report.missed_regions
    assert report.missed_areas[0] == pytest.approx(1e-8 / 2, rel=1e-6)
    np.testing.assert_allclose(p.centroids[missed], [0.31 + 1e-4 / 3, 0.57 + 1e-4 / 3], atol=1e-9)
    assert report.n_sampled_patterns == 6
    assert "regions missed" in str(report)
    # A sample in it finds it.
    assert missed not in crosscheck(p, points=p.centroids[[missed]]).missed_regions


def test_samples_on_borders_are_set_apart_not_dropped() -> None:
    # x = 0 and y = 0: 11 + 11 - 1 of the 121 grid points lie exactly on them.
    p = gr.partition(lines([[1, 0, 0], [0, 1, 0]]), SQUARE)
    report = crosscheck(p, n=11)
    assert report.ok
    assert (report.n_agree, report.n_near_border, report.n_failed) == (121 + 4 - 21, 21, 0)
    on_border = (np.abs(gr.sample(p.network, SQUARE, n=11).points) == 0).any(axis=1)
    np.testing.assert_array_equal(report.near_border, np.flatnonzero(on_border))
    # Exactly 0 counts as inactive: each shows the pattern of the region on that side.
    assert report.near_border_matches.all()


def test_samples_within_rounding_of_slanted_borders() -> None:
    network = random_network((12, 8), 5)
    p = gr.partition(network, SQUARE)
    inner = p.edges[p.edge_neuron >= 0]
    along = np.linspace(0.1, 0.9, 5)[:, None, None]
    points = (p.vertices[inner[:, 0]] * (1 - along) + p.vertices[inner[:, 1]] * along).reshape(-1, 2)
    report = crosscheck(p, points=np.concatenate([points, p.vertices]))
    assert report.ok, str(report)
    # All but the domain's four corners.
    assert report.n_near_border == report.n_samples - 4
    # A step that rounding cannot explain is not forgiven.
    beside = crosscheck(p, points=np.clip(points + 1e-9, -1, 1))
    assert beside.ok
    assert beside.n_near_border < len(points) // 20


def test_every_region_is_checked_even_unsampled(sound: P) -> None:
    # One sample only: the flipped bit lies in a region far from it.
    far = int(np.argmax(np.abs(sound.centroids - sound.centroids[0]).sum(axis=1)))
    bits = sound.patterns.unpack().copy()
    bits[far, 3] ^= True
    broken = dataclasses.replace(sound, patterns=Patterns.pack(bits, sound.patterns.widths))
    report = crosscheck(broken, points=sound.centroids[[0]])
    assert not report.ok
    assert {(f.kind, f.subject, f.region) for f in report.failures} >= {("pattern", "region", far)}


def test_a_region_cut_in_two_is_caught() -> None:
    # Cut along y = 0 by a neuron that is zero on all of it: every vertex lies on its lines.
    zero = gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0]]])
    p = gr.partition(zero, SQUARE)
    broken = dataclasses.replace(
        p, patterns=Patterns(p.patterns.words & np.array([1, 0], dtype=np.uint64), p.patterns.widths)
    )
    report = crosscheck(broken, n=11)
    twins = [f for f in report.failures if f.expected == "a pattern of its own"]
    assert twins
    assert all(f.kind == "pattern" and f.subject == "region" for f in twins)


# Planted errors


def flipped_bit(p: P, neuron: int) -> P:
    bits = p.patterns.unpack().copy()
    bits[p.n_regions // 2, neuron] ^= True
    return dataclasses.replace(p, patterns=Patterns.pack(bits, p.patterns.widths))


def wrong_map(p: P, what: str, error: float) -> P:
    """A copy whose affine maps, derived on first use, are replaced by damaged ones."""
    maps = p.affine_maps
    a, b = maps.A.copy(), maps.b.copy()
    if what == "A":
        a[p.n_regions // 2, 1, 0] += error
    else:
        b[p.n_regions // 2, 1] += error
    broken = dataclasses.replace(p)
    vars(broken)["affine_maps"] = maps._replace(A=a, b=b)
    return broken


def shifted_vertex(p: P, shift: float) -> P:
    border = np.unique(p.edges[p.edge_neuron < 0])
    inner = np.setdiff1d(np.arange(p.n_vertices), border)
    vertices = p.vertices.copy()
    vertices[inner[len(inner) // 2]] += [shift, 0]
    return dataclasses.replace(p, vertices=vertices)


def moved_corner(p: P) -> P:
    vertices = p.vertices.copy()
    vertices[np.flatnonzero((vertices == [1, 1]).all(axis=1))] = [0.9, 1]
    return dataclasses.replace(p, vertices=vertices)


def swapped_patterns(p: P) -> P:
    order = np.arange(p.n_regions)
    order[[0, -1]] = order[[-1, 0]]
    return dataclasses.replace(p, patterns=p.patterns[order])


def one_pattern_twice(p: P) -> P:
    words = p.patterns.words.copy()
    words[1] = words[0]
    return dataclasses.replace(p, patterns=Patterns(words, p.patterns.widths))


def not_a_number(p: P) -> P:
    vertices = p.vertices.copy()
    vertices[5, 0] = np.nan
    return dataclasses.replace(p, vertices=vertices)


def other_network(p: P) -> P:
    weights, biases = [v.weight for v in p.network.layers], [v.bias.copy() for v in p.network.layers]
    biases[0][2] += 1e-7
    return dataclasses.replace(p, network=gr.Network(weights, biases))


DAMAGE: dict[str, tuple[str, Callable[[P], P]]] = {
    "flipped bit, first layer": ("pattern", lambda p: flipped_bit(p, 2)),
    "flipped bit, last layer": ("pattern", lambda p: flipped_bit(p, p.network.n_neurons - 1)),
    "two patterns swapped": ("pattern", swapped_patterns),
    "one pattern twice": ("pattern", one_pattern_twice),
    "wrong gradient": ("map", lambda p: wrong_map(p, "A", 0.5)),
    "slightly wrong gradient": ("map", lambda p: wrong_map(p, "A", 1e-10)),
    "gradient not a number": ("map", lambda p: wrong_map(p, "A", np.nan)),
    "wrong intercept": ("map", lambda p: wrong_map(p, "b", 0.5)),
    "slightly wrong intercept": ("value", lambda p: wrong_map(p, "b", -1e-10)),
    "shifted vertex": ("vertex", lambda p: shifted_vertex(p, 0.05)),
    "vertex shifted a little": ("vertex", lambda p: shifted_vertex(p, 1e-9)),
    "moved corner of the domain": ("area", moved_corner),
    "coordinate not a number": ("vertex", not_a_number),
    "another network's partition": ("vertex", other_network),
}


@pytest.mark.parametrize(("kind", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_planted_errors_are_caught(sound: P, kind: str, damage: Callable[[P], P]) -> None:
    assert crosscheck(sound, n=31).ok
    report = crosscheck(damage(sound), n=31)
    assert not report.ok
    assert report.n_failures[kind] > 0, str(report)
    assert kind in {f.kind for f in report.failures}
    assert "FAILED" in str(report)
    assert report.n_agree + report.n_near_border + report.n_failed == report.n_samples
    json.dumps(report.to_dict())


def test_a_shifted_vertex_shows_in_the_samples_themselves(sound: P) -> None:
    # Samples in the sliver that changed hands are located in the wrong region, by its ring.
    broken = shifted_vertex(sound, 0.05)
    v = int(np.flatnonzero((broken.vertices != sound.vertices).any(axis=1))[0])
    points = sound.vertices[v] + np.random.default_rng(0).uniform(-0.05, 0.05, (2000, 2))
    report = crosscheck(broken, points=points)
    assert {"sample"} <= {f.subject for f in report.failures if f.kind == "pattern"}
    assert report.n_failed > 0


def test_a_hole_is_a_location_failure(sound: P) -> None:
    # The ring of region 0 made to repeat its first corner: it covers nothing any more.
    rings = sound.face_vertices.copy()
    rings[: sound.face_offsets[1]] = rings[0]
    report = crosscheck(dataclasses.replace(sound, face_vertices=rings), points=sound.centroids)
    assert report.n_failures["location"] == 1
    (lost,) = (f for f in report.failures if f.kind == "location")
    assert (lost.subject, lost.index, lost.region) == ("sample", 0, -1)


def test_many_failures_are_all_counted_and_the_first_kept(sound: P) -> None:
    bits = ~sound.patterns.unpack()
    patterns = Patterns.pack(bits, sound.patterns.widths)
    report = crosscheck(dataclasses.replace(sound, patterns=patterns), n=51)
    assert report.n_failures["pattern"] > 2000
    assert sum(f.kind == "pattern" for f in report.failures) == 100
    assert report.n_failed > 2000


# The model itself


def test_the_model_can_be_sampled_in_place_of_its_reading() -> None:
    network = random_network((9, 7), 2, np.float32, n_outputs=2)
    model = to_torch(network)
    p = gr.partition(network, SQUARE)
    assert crosscheck(p, n=21, model=model).ok
    model[0].bias.data[0] += 1e-3
    report = crosscheck(p, n=21, model=model)
    assert {"map", "value"} <= set(report.n_failures)
    with pytest.raises(ShapeError, match="outputs"):
        crosscheck(p, model=to_torch(random_network((4,), 0)))


def test_convolutions_through_images() -> None:
    """Sparse layers, of blocks in which no sample needs a bound of its own, too."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(8, 3)).eval()
    p = gr.partition(model, gr.Slice.through(*np.random.default_rng(0).random((3, 1, 10, 10))))
    assert any(is_sparse(layer.weight) for layer in p.network.layers)
    assert crosscheck(p, n=21).ok
    assert crosscheck(p, n=21, model=model).ok


# Refinement


def test_refinement_approaches_the_exact_count() -> None:
    p = gr.partition(random_network((20,), 0), SQUARE)
    table = refinement(p, sizes=(3, 9, 33, 129))
    assert [row.n for row in table.rows] == [3, 9, 33, 129]
    assert [row.n_samples for row in table.rows] == [n * n + 4 for n in (3, 9, 33, 129)]
    # These grids contain one another.
    seen = [row.n_regions_seen for row in table.rows]
    assert seen == sorted(seen)
    assert seen[0] < seen[-1] <= p.n_regions == table.n_regions
    assert all(row.n_maps <= row.n_patterns for row in table.rows)
    last = table.rows[-1]
    assert last.share_of_regions == seen[-1] / p.n_regions
    assert last.share_of_regions <= last.share_of_area <= 1
    report = crosscheck(p, n=129)
    assert last.n_patterns == report.n_sampled_patterns
    assert last.share_of_area == pytest.approx(1 - report.missed_areas.sum() / 4)
    json.dumps(table.to_dict())
    assert str(last.n_samples) in str(table)


def test_refinement_plot() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    p = gr.partition(grid(3), SQUARE)
    ax = refinement(p, sizes=(5, 9)).plot()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert np.allclose(ax.lines[0].get_ydata(), p.n_regions)
    assert ax.get_legend() is not None
    own = plt.figure().add_subplot()
    assert refinement(p, sizes=(5, 9)).plot(own) is own
    plt.close("all")


# Bad input


def test_bad_input(sound: P) -> None:
    with pytest.raises(InputDimensionError, match="points"):
        crosscheck(sound, points=[1.0, 2.0])
    with pytest.raises(DomainError, match=r"1 of 2 lie outside"):
        crosscheck(sound, points=[[0.0, 0.0], [2.0, 0.0]])
    with pytest.raises(InputError, match="n: got"):
        crosscheck(sound, n=1)
    with pytest.raises(InputError, match="tol: got"):
        crosscheck(sound, tol=-1)
    with pytest.raises(InputError, match="n: got"):
        refinement(sound, sizes=[0])
    with pytest.raises(InputError, match="device: got"):
        crosscheck(sound, device="cuda:99")


def test_no_samples_still_check_every_region(sound: P) -> None:
    report = crosscheck(sound, points=np.empty((0, 2)))
    assert report.ok
    assert report.n_samples == 0
    assert len(report.missed_regions) == sound.n_regions
