"""The XOR study as a whole: regions, regressions, figures, animation, report."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputError, OutputPathError, TrainingError
from geomrelu.experiments import study as study_module
from geomrelu.experiments import xor
from geomrelu.experiments.drawing import save_figure


@pytest.fixture(scope="module")
def histories():
    return xor.train(2, seed=3), xor.train(3, seed=0)


@pytest.fixture(scope="module")
def pair(histories):
    return xor.compare(*histories)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "new" / "folder"
    told = []
    result = xor.run_study(
        2, seed_a=3, seed_b=7, out=out, progress=lambda message, share: told.append((message, share))
    )
    return result, out, told


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3]


def collections(figure, name):
    return [c for ax in figure.axes for c in ax.collections if type(c).__name__ == name]


def test_hand_made_network_has_exactly_three_regions():
    p = gr.partition(xor.hand_made_network(), gr.Box(-1, 1))
    maps = {(*a.tolist(), b) for a, b in zip(p.affine_maps.A[:, 0], p.affine_maps.b[:, 0].tolist(), strict=True)}
    assert p.n_regions == 3
    assert maps == {(0.0, 0.0, -1.0), (2.0, 2.0, 1.0), (-2.0, -2.0, 1.0)}
    x = np.random.default_rng(0).uniform(-1, 1, size=(100, 2))
    s = x.sum(axis=1)
    np.testing.assert_allclose(
        xor.hand_made_network()(x)[:, 0], 2 * np.maximum(s + 1, 0) - 4 * np.maximum(s, 0) - 1, atol=1e-14
    )


def test_hand_made_figure_shows_regions_maps_and_lines():
    figure = xor.plot_hand_made()
    flat = figure.axes[0]
    assert [len(c.get_paths()) for c in collections(figure, "PolyCollection")] == [3]
    assert {t.get_text() for t in flat.texts} == {"$-1$", "$2x_1 + 2x_2 + 1$", "$-2x_1 - 2x_2 + 1$"}
    neurons, zeros = collections(figure, "LineCollection")
    ends = {tuple(sorted(map(tuple, s))) for s in np.round(neurons.get_segments(), 12).tolist()}
    assert ends == {((-1.0, 0.0), (0.0, -1.0)), ((-1.0, 1.0), (1.0, -1.0))}
    ends = {tuple(sorted(map(tuple, s))) for s in np.round(zeros.get_segments(), 12).tolist()}
    assert ends == {((-1.0, 0.5), (0.5, -1.0)), ((-0.5, 1.0), (1.0, -0.5))}
    assert pixels(figure).std() > 10


@pytest.mark.parametrize("plot", [xor.plot_parity_2d, xor.plot_parity_3d])
def test_task_figures_are_drawn(plot):
    assert pixels(plot()).std() > 10


def test_a_network_predicts_itself(histories):
    pair = xor.compare(histories[1], histories[1])
    assert pair.agreement == pytest.approx(1, abs=1e-12)
    for (_, way), fit in pair.regressions.items():
        assert fit.score == pytest.approx(1, abs=1e-9), way
    fit = pair.regressions["1->2", "exact"]
    np.testing.assert_allclose(fit.predict(pair.first.maps), pair.first.maps, atol=1e-7)


def test_an_affine_image_is_predicted_perfectly(histories):
    history = histories[1]
    first, last = history.network.layers
    image = gr.Network([first.weight, -3 * last.weight], [first.bias, -3 * last.bias + 0.25])
    snapshots = (*history.snapshots[:-1], replace(history.snapshots[-1], network=image))
    pair = xor.compare(history, replace(history, snapshots=snapshots))
    for direction in ("1->2", "2->1"):
        for way in ("sampled", "exact"):
            # Sampled maps are rounded to five decimals.
            assert pair.regressions[direction, way].score == pytest.approx(1, abs=1e-8)
    np.testing.assert_allclose(pair.refined_maps[1], -3 * pair.refined_maps[0] + [0, 0, 0.25], atol=1e-12)
    assert pair.refinement.n_regions == pair.first.partition.n_regions


def test_counts_rows_and_weights(pair):
    assert len(pair.first.samples) == 101 * 101 + 4
    corners = {tuple(c) for c in pair.first.samples.points[-4:].tolist()}
    assert corners == {(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)}
    assert pair.first.samples.tol == 1e-3
    assert pair.regressions["1->2", "sampled"].n_rows == 10205
    assert pair.regressions["1->2", "corners"].n_rows == 4
    assert pair.regressions["2->1", "exact"].n_rows == pair.refinement.n_regions
    one, two, weights = pair.rows("1->2", "exact")
    assert weights.sum() == pytest.approx(4)
    points = pair.refinement.centroids
    for rows, history in ((one, pair.first.history), (two, pair.second.history)):
        values = (rows[:, :2] * points).sum(axis=1) + rows[:, 2]
        np.testing.assert_allclose(values, history.network(points)[:, 0], atol=1e-10)
    sampled = pair.first.sampled_maps
    np.testing.assert_array_equal(sampled, np.round(sampled, 5))
    assert pair.first.n_regions_met <= pair.first.partition.n_regions


def test_exact_regression_is_what_a_fine_grid_approximates(pair):
    for direction in ("1->2", "2->1"):
        exact, sampled = (pair.regressions[direction, way].score for way in ("exact", "sampled"))
        assert exact == pytest.approx(sampled, abs=0.03)


def test_decision_agreement_against_samples(pair):
    x = np.random.default_rng(0).uniform(-1, 1, size=(20000, 2))
    alike = (pair.first.history.network(x) > 0) == (pair.second.history.network(x) > 0)
    assert pair.agreement == pytest.approx(alike.mean(), abs=0.015)
    assert pair.agreement == xor.decision_agreement(pair.first.history.network, pair.second.history.network)


def test_find_pair():
    similar, other = xor.find_pair(2, candidates=4), xor.find_pair(2, similar=False, candidates=4)
    agreement = [xor.decision_agreement(*(xor.train(2, s).network for s in seeds)) for seeds in (similar, other)]
    assert agreement[0] > 0.95 > 0.6 > agreement[1]
    with pytest.raises(InputError, match="at least two"):
        xor.find_pair(2, candidates=1)


def test_region_figure_has_a_polygon_a_region(pair):
    figure = xor.plot_regions(pair)
    counts = [len(c.get_paths()) for c in collections(figure, "PolyCollection")]
    assert counts[:2] == [pair.first.partition.n_regions, pair.second.partition.n_regions]
    assert counts[2] == counts[-1] == pair.refinement.n_regions
    assert pixels(figure).std() > 10


def test_surfaces_have_a_polygon_a_region(pair):
    figure = xor.plot_surfaces(pair)
    assert pixels(figure).std() > 10
    one, two = pair.first.partition.n_regions, pair.second.partition.n_regions
    assert [len(c.get_paths()) for c in collections(figure, "Poly3DCollection")] == [one, one, two, two]


def test_wireframes_have_the_partitions_edges(pair):
    figure = xor.plot_wireframes(pair)
    assert pixels(figure).std() > 3
    counts = [len(c.get_segments()) for c in collections(figure, "Line3DCollection")]
    one, two = pair.first, pair.second
    corners = [len(r.cells.points) for r in (one, two)]
    assert counts == [one.partition.n_edges, *corners, two.partition.n_edges]


@pytest.mark.parametrize("plot", [xor.plot_parameters_2d, xor.plot_parameters_3d])
def test_parameter_figures_show_targets_and_predictions(pair, plot):
    figure = plot(pair)
    assert len(figure.axes) == 6
    assert pixels(figure).std() > 3
    title = figure.axes[2].get_title()
    assert f"{pair.regressions['1->2', 'exact'].score:.3f}" in title
    shown = figure.axes[2].collections[0].get_offsets() if plot is xor.plot_parameters_2d else None
    if shown is not None:
        expected = np.unique(np.round(pair.refined_maps[1], 6), axis=0)[:, :2]
        np.testing.assert_allclose(np.asarray(shown), expected)


def shown_texts(figure):
    """Every text as it is drawn, with its box in pixels: ticks of 3-D axes have a place only while they are drawn."""
    from matplotlib.text import Text

    found = []
    draw = Text.draw

    def noted(self, renderer):
        if self.get_visible() and self.get_text().strip():
            found.append((self.get_text(), self.axes, self.get_rotation(), self.get_window_extent(renderer).frozen()))
        draw(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        figure.canvas.draw()
    return found


@pytest.mark.parametrize(
    "plot",
    [
        xor.plot_regions, xor.plot_parameters_2d, xor.plot_parameters_3d, xor.plot_surfaces, xor.plot_wireframes,
        lambda pair: xor.plot_parity_2d(), lambda pair: xor.plot_parity_3d(), lambda pair: xor.plot_hand_made(),
        lambda pair: xor.plot_snapshot(pair.first.history.snapshots[-1]),
    ],
)  # fmt: skip
def test_texts_are_whole_and_apart(pair, plot):
    figure = plot(pair)
    texts = shown_texts(figure)
    assert len(texts) > 3
    for k, (text, ax, rotation, box) in enumerate(texts):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
        for other, _, other_rotation, there in texts[:k]:
            if rotation % 90 == other_rotation % 90 == 0:  # the box of a slanted text is mostly empty
                assert not box.padded(-1).overlaps(there.padded(-1)), (text, other)
        # The next axes' ground is white, and drawn later.
        later = figure.axes[figure.axes.index(ax) + 1 :] if ax is not None else []
        assert not any(axes.axison and axes.get_window_extent().overlaps(box) for axes in later), text


def test_axes_of_parameters_do_not_magnify_rounding(histories):
    """Parameters that are all but equal look so: no axis spans less than a twentieth of the largest of them."""
    pair = xor.compare(xor.train(2, 2), xor.train(2, 6))  # intercepts within 0.0003 of each other
    for k, ax in enumerate(xor.plot_parameters_3d(pair).axes):
        target = (pair.second if k < 3 else pair.first).maps
        spans = [high - low for low, high in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())]
        assert min(spans) >= 0.05 * np.abs(target).max()
        assert max(spans) < 10 * np.abs(target).max()


def test_neighbouring_regions_differ_in_colour(pair):
    from geomrelu.palette import gradient_colors

    for regions, painted in zip(
        (pair.first, pair.second), collections(xor.plot_regions(pair), "PolyCollection")[:2], strict=True
    ):
        colours = painted.get_facecolors()[:, :3]
        inner = regions.partition.edge_faces[(regions.partition.edge_faces >= 0).all(axis=1)]
        assert (np.abs(np.diff(colours[inner], axis=1)).max(axis=2) > 0.02).all()
    # Slopes that are all but equal look so.
    close = gradient_colors(np.array([[1.0, -1.0], [0.999, -0.998]]), longest=1.5)
    np.testing.assert_allclose(close[0], close[1], atol=0.005)
    # Opposite gradients differ in luminance, which every kind of colour vision sees, or in blue against yellow.
    opposite = gradient_colors(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    linear = np.where(opposite <= 0.04045, opposite / 12.92, ((opposite + 0.055) / 1.055) ** 2.4)
    low, high = np.sort(linear @ [0.2126, 0.7152, 0.0722])
    assert (high + 0.05) / (low + 0.05) > 1.3


def test_small_networks_have_their_maps_written(pair):
    from geomrelu.experiments.handmade import map_text

    for ax, regions in zip(xor.plot_regions(pair).axes, (pair.first, pair.second), strict=False):
        p = regions.partition
        written = {map_text(np.round(row, 3) + 0.0) for row in regions.maps[p.areas > 0.3]}
        assert {t.get_text() for t in ax.texts} <= written
        assert map_text(np.round(regions.maps[np.argmax(p.areas)], 3) + 0.0) in {t.get_text() for t in ax.texts}
        assert ax.get_title().endswith(f"{p.n_regions} regions\nsmallest area {p.areas.min():.1g}")


def facing(figure, gradient):
    """Whether the camera sees the upper side of a plane of this gradient, in each of a figure's 3-D axes."""
    for ax in figure.axes:
        if ax.name == "3d":
            elevation, azimuth = np.radians([ax.elev, ax.azim])
            camera = np.array([*(np.cos(elevation) * np.array([np.cos(azimuth), np.sin(azimuth)])), np.sin(elevation)])
            limits = np.array([ax.get_xlim(), ax.get_ylim(), ax.get_zlim()])
            scale = ax._box_aspect / (limits[:, 1] - limits[:, 0])
            # A normal goes by the inverse of what points go by.
            normal = np.array([-gradient[0], -gradient[1], 1.0]) / scale
            yield normal @ camera / np.linalg.norm(normal)


