"""Questions beside the engine: affine maps, locating, the cross-check; and the start of the package.

    python benchmarks/questions.py            # a minute
    python benchmarks/questions.py --quick    # a small network; nothing is written

One thread, exact signs on, seconds of processor time, least of several runs.  Answers are
checked before they are timed: maps by float64 autograd at points inside, regions by the patterns
of a forward pass, the cross-check by its own verdict.  Results go to benchmarks/results/:
questions.json for machines, questions.md for people.
"""

from __future__ import annotations

import os

os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from engine import environment, he_network

import geomrelu as gr
from geomrelu.affine import affine_maps
from geomrelu.importers import as_network
from geomrelu.sampling import sample_maps

RESULTS = ROOT / "benchmarks" / "results"
WIDTHS, QUICK_WIDTHS = (128,) * 3, (24,) * 2


def least(work: Callable[[], Any], repeats: int) -> float:
    """Seconds of processor time, of the quickest run."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def least_of_start(arguments: list[str], repeats: int = 5) -> float:
    """The same of a process of its own."""
    times = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def check(p: Any, model: torch.nn.Module, points: np.ndarray) -> None:
    maps = sample_maps(model, p.centroids)
    # In a sliver the centroid may be a neighbour's.
    seen = p.network.patterns(p.centroids)
    inside = (seen.words == p.patterns.words).all(axis=1)
    assert inside.mean() > 0.99
    np.testing.assert_allclose(p.affine_maps.A[inside], maps.gradients[inside], rtol=1e-9, atol=1e-9)
    regions = p.locate(points)
    assert (regions >= 0).all()
    assert (p.patterns.words[regions] == p.network.patterns(points).words).all(axis=1).mean() > 0.9999


def measured(widths: tuple[int, ...], n_points: int, repeats: int) -> list[dict[str, Any]]:
    model = he_network(widths).double()
    network = as_network(model)
    p = gr.partition(network, gr.Box(-1, 1))
    points = np.random.default_rng(0).uniform(-1, 1, (n_points, 2))
    check(p, model, points)
    n_grid = int(n_points**0.5)
    assert gr.crosscheck(p, n=n_grid).ok
    vertices = torch.from_numpy(p.vertices.copy())

    def forward() -> None:
        with torch.no_grad():
            for block in vertices.split(4096):
                model(block)

    seconds = {
        f"forward pass over the {p.n_vertices:,} vertices": least(forward, repeats),
        f"affine maps of all {p.n_regions:,} regions": least(lambda: affine_maps(network, p.patterns), repeats),
        f"locate {n_points:,} points": least(lambda: p.locate(points), repeats),
        f"crosscheck with {n_grid**2:,} samples": least(lambda: gr.crosscheck(p, n=n_grid), 1),
        "import geomrelu": least_of_start(["-c", "import geomrelu"]),
        "geomrelu --help": least_of_start(["-m", "geomrelu", "--help"]),
    }
    return [{"question": question, "seconds": s} for question, s in seconds.items()]


def markdown(rows: list[dict[str, Any]], widths: tuple[int, ...]) -> str:
    forward = rows[0]["seconds"]
    notes = [
        "",
        f"{rows[1]['seconds'] / forward:.2f} of the forward pass",
        f"{int(rows[2]['question'].split()[1].replace(',', '')) / rows[2]['seconds'] / 1e6:.2f} million a second",
        "",
        "",
        "",
    ]
    lines = ["| question | seconds | |", "|---|---:|---|"]
    lines += [f"| {r['question']} | {r['seconds']:.3g} | {note} |" for r, note in zip(rows, notes, strict=True)]
    where = environment()
    name = f"2-{widths[0]}x{len(widths)}"
    lines += ["", f"{name} on [-1, 1]^2; seconds of processor time, one thread of {where['processor']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Questions beside the engine.")
    parser.add_argument("--quick", action="store_true", help="a small network; nothing is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    widths = QUICK_WIDTHS if options.quick else WIDTHS
    rows = measured(widths, 10_000 if options.quick else 1_000_000, 1 if options.quick else 3)
    table = markdown(rows, widths)
    print(table)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        content = {"environment": environment(), "rows": rows}
        (RESULTS / "questions.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "questions.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
