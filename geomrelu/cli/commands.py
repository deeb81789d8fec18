"""The commands."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from geomrelu._version import __version__
from geomrelu.cli.inputs import SliceOption, read_slice
from geomrelu.cli.options import whole_number, xy_pair
from geomrelu.cli.terminal import FAILED, Commands, print_json, print_table, shown_progress
from geomrelu.errors import DomainError, InputDimensionError, InputError, InvariantError, OutputPathError

if TYPE_CHECKING:
    from geomrelu.domain import Box, Domain, Polygon
    from geomrelu.network import Network
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["app", "main"]

app = typer.Typer(
    name="geomrelu",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The exact geometry of ReLU networks: linear regions, their polygons, patterns and affine maps.\n\n"
    "Examples:\n\ngeomrelu count model.npz --box -1 1\n\ngeomrelu plot model.pt2 -o regions.svg\n\n"
    "geomrelu xor --width 20 --out study",
    epilog="MODEL is a .npz file of W0, b0, W1, b1, ... (ReLU between), a torch.export .pt2 file, an .onnx "
    "or .nnet file, a state dict (.safetensors, .pt, .pth), or a scikit-learn MLP or pipeline (.skops; .joblib or "
    ".pkl with --allow-joblib). "
    "A state dict holds no activations: ReLU between Linear layers is assumed. "
    "Exit status: 0, 1 for a failed check, 2 for bad input.",
)

_LAST_SEED = 2**63 - 1
# Numbers of inputs of which the partition of a box is asked.
_SPACE = tuple(range(1, 13))
# Points of a grid to check against.
_SAMPLES = 101**2

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="Model file; see geomrelu --help for the formats. In a state dict ReLU is assumed."
    ),
]
BoxOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--box", metavar="LOW HIGH", help="The square, or cube, [LOW, HIGH]^inputs; without any domain, -1 1."
    ),
]
LowOption = Annotated[
    tuple[str, str] | None, typer.Option("--low", metavar="X Y", help="Lower left corner of a rectangle.")
]
HighOption = Annotated[
    tuple[str, str] | None, typer.Option("--high", metavar="X Y", help="Upper right corner of a rectangle.")
]
PolygonOption = Annotated[
    str | None, typer.Option("--polygon", metavar="'X,Y X,Y ...'", help="Corners of a convex polygon.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JoblibOption = Annotated[
    bool, typer.Option("--allow-joblib", help="Open .joblib and .pkl files. They run code: only for files you trust.")
]
NormaliseOption = Annotated[
    bool, typer.Option("--normalise", help="Of a .nnet file: take inputs and give outputs in their own units.")
]
JobsOption = Annotated[
    str | None, typer.Option("--jobs", metavar="N", help="Workers; -1 for all cores. The result does not depend on it.")
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FILE",
        help="A journal: finished parts are written to it, and an interrupted run goes on from it.",
    ),
]


def main() -> None:
    """Run the command line."""
    app(prog_name="geomrelu")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"geomrelu {__version__} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def count(
    model: Model,
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    definition: Annotated[
        str | None,
        typer.Option(
            "--definition",
            metavar="NAME",
            help="What to count as a linear region: activation, proper_activation, convex, open_connected, "
            "closed_connected, affine (Stargalla et al. 2025, Definitions 1 to 6), or all.",
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Keep no partition: memory does not grow with the number of regions."),
    ] = False,
    jobs: JobsOption = None,
    resume: ResumeOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Count regions, linear regions, affine pieces, vertices, edges and (of other than two inputs) facets.

    With --definition, linear regions in one or all of the six senses of the literature.
    With --stream, partitions too large for memory: of two inputs also by the definitions activation, open_connected
    and affine, and with --resume, runs that may be interrupted; of other numbers of inputs regions.

    Examples:

    geomrelu count model.npz --box -1 1

    geomrelu count model.pt2 --low 0 -1 --high 2 1 --json

    geomrelu count model.npz --definition all

    geomrelu count model.npz --stream --jobs 2 --resume count.journal
    """
    definitions = _definitions(definition)
    if definition == "all" and stream:
        raise InputError("--stream: convex and closed_connected need the whole partition; name another --definition")
    run = Run(_jobs(jobs), resume)
    network, domain, facts = _model_in_space(
        model, _domain(box, low, high, polygon, slice_file), bool(low or high or polygon), allow_joblib, normalise
    )
    if stream and domain.dimension != 2 and definitions not in ((), ("proper_activation",)):
        raise InputError(
            f"--stream: {model} takes {network.n_inputs} inputs; of other than two it counts regions, that is "
            "--definition proper_activation, only: leave --stream out"
        )
    counts: dict[str, Any]
    if stream:
        counts = _streamed(model, network, domain, run, definitions)
    elif definitions:
        p = _built(model, network, domain, run)
        counts = {name: p.count(name) for name in definitions}
    else:
        p = _built(model, network, domain, run)
        counts = {
            "regions": p.n_regions,
            "linear_regions": p.n_linear_regions,
            "affine_pieces": p.n_affine_pieces,
            "vertices": p.n_vertices,
            "edges": p.n_edges,
        }
        if domain.dimension != 2:
            counts["facets"] = p.n_facets
    if json:
        print_json({**facts, **{name: _count_fact(value) for name, value in counts.items()}})
    else:
        # Definitions are shown as they are asked for.
        shown = counts if definition else {name.replace("_", " "): value for name, value in counts.items()}
        print_table(f"{model}: {network!r} on {domain!r}", shown)


