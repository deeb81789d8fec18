"""The interactive page: what is in the file, and what a person sees of it in a browser."""

from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputError, OutputPathError
from geomrelu.page import to_html
from tests.browser import chromium, open_page, until
from tests.networks_for_figures import random_network
from tests.page_file import contents, own_patterns

POINT = (0.25, 0.5)


@pytest.fixture(scope="module")
def p():
    return gr.partition(random_network((12, 12), 2, seed=3), gr.Box(-1, 1))


@pytest.fixture(scope="module")
def page(p, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "p.html"
    p.to_html(path, title="Two <moons> & more")
    return path


# ---- the file


def test_arrays_are_the_partitions(p, page):
    _, about, arrays = contents(page)
    np.testing.assert_array_equal(arrays["vertices"].reshape(-1, 2), p.vertices)
    np.testing.assert_array_equal(arrays["face_vertices"], p.face_vertices)
    np.testing.assert_array_equal(arrays["areas"], p.areas)
    maps = arrays["maps"].reshape(p.n_regions, 2, 3)
    np.testing.assert_array_equal(maps[:, :, :2], p.affine_maps.A)
    np.testing.assert_array_equal(maps[:, :, 2], p.affine_maps.b)
    assert about["maps"] == ["f0", "f1"]


def test_flips_lead_to_every_regions_pattern(p, page):
    _, about, arrays = contents(page)
    np.testing.assert_array_equal(own_patterns(about, arrays), p.patterns.unpack())


def test_the_file_needs_nothing_else_and_escapes_its_title(page):
    text, *_ = contents(page)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", text)
    assert "http:" not in text
    assert "https:" not in text
    assert "<title>Two &lt;moons&gt; &amp; more</title>" in text


def test_edges_say_how_sharp_they_are(p, page):
    _, about, arrays = contents(page)
    steps, ends = arrays["edge_steps"], np.sort(arrays["edges"].reshape(-1, 2), axis=1)
    assert (np.diff(steps.astype(int)) >= 0).all()
    creases = p.crease()
    assert np.count_nonzero(steps) == np.count_nonzero(creases.jumps)
    low, high = next(c for c in about["colors"] if c["name"] == "crease")["bar"]["ends"]
    assert high == creases.jumps.max()
    place = {tuple(sorted(e)): k for k, e in enumerate(p.edges.tolist())}
    jumps = dict(zip(creases.edges.tolist(), creases.jumps.tolist(), strict=True))
    own = np.array([jumps.get(place[tuple(e)], 0.0) for e in ends.tolist()])
    bent = own > 0
    expected = 1 + 64 * np.log(np.maximum(own[bent], low) / low) / np.log(high / low)
    assert (np.abs(steps[bent] - expected) <= 1.001).all()
    assert (steps[~bent] == 0).all()


def test_a_large_page_can_be_mailed_and_opens(tmp_path):
    p = gr.partition(random_network((128, 128, 128), 1, seed=0), gr.Box(-1.3, 1.3))
    assert p.n_regions > 50_000
    path = tmp_path / "large.html"
    p.to_html(path)
    assert path.stat().st_size < 10_000_000
    with chromium() as driver:
        seconds = open_page(driver, path)
        print(f"{p.n_regions:,} regions: {path.stat().st_size / 1e6:.1f} MB, open in {seconds:.1f} s")
        point = [0.1, 0.2]
        assert driver.execute_script("return window.geomrelu.locate(...arguments[0])", point) == p.locate([point])[0]
        assert len(np.unique(points_of_picture(driver).reshape(-1, 3), axis=0)) > 1000
        assert driver.get_log("browser") == []


def test_a_network_that_bends_nowhere(tmp_path):
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[0.0]]], [[0.1], [0.0]]), gr.Box(-1, 1))
    p.to_html(tmp_path / "p.html", color="crease")
    about = contents(tmp_path / "p.html")[1]
    assert about["colors"][-1] == {"name": "crease", "title": "f bends nowhere"}
    with chromium() as driver:
        open_page(driver, tmp_path / "p.html")
        assert "bends nowhere" in shown(driver, "#key")


def test_many_outputs_fit_by_rounding_and_the_page_says_so(tmp_path, monkeypatch):
    p = gr.partition(random_network((12,), 7, seed=1), gr.Box(-1, 1))
    monkeypatch.setattr("geomrelu.page.document._MAP_BYTES", 12 * 4 * p.n_regions)
    p.to_html(tmp_path / "p.html")
    _, about, arrays = contents(tmp_path / "p.html")
    assert about["maps"] == ["f0", "f1", "f2", "f3"]
    assert "outputs 4 to 6 are left out" in about["maps_note"]
    shown = arrays["maps"].reshape(p.n_regions, 4, 3)
    np.testing.assert_array_equal(shown[:, :, 2], p.affine_maps.b[:, :4].astype(np.float32))


