"""A library in a process of its own, so that what it does to its process cannot hurt the kit.

It may hang, print, replace signal handlers or leave helpers behind: a call waits no longer than it
is told, then the process and all that it has started are ended; the next call starts a new one.
What runs over there is `main` of a module, built on `mysense.hw.served`.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mysense
from mysense.plugin import Gone

HERE = Path(mysense.__file__).resolve().parents[1]
_MAIN = (  # the module comes from where ours did, everything else from where it is installed
    "import sys, importlib; sys.path.insert(0, sys.argv[1]); "
    "main = importlib.import_module(sys.argv[2]).main; del sys.path[0]; main()"
)
_LOOK = 0.1  # seconds between two looks whether the call was ended from outside
_GRACE = 1.0  # seconds to end by itself
_LONGEST = 65_536  # bytes of an answer


class Hung(Gone):
    """It did not answer in time and was ended."""


class Apart:
    """A process that answers one request at a time; it starts with the first.

    Args:
        module: the one whose `main` runs there.
        log: what the library prints goes here, at level debug.
        stop: set from another thread, it ends a call that waits.
        folder: where `module` is found.
    """

    def __init__(
        self, module: str, log: logging.Logger, stop: threading.Event, folder: Path = HERE
    ) -> None:
        self._command = [sys.executable, "-P", "-c", _MAIN, str(folder), module]
        self._log = log
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None
        self._said = ""

    def call(self, request: Mapping[str, Any], patience: float) -> dict[str, Any]:
        """Send `request` and return the answer, both JSON objects.

        Args:
            request: what `main` over there understands.
            patience: seconds to wait for the answer.

        Raises:
            Hung: it did not answer in time.
            Gone: it ended, or was ended from outside.
        """
        process = self._process or self._start()
        try:
            return self._ask(process, request, patience)
        except BaseException:  # an answer that is still to come would be taken for the next one
            self._end(0)
            raise

    def close(self) -> None:
        """End it; may be called twice."""
        self._end(_GRACE)

    def _start(self) -> subprocess.Popen[bytes]:
        """A session of its own: Ctrl-C is not for it, and its helpers can be ended with it."""
        pipe = subprocess.PIPE
        self._said = ""
        self._process = subprocess.Popen(  # noqa: S603  # our own Python
            self._command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        return self._process

    def _ask(
        self, process: subprocess.Popen[bytes], request: Mapping[str, Any], patience: float
    ) -> dict[str, Any]:
        assert process.stdin is not None  # it was started with pipes
        line = json.dumps({**request, "patience": patience}).encode() + b"\n"
        with suppress(BrokenPipeError):  # reading says it better
            process.stdin.write(line)
        answer = self._line(process, time.monotonic() + patience, patience)
        try:
            return dict(json.loads(answer))
        except ValueError as wrong:
            raise Gone(f"the helper process gave {answer[:80]!r}") from wrong

    def _line(self, process: subprocess.Popen[bytes], until: float, patience: float) -> bytes:
        assert process.stdout is not None  # it was started with pipes
        assert process.stderr is not None
        answers, prints = process.stdout.fileno(), process.stderr.fileno()
        poll, line = select.poll(), b""
        poll.register(answers, select.POLLIN)
        poll.register(prints, select.POLLIN)
        while not line.endswith(b"\n"):
            self._go_on(until, patience)
            for descriptor, _ in poll.poll(_LOOK * 1000):
                chunk = os.read(descriptor, 4096)
                if descriptor == prints:
                    self._hear(chunk)
                    if not chunk:
                        poll.unregister(prints)
                elif not chunk or len(line) > _LONGEST:
                    self._hear(_rest(prints))
                    raise Gone(f"the helper process ended{self._last_words()}")
                else:
                    line += chunk
        return line

    def _go_on(self, until: float, patience: float) -> None:
        if self._stop.is_set():
            raise Gone("ended from outside")
        if time.monotonic() > until:
            raise Hung(f"no answer within {patience:g} s, ended it{self._last_words()}")

    def _hear(self, printed: bytes) -> None:
        for line in printed.decode("utf-8", "replace").splitlines():
            if line.strip():
                self._said = line.strip()[:200]
                self._log.debug("the library says: %s", self._said)

    def _last_words(self) -> str:
        return f"; it said: {self._said}" if self._said else ""

    def _end(self, grace: float) -> None:
        """End it and all that it has started, kindly if there is `grace` (seconds)."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            assert process.stdin is not None  # it was started with pipes
            process.stdin.close()  # its loop ends with that
            if not _ended(process.pid, grace):
                _signal(process.pid, signal.SIGTERM)  # libraries tidy up at this one
                _ended(process.pid, _GRACE)
            _signal(process.pid, signal.SIGKILL)  # not yet reaped, so the number is still its own
        finally:
            _reap(process)


def _ended(pid: int, seconds: float) -> bool:
    """Whether it ends within `seconds`; it stays a zombie, so that its number is not reused."""
    until = time.monotonic() + seconds
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with suppress(ChildProcessError):  # somebody else has reaped it
        while os.waitid(os.P_PID, pid, options) is None:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
    return True


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        os.killpg(group, number)


def _reap(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):  # held by the kernel; reaped when another one starts
        process.wait(_GRACE)


def _rest(descriptor: int) -> bytes:
    """What has been printed and not been read; it must not wait for more."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return os.read(descriptor, 4096) if poll.poll(50) else b""
