"""`mysense demo`: a kit, a store, a server and outputs in one go, with a ledger at the end."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import attrs

from mysense.application import Application
from mysense.cli import FAILED
from mysense.cli.common import Parser, VerbError, count, say, seconds, set_up_logging
from mysense.engine import Engine
from mysense.journal import Journal
from mysense.journal.summary import OutputSummary, outputs
from mysense.journal.view import View
from mysense.jsonlines import Reader
from mysense.replaying import Replay, ReplaySettings
from mysense.sampling import Sampling
from mysense.telegram import Telegram

_SHOWN = 5
_KIT = "demo_kit_1"
_SENSORS = ("bme280", "dht", "dylos")
_SIMULATED = (
    "id.project=demo",
    "id.serial=kit_1",
    "id.label=schoolyard",
    "id.geolocation=51.5255,5.9746,24",
    *(f"{sensor}.input=true" for sensor in _SENSORS),
    *(f"{sensor}.backend=sim" for sensor in _SENSORS),
    *(f"{sensor}.interval=1" for sensor in _SENSORS),
    *(f"{sensor}.sample={2.5 if sensor == 'dht' else 1}" for sensor in _SENSORS),
)


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
    parser = Parser("demo", "A kit measures and sends, a server receives; nothing gets lost.")
    parser.add_argument(
        "-n",
        dest="count",
        type=count,
        default=10,
        metavar="COUNT",
        help="telegrams that the kit with three simulated sensors makes, one a second (10)",
    )
    parser.add_argument(
        "--influx",
        metavar="HOST:PORT",
        type=_address,
        help="over this InfluxDB instead of the embedded store",
    )
    parser.add_argument("--folder", type=Path, help="keep all files of the demo there")
    parser.add_argument("--file", type=Path, help="the kit sends this telegram file instead")
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
    start = "beginning" if args.file else str(int(time.time()) - 2)
    options = (
        *(f"{s}.hostname={host}" for s in ("influxpub", "influxsub")),
        *(f"{s}.port={port}" for s in ("influxpub", "influxsub")),
        f"influxsub.databases={','.join(sorted(kits))}",
        f"influxsub.start={start}",
        "influxsub.update=1",  # the database may be made only now
    )
    return Stage(f"InfluxDB at {host}:{port}", "influxpub", "influxsub", options)


def _demo(args: argparse.Namespace, folder: Path) -> int:
    file = args.file
    if file is not None and not _read(file):
        raise VerbError(f"{file}: no telegrams in it")
    kits = {telegram.kit for telegram in _read(file)} if file else {_KIT}
    stage = _stage(args, folder, kits)
    target = folder / "received.jsonl"
    options = (*stage.options, f"jsonl.file={target}", f"csv.folder={folder / 'csv'}")
    application = Application.load(None, (*options, *_SIMULATED, *args.overrides))
    source = Replay(ReplaySettings(files=(file,))) if file else None
    kit = Engine(
        Journal(folder / "kit.db"),
        subscribers=[source] if source else [],
        sampling=None if source else _sampling(application, args.count),
        publishers=[application.output(stage.publisher)],
        once=True,
    )
    server = Engine(
        Journal(folder / "server.db"),
        subscribers=[application.subscriber(stage.subscriber)],
        publishers=[application.output(name) for name in ("jsonl", "csv")],
    )
    say(f"kit     {file or 'three simulated sensors'} -> journal -> {stage.publisher}")
    say(f"        over {stage.name}")
    say(f"server  {stage.subscriber} -> journal -> jsonl, csv")
    if source is None:
        say(f"the kit measures for {args.count} seconds ...")
    began = time.monotonic()
    _run(kit, server, args.timeout)
    say(f"done in {time.monotonic() - began:.1f} s\n")
    received = _read(target) if target.exists() else []
    _show(application, received)
    good = _ledger(kit, server, _made(kit), received) and not (source and source.bad)
    return 0 if good else FAILED


def _sampling(application: Application, count: int) -> Sampling | None:
    sampling = Sampling.of(application)
    if sampling is not None:
        sampling.limit = count
    return sampling


def _made(kit: Engine) -> list[Telegram]:
    with View(kit.journal.path) as view:
        return [row.telegram for row in view.rows(0, kit.journal.head, sys.maxsize)]


def _run(kit: Engine, server: Engine, timeout: float) -> None:
    """Both at the same time, until the server has settled what the kit has delivered."""
    kit.stop_on_signals()
    following = threading.Thread(target=_follow, args=(kit, server))
    following.start()
    finished = kit.run(timeout)
    following.join()
    server.stop_on_signals()
    delivered = sum(account.acknowledged for account in _accounts(kit))
    until = time.monotonic() + timeout
    while finished and time.monotonic() < until:
        if server.journal.head >= delivered and server.drained:
            break
        if server.stopping.wait(0.05):
            break
    server.stop()


def _follow(kit: Engine, server: Engine) -> None:
    """Start the server when there is something to read: store or database come with the first."""
    while not any(one.progress for one in kit.deliveries):
        if kit.stopping.wait(0.05):
            break
    if any(one.progress for one in kit.deliveries):
        server.start()


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
    for name, number in rows.items():
        print(f"{name + ':':10} {number:6}")
    return not (lost or waiting or dead)
