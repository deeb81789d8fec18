"""Builds the planar complex of a network on a domain, layer by layer.

Per layer: rectified rows of the vertices and one matrix product for the next
preactivations, by blocks of rows; signs; crossings of edges; cutting of faces.  `records`
tells the algorithm, `bounds` the error bounds, `settle` decides what they leave in doubt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.domain import Domain
from geomrelu.errors import InputDimensionError, InvariantError
from geomrelu.network import Layer, Network
from geomrelu.patterns import Patterns
from geomrelu.planar.arrange import CONTRADICTION, DOUBTFUL, cut_faces, kernel
from geomrelu.planar.bounds import PLACE_ERROR, LayerBounds, blur, entry_error, last_rounding, layer_bounds, row_error
from geomrelu.planar.complex import PlanarComplex
from geomrelu.planar.crossings import count_crossings, edge_crossings, rectified_rows, sign_masks, split_edges
from geomrelu.planar.records import Children, Cuts, Mesh, Values
from geomrelu.planar.settle import History, Judge

__all__ = ["Progress", "build_complex"]

Progress: TypeAlias = Callable[[str, float], None]

# Rows per matrix product: enough for BLAS to run at full speed, few enough to stay in cache.
_BLOCK_ROWS = 2048
# Faces per call of the kernel, between which progress is shown and interrupts are seen.
_BLOCK_FACES = 16384


def build_complex(
    network: Network, domain: Domain, progress: Progress | None = None, *, caution: float = 1.0, balls: bool = True
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

    Raises
    ------
    InputDimensionError
        If the network's or the domain's dimension is not 2.
    """
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
    _tell_compilation()
    builder = _Builder(network, domain, progress or (lambda message, fraction: None), caution, balls)
    # Values may overflow and bounds be infinite: both only leave signs in doubt.
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(len(network.hidden)):
            builder.advance(index)
        return builder.freeze()


@dataclass
class _Faces:
    """The complex under construction; vertices' preactivations belong to the layer before."""

    mesh: Mesh
    edge_line: IntArray
    words: WordArray
    radius: FloatArray  # rigorous bound on the position error, which is mostly far smaller
    place_error: FloatArray  # estimate of it: the bound, had values only the rounding of their last product


