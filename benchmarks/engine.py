"""The planar engine beside regioncam (Rust, float32) and beside one forward pass, on one thread.

    python benchmarks/engine.py            # all networks, minutes
    python benchmarks/engine.py --quick    # small ones, seconds
    python benchmarks/engine.py --only 2-256x4 --repeats 3

Each engine runs in a process of its own, so that its peak memory is its own; repetitions of
the engines alternate, so that a slow spell of the machine hits all of them.  The answer is
checked before it is timed.  Results go to benchmarks/results/: engine.json for machines,
engine.md for people.  Seconds are medians of wall-clock time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Case:
    """A network, and how often each engine is timed on it."""

    widths: tuple[int, ...]
    repeats: int
    regioncam_repeats: int  # 0 where it needs more memory than most machines have

    @property
    def name(self) -> str:
        same = len(set(self.widths)) == 1 and len(self.widths) > 1
        return f"2-{self.widths[0]}x{len(self.widths)}" if same else "2-" + "-".join(map(str, self.widths))


CASES = (
    Case((50,) * 6, 9, 3),
    Case((128,) * 3, 7, 5),
    Case((128,) * 6, 5, 2),
    Case((256,) * 4, 5, 1),
    Case((1000,), 3, 1),
    Case((512,) * 4, 2, 0),
)
QUICK_CASES = (Case((16,) * 2, 3, 3), Case((64,) * 2, 3, 3))
# Read when the workers import their libraries.
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1"
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "VECLIB_MAXIMUM", "NUMEXPR", "BLIS")
}
ENGINES = ("geomrelu", "regioncam", "forward")


def he_network(widths: tuple[int, ...]) -> Any:
    """torch network with one output: He-normal float32 weights, torch's default biases, seed 0."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    sizes = (2, *widths, 1)
    modules: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        nn.init.kaiming_normal_(modules[-2].weight, nonlinearity="relu")
    return nn.Sequential(*modules[:-1])


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# Workers: `prepare` returns the function to time; its result is described by `describe`.


def prepare_geomrelu(widths: tuple[int, ...]) -> Callable[[], Any]:
    import geomrelu as gr
    from geomrelu.importers import as_network

    network = as_network(he_network(widths))
    gr.partition(he_network((4, 4)), gr.Box(-1, 1))  # compiles, or loads what was compiled before
    return lambda: gr.partition(network, gr.Box(-1, 1))


def describe_geomrelu(p: Any, scratch: Path) -> dict[str, Any]:
    """Counts of a partition that passes every check; its vertices go to a file for the forward pass."""
    import numpy as np

    p.check()
    euler = p.n_vertices - p.n_edges + p.n_regions
    n_unique = len(np.unique(p.patterns.keys()))
    area = float(p.areas.sum())
    if euler != 1 or n_unique != p.n_regions or abs(area - p.domain.area) > 1e-9 * p.domain.area:
        raise SystemExit(f"wrong answer: V - E + F = {euler}, {n_unique} patterns, {p.n_regions} regions, area {area}")
    # An independent look: the pattern that a plain forward pass sees at each region's centroid.
    step, differing = 1 << 14, 0
    for start in range(0, p.n_regions, step):
        seen = p.network.patterns(p.centroids[start : start + step])
        differing += int((seen.words != p.patterns.words[start : start + step]).any(axis=1).sum())
    np.save(scratch / "vertices.npy", p.vertices)
    return {
        "regions": p.n_regions,
        "vertices": p.n_vertices,
        "edges": p.n_edges,
        "centroids_with_other_pattern": differing,
    }


def prepare_regioncam(widths: tuple[int, ...]) -> Callable[[], Any]:
    import regioncam
    import torch

    steps = [
        (m.weight.detach().numpy().T.copy(), m.bias.detach().numpy()) if isinstance(m, torch.nn.Linear) else None
        for m in he_network(widths)
    ]

    def build() -> Any:
        camera = regioncam.Regioncam(size=1.0)  # [-1, 1]^2
        for step in steps:
            if step is None:
                camera.relu()
            else:
                camera.linear(*step)
        return camera

    return build


def describe_regioncam(camera: Any, scratch: Path) -> dict[str, Any]:
    return {"regions": camera.num_faces, "vertices": camera.num_vertices, "edges": camera.num_edges}


