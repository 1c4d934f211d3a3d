"""Which serial adapter is meant."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from mysense.hw import ports
from mysense.plugin import Gone, Misconfigured

PROLIFIC = "usb-Prolific_Technology_Inc._USB-Serial_Controller-if00-port0"
FTDI = "usb-FTDI_FT232R_USB_UART_A9048EXM-if00-port0"


@pytest.fixture
def links(tmp_path):
    """Two adapters, each with a name and a path."""
    for kind in ("by-id", "by-path"):
        (tmp_path / kind).mkdir()
    for number, name in enumerate((PROLIFIC, FTDI)):
        device = tmp_path / f"ttyUSB{number}"
        device.touch()
        (tmp_path / "by-id" / name).symlink_to(device)
        (tmp_path / "by-path" / f"platform-usb-0:1.{number + 2}:1.0-port0").symlink_to(device)
    return tmp_path


@pytest.mark.parametrize(
    "usbid", ["Prolific", "prolific", "Prolific*port0", PROLIFIC, "usb-?rolific*", "usb-0:1.2:"]
)
def test_found(usbid, links):
    """A part of a name, a pattern or a socket finds the adapter."""
    assert os.path.realpath(ports.find(usbid, links)) == str(links / "ttyUSB0")


def test_link_is_given(links):
    """What is found is the link, which is still right after unplugging and plugging."""
    assert ports.find("Prolific", links) == str(links / "by-id" / PROLIFIC)


def test_none(links):
    """Where nothing matches, what is there is named."""
    with pytest.raises(Gone, match=r"CP2102: .* plugged in: .*FTDI"):
        ports.find("CP2102", links)


def test_nothing_plugged_in(tmp_path):
    """Without any adapter, and without the folder, it says so."""
    with pytest.raises(Gone, match="none at all"):
        ports.find("Prolific", tmp_path / "missing")


def test_several(links):
    """Where several match, all are named."""
    with pytest.raises(Misconfigured, match=f"{FTDI}.*{PROLIFIC}|{PROLIFIC}.*{FTDI}"):
        ports.find("port0", links)


@pytest.mark.parametrize(("usbid", "port"), [("067b:2303", "/dev/ttyUSB0"), ("0403:6001", None)])
def test_vid_pid(usbid, port, monkeypatch):
    """An adapter is found by the numbers of its maker and product."""
    there = ListPortInfo("/dev/ttyUSB0", skip_link_detection=True)
    there.vid, there.pid = 0x067B, 0x2303
    monkeypatch.setattr(list_ports, "comports", lambda: [there])
    try:
        found = ports.find(usbid)
    except Gone:
        found = None
    assert found == port


def test_adapters(links):
    """Each device is listed one time, under its best name."""
    assert [link.name for link in ports.adapters(links).values()] == [FTDI, PROLIFIC]


def test_holder(tmp_path):
    """The process that has a file open is named."""
    path = tmp_path / "port"
    path.touch()
    code = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        assert ports.holder(str(path)).startswith(f"pid {other.pid} (")
        other.stdin.close()
