"""A BME280 through its public driver: over the simulated chip below the real smbus2."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from mysense.hw import faults
from mysense.hw.bme280_formulas import Datasheet
from mysense.hw.scenario import Air, Scenario
from mysense.hw.sim_bme280 import SimulatedBme280, dump, weather
from mysense.hw.sim_i2c import SimulatedBus
from mysense.hw.sim_iio import SimulatedIio, texts
from mysense.loader import home
from mysense.plugin import Gone, Misconfigured, Transient
from sensors.MyBME280 import Bme280Sensor
from tests.sensors.bench import VECTORS, A, Hands, approximately, chip, descriptors, settings, wired

_MAIN = "import sys; from mysense.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def python():
    """Runs Python in a new process and returns its stdout."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=home(),
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        )
        return done.stdout

    return run


@pytest.mark.parametrize(("registers", "temperature", "pressure", "humidity"), VECTORS)
def test_vectors(registers, temperature, pressure, humidity):
    """Registers become what Bosch's own code makes of them."""
    calibration, burst = dump(registers)
    with wired({0x77: chip(burst, calibration=calibration)}, backend="i2c") as sensor:
        sensor.open()
        assert sensor.read() == approximately(temperature, pressure, humidity)


@pytest.mark.parametrize(("registers", "temperature", "pressure", "humidity"), VECTORS)
def test_vectors_by_the_datasheet(registers, temperature, pressure, humidity):
    """The formulas that the simulated chip is made with agree."""
    calibration, burst = dump(registers)
    found = Datasheet(calibration).measurement(burst)
    values = {"temp": found.temperature, "hpa": found.pressure, "rh": found.humidity}
    assert values == approximately(temperature, pressure, humidity)


@pytest.mark.parametrize(("registers", "temperature", "pressure", "humidity"), VECTORS)
def test_run_prints_a_telegram(registers, temperature, pressure, humidity, python):
    """`run --test` gives the values of each vector to their last digit, with their units."""
    words = ["run", "--test", "-c", os.devnull, "-o", "id.project=demo", "-o", "id.serial=1"]
    words += ["-o", "bme280.input=true", "-o", "bme280.backend=sim"]
    telegram = json.loads(python("-c", _MAIN, *words, "-o", f"bme280.registers={registers}"))
    values = {name: value for name, value in telegram["data"].items() if name != "time"}
    units = dict(zip(telegram["ident"]["fields"], telegram["ident"]["units"], strict=True))
    assert (values, units) == (
        approximately(temperature, pressure, humidity),
        {"time": "s", "temp": "C", "rh": "%", "hpa": "hPa"},
    )


def test_alone_prints_readings(python):
    """Started as a file it prints a JSON object a reading."""
    out = python(
        home() / "sensors/MyBME280.py", "-c", os.devnull, "-o", "bme280.backend=sim", "-n", "1"
    )
    assert set(json.loads(out)) == {"time", "temp", "rh", "hpa"}


@pytest.mark.parametrize("hour", [0, 8, 14.5, 21])
def test_weather(hour):
    """What the simulated chip measures is the air of the scenario, as finely as it resolves it."""
    air = Scenario().at(hour * 3600)
    with wired({0x77: SimulatedBme280(weather(Scenario(), lambda: hour * 3600))}) as sensor:
        sensor.open()
        assert sensor.read() == {
            "temp": pytest.approx(air.temperature, abs=0.001),
            "rh": pytest.approx(air.humidity, abs=0.01),
            "hpa": pytest.approx(air.pressure, abs=0.005),
        }


def test_second_address():
    """Where nobody answers at 0x77 it is looked for at 0x76."""
    with wired({0x76: chip()}) as sensor:
        sensor.open()
        assert sensor.read()["temp"] == pytest.approx(23.722, abs=1e-3)


def test_given_address_only():
    """A second chip is never taken for the one that was asked for; the text says where it is."""
    with wired({0x76: chip(), 0x23: chip()}, i2c=("0x77",)) as sensor, pytest.raises(Gone) as gone:
        sensor.open()
    assert "no BME280 at 0x77; these answer: 0x23, 0x76" in str(gone.value)


@pytest.mark.parametrize(
    ("chip_id", "named"),
    [(0x58, "a BMP280 "), (0x56, "a BMP280"), (0x61, "a BME680"), (0x55, "a BMP180"), (0x12, "no")],
)
def test_other_chip(chip_id, named):
    """Another chip is named, with what to do."""
    with (
        wired({0x77: chip(chip_id=chip_id)}) as sensor,
        pytest.raises(Misconfigured, match=f"is {named}.*0x{chip_id:02x}.*wire a BME280"),
    ):
        sensor.open()


def test_other_chip_at_the_first_address():
    """A BMP280 at 0x77 does not hide the BME280 at 0x76."""
    with wired({0x77: chip(chip_id=0x58), 0x76: chip()}) as sensor:
        sensor.open()
        assert sensor.read()["rh"] == pytest.approx(65.306, abs=1e-3)


@pytest.mark.parametrize("backend", ["i2c", "sim"])
@pytest.mark.parametrize(
    ("number", "fix"), [(errno.ENOENT, "raspi-config"), (errno.EACCES, "usermod -aG i2c")]
)
def test_bus_that_cannot_be_opened(backend, number, fix):
    """It is a matter of the set-up, and the fix is told."""
    bus = SimulatedBus({}, refuses=number)
    with pytest.raises(Misconfigured, match=fix):
        Bme280Sensor(settings(backend=backend), open_bus=bus.open).open()


