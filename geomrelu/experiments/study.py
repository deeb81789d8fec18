"""The XOR study in one go: train, partition, sample, regress, draw, and report."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from geomrelu.errors import InputError
from geomrelu.experiments import figures
from geomrelu.experiments.animation import animate
from geomrelu.experiments.data import plot_parity_2d, plot_parity_3d
from geomrelu.experiments.drawing import save_figure
from geomrelu.experiments.handmade import hand_made_network, plot_hand_made
from geomrelu.experiments.latex import latex_file
from geomrelu.experiments.pairs import DEFAULT_SEEDS, Pair, compare, find_pair
from geomrelu.experiments.report import FigureFile, StudyResult, network_stem
from geomrelu.experiments.training import Progress, TrainingHistory, check_seed, check_width, load_torch, train
from geomrelu.files import atomic_path, check_output_directory, staged_directory
from geomrelu.network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["STUDY_WIDTHS", "StudyResult", "run_all", "run_study"]

STUDY_WIDTHS = (2, 20, 100)

_TASK_PICTURES: tuple[tuple[str, Callable[[], Figure], str], ...] = (
    ("task-2d", plot_parity_2d, "The XOR task: four points, circles for target +1, squares for −1"),
    ("task-3d", plot_parity_3d, "The XOR task with the target as height, and the parity of three coordinates"),
    ("hand-made", plot_hand_made, "The hand-made network: three regions, their maps, neuron and zero lines, surface"),
)
_PAIR_PICTURES: tuple[tuple[str, Callable[[Pair], Figure], str], ...] = (
    ("regions", figures.plot_regions, "Exact regions of both networks, and their common refinement by decision"),
    ("parameters-2d", figures.plot_parameters_2d, "Gradients of the maps, with each regression's predictions"),
    ("parameters-3d", figures.plot_parameters_3d, "Gradients and intercepts, with each regression's predictions"),
    ("surfaces", figures.plot_surfaces, "Surfaces of network 1, 1 → 2, 2 → 1 and network 2"),
    ("wireframes", figures.plot_wireframes, "Wireframes of network 1, 1 → 2, 2 → 1 and network 2"),
)

_REPORTS = ("report.json", "report.md")
_TASK_FILES = (*(f"figures/{name}.png" for name, _, _ in _TASK_PICTURES), "latex/hand-made.tex")
#: What a study leaves below its directory: nothing else is ever removed from there.
_OWN_FILE = re.compile(r"figures/[\w-]+\.(png|gif)|latex/[\w-]+\.tex")

# What steps cost, in seconds of one machine at width 20: for the progress bar alone.
_LOADING, _SEARCH, _TRAINING, _COMPARISON, _PICTURE, _ANIMATION = 5.0, 3.0, 0.3, 0.7, 1.4, 3.5

_PlannedPair: TypeAlias = tuple[int, str, int, int]  # width, kind and the two seeds


def run_study(
    width: int,
    seed_a: int | None = None,
    seed_b: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> StudyResult:
    """The whole study at one width.

    Parameters
    ----------
    width : int
        Hidden neurons.
    seed_a, seed_b : int, optional
        Seeds of the two networks.  Without them a similar and a dissimilar pair are taken:
        known ones at the widths 2, 20 and 100, else those that `find_pair` finds.
    out : path-like, optional
        Directory for ``report.md``, ``report.json``, ``figures/`` and ``latex/``; made if it
        is missing.  All files appear together at the end, or none if the study fails; files
        of an earlier study there that this one does not have are removed.  None writes
        nothing and draws nothing.
    progress : callable, optional
        Called with a message and the share of the work that is done.

    Returns
    -------
    StudyResult
        With ``.pairs``, ``.to_dict()``, ``.markdown()`` and ``.table()``.

    Raises
    ------
    InputError
        If only one seed is given, or an argument cannot be used.
    TrainingError
        If a network cannot be trained.
    OutputPathError
        If the directory cannot be written to.

    Examples
    --------
    >>> result = run_study(2, seed_a=0, seed_b=1)
    >>> [network["exact_regions"] for network in result.to_dict()["pairs"][0]["networks"]]
    [3, 3]
    """
    if (seed_a is None) != (seed_b is None):
        given, missing = ("seed_a", "seed_b") if seed_b is None else ("seed_b", "seed_a")
        raise InputError(f"run_study: got {given} without {missing}; give both seeds, or neither for the default pairs")
    if seed_a is not None and seed_b is not None:
        return _run([width], {width: [("given", check_seed(seed_a), check_seed(seed_b))]}, out, progress)
    return _run([width], {}, out, progress)


def run_all(out: str | os.PathLike[str] | None = None, progress: Progress | None = None) -> StudyResult:
    """The study at widths 2, 20 and 100, a similar and a dissimilar pair each, in one report.

    Parameters and errors as in `run_study`.
    """
    return _run(STUDY_WIDTHS, {}, out, progress)


@dataclass
class _Steps:
    """Reports the share of the work that is done, from what each step costs in seconds, roughly."""

    progress: Progress | None
    total: float
    done: float = 0.0
    present: float = 0.0

    def __call__(self, message: str, cost: float) -> None:
        """Begin a step; the one before it is done."""
        self.done += self.present
        self.present = cost
        self.within(message, 0.0)

    def within(self, message: str, share: float) -> None:
        """News from inside a step, of which this share is done."""
        if self.progress is not None:
            self.progress(message, min((self.done + share * self.present) / self.total, 1.0))

    def expect(self, rest: float) -> None:
        """Correct the total: so much is to come after the present step."""
        self.total = self.done + self.present + rest

    def finish(self) -> None:
        """All done."""
        if self.progress is not None:
            self.progress("done", 1.0)


def _run(
    widths: Sequence[int],
    given: dict[int, list[tuple[str, int, int]]],
    out: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> StudyResult:
    # Before any work: what cannot end well should not cost a minute of training.
    for width in widths:
        check_width(width)
    if out is not None:
        check_output_directory(out, [*_REPORTS, *_TASK_FILES])
    searched = [width for width in widths if width not in given and width not in DEFAULT_SEEDS]
    steps = _Steps(
        progress, 2 * len(searched) * _SEARCH + _cost([(w, "", 2 * k, 2 * k + 1) for w in widths for k in (0, 1)], out)
    )
    plan = [(width, *pair) for width in widths for pair in given.get(width) or _default_pairs(width, steps)]
    steps.expect(_cost(plan, out))
    if out is None:
        result = StudyResult(tuple(_compared(plan, steps)), (), None)
    else:
        result = _written(plan, Path(out), steps)
    steps.finish()
    return result


def _cost(plan: Sequence[_PlannedPair], out: str | os.PathLike[str] | None) -> float:
    """What the steps of a plan cost."""
    networks = len({(width, seed) for width, _, *seeds in plan for seed in seeds})
    cost = _LOADING + networks * _TRAINING + len(plan) * _COMPARISON
    if out is not None:
        cost += (len(_TASK_PICTURES) + len(plan) * len(_PAIR_PICTURES)) * _PICTURE + networks * _ANIMATION
    return cost


def _compared(plan: Sequence[_PlannedPair], steps: _Steps) -> Iterator[Pair]:
    """Train and compare pair after pair; networks that pairs share are trained once."""
    trained: dict[tuple[int, int], TrainingHistory] = {}
    steps("loading torch", _LOADING)
    load_torch()
    for width, kind, a, b in plan:
        for seed in (a, b):
            if (width, seed) not in trained:
                steps(f"width {width}: training from seed {seed}", _TRAINING)
                trained[width, seed] = train(width, seed, progress=steps.within)
        steps(f"width {width}: regions and regressions of seeds {a} and {b}", _COMPARISON)
        yield compare(trained[width, a], trained[width, b], kind)


def _written(plan: Sequence[_PlannedPair], folder: Path, steps: _Steps) -> StudyResult:
    """The study with its figures and reports in `folder`: all of them or, if anything fails, none."""
    check_output_directory(folder, [*_REPORTS, *_TASK_FILES, *_pair_files(plan)])
    stale = _files_of_last_run(folder)
    with staged_directory(folder) as stage:
        writer = _Writer(stage, steps)
        writer.task()
        pairs = []
        for pair in _compared(plan, steps):
            writer.pair(pair)
            pairs.append(pair)
        result = StudyResult(tuple(pairs), tuple(writer.figures), folder, tuple(writer.files))
        writer.report(result)
    for name in stale - set(result.files):
        (folder / name).unlink(missing_ok=True)
    return result


def _pair_files(plan: Sequence[_PlannedPair]) -> list[str]:
    names = [f"figures/width-{width}-{kind}-{name}.png" for width, kind, _, _ in plan for name, _, _ in _PAIR_PICTURES]
    stems = [network_stem(width, seed) for width, _, *seeds in plan for seed in seeds]
    return names + [f"figures/{stem}-training.gif" for stem in stems] + [f"latex/{stem}.tex" for stem in stems]


def _files_of_last_run(folder: Path) -> set[str]:
    """Figures and structures that the report in `folder`, if it is a study's, says were written with it."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        names = report["files"] if report["study"] == "xor" else []
        return {name for name in names if _OWN_FILE.fullmatch(name) and (folder / name).is_file()}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _default_pairs(width: int, steps: _Steps) -> list[tuple[str, int, int]]:
    pairs = DEFAULT_SEEDS.get(width) or [_found_pair(width, similar, steps) for similar in (True, False)]
    return [(kind, *seeds) for kind, seeds in zip(("similar", "dissimilar"), pairs, strict=True)]


