"""Readers of other libraries' models: everything becomes a `Network`."""
