"""Builds the planar complex of a network on a domain, block by block.

A block goes through the layers (`cutter`) until it is done or too large; then it is split
(`blocks`), its parts go on one after another, and are merged when all are finished.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from geomrelu.domain import Domain
from geomrelu.errors import InputDimensionError
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar.arrange import cut_faces
from geomrelu.planar.blocks import Block, Part, merge
from geomrelu.planar.complex import PlanarComplex
from geomrelu.planar.cutter import Cutter, Progress, Task, add_report, new_report, root_block

__all__ = ["Progress", "build_complex"]

# Numbers that a block's preactivations should take: a few times the processor's cache.
_BLOCK_VALUES = 1 << 21


def build_complex(
    network: Network,
    domain: Domain,
    progress: Progress | None = None,
    *,
    caution: float = 1.0,
    balls: bool = True,
    block_values: int = _BLOCK_VALUES,
) -> PlanarComplex:
    """The exact partition of a domain into the network's activation regions.

    Parameters
    ----------
    network : Network
        With two inputs.
    domain : Box or Polygon
        Two-dimensional.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    caution : float
        Factor on all error bounds.  More than 1 sends more decisions to the exact stages,
        infinity all of them; the complex is the same.
    balls : bool
        Whether signs in doubt are tried with tighter bounds before exact integers.
    block_values : int
        Size of the blocks; the complex is the same, but for the numbering.

    Raises
    ------
    InputDimensionError
        If the network's or the domain's dimension is not 2.
    """
    _check_dimensions(network, domain)
    _tell_compilation()
    task = Task(network, domain, caution, balls)
    run = _Run(task, progress or (lambda message, fraction: None), block_values)
    # Values may overflow and bounds be infinite: both only leave signs in doubt.
    with np.errstate(over="ignore", invalid="ignore"):
        part = run.grow(root_block(task))
    run.progress("done", 1.0)
    return PlanarComplex(
        vertices=part.xy,
        vertex_errors=part.errors,
        edges=part.edges,
        edge_faces=part.edge_faces,
        edge_neuron=np.maximum(part.edge_line, -1),
        vertex_lines=part.lines,
        face_offsets=part.face_offsets,
        face_vertices=part.face_vertices,
        face_edges=part.face_edges,
        patterns=Patterns(part.words, network.widths),
        network=network,
        domain=domain,
        report=_closed(run.report),
    )


class _Run:
    """One partition being built."""

    def __init__(self, task: Task, progress: Progress, block_values: int) -> None:
        self.task, self.progress, self.block_values = task, progress, block_values
        self.report = new_report(len(task.network.hidden))
        self.done, self.regions = 0.0, 0

    def grow(self, block: Block) -> Part:
        """Cut a block by all remaining layers."""
        hidden = self.task.network.hidden
        cutter = Cutter(self.task, block)
        while cutter.layer < len(hidden):
            size = block_size(self.task.network, cutter.layer, self.block_values)
            if cutter.n_faces > 2 * size and cutter.layer > block.layer:
                part = self._split(cutter, size)
                break
            cutter.advance()
            self._tell(cutter)
        else:
            part = cutter.finish()
            self.done += cutter.share
            self.regions += cutter.n_faces
            add_report(self.report, part.report)
        return part

    def _split(self, cutter: Cutter, size: int) -> Part:
        mesh, ids, parts = cutter.faces.mesh, [], []
        for block in cutter.blocks(size):
            ids.append((block.vertex_ids, block.edge_ids))
            parts.append(self.grow(block))
        add_report(self.report, cutter.report)
        whole = merge(len(mesh.xy), len(mesh.edges), ids, parts)
        whole.first_piece = whole.first_piece[cutter.first_piece]
        return whole

    def _tell(self, cutter: Cutter) -> None:
        n_layers = len(self.task.network.hidden)
        part = cutter.share * cutter.layer / n_layers
        self.progress(f"{self.regions + cutter.n_faces:,} regions", min(self.done + part, 1.0))


def block_size(network: Network, layer: int, block_values: int) -> int:
    """Faces that a block should have before a layer, so that it holds about `block_values` preactivations at most.

    The number of regions grows about as the square of the number of layers.
    """
    last = len(network.hidden) - 1
    growth = (max(last, 1) / max(layer, 1)) ** 2
    widest = max(v.n_units for v in network.hidden[layer:])
    return max(1, int(block_values / (widest * growth)))


def _closed(report: dict[str, Any]) -> dict[str, Any]:
    """The finished report: what follows from its sums."""
    for counts in report["layers"]:
        counts["vertices"] = 1 + counts["edges"] - counts["regions"]
    report["signs_filter"] = report["signs"] - report["signs_ball"] - report["signs_exact"]
    report["generic"] = report["signs_zero"] == 0 and report["ties"] == 0
    return report


def _check_dimensions(network: Network, domain: Domain) -> None:
    if network.n_inputs != 2:
        raise InputDimensionError(
            f"partition: the network takes {network.n_inputs} inputs, expected 2; "
            "fix the other inputs first (substitute their values into the first layer's bias)"
        )
    if domain.dimension != 2:
        raise InputDimensionError(
            f"partition: the domain has dimension {domain.dimension}, expected 2; "
            "pass a box or polygon in the plane, such as gr.Box([-1, -1], [1, 1])"
        )


_told = False


def _tell_compilation() -> None:
    """Say once, on stderr, that the first run on a machine compiles."""
    global _told
    if _told or not hasattr(cut_faces, "signatures") or cut_faces.signatures:
        return
    _told = True
    # Where numba keeps it: beside the module, in NUMBA_CACHE_DIR, or in the user's cache folder.
    cache = getattr(getattr(cut_faces, "stats", None), "cache_path", None)
    if cache is None or not any(Path(cache).glob("arrange.cut_faces-*.nbc")):
        print("geomrelu: compiling the engine, once on this machine (about half a minute) ...", file=sys.stderr)