class _Builder:
    def __init__(self, network: Network, domain: Domain, progress: Progress, caution: float, balls: bool) -> None:
        self.network, self.domain, self.progress, self.caution = network, domain, progress, caution
        self.bounds = layer_bounds(network)
        self.report: dict[str, Any] = {
            "layers": [],
            "seconds": dict.fromkeys(["products and signs", "crossings", "faces", "exact decisions"], 0.0),
            "signs": 0,
            "signs_ball": 0,
            "signs_exact": 0,
            "signs_zero": 0,
            "edges_exact": 0,
            "faces_exact": 0,
            "ties": 0,
        }
        corners = np.array(domain.vertices)
        n = len(corners)
        ids = np.arange(n, dtype=np.int64)
        following = np.roll(ids, -1)
        self.faces = _Faces(
            Mesh(
                xy=corners,
                edges=np.stack([ids, following], axis=1),
                edge_faces=np.stack([np.zeros_like(ids), np.full_like(ids, -1)], axis=1),
                edge_distance=np.zeros(n),
                face_offsets=np.array([0, n], dtype=np.int64),
                face_vertices=ids.copy(),
                face_edges=ids.copy(),
            ),
            edge_line=-1 - ids,
            words=np.zeros((1, 0), dtype=np.uint64),
            radius=np.zeros(n),
            place_error=np.zeros(n),
        )
        self.rounding_share = 1.0
        lines = np.stack([-1 - np.roll(ids, 1), -1 - ids], axis=1)
        self.history = History(lines, np.zeros_like(ids), np.full_like(ids, -1))
        self.judge = Judge(network, domain, self.history, balls)
        self.z = corners
        self.z_neurons = 0
        self.z_row_error = np.zeros(n)
        self.z_extra = np.zeros(n)
        # The first "cut" made no vertex: rows of the first layer's input are the corners.
        self.cut_sources = np.empty((0, 4), dtype=np.int64)
        self.cut_weights = np.empty((0, 4))
        self.cut_lines = np.empty((0, 2), dtype=np.int64)
        self.cut_residual = np.empty(0)
        self.cut_limit = np.empty(0)

    # ------------------------------------------------------------------ one layer

    def advance(self, index: int) -> None:
        """Cut the complex by one layer's neurons."""
        layer = self.network.hidden[index]
        message = f"layer {index + 1} of {len(self.network.hidden)}"
        self.progress(message, index / len(self.network.hidden))
        self.history.words.append(self.faces.words)
        n_vertices, n_words = len(self.faces.mesh.xy), (layer.n_neurons + 63) // 64
        values, row_errors, extra = self._values(index, layer, self.bounds[index], n_vertices, n_words)
        clock = time.perf_counter()
        cuts = self._cut_edges(index, values)
        self.report["seconds"]["crossings"] += time.perf_counter() - clock
        self._cut_faces(index, layer, values, cuts)
        self.z, self.z_neurons, self.z_row_error, self.z_extra = values.z, layer.n_neurons, row_errors, extra
        mesh = self.faces.mesh
        self.report["layers"].append(
            {"regions": len(mesh.face_offsets) - 1, "vertices": len(mesh.xy), "edges": len(mesh.edges)}
        )

    def _values(
        self, index: int, layer: Layer, bounds: LayerBounds, n_vertices: int, n_words: int
    ) -> tuple[Values, FloatArray, FloatArray]:
        """The layer's preactivations, errors and signs at all vertices."""
        clock = time.perf_counter()
        z = np.empty((n_vertices, layer.n_units))
        error, row_errors = np.empty(n_vertices), np.empty(n_vertices)
        positive = np.empty((n_vertices, n_words), dtype=np.uint64)
        negative = np.empty((n_vertices, n_words), dtype=np.uint64)
        weight = np.ascontiguousarray(layer.weight.T)
        h = np.empty((min(_BLOCK_ROWS, n_vertices), layer.n_inputs))
        self.rounding_share = 0.0
        doubts = []
        for first in range(0, n_vertices, _BLOCK_ROWS):
            last = min(first + _BLOCK_ROWS, n_vertices)
            block, rows = slice(first, last), h[: last - first]
            h_norm, h_error = np.empty(last - first), np.empty(last - first)
            rectified_rows(
                self.z, self.z_neurons, self.z_row_error, self.z_extra, self.cut_sources, self.cut_weights,
                self.cut_lines, self.cut_residual, self.cut_limit, first, rows, h_norm, h_error,
            )  # fmt: skip
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

    def _settle_signs(self, index: int, doubts: IntArray, values: Values) -> FloatArray:
        """Decide the signs in doubt, set their bits; returns the vertices' extra errors."""
        extra = np.zeros(len(values.z))
        if len(doubts) == 0:
            return extra
        clock = time.perf_counter()
        mesh = self.faces.mesh
        some_face = np.empty(len(mesh.xy), dtype=np.int64)
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
        self.report["signs_zero"] += int((signs == 0).sum())
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
        self.report["ties"] += n - int(cuts.vertex_offsets[-1])
        return cuts

    def _cut_faces(self, index: int, layer: Layer, values: Values, cuts: Cuts) -> None:
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
            self.report["seconds"]["exact decisions"] += time.perf_counter() - clock
        bad = np.flatnonzero(status == CONTRADICTION)
        if len(bad):
            raise InvariantError("signs", f"face {bad[0]} of layer {index}", "no arrangement", "consistent signs")
        self._take(index, layer, mesh, cuts, out)

    def _run(
        self, index: int, faces: IntArray, status: IntArray, ranks: FloatArray, rank_offsets: IntArray,
        layer: Layer, mesh: Mesh, values: Values, cuts: Cuts, out: Children,
    ) -> Children:  # fmt: skip
        """Cut the faces in blocks, growing the output as needed."""
        n_layers = len(self.network.hidden)
        begin = 0
        while begin < len(faces):
            end = min(begin + _BLOCK_FACES, len(faces))
            done = cut_faces(
                faces, begin, end, mesh, values, cuts, max(layer.n_neurons, 1), ranks, rank_offsets, status, out
            )
            if done < end:
                out = _grown(out)
            begin = done
            share = (index + begin / len(faces)) / n_layers
            self.progress(f"layer {index + 1} of {n_layers}: {out.used[2]:,} regions", share)
        return out

    def _take(self, index: int, layer: Layer, mesh: Mesh, cuts: Cuts, out: Children) -> None:
        """Make the children the complex."""
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
        self.faces = _Faces(
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
        self.cut_sources, self.cut_weights = out.sources[:n_vertices], out.weights[:n_vertices]
        # Only this layer's neurons are zero by definition; the second line of a vertex on an edge is older.
        self.cut_lines = out.lines[:n_vertices].copy()
        self.cut_lines[:n_on_edges, 1] = -1
        self.cut_residual = out.residual[:n_vertices]
        # How far a value at the represented point may be from that at the true one.
        self.cut_limit = self.caution * self.bounds[index].steepness * out.radius[:n_vertices]

    def freeze(self) -> PlanarComplex:
        """The finished complex."""
        self.progress("done", 1.0)
        mesh = self.faces.mesh
        size = float(np.ptp(self.domain.vertices, axis=0).max())
        misplaced = np.flatnonzero(~(self.faces.place_error <= PLACE_ERROR * size))
        for vertex in misplaced.tolist():
            x, y, w = self.judge.point(vertex)
            mesh.xy[vertex] = float(Fraction(x, w)), float(Fraction(y, w))
        self.report["vertices_exact"] = len(misplaced)
        self.report["signs_filter"] = self.report["signs"] - self.report["signs_ball"] - self.report["signs_exact"]
        self.report["ties"] += self.judge.face_ties
        self.report["generic"] = self.report["signs_zero"] == 0 and self.report["ties"] == 0
        return PlanarComplex(
            vertices=mesh.xy,
            edges=mesh.edges,
            edge_faces=mesh.edge_faces,
            edge_neuron=np.maximum(self.faces.edge_line, -1),
            vertex_lines=self.history.lines,
            face_offsets=mesh.face_offsets,
            face_vertices=mesh.face_vertices,
            face_edges=mesh.face_edges,
            patterns=Patterns(self.faces.words, self.network.widths),
            network=self.network,
            domain=self.domain,
            report=self.report,
        )


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


def _grown(out: Children) -> Children:
    """A copy with twice the room."""
    bigger = _new_children(
        2 * len(out.xy),
        2 * len(out.edges),
        2 * len(out.face_parent),
        2 * len(out.face_vertices),
        out.face_words.shape[1],
    )
    for old, new in zip(out, bigger, strict=True):
        new[: len(old)] = old
    return bigger


_told = False


def _tell_compilation() -> None:
    """Say once, on stderr, that the first run on a machine compiles."""
    global _told
    if _told or not hasattr(kernel, "signatures") or kernel.signatures:
        return
    _told = True
    # Where numba keeps it: beside the module, in NUMBA_CACHE_DIR, or in the user's cache folder.
    cache = getattr(getattr(kernel, "stats", None), "cache_path", None)
    if cache is None or not any(Path(cache).glob("arrange.kernel-*.nbc")):
        print("geomrelu: compiling the engine, once on this machine (about half a minute) ...", file=sys.stderr)
