"""The command line: results, JSON, exit statuses."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import geomrelu as gr
from geomrelu.cli import app
from geomrelu.cli.terminal import print_json

# f(x) = 2 relu(x1 + x2 + 1) - 4 relu(x1 + x2) - 1: two parallel lines, one of them through two corners of [-1, 1]^2.
THREE_REGIONS = {
    "W0": np.array([[1.0, 1.0], [1.0, 1.0]]),
    "b0": np.array([1.0, 0.0]),
    "W1": np.array([[2.0, -4.0]]),
    "b1": np.array([-1.0]),
}
COUNTS = {"regions": 3, "linear_regions": 3, "affine_pieces": 3, "vertices": 6, "edges": 8}


@pytest.fixture
def model(tmp_path: Path) -> str:
    np.savez(tmp_path / "three.npz", **THREE_REGIONS)
    return str(tmp_path / "three.npz")


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in done.output
    return done


def test_count_json(model: str) -> None:
    done = run("count", model, "--box", "-1", "1", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "model": model,
        "network": {"inputs": 2, "widths": [2], "outputs": 1, "neurons": 2},
        "domain": [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]],
        **COUNTS,
    }


def test_count_table(model: str) -> None:
    done = run("count", model)
    assert done.exit_code == 0
    for name, number in COUNTS.items():
        words = [line.split() for line in done.stdout.splitlines()]
        assert [*name.split("_"), str(number)] in words


@pytest.mark.parametrize(
    ("domain", "regions"),
    [
        ([], 3),
        (["--box", "-1", "1"], 3),
        (["--box", "0", "1"], 1),
        (["--box", "-1e-3", "1e-3"], 2),
        (["--low", "-1", "-1", "--high", "-.75", "0"], 2),
        (["--polygon", "0,0 1,0 0,1"], 1),
        (["--polygon", "-1,-1; 1,-1; 1,1"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_domains(model: str, domain: list[str], regions: int) -> None:
    assert json.loads(run("count", model, *domain, "--json").stdout)["regions"] == regions


def test_domain_before_the_model(model: str) -> None:
    assert run("count", "--box", "-1", "1", model).exit_code == 0


@pytest.mark.parametrize("suffix", ["npz", "geojson"])
def test_partition(tmp_path: Path, model: str, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    done = run("partition", model, "-o", out)
    assert done.exit_code == 0
    assert done.stdout == f"wrote {out}: 3 regions\n"
    if suffix == "npz":
        assert gr.load(out).n_regions == 3
    else:
        assert len(json.loads(out.read_text())["features"]) == 3
    written = json.loads(run("partition", model, "-o", out, "--json").stdout)
    assert (written["regions"], written["out"]) == (3, str(out))


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_plot(tmp_path: Path, model: str, suffix: str, start: bytes) -> None:
    out = tmp_path / f"out.{suffix}"
    done = run("plot", model, "-o", out, "--dpi", "50", "--color", "class")
    assert done.exit_code == 0
    assert out.read_bytes().startswith(start)
    if suffix == "svg":
        assert "<!-- three.npz: 3 regions -->" in out.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([out.name, "three.npz"])


@pytest.mark.parametrize("link", ["three.npz", "./sub/../three.npz", "link.npz", "hard.npz"])
def test_the_model_is_not_overwritten(tmp_path: Path, model: str, link: str) -> None:
    before = Path(model).read_bytes()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.npz").symlink_to(model)
    os.link(model, tmp_path / "hard.npz")
    done = run("partition", model, "-o", f"{tmp_path}/{link}")
    assert done.exit_code == 2
    assert "it is the model file itself; choose another path" in done.stderr
    assert Path(model).read_bytes() == before
    figure = tmp_path / "model.svg"
    figure.symlink_to(model)
    assert run("plot", model, "-o", figure).exit_code == 2
    assert Path(model).read_bytes() == before


def test_check_passes(model: str) -> None:
    done = run("check", model, "--n", "21")
    assert done.exit_code == 0
    assert "invariants: ok" in done.stdout
    assert "cross-check: ok" in done.stdout
    content = json.loads(run("check", model, "--n", "21", "--json").stdout)
    assert content["ok"] is True
    assert content["crosscheck"]["n_samples"] == 21**2 + 4


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_failed_check_is_status_1(model: str, monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    """The partition of a slightly different network, passed off as this one's."""
    other = gr.Network([THREE_REGIONS["W0"], THREE_REGIONS["W1"]], [[0.9, 0.0], THREE_REGIONS["b1"]])

    def wrong(network: gr.Network, domain: gr.Box, **options: Any) -> Any:
        return dataclasses.replace(true_partition(other, domain), network=network)

    true_partition = gr.partition
    monkeypatch.setattr(gr, "partition", wrong)
    done = run("check", model, "--n", "21", *flags)
    assert done.exit_code == 1
    if flags:
        assert json.loads(done.stdout)["ok"] is False
    else:
        assert "FAILED" in done.stdout


