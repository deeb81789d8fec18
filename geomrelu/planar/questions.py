"""What a partition can be asked: methods that hand over to the module of `analysis` that answers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from geomrelu.arrays import FloatArray

if TYPE_CHECKING:
    from geomrelu.analysis.boundary import Boundary, ClassRegions
    from geomrelu.analysis.extrema import Extremum
    from geomrelu.analysis.outputs import VertexOutputs
    from geomrelu.analysis.properties import Verification
    from geomrelu.analysis.ties import Ties

__all__ = ["Questions"]


class Questions:
    """Questions whose answers follow from a finished partition; a base of `PlanarComplex`.

    The first one takes a forward pass over the vertices, which on wide and deep networks costs more than the
    partition (`analysis.outputs` says why); the outputs are kept for those after it.
    """

    @cached_property
    def _vertex_outputs(self: Any) -> VertexOutputs:
        from geomrelu.analysis.outputs import VertexOutputs

        return VertexOutputs(self)

    @cached_property
    def _class_ties(self: Any) -> Ties:
        from geomrelu.analysis.boundary import class_ties

        return class_ties(self)

    def decision_boundary(self: Any) -> Boundary:
        """Where the class, the number of the largest output, changes; exact.

        With one output the classes are 0 where it is negative and 1 where it is positive, as for
        the logit of scikit-learn's binary classifiers.

        Returns
        -------
        Boundary
            ``segments`` (S, 2, 2), one for each region that the boundary crosses (more where
            three classes meet), with ``classes`` (S, 2) and ``face`` (S,); joined ``polylines``;
            ``n_pieces`` (S), ``length``; ``tied``, regions on which classes tie all over.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
        >>> boundary = p.decision_boundary()
        >>> sorted(sorted(segment.tolist()) for segment in boundary.segments)
        [[[-1.0, 0.5], [0.5, -1.0]], [[-0.5, 1.0], [1.0, -0.5]]]
        """
        from geomrelu.analysis.boundary import decision_boundary

        return decision_boundary(self)

    def class_regions(self: Any) -> ClassRegions:
        """Where each class has the largest output: shapely MultiPolygons and areas.

        With one output the classes are 0 where it is negative (or 0 on a whole region) and 1 where
        it is positive.  A region on which classes tie counts as the lowest one's.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
        >>> p.class_regions().areas
        array([2.25, 1.75])
        """
        from geomrelu.analysis.boundary import class_regions

        return class_regions(self)

    def level_set(self: Any, c: float, output: int = 0) -> Boundary:
        """Where an output equals c; exact.

        Parameters
        ----------
        c : float
            Taken as exactly this float64.
        output : int

        Returns
        -------
        Boundary
            Its classes are 0, below the level and left of each segment, and 1, above it.

        Raises
        ------
        InputError
            If there is no such output, or c is not a finite number (`WeightError`).

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 0], [-1, 0]], [[1, 1]]]), gr.Box(-1, 1))
        >>> p.level_set(0.25)
        Boundary(2 pieces, 2 polylines, length 4)
        """
        from geomrelu.analysis.boundary import level_set

        return level_set(self, c, output)

    def maximum(self: Any, of: Any = 0) -> Extremum:
        """The largest value of an output, or of a linear functional of the outputs; exact.

        Parameters
        ----------
        of : int, str or (out,) array_like
            An output's number, an expression such as ``"y0 - 2*y1"``, or coefficients.

        Returns
        -------
        Extremum
            ``value``, rounded once, and the vertex ``point`` (2,) which attains it, of region
            ``region``; both as fractions, too: ``exact_value``, ``exact_point``.

        Raises
        ------
        InputError
            If there is no such output, or the functional does not parse or fit.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
        >>> p.maximum()
        Extremum(1.0 at [1.0, -1.0])
        >>> p.maximum("-3*y0 + 1").value
        10.0
        """
        from geomrelu.analysis.extrema import maximum

        return maximum(self, of)

    def minimum(self: Any, of: Any = 0) -> Extremum:
        """The smallest value; as `maximum`."""
        from geomrelu.analysis.extrema import minimum

        return minimum(self, of)

    def output_range(self: Any, of: Any = None) -> FloatArray:
        """Smallest and largest values, exact ones rounded once.

        Parameters
        ----------
        of : int, str or (out,) array_like, optional
            As in `maximum`; without it all outputs.

        Returns
        -------
        (out, 2) float64, or (2,) of one functional

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
        >>> p.output_range()
        array([[-3.,  1.]])
        """
        from geomrelu.analysis.extrema import output_range

        return output_range(self, of)

    def verify(self: Any, property: Any) -> Verification:
        """Whether a property of the outputs holds all over the domain: a proof, or a witness.

        Parameters
        ----------
        property : str, (A, b), or Unsafe
            Comparisons of linear expressions, joined by ``and``: ``"y0 > y1"``, ``"y0 - 2*y1 <= 3 and y2 >= 0"``
            (numbers are taken as the nearest float64); or arrays (M, out) and (M,), for A y <= b; or an
            `geomrelu.analysis.properties.Unsafe` set {y : A y <= b} that must not be reached.

        Returns
        -------
        Verification
            True if the property ``holds``; else with a ``witness`` (2,) at which the network's forward
            pass breaks it, and an ``exact_witness``.

        Raises
        ------
        InputError
            If the property does not parse, is not linear or names an output that is not there;
            `ShapeError` if A and b do not fit.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1], [1, 1]], [[2, -4]]], [[1, 0], [-1]]), gr.Box(-1, 1))
        >>> p.verify("y0 <= 1")
        Verification(holds)
        >>> p.verify("y0 < 1")
        Verification(violated: y0 < 1, at [1.0, -1.0])
        """
        from geomrelu.analysis.properties import verify

        return verify(self, property)
