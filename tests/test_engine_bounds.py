"""The bounds that signs rest on, beside what they bound; memory that is used again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.importers.files import read_model
from geomrelu.network import Layer
from geomrelu.patterns import Patterns
from geomrelu.planar import pool
from geomrelu.planar.bounds import layer_bounds
from geomrelu.planar.build import build_complex
from geomrelu.planar.cutter import Cutter, Task, root_block
from tests.networks import SQUARE, random_network
from tests.soundness import INTERPRETED

DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))


# ---------------------------------------------------------------------- norms


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    rank=st.integers(1, 40),
    exponent=st.sampled_from([-150, -3, 0, 3, 150]),
    seed=st.integers(0, 2**32 - 1),
)
def test_operator_norms_are_bounds(shape: tuple[int, int], rank: int, exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = min(rank, *shape)
    weight = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1])) * 2.0**exponent
    bounds = layer_bounds(gr.Network([weight, np.ones((1, len(weight)))]))[0]
    largest = float(np.linalg.svd(weight, compute_uv=False)[0])
    # At most the 16th root of the rank too large, and what single precision and the slack add.
    assert largest <= bounds.operator_norm <= largest * rank ** (1 / 16) * 1.01
    assert np.linalg.norm(weight, axis=1).max() <= bounds.row_norm <= np.linalg.norm(weight, axis=1).max() * 1.01


def test_norms_of_a_wide_layer() -> None:
    weight = np.random.default_rng(0).normal(size=(700, 600))
    bounds = layer_bounds(gr.Network([weight, np.ones((1, 700))]))[0]
    largest = float(np.linalg.svd(weight, compute_uv=False)[0])
    assert largest <= bounds.operator_norm <= 1.5 * largest


# ---------------------------------------------------------------------- steepness


class Watched(Cutter):
    """Keeps what each layer knew about its faces."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, root_block(task))
        self.seen: list[tuple[Any, ...]] = []

    def _cut_edges(self, index: int, values: Any) -> Any:
        mesh = self.faces.mesh
        self.seen.append((mesh.face_words.copy(), self.faces.stretch.copy(), values.steepness.copy()))
        return super()._cut_edges(index, values)


def gradients(network: gr.Network, words: Any, layer: int) -> tuple[Any, Any]:
    """Of the layer's inputs and of its units before rectification, for each pattern: (F, inputs, 2), (F, units, 2)."""
    patterns = Patterns(words, network.widths[:layer])
    inputs = np.broadcast_to(np.eye(2), (len(words), 2, 2))
    for k in range(layer):
        inputs = (network.layers[k].weight @ inputs) * patterns.unpack(k)[:, :, None]
    return inputs, network.layers[layer].weight @ inputs


@pytest.mark.parametrize("measured", [False, True], ids=["by norms", "measured"])
@pytest.mark.parametrize("widths", [(6, 6, 6), (16, 16, 16, 16)], ids=str)
def test_faces_are_no_steeper_than_their_bounds(widths: tuple[int, ...], measured: bool) -> None:
    if INTERPRETED and len(widths) > 3:
        pytest.skip("interpreted kernels take the smaller cases")
    network = random_network(widths, 3)
    task = Task(network, SQUARE)
    task.measured = [measured] * len(widths)
    cutter = Watched(task)
    for _ in widths:
        cutter.advance()
    ratios = []
    for layer, (words, stretch, steepness) in enumerate(cutter.seen):
        inputs, units = gradients(network, words, layer)
        true_stretch = np.linalg.svd(inputs, compute_uv=False)[:, 0]
        true_steepness = np.linalg.norm(units, axis=2).max(axis=1)
        assert (stretch >= true_stretch * (1 - 1e-12)).all()
        assert (steepness >= true_steepness * (1 - 1e-12)).all()
        ratios.append(np.median(steepness / true_steepness))
    if measured:
        assert max(ratios) < 1.1
    else:
        assert ratios[-1] > 3


def test_passing_units_do_not_make_a_layer_steeper() -> None:
    """They are never cut: a unit that is carried along, however steep, leaves the neurons' bounds as they are."""
    first, *rest = random_network((6, 6), 3).layers
    steep = [Layer(np.vstack([first.weight, [[1e6, 3e6]]]), np.append(first.bias, 0.5), 6)]
    for layer, last in zip(rest, (False, True), strict=True):
        weight = np.zeros((layer.n_units + 1, layer.n_inputs + 1))
        weight[:-1, :-1], weight[-1, -1] = layer.weight, 1.0
        steep.append(Layer(weight, np.append(layer.bias, 0.0), 0 if last else layer.n_neurons))
    task = Task(gr.Network.from_layers(steep), SQUARE)
    task.measured = [True, True]
    cutter = Watched(task)
    for _ in range(2):
        cutter.advance()
    # As the engine scales it, without what is carried along.
    neurons = gr.Network([layer.weight[:-1, : 6 if k else 2] for k, layer in enumerate(task.network.layers)])
    for layer, (words, _, steepness) in enumerate(cutter.seen):
        _, units = gradients(neurons, words, layer)
        true = np.linalg.norm(units, axis=2).max(axis=1)
        assert (steepness >= true * (1 - 1e-12)).all()
        assert np.median(steepness / true) < 1.1


