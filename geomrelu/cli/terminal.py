"""What all commands share: errors, progress, tables and JSON."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from geomrelu.errors import GeomReluError, InvariantError

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["guarded", "print_json", "print_table", "print_tables", "shown_progress"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

FAILED, BAD_INPUT, INTERNAL, INTERRUPTED = 1, 2, 3, 130
_PATIENCE = 0.7  # seconds of work before a progress bar appears


def guarded(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """The command with its errors as one line on stderr and an exit status, never a traceback."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise _stop("interrupted", INTERRUPTED) from None
        except InvariantError as error:
            raise _stop(f"error: {error}", FAILED) from None
        except GeomReluError as error:
            raise _stop(f"error: {error}", BAD_INPUT) from None
        except MemoryError:
            raise _stop("error: not enough memory; take a smaller domain or network", BAD_INPUT) from None
        except BrokenPipeError:
            # The reader of our output (head, say) has gone: what is left to write is of no use to anyone.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("GEOMRELU_DEBUG"):
                raise
            message = f"internal error: {type(error).__name__}: {error}; this is a bug, please report it"
            raise _stop(f"{message} (GEOMRELU_DEBUG=1 shows where)", INTERNAL) from None

    return run


def _stop(line: str, status: int) -> typer.Exit:
    typer.echo(line, err=True)
    return typer.Exit(status)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout; NaN and infinities, which JSON lacks, become null."""
    typer.echo(json.dumps(_finite(content), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def print_table(title: str, rows: Mapping[str, Any]) -> None:
    """Names and values on stdout, numbers with thousands separated."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    typer.echo(title)
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)


def print_tables(markdown: str) -> None:
    """The tables of a Markdown report with their headings; formulas and pictures are for its file."""
    from rich.console import Console
    from rich.markdown import Markdown

    kept: list[str] = []
    heading = ""
    for line in markdown.splitlines():
        if line.startswith("#"):
            heading = line
        elif line.startswith("|"):
            if heading:
                kept += ["", heading, ""]
                heading = ""
            kept.append(line)
    console = Console()
    # A file or a pipe has no width: a report's tables need more than the 80 columns that are assumed.
    Console(width=None if console.is_terminal else 160).print(Markdown("\n".join(kept)))


@contextmanager
def shown_progress() -> Iterator[Callable[[str, float], None]]:
    """A callable for ``progress=``; draws a bar on stderr if that is a terminal and the work takes long."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda message, fraction: None
        return
    start = time.monotonic()
    bar: Progress | None = None

    def show(message: str, fraction: float) -> None:
        nonlocal bar
        if bar is None:
            if time.monotonic() - start < _PATIENCE:
                return
            bar = _bar(console)
            bar.start()
        bar.update(bar.task_ids[0], description=message, completed=fraction)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def _bar(console: Any) -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    bar.add_task("", total=1.0)
    return bar
