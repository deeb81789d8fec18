"""Exact level sets in three dimensions: watertight, and where the network has the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputDimensionError, InputError, OutputPathError
from geomrelu.polyhedral.level_set import LevelSet
from tests.networks import integer_network, random_network

CUBE = gr.Box([-1.0] * 3, [1.0] * 3)
MAGNITUDES = np.vstack([np.eye(3), -np.eye(3)])


def partition(network: gr.Network, box: gr.Box = CUBE) -> Any:
    return gr.partition(network, box)


def square_ring() -> gr.Network:
    """max(|max(|x|, |y|) - 2|, |z|): its level sets are rings with a square section."""
    pairs = np.hstack([np.eye(3), np.eye(3)])  # |x|, |y|, |z| of the first layer
    second = np.array([[-1.0, 1, 0], [1, 0, 0], [0, 0, 1]]) @ pairs  # relu(|y| - |x|), |x|, |z|
    third = np.array([[1.0, 1, 0], [-1, -1, 0], [0, 0, 1]])  # +-(max - 2), |z|
    fourth = np.array([[-1.0, -1, 1], [1, 1, 0]])  # relu(|z| - |max - 2|), |max - 2|
    biases = [np.zeros(6), np.zeros(3), np.array([-2.0, 2, 0]), np.zeros(2), np.zeros(1)]
    return gr.Network([MAGNITUDES, second, third, fourth, np.ones((1, 2))], biases)


def directed(surface: LevelSet) -> np.ndarray:
    following = np.arange(1, len(surface.polygons) + 1)
    following[surface.offsets[1:] - 1] = surface.offsets[:-1]
    return np.stack([surface.polygons, surface.polygons[following]], axis=1)


def test_an_octahedron() -> None:
    surface = partition(gr.Network([MAGNITUDES, np.ones((1, 6))]), gr.Box([-2.0] * 3, [2.0] * 3)).level_set(1.0)
    assert (surface.n_polygons, len(surface.vertices), len(surface.edges[0])) == (8, 6, 12)
    assert sorted(map(tuple, surface.vertices.round(12).tolist())) == sorted(map(tuple, MAGNITUDES.tolist()))
    assert surface.area == pytest.approx(4 * 3**0.5)
    assert surface.volume == pytest.approx(4 / 3)
    assert (surface.is_closed, surface.genus, surface.n_components) == (True, 0, 1)


def test_a_ring_has_a_hole() -> None:
    surface = partition(square_ring(), gr.Box([-3.0] * 3, [3.0] * 3)).level_set(0.5)
    assert surface.is_closed
    assert surface.genus == 1
    assert surface.volume == pytest.approx(5**2 - 3**2)
    assert surface.area == pytest.approx(2 * (5**2 - 3**2) + 4 * 5 + 4 * 3)
    two = partition(square_ring(), gr.Box([-3.0] * 3, [3.0] * 3)).level_set(2.0, capped=True)
    # Thick rings close over the hole: what remains beyond them is the domain's outside.
    assert two.is_closed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_surfaces_of_random_networks(seed: int) -> None:
    f = random_network((9, 8), seed, n_inputs=3, n_outputs=2)
    p = partition(f)
    value = float(np.median(f(p.interior_points)[:, 1]))
    surface = p.level_set(value, 1)
    np.testing.assert_allclose(f(surface.vertices)[:, 1], value, atol=1e-12)
    # Open edges lie on the domain's border.
    ends, counts = surface.edges
    assert counts.max() == 2
    rim = surface.vertices[ends[counts == 1]]
    assert ((np.abs(rim) == 1).all(axis=1)).any(axis=1).all()
    capped = p.level_set(value, 1, capped=True)
    assert capped.is_closed
    assert set(map(tuple, surface.vertices.tolist())) <= set(map(tuple, capped.vertices.tolist()))
    steps = directed(capped)
    assert len(np.unique(steps, axis=0)) == len(steps), "neighbours run along their edge in opposite directions"
    # The volume, by sampling on a grid of midpoints.
    at = (np.arange(40) + 0.5) / 20 - 1
    grid = np.stack(np.meshgrid(at, at, at), axis=-1).reshape(-1, 3)
    assert -capped.volume == pytest.approx(8 * (f(grid)[:, 1] > value).mean(), abs=0.02)


def test_a_surface_along_a_degenerate_networks_facets() -> None:
    f = integer_network((4, 3), 1, 2, n_inputs=3)
    for value in (-1.0, 0.0, 1.0):
        surface = partition(f).level_set(value, capped=True)
        np.testing.assert_allclose(np.minimum(f(surface.vertices)[:, 0], value), value, atol=1e-12)
        assert surface.is_closed


def test_no_surface() -> None:
    surface = partition(random_network((4,), 0, n_inputs=3)).level_set(1e6)
    assert (surface.n_polygons, surface.area, surface.volume, surface.n_components) == (0, 0.0, 0.0, 0)
    assert surface.triangles().shape == (0, 3)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl"])
def test_files(suffix: str, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    surface = partition(square_ring(), gr.Box([-3.0] * 3, [3.0] * 3)).level_set(0.5)
    surface.save(tmp_path / f"ring{suffix}")
    mesh = trimesh.load(tmp_path / f"ring{suffix}")
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(16, rel=1e-6)
    assert mesh.euler_number == 0


def test_bad_input(tmp_path: Path) -> None:
    f = random_network((3,), 0, n_inputs=3)
    p = partition(f)
    surface = p.level_set(float(f([[0.1, 0.2, 0.3]])[0, 0]))
    assert not surface.is_closed
    with pytest.raises(InputError, match="nan"):
        p.level_set(float("nan"))
    with pytest.raises(InputError, match="output=1"):
        p.level_set(0.0, 1)
    with pytest.raises(InputDimensionError, match="4 dimensions"):
        partition(random_network((3,), 0, n_inputs=4), gr.Box([-1] * 4, [1] * 4)).level_set(0.0)
    with pytest.raises(InputError, match="suffix"):
        surface.save(tmp_path / "x.txt")
    pytest.importorskip("trimesh")
    with pytest.raises(OutputPathError):
        surface.save(tmp_path / "none" / "x.ply")
    with pytest.raises(InputError, match="capped"):
        _ = surface.genus
