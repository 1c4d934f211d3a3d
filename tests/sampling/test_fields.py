"""How readings become fields: names, units, calibrations, and what does not fit."""

from __future__ import annotations

import pytest

from mysense.plugin import Field, Misconfigured, SensorSettings
from mysense.sampling.fields import channels

FIELDS = (Field("temp", "C", "BME280", -40, 85), Field("hpa", "hPa", "BME280", 300, 1100))


def test_as_the_sensor_has_them():
    """Without options nothing is changed."""
    temp, hpa = channels(FIELDS, SensorSettings())
    assert (temp.name, temp.unit, temp.value(20.0), hpa.name) == ("temp", "C", 20.0, "hpa")


def test_renamed_converted_calibrated():
    """Calibrated in the sensor's unit, then converted."""
    settings = SensorSettings(
        fields=("outside", "air"), units=("F", "Pa"), calibrations="[[-2,1],[0,1]]"
    )
    temp, hpa = channels(FIELDS, settings)
    assert (temp.name, temp.value(22.0), hpa.value(1000.0)) == ("outside", 68.0, 100_000.0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fields": ("only",)}, "fields: expected 2 entries, for temp, hpa, found 1"),
        ({"units": ("C", "psi")}, "units: hpa: hPa cannot become psi"),
        ({"units": ("Pa", "hPa")}, "units: temp: C cannot become Pa"),
        ({"fields": ("time", "air")}, "time"),
        ({"calibrations": "[[1,2]]"}, "one for each of 2 fields"),
        ({"calibrations": "2 x"}, "expected a list of polynomials"),
        ({"calibrations": "[[NaN,1],[0,1]]"}, "expected a list of polynomials"),
        ({"calibrations": "[[0,1],[0,1e999]]"}, "expected a list of polynomials"),
        ({"fields": ("air", "air")}, "air stands for two fields"),
        ({"fields": ("air", "air_raw"), "raw": True}, "air_raw stands for two fields"),
        ({"fields": ("quality", "air")}, "quality is the name of the flags"),
        ({"fields": ("temp", "geolocation")}, "geolocation is the name of where the kit stands"),
        ({"fields": ("-", "-")}, "every field is left out"),
        ({"calibrations": "[[],[0,1]]"}, "expected a list of polynomials"),
        ({"calibrations": "[-2,1]"}, "expected a list of polynomials"),
        ({"calibrations": '{"1":1,"2":2}'}, "expected a list of polynomials"),
        ({"calibrations": '[["0","1"],[0,1]]'}, "expected a list of polynomials"),
        ({"calibrations": f"[[1{'0' * 400}],[0,1]]"}, "expected a list of polynomials"),
    ],
)
def test_what_does_not_fit_is_told(settings, told):
    """With the option and what it should be."""
    with pytest.raises(Misconfigured) as wrong:
        channels(FIELDS, SensorSettings(**settings))
    assert told in str(wrong.value)


def test_a_calibration_beyond_all_numbers():
    """A value that is none is not believed, as a reading out of range is not."""
    temp, hpa = channels(FIELDS, SensorSettings(calibrations="[[0,1e306],[0,1]]"))
    assert (temp.believes(20.0), hpa.believes(1000.0)) == (False, True)
