"""The dual graph: regions as nodes, shared edges (in d dimensions: facets) as arcs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.arrays import IntArray
from geomrelu.errors import MissingDependencyError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["networkx_graph", "region_graph"]


def region_graph(pairs: IntArray, n_regions: int) -> csr_array:
    """Symmetric csr_array (R, R), int8, 1 where two regions are a pair of `pairs` (M, 2); exact."""
    from scipy.sparse import coo_array

    left, right = pairs.T
    rows, columns = np.concatenate([left, right]), np.concatenate([right, left])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(n_regions, n_regions)).tocsr()
    # Two regions may share several collinear edges.
    graph.data[:] = 1
    return graph


def networkx_graph(pairs: IntArray, neurons: IntArray, n_regions: int) -> Any:
    """The dual graph as a networkx.Graph; each edge carries the ``neuron`` that separates the regions."""
    try:
        import networkx
    except ImportError as error:
        raise MissingDependencyError(
            "dual_graph: networkx is not installed; pip install 'geomrelu[networkx]', or use the scipy format"
        ) from error
    graph = networkx.Graph()
    graph.add_nodes_from(range(n_regions))
    graph.add_edges_from((a, b, {"neuron": n}) for (a, b), n in zip(pairs.tolist(), neurons.tolist(), strict=True))
    return graph
