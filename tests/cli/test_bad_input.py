"""Bad input on the command line: what is refused is named and kept, all else arrives."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import environment
from tests.telegrams import START, data, kits_and_seconds, telegram

TO_STDOUT = ["--to", "jsonl", "-o", "jsonl.file=-"]


def bad(value: str) -> str:
    """Data with a value that JSON libraries other than strict ones write."""
    return f'{{"data":{{"time":1494777774,"temp":{value}}}}}'


LINES = {
    "torn": ('{"data":{"time":1494777774,"te', "not JSON"),
    "text": ("temp;rh;hpa", "not JSON"),
    "array": ("[1,2]", "expected an object"),
    "NaN": (bad("NaN"), "data temp: nan is not a number"),
    "infinity": (bad("-Infinity"), "data temp: -inf is not a number"),
    "1e400": (bad("1e400"), "data temp: inf is not a number"),
    "boolean": (bad("true"), "data temp: expected a number or text, found a boolean"),
    "2^53 + 1": (bad("9007199254740993"), "9007199254740993 is beyond 2^53"),
    "thousands of digits": (bad("9" * 5000), "thousands of digits"),
    "twice": (bad('1,"temp":2'), "data: 'temp' is in it twice"),
    "control character": (bad('"a\\u0007b"'), "a control character (U+0007) at position 2"),
    "negative time": ({"data": {"time": -5}}, "-5 lies before 1970"),
    "fraction": ({"data": {"time": START + 0.25}}, "is not a whole number of Unix seconds"),
    "milliseconds": ({"data": {"time": START * 1000}}, "it looks like milliseconds"),
    "far future": ({"data": {"time": 4_102_444_800}}, "more than a day in the future"),
    "no time": ({"data": {"temp": 1}}, "time is missing"),
    "unknown key": ({"data": {"time": START}, "more": 1}, "unknown key 'more'"),
    "deep": ('{"data":' + "[" * 100_000, "nested too deeply"),
    "latin-1": ('{"data":{"time":1494777774,"note":"café"}}'.encode("latin-1"), "not UTF-8"),
    "binary": (bytes(range(128, 256)), "not UTF-8"),
    "no project": ({"ident": {"serial": "k9"}}, "ident: project is missing"),
    "no serial": ({"ident": {"project": "BdP"}}, "ident: serial is missing"),
    "name": (telegram(2, serial="../../etc"), "'../../etc' is not usable as a name"),
    "nine quotes": (telegram(2, serial='a"b'), "is not usable as a name"),
}


@pytest.mark.parametrize("name", LINES)
def test_bad_line_is_named_and_kept_and_the_rest_arrives(mysense, write, tmp_path, name):
    """File and line on stderr, exit 1, the line itself in --errors, all others delivered."""
    line, why = LINES[name]
    path = write("in.jsonl", telegram(0), line, telegram(9))
    done = mysense("replay", path, *TO_STDOUT, "--errors", "bad.jsonl", code=1)
    assert f"refused {path}:2: " in done.stderr
    assert why in done.stderr
    assert kits_and_seconds(done.stdout) == [("k1", 0), ("k1", 9)]
    assert (tmp_path / "bad.jsonl").read_bytes() == path.read_bytes().split(b"\n")[1] + b"\n"


def test_all_bad_lines_of_all_files_are_kept(mysense, write, tmp_path):
    """The count at the end and the file of refused lines are those of all files."""
    lines = [line for line, _ in LINES.values()]
    first, second = write("a.jsonl", *lines), write("b.jsonl", *lines, telegram(1))
    done = mysense("replay", first, second, *TO_STDOUT, "--errors", "bad.jsonl", code=1)
    assert f"{2 * len(LINES)} lines refused, they are in bad.jsonl" in done.stderr
    assert len((tmp_path / "bad.jsonl").read_bytes().splitlines()) == 2 * len(LINES)
    assert kits_and_seconds(done.stdout) == [("k1", 1)]


def test_messages_cannot_act_upon_a_terminal(mysense, write):
    """What a stranger's file holds is escaped before it is shown."""
    path = write("in.jsonl", {"data": {"time": START, "\x1b[2J": True}}, {"\x1b[2J": 1, "data": 2})
    assert "\x1b" not in mysense("replay", path, *TO_STDOUT, code=1).stderr


@pytest.mark.parametrize("content", [b"", b"\n\n \r\n\t\n"])
def test_nothing_to_send_is_no_failure(mysense, tmp_path, content):
    """An empty file and one of blank lines are read to their end."""
    (tmp_path / "in.jsonl").write_bytes(content)
    assert "0 telegrams read" in mysense("replay", "in.jsonl", *TO_STDOUT).stderr


