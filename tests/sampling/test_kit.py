"""Sampling: readings become telegrams, whatever sensors, clocks and the journal do."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from mysense.application import ProcessSettings
from mysense.clock import Clock
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.plugin import Field, Gone, Misconfigured, SensorSettings
from mysense.sampling import Sampling
from mysense.telegram import Ident
from tests.virtual import Scripted, VirtualClock

IDENT = Ident(project="p", serial="1")
HUMIDITY = (Field("rh", "%", "hygro", 0, 100, 1),)
DUST = (Field("pm_25", "pcs/qf", "dust", 0, 100_000, 0),)


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def kit(journal, *sensors, clock=None, once=False, **process):
    sampling = Sampling(IDENT, sensors, ProcessSettings(**process), clock or VirtualClock())
    sampling.attach(journal, once=once)
    return sampling


def stored(journal):
    with View(journal.path) as view:
        return [dict(row.telegram.data) for row in view.rows(0, 10**6, 10**9)]


def events(journal):
    with View(journal.path) as view:
        return [tuple(row) for row in view.all("SELECT who, kind, text FROM events ORDER BY id")]


def intervals(sampling, clock, count, readings=1, length=60.0):
    """So many intervals, each with readings at its beginning."""
    sampling.tick()
    for _ in range(count):
        for sampler in sampling.samplers:
            for _ in range(readings):
                sampler.read()
        clock.now += length
        sampling.tick()


def test_a_telegram_at_the_end_of_each_interval(journal):
    """Its time is the wall clock's at the end."""
    clock = VirtualClock(wall=1_600_000_000.0)
    intervals(kit(journal, Scripted(1.0, 2.0), clock=clock), clock, 2)
    assert stored(journal) == [
        {"time": 1_600_000_060, "temp": 1.0},
        {"time": 1_600_000_120, "temp": 2.0},
    ]


def test_two_readings_in_one_interval_and_none_in_the_next(journal):
    """The mean, then nothing: an old value is never sent again."""
    clock = VirtualClock()
    sampling = kit(journal, Scripted(1.0, 2.0), clock=clock)
    intervals(sampling, clock, 1, readings=2)
    clock.now += 60
    sampling.tick()
    assert [data["temp"] for data in stored(journal)] == [1.5]


def test_sensors_join_in_one_telegram(journal):
    """One telegram an interval, whatever measures."""
    clock = VirtualClock()
    dust = Scripted({"pm_25": 600.0}, section="dust", fields=DUST)
    intervals(kit(journal, Scripted(1.0), dust, clock=clock), clock, 1)
    (data,) = stored(journal)
    assert (data["temp"], data["pm_25"]) == (1.0, 600.0)


def test_intervals_of_different_length_meet(journal):
    """Where they end together they make one telegram, else each its own."""
    clock = VirtualClock()
    dust = Scripted(*[{"pm_25": 600.0}] * 9, section="dust", fields=DUST, interval=120.0)
    intervals(kit(journal, Scripted(), dust, clock=clock), clock, 2)
    assert [sorted(data) for data in stored(journal)] == [
        ["temp", "time"],
        ["pm_25", "temp", "time"],
    ]


def test_a_shared_name_is_a_configuration_error():
    """Which names the field and both sections."""
    with pytest.raises(Misconfigured, match=r"\[a\] and \[b\] both measure temp"):
        kit(None, Scripted(section="a"), Scripted(section="b"))


def test_a_shared_name_is_averaged_when_asked(journal):
    """And stands in the ident once."""
    clock = VirtualClock()
    pair = Scripted(1.0, section="a"), Scripted(2.0, section="b")
    sampling = kit(journal, *pair, clock=clock, average=("temp",))
    intervals(sampling, clock, 1)
    assert (stored(journal)[0]["temp"], sampling.ident.fields) == (1.5, ("time", "temp"))


def test_raw_goes_beside_the_calibrated_value(journal):
    """In the same telegram and unit, and in the ident."""
    clock = VirtualClock()
    sensor = Scripted(23.7, raw=True, calibrations="[[-2.2,1]]")
    sampling = kit(journal, sensor, clock=clock)
    intervals(sampling, clock, 1)
    (data,) = stored(journal)
    assert (data["temp"], data["temp_raw"]) == (21.5, 23.7)
    assert sampling.ident.fields == ("time", "temp", "temp_raw")


