"""Commands that measure partitions: ``geomrelu stats MODEL`` and ``geomrelu compare A B``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
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
    _domain,
    _model_in_space,
    _named,
    app,
)
from geomrelu.cli.inputs import SliceOption
from geomrelu.cli.terminal import print_json, print_rows, print_table, shown_progress
from geomrelu.errors import InputDimensionError, InputError

if TYPE_CHECKING:
    from geomrelu.analysis.comparison import Comparison
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["compare", "stats"]

_COLUMNS = ("area", "perimeter", "sides", "inradius", "eccentricity", "volume", "vertices", "facets", "active")
_DIRECTIONS = ("a->b", "b->a")


@app.command()
def stats(
    model: Model,
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Measure the regions and the function: sizes and shapes, Lipschitz constants, averages, creases (in the plane).

    Examples:

    geomrelu stats model.npz --box -1 1

    geomrelu stats model.pt2 --json
    """
    network, domain, facts = _model_in_space(
        model, _domain(box, low, high, polygon, slice_file), bool(low or high or polygon), allow_joblib, normalise
    )
    from geomrelu.analysis.table import region_columns

    p = _built(model, network, domain, Run())
    columns = region_columns(p)
    shapes = _shapes(columns)
    function = {"on_border": int(columns["on_border"].sum()), **_function(p)}
    if json:
        print_json({**facts, "regions": p.n_regions, "shapes": shapes, **function})
        return
    header = ("", "smallest", "median", "mean", "largest")
    rows = [(name, *(f"{v:.6g}" for v in row.values())) for name, row in shapes.items()]
    print_rows(f"{model}: {p!r}", header, rows)
    lines: dict[str, Any] = {"regions on the domain's border": function["on_border"]}
    for norm, found in function["lipschitz"].items():
        lines[f"Lipschitz constant, {norm}-norm"] = f"{found['constant']:.6g} in region {found['region']}"
    for k, (mean, variance) in enumerate(zip(function["mean"], function["variance"], strict=True)):
        lines[f"mean and variance of output {k}"] = f"{mean:.6g}, {variance:.6g}"
    if "creases" in function:
        lines["creases"] = function["creases"]["edges"]
        lines["their length"] = f"{function['creases']['length']:.6g}"
        lines["total variation of the gradient"] = f"{function['creases']['total']:.6g}"
    print_table("", lines)


def _shapes(columns: dict[str, Any]) -> dict[str, dict[str, float]]:
    measures = (("smallest", np.min), ("median", np.median), ("mean", np.mean), ("largest", np.max))
    return {
        name: {key: float(measure(columns[name])) for key, measure in measures} for name in _COLUMNS if name in columns
    }


def _function(p: PlanarComplex | PolyhedralComplex) -> dict[str, Any]:
    from geomrelu.polyhedral.complex import PolyhedralComplex

    constants = {name: p.lipschitz(order) for name, order in (("1", 1), ("2", 2), ("inf", float("inf")))}
    found = {
        "lipschitz": {name: {"constant": v.constant, "region": v.region} for name, v in constants.items()},
        "integral": p.integral().tolist(),
        "mean": p.mean().tolist(),
        "variance": p.variance().tolist(),
    }
    if not isinstance(p, PolyhedralComplex):
        creases = p.crease()
        found["creases"] = {"edges": creases.n_creases, "length": creases.length, "total": creases.total}
    return found


@app.command()
def compare(
    model_a: Annotated[Path, typer.Argument(metavar="A", help="Model file, as for the other commands.")],
    model_b: Annotated[Path, typer.Argument(metavar="B", help="Model file with as many inputs and outputs.")],
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Compare two networks: equal or not, exactly; largest difference, distances, where classes differ, regression.

    Examples:

    geomrelu compare before.npz after.npz

    geomrelu compare a.pt2 b.npz --box -2 2 --json
    """
    import geomrelu as gr

    plane, flat = _domain(box, low, high, polygon, slice_file), bool(low or high or polygon)
    (a, domain, facts_a), (b, _, facts_b) = (
        _model_in_space(path, plane, flat, allow_joblib, normalise) for path in (model_a, model_b)
    )
    if a.n_inputs != b.n_inputs:
        raise InputDimensionError(
            f"{model_b}: takes {b.n_inputs} inputs, and {model_a} takes {a.n_inputs}; expected as many"
        )
    with shown_progress() as progress, _named(model_a):
        found = gr.compare(a, b, domain, progress=progress)
    scores = _scores(found)
    if json:
        both = {key: [facts_a[key], facts_b[key]] for key in ("model", "network")}
        print_json({**both, "domain": facts_a["domain"], **_facts(found), "regression": scores})
        return
    size = "area" if domain.dimension == 2 else "volume"
    rows: dict[str, Any] = {
        "equal": "yes, exactly" if found.equal else "no",
        "largest difference": f"{found.largest:.6g} in output {found.output} at {found.witness.tolist()}",
        "L1 distance": ", ".join(f"{v:.6g}" for v in found.l1),
        "L2 distance": ", ".join(f"{v:.6g}" for v in found.l2),
        f"{size} where classes differ": f"{found.class_area:.6g} ({found.class_area / found.area:.4%})",
        "regions of A": found.n_regions[0],
        "regions of B": found.n_regions[1],
        "cells of the common refinement": found.n_refinement,
    }
    for direction, values in scores.items():
        shown = ", ".join("-" if v is None else f"{v:.6f}" for v in values)
        rows[f"maps {direction.upper()}, R^2 of the regression"] = shown
    print_table(f"A {model_a}: {a!r}\nB {model_b}: {b!r}\non {domain!r}", rows)


def _facts(found: Comparison) -> dict[str, Any]:
    return {
        "equal": found.equal,
        "largest": found.largest,
        "witness": found.witness.tolist(),
        "output": found.output,
        "l1": found.l1.tolist(),
        "l2": found.l2.tolist(),
        "class_area": found.class_area,
        "area": found.area,
        "regions": list(found.n_regions),
        "refinement_cells": found.n_refinement,
    }


def _scores(found: Comparison) -> dict[str, list[float | None]]:
    """R^2 of the regression of maps for each output, by direction."""
    return {way: [_score(found, way, k) for k in range(len(found.l1))] for way in _DIRECTIONS}


def _score(found: Comparison, direction: str, output: int) -> float | None:
    """R^2; None of a single cell, which has no spread."""
    try:
        return found.regression(direction, output).score
    except InputError:
        return None
