"""`mysense resume OUTPUT`: see `mysense.cli.pause`."""

from __future__ import annotations

from mysense.cli.pause import ask


def main(words: list[str]) -> int:
    """Let an output go on; returns the exit code."""
    text = "A paused output goes on; one that waits or has given up tries again at once."
    return ask("resume", text, words)
