"""The study's results as a table, as Markdown and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomrelu.analysis.regression import map_rows
from geomrelu.experiments.handmade import hand_made_network, map_text
from geomrelu.experiments.latex import COORDINATES, network_latex
from geomrelu.experiments.pairs import DECIMALS, DIRECTIONS, GRID, TOLERANCE, Pair, Regions
from geomrelu.network import Network

__all__ = ["ORIGINAL_COUNTS", "FigureFile", "StudyResult", "network_stem"]

#: Distinct maps that the original study's samples showed, for its two networks of each width.
ORIGINAL_COUNTS = {2: (3, 3), 20: (55, 54), 100: (1079, 1399)}
#: Networks up to this width are written out in the report; wider ones in files beside it.
_INLINE_WIDTH = 4
_WAY_NAMES = {"sampled": "sampled, all", "corners": "sampled, 4 corners", "exact": "exact, by area"}


@dataclass(frozen=True)
class FigureFile:
    """A picture of the report.

    Attributes
    ----------
    path : str
        Relative to the report, with forward slashes.
    alt : str
        What it shows.
    pair : int or None
        Index of the pair that it belongs to; None for pictures of the task.
    """

    path: str
    alt: str
    pair: int | None


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What a study found.

    Attributes
    ----------
    pairs : tuple of Pair
    figures : tuple of FigureFile
        Empty if no output directory was given.
    out : Path or None
    files : tuple of str
        Every file below `out` but the reports.
    """

    pairs: tuple[Pair, ...]
    figures: tuple[FigureFile, ...]
    out: Path | None
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Every count, score and figure as plain JSON values."""
        return {
            "study": "xor",
            "domain": [[-1.0, -1.0], [1.0, 1.0]],
            "grid": GRID,
            "tolerance": TOLERANCE,
            "decimals": DECIMALS,
            "original_sampled_maps": {str(width): list(counts) for width, counts in ORIGINAL_COUNTS.items()},
            "hand_made": _hand_made(),
            "pairs": [
                {**pair.to_dict(), "figures": [f.path for f in self.figures if f.pair == index]}
                for index, pair in enumerate(self.pairs)
            ],
            # Two pairs may share a network and so a picture: named once.
            "figures": [{"path": f.path, "alt": f.alt} for f in {f.path: f for f in self.figures}.values()],
            "files": list(self.files),
        }

    def table(self) -> str:
        """The main counts and scores as plain text of at most 80 columns."""
        networks = [["width", "pair", "network", "seed", "loss", "regions", "sampled maps"]]
        scores = [["width", "pair", "cells", "agree", "predicts", "exact", "sampled", "4 corners"]]
        for pair in self.pairs:
            for k, regions in enumerate((pair.first, pair.second), start=1):
                history, p = regions.history, regions.partition
                facts = (pair.width, pair.kind, k, history.seed, f"{history.loss:.2e}", p.n_regions)
                networks.append([str(fact) for fact in (*facts, regions.samples.n_maps)])
            for direction in DIRECTIONS:
                found = [_short(pair.regressions[direction, way].score) for way in ("exact", "sampled")]
                # Four rows are fitted without error by almost anything: what counts is how that does elsewhere.
                corners = pair.regressions[direction, "corners"]
                found.append(_short(corners.score_on(*pair.rows(direction, "sampled"))))
                cells, agree = str(pair.refinement.n_regions), f"{pair.agreement:.1%}"
                scores.append([str(pair.width), pair.kind, cells, agree, direction, *found])
        heads = (
            "Regions of the networks, exact and sampled",
            "R2 of predicting one network's maps from the other's: over the exact cells by\n"
            "area, over all samples, and over all samples if fitted to the 4 corners only",
        )
        blocks = zip(heads, (networks, scores), strict=True)
        return "\n\n".join(f"{head}\n\n{_plain_table(rows)}" for head, rows in blocks)

    def markdown(self) -> str:
        """The report, with links to the figures relative to the output directory."""
        sections = [_introduction(), self._task_section(), self._count_section()]
        sections += [self._pair_section(index, pair) for index, pair in enumerate(self.pairs)]
        return "\n\n".join(sections) + "\n"

    def _links(self, pair: int | None) -> str:
        return "\n\n".join(f"![{f.alt}]({f.path})" for f in self.figures if f.pair == pair)

    def _task_section(self) -> str:
        found = _hand_made()
        maps = ", ".join(map_text(row) for row in map_rows_of_hand_made())
        blocks = [
            "## The task, and a network made by hand",
            f"$f(x) = 2\\,\\mathrm{{relu}}(x_1 + x_2 + 1) - 4\\,\\mathrm{{relu}}(x_1 + x_2) - 1$ has exactly "
            f"{found['exact_regions']} regions, with the maps {maps}.",
            self._links(None),
            *self._structures("Its structure", "hand-made", hand_made_network()),
        ]
        return "\n\n".join(block for block in blocks if block)

    def _count_section(self) -> str:
        head = [
            "width", "pair", "network", "seed", "attempts", "loss", "exact regions", "linear regions", "affine pieces",
            f"sampled maps (tol {TOLERANCE:g})", "regions met by samples", "original study's samples",
        ]  # fmt: skip
        rows = []
        for pair in self.pairs:
            original = " / ".join(str(n) for n in ORIGINAL_COUNTS.get(pair.width, ())) or "–"
            for k, regions in enumerate((pair.first, pair.second), start=1):
                d = regions.to_dict()
                rows.append(
                    [
                        *(pair.width, pair.kind, k, d["seed"], d["attempts"], f"{d['loss']:.2e}"),
                        *(d["exact_regions"], d["linear_regions"], d["affine_pieces"], d["sampled_maps"]),
                        *(d["regions_met_by_samples"], original),
                    ]
                )
        note = (
            "The original study's networks were other ones: its counts are for orientation only. A region smaller than "
            "the grid can be missed, and maps closer than the tolerance count as one."
        )
        return "\n\n".join(["## Regions, exact and sampled", _markdown_table(head, rows), note])

    def _pair_section(self, index: int, pair: Pair) -> str:
        one, two = pair.first, pair.second
        head = ["direction", "way", "rows", "R² on its own rows", "R² on all samples", "R² on exact cells, by area"]
        rows = [
            [
                *(score["direction"].replace("->", " → "), _WAY_NAMES[score["way"]], score["rows"]),
                *(f"{score[key]:.4f}" for key in ("score", "score_on_samples", "score_on_exact_cells")),
            ]
            for score in pair.scores()
        ]
        return "\n\n".join(
            [
                f"## Width {pair.width}, {pair.kind} pair: seeds {one.history.seed} and {two.history.seed}",
                f"The networks have {one.partition.n_regions} and {two.partition.n_regions} regions; their common "
                f"refinement has {pair.refinement.n_regions} cells. They decide alike on {pair.agreement:.2%} of the "
                "area.",
                _markdown_table(head, rows),
                *([self._links(index)] if self.figures else []),
                *(block for regions in (one, two) for block in self._structure(regions)),
            ]
        )

    def _structure(self, regions: Regions) -> list[str]:
        history = regions.history
        stem = network_stem(history.width, history.seed)
        return self._structures(f"Structure of the network from seed {history.seed}", stem, history.network)

    def _structures(self, title: str, stem: str, network: Network) -> list[str]:
        """A network written out if it is small, with a link to the file that holds it in any case."""
        name = f"latex/{stem}.tex"
        link = f" ([{name}]({name}))" if name in self.files else ""
        if max(network.widths, default=0) <= _INLINE_WIDTH:
            displays = (f"$$\n{network_latex(network, coordinates)}\n$$" for coordinates in COORDINATES)
            return [f"{title}, in the coordinates of $[-1, 1]^2$ and of $[0, 1]^2${link}:", *displays]
        return [f"{title}, in both coordinates{link}."] if link else []


def network_stem(width: int, seed: int) -> str:
    """Name of a network's files."""
    return f"width-{width}-seed-{seed}"


