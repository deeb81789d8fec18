"""Growth, memory and workers: time per region and memory from 10^4 to 10^7 regions, one core and two.

    python benchmarks/scaling.py                  # many minutes
    python benchmarks/scaling.py --only growth    # one part; the others' results stay
    python benchmarks/scaling.py --quick          # seconds; nothing is written

Growth is that of one network on larger and larger boxes.  A random network has most of its
regions near the origin, so its density falls; here a first layer makes two triangle waves, u
and v, of two directions, and random layers act on (u, v): every cell of the waves has about as
many regions.

Each measurement runs in a process of its own, which holds numpy and the engine but not torch,
so that its peak memory is its own: that of its first run.  Times are medians of up to five runs,
as many as begin within eight seconds: a process's first touch of its memory is not all there is
to a short one.  Counts of one network on one box must agree between kept and streamed runs and
for any number of workers.  Results go to benchmarks/results/: scaling.json for machines,
scaling.md and scaling.png for people.
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

WAVES = "waves"
# Periods of each wave: cells of 34,000 regions.
N_WAVES, BEHIND = 18, (112,) * 3

# (widths, half-width of the box, kept or streamed, workers)
Job = tuple[Any, float, str, int]
PARTS: dict[str, list[Job]] = {
    "growth": [(WAVES, half, "stream", 1) for half in (0.2, 0.86, 2.7, 8.6)],
    "memory": [
        ((512,) * 4, 1.0, "keep", 1),
        ((512,) * 4, 1.0, "stream", 1),
        ((1000,), 1.0, "keep", 1),
        ((128,) * 6, 1.0, "keep", 1),
    ],
    "workers": [((256,) * 4, 1.0, mode, jobs) for mode in ("keep", "stream") for jobs in (1, 2, 1, 2, 1, 2)],
}
QUICK: list[Job] = [
    *(((64,) * 3, 1.0, mode, jobs) for mode in ("keep", "stream") for jobs in (1, 2)),
    (WAVES, 0.27, "stream", 1),
]

WORKER = """
import json, resource, sys, time
import numpy as np
import geomrelu as gr
path, half, mode, jobs = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with np.load(path) as arrays:
    n = len(arrays.files) // 2
    network = gr.Network([arrays[f"W{k}"] for k in range(n)], [arrays[f"b{k}"] for k in range(n)])
gr.partition(gr.Network([np.eye(2), np.ones((1, 2))]), gr.Box(-1, 1))  # compiles
gr.count_regions(network, gr.Box(-half / 8, half / 8), n_jobs=jobs)  # loads what was compiled, and starts the workers
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
box = gr.Box(-half, half)
runs, peak = [], None
while not runs or (len(runs) < 5 and sum(runs)[0] < 8):
    p = found = None  # what the run before has kept
    start, cpu = time.perf_counter(), time.process_time()
    if mode == "keep":
        p = gr.partition(network, box, n_jobs=jobs)
        regions, report = p.n_regions, p.report
    else:
        found = gr.aggregate(network, box, ["regions"], n_jobs=jobs)
        regions, report = found["regions"], found.report
    runs.append(np.array([time.perf_counter() - start, time.process_time() - cpu]))
    peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds, cpu_seconds = np.median(runs, axis=0).tolist()
if mode == "keep":
    assert p.n_vertices - p.n_edges + p.n_regions == 1 and abs(p.areas.sum() / p.domain.area - 1) < 1e-9
print(json.dumps({"regions": regions, "runs": len(runs), "seconds": seconds, "cpu_seconds": cpu_seconds,
                  "peak_bytes": peak * 1024, "before_bytes": before * 1024,
                  "stages": report["seconds"], "signs": report["signs"], "signs_exact": report["signs_exact"]}))
