"""The exact surface of a neural shape, beside marching cubes at growing resolution.

    python examples/level_set_torus.py --out torus.png [--width 24] [--steps 2000]

A network with three inputs is fitted to the signed distance of a torus.  Its zero level set is a polygon mesh that is
known exactly: how many polygons, how they are joined, and that there is one hole.  Marching cubes (scikit-image) see
the network at grid points only; the picture shows how their area and enclosed volume approach the exact ones, and the
time they take.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import geomrelu as gr
from geomrelu.polyhedral.level_set import LevelSet


def fitted(width: int, steps: int) -> Any:
    """A 3-width-width-1 network that approximates the signed distance of a torus around the z axis."""
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 1),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x = 2 * torch.rand(1024, 3) - 1
        ring = torch.hypot(x[:, 0], x[:, 1]) - 0.6
        distance = torch.hypot(ring, x[:, 2]) - 0.25
        loss = ((net(x)[:, 0] - distance) ** 2 / (0.05 + distance.abs())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


def sampled(f: gr.Network, n: int) -> tuple[float, float, float]:
    """Area, enclosed volume and seconds of marching cubes on n^3 grid points."""
    import trimesh
    from skimage.measure import marching_cubes

    start = time.perf_counter()
    at = np.linspace(-1, 1, n)
    grid = np.stack(np.meshgrid(at, at, at, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices, triangles, *_ = marching_cubes(f(grid).reshape(n, n, n), 0.0, spacing=(2 / (n - 1),) * 3)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    return float(mesh.area), abs(float(mesh.volume)), time.perf_counter() - start


def draw(surface: LevelSet, rows: list[tuple[float, ...]], seconds: float, path: Path) -> None:
    """The surface, and the errors and times of marching cubes."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 4.6), layout="constrained")
    ax = figure.add_subplot(1, 2, 1, projection="3d")
    surface.plot(ax, color="plain", linewidth=0.3)
    ax.set(xlim=(-0.9, 0.9), ylim=(-0.9, 0.9), zlim=(-0.6, 0.6))
    ax.set_box_aspect((3, 3, 2), zoom=1.5)
    ax.set_axis_off()
    ax.view_init(38, -60)
    ax.set_title(f"exact: {surface.n_polygons:,} polygons, genus {surface.genus}, {seconds:.2g} s")
    n, area, volume, spent = np.array(rows).T
    error = figure.add_subplot(1, 2, 2)
    error.loglog(n, np.abs(area / surface.area - 1), "o-", label="area, relative error")
    error.loglog(n, np.abs(volume / surface.volume - 1), "s-", label="volume, relative error")
    error.set(xlabel="grid points along an axis", ylabel="relative error of marching cubes")
    clock = error.twinx()
    clock.loglog(n, spent, "^--", color="0.5", label="seconds")
    clock.axhline(seconds, color="0.5", linewidth=1)
    clock.set_ylabel("seconds (line: the exact surface)")
    lines = [*error.lines, clock.lines[0]]
    error.legend(lines, [str(line.get_label()) for line in lines], loc="upper center")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> LevelSet:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("torus.png"))
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--grids", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    options = parser.parse_args(arguments)
    net = fitted(options.width, options.steps)
    p: Any = gr.partition(net, gr.Box([-1] * 3, [1] * 3))
    start = time.perf_counter()
    surface = p.level_set(0.0)
    seconds = time.perf_counter() - start
    print(f"{p.n_regions:,} regions; the surface: {surface.n_polygons:,} polygons, closed: {surface.is_closed}")
    print(f"genus {surface.genus}, area {surface.area:.6f}, volume {surface.volume:.6f}, {seconds:.2g} s")
    rows = [(float(n), *sampled(p.network, n)) for n in options.grids]
    for n, area, volume, spent in rows:
        off = area / surface.area - 1, volume / surface.volume - 1
        print(f"marching cubes {n:4.0f}^3: area {off[0]:+.2e}, volume {off[1]:+.2e}, {spent:.2g} s")
    draw(surface, rows, seconds, options.out)
    return surface


if __name__ == "__main__":
    main()
