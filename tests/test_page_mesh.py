"""The interactive page of a level set: what is in the file, and what a person sees of it in a browser."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputError, OutputPathError
from tests.browser import chromium, open_page, until
from tests.networks import random_network
from tests.page_file import contents, own_patterns

# |x| + |y| + |z|, and x as a second output; its first level sets are octahedra.
MAGNITUDES = np.vstack([np.eye(3), -np.eye(3)])
OCTAHEDRON = gr.Network([MAGNITUDES, [[1.0] * 6, [1, 0, 0, -1, 0, 0]]])
BOX = gr.Box([-2.0] * 3, [2.0] * 3)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "p.html"
    gr.partition(OCTAHEDRON, BOX).level_set(1.5).to_html(path, title="Two <planes> & more")
    return path


def test_arrays_are_the_surfaces(tmp_path: Path) -> None:
    # Of more parts than one: patterns lead from part to part.
    rows = np.array([[1.0, 0.3, 0], [0, 1, 0.2], [0.1, 0, 1]])
    f = gr.Network([np.vstack([rows, -rows]), [[1, 2, 3, 4, 5, 6], [1, 0.1, 0.1] * 2]])  # the second: |x + 0.3 y| + ...
    p: Any = gr.partition(f, gr.Box([-1.0] * 3, [1.0] * 3))
    surface = p.level_set(0.5, 1)
    assert surface.n_components == 2
    surface.to_html(tmp_path / "p.html")
    _, about, arrays = contents(tmp_path / "p.html")
    np.testing.assert_array_equal(arrays["vertices"].reshape(-1, 3), surface.vertices)
    np.testing.assert_array_equal(arrays["polygons"], surface.polygons)
    np.testing.assert_array_equal(arrays["offsets"], surface.offsets)
    np.testing.assert_array_equal(arrays["areas"], surface.areas)
    np.testing.assert_array_equal(own_patterns(about, arrays), p.patterns.unpack()[surface.regions])
    maps = arrays["maps"].reshape(surface.n_polygons, 2, 4)
    np.testing.assert_array_equal(maps[:, :, :3], p.affine_maps.A[surface.regions])
    np.testing.assert_array_equal(maps[:, :, 3], p.affine_maps.b[surface.regions])


def test_the_file_needs_nothing_else_and_escapes_its_title(page: Path) -> None:
    text, *_ = contents(page)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", text)
    assert "http:" not in text
    assert "https:" not in text
    assert "<title>Two &lt;planes&gt; &amp; more</title>" in text


def test_bad_input(tmp_path: Path) -> None:
    surface = gr.partition(OCTAHEDRON, BOX).level_set(1.0)
    with pytest.raises(OutputPathError, match="suffix"):
        surface.to_html(tmp_path / "p.png")
    with pytest.raises(InputError, match="color='class'"):
        surface.to_html(tmp_path / "p.html", color="class")
    with pytest.raises(InputError, match=r"output 0 is nowhere 7 .* between 0 and 6"):
        gr.partition(OCTAHEDRON, BOX).level_set(7.0).to_html(tmp_path / "p.html")
    assert list(tmp_path.iterdir()) == []


def shown(driver: Any, css: str) -> str:
    return driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", css)


def pixel(driver: Any, point: Any) -> list[float]:
    return driver.execute_script("return window.geomrelu.toScreen(...arguments[0])", [float(v) for v in point])


def point_at(driver: Any, point: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    plane = driver.find_element("id", "plane")
    px, py, _ = pixel(driver, point)
    ActionChains(driver).move_to_element_with_offset(
        plane, round(px - plane.rect["width"] / 2), round(py - plane.rect["height"] / 2)
    ).perform()


def color_at(driver: Any, point: Any) -> np.ndarray:
    from PIL import Image

    picture = np.asarray(
        Image.open(io.BytesIO(driver.find_element("id", "plane").screenshot_as_png)).convert("RGB"), dtype=float
    )
    px, py, _ = pixel(driver, point)
    return picture[round(py), round(px)]


def test_a_person_reads_turns_and_recolours(page: Path) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    p: Any = gr.partition(OCTAHEDRON, BOX)
    with chromium() as driver:
        open_page(driver, page)
        # Seen from x > 0, y < 0, z > 0: that octant's face is in front.
        front = np.array([0.5, -0.5, 0.5])
        region = int(p.locate([front])[0])
        point_at(driver, front)
        until(lambda: shown(driver, "#region-number") == str(region))
        held = driver.execute_script("return document.querySelector('.map[data-output=\"0\"]').dataset.map")
        assert [float(v) for v in held.split()] == [1, -1, 1, 0]
        assert shown(driver, '.map[data-output="1"]') == "f1 = 1 x₁ + 0 x₂ + 0 x₃ + 0"
        assert shown(driver, '.pattern[data-layer="0"]') == "101010"
        assert float(shown(driver, "#polygon-area")) == pytest.approx(1.5**2 * 3**0.5 / 2, rel=1e-8)
        assert float(shown(driver, "#slope")) == pytest.approx(3**0.5, rel=1e-8)
        # Beside the surface there is nothing.
        assert driver.execute_script("return window.geomrelu.pick(5, 5)") == -1

        # Colours: plain in the light from beside the eye, on the face's middle.
        Select(driver.find_element("id", "color")).select_by_visible_text("plain")
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        until(lambda: (np.diff(color_at(driver, front)) > 15).all())  # blue: red < green < blue
        Select(driver.find_element("id", "color")).select_by_visible_text("gradient")
        assert "length of the gradient" in shown(driver, "#key")

        # Turning by keys brings other faces to the front; 0 shows all again.
        plane = driver.find_element("id", "plane")
        before = driver.execute_script("return [window.geomrelu.view.yaw, window.geomrelu.view.pitch]")
        plane.send_keys(Keys.ARROW_RIGHT * 10)
        until(lambda: shown(driver, "#region-number") == str(int(p.locate([[0.5, 0.5, 0.5]])[0])))
        plane.send_keys("+")
        assert driver.execute_script("return window.geomrelu.view.zoom") > 1
        plane.send_keys("0")
        assert driver.execute_script("return window.geomrelu.view.zoom") == 1
        assert driver.execute_script("return [window.geomrelu.view.yaw, window.geomrelu.view.pitch]") == before

        # Search: the nearest point of the surface, and a region.
        box = driver.find_element("id", "place")
        box.send_keys("-1, -1, -1", Keys.ENTER)
        assert shown(driver, "#region-number") == str(int(p.locate([[-0.5, -0.5, -0.5]])[0]))
        assert f"{1.5 / 3**0.5:.4g}" in shown(driver, "#hint")
        middle = driver.execute_script(
            "return window.geomrelu.pick(window.geomrelu.view.width / 2, window.geomrelu.view.height / 2)"
        )
        assert shown(driver, "#polygon-number") == str(middle)
        box.clear()
        box.send_keys(f"#{region}", Keys.ENTER)
        assert shown(driver, "#region-number") == str(region)
        for text, said in (("#99", "does not meet"), ("1, 2", "cannot read")):
            box.clear()
            box.send_keys(text, Keys.ENTER)
            assert said in shown(driver, "#hint")

        driver.find_element("id", "theme").click()
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") != paper
        assert [entry["message"] for entry in driver.get_log("browser")] == []


def test_the_page_finds_the_polygons_that_rays_meet(tmp_path: Path) -> None:
    f = random_network((9, 8), 1, n_inputs=3)
    p: Any = gr.partition(f, gr.Box([-1.0] * 3, [1.0] * 3))
    surface = p.level_set(float(np.median(f(p.interior_points))))
    surface.to_html(tmp_path / "p.html", edges=False)
    # Corners' means, slightly off the surface: the nearest point of it is theirs.
    sizes = np.diff(surface.offsets)
    means = np.add.reduceat(surface.vertices[surface.polygons], surface.offsets[:-1], axis=0) / sizes[:, None]
    large = np.flatnonzero(surface.areas > 1e-4)
    with chromium() as driver:
        open_page(driver, tmp_path / "p.html")
        found = driver.execute_script(
            "return arguments[0].map((point) => window.geomrelu.nearest(point).f)", means[large].tolist()
        )
        assert found == large.tolist()
        # What is in front on the screen: along the ray the output does not cross the value before it, and does there.
        plane = driver.find_element("id", "plane")
        px, py = np.random.default_rng(0).uniform(0.3, 0.7, (2, 60)) * [[plane.rect["width"]], [plane.rect["height"]]]
        seen = driver.execute_script(
            "return arguments[0].map(([x, y]) => [window.geomrelu.pick(x, y), ...window.geomrelu.rayAt(x, y)])",
            np.stack([px, py], axis=1).tolist(),
        )
    n_hit = 0
    for polygon, origin, ray in seen:
        far = 6.0  # beyond the cube
        if polygon >= 0:
            n_hit += 1
            normal = surface.normals[polygon]
            far = (means[polygon] - origin) @ normal / (np.array(ray) @ normal)
        before = np.array(origin) + np.linspace(0, far * (1 - 1e-9), 4001)[:, None] * np.array(ray)
        before = before[(np.abs(before) <= 1).all(axis=1)]
        signs = f(before)[:, 0] > surface.value
        assert len(signs) == 0 or (signs == signs[0]).all()
        if polygon >= 0:
            beyond = np.array(origin) + far * (1 + 1e-6) * np.array(ray)
            assert (f(beyond[None])[0, 0] > surface.value) != signs[0]
    assert n_hit > 15
