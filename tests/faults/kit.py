"""A kit: a folder, a settings file, and the real command in processes that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cli.conftest import environment
from tests.faults.ledger import Account, Key, Values, in_journal

PLUGINS = Path(__file__).with_name("plugins")
COMMAND = (sys.executable, "-P", "-m", "mysense")
LEASH = ("setpriv", "--pdeathsig", "KILL", "--")  # it ends with us, however we end
PATIENCE = 60.0  # seconds; nothing takes so long, unless the machine is very busy


def until(met: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Wait until a condition is met; fails with `what` when it never is."""
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline, f"waited {patience:g} s in vain: {what}"
        time.sleep(0.02)


class Kit:
    """A kit of its own.

    Args:
        folder: for everything it has.
        sections: its settings; [process] and [journal] are there already.
        journal: where its journal is, when not in its folder.
    """

    def __init__(
        self,
        folder: Path,
        sections: Mapping[str, Mapping[str, object]],
        journal: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.journal = journal or folder / "journal.db"
        self.settings = folder / "MySense.conf"
        self.witness = folder / "witness"
        self.log_file = folder / "log"
        self.sections: dict[str, dict[str, object]] = {
            "process": {"plugins": PLUGINS},
            "journal": {"file": self.journal},
        }
        for name, options in sections.items():
            self.sections.setdefault(name, {}).update(options)
        if "radio" in self.sections:
            self.sections["radio"] |= {"input": "true", "witness": self.witness}
        self.processes: list[subprocess.Popen[bytes]] = []

    # -- processes ------------------------------------------------------------------------------

    def start(
        self,
        *words: object,
        under: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the command, with all that it starts a group of its own; its talk goes to `log`."""
        self.settings.write_text("\n".join(self._lines()) + "\n")
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [*LEASH, *under, *command, *map(str, words or ("run",)), "-c", str(self.settings)],
                cwd=self.folder,
                env=environment(self.folder, **(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _lines(self) -> list[str]:
        return [
            line
            for section, options in self.sections.items()
            for line in (f"[{section}]", *(f"{name} = {value}" for name, value in options.items()))
        ]

    def once(self, *, code: int | None = 0, patience: float = 60, **more: Any) -> int:
        """`mysense run --once` until it ends by itself."""
        return self.end(self.start("run", "--once", "--timeout", patience, **more), code)

    def end(
        self, process: subprocess.Popen[bytes], code: int | None = 0, patience: float = 110
    ) -> int:
        """Wait for the end of a process, which must exit with `code` unless that is None."""
        got = process.wait(patience)
        assert code is None or got == code, f"exit code {got}:\n{self.log[-2000:]}"
        return got

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill -9, and whatever it was started under."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, process: subprocess.Popen[bytes], code: int | None = 0) -> None:
        """SIGTERM, and wait for the end."""
        process.terminate()
        self.end(process, code, 30)

    def close(self) -> None:
        """No process outlives its row."""
        for process in self.processes:
            self.kill(process)

    def finish(self, **more: Any) -> None:
        """Start anew with an input that gives nothing more; ends when everything is delivered."""
        self.sections["radio"]["over"] = "true"
        self.once(**more)

    # -- what it says and has -------------------------------------------------------------------

    @property
    def log(self) -> str:
        """All that its processes have said."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def said(self, *texts: str) -> None:
        """Wait until the log has one of these texts."""
        until(lambda: any(text in self.log for text in texts), f"{texts} in:\n{self.log[-2000:]}")

    def verb(self, *words: object, code: int | None = 0) -> str:
        """Another verb of the command, on this kit; returns its stdout."""
        done = subprocess.run(
            [*COMMAND, *map(str, words), "-c", str(self.settings)],
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or done.returncode == code, done.stderr
        return done.stdout

    @property
    def given(self) -> int:
        """Grows with every telegram that the radio gives."""
        return self.witness.stat().st_size if self.witness.exists() else 0

    @property
    def taken(self) -> int:
        """How many telegrams the journal has committed, as the radio saw it."""
        return len(self.made()[0]) if self.witness.exists() else 0

    def made(self) -> tuple[dict[Key, Values], dict[Key, Values]]:
        """What the journal has taken, and what was in hand when a process was killed."""
        made: dict[Key, Values] = {}
        given: dict[Key, Values] = {}
        perhaps: dict[Key, Values] = {}
        for line in self.witness.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"}\n"):
                continue  # the process was killed while it wrote: nothing was given yet
            entry = json.loads(line)
            if "taken" in entry:
                made |= given
                given = {}
                continue
            perhaps |= given
            given = {}
            for kit, label, values in entry["telegrams"]:
                data = {n: float(v) if isinstance(v, int) else v for n, v in values.items()}
                given[kit, label, int(data.pop("time"))] = data
        return made, perhaps | given

    def account(self, output: str) -> Account:
        """What its journal says of the telegrams that `output` does not have."""
        return in_journal(self.journal, output)
