"""Layouts: which database or bucket the telegrams of a kit go to, and what tells kits apart there.

| layout | 1.x database, 2.x bucket | organisation | kits are told apart by |
|---|---|---|---|
| `kit` | `<project>_<serial>` | one for all | the database |
| `shared` | one for all | one for all | the tags `project` and `serial` |
| `org` | `signals` | the project's name | the tags `project` and `serial` |
"""

from __future__ import annotations

from typing import Literal

import attrs

from mysense.influx.naming import database
from mysense.telegram import Ident

ORG_BUCKET = "signals"  # the one bucket of an organisation, in the layout `org`

Name = Literal["kit", "shared", "org"]


@attrs.frozen
class Place:
    """Where lines go.

    Attributes:
        database: of 1.x, with a retention policy of its own or the default one.
        org: organisation, of 2.x; empty where there is none.
        rp: retention policy; empty for the database's default.
    """

    database: str
    org: str = ""
    rp: str = ""

    @property
    def bucket(self) -> str:
        """The name of the bucket that stands for database and policy on 2.x."""
        return f"{self.database}/{self.rp}" if self.rp else self.database


@attrs.frozen(kw_only=True)
class Layout:
    """Where each kit's telegrams go.

    Attributes:
        name: see above.
        database: of all kits in the layout `shared`.
        org: of all kits but in the layout `org`.
        rp: retention policy to write to, or empty.
    """

    name: Name = "kit"
    database: str = ""
    org: str = ""
    rp: str = ""

    @property
    def tagged(self) -> bool:
        """Whether lines carry the tags `project` and `serial`, as kits share a database."""
        return self.name != "kit"

    def place(self, ident: Ident) -> Place:
        """Where the telegrams of `ident` go.

        Raises:
            NameRefused: nothing may be called so.
        """
        kit = database(ident.kit)
        if self.name == "org":
            return Place(ORG_BUCKET, ident.project, self.rp)
        return Place(self.database if self.name == "shared" else kit, self.org, self.rp)

    @property
    def points(self) -> Place | None:
        """Where points go, which are no kit's; None where they have no place."""
        if self.name == "org":
            return None
        return Place(self.database, self.org, self.rp)
