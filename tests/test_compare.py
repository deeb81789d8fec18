"""Two networks beside each other: equal or not to the last bit, distances, classes, regression."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.comparison import class_disagreement
from geomrelu.errors import DomainError, InputDimensionError, InputError, RangeError, ShapeError
from geomrelu.experiments.training import train
from tests.drawn import ENTRIES, drawn_networks
from tests.misuse import assert_raises
from tests.networks import (
    SQUARE,
    Case,
    degenerate_cases,
    integer_network,
    random_cases,
    random_network,
    scaled,
    to_torch,
)
from tests.oracles.fraction_enumerator import enumerate_regions, evaluate

ONE = (Fraction(0), Fraction(0), Fraction(1))


def permuted(network: gr.Network, seed: int = 0) -> gr.Network:
    """The hidden neurons of every layer in another order."""
    random = np.random.default_rng(seed)
    weights, biases = [], []
    columns = np.arange(network.n_inputs)
    for layer in network.hidden:
        rows = random.permutation(layer.n_units)
        weights.append(layer.weight[rows][:, columns])
        biases.append(layer.bias[rows])
        columns = rows
    return gr.Network([*weights, network.output.weight[:, columns]], [*biases, network.output.bias])


def doubled(network: gr.Network) -> gr.Network:
    """The first layer's first neuron twice, each with half of its weight in what follows."""
    first, second, *rest = network.layers
    weight = np.concatenate([second.weight, second.weight[:, :1] / 2], axis=1)
    weight[:, 0] /= 2
    return gr.Network(
        [np.concatenate([first.weight, first.weight[:1]]), weight, *[v.weight for v in rest]],
        [np.concatenate([first.bias, first.bias[:1]]), *[v.bias for v in network.layers[1:]]],
    )


def one_bit(network: gr.Network, layer: int, entry: tuple[int, ...]) -> gr.Network:
    """One weight's last bit changed."""
    weights = [v.weight.copy() for v in network.layers]
    weights[layer][entry] = np.nextafter(weights[layer][entry], np.inf)
    return gr.Network(weights, [v.bias for v in network.layers])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "rewrite", [permuted, doubled, lambda n: scaled(n, 2.0**17), lambda n: permuted(doubled(n), 3)]
)
def test_the_same_function_written_differently(seed: int, rewrite) -> None:
    network = random_network((6, 4), seed, n_outputs=2)
    found = gr.compare(network, rewrite(network), SQUARE)
    assert found.equal
    assert (found.largest, found.class_area) == (0.0, 0.0)
    assert (found.l1 == 0).all()
    assert (found.l2 == 0).all()
    # The neurons are on the same lines, so the refinement has no cell more.
    assert found.n_regions == (found.n_refinement,) * 2


@pytest.mark.parametrize("layer", range(3))
def test_one_changed_bit_is_seen(layer: int) -> None:
    """Whether a bit matters on the domain is asked of the enumerator: dead neurons have some that do not."""
    network = random_network((6, 4), 1, n_outputs=2)
    matters = []
    for entry in np.ndindex(network.layers[layer].weight.shape):
        other = one_bit(network, layer, entry)
        cells = enumerate_regions(gr.joint(network, other), SQUARE.vertices).cells
        matters.append(any(cell.map[:2] != cell.map[2:] for cell in cells))
        found = gr.compare(network, permuted(other), SQUARE)
        assert found.equal != matters[-1]
        assert (0 < found.largest < 1e-14) == matters[-1]
    assert any(matters)


def test_a_bit_that_matters_nowhere_on_the_domain() -> None:
    """A neuron that is never active may be anything."""
    network = gr.Network([[[1, 1], [1, 0]], [[1, 1]]], [[-9, 0], [0]])
    assert gr.compare(network, one_bit(network, 0, (0, 0)), SQUARE).equal
    assert not gr.compare(network, one_bit(network, 0, (0, 0)), gr.Box(-10, 10)).equal


