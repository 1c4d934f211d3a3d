"""The contracts between the core and its plugins: Sensor, Publisher, Subscriber.

A plugin file holds one settings class, one plugin class, and `PLUGIN = <the plugin class>`.
Plugins are synchronous: the core gives each input and each output one thread of its own, so a
plugin needs no lock, no sleep and no retry. It opens nothing in `__init__`, everything in `open`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import attrs

from mysense.errors import MySenseError
from mysense.excluding import not_excludable
from mysense.options import Interval, option
from mysense.points import Measured
from mysense.privacy import not_omittable
from mysense.telegram import DAY, Ident, Telegram

Position = Mapping[str, Any]
"""How far an input has read: JSON values by key.

The journal writes only entries that changed. An entry that has is a new value, and not the old one
with something changed deep within: of thousands only those are looked at that are other objects.
"""


class Transient(MySenseError, OSError):
    """This reading failed; try again at the next slot."""


class Gone(MySenseError, ConnectionError):
    """The device is not there; close it, back off, open it again."""


class Finished(Gone):
    """There is nothing more to read and nothing is wrong: a recording has come to its end."""


class Misconfigured(MySenseError, ValueError):
    """It cannot work with these settings; stop this plugin and explain, the others go on."""


class RetryLater(MySenseError, ConnectionError):
    """Nothing of this batch counts; hand over the very same batch again.

    Args:
        reason: what the other side said or did.
        after: seconds that the other side asked for, or None to back off as the core sees fit.
        alarm: whether somebody has to mend something: told as an error, at once.
        doubt: whether the other side may yet forget what it accepts from now on, see doubt.py.
    """

    def __init__(
        self,
        reason: str,
        after: float | None = None,
        *,
        alarm: bool = False,
        doubt: bool = False,
    ) -> None:
        super().__init__(reason)
        self.after = after
        self.alarm = alarm
        self.doubt = doubt


class Refused(MySenseError, ValueError):
    """Some telegrams of the batch will never be accepted; all others were, durably.

    Args:
        reasons: by index into the batch, why.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__("; ".join(sorted(set(reasons.values()))))
        self.reasons = dict(reasons)


class Hold(MySenseError, PermissionError):
    """This kit's telegrams must wait, in order, until somebody lets them in; others go on."""


class Unacceptable(MySenseError, ValueError):
    """Something in the batch is not acceptable, it is not known what; the core bisects."""


class TooLarge(MySenseError, ValueError):
    """The batch is larger than the other side takes; the core halves it."""


@attrs.frozen
class Refusal:
    """Something an input read and could not make a telegram of; ends among the dead letters."""

    where: str
    reason: str
    text: str


Item = Measured | Refusal


@attrs.frozen
class Finding:
    """One line of `mysense check`: what was looked at, whether it is good, else how to fix it."""

    good: bool
    what: str
    fix: str = ""


@attrs.frozen
class Field:
    """One quantity that a sensor measures, and the range in which a reading is believed."""

    name: str
    unit: str
    type: str
    low: float
    high: float
    digits: int = 2


@attrs.frozen(kw_only=True)
class OutputSettings:
    """What every output can be told."""

    output: bool = option(False, "switches this output on")
    bufsize: int = option(5000, "telegrams handed over at once, at most", low=1, high=100_000)
    max_bytes: int = option(
        1_000_000, "bytes of telegrams handed over at once, at most", low=1000, high=20_000_000
    )
    omit: tuple[str, ...] = option(
        (),
        "parts of the ident and fields that this output is not told, such as street, extern_ip",
        check=not_omittable,
    )
    round_location: int | None = option(
        None, "decimals of the geolocation that it is told: 2 is about a kilometre", low=0, high=7
    )
    exclude: tuple[str, ...] = option(
        (),
        "kits and fields that this output does not get: BdP_* is kits, */drh a field of all kits",
        check=not_excludable,
    )
    state: Literal["record", "idle"] = option(
        "record", "how it begins with a journal: idle waits for `mysense resume`"
    )
    flush: float = option(
        0.0, "seconds to wait for a batch to fill; 0 sends what is there", low=0, high=3600
    )


@attrs.frozen(kw_only=True)
class InputSettings:
    """What every SUB channel can be told."""

    input: bool = option(False, "switches this input on; local sensors are then switched off")
    interval: float = option(1.0, "seconds between two polls with no news", low=0.05, high=86_400)

    @property
    def looks_back(self) -> tuple[str, float] | None:
        """The option that has it read again what was read before, and for how many days.

        So long the journal must remember, or it takes for new what is not. None: it never does.
        """
        return None


