"""Telegrams into a file of JSON Lines, which `mysense replay` reads again.

Every line is complete in itself. A file that is full is renamed, the oldest are removed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if (
    __name__ == "__main__" and not __package__
):  # started as a file: the checkout is the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import attrs

from mysense.files.durable import disk_faults
from mysense.files.lines import Lines
from mysense.files.rotating import Place, RotatingFile, Standing
from mysense.files.stdout import Stdout
from mysense.options import option
from mysense.plugin import OutputSettings, Publisher
from mysense.telegram import Telegram


@attrs.frozen(kw_only=True)
class JsonlSettings(OutputSettings):
    """Where the lines go, and how much of them is kept."""

    file: Path = option(Path("telegrams.jsonl"), "file to append to; - is stdout")
    max_mb: float = option(
        100.0, "size at which the file is renamed and a new one begun", low=0.001, unit="MB"
    )
    keep: int = option(10, "renamed files that are kept; 0 keeps all", low=0)


class JsonlPublisher(Publisher[JsonlSettings]):
    """Appends lines; the receipt is the place in the file after the last one."""

    Settings = JsonlSettings
    mixed = True

    def __init__(self, settings: JsonlSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._lines = Lines(identities=True)
        self._stdout = Stdout() if str(settings.file) == "-" else None
        max_bytes = int(settings.max_mb * 1_000_000)
        self._file = RotatingFile(settings.file, max_bytes, settings.keep, self.log)
        self._accepted: Place | None = None
        self._standing: Standing | None = None
        self._unsure = True  # whether lines may stand there that were never acknowledged

    def open(self, receipt: str | None) -> None:
        """Open and lock the file; see which lines after `receipt` stand there already."""
        if self._stdout is None:
            self._accepted = Place.from_receipt(receipt)
            with disk_faults(self.settings.file):
                self._file.open()
                self._look()

    def publish(self, batch: Sequence[Telegram]) -> str | None:
        """Append what does not stand there since a crash."""
        if self._stdout is not None:
            self._stdout.write("".join(f"{line}\n" for line in self._lines(batch)))
            return None
        with disk_faults(self.settings.file):
            if self._file.open() or self._unsure:  # somebody renamed it, or the last batch failed
                self._look()
            self._accepted = self._append([f"{line}\n".encode() for line in self._lines(batch)])
        return self._accepted.receipt()

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """The lines themselves."""
        return iter(self._lines(batch))

    def close(self) -> None:
        """Close the file and give up its lock."""
        self._forget_standing()
        self._file.close()

    def _append(self, lines: list[bytes]) -> Place:
        missing = self._missing(lines)
        if not missing and self._standing is not None:
            return self._standing.place
        self._unsure = True
        self._file.append(b"".join(missing))
        self._unsure = False
        return self._file.end

    def _missing(self, lines: list[bytes]) -> list[bytes]:
        """The lines from the first one on that does not stand there."""
        if self._standing is None:
            return lines
        for at, line in enumerate(lines):
            if not self._standing.meets(line):
                self._forget_standing()
                return lines[at:]
        return []

    def _look(self) -> None:
        self._forget_standing()
        self._standing = self._file.after(self._accepted)
        self._unsure = False

    def _forget_standing(self) -> None:
        if self._standing is not None:
            self._standing.close()
        self._standing = None


PLUGIN = JsonlPublisher

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
