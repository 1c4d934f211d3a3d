"""Quality: what speaks against a value. It is flagged, never left out or changed."""

from __future__ import annotations

from collections.abc import Mapping

STUCK_AFTER = 7200.0  # seconds in which every reading was the same to the last digit
STUCK_READINGS = 20
HUMID = 70.0  # percent above which particles swell with water
RECENT = 600.0  # seconds that a humidity is that of the air for other sensors
PARTICLES = ("pcs/qf", "ug/m3")


class Stuck:
    """Tells when a quantity has not moved at all for a long time."""

    def __init__(self) -> None:
        self._reading: float | None = None
        self._since = 0.0
        self._count = 0

    def saw(self, reading: float, now: float) -> bool:
        """Take in a raw reading at `now`, monotonic seconds; returns whether it is stuck."""
        if reading != self._reading:
            self._reading, self._since, self._count = reading, now, 0
        self._count += 1
        return self._count >= STUCK_READINGS and now - self._since >= STUCK_AFTER


class Damp:
    """Tells what was measured in air too humid for it; sensors need not have the same interval."""

    def __init__(self) -> None:
        self._humidity, self._at = 0.0, -RECENT

    def among(self, values: Mapping[str, float], units: Mapping[str, str], now: float) -> list[str]:
        """The particle fields among `values`, of a telegram that ends at `now`, monotonic."""
        humidity = [value for name, value in values.items() if units.get(name) == "%"]
        if humidity:
            self._humidity, self._at = max(humidity), now
        if self._humidity <= HUMID or now - self._at > RECENT:
            return []
        return [name for name in values if units.get(name) in PARTICLES]


def text(flags: Mapping[str, set[str]]) -> str:
    """Flags by field as one text, `pm_25:humid+stuck;temp:range`."""
    return ";".join(f"{name}:{'+'.join(sorted(some))}" for name, some in flags.items() if some)
