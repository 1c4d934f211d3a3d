"""MySense.conf, environment and command line -> typed settings, every fault reported at once.

Precedence: command line (`-o section.key=value`), environment (`SECTION_KEY`), file, default.
The file is INI without interpolation. It is read here and not with configparser, which stops at
the first fault and forgets line numbers.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from mysense.errors import MySenseError
from mysense.options import Secret, expectation, structure
from mysense.telegram import short

_HEADER = re.compile(r"\[([^\]]*)(\]?)\s*(.*)")
_SECTION = re.compile(r"[a-z][a-z0-9_]*(:[a-z0-9][a-z0-9_.-]*)?")
_COMMENT_HINT = "a comment needs a line of its own"
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
        section = f"[{self.section}]" if self.section else ""
        parts = [self.where, f"{section} {self.key}".strip()]
        found = f", found {self.found}" if self.found else ""
        hint = f" ({self.hint})" if self.hint else ""
        return ": ".join(filter(None, parts)) + f": expected {self.expected}{found}{hint}"

    @property
    def line(self) -> int:
        """The line of the file, for sorting; what has none comes last."""
        number = self.where.rpartition(":")[2]
        return int(number) if number.isdecimal() else 2**31


class SettingsError(MySenseError, ValueError):
    """The settings have faults; `faults` has them all."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
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
        self._unusable: set[str] = set()  # sections that are no names: a fault already
        if path is not None:
            self._read(path)
        for text in overrides:
            self._override(text)

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections that the file or the command line names, in that order."""
        return tuple(name for name in self._sections if name not in self._unusable)

    def switched_on(self, name: str) -> bool:
        """Whether the environment has a switch (`CSV_OUTPUT`) of the plugin `name`."""
        switches = (_variable(name, "output"), _variable(name, "input"))
        return any(self._environ.get(switch) for switch in switches)

    def where(self, section: str) -> str:
        """Where `section` was named."""
        if section in self._sections:
            return self._headers.get(section, "command line")
        named = any(variable.startswith(_variable(section, "")) for variable in self._environ)
        return str(self.path or "command line") if not named else "environment"

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
            entry = self._entry(section, key, field)
            if entry is not None:
                self._structure(section, key, entry, field, values)
            elif field.default is attrs.NOTHING:
                self.fault(section, key, expectation(field), "nothing", "it has no default")
        try:
            return of(**values) if len(self.faults) == before else None
        except ValueError as wrong:  # options that are good alone and not together
            self.fault(section, "", str(wrong))
            return None

    def _structure(
        self, section: str, key: str, entry: Entry, field: Any, values: dict[str, Any]
    ) -> None:
        try:
            values[key] = structure(entry.text, field)
        except ValueError as wrong:
            shown = "***" if field.type is Secret else short(entry.text)
            hint = ""
            if "\n" in entry.text:
                hint = "a line that is indented deeper goes on with the option before it"
            elif re.search(r"\s[;#]", shown):
                hint = _COMMENT_HINT
            self.faults.append(Fault(entry.where, section, key, str(wrong), shown, hint))

    def _entry(self, section: str, key: str, field: Any) -> Entry | None:
        secret, by_file = field.type is Secret, field.metadata.get("by_file", False)
        given = self._sections.get(section, {}).get(key)
        variable = _variable(section, key)
        if given is not None and given.where == "command line":
            if not secret:
                return given
            self.fault(section, key, "a secret from a file or the environment", "it in a command")
            return None
        if text := self._environ.get(variable):
            return Entry(text, f"environment {variable}")
        found = self._from_file(section, key, secret=secret) if secret or by_file else None
        return found or (self._secret_in_conf(given) if secret else given)

    def _from_file(self, section: str, key: str, *, secret: bool) -> Entry | None:
        """`<SECTION>_PASSWORD_FILE`, then `$CREDENTIALS_DIRECTORY/<section>_password`."""
        variable = _variable(section, key)
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
            if secret and where.endswith("_FILE"):  # credentials are the service manager's business
                _warn_if_open(path, where)
            return Entry(path.read_text(encoding="utf-8").strip("\r\n"), where)
        except (OSError, UnicodeDecodeError) as wrong:
            reason = getattr(wrong, "strerror", None) or "not UTF-8 text"
            self.faults.append(Fault(where, section, key, "a readable file", f"{path}: {reason}"))
            return None

    def _secret_in_conf(self, given: Entry | None) -> Entry | None:
        if given is None or not given.text or self.path is None:
            return given
        _warn_if_open(self.path, given.where)
        return given

    def _override(self, text: str) -> None:
        parts = override_parts(text)
        if parts is None:  # what follows the = may be a secret
            found = short(text.partition("=")[0])
            self.faults.append(Fault("command line", "", "", "-o SECTION.KEY=VALUE", found))
            return
        section, key, value = parts
        if not is_section(section):
            self._refuse_section("command line", section)
        self._sections.setdefault(section, {})[key] = Entry(value, "command line")

    def _read(self, path: Path) -> None:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as wrong:
            fault = Fault(str(path), "", "", "a readable file", str(wrong.strerror))
            raise SettingsError([fault]) from wrong
        except UnicodeDecodeError as wrong:
            found = f"byte 0x{wrong.object[wrong.start]:02x} at {wrong.start}"
            fault = Fault(str(path), "", "", "UTF-8 text", found, "save the file as UTF-8")
            raise SettingsError([fault]) from wrong
        self._read_lines(path, text)

    def _read_lines(self, path: Path, text: str) -> None:
        section: str | None = None
        key, margin = "", 0
        for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
            where = f"{path.name}:{number}"
            stripped = line.strip()
            if not stripped or stripped[0] in "#;":
                continue
            indent = len(line) - len(line.lstrip())
            if match := _HEADER.match(stripped):
                section, key = match[1].strip().lower(), ""
                self._begin(section, where, match)
            elif section is not None and key and indent > margin:  # goes on where that ended
                before = self._sections[section][key]
                self._sections[section][key] = Entry(f"{before.text}\n{stripped}", before.where)
            else:
                key, margin = self._take(section, stripped, where), indent

    def _begin(self, section: str, where: str, header: re.Match[str]) -> None:
        if not header[2]:
            self.faults.append(Fault(where, section, "", "a ] after the section's name"))
        elif header[3]:
            found = short(header[3])
            self.faults.append(Fault(where, section, "", "nothing after ]", found, _COMMENT_HINT))
        elif section in self._headers:
            found = f"it again, first at {self._headers[section]}"
            self.faults.append(Fault(where, section, "", "each section once", found))
        if not is_section(section):
            self._refuse_section(where, section)
        self._headers.setdefault(section, where)
        self._sections.setdefault(section, {})

    def _refuse_section(self, where: str, section: str) -> None:
        if section not in self._unusable:
            self._unusable.add(section)
            hint = "letters, digits and '_', a second instance as [plugin:name]"
            self.faults.append(Fault(where, "", "", "a section's name", short(section), hint))

    def _take(self, section: str | None, line: str, where: str) -> str:
        match = re.match(r"([^=:]+?)\s*[=:]\s*(.*)", line)
        if match is None:
            expected = "'option = value', a [section] or a comment"
            word, *rest = line.split(maxsplit=1)
            found = short(word + " ..." if rest else word)  # the rest may be a secret
            self.faults.append(Fault(where, section or "", "", expected, found))
            return ""
        key = match[1].strip().lower()
        if section is None:
            self.faults.append(Fault(where, "", key, "a [section] before the first option"))
            return ""
        entries = self._sections[section]
        if key in entries:
            found = f"it again, first at {entries[key].where}"
            self.faults.append(Fault(where, section, key, "each option once", found))
            return key
        entries[key] = Entry(match[2].strip(), where)
        return key


def _warn_if_open(path: Path, where: str) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        said = "%s: others can read this file and the secret in it; chmod 600 %s"
        _log.warning(said, where, path)


def override_parts(text: str) -> tuple[str, str, str] | None:
    """Section, key and value of `section.key=value`; None where it is not of that form."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().lower().rpartition(".")
    return (section, key, value.strip()) if equals and dot and section and key else None


def is_section(name: str) -> bool:
    """Whether a section may be called so: a plugin, or `plugin:name` for a second one."""
    return _SECTION.fullmatch(name) is not None


def _variable(section: str, key: str) -> str:
    """The environment variable of an option."""
    return re.sub(r"[^A-Z0-9]", "_", f"{section}_{key}".upper())


def closest(name: str, known: Collection[str]) -> str:
    """A did-you-mean hint, or what is known where nothing comes close."""
    import difflib  # only those who err pay for it

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(known))
