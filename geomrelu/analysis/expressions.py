"""Linear expressions and constraints of a network's outputs, as text: ``"y0 - 2*y1 <= 3 and y0 > y2"``.

Read through Python's own grammar (`ast`), of which only numbers, output names, ``+ - *``,
division by a number, comparisons and ``and`` are let through: nothing is evaluated.
Numbers are taken as the nearest float64, and combined exactly.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from geomrelu.errors import InputError

__all__ = ["Constraint", "Linear", "linear_constraints", "linear_expression"]

_EXAMPLE = "expected a linear expression of outputs, such as 'y0 - 2*y1'"
_CONSTRAINT_EXAMPLE = "expected comparisons of outputs, such as 'y0 > y1' or 'y0 - 2*y1 <= 3 and y2 >= 0'"
_NAME = re.compile(r"[yY]_?(\d{1,9})")
_LONGEST = 100_000


@dataclass(frozen=True)
class Linear:
    """The linear expression a . y + constant, exactly."""

    coefficients: tuple[Fraction, ...]
    constant: Fraction

    def __add__(self, other: Linear) -> Linear:
        sums = (a + b for a, b in zip(self.coefficients, other.coefficients, strict=True))
        return Linear(tuple(sums), self.constant + other.constant)

    def __mul__(self, factor: Fraction) -> Linear:
        return Linear(tuple(a * factor for a in self.coefficients), self.constant * factor)


@dataclass(frozen=True, eq=False)
class Constraint:
    """a . y <= b, or a . y < b if strict; as text, the comparison it was read from."""

    a: tuple[float, ...]
    b: float
    strict: bool
    text: str


def linear_expression(text: str, n_outputs: int, question: str = "expression") -> tuple[np.ndarray, float]:
    """The coefficients (out,) and the constant of a linear expression.

    Raises
    ------
    InputError
        If it does not parse, is not linear, or names an output that is not there.

    Examples
    --------
    >>> linear_expression("(y0 - 2*y1)/4 + 1", 2)
    (array([ 0.25, -0.5 ]), 1.0)
    """
    reader = _Reader(text, n_outputs, question, _EXAMPLE)
    found = reader.linear(reader.tree)
    return np.array([reader.number(v) for v in found.coefficients]), reader.number(found.constant)


def linear_constraints(text: str, n_outputs: int) -> list[Constraint]:
    """The constraints of a conjunction of comparisons; an equation is two, a chain one for each sign.

    Raises
    ------
    InputError
        As in `linear_expression`.

    Examples
    --------
    >>> [(c.a, c.b, c.strict) for c in linear_constraints("y0 > y1 and 0 <= y1", 2)]
    [((-1.0, 1.0), 0.0, True), ((0.0, -1.0), 0.0, False)]
    """
    reader = _Reader(text, n_outputs, "property", _CONSTRAINT_EXAMPLE)
    return reader.constraints(reader.tree)


class _Reader:
    def __init__(self, text: str, n_outputs: int, question: str, expected: str) -> None:
        self.text, self.n_outputs, self.question, self.expected = text, n_outputs, question, expected
        if not isinstance(text, str):
            raise InputError(f"{question}: got {type(text).__name__}; {expected}")
        if len(text) > _LONGEST:
            raise InputError(f"{question}: got {len(text)} characters; expected at most {_LONGEST}")
        try:
            self.tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"{question}: {text[:200]!r} does not parse ({error}); {expected}") from None

    def _refuse(self, node: ast.AST, why: str) -> InputError:
        part = ast.get_source_segment(self.text.strip(), node) if hasattr(node, "lineno") else None
        return InputError(f"{self.question}: got {(part or self.text)[:200]!r}, {why}; {self.expected}")

    def constraints(self, node: ast.expr) -> list[Constraint]:
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            return [constraint for part in node.values for constraint in self.constraints(part)]
        if isinstance(node, ast.BoolOp):
            raise self._refuse(node, "an 'or'; ask for each part, or give the unsafe set as a VNN-LIB file")
        if not isinstance(node, ast.Compare):
            raise self._refuse(node, "which is no comparison")
        result = []
        for left, relation, right in zip([node.left, *node.comparators[:-1]], node.ops, node.comparators, strict=True):
            lower, upper = self.linear(left), self.linear(right)
            if isinstance(relation, ast.Gt | ast.GtE):
                lower, upper = upper, lower
            elif not isinstance(relation, ast.Lt | ast.LtE | ast.Eq):
                raise self._refuse(node, "compared otherwise than by <, <=, ==, >= or >")
            strict = isinstance(relation, ast.Lt | ast.Gt)
            result.append(self._constraint(node, lower, upper, strict))
            if isinstance(relation, ast.Eq):
                result.append(self._constraint(node, upper, lower, strict))
        return result

    def _constraint(self, node: ast.expr, lower: Linear, upper: Linear, strict: bool) -> Constraint:
        both = lower + upper * Fraction(-1)
        text = ast.get_source_segment(self.text.strip(), node) or self.text
        return Constraint(tuple(self.number(a) for a in both.coefficients), self.number(-both.constant), strict, text)

    def number(self, value: Fraction) -> float:
        """A number that is a float64."""
        try:
            rounded = float(value)
        except OverflowError:
            rounded = float("inf")
        if rounded in (float("inf"), -float("inf")) or Fraction(rounded) != value:
            raise InputError(
                f"{self.question}: {self.text[:200]!r} combines numbers to {rounded!r}, which float64 holds "
                "only rounded; write each coefficient and the constant as one number"
            )
        return rounded

    def linear(self, node: ast.expr) -> Linear:
        try:
            return self._linear(node)
        except RecursionError:
            raise InputError(f"{self.question}: got parentheses nested too deep; {self.expected}") from None

    def _linear(self, node: ast.expr) -> Linear:
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._output(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return self._linear(node.operand) * Fraction(-1 if isinstance(node.op, ast.USub) else 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            sign = Fraction(-1 if isinstance(node.op, ast.Sub) else 1)
            return self._linear(node.left) + self._linear(node.right) * sign
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            left, right = self._linear(node.left), self._linear(node.right)
            if isinstance(node.op, ast.Div):
                if any(right.coefficients) or not right.constant:
                    raise self._refuse(node, "divided by what is no number other than 0")
                return left * (1 / right.constant)
            if any(left.coefficients) and any(right.coefficients):
                raise self._refuse(node, "a product of outputs, which is not linear")
            return right * left.constant if any(right.coefficients) else left * right.constant
        raise self._refuse(node, "which is not linear in the outputs")

    def _constant(self, node: ast.Constant) -> Linear:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(node, "which is no number")
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if number in (float("inf"), -float("inf")):
            raise self._refuse(node, "too large for float64")
        return Linear((Fraction(0),) * self.n_outputs, Fraction(number))

    def _output(self, node: ast.Name) -> Linear:
        found = _NAME.fullmatch(node.id)
        if not found:
            raise self._refuse(node, "an unknown name")
        number = int(found[1])
        if number >= self.n_outputs:
            only = "only y0" if self.n_outputs == 1 else f"y0 to y{self.n_outputs - 1}"
            raise self._refuse(node, f"but the network has {only}")
        return Linear(tuple(Fraction(int(k == number)) for k in range(self.n_outputs)), Fraction(0))
