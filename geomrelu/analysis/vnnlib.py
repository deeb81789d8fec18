"""VNN-LIB files: boxes of inputs, and the outputs that are unsafe there.

The part of the language that verification benchmarks use (https://www.vnnlib.org): real
constants ``X_i`` and ``Y_j``, and assertions made of ``<=``, ``>=``, ``and``, ``or``, ``+``, ``-``, ``*`` and
numbers.  Inputs may only be bounded, each by numbers; outputs by linear constraints.  A file describes what
must not happen: its property holds if no input satisfies all assertions.  Numbers are taken as the
nearest float64.

Assertions are multiplied out into alternatives, each a box of inputs and an unsafe set of outputs.  A
box with exactly two inputs that vary is a plane domain (a `Slice` of the input space); of larger boxes
a slice can be asked for, on which all other inputs are at the middle of their bounds.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geomrelu.analysis.properties import Unsafe
from geomrelu.arrays import FloatArray, frozen
from geomrelu.domain import Box, Slice
from geomrelu.errors import FileFormatError, InputDimensionError, InputError

__all__ = ["VnnProperty", "parse_vnnlib", "plane_domain", "read_vnnlib", "regions_of_interest"]

_TOKEN = re.compile(r"\s*(?:;[^\n]*(?:\n|$)|([()])|([^\s();]+))")
_VARIABLE = re.compile(r"([XY])_(\d{1,7})")
_LARGEST_FILE = 100_000_000
_DEEPEST = 200
_MOST_ALTERNATIVES = 10_000


@dataclass(frozen=True, eq=False)
class VnnProperty:
    """The alternatives of a VNN-LIB file: none of them may happen.

    Attributes
    ----------
    low, high : (D, n_inputs) float64
        Bounds of the inputs of each alternative.
    unsafe : tuple of Unsafe
        Its outputs, {y : A y <= b}.
    """

    low: FloatArray
    high: FloatArray
    unsafe: tuple[Unsafe, ...]

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return int(self.low.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return int(self.unsafe[0].A.shape[1])


class _Linear(NamedTuple):
    """A linear expression of the variables, by name."""

    terms: dict[tuple[str, int], float]
    constant: float


# A constraint a . variables <= b.
_Conjunction = list[_Linear]


def read_vnnlib(path: str | os.PathLike[str]) -> VnnProperty:
    """Read a VNN-LIB file.

    Raises
    ------
    FileFormatError
        If there is no such file, or it does not parse, or says what is not read here.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise FileFormatError(f"{file}: more than {_LARGEST_FILE:,} bytes; expected a VNN-LIB file")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{file}: cannot be read as a VNN-LIB file ({error})") from error
    return parse_vnnlib(text, str(file))


