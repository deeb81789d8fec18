"""Training seen as geometry: what becomes of the regions from checkpoint to checkpoint.

`track` measures models that are there already, `Tracker` one while it is trained.  Both give a
`Track`: a table of counts, areas, boundary and crease over time, plots of its columns, and an animation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import frozen, real_array
from geomrelu.domain import Box, Domain, as_domain
from geomrelu.errors import DomainError, InputError, MissingDependencyError, ShapeError
from geomrelu.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["DEFAULT_DEFINITIONS", "Track", "Tracker", "track"]

Progress: TypeAlias = Callable[[str, float], None]

# The other two, convex and closed_connected, may take long.
DEFAULT_DEFINITIONS = ("activation", "proper_activation", "open_connected", "affine")


@dataclass(frozen=True, eq=False)
class Track:
    """A network's geometry over time, (T,) steps.

    Attributes
    ----------
    columns : dict of str to (T,) arrays
        ``time``; ``regions``, and one count for each definition asked for (``convex``, which may be
        known only within bounds, as ``convex_lower`` and ``convex_upper``), exact; ``smallest_area``,
        ``median_area``, ``largest_area`` of regions; ``boundary_pieces``, exact, and
        ``boundary_length`` of the decision boundary; ``crease``, the gradient's total variation, and
        ``crease_length``, of the edges at which the function bends.  Sizes are float64 in the domain's units.
    networks : tuple of Network
        One for each step.
    domain : Box, Polygon or Slice
    """

    columns: dict[str, npt.NDArray[Any]] = field(repr=False)
    networks: tuple[Network, ...] = field(repr=False)
    domain: Domain

    def __len__(self) -> int:
        return len(self.networks)

    def table(self) -> DataFrame:
        """The columns as a pandas DataFrame, indexed by time.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed; `columns` is there without it.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("table: pandas is not installed; pip install 'geomrelu[pandas]'") from error
        return pandas.DataFrame(self.columns).set_index("time")

    def plot(self, ax: Axes | None = None, **options: Any) -> Sequence[Axes]:
        """Draw columns over time; options as in `geomrelu.tracking.pictures.plot_track`."""
        from geomrelu.tracking.pictures import plot_track

        return plot_track(self, ax, **options)

    def animate(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write a GIF or MP4 of the regions; options as in `geomrelu.tracking.pictures.animate_track`."""
        from geomrelu.tracking.pictures import animate_track

        return animate_track(self, path, **options)


class Tracker:
    """Measures a model's geometry while it is trained.

    In a plain loop call `record` now and then.  For Lightning give
    ``LambdaCallback(on_train_epoch_end=tracker.on_train_epoch_end)`` to the trainer.  What is
    recorded stays if the training is interrupted: `track` gives it at any time.

    Parameters
    ----------
    domain : Box, Polygon, shapely polygon, (N, 2) array_like or Slice
    definitions : sequence of str
        What to count, beside regions: names as in `PlanarComplex.count`.
    every : int
        `on_train_epoch_end` records every so many epochs.
    n_jobs : int, optional
        As in `geomrelu.partition`.

    Raises
    ------
    InputError
        If a definition is unknown, or `every` is not a whole number from 1 on.
    DomainError
        If the domain is not one of the plane.

    Examples
    --------
    >>> import geomrelu as gr
    >>> tracker = Tracker(gr.Box(-1, 1))
    >>> for epoch in range(3):
    ...     tracker.record(gr.Network([[[1.0, 1.0], [1.0, -1.0]], [[1.0, 1.0]]], [[epoch, 0.0], [-1.0]]))
    >>> tracker.track.columns["regions"].tolist()
    [4, 4, 2]
    """

    def __init__(
        self,
        domain: Any,
        *,
        definitions: Sequence[str] = DEFAULT_DEFINITIONS,
        every: int = 1,
        n_jobs: int | None = None,
    ) -> None:
        self.domain = as_domain(domain)
        if isinstance(self.domain, Box) and self.domain.dimension != 2:
            raise DomainError(
                f"track: got a Box of {self.domain.dimension} dimensions; expected a domain of the plane, or a gr.Slice"
            )
        self.definitions = _checked_definitions(definitions)
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise InputError(f"Tracker: got every={every!r}; expected a whole number, 1 or more")
        self.every = every
        self.n_jobs = n_jobs
        self._rows: list[dict[str, Any]] = []
        self._networks: list[Network] = []

    def record(self, model: Any, time: float | None = None) -> None:
        """Measure a model as it is now; later changes of it do not matter.

        Parameters
        ----------
        model : anything that `geomrelu.partition` takes, or the path of a model file
        time : float, optional
            By default one more than the last, from 0 on.

        Raises
        ------
        InputError
            If the model cannot be read, or `time` is not a number after the last one.
        """
        import geomrelu as gr

        last = self._rows[-1]["time"] if self._rows else -1.0
        now = last + 1 if time is None else float(real_array(time, "record: time", advice="give a number"))
        if self._rows and not now > last:
            raise InputError(f"record: got time {now:g} after {last:g}; expected a later one")
        p = gr.partition(_as_network(model), self.domain, n_jobs=self.n_jobs)
        self._rows.append({"time": now, **_measured(p, self.definitions)})
        self._networks.append(p.input_network)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Record `module` after every `every`-th epoch, with the number of epochs done as the time."""
        done = int(trainer.current_epoch) + 1
        if done % self.every == 0:
            self.record(module, done)

    @property
    def track(self) -> Track:
        """What is recorded so far.

        Raises
        ------
        InputError
            If nothing is.
        """
        if not self._rows:
            raise InputError("Tracker: nothing is recorded; call record(model) first")
        columns = {name: frozen(np.array([row[name] for row in self._rows])) for name in self._rows[0]}
        return Track(columns, tuple(self._networks), self.domain)


def track(
    models: Iterable[Any] | Mapping[float, Any],
    domain: Any,
    *,
    times: npt.ArrayLike | None = None,
    definitions: Sequence[str] = DEFAULT_DEFINITIONS,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Track:
    """How the regions of a model change from checkpoint to checkpoint; see `geomrelu.track`."""
    if isinstance(models, Mapping):
        if times is not None:
            raise InputError("track: got times and models by time; expected one of them")
        times, models = list(models.keys()), list(models.values())
    if isinstance(models, str | os.PathLike) or not isinstance(models, Iterable):
        raise InputError(
            f"track: got {type(models).__name__}; expected several models or paths of "
            "model files, or a dict of them by time"
        )
    n_models = len(models) if isinstance(models, Sequence) else None
    when = None if times is None else real_array(times, "track: times", advice="give numbers")
    if when is not None and (when.ndim != 1 or (n_models is not None and len(when) != n_models)):
        raise ShapeError(
            f"track: got times of shape {when.shape} for {n_models or 'the'} models; expected one for each"
        )
    tracker = Tracker(domain, definitions=definitions, n_jobs=n_jobs)
    done = 0
    try:
        for model in models:
            if when is not None and done >= len(when):
                raise ShapeError(f"track: got {len(when)} times for more models; expected one for each")
            if progress is not None:
                progress(f"model {done + 1}", done / n_models if n_models else 0.0)
            tracker.record(model, None if when is None else when[done])
            done += 1
    except KeyboardInterrupt:
        message = f"track: interrupted after {done} models; nothing is kept (a gr.Tracker keeps what it has recorded)"
        raise KeyboardInterrupt(message) from None
    if not done:
        raise InputError("track: got no models; expected at least one")
    return tracker.track


def _checked_definitions(definitions: Sequence[str]) -> tuple[str, ...]:
    from geomrelu.analysis.definitions import DEFINITIONS

    names = (definitions,) if isinstance(definitions, str) else tuple(definitions)
    unknown = [name for name in names if name not in DEFINITIONS]
    if unknown:
        raise InputError(f"track: got the definition {unknown[0]!r}; expected some of {', '.join(DEFINITIONS)}")
    return names


def _as_network(model: Any) -> Network:
    from geomrelu.importers import as_network
    from geomrelu.importers.files import read_model

    return read_model(model) if isinstance(model, str | os.PathLike) else as_network(model)


def _measured(p: Any, definitions: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"regions": p.n_regions}
    for name in definitions:
        found = p.count(name)
        if name == "convex":
            lower, upper = (found, found) if isinstance(found, int) else (found.lower, found.upper)
            row |= {"convex_lower": lower, "convex_upper": upper}
        else:
            row[name] = found
    boundary, crease = p.decision_boundary(), p.crease()
    return row | {
        "smallest_area": float(p.areas.min()),
        "median_area": float(np.median(p.areas)),
        "largest_area": float(p.areas.max()),
        "boundary_pieces": boundary.n_pieces,
        "boundary_length": boundary.length,
        "crease": crease.total,
        "crease_length": crease.length,
    }
