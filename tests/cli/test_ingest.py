"""`mysense ingest ocs`: the real command over a real server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mysense.feeding import PIPE, Feed, FeedSettings
from mysense.points import decoded
from tests.cli.conftest import environment


def line(at=0, agent="bme", **fields):
    values = fields or {"room": 21.5, "n": at, "ok": True, "state": "on"}
    time_ = 1615389657.2904894 + at
    return json.dumps({"agent": agent, "feed": "temps", "fields": values, "time": time_})


@pytest.fixture
def target(influxd, project, tmp_path):
    """A configuration for the server, and the database that points go to."""
    (tmp_path / "MySense.conf").write_text(
        f"[influxpub]\nport = {influxd.port}\ndatabase = {project}\n"
    )
    yield project
    influxd.query(f'DROP DATABASE "{project}"')


def rows(influxd, database, measurement="bme"):
    return influxd.rows(f'SELECT * FROM "{measurement}"', database=database, epoch="ns")


def ingest(mysense, *words, **options):
    return mysense("ingest", "ocs", *words, "--to", "influxpub", **options)


def test_points_arrive_with_types_tags_and_nanoseconds(mysense, write, influxd, target):
    """As OCS writes them: measurement, tag feed, whole numbers, truths and texts."""
    write("feed.jsonl", line())
    ingest(mysense, "feed.jsonl")
    assert rows(influxd, target) == [
        {
            "time": 1615389657290489344,
            "feed": "temps",
            "n": 0,
            "ok": True,
            "room": 21.5,
            "state": "on",
        }
    ]
    keys = influxd.rows("SHOW FIELD KEYS", database=target)
    types = {row["fieldKey"]: row["fieldType"] for row in keys}
    assert types == {"n": "integer", "ok": "boolean", "room": "float", "state": "string"}


def test_a_bad_point_is_a_dead_letter_and_the_others_arrive(mysense, write, influxd, target):
    """Bad as a line, and bad to the server alone: a field that has another type there."""
    lines = [line(at, room=21.5) for at in range(20)]
    lines[7] = line(7, room="warm")
    lines[9] = '{"agent": "bme"}'
    write("feed.jsonl", *lines)
    done = ingest(mysense, "feed.jsonl", code=1)
    assert len(rows(influxd, target)) == 18
    journal = done.stderr.rpartition("--journal ")[2].split("`")[0]
    listed = [json.loads(each) for each in mysense_dead(mysense, journal)]
    assert [letter["output"] for letter in listed] == ["", "influxpub"]
    assert "feed: expected text" in listed[0]["reason"]
    assert "field type conflict" in listed[1]["reason"]


def test_dead_points_are_exported_as_they_came(mysense, write, influxd, target):
    """So that they can be mended and ingested again."""
    write("feed.jsonl", line(0, room=21.5), line(1, room="warm"))
    done = ingest(mysense, "feed.jsonl", code=1)
    journal = done.stderr.rpartition("--journal ")[2].split("`")[0]
    (exported,) = mysense("dead", "export", "--journal", journal).stdout.splitlines()
    assert json.loads(exported) == json.loads(line(1, room="warm"))


def mysense_dead(mysense, journal):
    return mysense("dead", "list", "--json", "--journal", journal).stdout.splitlines()


def test_only_influxpub_takes_points(mysense, write, target):
    """Others say so; a run over a journal with points counts them as excluded there."""
    write("feed.jsonl", line())
    done = mysense("ingest", "ocs", "feed.jsonl", "--to", "jsonl", code=1)
    assert "jsonl takes telegrams, and no points; influxpub takes them" in done.stderr


def test_agents_and_fields_may_be_left_out(mysense, write, influxd, target):
    """By the option `exclude`."""
    write("feed.jsonl", line(), line(agent="obs.secret"))
    ingest(mysense, "feed.jsonl", "-o", "influxpub.exclude=*secret*, bme/st*")
    assert [row.keys() - {"time", "feed"} for row in rows(influxd, target)] == [{"n", "ok", "room"}]
    assert rows(influxd, target, "obs.secret") == []


def test_an_outage_keeps_what_is_left(mysense, write, influxd, target, tmp_path):
    """The same command goes on when the server is back, and nothing is doubled or lost."""
    write("feed.jsonl", *(line(at) for at in range(100)))
    down = ingest(mysense, "feed.jsonl", "--timeout", "0.5", "-o", "influxpub.port=1", code=1)
    assert "what is left waits in" in down.stderr
    ingest(mysense, "feed.jsonl")
    assert [row["n"] for row in rows(influxd, target)] == list(range(100))
    assert list((tmp_path / "state/mysense/ingest").glob("*.db")) == []


def test_a_pipe_is_read_as_it_comes(influxd, target, tmp_path):
    """What came arrives while the pipe is open; SIGTERM ends it, and a rest would wait."""
    words = [sys.executable, "-m", "mysense", "ingest", "ocs", "-", "--to", "influxpub"]
    feed = subprocess.Popen(
        words,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for at in range(3):
        feed.stdin.write(line(at).encode() + b"\n")
        feed.stdin.flush()
        until(lambda at=at: len(rows(influxd, target)) == at + 1)
    feed.send_signal(signal.SIGTERM)
    _, said = feed.communicate(timeout=30)
    assert b"Traceback" not in said
    assert [row["n"] for row in rows(influxd, target)] == [0, 1, 2]


def until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(AssertionError):  # the database is not there yet
            if true():
                return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def test_what_waits_for_a_database_goes_nowhere_else(mysense, write, influxd, target, tmp_path):
    """A feed for one database does not bring along what was left of another's."""
    write("feed.jsonl", line(1))
    ingest(mysense, "feed.jsonl", "--timeout", "0.5", "-o", "influxpub.port=1", code=1)
    ingest(mysense, "feed.jsonl", "-o", f"influxpub.database={target}x")
    assert len(list((tmp_path / "state/mysense/ingest").glob("*.db"))) == 1
    influxd.query(f'DROP DATABASE "{target}x"')


