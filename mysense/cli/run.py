"""`mysense run`: inputs to outputs until stopped."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from mysense import jsonlines
from mysense.application import Application
from mysense.cli import CONFIGURATION, FAILED
from mysense.cli.common import Parser, load, rarely_collect, say, seconds
from mysense.engine import Engine, Limits, stop_on_signals
from mysense.errors import JournalError
from mysense.journal import Journal
from mysense.metrics import served
from mysense.plugin import Misconfigured, Refusal
from mysense.sampling import Sampling
from mysense.waiting import Waiting


def main(words: list[str]) -> int:
    """Run with these arguments; returns the exit code."""
    args = _arguments(words)
    application = load(args)
    subscribers = application.subscribers()
    try:
        sampling = Sampling.of(application)
    except Misconfigured as wrong:
        say(f"{application.path}: {wrong}")
        return CONFIGURATION
    if not subscribers and sampling is None:
        say(
            f"{application.path}: no input is switched on; set `input = true` in the section of one"
        )
        return CONFIGURATION
    if args.test:
        return _test(application, sampling)
    publishers = application.outputs()
    if not publishers:
        say(f"{application.path}: no output is switched on; set `output = true` in its section")
        return CONFIGURATION
    settings, stopping = application.journal, threading.Event()
    stop_on_signals(stopping)
    journal = _opened(settings.path, stopping, sampling, once=args.once)
    if journal is None:
        return 0
    engine = Engine(
        journal,
        subscribers=subscribers,
        sampling=sampling,
        publishers=publishers,
        limits=Limits(settings.max_mb, settings.keep_days),
        stopping=stopping,
        once=args.once,
    )
    rarely_collect()
    say(f"journal {settings.path}")
    for text in engine.describe():
        say(text)
    with served(application.process.metrics, engine):
        done = engine.run(args.timeout if args.once else None)
    if not engine.abandoned:
        journal.close()
    return 0 if done else FAILED


def _opened(
    path: Path, stopping: threading.Event, sampling: Sampling | None, *, once: bool
) -> Journal | None:
    """The journal, when the disk lets it be opened; None where somebody did not wait for that."""
    try:
        return Journal(path, wait=None if once else Waiting(sampling, stopping))
    except JournalError:
        if not stopping.is_set():
            raise
    if sampling is not None and sampling.in_memory:
        say(f"{sampling.in_memory} telegrams that the journal could not take are lost")
    return None


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser("run", "Carry telegrams from the inputs to the outputs until stopped.")
    parser.add_argument(
        "--once",
        action="store_true",
        help="read every input until it has no more (a sensor: one telegram), deliver, and exit",
    )
    parser.add_argument(
        "--test",
        action="store_true",
        help="read every input once, print the telegrams as JSON Lines, send nothing",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="with --once: give up when nothing could be delivered for so long (60)",
    )
    return parser.parse_args(words)


def _test(application: Application, sampling: Sampling | None) -> int:
    if sampling is not None:
        telegram = sampling.once()
        if telegram is None:
            return FAILED
        if hold := sampling.trust and sampling.trust.look(0):
            say(f"the clock is not trusted, its time may be wrong: {hold.text}")
        print(jsonlines.line(telegram))
    for subscriber in application.subscribers():
        with subscriber:
            subscriber.open()
            for item in subscriber.poll(None)[0]:
                if isinstance(item, Refusal):
                    say(f"{item.where}: refused: {item.reason}")
                else:
                    print(jsonlines.line(item))
    return 0
