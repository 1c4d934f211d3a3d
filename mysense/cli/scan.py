"""`mysense scan`: which sensors are wired to this machine, as configuration to paste."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

from mysense.cli import FAILED
from mysense.cli.common import Parser, say, set_up_logging
from mysense.hw import scan
from mysense.hw.pulses import access
from mysense.hw.scan import Bus, Found
from mysense.hw.stanzas import stanzas, text
from mysense.loader import Loader
from mysense.plugin import Sensor

_DHT = """a DHT on a pin cannot be found by looking; if one is wired, add this, and see its `type`:
  [dht]
  input = true
  pin = 4"""


def main(words: list[str]) -> int:
    """Look around and print the stanzas; returns the exit code."""
    parser = Parser("scan", "Find sensors on this machine; prints their sections, ready to paste.")
    parser.add_argument("--json", action="store_true", help="all that was found, as one object")
    parser.add_argument("--sim", action="store_true", help="look at a simulated kit instead")
    args = parser.parse_args(words)
    set_up_logging("warning")
    with _machine(simulated=args.sim) as machine:
        found = scan.look(machine)
        loader = Loader()
        stanza_text = text(stanzas(found, loader.found), partial(_fields, loader))
    if args.json:
        print(json.dumps(as_json(found, stanza_text), indent=2))
    else:
        for line in talk(found):
            say(line)
        print(stanza_text, end="")
    return 0 if stanza_text else FAILED


def _machine(*, simulated: bool) -> Any:
    if not simulated:
        return nullcontext(scan.Machine())
    from mysense.hw.sim_machine import kit

    return kit()


def _fields(loader: Loader, name: str) -> list[str]:
    plugin = loader.load(name)
    sensor = plugin(plugin.Settings())
    return [field.name for field in sensor.fields] if isinstance(sensor, Sensor) else []


def talk(found: Found) -> Iterator[str]:
    """What was found and what hides the rest, for a person."""
    for adapter in found.adapters:
        yield f"serial   {adapter.device}: {adapter.link.name}"
    if not found.adapters:
        yield "serial   no adapter is plugged in"
    for bus in found.buses:
        yield f"i2c      /dev/i2c-{bus.number}{f' ({bus.name})' if bus.name else ''}: {_state(bus)}"
    for path, name in found.kernel.items():
        yield f"kernel   {name} in {path}"
    for finding in found.trouble:
        yield f"FAIL     {finding.what}\n         fix: {finding.fix}"
    if access().good and not any(name.startswith("dht") for name in found.kernel.values()):
        yield _DHT


def _state(bus: Bus) -> str:
    if bus.left_alone:
        return "left alone, it belongs to the board or a screen"
    if bus.trouble:
        return "see below"
    texts = []
    for chip in bus.chips:
        what = chip.what or ("held by a driver of the kernel" if chip.held else "unknown")
        texts.append(f"0x{chip.address:02x} {what}")
    return ", ".join(texts) or "no address answers: nothing is wired, or SDA and SCL are swapped"


def as_json(found: Found, configuration: str) -> dict[str, Any]:
    """The same for a program."""
    return {
        "serial": [
            {"device": one.device, "name": one.link.name, "accessible": one.access.good}
            for one in found.adapters
        ],
        "i2c": [_bus_as_json(bus) for bus in found.buses],
        "kernel": [{"path": str(path), "name": name} for path, name in found.kernel.items()],
        "trouble": [{"what": finding.what, "fix": finding.fix} for finding in found.trouble],
        "configuration": configuration,
    }


def _bus_as_json(bus: Bus) -> dict[str, Any]:
    chips = [
        {"address": f"0x{chip.address:02x}", "chip": chip.what or None, "kernel": chip.held}
        for chip in bus.chips
    ]
    return {"bus": bus.number, "name": bus.name, "scanned": not bus.left_alone, "chips": chips}
