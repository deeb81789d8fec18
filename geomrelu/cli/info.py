"""``geomrelu info``: what a model is, and that it was read right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geomrelu.cli.commands import (
    HighOption,
    JoblibOption,
    JsonOption,
    LowOption,
    Model,
    NormaliseOption,
    PolygonOption,
    _domain,
    app,
)
from geomrelu.cli.inputs import SliceOption
from geomrelu.cli.options import whole_number, xy_pair
from geomrelu.cli.terminal import FAILED, print_json, print_rows, print_table
from geomrelu.errors import InputError

if TYPE_CHECKING:
    from geomrelu.domain import Box, Polygon, Slice
    from geomrelu.importers.description import Description
    from geomrelu.importers.selfcheck import SelfCheck
    from geomrelu.network import Network

__all__ = ["info"]

# Rows of a table that are shown before and after a gap.
_HEAD, _TAIL = 16, 8


@app.command()
def info(
    model: Model,
    normalise: NormaliseOption = False,
    shape: Annotated[
        str | None,
        typer.Option("--input-shape", metavar="'N,N,...'", help="Shape of one input, if the model leaves it open."),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option("--points", metavar="FILE", help="A .npy file of inputs (N, inputs) to compare at too."),
    ] = None,
    box: Annotated[
        tuple[str, str] | None,
        typer.Option("--box", metavar="LOW HIGH", help="All inputs between two values; without any domain, -1 1."),
    ] = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    full: Annotated[bool, typer.Option("--full", help="Show long tables whole.")] = False,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
) -> None:
    """Show a model's layers and the network that is read from it, and compare the two.

    The network is evaluated at random inputs and at a domain's corners beside the model's own library: torch,
    scikit-learn, onnx's reference, and onnxruntime if it is installed. Exit status 1 if they differ by more
    than rounding.

    Examples:

    geomrelu info model.onnx

    geomrelu info ACASXU_run2a_1_1_batch_2000.nnet --normalise --json
    """
    from geomrelu.importers import as_network, self_check
    from geomrelu.importers.description import describe
    from geomrelu.importers.files import load_model, naming

    original = load_model(model, allow_joblib, normalise)
    given = None if points is None else _points(points)
    with naming(model):
        network = as_network(original, None if shape is None else _shape(shape))
        description = describe(original, network)
        check = self_check(original, network, given, _corner_domain(network, box, low, high, polygon, slice_file))
    if json:
        print_json({"model": str(model), **_facts(network, description), "check": check.to_dict()})
    else:
        _print(model, network, description, check, full)
    if not check.ok:
        raise typer.Exit(FAILED)


def _shape(text: str) -> tuple[int, ...]:
    return tuple(whole_number("--input-shape", word, 1) for word in text.replace(",", " ").split())


def _corner_domain(
    network: Network,
    box: tuple[str, str] | None,
    low: tuple[str, str] | None,
    high: tuple[str, str] | None,
    polygon: str | None,
    slice_file: Path | None,
) -> Box | Polygon | Slice | None:
    """The domain that the options name, if they do; a box by two numbers has as many dimensions as there are inputs."""
    from geomrelu.domain import Box

    if slice_file is None and not (box or low or high or polygon):
        return None
    if slice_file is None and box and not (low or high or polygon):
        ends = xy_pair("--box", box, "-1 1")
        return Box(*([end] * network.n_inputs for end in ends))
    return _domain(box, low, high, polygon, slice_file)


def _points(path: Path) -> Any:
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--points: cannot read {path} ({error}); expected a .npy file of numbers") from error


def _facts(network: Network, description: Description) -> dict[str, Any]:
    return {
        "kind": description.kind,
        "input_shape": list(network.input_shape),
        "inputs": network.n_inputs,
        "outputs": network.n_outputs,
        "neurons": network.n_neurons,
        "parameters": description.n_parameters,
        "steps": [{"name": step.where, "shape": list(step.shape)} for step in description.steps],
        "layers": [
            {"inputs": layer.n_inputs, "units": layer.n_units, "neurons": layer.n_neurons, "stored": stored}
            for layer, stored in zip(network.layers, _stored(network), strict=True)
        ],
    }


def _stored(network: Network) -> list[int]:
    from geomrelu.matrices import entries

    return [len(entries(layer.weight)) for layer in network.layers]


def _print(model: Path, network: Network, description: Description, check: SelfCheck, full: bool) -> None:
    from rich.markup import escape

    rows = {
        "inputs": f"{network.n_inputs:,}" + _as_shape(network.input_shape),
        "outputs": network.n_outputs,
        "neurons": network.n_neurons,
        "parameters": description.n_parameters,
    }
    print_table(f"{model}: {description.kind}", rows)
    if description.steps:
        # Names in a file may hold brackets, which would be taken for markup.
        steps = [(escape(step.where), " x ".join(map(str, step.shape)) or "1") for step in description.steps]
        print_rows("as the model has it, for one input:", ("step", "shape"), _shortened(steps, full))
    layers = [
        (f"{k}", f"{layer.n_inputs:,}", f"{layer.n_units:,}", f"{layer.n_neurons:,}", f"{stored:,}")
        for k, (layer, stored) in enumerate(zip(network.layers, _stored(network), strict=True))
    ]
    title = "as it is partitioned (units that are no neurons pass unchanged):"
    print_rows(title, ("layer", "inputs", "units", "neurons", "weights stored"), _shortened(layers, full))
    typer.echo(str(check))


def _as_shape(shape: tuple[int, ...]) -> str:
    return f" ({' x '.join(map(str, shape))})" if len(shape) > 1 else ""


def _shortened(rows: Sequence[tuple[str, ...]], full: bool) -> Sequence[tuple[str, ...]]:
    """The first and last rows of a long table, and how many are left out between."""
    hidden = len(rows) - _HEAD - _TAIL
    if full or hidden < 2:
        return rows
    gap = (f"... {hidden} more (--full shows them)", *("" for _ in rows[0][1:]))
    return [*rows[:_HEAD], gap, *rows[-_TAIL:]]
