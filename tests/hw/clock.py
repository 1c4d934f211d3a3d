"""A clock that only moves when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Monotonic seconds; call it to read it, add to `now` to move it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now
