"""`mysense replay`: telegram files through outputs, to the last telegram."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from mysense.loader import home
from tests.cli.conftest import environment
from tests.dropins import PUBLISHER
from tests.telegrams import data, kits_and_seconds, telegram

TO_STDOUT = ["--to", "jsonl", "-o", "jsonl.file=-"]


@pytest.fixture
def three(write):
    """A file with three telegrams, a second apart; the last two are data alone."""
    return write("three.jsonl", telegram(0), data(1), data(2))


@pytest.fixture
def foo(tmp_path):
    """Arguments that make a user's own output `foo` known; it can refuse everything."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/MyFOO.py").write_text(PUBLISHER)
    return ["--to", "foo", "-o", f"process.plugins={tmp_path / 'plugins'}"]


def journals(folder):
    return sorted((folder / "state/mysense/replay").glob("*.db"))


# -- outputs ----------------------------------------------------------------------------------


def test_stdout_is_data_and_stderr_is_talk(mysense, three):
    """What was sent stands on stdout alone, the account on stderr."""
    done = mysense("replay", three, *TO_STDOUT)
    assert kits_and_seconds(done.stdout) == [("k1", 0), ("k1", 1), ("k1", 2)]
    assert "jsonl: 3 acknowledged, 0 waiting, 0 dead" in done.stderr


def test_three_outputs_at_once(mysense, three, tmp_path):
    """One replay fills a JSON Lines file, a CSV folder and the embedded store."""
    mysense("replay", three, "--to", "jsonl,csv,sqlitepub", "-o", "sqlitepub.file=s.db")
    assert len((tmp_path / "telegrams.jsonl").read_text().splitlines()) == 3
    (table,) = tmp_path.rglob("*.csv")
    assert len(table.read_text().splitlines()) == 4
    assert (tmp_path / "s.db").stat().st_size > 0


def test_output_named_twice_gets_everything_once(mysense, three):
    """`--to jsonl,JSONL` is one output."""
    done = mysense("replay", three, "--to", "jsonl, JSONL,", "-o", "jsonl.file=-")
    assert len(done.stdout.splitlines()) == 3


def test_second_instance_by_name(mysense, three, tmp_path):
    """`--to jsonl:backup` takes its options from its own variables."""
    env = {"JSONL_BACKUP_FILE": "backup.jsonl"}
    mysense("replay", three, "--to", "jsonl:backup", env=env)
    assert len((tmp_path / "backup.jsonl").read_text().splitlines()) == 3


def test_outputs_that_are_on_are_the_default(mysense, three):
    """Without --to the configuration decides; the one that comes along has the console."""
    assert "BdP_k1" in mysense("replay", three).stdout


def test_own_output(mysense, three, foo):
    """A user's own plugin is an output like any other."""
    assert mysense("replay", three, *foo).stdout == "got 3\n"


def test_many_files_in_the_order_given(mysense, write):
    """Files are read one after the other, and an ident does not reach into the next."""
    first = write("1.jsonl", telegram(0), data(1))
    second = write("2.jsonl", data(2), telegram(3, serial="k2"))
    done = mysense("replay", first, second, *TO_STDOUT, code=1)
    assert kits_and_seconds(done.stdout) == [("k1", 0), ("k1", 1), ("k2", 3)]
    assert f"{second}:1: data without ident: no ident came before this line" in done.stderr


