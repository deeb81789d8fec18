"""What a partition can be asked: methods that hand over to the module of `analysis` that answers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from geomrelu.analysis.outputs import VertexOutputs

__all__ = ["Questions"]


class Questions:
    """Questions whose answers follow from a finished partition; a base of `PlanarComplex`."""

    @cached_property
    def _vertex_outputs(self) -> VertexOutputs:
        from geomrelu.analysis.outputs import VertexOutputs

        return VertexOutputs(self)  # type: ignore[arg-type]
