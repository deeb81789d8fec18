"""The sampled path on the processor and on an accelerator, where there is one; products there.

    python benchmarks/accelerator.py [--largest 7] [--repeats 3]

Affine maps of a He-initialised network at 10^4 to 10^7 random points by autograd in float64
(`geomrelu.sampling.sample_maps`), medians of repetitions; of 10^7 points once.  Both devices must
give the same maps to within 1e-9 before they are timed.  Then the
engine's matrix products, of blocks of rows with a square matrix in float64: numpy on one thread, and
the device with the rows' way there and back and without; and whole partitions with ``device=``.
Without an accelerator its half is left out, and the tables say so.  Results go to
benchmarks/results/: accelerator.json and accelerator.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
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
from geomrelu.importers import as_network
from geomrelu.sampling import sample_maps

RESULTS = ROOT / "benchmarks" / "results"
WIDTHS = (128,) * 3


def devices() -> dict[str, str]:
    """Devices by name, with what they are."""
    found = {"cpu": f"{environment()['processor']}, {torch.get_num_threads()} thread(s)"}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_device_name()
    return found


def timed(model: torch.nn.Module, points: np.ndarray, device: str) -> tuple[float, Any]:
    start = time.perf_counter()
    maps = sample_maps(model, points, device=device)  # arrays on the host, so all work is done
    return time.perf_counter() - start, maps


def check(model: torch.nn.Module, names: list[str]) -> None:
    points = np.random.default_rng(1).uniform(-1, 1, (10_000, 2))
    maps = [timed(model, points, name)[1] for name in names]
    for other in maps[1:]:
        for a, b in zip(maps[0], other, strict=True):
            if not np.allclose(a, b, rtol=1e-9, atol=1e-9):
                raise SystemExit("wrong answer: the devices' maps differ")


def seconds_of(run: Callable[[], Any], repeats: int = 7) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def product(n: int, count: int, device: str | None) -> dict[str, Any]:
    """Seconds per row of a product of `count` rows with an n by n matrix."""
    rng = np.random.default_rng(n)
    left, right = rng.normal(size=(count, n)), rng.normal(size=(n, n))
    row: dict[str, Any] = {"n": n, "rows": count, "cpu": seconds_of(lambda: left @ right) / count}
    if device is not None:
        kept, there = torch.from_numpy(left).to(device), torch.from_numpy(right).to(device)

        def whole() -> np.ndarray:
            return (torch.from_numpy(left).to(device) @ there).cpu().numpy()

        def alone() -> None:
            kept @ there
            torch.cuda.synchronize()

        if not np.allclose(whole(), left @ right, rtol=0, atol=1e-9 * n):
            raise SystemExit("wrong answer: the devices' products differ")
        row |= {"cuda, both ways": seconds_of(whole) / count, "cuda, product alone": seconds_of(alone) / count}
    print(row, flush=True)
    return row


def products(device: str | None) -> list[dict[str, Any]]:
    """The products of the engine's blocks of rows, and of large ones."""
    return [product(n, count, device) for n in (128, 256, 512, 1024) for count in (1024, 65536)]


def engines(device: str | None) -> list[dict[str, Any]]:
    """Seconds of whole partitions: one thread, one thread and the device, and eight threads."""
    rows = []
    for widths, side in (((128,) * 3, 1.0), ((256,) * 4, 1.0), ((512,) * 3, 1.0), ((1024,) * 2, 1.0)):
        network, box = as_network(he_network(widths)), gr.Box(-side, side)
        ways: dict[str, dict[str, Any]] = {"cpu": {}, "cpu, 8 threads": {"n_jobs": 8}}
        if device is not None:
            ways["cuda"] = {"device": device}
        row: dict[str, Any] = {"network": f"2-{widths[0]}x{len(widths)}"}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(4):  # the first one is for compilation and the device's start
            for name, options in ways.items():
                start = time.perf_counter()
                n_regions = gr.partition(network, box, **options).n_regions
                times[name] += [time.perf_counter() - start] * (turn > 0)
                if row.setdefault("regions", n_regions) != n_regions:
                    raise SystemExit(f"wrong answer: {n_regions} regions with {name}, {row['regions']} before")
        rows.append(row | {name: statistics.median(values) for name, values in times.items()})
        print(rows[-1], flush=True)
    return rows


def engines_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| partition | regions | cpu, s | cuda, s | faster by | cpu, 8 threads, s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        device = (
            [f"{row['cuda']:.3g}", f"{row['cpu'] / row['cuda']:.1f} x"] if "cuda" in row else ["no accelerator", ""]
        )
        cells = [row["network"], f"{row['regions']:,}", f"{row['cpu']:.3g}", *device, f"{row['cpu, 8 threads']:.3g}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def products_table(rows: list[dict[str, Any]]) -> str:
    columns = ["cpu", "cuda, both ways", "cuda, product alone"]
    lines = ["| n | rows | " + " | ".join(f"{name}, ns a row" for name in columns) + " |", "|---:|---:|" + "---:|" * 3]
    for row in rows:
        told = [f"{row[name] * 1e9:,.0f}" if name in row else "no accelerator" for name in columns]
        lines.append("| " + " | ".join([str(row["n"]), f"{row['rows']:,}", *told]) + " |")
    return "\n".join(lines) + "\n"


def markdown(found: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """Maps per second; a column says so where there is no accelerator."""
    columns = ["cpu", "cuda"]
    lines = ["| points | " + " | ".join(f"{name}, maps per second" for name in columns) + " |"]
    lines += ["|---:|" + "---:|" * len(columns)]
    for row in rows:
        told = [f"{row[name]:,.0f}" if name in row else "no accelerator" for name in columns]
        lines.append("| " + " | ".join([f"{row['points']:,}", *told]) + " |")
    devices = "; ".join(f"{name}: {what}" for name, what in found.items())
    return "\n".join([*lines, "", f"{devices}. Network 2-{WIDTHS[0]}x{len(WIDTHS)}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="The sampled path on processor and accelerator.")
    parser.add_argument("--largest", type=int, default=7, help="up to 10^this points")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, found = he_network(WIDTHS), devices()
    check(model, list(found))
    rows = []
    for power in range(4, options.largest + 1):
        points = np.random.default_rng(0).uniform(-1, 1, (10**power, 2))
        row: dict[str, Any] = {"points": len(points)}
        repeats = options.repeats if power < 7 else 1
        for name in found:
            row[name] = len(points) / statistics.median(timed(model, points, name)[0] for _ in range(repeats))
        rows.append(row)
        print(row, flush=True)
    RESULTS.mkdir(exist_ok=True)
    device = "cuda" if "cuda" in found else None
    multiplied, partitions = products(device), engines(device)
    everything = {"devices": found, "rows": rows, "products": multiplied, "partitions": partitions}
    (RESULTS / "accelerator.json").write_text(json.dumps(everything, indent=1) + "\n")
    text = "\n".join([markdown(found, rows), products_table(multiplied), engines_table(partitions)])
    (RESULTS / "accelerator.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
