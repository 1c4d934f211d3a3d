"""Writes the list of all rows into docs/faults.md."""

from __future__ import annotations

from pathlib import Path

from tests.faults.every import told

page = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
page.write_text(told(page.read_text(encoding="utf-8")), encoding="utf-8")
