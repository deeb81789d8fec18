"""Domains: the bounded convex sets that are partitioned.

`shapes`: boxes and polygons; `polytope`: polytopes of any dimension; `slices`: planes through a space of many inputs;
`segments`: straight lines between two inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from geomrelu.domain.polytope import Polytope
from geomrelu.domain.segments import Segment, Segments
from geomrelu.domain.shapes import Box, Polygon, domain_array
from geomrelu.domain.slices import Slice
from geomrelu.errors import DomainError

__all__ = ["Box", "Domain", "Polygon", "Polytope", "Segment", "Segments", "Slice", "as_domain"]

_EXPECTED = "expected gr.Box(low, high) or gr.Polygon(corners), such as gr.Box(-1, 1)"

# What the planar engine partitions.
Domain: TypeAlias = Box | Polygon | Slice


def as_domain(domain: Any) -> Domain:
    """`domain` itself, or a `Polygon` made of a shapely polygon or an (N, 2) array."""
    if isinstance(domain, Box | Polygon | Slice):
        return domain
    if isinstance(domain, Segment | Segments):
        raise DomainError(f"domain: got a {type(domain).__name__}, which has one dimension; expected two: {_EXPECTED}")
    if isinstance(domain, Polytope):
        raise DomainError(
            f"domain: got a Polytope, of {domain.dimension} dimensions; expected a domain of the plane: {_EXPECTED}; "
            "gr.partition and gr.count_regions take polytopes"
        )
    if domain is None:
        raise DomainError(f"domain: got None; {_EXPECTED}")
    if isinstance(domain, type):
        raise DomainError(f"domain: got the class {domain.__name__}, not an instance of it; {_EXPECTED}")
    if isinstance(domain, str | bytes | Mapping | set | frozenset):
        raise DomainError(f"domain: got {type(domain).__name__}; {_EXPECTED}")
    if not hasattr(domain, "geom_type") and np.shape(found := domain_array(domain, "domain")) == (2,):
        low, high = found.tolist()
        raise DomainError(
            f"domain: got the two numbers {low:g} and {high:g}; for a square pass gr.Box({low:g}, {high:g})"
        )
    return Polygon(domain)
