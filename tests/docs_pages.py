"""The documentation's pages and what is in them: snippets with their outputs, links, commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.exists()]

# A python block, and the text block that follows it with nothing but blank lines between: what it prints.
_EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\s*^```text\n(?P<output>.*?)^```$)?", re.DOTALL | re.MULTILINE
)
_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Example(NamedTuple):
    """A snippet: the line on which its code begins, the code, and what it prints."""

    line: int
    code: str
    output: str


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    return [
        Example(text[: match.start("code")].count("\n") + 1, match["code"], match["output"] or "")
        for match in _EXAMPLE.finditer(text)
    ]


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures, outside code."""
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text(encoding="utf-8")))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


def commands(page: Path) -> list[str]:
    """Lines of shell blocks that call geomrelu, without their comments."""
    lines = [line for block in _SHELL.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("geomrelu ")]
