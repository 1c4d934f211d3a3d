"""What `mysense provision` is asked for, carried out on a server of either version."""

from __future__ import annotations

from typing import Any

import attrs

from mysense.influx.answers import told_apart
from mysense.influx.http import Server, ServerSettings
from mysense.influx.layouts import Layout
from mysense.options import Secret
from mysense.provision.errors import ProvisionError
from mysense.provision.one import One
from mysense.provision.safe import Safe
from mysense.provision.settings import ProvisionSettings
from mysense.provision.steps import Steps
from mysense.provision.two import Two
from mysense.provision.wanted import Access, Wanted
from mysense.telegram import Ident

FIRST_USER = "admin"


@attrs.frozen(kw_only=True)
class Plan:
    """A server, the administrator, and how to go about it.

    Attributes:
        settings: of the section that names the server.
        admin: section [provision].
        steps: does and notes what is to be done.
        safe: where new secrets go.
        renew: whether secrets are replaced.
    """

    settings: Any
    admin: ProvisionSettings
    steps: Steps
    safe: Safe
    renew: bool = False

    @property
    def layout(self) -> Layout:
        """Which kit's telegrams go where; that of an output, else the plain one."""
        found = getattr(self.settings, "where", None)
        return found if isinstance(found, Layout) else Layout(org=self.settings.org)

    def access(self) -> ServerSettings:
        """How to reach the server as its administrator."""
        fields = attrs.fields(ServerSettings)
        given = {field.name: getattr(self.settings, field.name) for field in fields}
        if self.admin.user:
            given |= {"user": self.admin.user, "password": self.admin.password}
        if self.admin.token:
            given["token"] = self.admin.token
        return ServerSettings(**given)

    def api(self) -> int:
        """1 or 2, as the server says.

        Raises:
            ProvisionError: the settings say otherwise, or it is another server altogether.
            RetryLater: no answer.
        """
        server = Server(self.access())
        server.open()
        try:
            version = server.ping()
        finally:
            server.close()
        found = told_apart(version)
        if found is None or version.removeprefix("v").startswith("3."):
            named = f"version {version}" if version else "no version"
            raise ProvisionError(f"{server} names {named}; this can be done on 1.x and 2.x alone")
        if self.settings.api not in {"auto", str(found)}:
            raise ProvisionError(
                f"{server} is InfluxDB {version}, and api = {self.settings.api} here; set api = "
                f"{found}"
            )
        return found

    def set_up(self, api: int) -> None:
        """The first administrator of a new server; on 2.x with organisation, bucket and token."""
        name = self.admin.user or FIRST_USER
        if api == 1:
            one = self._one()
            try:
                one.set_up(name, self.admin.password)
            finally:
                one.close()
            return
        org = self.settings.org or "mysense"
        bucket = getattr(self.settings, "database", "mysense")
        two = self._two()
        try:
            two.set_up(name, self.admin.password, org, bucket, self.admin.token)
        finally:
            two.close()

    def provide(self, api: int, wanted: Wanted, people: People) -> None:
        """A database or bucket with all that hangs on it."""
        if api == 1:
            people.refuse_on_1x()
            self._refuse_org()
            one = self._one()
            try:
                one.provide(wanted)
            finally:
                one.close()
            return
        two = self._two()
        try:
            org = two.org(wanted.place.org)
            two.provide(org, wanted)
            for name in people.members:
                two.people.member(org, name)
            for key, value in people.secrets.items():
                two.people.secret(org, key, value)
        finally:
            two.close()

    def read_all(self, api: int, name: str, *, user_of_1x: bool) -> None:
        """Somebody who may read all kits: of the server on 1.x, of the organisation on 2.x."""
        access = Access(name, read=True)
        if api == 1:
            one = self._one()
            try:
                one.read_all(access, one.databases())
            finally:
                one.close()
            return
        two = self._two()
        try:
            two.read_all(two.org(self.settings.org), access, user_of_1x=user_of_1x)
        finally:
            two.close()

    def _refuse_org(self) -> None:
        if self.layout.name == "org":
            raise ProvisionError("InfluxDB 1.x has no organisations: layout = org needs 2.x")

    def _one(self) -> One:
        return One(self.access(), self.steps, self.safe, renew=self.renew)

    def _two(self) -> Two:
        return Two(self.access(), self.steps, self.safe, renew=self.renew)

    def ident(self, project: str, serial: str) -> Ident:
        """The kit that is provided for. Raises TelegramError where it cannot be one."""
        return Ident.from_json({"project": project, "serial": serial})


@attrs.frozen(kw_only=True)
class People:
    """Members of an organisation, and its secrets; 2.x has them alone."""

    members: tuple[str, ...] = ()
    secrets: dict[str, Secret] = attrs.field(factory=dict, repr=False)

    def refuse_on_1x(self) -> None:
        """Raise ProvisionError where there is any."""
        if self.members or self.secrets:
            raise ProvisionError("InfluxDB 1.x has no organisations: no --member and no --secret")
