"""Telegrams on the terminal, for a person to read: a line each, with units.

A kit is introduced when it is new or changed; repeated values are counted instead of shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import os
from typing import Literal

import attrs

from mysense.errors import MySenseError
from mysense.files.narrator import Narrator, Style
from mysense.files.stdout import Stdout
from mysense.options import option
from mysense.plugin import OutputSettings, Publisher
from mysense.telegram import Telegram

_COLOURS: dict[Style, str] = {"kit": "\x1b[1;36m", "data": "", "quiet": "\x1b[2m"}
_PLAIN = "\x1b[0m"


@attrs.frozen(kw_only=True)
class ConsoleSettings(OutputSettings):
    """How telegrams are shown."""

    zone: Literal["local", "utc"] = option("local", "whether times are shown as local or UTC")


class ConsolePublisher(Publisher[ConsoleSettings]):
    """Writes to stdout; in colour when that is a terminal and NO_COLOR is not set."""

    Settings = ConsoleSettings
    mixed = True

    def __init__(self, settings: ConsoleSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._stdout = Stdout()
        self._narrator = Narrator(settings.zone)

    def publish(self, batch: Sequence[Telegram]) -> None:
        """Show the telegrams."""
        narrator = self._narrator.copy()  # kept only when the lines went out
        self._show(narrator.tell(batch))
        self._narrator = narrator

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """The lines, without colour."""
        return (line for _, line in self._narrator.copy().tell(batch))

    def close(self) -> None:
        """Say how often values were repeated since they were last shown."""
        try:
            self._show(self._narrator.end())
        except MySenseError as wrong:
            self.log.warning("the count of repeats is lost: %s", wrong)

    def _show(self, lines: Iterator[tuple[Style, str]]) -> None:
        colour = self._stdout.terminal and "NO_COLOR" not in os.environ
        shown = (_coloured(style, line) if colour else line for style, line in lines)
        if text := "".join(f"{line}\n" for line in shown):
            self._stdout.write(text)


def _coloured(style: Style, line: str) -> str:
    return f"{_COLOURS[style]}{line}{_PLAIN}" if _COLOURS[style] else line


PLUGIN = ConsolePublisher

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
