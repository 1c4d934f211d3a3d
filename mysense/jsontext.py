"""JSON that MySense itself has written, or has checked: by orjson where the extra `fast` has it.

orjson is several times as fast, but takes whole numbers beyond 64 bits for floats and writes NaN
as null. So it never decides what is a good telegram; see the guards where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

loads: Callable[[str | bytes], Any]
"""The value of a JSON text."""

try:
    import orjson
except ImportError:
    loads = json.loads

    def dumps(value: dict[str, Any]) -> str:
        """A flat object as JSON text. Raises ValueError where it holds NaN or infinity."""
        return _encode(value)
else:
    loads = orjson.loads

    def dumps(value: dict[str, Any]) -> str:
        """A flat object as JSON text. Raises ValueError where it holds NaN or infinity."""
        text = orjson.dumps(value)
        if b"null" in text:  # perhaps a None, perhaps a NaN
            return _encode(value)
        return text.decode()
