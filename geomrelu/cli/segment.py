"""The command ``segment``: a model along the straight line between two inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geomrelu.cli.commands import JoblibOption, JsonOption, Model, NormaliseOption, _checked_output, _model, _named, app
from geomrelu.cli.inputs import read_segment
from geomrelu.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from geomrelu.linear.complex import LinearComplex

__all__ = ["segment"]


@app.command()
def segment(
    model: Model,
    ends: Annotated[
        Path,
        typer.Option(
            "--ends", metavar="FILE", help="The two inputs: .npz with the arrays a, b, or .npy with 2 inputs."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Draw the outputs along the segment: .svg, .png or .pdf."),
    ] = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """The exact pieces of the line between two inputs, of any dimension: (1 - t) a + t b for t from 0 to 1.

    Examples:

    geomrelu segment model.npz --ends digits.npy

    geomrelu segment model.npz --ends digits.npz -o outputs.svg --json
    """
    import geomrelu as gr

    suffix = None if out is None else _checked_output(out, (".svg", ".png", ".pdf"), model)
    line = read_segment(ends)
    network, facts = _model(model, None, allow_joblib, normalise, line.input_shape)
    with _named(model):
        p = gr.partition(network, line)
    if out is not None and suffix is not None:
        _draw(p, out, suffix)
    ranges = p.output_range().tolist()
    written = {} if out is None else {"out": str(out)}
    if json:
        print_json(
            {**facts, "regions": p.n_regions, "breakpoints": p.breakpoints.tolist(), "output_range": ranges, **written}
        )
        return
    shown: dict[str, Any] = {"pieces": p.n_regions, "slope at most (2-norm)": f"{p.lipschitz().constant:.6g}"}
    shown |= {f"output {k}": f"{low:.6g} to {high:.6g}" for k, (low, high) in enumerate(ranges)}
    print_table(f"{model}: {p.network!r} from a to b", shown)
    if out is not None:
        typer.echo(f"wrote {out}: {p.n_regions:,} pieces")


def _draw(p: LinearComplex, out: Path, suffix: str) -> None:
    from matplotlib.figure import Figure

    from geomrelu.files import atomic_path

    figure = Figure(figsize=(7.2, 4.4), dpi=200, layout="constrained")
    p.plot(figure.add_subplot()).set_title(f"{p.n_regions:,} pieces")
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=suffix[1:])
