"""What was found as sections of a configuration, ready to be pasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from mysense.hw.scan import Adapter, Found

_HEADER_BUS = 1  # what `bus` is by default
_ADAPTERS = {"prolific": "dylos", "067b": "dylos", "1a86": "sds011", "qinheng": "sds011"}
"""What mostly is behind an adapter whose name has this in it."""
_DRIVERS = {"bme280": "bme280", "dht11": "dht"}  # of the kernel, and the plugins that read them

FieldsOf = Callable[[str], Sequence[str]]
"""The fields of the plugin of this name."""


@attrs.frozen
class Stanza:
    """A section: the plugin, its options in their order, and comments before it."""

    plugin: str
    options: Sequence[tuple[str, str]]
    comments: Sequence[str] = ()


def stanzas(found: Found, plugins: Iterable[str]) -> Iterator[Stanza]:
    """A stanza for each sensor that one of these plugins can read."""
    known = set(plugins)
    for stanza in (*_serial(found.adapters, known), *_chips(found), *_kernel(found)):
        if stanza.plugin in known:
            yield stanza


def text(made: Iterable[Stanza], fields_of: FieldsOf) -> str:
    """The stanzas as they stand in a file. Where two would fill one field, the later is renamed."""
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    sections = []
    for stanza in made:
        counts[stanza.plugin] += 1
        number, own = counts[stanza.plugin], fields_of(stanza.plugin)
        suffix = "" if taken.isdisjoint(own) else f"_{number if number > 1 else stanza.plugin}"
        names = [f"{name}{suffix}" for name in own]
        taken.update(names)
        sections.append(_section(stanza, number, names if suffix else []))
    return "\n".join(sections)


def _section(stanza: Stanza, number: int, names: Sequence[str]) -> str:
    options = [("input", "true"), *stanza.options]
    if names:
        options.append(("fields", ", ".join(names)))
    title = stanza.plugin if number == 1 else f"{stanza.plugin}:{number}"
    lines = [f"# {comment}" for comment in stanza.comments]
    lines += [f"[{title}]", *(f"{key} = {value}" for key, value in options)]
    return "\n".join(lines) + "\n"


def _serial(adapters: Iterable[Adapter], known: set[str]) -> Iterator[Stanza]:
    for adapter in adapters:
        name = adapter.link.name
        comments = [f"the serial adapter {adapter.device}"]
        if adapter.link.parent.name == "by-path":
            comments[0] += ", by the USB socket it is plugged into: let it stay there"
        by_id = _by_id(adapter).lower()
        plugin = next((p for part, p in _ADAPTERS.items() if part in by_id and p in known), None)
        if plugin is None:
            comments.append("what is behind it cannot be seen; if it is no Dylos leave this out")
        yield Stanza(plugin or "dylos", [("usbid", name)], comments)


def _by_id(adapter: Adapter) -> str:
    """The name by make and number, which tells more about it than the socket does."""
    folder = adapter.link.parent.parent / "by-id"
    names = [link.name for link in folder.glob("*") if str(link.resolve()) == adapter.device]
    return names[0] if names else adapter.link.name


def _chips(found: Found) -> Iterator[Stanza]:
    for bus in found.buses:
        for chip in bus.chips:
            if chip.what != "BME280":
                continue
            where = [] if bus.number == _HEADER_BUS else [("bus", str(bus.number))]
            comment = f"the BME280 at 0x{chip.address:02x} of /dev/i2c-{bus.number}"
            yield Stanza("bme280", [*where, ("i2c", f"0x{chip.address:02x}")], [comment])


def _kernel(found: Found) -> Iterator[Stanza]:
    for path, name in found.kernel.items():
        plugin = _DRIVERS.get(name.partition("@")[0])
        if plugin is not None:
            yield Stanza(plugin, [("backend", "iio")], [f"{name}, read by the kernel: {path}"])
