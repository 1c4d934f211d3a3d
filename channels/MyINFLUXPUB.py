"""Telegrams into InfluxDB 1.x: a database for each kit, series `info` (ident) and `data`.

Started as a file it sends telegram files to the server that MySense.conf names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__" and not __package__:  # started as a file of a checkout
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import re
from typing import Literal

import attrs

from mysense.influx.checks import check_reach, check_writing
from mysense.influx.dialects import DIALECTS
from mysense.influx.http import Server, ServerSettings
from mysense.influx.lines import Book, Encoder
from mysense.influx.station import InfoMisfit
from mysense.influx.writer import Policy, Writer
from mysense.options import option
from mysense.plugin import Finding, Misconfigured, OutputSettings, Publisher
from mysense.telegram import Telegram


def _duration(text: str) -> str | None:
    if re.fullmatch(r"|INF|[1-9][0-9]*[hdw]", text):
        return None
    return "a number with h, d or w, as 520w, or nothing for the server's own"


@attrs.frozen(kw_only=True)
class InfluxPubSettings(ServerSettings, OutputSettings):
    """Where the telegrams go, and in what form."""

    dialect: Literal["classic", "clean"] = option(
        "classic", "classic: as deployed databases hold it; clean: correct line protocol"
    )
    rp: str = option("", "retention policy to write to; empty: the database's default")
    create: bool = option(True, "create the database of a kit that has none")
    shard: str = option(
        "520w", "SHARD DURATION of databases created; long ones cost the least", check=_duration
    )


class InfluxPub(Publisher[InfluxPubSettings]):
    """Publishes to one InfluxDB server, each kit in the database `<project>_<serial>`."""

    Settings = InfluxPubSettings

    def __init__(self, settings: InfluxPubSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._server, self._beside = Server(settings), Server(settings)
        self._encoder = Encoder(DIALECTS[settings.dialect])
        policy = Policy(
            create=settings.create, shard=settings.shard, rp=settings.rp, user=settings.user
        )
        self._writer = Writer(self._server, self._beside, self._encoder, policy, self.log)
        self._shown: dict[str, Book] = {}  # what preview has shown

    def open(self, receipt: str | None) -> None:  # noqa: ARG002  # the server knows what it has
        """Get ready to send; whether the server is there shows with the first batch."""
        try:
            self._server.open()
            self._beside.open()
        except ImportError as wrong:
            raise Misconfigured(f"the package influxdb is missing ({wrong})") from wrong
        if self.settings.ssl and not self.settings.verify_ssl:
            self.log.warning("the server's certificate is not verified (verify_ssl = false)")

    def close(self) -> None:
        """Close the connections."""
        self._server.close()
        self._beside.close()

    def interrupt(self) -> None:
        """End a request that is on its way, from another thread."""
        self._server.interrupt()
        self._beside.interrupt()

    def publish(self, batch: Sequence[Telegram]) -> None:
        """Write `batch`, of one kit; returns when the server has stored it."""
        if batch:
            self._writer.write(batch)

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """The lines that `publish` would post to a database without other types in it."""
        if not batch:
            return
        kit = batch[0].kit
        try:
            encoded = self._encoder.encode(batch, self._shown.get(kit, Book()))
        except InfoMisfit as wrong:
            self.log.warning("%s: %s", kit, wrong)
            return
        self._shown[kit] = encoded.book
        for index, reason in encoded.refused.items():
            self.log.warning("%s at %d would be refused: %s", kit, batch[index].time, reason)
        if encoded.body:
            yield from encoded.body.decode().split("\n")

    def check(self) -> Iterator[Finding]:
        """Is the server there, does it let us in, may we write?"""
        server = Server(self.settings)
        good = True
        try:
            for finding in check_reach(server, self.settings.user):
                good = good and finding.good
                yield finding
            if good:
                yield from check_writing(server, create=self.settings.create)
        finally:
            server.close()


PLUGIN = InfluxPub

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
