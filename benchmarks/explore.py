"""Regions per second of `gr.explore`, one thread: MNIST 256x2, and He-initialised networks of 2 to 8 inputs.

    python benchmarks/explore.py                # all
    python benchmarks/explore.py --quick        # small ones

The answer is checked before it is timed: points drawn at random within the radius have patterns of the list, and those
within the nearest border have that of the first region.  MNIST needs ../shared/data, or GEOMRELU_DATA.  CPU seconds;
results go to benchmarks/results/explore.json and .md.
"""

from __future__ import annotations

import os

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"

import argparse
import json
import platform
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = Path(os.environ.get("GEOMRELU_DATA", ROOT.parent / "shared" / "data"))
sys.path.insert(0, str(ROOT))

import geomrelu as gr


def he_network(d: int, width: int = 32, depth: int = 2) -> gr.Network:
    rng = np.random.default_rng(0)
    sizes = [d, *[width] * depth, 3]
    weights = [rng.normal(size=(m, n)) * np.sqrt(2 / n) for n, m in pairwise(sizes)]
    return gr.Network(weights, [rng.uniform(-1, 1, len(w)) / np.sqrt(w.shape[1]) for w in weights])


def cases(quick: bool) -> list[tuple[str, gr.Network, Any, Any, int]]:
    found: list[tuple[str, gr.Network, Any, Any, int]] = []
    for d in (2, 4) if quick else (2, 3, 4, 6, 8):
        found += [(f"{d}-32x2", he_network(d), np.full(d, 0.1), norm, 100) for norm in (2, "inf")]
    if (DATA / "onnx").is_dir():
        from geomrelu.importers.files import read_model

        f = read_model(DATA / "onnx" / "mnist-net_256x2.onnx")
        for k, x0 in enumerate(np.load(DATA / "mnist_inputs.npz")["x"][: 1 if quick else 3]):
            found.append((f"MNIST 256x2, image {k}", f, x0, 2, 300))
        found.append(("MNIST 256x2, image 0", f, np.load(DATA / "mnist_inputs.npz")["x"][0], "inf", 20))
    return found


def check(e: Any) -> None:
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(2000, e.network.n_inputs))
    steps /= np.linalg.norm(steps, ord=e.norm, axis=1)[:, None]
    met = {row.tobytes() for row in e.patterns.words}
    assert {row.tobytes() for row in e.network.patterns(e.point + steps * e.radius * 0.999999).words} <= met
    assert e.border is not None
    inside = e.point + steps * e.border.distance * 0.999999
    assert (e.network.pattern_bits(inside) == e.patterns[0].unpack()).all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    gr.explore(he_network(2, 4), [0.0, 0.0], max_regions=5)  # what is compiled
    rows = []
    for name, network, x0, norm, most in cases(options.quick):
        start = time.process_time()
        e = gr.explore(network, x0, max_regions=most, norm=norm)
        seconds = time.process_time() - start
        check(e)
        rows.append({
            "name": name, "norm": str(norm), "regions": e.n_regions, "seconds": seconds, "radius": e.radius,
            "decisions": e.report["rows"], "doubts": e.report["doubts"], "error": float(e.distance_errors.max()),
        })  # fmt: skip
        print(rows[-1], flush=True)
    head = ("network", "norm", "regions", "seconds", "regions a second", "radius", "decisions", "largest error")
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [
        f"| {r['name']} | {r['norm']} | {r['regions']} | {r['seconds']:.2f} | {r['regions'] / r['seconds']:.0f} "
        f"| {r['radius']:.3g} | {r['decisions']} | {r['error']:.0e} |"
        for r in rows
    ]
    note = (
        f"One thread; Python {platform.python_version()}. Processor's seconds, and regions per second of them: the "
        "machine was shared with other work."
    )
    text = "\n".join([*lines, "", note, ""])
    print(text)
    if not options.quick:
        (RESULTS / "explore.json").write_text(json.dumps(rows, indent=1) + "\n")
        (RESULTS / "explore.md").write_text(text)


if __name__ == "__main__":
    main()
