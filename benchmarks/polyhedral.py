"""The n-D engine beside affinitree (Rust, float64, linear programs) and relucent (Python, linear programs), one thread.

    python benchmarks/polyhedral.py                    # all networks, many minutes
    python benchmarks/polyhedral.py --quick            # small ones
    python benchmarks/polyhedral.py --only 3-32x2 --engines geomrelu
    python benchmarks/polyhedral.py --engines geomrelu,count    # the others' results stay

Each run is a process of its own, stopped after --limit seconds; an engine that was stopped is not tried on larger
networks.  geomrelu's answer is checked before it is timed: Euler's relation holds, volumes sum to the domain's, and
numbers of regions are compared.  Seconds are the least CPU time of the repeats.  "count" is geomrelu counting regions
in a stream, without keeping them; its count must be that of the partition.  He-initialised networks on [-1, 1]^d, and
one of them on growing boxes; results go to benchmarks/results/polyhedral.json and .md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ENGINES = ("geomrelu", "count", "affinitree", "relucent")
# Inputs, widths.
CASES = (
    (3, (16, 16)), (4, (16, 16)), (3, (32, 32)), (5, (16, 16)), (3, (64, 64)), (6, (16, 16)), (3, (64, 64, 64)),
)  # fmt: skip
GROWTH = tuple(((3, (64, 64, 64)), half) for half in (0.1, 0.25, 0.5, 1.0, 2.0))
QUICK = ((3, (16, 16)), (3, (32, 32)))
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")}


def name_of(d: int, widths: tuple[int, ...]) -> str:
    return f"{d}-{widths[0]}x{len(widths)}"


def weights_of(d: int, widths: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """He-initialised weights and uniform biases in float32, seed 0."""
    rng = np.random.default_rng(0)
    sizes = [d, *widths, 1]
    weights, biases = [], []
    for fan_in, fan_out in itertools.pairwise(sizes):
        weights.append((rng.normal(size=(fan_out, fan_in)) * np.sqrt(2 / fan_in)).astype(np.float32))
        biases.append((rng.uniform(-1, 1, fan_out) / np.sqrt(fan_in)).astype(np.float32))
    return weights, biases


def setting(d: int, widths: tuple[int, ...], half: float) -> tuple[Any, Any]:
    """The network and the box, and all that is timed compiled."""
    sys.path.insert(0, str(ROOT))
    import geomrelu as gr

    box = gr.Box([-half] * d, [half] * d)
    small = gr.Network(*weights_of(d, (4, 4)))
    warm: Any = gr.partition(small, box)
    assert len(warm.volumes) == warm.n_regions == gr.count_regions(small, box)
    return gr.Network(*weights_of(d, widths)), box


def peak() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_geomrelu(d: int, widths: tuple[int, ...], half: float, repeats: int) -> dict[str, Any]:
    import geomrelu as gr

    f, box = setting(d, widths, half)
    times, before, most = [], peak(), 0
    for _ in range(repeats):
        start = time.process_time()
        p: Any = gr.partition(f, box)
        times.append(time.process_time() - start)
        most = most or peak()
        assert sum((-1) ** k * n for k, n in enumerate(p.cell_counts)) == 1
    start = time.process_time()
    total = float(p.volumes.sum())
    volumes = time.process_time() - start
    assert abs(total / box.area - 1) < 1e-9
    return {
        "seconds": min(times), "regions": p.n_regions, "vertices": p.n_vertices,
        "bytes_per_region": p.report["bytes"] / p.n_regions, "before_bytes": before, "peak_bytes": most,
        "volumes_seconds": volumes, "signs": p.report["signs"], "signs_renewed": p.report["signs_renewed"],
        "signs_exact": p.report["signs_exact"],
    }  # fmt: skip


def run_count(d: int, widths: tuple[int, ...], half: float, repeats: int) -> dict[str, Any]:
    import geomrelu as gr

    f, box = setting(d, widths, half)
    times, before, most = [], peak(), 0
    for _ in range(repeats):
        start = time.process_time()
        regions = gr.count_regions(f, box)
        times.append(time.process_time() - start)
        most = most or peak()
    return {"seconds": min(times), "regions": regions, "before_bytes": before, "peak_bytes": most}


def as_torch(d: int, widths: tuple[int, ...]) -> Any:
    import torch

    modules: list[Any] = []
    for w, b in zip(*weights_of(d, widths), strict=True):
        linear = torch.nn.Linear(w.shape[1], w.shape[0])
        linear.weight.data, linear.bias.data = torch.tensor(w), torch.tensor(b)
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


def run_affinitree(d: int, widths: tuple[int, ...], half: float, repeats: int) -> dict[str, Any]:
    from affinitree import AffFunc, AffTree, Polytope, builder, extract_pytorch_architecture

    model = as_torch(d, widths)
    times = []
    for _ in range(repeats):
        inside = AffTree.from_poly(Polytope.hyperrectangle(d, [(-half, half)] * d), AffFunc.identity(d))
        start = time.process_time()
        tree = builder.from_layers(extract_pytorch_architecture(d, model), inside)
        times.append(time.process_time() - start)
    return {"seconds": min(times), "regions": tree.num_terminals(), "version": version("affinitree")}


def run_relucent(d: int, widths: tuple[int, ...], half: float, repeats: int) -> dict[str, Any]:
    import relucent

    times = []
    for _ in range(repeats):
        found = relucent.Complex(as_torch(d, widths))
        start = with_children()
        found.bfs(cube_radius=half, cube_mode="intersect", nworkers=1, verify=False, verbose=0)
        times.append(with_children() - start)
    return {"seconds": min(times), "regions": len(found), "version": version("relucent")}


def with_children() -> float:
    """CPU seconds of this process and its finished children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(v.ru_utime + v.ru_stime for v in spent)


