"""Python's search for reference cycles, and when it is in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Make many objects without the collector walking through all of them again and again.

    Rows and telegrams hold no cycles, and the search for some took a third of the time to read
    them. Several threads may pause at once: each turns it on again that turned it off.
    """
    was_on = gc.isenabled()
    if was_on:
        gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
