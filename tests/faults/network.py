"""A network that goes away, loses packets, resets connections, swallows answers, forgets names."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults import needs
from tests.faults.bench import Bench
from tests.faults.kit import until
from tests.faults.ledger import Ledger
from tests.faults.rows import row
from tests.influxd import Influxd

_numbers = itertools.count(1)


class Namespace:
    """A network of the kit's own, with one cable to a server of its own.

    Its firewall drops, resets or lets pass what comes from and goes to the server.
    """

    def __init__(self) -> None:
        number = next(_numbers)
        self.name = f"mysense-{os.getpid()}-{number}"
        self._link = f"ms{os.getpid() % 100_000}x{number}"
        third = os.getpid() % 250
        self.here, self.there = (
            f"10.213.{third}.{4 * number + 1}",
            f"10.213.{third}.{4 * number + 2}",
        )

    @property
    def under(self) -> tuple[str, ...]:
        """What to start a process under so that it has this network."""
        return ("ip", "netns", "exec", self.name)

    def make(self) -> None:
        """Make it; the server's end has the address `here`."""
        far = f"{self._link}b"
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", self._link, "type", "veth", "peer", far, "netns", self.name)
        _run("ip", "address", "add", f"{self.here}/30", "dev", self._link)
        _run("ip", "link", "set", self._link, "up")
        _run(*self.under, "ip", "address", "add", f"{self.there}/30", "dev", far)
        _run(*self.under, "ip", "link", "set", far, "up")
        _run(*self.under, "ip", "link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove it, and the cable with it."""
        subprocess.run(["ip", "link", "del", self._link], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def rule(self, inward: str = "", outward: str = "") -> None:
        """Set the firewall's only rules; empty lets everything pass."""
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority 0;\n{text}\n}}\n"
            for hook, text in (("input", inward), ("output", outward))
        )
        rules = (
            f"table inet faults {{}}\ndelete table inet faults\ntable inet faults {{\n{chains}}}\n"
        )
        subprocess.run([*self.under, "nft", "-f", "-"], input=rules, text=True, check=True)

    @contextmanager
    def faulty(self, inward: str = "", outward: str = "") -> Iterator[None]:
        """Rules for a while."""
        self.rule(inward, outward)
        try:
            yield
        finally:
            self.rule()

    @property
    def hit(self) -> int:
        """How many packets the rules met."""
        words = [*self.under, "nft", "list", "table", "inet", "faults"]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return sum(int(part.split()[0]) for part in text.split("counter packets ")[1:])


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


class Far(Influxd):
    """A server at another address than loopback."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host


def _network(bench: Bench) -> tuple[Namespace, Influxd]:
    network = Namespace()
    bench.stack.callback(network.remove)
    network.make()
    return network, bench.stack.enter_context(Far(network.here))


Fault = Callable[[Namespace, Influxd], int]
"""Provokes something while the kit works; returns how many packets it hit."""


def _while_it_works(bench: Bench, times: int, fault: Fault, seconds: float = 2.0) -> Ledger:
    network, server = _network(bench)
    radio = {"count": int(400 * seconds * times), "rate": 400, "size": 7}
    kit = bench.kit(bench.to_influx(server, timeout="1"), radio=radio)
    process = kit.start("run", "--once", "--timeout", 120, under=network.under)
    injected = 0
    for _ in range(times):
        taken = kit.taken
        until(lambda taken=taken: kit.taken > taken + 100, "telegrams")
        injected += fault(network, server)
    kit.end(process)
    return bench.ledger(kit, injected=injected, server=server)


def _for_a_while(seconds: float, inward: str = "", outward: str = "") -> Fault:
    def fault(network: Namespace, _server: Influxd) -> int:
        with network.faulty(inward, outward):
            time.sleep(seconds)
            return network.hit

    return fault


@row("network outage", needs.namespaces, quick={"times": 1}, whole={"times": 4})
def outage(bench: Bench, times: int) -> Ledger:
    """Nothing passes in either direction."""
    fault = _for_a_while(1.3, "counter drop", "counter drop")
    return _while_it_works(bench, times, fault)


@row("30 % loss", needs.namespaces, whole={"times": 4})
def loss(bench: Bench, times: int) -> Ledger:
    """Every third packet is lost, in both directions."""
    lose = "numgen random mod 100 < 30 counter drop"
    return _while_it_works(bench, times, _for_a_while(3.0, lose, lose), 3.0)


@row("connections reset", needs.namespaces, whole={"times": 4})
def reset(bench: Bench, times: int) -> Ledger:
    """A box between resets every connection."""

    def fault(network: Namespace, server: Influxd) -> int:
        rule = f"tcp dport {server.port} counter reject with tcp reset"
        return _for_a_while(1.0, outward=rule)(network, server)

    return _while_it_works(bench, times, fault)


@row("lost answers", needs.namespaces, quick={"times": 1}, whole={"times": 4})
def lost_answers(bench: Bench, times: int) -> Ledger:
    """Requests arrive and are stored, their answers do not: sent again they are the same points."""

    def fault(network: Namespace, server: Influxd) -> int:
        rule = f"tcp sport {server.port} tcp flags & psh == psh counter drop"
        return _for_a_while(1.3, rule)(network, server)

    return _while_it_works(bench, times, fault)


@row("cable pulled", needs.namespaces, whole={"times": 3})
def cable(bench: Bench, times: int) -> Ledger:
    """The interface goes down and comes up again."""

    def fault(network: Namespace, _server: Influxd) -> int:
        _run("ip", "link", "set", network._link, "down")
        time.sleep(1.0)
        _run("ip", "link", "set", network._link, "up")
        return 1

    return _while_it_works(bench, times, fault)


@row("a name that does not resolve, then does", needs.namespaces, quick={}, whole={})
def names(bench: Bench) -> Ledger:
    """The name server comes back: so does the output, without a restart."""
    hosts = bench.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    kit = bench.kit(
        bench.to_influx(hostname="influx.mysense.invalid"), radio={"count": 500, "size": 7}
    )
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    under = ("unshare", "--mount", "sh", "-c", script, str(hosts))
    process = kit.start("run", "--once", "--timeout", 120, under=under)
    kit.said("is unknown")
    hosts.write_text("127.0.0.1 localhost influx.mysense.invalid\n")
    kit.end(process)
    return bench.ledger(kit, injected=1)
