"""Sweeps on a real influxd: what was written late, with old times, is found, and found once."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from channels.MyINFLUXSUB import MyINFLUXSUB
from mysense.intake import Intake
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.plugin import Refusal
from tests.pipeline import python

NOW = int(time.time()) // 3600 * 3600
LATE = NOW - 2 * 86_400  # no overlap reaches there, a sweep does
PATIENCE = 60  # seconds until something that must happen soon has surely not happened
INTAKE = python("from tests.influx.test_sweep import take_in; take_in(*sys.argv[1:])")


@contextmanager
def subscriber(server, database, **options):
    options = {"sweep": 0.01, "databases": (database,)} | options
    settings = MyINFLUXSUB.Settings(hostname=server.host, port=server.port, **options)
    with closing(MyINFLUXSUB(settings, "influxsub")) as made:
        made.open()
        yield made


def poll_until(made, position, wanted):
    """Everything that poll gives until `wanted` of all of it holds, and the position."""
    found, deadline = [], time.monotonic() + PATIENCE
    while not wanted(found):
        assert time.monotonic() < deadline, f"only {len(found)} were found"
        items, position = made.poll(position)
        found += items
        time.sleep(0 if items else 0.02)
    return found, position


def sweep(made, position):
    """What a whole sweep gives."""
    end = made.sweeps + 2  # the first of them may have begun already
    return poll_until(made, position, lambda _: made.sweeps >= end)


def swept(server, database, position, **options):
    """What sweeps give that begin with a restart."""
    with subscriber(server, database, **options) as made:
        return sweep(made, position)


def write(server, database, *lines):
    status, text = server.write(database, "\n".join(lines))
    assert status == 204, text


def series(count=50, start=LATE, step=600, head="data,label=a t", value=0):
    """Lines of telegrams in order, `step` seconds apart."""
    return [f"{head}={value + at} {start + at * step}" for at in range(count)]


def times(items):
    return sorted(item.data["time"] for item in items)


def seconds(lines):
    return sorted(int(line.rsplit(" ", 1)[1]) for line in lines)


EARLY = series(100, LATE - 300)  # what is read in time, LAST last of all
LAST = f"data,label=a t=1 {NOW - 60}"
LATER = series(50, LATE)  # what is written when the others have been read


def test_late_records_are_found_once(influxd, database):
    """Fifty between old ones; a second sweep finds none, neither does one after a restart."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database) as made:
        before, position = sweep(made, None)
        write(influxd, database, *LATER)
        late, position = sweep(made, position)
        again, position = sweep(made, position)
    after, _ = swept(influxd, database, position)
    assert (times(before), times(late)) == (seconds([*EARLY, LAST]), seconds(LATER))
    assert (again, after) == ([], [])


