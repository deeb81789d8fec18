"""The example of a segment between two digits, on a small network."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_segment_digits(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("segment_digits", EXAMPLES / "segment_digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    p = module.main(tmp_path / "new" / "figure.png", width=12, steps=40)
    assert (tmp_path / "new" / "figure.png").read_bytes().startswith(b"\x89PNG")
    p.check()
    changes = module.class_changes(p)
    # Where the class changes two outputs tie; between the changes it is the largest output.
    for (t, before), (after_t, after) in pairwise(changes):
        tied = p([after_t])[0]
        assert np.isclose(tied[before], tied[after], atol=1e-9)
        assert p([(t + after_t) / 2])[0].argmax() == before
