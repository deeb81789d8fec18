"""Training as geometry: the table against separate partitions, the animation's file against its partitions."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import geomrelu as gr
from geomrelu import palette
from geomrelu.errors import DomainError, InputError, MissingDependencyError, OutputPathError, ShapeError
from geomrelu.movies import write_movie
from geomrelu.tracking.pictures import _colors
from tests.networks_for_figures import random_network

SQUARE = gr.Box(-1, 1)


@pytest.fixture(scope="module")
def networks() -> list[gr.Network]:
    a, b = random_network((8, 6), 1, seed=0), random_network((8, 6), 1, seed=1)

    def between(s: float) -> gr.Network:
        pairs = list(zip(a.layers, b.layers, strict=True))
        return gr.Network(
            [(1 - s) * x.weight + s * y.weight for x, y in pairs], [(1 - s) * x.bias + s * y.bias for x, y in pairs]
        )

    return [between(s) for s in (0.0, 0.1, 0.5, 1.0)]


@pytest.fixture(scope="module")
def track(networks: list[gr.Network]) -> Any:
    return gr.track(networks, SQUARE, times=[0, 5, 10, 20], definitions=("activation", "convex", "affine"))


def test_the_table_holds_each_partitions_own_answers(track: Any, networks: list[gr.Network]) -> None:
    table = track.table()
    assert table.index.tolist() == [0, 5, 10, 20]
    for row, network in zip(table.to_dict("records"), networks, strict=True):
        p = gr.partition(network, SQUARE)
        assert row["regions"] == p.n_regions
        assert (row["activation"], row["affine"]) == (p.count("activation"), p.n_affine_pieces)
        assert row["affine"] <= row["convex_lower"] <= row["convex_upper"] <= p.n_regions
        # Areas and lengths by shapely.
        areas = [polygon.area for polygon in p.polygons]
        found = [row["smallest_area"], row["median_area"], row["largest_area"]]
        np.testing.assert_allclose(found, [min(areas), np.median(areas), max(areas)], rtol=1e-9)
        lines = p.decision_boundary().polylines
        assert row["boundary_length"] == pytest.approx(sum(line.length for line in lines))
        assert row["crease"] == p.crease().total
    assert {"closed_connected", "open_connected"}.isdisjoint(table.columns)


def test_models_paths_generators_and_dicts(networks: list[gr.Network], tmp_path: Path) -> None:
    content = {f"W{k}": layer.weight for k, layer in enumerate(networks[1].layers)}
    np.savez(tmp_path / "b.npz", **content, **{f"b{k}": layer.bias for k, layer in enumerate(networks[1].layers)})
    expected = [gr.partition(network, SQUARE).n_regions for network in networks[:2]]
    found = gr.track({0: networks[0], 100: tmp_path / "b.npz"}, SQUARE, definitions=())
    assert found.columns["regions"].tolist() == expected
    assert found.columns["time"].tolist() == [0, 100]
    # One module that changes between the steps: each is measured before the next.
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))

    def trained() -> Any:
        for scale in (1.0, 1e-9):
            with torch.no_grad():
                model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * scale)
                model[0].bias.fill_(0.5 * scale if scale == 1.0 else 0.5)
            yield model

    assert gr.track(trained(), SQUARE).columns["regions"].tolist() == [6 + 1, 1]


def test_progress(networks: list[gr.Network]) -> None:
    said: list[tuple[str, float]] = []
    gr.track(networks, SQUARE, definitions=(), progress=lambda message, share: said.append((message, share)))
    assert [share for _, share in said] == [0.0, 0.25, 0.5, 0.75]


def test_a_tracker_in_a_trainer(networks: list[gr.Network]) -> None:
    tracker = gr.Tracker(SQUARE, definitions=(), every=2)
    with pytest.raises(InputError, match="nothing is recorded"):
        _ = tracker.track
    for epoch, network in enumerate(networks):
        tracker.on_train_epoch_end(SimpleNamespace(current_epoch=epoch), network)
    assert tracker.track.columns["time"].tolist() == [2, 4]
    assert tracker.track.columns["regions"][1] == gr.partition(networks[3], SQUARE).n_regions
    with pytest.raises(InputError, match="got time 3 after 4"):
        tracker.record(networks[0], 3)


def test_an_interrupt_says_what_is_kept(networks: list[gr.Network]) -> None:
    def interrupted() -> Any:
        yield networks[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="after 1 models; nothing is kept"):
        gr.track(interrupted(), SQUARE)


@pytest.mark.parametrize(
    ("models", "options", "error", "said"),
    [
        ([], {}, InputError, "no models"),
        ("model.npz", {}, InputError, "expected several models"),
        (None, {}, InputError, "got NoneType"),
        ([random_network((3,), 1, 0)], {"times": [0, 1]}, ShapeError, r"shape \(2,\) for 1 models"),
        ([random_network((3,), 1, 0)] * 2, {"times": [1, 1]}, InputError, "got time 1 after 1"),
        ([random_network((3,), 1, 0)], {"definitions": ["linear"]}, InputError, "'linear'; expected some of"),
        ([3], {}, InputError, r"\bint\b"),
    ],
)
def test_bad_input(models: Any, options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        gr.track(models, SQUARE, **options)


def test_domains_of_the_plane_only() -> None:
    with pytest.raises(DomainError, match="Box of 3 dimensions"):
        gr.track([random_network((3,), 1, 0)], gr.Box([0, 0, 0], [1, 1, 1]))


def test_plots_show_the_columns(track: Any) -> None:
    axes = track.plot()
    assert [ax.get_ylabel() for ax in axes] == ["regions", "boundary length", "crease"]
    np.testing.assert_array_equal(
        axes[0].get_lines()[0].get_xydata(), np.column_stack([[0, 5, 10, 20], track.columns["regions"]])
    )
    ax = Figure().add_subplot()
    assert list(track.plot(ax, columns="affine")) == [ax]
    assert ax.get_lines()[0].get_ydata().tolist() == track.columns["affine"].tolist()
    for bad in ({"columns": "time"}, {"columns": ["regions", "loss"]}, {"columns": []}):
        with pytest.raises(InputError, match=r"Track\.plot"):
            track.plot(**bad)
    with pytest.raises(InputError, match="2 columns"):
        track.plot(ax, columns=["regions", "affine"])


def test_a_pattern_keeps_its_color_through_the_animation(track: Any) -> None:
    partitions = [gr.partition(network, SQUARE) for network in track.networks]
    colors, _ = _colors(partitions, "pattern", False)
    seen: dict[bytes, Any] = {}
    shared = 0
    for p, own in zip(partitions, colors, strict=True):
        for words, color in zip(p.patterns.words, own, strict=True):
            if words.tobytes() in seen:
                shared += 1
                np.testing.assert_array_equal(seen[words.tobytes()], color)
            seen[words.tobytes()] = color
    assert shared > 10
    # By itself each frame would have other colours.
    assert np.abs(palette.pattern_colors(partitions[3].patterns) - colors[3]).max() > 0.01


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_gif_shows_each_partition(track: Any, tmp_path: Path, theme: str) -> None:
    said: list[str] = []
    path = track.animate(tmp_path / "x.gif", dpi=50, theme=theme, progress=lambda message, share: said.append(message))
    assert said[-1] == "frame 4 of 4"
    partitions = [gr.partition(network, SQUARE) for network in track.networks]
    every = palette.pattern_colors(gr.Patterns(np.concatenate([p.patterns.words for p in partitions]), (8, 6)))
    every = palette.darkened(every) if theme == "dark" else every
    colors = np.split(every, np.cumsum([p.n_regions for p in partitions])[:-1])
    with Image.open(path) as movie:
        assert movie.n_frames == 4
        durations = []
        for k, network in enumerate(track.networks):
            movie.seek(k)
            durations.append(movie.info["duration"])
            shown = np.asarray(movie.convert("RGB")) / 255
            p = gr.partition(network, SQUARE)
            f = int(np.argmax(p.areas))
            # The axes' place in the figure is fixed; equal scales make its frame square.
            height, width = shown.shape[:2]
            side = min(0.72 * width, 0.76 * height)
            centre = np.array([0.49 * width, (1 - 0.51) * height])
            at = np.rint(centre + p.centroids[f] * [1, -1] * side / 2.04).astype(int)
            np.testing.assert_allclose(shown[at[1], at[0]], colors[k][f], atol=0.08)
    assert durations == [600, 600, 600, 2400]


def test_other_colorings_and_bad_options(track: Any, tmp_path: Path) -> None:
    for color in ("class", "value"):
        with Image.open(track.animate(tmp_path / f"{color}.gif", color=color, dpi=30)) as movie:
            assert len(movie.convert("RGB").getcolors(100_000)) > 20
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="color='area'"):
        track.animate(tmp_path / "x.gif", color="area")
    with pytest.raises(InputError, match="seconds=0"):
        track.animate(tmp_path / "x.gif", seconds=0)
    with pytest.raises(OutputPathError, match=r"expected \.gif or \.mp4"):
        track.animate(tmp_path / "x.avi")
    mixed = gr.track([random_network((3,), 1, 0), random_network((4,), 1, 0)], SQUARE)
    with pytest.raises(InputError, match="different widths"):
        mixed.animate(tmp_path / "x.gif")
    assert sorted(tmp_path.iterdir()) == before


def test_mp4_in_earnest(track: Any, tmp_path: Path) -> None:
    """Decoded again, the film has every frame, in its colours."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs the extra: pip install 'geomrelu[movies]'")
    path = track.animate(tmp_path / "x.mp4", seconds=0.5)
    n_frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert (n_frames, seconds) == (len(track.networks) + 3, pytest.approx(0.5 * (len(track.networks) + 3)))
    shades = [(1.0, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 1.0)]
    figure = Figure(figsize=(2, 1))
    write_movie(tmp_path / "y.mp4", figure, lambda k: figure.set_facecolor(shades[k]), 3, 0.5, 50)
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "y.mp4"))
    width, height = next(frames)["size"]
    found = [
        np.frombuffer(frame, dtype=np.uint8).reshape(height, width, 3)[height // 2, width // 2] for frame in frames
    ]
    wanted = 255 * np.array([*shades, *[shades[-1]] * 3])
    assert np.abs(found - wanted).max() < 12


def test_mp4(track: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ffmpeg a message; with a stand-in for it, every frame reaches it, the last one four times."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match="ffmpeg"):
        track.animate(tmp_path / "x.mp4")
    stand_in = tmp_path / "ffmpeg"
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    stand_in.chmod(0o755)
    figure = Figure(figsize=(2, 1))
    write_movie(tmp_path / "x.mp4", figure, lambda k: figure.set_facecolor((k / 2, 0, 0)), 3, 0.5, 50)
    frames = np.frombuffer((tmp_path / "x.mp4").read_bytes(), dtype=np.uint8).reshape(-1, 50, 100, 4)
    assert frames[:, 0, 0, 0].tolist() in ([0, 127, 255, 255, 255, 255], [0, 128, 255, 255, 255, 255])
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.buffer.read()\nsys.exit(3)\n")
    with pytest.raises(OutputPathError, match="ffmpeg failed with status 3"):
        write_movie(tmp_path / "y.mp4", figure, lambda k: None, 2, 0.5, 50)
    assert not (tmp_path / "y.mp4").exists()
