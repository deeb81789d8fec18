"""Commands that answer questions about the outputs: ``boundary`` and ``verify``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    Run,
    _built,
    _checked_output,
    _domain,
    _model,
    _model_in_space,
    _named,
    _title,
    app,
)
from geomrelu.cli.inputs import SliceOption
from geomrelu.cli.options import real_number, whole_number
from geomrelu.cli.terminal import FAILED, print_json, print_table, shown_progress
from geomrelu.errors import InputError

if TYPE_CHECKING:
    from geomrelu.analysis.boundary import Boundary
    from geomrelu.analysis.properties import Verification
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["boundary", "verify"]


@app.command()
def boundary(
    model: Model,
    level: Annotated[
        str | None, typer.Option("--level", metavar="C", help="The level set where an output equals C, instead.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="K", help="Which output, with --level; 0 by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write the polylines: .geojson.")
    ] = None,
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Where the class changes, or with --level where an output has a value: exact pieces, length, areas of classes.

    Of a model with other than two inputs pieces are polytopes; of three, areas and volumes stand for lengths and areas.

    A model with one output has the classes 0, where it is negative, and 1.

    Examples:

    geomrelu boundary model.npz --box -1 1

    geomrelu boundary model.npz --level 0.5 --output 1 -o contour.geojson

    geomrelu boundary mnist.onnx --slice three_digits.npy
    """
    value = None if level is None else real_number("--level", level)
    if output is not None and level is None:
        raise InputError("--output: says of which output --level is; give both, or none for the decision boundary")
    which = 0 if output is None else whole_number("--output", output, 0)
    if out is not None:
        _checked_output(out, (".geojson",), model)
    network, domain, facts = _model_in_space(
        model, _domain(box, low, high, polygon, slice_file), bool(low or high or polygon), allow_joblib, normalise
    )
    if not which < network.n_outputs:
        raise InputError(f"--output: got {which}; the model has {network.n_outputs} output(s), numbered from 0")
    if domain.dimension != 2 and out is not None:
        raise InputError(f"{model}: takes {network.n_inputs} inputs; -o writes polylines of the plane: leave it out")
    p = _built(model, network, domain, Run())
    if domain.dimension != 2:
        _boundary_in_space(model, p, value, which, facts, json)
        return
    found = p.decision_boundary() if value is None else p.level_set(value, which)
    shown: dict[str, Any] = {
        "pieces": found.n_pieces, "polylines": found.n_polylines, "length": found.length,
        "regions with ties": len(set(found.tied[:, 0].tolist())), "isolated points": len(found.isolated),
    }  # fmt: skip
    areas = p.class_regions().areas.tolist() if value is None else None
    if out is not None:
        _write_lines(out, found)
    if json:
        facts |= {"regions": p.n_regions, **{name.replace(" ", "_"): number for name, number in shown.items()}}
        print_json(
            facts | ({} if areas is None else {"class_areas": areas}) | ({} if out is None else {"out": str(out)})
        )
        return
    for k, area in enumerate(areas or []):
        shown[f"area of class {k}"] = area
    print_table(_title(model, p), {name: v if isinstance(v, int) else f"{v:.6g}" for name, v in shown.items()})
    if out is not None:
        typer.echo(f"wrote {out}: {found.n_polylines:,} polylines")


def _boundary_in_space(
    model: Path, p: PolyhedralComplex, value: float | None, output: int, facts: dict[str, Any], json: bool
) -> None:  # fmt: skip
    """The answer of ``boundary`` outside the plane."""
    volumes = None
    if value is not None:
        surface = p.level_set(value, output)
        shown: dict[str, Any] = {"pieces": surface.n_polygons, "area": surface.area}
    else:
        found, classes = p.decision_boundary(), p.class_regions()
        try:
            measure: float | None = found.measure
        except InputError:
            # Of a degenerate network in more than 3 dimensions.
            measure = None
        name = "area" if p.dimension == 3 else "measure"
        shown = {"pieces": found.n_pieces, name: measure, "regions with ties": len(set(found.tied[:, 0].tolist()))}
        volumes = classes.volumes.tolist()
    if json:
        facts |= {"regions": p.n_regions, **{name.replace(" ", "_"): number for name, number in shown.items()}}
        print_json(facts | ({} if volumes is None else {"class_volumes": volumes}))
        return
    for k, volume in enumerate(volumes or []):
        shown[f"volume of class {k}"] = volume
    told = {name: v if isinstance(v, int) else "unknown" if v is None else f"{v:.6g}" for name, v in shown.items()}
    print_table(_title(model, p), told)