@pytest.mark.parametrize("plot", [xor.plot_surfaces, xor.plot_wireframes])
def test_both_peaks_of_xor_are_seen_from_above(plot):
    pair = xor.compare(xor.train(2, 2), xor.train(2, 6))  # a valley between the peaks: gradients (1, -1) and (-1, 1)
    figure = plot(pair)
    for gradient in ((0.99, -0.99), (-0.99, 0.99), (0.99, 0.99), (-0.99, -0.99)):
        assert min(facing(figure, gradient)) > 0.05
    values = np.concatenate([r.history.network(r.partition.vertices) for r in (pair.first, pair.second)])
    for ax in figure.axes:
        if ax.name == "3d":
            assert np.ptp(ax.get_zlim()) < 1.35 * np.ptp(values)


def test_no_global_figure_is_left(pair):
    import matplotlib.pyplot as plt

    xor.plot_regions(pair)
    assert plt.get_fignums() == []


def test_animation_has_a_frame_a_snapshot(histories, tmp_path):
    from PIL import Image

    history = replace(histories[0], snapshots=histories[0].snapshots[::5])
    path = xor.animate(history, tmp_path / "training.gif", dpi=50)
    with Image.open(path) as image:
        assert image.n_frames == len(history.snapshots) == 3
        frames = []
        for k in range(image.n_frames):
            image.seek(k)
            frames.append(np.asarray(image.convert("RGB"), dtype=float))
    assert all(frame.std() > 10 for frame in frames)
    assert np.abs(frames[0] - frames[-1]).mean() > 1
    assert [p.name for p in tmp_path.iterdir()] == ["training.gif"]
    assert pixels(xor.plot_snapshot(history.snapshots[0])).std() > 10


