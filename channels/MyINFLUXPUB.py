"""Telegrams into InfluxDB 1.x or 2.x: series `info` (ident) and `data`, as the layout says.

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

from mysense.influx.access import ServerSettings
from mysense.influx.checks import check_reach, check_writing
from mysense.influx.creating import Creator
from mysense.influx.dialects import CLASSIC, CLEAN, DIALECTS
from mysense.influx.http import Server
from mysense.influx.layouts import Layout
from mysense.influx.lines import Book, Encoder
from mysense.influx.naming import MAX_DATABASE
from mysense.influx.station import InfoMisfit
from mysense.influx.writer import Writer
from mysense.options import option
from mysense.plugin import Finding, Misconfigured, OutputSettings, Publisher
from mysense.points import Point, is_points
from mysense.telegram import NAME, Telegram

LONG = "520w"  # a kit's own database is small: one shard costs the least


def _duration(text: str) -> str | None:
    if re.fullmatch(r"|auto|INF|[1-9][0-9]*[hdw]", text):
        return None
    return "a number with h, d or w, as 520w, auto, or nothing for the server's own"


def _name(text: str) -> str | None:
    if NAME.fullmatch(text) and len(text) <= MAX_DATABASE:
        return None
    return "a letter or digit, then letters, digits, '_', '.' and '-'"


@attrs.frozen(kw_only=True)
class InfluxPubSettings(ServerSettings, OutputSettings):
    """Where the telegrams go, and in what form."""

    layout: Literal["kit", "shared", "org"] = option(
        "kit",
        "kit: a database or bucket for each; shared: one for all; org: an organisation for each "
        "project",
    )
    database: str = option("mysense", "the one database or bucket of layout shared", check=_name)
    dialect: Literal["classic", "clean"] | None = option(
        None,
        "classic: as deployed databases hold it; clean: correct line protocol; empty: classic "
        "with layout kit, clean with the others",
    )
    rp: str = option("", "retention policy to write to; empty: the database's default")
    create: bool = option(True, "create the database or bucket that is not there")
    shard: str = option(
        "auto",
        "SHARD DURATION of databases and buckets created; auto: 520w for that of a kit, which "
        "costs the least, the server's own for others; empty: the server's own",
        check=_duration,
    )
    protocol: Literal["line", "json"] = option(
        "line", "for configurations of other publishers: it is line protocol, whatever stands here"
    )

    def __attrs_post_init__(self) -> None:
        """Options that are good alone and not together. Raises ValueError."""
        if self.layout != "kit" and self.dialect == CLASSIC.name:
            raise ValueError(f"dialect = clean, or none, with layout = {self.layout}")
        if self.layout == "org" and self.api == "1":
            raise ValueError("api = 2 with layout = org: InfluxDB 1.x has no organisations")
        if self.layout == "org" and self.org:
            raise ValueError("no org with layout = org: there it is the project")
        if self.api == "2" and self.layout != "org" and not self.org:
            raise ValueError("an org with api = 2: InfluxDB 2.x needs one (others take any word)")

    @property
    def where(self) -> Layout:
        """Which kit's telegrams go where."""
        return Layout(name=self.layout, database=self.database, org=self.org, rp=self.rp)


class InfluxPub(Publisher[InfluxPubSettings]):
    """Publishes to one InfluxDB server, each kit in the database or bucket of its layout."""

    Settings = InfluxPubSettings
    accepts = frozenset({Telegram.kind, Point.kind})

    def __init__(self, settings: InfluxPubSettings, section: str = "") -> None:
        super().__init__(settings, section)
        self._server, self._beside = Server(settings), Server(settings)
        layout = settings.where
        usual = CLEAN if layout.tagged else CLASSIC
        dialect = DIALECTS[settings.dialect or usual.name]
        self._encoder = Encoder(dialect, tagged=layout.tagged)
        creator = self._creator() if settings.create else None
        self._writer = Writer(self._server, self._beside, self._encoder, layout, creator)
        self._shown: dict[str, Book] = {}  # what preview has shown

    def _creator(self) -> Creator:
        layout, shard = self.settings.layout, self.settings.shard
        if shard == "auto":
            shard = LONG if layout == "kit" else ""
        return Creator(server=self._server, shard=shard, orgs=layout == "org", log=self.log)

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
        if not batch:
            return
        if is_points(batch):
            self._writer.write_points(batch)
        else:
            self._writer.write(batch)

    def epoch(self) -> str | None:
        """When the server was started."""
        return self._server.started()

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """The lines that `publish` would post to a database without other types in it."""
        if not batch:
            return
        if is_points(batch):
            yield from (point.line() for point in batch)
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
            for finding in check_reach(server):
                good = good and finding.good
                yield finding
            if good:
                create, where = self.settings.create, self.settings.where
                yield from check_writing(server, where, create=create, kits=self.kits)
        finally:
            server.close()


PLUGIN = InfluxPub

if __name__ == "__main__":
    from mysense.standalone import main

    sys.exit(main(PLUGIN))