def test_written_file_replays_to_the_same_file(mysense, tmp_path):
    """JSON Lines of a whole day come back as they were written."""
    day = home() / "testdata/day.jsonl"
    mysense("replay", day, "--to", "jsonl", "-o", "jsonl.file=one.jsonl")
    mysense("replay", "one.jsonl", "--to", "jsonl", "-o", "jsonl.file=two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_file_that_is_done_leaves_no_journal(mysense, three, tmp_path):
    """What is acknowledged needs no journal, so a second replay sends it again."""
    mysense("replay", three, *TO_STDOUT)
    assert list((tmp_path / "state/mysense/replay").iterdir()) == []
    assert len(mysense("replay", three, *TO_STDOUT).stdout.splitlines()) == 3


# -- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["nope.jsonl", *TO_STDOUT], 1, "nope.jsonl: there is no such file"),
        ([".", *TO_STDOUT], 1, ".: not a file"),
        (["{file}", "--to", "jsnl"], 78, "mysense replay: no plugin is called 'jsnl' (did you"),
        (["{file}", "--to", "sqlitesub"], 78, "sqlitesub is an input"),
        (["{file}", "--to", "jsonl:"], 78, "'jsonl:' is no section"),
        (["{file}", "--to", ","], 78, "no output: name some with --to"),
        (["{file}", *TO_STDOUT, "--errors", "no/such/f"], 1, "no/such/f: No such file"),
        (["{file}", *TO_STDOUT, "--errors", "."], 1, ".: Is a directory"),
        (["{file}", *TO_STDOUT, "--errors", "{file}"], 1, "this is a file to be replayed"),
        (["{file}", "--to", "jsonl", "-o", "jsonl.file=/dev/null/x"], 1, "/dev/null"),
    ],
)
def test_impossible_replay_is_said(mysense, three, words, code, why):
    """Nothing is sent, the file stays whole, and the message says why."""
    before = three.read_bytes()
    done = mysense("replay", *(w.format(file=three) for w in words), "--timeout", "1", code=code)
    assert why in done.stderr
    assert (done.stdout, three.read_bytes()) == ("", before)


# -- dry run ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "first"),
    [("jsonl", '{"ident":{"project":"BdP"'), ("csv", "time(UTC);"), ("console", "BdP_k1")],
)
def test_dry_run_prints_and_touches_nothing(mysense, three, tmp_path, output, first):
    """The wire lines stand on stdout, no file and no state is made."""
    done = mysense("replay", three, "--to", output, "--dry-run")
    assert done.stdout.startswith(first)
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == [three.name]


def test_dry_run_prints_what_is_sent(mysense, three):
    """Byte for byte what the real run writes."""
    sent = mysense("replay", three, *TO_STDOUT).stdout
    assert mysense("replay", three, "--to", "jsonl", "--dry-run").stdout == sent


def test_dry_run_refuses_bad_lines_too(mysense, write, tmp_path):
    """Exit code and file of refused lines are those of the real run."""
    path = write("in.jsonl", telegram(0), "nonsense")
    words = ["--to", "jsonl", "--dry-run", "--errors", "bad"]
    done = mysense("replay", path, *words, code=1)
    assert kits_and_seconds(done.stdout) == [("k1", 0)]
    assert (tmp_path / "bad").read_text() == "nonsense\n"


# -- time -------------------------------------------------------------------------------------


def test_now_ends_now_and_keeps_distances(mysense, write):
    """All telegrams are shifted by one and the same span."""
    path = write("in.jsonl", telegram(0), data(7), data(3))
    done = mysense("replay", path, *TO_STDOUT, "--now")
    first, second, third = (json.loads(line)["data"]["time"] for line in done.stdout.splitlines())
    assert (second - first, third - first) == (7, 3)
    assert abs(time.time() - second) < 30


def test_speed_follows_the_telegrams_own_times(mysense, write):
    """Four seconds of telegrams at speed 4 take one, and no timeout ends that."""
    path = write("in.jsonl", telegram(0), data(4))
    began = time.monotonic()
    done = mysense("replay", path, *TO_STDOUT, "--speed", "4", "--timeout", "0.5")
    assert len(done.stdout.splitlines()) == 2
    assert 1.0 <= time.monotonic() - began < 30


def test_speed_max_does_not_wait(mysense, write):
    """Years of telegrams are sent at once."""
    path = write("in.jsonl", telegram(0), data(100_000_000))
    assert len(mysense("replay", path, *TO_STDOUT, "--speed", "max").stdout.splitlines()) == 2


# -- what is left -----------------------------------------------------------------------------


def test_refused_telegrams_are_left_in_the_journal(mysense, three, foo, tmp_path):
    """Exit 1, the account says dead, and the journal is there to look into."""
    done = mysense("replay", three, *foo, "-o", "foo.refuse=true", code=1)
    (journal,) = journals(tmp_path)
    assert "foo: 0 acknowledged, 0 waiting, 3 dead" in done.stderr
    assert f"what is left waits in {journal}" in done.stderr


