"""Matrix products on a torch device: the same partition, whatever multiplies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import geomrelu as gr
from geomrelu.errors import InputError
from geomrelu.planar import products
from tests.misuse import assert_raises
from tests.networks import SQUARE, random_network

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]
SMALL = gr.Box(-0.2, 0.2)


def integer_network() -> gr.Network:
    """Many vertices on many zero sets: most signs are zeros that no product decides."""
    rng = np.random.default_rng(0)
    shapes = [(96, 2), (96, 96), (1, 96)]
    return gr.Network([rng.integers(-1, 2, shape) for shape in shapes])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", [random_network((128, 128, 96), 3), integer_network()], ids=["generic", "integers"])
def test_the_partition_is_the_same(network: gr.Network, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = products.torch_device
    monkeypatch.setattr(products, "torch_device", lambda *args: calls.append(args) or original(*args))
    ours, theirs = gr.partition(network, SMALL, device=device), gr.partition(network, SMALL)
    assert len(calls) == 1
    assert (ours.patterns.words == theirs.patterns.words).all()
    assert (ours.edges == theirs.edges).all()
    assert (ours.vertex_lines == theirs.vertex_lines).all()
    apart = np.hypot(*(ours.vertices - theirs.vertices).T)
    assert (apart <= ours.vertex_errors + theirs.vertex_errors).all()
    ours.check()


@pytest.mark.parametrize("device", DEVICES)
def test_streams_and_workers(device: str) -> None:
    network = random_network((128, 96), 1)
    expected = gr.partition(network, SMALL).n_regions
    assert gr.count_regions(network, SMALL, device=device) == expected
    assert gr.aggregate(network, SMALL, ["regions"], device=device, n_jobs=2)["regions"] == expected
    assert gr.partition(network, SMALL, device=torch.device(device), n_jobs=2).n_regions == expected


def test_wrong_signs_of_a_device_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the device's products not used, or not looked at, this would pass unseen."""
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: torch.mm(a, b) + 1.0)
    network = random_network((128, 96), 1)
    changed = gr.partition(network, SMALL, device="cpu")
    assert changed.n_regions != gr.partition(network, SMALL).n_regions


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network((4,), 0)
    for device in ("cuda:99", "nonsense", "meta", "mps", 3.5):
        assert_raises(lambda device=device: gr.partition(network, SQUARE, device=device), InputError, ("device",))
    assert_raises(
        lambda: gr.partition(random_network((4,), 0, n_inputs=3), gr.Box([-1] * 3, [1] * 3), device="cpu"),
        InputError, ("device is for plane domains",),
    )  # fmt: skip
    assert_raises(
        lambda: gr.count_regions(network, gr.Segment([0, 0], [1, 1]), device="cpu"), InputError, ("plane domains",)
    )
    monkeypatch.setenv("CUBLAS_EMULATE_DOUBLE_PRECISION", "1")
    assert_raises(lambda: gr.partition(network, SQUARE, device="cpu"), InputError, ("unset it",))
