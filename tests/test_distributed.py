"""A real local Dask cluster: the same result as one process, even if a worker is killed on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import joblib
import pytest

from geomrelu.planar.build import build_complex
from tests.networks import SQUARE, random_network
from tests.soundness import INTERPRETED
from tests.test_blocks import assert_same

distributed = pytest.importorskip("distributed", reason="needs the extra: pip install 'geomrelu[distributed]'")
pytestmark = pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")

NETWORK = random_network((32, 32, 32), 5)
BLOCK_VALUES = 10_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def expected() -> Any:
    return build_complex(NETWORK, SQUARE, block_values=BLOCK_VALUES)


def test_two_processes(client: Any, expected: Any) -> None:
    with joblib.parallel_config("dask"):
        p = build_complex(NETWORK, SQUARE, block_values=BLOCK_VALUES)
    assert_same(p, expected)


def test_a_killed_worker(client: Any, expected: Any) -> None:
    killed: list[int] = []

    def tell(message: str, share: float) -> None:
        if share > 0.1 and not killed:
            victim = next(iter(client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
        time.sleep(0.01)

    with joblib.parallel_config("dask"):
        p = build_complex(NETWORK, SQUARE, tell, block_values=BLOCK_VALUES)
    assert killed
    assert_same(p, expected)