def test_missing_bus_of_this_machine():
    """Over a real /dev that lacks the bus it says the same."""
    with pytest.raises(Misconfigured, match="/dev/i2c-250 is not there"):
        Bme280Sensor(settings(backend="i2c", bus=250)).open()


def test_not_open():
    """Reading what is not open is Gone, not a crash."""
    with pytest.raises(Gone):
        Bme280Sensor(settings()).read()


def test_open_and_close_again_and_again():
    """Both are idempotent, also after failures, and leave no descriptor behind."""
    sensor, before = wired({0x76: chip()}), descriptors()
    broken = wired({})
    for _ in range(5):
        sensor.open()
        sensor.open()
        sensor.read()
        sensor.close()
        sensor.close()
        with pytest.raises(Gone):
            broken.open()
    assert descriptors() == before


@pytest.mark.parametrize("i2c", ["0x99", "119.5", "", "seven", "0x03"])
def test_no_address(i2c):
    """What cannot be an address is refused before anything starts."""
    with pytest.raises(ValueError, match="0x08 to 0x77"):
        settings(i2c=tuple(i2c.split(",")) if i2c else ())


@pytest.mark.parametrize("registers", ["00", A, f"{A}/", f"{A}/4a52c08096c07a7", f"{A}/xx"])
def test_no_dump(registers):
    """What is no dump of the registers is refused before anything starts."""
    with pytest.raises(ValueError, match="26, 7 and 8 bytes"):
        settings(registers=registers)


def kernel(tmp_path, name="bme280", script="", clock=time.monotonic):
    air = Air(temperature=23.722, humidity=65.306, pressure=1009.4296, small=0, large=0)
    source = texts(air, pressure=True)
    simulated = SimulatedIio(
        name, lambda: source, faults.Faults.parse(script, faults.IIO, clock), tmp_path
    )
    return Bme280Sensor(settings(backend="iio"), "bme280", tree=simulated.tree())


def test_kernel(tmp_path):
    """The kernel's driver gives the same fields in the same units."""
    with kernel(tmp_path) as sensor:
        sensor.open()
        assert sensor.read() == {"temp": 23.722, "rh": 65.306, "hpa": pytest.approx(1009.4296)}


def test_kernel_without_driver(tmp_path):
    """Without the overlay it says which line is missing."""
    with pytest.raises(Gone, match="dtoverlay=i2c-sensor,bme280"):
        kernel(tmp_path, name="ads1015").open()


def test_kernel_with_bmp280(tmp_path):
    """The kernel reads a BMP280, too: it is told that it lacks humidity."""
    with pytest.raises(Misconfigured, match="BMP280, which has no humidity"):
        kernel(tmp_path, name="bmp280").open()


@pytest.mark.parametrize(("kind", "wrong"), [("eio", Transient), ("unplug", Gone)])
def test_kernel_faults(tmp_path, kind, wrong):
    """What the driver cannot read now may be there at the next slot."""
    hands = Hands()
    with kernel(tmp_path, script=f"1s {kind} 1s", clock=hands) as sensor:
        sensor.open()
        hands.now = 1
        with pytest.raises(wrong):
            sensor.read()


def told(sensor):
    return [(finding.good, finding.what, finding.fix) for finding in sensor.check()]


def test_check_of_a_good_sensor():
    """It says which chip answers where and shows one reading with its units."""
    whats = [what for good, what, _ in told(wired({0x76: chip()})) if good]
    assert whats == [
        "bus sim can be opened",
        "a BME280 answers at 0x76 of bus sim",
        "one reading: temp 23.72 C, rh 65.31 %, hpa 1009.43 hPa",
    ]


@pytest.mark.parametrize(
    ("sensor", "what", "fix"),
    [
        (Bme280Sensor(settings(backend="i2c", bus=250)), "not there", "raspi-config"),
        (wired({}), "no address answers", "check the wires"),
        (wired({0x77: chip(chip_id=0x58)}), "BMP280", "wire a BME280"),
        (wired({0x77: chip()}, "0s nack"), "no address answers", "check the wires"),
        (wired({0x77: chip(bytes.fromhex("100000100000ea60"))}), "one reading", "out of range"),
    ],
)
def test_check_of_a_bad_sensor(sensor, what, fix):
    """The last line is the failure, and has its fix."""
    before = descriptors()
    good, found, advice = told(sensor)[-1]
    assert (good, what in found, fix in advice, descriptors()) == (False, True, True, before)


_LIGHT = """
import sys
import sensors.MyBME280
print([name for name in sys.modules if name.startswith(("smbus2", "adafruit", "busio"))])
"""


def test_import_is_light(python):
    """Hardware libraries are imported when they are used."""
    assert python("-c", _LIGHT).strip() == "[]"


_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
from sensors.MyBME280 import Bme280Sensor, Bme280Settings
sensor = Bme280Sensor(Bme280Settings(backend=sys.argv[2], registers=sys.argv[3]))
try:
    sensor.open()
    print(round(sensor.read()["rh"], 3))
except Exception as wrong:
    print(type(wrong).__name__, wrong)
"""


def test_simulated_without_the_library(python):
    """A demo needs smbus2, but not Adafruit's library and what comes with it."""
    out = python("-c", _WITHOUT, "adafruit_bme280,busio", "sim", VECTORS[0][0])
    assert out.strip() == "65.306"


@pytest.mark.parametrize("backend", ["sim", "i2c"])
def test_without_smbus2(python, backend):
    """A missing library is named with the command that installs it."""
    out = python("-c", _WITHOUT, "smbus2", backend, VECTORS[0][0])
    assert "smbus2 cannot be imported" in out
    assert "pip install 'mysense[sensors]'" in out