def parse_vnnlib(text: str, name: str = "VNN-LIB") -> VnnProperty:
    """The property that a text in VNN-LIB's language describes.

    Raises
    ------
    FileFormatError
        As in `read_vnnlib`; messages begin with `name`.

    Examples
    --------
    >>> found = parse_vnnlib('''
    ... (declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)
    ... (assert (<= X_0 1)) (assert (>= X_0 0)) (assert (<= X_1 2)) (assert (>= X_1 -2))
    ... (assert (or (and (>= Y_0 3)) (and (<= Y_0 -3))))''')
    >>> found.high.tolist(), [(u.A.tolist(), u.b.tolist()) for u in found.unsafe]
    ([[1.0, 2.0], [1.0, 2.0]], [([[-1.0]], [-3.0]), ([[1.0]], [-3.0])])
    """
    return _Reader(name).read(text)


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = {"X": 0, "Y": 0}
        self.declared: set[tuple[str, int]] = set()

    def _refuse(self, got: Any, expected: str) -> FileFormatError:
        return FileFormatError(f"{self.name}: got {_shown(got)}; expected {expected}")

    def read(self, text: str) -> VnnProperty:
        alternatives: list[_Conjunction] = [[]]
        for form in self._forms(text):
            if not isinstance(form, list) or not form:
                raise self._refuse(form, "(declare-const ...) or (assert ...)")
            if form[0] == "declare-const":
                self._declare(form)
            elif form[0] == "assert" and len(form) == 2:
                alternatives = self._both(alternatives, self._alternatives(form[1]))
            else:
                raise self._refuse(form, "(declare-const NAME Real) or (assert CONDITION)")
        for kind, count in self.counts.items():
            missing = [k for k in range(count) if (kind, k) not in self.declared]
            if count == 0 or missing:
                raise self._refuse(
                    f"no {kind}_{missing[0] if missing else 0}", "all of X_0, X_1, ... and Y_0, Y_1, ..."
                )
        boxes = [self._box(alternative) for alternative in alternatives]
        return VnnProperty(
            frozen(np.array([low for low, _ in boxes])), frozen(np.array([high for _, high in boxes])),
            tuple(self._unsafe(alternative) for alternative in alternatives),
        )  # fmt: skip

    def _forms(self, text: str) -> list[Any]:
        """The s-expressions as nested lists of words."""
        stack: list[list[Any]] = [[]]
        at, end = 0, len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._refuse(text[at : at + 40], "parentheses and words")
            at = found.end()
            bracket, word = found.groups()
            if bracket == "(":
                stack.append([])
                if len(stack) > _DEEPEST:
                    raise self._refuse("parentheses", f"at most {_DEEPEST} nested")
            elif bracket == ")":
                if len(stack) == 1:
                    raise self._refuse("')' without '('", "balanced parentheses")
                done = stack.pop()
                stack[-1].append(done)
            elif word is not None:
                stack[-1].append(word)
        if len(stack) > 1:
            raise self._refuse("the end of the file inside '('", "balanced parentheses")
        return stack[0]

    def _declare(self, form: list[Any]) -> None:
        found = _VARIABLE.fullmatch(form[1]) if len(form) == 3 and isinstance(form[1], str) else None
        if found is None or form[2] != "Real":
            raise self._refuse(form, "(declare-const X_0 Real), or Y_0 and so on")
        key = (found[1], int(found[2]))
        if key in self.declared:
            raise self._refuse(f"{form[1]} declared twice", "each once")
        self.declared.add(key)
        self.counts[key[0]] = max(self.counts[key[0]], key[1] + 1)

    def _both(self, a: list[_Conjunction], b: list[_Conjunction]) -> list[_Conjunction]:
        if len(a) * len(b) > _MOST_ALTERNATIVES:
            raise self._refuse(f"{len(a) * len(b)} alternatives", f"at most {_MOST_ALTERNATIVES}")
        return [[*first, *second] for first in a for second in b]

    def _alternatives(self, form: Any) -> list[_Conjunction]:
        if not isinstance(form, list) or len(form) < 2 or not isinstance(form[0], str):
            raise self._refuse(form, "a condition, such as (<= X_0 1)")
        if form[0] == "and":
            result: list[_Conjunction] = [[]]
            for part in form[1:]:
                result = self._both(result, self._alternatives(part))
            return result
        if form[0] == "or":
            return [one for part in form[1:] for one in self._alternatives(part)]
        if form[0] not in ("<=", ">=") or len(form) != 3:
            raise self._refuse(form, "<=, >=, and, or: unsafe sets are closed, so < and > are not read")
        left, right = self._linear(form[1]), self._linear(form[2])
        return [[_sum(left, right, -1.0) if form[0] == "<=" else _sum(right, left, -1.0)]]

    def _linear(self, form: Any) -> _Linear:
        if isinstance(form, str):
            found = _VARIABLE.fullmatch(form)
            if found is None:
                return _Linear({}, self._number(form))
            key = (found[1], int(found[2]))
            if key not in self.declared:
                raise self._refuse(form, "a variable that is declared")
            return _Linear({key: 1.0}, 0.0)
        if not form or form[0] not in ("+", "-", "*") or len(form) < 2:
            raise self._refuse(form, "a number, a variable, or (+ ...), (- ...), (* NUMBER ...)")
        parts = [self._linear(part) for part in form[1:]]
        if form[0] == "*":
            return self._product(form, parts)
        if form[0] == "-" and len(parts) == 1:
            return _sum(_Linear({}, 0.0), parts[0], -1.0)
        result = parts[0]
        for part in parts[1:]:
            result = _sum(result, part, 1.0 if form[0] == "+" else -1.0)
        return result

    def _product(self, form: Any, parts: list[_Linear]) -> _Linear:
        varying = [part for part in parts if part.terms]
        if len(varying) > 1:
            raise self._refuse(form, "at most one variable in a product: constraints are linear")
        factor = math.prod(part.constant for part in parts if not part.terms)
        base = varying[0] if varying else _Linear({}, 1.0)
        return _Linear({key: value * factor for key, value in base.terms.items()}, base.constant * factor)

    def _number(self, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            raise self._refuse(word, "a number, or X_0, Y_0 and so on") from None
        if not math.isfinite(value):
            raise self._refuse(word, "a finite number that float64 holds")
        return value

    def _box(self, alternative: _Conjunction) -> tuple[FloatArray, FloatArray]:
        low, high = np.full(self.counts["X"], -np.inf), np.full(self.counts["X"], np.inf)
        for terms, constant in alternative:
            inputs = [key for key in terms if key[0] == "X"]
            if not inputs:
                continue
            if len(terms) > 1:
                raise self._refuse(f"a constraint of {', '.join(f'{k}_{n}' for k, n in terms)}",
                                   "inputs that are bounded by numbers, each on its own")  # fmt: skip
            number, factor = inputs[0][1], terms[inputs[0]]
            bound = -constant / factor + 0.0
            if factor > 0:
                high[number] = min(high[number], bound)
            else:
                low[number] = max(low[number], bound)
        open_ = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)))
        if len(open_):
            raise self._refuse(f"input X_{open_[0]} without a lower and an upper bound", "a bounded box of inputs")
        return low, high

    def _unsafe(self, alternative: _Conjunction) -> Unsafe:
        rows = [one for one in alternative if not any(key[0] == "X" for key in one.terms)]
        A = np.zeros((len(rows), self.counts["Y"]))
        for row, (terms, _) in zip(A, rows, strict=True):
            for (_, number), factor in terms.items():
                row[number] = factor
        return Unsafe(A, np.array([0.0 - constant for _, constant in rows]))


