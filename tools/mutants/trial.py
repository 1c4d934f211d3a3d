"""Running tests over a mutant: in a forked process, which ends with the first test that fails.

The parent has imported what is large and no mutant changes, so that a trial takes little more than
its tests. Each test has a time limit: one that hangs ends the trial, with all that it started.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.mutants.making import Mutant

_LONGER = 5.0  # times as long as without a mutant, and
_ATLEAST = 5.0  # seconds more, may a test take
_MEMORY, _FILE = 4_000_000_000, 500_000_000  # bytes
_FIRST = 6  # tests that are tried before all others
_LARGE = ("pytest", "hypothesis", "hypothesis.stateful", "attrs", "cattrs", "orjson", "influxdb")
_OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning", "-W", "ignore::DeprecationWarning"),
)
_KILLER = ".killer"
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"


def prepare() -> None:
    """Import what every trial needs."""
    import importlib

    for name in _LARGE:
        with suppress(ImportError):
            importlib.import_module(name)


def begin(
    tree: Path,
    mutant: Mutant | None,
    tests: list[str],
    seconds: dict[str, float],
    *,
    write: bool = False,
) -> int:
    """Put a mutant into `tree` and run tests there; returns the process, see `end`.

    With `write` bytecode is written, for trials to come.
    """
    (tree / _KILLER).unlink(missing_ok=True)
    if mutant is not None:
        _put(tree / mutant.file, mutant.source)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            code = _child(tree, tests, seconds, write=write)
        except BaseException:  # noqa: BLE001  # whatever it is, it may not go on as a second parent
            code = 1
        os._exit(code)
    return pid


def end(pid: int, tree: Path, mutant: Mutant | None, status: int) -> str:
    """Take the mutant out again, and all it started; returns what became of it."""
    with suppress(ProcessLookupError):  # mostly nothing is left
        os.killpg(pid, signal.SIGKILL)
    _clear(_scratch(tree))
    if mutant is not None:
        file = tree / mutant.file
        shutil.copy2(file.with_name(file.name + ".whole"), file)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGKILL):
        return TIMED_OUT
    return SURVIVED if status == 0 else KILLED


def _clear(scratch: Path) -> None:
    """Remove what tests have written, also to the small disks that some of them mount."""
    mounted = (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    for folder in mounted:
        if Path(folder).is_relative_to(scratch):
            subprocess.run(["umount", "-l", folder], check=False)  # noqa: S603, S607  # root's own
    shutil.rmtree(scratch, ignore_errors=True)


def _put(file: Path, source: str) -> None:
    """In place of the file, with a time that belongs to no bytecode."""
    whole = file.with_name(file.name + ".whole")
    if not whole.exists():
        shutil.copy2(file, whole)
    file.write_text(source, encoding="utf-8")
    os.utime(file, (0, 1_000_000_000))


def killer(tree: Path) -> str | None:
    """The test that failed last."""
    with suppress(FileNotFoundError):
        return (tree / _KILLER).read_text(encoding="utf-8")
    return None


def _child(tree: Path, tests: list[str], seconds: dict[str, float], *, write: bool) -> int:
    os.setsid()
    os.chdir(tree)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
    if not write:
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    here = Path(__file__).resolve().parents[2]
    sys.path[:] = [str(tree), *(one for one in sys.path if Path(one or ".").resolve() != here)]
    import pytest

    some = tests[:_FIRST]  # mostly one of these fails, and no other file has to be read
    if len(tests) > _FIRST:
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                os.kill(os.getpid(), os.WTERMSIG(status))
            if status:
                return os.WEXITSTATUS(status)
            some = tests[_FIRST:]
    names = dict.fromkeys(test.partition("::")[0] for test in some)
    options = [*_OPTIONS, f"--basetemp={_scratch(tree)}"]
    return int(pytest.main([*options, *names], plugins=[_Chosen(some, seconds, tree / _KILLER)]))


def _scratch(tree: Path) -> Path:
    """Where tests may write: in memory where that is to be had, as no power will fail."""
    memory = Path("/dev/shm")  # noqa: S108  # the folder in it is the user's own
    beside = f"mysense-mutants-{os.getuid()}-{tree.stat().st_ino}"  # two checkouts may run at once
    return memory / beside if os.access(memory, os.W_OK) else tree / ".scratch"


class _Chosen:
    """Runs these tests in this order, each with its limit; files are read in one go."""

    def __init__(self, tests: list[str], seconds: dict[str, float], killer: Path) -> None:
        self._place = {test: at for at, test in enumerate(tests)}
        self._seconds, self._killer = seconds, killer
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 30.0)  # for collecting

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if item.nodeid in self._place]
        if len(items) < len(self._place):
            raise RuntimeError("a test is missing")  # counts as a failure, as a mutant's doing
        items.sort(key=lambda item: self._place[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        limit = self._seconds.get(nodeid, 1.0) * _LONGER + _ATLEAST
        signal.setitimer(signal.ITIMER_REAL, limit)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._killer.write_text(report.nodeid, encoding="utf-8")