WORKERS = {"geomrelu": run_geomrelu, "count": run_count, "affinitree": run_affinitree, "relucent": run_relucent}


def measured(engine: str, d: int, widths: tuple[int, ...], half: float, repeats: int, limit: float) -> dict[str, Any]:
    """One worker's result; ``{"seconds": None}`` where it did not finish, with the reason."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        order = [
            sys.executable,
            __file__,
            "--worker",
            engine,
            str(d),
            ",".join(map(str, widths)),
            str(half),
            str(repeats),
            file.name,
        ]
        try:
            done = subprocess.run(order, env=os.environ | ONE_THREAD, timeout=limit, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            return {"seconds": None, "why": f"over {limit:.0f} s"}
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            return {"seconds": None, "why": last[0][:200]}
        return dict(json.loads(Path(file.name).read_text()))


def table(rows: list[dict[str, Any]]) -> str:
    def seconds(row: dict[str, Any], engine: str) -> str:
        found = row[engine]
        if found["seconds"] is None:
            return found["why"]
        own, regions = row["geomrelu"]["regions"], found["regions"]
        return f"{found['seconds']:.3g}" + ("" if regions == own else f" ({regions - own:+,} regions)")

    head = ("network", "regions", "geomrelu, s", "microseconds a region", "bytes a region", "volumes, s", "exact signs",
            "counted only, s", "its memory, MB", "affinitree, s", "relucent, s")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for row in rows:
        own = row["geomrelu"]
        lines.append(
            f"| {row['name']} | {own['regions']:,} | {own['seconds']:.3g} "
            f"| {own['seconds'] / own['regions'] * 1e6:.2f} | {own['bytes_per_region']:,.0f} "
            f"| {own['volumes_seconds']:.3g} | {own['signs_exact']} of {own['signs']:,} | "
            f"{seconds(row, 'count')} | {added(row['count'])} | "
            f"{seconds(row, 'affinitree')} | {seconds(row, 'relucent')} |"
        )
    others = sorted({row[engine]["version"] for row in rows for engine in ENGINES if "version" in row[engine]})
    versions = ", ".join([*map(version, ("geomrelu", "numpy", "numba")), *others])
    return "\n".join([*lines, "", f"One thread; Python {platform.python_version()}, {versions}. CPU seconds.", ""])


def added(found: dict[str, Any]) -> str:
    """Megabytes that a run has added to its process."""
    return f"{(found['peak_bytes'] - found['before_bytes']) / 1e6:,.0f}" if "peak_bytes" in found else ""


def growth_table(rows: list[dict[str, Any]]) -> str:
    head = ("network", "box", "regions", "microseconds a region", "memory, MB", "counted only, microseconds",
            "its memory, MB")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(head) - 2)]
    for row in rows:
        own, count = row["geomrelu"], row["count"]
        each = [f"{1e6 * found['seconds'] / own['regions']:.2f}" for found in (own, count)]
        lines.append(
            f"| {row['name']} | [-{row['half']:g}, {row['half']:g}]^{row['name'][0]} | {own['regions']:,} | {each[0]} "
            f"| {added(own)} | {each[1]} | {added(count)} |"
        )
    return "\n".join([*lines, ""])


def checked(row: dict[str, Any]) -> dict[str, Any]:
    """The row; what is counted in a stream is what the partition has."""
    counts = {row[engine]["regions"] for engine in ("geomrelu", "count") if row[engine]["seconds"] is not None}
    if len(counts) > 1:
        raise SystemExit(f"wrong answer: {row['name']} has {sorted(counts)} regions")
    return row


def measure_cases(options: argparse.Namespace, before: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each network; engines that are not asked for keep what they had."""
    rows, asked = [], set(options.engines.split(","))
    for d, widths in QUICK if options.quick else CASES:
        name = name_of(d, widths)
        if options.only not in (None, name):
            continue
        row: dict[str, Any] = {"name": name}
        for engine in ENGINES:
            row[engine] = before.get(name, {}).get(engine, {"seconds": None, "why": "not run"})
            if engine in asked:
                repeats = options.repeats if engine in ("geomrelu", "count") else 1
                row[engine] = measured(engine, d, widths, 1.0, repeats, options.limit)
                if row[engine]["seconds"] is None:
                    asked.remove(engine)
            print(name, engine, row[engine], flush=True)
        rows.append(checked(row))
    return rows


def measure_growth(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for (d, widths), half in GROWTH:
        row: dict[str, Any] = {"name": name_of(d, widths), "half": half}
        for engine in ("geomrelu", "count"):
            row[engine] = measured(engine, d, widths, half, options.repeats, options.limit)
            print(row["name"], half, engine, row[engine], flush=True)
        rows.append(checked(row))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="one network, such as 3-32x2")
    parser.add_argument("--engines", default=",".join(ENGINES), help="commas between; the others' results stay")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one engine on one network")
    options = parser.parse_args()
    kept = json.loads((RESULTS / "polyhedral.json").read_text())
    rows = measure_cases(options, {row["name"]: row for row in kept["networks"]})
    print(text := table([row for row in rows if row["geomrelu"]["seconds"] is not None]))
    if options.quick or options.only:
        return
    growth = measure_growth(options)
    print(grown := growth_table(growth))
    (RESULTS / "polyhedral.json").write_text(json.dumps({"networks": rows, "growth": growth}, indent=1) + "\n")
    (RESULTS / "polyhedral.md").write_text(text)
    (RESULTS / "polyhedral_growth.md").write_text(grown)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        engine, d, widths, half, repeats, path = sys.argv[2:]
        result = WORKERS[engine](int(d), tuple(int(w) for w in widths.split(",")), float(half), int(repeats))
        Path(path).write_text(json.dumps(result))
    else:
        main()
