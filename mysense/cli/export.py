"""`mysense export`: a kit's data from the embedded store, to stdout or a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mysense import jsonlines
from mysense.cli.common import Parser, VerbError, load
from mysense.files import table
from mysense.plugin import RetryLater
from mysense.settings import closest
from mysense.store import default_file
from mysense.store.reader import Reader
from mysense.telegram import MAX_WHOLE, Telegram
from mysense.text import moment


def main(words: list[str]) -> int:
    """Print what was asked for; returns the exit code."""
    args = _arguments(words)
    path = args.store or load(args).section("sqlitepub").settings.file or default_file()
    try:
        reader = Reader(path)
    except RetryLater as wrong:
        raise VerbError(f"{wrong}; the output sqlitepub makes one") from wrong
    with closing(reader):
        lines = _lines(reader, args)
        if args.file is None:
            sys.stdout.writelines(f"{line}\n" for line in lines)
        else:
            with args.file.open("w", encoding="utf-8", newline="") as stream:
                stream.writelines(f"{line}\n" for line in lines)
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser("export", "A kit's data from the embedded store; without KIT, list the kits.")
    parser.add_argument("kit", metavar="KIT", nargs="?", help="PROJECT_SERIAL")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="default: csv")
    bounds = (("from", "start", 0, "first moment"), ("to", "end", MAX_WHOLE, "moment after it"))
    for flag, dest, default, text in bounds:
        about = f"{text}: 2026-01-31, 2026-01-31T12:00 or Unix seconds; UTC"
        parser.add_argument(
            f"--{flag}", dest=dest, type=_moment, default=default, metavar="TIME", help=about
        )
    parser.add_argument("--file", type=Path, help="write there, not to stdout")
    parser.add_argument("--store", type=Path, help="read this store, not the configured one")
    return parser.parse_args(words)


def _moment(text: str) -> int:
    try:
        return moment(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(
            f"expected 2026-01-31, 2026-01-31T12:00 or Unix seconds, found {text!r}"
        ) from wrong


def _lines(reader: Reader, args: argparse.Namespace) -> Iterator[str]:
    kits = reader.kits()
    if args.kit is None:
        yield from kits
        return
    if args.kit not in kits:
        raise VerbError(f"{reader.path} has no kit {args.kit} ({closest(args.kit, kits)})")
    telegrams = reader.read(args.kit, args.start, args.end)
    if args.format == "jsonl":
        yield from jsonlines.write(telegrams, identities=True)
    else:
        yield from _table(reader.fields(args.kit), telegrams)


def _table(fields: list[tuple[str, str]], telegrams: Iterator[Telegram]) -> Iterator[str]:
    """One table with a column for every field that the kit ever sent."""
    names = {pair: table.header_cell(*pair) for pair in fields}
    header = (*table.FIRST, *dict.fromkeys(names.values()))
    yield table.encode(header)
    for telegram in telegrams:
        present = [name for name, value in telegram.data.items() if value is not None]
        cells = {name: names.get((name, telegram.ident.unit(name)), "") for name in present}
        yield table.row(telegram, cells, header)
