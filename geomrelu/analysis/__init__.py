"""Answers on top of a complex; one question a module."""
