"""The command line: ``geomrelu COMMAND``.

Commands: count, plot, view, check, partition, segment, explore, boundary, verify, stats, compare, info, xor.

Results go to stdout (with ``--json``: one JSON object), progress and errors to stderr.
Exit status: 0, 1 for a failed check, 2 for bad input, 130 when interrupted.
"""

# Each module adds its commands to the app.
from geomrelu.cli import answers as answers
from geomrelu.cli import explore as explore
from geomrelu.cli import info as info
from geomrelu.cli import measures as measures
from geomrelu.cli import segment as segment
from geomrelu.cli import view as view
from geomrelu.cli.commands import app, main

__all__ = ["app", "main"]
