"""The six definitions of a linear region: known answers, the chain, and slow oracles in fractions."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu.analysis.convex_cells import _cells, _Stars, convex_cells
from geomrelu.analysis.definitions import DEFINITIONS, CountBounds
from geomrelu.analysis.vertices import ExactVertices
from geomrelu.cli import app
from geomrelu.errors import InvariantError
from geomrelu.planar.complex import PlanarComplex
from tests.drawn import ENTRIES, drawn_networks
from tests.networks import SQUARE, UNIT, Case, degenerate_cases, fold, integer_network, random_cases, random_network
from tests.oracles.fraction_definitions import activation_patterns, assert_affine_complex, n_closed_connected
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import INTERPRETED

EXAMPLES = 15 if INTERPRETED else 60
WIDE = gr.Box(-3, 3)
LONG = gr.Box(-1, 4)

# Network, domain, and the counts by Definitions 1 to 6, derived by hand.
KNOWN = {
    "two wedges and the rest": (
        gr.Network([[[1, 0], [0, 1], [0, -1]], [[1, -1, 1], [1, 0, 0]], [[1, -1]]]),
        WIDE,
        (7, 5, 4, 3, 3, 3),
    ),
    "two regions that touch": (
        gr.Network(
            [
                [[1, 0], [0, 1], [-1, 0], [0, -1]],
                [[1, 0, 0, 0], [1, -1, 0, 0], [0, 0, 1, 0], [0, 0, 1, -1]],
                [[1, -1, 1, -1]],
            ]
        ),
        WIDE,
        (11, 6, 6, 6, 5, 5),
    ),
    "two regions joined by a segment": (
        gr.Network([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[-1, -1, 1, 1]], [[1]]], [[-1, -1, 0, 0], [0], [0]]),
        WIDE,
        (13, 10, 8, 8, 7, 7),
    ),
    "a trapezoid": (
        gr.Network([[[1, 0]] * 4, [[1, -1, -1, 1]]], [[0, -1, -2, -3], [0]]),
        LONG,
        (5, 5, 5, 5, 5, 4),
    ),
    "the identity": (gr.Network([[[1, 0], [-1, 0]], [[1, -1]]]), LONG, (3, 2, 1, 1, 1, 1)),
}
CASES = [*degenerate_cases(), *random_cases()]


def chain(p: PlanarComplex) -> list[int]:
    """All six counts, with both bounds of the third; each at least the next."""
    counts = []
    for name in DEFINITIONS:
        found = p.count(name)
        assert isinstance(found, int) or name == "convex"
        counts += [found.upper, found.lower] if isinstance(found, CountBounds) else [found]
    assert all(a >= b for a, b in pairwise(counts)), counts
    return counts


def compare(network: gr.Network, domain: gr.Box | gr.Polygon = SQUARE) -> None:
    p = gr.partition(network, domain)
    found = enumerate_regions(network, domain.vertices)
    assert p.count("activation") == len(activation_patterns(network, found))
    assert p.count("proper_activation") == found.n_regions
    assert p.count("open_connected") == found.n_linear_regions
    assert p.count("closed_connected") == n_closed_connected(found)
    assert p.count("affine") == found.n_affine_pieces
    chain(p)
    assert_convex_cells(p, found)


def assert_convex_cells(p: PlanarComplex, found: object) -> None:
    cells = convex_cells(p, ExactVertices(p))
    place = {cell.pattern: i for i, cell in enumerate(found.cells)}  # type: ignore[attr-defined]
    groups: dict[int, list[int]] = {}
    for label, bits in zip(cells.labels.tolist(), p.patterns.unpack().astype(int).tolist(), strict=True):
        groups.setdefault(label, []).append(place[tuple(bits)])
    assert len(groups) == cells.upper
    assert_affine_complex(found, list(groups.values()))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str) -> None:
    network, domain, counts = KNOWN[name]
    p = gr.partition(network, domain)
    assert tuple(p.count(definition) for definition in DEFINITIONS) == counts
    compare(network, domain)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_fold(depth: int) -> None:
    p = gr.partition(fold(depth), UNIT)
    assert p.count("proper_activation") == 4**depth
    assert p.count("convex") == p.count("open_connected") == 4**depth
    # Every map's pieces touch, as in a checkerboard.
    assert p.count("closed_connected") == p.count("affine") == 4 * (2**depth - 1)
    assert chain(p)[0] > 4**depth, "neurons that are zero on the border's left and lower sides"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_named_networks(case: Case) -> None:
    compare(case.network, case.domain)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_several_outputs(outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [2, 4, 4, outputs]
    weights = [rng.integers(-2, 3, (n, m)) for m, n in pairwise(sizes)]
    compare(gr.Network(weights, [rng.integers(-1, 2, n) for n in sizes[1:]]))


def test_outputs_must_be_equal_at_one_point_of_an_edge() -> None:
    """Outside |x| > 1 both outputs are 0; between, one is 0 along y = 0, the other along y = 1/2 or also y = 0."""
    # relu(|y - c| - relu(|x| - 1)) is zero on two wedges and the segment between their tips.
    first = [[1, 0], [-1, 0], [0, 1], [0, -1], [0, 1], [0, -1]]
    second = [[-1, -1, 1, 1, 0, 0], [-1, -1, 0, 0, 1, 1]]
    for c, regions in ((0.0, 1), (0.5, 2)):
        f = gr.Network([first, second, np.eye(2)], [[-1, -1, 0, 0, -c, c], [0, 0], [0, 0]])
        p = gr.partition(f, WIDE)
        compare(f, WIDE)
        zero = (np.abs(p.affine_maps.A) + np.abs(p.affine_maps.b)[:, :, None]).max(axis=(1, 2)) == 0
        assert len(np.unique(p.linear_region_labels[zero])) == 2
        assert p.count("open_connected") - p.count("closed_connected") == 2 - regions


def test_a_path_through_the_inside_of_faces() -> None:
    """f = relu(x - 1) - relu(-x - 1) + |y - t| - ... equals 0 along a chord that is nobody's edge."""
    # Pieces 0 for x <= -1 and for x >= 1, and between them the tent relu(1 - |x|) times a sign change along y:
    # min(tent, relu(y)) - min(tent, relu(-y)) is 0 where y = 0, an edge; adding a ramp that is zero outside moves it.
    tent = [[1, 0], [1, 0], [1, 0], [0, 1], [0, -1]]  # relu(x+1), relu(x), relu(x-1), relu(y), relu(-y)
    # tent t = h0 - 2 h1 + h2; min(t, a) = t - relu(t - a)
    second = [[1, -2, 1, 0, 0], [1, -2, 1, -1, 0], [1, -2, 1, 0, -1]]
    out = [[0.5, -1, 1]]  # t/2 + min(t, relu y) - min(t, relu(-y)) = t/2 - relu(t - relu y) + relu(t - relu(-y))
    f = gr.Network([tent, second, out], [[1, 0, -1, 0, 0], [0, 0, 0], [0]])
    compare(f, WIDE)
    p = gr.partition(f, WIDE)
    assert p.count("open_connected") - p.count("closed_connected") == 1


