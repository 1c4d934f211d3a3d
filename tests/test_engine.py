"""The engine: threads, stopping, requests of others, and what a fault in one part leaves alone."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
import time
from contextlib import suppress

import pytest

from mysense.application import ProcessSettings
from mysense.engine import Engine, Limits
from mysense.journal import Journal
from mysense.journal.view import View, request
from mysense.plugin import Hold, Misconfigured, Refused, RetryLater
from mysense.sampling import Sampling
from mysense.telegram import Ident
from tests.pipeline import Feed, Shelf, account, counts, telegram
from tests.virtual import Scripted, VirtualClock


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def shelf(tmp_path, name="shelf", **more):
    return Shelf(tmp_path / f"{name}.db", name, **more)


def fill(journal, count, start=0, kit="a"):
    journal.append([telegram(at, kit) for at in range(start, start + count)])


def until(condition, seconds=3.0):
    """Wait for a condition; returns how long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.005)
    return time.monotonic() - start


class running:  # noqa: N801  # reads like a word: with running(engine)
    """An engine that runs in a thread of its own, as it does in a process."""

    def __init__(self, engine):
        self.engine = engine
        self.thread = threading.Thread(target=engine.run)

    def __enter__(self):
        self.thread.start()
        return self.engine

    def __exit__(self, *_):
        self.engine.stopping.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


