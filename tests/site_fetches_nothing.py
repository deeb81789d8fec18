"""Exit with status 1 if a built site fetches anything from elsewhere: site_fetches_nothing.py build/site."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path


class Fetches(HTMLParser):
    """Collects what a browser would fetch while it shows a page: not links, which a reader follows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev"):
            return
        targets = [values.get("src", ""), values.get("srcset", ""), values.get("href", "") if tag == "link" else ""]
        self.found += [target for target in targets if re.match(r"\s*(https?:)?//", target)]


def fetched(site: Path) -> list[str]:
    found = []
    for page in site.rglob("*.html"):
        parser = Fetches()
        parser.feed(page.read_text(encoding="utf-8"))
        found += [f"{page.relative_to(site)}: {target}" for target in parser.found]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        found += [f"{sheet.relative_to(site)}: {url}" for url in re.findall(r"url\([\"']?((?:https?:)?//[^)]*)", text)]
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if not (folder / "index.html").exists():
        raise SystemExit(f"no site at {folder}")
    found = fetched(folder)
    if found:
        raise SystemExit("the site fetches from elsewhere:\n" + "\n".join(found))
