"""The Dylos driver over a pty, a socket and a recording: vectors, faults, what is left behind."""

from __future__ import annotations

import grp
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from mysense.hw import ports
from mysense.hw.faults import Faults
from mysense.hw.sim_dylos import SimDylos
from mysense.hw.sim_port import KINDS
from mysense.plugin import Finished, Gone, Misconfigured, Transient
from mysense.settings import Source
from sensors.MyDYLOS import PLUGIN, DylosSettings
from tests.hw.clock import VirtualClock

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "dylos-input.txt"
STALE = 30.0


class Bench:
    """A driver on a simulated Dylos, both on one virtual clock; it says what is in `says`."""

    def __init__(self, script="", **settings):
        self.clock = VirtualClock()
        self.says = []
        faults = Faults.parse(script, KINDS, self.clock)
        lines = lambda: self.says.pop(0) if self.says else None  # noqa: E731  # bound to this bench
        self.far = SimDylos(lines, faults, 60.0, self.clock)
        settings = {"port": str(self.far.port), "stale": STALE} | settings
        self.dylos = PLUGIN(DylosSettings(**settings), "dylos", self.clock)

    def open(self):
        """Open it and hear a silence, after which a line is known to be whole."""
        self.dylos.open()
        self.clock.now += STALE
        with pytest.raises(Transient, match="no line for 30 s"):
            self.dylos.read()
        return self.dylos

    def say(self, *lines):
        """Let it say these lines, a minute each."""
        self.says += lines
        self.wait(60 * len(lines))

    def send(self, data):
        """Put bytes on the wire."""
        self.far._send(data)

    def wait(self, seconds):
        """Let time pass."""
        self.clock.now += seconds
        self.far.step()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dylos.close()
        self.far.close()


@pytest.fixture
def bench(request):
    with Bench(**getattr(request, "param", {})) as bench:
        yield bench


