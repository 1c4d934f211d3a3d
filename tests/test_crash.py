"""Real processes, killed at random moments or told to stop: nothing lost, nothing counted twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, closing

import pytest

from mysense.journal.summary import outputs
from mysense.journal.view import View
from tests.crashing import numbered
from tests.pipeline import python, read_shelf

CRASHING = python("from tests.crashing import main; sys.exit(main(*sys.argv[1:]))")
MYSENSE = python("from mysense.cli import main; sys.exit(main())")


@pytest.fixture
def start():
    """Starts processes, output in pipes; none outlives its test."""
    with ExitStack() as stack:

        def started(*words, **environ):
            process = subprocess.Popen(
                [*map(str, words)],
                env=os.environ | environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


def kill_at_random(start, command, chance, *, most=12, latest=0.35):
    """Start `command` again and again, each killed with -9 at a random moment; then let it end.

    `latest` is the longest it may live after it is up, in seconds.
    """
    for _ in range(most):
        process = start(*command)
        process.stdout.readline()
        time.sleep(chance.uniform(0, latest))
        process.kill()
        process.communicate()
    process = start(*command)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def intact(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0]


def account(path):
    with View(path) as view:
        return {one.name: one for one in outputs(view)}


# -- kill -9 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_nothing_is_lost(start, tmp_path, seed):
    """Every telegram arrives value by value and in order; counted once, read once."""
    count = 3000
    kill_at_random(start, (*CRASHING, tmp_path, count), random.Random(seed))
    got = read_shelf(tmp_path / "shelf.db")
    first = {}
    for serial, _, new, data in got:
        first.setdefault(data["time"], (serial, new, data))
    expected = {n: (t.ident.serial, dict(t.data)) for n in range(count) for t in [numbered(n)]}
    assert {n: (serial, data) for n, (serial, _, data) in first.items()} == expected
    for kit in "abc":
        order = [n for n, (serial, *_) in first.items() if serial == kit]
        assert order == sorted(order)
    one = account(tmp_path / "journal.db")["shelf"]
    assert (one.acknowledged, one.waiting, one.dead) == (count, 0, 0)
    assert intact(tmp_path / "journal.db") == "ok"


def test_new_is_the_same_whenever_it_is_killed(start, tmp_path):
    """`new` is decided once: a telegram that is sent twice is the same point twice."""
    count = 1500
    kill_at_random(start, (*CRASHING, tmp_path, count), random.Random(7), most=8)
    got = {}
    for _, _, new, data in read_shelf(tmp_path / "shelf.db"):
        assert got.setdefault(data["time"], new) is new
    last, expected = {}, {}
    for n in range(count):
        ident = numbered(n).ident
        expected[n] = last.get(ident.serial) != ident
        last[ident.serial] = ident
    assert got == expected


def test_position_and_telegrams_are_never_apart(start, tmp_path):
    """After each kill the position is exactly what is in the journal: nothing read twice."""
    chance = random.Random(3)
    for _ in range(8):
        process = start(*CRASHING, tmp_path, 100_000)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
        with View(tmp_path / "journal.db") as view:
            (made,) = view.all("SELECT count(*) AS n, max(time) AS last FROM telegrams")
            kept = view.all("SELECT value FROM positions")
            position = json.loads(kept[0]["value"]) if kept else 0
        assert made["n"] == position
        assert made["last"] in (None, position - 1)


def test_a_replay_that_is_killed_doubles_no_line(start, tmp_path):
    """The command itself, with the file of lines as output: each line once, in the end."""
    lines = [
        json.dumps({"ident": {"project": "p", "serial": f"k{n % 5}"}, "data": {"time": n, "x": n}})
        for n in range(20_000)
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines) + "\n")
    command = (*MYSENSE, "replay", source, "--to", "jsonl")
    command += ("-o", f"jsonl.file={target}", "-o", "jsonl.bufsize=500")
    chance = random.Random(5)
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    for _ in range(6):
        process = start(*command, **environ)
        time.sleep(chance.uniform(0.15, 0.9))
        process.kill()
        process.communicate()
        if process.returncode == 0:
            break
    process = start(*command, **environ)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    times = Counter(json.loads(line)["data"]["time"] for line in target.read_text().splitlines())
    assert (set(times), max(times.values())) == (set(range(20_000)), 1)


# -- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("hang", [(), ("hang",)], ids=["busy", "while an output hangs"])
def test_stops_soon(start, tmp_path, how, hang):
    """Nothing is lost by it, and a hanging output does not hold it up."""
    process = start(*CRASHING, tmp_path, 100_000, *hang)
    process.stdout.readline()
    if hang:
        assert process.stdout.readline() == "hangs\n"
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(how)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - began < 8.0
    assert "Traceback" not in errors
    one = account(tmp_path / "journal.db")["shelf"]
    assert one.acknowledged == len(read_shelf(tmp_path / "shelf.db"))


def test_the_real_command_stops_soon(start, tmp_path):
    """`mysense run` with a store as input and a file as output."""
    conf = tmp_path / "MySense.conf"
    conf.write_text(
        f"[journal]\nfile = {tmp_path}/journal.db\n[sqlitesub]\ninput = true\n"
        f"file = {tmp_path}/store.db\n[jsonl]\noutput = true\nfile = {tmp_path}/out.jsonl\n"
    )
    process = start(*MYSENSE, "run", "-c", conf)
    while "output jsonl" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (time.monotonic() - began < 8.0, process.returncode) == (True, 0), errors


# -- a disk that is full ------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of twelve megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("needs root and the right to mount")
    yield folder
    subprocess.check_call(["umount", "--lazy", folder])


def test_a_full_disk_is_said_and_passes(start, tmp_path, small_disk):
    """The process lives on, says what is wrong, and loses nothing when there is room again."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 11_900_000)
    (tmp_path / "journal.db").symlink_to(small_disk / "journal.db")
    process = start(*CRASHING, tmp_path, 8000)
    process.stdout.readline()
    said = ""
    while "full" not in said and "disk I/O" not in said:
        said = process.stderr.readline()
        assert process.poll() is None
    time.sleep(1.0)
    assert process.poll() is None
    ballast.unlink()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    got = {data["time"]: data for _, _, _, data in read_shelf(tmp_path / "shelf.db")}
    assert got == {n: dict(numbered(n).data) for n in range(8000)}
