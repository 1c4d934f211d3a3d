"""Variables and macros of a query, filled in as Grafana does it."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")


def escaped(text):
    """For a regular expression."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


def _as(form, value):
    if isinstance(value, list):
        assert form == "regex", f"several values as {form}"
        return "(" + "|".join(map(escaped, value)) + ")"
    if form == "regex":
        return escaped(value)
    if form == "singlequote":
        return "'" + value.replace("'", "\\'") + "'"
    if form == "doublequote":
        return '"' + value.replace('"', '\\"') + '"'
    assert form == "raw", f"without a format, Grafana's plugin picks one: {form}"
    return value


def filled(text, values, macros):
    """`text` with `${name:format}` replaced by `values`, and macros by theirs."""
    text = _VARIABLE.sub(lambda match: _as(match[2], values[match[1]]), text)
    for name, value in macros.items():
        text = text.replace(name, value)
    assert "$_" not in text
    assert "${" not in text
    return text


def chosen(rows, regex, values):
    """What a variable offers of `rows`: the values of tags, else the first column."""
    offered = [row.get("value", next(iter(row.values()))) for row in rows]
    if not regex:
        return set(offered)
    pattern = re.compile(filled(regex, values, {}).strip("/"))
    matches = [pattern.search(one) for one in offered]
    return {match[1] if pattern.groups else match.string for match in matches if match}


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def query_of(dashboard, title):
    """What the panel of that title asks."""
    (panel,) = [panel for panel in panels(dashboard) if panel["title"] == title]
    return panel["targets"][0].get("query") or panel["targets"][0]["expr"]
