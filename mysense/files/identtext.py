"""Who measured, as text for people: blocks of `key: value`, each from a moment on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from mysense.telegram import Ident, Telegram
from mysense.text import utc


def body(ident: Ident) -> str:
    """The ident as lines of `key: value`."""
    return "\n".join(
        f"{key}: {', '.join(value) if isinstance(value, list) else value}"
        for key, value in ident.to_json().items()
    )


@attrs.frozen
class Block:
    """An ident and since when it holds."""

    since: str
    body: str

    @classmethod
    def parse(cls, text: str) -> Block:
        """The block that `text` is; notes written by hand make one that is nobody's."""
        first, _, rest = text.partition("\n")
        return cls(first.removeprefix("from: "), rest)

    def __str__(self) -> str:
        return f"from: {self.since}\n{self.body}"

    @property
    def label(self) -> str:
        """The line with the label; kits that take turns with two labels change nothing."""
        return next((line for line in self.body.split("\n") if line.startswith("label: ")), "")


def changes(standing: Iterable[str], telegrams: Sequence[Telegram]) -> list[str]:
    """The blocks that are missing in `standing` to tell who measured `telegrams`.

    A block is missing where the one in force at a telegram's time, of its label, says otherwise;
    so late and repeated telegrams add nothing that is known.
    """
    blocks = [Block.parse(text) for text in standing if text.startswith("from: ")]
    bodies: dict[Ident, str] = {}
    missing = []
    for telegram in telegrams:
        if (said := bodies.get(telegram.ident)) is None:
            said = bodies[telegram.ident] = body(telegram.ident)
        block = Block(f"{utc(telegram.time)} UTC", said)
        if not _known(block, blocks):
            blocks.append(block)
            missing.append(str(block))
    return missing


def _known(block: Block, blocks: Sequence[Block]) -> bool:
    label = block.label
    before = [b for b in blocks if b.since <= block.since and b.label == label]
    return bool(before) and max(before, key=lambda b: b.since).body == block.body
