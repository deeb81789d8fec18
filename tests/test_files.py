"""Model files and output files: what is read, exactly, and how files are written."""

from __future__ import annotations

import errno
import json
import os
import stat
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import safetensors.torch
import skops.io
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

from geomrelu import Network
from geomrelu.errors import FileFormatError, MissingDependencyError, OutputPathError
from geomrelu.files import atomic_path, check_output_path, staged_directory
from geomrelu.importers import as_network
from geomrelu.importers.files import read_model


def deep_model(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Twelve Linear layers: more than ten, so that their order as text is not their order."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(2, 3)]
    for _ in range(10):
        layers += [nn.ReLU(), nn.Linear(3, 3, bias=False)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(3, 1)).to(dtype)


def assert_same(a: Network, b: Network) -> None:
    assert a.widths == b.widths
    for x, y in zip(a.layers, b.layers, strict=True):
        np.testing.assert_array_equal(x.weight, y.weight)
        np.testing.assert_array_equal(x.bias, y.bias)


# ---- model files


def test_npz(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "W0": rng.normal(size=(5, 2)).astype("f4"),
        "b0": rng.normal(size=5),
        "W1": rng.normal(size=(1, 5)),
        "b1": [1],
    }
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    expected = Network([arrays["W0"], arrays["W1"]], [arrays["b0"], arrays["b1"]])
    assert_same(read_model(tmp_path / "m.npz"), expected)
    assert_same(read_model(str(tmp_path / "m.npz")), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_state_dicts(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    model = deep_model(dtype)
    path = tmp_path / f"m{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    assert_same(read_model(path), as_network(model))


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict"])
def test_checkpoints(tmp_path: Path, key: str) -> None:
    model = deep_model()
    torch.save({"epoch": 3, key: model.state_dict()}, tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt"), as_network(model))


def test_state_dict_of_the_old_torch_format(tmp_path: Path) -> None:
    model = deep_model()
    torch.save(model.state_dict(), tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    assert_same(read_model(tmp_path / "m.pt"), as_network(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_pt2(tmp_path: Path, dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Flatten(), deep_model(dtype), nn.Dropout()).eval()
    program = torch.export.export(model, (torch.randn(3, 2, dtype=dtype),))
    torch.export.save(program, tmp_path / "m.pt2")
    assert_same(read_model(tmp_path / "m.pt2"), as_network(model))
    (tmp_path / "m.pt2").rename(tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt"), as_network(model))


def test_pt2_with_views_shared_storage_and_dynamic_batch(tmp_path: Path) -> None:
    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            store = torch.randn(4, 2)
            self.weight, self.square = nn.Parameter(store.T), nn.Buffer(store[2:])
            self.last = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = (x @ self.weight + torch.tensor([1.0, 2, 3, 4])).relu()
            return self.last(x.view(x.size(0), -1) @ self.weight.T @ self.square)

    model = Transposed()
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (torch.randn(3, 2),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "m.pt2")
    assert_same(read_model(tmp_path / "m.pt2"), as_network(model))


@pytest.mark.filterwarnings("ignore", category=ConvergenceWarning)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sklearn_files(tmp_path: Path, solver: str) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = (x[:, 0] > 0).astype(int)
    for kind in (MLPClassifier, MLPRegressor):
        model = kind(hidden_layer_sizes=(4,), solver=solver, max_iter=3, random_state=0).fit(x, y)
        skops.io.dump(model, tmp_path / "m.skops")
        assert_same(read_model(tmp_path / "m.skops"), as_network(model))
        joblib.dump(model, tmp_path / "m.joblib")
        assert_same(read_model(tmp_path / "m.joblib", allow_joblib=True), as_network(model))


def test_no_pickle_is_opened_without_the_flag(tmp_path: Path) -> None:
    """A pickle that leaves a mark when it is opened."""
    mark = tmp_path / "mark"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(mark),)

    joblib.dump(Bomb(), tmp_path / "m.joblib")
    torch.save(Bomb(), tmp_path / "m.pt")
    np.savez(tmp_path / "m.npz", W0=np.array([Bomb()], dtype=object), b0=np.zeros(1))
    for name in ("m.joblib", "m.pt", "m.npz"):
        with pytest.raises(FileFormatError):
            read_model(tmp_path / name)
    assert not mark.exists()


def rewritten(path: Path, name: str, change: object) -> None:
    """Replace one member of a zip file by what `change` makes of it."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, change(content) if member.endswith(name) else content)  # type: ignore[operator]


def test_pt2_files_that_would_be_unpickled_or_are_damaged(tmp_path: Path) -> None:
    program = torch.export.export(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), (torch.randn(3, 2),))
    path = tmp_path / "m.pt2"

    def pickled(config: bytes) -> bytes:
        content = json.loads(config)
        content["config"]["0.weight"]["use_pickle"] = True
        return json.dumps(content).encode()

    for name, change, message in [
        ("model_weights_config.json", pickled, "0.weight is stored as a pickle"),
        ("weight_0", lambda raw: raw[:8], "fewer than its shape"),
        ("model.json", lambda raw: raw[:100], "damaged"),
        ("model.json", lambda raw: b"{}", "not laid out"),
    ]:
        torch.export.save(program, path)
        rewritten(path, name, change)
        with pytest.raises(FileFormatError, match=message):
            read_model(path)


def test_files_under_another_formats_suffix(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", W0=np.ones((1, 2)), b0=np.ones(1))
    (tmp_path / "a.npz").rename(tmp_path / "a.pt2")
    torch.save(deep_model().state_dict(), tmp_path / "b.pt2")
    safetensors.torch.save_file(deep_model().state_dict(), tmp_path / "c.pt")
    for name, message in [
        ("a.pt2", r"not a torch.export file but what numpy.savez writes: give it the suffix \.npz"),
        ("b.pt2", r"not a torch.export file but what torch.save writes: give it the suffix \.pt;"),
        ("c.pt", r"not a torch file, or damaged; expected a state dict"),
    ]:
        with pytest.raises(FileFormatError, match=message) as caught:
            read_model(tmp_path / name)
        # Torch advises to let the file run its code: never ours to repeat.
        assert "weights_only set to" not in str(caught.value).replace("`", "")
        assert "Re-running" not in str(caught.value)


@pytest.mark.parametrize(("package", "suffix"), [("safetensors", ".safetensors"), ("skops.io", ".skops")])
def test_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"geomrelu\[files\]"):
        read_model(path)


# ---- output files


def test_atomic_path_writes_whole_files_with_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    target.chmod(0o640)
    with atomic_path(target) as temporary:
        temporary.write_text("newer")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_path_leaves_the_old_file_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_path_reports_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OutputPathError, match="No space left"), atomic_path(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "text", "advice"),
    [
        (errno.ENOSPC, "No space left on device", "free some space"),
        (errno.EFBIG, "File too large", "raise the limit on the size of files"),
        (errno.EIO, "Input/output error", "choose another path"),
    ],
)
def test_errors_below_a_staged_directory_name_the_users_path(
    tmp_path: Path, number: int, text: str, advice: str
) -> None:
    out = tmp_path / "study"
    expected = f"cannot write {out / 'figures' / 'a.png'}: {text}; {advice}"

    def write() -> None:
        with staged_directory(out) as stage:
            (stage / "figures").mkdir()
            with atomic_path(stage / "figures" / "a.png"):
                raise OSError(number, text, "/some/temporary/path")

    with pytest.raises(OutputPathError) as caught:
        write()
    assert str(caught.value).startswith(expected)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputPathError, match=f"cannot write in .*study: {text}; {advice}"), staged_directory(out):
        raise OSError(number, text)


def test_atomic_path_writes_through_links(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with atomic_path(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, message in [
        (tmp_path, "is a directory"),
        (tmp_path / "missing" / "a.txt", "there is no directory"),
        (tmp_path / "file" / "a.txt", "is not a directory"),
        (Path("/dev/null"), "not a regular file"),
        (None, "got NoneType"),
    ]:
        with pytest.raises(OutputPathError, match=message):
            check_output_path(path)  # type: ignore[arg-type]


def test_places_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says is believed; the superuser, who may write anywhere, is told so here."""
    (tmp_path / "a.txt").write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(OutputPathError, match="no permission"):
        check_output_path(tmp_path / "a.txt")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == tmp_path)
    with pytest.raises(OutputPathError, match="write-protected"):
        check_output_path(tmp_path / "a.txt")
    monkeypatch.undo()
    np.savez(tmp_path / "m.npz", W0=np.ones((1, 2)), b0=np.ones(1))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FileFormatError, match="no permission to read"):
        read_model(tmp_path / "m.npz")
