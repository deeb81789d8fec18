"""Cuts a block of the complex by one layer after another.

Per layer: rectified rows of the vertices and one matrix product for the next
preactivations, by groups of rows; signs; crossings of edges; cutting of faces.  `records`
tells the algorithm, `bounds` the error bounds, `settle` decides what they leave in doubt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.domain import Domain
from geomrelu.errors import InvariantError
from geomrelu.matrices import is_sparse
from geomrelu.network import Layer, Network
from geomrelu.planar.arrange import CONTRADICTION, DOUBTFUL, cut_faces
from geomrelu.planar.blocks import Block, Faces, Part, given_rows, split
from geomrelu.planar.bounds import (
    PLACE_ERROR,
    LayerBounds,
    blur,
    entry_error,
    last_rounding,
    layer_bounds,
    place_bound,
    row_error,
)
from geomrelu.planar.crossings import (
    count_crossings,
    edge_crossings,
    rectified_rows,
    row_norms,
    sign_masks,
    split_edges,
)
from geomrelu.planar.merging import inside_pool, merge_faces, relevant_words
from geomrelu.planar.records import Children, Cuts, Mesh, Rows, Values
from geomrelu.planar.settle import Forms, History, Judge

__all__ = ["Cutter", "Task", "add_report", "new_report", "root_block"]

# Rows per matrix product: enough for BLAS to run at full speed, few enough to stay in cache.
_BLOCK_ROWS = 1024
# The same for wide layers: numbers per row block.
_BLOCK_NUMBERS = 1 << 20
_FEWEST_ROWS = 32
# Faces per call of the kernel, between which interrupts are seen.
_BLOCK_FACES = 16384


class Task:
    """What all blocks of one partition have in common.

    Parameters
    ----------
    network : Network
    domain : Box or Polygon
    caution : float
        Factor on all error bounds.
    balls : bool
        Whether signs in doubt are tried with tighter bounds before exact integers.
    """

    def __init__(self, network: Network, domain: Domain, caution: float = 1.0, balls: bool = True) -> None:
        self.network, self.domain, self.caution, self.balls = network, domain, caution, balls
        self.bounds = layer_bounds(network)
        self.weights = [
            layer.weight.T if is_sparse(layer.weight) else np.ascontiguousarray(layer.weight.T)
            for layer in network.hidden
        ]
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (self.network, self.domain, self.caution, self.balls)

    def next_cut(self, layer: int) -> int:
        """The first layer with neurons from `layer` on; the number of hidden layers if there is none."""
        hidden = self.network.hidden
        return next((k for k in range(layer, len(hidden)) if hidden[k].n_neurons), len(hidden))

    def block_rows(self, first: int, last: int) -> int:
        """Rows per matrix product in layers `first` to `last`."""
        widest = max(max(v.n_units, v.n_inputs) for v in self.network.hidden[first : last + 1])
        return max(_FEWEST_ROWS, min(_BLOCK_ROWS, _BLOCK_NUMBERS // widest))

    @property
    def forms(self) -> Forms:
        """Affine forms with caches, one for each thread."""
        if not hasattr(self._local, "forms"):
            self._local.forms = Forms(self.network)
        found: Forms = self._local.forms
        return found


def root_block(task: Task) -> Block:
    """The whole domain as one face."""
    corners = np.array(task.domain.vertices)
    n = len(corners)
    ids = np.arange(n, dtype=np.int64)
    mesh = Mesh(
        xy=corners,
        edges=np.stack([ids, np.roll(ids, -1)], axis=1),
        edge_faces=np.stack([np.zeros_like(ids), np.full_like(ids, -1)], axis=1),
        edge_distance=np.zeros(n),
        face_offsets=np.array([0, n], dtype=np.int64),
        face_vertices=ids.copy(),
        face_edges=ids.copy(),
    )
    faces = Faces(mesh, -1 - ids, np.zeros((1, 0), dtype=np.uint64), np.zeros(n), np.zeros(n))
    lines = np.stack([-1 - np.roll(ids, 1), -1 - ids], axis=1)
    history = History(lines, ids, np.full_like(ids, -1), [])
    mine = np.ones(n, dtype=bool)
    return Block(0, faces, history, given_rows(corners, np.zeros(n)), mine, mine, 1.0, ids, ids)


def new_report(n_layers: int) -> dict[str, Any]:
    """A report in which nothing has happened yet."""
    return {
        "layers": [{"regions": 0, "edges": 0} for _ in range(n_layers)],
        "seconds": dict.fromkeys(["products and signs", "crossings", "faces", "exact decisions"], 0.0),
        **dict.fromkeys(
            ["signs", "signs_ball", "signs_exact", "signs_zero", "edges_exact", "faces_exact", "ties",
             "vertices_again", "vertices_exact"],
            0,
        ),
    }  # fmt: skip


def add_report(total: dict[str, Any], part: dict[str, Any]) -> None:
    """Add a block's report to a total, number by number."""
    for name, value in part.items():
        if isinstance(value, dict):
            add_report(total[name], value)
        elif isinstance(value, list):
            for mine, other in zip(total[name], value, strict=True):
                add_report(mine, other)
        else:
            total[name] += value


