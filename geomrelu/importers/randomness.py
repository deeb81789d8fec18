"""Random numbers in a model: a forward that draws some is another function at each call, so it has no regions.

Tracing runs whatever does not depend on the input, once: a number drawn there would be taken
for a weight.  So a model is read twice, from different random states; both readings must agree.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from geomrelu.errors import UnsupportedLayerError
from geomrelu.importers.program import Constant, Operation, Program

__all__ = ["read_twice"]

_SEEDS = (0x5EED, 0xD1CE)
# What np.random.normal() and the like draw from.
_NUMPY: np.random.RandomState = np.random.mtrand._rand
_TORCH = str(Path(torch.__file__).parent)


def read_twice(read: Callable[[], Program], name: str) -> Program:
    """What `read` gives, if it gives the same from any random state; the global random states stay as they are.

    Parameters
    ----------
    read : callable
        Reads the model called `name`; may run parts of its forward.
    name : str
        For messages.

    Raises
    ------
    UnsupportedLayerError
        If the readings differ, or draw from the global generators; names the draws.

    Examples
    --------
    >>> fixed = Program([], {"w": Constant(np.ones(2), "w")}, "x", None)
    >>> read_twice(lambda: fixed, "model") is fixed
    True
    >>> read_twice(lambda: Program([], {"w": Constant(np.array([random.random()]), "w")}, "x", None), "model")
    Traceback (most recent call last):
        ...
    geomrelu.errors.UnsupportedLayerError: model: its forward draws random numbers (Python's random), so the ...
    """
    programs, states = [], []
    with _kept_states():
        for seed in _SEEDS:
            before = _seeded(seed)
            programs.append(read())
            states.append((before, _states()))
        (before, after), (_, other_after) = states
        # A forward that sets its seed itself ends in the same state from wherever it began: that is no chance.
        drawn = [kind for kind in before if after[kind] not in (before[kind], other_after[kind])]
        if not drawn and _same(*programs):
            return programs[0]
        # Only now, to name the places: watching torch's operations makes it import its compiler, which takes seconds.
        draws = _Draws()
        _seeded(_SEEDS[0])
        with draws:
            read()
        places = list(dict.fromkeys(draws.places)) or drawn
        named = f" ({', '.join(places[:3])})" if places else ""
        raise UnsupportedLayerError(
            f"{name}: its forward draws random numbers{named}, so the same point has another value at each call and "
            "there are no fixed regions; expected fixed weights: draw once, in __init__, and store the result as a "
            "buffer, or leave the noise out (model.eval(), if it is for training)"
        )


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes torch's random operations, and where they are called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            frames = [f for f in traceback.extract_stack() if not f.filename.startswith((_TORCH, __file__, "<"))]
            where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
            self.places.append(f"torch {func._schema.name.removeprefix('aten::').rstrip('_')}{where}")
        return func(*args, **(kwargs or {}))


def _seeded(seed: int) -> dict[str, Any]:
    """Seed the global generators; returns their states."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    _NUMPY.seed(seed)
    return _states()


def _states() -> dict[str, Any]:
    """The states of the global generators, as values that can be compared, by what draws from them."""
    kind, keys, *rest = _NUMPY.get_state()
    numpy_state = (kind, np.asarray(keys).tobytes(), *rest)
    torch_state = torch.default_generator.get_state().numpy().tobytes()
    return {"torch": torch_state, "Python's random": random.getstate(), "numpy.random": numpy_state}


@contextmanager
def _kept_states() -> Iterator[None]:
    saved = torch.default_generator.get_state(), random.getstate(), _NUMPY.get_state()
    try:
        yield
    finally:
        torch.default_generator.set_state(saved[0])
        random.setstate(saved[1])
        _NUMPY.set_state(saved[2])


def _same(a: Any, b: Any) -> bool:
    """Whether two programs, or parts of them, are the same, constants bit for bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Constant):
        same_kind = a.name == b.name and a.array.dtype == b.array.dtype and a.array.shape == b.array.shape
        return bool(same_kind and a.array.tobytes() == b.array.tobytes())
    if isinstance(a, Program | Operation):
        return all(_same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return repr(a) == repr(b)  # NaN is itself here