@pytest.mark.skipif(not (DATA / "onnx").is_dir(), reason="needs ../shared/data (or GEOMRELU_DATA): CIFAR-10")
def test_residual_networks_leave_few_signs_in_doubt() -> None:
    """By norms of thousands of units at once one in eight was."""
    pytest.importorskip("onnx")
    inputs = np.load(DATA / "cifar10_inputs.npz")["x"]
    place = gr.Slice.through(*inputs[:3]).with_domain(gr.Box(-0.4, 0.4))
    report = gr.aggregate(read_model(DATA / "onnx" / "resnet_2b.onnx"), place, ["regions"]).report
    assert report["layers"][-1]["regions"] == 339
    assert report["signs_ball"] + report["signs_exact"] < 1e-3 * report["signs"]


@pytest.mark.skipif(not (DATA / "acasxu").is_dir(), reason="needs ../shared/data (or GEOMRELU_DATA): ACAS Xu")
def test_trained_deep_networks_leave_few_signs_in_doubt() -> None:
    """Their norms multiply to 10^7; with these as gradients' bounds every fifth sign was in doubt."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DATA / "acasxu" / "ACASXU_run2a_1_1_batch_2000.onnx")
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = [arrays[f"Operation_{k}_MatMul_W"].T for k in range(1, 7)] + [arrays["linear_7_MatMul_W"].T]
    biases = [arrays[f"Operation_{k}_Add_B"] for k in range(1, 7)] + [arrays["linear_7_Add_B"]]
    plane = np.zeros((5, 2))
    plane[3, 0] = plane[4, 1] = 1.0
    weights[0] = weights[0].astype(np.float64) @ plane
    network = gr.Network(weights, biases)
    p = gr.partition(network, gr.Box(-0.2, 0.2))
    assert p.n_regions > 300
    assert p.report["signs_ball"] + p.report["signs_exact"] < 1e-3 * p.report["signs"]
    cautious = build_complex(network, gr.Box(-0.2, 0.2), caution=1e4)
    np.testing.assert_array_equal(np.sort(p.patterns.keys()), np.sort(cautious.patterns.keys()))
    assert cautious.report["signs_ball"] > 100 * p.report["signs_ball"]


# ---------------------------------------------------------------------- memory


def test_a_finished_partition_keeps_its_memory() -> None:
    network = random_network((24, 24), 0)
    p = build_complex(network, SQUARE, block_values=1 << 12)
    whole = build_complex(network, SQUARE)
    kept = [(q, {k: v.copy() for k, v in vars(q).items() if isinstance(v, np.ndarray)}) for q in (p, whole)]
    for seed in range(1, 4):
        build_complex(random_network((24, 24), seed), SQUARE)
    for q, arrays in kept:
        assert len(arrays) > 5
        for name, array in arrays.items():
            np.testing.assert_array_equal(getattr(q, name), array, err_msg=name)


def test_memory_is_used_again_when_nothing_refers_to_it() -> None:
    own = pool.Pool()
    first = own.empty((1000, 100))
    part = first[10:20].T
    address = first.ctypes.data
    del first
    # A view still refers to it.
    second = own.empty((1000, 100))
    assert not np.shares_memory(part, second)
    del part
    third = own.empty((900, 100), np.int64)
    assert third.ctypes.data == address
    assert third.flags.c_contiguous
    assert third.flags.writeable


@pytest.mark.parametrize("n", [10, 50_000], ids=["numpy's own", "one lease"])
def test_arrays_side_by_side(n: int) -> None:
    own = pool.Pool()
    arrays = own.arrays(((n, 2), np.float64), (n, np.bool_), ((n, 0), np.uint64), (n, np.int64))
    assert [a.shape for a in arrays] == [(n, 2), (n,), (n, 0), (n,)]
    for k, a in enumerate(arrays):
        assert a.flags.c_contiguous
        assert a.flags.aligned
        assert a.flags.writeable
        a[...] = k
    for k, a in enumerate(arrays):
        assert (a == k).all() or a.dtype == np.bool_
    assert arrays[1].all()
    # The piece is free only when the last of them is gone.
    last = arrays.pop()
    del arrays, a
    fresh = own.arrays(((n, 2), np.float64), (n, np.int64))
    assert not any(np.shares_memory(last, b) for b in fresh)


def test_a_pool_keeps_a_limited_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_KEPT", 1 << 20)
    own = pool.Pool()
    arrays = [own.empty(1 << 16) for _ in range(10)]
    del arrays
    waiting = [memory for shelf in own._shelves.values() for memory in shelf]
    assert 0 < sum(map(len, waiting)) <= 1 << 20


@pytest.mark.parametrize("shape", [np.int64(1 << 15), (np.int64(1 << 14), 2)], ids=["one number", "two"])
def test_memory_of_shapes_in_numpys_integers(shape: Any) -> None:
    """Interpreted kernels count in them."""
    assert pool.Pool().empty(shape).nbytes == 8 << 15


@given(st.integers(1, 1 << 40))
def test_memory_fits(size: int) -> None:
    shelf = pool._shelf(size)
    assert size <= pool._capacity(shelf) <= max(5, 1.25 * size)
    assert pool._shelf(pool._capacity(shelf)) == shelf