class Cutter:
    """One block on its way through the layers; see `advance` and `finish`."""

    def __init__(self, task: Task, block: Block) -> None:
        self.task, self.network, self.domain, self.caution = task, task.network, task.domain, task.caution
        self.layer, self.share = block.layer, block.share
        self.faces, self.history, self.rows, self.owned = block.faces, block.history, block.rows, block.owned
        self.owned_vertices = block.owned_vertices
        self.n_given_vertices = len(block.faces.mesh.xy)
        self.first_piece = np.arange(len(block.faces.mesh.edges) + 1, dtype=np.int64)
        self.rounding_share = 1.0
        self.judge = Judge(task.domain, task.forms, self.history, task.balls)
        self.report = new_report(len(self.network.hidden))

    @property
    def n_faces(self) -> int:
        """Number of faces so far."""
        return len(self.faces.words)

    # ------------------------------------------------------------------ one layer

    def advance(self) -> None:
        """Cut the block by the next layer with neurons; affine steps before it are taken on the way."""
        steps = range(self.layer, self.task.next_cut(self.layer))
        for k in steps:
            self.history.words.append(self.faces.words)
            self._count(k)
        self.layer = steps.stop
        if self.layer == len(self.network.hidden):
            return
        index, layer = self.layer, self.network.hidden[self.layer]
        seconds = self.report["seconds"]
        self.history.words.append(self.faces.words)
        values, row_errors, extra = self._values(steps, index, layer, self.task.bounds[index])
        clock, exact = time.perf_counter(), seconds["exact decisions"]
        cuts = self._cut_edges(index, values)
        # What was decided exactly on the way has a stage of its own.
        seconds["crossings"] += time.perf_counter() - clock - (seconds["exact decisions"] - exact)
        out = self._cut_faces(index, layer, values, cuts)
        self._take(index, layer, cuts, out)
        self.rows = self._next_rows(index, layer, values, row_errors, extra, cuts, out)
        self.first_piece += cuts.vertex_offsets[self.first_piece]
        self._own_pieces(np.diff(cuts.vertex_offsets[: len(self.owned) + 1]))
        if inside_pool(self.network, index):
            self.faces = merge_faces(self.faces, relevant_words(self.network, self.faces.words, index + 1))
        self._count(index)
        self.layer += 1

    def _own_pieces(self, n_new: IntArray) -> None:
        """What is owned of the given edges' pieces and of the new vertices, `n_new` of which lie on each edge."""
        mine = np.ones(len(self.faces.mesh.xy), dtype=bool)
        n_old = len(self.owned_vertices)
        mine[:n_old] = self.owned_vertices
        mine[n_old : n_old + int(n_new.sum())] = np.repeat(self.owned, n_new)
        self.owned_vertices = mine
        self.owned = np.repeat(self.owned, n_new + 1)

    def _count(self, layer: int) -> None:
        """Note the numbers of regions and edges after a layer."""
        counts = self.report["layers"][layer]
        counts["regions"] = self.n_faces
        counts["edges"] = len(self.faces.mesh.edges) - int((~self.owned).sum())

    def _values(
        self, steps: range, index: int, layer: Layer, bounds: LayerBounds
    ) -> tuple[Values, FloatArray, FloatArray]:
        """The layer's preactivations, errors and signs at all vertices, through the affine steps before it."""
        clock = time.perf_counter()
        n_vertices, n_words = len(self.faces.mesh.xy), (layer.n_neurons + 63) // 64
        z = np.empty((n_vertices, layer.n_units))
        error, row_errors = np.empty(n_vertices), np.empty(n_vertices)
        positive = np.empty((n_vertices, n_words), dtype=np.uint64)
        negative = np.empty((n_vertices, n_words), dtype=np.uint64)
        weight, all_vertices = self.task.weights[index], np.arange(n_vertices, dtype=np.int64)
        block_rows = self.task.block_rows(steps.start, index)
        h = np.empty((min(block_rows, n_vertices), self.network.hidden[steps.start].n_inputs))
        self.rounding_share = 0.0
        doubts = []
        for first in range(0, n_vertices, block_rows):
            last = min(first + block_rows, n_vertices)
            block, rows = slice(first, last), h[: last - first]
            h_norm, h_error = np.empty(last - first), np.empty(last - first)
            rectified_rows(self.rows, all_vertices[block], rows, h_norm, h_error)
            for k in steps:
                rows, h_norm, h_error = self._step(k, rows, h_norm, h_error)
            if is_sparse(weight):
                z[block] = rows @ weight
            else:
                np.matmul(rows, weight, out=z[block])
            z[block] += layer.bias
            error[block] = self.caution * entry_error(bounds, h_norm, h_error)
            row_errors[block] = self.caution * row_error(bounds, h_norm, h_error)
            share = last_rounding(bounds, h_norm) / np.maximum(error[block], last_rounding(bounds, h_norm))
            self.rounding_share = max(self.rounding_share, float(np.nan_to_num(share, nan=1.0).max()))
            limit = error[block] + bounds.steepness * self.faces.radius[block]
            found = _signs(z[block], limit, layer.n_neurons, positive[block], negative[block])
            found[:, 0] += first
            doubts.append(found)
        self.report["seconds"]["products and signs"] += time.perf_counter() - clock
        values = Values(z, error, positive, negative, bounds.steepness, blur(self.domain.vertices, index))
        self.report["signs"] += n_vertices * layer.n_neurons
        extra = self._settle_signs(index, np.concatenate(doubts), values)
        return values, row_errors, extra

    def _step(
        self, index: int, rows: FloatArray, h_norm: FloatArray, h_error: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows behind an affine step, their norms and errors."""
        error = self.caution * row_error(self.task.bounds[index], h_norm, h_error)
        rows = rows @ self.task.weights[index]
        rows += self.network.hidden[index].bias
        return rows, row_norms(rows), error

    def _settle_signs(self, index: int, doubts: IntArray, values: Values) -> FloatArray:
        """Decide the signs in doubt, set their bits; returns the vertices' extra errors."""
        extra = np.zeros(len(values.z))
        if len(doubts) == 0:
            return extra
        clock = time.perf_counter()
        mesh = self.faces.mesh
        # Of a vertex that merging has left without edges any face will do: its signs have no effect.
        some_face = np.zeros(len(mesh.xy), dtype=np.int64)
        some_face[mesh.face_vertices] = np.repeat(
            np.arange(len(mesh.face_offsets) - 1), np.diff(mesh.face_offsets)
        )  # fmt: skip
        signs = self.judge.signs(doubts, index, some_face[doubts[:, 0]], self.faces.words)
        vertices, neurons = doubts.T
        bits = np.uint64(1) << (neurons % 64).astype(np.uint64)
        for masks, wanted in ((values.positive, signs > 0), (values.negative, signs < 0)):
            np.bitwise_or.at(masks, (vertices[wanted], neurons[wanted] // 64), bits[wanted])
        # The value may contradict the sign: then it, too, is an error of the row.
        np.add.at(extra, vertices, np.abs(values.z[vertices, neurons]) + values.error[vertices])
        self.report["signs_ball"] += len(doubts) - self.judge.exact_signs
        self.report["signs_exact"] += self.judge.exact_signs
        self.judge.exact_signs = 0
        self.report["signs_zero"] += int(((signs == 0) & self.owned_vertices[vertices]).sum())
        self.report["seconds"]["exact decisions"] += time.perf_counter() - clock
        return extra

    def _cut_edges(self, index: int, values: Values) -> Cuts:
        mesh = self.faces.mesh
        offsets = np.empty(len(mesh.edges) + 1, dtype=np.int64)
        count_crossings(mesh.edges, values.positive, values.negative, offsets)
        n = int(offsets[-1])
        integers, floats = np.empty((2, n), dtype=np.int64), np.empty((4, n))
        cuts = Cuts(offsets, integers[0], integers[1], floats[0], floats[1], floats[2], floats[3], offsets.copy())
        doubtful = np.zeros(len(mesh.edges), dtype=np.bool_)
        edge_crossings(mesh, values, cuts, doubtful)
        n_new = np.diff(offsets)
        clock = time.perf_counter()
        for e in np.flatnonzero(doubtful).tolist():
            left, right = mesh.edge_faces[e].tolist()
            words = self.faces.words[left if left >= 0 else right]
            n_new[e] = self.judge.order_edge(e, int(self.faces.edge_line[e]), words, index, mesh, values, cuts)
        self.report["seconds"]["exact decisions"] += time.perf_counter() - clock
        self.report["edges_exact"] += int(doubtful.sum())
        np.cumsum(n_new, out=cuts.vertex_offsets[1:])
        tied = np.diff(offsets) - n_new
        self.report["ties"] += int(tied.sum() - tied[: len(self.owned)][~self.owned].sum())
        return cuts

    def _cut_faces(self, index: int, layer: Layer, values: Values, cuts: Cuts) -> Children:
        clock = time.perf_counter()
        mesh = self.faces.mesh
        n_faces, n_edges = len(mesh.face_offsets) - 1, len(mesh.edges)
        n_on_edges = int(cuts.vertex_offsets[-1])
        # Room for as many crossings inside faces as on edges: seldom too little, never much too much.
        room = 2 * n_on_edges + 64
        out = _new_children(
            n_on_edges + room,
            n_edges + n_on_edges + 3 * room,
            n_faces + 2 * room,
            len(mesh.face_vertices) + 8 * room,
            values.positive.shape[1],
        )
        split_edges(mesh, values, cuts, self.faces.edge_line, out)
        out.used[:] = n_on_edges, n_edges + n_on_edges, 0
        status = np.zeros(n_faces, dtype=np.int64)
        faces = np.arange(n_faces, dtype=np.int64)
        nothing, zeros = np.empty(0), np.zeros(n_faces + 1, dtype=np.int64)
        out = self._run(index, faces, status, nothing, zeros, layer, mesh, values, cuts, out)
        self.report["seconds"]["faces"] += time.perf_counter() - clock
        doubtful = np.flatnonzero(status == DOUBTFUL)
        if len(doubtful):
            clock = time.perf_counter()
            words = self.faces.words
            ranks = [self.judge.order_face(f, words[f], index, mesh, values, cuts, out) for f in doubtful.tolist()]
            rank_offsets = np.concatenate([[0], np.cumsum([len(r) for r in ranks])]).astype(np.int64)
            again = np.zeros(len(doubtful), dtype=np.int64)
            out = self._run(
                index, doubtful, again, np.concatenate(ranks), rank_offsets, layer, mesh, values, cuts, out
            )  # fmt: skip
            status[doubtful] = again
            self.report["faces_exact"] += len(doubtful)
            self.report["ties"] += self.judge.face_ties
            self.judge.face_ties = 0
            self.report["seconds"]["exact decisions"] += time.perf_counter() - clock
        bad = np.flatnonzero(status == CONTRADICTION)
        if len(bad):
            raise InvariantError("signs", f"face {bad[0]} of layer {index}", "no arrangement", "consistent signs")
        return out

    def _run(
        self, index: int, faces: IntArray, status: IntArray, ranks: FloatArray, rank_offsets: IntArray,
        layer: Layer, mesh: Mesh, values: Values, cuts: Cuts, out: Children,
    ) -> Children:  # fmt: skip
        """Cut the faces in blocks, growing the output as needed."""
        begin = 0
        while begin < len(faces):
            end = min(begin + _BLOCK_FACES, len(faces))
            done = cut_faces(
                faces, begin, end, mesh, values, cuts, max(layer.n_neurons, 1), ranks, rank_offsets, status, out
            )
            if done < end:
                # One face that needs far more room than all before may be met at once.
                out = _grown(out, 2 if done > begin else 8)
            begin = done
        return out

    def _take(self, index: int, layer: Layer, cuts: Cuts, out: Children) -> None:
        """Make the children the complex."""
        mesh = self.faces.mesh
        n_vertices, n_edges, n_faces = out.used.tolist()
        n_on_edges = int(cuts.vertex_offsets[-1])
        n_pieces = len(mesh.edges) + n_on_edges
        first = sum(self.network.widths[:index])
        corners = int(out.face_offsets[n_faces])
        lines = out.lines[:n_vertices].copy()
        lines[:, 0] += first
        lines[n_on_edges:, 1] += first
        history = self.history
        history.lines = np.concatenate([history.lines, lines])
        history.parents = np.concatenate([history.parents, out.parents[:n_vertices]])
        history.layers = np.concatenate([history.layers, np.full(n_vertices, index)])
        pieces = np.diff(cuts.vertex_offsets) + 1
        edge_line = np.concatenate(
            [np.repeat(self.faces.edge_line, pieces), out.edge_neuron[n_pieces:n_edges] + first]
        )  # fmt: skip
        parents = out.face_parent[:n_faces]
        self.faces = Faces(
            Mesh(
                xy=np.concatenate([mesh.xy, out.xy[:n_vertices]]),
                # Views: the room that was not needed was never touched, so it costs no memory.
                edges=out.edges[:n_edges],
                edge_faces=out.edge_faces[:n_edges],
                edge_distance=out.edge_distance[:n_edges],
                face_offsets=out.face_offsets[: n_faces + 1],
                face_vertices=out.face_vertices[:corners],
                face_edges=out.face_edges[:corners],
            ),
            edge_line=edge_line,
            words=np.concatenate([self.faces.words[parents], out.face_words[:n_faces]], axis=1),
            radius=np.concatenate([self.faces.radius, out.radius[:n_vertices]]),
            place_error=np.concatenate([self.faces.place_error, out.radius[:n_vertices] * self.rounding_share]),
        )

    def _next_rows(
        self, index: int, layer: Layer, values: Values, row_errors: FloatArray, extra: FloatArray, cuts: Cuts,
        out: Children,
    ) -> Rows:  # fmt: skip
        n_vertices, n_on_edges = int(out.used[0]), int(cuts.vertex_offsets[-1])
        # Only this layer's neurons are zero by definition; the second line of a vertex on an edge is older.
        lines = out.lines[:n_vertices].copy()
        lines[:n_on_edges, 1] = -1
        # How far a value at the represented point may be from that at the true one.
        limit = self.caution * self.task.bounds[index].steepness * out.radius[:n_vertices]
        return Rows(
            values.z, layer.n_neurons, row_errors, extra, out.sources[:n_vertices], out.weights[:n_vertices], lines,
            out.residual[:n_vertices], limit,
        )  # fmt: skip

    def _place_vertices(self) -> FloatArray:
        """Compute again the vertices that may be too far from their true points; returns bounds on all errors."""
        clock = time.perf_counter()
        corners = self.domain.vertices
        wanted = PLACE_ERROR * float(np.ptp(corners, axis=0).max())
        errors = self.faces.radius + blur(corners, len(self.network.hidden))
        errors[self.history.layers < 0] = 0.0
        again = np.flatnonzero(~((errors <= place_bound(corners)) & (self.faces.place_error <= wanted)))
        self.faces.mesh.xy[again], errors[again] = self.judge.places(again, wanted)
        self.report["vertices_again"] = len(again)
        self.report["vertices_exact"] = self.judge.exact_places
        self.report["seconds"]["exact decisions"] += time.perf_counter() - clock
        return errors

    def blocks(self, size: int) -> Iterator[Block]:
        """Split what there is into blocks of about `size` faces."""
        n_inputs = self.network.hidden[self.layer].n_inputs
        return split(
            self.layer, self.faces, self.history, self.rows, self._all_owned(), self.owned_vertices, self.share, size,
            n_inputs,
        )  # fmt: skip

    def _all_owned(self) -> BoolArray:
        owned = np.ones(len(self.faces.mesh.edges), dtype=bool)
        owned[: len(self.owned)] = self.owned
        return owned

    def finish(self) -> Part:
        """The finished block, in arrays of its own."""
        errors = self._place_vertices()
        mesh = self.faces.mesh
        return Part(
            mesh.xy, errors, self.history.lines, mesh.edges.copy(), mesh.edge_faces.copy(), self.faces.edge_line,
            mesh.face_offsets.copy(), mesh.face_vertices.copy(), mesh.face_edges.copy(), self.faces.words,
            self.first_piece,
        )  # fmt: skip


# ---------------------------------------------------------------------- arrays


def _signs(z: FloatArray, limit: FloatArray, n_neurons: int, positive: WordArray, negative: WordArray) -> IntArray:
    doubts = np.empty((1024, 2), dtype=np.int64)
    count = sign_masks(z, limit, n_neurons, positive, negative, doubts)
    if count > len(doubts):
        doubts = np.empty((count, 2), dtype=np.int64)
        sign_masks(z, limit, n_neurons, positive, negative, doubts)
    return doubts[:count]


def _new_children(vertices: int, edges: int, faces: int, corners: int, n_words: int) -> Children:
    return Children(
        xy=np.empty((vertices, 2)),
        lines=np.empty((vertices, 2), dtype=np.int64),
        parents=np.empty(vertices, dtype=np.int64),
        sources=np.empty((vertices, 4), dtype=np.int64),
        weights=np.empty((vertices, 4)),
        radius=np.empty(vertices),
        residual=np.empty(vertices),
        edges=np.empty((edges, 2), dtype=np.int64),
        edge_faces=np.empty((edges, 2), dtype=np.int64),
        edge_neuron=np.empty(edges, dtype=np.int64),
        edge_distance=np.empty(edges),
        face_offsets=np.zeros(faces + 1, dtype=np.int64),
        face_parent=np.empty(faces, dtype=np.int64),
        face_words=np.empty((faces, n_words), dtype=np.uint64),
        face_vertices=np.empty(corners, dtype=np.int64),
        face_edges=np.empty(corners, dtype=np.int64),
        used=np.zeros(3, dtype=np.int64),
    )


def _grown(out: Children, factor: int) -> Children:
    """A copy with `factor` times the room."""
    bigger = _new_children(
        factor * len(out.xy),
        factor * len(out.edges),
        factor * len(out.face_parent),
        factor * len(out.face_vertices),
        out.face_words.shape[1],
    )
    for old, new in zip(out, bigger, strict=True):
        new[: len(old)] = old
    return bigger