def _found_pair(width: int, similar: bool, steps: _Steps) -> tuple[int, int]:
    steps(f"looking for a pair of width {width}", _SEARCH)
    return find_pair(width, similar=similar, progress=steps.within)


@dataclass
class _Writer:
    """Draws and writes what a study leaves behind, and remembers it for the report."""

    folder: Path
    steps: _Steps
    figures: list[FigureFile] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part in ("figures", "latex"):
            (self.folder / part).mkdir()

    def task(self) -> None:
        """Pictures of the task and of the hand-made network, and its structure."""
        for name, plot, alt in _TASK_PICTURES:
            self.steps(f"drawing {name}", _PICTURE)
            self._picture(name, plot(), alt, None)
        self._latex("hand-made", hand_made_network())

    def pair(self, pair: Pair) -> None:
        """Pictures, animations and structures of a pair."""
        index = len({figure.pair for figure in self.figures if figure.pair is not None})
        stem = f"width-{pair.width}-{pair.kind}"
        for name, plot, alt in _PAIR_PICTURES:
            self.steps(f"width {pair.width}, {pair.kind} pair: drawing {name}", _PICTURE)
            self._picture(f"{stem}-{name}", plot(pair), f"{alt} (width {pair.width}, {pair.kind} pair)", index)
        for regions in (pair.first, pair.second):
            history = regions.history
            self._animation(history, index)
            self._latex(network_stem(history.width, history.seed), history.network)

    def report(self, result: StudyResult) -> None:
        """``report.json`` and, last of all, ``report.md``."""
        for name, text in (
            ("report.json", json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n"),
            ("report.md", result.markdown()),
        ):
            self._text(self.folder / name, text)

    def _picture(self, name: str, figure: Figure, alt: str, pair: int | None) -> None:
        path = f"figures/{name}.png"
        save_figure(figure, self.folder / path)
        self.figures.append(FigureFile(path, alt, pair))
        self.files.append(path)

    def _animation(self, history: TrainingHistory, pair: int) -> None:
        path = f"figures/{network_stem(history.width, history.seed)}-training.gif"
        # Two pairs may share a network: one animation for both.
        if path not in self.files:
            self.steps(f"width {history.width}: animation of seed {history.seed}", _ANIMATION)
            animate(history, self.folder / path, progress=self.steps.within)
            self.files.append(path)
        alt = f"Training from seed {history.seed} (width {history.width}): decision regions and surface, epoch by epoch"
        self.figures.append(FigureFile(path, alt, pair))

    def _latex(self, stem: str, network: Network) -> None:
        path = f"latex/{stem}.tex"
        if path not in self.files:
            self._text(self.folder / path, latex_file(network))
            self.files.append(path)

    def _text(self, path: Path, text: str) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
