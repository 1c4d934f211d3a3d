"""Errors that carry their fix, and how they read in `mysense check`."""

from __future__ import annotations

from mysense.errors import MySenseError
from mysense.plugin import Finding, Gone, Misconfigured


class Advice(MySenseError):
    """Something that the user of this machine can mend.

    Args:
        what: what is wrong.
        fix: what to do about it.
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.what = what
        self.fix = fix


class Fixable(Advice, Misconfigured):
    """It will not work before it is mended."""


class Absent(Advice, Gone):
    """It may come back by itself, or has to be mended."""


def finding(wrong: MySenseError, fix: str = "") -> Finding:
    """This error as a line of `mysense check`; `fix` is for errors that carry none."""
    if isinstance(wrong, Advice):
        return Finding(good=False, what=wrong.what, fix=wrong.fix)
    return Finding(good=False, what=str(wrong), fix=fix)
