"""Figures of partitions with three inputs: what is drawn is what was asked, and the files show it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import geomrelu as gr
from geomrelu.errors import InputDimensionError, InputError, ShapeError
from tests.networks import random_network

CUBE = gr.Box([-1.0] * 3, [1.0] * 3)
OCTANTS: Any = gr.partition(gr.Network([np.eye(3), np.ones((1, 3))]), CUBE)
OCTAHEDRON: Any = gr.partition(
    gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))]), gr.Box([-2.0] * 3, [2.0] * 3)
)


def polygons(ax: Any) -> Any:
    (found,) = ax.collections
    return found


def corners(ax: Any) -> list[np.ndarray]:
    """The drawn polygons' corners; matplotlib pads them to one length."""
    found = polygons(ax)
    faces = np.asarray(found._faces)
    padding = np.broadcast_to(np.asarray(found._invalid_vertices), faces.shape[:2])
    return [ring[~beyond] for ring, beyond in zip(faces, padding, strict=True)]


def picture(ax: Any) -> np.ndarray:
    file = io.BytesIO()
    ax.figure.savefig(file, format="png", dpi=80)
    return np.asarray(Image.open(file).convert("RGB"), dtype=float)


def test_a_level_set() -> None:
    surface = OCTAHEDRON.level_set(1.5)
    ax = surface.plot()
    assert len(polygons(ax).get_facecolor()) == 8
    assert ax.get_xlim() == ax.get_ylim() == ax.get_zlim() == (-2, 2)
    drawn = sorted(tuple(sorted(map(tuple, ring.round(12).tolist()))) for ring in corners(ax))
    axes = 1.5 * np.eye(3)
    expected = sorted(
        tuple(sorted(map(tuple, (np.array(signs)[:, None] * axes).tolist())))
        for signs in np.stack(np.meshgrid([1, -1], [1, -1], [1, -1]), -1).reshape(-1, 3)
    )
    np.testing.assert_allclose(drawn, expected)
    shown = picture(ax)
    assert shown.std() > 10
    # The same by the partition.
    assert len(polygons(OCTAHEDRON.plot(level=1.5)).get_facecolor()) == 8


def test_numbers_have_a_colour_bar() -> None:
    surface = OCTAHEDRON.level_set(1.5)
    steep = surface.plot(color="gradient")
    assert steep.figure.axes[1].get_ylabel() == "length of the gradient"
    ax = surface.plot(color=np.arange(8.0), cmap="cividis")
    bar = ax.figure.axes[1]
    assert bar.get_ylim() == (0, 7)
    assert len(surface.plot(color="area", colorbar=False).figure.axes) == 1
    np.testing.assert_allclose(surface.areas, 1.5**2 * 3**0.5 / 2)


def test_regions_on_the_border_and_moved_apart() -> None:
    ax = OCTANTS.plot()
    assert len(corners(ax)) == 24
    # Every polygon lies on a side of the cube, and all together cover it.
    assert all((np.abs(ring) == 1).all(axis=0).any() for ring in corners(ax))
    apart = OCTANTS.plot(explode=1.0)
    assert len(corners(apart)) == 48
    assert apart.get_xlim() == (-2, 2)
    moved = {tuple(v) for ring in corners(apart) for v in ring.round(12).tolist()}
    # Each cube is moved by its own middle: corners at 0 go to +-0.5, those at 1 to 1.5.
    assert {abs(v) for point in moved for v in point} == {0.5, 1.5}
    assert picture(apart).std() > 10


def test_a_known_regions_colour() -> None:
    colors = np.tile([0.2, 0.4, 0.6], (8, 1))
    ax = OCTANTS.plot(color=colors, edges=False)
    found = polygons(ax).get_facecolor()[:, :3]
    np.testing.assert_allclose(found / found[:, :1], [[1, 2, 3]] * 24)  # Light keeps hues.
    assert found.max() <= 0.6
    value = OCTANTS.plot(color="value").figure.axes[1]
    np.testing.assert_allclose(value.get_ylim(), [0, 1.5])  # 0 where all are off, 3 * 0.5 in the middle of the last
    volume = OCTANTS.plot(color="volume")
    np.testing.assert_allclose(volume.figure.axes[1].get_ylim(), [1, 1], atol=0.2)


def test_axes_of_the_user() -> None:
    figure = Figure()
    left, right = (figure.add_subplot(1, 2, k, projection="3d") for k in (1, 2))
    assert OCTANTS.plot(left) is left
    assert OCTANTS.level_set(0.5).plot(right, theme="dark") is right
    assert sum(right.get_facecolor()[:3]) < 0.5
    assert picture(left).std() > 10


def test_many_regions_are_drawn() -> None:
    p: Any = gr.partition(random_network((24, 24), 0, n_inputs=3), CUBE)
    ax = p.plot()
    sides = p.facet_regions
    assert len(polygons(ax).get_facecolor()) == (sides < 0).any(axis=1).sum()
    # The domain's border is covered: areas of the drawn polygons sum to the cube's.
    area = sum(
        np.linalg.norm(np.cross(ring - ring[0], np.roll(ring - ring[0], -1, axis=0)).sum(axis=0)) / 2
        for ring in corners(ax)
    )
    assert area == pytest.approx(24)


def test_regions_of_a_level_set_are_those_of_its_points() -> None:
    f = random_network((9, 8), 4, n_inputs=3)
    p: Any = gr.partition(f, CUBE)
    surface = p.level_set(float(np.median(f(p.interior_points))), capped=True)
    sizes = np.diff(surface.offsets)
    means = np.add.reduceat(surface.vertices[surface.polygons], surface.offsets[:-1], axis=0) / sizes[:, None]
    inner = np.abs(means).max(axis=1) < 1 - 1e-9
    wide = inner & (surface.areas > 1e-6)
    np.testing.assert_array_equal(surface.regions[wide], p.locate(means[wide]))
    assert surface.patterns == p.patterns[surface.regions]
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1)
    # Normals of what is not the cap go with the gradient.
    slopes = p.affine_maps.A[surface.regions, 0]
    assert ((slopes * surface.normals).sum(axis=1)[wide] > 0).all()


def test_in_a_notebook() -> None:
    text = OCTANTS._repr_html_()
    assert "<td>8</td>" in text
    data = text.split("base64,")[1].split('"')[0]
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=float).std() > 10
    four: Any = gr.partition(random_network((3,), 0, n_inputs=4), gr.Box([-1.0] * 4, [1.0] * 4))
    assert f"<td>{four.n_regions}</td>" in four._repr_html_()
    assert "<img" not in four._repr_html_()


def test_bad_input() -> None:
    surface = OCTAHEDRON.level_set(1.0)
    with pytest.raises(InputError, match="color='class'"):
        surface.plot(color="class")
    with pytest.raises(InputError, match="color='area'"):
        OCTANTS.plot(color="area")
    with pytest.raises(ShapeError, match="per polygon"):
        surface.plot(color=[1.0])
    with pytest.raises(InputError, match="projection='3d'"):
        OCTANTS.plot(Figure().add_subplot())
    with pytest.raises(InputError, match="explode=-1"):
        OCTANTS.plot(explode=-1)
    with pytest.raises(InputError, match=r"output 0 is nowhere 9 .* between 0 and 3"):
        OCTANTS.plot(level=9.0)
    with pytest.raises(InputError, match="output=1"):
        OCTANTS.plot(color="value", output=1)
    four: Any = gr.partition(random_network((3,), 0, n_inputs=4), gr.Box([-1.0] * 4, [1.0] * 4))
    with pytest.raises(InputDimensionError, match="4 dimensions"):
        four.plot()
