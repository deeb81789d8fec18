"""Training small networks on XOR, as the study did: SGD on the four points, afresh until it works."""

from __future__ import annotations

import math
import operator
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from geomrelu.arrays import FloatArray, frozen
from geomrelu.errors import InputError, TrainingError
from geomrelu.experiments.data import parity_data
from geomrelu.network import Network

if TYPE_CHECKING:
    import torch

__all__ = [
    "EPOCHS",
    "LEARNING_RATE",
    "Progress",
    "Snapshot",
    "TrainingHistory",
    "check_seed",
    "check_width",
    "load_torch",
    "train",
]

Progress: TypeAlias = Callable[[str, float], None]

EPOCHS = 100
LEARNING_RATE = 0.1
TARGET_ACCURACY = 0.99
MAX_ATTEMPTS = 1000


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The network after some epochs of its last, successful attempt."""

    epoch: int
    network: Network
    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class TrainingHistory:
    """A trained network and how it came about.

    Attributes
    ----------
    width, seed, attempts : int
        The same width and seed give the same network again; `attempts` initialisations were needed.
    snapshots : tuple of Snapshot
        Epoch 0, then every `record_every`-th epoch, and the last one.
    losses : (epochs + 1,) float64
        Mean squared error before each epoch, and after the last.
    model : torch.nn.Sequential
        Linear(2, width), ReLU, Linear(width, 1); float32.
    """

    width: int
    seed: int
    attempts: int
    snapshots: tuple[Snapshot, ...]
    losses: FloatArray = field(repr=False)
    model: torch.nn.Sequential = field(repr=False)

    @property
    def network(self) -> Network:
        """The trained network, with exactly the model's weights."""
        return self.snapshots[-1].network

    @property
    def loss(self) -> float:
        """Mean squared error at the end."""
        return self.snapshots[-1].loss

    @property
    def accuracy(self) -> float:
        """Share of the four points whose sign is right, at the end."""
        return self.snapshots[-1].accuracy


def train(
    width: int,
    seed: int | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    record_every: int = 10,
    progress: Progress | None = None,
) -> TrainingHistory:
    """Train a 2-width-1 ReLU network on XOR: mean squared error, SGD at 0.1, full batch, 100 epochs.

    Starts from fresh initialisations until the accuracy reaches 0.99, that is, until all four
    signs are right.  torch's global random state is left as it was.

    Parameters
    ----------
    width : int
        Hidden neurons, at least 2: a single one can never succeed.
    seed : int, optional
        0 to 2^63 - 1.  None draws one; it is in the result, so that the run can be repeated.
    max_attempts : int
        Initialisations to try.
    record_every : int
        Epochs between two snapshots.
    progress : callable, optional
        Called with a message and the share of the allowed attempts that is used up.

    Raises
    ------
    TrainingError
        If no attempt succeeds.
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> history = train(8, seed=1)
    >>> history.accuracy, len(history.snapshots), history.network
    (1.0, 11, Network(2-8-1, 8 neurons))
    """
    width, max_attempts = check_width(width), _positive(max_attempts, "max_attempts")
    record_every = _positive(record_every, "record_every")
    seed = secrets.randbits(32) if seed is None else check_seed(seed)
    import torch

    best = 0.0
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        for attempt in range(1, max_attempts + 1):
            if progress is not None:
                progress(f"training width {width}, seed {seed}: attempt {attempt}", (attempt - 1) / max_attempts)
            model = torch.nn.Sequential(_linear(2, width), torch.nn.ReLU(), _linear(width, 1))
            snapshots, losses = _run(model, record_every)
            accuracy = snapshots[-1].accuracy if snapshots else 0.0
            best = max(best, accuracy)
            if accuracy >= TARGET_ACCURACY:
                return TrainingHistory(width, seed, attempt, tuple(snapshots), frozen(np.array(losses)), model)
    raise TrainingError(
        f"training a 2-{width}-1 network on XOR: none of {max_attempts} attempts from seed {seed} reached accuracy "
        f"{TARGET_ACCURACY}; the best reached {best:g}.  Take another seed or another width "
        "(from Python also: more attempts, max_attempts)"
    )


def load_torch() -> None:
    """Import torch, and what its optimisers load when the first one is made: seconds in which no epoch runs."""
    import torch

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LEARNING_RATE)


def _linear(inputs: int, outputs: int) -> torch.nn.Linear:
    """On the CPU in float32, whatever torch's defaults are."""
    import torch

    return torch.nn.Linear(inputs, outputs, device="cpu", dtype=torch.float32)


def _run(model: torch.nn.Sequential, record_every: int) -> tuple[list[Snapshot], list[float]]:
    """One attempt: train `model` in place; its snapshots, none if it diverges, and losses."""
    import torch

    points, targets = parity_data(2)
    x = torch.tensor(points, dtype=torch.float32, device="cpu")
    y = torch.tensor(targets, dtype=torch.float32, device="cpu")[:, None]
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    snapshots: list[Snapshot] = []
    losses: list[float] = []
    for epoch in range(EPOCHS + 1):
        output = model(x)
        loss = torch.nn.functional.mse_loss(output, y)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            return [], losses
        if epoch % record_every == 0 or epoch == EPOCHS:
            accuracy = float(((output > 0) == (y > 0)).float().mean())
            snapshots.append(Snapshot(epoch, _network(model), losses[-1], accuracy))
        if epoch < EPOCHS:
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return snapshots, losses


def _network(model: torch.nn.Sequential) -> Network:
    parameters = [parameter.detach().numpy() for parameter in model.parameters()]
    return Network(parameters[0::2], parameters[1::2])


def check_width(value: Any) -> int:
    """`value` as a number of hidden neurons that can learn XOR."""
    width = _positive(value, "width")
    if width == 1:
        raise InputError(
            "train: got width=1; expected 2 or more.  A 2-1-1 network is monotone along one direction, so the points "
            "where it is positive are a half-plane, and no half-plane separates XOR: it can never be learned"
        )
    return width


def _positive(value: Any, what: str) -> int:
    number = _whole(value, what, "1 or more")
    if number < 1:
        raise InputError(f"train: got {what}={value!r}; expected a whole number, 1 or more")
    return number


def check_seed(value: Any) -> int:
    """`value` as a seed, 0 to 2^63 - 1."""
    number = _whole(value, "seed", "0 or more")
    if not 0 <= number < 2**63:
        raise InputError(f"train: got seed={value!r}; expected a whole number from 0 to 2^63 - 1")
    return number


def _whole(value: Any, what: str, expected: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError as error:
        raise InputError(f"train: got {what}={value!r}; expected a whole number, {expected}") from error
