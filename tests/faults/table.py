"""The table: one line a fault, as soon as it is done in `make faults`, else at the end."""

from __future__ import annotations

from tests.faults.ledger import NAMES

HEAD = f"{'fault':40}" + "".join(f"{name:>9}" for name in NAMES) + f"{'seconds':>9}  ok"
LINE = "fault-line"


def line(name, counts, seconds, verdict):
    """One line of the table."""
    cells = counts or ("-",) * len(NAMES)
    return f"{name:40}" + "".join(f"{cell:>9}" for cell in cells) + f"{seconds:9.1f}  {verdict}"


class Table:
    """Prints the lines of all rows that ran, and why others did not."""

    def __init__(self, config):
        self._config, self._lines = config, []
        alone = not hasattr(config, "workerinput")  # a worker of xdist has no terminal
        self._live = alone and config.option.markexpr == "faults"

    def pytest_runtest_logreport(self, report):
        text = dict(report.user_properties).get(LINE)
        over = report.when == "call" or report.outcome == "skipped"
        if text and over:
            self._lines.append(text)
            if self._live:
                self._print([HEAD, text] if len(self._lines) == 1 else [text])

    def pytest_report_teststatus(self, report):
        counts = report.when == "call" or report.outcome != "passed"
        if self._live and counts and LINE in dict(report.user_properties):
            return report.outcome, "", ""  # its line says it
        return None

    def pytest_terminal_summary(self, terminalreporter):
        if self._lines and not self._live:
            terminalreporter.section("faults")
            self._print([HEAD, *self._lines])
        here = [text for text in self._lines if "cannot here" in text or "missing" in text]
        if here:
            self._print([f"{len(here)} of {len(self._lines)} faults could not be provoked here"])

    def _print(self, lines):
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        for text in lines:
            reporter.ensure_newline()
            reporter.write_line(text)
