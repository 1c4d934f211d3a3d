"""What a bad library does to its process; run by `mysense.hw.apart` in tests."""

import os
import signal
import subprocess
import sys
import time

from mysense.hw.served import serve


def handle(request):
    return ACTS[request["act"]](request) or {"pid": os.getpid()}


def echo(request):
    return {"echo": request["text"]}


def chatter(request):
    """Print, as Python and as a program started here, more than a pipe holds."""
    for _ in range(3000):
        print("WARNING: a line of a library that talks much")
    sys.stdout.flush()
    subprocess.run(["echo", "from a helper"], check=True)


def read(request):
    return {"read": sys.stdin.read()}


def hang(request):
    time.sleep(3600)


def deaf(request):
    """Hang, and do not listen to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def helper(request):
    """Leave a helper behind that does not end by itself."""
    return {"helper": subprocess.Popen(["sleep", "3600"]).pid}


def die(request):
    print("cannot go on: no such pin", file=sys.stderr, flush=True)
    os._exit(3)


def garble(request):
    """Write into the answers what is none: only who looks for the descriptor can."""
    os.write(4, b"garbage\n")


ACTS = {act.__name__: act for act in (echo, chatter, read, hang, deaf, helper, die, garble)} | {
    "pid": lambda request: None
}


def main():
    serve(handle)
