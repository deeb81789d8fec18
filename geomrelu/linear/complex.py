"""`LinearComplex`: the exact partition of one or many segments, as flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geomrelu.affine import AffineMaps, input_maps, map_batches
from geomrelu.arrays import FloatArray, IntArray, ReadOnly, WordArray, checked_numbers, float_array, frozen, row_ids
from geomrelu.domain import Segment, Segments
from geomrelu.errors import InputError, ShapeError
from geomrelu.linear.maps import maps_along
from geomrelu.linear.settle import Judge
from geomrelu.network import Network
from geomrelu.patterns import Patterns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geomrelu.analysis.along_segments import Crossings, Extremum
    from geomrelu.analysis.lipschitz import Lipschitz

__all__ = ["LinearComplex"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearComplex(ReadOnly):
    """The partition of segments into the pieces on which a network is affine under one pattern.

    Made by `geomrelu.partition` of a `Segment` or of `Segments`.  All arrays are read-only.  Number and
    order of pieces and their patterns are exact; of a single segment, piece k runs from
    ``breakpoints[k]`` to ``breakpoints[k + 1]``, the first breakpoint is 0 and the last 1.

    Attributes
    ----------
    offsets : (S + 1,) int64
        Pieces of segment s are ``offsets[s] : offsets[s + 1]``, P in all.
    breakpoints : (P + S,) float64
        Places t of the pieces' ends, those of segment s from ``offsets[s] + s`` on, 0 and 1 included.  Those that
        differ by less than float64 shows are equal here, and yet in order.
    breakpoint_errors : (P + S,) float64
        Bounds on their distances from the true ones, at most 2^-10 and mostly far smaller; those
        whose actual error is estimated to exceed 2^-27 are computed in integers, and rounded once.
    breakpoint_neuron : (P + S,) int64
        The neuron (flat, layer-major) that is zero there, one of them if there are several; -1 at the ends.
    breakpoint_words : (P + S, words) uint64
        The packed pattern under which that neuron is zero there.
    patterns : Patterns
        Activation patterns of the pieces, bit-packed, P of them.
    values : (P + S, out) float64
        Outputs at the breakpoints.
    value_errors : (P + S,) float64
        Bounds on the errors of each of them.
    network : Network
    domain : Segment or Segments
    report : dict
        How the partition was made.  ``layers``: pieces after each layer; ``seconds``; ``signs``: number of
        decisions neuron at vertex, of which ``signs_filter`` by the error bound and ``signs_exact``
        in integers; ``signs_zero``: of these, exactly zero; ``orders_exact``: pieces whose order of
        crossings took integers; ``ties``: crossings that coincide with others; ``breakpoints_exact``:
        those computed in integers; ``generic``: whether there is no zero sign and no tie.
    """

    offsets: IntArray
    breakpoints: FloatArray
    breakpoint_errors: FloatArray
    breakpoint_neuron: IntArray
    breakpoint_words: WordArray
    patterns: Patterns
    values: FloatArray
    value_errors: FloatArray
    network: Network
    domain: Segment | Segments
    report: dict[str, Any]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, frozen(value))

    def __getstate__(self) -> dict[str, Any]:
        # What is derived lazily is derived again.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    # ------------------------------------------------------------------ counts and segments

    @property
    def n_regions(self) -> int:
        """Number of activation regions, that is of pieces, of all segments together."""
        return len(self.patterns)

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.offsets) - 1

    def __len__(self) -> int:
        return self.n_segments

    def __getitem__(self, segment: int) -> LinearComplex:
        """The partition of one segment; the report is that of all."""
        if not isinstance(segment, int | np.integer) or isinstance(segment, bool):
            raise InputError(f"segment: got {segment!r}; expected a whole number from 0 to {self.n_segments - 1}")
        if not 0 <= segment < self.n_segments:
            raise IndexError(f"segment {segment} of {self.n_segments}")
        s = int(segment)
        own = slice(int(self.offsets[s]) + s, int(self.offsets[s + 1]) + s + 1)
        pieces = slice(int(self.offsets[s]), int(self.offsets[s + 1]))
        return LinearComplex(
            np.array([0, pieces.stop - pieces.start]), self.breakpoints[own], self.breakpoint_errors[own],
            self.breakpoint_neuron[own], self.breakpoint_words[own], self.patterns[pieces], self.values[own],
            self.value_errors[own], self.network,
            self.domain if isinstance(self.domain, Segment) else self.domain[s], self.report,
        )  # fmt: skip

    @cached_property
    def segment(self) -> IntArray:
        """Segment of each piece, (P,)."""
        return frozen(row_ids(self.offsets))

    @property
    def left(self) -> IntArray:
        """Number of the breakpoint at which each piece begins, (P,); it ends at the next."""
        return np.arange(self.n_regions) + self.segment

    @property
    def lengths(self) -> FloatArray:
        """Lengths of the pieces in t, (P,)."""
        return np.asarray(self.breakpoints[self.left + 1] - self.breakpoints[self.left])

    @property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """The inputs at t = 0 and at t = 1, flat, both (S, n_inputs)."""
        n = self.domain.n_inputs
        return self.domain.a.reshape(-1, n), self.domain.b.reshape(-1, n)

    @property
    def points(self) -> FloatArray:
        """Inputs at the breakpoints, (P + S, *input_shape) float64; computed anew at each call."""
        s = row_ids(self.offsets + np.arange(self.n_segments + 1))
        a, b = self.ends
        t = self.breakpoints[:, None]
        return np.asarray((1 - t) * a[s] + t * b[s]).reshape(len(t), *self.domain.input_shape)

    @cached_property
    def judge(self) -> Judge:
        """Exact forms of the neurons along the segments."""
        return Judge(self.network, *self.ends)

    def exact_breakpoint(self, k: int) -> Fraction:
        """The true place of breakpoint number k: a rational number.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[3.0]], [[1.0]]], [[-1.0], [0.0]]), gr.Segment([0.0], [1.0]))
        >>> p.exact_breakpoint(1)
        Fraction(1, 3)
        """
        k = int(checked_numbers([k], len(self.breakpoints), "exact_breakpoint")[0])
        s = int(np.searchsorted(self.offsets + np.arange(self.n_segments + 1), k, side="right")) - 1
        line = int(self.breakpoint_neuron[k])
        if line < 0:
            # The first breakpoint of a segment is 0, the last one 1.
            return Fraction(int(k != self.offsets[s] + s))
        return Fraction(*self.judge.place(s, line, self.breakpoint_words[k]))

    # ------------------------------------------------------------------ maps

    @cached_property
    def affine_maps(self) -> AffineMaps:
        """Output maps t -> A t + b of the pieces: ``A`` (P, out, 1), ``b`` (P, out), float64.

        Products of float64 matrices, with the rounding of such; those that overflow are computed in integers.

        Raises
        ------
        RangeError
            If an exact entry is too large for float64.
        """
        maps = maps_along(self.network, self.patterns, self.segment, *self.ends, self.judge)
        return AffineMaps(frozen(maps.A), frozen(maps.b))

    def input_maps(self, ids: npt.ArrayLike | None = None) -> AffineMaps:
        """Output maps x -> A x + b of pieces in the input space: ``A`` (P, out, n_inputs), ``b`` (P, out).

        Parameters
        ----------
        ids : (k,) array_like of int, optional
            Pieces; by default all.  For many see `input_map_batches`.

        Raises
        ------
        InputError
            If there is no piece of such a number.
        RangeError
            If an entry is too large for float64.
        """
        patterns = self.patterns if ids is None else self.patterns[checked_numbers(ids, self.n_regions, "input_maps")]
        return input_maps(self.network, patterns)

    def input_map_batches(
        self, size: int = 1024, ids: npt.ArrayLike | None = None
    ) -> Iterator[tuple[IntArray, AffineMaps]]:
        """`input_maps` of many pieces, at most `size` at a time: pairs of pieces' numbers (k,) and their maps."""
        pieces = np.arange(self.n_regions) if ids is None else checked_numbers(ids, self.n_regions, "input_map_batches")
        return map_batches(self.network, self.patterns, pieces, size)

    # ------------------------------------------------------------------ places

    def locate(self, t: npt.ArrayLike, segment: npt.ArrayLike | None = None) -> IntArray:
        """Piece of each place t, -1 outside [0, 1], (N,) int64; exact.

        A breakpoint belongs to the piece beside it whose active neurons are active in the other
        piece, too, else to the left one.

        Parameters
        ----------
        t : (N,) array_like
            Taken as exactly these float64 numbers.
        segment : int or (N,) array_like of int, optional
            Segment of each place; needed if there are several segments.
        """
        from geomrelu.linear.location import locate

        return locate(self, *self._places(t, segment))

    def __call__(self, t: npt.ArrayLike, segment: npt.ArrayLike | None = None) -> FloatArray:
        """Outputs at places t (N,) by the pieces' maps, (N, out) float64; NaN outside [0, 1]."""
        at, own = self._places(t, segment)
        pieces = self.locate(at, own)
        maps = self.affine_maps
        values = maps.A[pieces, :, 0] * at[:, None] + maps.b[pieces]
        values[pieces < 0] = np.nan
        return np.asarray(values)

    def _places(self, t: npt.ArrayLike, segment: npt.ArrayLike | None) -> tuple[FloatArray, IntArray]:
        at = float_array(t, "t")
        if at.ndim != 1:
            raise ShapeError(f"t: got shape {at.shape}, expected (N,), numbers from 0 to 1")
        if segment is None:
            if self.n_segments > 1:
                raise InputError(
                    f"segment: this partition has {self.n_segments} segments; say which, or take one of them, p[0]"
                )
            segment = 0
        given = np.asarray(segment)
        own = checked_numbers(np.full(len(at), given) if given.ndim == 0 else given, self.n_segments, "segment")
        if len(own) != len(at):
            raise ShapeError(f"segment: got {len(own)} numbers for {len(at)} places; expected as many, or one")
        return at, own

    # ------------------------------------------------------------------ questions

    def check(self, level: str = "float") -> None:
        """Check the partition's invariants.

        Parameters
        ----------
        level : {"float", "exact"}
            "float": order of breakpoints, a change of their neuron's bit, patterns in the middle
            of the pieces where a bound on the forward pass's rounding leaves no doubt, values
            and maps to within their bounds.  "exact": a proof in integers, breakpoint by breakpoint and
            neuron by neuron, that these are all the pieces; for small networks.

        Raises
        ------
        InvariantError
            Naming the first invariant that is broken, where, and what was got and expected.
        """
        from geomrelu.linear.check import audit_linear, check_linear

        if level not in ("float", "exact"):
            raise InputError(f"check: got level {level!r}; expected 'float' or 'exact'")
        check_linear(self)
        if level == "exact":
            audit_linear(self)

    def maximum(self, of: Any = 0) -> Extremum:
        """Largest value of an output, or of a linear functional of the outputs, over all segments; exact.

        Parameters
        ----------
        of : int, str or (out,) array_like
            An output's number, an expression such as ``"y0 - 2*y1"``, or coefficients.

        Returns
        -------
        Extremum
            ``value``, the exact one rounded; ``point``, the place t of the breakpoint ``vertex`` that attains it;
            ``region``, a piece there; ``exact_value``, ``exact_point``, fractions.

        Raises
        ------
        InputError
            If there is no such output, or the functional does not parse or fit.
        RangeError
            If the value is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0]], [[-2.0]]], [[-0.5], [3.0]]), gr.Segment([0.0], [1.0]))
        >>> p.maximum(), p.minimum(), p.maximum("1 - y0").exact_value
        (Extremum(3.0 at t = 0.0), Extremum(2.0 at t = 1.0), Fraction(-1, 1))
        """
        from geomrelu.analysis.along_segments import extremum

        return extremum(self, of, 1)

    def minimum(self, of: Any = 0) -> Extremum:
        """Smallest value of an output, or of a linear functional of the outputs; as `maximum`."""
        from geomrelu.analysis.along_segments import extremum

        return extremum(self, of, -1)

    def output_range(self, of: Any = None) -> FloatArray:
        """Smallest and largest values over all segments, exact ones rounded once.

        Parameters
        ----------
        of : int, str or (out,) array_like, optional
            As in `maximum`; without it all outputs.

        Returns
        -------
        (out, 2) float64, or (2,) of one functional
        """
        from geomrelu.analysis.extrema import output_range

        return output_range(self, of)

    def level_set(self, c: float, output: int = 0) -> Crossings:
        """Where an output equals c.

        Returns
        -------
        Crossings
            ``points`` (K,) places t in order along each segment, ``regions`` (K,) a piece there, and
            ``flat``, pieces on which the output is c all along.  Their number is exact.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0]], [[2.0]]], [[-0.5], [0.0]]), gr.Segment([0.0], [1.0]))
        >>> p.level_set(0.5).points, p.level_set(0.0).flat
        (array([0.75]), array([0]))
        """
        from geomrelu.analysis.along_segments import level_set

        return level_set(self, c, output)

    def lipschitz(self, ord: float = 2) -> Lipschitz:
        """The steepest piece: the largest norm of the outputs' slope in t, over all segments; exact.

        Divide by the distance of a segment's ends for the slope per unit of input.

        Parameters
        ----------
        ord : {1, 2, inf}
            Norm of the outputs.

        Returns
        -------
        Lipschitz
            ``ord``, ``constant``, the exact value rounded, ``region`` where it is attained, ``per_region`` (P,).

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0]], [[-2.0]]], [[-0.5], [3.0]]), gr.Segment([0.0], [1.0]))
        >>> p.lipschitz().constant
        2.0
        """
        from geomrelu.analysis.along_segments import lipschitz

        return lipschitz(self, ord)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the outputs along a segment and its breakpoints; options as in `geomrelu.plot.plot_segment`."""
        from geomrelu.plot import plot_segment

        return plot_segment(self, ax, **options)

    def __repr__(self) -> str:
        return f"LinearComplex({self.n_regions} pieces; {self.network!r} on {self.domain!r})"
