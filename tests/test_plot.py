"""Figures: what is drawn is checked against the partition's own arrays, not against pictures."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import geomrelu as gr
from geomrelu import palette
from geomrelu.errors import InputError, ShapeError
from geomrelu.plot import plot_partition, plot_surface
from tests.networks_for_figures import TENT, random_network


@pytest.fixture(scope="module")
def tent():
    return gr.partition(TENT, gr.Box(-1, 1))


@pytest.fixture(scope="module")
def classifier():
    return gr.partition(random_network((12, 12), 4, seed=3), gr.Box(-1, 1))


@pytest.fixture(scope="module")
def many():
    return gr.partition(random_network((24, 24, 24), 1, seed=2), gr.Box(-1, 1))


def png(ax) -> bytes:
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    return buffer.getvalue()


def shoelace(ring):
    x, y = ring.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


# plot_partition


def test_one_path_per_region_with_the_regions_area(many):
    faces = plot_partition(many).collections[0]
    paths = faces.get_paths()
    assert len(paths) == many.n_regions
    areas = [shoelace(path.vertices[:-1]) for path in paths]
    np.testing.assert_allclose(areas, many.areas, rtol=1e-9, atol=1e-14)


def test_every_edge_is_drawn_once(many):
    lines = plot_partition(many).collections[1]
    ends = np.concatenate([path.vertices for path in lines.get_paths()]).reshape(-1, 2, 2)
    np.testing.assert_array_equal(ends, many.vertices[many.edges])


def test_given_axes_are_used_and_own_figures_stay_out_of_pyplot(tent):
    ax = Figure().subplots()
    assert plot_partition(tent, ax) is ax
    own = plot_partition(tent)
    assert own.figure is not ax.figure
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or own.figure.number not in pyplot.get_fignums() if hasattr(own.figure, "number") else True
    assert png(own).startswith(b"\x89PNG")


def test_pyplot_is_never_imported():
    code = (
        "import sys, geomrelu as gr\n"
        "assert 'matplotlib' not in sys.modules\n"
        "p = gr.partition(gr.Network([[[1, 1]], [[1]]]), gr.Box(-1, 1))\n"
        "p.plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("color", ["pattern", "value", "class", "gradient", "area"])
def test_color_names_draw(classifier, color):
    ax = plot_partition(classifier, color=color, output=2)
    assert len(ax.collections[0].get_facecolors()) == classifier.n_regions
    assert len(ax.figure.axes) == (2 if color in ("value", "area") else 1)
    png(ax)


def test_gradients_have_a_key_that_tells_their_colors(tent):
    ax = plot_partition(tent, color="gradient")
    (key,) = ax.child_axes
    disc = key.images[0].get_array()
    size = len(disc)
    for face, (x, y) in enumerate(tent.affine_maps.A[:, 0]):
        # Two lengths: 0, and one at the rim of the disc.
        x, y = np.array([x, y]) / max(np.hypot(x, y), 1) * 0.98
        shown = disc[int((y + 1) / 2 * size), int((x + 1) / 2 * size), :3]
        np.testing.assert_allclose(ax.collections[0].get_facecolors()[face, :3], shown, atol=0.06)
    assert plot_partition(tent, color="gradient", colorbar=False).child_axes == []
    png(ax)


def test_value_is_the_mean_output(classifier):
    ax = plot_partition(classifier, color="value", output=1, cmap="magma")
    means = classifier.network(classifier.centroids)[:, 1]
    order = np.argsort(means)
    from matplotlib import colormaps

    expected = colormaps["magma"]((means - means.min()) / np.ptp(means))
    np.testing.assert_allclose(ax.collections[0].get_facecolors()[order], expected[order], atol=0.02)


def test_arrays_of_numbers_and_of_colors(tent):
    ax = plot_partition(tent, color=[0.0, 0.5, 1.0], cmap="gray", colorbar=False)
    np.testing.assert_allclose(ax.collections[0].get_facecolors()[:, 0], [0, 0.5, 1], atol=0.01)
    assert len(ax.figure.axes) == 1
    ax = plot_partition(tent, color=np.eye(3))
    np.testing.assert_array_equal(ax.collections[0].get_facecolors()[:, :3], np.eye(3))


def test_neighbours_have_visibly_different_colors(many):
    colors = palette.pattern_colors(many.patterns)
    inner = many.edge_faces[(many.edge_faces >= 0).all(axis=1)]
    # Relative luminance, which every kind of colour vision sees.
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    left, right = luminance[inner.T]
    contrast = (np.maximum(left, right) + 0.05) / (np.minimum(left, right) + 0.05)
    assert contrast.min() > 1.08
    assert np.median(contrast) > 1.15


def test_edge_width_falls_with_the_number_of_regions(tent, many):
    few, more = (plot_partition(p).collections[1].get_linewidths()[0] for p in (tent, many))
    assert more < few / 2
    assert plot_partition(tent, linewidth=3.0).collections[1].get_linewidths()[0] == 3.0
    assert len(plot_partition(tent, edges=False).collections) == 1


def test_labels(tent):
    texts = [t.get_text() for t in plot_partition(tent, labels="map").texts]
    assert sorted(texts) == sorted(["−1", "2x₁ + 2x₂ + 1", "−2x₁ − 2x₂ + 1"])
    for label in plot_partition(tent, labels=True).texts:
        np.testing.assert_allclose(label.get_position(), tent.centroids[int(label.get_text())])
    assert [t.get_text() for t in plot_partition(tent, labels=["a", "b", "c"]).texts] == ["a", "b", "c"]


def test_only_the_largest_regions_are_labelled(many):
    texts = plot_partition(many, labels=True).texts
    ids = np.array([int(t.get_text()) for t in texts])
    rest = np.delete(many.areas, ids)
    assert len(ids) == 150
    assert many.areas[ids].min() >= rest.max()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"color": "hue"}, InputError, "expected one of pattern"),
        ({"color": "value", "output": 1}, InputError, "expected an integer from 0 to 0"),
        ({"color": [1.0, 2.0]}, ShapeError, r"expected \(3,\)"),
        ({"labels": "name"}, InputError, "'id', 'map'"),
        ({"labels": ["a"]}, ShapeError, "1 labels for 3 regions"),
    ],
)
def test_bad_options(tent, options, error, message):
    ax = Figure().subplots()
    with pytest.raises(error, match=message):
        plot_partition(tent, ax, **options)
    assert not ax.collections


def test_thousands_of_regions_are_drawn_quickly_and_as_pixels_in_vector_files():
    p = gr.partition(random_network((128, 128), 1, seed=0), gr.Box(-1, 1))
    assert p.n_regions > 20_000
    start = time.perf_counter()
    ax = plot_partition(p)
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="svg")
    assert time.perf_counter() - start < 60  # a few seconds; the limit is for slow machines
    assert len(buffer.getvalue()) < 5e6
    assert b"<image" in buffer.getvalue()


# The decision boundary


def test_zero_line_of_the_tent(tent):
    segments = tent.decision_boundary().segments
    # The tent is 0 on x1 + x2 = -1/2 and on x1 + x2 = 1/2.
    sums = segments.sum(axis=2)
    np.testing.assert_allclose(np.abs(sums), 0.5, atol=1e-15)
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    assert lengths.sum() == pytest.approx(2 * 1.5 * np.sqrt(2))


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 5])
def test_outputs_tie_on_the_boundary_and_nowhere_else(n_outputs):
    p = gr.partition(random_network((10, 10), n_outputs, seed=5), gr.Box(-1, 1))
    segments = p.decision_boundary().segments
    assert len(segments) > 3
    middle = segments.mean(axis=1)
    values = np.sort(p.network(np.concatenate([middle, segments[:, 0], segments[:, 1]])), axis=1)
    gap = np.abs(values[:, 0]) if n_outputs == 1 else values[:, -1] - values[:, -2]
    assert gap.max() < 1e-12
    # Completeness: wherever the class changes between neighbouring grid points, a segment passes close by.
    h = 0.02
    x = np.arange(-1 + h / 2, 1, h)
    grid = np.stack(np.meshgrid(x, x), axis=-1)
    out = p.network(grid.reshape(-1, 2))
    classes = ((out[:, 0] > 0).astype(int) if n_outputs == 1 else out.argmax(axis=1)).reshape(len(x), len(x))
    changes = (grid[:, 1:][classes[:, 1:] != classes[:, :-1]] + grid[:, :-1][classes[:, 1:] != classes[:, :-1]]) / 2
    a, b = segments[:, 0], segments[:, 1]
    step = b - a
    along = np.einsum("nsi,si->ns", changes[:, None] - a, step) / np.einsum("si,si->s", step, step).clip(1e-300)
    nearest = a + along.clip(0, 1)[..., None] * step
    distance = np.linalg.norm(nearest - changes[:, None], axis=2).min(axis=1)
    assert len(changes) > 10
    assert distance.max() <= h / 2 + 1e-12


def test_boundary_along_edges_and_on_flat_regions():
    # f = relu(x): 0 on the whole left half, whose rim x = 0 is drawn once from the right.
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[1.0]]]), gr.Box(-1, 1))
    segments = p.decision_boundary().segments
    assert sorted(map(sorted, segments.tolist())) == [[[0.0, -1.0], [0.0, 1.0]]]
    # f = x: 0 along an edge between two regions.
    p = gr.partition(gr.Network([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, -1.0]]]), gr.Box(-1, 1))
    segments = p.decision_boundary().segments
    assert {tuple(map(tuple, sorted(s))) for s in segments.tolist()} == {((0.0, -1.0), (0.0, 1.0))}
    # A constant network has no boundary.
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[0.0]]]), gr.Box(-1, 1))
    assert p.decision_boundary().segments.shape == (0, 2, 2)
    png(plot_partition(p, color="class"))


@pytest.mark.parametrize("n_outputs", [1, 4])
def test_class_colors_fill_both_sides_of_the_boundary(n_outputs):
    p = gr.partition(random_network((8,), n_outputs, seed=11), gr.Box(-1, 1))
    ax = plot_partition(p, color="class")
    pieces = ax.collections[1]
    colors = np.array([to_rgba(c) for c in palette.CLASS_COLORS])
    assert len(pieces.get_paths()) > 2
    for path, color in zip(pieces.get_paths(), pieces.get_facecolors(), strict=True):
        inside = path.vertices[:-1].mean(axis=0)
        out = p.network(inside[None])[0]
        best = int(out[0] > 0) if n_outputs == 1 else int(out.argmax())
        np.testing.assert_allclose(color, colors[best], atol=1e-12)
    # Each region that is split is split without gap or overlap.
    whole = p.locate(np.array([path.vertices[:-1].mean(axis=0) for path in pieces.get_paths()]))
    areas = np.bincount(whole, [abs(shoelace(path.vertices[:-1])) for path in pieces.get_paths()], p.n_regions)
    np.testing.assert_allclose(areas[np.unique(whole)], p.areas[np.unique(whole)], rtol=1e-9)


# Machado, Oliveira, Fernandes 2009, severity 1: linear sRGB as dichromats see it.
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# Ottosson 2020: linear sRGB to the cones' responses, and their cube roots to OKLab.
TO_CONES = [
    [0.41222147, 0.53633254, 0.05144599],
    [0.21190350, 0.68069955, 0.10739696],
    [0.08830246, 0.28171884, 0.62997870],
]
TO_OKLAB = [
    [0.21045426, 0.79361779, -0.00407205],
    [1.97799850, -2.42859221, 0.45059371],
    [0.02590404, 0.78277177, -0.80867577],
]


@pytest.mark.parametrize("vision", VISIONS)
def test_ten_classes_look_different_to_every_kind_of_colour_vision(vision):
    colors = palette.class_colors(np.arange(10))
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISIONS[vision]).T, 0, 1)
    oklab = np.cbrt(seen @ np.array(TO_CONES).T) @ np.array(TO_OKLAB).T
    apart = np.linalg.norm(oklab[:, None] - oklab[None], axis=2)
    assert apart[np.triu_indices(10, 1)].min() > 0.09


# plot_surface


def test_surface_lifts_every_region_by_its_own_map(classifier):
    ax = plot_surface(classifier, output=3)
    polygons = ax.collections[0]
    x, y, z, _ = polygons._vec if hasattr(polygons, "_vec") else np.zeros((4, 0))
    if len(x):
        np.testing.assert_allclose(z, classifier.network(np.column_stack([x, y]))[:, 3], atol=1e-12)
    heights = classifier.network(classifier.vertices)[:, 3]
    np.testing.assert_allclose(ax.get_zlim(), [heights.min(), heights.max()], atol=1e-9)
    png(ax)


def test_wireframe_and_flat_network(many):
    ax = plot_surface(many, faces=False)
    assert len(ax.collections) == 1
    png(ax)
    flat = gr.partition(gr.Network([[[1.0, 0.0]], [[0.0]]]), gr.Box(-1, 1))
    assert plot_surface(flat).get_zlim() == (-0.5, 0.5)


def test_surface_wants_three_dimensions(tent):
    with pytest.raises(InputError, match="projection='3d'"):
        plot_surface(tent, Figure().subplots())
    ax = Figure().add_subplot(projection="3d")
    assert plot_surface(tent, ax) is ax


# in notebooks


def test_a_notebook_shows_facts_and_a_picture(many, monkeypatch):
    from base64 import b64decode

    from PIL import Image

    shown = many._repr_html_()
    assert f"<td>{many.n_regions:,}</td>" in shown
    data = shown.split("base64,")[1].split('"')[0]
    picture = np.asarray(Image.open(io.BytesIO(b64decode(data))).convert("RGB"))
    # Not blank: the regions' many colours are in it.
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    monkeypatch.setattr("geomrelu.plot.notebook._MOST_REGIONS", 10)
    assert "<img" not in many._repr_html_()
    assert "10 regions" in many._repr_html_()


def test_classes_are_called_what_the_user_calls_them(tmp_path):
    p = gr.partition(random_network((8,), 3, seed=2), gr.Box(-1, 1))
    shown = sorted({*p.class_regions().areas.nonzero()[0].tolist()})
    names = ["cat", "dog", "cow"]
    legend = p.plot(color="class", class_names=names).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [names[k] for k in shown]
    p.to_html(tmp_path / "p.html", class_names=names)
    assert '["cat", ' in (tmp_path / "p.html").read_text(encoding="utf-8")
    for wrong in (["cat", "dog"], "cat"):
        with pytest.raises(ShapeError, match="expected 3 names"):
            p.plot(color="class", class_names=wrong)


def test_a_surface_coloured_by_class_has_a_legend() -> None:
    p = gr.partition(random_network((6, 5), 3, 3), gr.Box(-1, 1))
    ax = p.plot_surface(color="class", class_names=["one", "two", "three"])
    classes = sorted(set(np.argmax(p.network(p.centroids), axis=1).tolist()))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [["one", "two", "three"][k] for k in classes]
    assert p.plot_surface().get_legend() is None
    with pytest.raises(ShapeError, match="expected 3 names"):
        p.plot_surface(color="class", class_names=["one"])
