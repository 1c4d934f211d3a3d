"""Sampling: readings become telegrams, whatever sensors and the journal do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque

import pytest

from mysense.journal import Journal
from mysense.journalview import View
from mysense.plugin import Field, Gone, Misconfigured, Sensor, SensorSettings, Transient
from mysense.sampling import Sampler, Sampling
from mysense.telegram import Ident

IDENT = Ident(project="p", serial="1")


class Thermometer(Sensor[SensorSettings]):
    """Reads out of a list of values and errors; 20 when it has run out."""

    Settings = SensorSettings
    fields = (Field("temp", "C", "thermo", -40.0, 85.0, digits=1),)

    def __init__(self, *script, section="thermo"):
        super().__init__(SensorSettings(input=True, interval=1.0), section)
        self.script, self.opened, self.closed = deque(script), 0, 0

    def open(self):
        self.opened += 1

    def read(self):
        step = self.script.popleft() if self.script else 20.0
        if isinstance(step, BaseException):
            raise step
        return step if step is None or isinstance(step, dict) else {"temp": step}

    def close(self):
        self.closed += 1


def sampler(*script):
    return Sampler(Thermometer(*script), 1.0)


def read(one, count):
    for _ in range(count):
        one.read()
        one._backoff.recovered()
    return one.take()


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def stored(journal):
    with View(journal.path) as view:
        return [row.telegram.data for row in view.rows(0, 10**6, 10**9)]


def test_the_mean_of_what_was_read():
    """Rounded to the digits of the field, since the last time it was taken."""
    one = sampler(20.0, 21.0, 21.1)
    assert (read(one, 3), one.take()) == ({"temp": 20.7}, {})


@pytest.mark.parametrize("value", [85.1, -41.0, float("nan"), float("inf")])
def test_out_of_range_is_left_out(value):
    """A reading that is not believed is not in the mean."""
    assert read(sampler(value, 20.0), 2) == {"temp": 20.0}


def test_fields_that_were_not_announced_are_left_out():
    """Only declared fields are measured."""
    assert read(sampler({"temp": 1.0, "other": 2.0}), 1) == {"temp": 1.0}


def test_nothing_read_is_no_telegram():
    """Not an empty one."""
    assert Sampling(IDENT, [sampler()], 1.0).telegram() is None


def test_transient_is_tried_at_the_next_slot():
    """The device stays open."""
    one = sampler(Transient("checksum"), 20.0)
    assert (read(one, 2), one.sensor.opened) == ({"temp": 20.0}, 1)


def test_gone_closes_and_opens_again():
    """With a longer wait."""
    one = sampler(Gone("unplugged"), 20.0)
    pause = one.read()
    assert pause >= 0.05
    assert (read(one, 1), one.sensor.opened, one.sensor.closed) == ({"temp": 20.0}, 2, 1)


def test_misconfigured_stops_the_sensor():
    """And says why."""
    one = sampler(Misconfigured("no pin 99"))
    one.read()
    assert one.stopped == "no pin 99"


@pytest.mark.parametrize(
    "fault", [OSError("bus"), ValueError("x"), SystemExit(2), {"temp": "warm"}, None], ids=repr
)
def test_a_sensor_that_raises_or_returns_anything(fault, caplog):
    """It is opened again and measures on; the thread goes on."""
    one = sampler({"temp": None} if fault is None else fault, 20.0)
    assert read(one, 2) == {"temp": 20.0}
    assert "a fault in this plugin" in caplog.text


def test_a_sensor_that_fails_to_close():
    """Does not end measuring either."""
    one = sampler(Gone("x"), 20.0)
    one.sensor.close = lambda: 1 / 0
    assert read(one, 2) == {"temp": 20.0}


def test_a_second_is_never_used_twice(monkeypatch):
    """Two intervals that end in one second make two telegrams of two seconds."""
    sampling = Sampling(IDENT, [sampler()], 1.0)
    clock = iter([100.01, 100.99, 102.0, 102.5, 50.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    assert [sampling._next_second() for _ in range(5)] == [100, 101, 102, 103, 50]


def test_what_a_busy_journal_cannot_take_is_kept(journal):
    """Telegrams wait in memory and go in, in order, when it can be written."""
    one = sampler()
    sampling = Sampling(IDENT, [one], 1.0)
    sampling.attach(journal, once=False)
    lock = sqlite3.connect(journal.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        one.read()
        sampling._unsaved.append(sampling.telegram())
        assert sampling.save() is False
    lock.execute("ROLLBACK")
    lock.close()
    assert (sampling.save(), len(stored(journal)), len(sampling._unsaved)) == (True, 2, 0)


def test_memory_is_bounded_and_what_is_lost_is_said(journal, monkeypatch, caplog):
    """A journal that stays unwritable for days does not end the process."""
    monkeypatch.setattr("mysense.sampling._KEPT", 3)
    one = sampler()
    sampling = Sampling(IDENT, [one], 1.0)
    sampling.attach(journal, once=False)
    monkeypatch.setattr(journal, "append", lambda *a, **k: (_ for _ in ()).throw(sqlite3.Error()))
    for _ in range(5):
        one.read()
        sampling._unsaved.append(sampling.telegram())
        sampling.save()
    assert (len(sampling._unsaved), caplog.text.count("lost the telegram of")) == (3, 2)


def test_run_makes_a_telegram_an_interval(journal):
    """In its thread, beside the sensor's, until it is stopped."""
    one = Sampler(Thermometer(), 0.05)
    sampling = Sampling(IDENT, [one], 0.2)
    sampling.attach(journal, once=False)
    stop = threading.Event()
    threads = [threading.Thread(target=w.run, args=(stop,)) for w in (one, sampling)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    stop.set()
    for thread in threads:
        thread.join(2)
    times = [data["time"] for data in stored(journal)]
    assert 2 <= len(times) <= 4
    assert times == sorted(set(times))
    assert one.sensor.closed == 1


def test_once_ends_after_one_telegram(journal):
    """And says that it is finished."""
    one = Sampler(Thermometer(), 0.05)
    one.read()
    sampling = Sampling(IDENT, [one], 0.1)
    sampling.attach(journal, once=True)
    sampling.run(threading.Event())
    assert (sampling.finished, len(stored(journal))) == (True, 1)
