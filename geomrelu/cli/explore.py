"""The command ``explore``: the regions around one input of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geomrelu.cli.commands import JoblibOption, JsonOption, Model, NormaliseOption, _model, _named, app
from geomrelu.cli.inputs import read_point
from geomrelu.cli.options import whole_number
from geomrelu.cli.terminal import print_json, print_table, shown_progress
from geomrelu.errors import InputError

__all__ = ["explore"]


@app.command()
def explore(
    model: Model,
    at: Annotated[Path, typer.Option("--at", metavar="FILE", help="The input: .npy, of the model's shape or flat.")],
    max_regions: Annotated[str, typer.Option(metavar="N", help="Stop before there would be more regions.")] = "1000",
    max_radius: Annotated[str | None, typer.Option(metavar="R", help="Stop at this distance from the input.")] = None,
    norm: Annotated[str, typer.Option(metavar="1|2|inf", help="In which distances are measured.")] = "2",
    facets: Annotated[bool, typer.Option("--facets", help="Find all facets of the input's region, too.")] = False,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """The regions around an input, in order of distance; the nearest border and the nearest decision boundary.

    Ctrl-C ends the search with what was found so far.

    Examples:

    geomrelu explore model.onnx --at digit.npy --max-regions 300

    geomrelu explore model.npz --at point.npy --max-radius 0.5 --norm inf --json
    """
    import geomrelu as gr

    most, radius = whole_number("--max-regions", max_regions, 1), _radius(max_radius)
    point = read_point(at)
    network, facts = _model(model, None, allow_joblib, normalise, point.shape)
    with _named(model), shown_progress() as progress:
        found = gr.explore(network, point, max_regions=most, max_radius=radius, norm=norm, progress=progress)
    own = found.facets() if facets else None
    if json:
        print_json({**facts, **_as_json(found), **({} if own is None else {"facets": own.neuron.tolist()})})
        return
    shown: dict[str, Any] = {
        "regions": found.n_regions,
        "all regions nearer than": f"{found.radius:.6g}",
        "nearest border": _place(found.border, found.report["border"]),
        "nearest decision boundary": _place(found.boundary, found.report["boundary"]),
        "stopped by": found.report["stopped"],
    }
    if own is not None:
        shown["facets of the input's region"] = len(own.neuron)
    print_table(f"{model}: {network!r}, norm {norm}", shown)


def _radius(word: str | None) -> float | None:
    if word is None:
        return None
    try:
        return float(word)
    except ValueError:
        raise InputError(f"--max-radius: got {word!r}; expected a number above 0, such as --max-radius 0.5") from None


def _place(found: Any, absent: str) -> str:
    if found is None:
        return absent
    what = f"neuron {found.neuron}" if hasattr(found, "neuron") else "outputs {} and {}".format(*found.classes)
    return f"{found.distance:.9g} ({what})"


def _as_json(found: Any) -> dict[str, Any]:
    """What there is to say of an exploration."""

    def place(nearest: Any) -> Any:
        return (
            None
            if nearest is None
            else {k: getattr(v, "tolist", lambda v=v: v)() for k, v in nearest._asdict().items()}
        )

    return {
        "regions": found.n_regions, "radius": found.radius, "distances": found.distances.tolist(),
        "border": place(found.border), "boundary": place(found.boundary), "report": found.report,
    }  # fmt: skip
