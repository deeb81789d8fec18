"""Saved partitions come back bit for bit; damaged files are named as such; exports hold what the partition holds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.errors import FileFormatError, InputError, OutputPathError
from geomrelu.io import load, save, to_geojson, to_svg
from tests.networks_for_figures import TENT, random_network

ARRAYS = (
    "vertices", "edges", "edge_faces", "edge_neuron", "face_offsets", "face_vertices", "face_edges", "vertex_lines",
)  # fmt: skip


@pytest.fixture(scope="module")
def partition():
    return gr.partition(random_network((20, 20), 3, seed=1), gr.Box([-1, -2], [1, 0.5]))


@pytest.fixture
def saved(partition, tmp_path):
    path = tmp_path / "p.npz"
    partition.save(path)
    return path


# save and load


@pytest.mark.parametrize("domain", [gr.Box([-1, -2], [1, 0.5]), gr.Polygon([[0, 0], [1, 0.1], [0.3, 0.9]])])
def test_round_trip(tmp_path, domain):
    p = gr.partition(random_network((70, 9), 2, seed=4), domain)
    p.save(tmp_path / "p.npz")
    q = gr.load(tmp_path / "p.npz")
    for name in ARRAYS:
        before, after = getattr(p, name), getattr(q, name)
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype
    assert q.patterns == p.patterns
    assert type(q.domain) is type(p.domain)
    np.testing.assert_array_equal(q.domain.vertices, p.domain.vertices)
    for a, b in zip(p.network.layers, q.network.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
        np.testing.assert_array_equal(a.bias, b.bias)
        assert a.n_neurons == b.n_neurons
    assert json.loads(json.dumps(dict(q.report))) == dict(q.report)
    assert dict(q.report).keys() == dict(p.report).keys()


def test_a_loaded_partition_works(partition, saved):
    q = load(saved)
    q.check()
    points = np.random.default_rng(0).uniform([-1, -2], [1, 0.5], (500, 2))
    np.testing.assert_array_equal(q.locate(points), partition.locate(points))
    np.testing.assert_array_equal(q.affine_maps.A, partition.affine_maps.A)
    np.testing.assert_array_equal(q.areas, partition.areas)
    with pytest.raises(ValueError, match="read-only"):
        q.vertices[0] = 0


def test_passing_units_survive(tmp_path):
    joined = gr.joint(TENT, random_network((6, 6), 1, seed=2))
    p = gr.partition(joined, gr.Box(-1, 1))
    p.save(tmp_path / "p.npz")
    q = gr.load(tmp_path / "p.npz")
    assert q.network.widths == joined.widths
    np.testing.assert_array_equal(q(p.centroids), p(p.centroids))


def test_path_is_taken_as_given(partition, tmp_path):
    partition.save(tmp_path / "no_suffix")
    assert load(tmp_path / "no_suffix").n_regions == partition.n_regions
    assert [f.name for f in tmp_path.iterdir()] == ["no_suffix"]


def rewritten(path, **changes):
    """The saved file with some arrays changed, or left out where the change is None."""
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files} | changes
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


DAMAGE = {
    "no arrays": dict.fromkeys(ARRAYS),
    "vertices NaN": {"vertices": lambda a: np.where(a == a[3], np.nan, a)},
    "vertices flat": {"vertices": lambda a: a.ravel()},
    "vertices float32": {"vertices": lambda a: a.astype(np.float32)},
    "vertices short": {"vertices": lambda a: a[:-1]},
    "edges out of range": {"edges": lambda a: a + 1},
    "edges negative": {"edges": lambda a: a - 1},
    "edges float": {"edges": lambda a: a.astype(float)},
    "edge_faces below -1": {"edge_faces": lambda a: a - 1},
    "edge_faces short": {"edge_faces": lambda a: a[1:]},
    "edge_neuron too large": {"edge_neuron": lambda a: a + 40},
    "offsets fall": {"face_offsets": lambda a: a[::-1]},
    "offsets empty": {"face_offsets": lambda a: a[:0]},
    "offsets scalar": {"face_offsets": lambda a: a[0]},
    "rings short": {"face_vertices": lambda a: a[:-1]},
    "face_edges out of range": {"face_edges": lambda a: a + 10**6},
    "vertex_lines beyond the sides": {"vertex_lines": lambda a: np.where(a < 0, -5, a)},
    "patterns of another width": {"pattern_words": lambda a: np.hstack([a, a])},
    "patterns float": {"pattern_words": lambda a: a.astype(float)},
    "patterns with stray bits": {"pattern_words": lambda a: a | np.uint64(1 << 63)},
    "weight missing": {"weight_1": None},
    "weight NaN": {"weight_0": lambda a: a * np.nan},
    "weights that do not fit": {"weight_1": lambda a: a[:, :-1]},
    "neuron counts": {"n_neurons": lambda a: a + 1},
    "domain missing": {"domain_box": None},
    "domain empty": {"domain_box": lambda a: a[::-1]},
    "domain one corner": {"domain_box": lambda a: a[:1]},
    "report not json": {"report": lambda a: np.array("{")},
    "version later": {"version": lambda a: np.array(99)},
    "version text": {"version": lambda a: np.array("one")},
    "format other": {"format": lambda a: np.array("something-else")},
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_content(saved, what):
    with np.load(saved) as archive:
        changes = {k: change(archive[k]) if callable(change) else change for k, change in DAMAGE[what].items()}
    with pytest.raises(FileFormatError) as caught:
        load(rewritten(saved, **changes))
    assert str(saved) in str(caught.value)


def test_foreign_files(tmp_path):
    files = {
        "empty.npz": b"",
        "text.npz": b"regions: 3\n",
        "zip.npz": b"PK\x03\x04 and nothing else",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "one.npy", np.arange(3))
    np.savez(tmp_path / "weights.npz", W0=np.eye(2))
    np.savez(tmp_path / "objects.npz", format=np.array([{"a": 1}], dtype=object))
    for name in [*files, "one.npy", "weights.npz", "objects.npz", "missing.npz", "."]:
        with pytest.raises(FileFormatError, match="expected"):
            load(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_and_cut_bytes_never_escape_as_other_errors(data, saved_bytes, tmp_path_factory):
    content = bytearray(saved_bytes)
    if data.draw(st.booleans(), label="cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), label="length")]
    else:
        for _ in range(data.draw(st.integers(1, 4), label="flips")):
            content[data.draw(st.integers(0, len(content) - 1), label="at")] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "p.npz"
    path.write_bytes(bytes(content))
    # A flip may hit a byte that no reader looks at (a time stamp); then the partition is whole.
    with contextlib.suppress(FileFormatError):
        load(path).check()


@pytest.fixture(scope="session")
def saved_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "p.npz"
    save(gr.partition(TENT, gr.Box(-1, 1)), path)
    return path.read_bytes()


# Where files cannot be written

WRITERS = [save, to_geojson, to_svg]


@pytest.mark.parametrize("write", WRITERS)
def test_unwritable_paths(partition, tmp_path, write):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "none" / "x", tmp_path, tmp_path / "file" / "x"):
        with pytest.raises(OutputPathError, match=r"cannot write|is a directory"):
            write(partition, path)
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write anywhere")
@pytest.mark.parametrize("write", WRITERS)
def test_no_permission(partition, tmp_path, write):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputPathError, match="permission"):
        write(partition, tmp_path / "x")


@pytest.mark.parametrize(
    ("write", "name"), [(save, "p.png"), (save, "p.json"), (to_geojson, "p.npz"), (to_svg, "p.png"), (to_svg, "p.PDF")]
)
def test_suffixes_of_other_formats(partition, tmp_path, write, name):
    with pytest.raises(OutputPathError, match=rf"{write.__name__}: got the suffix .*{name}.*expected \."):
        write(partition, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", WRITERS)
def test_a_failure_midway_leaves_the_old_file(partition, tmp_path, write, monkeypatch):
    path = tmp_path / "x"
    path.write_text("old")

    class Broken:
        def __getattr__(self, name):
            if name == "face_vertices":
                raise RuntimeError("planted")
            return getattr(partition, name)

    with pytest.raises(RuntimeError, match="planted"):
        write(Broken(), path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


# GeoJSON


def test_geojson_opens_in_shapely_and_tiles_the_domain(partition, tmp_path):
    partition.to_geojson(tmp_path / "p.geojson")
    text = (tmp_path / "p.geojson").read_text()
    collection = shapely.from_geojson(text)
    assert shapely.get_num_geometries(collection) == partition.n_regions
    polygons = np.array(collection.geoms)
    assert shapely.is_valid(polygons[partition.areas > 1e-12]).all()
    np.testing.assert_allclose(shapely.area(polygons), partition.areas, rtol=1e-9, atol=1e-14)
    assert shapely.area(polygons).sum() == pytest.approx(partition.domain.area, rel=1e-12)
    assert shapely.union_all(polygons, grid_size=1e-9).area == pytest.approx(partition.domain.area, rel=1e-6)


def test_geojson_numbers_are_exact(partition, tmp_path):
    to_geojson(partition, tmp_path / "p.geojson")
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    bits = partition.patterns.unpack()
    for k, feature in enumerate(features):
        ring = np.array(feature["geometry"]["coordinates"][0])
        own = partition.face_vertices[partition.face_offsets[k] : partition.face_offsets[k + 1]]
        np.testing.assert_array_equal(ring, partition.vertices[[*own, own[0]]])
        properties = feature["properties"]
        assert feature["id"] == properties["id"] == k
        assert properties["area"] == partition.areas[k]
        np.testing.assert_array_equal(properties["A"], partition.affine_maps.A[k])
        np.testing.assert_array_equal(properties["b"], partition.affine_maps.b[k])
        assert properties["pattern"] == "".join(map(str, bits[k].astype(int)))


def test_geojson_patterns_in_hexadecimal_or_not_at_all(tmp_path):
    p = gr.partition(random_network((70, 3), 1, seed=6), gr.Box(0, 0.2))
    to_geojson(p, tmp_path / "h", pattern="hex")
    to_geojson(p, tmp_path / "n", pattern="none")
    bits = p.patterns.unpack()
    for k, feature in enumerate(json.loads((tmp_path / "h").read_text())["features"]):
        text = feature["properties"]["pattern"]
        assert len(text) == 19
        assert f"{int(text, 16):076b}" == "".join(map(str, bits[k].astype(int))) + "000"
    assert "pattern" not in json.loads((tmp_path / "n").read_text())["features"][0]["properties"]
    with pytest.raises(InputError, match="'bits', 'hex' or 'none'"):
        to_geojson(p, tmp_path / "x", pattern="words")


# SVG


def svg_rings(path):
    """Rings of the regions as drawn, by id, with the size of the picture."""
    root = ElementTree.parse(path).getroot()
    rings = {}
    for element in root.iter("{http://www.w3.org/2000/svg}path"):
        if element.get("id") == "edges":
            continue
        numbers = [int(n) for n in re.findall(r"-?\d+", element.get("d"))]
        rings[int(element.get("id")[1:])] = np.cumsum(np.array(numbers).reshape(-1, 2), axis=0), element.get("fill")
    return rings, [float(v) for v in root.get("viewBox").split()]


def test_svg_has_every_region_in_its_place(partition, tmp_path):
    partition.to_svg(tmp_path / "p.svg", digits=4)
    rings, (_, _, width, height) = svg_rings(tmp_path / "p.svg")
    x0, y0, x1, y1 = partition.domain.bounds
    assert height / width == pytest.approx((y1 - y0) / (x1 - x0))
    assert sorted(rings) == list(range(partition.n_regions))
    for k, (ring, fill) in rings.items():
        own = partition.vertices[partition.face_vertices[partition.face_offsets[k] : partition.face_offsets[k + 1]]]
        seen = np.column_stack([x0 + ring[:, 0] * (x1 - x0) / width, y1 - ring[:, 1] * (x1 - x0) / width])
        np.testing.assert_allclose(seen, own, atol=1e-7)
        assert re.fullmatch("#[0-9a-f]{6}", fill)


def test_svg_edges_and_colors(partition, tmp_path):
    to_svg(partition, tmp_path / "a.svg", color=np.tile([1.0, 0.0, 0.5], (partition.n_regions, 1)), width=300)
    text = (tmp_path / "a.svg").read_text()
    assert 'fill="#ff0080"' in text
    assert 'width="300" height="375"' in text
    edges = re.search(r'id="edges"[^>]* d="([^"]*)"', text)
    assert edges.group(1).count("M") == partition.n_edges
    to_svg(partition, tmp_path / "b.svg", color="class", edges=False)
    assert 'id="edges"' not in (tmp_path / "b.svg").read_text()
    for color in ("hue", np.ones(3)):
        with pytest.raises(InputError, match="to_svg"):
            to_svg(partition, tmp_path / "c.svg", color=color)
    assert not (tmp_path / "c.svg").exists()