def test_one_region(tmp_path):
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[1.0]]], [[5.0], [0.0]]), gr.Box(-1, 1))
    assert p.n_regions == 1
    p.to_html(tmp_path / "p.html")
    assert contents(tmp_path / "p.html")[2]["parent"].tolist() == [-1]


def test_bad_input(p, tmp_path):
    with pytest.raises(OutputPathError, match="suffix"):
        to_html(p, tmp_path / "p.png")
    with pytest.raises(InputError, match="color='red'"):
        to_html(p, tmp_path / "p.html", color="red")
    with pytest.raises(InputError, match="output=2"):
        to_html(p, tmp_path / "p.html", output=2)
    assert list(tmp_path.iterdir()) == []


# ---- in a browser


def points_of_picture(driver):
    from PIL import Image

    picture = Image.open(io.BytesIO(driver.find_element("id", "plane").screenshot_as_png)).convert("RGB")
    return np.asarray(picture)


def pixel(driver, x, y):
    return [
        round(v) for v in driver.execute_script("return window.geomrelu.toScreen(arguments[0], arguments[1])", x, y)
    ]


def point_at(driver, x, y):
    from selenium.webdriver.common.action_chains import ActionChains

    plane = driver.find_element("id", "plane")
    px, py = pixel(driver, x, y)
    ActionChains(driver).move_to_element_with_offset(
        plane, px - plane.rect["width"] / 2, py - plane.rect["height"] / 2
    ).perform()


def shown(driver, css):
    """An element's text, read at once: the panel may be written anew at any moment."""
    return driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", css)


def choose(driver, name):
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", "color")).select_by_visible_text(name)


def test_a_person_reads_zooms_and_recolours(p, page):
    from selenium.webdriver.common.keys import Keys

    with chromium() as driver:
        open_page(driver, page)
        # Pointing: the region, its area, map and pattern.
        point_at(driver, *POINT)
        face = int(p.locate([POINT])[0])
        until(lambda: shown(driver, "#region-number") == str(face))
        assert float(shown(driver, "#region-area")) == pytest.approx(p.areas[face], rel=1e-8)
        for output in range(2):
            line = f'.map[data-output="{output}"]'
            expected = [*p.affine_maps.A[face, output], p.affine_maps.b[face, output]]
            held = driver.execute_script("return document.querySelector(arguments[0]).dataset.map", line)
            assert [float(v) for v in held.split()] == pytest.approx(expected, rel=1e-15)
            numbers = re.sub(r"x[₁₂]", "", shown(driver, line).split("=")[1]).replace("− ", "-").replace("+ ", "")
            assert [float(v) for v in numbers.split()] == pytest.approx(expected, rel=1e-8)
        bits = p.patterns.unpack()[face]
        assert shown(driver, '.pattern[data-layer="0"]') == "".join(str(int(b)) for b in bits[:12])
        assert shown(driver, '.pattern[data-layer="1"]') == "".join(str(int(b)) for b in bits[12:])

        # Colours: the pixel at a large region's centroid has the colour that matplotlib gives it.
        from geomrelu.plot.style import region_colors

        large = int(np.argmax(p.areas))
        for name in ("value", "area", "pattern"):
            choose(driver, name)
            driver.find_element("id", "edges").click()  # off, then on again: no edge near the pixel either time
            px, py = pixel(driver, *p.centroids[large])

            def matches(name=name, px=px, py=py):
                wanted = 255 * region_colors(p, name, 0, None)[0][large][:3]
                return np.abs(points_of_picture(driver)[py, px] - wanted).max() < 2

            until(matches)

        # Creases: an edge at which f does not bend much is thinner and of another colour than the sharpest.
        creases = p.crease()
        sharp = creases.edges[np.argmax(creases.jumps)]
        x, y = p.vertices[p.edges[sharp]].mean(axis=0)
        choose(driver, "crease")
        px, py = pixel(driver, x, y)
        wanted = [71, 19, 101]  # viridis, near its dark end
        until(
            lambda: np.abs(points_of_picture(driver)[py - 1 : py + 2, px - 1 : px + 2] - wanted).max(axis=2).min() < 12
        )
        assert "jump of the gradient" in shown(driver, "#key")
        choose(driver, "pattern")

        # Zooming: by wheel and keys the scale grows; by search a region comes to the middle, and 0 shows all again.
        before = driver.execute_script("return window.geomrelu.view.zoom")
        driver.find_element("id", "closer").click()
        assert driver.execute_script("return window.geomrelu.view.zoom") > before
        small = int(np.argmin(p.areas))
        box = driver.find_element("id", "place")
        box.send_keys(f"#{small}", Keys.ENTER)
        assert int(shown(driver, "#region-number")) == small
        x, y = driver.execute_script("return [window.geomrelu.view.x, window.geomrelu.view.y]")
        corners = p.vertices[p.ring(small)]
        assert (corners.min(axis=0) <= (x, y)).all()
        assert (corners.max(axis=0) >= (x, y)).all()
        box.clear()
        box.send_keys("3, 4", Keys.ENTER)
        assert "outside the domain" in shown(driver, "#hint")
        box.clear()
        box.send_keys("three", Keys.ENTER)
        assert "cannot read" in shown(driver, "#hint")
        plane = driver.find_element("id", "plane")
        plane.send_keys("0", Keys.ESCAPE)
        assert driver.execute_script("return window.geomrelu.view.zoom") == 1

        # Keyboard: arrows move the view, and the region in the middle is described.
        plane.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP)
        x, y = driver.execute_script("return [window.geomrelu.view.x, window.geomrelu.view.y]")
        assert x > 0
        assert y > 0
        until(lambda: int(shown(driver, "#region-number")) == int(p.locate([[x, y]])[0]))

        # Light and dark.
        paper = "return getComputedStyle(document.body).backgroundColor"
        light = driver.execute_script(paper)
        driver.find_element("id", "theme").click()
        assert driver.execute_script(paper) != light
        assert [entry["message"] for entry in driver.get_log("browser")] == []


