"""The examples of three inputs: a neural shape's exact surface, on a small network, and three ways to look."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_level_set_torus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trimesh")
    pytest.importorskip("skimage")
    spec = importlib.util.spec_from_file_location("level_set_torus", EXAMPLES / "level_set_torus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path / "torus.png"
    surface = module.main(["--out", str(path), "--width", "12", "--steps", "300", "--grids", "10", "40"])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert surface.is_closed
    # A finer grid comes closer to the exact volume.
    coarse, fine = (
        abs(float(line.split("volume ")[1].split(",")[0]))
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("marching cubes")
    )
    assert fine < coarse / 4


def test_three_inputs(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("three_inputs", EXAMPLES / "three_inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path / "three.png"
    regions, small, polygons = module.main(str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    # 5 planes in general position cut space into at most 1 + 5 + 10 + 10 parts.
    assert small <= 26
    assert 0 < polygons < regions
