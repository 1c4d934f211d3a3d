"""`mysense backfill`: what one place has and the other lacks gets there, and nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from mysense import jsonlines
from mysense.journal import Journal
from mysense.replaying import replay_folder
from tests.cli.conftest import environment
from tests.cli.places import HOUR, T0, Verb, places_in


@pytest.fixture
def places(tmp_path, influxd, project, monkeypatch):
    with places_in(tmp_path, influxd, project, monkeypatch) as made:
        yield made


@pytest.fixture
def verb(places, capsys):
    """Verbs in this process; the engine in it takes over signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Verb(places, capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def both(places):
    """Two and a half days in the journal and on the server."""
    telegrams = places.telegrams(240)
    places.into_journal(telegrams, "influxpub")
    places.into_server(telegrams)
    return telegrams


def left_over():
    return list(replay_folder().glob("*.db"))


def waiting(places):
    """How many telegrams the journal has for an output that had them all."""
    journal = Journal(places.journal)
    cursor, _ = journal.register("influxpub")
    journal.close()
    return journal_head(places) - cursor


def journal_head(places):
    journal = Journal(places.journal)
    try:
        return journal.head
    finally:
        journal.close()


# -- into InfluxDB ----------------------------------------------------------------------------


def test_missing_hours_are_copied(both, places, verb):
    """And only these; then it is equal, and nothing is left behind."""
    places.delete(T0 + HOUR, T0 + 9 * HOUR)
    assert verb("backfill", "journal", "influxpub", "--full") == 0
    assert "32 telegrams to copy" in verb.err
    assert "no difference" in verb.out
    assert (len(places.rows()), left_over()) == (240, [])


@pytest.mark.parametrize("dialect", ["classic", "clean"])
def test_whole_database_comes_back(both, places, verb, dialect):
    """A server that was lost is filled from the journal, database and idents included."""
    places.server.query(f'DROP DATABASE "{places.kit}"')
    option = f"influxpub.dialect={dialect}"
    assert verb("backfill", "journal", "influxpub", "--full", "-o", option) == 0


def test_dry_run_shows_it(both, places, verb):
    """As JSON Lines, and nothing is written."""
    places.delete(T0 + HOUR, T0 + HOUR + 1)
    assert verb("backfill", "journal", "influxpub", "--dry-run") == 0
    assert verb.out == jsonlines.line(both[4]) + "\n"
    assert (len(places.rows()), left_over()) == (239, [])


def test_what_waits_is_left_to_the_engine(both, places, verb):
    """It will be delivered in its turn."""
    places.delete(both[-1].time, both[-1].time + 1)
    places.change("UPDATE outputs SET cursor = cursor - 1")
    assert verb("backfill", "journal", "influxpub") == 0
    assert "0 telegrams to copy" in verb.err


def test_other_content_stays(both, places, verb):
    """It is told, and nobody overwrites it silently."""
    places.write(f'data,label="lab",new=0 temp=99 {both[-1].time}')
    assert verb("backfill", "journal", "influxpub") == 1
    assert "1 different" in verb.out
    assert places.rows()[-1]["temp"] == 99


def test_overwrite(both, places, verb):
    """A's content takes the place: other values, other fields and doubles are gone."""
    places.write(
        f'data,label="lab",new=0 temp=99,more=1 {both[-1].time}',
        f'data,label="lab",geolocation="1\\,2\\,3",new=1 temp=98 {both[-1].time}',
        f'data,label="lab",new=1 temp=97 {both[-2].time}',
    )
    assert verb("backfill", "journal", "influxpub", "--overwrite") == 0
    assert len(places.rows()) == 240


def test_overwrite_where_points_are_at_arrival(places, verb):
    """The rows of the deployed publisher are found by the time in their field."""
    telegrams = places.telegrams(4)
    places.into_journal(telegrams, "influxpub")
    places.server.query(f'CREATE DATABASE "{places.kit}"')
    late = T0 + 6 * HOUR
    places.write(
        f'info,label="lab" label="lab" {T0}',
        *(
            f'data,label="lab",new=0 temp={at / 4},rh={50 + (at == 2)},timestamp={one.time} '
            f"{late + at}"
            for at, one in enumerate(telegrams)
        ),
    )
    assert verb("backfill", "journal", "influxpub", "--overwrite") == 0
    assert [row["time"] for row in places.rows()] == [telegrams[2].time, late, late + 1, late + 3]


def test_kits_that_share_a_database(places, verb):
    """The same holds there; the other kit's rows are left alone."""
    shared = f"{places.project}_all"
    options = ["-o", "influxpub.layout=shared", "-o", f"influxpub.database={shared}"]
    telegrams = places.telegrams(20, geolocation="52.4,5.1,22", street="Kerkstraat 1, links")
    places.into_journal(telegrams)
    ident = attrs.evolve(telegrams[0].ident, serial="other", street="Elsewhere")
    places.into_journal([attrs.evolve(one, ident=ident) for one in telegrams])
    assert verb("backfill", "journal", "influxpub", "--full", *options) == 0
    query = f"DELETE FROM data WHERE time = {T0}s AND serial = 'k'"
    places.server.query(query, database=shared)
    tags = f"geolocation=52.4\\,5.1\\,22,label=lab,new=0,project={places.project},serial=k"
    places.write(f"data,{tags} temp=99 {T0 + HOUR}", kit=shared)
    assert verb("verify", "journal", "influxpub", *options, "--kit", f"{places.project}_*") == 1
    assert "1 not in influxpub, 0 not in journal, 1 different" in verb.out
    only = ["--kit", places.kit]
    assert verb("backfill", "journal", "influxpub", "--overwrite", *options, *only) == 0
    assert len(places.server.rows("SELECT * FROM data", database=shared)) == 40


def test_refused_is_a_dead_letter(places, verb):
    """With its reason, in a journal that the next try goes on with."""
    telegrams = places.telegrams(4)
    telegrams[1] = attrs.evolve(telegrams[1], data={**telegrams[1].data, "note": "a\\b"})
    places.into_journal(telegrams, "influxpub")
    assert verb("backfill", "journal", "influxpub") == 1
    assert "influxpub: 3 acknowledged, 0 waiting, 1 dead" in verb.err
    assert "1 not in influxpub" in verb.out
    assert verb("dead", "list", "--journal", left_over()[0]) == 0
    assert "backslash" in verb.out
    clean = ["-o", "influxpub.dialect=clean", "--fresh"]
    assert verb("backfill", "journal", "influxpub", *clean) == 0


def test_refused_is_tried_again(places, verb):
    """Somebody has made the column true or false once, and then removed it."""
    places.into_journal(places.telegrams(4), "influxpub")
    places.server.query(f'CREATE DATABASE "{places.kit}"')
    places.write(f'data,label="x",new=0 temp=true {T0 - HOUR}')
    since = ["--since", T0]
    assert verb("backfill", "journal", "influxpub", *since) == 1
    assert "4 dead" in verb.err
    places.server.query("DROP MEASUREMENT data", database=places.kit)
    assert verb("backfill", "journal", "influxpub", *since) == 0
    assert left_over() == []


def test_overwriting_leaves_what_waits(both, places, verb):
    """The engine will write that anyhow."""
    places.write(f'data,label="lab",new=0 temp=99 {both[-1].time}')
    places.change("UPDATE outputs SET cursor = cursor - 1")
    assert verb("backfill", "journal", "influxpub", "--overwrite") == 1
    assert "0 telegrams to copy" in verb.err


def test_server_that_is_down(both, places, verb):
    """Is said, and nothing is left that would have to be gone on with."""
    words = ["backfill", "journal", "influxpub", "-o", "influxpub.port=1", "--timeout", "0.2"]
    assert verb(*words) == 1
    assert "connection refused" in verb.err
    assert left_over() == []


def test_killed_in_the_middle_and_again(tmp_path, places, verb):
    """The second run ends what the first one began: nothing lost, nothing doubled."""
    telegrams = places.telegrams(800, step=60)
    places.into_store(telegrams)
    words = ["backfill", "sqlitepub", "influxpub", "-o", "influxpub.bufsize=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mysense", *words, *places.options],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while places.kit not in places.server.databases() and time.monotonic() < deadline:
        time.sleep(0.01)
    while not places.rows() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(places.rows()) < 800
    assert verb(*words) == 0
    assert "going on with what an earlier backfill left" in verb.err
    assert (len(places.rows()), left_over()) == (800, [])


# -- into a journal, a store ------------------------------------------------------------------


def test_journal_gets_what_it_missed(both, places, verb):
    """From the server where the field kits have sent it, and then it is for all outputs."""
    places.change("DELETE FROM telegrams WHERE time >= ? AND time < ?", T0, T0 + 2 * HOUR)
    assert verb("backfill", "influxsub", "journal") == 0
    assert "8 telegrams from influxsub" in verb.err
    assert waiting(places) == 8


def test_journal_that_was_lost(both, places, verb):
    """A new one is made."""
    places.journal.unlink()
    kit = ["--kit", places.kit]
    assert verb("backfill", "influxpub", "journal", *kit) == 0
    assert journal_head(places) == 240


def test_what_the_journal_let_go_of_stays_away(both, places, verb):
    """It has been there, and the outputs had it."""
    places.change("INSERT INTO hours (source, hour, count) VALUES (1, ?, 1)", T0 // HOUR)
    places.change("DELETE FROM telegrams WHERE time = ?", T0)
    assert verb("backfill", "influxsub", "journal") == 0
    assert "0 telegrams from influxsub" in verb.err


def test_journal_of_a_running_engine(both, places, verb):
    """Is refused, and it is said what to do."""
    journal = Journal(places.journal)
    try:
        assert verb("backfill", "influxsub", "journal") == 1
    finally:
        journal.close()
    assert "an engine (process" in verb.err
    assert "stop it" in verb.err


def test_both_ways(places, verb):
    """Each gets what the other has."""
    telegrams = places.telegrams(20)
    places.into_journal(telegrams[:15], "influxpub")
    places.into_server(telegrams[5:])
    assert verb("backfill", "journal", "influxpub", "--both", "--full") == 0
    assert (len(places.rows()), journal_head(places)) == (20, 20)


def test_store(both, places, verb):
    """The embedded store is filled like a server, and overwritten when asked to."""
    places.into_store([attrs.evolve(both[-1], data={**both[-1].data, "temp": 99.0})])
    assert verb("backfill", "journal", "sqlitepub") == 1
    assert verb("backfill", "journal", "sqlitepub", "--overwrite", "--full") == 0


def test_file_into_server(places, verb, tmp_path):
    """A telegram file can be the source."""
    lines = jsonlines.write(places.telegrams(20))
    (tmp_path / "kit.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert verb("backfill", "kit.jsonl", "influxpub", "--full") == 0
    assert len(places.rows()) == 20


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["journal", "influxsub"], 1, "influxsub is only read: name an output"),
        (["journal", "all.jsonl"], 1, "all.jsonl is only read"),
        (["journal"], 64, "required: B"),
        (["influxpub", "journal", "--overwrite"], 1, "a journal never changes what it holds"),
        (["journal", "influxpub", "--both", "--overwrite"], 64, "contradict each other"),
    ],
)
def test_what_cannot_be(places, verb, capsys, words, code, why):  # noqa: PLR0917  # fixtures
    """Is said before anything is copied."""
    Path("all.jsonl").touch()
    places.into_journal(places.telegrams(1))
    try:
        found = verb("backfill", *words)
        told = verb.err
    except SystemExit as end:
        found, told = end.code, capsys.readouterr().err
    assert (found, why in told) == (code, True), told


