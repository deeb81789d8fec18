"""How a partition shows itself in a notebook: a table of facts and a small picture."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from geomrelu.plot.partition import plot_partition
from geomrelu.plot.space import plot_polyhedral

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomrelu.planar.complex import PlanarComplex
    from geomrelu.polyhedral.complex import PolyhedralComplex

__all__ = ["notebook_html", "polyhedral_html"]

# A picture of more regions takes longer than one waits for a cell's value.
_MOST_REGIONS = 60_000


def notebook_html(p: PlanarComplex) -> str:
    """A partition as HTML for notebooks: what it is of, counts, and a picture of its regions (up to 60,000).

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
    >>> "<td>3</td>" in notebook_html(p)
    True
    """
    facts = {
        "network": repr(p.network),
        "domain": repr(p.domain),
        "regions": f"{p.n_regions:,}",
        "vertices": f"{p.n_vertices:,}",
        "edges": f"{p.n_edges:,}",
        "largest area": f"{p.areas.max():.4g}",
        "smallest area": f"{p.areas.min():.4g}",
        "generic": "yes" if p.report.get("generic") else "no",
    }
    if p.n_regions > _MOST_REGIONS:
        return _shown(facts, None, f"(no picture of more than {_MOST_REGIONS:,} regions here; p.plot() draws them)")
    return _shown(facts, _picture(lambda figure: plot_partition(p, figure.add_subplot())), f"{p.n_regions:,} regions")


def polyhedral_html(p: PolyhedralComplex) -> str:
    """A partition in d dimensions as HTML for notebooks: what it is of, counts, and of three inputs a picture.

    Examples
    --------
    >>> import geomrelu as gr
    >>> p = gr.partition(gr.Network([[[1.0] * 3], [[1.0]]]), gr.Box([-1] * 3, [1] * 3))
    >>> "<td>2</td>" in polyhedral_html(p), "<img" in polyhedral_html(p)
    (True, True)
    """
    facts = {
        "network": repr(p.network),
        "domain": repr(p.domain),
        "regions": f"{p.n_regions:,}",
        "vertices": f"{p.n_vertices:,}",
        "edges": f"{p.n_edges:,}",
        "partial": "yes" if p.report.get("partial") else "no",
    }
    if p.dimension != 3:
        return _shown(facts, None, "(pictures are of three inputs)")
    if p.n_regions > _MOST_REGIONS:
        return _shown(facts, None, f"(no picture of more than {_MOST_REGIONS:,} regions here; p.plot() draws them)")
    drawn = _picture(lambda figure: plot_polyhedral(p, figure.add_subplot(projection="3d")))
    return _shown(facts, drawn, f"{p.n_regions:,} regions")


def _shown(facts: dict[str, str], picture: bytes | None, said: str) -> str:
    """A table of facts beside a picture, or what is said in its place."""
    rows = "".join(
        f'<tr><th style="text-align: left">{name}</th><td>{html.escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    shown = f"<p>{said}</p>"
    if picture is not None:
        data = base64.b64encode(picture).decode("ascii")
        shown = f'<img src="data:image/png;base64,{data}" alt="{said}" style="max-width: 22rem">'
    return f'<div style="display: flex; flex-wrap: wrap; gap: 1rem"><table>{rows}</table>{shown}</div>'


def _picture(draw: Callable[[Figure], object]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 3.4), dpi=110, layout="constrained")
    draw(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