class Hanging(Shelf):
    """An output whose publish never returns, until the test lets it."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.hangs, self.release = threading.Event(), threading.Event()

    def publish(self, batch):
        self.hangs.set()
        self.release.wait(20)
        return super().publish(batch)


# -- once ---------------------------------------------------------------------------------------


def test_once_carries_all_from_input_to_outputs(journal, tmp_path):
    """Two outputs, one input, and it ends by itself."""
    outputs = [shelf(tmp_path, "x"), shelf(tmp_path, "y", mixed=True)]
    feed = Feed([telegram(at, kit) for at in range(50) for kit in "ab"], size=7)
    engine = Engine(journal, subscribers=[feed], publishers=outputs, once=True)
    assert engine.run(10) is True
    assert [sorted(one.got) for one in outputs] == [
        sorted((kit, at) for at in range(50) for kit in "ab")
    ] * 2


def test_once_gives_up_when_nothing_is_delivered(journal, tmp_path, caplog):
    """After the time-out it says that not everything was done."""
    engine = Engine(
        journal,
        subscribers=[Feed([telegram(1)])],
        publishers=[shelf(tmp_path, rule=RetryLater("down"))],
        once=True,
    )
    start = time.monotonic()
    assert engine.run(0.5) is False
    assert time.monotonic() - start < 15
    assert "given up: nothing was delivered for 0.5 s" in caplog.text


def test_once_does_not_wait_for_an_output_that_is_stopped(journal, tmp_path):
    """Only a person can mend it; the other output has all that it was to get."""
    outputs = [shelf(tmp_path, "x", rule=Misconfigured("no folder")), shelf(tmp_path, "y")]
    engine = Engine(journal, subscribers=[Feed([telegram(1)])], publishers=outputs, once=True)
    start = time.monotonic()
    assert (engine.run(20), outputs[1].got) == (False, [("a", 1)])
    assert time.monotonic() - start < 10


def test_once_gives_up_on_an_input_that_fails(journal, tmp_path):
    """The time-out counts for it too."""
    feed = Feed([], faults=[RetryLater("down")] * 100)
    engine = Engine(journal, subscribers=[feed], publishers=[shelf(tmp_path)], once=True)
    assert engine.run(0.5) is False


def test_once_waits_for_a_slow_input(journal, tmp_path):
    """A replay at the speed of life has nothing to deliver for longer than the time-out."""
    feed = Feed([telegram(1), telegram(2)], size=1)
    poll = feed.poll

    def slow(position):
        time.sleep(0.7)
        return poll(position)

    feed.poll = slow
    engine = Engine(journal, subscribers=[feed], publishers=[shelf(tmp_path)], once=True)
    assert engine.run(0.3) is True


def test_once_ends_when_waiting_telegrams_were_given_up(journal, tmp_path):
    """A journal over its limit with an output that is down does not wait for what is gone."""
    fill(journal, 10)
    one = shelf(tmp_path)
    engine = Engine(journal, publishers=[one], limits=Limits(max_mb=0.0), once=True)
    assert engine.run(5) is True


def test_once_fails_where_nothing_was_measured(journal, tmp_path):
    """A kit without a right to its only sensor has not done what it was asked for."""
    done = []
    for script in (Misconfigured("no right"), 20.0):
        sensors = [Scripted(script)]
        kit = Sampling(Ident(project="p", serial="1"), sensors, ProcessSettings(), VirtualClock())
        engine = Engine(journal, sampling=kit, publishers=[shelf(tmp_path)], once=True)
        done.append(engine.run(10))
    assert done == [False, True]


# -- parts that fail leave others alone ---------------------------------------------------------


def test_an_output_that_hangs_slows_nobody(journal, tmp_path):
    """The other output goes on, and stop returns within two seconds."""
    hanging, good = Hanging(tmp_path / "h.db", "h"), shelf(tmp_path)
    fill(journal, 1)
    engine = Engine(journal, publishers=[hanging, good])
    engine.start()
    until(hanging.hangs.is_set)
    fill(journal, 1, start=1)
    until(lambda: len(good.got) == 2, 1.0)
    start = time.monotonic()
    engine.stop()
    took = time.monotonic() - start
    hanging.release.set()
    engine._threads[0].join(5)
    assert took < 2
    assert (engine.abandoned, hanging.interrupted, good.closed) == (True, 1, 1)


@pytest.mark.parametrize("fault", [Misconfigured("x"), ValueError("x"), Hold("x"), SystemExit()])
def test_an_output_that_fails_slows_nobody(journal, tmp_path, fault):
    """The other output has it all at once."""
    bad, good = shelf(tmp_path, "bad", rule=fault), shelf(tmp_path)
    with running(Engine(journal, publishers=[bad, good])):
        fill(journal, 5)
        assert until(lambda: len(good.got) == 5) < 1.0
        until(lambda: bad.batches)
    assert sum(counts(journal, "bad")[1:3]) == 5


def test_an_interrupt_that_fails_stops_all_the_same(journal, tmp_path):
    """A fault in one plugin does not keep the others from stopping."""
    bad, good = shelf(tmp_path, "bad"), shelf(tmp_path)
    bad.interrupt = lambda: 1 / 0
    engine = Engine(journal, publishers=[bad, good])
    engine.start()
    engine.stop()
    assert (good.interrupted, engine.abandoned) == (1, False)


def test_what_a_stop_interrupts_has_not_failed(journal, tmp_path, caplog):
    """Nothing is tried again, and no server is blamed in the status."""
    output, feed, fed = Hanging(tmp_path / "h.db"), Feed([]), threading.Event()

    def end(waited, began):
        began.set()
        waited.wait(20)
        raise RetryLater("interrupted")

    output.publish = lambda _batch: end(output.release, output.hangs)
    output.interrupt = feed.interrupt = output.release.set
    feed.poll = lambda _position: end(output.release, fed)
    fill(journal, 1)
    engine = Engine(journal, subscribers=[feed], publishers=[output])
    engine.start()
    until(lambda: output.hangs.is_set() and fed.is_set())
    engine.stop()
    assert (caplog.messages, account(journal).error) == ([], None)


def test_a_locked_journal_does_not_end_the_engine(journal, tmp_path):
    """Another program's transaction, longer than anybody waits: then it goes on by itself."""
    one = shelf(tmp_path)
    feed = Feed([telegram(at) for at in range(5)], size=1)
    poll, lock = feed.poll, []
    with running(Engine(journal, subscribers=[feed], publishers=[one])) as engine:
        until(lambda: len(one.got) == 5)
        request(journal.path, "pause", ["nobody"])
        lock.append(sqlite3.connect(journal.path, isolation_level=None))
        until(lambda: _locks(lock[0]))
        feed.telegrams.append(telegram(9))
        time.sleep(1.5)
        lock[0].execute("ROLLBACK")
        lock[0].close()
        until(lambda: ("a", 9) in one.got, 5)
        assert engine.stopping.is_set() is False
    assert poll is not None


def test_too_few_descriptors_do_not_end_the_engine(journal):
    """To tidy up it opens the journal for reading, too; that waits until there are some."""
    journal.append([telegram(at) for at in range(1000)])
    engine = Engine(journal, limits=Limits(max_mb=0.03))
    (soft, hard), taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        engine.tick()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    assert engine._failing.failures == 1


def _locks(db):
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def test_stops_in_time_while_the_journal_is_locked(journal, tmp_path):
    """Two seconds, also when every thread waits for the file."""
    one = shelf(tmp_path)
    engine = Engine(journal, publishers=[one])
    fill(journal, 1)
    lock = sqlite3.connect(journal.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=engine.run)
    thread.start()
    until(lambda: one.batches)
    time.sleep(0.3)
    start = time.monotonic()
    engine.stopping.set()
    thread.join(5)
    took = time.monotonic() - start
    lock.execute("ROLLBACK")
    lock.close()
    assert took < 2


