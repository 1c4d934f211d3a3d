"""Sampling: from the readings of a kit's sensors to its telegrams.

`sampler` reads one sensor in a thread of its own; `fields`, `units` and `window` make one value of
the readings of an interval; `quality` flags what speaks against it; `kit` joins all sensors.
"""

from __future__ import annotations

from mysense.sampling.kit import Sampling, Worker, start

__all__ = ["Sampling", "Worker", "start"]
