"""Hostile texts in every place where a text can stand, against a real server.

Whatever the text: it is refused with a reason, or it comes back exactly as it was. The server has
the databases and series that it should have, and no more.
"""

from __future__ import annotations

import contextlib
import json

import pytest

from channels.MyINFLUXPUB import InfluxPub, InfluxPubSettings
from channels.MyINFLUXSUB import InfluxSubSettings, MyINFLUXSUB
from mysense.errors import TelegramError
from mysense.plugin import Hold, Refused, RetryLater
from mysense.telegram import Ident, Telegram
from tests.cli.conftest import run

HOSTILE = [
    '"; DROP DATABASE "victim_1',
    "'; DROP DATABASE victim_1 --",
    'a"b',
    "a'b",
    "a\\",
    "a\\\\",
    'a\\"',
    "a,b=c d=1",
    "a b",
    "a=b",
    "x\ndata,label=evil temp=1 1494777772",
    "x\r\nevil temp=1",
    "x\x00y",
    "\x1b[2J\x1b]0;owned\x07",
    "../../etc/passwd",
    "%s%n{0}{x}",
    "=cmd|' /C calc'!A0",
    "\u202egnp.exe",
    "é€😀",
    "#comment",
    "info",
    "time",
    "",
    " ",
    "x" * 70_000,
]
TEXTS = ("label", "geolocation", "description", "street", "village", "province", "municipality")
BASE = {"project": "", "serial": "1"}


def made(where, **parts):
    """A telegram of project `where` as it comes from outside; None where it is refused there."""
    data = {"time": 1494777772, "temp": 21.5, **parts.pop("data", {})}
    source = {**BASE, "project": where, **parts}
    try:
        return Telegram.from_json(Ident.from_json(source), data)
    except TelegramError:
        return None


def published(server, telegram, dialect):
    """Whether a real server took it; else it was refused, or held, with a reason."""
    settings = InfluxPubSettings(port=server.port, dialect=dialect, output=True)
    with InfluxPub(settings, "influxpub") as output:
        output.open(None)
        try:
            output.publish([Telegram(telegram.ident, telegram.data, new=True)])
        except (Refused, Hold):
            return False
    return True


def read(server, project):
    settings = InfluxSubSettings(port=server.port, databases=(f"{project}_1",), input=True)
    with MyINFLUXSUB(settings, "influxsub") as reader:
        reader.open()
        given, _ = reader.poll(None)
    return given


def series(server, database):
    return {row["name"] for row in server.rows("SHOW MEASUREMENTS", database=database)}


@pytest.fixture
def place(influxd, project):
    influxd.query('CREATE DATABASE "victim_1"')
    yield project
    assert "victim_1" in influxd.databases()
    for name in influxd.databases():
        if name.startswith((project, "victim")):
            influxd.query(f'DROP DATABASE "{name}"')


@pytest.mark.parametrize("dialect", ["classic", "clean"])
@pytest.mark.parametrize("where", TEXTS)
def test_texts_of_an_ident(influxd, place, where, dialect):
    """Each comes back as it was, or did not go."""
    for number, text in enumerate(HOSTILE):
        project = f"{place}x{number}"
        telegram = made(project, **{where: text})
        if telegram is None or not published(influxd, telegram, dialect):
            continue
        assert series(influxd, f"{project}_1") == {"info", "data"}
        (back,) = read(influxd, project)
        assert back.normal() == telegram.normal(), text


@pytest.mark.parametrize("dialect", ["classic", "clean"])
def test_texts_and_names_of_data(influxd, place, dialect):
    """Values as well as the names of fields."""
    for number, text in enumerate(HOSTILE):
        for kind, data in (("v", {"note": text}), ("n", {text: 1.0}), ("g", {"geolocation": text})):
            project = f"{place}{kind}{number}"
            telegram = made(project, data=data)
            if telegram is None or not published(influxd, telegram, dialect):
                continue
            assert series(influxd, f"{project}_1") == {"info", "data"}
            (back,) = read(influxd, project)
            assert dict(back.data) == {k: v for k, v in telegram.data.items() if v is not None}


