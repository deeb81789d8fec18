"""How a partition shows itself in a notebook: a table of facts and a small picture."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from geomrelu.plot.partition import plot_partition

if TYPE_CHECKING:
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["notebook_html"]

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
    rows = "".join(
        f'<tr><th style="text-align: left">{name}</th><td>{html.escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    picture = f"<p>(no picture of more than {_MOST_REGIONS:,} regions here; p.plot() draws them)</p>"
    if p.n_regions <= _MOST_REGIONS:
        data = base64.b64encode(_picture(p)).decode("ascii")
        picture = f'<img src="data:image/png;base64,{data}" alt="{p.n_regions:,} regions" style="max-width: 22rem">'
    return f'<div style="display: flex; flex-wrap: wrap; gap: 1rem"><table>{rows}</table>{picture}</div>'


def _picture(p: PlanarComplex) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 3.4), dpi=110, layout="constrained")
    plot_partition(p, figure.add_subplot())
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
