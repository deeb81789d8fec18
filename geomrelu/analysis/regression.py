"""Linear regression from one network's affine maps to another's.

A row is one affine map, (d gradient entries, one intercept), d = 2 in the plane.  The sampled way has a row a
sample; the exact way has a row a cell of the common refinement of both partitions, weighted by the cell's
area, which is what a fine grid approximates.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.errors import InputError, ShapeError

__all__ = ["MapRegression", "fit_maps", "map_rows"]


def map_rows(gradients: FloatArray, intercepts: FloatArray, output: int = 0) -> FloatArray:
    """One output's maps as rows, (F, d + 1), from (F, out, d) gradients and (F, out) intercepts.

    Examples
    --------
    >>> map_rows(np.array([[[1.0, 2.0]]]), np.array([[3.0]])).tolist()
    [[1.0, 2.0, 3.0]]
    """
    return np.concatenate([gradients[:, output, :], intercepts[:, output, None]], axis=1)


@dataclass(frozen=True, eq=False)
class MapRegression:
    """A fitted affine relation ``target = coefficients @ source + intercepts`` between maps.

    Attributes
    ----------
    coefficients : (d + 1, d + 1) float64
    intercepts : (d + 1,) float64
    score : float
        R^2 on the rows that it was fitted to (with their weights), the mean over the entries.
    n_rows : int
        Rows that it was fitted to.
    """

    coefficients: FloatArray = field(repr=False)
    intercepts: FloatArray = field(repr=False)
    score: float
    n_rows: int

    def predict(self, source: FloatArray) -> FloatArray:
        """Predicted maps, (N, d + 1) from (N, d + 1)."""
        return np.asarray(source @ self.coefficients.T + self.intercepts)

    def score_on(self, source: FloatArray, target: FloatArray, weights: FloatArray | None = None) -> float:
        """R^2 on other rows, the mean over the entries, weighted if weights (N,) are given."""
        from sklearn.metrics import r2_score

        return float(r2_score(target, self.predict(source), sample_weight=weights))


def fit_maps(source: FloatArray, target: FloatArray, weights: FloatArray | None = None) -> MapRegression:
    """Least-squares relation from one network's maps to another's, by scikit-learn's LinearRegression.

    Parameters
    ----------
    source, target : (N, d + 1)
        Maps of the two networks at the same samples or on the same cells.
    weights : (N,), optional
        Weight of each row, for example the cells' areas.

    Raises
    ------
    ShapeError
        If the rows do not pair up.
    InputError
        If there are fewer than two rows, or a weight is negative.

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(fit_maps(maps, 2 * maps + 1).score, 12)
    1.0
    """
    from sklearn.linear_model import LinearRegression

    if source.ndim != 2 or source.shape != target.shape:
        raise ShapeError(
            f"fit_maps: got source {source.shape} and target {target.shape}; expected two equal (N, d + 1)"
        )
    if weights is not None and (weights.shape != (len(source),) or (weights < 0).any()):
        raise InputError(f"fit_maps: expected {len(source)} weights, none negative; got shape {weights.shape}")
    if len(source) < 2:
        raise InputError(f"fit_maps: got {len(source)} row(s); expected at least two, since R^2 needs a spread")
    model = LinearRegression().fit(source, target, sample_weight=weights)
    coefficients, intercepts = np.asarray(model.coef_), np.asarray(model.intercept_)
    return MapRegression(coefficients, intercepts, float(model.score(source, target, weights)), len(source))