def coarsest(p: PlanarComplex) -> int:
    """Fewest cells of a polyhedral complex made by leaving out edges between equal maps: all subsets tried."""
    at = ExactVertices(p)
    left, right = p.edge_faces[p.edges_inner].T
    maps = p._linear_regions.map_labels
    optional = p.edges_inner[maps[left] == maps[right]]
    stars, vertices = _Stars(p, at), np.unique(p.edges[optional]).tolist()
    fewest = p.n_regions
    for k in range(1 << len(optional)):
        kept = np.ones(p.n_edges, dtype=bool)
        kept[optional] = (k >> np.arange(len(optional))) & 1
        if not any(stars.wide_sectors(v, kept) for v in vertices):
            fewest = min(fewest, _cells(p, kept)[1])
    return fewest


@pytest.mark.parametrize(
    ("widths", "seed", "largest"), [((3, 3, 3), 13, 2), ((6, 6), 8, 1), ((6, 6), 11, 2), ((4, 4, 3), 35, 2)], ids=str
)
def test_no_subset_of_edges_gives_fewer_cells(widths: tuple[int, ...], seed: int, largest: int) -> None:
    """Where the bounds differ, too, the upper one is the best that leaving out edges can give."""
    p = gr.partition(integer_network(widths, seed, largest), SQUARE)
    found = p.count("convex")
    assert isinstance(found, CountBounds)
    assert found.lower < found.upper == coarsest(p)
    assert str(found) == f"{found.lower} to {found.upper}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_true_vertices_lie_within_the_position_errors(case: Case) -> None:
    p = gr.partition(case.network, case.domain)
    at = ExactVertices(p)
    errors = at.position_errors
    assert np.isfinite(errors).mean() > 0.5
    for vertex in np.flatnonzero(np.isfinite(errors))[:40].tolist():
        x, y, w = at.point(vertex)
        u, v = (Fraction(float(value)) for value in p.vertices[vertex])
        assert (Fraction(x, w) - u) ** 2 + (Fraction(y, w) - v) ** 2 <= Fraction(float(errors[vertex])) ** 2


