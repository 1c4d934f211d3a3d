"""`mysense demo`: a kit, a store, a server and outputs in one go, with a ledger at the end."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import attrs

from mysense.application import Application
from mysense.cli import FAILED
from mysense.cli.common import Parser, VerbError, say, seconds, set_up_logging
from mysense.engine import Engine
from mysense.journal import Journal
from mysense.journalview import View
from mysense.jsonlines import Reader
from mysense.loader import home
from mysense.replaying import Replay, ReplaySettings
from mysense.summary import OutputSummary, outputs
from mysense.telegram import Telegram

_SHOWN = 5


@attrs.frozen
class Stage:
    """What the demo runs on: the kit's output and the server's input, by section."""

    name: str
    publisher: str
    subscriber: str
    options: tuple[str, ...]


def main(words: list[str]) -> int:
    """Run the demo; returns the exit code."""
    args = _arguments(words)
    set_up_logging("warning")
    if args.folder is not None:
        args.folder.mkdir(parents=True, exist_ok=True)
        return _demo(args, args.folder)
    with tempfile.TemporaryDirectory(prefix="mysense-demo-") as folder:
        return _demo(args, Path(folder))


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser("demo", "A kit sends a day of telegrams, a server receives them.")
    parser.add_argument(
        "--influx",
        metavar="HOST:PORT",
        type=_address,
        help="over this InfluxDB instead of the embedded store",
    )
    parser.add_argument("--folder", type=Path, help="keep all files of the demo there")
    parser.add_argument("--file", type=Path, help="send this telegram file instead")
    parser.add_argument("--timeout", type=seconds, default=60.0, metavar="SECONDS")
    return parser.parse_args(words)


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port[:6]) < 65_536:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, found {text!r}")
    return host, port


def _stage(args: argparse.Namespace, folder: Path, kits: set[str]) -> Stage:
    options: tuple[str, ...]
    if args.influx is None:
        store = folder / "store.db"
        options = (f"sqlitepub.file={store}", f"sqlitesub.file={store}")
        return Stage(f"the embedded store {store}", "sqlitepub", "sqlitesub", options)
    host, port = args.influx
    options = (
        *(f"{s}.hostname={host}" for s in ("influxpub", "influxsub")),
        *(f"{s}.port={port}" for s in ("influxpub", "influxsub")),
        f"influxsub.databases={','.join(sorted(kits))}",
        "influxsub.update=1",  # the database may be made only now
    )
    return Stage(f"InfluxDB at {host}:{port}", "influxpub", "influxsub", options)


def _demo(args: argparse.Namespace, folder: Path) -> int:
    file = args.file or home() / "testdata" / "day.jsonl"
    made = _read(file)
    if not made:
        raise VerbError(f"{file}: no telegrams in it")
    stage = _stage(args, folder, {telegram.kit for telegram in made})
    target = folder / "received.jsonl"
    options = (*stage.options, f"jsonl.file={target}", f"csv.folder={folder / 'csv'}")
    application = Application.load(None, (*options, *args.overrides))
    say(f"kit     {file} -> journal -> {stage.publisher} -> {stage.name}")
    say(f"server  {stage.name} -> {stage.subscriber} -> journal -> jsonl, csv")
    began = time.monotonic()
    source = Replay(ReplaySettings(files=(file,)))
    kit = Engine(
        Journal(folder / "kit.db"),
        subscribers=[source],
        publishers=[application.output(stage.publisher)],
        once=True,
    )
    server = Engine(
        Journal(folder / "server.db"),
        subscribers=[application.subscriber(stage.subscriber)],
        publishers=[application.output(name) for name in ("jsonl", "csv")],
    )
    _run(kit, server, args.timeout)
    say(f"done in {time.monotonic() - began:.1f} s")
    received = _read(target) if target.exists() else []
    _show(application, received)
    good = _ledger(kit, server, made, received) and not source.bad
    return 0 if good else FAILED


def _run(kit: Engine, server: Engine, timeout: float) -> None:
    """Both at the same time, until the server has settled what the kit has delivered."""
    kit.stop_on_signals()
    server.start()
    finished = kit.run(timeout)
    server.stop_on_signals()
    delivered = sum(account.acknowledged for account in _accounts(kit))
    until = time.monotonic() + timeout
    while finished and time.monotonic() < until:
        if server.journal.head >= delivered and server.drained:
            break
        if server.stopping.wait(0.05):
            break
    server.stop()


def _accounts(engine: Engine) -> list[OutputSummary]:
    with View(engine.journal.path) as view:
        return outputs(view)


def _read(path: Path) -> list[Telegram]:
    with path.open("rb") as stream:
        return [item for item in Reader(stream, str(path)) if isinstance(item, Telegram)]


def _show(application: Application, received: list[Telegram]) -> None:
    """The first telegrams that arrived, as the console shows them."""
    lines = list(application.output("console").preview(received[:_SHOWN]))
    print("\n".join(lines))
    if len(received) > _SHOWN:
        print(f"... and {len(received) - _SHOWN} more")


def _ledger(kit: Engine, server: Engine, made: list[Telegram], received: list[Telegram]) -> bool:
    """Print what became of every telegram; lost is found by comparing them, not by counting.

    Returns:
        whether all arrived.
    """
    wanted, arrived = ({telegram.normal() for telegram in many} for many in (made, received))
    accounts = [*_accounts(kit), *_accounts(server)]
    waiting = sum(account.waiting + account.held for account in accounts)
    dead = sum(account.dead for account in accounts)
    lost = max(0, len(wanted - arrived) - waiting - dead)
    rows = {
        "made": len(wanted),
        "stored": sum(account.acknowledged for account in _accounts(kit)),
        "received": len(wanted & arrived),
        "waiting": waiting,
        "dead": dead,
        "lost": lost,
    }
    print()
    for name, count in rows.items():
        print(f"{name + ':':10} {count:6}")
    return not (lost or waiting or dead)