# -- the ledger -------------------------------------------------------------------------------


def test_ledger(places, verb):
    """Made is what is kept and what was let go of; a dead letter counts once."""
    places.into_journal(places.telegrams(8), "influxpub")
    places.change("INSERT INTO hours (source, hour, count) VALUES (1, ?, 2)", T0 // HOUR)
    for output in ("a", "b"):
        places.change(
            "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
            " VALUES (?, 'dead', ?, ?, 1, 0, 0, 'no', '{}')",
            *(output, places.kit, T0),
        )
    assert verb_ledger(verb, "--json") == [(T0, 6, 4, 2, 0, 1), (T0 + HOUR, 4, 4, 0, 0, 0)]
    assert verb_ledger(verb, "--json", "--by", "day") == [(T0 - 16 * HOUR, 10, 8, 2, 0, 1)]


def verb_ledger(verb, *words):
    assert verb("ledger", *words) == 0
    names = ("start", "made", "kept", "let_go", "held", "dead")
    return [tuple(json.loads(line)[name] for name in names) for line in verb.out.splitlines()]


def test_ledger_for_people(places, verb):
    """Counts under their names."""
    places.into_journal(places.telegrams(4))
    assert verb("ledger", "--kit", "nobody_*", "--kit", places.kit) == 0
    heading, line = verb.out.splitlines()
    assert heading.split() == [
        *("kit", "hour", "(UTC)", "label"),
        *("made", "kept", "let", "go", "held", "dead"),
    ]
    assert line.split() == [places.kit, "2017-05-14", "16:00", "lab", "4", "4", "0", "0", "0"]
