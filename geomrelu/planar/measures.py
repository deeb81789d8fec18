"""What can be measured on a partition: methods that hand over to the module of `analysis` that measures."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from geomrelu.arrays import FloatArray

if TYPE_CHECKING:
    from pandas import DataFrame

    from geomrelu.analysis.creases import Creases
    from geomrelu.analysis.local_complexity import LocalComplexity
    from geomrelu.analysis.topology import Betti

__all__ = ["Measures"]


class Measures:
    """Averages, shapes, densities, creases and topology; a base of `PlanarComplex`."""

    # ------------------------------------------------------------------ creases

    @cached_property
    def _creases(self: Any) -> Creases:
        from geomrelu.analysis.creases import creases

        return creases(self)

    def crease(self: Any) -> Creases:
        """How sharply the function bends at each edge between two regions.

        Returns
        -------
        Creases
            ``edges`` (K,), ``jumps`` (K,) of the gradient, norms, 0 exactly where it does not jump,
            ``lengths`` (K,), ``total``: the sum of jumps times lengths, which is the total variation
            of the gradient.  See `geomrelu.analysis.creases`.

        Raises
        ------
        RangeError
            If a slope is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]]]), gr.Box(-1, 1))
        >>> p.crease().jumps.tolist(), p.crease().total, p.crease().n_creases
        ([3.0, 3.0, 0.0, 0.0], 6.0, 2)
        """
        found: Creases = self._creases
        return found

    # ------------------------------------------------------------------ averages

    def integral(self: Any, products: bool = False) -> FloatArray:
        """Integrals of the outputs over the domain, (out,); with `products` of y_i y_j, (out, out).

        By closed formulas on the regions' polygons, in float64: relative to the integral of the
        absolute value the error is that of areas and maps, some 1e-15 on ordinary networks.

        Raises
        ------
        RangeError
            If an integral, or a slope, is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 0.0]], [[6.0]]]), gr.Box(-1, 1))
        >>> p.integral().round(9).tolist(), p.mean().round(9).tolist(), p.variance().round(9).tolist()
        ([6.0], [1.5], [3.75])
        >>> p.integral(products=True).round(9).tolist()
        [[24.0]]
        """
        from geomrelu.analysis.integrals import integral, product_integral

        return product_integral(self) if products else integral(self)

    # ------------------------------------------------------------------ shapes

    def table(self: Any) -> DataFrame:
        """One row for each region, in their order, as a pandas DataFrame.

        Columns: ``area``, ``centroid_x``, ``centroid_y``, ``perimeter``; ``sides``, exact;
        ``inradius`` of the largest inscribed circle;
        ``eccentricity`` of the ellipse with the same second moments, 0 if round, towards 1 if long;
        ``on_border``, whether a side lies on the domain's border, exact; ``active``, the number of
        active neurons, exact; and of each output k the map ``ak_x``, ``ak_y``, ``bk``.  Lengths are in the
        domain's units, float64, from the float vertices; see `geomrelu.analysis.shapes`.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed: ``pip install 'geomrelu[pandas]'``.
        RangeError
            If an area or a map is too large for float64.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 0.0]], [[2.0]]]), gr.Box(-1, 1))
        >>> p.table()[["area", "perimeter", "sides", "inradius", "on_border", "active", "a0_x"]]
                area  perimeter  sides  inradius  on_border  active  a0_x
        region
        0        2.0        6.0      4       0.5       True       0   0.0
        1        2.0        6.0      4       0.5       True       1   2.0
        """
        from geomrelu.analysis.table import table

        return table(self)

    # ------------------------------------------------------------------ density

    def local_complexity(self: Any, points: npt.ArrayLike, radius: npt.ArrayLike) -> LocalComplexity:
        """How many regions discs meet, and the length of the creases inside them.

        Parameters
        ----------
        points : (N, 2) array_like
            Centres, in the domain.
        radius : float or (N,) array_like
            Of the closed discs, in the domain's units; a disc may reach out of the domain.

        Returns
        -------
        LocalComplexity
            ``n_regions`` (N,) activation regions, ``crease_lengths`` (N,) of the edges at which the
            function bends.  On the float vertices; see `geomrelu.analysis.local_complexity`.

        Raises
        ------
        InputError
            If a point lies outside the domain, or a radius is not above 0.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]]), gr.Box(-1, 1))
        >>> found = p.local_complexity([[0.0, 0.0], [0.5, 0.5], [0.5, 0.25]], 0.25)
        >>> found.n_regions.tolist(), found.crease_lengths.tolist()
        ([4, 1, 2], [1.0, 0.0, 0.0])
        """
        from geomrelu.analysis.local_complexity import local_complexity

        return local_complexity(self, points, radius)

    # ------------------------------------------------------------------ topology

    def betti(self: Any, c: float = 0.0, output: int = 0, closed: bool = False) -> Betti:
        """Components and holes of the set {f > c}, and which of them lies inside which; exact.

        Computed on the complex, not on pixels: signs of f - c at the vertices are decided exactly,
        and regions are joined through edges that the set meets.

        Parameters
        ----------
        c : float
        output : int
            The output that is f.
        closed : bool
            Take {f >= c}, in which parts that meet in a point are connected, instead of the open
            set {f > c}, in which they are not.

        Returns
        -------
        Betti
            ``components``, ``holes`` (Betti numbers 0 and 1), the complement's, and the tree of what
            lies inside what.  See `geomrelu.analysis.topology`.

        Raises
        ------
        InputError
            If there is no such output, or `c` is not a finite number.

        Examples
        --------
        >>> import geomrelu as gr
        >>> square = gr.Network([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]])  # |x| + |y|
        >>> p = gr.partition(square, gr.Box(-1, 1))
        >>> p.betti(0.5)  # outside a square, in the middle of a larger one
        Betti(components=1, holes=1, complement_components=1, complement_holes=0)
        >>> p.betti(1.5).components, p.betti(0.5).parents.tolist()
        (4, [-1, 0])
        """
        from geomrelu.analysis.topology import betti

        return betti(self, c, output, closed)

    def class_betti(self: Any) -> tuple[Betti, ...]:
        """Components and holes of each class's open set, {y_k > all other outputs}, and their nesting; exact.

        Points where classes tie belong to none.  A network with one output has the classes {y < 0}
        and {y > 0}.  Each class takes passes over all cells: of narrow networks these take longer together than
        the partition (1.3 times, for three classes of 2-64x3; a fifth of it for 2-256x4).

        Returns
        -------
        tuple of Betti
            One for each class; see `betti`.

        Examples
        --------
        >>> import geomrelu as gr
        >>> p = gr.partition(gr.Network([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 1.0]]], [[0.0, 0.0], [-0.5]]), gr.Box(-1, 1))
        >>> [(b.components, b.holes) for b in p.class_betti()]  # |x| - 1/2
        [(1, 0), (2, 0)]
        """
        from geomrelu.analysis.topology import class_betti

        return class_betti(self)
