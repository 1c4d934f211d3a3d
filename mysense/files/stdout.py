"""stdout as an output for data."""

from __future__ import annotations

import os
import sys

from mysense.plugin import Misconfigured, RetryLater


class Stdout:
    """Writes to stdout without a buffer of its own, so that nothing is written twice.

    When a write fails half-way (stdout may be a file on a full disk), what went out already is
    remembered, and the same data handed over again go on there.
    """

    def __init__(self) -> None:
        self._written = b""

    @property
    def terminal(self) -> bool:
        """Whether a person is looking."""
        return sys.stdout is not None and sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Write `text`, in UTF-8 or with escapes where stdout takes less.

        Raises:
            Misconfigured: nobody reads any more.
            RetryLater: it cannot be written now.
        """
        if sys.stdout is None:
            raise Misconfigured("stdout is closed; choose another output, or give it a stdout")
        data = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        if self._written and data.startswith(self._written):
            rest = data[len(self._written) :]
        else:
            rest, self._written = data, b""
        try:
            self._write(rest)
        except BrokenPipeError as wrong:
            _to_nowhere()
            raise Misconfigured("stdout: its reader has gone") from wrong
        except OSError as wrong:
            raise RetryLater(f"stdout: {wrong.strerror}") from wrong
        self._written = b""

    def _write(self, data: bytes) -> None:
        sys.stdout.flush()
        raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
        while data:
            count = raw.write(data) or 0
            self._written += data[:count]
            data = data[count:]


def _to_nowhere() -> None:
    """Let Python's own flush at exit find no broken pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