def test_the_clock_set_forward_is_one_event(journal):
    """The interval keeps its length, the next time follows the clock."""
    clock = VirtualClock(wall=1_600_000_000.0)
    sampling = kit(journal, Scripted(), clock=clock)
    sampling.tick()
    sampling.samplers[0].read()
    clock.now += 30
    clock.offset += 7200
    assert sampling.tick() == 1.0
    clock.now += 30
    sampling.tick()
    intervals(sampling, clock, 1)
    assert [data["time"] - 1_600_000_000 for data in stored(journal)] == [7260, 7320]
    assert events(journal) == [("clock", "jump", "the clock was set by +7200 s")]


def test_the_clock_set_back_never_repeats_a_time(journal):
    """Times go on as if it had not been, until it has caught up."""
    clock = VirtualClock(wall=1_600_000_000.0)
    sampling = kit(journal, Scripted(), clock=clock)
    intervals(sampling, clock, 1)
    clock.offset -= 90
    intervals(sampling, clock, 3)
    assert [data["time"] - 1_600_000_000 for data in stored(journal)] == [60, 120, 180, 240]


@pytest.mark.parametrize("step", [-7200, 7200])
def test_the_clock_set_is_one_event(step, journal):
    """However long it takes to catch up; set again, it is one more."""
    clock = VirtualClock()
    sampling = kit(journal, Scripted(), clock=clock)
    for _ in range(2):
        intervals(sampling, clock, 1)
        clock.offset += step
        intervals(sampling, clock, 3)
    told = ("clock", "jump", f"the clock was set by {step:+d} s")
    assert [event for event in events(journal) if event[0] == "clock"] == [told, told]


def test_a_missed_interval_is_skipped(journal):
    """After a long standstill there is one telegram, not many."""
    clock = VirtualClock()
    sampling = kit(journal, Scripted(), clock=clock)
    intervals(sampling, clock, 1)
    sampling.samplers[0].read()
    clock.now += 200
    sampling.tick()
    assert (len(stored(journal)), 0 < sampling.tick() <= 1.0) == (2, True)


def test_a_silent_sensor_is_an_event_and_so_is_its_return(journal):
    """Once each, after three empty intervals."""
    clock = VirtualClock()
    sampling = kit(journal, Scripted(*[Gone("unplugged")] * 5), clock=clock)
    intervals(sampling, clock, 7)
    assert events(journal) == [
        ("thermo", "gap", "nothing accepted in this interval: unplugged"),
        ("thermo", "gap", "nothing accepted in this interval: unplugged"),
        ("thermo", "silent", "nothing accepted in 3 intervals: unplugged"),
        ("thermo", "back", "measures again after 5 empty intervals"),
    ]


def test_silence_with_interval_reading(journal):
    """Where each reading is an interval, so is a time in which none comes."""
    clock = VirtualClock()
    sensor = Scripted(1.0, *[Gone("unplugged")] * 9, interval=0.0)
    sampling = kit(journal, sensor, clock=clock)
    sampling.tick()
    for _ in range(10):
        sampling.samplers[0].read()
        for _ in range(61):
            clock.now += 1
            sampling.tick()
    sampling.samplers[0].read()
    assert [kind for _, kind, _ in events(journal)] == ["gap", "gap", "silent", "back"]


def test_humidity_of_another_interval_flags_particles(journal):
    """What was in the last telegram with humidity counts for ten minutes."""
    clock = VirtualClock()
    air = Scripted({"rh": 88.0}, section="air", fields=HUMIDITY)
    dust = Scripted(*[{"pm_25": 600.0}] * 9, section="dust", fields=DUST, interval=0.0)
    sampling = kit(journal, air, dust, clock=clock, quality=True)
    intervals(sampling, clock, 1)
    sampling.samplers[1].read()
    clock.now += 700
    sampling.samplers[1].read()
    flags = [data.get("quality") for data in stored(journal) if "pm_25" in data]
    assert flags == [None, "pm_25:humid", None]


def test_humid_air_flags_particles(journal):
    """Always in the journal, in the telegram when asked."""
    clock = VirtualClock()
    air = Scripted({"rh": 88.0}, section="air", fields=HUMIDITY)
    dust = Scripted({"pm_25": 600.0}, section="dust", fields=DUST)
    intervals(kit(journal, air, dust, clock=clock, quality=True), clock, 1)
    assert stored(journal)[0]["quality"] == "pm_25:humid"
    assert events(journal) == [("quality", "flags", "pm_25:humid")]


def test_flags_stay_at_home_unless_asked(journal):
    """The telegram has numbers alone by default."""
    clock = VirtualClock()
    intervals(kit(journal, Scripted(999.0, 20.0), clock=clock), clock, 1, readings=2)
    assert stored(journal)[0].keys() == {"time", "temp"}
    assert events(journal) == [("quality", "flags", "temp:range")]


