"""What answers cost on a finished partition, beside the partition itself.

    python benchmarks/answers.py [--quick] [--repeats N]

Every question is asked of the same partition.  What several of them share is made once and has rows of its
own: the regions' maps, the outputs at the vertices (which no question finds tightened by another one before
it) and the classes' ties.  The comparison is asked of the partition of two networks, the integrated gradients beside
that of the same segments.  Times are CPU seconds, the least of the repeats; one thread.  Results go to
benchmarks/results/: answers.json for machines, answers.md for people.
"""

from __future__ import annotations

import os

for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import argparse
import copy
import gc
import itertools
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import geomrelu as gr
from geomrelu.affine import affine_maps
from geomrelu.analysis.boundary import class_ties
from geomrelu.analysis.comparison import Comparison, comparison
from geomrelu.analysis.creases import creases
from geomrelu.analysis.outputs import VertexOutputs
from geomrelu.analysis.table import region_columns
from geomrelu.planar.complex import PlanarComplex

RESULTS = Path(__file__).resolve().parent / "results" / "answers.json"
# Hidden widths, outputs, and the widths of each of two networks whose refinement is about as large.
NETWORKS = {"2-64x3": ((64,) * 3, 1, (35,) * 3), "2-64x3-3": ((64,) * 3, 3, (35,) * 3),
            "2-256x4-3": ((256,) * 4, 3, (150,) * 4)}  # fmt: skip
DOMAIN = gr.Box(-2, 2)

Question = tuple[str, Callable[[PlanarComplex], Any]]
SHARED: list[Question] = [
    ("maps of the regions", lambda p: affine_maps(p.network, p.patterns)),
    ("outputs at the vertices", VertexOutputs),
    ("ties of the classes", class_ties),
]
QUESTIONS: list[Question] = [
    ("decision boundary", lambda p: p.decision_boundary()),
    ("level set", lambda p: p.level_set(float(p.network(np.zeros((1, 2)))[0, 0]))),
    ("class regions", lambda p: p.class_regions()),
    ("maximum", lambda p: p.maximum()),
    ("output range", lambda p: p.output_range()),
    ("verify", lambda p: p.verify("-1000 < y0 and y0 <= 1000")),
    ("lipschitz, 1-norm", lambda p: p.lipschitz(1)),
    ("lipschitz, 2-norm", lambda p: p.lipschitz(2)),
    ("lipschitz, infinity-norm", lambda p: p.lipschitz(float("inf"))),
    ("integral", lambda p: p.integral()),
    ("integral of products", lambda p: p.integral(products=True)),
    ("covariance", lambda p: p.covariance()),
    ("table, without pandas", region_columns),
    ("histogram", lambda p: p.histogram("inradius")),
    ("crease", creases),
    ("local complexity, 4096 discs of radius 0.01", lambda p: p.local_complexity(_grid(p), 0.01)),
    ("betti, level 0", lambda p: p.betti()),
    ("betti of classes", lambda p: p.class_betti()),
]


def _grid(p: PlanarComplex) -> Any:
    low, high = p.domain.vertices.min(axis=0), p.domain.vertices.max(axis=0)
    return np.stack(np.meshgrid(*np.linspace(low, high, 64).T), axis=-1).reshape(-1, 2)


def he_network(widths: tuple[int, ...], n_outputs: int, seed: int = 0) -> gr.Network:
    random = np.random.default_rng(seed)
    sizes = (2, *widths, n_outputs)
    weights = [random.normal(size=(n, m)) * np.sqrt(2 / m) for m, n in itertools.pairwise(sizes)]
    return gr.Network(
        [w.astype(np.float32) for w in weights],
        [(0.5 * random.normal(size=len(w))).astype(np.float32) for w in weights],
    )


def untouched(outputs: VertexOutputs) -> VertexOutputs:
    """Outputs at the vertices as if just made; of `outputs` itself nothing is ever asked."""
    fresh = copy.copy(outputs)
    for name, value in vars(outputs).items():
        if isinstance(value, np.ndarray):
            setattr(fresh, name, value.copy())
    return fresh


def least(question: Callable[[], Any], repeats: int, prepare: Callable[[], Any] = lambda: None) -> float:
    times = []
    for _ in range(repeats):
        prepare()
        gc.collect()
        start = time.process_time()
        question()
        times.append(time.process_time() - start)
    return min(times)


