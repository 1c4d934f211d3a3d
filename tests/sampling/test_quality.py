"""What speaks against a value, in an order that is the same in every process."""

from __future__ import annotations

from mysense.sampling.quality import Damp


def test_particles_in_the_order_of_the_telegram():
    """The text of the flags is part of a telegram: read twice it must be the same text."""
    units = {"rh": "%", **dict.fromkeys(("pm_25", "pm_10", "sds_25", "sds_10"), "ug/m3")}
    values = {"sds_10": 1.0, "pm_10": 2.0, "rh": 90.0, "sds_25": 3.0, "pm_25": 4.0}
    assert Damp().among(values, units, 0.0) == ["sds_10", "pm_10", "sds_25", "pm_25"]
