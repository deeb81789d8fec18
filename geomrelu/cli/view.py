"""The command ``view``: a partition as an interactive page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geomrelu.cli.commands import (
    BoxOption,
    HighOption,
    JoblibOption,
    JsonOption,
    LowOption,
    Model,
    NormaliseOption,
    PolygonOption,
    _checked_output,
    _domain,
    _partition,
    _report_written,
    app,
)
from geomrelu.cli.inputs import SliceOption
from geomrelu.errors import InputError

__all__ = ["view"]


@app.command()
def view(
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Page to write, .html; by default MODEL's name with .html."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    color: Annotated[
        str, typer.Option("--color", help="To begin with: pattern, value, class, gradient or area.")
    ] = "pattern",
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Write an interactive page: pan, zoom, search, every region's pattern and map. It needs no network.

    Examples:

    geomrelu view model.npz --open

    geomrelu view model.onnx -o page.html --box -2 2 --color class
    """
    import webbrowser

    from geomrelu.page import COLOR_NAMES

    page = Path(f"{model.stem}.html") if out is None else out
    _checked_output(page, (".html", ".htm"), model)
    if color not in COLOR_NAMES:
        raise InputError(f"--color: got {color!r}; expected one of {', '.join(COLOR_NAMES)}")
    p, facts = _partition(model, _domain(box, low, high, polygon, slice_file), allow_joblib, normalise=normalise)
    p.to_html(page, title=f"{model.name}: {p.n_regions:,} regions", color=color)
    _report_written(page, p, facts, json)
    if show and not webbrowser.open(page.resolve().as_uri()):
        typer.echo(f"found no browser; open {page} yourself", err=True)
