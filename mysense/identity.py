"""Who this kit is: what [id] says, else what the machine is; never anything random."""

from __future__ import annotations

import array
import fcntl
import re
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mysense import __version__
from mysense.telegram import Ident

if TYPE_CHECKING:
    from mysense.sampling.sampler import Sampler

_ETHTOOL, _PERMANENT, _LONGEST = 0x8946, 0x20, 32  # ioctl, its command, bytes of an address
_OWN = "0"  # in addr_assign_type: the address is the card's own, neither random nor set


def burnt_in(card: str) -> str:
    """The address that a network card was made with, 12 hexadecimal digits; empty: it has none.

    Network managers give a card another one, at times a random one, to hide whose it is.

    Raises:
        OSError: the kernel does not say.
    """
    answer = array.array("B", struct.pack("II", _PERMANENT, _LONGEST) + bytes(_LONGEST))
    request = struct.pack("16sP16x", card.encode(), answer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        fcntl.ioctl(line, _ETHTOOL, request)
    _, length = struct.unpack_from("II", answer)
    return _address(bytes(answer[8 : 8 + length]).hex())


def machine_serial(
    root: Path = Path("/"), permanent: Callable[[str], str] = burnt_in
) -> str | None:
    """The serial number of this machine's processor, else the address of a network card of it.

    Args:
        root: of the file system to look at.
        permanent: asks the kernel for the address that a card was made with.

    Returns:
        None where it has neither: a made-up one would be another at the next start.
    """
    cards = root / "sys" / "class" / "net"
    return _processor(root / "proc" / "cpuinfo") or _network_card(cards, permanent)


def _processor(path: Path) -> str | None:
    try:
        match = re.search(r"^Serial\s*:\s*([0-9a-fA-F]+)\s*$", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return match[1].lower() if match and int(match[1], 16) else None


def _network_card(folder: Path, permanent: Callable[[str], str]) -> str | None:
    """Of a card that is hardware, in the order of names: `eth0` comes before `wlan0`."""
    for card in sorted(folder.glob("*")):
        if not (card / "device").exists():
            continue
        try:
            address = permanent(card.name)
        except OSError:
            address = _address(_text(card / "address")) if _is_own(card) else ""
        if address:
            return address
    return None


def _is_own(card: Path) -> bool:
    return _text(card / "addr_assign_type") in ("", _OWN)


def _address(text: str) -> str:
    digits = text.replace(":", "").lower()
    return digits if re.fullmatch(r"[0-9a-f]{12}", digits) and int(digits, 16) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # a kernel without this file
        return ""


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
