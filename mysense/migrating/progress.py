"""A line of progress, on a terminal alone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Self

_EVERY = 0.5  # seconds
_CLEAR = "\r\x1b[K"


class Progress:
    """Shows a text that changes, at the foot of a terminal; elsewhere nothing at all.

    Args:
        text: what to show now; called from another thread.
    """

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty():
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._write("")

    def _run(self) -> None:
        while True:
            self._write(f"{self._text()}\r")  # what is logged begins at the left
            if self._end.wait(_EVERY):
                return

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(f"{_CLEAR}{text}\r")  # what is logged begins at the left
        sys.stderr.flush()