def _introduction() -> str:
    return (
        "# The XOR study\n\n"
        "2-W-1 ReLU networks trained on XOR (mean squared error, SGD at 0.1, full batch, 100 epochs, fresh "
        "initialisation until all four signs are right), and their affine maps over $[-1, 1]^2$, both ways:\n\n"
        f"- **sampled**: gradient and intercept by autograd on a {GRID} × {GRID} grid plus the four corners; distinct "
        f"maps within {TOLERANCE:g}; for the regressions rounded to {DECIMALS} decimals;\n"
        "- **exact**: every activation region with its polygon and its map.\n\n"
        "Regressions go from one network's maps (two gradient entries and an intercept) to the other's. The exact way "
        "has one row for each cell of the common refinement of both partitions, weighted by its area. R² is the mean "
        "over the three entries; fitted to four rows only it says little about the rest of the domain. Similar and "
        "dissimilar pairs are those that decide alike on the most and on the least of the area among a few seeds. "
        "In pictures of predicted surfaces, heights far outside the networks' own range are cut off."
    )


def map_rows_of_hand_made() -> Any:
    """The hand-made network's maps, (3, 3), by increasing position along (1, 1)."""
    import geomrelu as gr

    p = gr.partition(hand_made_network(), gr.Box(-1, 1))
    return map_rows(p.affine_maps.A, p.affine_maps.b)[p.centroids.sum(axis=1).argsort()]


def _hand_made() -> dict[str, Any]:
    rows = map_rows_of_hand_made()
    return {
        "formula": "2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1",
        "exact_regions": len(rows),
        "maps": [{"gradient": row[:2].tolist(), "intercept": float(row[2])} for row in rows],
    }


def _markdown_table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _plain_table(rows: list[list[str]]) -> str:
    """Columns two blanks apart, the first row as the head; numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    numeric = [all(row[k][:1] in "-.0123456789" and "->" not in row[k] for row in rows[1:]) for k in range(len(widths))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _short(score: float) -> str:
    return f"{score:.4f}" if abs(score) < 1000 else f"{score:.3g}"