def test_the_page_finds_the_regions_that_the_partition_finds(p, page):
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    with chromium() as driver:
        open_page(driver, page)
        found = driver.execute_script(
            "return arguments[0].map(([x, y]) => window.geomrelu.locate(x, y))", points.tolist()
        )
        assert found == p.locate(points).tolist()
        assert driver.execute_script("return window.geomrelu.locate(2, 0)") == -1


def test_the_smallest_regions_can_be_looked_at(tmp_path):
    """A region some 1e-9 wide fills the view without jumping: coordinates are sums of two floats."""
    eps = 2.0**-30
    network = gr.Network([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, 1.0]]], [[-0.3, -0.3 - eps, -0.2], [0.0]])
    p = gr.partition(network, gr.Box(-1, 1))
    thin = int(np.argmin(p.areas))
    p.to_html(tmp_path / "p.html", color="pattern", edges=False)
    from geomrelu.plot.style import region_colors

    colors = 255 * region_colors(p, "pattern", 0, None)[0][:, :3]
    with chromium() as driver:
        open_page(driver, tmp_path / "p.html")
        x = float(p.centroids[thin, 0])
        driver.execute_script(
            "Object.assign(window.geomrelu.view, {x: arguments[0], y: 0.5, zoom: 2e8}); "
            "document.getElementById('edges').click(); document.getElementById('edges').click()",
            x,
        )
        for shift in (-0.45, 0.45, -0.55, 0.55):
            place = x + shift * eps
            face = int(p.locate([[place, 0.5]])[0])
            assert (face == thin) == (abs(shift) < 0.5)
            px, py = pixel(driver, place, 0.5)

            def matches(face=face, px=px, py=py):
                return np.abs(points_of_picture(driver)[py, px] - colors[face]).max() < 2

            until(matches)


SLOW_CLOCK = """
const now = performance.now.bind(performance);
let late = 0;
performance.now = () => now() + (late += 100);
"""
TWO_FRAMES_LATER = """
const [x, y, zoom, done] = arguments, { view, toScreen, look } = window.geomrelu, before = toScreen(0.5, 0.25);
look(x, y, zoom);
requestAnimationFrame(() => requestAnimationFrame(() => {
  const canvas = document.getElementById("regions"), box = canvas.getBoundingClientRect();
  const plane = document.getElementById("plane").getBoundingClientRect(), grown = box.width / canvas.offsetWidth;
  const x = box.left - plane.left + grown * (before[0] - canvas.offsetLeft);
  const y = box.top - plane.top + grown * (before[1] - canvas.offsetTop);
  done({ grown, moved: [x, y], expected: toScreen(0.5, 0.25), zoom: view.zoom });
}));
"""


def test_where_drawing_is_slow_the_last_picture_moves_until_all_rests(page):
    view = (0.2, -0.1, 1.7)
    transform = "return document.getElementById('regions').style.transform"
    with chromium() as driver:
        open_page(driver, page)
        driver.execute_script("window.geomrelu.look(...arguments)", *view)
        until(lambda: driver.execute_script("return window.geomrelu.view.zoom") == 1.7)
        time.sleep(0.3)
        wanted = points_of_picture(driver)
        driver.execute_script("window.geomrelu.showAll()")

        driver.execute_script(SLOW_CLOCK)
        for _ in range(2):
            driver.find_element("id", "edges").click()
        time.sleep(0.3)
        assert driver.execute_script(transform) == ""
        found = driver.execute_async_script(TWO_FRAMES_LATER, *view)
        assert found["zoom"] == 1.7
        assert found["grown"] == pytest.approx(1.7, rel=1e-4)
        assert found["moved"] == pytest.approx(found["expected"], abs=0.05)
        until(lambda: driver.execute_script(transform) == "")
        assert np.array_equal(points_of_picture(driver), wanted)
        assert [entry["message"] for entry in driver.get_log("browser")] == []