def rows_of(name: str, network: gr.Network, repeats: int) -> list[dict[str, Any]]:
    base = least(lambda: gr.partition(network, DOMAIN), repeats)
    p = gr.partition(network, DOMAIN)
    p.check()
    # A smaller partition has compiled everything before anything is timed.
    small = gr.partition(network, gr.Box(-0.05, 0.05))
    rows = [row("partition", p.n_regions, base, base)]
    for question, ask in SHARED:
        ask(small)
        rows.append(row(question, p.n_regions, least(partial(ask, p), repeats), base))
    outputs = VertexOutputs(p)
    vars(p)["_vertex_outputs"] = untouched(outputs)
    _ = p.affine_maps, p._class_ties, p._creases, p.areas, p.centroids

    def prepare() -> None:
        vars(p)["_vertex_outputs"] = untouched(outputs)

    for question, ask in QUESTIONS:
        ask(small)
        rows.append(row(question, p.n_regions, least(partial(ask, p), repeats, prepare), base))
    return [{"network": name, **each} for each in rows]


def rows_of_two(name: str, a: gr.Network, b: gr.Network, repeats: int) -> list[dict[str, Any]]:
    """The comparison, and the regression of its maps, beside the partition of both networks."""
    both = gr.joint(a, b)
    base = least(lambda: gr.partition(both, DOMAIN), repeats)
    p = gr.partition(both, DOMAIN)
    small = gr.partition(both, gr.Box(-0.05, 0.05))
    outputs = VertexOutputs(p)
    _ = p.affine_maps, p.areas, comparison(small, a, b).regression()

    def prepare() -> None:
        vars(p)["_vertex_outputs"] = untouched(outputs)

    found: list[Comparison] = []
    seconds = least(lambda: found.append(comparison(p, a, b)), repeats, prepare)
    rows = [
        row("partition of two networks", p.n_regions, base, base),
        row("compare", p.n_regions, seconds, base),
        row("regression of the maps", p.n_regions, least(found[-1].regression, repeats), base),
    ]
    return [{"network": name, **each} for each in rows]


def rows_of_segments(name: str, network: gr.Network, repeats: int) -> list[dict[str, Any]]:
    """Integrated gradients of a hundred inputs, beside the partition of the segments that they take."""
    x, baseline = np.random.default_rng(1).uniform(-2, 2, (2, 100, 2))
    base = least(lambda: gr.partition(network, gr.Segments(baseline, x)), repeats)
    n = gr.partition(network, gr.Segments(baseline, x)).n_regions
    seconds = least(lambda: gr.integrated_gradients(network, x, baseline, 0), repeats)
    rows = [row("partition of 100 segments", n, base, base), row("integrated gradients along them", n, seconds, base)]
    return [{"network": name, **each} for each in rows]


def row(question: str, n_regions: int, seconds: float, base: float) -> dict[str, Any]:
    return {"question": question, "regions": n_regions, "seconds": seconds, "share": seconds / base}


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| network | question | regions or pieces | CPU s | microseconds each | share of the partition |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for each in rows:
        per_region = 1e6 * each["seconds"] / each["regions"]
        lines.append(
            f"| {each['network']} | {each['question']} | {each['regions']:,} | {each['seconds']:.3g} | "
            f"{per_region:.2f} | {each['share']:.2f} |"
        )
    where = f"One thread, {platform.machine()}, Python {platform.python_version()}, on {DOMAIN!r}."
    return "\n".join([*lines, "", where]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smaller networks only; nothing is written")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for name in list(NETWORKS)[:2] if options.quick else list(NETWORKS):
        widths, n_outputs, half = NETWORKS[name]
        network = he_network(widths, n_outputs)
        rows += rows_of(name, network, options.repeats)
        rows += rows_of_two(name, he_network(half, n_outputs), he_network(half, n_outputs, 1), options.repeats)
        rows += rows_of_segments(name, network, options.repeats)
    table = Table("network", "question", "regions", "CPU s", "microseconds each", "share of the partition")
    for each in rows:
        per_region = f"{1e6 * each['seconds'] / each['regions']:.2f}"
        figures = (f"{each['regions']:,}", f"{each['seconds']:.3g}", per_region, f"{each['share']:.2f}")
        table.add_row(each["network"], each["question"], *figures)
    Console(width=140).print(table)
    if not options.quick:
        RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