def test_interval_reading_makes_a_telegram_of_each(journal):
    """And waits where a second has one already."""
    clock = VirtualClock()
    sampling = kit(journal, Scripted(1.0, 2.0, 3.0, interval=0.0), clock=clock)
    sampling.tick()
    for _ in range(3):
        sampling.samplers[0].read()
    times = [data["time"] for data in stored(journal)]
    assert [data["temp"] for data in stored(journal)] == [1.0, 2.0, 3.0]
    assert len(set(times)) == 3


def test_what_a_busy_journal_cannot_take_is_kept(journal):
    """Telegrams wait in memory and go in, in order, when it can be written."""
    clock = VirtualClock()
    sampling = kit(journal, Scripted(), clock=clock)
    lock = sqlite3.connect(journal.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    intervals(sampling, clock, 2)
    assert stored(journal) == []
    lock.execute("ROLLBACK")
    lock.close()
    assert (sampling.save(), len(stored(journal))) == (True, 2)


def test_memory_is_bounded_and_what_is_lost_is_said(journal, monkeypatch, caplog):
    """A journal that stays unwritable for days does not end the process."""
    monkeypatch.setattr("mysense.sampling.outbox.KEPT", 3)
    clock = VirtualClock()
    sampling = kit(journal, Scripted(), clock=clock)
    monkeypatch.setattr(journal, "append", lambda *a, **k: (_ for _ in ()).throw(sqlite3.Error()))
    intervals(sampling, clock, 5)
    assert caplog.text.count("lost the telegram of") == 2


def test_run_in_threads(journal):
    """On the real clock, until stopped; the sensor is closed."""
    sensor = Scripted(sample=0.05, interval=1.0)
    sampling = kit(journal, sensor, clock=Clock())
    stop = threading.Event()
    threads = [threading.Thread(target=w.run, args=(stop,)) for w in sampling.workers()]
    for thread in threads:
        thread.start()
    time.sleep(2.5)
    stop.set()
    for thread in threads:
        thread.join(2)
    assert (len(stored(journal)), sensor.closed) == (2, 1)


def test_a_sensor_that_hangs_stops_nobody(journal):
    """The others go on; it is reported once, and its return."""
    hang = threading.Event()

    class Hanging(Scripted):
        patience = 0.3

        def read(self):
            hang.wait()
            return super().read()

    stuck = Hanging(section="stuck", fields=HUMIDITY, sample=0.05, interval=1.0)
    sampling = kit(journal, Scripted(sample=0.05, interval=1.0), stuck, clock=Clock())
    stop = threading.Event()
    threads = [threading.Thread(target=w.run, args=(stop,)) for w in sampling.workers()]
    for thread in threads:
        thread.start()
    time.sleep(2.4)
    found = [event[:2] for event in events(journal) if event[1] != "gap"]
    stop.set()
    hang.set()
    for thread in threads:
        thread.join(3)
    assert (len(stored(journal)), found) == (2, [("stuck", "hangs")])


def test_once_leaves_a_sensor_that_hangs_behind(journal):
    """The telegram has what the others gave, and it is told."""
    hang = threading.Event()

    class Hanging(Scripted):
        patience = 0.3

        def read(self):
            hang.wait()
            return {}

    stuck = Hanging(section="stuck", fields=HUMIDITY)
    telegram = kit(journal, stuck, Scripted(7.0), clock=Clock(), once=True).once()
    hang.set()
    assert (telegram.data["temp"], events(journal)[0][:2]) == (7.0, ("stuck", "hangs"))


def test_once_makes_one_telegram(journal):
    """At once, also when the first reading fails."""
    sampling = kit(journal, Scripted(Gone("not yet"), 7.0), once=True)
    for worker in sampling.workers():
        worker.run(threading.Event())
    assert (sampling.finished, [d["temp"] for d in stored(journal)]) == (True, [7.0])


def test_once_with_interval_reading(journal):
    """One telegram here, too."""
    sampling = kit(journal, Scripted(7.0, 8.0, interval=0.0), once=True)
    for worker in sampling.workers():
        worker.run(threading.Event())
    assert (sampling.finished, [d["temp"] for d in stored(journal)]) == (True, [7.0])


def test_settings_have_the_deployed_names():
    """`sample`, `interval`, `bufsize`, `fields`, `units`, `calibrations`, `raw`."""
    names = {"sample", "interval", "bufsize", "fields", "units", "calibrations", "raw"}
    assert names <= set(SensorSettings.__annotations__)
