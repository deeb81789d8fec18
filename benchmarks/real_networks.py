"""Networks that others trained, on planes through their inputs: regions, seconds, memory, share of exact decisions.

    python benchmarks/real_networks.py               # minutes
    python benchmarks/real_networks.py --only acas   # or images; the others' results stay

*images*: MNIST and CIFAR-10 classifiers on the plane through three inputs (`gr.Slice.through`).
*acas*: the ACAS Xu planes of the SyReNN paper (Sotoudeh and Thakur 2021): distance from 0 to
sqrt(10000^2 + 6000^2) ft, bearing from -pi to pi, at eight headings and speeds, clipped to the
inputs' ranges and normalised.  A C++ engine in float32 took 34.5 s for all 45 networks, 4.45
microseconds a region.

Each measurement runs in a process of its own, after a small run that loads the compiled
engine.  Before it is timed, the answer is checked: `p.check()`, samples by `gr.crosscheck`, and
on ACAS Xu's first plane the count that the other engine publishes.  Results go to
benchmarks/results/: real_networks.json and real_networks.md.  Needs the data that the tests look for
(GEOMRELU_DATA, or shared/data beside the checkout).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = Path(os.environ.get("GEOMRELU_DATA", ROOT.parent / "shared" / "data"))
# Two convolutions and two dense layers, drawn: 36,928 neurons.
RANDOM = "random"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

# (name, file, inputs, half-width of the square window around the first input; None: all three inputs in view)
IMAGES: list[tuple[str, str, str, float | None]] = [
    ("MNIST 256x2", "onnx/mnist-net_256x2.onnx", "mnist_inputs.npz", None),
    ("MNIST 9x200", "onnx/mnist_relu_9_200.onnx", "mnist_inputs.npz", 2.0),
    ("MNIST convolutional, average pooling", "onnx/Convnet_avgpool.onnx", "mnist_inputs.npz", 0.5),
    ("CIFAR-10 convolutional (base)", "onnx/cifar_base_kw.onnx", "cifar10_inputs.npz", 2.0),
    ("CIFAR-10 convolutional (base)", "onnx/cifar_base_kw.onnx", "cifar10_inputs.npz", None),
    ("CIFAR-10 convolutional (small)", "onnx/cifar10_small.onnx", "cifar10_inputs.npz", 2.0),
    ("CIFAR-10 residual (2b)", "onnx/resnet_2b.onnx", "cifar10_inputs.npz", 1.0),
    ("CIFAR-10 convolutional, random weights", RANDOM, "cifar10_inputs.npz", 0.5),
    ("CIFAR-10 convolutional, random weights", RANDOM, "cifar10_inputs.npz", 1.5),
]
ACAS = ["1_1", "2_3", "4_2"]
PLANES = [(psi, v) for v in (150, 500) for psi in (-180, -90, 0, 90)]
PUBLISHED = {("1_1", -180, 150): 33_200}

WORKER = """
import json, resource, sys, time
import numpy as np
import geomrelu as gr
from geomrelu.importers.files import read_model
kind, model, *rest = sys.argv[1:]
gr.partition(gr.Network([np.eye(2), np.ones((1, 2))]), gr.Box(-1, 1))  # compiles, or loads
if model.endswith("random"):
    import torch
    from torch import nn
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 16, 3, stride=2, padding=1), nn.ReLU(),
              nn.Flatten(), nn.Linear(4096, 64), nn.ReLU(), nn.Linear(64, 10)]
    from geomrelu.importers import as_network
    network = as_network(nn.Sequential(*layers), input_shape=(3, 32, 32))
else:
    network = read_model(model)
if kind == "image":
    x = np.load(rest[0])["x"]
    place = gr.Slice.through(*x[:3])
    places = [place if rest[1] == "None" else place.with_domain(gr.Box(-float(rest[1]), float(rest[1])))]
