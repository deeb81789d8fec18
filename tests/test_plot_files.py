"""Figures' files, opened: their background, and the colours of known regions and edges at known pixels."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

import geomrelu as gr
from geomrelu import palette
from geomrelu.errors import InputError
from geomrelu.plot import plot_partition, plot_surface
from tests.networks_for_figures import TENT, random_network

COLORS = ("pattern", "value", "class", "gradient", "area", "crease")


@pytest.fixture(scope="module")
def tent() -> Any:
    return gr.partition(TENT, gr.Box(-1, 1))


@pytest.fixture(scope="module")
def some() -> Any:
    return gr.partition(random_network((12, 12), 3, seed=3), gr.Box(-1, 1))


def picture(ax: Any) -> Any:
    """The figure's PNG, opened, (H, W, 3) in [0, 1]."""
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB")) / 255


def pixels(ax: Any, points: Any) -> Any:
    """What the file shows at points of the domain, (N, 3)."""
    shown = picture(ax)
    at = np.rint(ax.transData.transform(points)).astype(int)
    return shown[len(shown) - 1 - at[:, 1], at[:, 0]]


def gradients(p: Any) -> Any:
    """Gradients (F, out, 2) from the forward pass at three points around each centroid, within the region."""
    found = []
    for f in range(p.n_regions):
        ring = p.vertices[p.ring(f)]
        inner = p.centroids[f] + 0.5 * (ring - p.centroids[f])
        values = p.network(inner)
        ones = np.column_stack([inner, np.ones(len(inner))])
        found.append(np.linalg.lstsq(ones, values, rcond=None)[0][:2].T)
    return np.array(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("color", COLORS)
def test_the_file_shows_regions_in_their_colors_on_the_themes_paper(some: Any, color: str, theme: str) -> None:
    ax = plot_partition(some, color=color, theme=theme, edges=False, boundary=False)
    shown = picture(ax)
    paper = to_rgba({"light": "#ffffff", "dark": "#15181d"}[theme])[:3]
    np.testing.assert_allclose(shown[:3, :3], np.broadcast_to(paper, (3, 3, 3)), atol=2 / 255)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
    faces = ax.collections[0]
    assert len(faces.get_paths()) == some.n_regions
    large = np.argsort(-some.areas)[:12]
    if color == "class":
        # Those that are of one class all over, by their corners' outputs.
        classes = some.network(some.vertices).argmax(axis=1)
        large = [f for f in large if len(set(classes[some.ring(f)])) == 1]
        base = palette.class_colors(classes[[some.ring(f)[0] for f in large]])
        expected = palette.darkened(base) if theme == "dark" else base
    else:
        colors = np.atleast_2d(faces.get_facecolors())[:, :3]
        expected = colors[0] if color == "crease" else colors[large]
    if color == "crease":  # lines may run near a centroid
        close = np.abs(pixels(ax, some.centroids[large]) - expected).max(axis=1) < 3 / 255
        assert close.mean() > 0.8
    else:
        np.testing.assert_allclose(
            pixels(ax, some.centroids[large]), np.broadcast_to(expected, (len(large), 3)), atol=3 / 255
        )


def test_value_and_area_bars_span_the_numbers(some: Any) -> None:
    for color, numbers in (("value", some.network(some.centroids)[:, 0]), ("area", some.areas)):
        ax = plot_partition(some, color=color)
        bar = ax.figure.axes[1]
        np.testing.assert_allclose(bar.get_ylim(), [numbers.min(), numbers.max()], rtol=1e-9)


# creases


def test_creases_of_the_tent(tent: Any) -> None:
    """f = 2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1 bends by 2 sqrt 2 and by 4 sqrt 2."""
    ax = plot_partition(tent, color="crease", edges=False, theme="light", linewidth=3)
    bar = ax.figure.axes[1]
    np.testing.assert_allclose(bar.get_ylim(), [2 * np.sqrt(2), 4 * np.sqrt(2)])
    assert bar.get_ylabel() == "jump of the gradient"
    lines = ax.collections[1]
    assert len(lines.get_paths()) == 2
    weak, sharp = lines.get_paths()
    np.testing.assert_allclose(weak.vertices.sum(axis=1), -1, atol=1e-15)
    np.testing.assert_allclose(sharp.vertices.sum(axis=1), 0, atol=1e-15)
    widths = lines.get_linewidths()
    assert widths[1] > 2 * widths[0]
    seen = pixels(ax, [[-0.5, -0.5], [0.0, 0.0]])
    np.testing.assert_allclose(seen, lines.get_edgecolors()[:, :3], atol=0.02)
    # Sharper is darker on light paper, lighter on dark.
    assert seen[1].sum() < seen[0].sum()
    dark = plot_partition(tent, color="crease", theme="dark").collections[1].get_edgecolors()
    assert dark[-1].sum() > dark[-2].sum()


def test_every_crease_is_drawn_in_the_color_of_its_jump(some: Any) -> None:
    slopes = gradients(some)
    inner = some.edge_faces.min(axis=1) >= 0
    left, right = some.edge_faces[inner].T
    jumps = np.sqrt(((slopes[left] - slopes[right]) ** 2).sum(axis=(1, 2)))
    ax = plot_partition(some, color="crease", cmap="gray", edges=False)
    lines = ax.collections[1]
    shades, ends = [], []
    for path, color in zip(lines.get_paths(), lines.get_edgecolors(), strict=True):
        segments = path.vertices.reshape(-1, 2, 2)
        ends.append(segments)
        shades.append(np.full(len(segments), color[0]))
    ends, shades = np.concatenate(ends), np.concatenate(shades)
    bent = jumps > 1e-9
    drawn = {tuple(s.ravel()): shade for s, shade in zip(ends, shades, strict=True)}
    edges = some.vertices[some.edges[inner]]
    assert len(ends) == len(drawn) == bent.sum()
    low = max(jumps[bent].min(), jumps.max() / 1000)
    share = np.log(np.maximum(jumps, low) / low) / np.log(jumps.max() / low)
    for edge, expected in zip(edges[bent], share[bent], strict=True):
        assert drawn[tuple(edge.ravel())] == pytest.approx(expected, abs=1 / 64)


def test_edges_that_do_not_bend_are_faint_or_left_out() -> None:
    # The second neuron has no effect; nor has the border.
    p = gr.partition(gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0]]]), gr.Box(-1, 1))
    paths = plot_partition(p, color="crease", edges=False).collections[1].get_paths()
    assert [path.vertices[:, 0].tolist() for path in paths] == [[0.0] * 4]
    every = plot_partition(p, color="crease").collections[1]
    assert sum(len(path.vertices) for path in every.get_paths()) == 2 * p.n_edges
    assert every.get_linewidths()[0] < every.get_linewidths()[1]
    # A network that bends nowhere has no bar.
    flat = gr.partition(gr.Network([[[1.0, 0.0]], [[0.0]]]), gr.Box(-1, 1))
    ax = plot_partition(flat, color="crease")
    assert len(ax.figure.axes) == 1
    picture(ax)


