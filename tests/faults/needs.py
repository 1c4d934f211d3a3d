"""What rows need of this machine; each raises Missing or Cannot where it is not there."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.rows import Cannot, Missing, Need

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def program(name: str, package: str) -> Need:
    """A command, and the Debian package that has it."""

    def look() -> None:
        if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            raise Missing(f"{name} is missing; on Debian: sudo apt-get install {package}")

    return look


strace = program("strace", "strace")
prlimit = program("prlimit", "util-linux")


def fake_time() -> None:
    """Libfaketime for programs with threads."""
    if not FAKETIME:
        raise Missing("libfaketime is missing; on Debian: sudo apt-get install faketime")


def root() -> None:
    """The rights of root."""
    if os.geteuid() != 0:
        raise Cannot("needs root")


def tracing() -> None:
    """A kernel that lets us trace our own processes."""
    if _fails(["strace", "-qq", "-o", "/dev/null", "true"]):
        raise Cannot("this machine does not let us trace processes")


def mounting() -> None:
    """A file system in memory can be mounted."""
    root()
    with tempfile.TemporaryDirectory() as folder:
        if _fails(["mount", "-t", "tmpfs", "tmpfs", folder]):
            raise Cannot("this machine does not let us mount")
        subprocess.run(["umount", folder], check=True)


def fuse() -> None:
    """A file system of our own can be mounted."""
    if importlib.util.find_spec("mfusepy") is None:
        raise Missing("the package mfusepy is missing; it is in requirements/dev.txt")
    if shutil.which("fusermount3") is None or ctypes.util.find_library("fuse3") is None:
        raise Missing("fuse3 is missing; on Debian: sudo apt-get install fuse3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Cannot("there is no /dev/fuse that we may use")


def namespaces() -> None:
    """A network of our own can be made, with a firewall in it."""
    program("ip", "iproute2")()
    program("nft", "nftables")()
    root()
    name = f"mysense-try-{os.getpid()}"
    if _fails(["ip", "netns", "add", name]):
        raise Cannot("this machine does not let us make a network namespace")
    try:
        if _fails(["ip", "netns", "exec", name, "nft", "add", "table", "inet", "try"]):
            raise Cannot("this kernel has no nft for us")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def immutable() -> None:
    """Files can be made such that not even root may write them."""
    root()
    program("chattr", "e2fsprogs")()
    with tempfile.NamedTemporaryFile() as file:
        if _fails(["chattr", "+i", file.name]):
            raise Cannot("this file system knows no immutable files")
        subprocess.run(["chattr", "-i", file.name], check=True)


def _fails(words: Sequence[str]) -> bool:
    done = subprocess.run(words, capture_output=True, check=False)
    return done.returncode != 0
