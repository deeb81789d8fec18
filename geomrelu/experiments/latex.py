"""The structure of a network as LaTeX, in the coordinates of [-1, 1]^d and of [0, 1]^d."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np

from geomrelu.arrays import FloatArray
from geomrelu.errors import InputError
from geomrelu.network import Layer, Network

__all__ = ["COORDINATES", "Coordinates", "latex_file", "network_latex", "unit_coordinates"]

Coordinates: TypeAlias = Literal["pm1", "unit"]
COORDINATES: tuple[Coordinates, ...] = ("pm1", "unit")

# Larger matrices are written in blocks of so many rows and columns, which fit on a page and which amsmath,
# KaTeX and MathJax all take as they are.
_MAX_ROWS, _MAX_COLUMNS = 10, 5


def unit_coordinates(network: Network) -> Network:
    """The same function in coordinates u of [0, 1]^d, where x = 2 u - 1.

    The first layer's A x + b becomes A' u + b' with A' = 2 A and b' = b - A' (1/2, ..., 1/2);
    A' is exact, b' correctly rounded to float64.

    Examples
    --------
    >>> g = unit_coordinates(Network([[[1.0, 3.0]], [[1.0]]], [[0.5], [0.0]]))
    >>> g.layers[0].weight.tolist(), g.layers[0].bias.tolist()
    ([[2.0, 6.0]], [-3.5])
    """
    first = network.layers[0]
    bias = np.array([math.fsum([b, *(-row)]) for row, b in zip(first.weight, first.bias, strict=True)])
    return Network.from_layers([Layer(2.0 * first.weight, bias, first.n_neurons), *network.layers[1:]])


def network_latex(network: Network, coordinates: Coordinates = "pm1", digits: int | None = 6) -> str:
    r"""The network written out, every entry of every matrix, as a LaTeX display.

    Parameters
    ----------
    network : Network
        Any width and depth.
    coordinates : {"pm1", "unit"}
        ``"pm1"``: as a function of x in [-1, 1]^d.  ``"unit"``: as one of u in [0, 1]^d, x = 2 u - 1.
    digits : int or None
        Significant digits of each number; None writes as many as give back the same float64.

    Returns
    -------
    str
        An ``aligned`` environment for display maths (amsmath, KaTeX, MathJax).  Matrices of more
        than 10 rows or 5 columns are written block by block: ``W_1[1:10, 1:2]`` is rows 1 to 10,
        columns 1 to 2.

    Raises
    ------
    InputError
        If `coordinates` or `digits` cannot be used.

    Examples
    --------
    >>> print(network_latex(Network([[[1.0, 1.0], [1.0, 1.0]], [[2.0, -4.0]]], [[1.0, 0.0], [-1.0]])))
    \begin{aligned}
    f(x) &= W_{2}\,\mathrm{relu}\bigl(W_{1}\,x + b_{1}\bigr) + b_{2}, \qquad x \in [-1, 1]^{2}, \\
    W_{1} &= \begin{bmatrix} 1 & 1 \\ 1 & 1 \end{bmatrix}, \quad
    b_{1} = \begin{bmatrix} 1 \\ 0 \end{bmatrix}, \\
    W_{2} &= \begin{bmatrix} 2 & -4 \end{bmatrix}, \quad
    b_{2} = \begin{bmatrix} -1 \end{bmatrix}
    \end{aligned}
    """
    if coordinates not in ("pm1", "unit"):
        raise InputError(f"network_latex: got coordinates={coordinates!r}; expected 'pm1' ([-1, 1]) or 'unit' ([0, 1])")
    if digits is not None and (isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 17):
        raise InputError(f"network_latex: got digits={digits!r}; expected a whole number from 1 to 17, or None")
    return "\\begin{aligned}\n" + ", \\\\\n".join(_rows(network, coordinates, digits)) + "\n\\end{aligned}"


def latex_file(network: Network) -> str:
    r"""A fragment for ``\input`` (needs amsmath): the network in both coordinates, as displays that pages may break.

    Examples
    --------
    >>> print(latex_file(Network([[[1.0, -1.0]]])))
    % needs \usepackage{amsmath}
    {\allowdisplaybreaks
    % in the coordinates of [-1, 1]^2
    \begin{align*}
    f(x) &= W_{1}\,x + b_{1}, \qquad x \in [-1, 1]^{2}, \\
    W_{1} &= \begin{bmatrix} 1 & -1 \end{bmatrix}, \quad
    b_{1} = \begin{bmatrix} 0 \end{bmatrix}
    \end{align*}
    % in the coordinates of [0, 1]^2
    \begin{align*}
    f(u) &= W_{1}\,u + b_{1}, \qquad u \in [0, 1]^{2}, \quad x = 2u - 1, \\
    W_{1} &= \begin{bmatrix} 2 & -2 \end{bmatrix}, \quad
    b_{1} = \begin{bmatrix} 0 \end{bmatrix}
    \end{align*}
    }
    <BLANKLINE>
    """
    lines = ["% needs \\usepackage{amsmath}", "{\\allowdisplaybreaks"]
    for coordinates in COORDINATES:
        interval = "[0, 1]" if coordinates == "unit" else "[-1, 1]"
        rows = ", \\\\\n".join(_rows(network, coordinates, 6))
        where = f"% in the coordinates of {interval}^{network.n_inputs}"
        lines += [where, "\\begin{align*}", rows, "\\end{align*}"]
    return "\n".join([*lines, "}", ""])


def _rows(network: Network, coordinates: Coordinates, digits: int | None) -> list[str]:
    """The lines of the display, without the commas between them."""
    unit = coordinates == "unit"
    shown = unit_coordinates(network) if unit else network
    variable, interval = ("u", "[0, 1]") if unit else ("x", "[-1, 1]")
    where = f"{variable} \\in {interval}^{{{shown.n_inputs}}}"
    rows = [f"f({variable}) &= {_composition(shown, variable)}, \\qquad {where}"]
    if unit:
        rows[0] += ", \\quad x = 2u - 1"
    rows += _passing_notes(shown)
    for k, layer in enumerate(shown.layers, start=1):
        weight = _blocks(f"W_{{{k}}}", layer.weight, digits)
        bias = _blocks(f"b_{{{k}}}", layer.bias[:, None], digits)
        if len(weight) == len(bias) == 1:
            rows.append(f"{weight[0]}, \\quad\n{bias[0].replace(' &=', ' =')}")
        else:
            rows += weight + bias
    return rows


def _blocks(name: str, matrix: FloatArray, digits: int | None) -> list[str]:
    """A matrix as equations: one, or one for each block of a large matrix, named by its rows and columns."""
    n_rows, n_columns = matrix.shape
    if n_rows <= _MAX_ROWS and n_columns <= _MAX_COLUMNS:
        return [f"{name} &= {_bmatrix(matrix, digits)}"]
    equations = []
    for i in range(0, n_rows, _MAX_ROWS):
        for j in range(0, n_columns, _MAX_COLUMNS):
            block = matrix[i : i + _MAX_ROWS, j : j + _MAX_COLUMNS]
            place = f"{i + 1}{{:}}{i + len(block)}, {j + 1}{{:}}{j + block.shape[1]}"
            equations.append(f"{name}[{place}] &= {_bmatrix(block, digits)}")
    return equations


def _composition(network: Network, variable: str) -> str:
    r"""``W_2 relu(W_1 x + b_1) + b_2``, nested as deep as the network is."""
    inner = variable
    for k, layer in enumerate(network.layers, start=1):
        inner = f"W_{{{k}}}\\,{inner} + b_{{{k}}}"
        if k < len(network.layers):
            inner = f"{_relu(layer, k)}\\bigl({inner}\\bigr)"
    return inner


def _relu(layer: Layer, k: int) -> str:
    return "\\mathrm{relu}" if layer.n_neurons == layer.n_units else f"\\mathrm{{relu}}_{{{k}}}"


def _passing_notes(network: Network) -> list[str]:
    """What relu means in layers that let some of their units pass, as in a joint network."""
    return [
        f"{_relu(layer, k)}(z) &= (\\max(z_1, 0), \\ldots) \\text{{ on the first }} {layer.n_neurons} "
        f"\\text{{ of }} {layer.n_units} \\text{{ entries; the others pass}}"
        for k, layer in enumerate(network.hidden, start=1)
        if layer.n_neurons < layer.n_units
    ]


def _bmatrix(matrix: FloatArray, digits: int | None) -> str:
    rows = " \\\\ ".join(" & ".join(_number(v, digits) for v in row) for row in matrix)
    return f"\\begin{{bmatrix}} {rows} \\end{{bmatrix}}"


def _number(value: float, digits: int | None) -> str:
    r"""A number in LaTeX: 0.25, -3, 1.5 \cdot 10^{-7}."""
    text = repr(float(value)) if digits is None else f"{float(value):.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    if mantissa == "-0":
        mantissa = "0"
    return f"{mantissa} \\cdot 10^{{{int(exponent)}}}" if exponent else mantissa
