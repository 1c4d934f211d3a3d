"""The configuration of a kit that was provided for, ready to paste."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from mysense.influx.layouts import Place
from mysense.provision.safe import Kept

_SAME = ("ssl", "verify_ssl", "ca_file", "layout", "database", "dialect")  # as they are given


@attrs.frozen(kw_only=True)
class Stanza:
    """Sections [id] and that of the output.

    Attributes:
        project: of the kit.
        serial: of the kit.
        section: of the output.
        settings: of that section, as the administrator has them.
        api: 1 or 2.
        place: where the kit's telegrams go.
        login: the secret that was made for the kit; None where it has one already.
        user: on 1.x, who logs in.
        dry: whether nothing was made.
    """

    project: str
    serial: str
    section: str
    settings: object
    api: int
    place: Place
    login: Kept | None
    user: str
    dry: bool = False

    def __str__(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from ("[id]", f"project = {self.project}", f"serial = {self.serial}", "")
        yield from (f"[{self.section}]", "output = true")
        yield from self._server()
        yield "create = false"  # who may only write may not create
        yield from self._secret()

    def _server(self) -> Iterator[str]:
        given = self.settings
        yield f"hostname = {getattr(given, 'hostname', '')}"
        yield f"port = {getattr(given, 'port', '')}"
        yield f"api = {self.api}"
        if self.api == 2 and getattr(given, "layout", "") != "org":
            yield f"org = {self.place.org}"
        if self.place.rp:
            yield f"rp = {self.place.rp}"
        of: Any = type(given)
        fields = {field.name: field for field in attrs.fields(of)}
        for name in filter(fields.get, _SAME):
            value = getattr(given, name)
            if value != fields[name].default:
                yield f"{name} = {str(value).lower() if isinstance(value, bool) else value}"

    def _secret(self) -> Iterator[str]:
        kind = "password" if self.api == 1 else "token"
        if self.api == 1:
            yield f"user = {self.user}"
        variable = f"{self.section}_{kind}".upper().replace(":", "_")
        if self.login is None and self.dry:
            yield f"; {kind}: made and shown, or written to a file, when this is done"
        elif self.login is None:
            yield f"; {kind}: as it was given out before; `--renew` makes another"
        elif self.login.file is None:
            yield "; shown this once; MySense.conf has to be of mode 600 with it"
            yield f"{kind} = {self.login.secret.reveal()}"
        else:
            yield f"; {kind}: copy the file, and start with {variable}_FILE={self.login.file}"