def held():
    """How many descriptors and threads this process has."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@pytest.mark.parametrize(
    ("line", "small", "large"),
    [
        ("675,22", 675, 22),
        ("336,0", 336, 0),
        ("02/27/17 10:52,1879,54", 1879, 54),
        ("12/04/14 10:52:07,1879,700,54,3", 1879, 54),
    ],
)
def test_lines(line, small, large, bench):
    """Each kind of line gives the small and the large count."""
    dylos = bench.open()
    bench.say(line)
    assert dylos.read() == {"pm_25": small, "pm_10": large}


@pytest.mark.parametrize("line", [b"9,93", b",93", b"1659,", b"16\xff9,93", b"1659,93,5", b""])
def test_refused_lines(line, bench):
    """What is no line is told, once, and the next one is read."""
    dylos = bench.open()
    bench.send(line + b"\r\n675,22\r\n")
    with pytest.raises(Transient, match="refused"):
        dylos.read()
    assert dylos.read() == {"pm_25": 675, "pm_10": 22}


def test_tail_after_opening(bench):
    """The tail of a line, which looks valid, is not taken for a reading."""
    bench.dylos.open()
    bench.send(b"59,93\r\n675,22\r\n")
    assert bench.dylos.read() == {"pm_25": 675, "pm_10": 22}


def test_partial_line_does_not_join(bench):
    """The head of a line is refused after a silence and does not join with the next line."""
    dylos = bench.open()
    bench.send(b"16")
    threading.Timer(0.3, bench.wait, [10]).start()  # while it listens
    with pytest.raises(Transient, match="broke off"):
        dylos.read()
    bench.say("75,22")
    assert dylos.read() == {"pm_25": 75, "pm_10": 22}


def test_held_up_process(bench):
    """Who did not listen between two halves of a line knows of no silence: it is one line."""
    dylos = bench.open()
    bench.send(b"16")
    threading.Timer(0.3, bench.dylos.interrupt).start()
    with pytest.raises(Transient):
        dylos.read()
    bench.dylos._device.stop.clear()
    bench.send(b"59,93\r\n")
    bench.wait(10)  # the process was held up, the bytes were there
    assert dylos.read() == {"pm_25": 1659, "pm_10": 93}


def test_silence(bench):
    """Silence is told after `stale` seconds, once, and again after as long."""
    dylos = bench.open()
    bench.clock.now += STALE
    with pytest.raises(Transient, match="no line for 60 s; see that the Dylos is switched on"):
        dylos.read()


@pytest.mark.parametrize("bench", [{"stale": 7500.0}], indirect=True)
def test_monitor_mode(bench):
    """With `stale` over an hour, a line an hour is no silence."""
    bench.dylos.open()
    told = []
    reader = threading.Thread(target=lambda: told.append(bench.dylos.read()))
    reader.start()
    time.sleep(0.5)
    bench.wait(3000)
    time.sleep(0.5)
    bench.say("675,22")
    reader.join(5)
    assert told == [{"pm_25": 675, "pm_10": 22}]


def test_interrupt(bench):
    """A wait for a line ends soon after an interrupt."""
    bench.dylos.open()
    threading.Timer(0.2, bench.dylos.interrupt).start()
    began = time.monotonic()
    with pytest.raises(Transient, match="ended from outside"):
        bench.dylos.read()
    assert time.monotonic() - began < 10


def test_interrupt_before_opening(bench):
    """An interrupt that comes between two calls is not forgotten."""
    bench.dylos.interrupt()
    bench.dylos.open()
    with pytest.raises(Transient, match="ended from outside"):
        bench.dylos.read()


@pytest.mark.parametrize("bench", [{"script": "100s unplug 60s"}], indirect=True)
def test_unplug_and_return(bench):
    """Unplugged it is Gone, and stays so until its link is back; then it reads on."""
    bench.open()
    bench.wait(100)
    with pytest.raises(Gone, match="unplugged"):
        bench.dylos.read()
    bench.dylos.close()
    with pytest.raises(Gone, match="is not there"):
        bench.dylos.open()
    bench.wait(60)
    dylos = bench.open()
    bench.say("675,22")
    assert dylos.read() == {"pm_25": 675, "pm_10": 22}


def test_found_by_usbid(bench, monkeypatch):
    """Without a port it is found by a part of the name of its adapter."""
    monkeypatch.setattr(ports.find, "__defaults__", (bench.far.links,))
    dylos = PLUGIN(DylosSettings(usbid="Prolific"), "dylos")
    dylos.open()
    assert dylos._device.port == str(bench.far.port)
    dylos.close()


def test_two_processes(bench):
    """The second one is told which port, and who has it."""
    code = (
        "import sys; from sensors.MyDYLOS import *; d = PLUGIN(DylosSettings(port=sys.argv[1]))\n"
        "d.open(); print('open', flush=True); sys.stdin.read()"
    )
    first = [sys.executable, "-c", code, str(bench.far.port)]
    with subprocess.Popen(first, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(Gone, match=f"{bench.far.port} is in use by pid {other.pid}"):
            bench.dylos.open()
        other.stdin.close()


def test_no_permission(bench):
    """Without the right to open the port, it says how to get it."""
    device = os.path.realpath(bench.far.port)
    code = (
        "import os, sys; from sensors.MyDYLOS import *; import mysense.hw.serial, serial\n"
        "from mysense.plugin import Misconfigured\n"
        "d = PLUGIN(DylosSettings(port=sys.argv[1])); os.getuid() or os.setuid(65534)\n"
        "try: d.open()\n"
        "except Misconfigured as wrong: print(wrong)\n"
    )
    if os.getuid() == 0:
        os.chown(device, -1, grp.getgrnam("dialout").gr_gid)
    Path(device).chmod(0)
    out = subprocess.run(
        [sys.executable, "-c", code, device], capture_output=True, text=True, check=True
    ).stdout
    assert f"{device}: permission denied: sudo usermod -aG" in out


@contextmanager
def forbidden(device):
    """Nobody may open it, not even root, whom nothing is forbidden."""
    user, mode = os.geteuid(), Path(device).stat().st_mode
    Path(device).chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        Path(device).chmod(mode)


def test_a_right_that_comes_late(bench, tmp_path):
    """What was plugged in just now belongs to root for a moment: it is tried again, and works."""
    port, device = tmp_path / "port", os.path.realpath(bench.far.port)
    dylos = PLUGIN(DylosSettings(port=str(port)), "dylos")
    with pytest.raises(Gone, match="not there"):
        dylos.open()
    port.symlink_to(device)
    with forbidden(device), pytest.raises(Gone, match="permission denied"):
        dylos.open()
    dylos.open()
    dylos.close()


@pytest.mark.parametrize(
    ("port", "error"),
    [
        ("/dev/no-such-port", Gone),
        ("nonsense://here", Misconfigured),
        (__file__, Misconfigured),
        ("hwgrep://067b:2303&n=99", Gone),
        ("socket://127.0.0.1:1", Gone),
        ("/dev/null", Gone),
    ],
)
def test_wrong_ports(port, error):
    """A port that cannot be opened is told by its name, and leaves nothing open."""
    dylos, before = PLUGIN(DylosSettings(port=port)), held()
    with pytest.raises(error, match=r"port|/dev|hwgrep"):
        dylos.open()
    assert held() == before


def test_socket():
    """A serial port over the network is read, and its end is Gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        dylos = PLUGIN(DylosSettings(port=url))
        dylos.open()
        far, _ = server.accept()
        with far:
            far.sendall(b"59,93\r\n675,22\r\n")
            reading = dylos.read()
        with pytest.raises(Gone):
            dylos.read()
        dylos.close()
    assert reading == {"pm_25": 675, "pm_10": 22}


