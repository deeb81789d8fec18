"""What answers cost on a finished partition, beside the partition itself.

    python benchmarks/answers.py [--quick] [--repeats N]

Every question is asked of the same partition.  What several of them share is made once and has rows of its
own: the regions' maps, and the outputs at the vertices.  Times are CPU seconds, the least of the repeats; one thread.
"""

from __future__ import annotations

import os

for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import argparse
import gc
import itertools
import json
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
from geomrelu.analysis.creases import creases
from geomrelu.analysis.outputs import VertexOutputs
from geomrelu.analysis.table import region_columns
from geomrelu.planar.complex import PlanarComplex

RESULTS = Path(__file__).resolve().parent / "results" / "answers.json"
NETWORKS = {"2-64x3": ((64,) * 3, 1), "2-64x3-3": ((64,) * 3, 3), "2-256x4": ((256,) * 4, 1)}

Question = tuple[str, Callable[[PlanarComplex], Any]]
SHARED: list[Question] = [
    ("maps of the regions", lambda p: affine_maps(p.network, p.patterns)),
    ("outputs at the vertices", VertexOutputs),
]
QUESTIONS: list[Question] = [
    ("decision boundary", class_ties),
    ("level set", lambda p: p.level_set(float(p.network(np.zeros((1, 2)))[0, 0]))),
    ("class regions", lambda p: p.class_regions()),
    ("maximum", lambda p: p.maximum()),
    ("verify", lambda p: p.verify("-1000 < y0 and y0 <= 1000")),
    ("lipschitz", lambda p: p.lipschitz()),
    ("integral", lambda p: p.integral()),
    ("covariance", lambda p: p.covariance()),
    ("table, without pandas", region_columns),
    ("crease", creases),
    ("local complexity, 4096 discs of radius 0.01", lambda p: p.local_complexity(_grid(p), 0.01)),
    ("betti, level 0", lambda p: p.betti()),
    ("betti of classes", lambda p: p.class_betti()),
]


def _grid(p: PlanarComplex) -> Any:
    low, high = p.domain.vertices.min(axis=0), p.domain.vertices.max(axis=0)
    return np.stack(np.meshgrid(*np.linspace(low, high, 64).T), axis=-1).reshape(-1, 2)


def he_network(widths: tuple[int, ...], n_outputs: int) -> gr.Network:
    random = np.random.default_rng(0)
    sizes = (2, *widths, n_outputs)
    weights = [random.normal(size=(n, m)) * np.sqrt(2 / m) for m, n in itertools.pairwise(sizes)]
    return gr.Network(
        [w.astype(np.float32) for w in weights],
        [(0.5 * random.normal(size=len(w))).astype(np.float32) for w in weights],
    )


def least(question: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        question()
        times.append(time.process_time() - start)
    return min(times)


def rows_of(name: str, network: gr.Network, repeats: int) -> list[dict[str, Any]]:
    gr.partition(network, gr.Box(-0.1, 0.1))
    base = least(lambda: gr.partition(network, gr.Box(-1, 1)), repeats)
    p = gr.partition(network, gr.Box(-1, 1))
    p.check()
    # A smaller partition has compiled everything before anything is timed.
    small = gr.partition(network, gr.Box(-0.05, 0.05))
    rows: list[dict[str, Any]] = [{"question": "partition", "seconds": base}]
    for question, ask in [*SHARED, *QUESTIONS]:
        if (question, ask) in QUESTIONS:
            _ = p.affine_maps, p._vertex_outputs, p._creases, p.areas, p.centroids
            ask(small)
        rows.append({"question": question, "seconds": least(partial(ask, p), repeats)})
    return [{"network": name, "regions": p.n_regions, **row, "share": row["seconds"] / base} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smaller networks only")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    names = list(NETWORKS)[:2] if options.quick else list(NETWORKS)
    rows = [row for name in names for row in rows_of(name, he_network(*NETWORKS[name]), options.repeats)]
    table = Table("network", "regions", "question", "CPU s", "microseconds a region", "share of the partition")
    for row in rows:
        each = f"{1e6 * row['seconds'] / row['regions']:.2f}"
        figures = (f"{row['regions']:,}", row["question"], f"{row['seconds']:.3g}", each, f"{row['share']:.2f}")
        table.add_row(row["network"], *figures)
    Console(width=140).print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
