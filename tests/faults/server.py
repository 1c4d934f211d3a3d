"""What a real InfluxDB refuses, and why: 400 401 403 404 413 503."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import needs
from tests.faults.bench import Bench, fill
from tests.faults.kit import Kit, until
from tests.faults.ledger import Ledger, in_influx
from tests.faults.rows import row
from tests.influxd import Influxd

DAY = 86_400


def _user(server: Influxd, *grants: str) -> None:
    server.query("CREATE USER \"kit\" WITH PASSWORD 'kit-secret'")
    for database in grants:
        server.query(f'CREATE DATABASE "{database}"; GRANT ALL ON "{database}" TO "kit"')


def _lets_in(server: Influxd, bench: Bench, kits: int) -> None:
    for name in (f"{bench.project}_k{number}" for number in range(kits)):
        server.query(f'CREATE DATABASE "{name}"; GRANT ALL ON "{name}" TO "kit"')


def _until_stored(bench: Bench, server: Influxd, count: int) -> None:
    until(lambda: len(in_influx(server, bench.project)) >= count, f"{count} stored")


@row("401, a wrong password", quick={}, whole={})
def wrong_password(bench: Bench) -> Ledger:
    """Held, said how to fix, nothing refused for good; with the right one all arrives."""
    server = bench.server(auth=True)
    _user(server)
    _lets_in(server, bench, 3)
    output = bench.to_influx(server, user="kit", password="wrong")
    kit = bench.kit(output, radio={"count": 300})
    process = kit.start("run")
    kit.said("user kit is refused")
    until(lambda: kit.taken == 300, "it goes on measuring")
    kit.stop(process)
    kit.sections["influxpub"]["password"] = "kit-secret"
    kit.once()
    return bench.ledger(kit, injected=kit.log.count("user kit is refused"), server=server)


@row("403 and 404, one kit may not", quick={}, whole={})
def one_may_not(bench: Bench) -> Ledger:
    """One kit's database is missing and may not be made: it waits in order, the others go on."""
    server = bench.server(auth=True)
    _user(server)
    _lets_in(server, bench, 2)
    kit = bench.kit(
        bench.to_influx(server, user="kit", password="kit-secret"), radio={"count": 300}
    )
    process = kit.start("run")
    _until_stored(bench, server, 200)
    kit.said("k2 is held")
    kit.stop(process)
    waiting = bench.ledger(kit, injected=1, server=server)
    assert (waiting.stored, waiting.waiting, waiting.faults) == (200, 100, [])
    _lets_in(server, bench, 3)
    kit.once()
    return bench.ledger(kit, injected=1, server=server)


@row("403, a user that may only read", whole={})
def may_only_read(bench: Bench) -> Ledger:
    """Held until somebody grants it."""
    server = bench.server(auth=True)
    _user(server)
    _lets_in(server, bench, 3)
    server.query(f'GRANT READ ON "{bench.project}_k1" TO "kit"')
    kit = bench.kit(
        bench.to_influx(server, user="kit", password="kit-secret"), radio={"count": 300}
    )
    process = kit.start("run")
    _until_stored(bench, server, 200)
    kit.said("k1 is held")
    kit.stop(process)
    _lets_in(server, bench, 3)
    kit.once()
    return bench.ledger(kit, injected=1, server=server)


@row("404, databases dropped while it runs", whole={"times": 5})
def dropped(bench: Bench, times: int) -> Ledger:
    """Made again, with the ident: what came before is gone with them, what comes after arrives."""
    server = bench.server()
    kit = bench.kit(bench.to_influx(server), radio={"count": 0, "rate": 300, "size": 7})
    process = kit.start("run")
    for _ in range(times):
        taken = kit.taken
        until(lambda taken=taken: kit.taken > taken + 100, "telegrams")
        for name in server.databases():
            server.query(f'DROP DATABASE "{name}"')
    kit.stop(process)
    kept = kit.taken
    kit.sections["radio"] |= {"count": kept + 500, "rate": 0}
    kit.once()
    made, _ = kit.made()
    for name in server.databases():
        assert server.rows("SELECT * FROM info", database=name), f"{name} has no ident"
    stored = {key for key, _ in in_influx(server, bench.project)}
    assert set(list(made)[kept:]) <= stored
    kit.sections["influxpub:again"] = kit.sections["influxpub"] | {"output": "true"}
    del kit.sections["influxpub"]
    kit.finish()  # a new output begins with the oldest telegram kept: nothing is lost after all
    return bench.ledger(kit, injected=times, server=server, output="influxpub:again")


@row("413, batches and telegrams too large", quick={}, whole={})
def too_large(bench: Bench) -> Ledger:
    """Batches are halved until they fit; a telegram too large alone is a dead letter."""
    server = bench.server(config={"http": {"max-body-size": 3000}})
    kit = bench.kit(bench.to_influx(server), radio={"count": 600})
    kit.once()
    assert bench.ledger(kit, injected=1, server=server).stored == 600
    kit.sections["radio"] |= {"count": 606, "text": 4000}
    kit.once(code=None)
    kit.sections["radio"] |= {"count": 900, "text": 0}
    kit.once(code=None)
    ledger = bench.ledger(kit, injected=6, server=server)
    assert (ledger.dead, ledger.stored) == (6, 894)
    return ledger