def test_loop():
    """The loop of pyserial opens too."""
    with PLUGIN(DylosSettings(port="loop://")) as dylos:
        dylos.open()
        dylos._device._serial._serial.write(b"59,93\r\n675,22\r\n")
        assert dylos.read() == {"pm_25": 675, "pm_10": 22}


def test_four_bins():
    """Told of four bins, it declares and gives all four."""
    with Bench(bins=4) as bench:
        dylos = bench.open()
        bench.say("12/04/14 10:52:07,1879,700,54,3", "675,22")
        readings = [dylos.read(), dylos.read()]
    assert [list(readings[0]), readings[0], readings[1]] == [
        [field.name for field in dylos.fields],
        {"pm_25": 1879, "pm_10": 54, "pm_bin2": 700, "pm_bin4": 3},
        {"pm_25": 675, "pm_10": 22},
    ]


@pytest.mark.parametrize(
    ("line", "fine", "both"), [("675,22", 1.358, 10.795), ("1659,93", 3.256, 43.152)]
)
def test_masses(line, fine, both):
    """Asked for masses, it gives them beside the counts, under names and a type of their own."""
    with Bench(mass=True) as bench:
        dylos = bench.open()
        bench.say(line)
        reading = dylos.read()
    small, large = map(int, line.split(","))
    assert reading == {
        "pm_25": small,
        "pm_10": large,
        "pm_25_mass": pytest.approx(fine, abs=5e-4),
        "pm_10_mass": pytest.approx(both, abs=5e-4),
    }
    assert [(f.name, f.unit, f.type) for f in dylos.fields][2:] == [
        ("pm_25_mass", "ug/m3", "Dylos DC1100 indicative"),
        ("pm_10_mass", "ug/m3", "Dylos DC1100 indicative"),
    ]


def test_plain_fields():
    """Without more it measures two counts."""
    assert [(f.name, f.unit) for f in PLUGIN(DylosSettings()).fields] == [
        ("pm_25", "pcs/qf"),
        ("pm_10", "pcs/qf"),
    ]


@pytest.mark.skipif(not REAL.exists(), reason="the recording is not here")
def test_real_lines_over_a_port(bench):
    """Every line of a real Dylos comes through, a line a minute."""
    texts = REAL.read_text().split()
    dylos, readings = bench.open(), []
    for text in texts:
        bench.say(text)
        readings.append(dylos.read())
    assert [f"{r['pm_25']},{r['pm_10']}" for r in readings] == texts


@pytest.mark.skipif(not REAL.exists(), reason="the recording is not here")
def test_real_lines_from_a_file():
    """Every line of a recording is a reading, also when it is opened again in the middle."""
    texts = REAL.read_text().split()
    dylos, readings = PLUGIN(DylosSettings(file=REAL)), []
    for number in range(len(texts)):
        if number % 150 == 0:
            dylos.close()
            dylos.open()
        readings.append(dylos.read())
    with pytest.raises(Finished):
        dylos.read()
    dylos.close()
    assert [f"{r['pm_25']},{r['pm_10']}" for r in readings] == texts


def test_recording_goes_on(tmp_path):
    """Opened again, a recording gives each line once, wherever it was closed."""
    path = tmp_path / "dylos.log"
    path.write_text("".join(f"{number},0\n" for number in range(2000)))
    dylos, readings = PLUGIN(DylosSettings(file=path)), []
    for number in range(2000):
        if number % 333 == 0:
            dylos.close()
            dylos.open()
        readings.append(dylos.read()["pm_25"])
    dylos.close()
    assert readings == list(range(2000))


def test_recording_with_other_lines(tmp_path, caplog):
    """What is no reading in a recording is named and passed over; the last needs no line end."""
    path = tmp_path / "dylos.log"
    path.write_bytes(b"Dylos Logger v1.6\r\n\r\n1,0\n\xff\xfe\n" + b"9" * 5000 + b",3\n2,0")
    with PLUGIN(DylosSettings(file=path)) as dylos:
        dylos.open()
        readings = [dylos.read()["pm_25"], dylos.read()["pm_25"]]
    assert (readings, len(caplog.records)) == ([1, 2], 4)


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_recording_that_cannot_be_read(name, tmp_path):
    """A recording that is not there is a fault of the configuration."""
    with pytest.raises(Misconfigured, match="file = "):
        PLUGIN(DylosSettings(file=tmp_path / name)).open()


