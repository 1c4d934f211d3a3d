"""Small file systems for tests; they need the right to mount one."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture
def disk(tmp_path):
    """Makes a small file system, of these options."""
    mounted = []

    def make(options):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        if os.geteuid() or _mount(folder, options).returncode:
            pytest.skip("needs the right to mount a file system")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(folder, options):
    return subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
    )


def remount(folder, options):
    """Give a file system other options."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill_up(folder):
    """Leave no room there; returns the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb") as stream:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    os.write(stream.fileno(), bytes(size))
            except OSError:
                continue
    return ballast
