"""Telegrams for a person at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from channels.MyCONSOLE import ConsolePublisher, ConsoleSettings
from mysense.telegram import Ident, Telegram
from tests.channels.made import T0, ident, telegram

LINE = "2017-05-14 16:02:52 UTC  BdP_one lab  temp 28.75 C"


@pytest.fixture
def said(capsys):
    """Publishes batches and returns the lines that were printed."""

    def publish(*batches, zone="utc"):
        with ConsolePublisher(ConsoleSettings(zone=zone)) as publisher:
            publisher.open(None)
            for batch in batches:
                publisher.publish(batch)
        return capsys.readouterr().out.splitlines()

    return publish


def test_kit_then_values(said):
    """A new kit is introduced, then its values come with units."""
    assert said([telegram()]) == ["BdP_one lab", "    fields        temp C, rh %", LINE]


def test_changed_ident_is_shown_again(said):
    """An ident is shown when it changes, and only then."""
    found = said([telegram(), telegram(T0 + 1, ident(village="B"), temp=1.0)], [telegram(T0 + 2)])
    assert [line for line in found if line.startswith("BdP_one")] == ["BdP_one lab"] * 3


def test_repeats_are_counted(said):
    """The first repeat, the tenth, and how many there were in all."""
    found = said([telegram(T0 + at) for at in range(15)], [telegram(T0 + 60, temp=1.0)])
    assert [line[17:] for line in found[3:]] == [
        "53 UTC  BdP_one lab  (same)",
        "02 UTC  BdP_one lab  (same, 10 times)",
        "06 UTC  BdP_one lab  (same, 14 times)",
        "52 UTC  BdP_one lab  temp 1 C",
    ]


def test_count_is_told_at_the_end(said):
    """Repeats that were only counted are told when the output closes."""
    assert said([telegram(T0 + at) for at in range(6)])[-1].endswith("(same, 5 times)")


def test_local_time_says_its_zone(said, monkeypatch):
    """Local times bear the name of their zone."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    __import__("time").tzset()
    line = said([telegram()], zone="local")[-1]
    monkeypatch.undo()
    __import__("time").tzset()
    assert line.startswith("2017-05-14 18:02:52 CEST  ")


def test_digits_are_sensible(said):
    """Noise in the last digits is not shown, small values keep four digits, None is a dash."""
    line = said([telegram(temp=23.722070001, rh=None, pm=0.00207915, n=123456789.0)])[-1]
    assert line.split("lab  ")[1] == "temp 23.722 C  rh -  pm 0.002079  n 123456789"


def test_no_escapes_from_texts(said):
    """Control characters never reach the terminal, wherever they came from."""
    evil = Telegram(
        Ident(project="p", serial="s", label="\x1b[2J"), {"time": T0, "a": "\x1b]0;x\a"}
    )
    assert "\x1b" not in "".join(said([evil]))


def test_long_texts_are_cut_visibly(said):
    """A long text ends with its length."""
    assert said([telegram(note="x" * 500)])[-1].endswith("xxx... (500 characters)")


def _on_a_terminal(**environ):
    leader, follower = pty.openpty()
    code = (
        "from channels.MyCONSOLE import ConsolePublisher as P, ConsoleSettings as S\n"
        "from tests.channels.made import telegram\n"
        "P(S()).publish([telegram()])"
    )
    ours = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run([sys.executable, "-c", code], stdout=follower, check=True, env=ours | environ)
    os.close(follower)
    text = os.read(leader, 10_000)
    os.close(leader)
    return text


def test_colour_on_a_terminal():
    """On a terminal a kit's introduction is coloured."""
    assert _on_a_terminal(TERM="xterm").startswith(b"\x1b[1;36mBdP_one lab\x1b[0m")


def test_no_colour_when_not_wanted():
    """NO_COLOR is obeyed."""
    assert b"\x1b" not in _on_a_terminal(NO_COLOR="1")
