"""The commands that show: ``plot``, a figure, and ``view``, an interactive page."""

from __future__ import annotations

from collections.abc import Sequence
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
    _named,
    _report_written,
    app,
)
from geomrelu.cli.inputs import SliceOption
from geomrelu.cli.options import real_number, whole_number
from geomrelu.cli.terminal import print_json, shown_progress
from geomrelu.errors import DomainError, InputError

if TYPE_CHECKING:
    from geomrelu.domain import Domain
    from geomrelu.network import Network
    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.level_set import LevelSet

__all__ = ["plot", "view"]

LevelOption = Annotated[
    str | None,
    typer.Option(
        "--level", metavar="C", help="Of a model with three inputs: the surface where an output equals C [0]."
    ),
]
OutputOption = Annotated[str | None, typer.Option("--output", metavar="K", help="Of which output --level is [0].")]
ColorOption = Annotated[
    str,
    typer.Option(
        "--color",
        metavar="NAME",
        help="Fill by pattern, value, class, gradient or area; edges by crease; of a surface: pattern, "
        "gradient, area or plain.",
    ),
]


@app.command()
def plot(
    model: Model,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="Figure to write: .svg, .png or .pdf.")],
    box: BoxOption = None,
    low: LowOption = None,
    high: HighOption = None,
    polygon: PolygonOption = None,
    slice_file: SliceOption = None,
    color: ColorOption = "pattern",
    level: LevelOption = None,
    output: OutputOption = None,
    theme: Annotated[str, typer.Option("--theme", metavar="NAME", help="light or dark.")] = "light",
    dpi: Annotated[str, typer.Option("--dpi", metavar="N", help="Resolution of a .png, 10 to 2400.")] = "200",
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Draw the partition, every region filled, as a figure; of a model with three inputs, a level set.

    Examples:

    geomrelu plot model.npz -o regions.svg

    geomrelu plot model.pt2 -o classes.png --color class --box -2 2

    geomrelu plot shape.onnx -o surface.png --level 0 --color plain
    """
    from geomrelu.files import atomic_path
    from geomrelu.plot.style import COLOR_NAMES

    suffix = _checked_output(out, (".svg", ".png", ".pdf"), model)
    if theme not in ("light", "dark"):
        raise InputError(f"--theme: got {theme!r}; expected light or dark")
    resolution = whole_number("--dpi", dpi, 10, 2400)
    picture = _Picture(model, box, (low, high, polygon), slice_file, color, level, output)
    p, facts = picture.made((*COLOR_NAMES, "crease"), allow_joblib, normalise)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.add_subplot(projection="3d" if picture.is_surface else None)
    p.plot(axes, color=color, theme=theme)
    axes.set_title(_heading(model, p), color=axes.xaxis.label.get_color())
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=resolution, bbox_inches="tight")
    _report(out, p, facts, json)


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
    color: ColorOption = "pattern",
    level: LevelOption = None,
    output: OutputOption = None,
    json: JsonOption = False,
    allow_joblib: JoblibOption = False,
    normalise: NormaliseOption = False,
) -> None:
    """Write an interactive page: pan, zoom, search, every region's pattern and map. It needs no network.

    Of a model with three inputs it shows a level set, which turns.

    Examples:

    geomrelu view model.npz --open

    geomrelu view model.onnx -o page.html --box -2 2 --color class

    geomrelu view shape.onnx --level 0.1 --open
    """
    import webbrowser

    from geomrelu.page import COLOR_NAMES

    page = Path(f"{model.stem}.html") if out is None else out
    _checked_output(page, (".html", ".htm"), model)
    picture = _Picture(model, box, (low, high, polygon), slice_file, color, level, output)
    p, facts = picture.made(COLOR_NAMES, allow_joblib, normalise)
    p.to_html(page, title=_heading(model, p), color=color)
    _report(page, p, facts, json)
    if show and not webbrowser.open(page.resolve().as_uri()):
        typer.echo(f"found no browser; open {page} yourself", err=True)


class _Picture:
    """What is to be shown: a partition of the plane, or, of a model with three inputs, a level set."""

    def __init__(
        self,
        model: Path,
        box: tuple[str, str] | None,
        plane: tuple[Any, Any, Any],  # options that describe domains of the plane only
        slice_file: Path | None,
        color: str,
        level: str | None,
        output: str | None,
    ) -> None:
        self.model, self.color = model, color
        self.domain: Domain = _domain(box, *plane, slice_file)
        self.sliced = slice_file is not None
        self.flat = any(plane)
        self.surface = level is not None or output is not None
        self.level = 0.0 if level is None else real_number("--level", level)
        self.output = 0 if output is None else whole_number("--output", output, 0)
        self.is_surface = False

    def made(
        self, flat_colors: Sequence[str], allow_joblib: bool, normalise: bool
    ) -> tuple[PlanarComplex | LevelSet, dict[str, Any]]:
        """The partition or the level set, and facts for JSON."""
        from geomrelu.plot.space import SURFACE_COLOR_NAMES

        self._check_color({*flat_colors, *SURFACE_COLOR_NAMES}, (*flat_colors, "plain"))
        network, facts = _model(self.model, self.domain, allow_joblib, normalise, inputs=(2, 3))
        self.is_surface = not self.sliced and network.n_inputs == 3
        if self.is_surface:
            self._check_color(SURFACE_COLOR_NAMES, SURFACE_COLOR_NAMES)
            return self._level_set(network, facts)
        self._check_color(flat_colors, flat_colors)
        if self.surface:
            raise InputError(
                "--level and --output are for models with three inputs; of two, geomrelu boundary MODEL --level C "
                "writes level sets"
            )
        return _built(self.model, network, self.domain, Run()), facts

    def _check_color(self, known: Sequence[str] | set[str], named: Sequence[str]) -> None:
        if self.color not in known:
            raise InputError(f"--color: got {self.color!r}; expected one of {', '.join(named)}")

    def _level_set(self, network: Network, facts: dict[str, Any]) -> tuple[LevelSet, dict[str, Any]]:
        import geomrelu as gr
        from geomrelu.plot.space import check_not_empty

        if self.flat:
            raise DomainError(
                f"{self.model}: takes three inputs; --low, --high and --polygon are for the plane: give --box "
                "LOW HIGH, the cube [LOW, HIGH]^3"
            )
        if not self.output < network.n_outputs:
            raise InputError(
                f"--output: got {self.output}; the model has {network.n_outputs} output(s), numbered from 0"
            )
        low, _, high, _ = self.domain.bounds
        cube: Any = gr.Box([low] * 3, [high] * 3)
        with shown_progress() as progress, _named(self.model):
            p: Any = gr.partition(network, cube, progress=progress)
            surface: LevelSet = p.level_set(self.level, self.output)
        check_not_empty(surface, "--level")
        return surface, {**facts, "domain": [cube.low.tolist(), cube.high.tolist()]}


def _heading(model: Path, p: PlanarComplex | LevelSet) -> str:
    from geomrelu.polyhedral.level_set import LevelSet

    if not isinstance(p, LevelSet):
        return f"{model.name}: {p.n_regions:,} regions"
    name = "f" if p.partition.network.n_outputs == 1 else f"f{p.output}"
    return f"{model.name}: {name} = {p.value:g}, {p.n_polygons:,} polygons"


def _report(out: Path, p: PlanarComplex | LevelSet, facts: dict[str, Any], json: bool) -> None:
    from geomrelu.polyhedral.level_set import LevelSet

    if not isinstance(p, LevelSet):
        _report_written(out, p, facts, json)
    elif json:
        n = {"regions": p.partition.n_regions, "polygons": p.n_polygons, "area": p.area, "closed": p.is_closed}
        print_json({**facts, **n, "level": p.value, "output": p.output, "out": str(out)})
    else:
        typer.echo(f"wrote {out}: {p.n_polygons:,} polygons, in {p.partition.n_regions:,} regions")