def prepare_forward(widths: tuple[int, ...], scratch: Path) -> Callable[[], Any]:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    *hidden, last = (m for m in he_network(widths).double() if isinstance(m, torch.nn.Linear))
    blocks = torch.from_numpy(np.load(scratch / "vertices.npy")).split(1024)
    rows = [torch.empty(len(blocks[0]), m.out_features, dtype=torch.float64) for m in hidden]

    def run() -> Any:
        # In blocks that stay in the cache, in memory that is used again: three times faster than all vertices at
        # once, and ten times where the system's allocator gives each block's memory back.
        outputs = []
        with torch.inference_mode():
            for x in blocks:
                for m, space in zip(hidden, rows, strict=True):
                    x = torch.addmm(m.bias, x, m.weight.T, out=space[: len(x)]).relu_()
                outputs.append(last(x))
            return torch.cat(outputs)

    return run


def worker(engine: str, widths: tuple[int, ...], scratch: Path) -> None:
    """Answer each line on standard input by one JSON line: "time" runs once, "describe" checks the last result."""
    if engine == "geomrelu":
        run = prepare_geomrelu(widths)
    elif engine == "regioncam":
        run = prepare_regioncam(widths)
    else:
        run = prepare_forward(widths, scratch)
    before = peak_memory()
    result = None
    for line in sys.stdin:
        command = line.strip()
        if command == "describe":
            described = {"geomrelu": describe_geomrelu, "regioncam": describe_regioncam}[engine](result, scratch)
            print(json.dumps(described), flush=True)
            continue
        result = None
        wall, cpu = time.perf_counter(), time.process_time()
        result = run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if command == "time":
            result = None
        print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak_memory(), "peak_before": before}), flush=True)


