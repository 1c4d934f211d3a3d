"""The embedded store: telegrams in one SQLite file, laid out for ranges of a kit and field."""

from mysense.store.layout import default_file, store_faults
from mysense.store.reader import Reader, Stored
from mysense.store.writer import Writer

__all__ = ["Reader", "Stored", "Writer", "default_file", "store_faults"]
