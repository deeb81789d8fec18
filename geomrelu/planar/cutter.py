"""Cuts a block of the complex by one layer after another.

Per layer: rectified rows of the vertices and one matrix product for the next
preactivations, by groups of rows; signs; crossings of edges; cutting of faces.  `records`
tells the algorithm, `bounds` the error bounds, `settle` decides what they leave in doubt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.domain import Domain
from geomrelu.errors import InvariantError
from geomrelu.network import Layer, Network
from geomrelu.planar import compilation, narrow
from geomrelu.planar.arrange import CONTRADICTION, DOUBTFUL, Scratch, cut_faces
from geomrelu.planar.blocks import Block, Faces, Part, given_rows, split
from geomrelu.planar.bounds import PLACE_BOUND, PLACE_ERROR, blur, bounded_errors, layer_bounds
from geomrelu.planar.crossings import SLACK, count_crossings, edge_crossings, split_edges
from geomrelu.planar.merging import inside_pool, merge_faces, relevant_words
from geomrelu.planar.pool import thread_pool
from geomrelu.planar.products import Products
from geomrelu.planar.records import Children, Cuts, LayerBounds, Mesh, Rows, Values, grown, new_children
from geomrelu.planar.rows import rectified_rows, row_norms, sign_rows, value_errors
from geomrelu.planar.scaling import domain_exponents, scaled
from geomrelu.planar.settle import Forms, History, Judge
from geomrelu.planar.steepness import face_steepness, vertex_stretch

__all__ = ["Cutter", "Task", "add_report", "new_report", "root_block"]

# Rows per matrix product: enough for BLAS to run at full speed, few enough to stay in cache: more where they are
# short, as each block costs calls, fewer where they are very long.
_BLOCK_ROWS, _SHORT_ROWS = 1024, 4096
_CACHED_NUMBERS, _BLOCK_NUMBERS = 1 << 18, 1 << 20
_FEWEST_ROWS = 32
# Crossings for which there is room at first when the whole domain is cut.
_FIRST_ROOM = 1 << 16
# Measuring faces' steepness costs as much as signs do; norms overestimate it, by two or three a layer mostly.
_STALE = 4.0
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
    device : str, torch.device or None
        Where large matrix products are computed (`products`).
    exponents : sequence of (units,) int64, optional
        How units are scaled (`scaling`); blocks in other processes must know it to the last bit.

    Attributes
    ----------
    given : Network
    network : Network
        The same, without very wide layers (`narrow`), units scaled: what the engine cuts by.
    scaled : Scaled
        That network, and the domain's corners in its coordinates.
    last_parts : (hidden layers,) int64
        For each hidden layer of the given one, its last part in the other.
    """

    def __init__(
        self, network: Network, domain: Domain, caution: float = 1.0, balls: bool = True, device: Any = None,
        exponents: Sequence[IntArray] | None = None,
    ) -> None:  # fmt: skip
        self.given, self.domain, self.caution, self.balls = network, domain, caution, balls
        network, self.last_parts = narrow.narrowed(network, narrow.WIDE)
        if exponents is None:
            exponents = domain_exponents(network, domain.vertices)
        self.scaled = scaled(network, domain.vertices, exponents)
        network = self.network = self.scaled.network
        self.bounds = layer_bounds(network)
        self.measured = _measured([b.operator_norm for b in self.bounds])
        self.products = Products(network, device)
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        device, exponents = self.products.device, self.scaled.exponents
        return Task, (self.given, self.domain, self.caution, self.balls, device, exponents)

    def next_cut(self, layer: int) -> int:
        """The first layer with neurons from `layer` on; the number of hidden layers if there is none."""
        hidden = self.network.hidden
        return next((k for k in range(layer, len(hidden)) if hidden[k].n_neurons), len(hidden))

    def block_rows(self, first: int, last: int) -> int:
        """Rows per matrix product in layers `first` to `last`."""
        widest = max(max(v.n_units, v.n_inputs) for v in self.network.hidden[first : last + 1])
        rows = max(_BLOCK_ROWS, min(_SHORT_ROWS, _CACHED_NUMBERS // widest))
        return max(_FEWEST_ROWS, min(rows, _BLOCK_NUMBERS // widest))

    @property
    def forms(self) -> Forms:
        """Affine forms with caches, one for each thread."""
        if not hasattr(self._local, "forms"):
            self._local.forms = Forms(self.network)
        found: Forms = self._local.forms
        return found


def _measured(norms: list[float]) -> list[bool]:
    """In which layers faces' steepness is measured: where the norms since the last one have multiplied too far."""
    result, stale = [], 1.0
    for norm in norms:
        stale *= norm
        result.append(stale > _STALE)
        stale = 1.0 if result[-1] else stale
    return result


def root_block(task: Task) -> Block:
    """The whole domain as one face."""
    corners = np.array(task.scaled.corners)
    n = len(corners)
    ids = np.arange(n, dtype=np.int64)
    edges, edge_faces, lines = (np.empty((n, 2), dtype=np.int64) for _ in range(3))
    edges[:, 0], edges[:, 1] = ids, (ids + 1) % n
    edge_faces[:] = 0, -1
    lines[:, 0], lines[:, 1] = -1 - (ids - 1) % n, -1 - ids
    mesh = Mesh(
        xy=corners,
        edges=edges,
        edge_faces=edge_faces,
        edge_distance=np.zeros(n),
        face_offsets=np.array([0, n], dtype=np.int64),
        face_vertices=ids.copy(),
        face_edges=ids.copy(),
        face_words=np.zeros((1, 0), dtype=np.uint64),
        edge_line=-1 - ids,
    )
    drawn = np.full(n, -1, dtype=np.int64) if task.network.has_pools else None
    faces = Faces(mesh, np.zeros(n), np.zeros(n), np.ones(1), drawn)
    history = History(lines, ids, np.full_like(ids, -1), [], drawn)
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
        self.task, self.network, self.caution = task, task.network, task.caution
        self.layer, self.share = block.layer, block.share
        self.faces, self.history, self.rows, self.owned = block.faces, block.history, block.rows, block.owned
        self.owned_vertices = block.owned_vertices
        self.pool = thread_pool()
        self.n_given_vertices = len(block.faces.mesh.xy)
        self.first_piece = np.arange(len(block.faces.mesh.edges) + 1, dtype=np.int64)
        self.rounding_share = 1.0
        self.scratch = Scratch()
        self.judge = Judge(task.scaled.corners, task.forms, self.history, task.balls)
        self.report = new_report(len(self.network.hidden))

    @property
    def n_faces(self) -> int:
        """Number of faces so far."""
        return len(self.faces.mesh.face_words)

    # ------------------------------------------------------------------ one layer

    def advance(self) -> None:
        """Cut the block by the next layer with neurons; affine steps before it are taken on the way."""
        steps = range(self.layer, self.task.next_cut(self.layer))
        for k in steps:
            self.history.words.append(self.faces.mesh.face_words)
            self._count(k)
        self.layer = steps.stop
        if self.layer == len(self.network.hidden):
            return
        index, layer = self.layer, self.network.hidden[self.layer]
        seconds = self.report["seconds"]
        self.history.words.append(self.faces.mesh.face_words)
        values, row_errors, extra, stretch = self._values(steps, index, layer, self.task.bounds[index])
        clock, exact = time.perf_counter(), seconds["exact decisions"]
        cuts = self._cut_edges(index, values)
        # What was decided exactly on the way has a stage of its own.
        seconds["crossings"] += time.perf_counter() - clock - (seconds["exact decisions"] - exact)
        out = self._cut_faces(index, layer, values, cuts)
        self._take(index, cuts, out, stretch)
        self.rows = self._next_rows(layer, values, row_errors, extra, out)
        self.first_piece += cuts.vertex_offsets[self.first_piece]
        self._own_pieces(np.diff(cuts.vertex_offsets[: len(self.owned) + 1]))
        if inside_pool(self.network, index):
            self.faces = merge_faces(self.faces, relevant_words(self.network, self.faces.mesh.face_words, index + 1))
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
    ) -> tuple[Values, FloatArray, FloatArray, FloatArray]:
        """The layer's preactivations, errors and signs at all vertices, through the affine steps before it."""
        clock = time.perf_counter()
        n_vertices, n_words = len(self.faces.mesh.xy), (layer.n_neurons + 63) // 64
        real, words = (n_vertices, np.float64), ((n_vertices, n_words), np.uint64)
        z, error, row_errors, around, positive, negative, steepness = self.pool.arrays(
            ((n_vertices, layer.n_units), np.float64), real, real, real, words, words, (self.n_faces, np.float64)
        )
        stretch = self._stretches(steps, around)
        all_vertices = np.arange(n_vertices, dtype=np.int64)
        block_rows = self.task.block_rows(steps.start, index)
        h = self.pool.empty((min(block_rows, n_vertices), self.network.hidden[steps.start].n_inputs))
        doubts = [np.empty((0, 2), dtype=np.int64)]
        self.rounding_share = 0.0
        for first in range(0, n_vertices, block_rows):
            last = min(first + block_rows, n_vertices)
            block, rows = slice(first, last), h[: last - first]
            h_norm, h_error = np.empty(last - first), np.empty(last - first)
            rectified_rows(self.rows, all_vertices[block], rows, h_norm, h_error)
            for k in steps:
                rows, h_norm, h_error = self._step(k, rows, h_norm, h_error)
            self.task.products(index, rows, z[block])
            share = value_errors(bounds, self.caution, h_norm, h_error, error[block], row_errors[block])
            self.rounding_share = max(self.rounding_share, share)
            found = _signs(
                z[block], layer, error[block], bounds.row_norm * SLACK, around[block], self.faces.radius[block],
                positive[block], negative[block],
            )  # fmt: skip
            if len(found):
                found[:, 0] += first
                doubts.append(found)
        next_stretch = self.pool.empty(len(stretch))
        first_neuron = sum(self.network.widths[:index])
        values = Values(
            z, error, positive, negative, steepness, first_neuron, blur(self.task.scaled.corners, index)
        )  # fmt: skip
        face_steepness(
            self.faces.mesh, values, bounds, layer.n_neurons, self.task.measured[index], stretch, next_stretch
        )  # fmt: skip
        self.report["seconds"]["products and signs"] += time.perf_counter() - clock
        self.report["signs"] += n_vertices * layer.n_neurons
        extra = self._settle_signs(index, np.concatenate(doubts), values)
        return values, row_errors, extra, next_stretch

    def _stretches(self, steps: range, around: FloatArray) -> FloatArray:
        """Faces' stretch behind the affine steps, (F,); `around` (V,) receives the least of the faces at a vertex."""
        mesh, stretch = self.faces.mesh, self.faces.stretch
        for k in steps:
            stretch = stretch * (self.task.bounds[k].operator_norm * SLACK)
        # Merging leaves vertices without faces: their signs have no effect, but should not be in doubt.
        around.fill(stretch.max())
        vertex_stretch(mesh.face_offsets, mesh.face_vertices, stretch, around)
        return stretch

    def _step(
        self, index: int, rows: FloatArray, h_norm: FloatArray, h_error: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows behind an affine step, their norms and errors."""
        _, error = bounded_errors(self.task.bounds[index], h_norm, h_error)
        rows = rows @ self.task.products.weights[index]
        rows += self.network.hidden[index].bias
        return rows, row_norms(rows), self.caution * error

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
        signs = self.judge.signs(doubts, index, some_face[doubts[:, 0]], self.faces.mesh.face_words)
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
        n_edges = len(mesh.edges)
        offsets, doubtful = self.pool.arrays((n_edges + 1, np.int64), (n_edges, np.bool_))
        most = count_crossings(mesh.edges, values.positive, values.negative, offsets)
        n = int(offsets[-1])
        integers, floats = self.pool.arrays(((2, n), np.int64), ((4, n), np.float64))
        cuts = Cuts(offsets, integers[0], integers[1], floats[0], floats[1], floats[2], floats[3], offsets)
        n_doubtful = edge_crossings(mesh, values, cuts, most, doubtful)
        if n_doubtful == 0:
            return cuts
        # Ties share a vertex, so there may be fewer vertices than crossings.
        clock = time.perf_counter()
        n_new, asked = np.diff(offsets), np.flatnonzero(doubtful)
        drawn = None if self.faces.edge_drawn is None else self.faces.edge_drawn[asked]
        n_new[asked] = self.judge.order_edges(asked, drawn, index, mesh, values, cuts)
        self.report["seconds"]["exact decisions"] += time.perf_counter() - clock
        self.report["edges_exact"] += n_doubtful
        tied = np.diff(offsets) - n_new
        self.report["ties"] += int(tied.sum() - tied[: len(self.owned)][~self.owned].sum())
        return cuts._replace(vertex_offsets=np.concatenate([[0], np.cumsum(n_new)]))

    def _cut_faces(self, index: int, layer: Layer, values: Values, cuts: Cuts) -> Children:
        compilation.await_kernel()
        clock = time.perf_counter()
        mesh, pool = self.faces.mesh, self.pool
        n_faces, n_edges = len(mesh.face_words), len(mesh.edges)
        n_on_edges = int(cuts.vertex_offsets[-1])
        # Room for as many crossings inside faces as on edges: seldom too little, never much too much.
        room = 2 * n_on_edges + 64
        if n_faces == 1:
            # All pairs of chords may cross.
            room = max(room, min(n_on_edges**2 // 8, _FIRST_ROOM))
        out = new_children(
            pool,
            n_on_edges + room,
            n_edges + n_on_edges + 3 * room,
            n_faces + 2 * room,
            len(mesh.face_vertices) + 8 * room,
            mesh.face_words.shape[1] + values.positive.shape[1],
        )
        split_edges(mesh, values, cuts, out)
        out.used[:] = n_on_edges, n_edges + n_on_edges, 0
        status, nothing = pool.empty(n_faces, np.int8), np.empty(0, dtype=np.int64)
        out = self._run(nothing, status, np.empty(0), nothing, layer, mesh, values, cuts, out)
        self.report["seconds"]["faces"] += time.perf_counter() - clock
        if not status.any():
            return out
        doubtful = np.flatnonzero(status == DOUBTFUL)
        if len(doubtful):
            clock = time.perf_counter()
            ranks = self.judge.order_faces(doubtful, index, mesh, values, cuts, out)
            rank_offsets = np.concatenate([[0], np.cumsum([len(r) for r in ranks])]).astype(np.int64)
            again = np.zeros(len(doubtful), dtype=np.int8)
            out = self._run(doubtful, again, np.concatenate(ranks), rank_offsets, layer, mesh, values, cuts, out)
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
        self, faces: IntArray, status: npt.NDArray[np.int8], ranks: FloatArray, rank_offsets: IntArray,
        layer: Layer, mesh: Mesh, values: Values, cuts: Cuts, out: Children,
    ) -> Children:  # fmt: skip
        """Cut the faces in blocks, growing the output as needed."""
        begin = 0
        while begin < len(status):
            end = min(begin + _BLOCK_FACES, len(status))
            done = cut_faces(
                faces, begin, end, mesh, values, cuts, layer.n_neurons, ranks, rank_offsets, status, self.scratch, out
            )
            if done < end:
                # One face that needs far more room than all before may be met at once.
                out = grown(self.pool, out, 2 if done > begin else 8)
            begin = done
        return out

    def _take(self, index: int, cuts: Cuts, out: Children, stretch: FloatArray) -> None:
        """Make the children the complex."""
        n_vertices, n_edges, n_faces = out.used.tolist()
        corners = int(out.face_offsets[n_faces])
        faces, history = self.faces, self.history
        radius = out.radius[:n_vertices]
        history.lines, history.parents, history.layers, xy, all_radius, place_error = self._longer(
            (history.lines, out.lines[:n_vertices]), (history.parents, out.parents[:n_vertices]),
            (history.layers, index), (faces.mesh.xy, out.xy[:n_vertices]), (faces.radius, radius),
            (faces.place_error, radius * self.rounding_share), n_new=n_vertices,
        )  # fmt: skip
        edge_drawn = self._draw(index, cuts, out)
        self.faces = Faces(
            Mesh(
                xy=xy,
                # Views: the room that was not needed was never touched, so it costs no memory.
                edges=out.edges[:n_edges],
                edge_faces=out.edge_faces[:n_edges],
                edge_distance=out.edge_distance[:n_edges],
                face_offsets=out.face_offsets[: n_faces + 1],
                face_vertices=out.face_vertices[:corners],
                face_edges=out.face_edges[:corners],
                face_words=out.face_words[:n_faces],
                edge_line=out.edge_line[:n_edges],
            ),
            radius=all_radius,
            place_error=place_error,
            stretch=stretch[out.face_parent[:n_faces]],
            edge_drawn=edge_drawn,
        )

    def _longer(self, *pairs: tuple[npt.NDArray[Any], Any], n_new: int) -> list[npt.NDArray[Any]]:
        """Arrays with what follows in them, `n_new` rows each or one number for all."""
        n_old = len(pairs[0][0])
        result = self.pool.arrays(*(((n_old + n_new, *before.shape[1:]), before.dtype) for before, _ in pairs))
        for whole, (before, after) in zip(result, pairs, strict=True):
            whole[:n_old], whole[n_old:] = before, after
        return result

    def _draw(self, index: int, cuts: Cuts, out: Children) -> IntArray | None:
        """Note where the lines at the new vertices were drawn; returns the same of all edges, if there are pools."""
        history, before = self.history, self.faces.edge_drawn
        if history.drawn is None or before is None:
            return None
        n_new = np.diff(cuts.vertex_offsets)
        n_on_edges = int(cuts.vertex_offsets[-1])
        n_vertices, n_edges, _ = out.used.tolist()
        first = sum(len(words) for words in history.words[:index])
        inside = first + out.parents[n_on_edges:n_vertices]
        history.drawn = np.concatenate([history.drawn, np.repeat(before, n_new), inside])
        beside = out.edge_faces[len(before) + n_on_edges : n_edges, 0]
        return np.concatenate([np.repeat(before, n_new + 1), first + out.face_parent[beside]])

    def _next_rows(
        self, layer: Layer, values: Values, row_errors: FloatArray, extra: FloatArray, out: Children
    ) -> Rows:  # fmt: skip
        n = int(out.used[0])
        # How far a value at the represented point may be from that at the true one.
        limit = self.caution * out.limit[:n]
        return Rows(
            values.z, layer.n_neurons, values.first_neuron, row_errors, extra, out.sources[:n], out.weights[:n],
            out.lines[:n], limit,
        )  # fmt: skip

    def _place_vertices(self) -> FloatArray:
        """Compute again the vertices that may be too far from their true points; returns bounds on all errors."""
        clock = time.perf_counter()
        corners, extent = self.task.scaled.corners, self.task.scaled.extent
        wanted = PLACE_ERROR * extent
        errors = self.faces.radius + blur(corners, len(self.network.hidden))
        errors[self.history.layers < 0] = 0.0
        # Those that are mostly as good as all others need no better coordinates, only a bound.
        limits = np.where(self.faces.place_error <= wanted, PLACE_BOUND * extent, wanted)
        again = np.flatnonzero(~((errors <= limits) & (self.faces.place_error <= wanted)))
        self.faces.mesh.xy[again], errors[again] = self.judge.places(again, limits[again])
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
        xy, errors = self.task.scaled.back(mesh.xy.copy(), errors)
        return Part(
            xy, errors, self.history.lines.copy(), mesh.edges.copy(), mesh.edge_faces.copy(),
            mesh.edge_line.copy(), mesh.face_offsets.copy(), mesh.face_vertices.copy(), mesh.face_edges.copy(),
            mesh.face_words.copy(), self.first_piece,
        )  # fmt: skip


# ---------------------------------------------------------------------- arrays


def _signs(
    z: FloatArray, layer: Layer, error: FloatArray, reach: float, stretch: FloatArray, radius: FloatArray,
    positive: WordArray, negative: WordArray,
) -> IntArray:  # fmt: skip
    """Add the biases, set the signs; returns the (row, neuron) pairs in doubt."""
    doubts, bias = np.empty((1024, 2), dtype=np.int64), layer.bias
    while True:
        count = sign_rows(z, bias, layer.n_neurons, error, reach, stretch, radius, positive, negative, doubts)
        if count <= len(doubts):
            return doubts[:count]
        doubts, bias = np.empty((count, 2), dtype=np.int64), np.zeros_like(bias)
