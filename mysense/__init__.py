"""MySense: measurement stations that lose nothing, and the server where they arrive."""

__version__ = "0.1.0"
