"""Interrupted runs resume, with the same result, and lose no finished block."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import geomrelu as gr
from geomrelu.analysis.aggregates import aggregate
from geomrelu.errors import FileFormatError, OutputPathError
from geomrelu.planar.build import build_complex
from geomrelu.planar.cutter import Task
from geomrelu.planar.journal import Journal
from tests.networks import SQUARE, random_network
from tests.soundness import INTERPRETED
from tests.test_blocks import assert_same

NAMES = ["regions", "area", "integral"]
ROOT = Path(__file__).parents[1]
# Tells each block once it is in the journal.
SCRIPT = """
import sys
from geomrelu.analysis.aggregates import aggregate
from tests.networks import SQUARE, random_network
def tell(message, share):
    if "of the area" in message:
        print(message, flush=True)
network = random_network((24, 24, 24), 7)
found = aggregate(network, SQUARE, {names!r}, resume=sys.argv[1], block_values=3000, progress=tell)
print("result", dict(found))
"""


class Stop(Exception):
    """Raised by a progress function, as Ctrl-C would be."""


def stopping_after(n: int) -> Any:
    left = [n]

    def tell(message: str, share: float) -> None:
        if "of the area" in message:
            left[0] -= 1
            if left[0] == 0:
                raise Stop

    return tell


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_interrupted_partition_resumes(tmp_path: Path, n_jobs: int | None) -> None:
    network, path = random_network((8, 8, 8), 2), tmp_path / "run.journal"
    whole = build_complex(network, SQUARE, block_values=60)
    with pytest.raises(Stop):
        build_complex(network, SQUARE, stopping_after(4), block_values=60, resume=path, n_jobs=n_jobs)
    with Journal(path, Task(network, SQUARE), "partition 60") as journal:
        kept = len(journal)
    assert kept >= 4
    told: list[str] = []
    p = build_complex(
        network, SQUARE, lambda message, _: told.append(message), block_values=60, resume=path, n_jobs=n_jobs
    )
    assert_same(p, whole)
    assert {k: v for k, v in p.report.items() if k != "seconds"} == {
        k: v for k, v in whole.report.items() if k != "seconds"
    }
    assert_same(build_complex(network, SQUARE, block_values=60, resume=path), whole)


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes by SIGKILL")
def test_killed_ten_times(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    network = random_network((24, 24, 24), 7)
    expected = aggregate(network, SQUARE, NAMES, block_values=3000)
    command = [sys.executable, "-c", SCRIPT.format(names=NAMES), str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    draw = random.Random(0)
    kept = 0
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(kept + draw.randrange(4))]
            time.sleep(draw.random() * 0.01)
            process.kill()
            told = sum("of the area" in line for line in lines)
        if not path.exists():
            continue
        with Journal(path, Task(network, SQUARE), f"aggregate {' '.join(NAMES)} 3000") as journal:
            # What was told is kept, and what was kept stays.
            assert len(journal) >= max(told, kept)
            kept = len(journal)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == f"result {dict(expected)}"
    assert kept > 0


def test_the_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    gr.count_regions(random_network((8, 8), 1), SQUARE, resume=path)
    for network, domain in ((random_network((8, 8), 2), SQUARE), (random_network((8, 8), 1), gr.Box(-1, 2))):
        with pytest.raises(FileFormatError, match="journal of another run"):
            gr.count_regions(network, domain, resume=path)
    with pytest.raises(FileFormatError, match="journal of another run"):
        gr.partition(random_network((8, 8), 1), SQUARE, resume=path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE block SET value = x'00' WHERE number = 1",
        "UPDATE block SET report = 'x' WHERE number = 1",
        "UPDATE block SET report = replace(report, '\"signs\": ', '\"signs\": 1') WHERE number = 0",
        "DROP TABLE run",
        "DROP TABLE block",
    ],
)
def test_a_damaged_journal_is_refused(tmp_path: Path, damage: str) -> None:
    import sqlite3

    network, path = random_network((8, 8, 8), 2), tmp_path / "run.journal"
    aggregate(network, SQUARE, NAMES, block_values=60, resume=path)
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    with pytest.raises(FileFormatError, match="damaged"):
        aggregate(network, SQUARE, NAMES, block_values=60, resume=path)


def test_garbled_bytes_in_a_journal_never_give_another_result(tmp_path: Path) -> None:
    network, path = random_network((8, 8, 8), 2), tmp_path / "run.journal"
    whole = build_complex(network, SQUARE, block_values=60, resume=path)
    good, refused = path.read_bytes(), 0
    draw = random.Random(1)
    for share in (0.2, 0.4, 0.6, 0.8, 0.95):
        at = int(share * len(good))
        path.write_bytes(good[:at] + draw.randbytes(3000) + good[at + 3000 :])
        try:
            p = build_complex(network, SQUARE, block_values=60, resume=path)
        except FileFormatError as error:
            assert "journal" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert_same(p, whole)
    assert refused > 0


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    network = random_network((3,), 1)
    (tmp_path / "text").write_text("not a database, but a text of some length\n" * 100)
    with pytest.raises(FileFormatError, match="not a journal"):
        gr.count_regions(network, SQUARE, resume=tmp_path / "text")
    assert (tmp_path / "text").read_text().startswith("not a database")
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE song (title TEXT)")
    with pytest.raises(FileFormatError, match="another program's database"):
        gr.count_regions(network, SQUARE, resume=tmp_path / "other.db")
    with pytest.raises(OutputPathError, match="cannot be opened"):
        gr.count_regions(network, SQUARE, resume=tmp_path / "no folder" / "run.journal")


def test_an_interrupt_says_what_is_kept(tmp_path: Path) -> None:
    network, path = random_network((8, 8, 8), 2), tmp_path / "run.journal"
    calls = 0

    def progress(message: str, fraction: float) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"run\.journal keeps (\d+) finished blocks; the same call goes on"
    ) as raised:
        build_complex(network, SQUARE, progress, block_values=60, resume=path)
    with Journal(path, Task(network, SQUARE), "partition 60") as journal:
        assert f"keeps {len(journal)} finished" in str(raised.value)
    assert_same(
        build_complex(network, SQUARE, block_values=60, resume=path), build_complex(network, SQUARE, block_values=60)
    )
