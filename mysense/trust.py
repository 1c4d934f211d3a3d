"""Is the wall clock to be trusted yet? What the machine says of it, and what is decided by that.

A Raspberry Pi has no clock chip. After a power cut it starts in the past, and learns the time when
it reaches a time server: what it measures until then must not be sent with a wrong time.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import attrs

from mysense import RELEASED
from mysense.clock import Clock
from mysense.telegram import DAY

Mode = Literal["auto", "synchronised", "trusted"]

BEGIN = datetime.strptime(RELEASED, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
"""No clock that is right shows less: MySense was not there yet."""
END = BEGIN + 20 * 366 * DAY
"""A clock that shows more is broken; so old a release runs nowhere."""
_TIMEX = "@Illlli"  # struct timex of adjtimex(2), up to its status
_STA_UNSYNC = 0x40
_AGREES = 60.0  # seconds between a clock module and the wall clock that was set by it
_LOOK_EVERY = 10.0  # seconds between two looks at a clock module, which is read over a slow bus


def kernel_synchronised() -> bool:
    """Whether the kernel says that its clock follows a time server; nothing is changed."""
    timex = bytearray(1024)  # longer than any; `modes` is 0: it only asks
    answer = _adjtimex()(timex)
    *_, status = struct.unpack_from(_TIMEX, timex)
    return answer >= 0 and not status & _STA_UNSYNC


@lru_cache(1)
def _adjtimex() -> Callable[[bytearray], int]:
    """The C library's; looked up once, as each look costs kilobytes that are not given back."""
    import ctypes  # only a kit that measures asks

    try:
        found = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):  # a C library without it
        return lambda _: -1

    def ask(timex: bytearray) -> int:
        return int(found((ctypes.c_char * len(timex)).from_buffer(timex)))

    return ask


class Machine:
    """What this machine says of its clock.

    Args:
        root: where its files are.
        kernel: whether the kernel says that the clock is synchronised.
    """

    def __init__(
        self, root: Path = Path("/"), kernel: Callable[[], bool] = kernel_synchronised
    ) -> None:
        self._root = root
        self._kernel = kernel

    @property
    def boot(self) -> str:
        """A name of its own for each time that the machine is started."""
        return self._text("proc/sys/kernel/random/boot_id") or f"unknown-{uuid.uuid4()}"

    @property
    def synchronised(self) -> bool:
        """Whether the kernel or the service manager says that a time server was heard."""
        return self._kernel() or (self._root / "run/systemd/timesync/synchronized").exists()

    def has_clock(self, wall: float) -> bool:
        """Whether a clock module goes on while the machine is off, and agrees with `wall`."""
        modules = (self._root / "sys/class/rtc").glob("rtc*/since_epoch")
        texts = (self._text(path) for path in modules)
        return any(text.isdecimal() and abs(int(text) - wall) < _AGREES for text in texts)

    @property
    def virtual(self) -> bool:
        """Whether it is a virtual machine, whose clock is that of its host."""
        flags = self._text("proc/cpuinfo").partition("\nflags")[2].partition("\n")[0].split()
        told = ("sys/hypervisor/type", "proc/device-tree/hypervisor")
        return "hypervisor" in flags or any((self._root / path).exists() for path in told)

    def _text(self, path: str | Path) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # not there, not allowed, or a module whose battery is empty
            return ""


@attrs.frozen
class Hold:
    """Why telegrams wait for a clock that can be trusted, and what to do about it."""

    kind: Literal["unsynchronised", "unbelievable", "ahead", "behind"]
    text: str
    fix: str


@attrs.frozen
class Anchor:
    """What the clock showed when it was trusted last.

    Attributes:
        boot: since which start of the machine.
        offset: Unix seconds when the boot-time clock began.
        sure: whether a time server or a person had said so.
    """

    boot: str
    offset: float
    sure: bool


