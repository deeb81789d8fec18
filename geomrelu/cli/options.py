"""Values of options: words of the command line as numbers, with errors that say what was got and expected.

typer's own messages name the option but not the word that it could not use.
"""

from __future__ import annotations

import math

from geomrelu.errors import InputError

__all__ = ["real_number", "whole_number", "xy_pair"]


def whole_number(option: str, word: str, low: int, high: int | None = None) -> int:
    """`word` as a whole number from `low` to `high`, if there is an upper end.

    Raises
    ------
    InputError
        If it is not one; names the option.

    Examples
    --------
    >>> whole_number("--n", "101", 2, 20_000)
    101
    """
    try:
        number = int(word)
    except ValueError:
        number = low - 1
    if number < low or (high is not None and number > high):
        expected = f"{low} or more" if high is None else f"from {low} to {high}"
        raise InputError(f"{option}: got {word!r}; expected a whole number, {expected}, such as {option} {low}")
    return number


def real_number(option: str, word: str) -> float:
    """`word` as a finite number.

    Raises
    ------
    InputError
        If it is not one; names the option.

    Examples
    --------
    >>> real_number("--level", "-0.5")
    -0.5
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{option}: got {word!r}; expected a finite number, such as {option} 0.5")
    return value


def xy_pair(option: str, words: tuple[str, str], example: str) -> tuple[float, float]:
    """Two words as numbers.

    Raises
    ------
    InputError
        If one of them is not a number; names the option.

    Examples
    --------
    >>> xy_pair("--box", ("-1", "1e-3"), "-1 1")
    (-1.0, 0.001)
    """
    return _number(option, words[0], example), _number(option, words[1], example)


def _number(option: str, word: str, example: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"{option}: got {word!r}; expected two numbers, such as {option} {example}") from None
