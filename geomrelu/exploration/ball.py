"""The largest ball in a region, by a linear program."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, frozen
from geomrelu.exploration.forms import Forms, RegionRows

__all__ = ["Ball", "largest_ball"]


class Ball(NamedTuple):
    """A ball.

    Attributes
    ----------
    center : (n,) float64
        NaN if the radius is infinite.
    radius : float
    """

    center: FloatArray
    radius: float


def largest_ball(forms: Forms, rows: RegionRows) -> Ball:
    """The largest ball in a region: the largest r with value + row z >= r |row|* for all rows."""
    from scipy.optimize import linprog

    n = forms.network.n_inputs
    cuts = np.flatnonzero(rows.cuts)
    nowhere = Ball(frozen(np.full(n, np.nan)), np.inf)
    if len(cuts) == 0:
        return nowhere
    gradients, _ = forms.take(rows, cuts)
    size = rows.size[cuts]
    table = np.hstack([-gradients / size[:, None], np.ones((len(cuts), 1))])
    value = rows.value[cuts] / size
    scale = float(np.abs(value).max()) or 1.0
    cost = np.append(np.zeros(n), -1.0)
    found = linprog(cost, table, value / scale, bounds=[(None, None)] * n + [(0, None)], method="highs")
    if found.status in (3, 4) or found.x is None:
        return nowhere
    center = forms.x0 + found.x[:n] * scale
    # What of it is certain.
    at, error = forms.oriented(rows.bits, forms.values(rows.bits, center[None]), center[None])
    least = (at[0, cuts] - error[0, cuts]) / (size * (1 + (n + 4) * 2.0**-52) + rows.blur[cuts])
    return Ball(frozen(center), max(float(least.min()) * (1 - 2.0**-50), 0.0))
