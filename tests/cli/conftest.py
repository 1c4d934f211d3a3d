"""The real command in a process of its own, in a folder and with a state of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, INSTALLED
from tests.telegrams import as_bytes

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a command may see of this machine: nothing that its owner has set."""
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    if not INSTALLED:
        kept["PYTHONPATH"] = str(CHECKOUT)
    return kept | {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")} | more


def run(
    words: Iterable[object], folder: Path, *, env: dict[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a Python command in `folder`; it must exit with `code` and never show a traceback."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment(folder, **(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def mysense(tmp_path) -> Run:
    """`mysense(verb, ..., env={}, code=0)` runs the command in this test's folder."""
    return lambda *words, **options: run(["-m", "mysense", *words], tmp_path, **options)


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """`write(name, *lines)` makes a telegram file; a line is bytes, text or a JSON value."""

    def write(name: str, *lines: object) -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(as_bytes(line) + b"\n" for line in lines))
        return path

    return write
