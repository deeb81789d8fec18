"""Growth, memory and workers: time per region from 10^4 to some 10^6 regions, peak memory, one core and two.

    python benchmarks/scaling.py             # minutes
    python benchmarks/scaling.py --quick     # seconds; nothing is written

Each measurement runs in a process of its own, which holds numpy and the engine but not torch,
so that its peak memory is its own.  Counts of one network on one box must agree between kept
and streamed runs and for any number of workers.  Results go to benchmarks/results/:
scaling.json for machines, scaling.md and scaling.png for people.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

# (widths, half-width of the box, kept or streamed, workers)
Job = tuple[tuple[int, ...], float, str, int]
GROWTH: list[Job] = [((512,) * 3, half, "stream", 1) for half in (0.05, 0.15, 0.5, 1.5, 6.0)]
MEMORY: list[Job] = [
    ((512,) * 4, 1.0, "keep", 1),
    ((512,) * 4, 1.0, "stream", 1),
    ((1000,), 1.0, "keep", 1),
    ((128,) * 6, 1.0, "keep", 1),
]
WORKERS: list[Job] = [((256,) * 4, 1.0, mode, jobs) for mode in ("keep", "stream") for jobs in (1, 2, 1, 2, 1, 2)]
QUICK: list[Job] = [((64,) * 3, 1.0, mode, jobs) for mode in ("keep", "stream") for jobs in (1, 2)]

WORKER = """
import json, resource, sys, time
import numpy as np
import geomrelu as gr
path, half, mode, jobs = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with np.load(path) as arrays:
    n = len(arrays.files) // 2
    network = gr.Network([arrays[f"W{k}"] for k in range(n)], [arrays[f"b{k}"] for k in range(n)])
gr.partition(gr.Network([np.eye(2), np.ones((1, 2))]), gr.Box(-1, 1))  # compiles, or loads
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
box = gr.Box(-half, half)
if mode == "keep":
    p = gr.partition(network, box, n_jobs=jobs)
    regions, report = p.n_regions, p.report
else:
    found = gr.aggregate(network, box, ["regions"], n_jobs=jobs)
    regions, report = found["regions"], found.report
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if mode == "keep":
    assert p.n_vertices - p.n_edges + p.n_regions == 1 and abs(p.areas.sum() / p.domain.area - 1) < 1e-9
print(json.dumps({"regions": regions, "seconds": seconds, "peak_bytes": peak * 1024, "before_bytes": before * 1024,
                  "stages": report["seconds"], "signs": report["signs"], "signs_exact": report["signs_exact"]}))
"""


def saved_network(widths: tuple[int, ...], folder: Path) -> Path:
    """The network of the other benchmarks, as a file."""
    path = folder / f"{'_'.join(map(str, widths))}.npz"
    if not path.exists():
        sys.path.insert(0, str(ROOT / "benchmarks"))
        import numpy as np
        from engine import he_network

        from geomrelu.importers import as_network

        arrays = {}
        for k, layer in enumerate(as_network(he_network(widths)).layers):
            arrays |= {f"W{k}": layer.weight, f"b{k}": layer.bias}
        np.savez(path, **arrays)
    return path


def measure(job: Job, folder: Path) -> dict[str, Any]:
    widths, half, mode, jobs = job
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(saved_network(widths, folder)), str(half), mode, str(jobs)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        raise SystemExit(f"{job}: {done.stderr}")
    name = f"2-{widths[0]}x{len(widths)}" if len(widths) > 1 else f"2-{widths[0]}"
    return {"network": name, "half": half, "mode": mode, "jobs": jobs, **json.loads(done.stdout.splitlines()[-1])}


def check(rows: list[dict[str, Any]]) -> None:
    """One network on one box has one number of regions."""
    counts: dict[tuple[str, float], int] = {}
    for row in rows:
        key = row["network"], row["half"]
        if counts.setdefault(key, row["regions"]) != row["regions"]:
            raise SystemExit(f"wrong answer: {key} has {counts[key]} and {row['regions']} regions")


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| network | box | | workers | regions | seconds | us / region | peak, MB | before, MB |"]
    lines += ["|---|---|---|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        numbers = [f"{row['seconds']:.3g}", f"{1e6 * row['seconds'] / row['regions']:.2f}"]
        numbers += [f"{row[key] / 1e6:,.0f}" for key in ("peak_bytes", "before_bytes")]
        box = f"[-{row['half']:g}, {row['half']:g}]^2"
        lines.append(
            f"| {row['network']} | {box} | {row['mode']} | {row['jobs']} | {row['regions']:,} | {' | '.join(numbers)} |"
        )
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    growth = [row for row in rows if row["network"] == "2-512x3"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    regions = [row["regions"] for row in growth]
    left.plot(regions, [1e6 * row["seconds"] / row["regions"] for row in growth], "o-", color="#0072B2")
    left.set(xscale="log", ylim=(0, None), xlabel="regions", ylabel="microseconds per region", title="Time")
    right.plot(regions, [row["peak_bytes"] / 1e6 for row in growth], "o-", color="#D55E00")
    right.set(xscale="log", ylim=(0, None), xlabel="regions", ylabel="MB", title="Peak memory, streamed")
    figure.suptitle("2-512x3 on growing boxes, one thread")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Growth, memory and workers.")
    parser.add_argument("--quick", action="store_true", help="a small network, seconds; nothing is written")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for job in QUICK if options.quick else GROWTH + MEMORY + WORKERS:
            rows.append(measure(job, Path(folder)))
            print(markdown(rows).splitlines()[-1], flush=True)
    check(rows)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "scaling.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "scaling.md").write_text(markdown(rows), encoding="utf-8")
        plot(rows, RESULTS / "scaling.png")


if __name__ == "__main__":
    main()
