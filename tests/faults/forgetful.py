"""A file system that forgets what was not fsynced, as a power cut does. It is a program.

    python forgetful.py STATE MOUNT [--cut K] [--keep SEED]

STATE is what survives. It is read at the start; a write or a change of a name reaches it when
fsync is called: of the file for its content, of any file or folder for names, as with ext4. The
process ends, as if the power were cut, before the K-th write or fsync. With --keep the disk has
by then written some of the pages that nobody had fsynced, chosen at random, as disks do.

What is in the file STATE.mood is obeyed at each write and fsync: `slow SECONDS`, or the name of
an error, EROFS, ENOSPC, EIO.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import stat
import time
from pathlib import Path

import mfusepy

PAGE = 4096


class File:
    """A file's content, and the pages of it that are not in STATE yet."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.dirty: set[int] = set()
        self.resized = False

    def write(self, data: bytes, offset: int) -> int:
        end = offset + len(data)
        if end > len(self.content):
            self.truncate(end)
        self.content[offset:end] = data
        self.dirty.update(range(offset // PAGE, (end - 1) // PAGE + 1))
        return len(data)

    def truncate(self, length: int) -> None:
        self.content[length:] = bytes(max(0, length - len(self.content)))
        self.resized = True

    def keep(self, path: Path, pages: set[int]) -> None:
        """Write some pages into the file that survives."""
        with path.open("r+b" if path.exists() else "w+b") as stream:
            if self.resized:
                stream.truncate(len(self.content))
            for page in sorted(pages):
                stream.seek(page * PAGE)
                stream.write(self.content[page * PAGE : (page + 1) * PAGE])
            stream.truncate(len(self.content))


class Forgetful(mfusepy.Operations):
    """One folder of files; no folders within."""

    use_ns = True

    def __init__(self, state: Path, cut: int, keep: int | None) -> None:
        self.state, self.cut, self.keep = state, cut, keep
        self.mood = state.with_name(f"{state.name}.mood")
        self.files = {path.name: File(path.read_bytes()) for path in state.iterdir()}
        self.modes: dict[str, int] = {}
        self.names: list[tuple[str, str]] = []  # what was created (name, "") or renamed or removed
        self.calls = 0

    # -- the power ------------------------------------------------------------------------------

    def call(self) -> None:
        """One more write or fsync."""
        self.calls += 1
        if self.calls == self.cut:
            self.die()
        mood = self.mood.read_text().split() if self.mood.exists() else []
        if mood[:1] == ["slow"]:
            time.sleep(float(mood[1]))
        elif mood:
            raise mfusepy.FuseOSError(getattr(errno, mood[0]))

    def die(self) -> None:
        """The power is cut."""
        if self.keep is not None:
            chance = random.Random(self.keep)
            for name, file in self.files.items():
                some = {page for page in file.dirty if chance.random() < 0.5}
                if (self.state / name).exists() and some:
                    file.keep(self.state / name, some)
        os._exit(0)

    def commit_names(self) -> None:
        """What was created, renamed or removed survives from now on."""
        for old, new in self.names:
            if new == "created":
                (self.state / old).touch()
            elif new:
                (self.state / old).rename(self.state / new)
            else:
                (self.state / old).unlink(missing_ok=True)
        self.names.clear()

    # -- the file system ------------------------------------------------------------------------

    def file(self, path: str) -> File:
        try:
            return self.files[path[1:]]
        except KeyError:
            raise mfusepy.FuseOSError(errno.ENOENT) from None

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        common = {"st_nlink": 1, "st_uid": os.getuid(), "st_gid": os.getgid()}
        if path == "/":
            return {**common, "st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        size = len(self.file(path).content)
        mode = stat.S_IFREG | self.modes.get(path[1:], 0o644)
        return {**common, "st_mode": mode, "st_size": size, "st_blocks": -(-size // 512)}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *self.files]

    def create(self, path: str, mode: int, fi: object = None) -> int:
        self.call()
        name = path[1:]
        self.files[name], self.modes[name] = File(), mode & 0o777
        self.names.append((name, "created"))
        return 0

    def open(self, path: str, flags: int) -> int:
        self.file(path)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self.file(path).content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self.call()
        return self.file(path).write(data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self.call()
        self.file(path).truncate(length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.call()
        self.commit_names()
        file = self.file(path)
        if file.dirty or file.resized:
            file.keep(self.state / path[1:], file.dirty)
            file.dirty, file.resized = set(), False
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self.call()
        self.commit_names()
        return 0

    def unlink(self, path: str) -> int:
        self.call()
        self.file(path)
        del self.files[path[1:]]
        self.names.append((path[1:], ""))
        return 0

    def rename(self, old: str, new: str) -> int:
        self.call()
        self.file(old)
        self.files[new[1:]] = self.files.pop(old[1:])
        self.names.append((old[1:], new[1:]))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self.modes[path[1:]] = mode & 0o777
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: object = None) -> int:
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        free = dict.fromkeys(("f_blocks", "f_bavail", "f_bfree"), 1 << 20)
        return {"f_bsize": PAGE, "f_frsize": PAGE, **free}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("mount")
    parser.add_argument("--cut", type=int, default=0)
    parser.add_argument("--keep", type=int)
    args = parser.parse_args()
    disk = Forgetful(args.state, args.cut, args.keep)
    mfusepy.FUSE(disk, args.mount, foreground=True, nothreads=True, fsname="forgetful")


if __name__ == "__main__":
    main()
