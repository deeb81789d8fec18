"""What a partition of any dimension can be asked: methods that hand over to the module of `analysis` that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import FloatArray

if TYPE_CHECKING:
    from geomrelu.analysis.extrema import Extremum
    from geomrelu.analysis.lipschitz import Lipschitz
    from geomrelu.analysis.properties import Verification
    from geomrelu.analysis.table import Histogram

__all__ = ["CommonQuestions"]


class CommonQuestions:
    """Questions that are put, and answered, alike in the plane and in more dimensions: d is the domain's.

    A base of `PlanarComplex` and `PolyhedralComplex`.
    """

    def maximum(self: Any, of: Any = 0) -> Extremum:
        """The largest value of an output, or of a linear functional of the outputs; exact.

        Parameters
        ----------
        of : int, str or (out,) array_like
            An output's number, an expression such as ``"y0 - 2*y1"``, or coefficients.

        Returns
        -------
        Extremum
            ``value``, rounded once, and the vertex ``point`` (d,) which attains it, of region ``region``; both
            as fractions, too: ``exact_value``, ``exact_point``.

        Raises
        ------
        InputError
            If there is no such output, or the functional does not parse or fit.

        Notes
        -----
        Vertices whose bounds leave it open which is the highest are computed in rational numbers, some milliseconds
        each, but for those of regions on which the functional is constant: they share their value.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1, 1], [1, -1, 0]], [[2, -4]]]), gr.Box([-1] * 3, [1] * 3))
        >>> p.maximum(), p.minimum().exact_value
        (Extremum(6.0 at [1.0, 1.0, 1.0]), Fraction(-8, 1))
        >>> p.maximum("-3*y0 + 1").value
        25.0
        """
        from geomrelu.analysis.extrema import maximum

        return maximum(self, of)

    def minimum(self: Any, of: Any = 0) -> Extremum:
        """The smallest value; as `maximum`."""
        from geomrelu.analysis.extrema import minimum

        return minimum(self, of)

    def output_range(self: Any, of: Any = None) -> FloatArray:
        """Smallest and largest values, exact ones rounded once.

        Each output takes two searches over the vertices: of narrow networks with several outputs these take longer
        together than the partition (1.3 times, for three outputs of 2-64x3).

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
        >>> p = gr.partition(gr.Network([[[1, 1, 1], [1, -1, 0]], [[2, -4]]]), gr.Box([-1] * 3, [1] * 3))
        >>> p.output_range()
        array([[-8.,  6.]])
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
            `geomrelu.analysis.properties.Unsafe` set {y : A y <= b} that must not be reached, for which the domain is
            partitioned again, by the set's faces, too, outside the plane.

        Returns
        -------
        Verification
            True if the property ``holds``; else with a ``witness`` (d,) at which the network's forward
            pass breaks it, and an ``exact_witness``.

        Raises
        ------
        InputError
            If the property does not parse, is not linear or names an output that is not there;
            `ShapeError` if A and b do not fit.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1, 1, 1], [1, -1, 0]], [[2, -4]]]), gr.Box([-1] * 3, [1] * 3))
        >>> p.verify("y0 <= 6")
        Verification(holds)
        >>> p.verify("y0 < 6")
        Verification(violated: y0 < 6, at [1.0, 1.0, 1.0])
        """
        from geomrelu.analysis.properties import verify

        return verify(self, property)

    def lipschitz(self: Any, ord: float = 2) -> Lipschitz:
        """Lipschitz constants over the domain and in each region: equal to, not bounds of, the largest slopes.

        Parameters
        ----------
        ord : {1, 2, inf}
            The norm of differences of inputs and of outputs alike: |f(x) - f(y)| <= L |x - y|.

        Returns
        -------
        Lipschitz
            ``constant``, the exact value rounded; ``region`` where it is attained, the first of
            several, exact; ``per_region`` (R,).  See `geomrelu.analysis.lipschitz`.

        Raises
        ------
        InputError
            If there is no such norm here.
        RangeError
            If a slope is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[2.0, 3.0, 6.0]], [[1.0]]]), gr.Box([-1] * 3, [1] * 3))
        >>> p.lipschitz()
        Lipschitz(ord=2.0, constant=7.0, region=1)
        >>> p.lipschitz(float("inf")).constant, p.lipschitz(1).per_region.tolist()
        (11.0, [0.0, 6.0])
        """
        from geomrelu.analysis.lipschitz import lipschitz

        return lipschitz(self, ord)

    def mean(self: Any, products: bool = False) -> FloatArray:
        """Means of the outputs over the domain, (out,); with `products` of y_i y_j, (out, out).  As `integral`."""
        from geomrelu.analysis.integrals import mean

        return mean(self, products)

    def variance(self: Any) -> FloatArray:
        """Variances of the outputs at a uniformly drawn point of the domain, (out,).

        Integrals of the squares of the outputs less their means, over the domain's measure: they do not cancel.
        """
        return np.array(self.covariance().diagonal())

    def covariance(self: Any) -> FloatArray:
        """Covariances of the outputs at a uniformly drawn point of the domain, (out, out), symmetric."""
        from geomrelu.analysis.integrals import covariance

        return covariance(self)

    def histogram(self: Any, column: str, bins: int = 20) -> Histogram:
        """How many regions there are with each value of a column of `table`; needs no pandas.

        Parameters
        ----------
        column : str
        bins : int
            Number of bins: of equal ratios for area, perimeter and inradius, of equal width for other
            real numbers.  Whole numbers (sides, active, on_border) have one bin for each value.

        Returns
        -------
        Histogram
            ``counts`` (bins,), ``edges`` (bins + 1,).

        Raises
        ------
        InputError
            If there is no such column, or `bins` is not a whole number above 0.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 1.0], [0.0, 1.0]], [[2.0, 1.0]]]), gr.Box(-1, 1))
        >>> p.histogram("sides").counts.tolist(), p.histogram("sides").edges.tolist()
        ([2, 2], [2.5, 3.5, 4.5])
        """
        from geomrelu.analysis.table import histogram

        return histogram(self, column, bins)
