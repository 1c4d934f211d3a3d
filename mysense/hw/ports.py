"""Serial adapters: which one is meant, who may open it, and who has it open.

Adapters are named by what stays the same, their links in /dev/serial: `by-id` (make and serial
number) or `by-path` (the socket they are plugged into). /dev/ttyUSB0 is whichever came first.
"""

from __future__ import annotations

import getpass
import grp
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from mysense.hw.advice import Absent, Fixable
from mysense.plugin import Finding

LINKS = Path("/dev/serial")
_VID_PID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


def adapters(links: Path = LINKS) -> dict[str, Path]:
    """Every adapter that is plugged in: device, such as /dev/ttyUSB0, and a link to it."""
    found: dict[str, Path] = {}
    for link in _links(links):
        found.setdefault(os.path.realpath(link), link)
    return found


def find(usbid: str, links: Path = LINKS) -> str:
    """The port of the one adapter that is meant.

    Args:
        usbid: part of a name in `by-id` or `by-path`, with * and ? where wanted, in any case;
            or VID:PID in hexadecimal, `067b:2303`.
        links: the folder of these two.

    Raises:
        Absent: there is none.
        Fixable: there are several.
    """
    wanted = usbid.strip().lower()
    found = _by_vid_pid(wanted) if _VID_PID.fullmatch(wanted) else _by_name(wanted, links)
    if len(found) > 1:
        raise Fixable(
            f"several serial adapters match usbid = {usbid}: {', '.join(found)}",
            f"take more of a name, best of one in {links}/by-path",
        )
    if not found:
        there = ", ".join(link.name for link in adapters(links).values()) or "none at all"
        raise Absent(
            f"no serial adapter matches usbid = {usbid}",
            f"plug it in, or take usbid from what is plugged in: {there}",
        )
    return found[0]


def access(port: str) -> Finding:
    """Whether this user may open `port`, a path, and what to do where not."""
    good = os.access(port, os.R_OK | os.W_OK)
    if good:
        return Finding(True, f"{port} may be read and written")
    return Finding(False, f"{port} may not be read and written by this user", permit(port))


def permit(port: str) -> str:
    """What to do so that this user may open `port`."""
    user, group = getpass.getuser(), _group(port)
    if group == "root":
        return f'{port} belongs to root alone; a udev rule with GROUP="dialout" changes that'
    if user in _members(group):
        return f"{user} is in the group {group} but not yet in this session: log out and in again"
    return (
        f"sudo usermod -aG {group} {user}, then log out and in again; "
        f"for a service: SupplementaryGroups={group}"
    )


def holder(port: str) -> str:
    """Who has `port` open, `pid 123 (python3)`, as far as this user can see; else nothing."""
    device = os.path.realpath(port)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(fd) == device for fd in (process / "fd").iterdir()):
                return f"pid {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return ""


def _links(links: Path) -> Iterator[Path]:
    for kind in ("by-id", "by-path"):
        yield from sorted((links / kind).glob("*"))


def _by_name(wanted: str, links: Path) -> list[str]:
    """A link for each device; two links to one device are one."""
    found: dict[str, str] = {}
    for link in _links(links):
        if fnmatchcase(link.name.lower(), f"*{wanted}*"):
            found.setdefault(os.path.realpath(link), str(link))
    return list(found.values())


def _by_vid_pid(wanted: str) -> list[str]:
    from serial.tools.list_ports import comports  # type: ignore[import-untyped]  # has no types

    vid, pid = (int(part, 16) for part in wanted.split(":"))
    return sorted(port.device for port in comports() if (port.vid, port.pid) == (vid, pid))


def _group(port: str) -> str:
    try:
        return grp.getgrgid(Path(port).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def _members(group: str) -> list[str]:
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []
