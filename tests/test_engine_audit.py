"""The exact audit passes what is right and names what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputError, InvariantError
from geomrelu.patterns import Patterns
from tests.networks import SQUARE, Case, degenerate_cases, integer_network, lines, random_cases, random_network
from tests.soundness import INTERPRETED
from tests.test_engine_damage import DAMAGE, every_flipped_bit

P = Any
CASES = [*degenerate_cases(), *random_cases()]


@pytest.mark.parametrize("case", CASES[::6] if INTERPRETED else CASES, ids=str)
def test_right_partitions_pass(case: Case) -> None:
    gr.partition(case.network, case.domain).check(level="exact")


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
def test_a_thousand_faces_and_progress() -> None:
    told: list[tuple[str, float]] = []
    p = gr.partition(random_network((24, 24, 24), 7, np.float32), SQUARE)
    p.check(level="exact", progress=lambda message, share: told.append((message, share)))
    assert p.n_regions > 1500
    shares = [share for _, share in told]
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_networks_joined_at_different_depths() -> None:
    joint = gr.joint(random_network((5, 4), 1), integer_network((4, 3, 3), 2))
    gr.partition(joint, SQUARE).check(level="exact")


def test_loaded_partitions(tmp_path: Path) -> None:
    p = gr.partition(integer_network((6, 5), 3), SQUARE)
    p.save(tmp_path / "p.npz")
    gr.load(tmp_path / "p.npz").check(level="exact")


def test_levels_have_names() -> None:
    p = gr.partition(lines([[1, 1, 0]]), SQUARE)
    p.check(level="float")
    with pytest.raises(InputError, match="'float' or 'exact'"):
        p.check(level="thorough")


@pytest.fixture(scope="module")
def sound() -> P:
    return gr.partition(random_network((7, 5), 1), SQUARE)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_planted_errors_are_caught(sound: P, damage: Callable[[P], dict[str, Any]]) -> None:
    with pytest.raises(InvariantError):
        dataclasses.replace(sound, **damage(sound)).check(level="exact")


def broken(p: P, invariant: str, **changes: Any) -> str:
    with pytest.raises(InvariantError) as caught:
        dataclasses.replace(p, **changes).check(level="exact")
    assert caught.value.invariant == invariant, str(caught.value)
    return caught.value.where


def test_what_floats_cannot_see() -> None:
    """A network whose bias differs by one part in 10^15: every float check passes, the proof does not."""
    table = [[1, 0, -0.25], [0, 1, -0.5], [1, 1, -0.75]]
    p = gr.partition(lines(table), SQUARE)
    assert p.n_regions == 6
    table[2][2] -= 2.0**-50
    other = lines(table)
    dataclasses.replace(p, network=other).check()
    broken(p, "edge neuron", network=other)
    gr.partition(other, SQUARE).check(level="exact")


def test_vertex_lines_are_audited(sound: P) -> None:
    inner = np.flatnonzero((sound.vertex_lines >= 0).all(axis=1))
    lines_of = sound.vertex_lines.copy()
    lines_of[inner[0], 1] = lines_of[inner[0], 0]
    assert broken(sound, "vertex lines", vertex_lines=lines_of) == f"vertex {inner[0]}"
    lines_of = sound.vertex_lines.copy()
    lines_of[inner[0]] = lines_of[inner[1]]
    with pytest.raises(InvariantError):
        dataclasses.replace(sound, vertex_lines=lines_of).check(level="exact")


def test_coordinates_are_held_to_their_bound(sound: P) -> None:
    vertices = sound.vertices.copy()
    vertices[7, 1] += 1.01 * sound.vertex_errors[7]
    assert broken(sound, "coordinates", vertices=vertices) == "vertex 7"
    vertices = sound.vertices.copy()
    vertices[7, 1] += 0.9 * sound.vertex_errors[7]
    dataclasses.replace(sound, vertices=vertices).check(level="exact")


def test_a_smaller_domain_is_not_covered(sound: P) -> None:
    """The right partition of another domain: vertices are where the sides are, so some other check fails."""
    for domain in (gr.Box(-1, 1.5), gr.Box(-0.5, 1)):
        with pytest.raises(InvariantError):
            dataclasses.replace(sound, domain=domain).check(level="exact")


def test_a_missing_face_leaves_area_uncovered() -> None:
    """Four strips of which the last is cut off, its inner edge declared border: only geometry can tell."""
    p = gr.partition(lines([[1, 0, 0]]), SQUARE)
    keep = 0
    ring = p.ring(keep)
    edges = p.face_edges[p.face_offsets[keep] : p.face_offsets[keep + 1]]
    number, edge_number = {int(v): k for k, v in enumerate(ring)}, {int(e): k for k, e in enumerate(edges)}
    ends = np.array([[number[int(v)] for v in p.edges[e]] for e in edges])
    forward = ends[:, 0] == np.arange(len(ends))
    faces = np.where(forward[:, None], [[0, -1]], [[-1, 0]])
    damaged = dataclasses.replace(
        p,
        vertices=p.vertices[ring],
        vertex_errors=p.vertex_errors[ring],
        vertex_lines=p.vertex_lines[ring],
        edges=ends,
        edge_faces=faces,
        edge_neuron=np.full(len(edges), -1),
        face_offsets=np.array([0, len(ring)]),
        face_vertices=np.arange(len(ring)),
        face_edges=np.array(list(edge_number.values())),
        patterns=p.patterns[[keep]],
    )
    with pytest.raises(InvariantError) as caught:
        damaged.check(level="exact")
    assert caught.value.invariant in ("border", "area")


def test_unused_bits_cannot_tell_patterns_apart(sound: P) -> None:
    words = sound.patterns.words.copy()
    words[3, 0] |= np.uint64(1) << np.uint64(40)
    assert broken(sound, "pattern", patterns=Patterns(words, sound.patterns.widths)) == "face 3"


def test_every_single_flipped_bit_is_caught() -> None:
    p = gr.partition(integer_network((3, 2), 4), SQUARE)
    for wrong in every_flipped_bit(p):
        with pytest.raises(InvariantError):
            wrong.check(level="exact")