def test_random_bytes(bench):
    """Random bytes for a while: no crash, no hang, nothing but readings and Transient."""
    dylos, noise = bench.open(), random.Random(1700)
    for _ in range(100):
        bench.send(noise.randbytes(noise.randrange(1, 60)) + noise.choice([b"", b"\r\n", b",0\n"]))
        bench.wait(60)
        try:
            assert set(dylos.read()) == {"pm_25", "pm_10"}
        except Transient:
            continue
    bench.send(b"\r\n675,22\r\n" * 2)
    assert {"pm_25": 675, "pm_10": 22} in list(_rest(dylos, bench.clock))


def _rest(dylos, clock):
    for _ in range(10):
        clock.now += STALE
        try:
            yield dylos.read()
        except Transient:
            continue


def test_nothing_is_left(bench):
    """Opened and closed, in any order and often, it holds no descriptor and no thread."""
    bench.dylos.close()
    before = held()
    for _ in range(20):
        bench.dylos.open()
        bench.dylos.open()
        bench.dylos.close()
        bench.dylos.close()
    assert held() == before


def test_read_without_open():
    """Reading what is not open is Gone, so that the core opens it."""
    with pytest.raises(Gone, match="not open"):
        PLUGIN(DylosSettings(), "dylos").read()


def test_sim():
    """The simulated Dylos needs one line of configuration, gives readings, and leaves nothing."""
    source = Source(overrides=["dylos.backend=sim"])
    before, dylos = held(), PLUGIN(source.structure("dylos", DylosSettings), "dylos")
    with dylos:
        dylos.open()
        reading = dylos.read()
    assert (list(reading), held()) == (["pm_25", "pm_10"], before)


def test_sim_with_faults():
    """A simulated Dylos that is unplugged stays so while it is opened again, and comes back."""
    clock = VirtualClock()
    dylos = PLUGIN(DylosSettings(backend="sim", faults="30s unplug 30s"), "dylos", clock)
    dylos.open()
    clock.now += 40
    with pytest.raises(Gone, match="unplugged"):
        list(iter(dylos.read, None))  # until it fails
    dylos.close()
    with pytest.raises(Gone):
        dylos.open()
    clock.now += 30
    dylos.open()
    dylos.close()


def test_check_good():
    """A check of a Dylos that speaks is good in every line, and shows units."""
    dylos = PLUGIN(DylosSettings(backend="sim"), "dylos")
    findings = list(dylos.check())
    assert [f.good for f in findings] == [True]
    assert "pcs/qf" in findings[-1].what


def test_check_port(bench):
    """A check names the port, its rights, and a silence with what to do."""
    dylos = PLUGIN(DylosSettings(port=str(bench.far.port), stale=1), "dylos")
    findings = list(dylos.check())
    assert [f.good for f in findings] == [True, True, False]
    assert "switched on" in findings[2].fix
    assert "switched on" not in findings[2].what


def test_check_nothing_there(tmp_path, monkeypatch):
    """A check without an adapter says what is plugged in."""
    monkeypatch.setattr(ports.find, "__defaults__", (tmp_path,))
    findings = list(PLUGIN(DylosSettings(), "dylos").check())
    assert [(f.good, "none at all" in f.fix) for f in findings] == [(False, True)]


@pytest.mark.parametrize(
    "override",
    ["bins=3", "stale=0", "faults=60s explode", "backend=bus", "usbid= ", "model=DC9", "pace=0"],
)
def test_bad_settings(override):
    """A value that makes no sense is a fault of the settings."""
    source = Source(overrides=[f"dylos.{override}"])
    source.structure("dylos", DylosSettings)
    assert len(source.faults) == 1


@pytest.mark.parametrize("started", [["-m", "sensors.MyDYLOS"], ["sensors/MyDYLOS.py"]])
def test_standalone(started):
    """Started alone it prints readings, one JSON object a line."""
    out = subprocess.run(
        [sys.executable, *started, "-o", "dylos.backend=sim", "-n", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).resolve().parents[2],
    ).stdout
    assert [line.count('"pm_25"') for line in out.splitlines()] == [1, 1]


def test_standalone_recording(tmp_path):
    """Started alone over a recording it prints every line of it and ends."""
    (tmp_path / "dylos.log").write_text("1,0\n2,0\n3,1\n")
    out = subprocess.run(
        [sys.executable, "-m", "sensors.MyDYLOS", "-o", f"dylos.file={tmp_path}/dylos.log"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).resolve().parents[2],
    ).stdout
    assert [json.loads(line)["pm_25"] for line in out.splitlines()] == [1, 2, 3]


def test_every_option_has_a_text():
    """Each option says what it does."""
    assert all(field.metadata.get("help") for field in attrs.fields(DylosSettings))
