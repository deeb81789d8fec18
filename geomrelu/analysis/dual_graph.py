"""The dual graph: regions as nodes, shared edges as arcs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomrelu.errors import MissingDependencyError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from geomrelu.planar.complex import PlanarComplex

__all__ = ["dual_graph", "networkx_graph"]


def dual_graph(p: PlanarComplex) -> csr_array:
    """Symmetric csr_array (F, F), int8, 1 where two regions share an edge; exact."""
    from scipy.sparse import coo_array

    left, right = p.edge_faces[p.edges_inner].T
    rows, columns = np.concatenate([left, right]), np.concatenate([right, left])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(p.n_regions, p.n_regions)).tocsr()
    # Two regions may share several collinear edges.
    graph.data[:] = 1
    return graph


def networkx_graph(p: PlanarComplex) -> Any:
    """The dual graph as a networkx.Graph; each edge carries the ``neuron`` that separates the regions."""
    try:
        import networkx
    except ImportError as error:
        raise MissingDependencyError(
            "dual_graph: networkx is not installed; pip install 'geomrelu[networkx]', or use the scipy format"
        ) from error
    inner = p.edges_inner
    graph = networkx.Graph()
    graph.add_nodes_from(range(p.n_regions))
    neurons = p.edge_neuron[inner].tolist()
    graph.add_edges_from((a, b, {"neuron": n}) for (a, b), n in zip(p.edge_faces[inner].tolist(), neurons, strict=True))
    return graph