@app.command()
def verify(
    model: Model,
    property: Annotated[
        str | None,
        typer.Option(
            "--property", metavar="TEXT", help="Comparisons of outputs, such as 'y0 > y1 and y0 - 2*y2 <= 3'."
        ),
    ] = None,
    vnnlib: Annotated[
        Path | None, typer.Option("--vnnlib", metavar="FILE", help="A VNN-LIB file: boxes of inputs, unsafe outputs.")
    ] = None,
    inputs: Annotated[
        tuple[int, int] | None,
        typer.Option("--inputs", metavar="I J", help="With --vnnlib: vary these two, others at their middle."),
    ] = None,
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Prove a property of the outputs, or find a point that breaks it.

    Exit status 0 if it holds, 1 if it is violated.  With --inputs the answer is about that slice of
    the box, and not about the whole box.

    Examples:

    geomrelu verify model.npz --property "y0 > y1" --box -1 1

    geomrelu verify model.npz --vnnlib property.vnnlib --inputs 0 1 --json
    """
    if (property is None) == (vnnlib is None):
        raise InputError("verify: expected one of --property 'y0 > y1' and --vnnlib FILE")
    from geomrelu.analysis.expressions import linear_constraints

    if property is not None:
        if inputs is not None:
            raise InputError("--inputs: chooses a slice of a VNN-LIB file's box; give --vnnlib, too")
        network, domain, facts = _model_in_space(
            model, _domain(box, low, high, polygon, slice_file), bool(low or high or polygon), allow_joblib, normalise
        )
        # What does not parse is told before the work starts.
        linear_constraints(property, network.n_outputs)
        p = _built(model, network, domain, Run())
        found = p.verify(property)
        facts |= {"property": property, "regions": p.n_regions}
        title = _title(model, p)
    else:
        assert vnnlib is not None
        if box or low or high or polygon or slice_file:
            raise InputError(
                "--vnnlib: the file holds the domain; leave --box, --low, --high, --polygon and --slice out"
            )
        found, facts = _on_planes(model, vnnlib, inputs, allow_joblib, normalise)
        title = f"{model}: {vnnlib}"
    if json:
        print_json({**facts, **_verification_facts(found)})
    else:
        print_table(title, _told(found))
    if not found:
        raise typer.Exit(FAILED)


def _on_planes(
    model: Path, vnnlib: Path, inputs: tuple[int, int] | None, allow_joblib: bool, normalise: bool
) -> tuple[Verification, dict[str, Any]]:
    """The first violation on the planes of a VNN-LIB file, or the last proof."""
    import geomrelu as gr
    from geomrelu.analysis.properties import verify_unsafe
    from geomrelu.analysis.vnnlib import read_vnnlib, regions_of_interest

    read = read_vnnlib(vnnlib)
    planes = regions_of_interest(read, inputs)
    network, facts = _model(model, None, allow_joblib, normalise)
    sizes = {"inputs": (read.n_inputs, network.n_inputs), "outputs": (read.n_outputs, network.n_outputs)}
    for kind, (wanted, own) in sizes.items():
        if wanted != own:
            raise InputError(f"{vnnlib}: is about {wanted} {kind}, and {model} has {own}; expected as many")
    regions = 0
    for domain, unsafe in planes:
        with shown_progress() as progress, _named(model):
            p = gr.partition(network, domain, progress=progress)
        regions += p.n_regions
        found = verify_unsafe(p, unsafe)
        if not found:
            break
    return found, {**facts, "vnnlib": str(vnnlib), "planes": len(planes), "regions": regions}


def _verification_facts(found: Verification) -> dict[str, Any]:
    exact = found.exact_witness
    return {
        "holds": found.holds,
        "violated": found.violated or None,
        "margins": found.margins.tolist(),
        "witness": None if found.witness is None else found.witness.tolist(),
        "input": None if found.input is None else found.input.ravel().tolist(),
        "outputs": None if found.outputs is None else found.outputs.tolist(),
        "exact_witness": None if exact is None else [str(x) for x in exact],
    }


def _told(found: Verification) -> dict[str, Any]:
    """What a person wants to read."""
    rows: dict[str, Any] = {"answer": "holds" if found else "violated"}
    if not found:
        rows["broken"] = found.violated
        if found.input is None or found.outputs is None:
            at = ", ".join(repr(float(x)) for x in found.exact_witness or ())
            rows["where"] = f"near ({at}); no float64 point shows it"
        else:
            rows["input"] = ", ".join(map(repr, found.input.ravel().tolist()))
            rows["outputs"] = ", ".join(map(repr, found.outputs.tolist()))
    for k, margin in enumerate(found.margins.tolist()):
        rows[f"largest excess of constraint {k}"] = f"{margin:.6g}"
    return rows


def _write_lines(out: Path, found: Boundary) -> None:
    """The polylines as GeoJSON, with the classes on their left and right."""
    from geomrelu.files import atomic_path

    features = []
    pair = {
        tuple(sorted(ends)): classes for ends, classes in zip(found.ends.tolist(), found.classes.tolist(), strict=True)
    }
    for k in range(found.n_polylines):
        path = found.polyline_nodes[found.polyline_offsets[k] : found.polyline_offsets[k + 1]]
        classes = pair[tuple(sorted(path[:2].tolist()))]
        geometry = {"type": "LineString", "coordinates": found.nodes[path].tolist()}
        features.append({"type": "Feature", "properties": {"classes": classes}, "geometry": geometry})
    with atomic_path(out) as temporary:
        content = json_module.dumps({"type": "FeatureCollection", "features": features})
        temporary.write_text(content + "\n", encoding="utf-8")
