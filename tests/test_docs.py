"""The documentation says the truth: its Python examples are run and print what it says; what it links to exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from geomrelu.cli import app
from tests.docs_pages import PAGES, README, ROOT, commands, examples, links, name

# Runs pages' snippets one after the other, as a reader does, each page with names and a folder of its own, and reports
# what each printed, and where a page stopped. One process for all, because libraries take long to load.
RUNNER = """
import contextlib, io, json, os, sys, tempfile, traceback
results = {}
for page, snippets in json.load(sys.stdin).items():
    os.chdir(tempfile.mkdtemp(dir=sys.argv[1]))
    space, printed, error = {"__name__": "__main__"}, [], ""
    for line, code in snippets:
        try:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile("\\n" * (line - 1) + code, page, "exec"), space)
        except Exception:
            error = traceback.format_exc()
            break
        printed.append(out.getvalue())
    results[page] = printed, error
json.dump(results, sys.stdout)
"""

SHOWN = [page for page in PAGES if examples(page)]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Of each page the texts that its snippets print, and the error that stopped it."""
    return run_snippets(SHOWN, tmp_path_factory.mktemp("snippets"))


def run_snippets(pages: list[Path], folder: Path) -> dict[str, tuple[list[str], str]]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(folder)],
        input=json.dumps({name(page): [(example.line, example.code) for example in examples(page)] for page in pages}),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("page", SHOWN, ids=name)
def test_snippets_print_what_the_page_says(page, printed):
    texts, error = printed[name(page)]
    assert not error, error
    for example, text in zip(examples(page), texts, strict=True):
        assert text.splitlines() == example.output.splitlines(), f"{name(page)}, line {example.line}"


def test_the_first_example_has_ten_lines():
    assert sum(bool(line.strip()) for line in examples(README)[0].code.splitlines()) == 10


def test_readme_has_a_tested_example():
    assert any(example.output for example in examples(README))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_what_is_there(page):
    local = [target.split("#")[0] for target in links(page) if not re.match(r"[a-z]+:|#", target)]
    assert not [target for target in local if target and not (page.parent / target).exists()]


def test_readme_shows_a_picture():
    assert any(target.endswith((".png", ".svg")) for target in links(README))


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_and_their_options_exist(page):
    known = typer.main.get_command(app).commands
    for line in commands(page):
        command, *arguments = shlex.split(line)[1:]
        assert command in known, line
        options = {option for parameter in known[command].params for option in parameter.opts}
        given = {word.split("=")[0] for word in arguments if re.match(r"-{1,2}[a-z]", word)}
        assert given <= options, line


def test_readme_commands_are_make_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", README.read_text(encoding="utf-8")))
    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_contributing_names_files_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:geomrelu|tests|docs|examples)/[\w./-]+)`", text)
    assert len(named) > 15
    assert not [path for path in named if not (ROOT / path).exists()]
