"""Sensors that the kernel reads, over a tree of files."""

import os
from pathlib import Path

import pytest

from mysense.hw import iio
from mysense.hw.faults import IIO, Faults
from mysense.hw.scenario import Air
from mysense.hw.sim_iio import SimulatedIio, texts
from mysense.plugin import Gone, Misconfigured, Transient

AIR = Air(temperature=-3.25, humidity=65.306, pressure=1009.43, small=0, large=0)


def made(tmp_path, *, name="bme280", script="", clock=lambda: 0.0, **files):
    """The tree of one device in AIR, with some files otherwise."""
    source = texts(AIR, pressure=True) | files
    faults = Faults.parse(script, IIO, clock)
    return SimulatedIio(name, lambda: source, faults, tmp_path).tree()


def test_values(tmp_path):
    """Thousandths and kPa become C, % and hPa."""
    device = made(tmp_path).find("bme280", "")
    found = device.temperature(), device.humidity(), device.pressure()
    assert found == pytest.approx((-3.25, 65.306, 1009.43))


@pytest.mark.parametrize(
    ("text", "humidity"), [("65306", 65.306), ("65.306640625", 65.306640625), ("0", 0)]
)
def test_humidity_of_old_kernels(tmp_path, text, humidity):
    """Some kernels give % with decimals."""
    device = made(tmp_path, in_humidityrelative_input=text).find("bme280", "")
    assert device.humidity() == humidity


@pytest.mark.parametrize("text", ["65", "1", "100", "", "nan", "inf", "?", "6\xb05", "1e999"])
def test_humidity_that_cannot_be_known(tmp_path, text):
    """What is neither, or no number at all, is refused."""
    device = made(tmp_path).find("bme280", "")
    path = device.path / iio.HUMIDITY
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Transient):
        iio.Device(device.path).humidity()


def test_found_by_name_not_number(tmp_path):
    """Other devices beside it do not matter, and an address after the name neither."""
    for number, name in ((1, "ads1015"), (2, "dht11@4"), (0, "rpi-adc")):
        folder = tmp_path / f"iio:device{number}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
    assert iio.Tree(tmp_path).find("dht11", "").path.name == "iio:device2"


def test_nothing_there(tmp_path):
    """A missing device is gone, with what there is and the fix."""
    tree = made(tmp_path, name="ads1015")
    with pytest.raises(Gone, match=r"found: ads1015.*load it"):
        tree.find("bme280", "load it")


def test_two_of_a_name(tmp_path):
    """It is never guessed which of two is meant."""
    for number in range(2):
        folder = tmp_path / f"iio:device{number}"
        folder.mkdir()
        (folder / "name").write_text("bme280\n")
    with pytest.raises(Misconfigured, match="several"):
        iio.Tree(tmp_path).find("bme280", "")


@pytest.mark.parametrize(
    ("script", "wrong"), [("1s eio", Transient), ("1s garbage", Transient), ("1s unplug", Gone)]
)
def test_faults(tmp_path, script, wrong):
    """What a driver does when its sensor does not answer."""
    now = 0.0
    device = made(tmp_path, script=f"{script} 1s", clock=lambda: now).find("bme280", "")
    now = 1.0
    with pytest.raises(wrong):
        device.temperature()


def test_back_after_a_fault(tmp_path):
    """The file is itself again when the fault is over."""
    now = 0.0
    device = made(tmp_path, script="1s eio 1s", clock=lambda: now).find("bme280", "")
    now = 1.0
    with pytest.raises(Transient):
        device.temperature()
    now = 2.0
    assert device.temperature() == -3.25


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden(tmp_path):
    """A file that may not be read is a matter of the set-up."""
    device = made(tmp_path).find("bme280", "")
    (device.path / iio.TEMPERATURE).chmod(0)
    with pytest.raises(Misconfigured):
        iio.Device(device.path).temperature()


def test_temporary_tree_is_removed():
    """A tree of its own leaves nothing behind."""
    simulated = SimulatedIio("bme280", dict)
    device = simulated.tree().find("bme280", "")
    simulated.close()
    simulated.close()
    assert not Path(device.path).exists()