@app.command()
def check(
    model: Model,
    n: Annotated[
        str | None,
        typer.Option(
            "--n",
            metavar="N",
            help="Grid points along each axis, 2 to 20000 [101; outside the plane 10^4 in all].",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Prove it in integers too (slow if large); in the plane.")
    ] = False,
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Check the exact partition: its invariants, and every sample of a grid against it.

    Of a model with other than two inputs on the cube with the sides of --box. Exit status 1 if anything disagrees.

    Examples:

    geomrelu check model.npz

    geomrelu check model.pt2 --n 401 --json

    geomrelu check model.npz --exact
    """
    points = None if n is None else whole_number("--n", n, 2, 20_000)
    network, domain, facts = _model_in_space(
        model, _domain(box, low, high, polygon, slice_file), bool(low or high or polygon), allow_joblib, normalise
    )
    if exact and domain.dimension != 2:
        raise InputError(
            f"--exact: {model} takes {network.n_inputs} inputs; that proof is of the plane: leave --exact out"
        )
    p = _built(model, network, domain, _PLAIN)
    from geomrelu.crosscheck import crosscheck

    if points is None:
        points = max(2, min(20_000, round(_SAMPLES ** (1 / domain.dimension))))
    broken = None
    try:
        p.check()
        if exact:
            with shown_progress() as progress:
                p.check(level="exact", progress=progress)
    except InvariantError as error:
        broken = str(error)
    report = crosscheck(p, n=points)
    if json:
        print_json(
            {**facts, "ok": report.ok and broken is None, "invariants": broken or "ok", "crosscheck": report.to_dict()}
        )
    else:
        typer.echo(_title(model, p))
        typer.echo(f"invariants: {broken or 'ok'}")
        typer.echo(str(report))
    if broken is not None or not report.ok:
        raise typer.Exit(FAILED)


@app.command()
def partition(
    model: Model,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="File to write: .npz, .geojson or .parquet.")
    ],
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    jobs: JobsOption = None,
    resume: ResumeOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Write the partition: .npz (all of it; open with gr.load), .geojson or .parquet (regions with their maps).

    Of a model with other than two inputs: .npz, on the cube with the sides of --box.

    Examples:

    geomrelu partition model.npz -o regions.npz

    geomrelu partition model.safetensors -o regions.geojson --polygon "0,0 1,0 0,1"
    """
    suffix = _checked_output(out, (".npz", ".geojson", ".parquet"), model)
    network, domain, facts = _model_in_space(
        model, _domain(box, low, high, polygon, slice_file), bool(low or high or polygon), allow_joblib, normalise
    )
    if suffix != ".npz" and domain.dimension != 2:
        raise InputError(
            f"{model}: takes {network.n_inputs} inputs; {suffix} files are of the plane: write an .npz file, "
            f"such as -o {out.with_suffix('.npz')}"
        )
    p = _built(model, network, domain, Run(_jobs(jobs), resume))
    if suffix == ".npz":
        p.save(out)
    elif suffix == ".parquet":
        p.to_geoparquet(out)
    else:
        p.to_geojson(out)
    _report_written(out, p, facts, json)


@app.command()
def xor(
    width: Annotated[
        str | None, typer.Option("--width", metavar="W", help="Hidden neurons of both networks, 2 or more [20].")
    ] = None,
    seed_a: Annotated[
        str | None, typer.Option("--seed-a", metavar="A", help="Seed of the first network, 0 or more.")
    ] = None,
    seed_b: Annotated[
        str | None, typer.Option("--seed-b", metavar="B", help="Seed of the second network, 0 or more.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory for figures and report.")] = Path("xor"),
    all_widths: Annotated[
        bool, typer.Option("--all", help="Widths 2, 20 and 100, similar and dissimilar pairs, one report.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run the XOR study: two trained networks, their exact and sampled regions, and the regression between them.

    Examples:

    geomrelu xor --width 20 --out study

    geomrelu xor --width 100 --seed-a 1 --seed-b 4

    geomrelu xor --all --out all-widths
    """
    if all_widths and not (width is seed_a is seed_b is None):
        raise InputError("xor: --all runs widths 2, 20 and 100 with their own seeds; leave --width and seeds out")
    if (seed_a is None) != (seed_b is None):
        given, missing = ("--seed-a", "--seed-b") if seed_b is None else ("--seed-b", "--seed-a")
        raise InputError(f"xor: got {given} without {missing}; give both seeds, or neither for the default pairs")
    hidden = 20 if width is None else whole_number("--width", width, 2)
    seeds = [
        None if word is None else whole_number(option, word, 0, _LAST_SEED)
        for option, word in (("--seed-a", seed_a), ("--seed-b", seed_b))
    ]
    from geomrelu.experiments import xor as study

    with shown_progress() as progress:
        if all_widths:
            result = study.run_all(out, progress=progress)
        else:
            result = study.run_study(hidden, seed_a=seeds[0], seed_b=seeds[1], out=out, progress=progress)
    if json:
        print_json(result.to_dict())
        return
    typer.echo(result.table())
    typer.echo(f"report and figures: {out}")


# ---- shared


def _domain(
    box: tuple[str, str] | None,
    low: tuple[str, str] | None,
    high: tuple[str, str] | None,
    polygon: str | None,
    slice_file: Path | None = None,
) -> Domain:
    if slice_file is None:
        return _plane_domain(box, low, high, polygon)
    given = box or low or high or polygon
    return read_slice(slice_file, _plane_domain(box, low, high, polygon) if given else None)


def _plane_domain(
    box: tuple[str, str] | None, low: tuple[str, str] | None, high: tuple[str, str] | None, polygon: str | None
) -> Box | Polygon:
    from geomrelu.domain import Box, Polygon

    given = [name for name, value in (("--box", box), ("--low/--high", low or high), ("--polygon", polygon)) if value]
    if len(given) > 1:
        raise DomainError(f"domain: got {' and '.join(given)}; expected one of them")
    if polygon is not None:
        return Polygon(_corners(polygon))
    if low is not None or high is not None:
        if low is None or high is None:
            raise DomainError(
                f"domain: got {'--low' if high is None else '--high'} alone; expected both --low and --high"
            )
        return Box(xy_pair("--low", low, "-1 -2"), xy_pair("--high", high, "1 2"))
    return Box(*(xy_pair("--box", box, "-1 1") if box else (-1.0, 1.0)))


def _corners(text: str) -> list[tuple[float, float]]:
    corners = [_corner(word) for word in text.replace(";", " ").split()]
    if not corners:
        raise DomainError("--polygon: got no corners; expected at least three, such as '0,0 1,0 0,1'")
    return corners


def _corner(word: str) -> tuple[float, float]:
    try:
        x, y = word.split(",")
        return float(x), float(y)
    except ValueError:
        raise DomainError(f"--polygon: got {word!r}; expected corners such as '0,0 1,0 0,1'") from None


class Run(NamedTuple):
    """How a partition is run."""

    n_jobs: int | None = None
    resume: Path | None = None


_PLAIN = Run()


def _jobs(word: str | None) -> int | None:
    if word is None or word.strip() == "-1":
        return None if word is None else -1
    return whole_number("--jobs", word, 1)


def _model(
    model: Path,
    domain: Domain | None,
    allow_joblib: bool,
    normalise: bool = False,
    input_shape: tuple[int, ...] | None = None,
    inputs: tuple[int, ...] = (2,),
) -> tuple[Network, dict[str, Any]]:
    """The network, and facts about model and domain for JSON; a slice tells the shape of inputs.

    Without a slice a model must have one of these numbers of `inputs`.
    """
    from geomrelu.domain import Slice
    from geomrelu.importers.files import assumes_relu, read_model

    shape = domain.input_shape if isinstance(domain, Slice) else input_shape
    network = read_model(model, allow_joblib, normalise, shape)
    if domain is not None and shape is None and network.n_inputs not in inputs:
        few = " or ".join(map(str, inputs)) if len(inputs) < 3 else f"{inputs[0]} to {inputs[-1]}"
        raise InputDimensionError(
            f"{model}: takes {network.n_inputs} inputs, expected {few}; of a model with "
            "more, look at a plane through three inputs (--slice FILE), along the line between two (geomrelu segment "
            "MODEL --ends FILE), or of three inputs at a level set (geomrelu plot, geomrelu view)"
        )
    if network.n_neurons and assumes_relu(model):
        typer.echo(f"{model}: a state dict holds no activations; assuming ReLU between Linear layers", err=True)
    facts: dict[str, Any] = {"model": str(model), "network": _network_facts(network)}
    return network, facts if domain is None else {**facts, "domain": domain.vertices.tolist()}


def _model_in_space(
    model: Path, domain: Domain, flat: bool, allow_joblib: bool, normalise: bool
) -> tuple[Network, Any, dict[str, Any]]:  # fmt: skip
    """The network, its domain, which outside the plane is the cube with the square's sides, and facts for JSON.

    `flat` tells that the domain was given as one of the plane.
    """
    from geomrelu.domain import Box, Slice

    network, facts = _model(model, domain, allow_joblib, normalise, inputs=_SPACE)
    if network.n_inputs == 2 or isinstance(domain, Slice):
        return network, domain, facts
    d = network.n_inputs
    if flat:
        raise DomainError(
            f"{model}: takes {d} inputs; --low, --high and --polygon are for the plane: give --box LOW HIGH, the cube "
            f"[LOW, HIGH]^{d}"
        )
    low, _, high, _ = domain.bounds
    return network, Box([low] * d, [high] * d), {**facts, "domain": [[low] * d, [high] * d]}


def _built(model: Path, network: Network, domain: Any, run: Run) -> Any:
    import geomrelu as gr

    with shown_progress() as progress, _named(model):
        return gr.partition(network, domain, progress=progress, n_jobs=run.n_jobs, resume=run.resume)


def _streamed(
    model: Path, network: Network, domain: Domain, run: Run, definitions: tuple[str, ...]
) -> dict[str, int]:  # fmt: skip
    """Counts by the definitions, or without any the numbers of regions, and in the plane of vertices and edges."""
    import geomrelu as gr

    names = definitions or ("regions",)
    with shown_progress() as progress, _named(model):
        if domain.dimension != 2:
            counted = gr.count_regions(network, domain, progress=progress, n_jobs=run.n_jobs, resume=run.resume)
            return {names[0]: counted}
        found = gr.aggregate(network, domain, names, progress=progress, n_jobs=run.n_jobs, resume=run.resume)
    if definitions:
        return dict(found)
    # A network without neurons has no layers to report of.
    n = len(domain.vertices)
    last = found.report["layers"][-1] if found.report["layers"] else {"vertices": n, "edges": n}
    return {"regions": found["regions"], **{name: last[name] for name in ("vertices", "edges") if name in last}}


@contextmanager
def _named(model: Path) -> Iterator[None]:
    """Errors about the network's inputs name its file."""
    try:
        yield
    except InputDimensionError as error:
        raise InputDimensionError(f"{model}: {error}") from error


def _definitions(name: str | None) -> tuple[str, ...]:
    """The definitions to count by, none if there is no `name`: asked before the work starts."""
    from geomrelu.analysis.definitions import DEFINITIONS

    if name is None:
        return ()
    if name != "all" and name not in DEFINITIONS:
        raise InputError(f"--definition: got {name!r}; expected one of {', '.join(DEFINITIONS)}, or all")
    return tuple(DEFINITIONS) if name == "all" else (name,)


def _count_fact(value: Any) -> Any:
    """A count for JSON: a number, or its bounds by name."""
    return value if isinstance(value, int) else value._asdict()


def _network_facts(network: Network) -> dict[str, Any]:
    return {
        "inputs": network.n_inputs,
        "widths": list(network.widths),
        "outputs": network.n_outputs,
        "neurons": network.n_neurons,
    }


def _title(model: Path, p: Any) -> str:
    return f"{model}: {p.network!r} on {p.domain!r}"


def _checked_output(out: Path, suffixes: tuple[str, ...], model: Path) -> str:
    """The suffix, if a file of that kind can be written there: asked before the work starts."""
    from geomrelu.files import check_output_path

    suffix = out.suffix.lower()
    if suffix not in suffixes:
        raise OutputPathError(f"cannot write {out}: unknown suffix {suffix!r}; expected {' or '.join(suffixes)}")
    check_output_path(out)
    # Links and other spellings of the path too.
    if out.exists() and model.exists() and out.samefile(model):
        raise OutputPathError(
            f"cannot write {out}: it is the model file itself; choose another path, to keep the model"
        )
    return suffix


def _report_written(out: Path, p: PlanarComplex | PolyhedralComplex, facts: dict[str, Any], json: bool) -> None:
    if json:
        print_json({**facts, "regions": p.n_regions, "out": str(out)})
    else:
        typer.echo(f"wrote {out}: {p.n_regions:,} regions")
