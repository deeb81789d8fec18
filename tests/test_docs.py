"""The README says the truth: its Python examples are run and print what it says; what it links to exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
# A python block, and the text block that follows it with nothing but blank lines between: what it prints.
EXAMPLE = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\s*^```text\n(?P<output>.*?)^```$)?", re.DOTALL | re.MULTILINE)


def examples():
    text = README.read_text(encoding="utf-8")
    for match in EXAMPLE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        yield pytest.param(match["code"], match["output"], id=f"line {line}")


@pytest.mark.parametrize(("code", "output"), examples())
def test_readme_example(code, output, tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == (output or "").splitlines()


def test_the_first_example_has_ten_lines():
    code = next(EXAMPLE.finditer(README.read_text(encoding="utf-8")))["code"]
    assert sum(bool(line.strip()) for line in code.splitlines()) == 10


def test_readme_has_a_tested_example():
    assert any(parameters.values[1] for parameters in examples())


def test_readme_links_to_what_is_there():
    text = re.sub(r"^```.*?^```", "", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    local = [t.split("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]
    missing = [t for t in local if t and not (ROOT / t).exists()]
    assert not missing
    assert any(t.endswith((".png", ".svg")) for t in local), "the README shows no picture"


def test_readme_commands_are_make_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", README.read_text(encoding="utf-8")))
    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)