@pytest.mark.parametrize("where", ["project", "serial"])
def test_names_that_make_a_database(influxd, place, where):
    """None of them reaches the server but plain names."""
    before = influxd.databases()
    for text in HOSTILE:
        telegram = made(place, **{where: text})
        if telegram is not None:
            published(influxd, telegram, "classic")
    made_anew = set(influxd.databases()) - set(before)
    assert made_anew <= {f"{place}_{text}" for text in ("info", "time")} | {"info_1", "time_1"}
    for name in made_anew:
        influxd.query(f'DROP DATABASE "{name}"')


def test_databases_of_hostile_names_are_read_as_names(influxd, place):
    """A server's list of databases is a stranger's text too."""
    evil = f'{place}"; DROP DATABASE "victim_1'
    quoted = evil.replace('"', '\\"')
    influxd.query(f'CREATE DATABASE "{quoted}"')
    influxd.write(evil, "data temp=1 1494777772")
    settings = InfluxSubSettings(port=influxd.port, databases=(evil,), input=True)
    with MyINFLUXSUB(settings, "influxsub") as reader:
        reader.open()
        with contextlib.suppress(RetryLater):
            reader.poll(None)
    assert "victim_1" in influxd.databases()
    influxd.query(f'DROP DATABASE "{quoted}"')


@pytest.mark.parametrize("option", ["rp", "hostname", "user", "shard", "databases", "projects"])
@pytest.mark.parametrize("text", ['x"; DROP DATABASE "victim_1', "x' OR 1=1", "a/../b?x=1&y"])
def test_options_are_no_statements(influxd, place, option, text, tmp_path):
    """They are refused as settings, or quoted: the server loses nothing."""
    section = "influxsub" if option in ("databases", "projects") else "influxpub"
    way = "input" if section == "influxsub" else "output"
    (tmp_path / "MySense.conf").write_text(
        f"[{section}]\n{way} = true\nport = {influxd.port}\ntimeout = 2\n{option} = {text}\n"
        f"[journal]\nfile = {tmp_path}/journal.db\n[jsonl]\noutput = true\nfile = {tmp_path}/o\n"
    )
    line = {"ident": {**BASE, "project": place}, "data": {"time": 1494777772, "temp": 1}}
    (tmp_path / "one.jsonl").write_text(json.dumps(line) + "\n")
    words = ["replay", "one.jsonl", "--to", section, "--timeout", "1"]
    if section == "influxsub":
        words = ["run", "--once", "--timeout", "1"]
    run_any(words, tmp_path)
    assert "victim_1" in influxd.databases()


def run_any(words, folder):
    """Whatever the outcome, it is no traceback."""
    for code in (0, 1, 64, 78):
        try:
            return run(["-m", "mysense", *words], folder, code=code)
        except AssertionError as wrong:
            if "Traceback" in str(wrong):
                raise
    raise AssertionError("it ended in another way than it says it can")


def test_the_log_cannot_play_with_a_terminal(tmp_path):
    """What comes from outside is shown with its control characters escaped."""
    bad = {"ident": {"project": "P\x1b[2J", "serial": "1"}, "data": {"time": 1, "temp": 1}}
    (tmp_path / "bad.jsonl").write_text(json.dumps(bad) + "\n" + "\x1b]0;x\x07 not JSON\n")
    done = run(["-m", "mysense", "replay", "bad.jsonl", "--to", "jsonl"], tmp_path, code=1)
    assert done.stderr
    assert not set(done.stderr + done.stdout) & set("\x1b\x07")


def test_a_formula_stays_text(tmp_path):
    """A spreadsheet that opens the CSV file carries nothing out."""
    data = {"time": 1494777772, "note": "=cmd|' /C calc'!A0", "less": "-1+1", "at": "@x"}
    line = {"ident": {"project": "P", "serial": "1"}, "data": data}
    (tmp_path / "one.jsonl").write_text(json.dumps(line) + "\n")
    words = ["replay", "one.jsonl", "--to", "csv", "-o", f"csv.folder={tmp_path}/csv"]
    run(["-m", "mysense", *words], tmp_path)
    (file,) = (tmp_path / "csv").rglob("*.csv")
    cells = file.read_text().splitlines()[1].split(";")
    assert not [cell for cell in cells[1:] if cell.strip('"')[:1] in tuple("=+-@")]
