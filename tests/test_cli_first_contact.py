"""Someone who meets the command line first: every help page has examples that are right, and a slip is answered."""

from __future__ import annotations

import re
import shlex

import pytest
import typer.main
from typer.testing import CliRunner

from geomrelu.cli import app

GROUP = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)  # type: ignore[attr-defined]
PAGES = [[], *([command] for command in COMMANDS)]


def run(*arguments: str) -> tuple[int, str]:
    # Wide, so that no example is wrapped.
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"}, terminal_width=200)
    return result.exit_code, result.output


def examples(text: str) -> list[list[str]]:
    """Command lines among a help page's examples, without the program's name."""
    return [shlex.split(line)[1:] for line in text.splitlines() if re.match(r"\s+geomrelu [a-z]", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: " ".join(page) or "geomrelu")
def test_help_has_an_example_that_is_right(page: list[str]) -> None:
    status, text = run(*page, "--help")
    assert status == 0
    found = examples(text)
    assert found, "no example"
    for command, *arguments in found:
        assert not page or command == page[0]
        parameters = GROUP.commands[command].params  # type: ignore[attr-defined]
        options = {option for parameter in parameters for option in parameter.opts}
        given = {word for word in arguments if re.match(r"-{1,2}[a-z]", word)}
        assert given <= options, f"{command}: {given - options}"


def slip(word: str) -> str:
    """The word with its second and third letters swapped."""
    return word[0] + word[2] + word[1] + word[3:]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_command_suggests_the_nearest(command: str) -> None:
    status, text = run(slip(command))
    assert status == 2
    assert re.search(rf"Did you mean[^\n]*'{command}'", text), text


def test_an_unknown_option_suggests_the_nearest() -> None:
    status, text = run("count", "model.npz", "--jbos", "2")
    assert status == 2
    assert "--jobs" in text


def test_a_word_like_no_command_is_refused_plainly() -> None:
    status, text = run("quaternion")
    assert status == 2
    assert "No such command 'quaternion'" in text
    assert "Did you mean" not in text
