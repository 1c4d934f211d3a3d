r"""What is sent is what is read: every text and number, in both dialects, through a real server.

The reader's rule, for both dialects: one pair of outer quotes of tags is taken off, then `\,` in
tags and texts is `,`.
"""

from __future__ import annotations

import itertools
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mysense.influx.dialects import CLASSIC, DIALECTS
from mysense.influx.http import Server, ServerSettings
from mysense.influx.lines import Book, Encoder
from mysense.telegram import Ident, Telegram

SEPARATE = itertools.count(1)  # every example has its own seconds
PRIVATE = ("version", "intern_ip")


def unquoted(tag):
    inner = tag[1:-1] if len(tag) > 1 and tag.startswith('"') and tag.endswith('"') else tag
    return inner.replace("\\,", ",")


def read(value):
    return value.replace("\\,", ",") if isinstance(value, str) else float(value)


@pytest.fixture(scope="module")
def place(influxd):
    """A real server, our way to it, and a database there."""
    name = f"t{uuid.uuid4().hex[:10]}"
    influxd.query(f'CREATE DATABASE "{name}" WITH SHARD DURATION 520w')
    server = Server(ServerSettings(hostname=influxd.host, port=influxd.port))
    server.open()
    yield influxd, server, name
    server.close()
    influxd.query(f'DROP DATABASE "{name}"')


def there_and_back(place, dialect, telegram):
    """The telegram as the database holds it: tags, ident and data; None when it was refused."""
    influxd, server, store = place
    encoded = Encoder(DIALECTS[dialect]).encode([telegram], Book())
    if encoded.refused:
        assert encoded.body == b""
        return None
    server.write(store, encoded.body)
    time = telegram.time
    (info,) = influxd.rows(f"SELECT * FROM info WHERE time = {time}s", database=store)
    (tagged,) = influxd.rows(f"SELECT * FROM data WHERE time = {time}s GROUP BY *", database=store)
    return info, tagged


def check(place, dialect, telegram):
    """Returns whether it was stored; then it is what was sent."""
    found = there_and_back(place, dialect, telegram)
    if found is None:
        return False
    info, row = found
    sent = telegram.ident.to_json()
    tags = {
        "label": sent.get("label", ""),
        "geolocation": telegram.data.get("geolocation") or sent.get("geolocation", ""),
        "new": str(int(bool(telegram.new))),
    }
    assert {name: unquoted(row.pop(name, "")) for name in tags} == tags
    data = {name: read(value) for name, value in row.items() if value is not None}
    expected = {name: value for name, value in telegram.data.items() if value is not None}
    expected.pop("geolocation", None)
    assert data == expected
    label = info.pop("label_1", None) or info.get("label") or ""
    assert unquoted(label) == sent.get("label", "")
    for name, value in sent.items():
        if name in PRIVATE:
            assert name not in info
        elif isinstance(value, list):
            assert read(info[name]).split(",") == value
        elif name != "label":
            assert read(info[name]) == value
    if dialect == "classic" and "label" in sent:
        assert read(info["label"]) == sent["label"]
    return True


printable = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])
texts = st.text(st.sampled_from(" ,=\"\\'ab%#é€😀\u00a0") | printable, max_size=8)
labels = texts | st.none()
values = st.floats(allow_nan=False, allow_infinity=False).map(lambda v: ("f", v))
values |= texts.map(lambda text: ("t", text))
fields = st.text(
    st.sampled_from(" ,=#ab_é") | st.characters(codec="utf-8", categories=["L", "N", "S"]),
    min_size=1,
    max_size=5,
).filter(lambda name: name not in ("time", "label", "new", "timestamp", "geolocation"))
idents = st.builds(
    Ident,
    project=st.just("p"),
    serial=st.just("s"),
    label=labels,
    geolocation=labels,
    description=labels,
    street=labels,
    extern_ip=st.lists(texts, max_size=3).map(tuple),
    intern_ip=st.just(("10.0.0.1",)),
    version=st.just("1"),
    fields=st.lists(texts, max_size=3).map(tuple),
)


@pytest.mark.parametrize("dialect", list(DIALECTS))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ident=idents, some=st.dictionaries(fields, values, min_size=1, max_size=3), own=labels)
def test_what_is_stored_reads_back_equal(place, dialect, ident, some, own):
    """Any ident, any field names, any numbers and texts: refused, or equal."""
    time = next(SEPARATE)
    data = {f"{kind}{name}": value for name, (kind, value) in some.items()}
    telegram = Telegram(ident, {"time": time, "geolocation": own, **data}, new=bool(time % 2))
    check(place, dialect, telegram)


@pytest.mark.parametrize("dialect", list(DIALECTS))
@pytest.mark.parametrize(
    ("label", "refused_by"),
    [
        ("a b", ""),
        ("a=b", ""),
        ('a"b', ""),
        ("a,b", ""),
        ("a'b", ""),
        (" a ", ""),
        ("%s", ""),
        ("#a", ""),
        ("Zürich 😀", ""),
        ('"a"', "clean"),
        ('"', "clean"),
        ("a\\", "classic clean"),
        ("a\\b", "classic"),
        ("a\\ b", "classic clean"),
        ("a\\,b", "classic clean"),
        ("\\", "classic clean"),
    ],
)
def test_labels(place, dialect, label, refused_by):
    """Stored and read back equal, or refused."""
    ident = Ident(project="p", serial="s", label=label)
    telegram = Telegram(ident, {"time": next(SEPARATE), "fv": 1.0}, new=True)
    assert check(place, dialect, telegram) is (dialect not in refused_by)


@pytest.mark.parametrize("size", [1, 1000, 65_000, 65_400])
def test_long_tags_are_taken_as_far_as_the_server_takes_them(place, size):
    """And the limit is known before the server says no."""
    ident = Ident(project="p", serial="s", label="x" * size)
    telegram = Telegram(ident, {"time": next(SEPARATE), "fv": 1.0}, new=True)
    assert check(place, CLASSIC.name, telegram)


@pytest.mark.parametrize("size", [65_536, 65_535])
def test_long_texts_are_taken(place, size):
    """64 KB, whatever the dialect."""
    ident = Ident(project="p", serial="s")
    telegram = Telegram(ident, {"time": next(SEPARATE), "tt": "x" * size}, new=True)
    assert check(place, "clean", telegram)
