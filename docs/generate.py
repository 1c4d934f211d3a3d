"""Fill what the code knows best into the pages: option tables and help texts.

    python docs/generate.py           write it
    python docs/generate.py --check   name the pages that are stale, exit 1 if there are any

Between these markers everything is replaced; the rest of a page is left alone:

    <!-- options -->           in docs/channels/csv.md: the options of the plugin csv
    <!-- options journal -->   anywhere: the options of the section [journal], or of a plugin
    <!-- help run -->          anywhere: what `mysense run --help` prints
    <!-- help -->              anywhere: what `mysense --help` prints
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

DOCS = Path(__file__).resolve().parent
PLUGIN_FOLDERS = ("channels", "sensors")
_BLOCK = re.compile(
    r"<!-- (?P<what>options|help)(?: (?P<name>[\w:-]+))? -->\n(?P<body>.*?)<!-- /(?P=what) -->",
    re.DOTALL,
)


def pages() -> Iterator[Path]:
    """Every page of the documentation."""
    yield from sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)


def filled(page: Path) -> str:
    """The text of `page` with everything between its markers as it should be."""

    def block(match: re.Match[str]) -> str:
        what, name = match["what"], match["name"]
        opening = f"<!-- {what}{f' {name}' if name else ''} -->"
        made = option_table(settings_of(name or page.stem)) if what == "options" else help_of(name)
        return f"{opening}\n{made}\n<!-- /{what} -->"

    return _BLOCK.sub(block, page.read_text(encoding="utf-8"))


def settings_of(section: str) -> type[Any]:
    """The settings class of a plugin, or of one of the core's own sections."""
    from mysense.application import IdSettings, JournalSettings, ProcessSettings
    from mysense.loader import Loader
    from mysense.provision.settings import ProvisionSettings

    core = {"process": ProcessSettings, "id": IdSettings, "journal": JournalSettings}
    core |= {"provision": ProvisionSettings}
    return core.get(section) or Loader().load(section).Settings


def option_table(settings: type[Any]) -> str:
    """The options of a settings class as a Markdown table."""
    rows = [
        f"| `{field.name}` | {_default(field.default)} | {_meaning(field)} |"
        for field in attrs.fields(attrs.resolve_types(settings))
    ]
    return "\n".join(["", "| option | default | meaning |", "|---|---|---|", *rows, ""])


def _default(value: Any) -> str:
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = str(int(value)) if value == int(value) else str(value)
    elif isinstance(value, tuple):
        text = ", ".join(map(str, value))
    elif isinstance(value, re.Pattern):
        text = value.pattern
    else:
        text = str(value) if value else ""  # nothing, an empty text, an empty secret
    return f"`{text}`".replace("|", "\\|") if text else ""


def _meaning(field: attrs.Attribute[Any]) -> str:
    from mysense.options import expectation

    text = str(field.metadata["help"])
    expected = expectation(field)
    told = set(re.findall(r"\w+", text))
    more = " from " in expected or expected.startswith(("one of", "a list", "a regular"))
    if more and not set(re.findall(r"\w+", expected.removeprefix("one of "))) - {"a"} <= told:
        text += f" ({expected})"
    return " ".join(text.replace("|", "\\|").split())


def verbs() -> list[str]:
    """The verbs that the command line knows."""
    from mysense.cli import VERBS

    return list(VERBS)


def help_of(verb: str | None) -> str:
    """The help of a verb, or of the whole command, as a block of text."""
    text = _captured(*((verb,) if verb else ()), "--help")
    return "```text\n" + "\n".join(map(str.rstrip, text.strip().splitlines())) + "\n```"


def _captured(*arguments: str) -> str:
    from mysense.cli import main

    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1"}
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        contextlib.suppress(SystemExit),
    ):
        main(list(arguments))
    return out.getvalue()


def stale(page: Path) -> bool:
    """Whether `page` differs from what it should be, spaces and line ends aside.

    Releases of Python break and abbreviate help texts differently: that is no difference.
    """
    return _plain(page.read_text(encoding="utf-8")) != _plain(filled(page))


def _plain(text: str) -> str:
    """Python 3.13 writes `-c, --config FILE` where 3.12 wrote `-c FILE, --config FILE`."""
    text = re.sub(r"(-\w) ([^\s,]+), (--[\w-]+ \2)", r"\1, \3", text)
    return " ".join(text.split())


def main(arguments: list[str]) -> int:
    """Write all pages, or with --check name those that are stale."""
    wrong = [page for page in pages() if stale(page)]
    if "--check" in arguments:
        for page in wrong:
            print(f"{page.relative_to(DOCS.parent)}: stale, run make docs-tables")
        return 1 if wrong else 0
    for page in wrong:
        page.write_text(filled(page), encoding="utf-8")
        print(page.relative_to(DOCS.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