# -- requests -----------------------------------------------------------------------------------


def test_pause_and_resume_are_obeyed_within_a_second(journal, tmp_path):
    """By a running engine, from another process's point of view."""
    one = shelf(tmp_path)
    with running(Engine(journal, publishers=[one])) as engine:
        until(lambda: one.opened)
        request(journal.path, "pause", ["shelf"])
        assert until(lambda: engine.deliveries[0]._paused) < 1.0
        fill(journal, 2)
        time.sleep(0.3)
        assert one.got == []
        request(journal.path, "resume", ["shelf"])
        assert until(lambda: len(one.got) == 2) < 1.0


def test_retry_is_obeyed_within_a_second(journal, tmp_path):
    """Dead letters of several kits arrive once the cause is mended."""

    def refuse(batch):
        raise Refused(dict.fromkeys(range(len(batch)), "bad"))

    one = shelf(tmp_path, rule=refuse)
    for kit in "abc":
        fill(journal, 2, kit=kit)
    with running(Engine(journal, publishers=[one])):
        until(lambda: counts(journal)[3] == 6)
        one.rule = None
        request(journal.path, "retry", ["shelf"])
        assert until(lambda: len(one.got) == 6) < 1.0
        until(lambda: counts(journal) == (6, 0, 0, 0, 0))


def test_requests_under_load_lose_no_order(journal, tmp_path):
    """Retries asked for all the time, from the engine's thread, while kits are held."""
    one = shelf(tmp_path, bufsize=5)
    one.rule = lambda batch: _hold_sometimes(one, batch)
    with running(Engine(journal, publishers=[one])):
        for start in range(0, 200, 10):
            for kit in "ab":
                fill(journal, 10, start, kit)
            request(journal.path, "retry", ["shelf"])
            time.sleep(0.05)
        one.rule = None
        request(journal.path, "retry", ["shelf"])
        until(lambda: counts(journal) == (400, 0, 0, 0, 0), 10)
    for kit in "ab":
        assert [at for serial, at in one.got if serial == kit] == list(range(200))


def _hold_sometimes(one, batch):
    if len(one.batches) % 3 == 0:
        raise Hold("now and then")


# -- limits -------------------------------------------------------------------------------------


def test_the_journal_is_kept_within_its_limit(journal, tmp_path):
    """The first look is at the start, not a minute later."""
    journal.append([telegram(at, text="x" * 400) for at in range(5000)])
    one = shelf(tmp_path)

    def kept():
        with View(journal.path) as view:
            return len(view.rows(0, 10**6, 10**9))

    with running(Engine(journal, publishers=[one], limits=Limits(max_mb=0.5))):
        until(lambda: kept() < 2000)
        until(lambda: sum(counts(journal)) == 5000 and not counts(journal)[1])
    # all others are in a recorded gap; some of them arrived all the same, being under way
    assert len(one.got) >= counts(journal)[0]


def test_reading_waits_while_outputs_are_down_and_the_journal_is_full(journal, tmp_path):
    """Nothing is given up that the source could have kept; then all arrives."""
    one = shelf(tmp_path, rule=RetryLater("down", after=1))
    many = [telegram(at, text="x" * 400) for at in range(20_000)]
    feed = Feed(many, size=500)
    poll = feed.poll
    feed.poll = lambda position: (time.sleep(0.05), poll(position))[
        1
    ]  # slower than the engine looks
    engine = Engine(journal, subscribers=[feed], publishers=[one], limits=Limits(max_mb=8.0))
    with running(engine):
        until(lambda: journal.full, 8)
        one.rule = None
        until(lambda: len(one.got) == 20_000, 30)
    assert counts(journal) == (20_000, 0, 0, 0, 0)


# -- idle ---------------------------------------------------------------------------------------


def test_an_idle_engine_costs_next_to_nothing(journal, tmp_path):
    """With outputs that are idle, failing, paused and stopped: below a twentieth of a core."""
    fill(journal, 5)
    outputs = [
        shelf(tmp_path, "idle"),
        shelf(tmp_path, "failing", rule=RetryLater("down")),
        shelf(tmp_path, "stopped", rule=Misconfigured("no")),
        shelf(tmp_path, "held", rule=Hold("no")),
        shelf(tmp_path, "waiting", flush=60),
        shelf(tmp_path, "paused"),
    ]
    journal.register("paused")
    request(journal.path, "pause", ["paused"])
    with running(Engine(journal, publishers=outputs)):
        until(lambda: len(outputs[0].got) == 5)
        time.sleep(0.5)
        before = _cpu()
        time.sleep(2.0)
        used = _cpu() - before
    assert account(journal, "paused").paused
    assert used < 0.1


def _cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