def test_animation_into_nowhere(histories, tmp_path):
    with pytest.raises(OutputPathError, match="no directory"):
        xor.animate(histories[0], tmp_path / "missing" / "training.gif")


def test_figure_is_written_whole_or_not_at_all(tmp_path):
    figure = xor.plot_parity_2d()
    save_figure(figure, tmp_path / "a.svg")
    with pytest.raises(ValueError, match="ormat"):
        save_figure(figure, tmp_path / "a.nonsense")
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]


def test_report_holds_every_count_score_and_figure(study):
    result, out, _ = study
    text = (out / "report.md").read_text(encoding="utf-8")
    data = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert data == json.loads(json.dumps(result.to_dict()))
    assert text == result.markdown()
    (pair,) = data["pairs"]
    assert (pair["width"], pair["kind"], [n["seed"] for n in pair["networks"]]) == (2, "given", [3, 7])
    for k, network in enumerate(pair["networks"], start=1):
        row = next(line for line in text.splitlines() if line.startswith(f"| 2 | given | {k} |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        keys = ("exact_regions", "linear_regions", "affine_pieces", "sampled_maps", "regions_met_by_samples")
        assert cells[6:11] == [str(network[key]) for key in keys]
        assert network["exact_regions"] == 3
    assert f"{pair['refinement_cells']} cells" in text
    assert len(pair["scores"]) == 6
    for score in pair["scores"]:
        for key in ("score", "score_on_samples", "score_on_exact_cells"):
            assert f"{score[key]:.4f}" in text
    links = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
    assert all(alt and (out / path).stat().st_size > 2000 for alt, path in links)
    assert {path for _, path in links} == {f["path"] for f in data["figures"]}
    assert {p.name for p in (out / "figures").iterdir()} == {path.split("/")[1] for _, path in links}
    assert len(links) == 3 + 5 + 2
    assert {p.name for p in (out / "latex").iterdir()} == {
        "hand-made.tex", "width-2-seed-3.tex", "width-2-seed-7.tex",
    }  # fmt: skip
    assert text.count(r"\begin{aligned}") == 6
    assert text.count("latex/hand-made.tex") == text.count("latex/width-2-seed-3.tex") == 2
    paths = [figure["path"] for figure in data["figures"]]
    assert len(paths) == len(set(paths))
    assert {str(p.relative_to(out)) for p in out.rglob("*.*")} == {*data["files"], "report.md", "report.json"}


def test_table_fits_a_terminal(study):
    lines = study[0].table().splitlines()
    assert max(map(len, lines)) <= 80
    cells = [line.split() for line in lines]
    one = study[0].pairs[0].first
    assert ["2", "given", "1", "3", f"{one.history.loss:.2e}", "3", str(one.samples.n_maps)] in cells
    for direction in ("1->2", "2->1"):
        pair = study[0].pairs[0]
        scores = [pair.regressions[direction, way].score for way in ("exact", "sampled")]
        scores.append(pair.regressions[direction, "corners"].score_on(*pair.rows(direction, "sampled")))
        assert any(line[4:] == [direction, *(f"{score:.4f}" for score in scores)] for line in cells)


def test_a_rerun_replaces_what_the_last_one_left(tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "_PAIR_PICTURES", study_module._PAIR_PICTURES[1:2])
    monkeypatch.setattr(study_module, "animate", lambda history, path, progress: path.write_bytes(b"GIF"))
    out = tmp_path / "out"
    xor.run_study(2, seed_a=3, seed_b=7, out=out)
    mine = [out / "notes.txt", out / "figures" / "mine.png", out / "latex" / "mine.tex"]
    for path in mine:
        path.write_text("mine")
    result = xor.run_study(2, seed_a=3, seed_b=6, out=out)
    assert {str(p.relative_to(out)) for p in out.rglob("*.*")} == {
        *result.files, "report.md", "report.json", *(str(path.relative_to(out)) for path in mine),
    }  # fmt: skip
    assert "latex/width-2-seed-7.tex" not in result.files
    report = json.loads((out / "report.json").read_text())
    (out / "report.json").write_text(json.dumps({**report, "files": ["../mine", "/etc/passwd", "notes.txt", 3]}))
    xor.run_study(2, seed_a=3, seed_b=6, out=out)
    assert all(path.read_text() == "mine" for path in mine)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TrainingError("no luck")])