@pytest.mark.parametrize(
    "case", [*random_cases()[::6], *[c for c in degenerate_cases() if "ternary" in c.name]], ids=str
)
def test_against_fractions(case: Case) -> None:
    """Largest difference, distances and area of disagreement in rational arithmetic on the enumerator's cells."""
    a, b = case.network, integer_network((4, 3), seed=5, largest=2)
    found = gr.compare(a, b, case.domain)
    largest, l1, l2, differ = Fraction(0), Fraction(0), Fraction(0), Fraction(0)
    for cell in enumerate_regions(gr.joint(a, b), case.domain.vertices).cells:
        f, g = cell.map
        d = tuple(x - y for x, y in zip(f, g, strict=True))
        largest = max(largest, *(abs(at(d, x)) for x in cell.polygon))
        l1 += sum(abs(fan(clip(list(cell.polygon), tuple(sign * v for v in d)), d)) for sign in (1, -1))
        l2 += fan(list(cell.polygon), d, square=True)
        # An output of 0 on a whole cell is not positive there.
        one = clip(list(cell.polygon), f) if any(f) else []
        two = clip(list(cell.polygon), g) if any(g) else []
        both = clip(one, g) if any(g) else []
        differ += sum(sign * fan(part, ONE) for sign, part in ((1, one), (1, two), (-2, both)))
    assert found.largest == float(largest)
    assert found.l1[0] == pytest.approx(float(l1), rel=1e-11)
    assert found.l2[0] == pytest.approx(float(l2) ** 0.5, rel=1e-11)
    assert found.class_area == pytest.approx(float(differ), rel=1e-10, abs=1e-12)
    assert found.n_refinement == enumerate_regions(gr.joint(a, b), case.domain.vertices).n_regions
    assert found.n_regions == tuple(enumerate_regions(n, case.domain.vertices).n_regions for n in (a, b))
    # The witness is near enough a point of the largest difference.
    x = tuple(Fraction(v) for v in found.witness.tolist())
    there = abs(evaluate(a, x)[0] - evaluate(b, x)[0])
    assert float(there) == pytest.approx(found.largest, rel=1e-9)


def at(row, x):
    return row[0] * x[0] + row[1] * x[1] + row[2]


def clip(ring, row):
    """The part of a polygon where an affine function is at least 0."""
    kept = []
    for p, q in pairwise([*ring, ring[0]] if ring else []):
        u, v = at(row, p), at(row, q)
        if u >= 0:
            kept.append(p)
        if u * v < 0:
            t = u / (u - v)
            kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return kept


def fan(ring, row, square=False):
    total = Fraction(0)
    for b, c in pairwise(ring[1:]):
        a = ring[0]
        area = ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) / 2
        middles = [((u[0] + v[0]) / 2, (u[1] + v[1]) / 2) for u, v in ((a, b), (b, c), (c, a))]
        total += area * sum(at(row, m) ** (2 if square else 1) for m in middles) / 3
    return total


@settings(max_examples=40, deadline=None)
@given(*[st.one_of(*(drawn_networks(entries, most_outputs=1) for entries in ENTRIES.values()))] * 2)
def test_no_sample_differs_more(a: gr.Network, b: gr.Network) -> None:
    found, back = gr.compare(a, b, SQUARE), gr.compare(b, a, SQUARE)
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    difference = np.abs(a(x) - b(x))
    assert difference.max() <= found.largest * (1 + 1e-9) + 1e-12
    assert found.equal == (found.largest == 0)
    assert (found.equal, found.largest) == (back.equal, back.largest)
    assert found.class_area == pytest.approx(back.class_area, abs=1e-12)
    # L1 / area <= L2 / sqrt(area) <= largest.
    assert found.l1[0] / 4 <= found.l2[0] / 2 * (1 + 1e-9) + 1e-15
    assert found.l2[0] / 2 <= found.largest * (1 + 1e-9) + 1e-15
    # Five standard errors.
    share = ((a(x) > 0) != (b(x) > 0)).mean()
    expected = found.class_area / 4
    assert abs(share - expected) <= 5 * np.sqrt(expected * max(1 - expected, 0.0) / len(x)) + 1e-3


def test_classes_of_several_outputs() -> None:
    a, b = (random_network((8, 6), seed, n_outputs=4) for seed in (0, 1))
    found = gr.compare(a, b, SQUARE)
    x = np.random.default_rng(0).uniform(-1, 1, (400_000, 2))
    share = (a(x).argmax(axis=1) != b(x).argmax(axis=1)).mean()
    assert found.class_area / 4 == pytest.approx(share, abs=5 * 0.5 / np.sqrt(len(x)))
    assert 0.05 < share < 0.95
    assert gr.compare(a, a, SQUARE).class_area == 0
    # Twice the network has other values and the same classes.
    twice = gr.Network(
        [*(v.weight for v in a.hidden), 2 * a.output.weight], [*(v.bias for v in a.hidden), 2 * a.output.bias]
    )
    same = gr.compare(a, twice, SQUARE)
    assert not same.equal
    assert same.class_area == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n_outputs", [1, 2, 4])