def test_what_came_before_the_first_sweep_is_found(influxd, database):
    """What live reading gave is known: nothing has to be swept before."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database, sweep=3600.0) as made:
        _, position = poll_until(made, None, lambda found: len(found) == len(EARLY) + 1)
    write(influxd, database, f"data,label=b t=1 {LATE + 36_000}")
    late, position = swept(influxd, database, position)
    again, _ = swept(influxd, database, position)
    assert ({"b"} <= {item.ident.label for item in late}, len(late) < 10, again) == (
        True,
        True,
        [],
    )


def test_only_hours_in_which_something_came_are_given_after_a_restart(influxd, database):
    """The journal knows what it has, yet not for ever."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
    write(influxd, database, f"data,label=b t=1 {LATE + 3600 * 5 + 7}")
    late, _ = swept(influxd, database, position)
    hour = (LATE + 3600 * 5) // 3600
    assert {second // 3600 for second in times(late)} == {hour}


def test_a_position_of_older_times_is_understood(influxd, database):
    """Then nothing is known, and everything of these days is given to the journal."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database, sweep=0.0) as made:
        _, position = poll_until(made, None, lambda found: len(found) == len(EARLY) + 1)
    assert [len(value) for key, value in position.items() if key] == [2]
    write(influxd, database, *LATER)
    found, _ = swept(influxd, database, position)
    assert times(found) == seconds([*EARLY, *LATER])  # the overlap knows the last one


@pytest.mark.parametrize(
    "head",
    [
        'data,geolocation="1\\,2\\,3",label="a",new=0 t',
        "data,geolocation=1\\,2\\,3,label=a,new=0 t",
        "data t",
    ],
    ids=["classic", "clean", "without tags"],
)
def test_in_every_dialect(influxd, database, head):
    """Also the very first ones with that label."""
    late = series(head=head)
    write(influxd, database, f'info,label="a" geolocation="1\\,2\\,3" {LATE - 9000}', LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, *late)
        found, position = sweep(made, position)
        again, _ = sweep(made, position)
    labels = {(item.ident.label, item.ident.geolocation) for item in found}
    assert (times(found), labels, again) == (seconds(late), {("a", "1,2,3")}, [])


def test_the_true_time_of_a_deployed_publisher_counts(influxd, database):
    """Points are looked for by when they arrived, telegrams have the time they were made."""
    write(influxd, database, LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, f"data,label=a t=1,timestamp={LATE - 500} {LATE}")
        found, position = sweep(made, position)
    assert times(found) == [LATE - 500]


def test_rows_that_differ_in_new_alone_are_one_telegram(influxd, database):
    """One of them is late, or both are."""
    write(influxd, database, f"data,label=a,new=0 t=1 {LATE}", LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, *(f"data,label=a,new=1 t=1 {LATE + at}" for at in (0, 600)))
        write(influxd, database, f"data,label=a,new=0 t=1 {LATE + 600}")
        found, _ = sweep(made, position)
    assert times(found) == [LATE + 600]


def test_a_new_field_comes_late(influxd, database):
    """It does not make other rows new."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, f'data,label=b h=1,text="x" {LATE}')
        found, _ = sweep(made, position)
    assert [dict(item.data) for item in found] == [{"time": LATE, "h": 1.0, "text": "x"}]


def test_a_late_row_that_no_telegram_can_hold_is_told_once(influxd, database):
    """As in live reading."""
    write(influxd, database, LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, f'data text="a\nb" {LATE}')
        found, position = sweep(made, position)
        again, _ = sweep(made, position)
    assert ([type(item) for item in found], again) == ([Refusal], [])


@pytest.mark.parametrize("ago", [600, 3 * 3600], ids=["in this hour", "hours ago"])
def test_a_row_of_the_last_day_that_was_changed_is_seen(influxd, database, tmp_path, ago):
    """Counts are the same; the journal keeps the first and makes the other a dead letter."""
    second = int(time.time()) - ago
    write(influxd, database, *series(20, second - 200, 10), f"data,label=a t=1 {second + 300}")
    with closing(Journal(tmp_path / "journal.db")) as journal:
        with subscriber(influxd, database) as made:
            first, position = sweep(made, None)
            journal.append(first)
            write(influxd, database, f"data,label=a t=99 {second - 200}")
            found, _ = sweep(made, position)
        kept = journal.append(found)
    assert ([item.data["t"] for item in found], kept.refused) == ([99.0], 1)


def test_a_late_ident_holds_for_what_comes_from_then_on(influxd, database):
    """What was given stays as it is."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, f'info,label=a description="late",geolocation="1,2,3" {LATE}')
        found, position = sweep(made, position)
        write(influxd, database, f"data,label=a t=2 {NOW - 30}", f"data,label=a t=3 {LATE + 1}")
        after, _ = sweep(made, position)
    assert found == []
    assert [(i.data["t"], i.ident.description) for i in after] == [(2.0, "late"), (3.0, "late")]


def test_before_start_nothing_is_looked_for(influxd, database):
    """Neither is beyond the days asked for."""
    write(influxd, database, LAST)
    with subscriber(influxd, database, start=str(LATE)) as made:
        _, position = sweep(made, None)
        write(influxd, database, f"data t=1 {LATE - 60}", f"data t=2 {LATE + 60}")
        found, _ = sweep(made, position)
    with subscriber(influxd, database, sweep_days=1) as made:
        _, position = sweep(made, None)
        write(influxd, database, f"data t=3 {NOW - 40 * 3600}", f"data t=4 {NOW - 20 * 3600}")
        recent, _ = sweep(made, position)
    assert [[item.data["t"] for item in items] for items in (found, recent)] == [[2.0], [4.0]]


def test_a_commit_that_failed_loses_nothing(influxd, database):
    """The late rows come again, and only then never again."""
    write(influxd, database, *EARLY, LAST)
    with subscriber(influxd, database) as made:
        _, position = sweep(made, None)
        write(influxd, database, *LATER)
        lost, _ = poll_until(made, position, len)
        found, position = sweep(made, position)
        again, _ = sweep(made, position)
    assert (bool(lost), set(seconds(LATER)) <= set(times(found)), again) == (True, True, [])


def test_live_telegrams_do_not_wait_for_a_sweep(influxd, database):
    """However much there is to sweep: every poll reads what is new first."""
    write(influxd, database, *series(3000, NOW - 6 * 86_400, 100))
    with subscriber(influxd, database, sweep=0.0) as made:
        _, position = poll_until(made, None, lambda found: len(found) == 3000)
    live, swept_meanwhile = [], 0
    with subscriber(influxd, database, bufsize=10) as made:
        made.poll(position)
        for at in range(20):
            write(influxd, database, f"data,label=b t={at} {NOW - 600 + at}")
            items, position = made.poll(position)
            live += [item.data["t"] for item in items if item.ident.label == "b"]
            items, position = made.poll(position)
            swept_meanwhile += sum(item.ident.label == "a" for item in items)
    assert (live, 0 < swept_meanwhile < 3000) == ([float(at) for at in range(20)], True)


def take_in(port, database, path):
    """A process to kill: everything from the server into a journal."""
    options = {"hostname": "127.0.0.1", "port": int(port), "databases": (database,)}
    settings = MyINFLUXSUB.Settings(**options, interval=0.05, sweep=0.05)
    with closing(Journal(Path(path))) as journal:
        print("up", flush=True)
        Intake(MyINFLUXSUB(settings, "influxsub"), journal).run(threading.Event())


def stored(path):
    with View(path) as view:
        rows = view.all("SELECT time FROM telegrams ORDER BY time")
        dead = view.all("SELECT * FROM aside")
    return [row["time"] for row in rows], len(dead)


def test_killed_at_any_moment_a_sweep_repeats_and_skips_nothing(influxd, database, tmp_path):
    """What it found and how far it was are committed together."""
    write(influxd, database, *EARLY, LAST)
    written, path, chance = seconds([*EARLY, LAST]), tmp_path / "journal.db", random.Random(4)
    command = [*INTAKE, str(influxd.port), database, str(path)]
    for at in range(6):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            late = series(10, LATE + at * 7, 700, f"data,label=l{at} t")
            write(influxd, database, *late)
            written += seconds(late)
            time.sleep(chance.uniform(0.1, 0.9))  # that is the random moment
            process.kill()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + PATIENCE
        while len(stored(path)[0]) < len(written) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
    assert stored(path) == (sorted(written), 0)
