"""What a partition can be asked: methods that hand over to the module of `analysis` that answers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from geomrelu.questions import CommonQuestions

if TYPE_CHECKING:
    from geomrelu.analysis.boundary import Boundary, ClassRegions
    from geomrelu.analysis.outputs import VertexOutputs
    from geomrelu.analysis.ties import Ties

__all__ = ["Questions"]


class Questions(CommonQuestions):
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