else:
    low, high, means, ranges = (np.array(json.loads(v)) for v in rest[:4])
    places = []
    for psi, v in json.loads(rest[4]):
        start = np.array([0.0, -np.pi, np.deg2rad(psi), v, v])
        end = start.copy()
        end[:2] = np.hypot(10_000, 6_000), np.pi
        start, end = ((np.clip(p, low, high) - means) / ranges for p in (start, end))
        places.append(gr.Slice.axes(0, 1, at=start, domain=gr.Box(start[:2], end[:2])))
found = []
for place in places:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, cpu = time.perf_counter(), time.process_time()
    if kind == "image":
        result = gr.aggregate(network, place, ["regions"])
        regions, report = result["regions"], result.report
    else:
        p = gr.partition(network, place)
        regions, report = p.n_regions, p.report
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    found.append({"regions": regions, "seconds": seconds, "cpu_seconds": cpu, "before_bytes": before * 1024,
                  "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                  **{k: report[k] for k in ("signs", "signs_ball", "signs_exact", "edges_exact", "faces_exact")}})
    if kind != "image":
        p.check()
        assert gr.crosscheck(p, n=51).ok
print(json.dumps({"neurons": network.n_neurons, "inputs": network.n_inputs, "planes": found}))
"""


def measured(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        raise SystemExit(f"{words}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def images() -> list[dict[str, Any]]:
    rows = []
    for name, model, inputs, half in IMAGES:
        result = measured("image", str(DATA / model), str(DATA / inputs), str(half))
        window = "three inputs" if half is None else f"{2 * half:g} x {2 * half:g}"
        rows.append({"network": name, "window": window, **result})
        print(rows[-1], flush=True)
    return rows


def nnet_header(path: Path) -> list[list[float]]:
    """Least and greatest inputs, means and ranges of the inputs, as the file gives them."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("//")]
    return [[float(v) for v in line.strip().strip(",").split(",")][:5] for line in lines[3:7]]


def acas() -> list[dict[str, Any]]:
    rows = []
    for name in ACAS:
        stem = DATA / "acasxu" / f"ACASXU_run2a_{name}_batch_2000"
        header = [json.dumps(v) for v in nnet_header(stem.with_suffix(".nnet"))]
        result = measured("acas", str(stem.with_suffix(".onnx")), *header, json.dumps(PLANES))
        for plane, found in zip(PLANES, result["planes"], strict=True):
            published = PUBLISHED.get((name, *plane))
            if published is not None and found["regions"] != published:
                raise SystemExit(f"ACAS Xu {name} at {plane}: {found['regions']} regions, published {published}")
        rows.append({"network": f"ACAS Xu {name}", "window": f"{len(PLANES)} planes", **result})
        print(rows[-1], flush=True)
    return rows


def table(results: dict[str, Any]) -> str:
    head = [
        "| network | neurons | window | regions | seconds | us / region | peak, MB | signs | in balls | in integers "
        "| edges, faces ordered again |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines = []
    for row in [*results.get("images", []), *results.get("acas", [])]:
        total = {key: sum(p[key] for p in row["planes"]) for key in row["planes"][0]}
        seconds, signs = total["cpu_seconds"], total["signs"]
        cells = [
            row["network"], f"{row['neurons']:,}", row["window"], f"{total['regions']:,}", f"{seconds:.3g}",
            f"{1e6 * seconds / total['regions']:.2f}", f"{max(p['peak_bytes'] for p in row['planes']) / 1e6:,.0f}",
            f"{signs:,}", f"{total['signs_ball'] / signs:.2%}", f"{total['signs_exact']:,}",
            f"{total['edges_exact'] + total['faces_exact']:,}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["images", "acas"])
    chosen = parser.parse_args().only
    if not DATA.is_dir():
        raise SystemExit(f"no data at {DATA}; set GEOMRELU_DATA")
    path = RESULTS / "real_networks.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name, measure in (("images", images), ("acas", acas)):
        if chosen in (None, name):
            results[name] = measure()
            path.write_text(json.dumps(results, indent=1) + "\n")
    note = "One thread; processor seconds; images counted as a stream, ACAS Xu's partitions kept and checked."
    text = f"{table(results)}\n\n{note}\n"
    (RESULTS / "real_networks.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
