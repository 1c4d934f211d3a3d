"""The simulated DHT: its pulses, its faults, and its kernel's files."""

import pytest

from mysense.hw import iio
from mysense.hw.faults import Faults
from mysense.hw.scenario import Air
from mysense.hw.sim_pulses import (
    KINDS,
    SimulatedDht,
    by_kernel,
    frame,
    not_a_frame,
    pulses,
    simulated,
    values,
)
from mysense.plugin import Transient

FROST = Air(temperature=-10.1, humidity=65.2, pressure=1000, small=0, large=0)


def test_frame():
    """Air becomes the bytes that the data sheet has for it."""
    assert frame(FROST, "DHT22").hex() == "028c806573"


@pytest.mark.parametrize("kind", ["DHT22", "DHT11"])
@pytest.mark.parametrize("temperature", [-10.1, -0.04, 0, 0.1, 25.6, 50])
def test_frame_and_back(kind, temperature):
    """What a frame says is the air that it was made of, as fine as the chip measures."""
    air = Air(temperature=temperature, humidity=65, pressure=1000, small=0, large=0)
    assert values(frame(air, kind), kind) == pytest.approx((temperature, 65), abs=0.051)


def test_pulses():
    """An answer, then a low and a high one a bit, then the line is let go: 83 in all."""
    sent = pulses(bytes.fromhex("8000000000"))
    assert (sent[:6], len(sent)) == ([80, 80, 50, 70, 50, 26], 83)


def test_faults_come_and_go():
    """Each kind changes the answer while it is on, and only then."""
    now = [0.0]
    script = ", ".join(f"{10 * at}s {kind} 5s" for at, kind in enumerate(KINDS, 1))
    chip = simulated("DHT22", "028c015fee", Faults.parse(script, KINDS, lambda: now[0]))
    good = pulses(bytes.fromhex("028c015fee"))
    changed = []
    for now[0] in (5, 12, 17, 22, 27, 32, 37, 42, 47, 52, 57):
        changed.append(chip.pulses() != good)
    assert changed == [False, True] * 5 + [False]


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_says_eio(kind):
    """To the kernel's driver, whatever goes wrong is an error of its file."""
    kernel = by_kernel(simulated("DHT22", "028c015fee", Faults.parse(f"0s {kind}", KINDS)))
    with pytest.raises(Transient, match="Input/output error"):
        kernel.tree().find("dht11", "").temperature()
    kernel.close()


def test_kernel_gives_thousandths():
    """The kernel's files hold what the chip sends."""
    kernel = by_kernel(SimulatedDht("DHT22", lambda: bytes.fromhex("028c806573")))
    device = kernel.tree().find("dht11", "")
    assert (device.value(iio.TEMPERATURE), device.value(iio.HUMIDITY)) == (-10100, 65200)
    kernel.close()


@pytest.mark.parametrize("text", ["02", "028c015fee00", "hello", "028c015fe"])
def test_not_a_frame(text):
    """Anything but five bytes is told."""
    assert not_a_frame(text)
