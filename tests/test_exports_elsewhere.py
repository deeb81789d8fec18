"""Exports as other programs see them: an SVG in a browser, the dual graph through networkx and its files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.plot.style import region_colors
from tests.browser import chromium
from tests.networks_for_figures import random_network


@pytest.fixture(scope="module")
def p() -> Any:
    return gr.partition(random_network((12, 12), 2, seed=3), gr.Box(-1, 1))


def test_an_svg_opens_in_a_browser(p: Any, tmp_path: Path) -> None:
    from PIL import Image

    p.to_svg(tmp_path / "p.svg", width=600, edges=False)
    with chromium(width=900, height=900) as driver:
        driver.get((tmp_path / "p.svg").resolve().as_uri())
        assert driver.execute_script("return document.documentElement.tagName") == "svg"
        assert driver.execute_script("return document.querySelectorAll('path').length") == p.n_regions
        box = driver.execute_script(
            "const b = document.documentElement.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
        )
        shown = np.asarray(Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB"), dtype=float)
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    # Each large region has its own colour at its centroid.
    x0, y0, width, height = box
    colors = 255 * region_colors(p, "pattern", 0, None)[0]
    for region in np.argsort(-p.areas)[:20]:
        x, y = p.centroids[region]
        row, column = round(y0 + (1 - y) / 2 * height), round(x0 + (x + 1) / 2 * width)
        assert np.abs(shown[row, column] - colors[region]).max() < 3, region


def test_the_dual_graph_goes_through_networkx(p: Any, tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx", reason="networkx is not installed")
    graph = p.dual_graph("networkx")
    matrix = networkx.to_scipy_sparse_array(graph, nodelist=range(p.n_regions), weight=None)
    assert (matrix != p.dual_graph()).nnz == 0
    networkx.write_graphml(graph, tmp_path / "p.graphml")
    back = networkx.read_graphml(tmp_path / "p.graphml", node_type=int)
    assert set(back.nodes) == set(range(p.n_regions))
    pairs = {tuple(sorted(e[:2])): e[2]["neuron"] for e in back.edges(data=True)}
    assert pairs == {tuple(sorted(e[:2])): e[2]["neuron"] for e in graph.edges(data=True)}
    # A neuron that stands on an arc is on in one of the two regions and off in the other.
    bits = p.patterns.unpack()
    for (a, b), neuron in pairs.items():
        assert bits[a, neuron] != bits[b, neuron]