def test_lines_that_do_not_cross_have_no_point() -> None:
    p = gr.partition(random_network((5, 4), 1), SQUARE)
    for vertex in (0, p.n_vertices - 1):
        lines = p.vertex_lines.copy()
        lines[vertex] = lines[vertex, 0]
        with pytest.raises(InvariantError, match=f"vertex {vertex}: got lines"):
            ExactVertices(dataclasses.replace(p, vertex_lines=lines)).point(vertex)


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_drawn_networks(entries: st.SearchStrategy[float]) -> None:
    @settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
    @given(drawn_networks(entries, most_outputs=2))
    def check(network: gr.Network) -> None:
        compare(network)

    check()


@pytest.mark.parametrize("widths", [(32, 32), (16, 16, 16)], ids=str)
def test_larger_networks(widths: tuple[int, ...]) -> None:
    """Generic ones: nothing is attained on lower-dimensional sets only."""
    p = gr.partition(random_network(widths, 3, np.float32), SQUARE)
    counts = chain(p)
    assert counts[0] == counts[1] == p.n_regions
    chain(gr.partition(integer_network(widths[:2], 4), SQUARE))


def test_every_position_in_doubt() -> None:
    """Whatever the error bounds, the counts are the same."""
    for network, domain, counts in KNOWN.values():
        p = gr.partition(network, domain)
        at = ExactVertices(p)
        errors, parents = at._places
        errors[:] = np.inf
        parents[:] = -1
        p.__dict__["_exact_vertices"] = at
        assert tuple(p.count(definition) for definition in DEFINITIONS) == counts


@pytest.mark.parametrize("exponent", [-996, -498, -300, -100, 100, 300, 498])
@pytest.mark.parametrize("name", KNOWN)
def test_the_scale_of_f_does_not_matter(name: str, exponent: int) -> None:
    network, domain, counts = KNOWN[name]
    first, *rest = network.layers
    scaled = gr.Network(
        [np.ldexp(first.weight, exponent), *[v.weight for v in rest]],
        [np.ldexp(first.bias, exponent), *[np.ldexp(v.bias, exponent) for v in rest]],
    )
    p = gr.partition(scaled, domain)
    assert tuple(p.count(definition) for definition in DEFINITIONS) == counts


def test_unknown_definition() -> None:
    p = gr.partition(KNOWN["the identity"][0], LONG)
    with pytest.raises(gr.GeomReluError, match="'linear'; expected one of activation, proper_activation, convex"):
        p.count("linear")


def test_a_loaded_partition_counts_the_same(tmp_path: Path) -> None:
    network, domain, counts = KNOWN["two regions joined by a segment"]
    gr.partition(network, domain).save(tmp_path / "p.npz")
    p = gr.load(tmp_path / "p.npz")
    assert tuple(p.count(definition) for definition in DEFINITIONS) == counts


def test_command(tmp_path: Path) -> None:
    network, _, counts = KNOWN["two wedges and the rest"]
    arrays = {f"W{k}": layer.weight for k, layer in enumerate(network.layers)}
    arrays |= {f"b{k}": layer.bias for k, layer in enumerate(network.layers)}
    np.savez(tmp_path / "m.npz", **arrays)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["count", str(tmp_path / "m.npz"), "--box", "-3", "3", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    found = json.loads(run("--definition", "all", "--json"))
    assert tuple(found[name] for name in DEFINITIONS) == counts
    found = json.loads(run("--definition", "activation", "--json"))
    assert found["activation"] == 7
    assert "convex" not in found
    words = [line.split() for line in run("--definition", "all").splitlines()]
    for name, number in zip(DEFINITIONS, counts, strict=True):
        assert [name, str(number)] in words
    done = CliRunner().invoke(app, ["count", str(tmp_path / "m.npz"), "--definition", "linear"])
    assert done.exit_code == 2
    assert "expected one of activation" in done.stderr
