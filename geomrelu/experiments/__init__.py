"""Studies built on the public API only."""
