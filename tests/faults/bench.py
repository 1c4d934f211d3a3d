"""What a row works with: kits, servers, and the comparison at the end."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.faults.kit import Kit
from tests.faults.ledger import Ledger, balance, in_influx, in_lines
from tests.influxd import Influxd


class Bench:
    """Everything a row needs; what it makes is gone when the row is over.

    Args:
        folder: an empty one.
        project: a name that nobody else uses on `influxd`.
        influxd: a server that rows share.
        stack: what is to be closed at the end goes here.
    """

    def __init__(self, folder: Path, project: str, influxd: Influxd, stack: ExitStack) -> None:
        self.folder, self.project, self.influxd, self.stack = folder, project, influxd, stack
        self.chance = random.Random(4)
        self._kits = 0

    def kit(
        self,
        output: Mapping[str, Mapping[str, object]],
        *,
        journal: Path | None = None,
        radio: Mapping[str, object] | None = None,
        **sections: Mapping[str, object],
    ) -> Kit:
        """A kit whose input is a radio; `output` is one or more sections, switched on here."""
        self._kits += 1
        on = {name: {"output": "true", **options} for name, options in output.items()}
        inputs = {"radio": {"project": self.project, **(radio or {})}}
        kit = Kit(self.folder / f"kit{self._kits}", {**inputs, **sections, **on}, journal)
        self.stack.callback(kit.close)
        return kit

    def to_influx(
        self, server: Influxd | None = None, **more: object
    ) -> dict[str, dict[str, object]]:
        """The section of an output to a server."""
        server = server or self.influxd
        section = {"hostname": server.host, "port": server.port, "timeout": "10"}
        return {"influxpub": section | more}

    def to_lines(self, **more: object) -> dict[str, dict[str, object]]:
        """The section of an output to a file of the row."""
        return {"jsonl": {"file": self.lines} | more}

    @property
    def lines(self) -> Path:
        """The file of `to_lines`."""
        return self.folder / "out.jsonl"

    def server(self, **options: Any) -> Influxd:
        """A server of its own."""
        return self.stack.enter_context(Influxd(**options))

    def ledger(
        self, kit: Kit, *, injected: int, server: Influxd | None = None, output: str = "influxpub"
    ) -> Ledger:
        """What a kit's radio gave, against what its output's destination has."""
        made, perhaps = kit.made()
        lines = output == "jsonl"
        stored = in_lines(self.lines) if lines else in_influx(server or self.influxd, self.project)
        account = kit.account(output)
        return balance(made, stored, account, injected=injected, perhaps=perhaps)

    def mended(self, kit: Kit, server: Influxd, *, injected: int) -> Ledger:
        """The same where the server's disk was full: then it forgets what it has acknowledged.

        influxd 1.6.7 goes on writing behind the entry that was cut off, and drops all of that when
        it is started again. `verify` must tell, and `backfill` bring it back.
        """
        if self.ledger(kit, injected=injected, server=server).lost:
            kit.verb("verify", code=1)
            kit.verb("backfill", "journal", "influxpub")
        return self.ledger(kit, injected=injected, server=server)

    @contextmanager
    def mounted(self, options: str, name: str = "disk") -> Iterator[Path]:
        """A file system in memory."""
        folder = self.folder / name
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    def disk(self, options: str, name: str = "disk") -> Path:
        """The same, until the end of the row."""
        return self.stack.enter_context(self.mounted(options, name))


def remount(folder: Path, options: str) -> None:
    """Change how a file system is mounted."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a file system up to `leave` bytes; returns the file that is to be removed."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as stream:
        for block in (65_536, 4_096):
            _fill(stream, block, folder, leave)
    return ballast


def _fill(stream: Any, block: int, folder: Path, leave: int) -> None:
    stat = os.statvfs(folder)
    while stat.f_bavail * stat.f_frsize - leave >= block:
        stream.write(b"x" * block)
        stat = os.statvfs(folder)
