"""What an interactive page's file holds, read as its script reads it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np


def contents(path: Path) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """The text, what the page is about, and its arrays by name."""
    text = path.read_text(encoding="utf-8")
    about = json.loads(re.search(r'id="about">(.*?)</script>', text)[1])
    packed = re.search(r'id="arrays">(.*?)</script>', text)[1]
    data = gzip.decompress(base64.b64decode(packed))
    arrays = {
        a["name"]: np.frombuffer(data, dtype=a["dtype"], count=a["size"], offset=a["at"]) for a in about["arrays"]
    }
    return text, about, arrays


def own_patterns(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The pattern of each face, (F, n_neurons) bool, along the way from the root: there must be one root."""
    n = len(arrays["parent"])
    bits = np.zeros((n, about["n_neurons"]), dtype=bool)
    assert np.count_nonzero(arrays["parent"] < 0) == 1
    for face in range(n):
        bits[face, arrays["root_active"]] = True
        at = face
        while arrays["parent"][at] >= 0:
            bits[face, arrays["flips"][arrays["flip_offsets"][at] : arrays["flip_offsets"][at + 1]]] ^= True
            at = arrays["parent"][at]
    return bits
