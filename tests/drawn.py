"""Networks for hypothesis to draw: small ones, with entries that make ties, or that floats round."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

import geomrelu as gr

INTEGERS = st.integers(-2, 2).map(float)
DYADICS = st.integers(-8, 8).map(lambda k: k / 4)
AWKWARD = st.sampled_from([0.1, 1 / 3, -0.7, 1.5, -1.0, 0.0, 1e-3, -2 / 7])
ENTRIES = {"integers": INTEGERS, "dyadic": DYADICS, "awkward": AWKWARD}


@st.composite
def drawn_networks(draw: st.DrawFn, entries: st.SearchStrategy[float], most_outputs: int = 1) -> gr.Network:
    """Up to three hidden layers of up to five neurons on two inputs."""
    widths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    sizes = [2, *widths, draw(st.integers(1, most_outputs)) if most_outputs > 1 else 1]
    weights, biases = [], []
    for m, n in pairwise(sizes):
        weights.append(draw(st.lists(st.lists(entries, min_size=m, max_size=m), min_size=n, max_size=n)))
        biases.append(draw(st.lists(entries, min_size=n, max_size=n)))
    return gr.Network(weights, biases)