def _sum(a: _Linear, b: _Linear, factor: float) -> _Linear:
    terms = dict(a.terms)
    for key, value in b.terms.items():
        terms[key] = terms.get(key, 0.0) + factor * value
    return _Linear({key: value for key, value in terms.items() if value}, a.constant + factor * b.constant)


def _shown(form: Any) -> str:
    text = form if isinstance(form, str) else _words(form, 4)
    return text if len(text) <= 120 else text[:117] + "..."


def _words(form: Any, depth: int) -> str:
    if isinstance(form, str):
        return form
    return "(" + (" ".join(_words(part, depth - 1) for part in form[:8]) if depth else "...") + ")"


def plane_domain(low: FloatArray, high: FloatArray, free: tuple[int, int] | None = None) -> Slice:
    """The slice of a box of inputs in which two of them vary.

    Parameters
    ----------
    low, high : (n_inputs,) float64
    free : pair of int, optional
        Which two; all others are at the middle of their bounds.  By default the two that vary.

    Raises
    ------
    InputError
        If the box is empty, or not exactly two inputs vary and none are chosen.
    """
    if (low > high).any():
        k = int(np.argmax(low > high))
        raise InputError(f"box of inputs: X_{k} runs from {low[k]} to {high[k]}; expected low <= high")
    varying = np.flatnonzero(low < high)
    if free is None and len(varying) != 2:
        raise InputError(
            f"box of inputs: {len(varying)} of {len(low)} inputs vary; expected exactly two, or name two for a slice, "
            "on which the others are at the middle of their bounds"
        )
    i, j = (int(k) for k in (varying if free is None else free))
    for k in (i, j):
        if not 0 <= k < len(low):
            raise InputDimensionError(f"box of inputs: got input {k}; expected a number from 0 to {len(low) - 1}")
        if low[k] == high[k]:
            raise InputError(f"box of inputs: X_{k} is fixed at {low[k]}; expected two inputs that vary")
    # Halved first, so that nothing overflows; fixed inputs stay what they are.
    middle = np.where(low == high, low, low / 2 + high / 2)
    return Slice.axes(i, j, at=middle, domain=Box(low[[i, j]], high[[i, j]]))


def regions_of_interest(found: VnnProperty, free: tuple[int, int] | None = None) -> list[tuple[Slice, list[Unsafe]]]:
    """The distinct plane domains of a property, each with the unsafe sets that it has there."""
    result: dict[tuple[float, ...], tuple[Slice, list[Unsafe]]] = {}
    for low, high, unsafe in zip(found.low, found.high, found.unsafe, strict=True):
        key = (*low.tolist(), *high.tolist())
        if key not in result:
            result[key] = (plane_domain(low, high, free), [])
        result[key][1].append(unsafe)
    return list(result.values())
