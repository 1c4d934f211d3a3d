"""One sensor's worker: slots, accepted readings, and errors of every kind."""

from __future__ import annotations

import threading

import pytest

from mysense.plugin import Field, Finished, Gone, Misconfigured, Transient
from mysense.sampling.fields import channels
from mysense.sampling.sampler import Sampler
from tests.virtual import Scripted, VirtualClock


def sampler(*script, **settings):
    sensor = Scripted(*script, **settings)
    told = []
    made = Sampler(
        sensor, channels(sensor.fields, sensor.settings), lambda *e: told.append(e), VirtualClock()
    )
    made.told = told
    return made


def read(one, count):
    for _ in range(count):
        one.read()
    return one.take().values


def test_the_mean_of_what_was_read():
    """Rounded to the digits of the field, since the last time it was taken."""
    one = sampler(20.0, 21.0, 21.1)
    assert (read(one, 3), one.take().values) == ({"temp": 20.7}, {})


def test_outliers_are_fenced_out():
    """With the fences of the window, four readings or more."""
    assert read(sampler(*[20.0, 20.1, 20.2, 20.1, 20.0, 80.0]), 6) == {"temp": 20.1}


def test_bufsize_keeps_the_newest():
    """The window has so many readings at most."""
    assert read(sampler(1.0, 2.0, 3.0, 4.0, bufsize=2), 4) == {"temp": 3.5}


@pytest.mark.parametrize("value", [85.1, -41.0, float("nan"), float("inf")])
def test_out_of_range_is_left_out_and_flagged(value):
    """A reading that is not believed is not in the mean."""
    one = sampler(value, 20.0)
    one.read()
    one.read()
    taken = one.take()
    assert (taken.values, taken.flags) == ({"temp": 20.0}, {"temp": {"range"}})


def test_the_range_is_that_of_the_raw_reading():
    """A conversion does not change what is believed."""
    assert read(sampler(80.0, units=("F",)), 1) == {"temp": 176.0}


def test_fields_that_were_not_announced_are_left_out(caplog):
    """Only declared fields are measured."""
    assert read(sampler({"temp": 1.0, "other": 2.0}), 1) == {"temp": 1.0}
    assert "other" in caplog.text


def test_a_field_may_be_left_out_by_the_settings():
    """With a dash in its place."""
    fields = (Field("temp", "C", "x", 0, 50), Field("rh", "%", "x", 0, 100))
    one = sampler({"temp": 1.0, "rh": 50.0}, fields=fields)
    one.sensor.settings = type(one.sensor.settings)(fields=("-", "humidity"))
    made = Sampler(one.sensor, channels(fields, one.sensor.settings), print, VirtualClock())
    assert read(made, 1) == {"humidity": 50.0}


def test_transient_is_tried_at_the_next_slot():
    """The device stays open."""
    one = sampler(Transient("checksum"), 20.0)
    assert (read(one, 2), one.sensor.opened) == ({"temp": 20.0}, 1)


def test_three_transients_in_a_row_count_as_gone():
    """It is closed and opened anew."""
    one = sampler(*[Transient("checksum")] * 3, 20.0)
    assert (read(one, 4), one.sensor.opened, one.sensor.closed) == ({"temp": 20.0}, 2, 1)


def test_gone_closes_and_opens_again():
    """With a longer wait, a minute at most."""
    one = sampler(Gone("unplugged"), 20.0)
    pause = one.read()
    assert 0.05 <= pause <= 60.0
    assert (read(one, 1), one.sensor.opened, one.sensor.closed) == ({"temp": 20.0}, 2, 1)


@pytest.mark.parametrize(
    ("wrong", "kind", "level"),
    [(Misconfigured("no pin 99"), "stopped", "ERROR"), (Finished("end"), "finished", "INFO")],
)
def test_what_cannot_go_on_stops(wrong, kind, level, caplog):
    """And says why, once; the end of a recording is no error."""
    caplog.set_level("INFO")
    one = sampler(wrong)
    one.run(threading.Event())
    told = [("thermo", kind, str(wrong))]
    assert (one.told, [line.levelname for line in caplog.records]) == (told, [level])
    assert one.stopped == str(wrong)


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


@pytest.mark.parametrize(("seconds", "asked"), [(1.0, 3), (50.0, 1)])
def test_once_asks_again_but_not_who_was_silent_for_long(seconds, asked):
    """A disturbed reading is tried again; after a long silence somebody has waited enough."""
    one = sampler(*[Transient("no line")] * 9)
    clock, read = one._clock, one.sensor.read

    def slow():
        clock.now += seconds
        return read()

    one.sensor.read = slow
    one.once()
    assert 9 - len(one.sensor.script) == asked


def test_warm_up_is_flagged():
    """Values measured too early are sent, with a flag."""
    one = sampler()
    one.sensor.warm_up = 30.0
    one.read()
    early = one.take().flags
    one._clock.now += 31
    one.read()
    assert (early, one.take().flags) == ({"temp": {"warmup"}}, {})


def test_a_value_that_never_moves_is_flagged():
    """After two hours without the slightest change."""
    one = sampler()
    for _ in range(25):
        one.read()
        one._clock.now += 300
    assert one.take().flags == {"temp": {"stuck"}}


def test_a_missed_slot_is_skipped():
    """Readings keep to the grid of slots and are not bunched after a slow one."""
    times = []

    class Slow(Scripted):
        def read(self):
            times.append(clock.now - 1000)
            clock.now += 25 if len(times) == 2 else 1
            if len(times) == 4:
                stop.set()
            return super().read()

    clock, stop = VirtualClock(), threading.Event()
    sensor = Slow(sample=10.0)
    Sampler(sensor, channels(sensor.fields, sensor.settings), print, clock).run(stop)
    assert times == [0, 10, 40, 50]


@pytest.mark.parametrize("slow", [{"paced": True}, {"sample": 600.0}])
def test_a_slow_device_is_not_a_silent_one(slow):
    """What comes once an hour is missed when a reading fails, however many intervals pass."""
    paced = slow.pop("paced", False)
    one = sampler(1.0, Transient("no line for 7500 s"), **slow)
    one.sensor.paced = paced
    one.read()
    for _ in range(8):
        one.close_interval(empty=True)
    told_before = list(one.told)
    one.read()
    one.close_interval(empty=True)
    one.close_interval(empty=False)
    assert (told_before, one.told) == (
        [],
        [
            ("thermo", "silent", "nothing accepted in 9 intervals: no line for 7500 s"),
            ("thermo", "back", "measures again after 9 empty intervals"),
        ],
    )