@pytest.mark.parametrize("exists", [False, True])
def test_a_study_that_fails_leaves_nothing(tmp_path, monkeypatch, error, exists):
    def fail(self, result):
        raise error

    monkeypatch.setattr(study_module, "_PAIR_PICTURES", ())
    monkeypatch.setattr(study_module, "animate", lambda history, path, progress: path.write_bytes(b"GIF"))
    monkeypatch.setattr(study_module._Writer, "report", fail)
    out = tmp_path / "a" / "out"
    if exists:
        out.mkdir(parents=True)
        (out / "report.md").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((KeyboardInterrupt, TrainingError)):
        xor.run_study(2, seed_a=3, seed_b=7, out=out)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("width", "seeds"), [(1, (0, 1)), (0, (0, 1)), (2, (0, 2**63)), (2, (-1, 0)), (2, ("a", 0))])
def test_a_study_checks_its_arguments_first(tmp_path, width, seeds):
    with pytest.raises(InputError):
        xor.run_study(width, *seeds, out=tmp_path / "out", progress=lambda message, share: pytest.fail(message))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["report.md", "figures/task-2d.png", "latex/width-2-seed-1.tex"])
def test_a_study_checks_its_files_first(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputPathError, match="is a directory"):
        xor.run_study(2, 0, 1, out=tmp_path, progress=lambda message, share: pytest.fail(message))
    assert sorted(tmp_path.rglob("*")) == before


