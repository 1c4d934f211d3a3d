"""A kit's serial number: from the machine, the same at every start, never made up."""

from __future__ import annotations

import pytest

from mysense.identity import machine_serial

PI = "Hardware\t: BCM2835\nRevision\t: a020d3\nSerial\t\t: 00000000e0a1b2c3\n"


def machine(tmp_path, cpuinfo="", cards=()):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    for name, address, hardware in cards:
        card = tmp_path / "sys" / "class" / "net" / name
        card.mkdir(parents=True)
        (card / "address").write_text(address + "\n")
        if hardware:
            (card / "device").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("cpuinfo", "cards", "serial"),
    [
        (PI, [("eth0", "b8:27:eb:01:02:03", True)], "00000000e0a1b2c3"),
        ("", [("eth0", "B8:27:EB:01:02:03", True)], "b827eb010203"),
        ("", [("wlan0", "b8:27:eb:ff:ff:ff", True), ("eth0", "b8:27:eb:01:02:03", True)], None),
        (
            "Serial\t: 0000000000000000\n",
            [("lo", "00:00:00:00:00:00", False), ("docker0", "02:42:00:00:00:01", False)],
            "",
        ),
    ],
)
def test_machine_serial(tmp_path, cpuinfo, cards, serial):
    """The processor's, else that of the first card which is hardware, else none."""
    expected = {None: "b827eb010203", "": None}.get(serial, serial)
    assert machine_serial(machine(tmp_path, cpuinfo, cards)) == expected