def test_dry_lines_are_those_of_ocs(influxd, target, mysense, write):
    """A killed ingest goes on where its journal stands: the position counts lines and bytes."""
    lines = "".join(f"{line(at)}\n" for at in range(5000))
    path = write("feed.jsonl", *lines.splitlines())
    feed = Feed(FeedSettings(files=(path,)), decoded)
    first, position = feed.poll(None)
    second, _ = Feed(FeedSettings(files=(path,)), decoded).poll(position)
    assert [point.data["n"] for point in (*first, *second)] == list(range(len(first) + len(second)))
    assert position["line"] == len(first)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_lines_of_any_length(end, tmp_path):
    """One that is too long is refused; the next one is read."""
    reading, writing = os.pipe()
    path = tmp_path / "feed.jsonl"
    body = b"x" * 1_500_000 + b"\n" + line().encode() + end
    path.write_bytes(body)
    of_file = Feed(FeedSettings(files=(path,)), decoded)
    items, _ = of_file.poll(None)
    assert items[-1].data["n"] == 0
    piped = Feed(FeedSettings(files=(PIPE,)), decoded, reading)
    os.write(writing, line().encode() + end)
    os.close(writing)
    items, _ = piped.poll(None)
    assert [item.data["n"] for item in items] == [0]
    os.close(reading)


@pytest.fixture
def pipe():
    """`(source, sink)`: a feed that reads a pipe, and where to write its lines."""
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb", buffering=0) as sink:  # noqa: PTH123  # descriptors
        yield Feed(FeedSettings(files=(PIPE,)), decoded, reading), sink


def test_lines_of_a_pipe_that_is_never_quiet_do_not_wait(pipe):
    """Lines are given while others keep coming, long before there are thousands of them."""
    source, sink = pipe
    given = threading.Event()

    def talk():
        at = 0
        while not given.wait(0.01):
            sink.write(line(at).encode() + b"\n")
            at += 1

    talking = threading.Thread(target=talk)
    talking.start()
    items, _ = source.poll(None)
    given.set()
    talking.join()
    assert 0 < len(items) < 1000


def test_a_pipe_that_is_quiet_for_long_is_not_at_its_end(pipe, monkeypatch):
    """However often nothing came."""
    monkeypatch.setattr("mysense.feeding._WAIT", 0.0)
    source, sink = pipe
    later = threading.Timer(0.5, sink.write, [line().encode() + b"\n"])
    later.start()
    items, _ = source.poll(None)
    later.join()
    assert (len(items), source.at_end) == (1, False)


def test_a_file_that_cannot_be_read_to_its_end(mysense, write, influxd, target):
    """What could be read arrives; that there was more is said, and no success."""
    unreadable = "/proc/self/mem"  # has nothing at its beginning: EIO
    done = ingest(mysense, write("feed.jsonl", line(0), line(1)), unreadable, code=1)
    assert len(rows(influxd, target)) == 2
    assert f"{unreadable}: Input/output error" in done.stderr