@contextmanager
def _busy(server: Influxd) -> Iterator[None]:
    """Others write as much as they can."""
    server.query('CREATE DATABASE "others"')
    body = "\n".join(f"x,t=t{n} v=1" for n in range(4000))
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            server.write("others", body)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@row("503, a server that is busy", whole={"count": 3000})
def busy(bench: Bench, count: int) -> Ledger:
    """Too many write at once: tried again until there is room."""
    limits = {"max-concurrent-write-limit": 1, "max-enqueued-write-limit": 1,
              "enqueued-write-timeout": "10ms"}  # fmt: skip
    server = bench.server(config={"http": limits})
    radio = {"count": count, "rate": 300, "size": 7}
    kit = bench.kit(bench.to_influx(server), radio=radio)
    with _busy(server):
        process = kit.start("run", "--once", "--timeout", 120)
        until(lambda: "503" in kit.log or process.poll() is not None, "503")
        time.sleep(1.0)
    kit.end(process)
    return bench.ledger(kit, injected=kit.log.count("503"), server=server)


def _prepared(bench: Bench, *statements: str) -> tuple[Influxd, Kit]:
    server = bench.server()
    for statement in statements:
        server.query(statement)
    return server, bench.kit(bench.to_influx(server), radio={"count": 300})


@row("400, field type conflict", quick={}, whole={})
def conflict(bench: Bench) -> Ledger:
    """One kit's field holds booleans there: its telegrams are dead letters, the others arrive."""
    name = f"{bench.project}_k0"
    server, kit = _prepared(bench, f'CREATE DATABASE "{name}"')
    server.write(name, 'data,label="l9" temp=true 1494777771')
    kit.once(code=None)
    server.query('DROP SERIES FROM data WHERE "label" = \'"l9"\'', database=name)
    ledger = bench.ledger(kit, injected=1, server=server)
    assert (ledger.stored, ledger.dead) == (200, 100)
    return ledger


@row("400, beyond the retention policy", quick={}, whole={})
def too_old(bench: Bench) -> Ledger:
    """One kit's database keeps an hour: its old telegrams are dead letters, the others arrive."""
    server, kit = _prepared(
        bench, f'CREATE DATABASE "{bench.project}_k0" WITH DURATION 1h REPLICATION 1 NAME "short"'
    )
    kit.once(code=None)
    ledger = bench.ledger(kit, injected=1, server=server)
    assert (ledger.stored, ledger.dead) == (200, 100)
    return ledger


def on_a_small_disk(bench: Bench, size: str = "30m") -> tuple[Influxd, Path]:
    """A server whose data are on a small disk, and that disk."""
    folder = bench.disk(f"size={size}", "server")
    data = {"dir": str(folder / "data"), "wal-dir": str(folder / "wal"), "index-version": "tsi1"}
    return bench.server(config={"data": data}), folder


@row("400, the server's disk is full", needs.mounting, whole={"times": 4})
def server_full(bench: Bench, times: int) -> Ledger:
    """A 400 that is nobody's fault: no dead letters, and all arrives when there is room."""
    server, folder = on_a_small_disk(bench)
    radio = {"count": 3000 * times, "rate": 300, "size": 7}
    kit = bench.kit(bench.to_influx(server), radio=radio)
    process = kit.start("run", "--once", "--timeout", 120)
    for turn in range(times):
        until(lambda turn=turn: kit.log.count("works again") >= turn, "delivery again")
        taken, before = kit.taken, len(kit.log)
        until(lambda taken=taken: kit.taken > taken + 100, "telegrams")
        ballast = fill(folder)
        until(lambda before=before: "no space" in kit.log[before:], "it is said")
        ballast.unlink()
        server.kill()  # influxd 1.6.7 goes on saying that it has no space until it is restarted
        server.start()
    kit.end(process)
    return bench.mended(kit, server, injected=times)


@row("another server answers, an empty one", whole={})
def another(bench: Bench) -> Ledger:
    """Somebody replaced the server: databases and idents are made there, the rest arrives there."""
    first = bench.server()
    kit = bench.kit(bench.to_influx(first), radio={"count": 1500, "rate": 600, "size": 7})
    process = kit.start("run", "--once", "--timeout", 120)
    until(lambda: kit.taken > 300, "telegrams")
    first.kill()
    second = Influxd()
    second.port, first.port = first.port, 0
    bench.stack.enter_context(second)
    kit.end(process)
    first.start()
    made, _ = kit.made()
    stored = dict(in_influx(first, bench.project)) | dict(in_influx(second, bench.project))
    assert stored == made
    for name in second.databases():
        assert second.rows("SELECT * FROM info", database=name), f"{name} has no ident there"
    kit.sections["influxpub:second"] = kit.sections["influxpub"] | {"output": "true"}
    del kit.sections["influxpub"]
    kit.finish()  # the new server gets what only the old one had: a new output begins at the oldest
    return bench.ledger(kit, injected=1, server=second, output="influxpub:second")