def test_where_the_refused_telegrams_are_is_said(mysense, three, foo, tmp_path):
    """A replay has a journal of its own, which plain `dead list` does not look into."""
    done = mysense("replay", three, *foo, "-o", "foo.refuse=true", code=1)
    (journal,) = journals(tmp_path)
    assert f"3 telegrams refused, see `mysense dead list --journal {journal}`" in done.stderr


def test_journal_of_another_replay_is_not_taken(mysense, three, foo, tmp_path):
    """Other options are another replay, with a journal of its own."""
    mysense("replay", three, *foo, "-o", "foo.refuse=true", code=1)
    mysense("replay", three, *foo)
    assert len(journals(tmp_path)) == 1


def interrupted(three, folder, number):
    """A replay at a speed at which only the first telegram is sent, ended by a signal."""
    words = ["-m", "mysense", "replay", three, "--to", "jsonl", "--speed", "0.001"]
    started = subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment(folder),
        stderr=subprocess.PIPE,
        text=True,
    )
    target, until = folder / "telegrams.jsonl", time.monotonic() + 20
    while time.monotonic() < until and not (target.exists() and target.stat().st_size):
        time.sleep(0.02)
    time.sleep(0.3)  # the acknowledgement follows the line
    began = time.monotonic()
    started.send_signal(number)
    _, told = started.communicate(timeout=20)
    return started.returncode, told, time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_replay_goes_on_where_it_was(mysense, three, tmp_path, number):
    """A signal ends it within two seconds; the same command sends the rest, nothing twice."""
    code, told, seconds = interrupted(three, tmp_path, number)
    assert (code, "Traceback" in told) == (1, False)
    assert seconds < 2.5
    done = mysense("replay", three, "--to", "jsonl")
    assert "resuming what was left in" in done.stderr
    sent = kits_and_seconds((tmp_path / "telegrams.jsonl").read_text())
    assert sent == [("k1", 0), ("k1", 1), ("k1", 2)]


def test_fresh_begins_anew(mysense, three, tmp_path):
    """--fresh forgets what an earlier replay left."""
    interrupted(three, tmp_path, signal.SIGTERM)
    done = mysense("replay", three, "--to", "jsonl", "--fresh")
    assert "resuming" not in done.stderr
    assert "3 telegrams read, 0" in done.stderr  # none of them a repeat


def test_resumed_now_makes_the_same_times_again(mysense, three, tmp_path, foo):
    """How far --now shifted is kept with what is left."""
    words = ["replay", three, *foo, "--now"]
    mysense(*words, "-o", "foo.refuse=true", code=1)
    (journal,) = journals(tmp_path)
    time.sleep(1.1)
    mysense(*words, "-o", "foo.refuse=true", code=1)
    with sqlite3.connect(journal) as db:
        (count,) = db.execute("SELECT count(*) FROM telegrams").fetchone()
    db.close()
    assert count == 3


@pytest.mark.parametrize("more", [[], ["--fresh"]])
def test_two_at_the_same_time_are_refused(mysense, write, tmp_path, more):
    """The second of two equal replays says that the first is under way, and harms it not."""
    path = write("slow.jsonl", telegram(0), data(3))
    words = ["-m", "mysense", "replay", str(path), "--to", "jsonl", "--speed", "1"]
    with subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE
    ) as first:
        while not (tmp_path / "telegrams.jsonl").exists():
            time.sleep(0.02)
        told = mysense("replay", path, "--to", "jsonl", *more, code=1).stderr
        assert ("another engine" in told) or ("another replay of these files" in told)
        assert first.wait(timeout=20) == 0
    assert len((tmp_path / "telegrams.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("pace", [[], ["--speed", "1000"]])
def test_a_file_that_cannot_be_read_to_its_end(mysense, three, pace):
    """What could be read is sent; that there was more is said, and no success."""
    unreadable = "/proc/self/mem"  # has nothing at its beginning: EIO
    done = mysense("replay", three, unreadable, *pace, *TO_STDOUT, code=1)
    assert len(kits_and_seconds(done.stdout)) == 3
    assert f"{unreadable}: Input/output error" in done.stderr
