"""Model files.  Nothing in a file is executed, unless joblib is allowed in so many words.

| suffix | content |
|---|---|
| ``.npz`` | ``W0``, ``b0``, ``W1``, ``b1``, ...: weights (outputs, inputs) and biases, ReLU between |
| ``.pt2`` | what ``torch.export.save`` writes (torch 2.8 and later) |
| ``.onnx`` | an ONNX model, with external data in its own folder only |
| ``.nnet`` | a network in the text format of the ACAS Xu networks (`geomrelu.importers.nnet`) |
| ``.safetensors``, ``.pt``, ``.pth`` | a state dict whose Linear layers are read in order (see below) |
| ``.skops`` | a scikit-learn MLP, or pipeline that ends with one, saved with skops |
| ``.joblib``, ``.pkl``, ``.pickle`` | the same; only with ``allow_joblib=True``, since it runs code |

A state dict holds no activations: ReLU between Linear layers is assumed.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geomrelu.arrays import FloatArray, real_array
from geomrelu.errors import FileFormatError, InputError, MissingDependencyError, ShapeError, UnsupportedLayerError
from geomrelu.importers import as_network
from geomrelu.importers.kinds import READ
from geomrelu.importers.nnet import Nnet, read_nnet
from geomrelu.importers.program import Program
from geomrelu.network import Network

__all__ = ["SUFFIXES", "assumes_relu", "load_model", "naming", "read_model"]

_EXPORT = "torch.export.save(torch.export.export(model, (example,)), 'model.pt2')"
_STATE_DICT = "torch.save(model.state_dict(), path)"
# What a damaged file makes its library raise.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError)


def read_model(
    path: str | os.PathLike[str],
    allow_joblib: bool = False,
    normalise: bool = False,
    input_shape: Sequence[int] | None = None,
) -> Network:
    """The network in a file; see the module's docstring for the formats.

    A state dict holds no activations: ReLU between Linear layers is assumed.  Of a network
    with other ones save a ``torch.export`` file (``.pt2``), which holds them.

    Parameters
    ----------
    path : path-like
        The suffix says the format, and the content is held to it.
    allow_joblib : bool
        Whether ``.joblib`` and ``.pkl`` files may be opened.  Opening one runs whatever code
        it holds: allow it for files of your own only.
    normalise : bool
        Of a ``.nnet`` file: whether inputs and outputs are in their own units, so that its
        normalisation is part of the network; without it they are normalised ones, as in the
        ONNX versions of the ACAS Xu networks, and the weights are exactly the file's.
    input_shape : sequence of int, optional
        Shape of one input, without the batch, where the model leaves it open.

    Returns
    -------
    Network
        With exactly the stored weights.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is not what its suffix says, is damaged or not allowed.
    MissingDependencyError
        If safetensors, skops or onnx is needed and not installed.
    InputError
        As `geomrelu.importers.as_network`, for what the file holds.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "model.npz"
    >>> np.savez(file, W0=np.ones((5, 2)), b0=np.zeros(5), W1=np.ones((1, 5)), b1=np.zeros(1))
    >>> read_model(file)
    Network(2-5-1, 5 neurons)
    """
    model = load_model(path, allow_joblib, normalise)
    with naming(Path(path)):
        return as_network(model, input_shape)


def load_model(path: str | os.PathLike[str], allow_joblib: bool = False, normalise: bool = False) -> Any:
    """What a file holds, as `as_network` and `self_check` take it; parameters and errors as of `read_model`.

    Returns
    -------
    Network, onnx.ModelProto, Nnet, Program, or a scikit-learn model
        A network for ``.npz`` files and state dicts, a program for ``.pt2`` files.
    """
    file = Path(path)
    try:
        reader = _reader(file, allow_joblib)
    except FileFormatError:
        raise
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise FileFormatError(f"{file}: {error.strerror or error}; check the path") from error
    if normalise and reader is not _read_nnet:
        raise InputError(f"{file}: normalise is for .nnet files, which hold a normalisation; leave it out")
    with naming(file):
        model = reader(file)
    return replace(model, normalise=True) if normalise else model


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Errors about what a file holds name the file."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{file}: "):
            raise
        raise type(error)(f"{file}: {error}") from error


def assumes_relu(path: str | os.PathLike[str]) -> bool:
    """Whether a model file, one that `read_model` reads, is a state dict: its activations are a guess.

    Examples
    --------
    >>> assumes_relu("model.safetensors"), assumes_relu("model.npz")
    (True, False)
    """
    file = Path(path)
    suffix = file.suffix.lower()
    return suffix == ".safetensors" or (suffix in (".pt", ".pth") and not _holds_program(_zip_names(file)))


def _holds_program(names: list[str]) -> bool:
    return any(name.endswith("/models/model.json") for name in names)


def _reader(file: Path, allow_joblib: bool) -> Callable[[Path], Any]:
    """What reads the file, if there is one to be read."""
    if file.is_dir():
        raise FileFormatError(f"{file}: is a directory; expected a model file ({_LIST})")
    if not file.exists():
        raise FileFormatError(f"{file}: no such file; check the path")
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise FileFormatError(f"{file}: unknown suffix {file.suffix!r}; expected a model file ({_LIST})")
    if not file.is_file():
        raise FileFormatError(f"{file}: is not a regular file; expected a model file ({_LIST})")
    if file.stat().st_size == 0:
        raise FileFormatError(f"{file}: is empty; save the model again")
    if not os.access(file, os.R_OK):
        raise FileFormatError(f"{file}: no permission to read it; change its permissions")
    if reader is _read_joblib and not allow_joblib:
        raise FileFormatError(
            f"{file}: joblib and pickle files run code when they are opened; if you trust this one, allow it "
            "(--allow-joblib, allow_joblib=True), or save the model with skops.io.dump(model, 'model.skops')"
        )
    return reader


def _damaged(file: Path, what: str, error: BaseException) -> FileFormatError:
    # A KeyError's text is the missing key, which tells a reader nothing.
    lines = [] if isinstance(error, KeyError) else str(error).strip().splitlines()
    reason = f" ({lines[0]})" if lines else ""
    return FileFormatError(f"{file}: not a {what}, or damaged{reason}; save it again")


# ---- .npz


def _read_npz(file: Path) -> Network:
    if not zipfile.is_zipfile(file):
        raise FileFormatError(
            f"{file}: not an .npz file, or truncated; save it again with numpy.savez(path, W0=..., b0=...)"
        )
    try:
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            _check_npz_names(file, names)
            arrays = {name: archive[name] for name in names}
    except FileFormatError:
        raise
    except _DAMAGE as error:
        raise _damaged(file, "readable .npz file of numbers", error) from error
    names = [(f"W{k}", f"b{k}") for k in range(len(arrays) // 2)]
    weights, biases = ([arrays[pair[k]] for pair in names] for k in (0, 1))
    return _chained(file, names, weights, biases, "W is (outputs, inputs): transpose those stored the other way")


def _check_npz_names(file: Path, names: list[str]) -> None:
    layout = "expected W0, b0, W1, b1, ... with W of shape (outputs, inputs)"
    numbers = sorted({int(name[1:]) for name in names if re.fullmatch(r"[Wb](0|[1-9]\d*)", name)})
    extra = [name for name in names if not re.fullmatch(r"[Wb](0|[1-9]\d*)", name)]
    if {"face_vertices", "edge_faces"} <= set(names):
        raise FileFormatError(f"{file}: is a partition that geomrelu saved, not a model; open it with gr.load(path)")
    if extra:
        listed = ", ".join(repr(name) for name in extra[:5]) + (", ..." if len(extra) > 5 else "")
        raise FileFormatError(f"{file}: holds {listed}; {layout} and nothing else")
    missing = [f"{c}{k}" for k in range(max(numbers, default=0) + 1) for c in "Wb" if f"{c}{k}" not in names]
    if missing:
        raise FileFormatError(f"{file}: has no {', '.join(missing[:5])}; {layout} (zeros for a layer without bias)")


# ---- torch


def _read_pt2(file: Path) -> Program:
    from geomrelu.importers.pt2 import read_pt2

    return read_pt2(file)


def _read_torch(file: Path) -> Network | Program:
    names = _zip_names(file)
    if _holds_program(names):
        return _read_pt2(file)
    if any("/code/" in name for name in names):
        raise FileFormatError(
            f"{file}: is a TorchScript archive; save a state dict ({_STATE_DICT}) or {_EXPORT} instead"
        )
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if names or _is_pickle(file):
            raise FileFormatError(
                f"{file}: holds more than tensors (a whole pickled module?), and opening that would run code; "
                f"save a state dict ({_STATE_DICT}) or {_EXPORT} instead"
            ) from error
        # Torch's own text advises to open the file without weights_only, which would run what it holds.
        raise FileFormatError(
            f"{file}: not a torch file, or damaged; expected a state dict: {_STATE_DICT} (a file of another kind "
            f"needs its own suffix: {_LIST})"
        ) from error
    except (*_DAMAGE, AttributeError, ImportError) as error:
        raise _damaged(file, "torch file", error) from error
    if isinstance(content, Mapping):
        for key in ("state_dict", "model_state_dict"):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise FileFormatError(f"{file}: holds {_described(content)}; expected a state dict: {_STATE_DICT}")
    return _state_dict_network(file, content, list(content))


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        odd = [str(key) for key, value in content.items() if not hasattr(value, "is_meta")]
        return f"a dict with entries that are not tensors ({', '.join(odd[:5])})"
    return f"a {type(content).__name__}"


def _zip_names(file: Path) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(1) == b"\x80"


def _read_safetensors(file: Path) -> Network:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise _missing("safetensors", file) from error
    try:
        tensors = load_file(file)
    except (SafetensorError, *_DAMAGE) as error:
        raise _damaged(file, "safetensors file", error) from error
    # The format sorts its keys as text; by their numbers, layer 10 comes after layer 9.
    return _state_dict_network(file, tensors, sorted(tensors, key=_natural))


def _natural(key: str) -> list[tuple[int, int, str]]:
    """Sorting key that takes runs of digits as numbers."""
    parts = re.split(r"(\d+)", key)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _missing(package: str, file: Path, extra: str = "files") -> MissingDependencyError:
    return MissingDependencyError(
        f"{file}: reading it needs {package}, which is not installed; pip install 'geomrelu[{extra}]'"
    )


def _state_dict_network(file: Path, tensors: Mapping[str, Any], keys: list[str]) -> Network:
    """Linear layers of a state dict in the order of `keys`, with ReLU between."""
    from geomrelu.importers.torch import tensor_array

    advice = f"{READ}; for other models use {_EXPORT}"
    weights, biases = [], []
    for key in keys:
        stem, _, kind = key.rpartition(".")
        if kind == "bias" and f"{key.removesuffix('bias')}weight" in tensors:
            continue
        if kind != "weight" or tensors[key].ndim != 2:
            raise UnsupportedLayerError(
                f"{file}: {key} of shape {tuple(tensors[key].shape)} does not belong to a Linear layer; {advice}"
            )
        weight = tensor_array(tensors[key], key)
        bias_key = f"{stem}.bias" if stem else "bias"
        bias = tensor_array(tensors[bias_key], bias_key) if bias_key in tensors else np.zeros(len(weight))
        weights.append(weight)
        biases.append(bias)
    if not weights:
        raise FileFormatError(f"{file}: its state dict holds no tensors; save a trained model: {_STATE_DICT}")
    stems = [key.removesuffix("weight") for key in keys if key.rpartition(".")[2] == "weight"]
    names = [(f"{stem}weight", f"{stem}bias") for stem in stems]
    return _chained(file, names, weights, biases, f"expected Linear layers in the order in which they run: {_EXPORT}")


def _chained(file: Path, names: list[tuple[str, str]], weights: list[Any], biases: list[Any], advice: str) -> Network:
    """The network of these arrays; `names` are those of each weight and bias in the file."""
    checked: list[tuple[FloatArray, FloatArray]] = []
    for (weight_name, bias_name), given, bias in zip(names, weights, biases, strict=True):
        w, b = real_array(given, f"{file}: {weight_name}"), real_array(bias, f"{file}: {bias_name}")
        if w.ndim != 2 or 0 in w.shape:
            raise ShapeError(f"{file}: {weight_name} has shape {w.shape}; expected a matrix, not empty; {advice}")
        if b.shape != w.shape[:1]:
            raise ShapeError(
                f"{file}: {bias_name} has shape {b.shape}; expected {w.shape[:1]} to fit "
                f"{weight_name} {w.shape}; {advice}"
            )
        if checked and w.shape[1] != len(checked[-1][0]):
            before = names[len(checked) - 1][0]
            raise ShapeError(
                f"{file}: {weight_name} takes {w.shape[1]} inputs but {before}, stored before it, has "
                f"{len(checked[-1][0])} outputs; {advice}"
            )
        checked.append((w, b))
    return Network([w for w, _ in checked], [b for _, b in checked])


# ---- scikit-learn

# The optimiser that a fitted MLP keeps; skops trusts the rest by itself.
_TRUSTED = frozenset(
    f"sklearn.neural_network._stochastic_optimizers.{name}" for name in ("AdamOptimizer", "SGDOptimizer")
)


def _read_skops(file: Path) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise _missing("skops", file) from error
    if not zipfile.is_zipfile(file):
        raise FileFormatError(f"{file}: not a skops file, or truncated; save it with skops.io.dump(model, path)")
    try:
        unknown = skops.io.get_untrusted_types(file=file)
        others = sorted(set(unknown) - _TRUSTED)
        if others:
            raise FileFormatError(
                f"{file}: holds types that are not part of a scikit-learn MLP ({', '.join(others[:5])}), and "
                "opening those could run code; save the MLP itself with skops.io.dump(model, path)"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # another version of scikit-learn: only weights are read
            model = skops.io.load(file, trusted=sorted(unknown))
    except FileFormatError:
        raise
    except (*_DAMAGE, AttributeError, ImportError) as error:
        raise _damaged(file, "skops file", error) from error
    return model


def _read_joblib(file: Path) -> Any:
    import joblib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = joblib.load(file)
    except Exception as error:  # a pickle may raise anything
        raise _damaged(file, "joblib or pickle file", error) from error
    return model


# ---- ONNX and .nnet


def _read_onnx(file: Path) -> Any:
    try:
        from geomrelu.importers.onnx import load_onnx
    except ImportError as error:
        raise _missing("onnx", file, extra="onnx") from error
    return load_onnx(file)


def _read_nnet(file: Path) -> Nnet:
    return read_nnet(file)


_READERS: dict[str, Callable[[Path], Any]] = {
    ".npz": _read_npz,
    ".pt2": _read_pt2,
    ".onnx": _read_onnx,
    ".nnet": _read_nnet,
    ".safetensors": _read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".skops": _read_skops,
    ".joblib": _read_joblib,
    ".pkl": _read_joblib,
    ".pickle": _read_joblib,
}
SUFFIXES = tuple(_READERS)
_LIST = ", ".join(SUFFIXES)
