"""Who this kit is: what [id] says, else what the machine is; never anything random."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mysense import __version__
from mysense.telegram import Ident

if TYPE_CHECKING:
    from mysense.sampling.sampler import Sampler


def machine_serial(root: Path = Path("/")) -> str | None:
    """The serial number of this machine's processor, else the address of a network card of it.

    Args:
        root: of the file system to look at.

    Returns:
        None where it has neither: a made-up one would be another at the next start.
    """
    return _processor(root / "proc" / "cpuinfo") or _network_card(root / "sys" / "class" / "net")


def _processor(path: Path) -> str | None:
    try:
        match = re.search(r"^Serial\s*:\s*([0-9a-fA-F]+)\s*$", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return match[1].lower() if match and int(match[1], 16) else None


def _network_card(folder: Path) -> str | None:
    """Of a card that is hardware, in the order of names: `eth0` comes before `wlan0`."""
    for card in sorted(folder.glob("*")):
        if not (card / "device").exists():
            continue
        try:
            address = (card / "address").read_text().strip().replace(":", "").lower()
        except OSError:
            continue
        if re.fullmatch(r"[0-9a-f]{12}", address) and int(address, 16):
            return address
    return None


def kit_ident(ident: Ident, samplers: Iterable[Sampler]) -> Ident:
    """`ident` with this version, and the fields that these sensors fill."""
    fields, units, types = ["time"], ["s"], ["time"]
    for sampler in samplers:
        for channel in sampler.channels:
            for name in channel.names(raw=sampler.raw):
                if name in fields:  # averaged with that of another sensor
                    continue
                fields.append(name)
                units.append(channel.unit)
                types.append(channel.source.type)
    return attrs.evolve(
        ident,
        version=__version__,
        fields=tuple(fields),
        units=tuple(units),
        types=tuple(types),
    )
