"""What the ``geomrelu`` command runs first: light, so that an interrupt while the package is imported is caught too."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C ends it with one line and exit status 130."""
    try:
        from geomrelu.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
