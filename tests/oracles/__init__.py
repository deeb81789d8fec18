"""Slow, independent implementations that the engines are held to."""
