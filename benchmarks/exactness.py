"""What exact signs cost: the default beside the same run that trusts every float, and degenerate networks.

    python benchmarks/exactness.py [--repeats N]

The unchecked run sets all error bounds to zero (`build_complex(..., caution=0)`), so nothing
is ever in doubt.  Generic networks must give the same counts both ways before they are timed;
the runs alternate, and the ratio is the median of the pairs' ratios.  Degenerate networks of the
same size, on which the unchecked run means nothing, follow.  One thread.
"""

from __future__ import annotations

import os

for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import geomrelu as gr
from geomrelu.planar.build import build_complex
from geomrelu.planar.complex import PlanarComplex

RESULTS = Path(__file__).resolve().parent / "results" / "exactness.json"
GENERIC = {"2-64x3": (64,) * 3, "2-128x3": (128,) * 3, "2-128x6": (128,) * 6, "2-256x3": (256,) * 3}
WIDTHS = (64, 64, 64)


def he_network(widths: tuple[int, ...], bias: float = 0.5) -> gr.Network:
    random = np.random.default_rng(0)
    sizes = (2, *widths, 1)
    weights = [random.normal(size=(n, m)) * np.sqrt(2 / m) for m, n in itertools.pairwise(sizes)]
    return gr.Network(
        [w.astype(np.float32) for w in weights],
        [(bias * random.normal(size=len(w))).astype(np.float32) for w in weights],
    )


def ternary_network(widths: tuple[int, ...]) -> gr.Network:
    random = np.random.default_rng(0)
    sizes = (2, *widths, 1)
    weights = [random.integers(-1, 2, size=(n, m)) for m, n in itertools.pairwise(sizes)]
    return gr.Network(weights, [random.integers(-1, 2, size=len(w)) for w in weights])


def timed(network: gr.Network, caution: float) -> tuple[float, PlanarComplex]:
    start = time.perf_counter()
    p = build_complex(network, gr.Box(-1, 1), caution=caution)
    return time.perf_counter() - start, p


def generic_row(name: str, network: gr.Network, repeats: int) -> dict[str, Any]:
    exact, unchecked = timed(network, 1.0)[1], timed(network, 0.0)[1]
    exact.check()
    same = (exact.n_regions, exact.n_edges) == (unchecked.n_regions, unchecked.n_edges)
    pairs = [(timed(network, 1.0)[0], timed(network, 0.0)[0]) for _ in range(repeats)]
    return {
        "network": name,
        "regions": exact.n_regions,
        "exact_s": statistics.median(a for a, _ in pairs),
        "unchecked_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "unchecked_counts": "same" if same else f"{unchecked.n_regions} regions",
        "signs": {k: exact.report[k] for k in ("signs", "signs_filter", "signs_ball", "signs_exact", "signs_zero")},
    }


def degenerate_row(name: str, network: gr.Network, repeats: int) -> dict[str, Any]:
    p = timed(network, 1.0)[1]
    p.check()
    return {
        "network": name,
        "regions": p.n_regions,
        "exact_s": statistics.median(timed(network, 1.0)[0] for _ in range(repeats)),
        "signs": {k: p.report[k] for k in ("signs", "signs_filter", "signs_ball", "signs_exact", "signs_zero")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    timed(he_network((4, 4)), 1.0)
    rows = [generic_row(name, he_network(widths), repeats) for name, widths in GENERIC.items()]
    rows.append(degenerate_row("2-64x3 without biases", he_network(WIDTHS, bias=0.0), repeats))
    rows.append(degenerate_row("2-64x3 ternary", ternary_network(WIDTHS), repeats))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    header = [
        "network",
        "regions",
        "exact, s",
        "unchecked, s",
        "exact / unchecked",
        "unchecked counts",
        "signs in integers",
    ]
    lines = [cells(row) for row in rows]
    markdown = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    markdown += ["| " + " | ".join(line) + " |" for line in lines]
    RESULTS.with_suffix(".md").write_text("\n".join(markdown) + "\n", encoding="utf-8")
    table = Table(title="Exact signs beside unchecked floats, one thread, medians")
    for k, column in enumerate(header):
        table.add_column(column, justify="right" if k else "left")
    for line in lines:
        table.add_row(*line)
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)


def cells(row: dict[str, Any]) -> list[str]:
    times = [f"{row[k]:.3f}" if k in row else "-" for k in ("exact_s", "unchecked_s")]
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else "-"
    signs = f"{row['signs']['signs_exact']:,} of {row['signs']['signs']:,}"
    return [row["network"], f"{row['regions']:,}", *times, ratio, row.get("unchecked_counts", "-"), signs]


if __name__ == "__main__":
    main()
