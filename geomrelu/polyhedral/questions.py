"""What a partition in d dimensions can be asked: methods that hand over to the module of `analysis` that answers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from geomrelu.arrays import FloatArray
from geomrelu.questions import CommonQuestions

if TYPE_CHECKING:
    from pandas import DataFrame

    from geomrelu.analysis.definitions import Count
    from geomrelu.analysis.polyhedral_outputs import PolyhedralOutputs
    from geomrelu.polyhedral.boundary import ClassVolumes, Contest, PolyhedralBoundary

__all__ = ["Questions"]


class Questions(CommonQuestions):
    """Questions whose answers follow from a finished partition; a base of `PolyhedralComplex`.

    Names, results and what is exact are those of the plane (`PlanarComplex`).  Extrema and properties take a forward
    pass over the vertices, which is kept.
    """

    @cached_property
    def _vertex_outputs(self: Any) -> PolyhedralOutputs:
        from geomrelu.analysis.polyhedral_outputs import PolyhedralOutputs

        return PolyhedralOutputs(self)

    # ------------------------------------------------------------------ averages

    def integral(self: Any, products: bool = False) -> FloatArray:
        """Integrals of the outputs over the domain, (out,); with `products` of y_i y_j, (out, out).

        By closed formulas on the regions, in float64: relative to the integral of the absolute value the error is
        that of volumes and maps, some 1e-14 on ordinary networks.  Takes one to two times as long as `volumes`; with
        `products` (and for `variance`, `covariance`) three to five times, and some d^2 floats for each cell of the
        dimension that has most.

        Raises
        ------
        RangeError
            If an integral, or a slope, is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 0.0, 0.0]], [[6.0]]]), gr.Box([-1] * 3, [1] * 3))
        >>> p.integral().round(9).tolist(), p.mean().round(9).tolist(), p.variance().round(9).tolist()
        ([12.0], [1.5], [3.75])
        >>> p.integral(products=True).round(9).tolist()
        [[48.0]]
        """
        from geomrelu.analysis.integrals import integral, product_integral

        return product_integral(self) if products else integral(self)

    # ------------------------------------------------------------------ classes

    @cached_property
    def _contest(self: Any) -> Contest:
        from geomrelu.polyhedral.boundary import contest

        return contest(self)

    def decision_boundary(self: Any) -> PolyhedralBoundary:
        """Where the class, the number of the largest output, changes; exact.

        With one output the classes are 0 where it is negative and 1 where it is positive.  The domain is partitioned
        once more, by the ties of the outputs, too; that is kept for `class_regions`.

        Returns
        -------
        PolyhedralBoundary
            Pieces of dimension d - 1, one for each region that a boundary between two classes crosses:
            ``vertices`` (V, d), ``offsets`` and ``corners`` of the pieces, ``classes`` (P, 2), ``region`` (P,);
            ``n_pieces``, ``measure``: area in 3 dimensions; ``tied``, regions on which classes tie all over.

        Examples
        --------
        >>> import geomrelu as gr
        >>> import numpy as np
        >>> f = gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))], [np.zeros(6), [-1.0]])
        >>> boundary = gr.partition(f, gr.Box([-2] * 3, [2] * 3)).decision_boundary()  # |x| + |y| + |z| = 1
        >>> boundary, round(boundary.measure**2, 9)
        (PolyhedralBoundary(8 pieces, 6 vertices), 48.0)
        """
        from geomrelu.polyhedral.boundary import decision_boundary

        return decision_boundary(self)

    def class_regions(self: Any) -> ClassVolumes:
        """How much of the domain each class, the number of the largest output, has.

        With one output the classes are 0 where it is negative (or 0 on a whole region) and 1 where it is positive.
        Where classes tie all over a set it counts as the lowest one's.

        Examples
        --------
        >>> import geomrelu as gr
        >>> import numpy as np
        >>> f = gr.Network([np.vstack([np.eye(3), -np.eye(3)]), np.ones((1, 6))], [np.zeros(6), [-1.0]])
        >>> gr.partition(f, gr.Box([-2] * 3, [2] * 3)).class_regions().volumes.round(6).tolist()
        [1.333333, 62.666667]
        """
        from geomrelu.polyhedral.boundary import class_volumes

        return class_volumes(self)

    # ------------------------------------------------------------------ counts and columns

    def count(self: Any, definition: str) -> Count:
        """Number of linear regions in one of the six senses of the literature.

        Parameters
        ----------
        definition : str
            ``"activation"``, ``"proper_activation"``, ``"convex"``, ``"open_connected"``, ``"closed_connected"`` or
            ``"affine"``: Stargalla, Hertrich and Reichman 2025 (arXiv 2505.16716), Definitions 1 to 6.

        Returns
        -------
        int or CountBounds
            Exact; of ``"convex"`` and ``"closed_connected"`` regions `CountBounds` (lower, upper), from the other
            definitions, where regions share their map.

        Raises
        ------
        InputError
            If there is no definition of that name.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 0, 0], [-1, 0, 0]], [[1, -1]]]), gr.Box([-1] * 3, [1] * 3))  # x
        >>> p.count("proper_activation"), p.count("open_connected"), p.count("convex")
        (2, 1, CountBounds(lower=1, upper=2))
        """
        from geomrelu.analysis.definitions import count

        return count(self, definition)

    def table(self: Any) -> DataFrame:
        """One row for each region, in their order, as a pandas DataFrame.

        Columns: ``volume``; ``centroid_x0``, ``centroid_x1``, ...; ``vertices`` and ``facets``, their numbers, exact;
        ``on_border``, whether a facet lies on the domain's border, exact; ``active``, the number of active neurons,
        exact; and of each output k the map ``ak_x0``, ``ak_x1``, ..., ``bk``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed: ``pip install 'geomrelu[pandas]'``.
        RangeError
            If a map is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 0.0, 0.0]], [[2.0]]]), gr.Box([-1] * 3, [1] * 3))
        >>> p.table()[["volume", "vertices", "facets", "on_border", "active", "a0_x0"]]
                volume  vertices  facets  on_border  active  a0_x0
        region
        0          4.0         8       6       True       0    0.0
        1          4.0         8       6       True       1    2.0
        """
        from geomrelu.analysis.table import table

        return table(self)
