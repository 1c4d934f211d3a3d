"""New passwords and tokens: into files that only their owner reads, or shown once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import attrs

from mysense.options import Secret
from mysense.provision.errors import ProvisionError

Kind = Literal["password", "token"]


@attrs.frozen
class Kept:
    """A secret that was made.

    Attributes:
        of: whose it is.
        kind: password or token.
        secret: itself.
        file: where it is kept; None where it has to be shown.
    """

    of: str
    kind: Kind
    secret: Secret
    file: Path | None = None


class Safe:
    """Where new secrets go.

    Args:
        folder: for a file of mode 600 for each, `<whose>.password` or `.token`; None: they are
            kept here, for `made` to tell.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.made: list[Kept] = []

    def file(self, of: str, kind: Kind) -> Path | None:
        """The file of a secret, whether it is there or not."""
        return self.folder / f"{quote(of, safe='')}.{kind}" if self.folder else None

    def found(self, of: str, kind: Kind) -> Secret | None:
        """A secret that is in its file already: from an earlier run, or put there by its owner.

        Raises:
            ProvisionError: the file cannot be read, or holds nothing.
        """
        path = self.file(of, kind)
        if path is None or not path.exists():
            return None
        try:
            text = path.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as wrong:
            raise ProvisionError(f"{path} cannot be read as a {kind}: {wrong}") from None
        if not text:
            raise ProvisionError(f"{path} is empty; remove it, or write the {kind} of {of} into it")
        path.chmod(0o600)
        return Secret(text)

    def kept(self, of: str, kind: Kind) -> Kept | None:
        """What was made in this run, or is in its file; None where nobody here has it."""
        for made in self.made:
            if (made.of, made.kind) == (of, kind):
                return made
        found = self.found(of, kind)
        return Kept(of, kind, found, self.file(of, kind)) if found is not None else None

    def password(self, of: str) -> Secret:
        """The password of `of`, in its file before any server hears of it."""
        found = self.found(of, "password")
        if found is not None:
            self.made.append(Kept(of, "password", found, self.file(of, "password")))
            return found
        return self.keep(of, "password", Secret(secrets.token_urlsafe(24)))

    def token(self, of: str) -> Secret:
        """A token of our own making, for a server that takes one; as `password`."""
        found = self.found(of, "token")
        if found is not None:
            self.made.append(Kept(of, "token", found, self.file(of, "token")))
            return found
        return self.keep(of, "token", Secret(secrets.token_urlsafe(48)))

    def keep(self, of: str, kind: Kind, secret: Secret) -> Secret:
        """Keep `secret`; in a file it is safe when this returns, and replaces the one before."""
        path = self.file(of, kind)
        if path is not None:
            _write(path, secret.reveal())
        self.made.append(Kept(of, kind, secret, path))
        return secret

    def forget(self, of: str, kind: Kind) -> None:
        """Take the file of a secret away that is to be made anew."""
        path = self.file(of, kind)
        if path is not None:
            path.unlink(missing_ok=True)


def long_enough(password: Secret) -> Secret:
    """`password` where InfluxDB 2.x would take it; what it says of others shows parts of them.

    Raises:
        ProvisionError: it is too short or too long.
    """
    low, high = 8, 72
    if not low <= len(password.reveal().encode()) <= high:
        raise ProvisionError(
            f"a password of InfluxDB 2.x has {low} to {high} bytes; choose another"
        )
    return password


def _write(path: Path, text: str) -> None:
    """All or nothing, with mode 600 from the first moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:  # noqa: PTH123  # of a descriptor
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
