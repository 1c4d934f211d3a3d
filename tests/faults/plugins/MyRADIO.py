"""Telegrams that come once, like those of a radio: what was given is never given again.

It writes down what it gives before it gives it, and that it was taken when it is asked for more:
an input is asked again only when the journal has committed what it gave before.
"""

import json
import os
import time
from pathlib import Path

import attrs

from mysense.options import option
from mysense.plugin import InputSettings, Subscriber
from mysense.telegram import Ident, Telegram


@attrs.frozen(kw_only=True)
class RadioSettings(InputSettings):
    project: str = option("p", "project of all kits")
    kits: int = option(3, "kits that take turns", low=1)
    witness: Path = option(Path("witness"), "what was given and taken")
    count: int = option(1000, "telegrams in all; 0 for ever", low=0)
    size: int = option(20, "telegrams at once, at most", low=1)
    rate: float = option(0.0, "telegrams a second; 0 as fast as they are taken", low=0)
    first: int = option(1_494_777_772, "time of the first telegram")
    step: int = option(1, "seconds from one telegram to the next", low=1)
    text: int = option(0, "characters of text in a telegram", low=0)
    over: bool = option(False, "gives nothing more")


class Radio(Subscriber[RadioSettings]):
    """A radio."""

    Settings = RadioSettings

    def open(self):
        options = self.settings
        self._number = self._begun = 0
        if options.witness.exists():
            for line in options.witness.read_bytes().splitlines(keepends=True):
                if line.startswith(b'{"given"') and line.endswith(b"}\n"):
                    self._number = json.loads(line)["given"]
        self._begun, self._since = self._number, time.monotonic()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._witness = os.open(options.witness, flags, 0o600)
        self._given = None

    def poll(self, position):
        if self._given is not None:
            self._note({"taken": self._given, "at": time.time()})
        first, end = self._number, self._end()
        numbers = range(first, end)
        self._given = end if numbers else None
        if not numbers:
            return [], {"next": first}
        batch = [self._telegram(number) for number in numbers]
        self._note({"given": end, "telegrams": [_plain(one) for one in batch]})
        self._number = end
        return batch, {"next": end}

    def _end(self):
        options = self.settings
        if options.over:
            return self._number
        end = self._number + options.size
        if options.rate:
            due = self._begun + int((time.monotonic() - self._since) * options.rate) + 1
            end = min(end, due)
            if end <= self._number:
                time.sleep(min(0.05, 1 / options.rate))
                due += 1
                end = self._number + 1
        return min(end, options.count) if options.count else end

    def _telegram(self, number):
        options = self.settings
        kit = number % options.kits
        village = f"v{number // 200 % 2}"
        ident = Ident(project=options.project, serial=f"k{kit}", label=f"l{kit}", village=village)
        data = {"time": options.first + number * options.step, "n": number, "temp": number / 7}
        if options.text:
            data["note"] = f"n{number}".ljust(options.text, "x")
        return Telegram.from_json(ident, data)

    def _note(self, what):
        os.write(self._witness, json.dumps(what).encode() + b"\n")


def _plain(telegram):
    return [telegram.kit, telegram.ident.label, dict(telegram.data)]


PLUGIN = Radio
