"""What is found on a machine, and the sections that it makes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import attrs
import pytest

from mysense.application import Application
from mysense.hw import scan
from mysense.hw.faults import Faults
from mysense.hw.scan import look
from mysense.hw.sim_bme280 import SimulatedBme280, simulated
from mysense.hw.sim_i2c import SimulatedBus
from mysense.hw.sim_machine import PROLIFIC, kit, plug
from mysense.hw.stanzas import stanzas, text
from mysense.sampling import Sampling

PLUGINS = ("bme280", "dht", "dylos", "sds011")
FIELDS = {
    "bme280": ("temp", "rh", "hpa"),
    "dht": ("dtemp", "drh"),
    "dylos": ("pm_25", "pm_10"),
    "sds011": ("pm_25", "pm_10"),
}


@pytest.fixture
def machine():
    with kit() as made:
        yield made


def wired(machine, *addresses, **more):
    """The same machine with BME280 chips at these addresses of its bus."""
    bus = SimulatedBus({address: simulated("", Faults()) for address in addresses}, **more)
    return attrs.evolve(machine, open_bus=bus.open)


def sections(machine):
    return text(stanzas(look(machine), PLUGINS), FIELDS.__getitem__)


def settings(machine, tmp_path):
    """What the sections say when they are pasted behind an [id]."""
    path = tmp_path / "MySense.conf"
    path.write_text(f"[id]\nproject = p\nserial = 1\n\n{sections(machine)}")
    return Application.load(path, environ={})


def test_kit_is_found(machine):
    """An adapter, a bus with a chip, and a sensor of the kernel."""
    found = look(machine)
    assert (len(found.adapters), found.buses[0].chips, list(found.kernel.values())) == (
        1,
        (scan.Chip(0x76, "BME280"),),
        ["dht11@4"],
    )


def test_sections_are_good_settings(machine, tmp_path):
    """What is pasted loads, and all of it is switched on."""
    application = settings(machine, tmp_path)
    assert {one.section for one in application.configured if one.on} == {"bme280", "dht", "dylos"}


def test_two_of_a_kind_do_not_share_fields(machine, tmp_path):
    """Two chips and two adapters make four sections that can measure together."""
    plug(machine.devices, PROLIFIC)
    application = settings(wired(machine, 0x76, 0x77), tmp_path)
    sampling = Sampling.of(application)
    assert {"temp", "temp_2", "pm_25", "pm_25_2"} <= set(sampling.ident.fields)


def test_two_makes_do_not_share_fields(machine, tmp_path):
    """A Dylos and an SDS011 count the same, each in its own way: both are kept."""
    plug(machine.devices, "usb-1a86_USB_Serial-if00-port0")
    sampling = Sampling.of(settings(machine, tmp_path))
    assert {"pm_25", "pm_25_sds011"} <= set(sampling.ident.fields)


def test_two_adapters_of_one_name_are_told_apart_by_socket(machine):
    """Two PL2303 have one name in by-id; each is named by the socket it is in."""
    plug(machine.devices, PROLIFIC)
    names = [one.link.name for one in look(machine).adapters]
    assert ["usb-0:1.1:" in names[0], "usb-0:1.2:" in names[1]] == [True, True]


def test_unknown_adapter_is_marked(machine):
    """What cannot be known is said in a comment above the section."""
    plug(machine.devices, "usb-FTDI_FT232R_USB_UART_A9048EXM-if00-port0")
    assert sections(machine).count("what is behind it cannot be seen") == 1


def test_other_bus_is_named(machine):
    """A bus that is not the one on the header stands in the section."""
    (machine.devices / "i2c-1").rename(machine.devices / "i2c-3")
    assert "bus = 3\ni2c = 0x76\n" in sections(machine)


def test_bmp280_makes_no_section(machine):
    """It is shown for what it is."""
    chip = SimulatedBme280(lambda: bytes(8), chip_id=0x58)
    other = attrs.evolve(machine, open_bus=SimulatedBus({0x76: chip}).open)
    assert look(other).buses[0].chips == (scan.Chip(0x76, "BMP280"),)
    assert "[bme280]" not in sections(other)


def test_chip_that_the_kernel_holds(machine):
    """It answers nobody else; its section comes from the kernel's own list."""

    class Held(SimulatedBme280):
        def write(self, data):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

        read = write

    bus = SimulatedBus({0x77: Held(lambda: bytes(8))})
    assert look(attrs.evolve(machine, open_bus=bus.open)).buses[0].chips == (
        scan.Chip(0x77, held=True),
    )


@pytest.mark.parametrize(
    "name", ["SMBus I801 adapter at efa0", "NVIDIA i2c adapter 1", "i915 gmbus dpb", "vc4-hdmi-0"]
)
def test_bus_of_a_board_or_screen_is_left_alone(machine, name):
    """Reading there could do harm, and no sensor is there."""
    folder = machine.adapters / "i2c-1"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")

    def open_bus(number):
        raise AssertionError("it was opened")

    (bus,) = look(attrs.evolve(machine, open_bus=open_bus)).buses
    assert bus.left_alone


def test_no_bus(machine):
    """Then I2C is off, and it is said how to switch it on."""
    (machine.devices / "i2c-1").unlink()
    (finding,) = look(machine).trouble
    assert "raspi-config nonint do_i2c 0" in finding.fix


def test_bus_that_is_forbidden(machine):
    """The group is named."""
    (finding,) = look(wired(machine, refuses=errno.EACCES)).trouble
    assert "usermod -aG i2c" in finding.fix


def test_bus_that_is_stuck(machine):
    """A line that is held low answers everywhere: that is no chip."""
    faults = Faults.parse("0s stuck-00", ["stuck-00"])
    (finding,) = look(wired(machine, 0x76, faults=faults)).trouble
    assert "stuck low" in finding.what


def test_adapter_that_is_forbidden(machine, monkeypatch):
    """The group of the port is named."""
    device = machine.devices / "ttyUSB0"
    monkeypatch.setattr(os, "access", lambda *_: False)
    (finding,) = look(machine).trouble
    assert str(device) in finding.what
    assert finding.fix


def test_nothing_is_left_open(machine):
    """A look leaves no descriptor behind."""
    before = set(Path("/proc/self/fd").iterdir())
    look(machine)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_this_machine_can_be_looked_at():
    """Whatever is here, looking raises nothing."""
    assert isinstance(look().trouble, tuple)
