"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from geomrelu.errors import OutputPathError

__all__ = ["atomic_path", "check_output_directory", "check_output_path", "check_suffix", "staged_directory"]


def check_output_path(path: str | os.PathLike[str]) -> Path:
    """`path` as a `Path`, if a file can be written there.

    For asking before long work starts; `atomic_path` asks again by itself.

    Raises
    ------
    OutputPathError
        If the path is a directory, or its directory is missing or cannot be written to.
    """
    try:
        target = Path(path)
    except TypeError as error:
        raise OutputPathError(f"output path: got {type(path).__name__}; expected a file path") from error
    if "\0" in str(target):
        raise OutputPathError(f"output path: got {str(target)!r}, which holds a NUL; choose another path")
    try:
        _check_output_file(target)
    except OutputPathError:
        raise
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise _failure(f"cannot write {target}", error) from error
    return target


def check_suffix(path: str | os.PathLike[str], function: str, suffixes: tuple[str, ...]) -> None:
    """`check_output_path`, and refuse a suffix that promises another format; none at all promises nothing."""
    target = check_output_path(path)
    if target.suffix and target.suffix.lower() not in suffixes:
        raise OutputPathError(
            f"{function}: got the suffix {target.suffix!r} ({target}); expected {' or '.join(suffixes)}, the only "
            "format that it writes; choose that suffix, or for pictures of other formats plot(...).figure.savefig(path)"
        )


def _check_output_file(target: Path) -> None:
    if target.is_dir() or not target.name:
        raise OutputPathError(f"{target} is a directory; expected the path of a file to write")
    folder = target.parent
    if not folder.exists():
        raise OutputPathError(f"cannot write {target}: there is no directory {folder}; create it first")
    if not folder.is_dir():
        raise OutputPathError(f"cannot write {target}: {folder} is not a directory; expected a directory to write in")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputPathError(f"cannot write {target}: no permission to write in {folder}; choose another directory")
    if target.exists() and not target.is_file():
        raise OutputPathError(f"cannot write {target}: it is not a regular file; choose another path")
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputPathError(f"cannot write {target}: the file there is write-protected; choose another path")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to `path` when the block ends without an error.

    Whatever happens, `path` holds either its old content or the whole new one, and no
    temporary file is left.  The temporary path keeps the suffix of `path`, since many
    writers choose a format by it.

    Parameters
    ----------
    path : path-like
        Where the file shall be.

    Yields
    ------
    Path
        An existing, empty file in the same directory; write there.

    Raises
    ------
    OutputPathError
        If the path is a directory, its directory is missing or not writable, or writing
        fails because of the file system (a full disk, say).

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    target = check_output_path(path)
    if target.is_symlink():
        target = target.resolve()  # replace what the link points to, not the link
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:100]}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except (OSError, ValueError) as error:
        raise _failure(f"cannot write {target}", error) from error
    temporary = Path(name)
    try:
        yield temporary
        _set_usual_mode(temporary, target)
        temporary.replace(target)
    except OutputPathError:
        raise
    except OSError as error:
        raise _failure(f"cannot write {target}", error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_output_directory(path: str | os.PathLike[str], files: Iterable[str] = ()) -> Path:
    """`path` as a `Path`, if a directory can be made there, or is there, and `files` written in it.

    Parameters
    ----------
    path : path-like
        The directory; missing ones on the way to it count as ones that can be made.
    files : iterable of str
        Paths below it, with forward slashes.

    Raises
    ------
    OutputPathError
        If something is in the way, or permissions forbid it.
    """
    try:
        folder = Path(path)
    except TypeError as error:
        raise OutputPathError(f"output directory: got {type(path).__name__}; expected a path") from error
    try:
        for part in sorted({folder, *(folder / Path(name).parent for name in files)}):
            there = _nearest(part)
            if not there.is_dir():
                raise OutputPathError(f"output directory {part}: {there} is a file; choose another path")
            if not os.access(there, os.W_OK | os.X_OK):
                raise OutputPathError(f"output directory {part}: no permission to write in {there}; choose another")
        for name in files:
            if (folder / name).exists():
                check_output_path(folder / name)
    except OutputPathError:
        raise
    except (OSError, ValueError) as error:
        raise _failure(f"output directory {folder}", error) from error
    return folder


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest one above it that exists."""
    while not os.path.lexists(path.absolute()):
        # A name that is too long does not exist either, but can never be made.
        path.absolute().exists()
        path = path.absolute().parent
    return path


@contextmanager
def staged_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary directory whose files are moved into `path` when the block ends without an error.

    If the block fails or is interrupted, `path` is as it was, or still missing.  Files of the
    same names are replaced; other content of `path` stays.

    Parameters
    ----------
    path : path-like
        The directory that shall hold the files; made if it is missing.

    Yields
    ------
    Path
        An empty directory on the same file system; write there, subdirectories as you like.

    Raises
    ------
    OutputPathError
        If `path` cannot be made or written in.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with staged_directory(folder / "new") as stage:
    ...     _ = (stage / "a.txt").write_text("whole")
    >>> sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))
    ['new', 'new/a.txt']
    """
    target = check_output_directory(path)
    try:
        stage = Path(tempfile.mkdtemp(prefix=".geomrelu-", dir=_nearest(target)))
    except OSError as error:
        raise _failure(f"cannot write in {target}", error) from error
    try:
        yield stage
        for source in sorted(file for file in stage.rglob("*") if file.is_file()):
            place = target / source.relative_to(stage)
            place.parent.mkdir(parents=True, exist_ok=True)
            source.replace(place)
    except OutputPathError as error:
        # Whoever reads this knows the directory that was asked for, not the temporary one.
        raise OutputPathError(str(error).replace(str(stage), str(target))) from error
    except OSError as error:
        raise _failure(f"cannot write in {target}", error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _failure(what: str, error: Exception) -> OutputPathError:
    """The error for what the file system refused, with advice that fits."""
    number = getattr(error, "errno", None)
    advice = "choose another path"
    if number in (errno.ENOSPC, errno.EDQUOT):
        advice = "free some space, or choose a path on another disk"
    elif number == errno.EFBIG:
        advice = "raise the limit on the size of files (ulimit -f), or write to a disk that takes larger ones"
    return OutputPathError(f"{what}: {getattr(error, 'strerror', None) or error}; {advice}")


def _set_usual_mode(temporary: Path, target: Path) -> None:
    """Give the file the permissions that it would have had if opened in place; mkstemp's are 0600."""
    if target.exists():
        temporary.chmod(target.stat().st_mode & 0o7777)
        return
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
