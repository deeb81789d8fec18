"""Lower bounds on the distances of many rows' facets at once.

Most rows of a region have no facet near x0: others cut them off.  Deciding each takes a problem of its own (`nearest`);
here all of a page of rows are bounded together by some rounds of coordinate ascent on their multipliers, with all
rows of the page as constraints.  Any multipliers give a rigorous bound in any norm (`nearest` says why), so it does
not matter how far they are from the best: they are those of the 2-norm.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, lean
from geomrelu.exploration.forms import Forms, RegionRows

__all__ = ["PAGE", "page_bounds"]

# Rows of a page, and rounds of ascent.
PAGE, _ROUNDS = 64, 24


@lean
def _ascend(gram: FloatArray, value: FloatArray, rounds: int, shares: FloatArray, slack: FloatArray) -> None:
    """Multipliers `shares` (T, T) of row t's problem, free at t and nonnegative elsewhere; `slack` is scratch, (T,)."""
    n = len(value)
    for t in range(n):
        for j in range(n):
            shares[t, j] = 0.0
        shares[t, t] = -value[t]
        for j in range(n):
            slack[j] = value[j] - value[t] * gram[t, j]
        for _ in range(rounds):
            moved = False
            for j in range(n):
                step = -slack[j]
                if j != t and shares[t, j] + step < 0.0:
                    step = -shares[t, j]
                if step != 0.0:
                    moved = True
                    shares[t, j] += step
                    for i in range(n):
                        slack[i] += step * gram[j, i]
            if not moved:
                break


def page_bounds(forms: Forms, rows: RegionRows, page: IntArray) -> FloatArray:
    """Rigorous lower bounds on the distances from x0 of the page's rows' facets, (k,)."""
    gradients, blur = forms.take(rows, page)
    length = np.linalg.norm(gradients, axis=1)
    unit, value, size = gradients / length[:, None], rows.value[page] / length, rows.size[page] / length
    shares = np.empty((len(page), len(page)))
    _ascend(np.ascontiguousarray(unit @ unit.T), value, _ROUNDS, shares, np.empty(len(page)))
    magnitude = np.abs(shares)
    # Multipliers may overflow, and bound nothing then.
    with np.errstate(over="ignore", invalid="ignore"):
        doubt = magnitude @ (rows.error[page] / length + 2.0**-46 * np.abs(value))
        drop = -(shares @ value) - doubt
        lost = magnitude @ (blur / length + (len(page) + unit.shape[1] + 16) * 2.0**-51 * size)
        bound = drop / (forms.norm.sizes(shares @ unit) * (1 + 2.0**-40) + lost) * (1 - 2.0**-48)
    bound = np.where(drop > 0, bound, 0.0)
    return np.asarray(np.where(np.isfinite(bound), bound, 0.0))
