"""MySense: measurement stations that lose nothing, and the server where they arrive."""

__version__ = "0.1.0"

RELEASED = "2026-01-01"
"""Moved on with the version: a clock that shows an earlier day cannot be right."""
