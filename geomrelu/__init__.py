"""The exact geometry of ReLU networks."""
