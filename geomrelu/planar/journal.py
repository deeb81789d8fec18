"""A journal of finished blocks, from which an interrupted run resumes.

An SQLite file: each block is one transaction, so a process may be killed at any moment, and
the file holds the blocks that were finished.  It holds no code, and is tied to one question:
the network, the domain, what was asked and how blocks were made.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu._version import __version__
from geomrelu.errors import FileFormatError, InputError, OutputPathError
from geomrelu.matrices import parts
from geomrelu.planar.cutter import Task

__all__ = ["Journal"]

PathLike: TypeAlias = "str | os.PathLike[str]"
_APPLICATION = 0x47524A31  # "GRJ1"


class Journal:
    """Finished blocks of one run, on disk.

    Parameters
    ----------
    path : path-like
        Made if it is not there.
    task : Task
    question : str
        What was asked, and how.

    Raises
    ------
    FileFormatError
        If the file is something else, or the journal of another run.
    OutputPathError
        If it cannot be written.
    """

    def __init__(self, path: PathLike, task: Task, question: str) -> None:
        try:
            self.path = Path(path)
        except TypeError:
            raise InputError(f"resume: got {path!r}; expected the path of a journal, such as 'run.journal'") from None
        key = _fingerprint(task, question)
        try:
            self._connection = sqlite3.connect(self.path.absolute(), timeout=60.0, check_same_thread=False)
            with self._connection as connection:
                self._open(connection, key)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise OutputPathError(
                    f"{self.path}: the journal cannot be opened for writing ({error}); choose another path"
                ) from error
            raise FileFormatError(
                f"{self.path} is not a journal of geomrelu ({error}); expected one written by --resume, or a new path"
            ) from error

    def _open(self, connection: sqlite3.Connection, key: str) -> None:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if not tables:
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute("CREATE TABLE run (key TEXT)")
            connection.execute("CREATE TABLE block (number INTEGER PRIMARY KEY, value BLOB, report TEXT, digest TEXT)")
            connection.execute("INSERT INTO run VALUES (?)", (key,))
        elif connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise FileFormatError(f"{self.path} is another program's database; choose a new path for the journal")
        elif {"run", "block"} - {name for (name,) in tables}:
            raise self._damaged("a table is missing")
        elif connection.execute("SELECT key FROM run").fetchone() != (key,):
            raise FileFormatError(
                f"{self.path} is the journal of another run (model, domain, question or version differ); "
                "choose a new path, or repeat that run as it was"
            )

    def get(self, number: int) -> tuple[bytes, dict[str, Any]] | None:
        """A block's value and report, None if it is not there."""
        wanted = "SELECT value, report, digest FROM block WHERE number = ?"
        try:
            found = self._connection.execute(wanted, (number,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error
        if found is None:
            return None
        value, report, digest = found
        if not (isinstance(value, bytes) and isinstance(report, str)) or _digest(value, report) != digest:
            raise self._damaged(f"block {number} is not what was written")
        return value, json.loads(report)

    def _damaged(self, what: str) -> FileFormatError:
        return FileFormatError(f"{self.path}: the journal is damaged ({what}); remove it and start again")

    def put(self, number: int, value: bytes, report: dict[str, Any]) -> None:
        """Keep a finished block; it is on disk when this returns."""
        try:
            with self._connection as connection:
                text = json.dumps(report)
                row = (number, value, text, _digest(value, text))
                connection.execute("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            raise OutputPathError(f"{self.path}: cannot write to the journal ({error}); free some space") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT COUNT(*) FROM block").fetchone()[0])

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept = len(self) if kind is KeyboardInterrupt else 0
        self._connection.close()
        if kind is KeyboardInterrupt:
            blocks = f"{kept:,} finished block{'' if kept == 1 else 's'}"
            raise KeyboardInterrupt(f"{self.path} keeps {blocks}; the same call goes on from there") from error


def _digest(value: bytes, report: str) -> str:
    return hashlib.sha256(value + report.encode()).hexdigest()


def _fingerprint(task: Task, question: str) -> str:
    """A digest of all that a block's result depends on."""
    digest = hashlib.sha256(f"{__version__} {question} {task.caution} {task.balls}".encode())
    arrays: list[npt.NDArray[Any]] = [task.domain.vertices]
    for layer in task.network.layers:
        arrays += [np.array([layer.n_neurons]), *parts(layer.weight), layer.bias]
        arrays += [] if layer.relevant is None else [layer.relevant]
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
