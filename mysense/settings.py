"""MySense.conf, environment and command line -> typed settings, every fault reported at once.

Precedence: command line (`-o section.key=value`), environment (`SECTION_KEY`), file, default.
The file is INI without interpolation. It is read here and not with configparser, which stops at
the first fault and forgets line numbers.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from mysense.errors import MySenseError
from mysense.options import Secret, structure
from mysense.telegram import short

_HEADER = re.compile(r"\[([^\]]*)\]\s*$")
_SECTION = re.compile(r"[a-z][a-z0-9_]*(:[a-z0-9][a-z0-9_.-]*)?")
_log = logging.getLogger("mysense.settings")


@attrs.frozen
class Fault:
    """One thing wrong with the settings: where, what was expected, what was found, a hint."""

    where: str
    section: str
    key: str
    expected: str
    found: str = ""
    hint: str = ""

    def __str__(self) -> str:
        name = f"[{self.section}]" + (f" {self.key}" if self.key else "")
        found = f", found {self.found}" if self.found else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.where}: {name}: expected {self.expected}{found}{hint}"


class SettingsError(MySenseError, ValueError):
    """The settings have faults; `faults` has them all."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@attrs.frozen
class Entry:
    """The text given for one option, and where it was given."""

    text: str
    where: str


class Source:
    """All texts given for options, by section and key, and the faults found so far."""

    def __init__(
        self,
        path: Path | None = None,
        overrides: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self._environ = os.environ if environ is None else environ
        self._sections: dict[str, dict[str, Entry]] = {}
        self._headers: dict[str, str] = {}  # section -> where it begins
        if path is not None:
            self._read(path)
        for text in overrides:
            self._override(text)

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections that the file or the command line names, in that order."""
        return tuple(self._sections)

    def where(self, section: str) -> str:
        """Where `section` was named."""
        return self._headers.get(section, "command line")

    def fault(self, section: str, key: str, expected: str, found: str = "", hint: str = "") -> None:
        """Note a fault of an option that was given, or of its section."""
        entry = self._sections.get(section, {}).get(key)
        where = entry.where if entry else self.where(section)
        self.faults.append(Fault(where, section, key, expected, found, hint))

    def finish(self) -> None:
        """Raise SettingsError when any fault was found."""
        if self.faults:
            raise SettingsError(self.faults)

    def structure(self, section: str, of: type[Any]) -> Any:
        """The settings of `section` as an instance of the attrs class `of`.

        Returns None when there are faults; they are kept for `finish`.
        """
        fields = {field.name: field for field in attrs.fields(attrs.resolve_types(of))}
        before = len(self.faults)
        values: dict[str, Any] = {}
        for key in self._sections.get(section, {}):
            if key not in fields:
                self.fault(section, key, "a known option", short(key), closest(key, fields))
        for key, field in fields.items():
            entry = self._entry(section, key, secret=field.type is Secret)
            if entry is None:
                continue
            try:
                values[key] = structure(entry.text, field)
            except ValueError as wrong:
                shown = "***" if field.type is Secret else short(entry.text)
                hint = "a comment needs a line of its own" if re.search(r"\s[;#]", shown) else ""
                self.faults.append(Fault(entry.where, section, key, str(wrong), shown, hint))
        return of(**values) if len(self.faults) == before else None

    def _entry(self, section: str, key: str, *, secret: bool) -> Entry | None:
        given = self._sections.get(section, {}).get(key)
        variable = re.sub(r"[^A-Z0-9]", "_", f"{section}_{key}".upper())
        if given is not None and given.where == "command line":
            if not secret:
                return given
            self.fault(section, key, "a secret from a file or the environment", "it in a command")
            return None
        if text := self._environ.get(variable):
            return Entry(text, f"environment {variable}")
        if secret:
            return self._secret_file(section, key, variable) or self._secret_in_conf(given)
        return given

    def _secret_file(self, section: str, key: str, variable: str) -> Entry | None:
        """`<SECTION>_PASSWORD_FILE`, then `$CREDENTIALS_DIRECTORY/<section>_password`."""
        named = self._environ.get(f"{variable}_FILE")
        path = Path(named) if named else None
        where = f"environment {variable}_FILE"
        if path is None and (folder := self._environ.get("CREDENTIALS_DIRECTORY")):
            where = "environment CREDENTIALS_DIRECTORY"
            path = Path(folder, variable.lower())
            if not path.exists():
                return None
        if path is None:
            return None
        try:
            return Entry(path.read_text(encoding="utf-8").strip("\r\n"), where)
        except (OSError, UnicodeDecodeError) as wrong:
            reason = getattr(wrong, "strerror", None) or "not UTF-8 text"
            self.faults.append(Fault(where, section, key, "a readable file", f"{path}: {reason}"))
            return None

    def _secret_in_conf(self, given: Entry | None) -> Entry | None:
        if given is None or not given.text or self.path is None:
            return given
        if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            _log.warning(
                "%s: others can read this file and the secret in it; chmod 600 %s",
                given.where,
                self.path,
            )
        return given

    def _override(self, text: str) -> None:
        name, equals, value = text.partition("=")
        section, dot, key = name.strip().rpartition(".")
        if not (equals and dot and section and key):
            expected = "-o SECTION.KEY=VALUE"
            self.faults.append(Fault("command line", section or "?", key, expected, short(text)))
            return
        section, key = section.lower(), key.lower()
        self._sections.setdefault(section, {})[key] = Entry(value.strip(), "command line")

    def _read(self, path: Path) -> None:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as wrong:
            raise SettingsError(
                [Fault(str(path), "?", "", "a readable file", str(wrong.strerror))]
            ) from wrong
        except UnicodeDecodeError as wrong:
            found = f"byte 0x{wrong.object[wrong.start]:02x} at {wrong.start}"
            raise SettingsError(
                [Fault(str(path), "?", "", "UTF-8 text", found, "save the file as UTF-8")]
            ) from wrong
        section = key = ""
        for number, line in enumerate(text.splitlines(), 1):
            where = f"{path.name}:{number}"
            stripped = line.strip()
            if not stripped or stripped[0] in "#;":
                continue
            if match := _HEADER.match(stripped):
                section, key = match[1].strip().lower(), ""
                self._begin(section, where)
            elif line[0].isspace() and key:  # goes on where the option before it ended
                before = self._sections[section][key]
                self._sections[section][key] = Entry(f"{before.text}\n{stripped}", before.where)
            else:
                key = self._take(section, stripped, where)

    def _begin(self, section: str, where: str) -> None:
        if section in self._headers:
            found = f"it again, first at {self._headers[section]}"
            self.faults.append(Fault(where, section, "", "each section once", found))
        elif not _SECTION.fullmatch(section):
            hint = "letters, digits and '_', a second instance as [plugin:name]"
            self.faults.append(Fault(where, section, "", "a section name", short(section), hint))
        self._headers.setdefault(section, where)
        self._sections.setdefault(section, {})

    def _take(self, section: str, line: str, where: str) -> str:
        match = re.match(r"([^=:]+?)\s*[=:]\s*(.*)", line)
        if match is None:
            expected = "'option = value', a [section] or a comment"
            self.faults.append(Fault(where, section or "?", "", expected, short(line)))
            return ""
        key = match[1].strip().lower()
        if not section:
            self.faults.append(Fault(where, "?", key, "a [section] before the first option"))
            return ""
        entries = self._sections[section]
        if key in entries:
            found = f"it again, first at {entries[key].where}"
            self.faults.append(Fault(where, section, key, "each option once", found))
            return key
        entries[key] = Entry(match[2].strip(), where)
        return key


def closest(name: str, known: Collection[str]) -> str:
    """A did-you-mean hint, or what is known where nothing comes close."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(known))
