"""Users of InfluxDB 1.x and what they may do. A grant replaces the one before it."""

from __future__ import annotations

from functools import partial

from mysense.influx.http import ServerSettings
from mysense.influx.naming import quote_identifier as name_of
from mysense.influx.naming import quote_string
from mysense.options import Secret
from mysense.provision.errors import ProvisionError
from mysense.provision.influxql import InfluxQL
from mysense.provision.logins import Login, lets_in, settle
from mysense.provision.safe import Safe
from mysense.provision.steps import Steps
from mysense.provision.wanted import Access

_NOTHING = (False, False)
_RIGHTS = {"READ": (True, False), "WRITE": (False, True), "ALL PRIVILEGES": (True, True)}
_GRANTS = {(True, False): "READ", (False, True): "WRITE", (True, True): "ALL"}


class Users:
    """Who may read or write what; arguments as for One."""

    def __init__(
        self, server: InfluxQL, settings: ServerSettings, steps: Steps, safe: Safe, *, renew: bool
    ) -> None:
        self._server = server
        self._settings = settings
        self._steps = steps
        self._safe = safe
        self._renew = renew
        self._settled: set[str] = set()  # users that were looked at in this run

    def provide(self, database: str, access: Access) -> None:
        """The user, and what it may do with one database."""
        users = {row["user"]: bool(row["admin"]) for row in self._server.rows("SHOW USERS")}
        if access.name not in self._settled:
            self._user(access.name, there=access.name in users)
            self._settled.add(access.name)
        if users.get(access.name):
            title = f"{access.name} on {database}"
            self._steps.exists("grant", title, "everything, as an administrator")
            return
        self._grant(database, access, there=access.name in users or not self._steps.dry)

    def _user(self, name: str, *, there: bool) -> None:
        if not there:
            self._steps.create("user", name, lambda: self._new_user(name))
            return
        right = partial(lets_in, self._settings, name)
        login = Login("user", name, right, partial(self._set_password, name))
        settle(login, self._steps, self._safe, renew=self._renew)

    def _new_user(self, name: str) -> None:
        password = self._safe.password(name)
        text = f"CREATE USER {name_of(name)} WITH PASSWORD {quote_string(password.reveal())}"
        self._server.ask(text, password)

    def _set_password(self, name: str, password: Secret) -> None:
        text = f"SET PASSWORD FOR {name_of(name)} = {quote_string(password.reveal())}"
        self._server.ask(text, password)

    def _grant(self, database: str, access: Access, *, there: bool) -> None:
        """Never take away what somebody may do, never allow more than was asked for."""
        title = f"{access.name} on {database}"
        has = self._granted(database, access.name) if there else _NOTHING
        wants = (access.read, access.write)
        if has in (wants, (True, True)):
            more = "" if wants == has else ", and more than that"
            self._steps.exists("grant", title, f"{access}{more}")
            return
        if has != _NOTHING and wants != (True, True):
            raise ProvisionError(
                f"{access.name} may {'read' if has[0] else 'write'} {database} already, and "
                f"another grant would replace that; to let it do both, name it as --reader and "
                "as --writer"
            )
        text = f"GRANT {_GRANTS[wants]} ON {name_of(database)} TO {name_of(access.name)}"
        work = partial(self._server.ask, text)
        if has == _NOTHING:
            self._steps.create("grant", title, work, str(access))
        else:
            self._steps.change("grant", title, work, f"now {access}")

    def _granted(self, database: str, user: str) -> tuple[bool, bool]:
        rows = self._server.rows(f"SHOW GRANTS FOR {name_of(user)}")
        found = next((row["privilege"] for row in rows if row["database"] == database), "")
        return _RIGHTS.get(found, _NOTHING)