"""


def wave_network() -> list[tuple[Any, Any]]:
    """Weights and biases of random layers behind two triangle waves; float64, seed 0."""
    import numpy as np

    rng = np.random.default_rng(0)
    kinks = np.arange(N_WAVES) - N_WAVES // 2 + np.array([[0.41], [0.57]])
    directions = [[np.cos(angle), np.sin(angle)] for angle in (0.3, 1.9)]
    slopes = 4 * (-1.0) ** np.arange(N_WAVES)
    slopes[0] /= 2
    waves, offset = np.kron(np.eye(2), slopes), -np.ones(2)
    layers = [(np.repeat(directions, N_WAVES, axis=0), -kinks.ravel())]
    size = 2
    for width in BEHIND:
        weight = rng.standard_normal((width, size)) * np.sqrt(2 / size)
        bias = rng.uniform(-1, 1, width) / np.sqrt(size)
        layers.append((weight @ waves, bias + weight @ offset) if size == 2 else (weight, bias))
        size = width
    return [*layers, (rng.standard_normal((1, size)) * np.sqrt(2 / size), np.zeros(1))]


def he_layers(widths: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """The network of the other benchmarks."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from engine import he_network

    from geomrelu.importers import as_network

    return [(layer.weight, layer.bias) for layer in as_network(he_network(widths)).layers]


def saved_network(widths: Any, folder: Path) -> Path:
    """The network as a file."""
    import numpy as np

    path = folder / f"{name_of(widths)}.npz"
    if not path.exists():
        layers = wave_network() if widths == WAVES else he_layers(widths)
        np.savez(path, **{f"{kind}{k}": v for k, pair in enumerate(layers) for kind, v in zip("Wb", pair, strict=True)})
    return path


def name_of(widths: Any) -> str:
    if widths == WAVES:
        return f"2-{2 * N_WAVES}-{BEHIND[0]}x{len(BEHIND)}"
    return f"2-{widths[0]}x{len(widths)}" if len(widths) > 1 else f"2-{widths[0]}"


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
    return {
        "network": name_of(widths),
        "half": half,
        "mode": mode,
        "jobs": jobs,
        **json.loads(done.stdout.splitlines()[-1]),
    }


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


def growth_line(rows: list[dict[str, Any]]) -> str:
    """How flat time and memory are."""
    times = [row["cpu_seconds"] / row["regions"] for row in rows]
    memory = rows[-1]["peak_bytes"] / rows[-2]["peak_bytes"]
    told = ", ".join(f"{1e6 * t:.1f}" for t in times)
    return (
        f"Growth: processor time per region {told} us from {rows[0]['regions']:,} to "
        f"{rows[-1]['regions']:,} regions; peak memory of the last {memory:.2f} times that of the one before.\n"
    )


def plot(growth: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    regions = [row["regions"] for row in growth]
    left.plot(regions, [1e6 * row["cpu_seconds"] / row["regions"] for row in growth], "o-", color="#0072B2")
    left.set(xscale="log", ylim=(0, None), xlabel="regions", ylabel="microseconds per region", title="Processor time")
    right.plot(regions, [row["peak_bytes"] / 1e6 for row in growth], "o-", color="#D55E00")
    right.set(xscale="log", ylim=(0, None), xlabel="regions", ylabel="MB", title="Peak memory, streamed")
    figure.suptitle(f"{growth[0]['network']} on growing boxes, one thread")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Growth, memory and workers.")
    parser.add_argument("--quick", action="store_true", help="small networks, seconds; nothing is written")
    parser.add_argument("--only", choices=list(PARTS), help="one part; the others' results stay")
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    if options.only:
        results = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))
    parts = {"quick": QUICK} if options.quick else {k: v for k, v in PARTS.items() if options.only in (None, k)}
    with tempfile.TemporaryDirectory() as folder:
        for part, jobs in parts.items():
            results[part] = []
            for job in jobs:
                results[part].append(measure(job, Path(folder)))
                print(markdown(results[part]).splitlines()[-1], flush=True)
    check([row for rows in results.values() for row in rows])
    if not options.quick:
        write({part: results[part] for part in PARTS if part in results})


def write(results: dict[str, list[dict[str, Any]]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scaling.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    table = markdown([row for rows in results.values() for row in rows])
    (RESULTS / "scaling.md").write_text(f"{table}\n{growth_line(results['growth'])}", encoding="utf-8")
    plot(results["growth"], RESULTS / "scaling.png")


if __name__ == "__main__":
    main()
