"""`check` names what is wrong with a damaged partition."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InvariantError
from geomrelu.patterns import Patterns
from tests.networks import SQUARE, random_network

P = Any


@pytest.fixture(scope="module")
def sound() -> P:
    p = gr.partition(random_network((7, 5), 1), SQUARE)
    p.check()
    return p


def inner_edge(p: P) -> int:
    return int(np.flatnonzero(p.edge_neuron >= 0)[3])


def flipped_bit(p: P, neuron: int) -> dict[str, Any]:
    bits = p.patterns.unpack().copy()
    bits[p.n_regions // 2, neuron] ^= True
    return {"patterns": Patterns.pack(bits, p.patterns.widths)}


def copied_pattern(p: P) -> dict[str, Any]:
    words = p.patterns.words.copy()
    words[1] = words[0]
    return {"patterns": Patterns(words, p.patterns.widths)}


def swapped_patterns(p: P) -> dict[str, Any]:
    order = np.arange(p.n_regions)
    order[[0, -1]] = order[[-1, 0]]
    return {"patterns": p.patterns[order]}


def shifted_vertex(p: P, shift: float) -> dict[str, Any]:
    """Move an inner vertex, one that no border edge touches."""
    border = np.unique(p.edges[p.edge_neuron < 0])
    inner = np.setdiff1d(np.arange(p.n_vertices), border)
    vertices = p.vertices.copy()
    vertices[inner[len(inner) // 2]] += shift
    return {"vertices": vertices}


def vertex_outside(p: P) -> dict[str, Any]:
    vertices = p.vertices.copy()
    corner = np.flatnonzero((vertices == [1, 1]).all(axis=1))[0]
    vertices[corner] = [1.25, 1]
    return {"vertices": vertices}


def not_a_number(p: P) -> dict[str, Any]:
    vertices = p.vertices.copy()
    vertices[5, 0] = np.nan
    return {"vertices": vertices}


def swapped_sides(p: P) -> dict[str, Any]:
    edge_faces = p.edge_faces.copy()
    edge_faces[inner_edge(p)] = edge_faces[inner_edge(p)][::-1]
    return {"edge_faces": edge_faces}


def wrong_face(p: P) -> dict[str, Any]:
    edge_faces = p.edge_faces.copy()
    e = inner_edge(p)
    edge_faces[e, 0] = next(f for f in range(p.n_regions) if f not in edge_faces[e])
    return {"edge_faces": edge_faces}


def reversed_edge(p: P) -> dict[str, Any]:
    edges = p.edges.copy()
    edges[inner_edge(p)] = edges[inner_edge(p)][::-1]
    return {"edges": edges}


def wrong_neuron(p: P) -> dict[str, Any]:
    edge_neuron = p.edge_neuron.copy()
    e = inner_edge(p)
    edge_neuron[e] = (edge_neuron[e] + 1) % p.network.n_neurons
    return {"edge_neuron": edge_neuron}


def reversed_ring(p: P) -> dict[str, Any]:
    face_vertices = p.face_vertices.copy()
    start, stop = p.face_offsets[2:4]
    face_vertices[start:stop] = face_vertices[start:stop][::-1]
    return {"face_vertices": face_vertices}


def missing_corner(p: P) -> dict[str, Any]:
    """Cut the last corner off the last ring."""
    offsets = p.face_offsets.copy()
    offsets[-1] -= 1
    return {"face_offsets": offsets, "face_vertices": p.face_vertices[:-1], "face_edges": p.face_edges[:-1]}


def another_network(p: P) -> dict[str, Any]:
    weights, biases = [v.weight for v in p.network.layers], [v.bias.copy() for v in p.network.layers]
    biases[0][2] += 0.05
    return {"network": gr.Network(weights, biases)}


DAMAGE: dict[str, Callable[[P], dict[str, Any]]] = {
    "flipped bit, first layer": lambda p: flipped_bit(p, 2),
    "flipped bit, last layer": lambda p: flipped_bit(p, p.network.n_neurons - 1),
    "two regions with one pattern": copied_pattern,
    "two patterns swapped": swapped_patterns,
    "shifted vertex": lambda p: shifted_vertex(p, 1e-2),
    "vertex shifted a little": lambda p: shifted_vertex(p, 1e-6),
    "vertex outside the domain": vertex_outside,
    "coordinate not a number": not_a_number,
    "edge's sides swapped": swapped_sides,
    "edge with a wrong face": wrong_face,
    "edge reversed": reversed_edge,
    "edge with a wrong neuron": wrong_neuron,
    "ring reversed": reversed_ring,
    "ring with a missing corner": missing_corner,
    "another network's partition": another_network,
}


def damaged(p: P, **changes: Any) -> P:
    """A copy of a partition with some arrays replaced, built through the constructor."""
    return dataclasses.replace(p, **changes)


def every_flipped_bit(p: P) -> Iterator[P]:
    """Copies of a partition with one bit of one pattern changed: every bit of every region in turn."""
    bits = p.patterns.unpack()
    for region, neuron in np.ndindex(bits.shape):
        changed = bits.copy()
        changed[region, neuron] ^= True
        yield damaged(p, patterns=Patterns.pack(changed, p.patterns.widths))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_planted_errors_are_caught(sound: P, damage: Callable[[P], dict[str, Any]]) -> None:
    broken = damaged(sound, **damage(sound))
    with pytest.raises(InvariantError) as caught:
        broken.check()
    assert caught.value.invariant
    assert caught.value.where
    assert "expected" in str(caught.value)


def test_an_undamaged_copy_passes(sound: P) -> None:
    damaged(sound, vertices=sound.vertices.copy()).check()


def test_every_single_flipped_bit_is_caught() -> None:
    p = gr.partition(random_network((3, 2), 4), SQUARE)
    for wrong in every_flipped_bit(p):
        with pytest.raises(InvariantError):
            wrong.check()