def test_byte_order_mark_and_crlf_are_harmless(mysense, tmp_path):
    """A file that went through an editor on another system is read."""
    text = "\ufeff" + json.dumps(telegram(0)) + "\r\n" + json.dumps(data(1)) + "\r\n"
    (tmp_path / "in.jsonl").write_bytes(text.encode())
    done = mysense("replay", "in.jsonl", *TO_STDOUT)
    assert kits_and_seconds(done.stdout) == [("k1", 0), ("k1", 1)]


def test_utf16_is_refused_with_advice(mysense, tmp_path):
    """A file in UTF-16 is said to be one."""
    (tmp_path / "in.jsonl").write_bytes(json.dumps(telegram(0)).encode("utf-16"))
    told = mysense("replay", "in.jsonl", *TO_STDOUT, code=1).stderr
    assert "in.jsonl:1: the file is UTF-16; save it as UTF-8" in told


def test_data_after_a_refused_ident_go_to_no_older_kit(mysense, write):
    """They are refused, and say which line to mend."""
    path = write("in.jsonl", telegram(0), {"ident": {"project": "BdP", "serial": "k 2"}}, data(1))
    done = mysense("replay", path, *TO_STDOUT, code=1)
    assert f"{path}:3: data without ident: line 2, which may have held it" in done.stderr
    assert kits_and_seconds(done.stdout) == [("k1", 0)]


def test_file_of_refused_lines_can_be_mended_and_replayed(mysense, write, tmp_path):
    """What is kept needs only its fault mended."""
    path = write("in.jsonl", telegram(0), json.dumps(telegram(1)).replace("1.5", "NaN"))
    mysense("replay", path, *TO_STDOUT, "--errors", "bad.jsonl", code=1)
    kept = (tmp_path / "bad.jsonl").read_text()
    (tmp_path / "bad.jsonl").write_text(kept.replace("NaN", "1.5"))
    assert kits_and_seconds(mysense("replay", "bad.jsonl", *TO_STDOUT).stdout) == [("k1", 1)]


def test_unknown_ident_key_is_mentioned(mysense, write):
    """What is left out is said, once, and is no failure."""
    ident = {**telegram()["ident"], "colour": "red"}
    path = write("in.jsonl", *({"ident": ident, **data(at)} for at in (0, 1)))
    told = mysense("replay", path, *TO_STDOUT).stderr
    assert told.count("unknown ident key 'colour' is left out") == 1


def test_kit_without_data_is_mentioned(mysense, write):
    """An announced kit that sent nothing is no failure and not hidden either."""
    path = write("in.jsonl", {"ident": telegram()["ident"]})
    assert "BdP_k1 was announced and no data followed" in mysense("replay", path, *TO_STDOUT).stderr


def test_second_taken_is_refused_by_the_journal(mysense, write):
    """Other data for a second that is taken are a dead letter, and the message says where."""
    path = write("in.jsonl", telegram(0, temp=1.0), telegram(0, temp=2.0))
    done = mysense("replay", path, *TO_STDOUT, code=1)
    (line,) = (line for line in done.stderr.splitlines() if "1 telegram refused" in line)
    journal = line.partition("--journal ")[2].rstrip("`")
    assert "second taken" in mysense("dead", "list", "--journal", journal).stdout


def test_replaying_the_same_telegram_twice_sends_it_once(mysense, write):
    """Equal content again is a repeat."""
    path = write("in.jsonl", telegram(0), telegram(0), telegram(0, temp=1.5, rh=None))
    done = mysense("replay", path, *TO_STDOUT)
    assert kits_and_seconds(done.stdout) == [("k1", 0)]
    assert "3 telegrams read, 2 of them repeats" in done.stderr


def test_long_lines_take_little_memory(tmp_path):
    """A line of 60 MB and 30 MB of short bad lines are refused in less than a third of that."""
    path = tmp_path / "in.jsonl"
    with path.open("wb") as stream:
        for _ in range(60):
            stream.write(b"x" * 1_000_000)
        stream.write(b"\n" + (b"y" * 99_999 + b"\n") * 300)
    code = (
        "import re, sys; from pathlib import Path; from mysense.cli import main\n"
        f"sys.argv[1:] = ['replay', {str(path)!r}, '--to', 'jsonl', '--errors', 'bad']\n"
        "code = main(); status = Path('/proc/self/status').read_text()\n"
        "print(re.search(r'VmHWM:\\s*(\\d+)', status)[1], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    kilobytes, exit_code = map(int, done.stdout.split())
    assert (kilobytes < 60_000, exit_code) == (True, 1)
    assert (tmp_path / "bad").stat().st_size == path.stat().st_size
