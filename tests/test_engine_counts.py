"""Counts that are theorems."""

from __future__ import annotations

import numpy as np
import pytest

import geomrelu as gr
from tests.networks import SQUARE, fold, grid, lines, sawtooth, to_torch, triangle
from tests.soundness import INTERPRETED
from tests.test_oracle import crossings_and_lines_inside


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (4, 1), (16, 2), (40, 3), (100, 4), (200, 5)])
def test_lines_in_general_position(n: int, seed: int) -> None:
    if INTERPRETED and n > 40:
        pytest.skip("interpreted kernels take the smaller cases")
    table = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    crossing, meeting = crossings_and_lines_inside(table)
    p = gr.partition(lines(table), gr.Box(-1, 1))
    assert p.n_regions == 1 + meeting + crossing
    assert p.n_vertices == 4 + 2 * meeting + crossing
    assert p.n_edges == 4 + 3 * meeting + 2 * crossing


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8, 10])
def test_sawtooth(depth: int) -> None:
    p = gr.partition(sawtooth(depth), gr.Box(0, 1))
    assert p.n_regions == p.n_linear_regions == p.n_affine_pieces == 2**depth
    np.testing.assert_array_equal(p.areas, 2.0**-depth)
    assert gr.partition(sawtooth(depth, -1, 1), SQUARE).n_regions == 2**depth
    # Strips for x < 0, where every preactivation but the first is 0 or -1/2, come on top.
    assert gr.partition(sawtooth(depth), SQUARE).n_regions == 2**depth + 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_fold(depth: int) -> None:
    if INTERPRETED and depth > 3:
        pytest.skip("interpreted kernels take the smaller cases")
    p = gr.partition(fold(depth), gr.Box(0, 1))
    assert p.n_regions == p.n_linear_regions == 4**depth
    assert p.n_affine_pieces == 4 * (2**depth - 1)
    assert p.n_vertices == (2**depth + 1) ** 2
    np.testing.assert_array_equal(p.areas, 4.0**-depth)
    assert gr.partition(fold(depth, -1, 1), SQUARE).n_regions == 4**depth
    assert gr.partition(fold(depth), SQUARE).n_regions == (2**depth + 1) ** 2


@pytest.mark.parametrize("depth", [2, 4])
def test_float32_torch_modules(depth: int) -> None:
    torch = pytest.importorskip("torch")
    assert gr.partition(to_torch(fold(depth, -1, 1), torch.float32), SQUARE).n_regions == 4**depth
    assert gr.partition(to_torch(sawtooth(depth, -1, 1), torch.float32), SQUARE).n_regions == 2**depth


@pytest.mark.parametrize("n", [1, 3, 7])
def test_grid(n: int) -> None:
    p = gr.partition(grid(n, diagonals=False), SQUARE)
    assert (p.n_regions, p.n_vertices, p.n_edges) == ((n + 1) ** 2, (n + 2) ** 2, 2 * (n + 1) * (n + 2))


@pytest.mark.parametrize("size", [0.5, 1e-3, 1e-6, 1e-9, 1e-15, 1e-100])
def test_three_lines_bound_a_triangle(size: float) -> None:
    p = gr.partition(triangle(size), SQUARE)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (7, 13, 19)


def test_lines_through_one_point() -> None:
    for n in (2, 3, 8, 20):
        angles = np.pi * (np.arange(n) + 0.25) / n
        p = gr.partition(lines(np.column_stack([np.cos(angles), np.sin(angles), np.zeros(n)])), SQUARE)
        assert (p.n_regions, p.n_vertices) == (2 * n, 2 * n + 5)


def test_parallel_and_coinciding_lines() -> None:
    table = [[1, 2, c / 8] for c in range(-8, 9)]
    assert gr.partition(lines(table), SQUARE).n_regions == 18
    assert gr.partition(lines(table * 3), SQUARE).n_regions == 18
    assert gr.partition(lines([[-3 * a, -3 * b, -3 * c] for a, b, c in table] + table), SQUARE).n_regions == 18


def test_one_face_without_neurons() -> None:
    p = gr.partition(gr.Network([[[1.0, 2.0]]], [[3.0]]), SQUARE)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (1, 4, 4)
    np.testing.assert_array_equal(p.affine_maps.A, [[[1, 2]]])
    np.testing.assert_array_equal(p.affine_maps.b, [[3]])


def test_the_hand_made_xor_network() -> None:
    """2 relu(x + y + 1) - 4 relu(x + y) - 1: exactly three regions."""
    p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), SQUARE)
    maps = {(*A[0].tolist(), b[0].item()) for A, b in zip(p.affine_maps.A, p.affine_maps.b, strict=True)}
    assert maps == {(0, 0, -1), (2, 2, 1), (-2, -2, 1)}
    assert p.n_regions == p.n_linear_regions == 3