READING = 0.0
"""As an interval: each reading makes a telegram."""


def _interval(seconds: float) -> str | None:
    return None if seconds == READING or 1 <= seconds <= DAY else "reading, or 1 s to 1 d"


@attrs.frozen(kw_only=True)
class SensorSettings:
    """What every sensor can be told."""

    input: bool = option(False, "switches this sensor on")
    sample: float = option(10.0, "seconds from one reading to the next", low=0, high=DAY)
    interval: Interval = option(
        Interval(60.0),
        "seconds from one telegram to the next; reading: each reading makes one",
        check=_interval,
    )
    bufsize: int = option(
        100, "readings kept for the mean of an interval: the newest", low=1, high=100_000
    )
    fields: tuple[str, ...] = option(
        (), "other names for its fields, in their order; - leaves one out"
    )
    units: tuple[str, ...] = option((), "units to convert to, in the order of its fields")
    calibrations: str = option(
        "", "a polynomial for each field, lowest order first, [[-2.2,1],[0,1]]"
    )
    raw: bool = option(False, "adds the uncalibrated value of each field as <field>_raw")


S = TypeVar("S", bound=OutputSettings | InputSettings | SensorSettings)


class Plugin(Generic[S]):
    """What all plugins share. `section` is the name in the configuration, `influxpub:backup`."""

    Settings: ClassVar[type[Any]]
    direction: ClassVar[Literal["input", "output"]]

    def __init__(self, settings: S, section: str = "") -> None:
        self.settings = settings
        self.section = section or type(self).__name__
        self.log = logging.getLogger(f"mysense.{self.section}")

    def close(self) -> None:
        """Let go of everything; may be called twice, and without open before."""

    def interrupt(self) -> None:
        """Make a call that blocks in another thread return soon: the engine is stopping."""

    def check(self) -> Iterable[Finding]:
        """Look, without harm and without root, whether this plugin could work here."""
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sensor(Plugin[S]):
    """Something that measures on this machine."""

    direction = "input"
    fields: Sequence[Field]
    warm_up: float = 0.0
    """Seconds after `open` in which values are flagged as measured too early."""
    paced: bool = False
    """Whether `read` waits for the device, which measures when it likes: no slots then."""
    patience: float = 60.0
    """Seconds after which a `read` that has not returned counts as hanging."""

    def open(self) -> None:
        """Reach the device. Raises Gone or Misconfigured."""

    def read(self) -> Mapping[str, float]:
        """Take one measurement and return its raw values by field name; may block.

        Raises:
            Transient, Gone, Finished, Misconfigured
        """
        raise NotImplementedError


class Publisher(Plugin[S]):
    """Something that takes telegrams.

    `mixed` publishers get batches of several kits in journal order; the others get one kit at a
    time, so that holding and refusing stay within that kit.
    """

    direction = "output"
    mixed: ClassVar[bool] = False
    accepts: ClassVar[frozenset[str]] = frozenset({Telegram.kind})
    kits: Sequence[Ident] = ()
    """Whose telegrams are expected, as far as that is known; set before `check` alone."""

    def open(self, receipt: str | None) -> None:
        """Get ready. `receipt` is what `publish` last returned and the journal has kept."""

    def publish(self, batch: Sequence[Telegram]) -> str | None:
        """Accept `batch`, durably, and return a receipt (or None) to be kept with the cursor.

        Raises:
            RetryLater, Refused, Hold, Unacceptable, TooLarge, Misconfigured
        """
        raise NotImplementedError

    def epoch(self) -> str | None:
        """What changes when the other side is started again; None where that cannot be told."""
        return None

    def preview(self, batch: Sequence[Telegram]) -> Iterator[str]:
        """The wire lines that `publish` would send, without touching anything outside."""
        raise NotImplementedError


class Subscriber(Plugin[S]):
    """Something that telegrams can be read from."""

    direction = "input"

    def open(self) -> None:
        """Get ready. Raises RetryLater or Misconfigured."""

    def poll(self, position: Position | None) -> tuple[Sequence[Item], Position]:
        """Return what came after `position` (None: never polled), and the position after it.

        An empty sequence means that there is nothing more for now. The core commits both in one
        transaction and hands the committed position to the next call.

        Raises:
            RetryLater, Misconfigured
        """
        raise NotImplementedError

    def idle(self, stop: threading.Event, seconds: float) -> None:
        """Wait after a poll that gave nothing: so long, or until there may be news.

        Who waits for anything else than `stop` returns on `interrupt` as well.
        """
        stop.wait(seconds)