class Worker:
    """A process that runs one engine on one network."""

    def __init__(self, engine: str, case: Case, scratch: Path) -> None:
        self.engine, self.case = engine, case
        widths = ",".join(map(str, case.widths))
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", engine, "--widths", widths, "--scratch", str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | ONE_THREAD
            | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        )
        self.runs: list[dict[str, float]] = []

    def ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.engine} on {self.case.name} ended with status {self._process.wait()}")
        return dict(json.loads(line))

    def time(self) -> None:
        self.runs.append(self.ask("time"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def summary(self) -> dict[str, Any]:
        first = self.runs[0]
        return {
            "wall_s": statistics.median(r["wall"] for r in self.runs),
            "wall_s_all": [r["wall"] for r in self.runs],
            "cpu_s": statistics.median(r["cpu"] for r in self.runs),
            "peak_bytes": max(r["peak"] for r in self.runs),
            "peak_before_bytes": first["peak_before"],
        }


def measure(case: Case, engines: tuple[str, ...], say: Callable[[str], None]) -> dict[str, Any]:
    """Answers first, then alternating repetitions."""
    row: dict[str, Any] = {"network": case.name, "widths": list(case.widths)}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        workers: dict[str, Worker] = {}
        repeats = {"geomrelu": case.repeats, "forward": case.repeats, "regioncam": case.regioncam_repeats}
        try:
            # geomrelu's own check holds memory of its own, so its timed worker is another process.
            say(f"{case.name}: checking the answer")
            checker = workers["checker"] = Worker("geomrelu", case, scratch)
            row["first_run_s"] = checker.ask("keep")["wall"]
            row["answer"] = {"geomrelu": checker.ask("describe")}
            workers.pop("checker").close()
            for engine in engines:
                if repeats[engine]:
                    workers[engine] = Worker(engine, case, scratch)
            if "regioncam" in workers:
                say(f"{case.name}: regioncam's answer")
                workers["regioncam"].runs.append(workers["regioncam"].ask("keep"))
                row["answer"]["regioncam"] = workers["regioncam"].ask("describe")
                row["count_difference"] = row["answer"]["regioncam"]["regions"] - row["answer"]["geomrelu"]["regions"]
            for repeat in range(case.repeats):
                say(f"{case.name}: repetition {repeat + 1} of {case.repeats}")
                for engine, one in workers.items():
                    if len(one.runs) < repeats[engine]:
                        one.time()
            row |= {engine: one.summary() for engine, one in workers.items()}
        finally:
            for one in workers.values():
                one.close()
    for other in set(workers) - {"geomrelu"}:
        row[f"ratio_{other}"] = row[other]["wall_s"] / row["geomrelu"]["wall_s"]
    return row


def table_rows(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = [
        "network", "regions", "geomrelu, s", "us / region", "peak, MB", "regioncam, s", "its peak, MB", "its count",
        "faster by", "forward pass, s", "geomrelu / forward",
    ]  # fmt: skip
    lines = []
    for row in rows:
        own, answer = row["geomrelu"], row["answer"]["geomrelu"]
        each = own["wall_s"] / answer["regions"] * 1e6
        line = [row["network"], f"{answer['regions']:,}", seconds(own), f"{each:.2f}", megabytes(own)]
        if "regioncam" in row:
            difference = row["count_difference"]
            line += [seconds(row["regioncam"]), megabytes(row["regioncam"])]
            line += [f"{difference:+d}" if difference else "same", f"{row['ratio_regioncam']:.1f} x"]
        else:
            line += ["not run"] + ["-"] * 3
        lines.append([*line, seconds(row["forward"]), f"{1 / row['ratio_forward']:.2f}"])
    return header, lines


def seconds(summary: dict[str, Any]) -> str:
    return f"{summary['wall_s']:.3g}"


def megabytes(summary: dict[str, Any]) -> str:
    return f"{summary['peak_bytes'] / 1e6:,.0f}"


def environment() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    names = ("geomrelu", "numpy", "numba", "torch", "regioncam")
    installed = {d.name for d in importlib.metadata.distributions()}
    versions = {n: importlib.metadata.version(n) if n in installed else "not installed" for n in names}
    return {"processor": processor, "python": platform.python_version(), "threads": 1, "versions": versions}


def write_results(rows: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    where = environment()
    (folder / "engine.json").write_text(json.dumps({"environment": where, "rows": rows}, indent=1) + "\n")
    header, lines = table_rows(rows)
    markdown = ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] + ["---:"] * (len(header) - 1)) + "|"]
    markdown += ["| " + " | ".join(line) + " |" for line in lines]
    versions = ", ".join(f"{k} {v}" for k, v in where["versions"].items())
    markdown += ["", f"One thread of {where['processor']}; Python {where['python']}, {versions}."]
    markdown += ["Domain [-1, 1]^2; medians of wall-clock seconds; peak resident memory of each engine's process."]
    if any("regioncam" not in row for row in rows):
        markdown += ["Not run: regioncam needs more memory there than the machine has, or was left out."]
    (folder / "engine.md").write_text("\n".join(markdown) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="The planar engine beside regioncam and one forward pass.")
    parser.add_argument(
        "--quick", action="store_true", help="small networks, seconds; for a look, so nothing is written"
    )
    parser.add_argument("--only", action="append", metavar="NETWORK", help="one network, as 2-256x4; may be repeated")
    parser.add_argument("--repeats", type=int, help="repetitions of geomrelu and of the forward pass")
    parser.add_argument("--no-regioncam", action="store_true", help="leave regioncam out")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for engine.json and engine.md")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--widths", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, tuple(int(w) for w in options.widths.split(",")), options.scratch)
        return

    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # a log has no width of its own; the table must not be cut
    cases = QUICK_CASES if options.quick else CASES
    known = {case.name: case for case in (*CASES, *QUICK_CASES)}
    if options.only:
        if unknown := set(options.only) - set(known):
            parser.error(f"unknown network {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        cases = tuple(known[name] for name in options.only)
    if options.repeats:
        cases = tuple(Case(c.widths, options.repeats, min(c.regioncam_repeats, options.repeats)) for c in cases)
    engines = tuple(e for e in ENGINES if e != "regioncam" or not options.no_regioncam)
    if "regioncam" in engines and environment()["versions"]["regioncam"] == "not installed":
        parser.error("regioncam is not installed; pip install 'geomrelu[bench]', or say --no-regioncam")
    with console.status("") as status:
        rows = [measure(case, engines, status.update) for case in cases]
    header, lines = table_rows(rows)
    table = Table(title="One thread, [-1, 1]^2, medians of wall-clock seconds")
    for k, title in enumerate(header):
        table.add_column(title, justify="left" if k == 0 else "right")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    if not options.quick:
        write_results(rows, options.out)
        console.print(f"written: {options.out}/engine.json, engine.md")


if __name__ == "__main__":
    main()