def test_classes_beside_their_regions(n_outputs: int) -> None:
    """Against a network of one class: the rest of the domain, as `class_regions` has it, regions of ties too."""
    cases = [random_network((7, 5), 3, n_outputs=n_outputs)]
    random = np.random.default_rng(2)
    for _ in range(6):
        weights = [random.integers(-1, 2, shape).astype(float) for shape in ((4, 2), (3, 4), (n_outputs, 3))]
        cases.append(gr.Network(weights, [random.integers(-1, 2, len(w)).astype(float) for w in weights]))
    tied = 0.0
    for network in cases:
        regions = gr.partition(network, SQUARE).class_regions()
        tied += regions.tied_area
        for k in range(max(n_outputs, 2)):
            bias = np.zeros(n_outputs)
            bias[k if n_outputs > 1 else 0] = 1.0 if k or n_outputs > 1 else -1.0
            single = gr.Network([np.zeros((n_outputs, 2))], [bias])
            found = gr.compare(network, single, SQUARE).class_area
            assert found == pytest.approx(4 - regions.areas[k], abs=1e-11)
    assert tied > 0 or n_outputs == 1


def test_the_first_of_tied_outputs_is_the_class() -> None:
    """Outputs that tie all over the domain: what a float says of them is chance."""
    third = 1 / 3
    a = gr.Network([[[third, 0.1], [third, 0.1], [-1, 0]]], [[0.1, 0.1, -5]])
    hidden = gr.Network([[[third, 0.1], [-third, -0.1]], [[1, -1], [1, -1], [0, 0]]], [[0.1, -0.1], [0, 0, -9.0]])
    swapped = gr.Network([[[third, 0.1], [0.0, 0.0], [0.0, 0.0]]], [[0.1, -9, -9]])
    for other in (hidden, swapped):
        assert gr.compare(a, other, SQUARE).class_area == 0
    second = gr.Network([[[0.0, 0.0], [third, 0.1], [0.0, 0.0]]], [[-9.0, 0.1, -9.0]])
    assert gr.compare(a, second, SQUARE).class_area == pytest.approx(4)


def test_three_classes_inside_one_region() -> None:
    """Sectors of a plane, turned by 180 degrees: no class stays where it was."""
    rows = np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    a, b = gr.Network([rows]), gr.Network([-rows])
    found = gr.compare(a, b, SQUARE)
    assert found.class_area == pytest.approx(4, rel=1e-12)
    shifted = gr.Network([rows], [[0.0, 0.25, 0.0]])
    assert 0 < gr.compare(a, shifted, SQUARE).class_area < 1


def test_the_xor_pairs() -> None:
    """The study's regression, from the public function: the same numbers as `experiments.xor`."""
    from geomrelu.experiments.pairs import compare

    first, second = train(2, 2), train(2, 6)
    pair = compare(first, second)
    found = gr.compare(first.network, second.network, SQUARE)
    assert found.n_regions == (pair.first.partition.n_regions, pair.second.partition.n_regions)
    assert found.n_refinement == pair.refinement.n_regions
    for public, own in (("a->b", "1->2"), ("b->a", "2->1")):
        expected = pair.regressions[own, "exact"]
        np.testing.assert_array_equal(found.regression(public).coefficients, expected.coefficients)
        assert found.regression(public).score == expected.score
    assert 1 - found.class_area / found.area == pytest.approx(pair.agreement)


def test_depths_and_kinds_of_model_may_differ() -> None:
    deep, flat = random_network((5, 4, 3), 0), random_network((7,), 1)
    found = gr.compare(to_torch(deep), flat, gr.Polygon([[0, 0], [1, 0], [0, 1]]))
    domain = gr.Polygon([[0, 0], [1, 0], [0, 1]])
    assert found.n_regions == (gr.partition(deep, domain).n_regions, gr.partition(flat, domain).n_regions)
    assert found.area == 0.5
    assert gr.compare(to_torch(flat), flat, domain).equal
    half = torch.nn.Linear(2, 1)
    assert gr.compare(half, half, domain).equal