def test_streamed_counts_and_journals(model: str, tmp_path: Path) -> None:
    whole = json.loads(run("count", model, "--json", "--jobs", "2").stdout)
    journal = str(tmp_path / "run.journal")
    for _ in range(2):
        streamed = json.loads(run("count", model, "--stream", "--resume", journal, "--json").stdout)
        assert all(streamed[name] == whole[name] for name in ("regions", "vertices", "edges"))
    for name in ("activation", "affine"):
        options = ("count", model, "--definition", name, "--json")
        assert json.loads(run(*options, "--stream").stdout)[name] == json.loads(run(*options).stdout)[name]
    done = run("partition", model, "-o", str(tmp_path / "p.npz"), "--resume", journal)
    assert done.exit_code == 2
    assert "journal of another run" in done.stderr
    assert not (tmp_path / "p.npz").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--jobs", "0"], "--jobs: got '0'; expected a whole number, 1 or more"),
        (["--jobs", "two"], "--jobs: got 'two'"),
        (["--stream", "--definition", "all"], "need the whole partition; name another --definition"),
        (["--stream", "--definition", "convex"], "cannot be counted without keeping the partition"),
        (["--resume", "no/such/folder/x"], "cannot be opened for writing"),
    ],
)
def test_bad_runs(model: str, options: list[str], told: str) -> None:
    done = run("count", model, *options)
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_model_of_every_kind(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
    torch.save(module.state_dict(), tmp_path / "m.pt")
    torch.export.save(torch.export.export(module, (torch.zeros(3, 2),)), tmp_path / "m.pt2")
    expected = gr.partition(module, gr.Box(-1, 1)).n_regions
    for name in ("m.pt", "m.pt2"):
        assert json.loads(run("count", tmp_path / name, "--json").stdout)["regions"] == expected


@pytest.mark.parametrize(("suffix", "told"), [("pt", True), ("pth", True), ("safetensors", True), ("pt2", False)])
def test_a_guess_of_activations_is_told(tmp_path: Path, suffix: str, told: bool) -> None:
    """A state dict of a sigmoid network looks like that of a ReLU network."""
    import safetensors.torch

    module = nn.Sequential(nn.Linear(2, 5), nn.Sigmoid() if told else nn.ReLU(), nn.Linear(5, 1))
    path = tmp_path / f"m.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(module.state_dict(), path)
    elif told:
        torch.save(module.state_dict(), path)
    else:
        torch.export.save(torch.export.export(module, (torch.zeros(3, 2),)), path)
    done = run("count", path, "--json")
    assert json.loads(done.stdout)["model"] == str(path)
    note = f"{path}: a state dict holds no activations; assuming ReLU between Linear layers\n"
    assert done.stderr == (note if told else "")


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith(f"geomrelu {gr.__version__} ")
    listed = run("--help").stdout
    for command in ("count", "plot", "check", "partition", "xor"):
        assert command in listed
        assert f"geomrelu {command} " in run(command, "--help").stdout  # an example


# ---- xor, with the study itself replaced: tests of the study are elsewhere


class Result:
    def to_dict(self) -> dict[str, object]:
        return {"width": 2, "score": float("nan")}

    def table(self) -> str:
        return "network  regions\n1  3"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []

    def run_study(width: int, seed_a: int | None, seed_b: int | None, out: Path, progress: Any) -> Result:
        progress("training", 0.5)
        made.append((width, seed_a, seed_b, out))
        return Result()

    def run_all(out: Path, progress: Any) -> Result:
        made.append(("all", out))
        return Result()

    study = types.ModuleType("geomrelu.experiments.xor")
    study.run_study, study.run_all = run_study, run_all  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, study.__name__, study)
    monkeypatch.setattr("geomrelu.experiments.xor", study, raising=False)
    return made


