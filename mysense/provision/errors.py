"""What ends `mysense provision` before it is done."""

from __future__ import annotations

from mysense.errors import MySenseError


class ProvisionError(MySenseError):
    """Something that cannot or must not be made; what was made before stays."""
