"""A process to kill: telegrams out of a counter, through an engine, into a shelf.

Arguments: FOLDER COUNT [hang]. Telegrams are decided by their number alone, so that a test knows
value by value what must arrive. With `hang` a second output never returns from publish.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from mysense.engine import Engine
from mysense.journal import Journal
from mysense.plugin import InputSettings, Subscriber
from tests.pipeline import Shelf, telegram


def numbered(number):
    """Telegram `number`: three kits in turn, an ident that changes now and then."""
    village = f"v{number // 50 % 2}"
    return telegram(number, "abc"[number % 3], village=village, temp=number / 7, note=f"n{number}")


class Counter(Subscriber[InputSettings]):
    """Telegrams 0 up to a count; the position is the next number."""

    Settings = InputSettings

    def __init__(self, count):
        super().__init__(InputSettings(input=True, interval=0.05), "counter")
        self.count = count

    def poll(self, position):
        start = position["next"] if position else 0
        end = min(start + 20, self.count)
        return [numbered(number) for number in range(start, end)], {"next": end}


class Hanging(Shelf):
    """Its publish never returns, and no interrupt helps."""

    def publish(self, batch):
        print("hangs", flush=True)
        threading.Event().wait()


def main(folder, count, hang=""):
    """Returns the exit code."""
    folder = Path(folder)
    logging.basicConfig()
    publishers = [Shelf(folder / "shelf.db", bufsize=10)]
    if hang:
        publishers.append(Hanging(folder / "hang.db", "hang"))
    journal = Journal(folder / "journal.db")
    engine = Engine(journal, subscribers=[Counter(int(count))], publishers=publishers, once=True)
    engine.stop_on_signals()
    print("up", flush=True)
    done = engine.run()
    if not engine.abandoned:
        journal.close()
    return 0 if done else 1
