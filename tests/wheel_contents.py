"""What a built wheel must hold: python tests/wheel_contents.py WHEEL."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(wheel: str) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "geomrelu"
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"geomrelu_command.py"}
    assert "geomrelu/py.typed" in wanted
    missing, foreign = wanted - held, {name for name in held if name.startswith(("tests/", "examples/"))}
    if missing or foreign:
        sys.exit(f"wheel: missing {sorted(missing)}, should not hold {sorted(foreign)}")
    print(f"{wheel}: {len(wanted)} files, none missing")


if __name__ == "__main__":
    main(sys.argv[1])
