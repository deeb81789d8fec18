"""The first run on a machine compiles the engine: it says so, and two processes share the work.

numba compiles one function at a time in a process.  `arrange.kernel` takes more than half of the
whole, so a second process compiles it into numba's cache while this one compiles the others as it
meets them.  Where that process cannot be started or fails, this one compiles the kernel, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from geomrelu.planar.arrange import Scratch, cut_faces, kernel
from geomrelu.planar.pool import Pool
from geomrelu.planar.records import Cuts, Mesh, Values, new_children

__all__ = ["announce", "await_kernel", "compile_kernel"]

_told = False
_second: subprocess.Popen[bytes] | None = None


def announce() -> None:
    """Where the engine is not compiled yet, say so on stderr and start the second process; once."""
    global _told, _second
    if _told or not hasattr(kernel, "signatures") or kernel.signatures:
        return
    _told = True
    # Where numba keeps it: beside the module, in NUMBA_CACHE_DIR, or in the user's cache folder.
    cache = getattr(getattr(kernel, "stats", None), "cache_path", None)
    if cache is not None and any(Path(cache).glob("arrange.kernel-*.nbc")):
        return
    print("geomrelu: compiling the engine, once on this machine (some five to twenty seconds) ...", file=sys.stderr)
    if cache is not None and _n_cores() > 1 and not getattr(sys, "frozen", False):
        _second = _started()


def await_kernel() -> None:
    """Wait for the second process, if there is one."""
    global _second
    if _second is not None:
        _second.wait()
        _second = None


def compile_kernel() -> None:
    """Compile `arrange.kernel` for the arguments that runs give it, by cutting no face of nothing."""
    pool, nothing = Pool(), np.zeros(0, dtype=np.int64)
    floats, pairs = np.empty(0), np.empty((0, 2), dtype=np.int64)
    words, one = np.empty((0, 1), dtype=np.uint64), np.zeros(1, dtype=np.int64)
    xy = np.empty((0, 2))
    mesh = Mesh(xy, pairs, pairs, floats, one, nothing, nothing, words, nothing)
    values = Values(np.empty((0, 1)), floats, words, words, floats, 0, 0.0)
    cuts = Cuts(one, nothing, nothing, floats, floats, floats, floats, one)
    out = new_children(pool, 1, 1, 1, 1, 2)
    cut_faces(nothing, 0, 0, mesh, values, cuts, 1, floats, nothing, np.empty(0, dtype=np.int8), Scratch(), out)


def _n_cores() -> int:
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _started() -> subprocess.Popen[bytes] | None:
    """A process that compiles the kernel; None if it does not start."""
    # With this process's paths it finds the same modules, and so the same cache.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from geomrelu.planar.compilation import compile_kernel; compile_kernel()"
    )
    nothing = subprocess.DEVNULL
    try:
        return subprocess.Popen([sys.executable, "-c", code], stdin=nothing, stdout=nothing, stderr=nothing)
    except OSError:
        return None