# light and dark


def test_the_theme_follows_the_axes_and_the_style(tent: Any) -> None:
    def edge_sum(ax: Any) -> float:
        return float(ax.collections[1].get_edgecolors()[0, :3].sum())

    assert edge_sum(plot_partition(tent)) < 1 < edge_sum(plot_partition(tent, theme="dark"))
    with matplotlib.rc_context({"axes.facecolor": "black", "figure.facecolor": "black"}):
        assert edge_sum(plot_partition(tent)) > 2
        assert edge_sum(plot_partition(tent, theme="light")) < 1
    ax = Figure(facecolor="#202020").add_subplot(facecolor="none")
    assert edge_sum(plot_partition(tent, ax)) > 2
    assert ax.get_facecolor()[3] == 0.0  # the user's own, untouched
    with pytest.raises(InputError, match="theme='sepia'"):
        plot_partition(tent, theme="sepia")


def test_texts_of_a_dark_figure_are_light(some: Any) -> None:
    ax = plot_partition(some, color="value", theme="dark", labels=True)
    bar = ax.figure.axes[1]
    texts = [ax.xaxis.label, bar.yaxis.label, *ax.texts[:2], *ax.get_xticklabels(), *bar.get_yticklabels()]
    legend = plot_partition(some, color="class", theme="dark").get_legend()
    for text in [*texts, *legend.get_texts()]:
        assert sum(to_rgba(text.get_color())[:3]) > 2


def test_dark_colors_of_neighbours_differ_as_visibly_as_light_ones() -> None:
    p = gr.partition(random_network((24, 24, 24), 1, seed=2), gr.Box(-1, 1))
    colors = palette.darkened(palette.pattern_colors(p.patterns))
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    left, right = luminance[p.edge_faces[(p.edge_faces >= 0).all(axis=1)].T]
    contrast = (np.maximum(left, right) + 0.05) / (np.minimum(left, right) + 0.05)
    assert contrast.min() > 1.08
    assert luminance.max() < 0.25


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_surfaces_have_the_theme_and_a_bar(some: Any, theme: str) -> None:
    ax = plot_surface(some, color="value", theme=theme)
    shown = picture(ax)
    assert (shown[:3, :3].mean() > 0.5) == (theme == "light")
    assert len(ax.figure.axes) == 2
    # Colours of the surface itself are in the file, and many of them.
    assert len(np.unique((shown * 255).astype(int).reshape(-1, 3), axis=0)) > 200
    assert len(plot_surface(some, color="value", colorbar=False).figure.axes) == 1