def test_progress_goes_up_to_one(study):
    shares = [share for _, share in study[2]]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0


def test_progress_is_that_of_the_steps(study):
    """An animation's frames move the bar, and nothing is complete before its end."""
    told = study[2]
    frames = [share for message, share in told if message.startswith("animation of seed 7: epoch")]
    assert len(frames) == 11
    assert frames == sorted(set(frames))
    assert 0.95 < frames[-1] < 1.0
    before_training = [message for message, _ in told][: [m for m, _ in told].index("width 2: training from seed 3")]
    assert before_training[-1] == "loading torch"


def test_progress_of_a_search_goes_up_too():
    told = []
    xor.run_study(3, progress=lambda message, share: told.append((message, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[0] == ("looking for a pair of width 3", 0.0)
    searching = [share for message, share in told if message.startswith("looking")]
    assert 0.3 < searching[-1] < 0.9


def test_study_without_output_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = xor.run_study(2)
    assert [p.kind for p in result.pairs] == ["similar", "dissimilar"]
    assert result.pairs[0].agreement > 0.9 > 0.6 > result.pairs[1].agreement
    assert "![" not in result.markdown()
    assert list(tmp_path.iterdir()) == []


def test_study_at_another_width_looks_for_pairs():
    result = xor.run_study(3)
    assert [p.kind for p in result.pairs] == ["similar", "dissimilar"]
    assert result.pairs[0].agreement > result.pairs[1].agreement


def test_study_wants_both_seeds():
    with pytest.raises(InputError, match="seed_a without seed_b"):
        xor.run_study(2, seed_a=1)


def test_study_tries_the_output_directory_first(tmp_path):
    (tmp_path / "file").write_text("mine")

    def no_work(message, share):
        raise AssertionError(message)

    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputPathError, match="output directory"):
            xor.run_study(2, seed_a=0, seed_b=1, out=out, progress=no_work)
    assert (tmp_path / "file").read_text() == "mine"
