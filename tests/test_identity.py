"""A kit's serial number: from the machine, the same at every start, never made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from mysense.identity import burnt_in, machine_serial

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
    assert machine_serial(machine(tmp_path, cpuinfo, cards), silent) == expected


def silent(_card):
    """A kernel that does not say with which address a card was made."""
    raise OSError


@pytest.mark.parametrize(
    ("assigned", "serial"), [("0", "b827eb010203"), ("1", None), ("2", None), ("3", None)]
)
def test_an_address_that_is_not_its_own_is_none(assigned, serial, tmp_path):
    """A card whose address the kernel or a network manager has made up would be another kit."""
    root = machine(tmp_path, cards=[("wlan0", "b8:27:eb:01:02:03", True)])
    (root / "sys" / "class" / "net" / "wlan0" / "addr_assign_type").write_text(f"{assigned}\n")
    assert machine_serial(root, silent) == serial


def test_the_address_that_a_card_was_made_with(tmp_path):
    """Not the one that it has now, and the next card where it was made without one."""
    cards = [("usb0", "12:34:56:78:9a:bc", True), ("wlan0", "5e:aa:bb:cc:dd:ee", True)]
    root = machine(tmp_path, cards=cards)
    made = {"usb0": "", "wlan0": "b827eb010203"}
    assert machine_serial(root, made.__getitem__) == "b827eb010203"


def test_the_kernel_is_asked():
    """Each card has an address or none; one that is not there is an error."""
    with pytest.raises(OSError, match="No such device"):
        burnt_in("no-such-card")
    assert all(len(burnt_in(card.name)) in (0, 12) for card in Path("/sys/class/net").iterdir())
