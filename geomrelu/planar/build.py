"""Builds the planar complex of a network on a domain, and keeps all of it.

`run` takes the blocks through the layers, `blocks.merge` puts them together again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np

from geomrelu.domain import Domain, Slice
from geomrelu.errors import InputDimensionError
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.planar import compilation
from geomrelu.planar.blocks import Part, merge
from geomrelu.planar.complex import PlanarComplex
from geomrelu.planar.cutter import Cutter, Task
from geomrelu.planar.journal import Journal
from geomrelu.planar.merging import tidied
from geomrelu.planar.run import BLOCK_VALUES, Ids, Plan, Progress, Reducer, Result, run

__all__ = ["Progress", "as_complex", "build_complex", "closed_report", "prepared_task", "run_planned"]

PathLike: TypeAlias = "str | os.PathLike[str]"


def build_complex(
    network: Network,
    domain: Domain,
    progress: Progress | None = None,
    *,
    n_jobs: int | None = None,
    resume: PathLike | None = None,
    caution: float = 1.0,
    balls: bool = True,
    block_values: int = BLOCK_VALUES,
    device: Any = None,
) -> PlanarComplex:
    """The exact partition of a domain into the network's activation regions.

    Parameters
    ----------
    network : Network
        With two inputs; on a slice, with as many as its points have.
    domain : Box, Polygon or Slice
        Two-dimensional.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.
    n_jobs : int, optional
        Workers, as joblib has it; the result is the same, bit for bit.
    resume : path-like, optional
        A journal of finished blocks: written, and resumed from if it is there.
    caution : float
        Factor on all error bounds.  More than 1 sends more decisions to the exact stages,
        infinity all of them; the complex is the same.
    balls : bool
        Whether signs in doubt are tried with tighter bounds before exact integers.
    block_values : int
        Size of the blocks; the complex is the same, but for the numbering.
    device : str or torch.device, optional
        Where large matrix products are computed.

    Raises
    ------
    InputDimensionError
        If the network's or the domain's dimension is not 2.
    FileFormatError, OutputPathError
        If the journal is another run's, or cannot be written.
    """
    task = prepared_task(network, domain, caution, balls, device)
    result = run_planned(task, Keep(), Plan(n_jobs, block_values, progress), resume)
    part, report = result.value, closed_report(task, result.report)
    if network.has_pools:
        part = tidied(task.network, part)
        report["layers"][-1]["edges"] = len(part.edges)
    return as_complex(task, part, report)


def prepared_task(
    network: Network, domain: Domain, caution: float = 1.0, balls: bool = True, device: Any = None
) -> Task:
    """The task, after its dimensions were checked and a word was said if the engine has to be compiled.

    On a slice the task's network is the one behind the slice's embedding.
    """
    if isinstance(domain, Slice):
        network = domain.embed(network)
    if network.n_inputs != 2:
        raise InputDimensionError(
            f"partition: the network takes {network.n_inputs} inputs, expected 2; of a network with more, take a box "
            f"of its dimension, gr.partition(model, gr.Box([-1] * {network.n_inputs}, [1] * {network.n_inputs})), a "
            "plane, gr.Slice.axes(i, j, at=x, domain=...) or gr.Slice.through(a, b, c), or a gr.Segment(a, b)"
        )
    if domain.dimension != 2:
        raise InputDimensionError(
            f"partition: the domain has dimension {domain.dimension}, expected 2, as the network has 2 inputs; "
            "pass a box or polygon in the plane, such as gr.Box([-1, -1], [1, 1])"
        )
    task = Task(network, domain, caution, balls, device)
    compilation.announce()
    return task


def run_planned(task: Task, reducer: Reducer[Any], plan: Plan, resume: PathLike | None) -> Result[Any]:
    """Run, with a journal if a path for one is given."""
    if resume is None:
        return run(task, reducer, plan)
    with Journal(resume, task, f"{reducer.kind} {plan.block_values}") as journal:
        return run(task, reducer, plan._replace(journal=journal))


class Keep:
    """Keeps finished blocks, and merges them."""

    kind = "partition"

    def finish(self, cutter: Cutter) -> Part:
        """The block's arrays."""
        return cutter.finish()

    def combine(self, cutter: Cutter, ids: Ids, values: Iterable[Part]) -> Part:
        """The parts, merged."""
        mesh, parts = cutter.faces.mesh, list(values)
        whole = merge(len(mesh.xy), len(mesh.edges), ids, parts)
        whole.first_piece = whole.first_piece[cutter.first_piece]
        return whole

    def encode(self, value: Part) -> bytes:
        """Arrays as an .npz file."""
        file = io.BytesIO()
        np.savez(file, **{f.name: getattr(value, f.name) for f in fields(Part)})
        return file.getvalue()

    def decode(self, data: bytes) -> Part:
        """The same arrays."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Part(**arrays)


def as_complex(task: Task, part: Part, report: dict[str, Any]) -> PlanarComplex:
    """A finished part as a complex: of the whole domain, or of a block, whose border's other side is -1."""
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
        patterns=Patterns(part.words, task.given.widths),
        network=task.given,
        domain=task.domain,
        report=report,
    )


def closed_report(task: Task, report: dict[str, Any]) -> dict[str, Any]:
    """The finished report: of the layers that were given, with what follows from its sums."""
    report["layers"] = [report["layers"][k] for k in task.last_parts.tolist()]
    for counts in report["layers"]:
        counts["vertices"] = 1 + counts["edges"] - counts["regions"]
    report["signs_filter"] = report["signs"] - report["signs_ball"] - report["signs_exact"]
    report["generic"] = report["signs_zero"] == 0 and report["ties"] == 0
    return report
