"""What all commands share: errors, progress, tables and JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from geomrelu.errors import GeomReluError, InvariantError

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Commands", "print_json", "print_rows", "print_table", "shown_progress"]

FAILED, BAD_INPUT, INTERNAL, INTERRUPTED = 1, 2, 3, 130
_PATIENCE = 0.7  # seconds of work before a progress bar appears


class Commands(TyperGroup):
    """A group of commands whose errors are one line on stderr and an exit status, never a traceback."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments."""
        with _reported():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with _reported():
            return super().invoke(ctx)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        # Journals and trackers say what they keep; files are written as a whole or not at all.
        raise _stop(f"interrupted: {str(error) or 'nothing is kept'}", INTERRUPTED) from None
    except InvariantError as error:
        raise _stop(f"error: {error}", FAILED) from None
    except GeomReluError as error:
        raise _stop(f"error: {error}", BAD_INPUT) from None
    except MemoryError:
        raise _stop("error: not enough memory; take a smaller domain or network", BAD_INPUT) from None
    except BrokenPipeError:
        # The reader of our output (head, say) has gone: what is left to write is of no use to anyone.
        _discard_stdout()
        raise typer.Exit(0) from None
    except Exception as error:
        if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
            raise  # typer's own: usage errors and exits
        if isinstance(error, OSError) and error.filename is None:
            # Not of a file that was to be opened: of a stream that is open, and files' errors have their own type.
            _discard_stdout()
            line = f"error: cannot write to standard output: {error.strerror or error}; redirect it elsewhere"
            raise _stop(line, BAD_INPUT) from None
        if os.environ.get("GEOMRELU_DEBUG"):
            raise
        message = f"internal error: {type(error).__name__}: {error}; this is a bug, please report it"
        raise _stop(f"{message} (GEOMRELU_DEBUG=1 shows where)", INTERNAL) from None


def _discard_stdout() -> None:
    """Send what is still buffered nowhere: at exit Python would try again, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def print_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with a header on stdout; all columns but the first are numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    typer.echo(title)
    table = Table(box=box.SIMPLE)
    for k, name in enumerate(header):
        table.add_column(name, justify="right" if k else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


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
