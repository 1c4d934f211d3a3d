"""The project's own errors; each also has the builtin parent that a caller would expect."""

from __future__ import annotations


class MySenseError(Exception):
    """Base of every error that MySense raises on purpose; its text is meant for the user."""


class TelegramError(MySenseError, ValueError):
    """A telegram, or a part of one, that MySense does not accept."""


class JournalError(MySenseError, OSError):
    """The journal cannot be opened, read or written."""


class PluginError(MySenseError, ImportError):
    """A plugin that cannot be found or loaded, or two that share a name."""