class Trust:
    """Decides whether the wall clock names the times of telegrams.

    Args:
        clock: the clocks.
        mode: `clock` of section [process].
        simulated: whether all sensors are simulated, so that no time can be wrong.
        machine: what it says of its clock.
    """

    def __init__(
        self,
        clock: Clock,
        mode: Mode = "auto",
        *,
        simulated: bool = False,
        machine: Machine | None = None,
    ) -> None:
        self.machine = machine or Machine()
        self.boot = self.machine.boot
        self.anchor: Anchor | None = None
        """What the clock showed when it was trusted last, in this start of the machine."""
        self._clock = clock
        self._mode = mode
        self._simulated = simulated
        self._decided = False  # what made the clock trusted may end, such as a network
        self._looked = float("-inf"), False  # at the clock module: when, and what it said

    @property
    def offset(self) -> float:
        """Unix seconds when the boot-time clock began, as the wall clock has it now."""
        return self._clock.wall() - self._clock.boottime()

    def take_as_it_is(self) -> None:
        """Believe the clock without being told that it is right, unless it cannot be."""
        self._mode = "trusted"

    def resume(self, anchor: Anchor | None) -> None:
        """Go on from what was known of this start of the machine, if it is that."""
        if anchor is not None and anchor.boot == self.boot:
            self.anchor = anchor

    def accept(self) -> Anchor:
        """Take the clock for right, because a person says so."""
        self.anchor = Anchor(self.boot, self.offset, sure=True)
        return self.anchor

    def look(self, last: int) -> Hold | None:
        """Why the clock is not trusted now; None where it is.

        Args:
            last: the newest time of this kit's telegrams.
        """
        wall, offset, before = self._clock.wall(), self.offset, self.anchor
        sure = before is not None and before.sure
        now_sure = sure or self.machine.synchronised
        if not BEGIN <= wall < END:
            return _unbelievable(wall)
        if not (now_sure or self._decided or self._taken(wall)):
            return _UNSYNCHRONISED
        if before is not None and offset - before.offset > DAY and not (now_sure and not sure):
            return _ahead(before.offset + self._clock.boottime(), wall)
        if last - wall > DAY:
            return _behind(last)
        self.anchor = Anchor(self.boot, offset, now_sure)
        self._decided = True
        return None

    def _taken(self, wall: float) -> bool:
        """Whether a clock of which no time server is known is taken for right all the same."""
        if self._mode == "auto":
            return self._simulated or self.machine.virtual or self._module_agrees(wall)
        return self._mode == "trusted"

    def _module_agrees(self, wall: float) -> bool:
        now, (then, agrees) = self._clock.boottime(), self._looked
        if now - then >= _LOOK_EVERY:
            agrees = self.machine.has_clock(wall)
            self._looked = now, agrees
        return agrees


def day(seconds: float) -> str:
    """A time for people, also one beyond the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds:.0f}"


_ACCEPT = "where it is right, say so with `mysense clock accept`"
_UNSYNCHRONISED = Hold(
    "unsynchronised",
    "no time server was heard since this machine was started, and it has no clock that goes on"
    " while it is off",
    "let it reach a time server (`timedatectl` shows whether it does) or fit a clock module; "
    f"{_ACCEPT}; `clock = trusted` in [process] always takes it for right",
)


def _unbelievable(wall: float) -> Hold:
    early = wall < BEGIN
    why = f"before this MySense was made ({RELEASED})" if early else "far in the future"
    fix = "let it reach a time server, or set it (`sudo timedatectl set-time ...`)"
    return Hold("unbelievable", f"the clock says {day(wall)}, {why}", fix)


def _ahead(expected: float, wall: float) -> Hold:
    text = f"the clock was set forward by more than a day, from {day(expected)} to {day(wall)}"
    return Hold("ahead", text, f"set it right; {_ACCEPT}")


def _behind(last: int) -> Hold:
    text = f"this kit has telegrams up to {day(last)} already, more than a day ahead of the clock"
    return Hold("behind", text, f"set it right; {_ACCEPT}")
