"""The other side of `mysense.hw.apart`: answers requests in a process of its own.

It imports nothing of MySense, so that the process stays small.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def serve(handle: Handler) -> None:
    """Answer request after request until there are no more.

    Args:
        handle: gets a request and returns the answer; what it raises ends the process.
    """
    requests, answers = _out_of_reach(0, os.O_RDONLY), _out_of_reach(1, os.O_WRONLY)
    with os.fdopen(requests, "rb") as lines, os.fdopen(answers, "wb", buffering=0) as out:
        for line in lines:
            request = json.loads(line)
            # if nobody waits any more, the kernel ends what hangs here
            signal.setitimer(signal.ITIMER_REAL, 2 * request["patience"] + 5)
            answer = json.dumps(handle(request)).encode() + b"\n"
            signal.setitimer(signal.ITIMER_REAL, 0)
            try:
                out.write(answer)
            except BrokenPipeError:
                return


def _out_of_reach(standard: int, mode: int) -> int:
    """Move a standard descriptor to where libraries and their helpers do not find it.

    What they print goes to stderr instead, what they read is empty.
    """
    private = os.dup(standard)  # not inherited by what is started here
    if mode == os.O_RDONLY:
        nothing = os.open(os.devnull, mode)
        os.dup2(nothing, standard)
        os.close(nothing)
    else:
        os.dup2(2, standard)
    return private
