""".nnet files: the format as it is described, its normalisation, and damaged ones."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from geomrelu.errors import FileFormatError, InputError, WeightError
from geomrelu.importers import as_network, self_check
from geomrelu.importers.files import load_model, read_model

DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real networks at {DATA}")
# Two inputs, one hidden layer of three, one output.
LINES = [
    "// a comment",
    "2,2,1,3,",
    "2,3,1,",
    "0,",
    "-1,-2.5,",
    "1,7.5,",
    "0.5,1.0,-3.0,",
    "2.0,3.0,10.0,",
    "1.5,-0.25,",
    "0.1,1e-2,",
    "-1,1,",
    "0.5,",
    "-0.5,",
    "0,",
    "1,-2,3,",
    "0.125,",
]


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "model.nnet"
    path.write_text("\n".join(lines) + "\n")
    return path


def by_fractions(point: tuple[str, str], normalise: bool) -> Fraction:
    """The formula in rationals, with the file's decimal numbers themselves."""
    x = [Fraction(value) for value in point]
    if normalise:
        x = [(x[0] - Fraction("0.5")) / 2, (x[1] - 1) / 3]
    rows = [("1.5", "-0.25", "0.5"), ("0.1", "1e-2", "-0.5"), ("-1", "1", "0")]
    hidden = [max(Fraction(0), Fraction(a) * x[0] + Fraction(b) * x[1] + Fraction(c)) for a, b, c in rows]
    y = hidden[0] - 2 * hidden[1] + 3 * hidden[2] + Fraction("0.125")
    return y * 10 - 3 if normalise else y


@pytest.mark.parametrize("normalise", [False, True])
def test_the_formula(tmp_path: Path, normalise: bool) -> None:
    network = read_model(written(tmp_path, LINES), normalise=normalise)
    for point in (("0", "0"), ("-1", "7.5"), ("0.75", "-2.5"), ("100", "3")):
        value = network([[float(word) for word in point]])[0, 0]
        assert value == pytest.approx(float(by_fractions(point, normalise)), rel=1e-14, abs=1e-14)


def test_what_a_file_holds(tmp_path: Path) -> None:
    nnet = load_model(written(tmp_path, LINES))
    assert nnet.low.tolist() == [-1.0, -2.5]
    assert nnet.high.tolist() == [1.0, 7.5]
    assert nnet.input_means.tolist() == [0.5, 1.0]
    assert nnet.input_ranges.tolist() == [2.0, 3.0]
    assert (nnet.output_mean, nnet.output_range) == (-3.0, 10.0)
    assert as_network(nnet).widths == (3,)
    assert as_network(nnet).layers[0].weight.tolist() == [[1.5, -0.25], [0.1, 0.01], [-1.0, 1.0]]
    for model in (nnet, replace(nnet, normalise=True)):
        assert self_check(model).ok
    wrong = replace(nnet, biases=(nnet.biases[0] + 1e-9, nnet.biases[1]))
    assert not self_check(nnet, as_network(wrong)).ok


def changed(index: int, line: str) -> list[str]:
    return [*LINES[:index], line, *LINES[index + 1 :]]


DAMAGE = {
    "truncated": (LINES[:-2], "has 9 weights and biases, expected 13 for layers of 2, 3, 1: cut off or damaged"),
    "header-only": (LINES[:5], "has 4 lines besides comments"),
    "too-long": ([*LINES, "1,"], "has 14 weights and biases, expected 13"),
    "counts": (changed(1, "3,2,1,3,"), "says '3,2,1,3,' and then '2,3,1,'"),
    "inputs": (changed(2, "3,3,1,"), "expected the numbers of layers, inputs and outputs"),
    "negative": (changed(2, "2,-3,1,"), "got '2,-3,1,', expected whole numbers, 1 or more"),
    "zero": (changed(2, "2,0,1,"), "expected whole numbers, 1 or more"),
    "huge": (changed(2, "2,999999999999999,1,"), "has 13 weights and biases, expected 3,999,999,999,999,997"),
    "many-digits": (changed(2, "2," + "9" * 5000 + ",1,"), "got '2,999"),
    "words": (changed(9, "0.1,many,"), "weights and biases.*expected numbers"),
    "means": (changed(6, "0.5,-3.0,"), "means: got 2 numbers, expected 3"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    lines, message = DAMAGE[name]
    with pytest.raises(FileFormatError, match=message):
        read_model(written(tmp_path, lines))


@pytest.mark.parametrize("word", ["nan", "inf", "1e999"])
def test_numbers_that_are_not_finite(tmp_path: Path, word: str) -> None:
    with pytest.raises(WeightError, match="expected finite numbers"):
        read_model(written(tmp_path, changed(11, f"{word},")))


def test_a_range_of_zero(tmp_path: Path) -> None:
    with pytest.raises(WeightError, match="ranges: number 2 is 0"):
        read_model(written(tmp_path, changed(7, "2.0,0.0,10.0,")))


def test_every_cut_is_told(tmp_path: Path) -> None:
    """A file that is cut off anywhere is refused, within a number too."""
    path = written(tmp_path, LINES)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_model(path)


def test_binary_files(tmp_path: Path) -> None:
    (tmp_path / "model.nnet").write_bytes(b"\x80\x04\xff\xfe" * 10)
    with pytest.raises(FileFormatError, match="not plain text"):
        read_model(tmp_path / "model.nnet")


def test_normalise_is_for_nnet_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", W0=np.eye(2), b0=np.zeros(2))
    with pytest.raises(InputError, match=r"normalise is for \.nnet files"):
        read_model(tmp_path / "model.npz", normalise=True)


@needs_data
@pytest.mark.parametrize("number", ["1_1", "2_3", "4_2"])
def test_acas_xu(number: str) -> None:
    """Text with six digits, and the float32 version that others made of it, are all but the same network."""
    stem = DATA / "acasxu" / f"ACASXU_run2a_{number}_batch_2000"
    text, binary = read_model(f"{stem}.nnet"), read_model(f"{stem}.onnx")
    assert text.widths == binary.widths == (50,) * 6
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 5))
    np.testing.assert_allclose(binary(points), text(points), rtol=1e-4, atol=1e-5)


@needs_data
def test_acas_xu_in_its_own_units() -> None:
    path = DATA / "acasxu" / "ACASXU_run2a_1_1_batch_2000.nnet"
    nnet = load_model(path, normalise=True)
    points = np.random.default_rng(0).uniform(nnet.low, nnet.high, (2000, 5))
    scaled = read_model(path)((points - nnet.input_means) / nnet.input_ranges)
    np.testing.assert_allclose(as_network(nnet)(points), scaled * nnet.output_range + nnet.output_mean, rtol=1e-9)
    assert self_check(nnet, points=points[:50]).ok