def network_at(slope: float) -> gr.Network:
    return gr.Network([[[slope, 0]]])


def test_differences_beyond_float() -> None:
    """1 + 2^-60 against 1: float maps are equal, the functions are not."""
    a = gr.Network([[[1, 0], [1, 0]], [[1.0, 2.0**-60]]])
    b = gr.Network([[[1, 0]], [[1.0]]])
    found = gr.compare(a, b, SQUARE)
    assert not found.equal
    assert found.largest == 2.0**-60
    assert found.witness[0] == 1.0
    assert gr.compare(network_at(2.0**1000), network_at(-(2.0**1000)), SQUARE).largest == 2.0**1001
    found = gr.compare(network_at(2.0**900), network_at(0), gr.Box(0, 2.0**-200))
    assert found.l1[0] == 2.0**299
    assert found.l2[0] == pytest.approx(2.0**500 / 3**0.5, rel=1e-12)
    large = gr.Network([[[2.0**1023, 2.0**1022]]])
    assert_raises(lambda: gr.compare(large, gr.Network([[[-(2.0**1023), 0]]]), SQUARE), RangeError, ("2^1024",))


def test_class_disagreement_of_a_partition() -> None:
    f = gr.Network([[[1.0, 0.0]], [[1.0]]])
    g = gr.Network([[[0.0, 1.0]], [[1.0]]])
    assert class_disagreement(gr.partition(gr.joint(f, g), SQUARE)) == pytest.approx(2)


def test_on_a_slice() -> None:
    """Networks of five inputs on a plane; the witness has the plane's coordinates."""
    a, b = (random_network((8, 6), seed, n_inputs=5, n_outputs=3) for seed in (0, 4))
    plane = gr.Slice.axes(1, 3, at=np.full(5, 0.25), domain=SQUARE)
    found = gr.compare(a, b, plane)
    x = plane.lift(np.random.default_rng(0).uniform(-1, 1, (100_000, 2))).reshape(-1, 5)
    difference = np.abs(a(x) - b(x))
    assert difference.max() <= found.largest
    there = plane.lift(found.witness[None]).reshape(1, 5)
    assert abs(a(there) - b(there))[0, found.output] == pytest.approx(found.largest, rel=1e-12)
    np.testing.assert_allclose(found.l1 / 4, difference.mean(axis=0), rtol=0.02)
    share = (a(x).argmax(axis=1) != b(x).argmax(axis=1)).mean()
    assert 0.01 < share < 0.99
    assert found.class_area / 4 == pytest.approx(share, abs=0.01)
    assert found.n_regions == tuple(gr.partition(n, plane).n_regions for n in (a, b))
    assert gr.compare(a, permuted(a), plane).equal
    # The classes' sets are found on the plane, too.
    p = gr.partition(a, plane)
    assert [c.components for c in p.class_betti()] == [len(g.geoms) for g in p.class_regions().polygons]


def test_bad_input() -> None:
    f, g = random_network((3,), 0), random_network((3,), 0, n_inputs=3)
    assert_raises(lambda: gr.compare(f, g, SQUARE), InputDimensionError, ("2 and 3",))
    assert_raises(lambda: gr.compare(f, random_network((3,), 0, n_outputs=2), SQUARE), ShapeError, ("1 and 2 outputs",))
    assert_raises(lambda: gr.compare(f, f, [1, 2]), DomainError, ("domain",))
    for domain in (gr.Box([0, 0, 0], [1, 1, 1]), gr.Box([0], [1])):
        assert_raises(lambda d=domain: gr.compare(f, f, d), InputDimensionError, ("2 inputs",))
    assert_raises(lambda: gr.compare(f, f, gr.Segment([0, 0], [1, 1])), DomainError, ("Segment", "expected two"))
    assert_raises(lambda: gr.compare(f, 3, SQUARE), InputError, ("int",))
    found = gr.compare(f, random_network((4,), 1), SQUARE)
    for direction in ("a-b", None, 1):
        assert_raises(lambda d=direction: found.regression(d), InputError, ("direction", "a->b"))
    for output in (1, -1, True, "0"):
        assert_raises(lambda k=output: found.regression(output=k), InputError, ("output", "from 0 to 0"))
    single = gr.compare(gr.Network([[[1.0, 0.0]]]), gr.Network([[[0.0, 1.0]]]), SQUARE)
    assert_raises(single.regression, InputError, ("at least two",))
