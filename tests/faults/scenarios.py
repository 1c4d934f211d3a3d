"""Long stories, each a promise of docs/reliability.md at its hardest."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from tests.faults import needs
from tests.faults.bench import Bench, fill
from tests.faults.kill import kill_somewhere
from tests.faults.kit import Kit, until
from tests.faults.ledger import Account, Ledger, balance, in_lines
from tests.faults.proxy import Proxy
from tests.faults.rows import row
from tests.faults.server import on_a_small_disk
from tests.influxd import Influxd

WEEK = 7 * 86_400


def _killed(bench: Bench, times: int, *, fills: bool) -> tuple[Kit, Influxd]:
    server, folder = on_a_small_disk(bench, "60m")
    kit = bench.kit(bench.to_influx(server), radio={"count": 0, "rate": 300, "size": 7})
    for turn in range(times):
        _misfortune(turn % 20, server, folder, fills=fills)
        kill_somewhere(bench, kit, begins=turn % 4 == 3)
    _misfortune(19, server, folder, fills=fills)
    kit.finish()
    return kit, server


def _misfortune(turn: int, server: Influxd, folder: Path, *, fills: bool) -> None:
    """What happens to the server in this turn of twenty."""
    if turn in {3, 9, 14}:
        server.kill()
    elif turn == 6 and fills:
        fill(folder)
    elif turn in {4, 11, 16, 19}:
        (folder / "ballast").unlink(missing_ok=True)
        with suppress(AssertionError):  # it runs already
            server.start()


@row("killed 200 times, server too", needs.mounting, whole={"times": 200})
def killed200(bench: Bench, times: int) -> Ledger:
    """Killed -9, again and again, while InfluxDB is killed and restarted."""
    kit, server = _killed(bench, times, fills=False)
    return bench.ledger(kit, injected=times, server=server)


@row("killed 200 times, server's disk full", needs.mounting, whole={"times": 200})
def killed200full(bench: Bench, times: int) -> Ledger:
    """The same, its disk filled too. What it acknowledged and forgot is sent again by itself."""
    kit, server = _killed(bench, times, fills=True)
    return bench.ledger(kit, injected=times, server=server)


@row("a week of backlog, live data go on", whole={"backlog": 100_800})
def week(bench: Bench, backlog: int) -> Ledger:
    """Ten telegrams a minute for a week, all at once when the server is back; new ones go on."""
    server = bench.server()
    server.stop()
    radio = {"count": backlog, "size": 2000, "step": 6, "kits": 10}
    kit = bench.kit(bench.to_influx(server), radio=radio)
    process = kit.start("run")
    until(lambda: kit.taken == backlog, "the backlog")
    kit.stop(process)
    kit.sections["radio"] |= {"count": backlog + 2000, "rate": 100, "size": 5}
    process = kit.start("run", "--once", "--timeout", 120)
    until(lambda: kit.taken > backlog + 50, "live data")
    server.start()
    until(lambda: _acknowledged(kit) > 0, "the first of the backlog")
    before = kit.taken
    until(lambda: _acknowledged(kit) >= backlog, "the backlog delivered")
    assert kit.taken > before  # live data did not wait for it
    kit.end(process)
    return bench.ledger(kit, injected=1, server=server)


def _acknowledged(kit: Kit) -> int:
    with closing(sqlite3.connect(kit.journal, timeout=10)) as db:
        return int(db.execute("SELECT sum(acknowledged) FROM outputs").fetchone()[0])


def _reader(bench: Bench, **more: object) -> Kit:
    """A server of MySense: out of InfluxDB, into a file."""
    place = {"hostname": bench.influxd.host, "port": bench.influxd.port}
    options = {"input": "true", "projects": bench.project, "update": "1", "interval": "0.2"}
    reader = bench.kit(bench.to_lines(), influxsub={**options, **place, **more})
    del reader.sections["radio"]
    return reader


def _read(bench: Bench) -> int:
    return len(in_lines(bench.lines)) if bench.lines.exists() else 0


@row("journal deleted, the same again", quick={"count": 300}, whole={"count": 3000})
def anew(bench: Bench, count: int) -> Ledger:
    """A kit without its journal sends all again, `new` where it was not: readers see it once."""
    kit = bench.kit(bench.to_influx(), radio={"count": count})
    reader = _reader(bench)
    process = reader.start("run")
    kit.once()
    until(lambda: _read(bench) >= count, "the reader")
    made, _ = kit.made()
    for part in (count, count // 2):  # from its beginning, and from the middle: `new` differs
        again = _again(bench, kit, part)
        again.once(code=None)
    until(lambda: _quiet(reader), "the reader has seen it all")
    reader.stop(process)
    bench.lines.rename(bench.folder / "first.jsonl")
    late = _reader(bench)  # one that begins when all doubles are there
    late.once()
    for lines in (bench.folder / "first.jsonl", bench.lines):
        ledger = balance(made, in_lines(lines), injected=2)
        assert not ledger.faults, f"{lines.name}: {ledger.faults}"
    return ledger


def _again(bench: Bench, kit: Kit, part: int) -> Kit:
    """A kit without a journal that gives the last `part` telegrams of another again."""
    lines = kit.witness.read_bytes().splitlines(keepends=True)
    given = [json.loads(line)["given"] for line in lines if line.startswith(b'{"given')]
    skipped = max([number for number in given if number <= given[-1] - part], default=0)
    copy = bench.kit(bench.to_influx(), radio={"count": given[-1]})
    if skipped:
        copy.witness.write_text(json.dumps({"given": skipped, "telegrams": []}) + "\n")
    return copy


def _quiet(reader: Kit) -> bool:
    """Whether two looks a while apart see the same."""
    before = reader.account("jsonl"), reader.journal.stat().st_mtime
    time.sleep(2.0)
    return before == (reader.account("jsonl"), reader.journal.stat().st_mtime)


@row("dead letters of last week, retried", quick={"count": 300}, whole={"count": 3000})
def retry(bench: Bench, count: int) -> Ledger:
    """What was refused a week ago is sent after all: a subscriber emits exactly that, once."""
    week_ago = int(time.time()) - WEEK
    name = f"{bench.project}_k0"
    bench.influxd.query(f'CREATE DATABASE "{name}"')
    bench.influxd.write(name, f'data,label="l9" temp=true {week_ago - 1}')
    kit = bench.kit(bench.to_influx(), radio={"count": count, "first": week_ago})
    process = kit.start("run")
    dead = count // 3
    until(lambda: kit.journal.exists() and len(_account(kit).dead) == dead, f"{dead} dead letters")
    reader = _reader(bench, sweep="1")
    reading = reader.start("run")
    until(lambda: _read(bench) >= count - dead, "the reader")
    bench.influxd.query("DROP MEASUREMENT data", database=name)  # no series less keeps its types
    already = {key for key, _ in in_lines(bench.lines)}
    kit.verb("dead", "retry")
    until(lambda: not _account(kit).dead and not _account(kit).waiting, "all retried")
    until(lambda: _read(bench) >= count, "the reader finds them")
    until(lambda: _quiet(reader), "and nothing more")
    kit.stop(process)
    reader.stop(reading)
    made, _ = kit.made()
    rows = [
        row for row in in_lines(bench.lines) if row[0] in made
    ]  # without the text that was there
    assert {key for key, _ in rows} - already == {key for key in made if key[0] == name}  # type: ignore[index]  # kit, label, time
    return balance(made, rows, injected=dead)


def _account(kit: Kit) -> Account:
    with suppress(sqlite3.OperationalError):  # it is being made
        return kit.account("influxpub")
    return Account()


@row("a new output with 10,000 waiting", quick={"count": 2000}, whole={"count": 10_000})
def late_output(bench: Bench, count: int) -> Ledger:
    """It begins with the oldest, and its first write to each database carries the ident."""
    kit = bench.kit(bench.to_lines(), radio={"count": count, "size": 500})
    kit.once()
    proxy = bench.stack.enter_context(Proxy(bench.influxd.port))
    kit.sections |= bench.to_influx(port=proxy.port, output="true")
    kit.finish()
    first: dict[bytes, bytes] = {}
    for body in proxy.bodies:
        label = body.split(b'label="')[1].split(b'"')[0]
        first.setdefault(label, body)
    assert first, "nothing was written"
    assert all(body.startswith(b"info,") for body in first.values()), first
    return bench.ledger(kit, injected=1)


@row("journal deleted under a stopped kit", whole={})
def deleted(bench: Bench) -> Ledger:
    """What was delivered stays delivered; the next journal begins, and nothing is doubled."""
    kit = bench.kit(bench.to_influx(), radio={"count": 900})
    kit.once()
    for file in kit.folder.glob("journal.db*"):
        file.unlink()
    shutil.rmtree(kit.folder / "state", ignore_errors=True)
    kit.sections["radio"]["count"] = 1800
    kit.once()
    return bench.ledger(kit, injected=1)


@row("two engines on one journal", quick={"times": 1}, whole={"times": 5})
def two_engines(bench: Bench, times: int) -> Ledger:
    """The second is refused, and says whose process has it; the first does not notice."""
    kit = bench.kit(bench.to_influx(), radio={"count": 1500 * times, "rate": 400})
    process = kit.start("run", "--once", "--timeout", 120)
    for _ in range(times):
        taken = kit.taken
        until(lambda taken=taken: kit.taken > taken + 100, "telegrams")
        second = kit.start("run")
        assert kit.end(second, None, 30) != 0
        assert f"(process {process.pid})" in kit.log
    kit.end(process)
    return bench.ledger(kit, injected=times)
