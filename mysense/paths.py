"""Where MySense keeps what must survive a restart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for the journal and the embedded store; it need not exist yet.

    A service manager names it in `STATE_DIRECTORY` (the first, when several), else it lies in the
    user's `XDG_STATE_HOME`, by default `~/.local/state`.
    """
    if named := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(named)
    home = environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "mysense"
