"""``.nnet`` files: the text format of the ACAS Xu networks (Julian, Stanford 2016).

Lines that begin with ``//`` are comments; then, all numbers followed by commas,

1. number of layers, inputs, outputs, largest layer;
2. the layers' sizes, inputs first;
3. a flag that is no longer used;
4. the inputs' least values, 5. their greatest values;
6. the means of the inputs, then that of all outputs; 7. their ranges, likewise;

and for each layer its weights, a line a unit, and its biases, a line each.  ReLU stands between layers.

The network itself takes normalised inputs, (x - mean) / range, and gives normalised outputs y, which stand for
y range + mean.  Numbers are decimal text: a weight is the float64 number nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from geomrelu.arrays import FloatArray, ReadOnly, real_array
from geomrelu.errors import FileFormatError, WeightError
from geomrelu.matrices import identity
from geomrelu.network import Layer, Network

__all__ = ["Nnet", "read_nnet"]

_SAVE_AGAIN = "download or write it again"


@dataclass(frozen=True, eq=False)
class Nnet(ReadOnly):
    """What a ``.nnet`` file holds.

    Attributes
    ----------
    weights : tuple of (n_l, n_{l-1}) float64 arrays
    biases : tuple of (n_l,) float64 arrays
    low, high : (n_inputs,) float64
        Least and greatest values of the inputs, in their own units.
    input_means, input_ranges : (n_inputs,) float64
    output_mean, output_range : float
    normalise : bool
        Whether `network` and `evaluate` take inputs, and give outputs, in their own units.
        ``dataclasses.replace(nnet, normalise=True)`` makes it so.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    low: FloatArray
    high: FloatArray
    input_means: FloatArray
    input_ranges: FloatArray
    output_mean: float
    output_range: float
    normalise: bool = False

    def network(self) -> Network:
        """The network, with the normalisation or without.

        Without it, exactly the file's network, from normalised inputs to normalised outputs.
        With it, two steps before the network, x - mean and the product with the float64 number
        nearest to 1 / range, and one after it, times range plus mean.  Nothing is clipped to
        `low` and `high`: that is for the domain to say.
        """
        last = len(self.weights) - 1
        layers = [
            Layer(w, b, len(w) if k < last else 0)
            for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True))
        ]
        if self.normalise:
            n_inputs, n_outputs = len(self.low), len(self.biases[-1])
            layers = [
                Layer(identity(n_inputs), -self.input_means, 0),
                Layer(np.diag(1.0 / self.input_ranges), np.zeros(n_inputs), 0),
                *layers,
                Layer(self.output_range * np.eye(n_outputs), np.full(n_outputs, self.output_mean), 0),
            ]
        return Network.from_layers(layers)

    def evaluate(self, points: FloatArray) -> FloatArray:
        """Outputs at points (N, n_inputs), (N, n_outputs), as the format's own readers compute them in float64."""
        h = (points - self.input_means) / self.input_ranges if self.normalise else points
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = np.maximum(h @ weight.T + bias, 0.0)
        h = h @ self.weights[-1].T + self.biases[-1]
        return np.asarray(h * self.output_range + self.output_mean if self.normalise else h)


def read_nnet(path: Path) -> Nnet:
    """A ``.nnet`` file's content, checked.

    Raises
    ------
    FileFormatError
        If it is not laid out as the format says, or truncated.
    WeightError
        If a number is not finite.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "abs.nnet"
    >>> lines = ["1 hidden layer", "2,1,1,2,", "1,2,1,", "0,", "-5,", "5,", "0,0,", "1,1,"]
    >>> _ = path.write_text("// " + "\\n".join([*lines, "1,", "-1,", "0,", "0,", "1,1,", "0,", ""]))
    >>> nnet = read_nnet(path)
    >>> nnet.network()([[-3.0], [2.0]]).tolist(), nnet.low.tolist()
    ([[3.0], [2.0]], [-5.0])
    """
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not a .nnet file: it is not plain text; {_SAVE_AGAIN}") from error
    if not text.rstrip(" \t").endswith(("\n", "\r", ",")):
        raise FileFormatError(
            f"{path}: does not end with a comma or a new line: it may have been cut off within a number; "
            f"{_SAVE_AGAIN}, or end its last line"
        )
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("//")]
    if len(lines) < _HEADER:
        raise FileFormatError(
            f"{path}: has {len(lines)} lines besides comments; expected {_HEADER} and then the weights; {_SAVE_AGAIN}"
        )
    sizes = _sizes(path, lines)
    n_inputs = sizes[0]
    low, high, means, ranges = (
        _header_row(path, lines[k], what, n_inputs + extra)
        for k, what, extra in (
            (3, "least input values", 0),
            (4, "greatest input values", 0),
            (5, "means", 1),
            (6, "ranges", 1),
        )
    )
    if (ranges == 0).any():
        raise WeightError(
            f"{path}: ranges: number {int(np.argmin(ranges != 0)) + 1} is 0; expected what normalisation can divide by"
        )
    weights, biases = _matrices(path, lines[_HEADER:], sizes)
    return Nnet(weights, biases, low, high, means[:-1], ranges[:-1], float(means[-1]), float(ranges[-1]))


# Lines before the weights.
_HEADER = 7


def _words(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _sizes(path: Path, lines: list[str]) -> list[int]:
    """The layers' sizes, inputs first, from the first two lines."""
    first, sizes = (_whole(path, line) for line in lines[:2])
    if len(first) != 4 or len(sizes) != first[0] + 1 or (sizes[0], sizes[-1]) != (first[1], first[2]):
        raise FileFormatError(
            f"{path}: says {lines[0].strip()!r} and then {lines[1].strip()!r}; expected the numbers of layers, inputs "
            f"and outputs and the largest size, and then the size of every layer, inputs first; {_SAVE_AGAIN}"
        )
    return sizes


def _whole(path: Path, line: str) -> list[int]:
    words = _words(line)
    if not words or not all(word.isdecimal() and len(word) < 16 and int(word) > 0 for word in words):
        raise FileFormatError(
            f"{path}: not a .nnet file, or damaged: got {line.strip()[:60]!r}, expected whole numbers, 1 or more; "
            f"{_SAVE_AGAIN}"
        )
    return [int(word) for word in words]


def _numbers(path: Path, words: list[str], what: str) -> FloatArray:
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise FileFormatError(f"{path}: {what}: {error}; expected numbers; {_SAVE_AGAIN}") from error
    return real_array(values, f"{path}: {what}")


def _header_row(path: Path, line: str, what: str, expected: int) -> FloatArray:
    values = _numbers(path, _words(line), what)
    if len(values) != expected:
        raise FileFormatError(f"{path}: {what}: got {len(values)} numbers, expected {expected}; {_SAVE_AGAIN}")
    return values


def _matrices(path: Path, lines: list[str], sizes: list[int]) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    words = [word for line in lines for word in _words(line)]
    expected = sum((before + 1) * after for before, after in pairwise(sizes))
    if len(words) != expected:
        problem = "cut off or damaged" if len(words) < expected else "damaged"
        raise FileFormatError(
            f"{path}: has {len(words):,} weights and biases, expected {expected:,} for layers of "
            f"{', '.join(map(str, sizes))}: {problem}; {_SAVE_AGAIN}"
        )
    values = _numbers(path, words, "weights and biases")
    weights, biases = [], []
    start = 0
    for before, after in pairwise(sizes):
        middle, end = start + before * after, start + (before + 1) * after
        weights.append(values[start:middle].reshape(after, before))
        biases.append(values[middle:end])
        start = end
    return tuple(weights), tuple(biases)
