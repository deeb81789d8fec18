"""Rows of calls that must be refused, and what their messages say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from geomrelu.errors import GeomReluError

# Name, call, error, parts of the message.
Misuse: TypeAlias = tuple[str, Callable[[], Any], type[GeomReluError], tuple[str, ...]]


def assert_raises(call: Callable[[], Any], error: type[GeomReluError], parts: tuple[str, ...]) -> str:
    """The message of the typed error that a call raises, which holds all the parts."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for part in parts:
        assert part in message
    return message