def test_xor(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    out = tmp_path / "a" / "b"
    done = run("xor", "--width", "2", "--seed-a", "0", "--seed-b", "7", "--out", out)
    assert done.exit_code == 0
    assert done.stdout == f"network  regions\n1  3\nreport and figures: {out}\n"
    assert run("xor", "--out", out).exit_code == 0
    done = run("xor", "--all", "--out", out, "--json")
    assert json.loads(done.stdout) == {"width": 2, "score": None}
    assert calls == [(2, 0, 7, out), (20, None, None, out), ("all", out)]


def test_xor_wants_both_seeds_in_range(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    done = run("xor", "--seed-a", "1", "--out", tmp_path / "x")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: xor: got --seed-a without --seed-b;")
    assert run("xor", "--seed-a", "9" * 20, "--seed-b", "2").exit_code == 2
    assert calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["count", "{model}", "--box", "a", "1"], "--box: got 'a'; expected two numbers, such as --box -1 1"),
        (["count", "{model}", "--low", "0", "0", "--high", "1", "x"], "--high: got 'x'; expected two numbers"),
        (["check", "{model}", "--n", "1"], "--n: got '1'; expected a whole number, from 2 to 20000, such as --n 2"),
        (
            ["plot", "{model}", "-o", "{model}.png", "--dpi", "big"],
            "--dpi: got 'big'; expected a whole number, from 10",
        ),
        (["xor", "--width", "abc"], "--width: got 'abc'; expected a whole number, 2 or more, such as --width 2"),
        (["xor", "--width", "1"], "--width: got '1'; expected a whole number, 2 or more"),
        (["xor", "--width", "2.5"], "--width: got '2.5'; expected a whole number"),
        (["xor", "--seed-a", "-1", "--seed-b", "2"], "--seed-a: got '-1'; expected a whole number, from 0 to 92233"),
    ],
)
def test_options_say_what_they_got(model: str, arguments: list[str], message: str) -> None:
    done = run(*(word.format(model=model) for word in arguments))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1


# ---- what holds for every command


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), 1.5], "b": {"c": float("-inf"), "d": True}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": {"c": None, "d": True}}


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted: nothing is kept"),
        (MemoryError(), 2, "error: not enough memory"),
        (gr.GeomReluError("what and why"), 2, "error: what and why"),
        (ZeroDivisionError("oops"), 3, "internal error: ZeroDivisionError: oops"),
    ],
)
def test_errors_become_one_line(
    model: str, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, line: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(gr, "partition", fail)
    done = run("count", model)
    assert done.exit_code == status
    assert done.stdout == ""
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["count", "{model}"], ["count", "{model}", "--json"], ["--help"], ["--version"]])
def test_output_that_cannot_be_written(model: str, arguments: list[str]) -> None:
    words = [word.format(model=model) for word in arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "geomrelu", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "error: cannot write to standard output: No space left on device; redirect it elsewhere\n"


def test_a_reader_that_has_gone(model: str) -> None:
    child = process("-m", "geomrelu", "count", model)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait(timeout=60) == 0


def test_interrupt_while_the_package_is_imported() -> None:
    code = (
        "import sys, types\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'geomrelu':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from geomrelu_command import main\n"
        "main()\n"
    )
    child = process("-c", code)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("command", "slow"),
    [("count", "geomrelu.partition"), ("segment", "geomrelu.partition"), ("info", "geomrelu.importers.self_check")],
)
def test_interrupt_from_the_keyboard(tmp_path: Path, command: str, slow: str) -> None:
    """A named pipe as MODEL's stand-in would block; a slow stub of the long step does the same."""
    np.savez(tmp_path / "m.npz", **THREE_REGIONS)
    np.save(tmp_path / "ends.npy", [[-1.0, 0.0], [1.0, 0.5]])
    order = ["geomrelu", command, str(tmp_path / "m.npz")]
    order += ["--ends", str(tmp_path / "ends.npy"), "-o", str(tmp_path / "x.png")] if command == "segment" else []
    module, name = slow.rsplit(".", 1)
    code = (
        # A background job of a shell without job control starts with the signal ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"import time, sys, {module} as slow_module\n"
        "def slow(*args, **kwargs):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        f"slow_module.{name} = slow\n"
        "from geomrelu.cli import main\n"
        f"sys.argv = {order!r}\n"
        "main()\n"
    )
    child = process("-c", code)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "interrupted: nothing is kept\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ends.npy", "m.npz"]


def test_module_entry_point_starts_fast_and_light() -> None:
    code = (
        "import sys; sys.argv = ['geomrelu', '--help']\n"
        "from geomrelu.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'shapely') if m in sys.modules])"
    )
    out, err = process("-c", code).communicate(timeout=60)
    assert out.splitlines()[-1] == "[]"
    assert err == ""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "geomrelu", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("geomrelu ")
    assert time.perf_counter() - start < 20  # a hang or a torch import on a busy machine, not a benchmark


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_progress_goes_to_a_terminal_only() -> None:
    code = (
        "import time\n"
        "from geomrelu.cli.terminal import shown_progress\n"
        "with shown_progress() as progress:\n"
        "    progress('early', 0.1)\n"
        "    time.sleep(0.8)\n"
        "    progress('late', 0.5)\n"
        "    time.sleep(0.3)\n"
    )
    out, err = process("-c", code).communicate(timeout=60)
    assert (out, err) == ("", "")
    main_end, child_end = os.openpty()
    child = subprocess.Popen([sys.executable, "-c", code], stderr=child_end, env={**os.environ, "TERM": "xterm"})
    assert child.wait(timeout=60) == 0
    os.close(child_end)
    shown = os.read(main_end, 100_000).decode()
    os.close(main_end)
    assert "late" in shown
    assert "early" not in shown
