"""The table of answers: what each does to telegrams, from the journal to a socket and back.

Everything is real but the server and the clock of the pauses: journal, delivery, MyINFLUXPUB, HTTP.
"""

from __future__ import annotations

import gzip
import time
from email.utils import formatdate

import pytest

from channels.MyINFLUXPUB import PLUGIN
from mysense.delivery import PROBE_EVERY
from mysense.influx.parts import LARGE
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.options import Secret
from tests.influx.scripted import (
    STORED,
    Scripted,
    closing,
    dripping,
    error,
    half,
    packed,
    reply,
    reset,
    silent,
    sipping,
)
from tests.pipeline import Rig, account, counts, telegram

HELD, WAITING, STORED_ALL = (0, 0, 4, 0, 0), (0, 4, 0, 0, 0), (4, 0, 0, 0, 0)
ONE_DEAD = (3, 0, 0, 1, 0)
PORTAL = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>Log in</body></html>"


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def deliver(journal):
    """`deliver(server)` makes an output with four telegrams waiting, and works until it rests."""
    made = []

    def start(server, count=4, size=0, **options):
        text = {"text": "x" * size} if size else {}
        journal.append([telegram(at, v=float(at), **text) for at in range(1, count + 1)])
        settings = {"hostname": "127.0.0.1", "port": server.port, "timeout": 5.0} | options
        made.append(Rig(journal, PLUGIN(PLUGIN.Settings(**settings), "influx")))
        made[-1].settle()
        return made[-1]

    yield start
    for one in made:
        one.close()


def now(journal):
    return counts(journal, "influx")


def poisoned(second, answer):
    """Bodies with the telegram of this second get `answer`, others are stored."""

    def rule(_server, _link, body):
        return answer if f" {second}\n".encode() in body + b"\n" else STORED

    return rule


# -- acknowledged -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "yes",
    [
        STORED,
        b"HTTP/1.1 100 Continue\r\n\r\n" + STORED,
        b"HTTP/1.1 204 No Content\r\nX-Long: " + b"y" * 60_000 + b"\r\n\r\n",
        b"HTTP/1.0 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n",
        closing(STORED),
    ],
    ids=["204", "100-then-204", "long-header", "http-1.0", "says-gzip", "closed-after"],
)
def test_204_is_an_acknowledgement(journal, deliver, yes):
    """However it comes; the next batch goes through, too."""
    with Scripted(yes) as server:
        rig = deliver(server)
        assert now(journal) == STORED_ALL
        journal.append([telegram(9, v=9.0)])
        rig.pass_time(400)
        assert (now(journal), len(server.bodies)) == ((5, 0, 0, 0, 0), 2)


def test_a_connection_that_was_closed_meanwhile_costs_nothing(journal, deliver, caplog):
    """The server lets go of idle connections: the next batch makes another, without a failure."""
    with Scripted(closing(STORED)) as server:
        rig = deliver(server)
        journal.append([telegram(9, v=9.0)])
        deadline = time.monotonic() + 10
        while counts(journal, "influx")[1] and time.monotonic() < deadline:
            rig.pass_time(1)
    assert now(journal) == (5, 0, 0, 0, 0)


# -- not an acknowledgement, and identical bytes afterwards --------------------------------------

TRANSIENT = {
    **{
        f"{status}": reply(status, b"<html>log in</html>", "Location: http://127.0.0.1:9/log-in")
        for status in (200, 201, 202, 206, 300, 301, 302, 303, 304, 305, 307, 308)
    },
    "portal": reply(200, PORTAL, "Content-Type: text/html; charset=utf-8"),
    "portal-gzip": reply(200, gzip.compress(PORTAL), "Content-Encoding: gzip"),
    "lost": None,
    "reset": reset,
    "half-204": half(STORED),
    "half-error": half(error(400, "unable to parse 'x': missing fields")),
    "half-200": half(reply(200, PORTAL)),
    "no-http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "empty-line": b"\r\n\r\n",
    "header-too-long": b"HTTP/1.1 204 No Content\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    "too-many-headers": b"HTTP/1.1 204 N\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "length-is-no-number": b"HTTP/1.1 500 N\r\nContent-Length: many\r\n\r\n",
    "100-for-ever": b"HTTP/1.1 100 Continue\r\n\r\n",
    "400-disk": error(400, "partial write: write failed: no space left on device dropped=3000"),
    "400-eof": error(400, "unexpected EOF"),
    "400-empty": reply(400),
    "400-html": reply(400, b"<html><h1>400 Bad Request</h1>nginx</html>"),
    "400-proxy": reply(400, b"Bad Request: unable to parse header"),
    "400-values": error(400, "partial write: max-values-per-tag limit exceeded (100000/100000)"),
    "400-broken-gzip": reply(400, b"\x1f\x8bnonsense", "Content-Encoding: gzip"),
    "400-binary": reply(400, bytes(range(256))),
    "404-other": reply(404, b"404 page not found"),
    "405": reply(405, b"no"),
    "408": reply(408),
    "409": reply(409),
    "425": reply(425),
    "429": reply(429, b"slow down"),
    "451": reply(451, b"legal reasons"),
    "500": error(500, "timeout"),
    "501": reply(501),
    "502": reply(502, PORTAL),
    "503": reply(503, b"request limit exceeded"),
    "504": reply(504),
    "599": reply(599),
    "503-gzip": packed(503, "busy"),
    "503-broken-gzip": reply(503, b"\x1f\x8bnonsense", "Content-Encoding: gzip"),
    "503-unknown-coding": reply(503, b"?", "Content-Encoding: br"),
}


@pytest.mark.parametrize("answer", TRANSIENT.values(), ids=TRANSIENT)
def test_what_is_no_acknowledgement_is_sent_again_byte_for_byte(journal, deliver, answer):
    """Once, after a pause, and nothing is counted twice; nobody is followed."""
    again(journal, deliver, answer)


SILENT = {"lost": None, "reset": reset, "503": reply(503), "302": reply(302)}


@pytest.mark.parametrize("answer", SILENT.values(), ids=SILENT)
def test_a_compressed_retry_is_the_same_bytes_too(journal, deliver, answer):
    """No time of the clock goes into what is packed."""
    again(journal, deliver, answer, gzip=True)


def again(journal, deliver, answer, **options):
    with Scripted(answer) as server:
        rig = deliver(server, timeout=1.0, **options)
        assert (now(journal), len(server.bodies)) == (WAITING, 1)
        assert account(journal, "influx").error
        rig.pass_time(PROBE_EVERY)
        assert now(journal) == STORED_ALL
        assert len(server.bodies) == 2
        assert server.bodies[0] == server.bodies[1]
        assert server.writes[0] == server.writes[1]


def test_a_retry_of_a_large_batch_is_the_same_bytes(journal, deliver):
    """It goes as two requests, then as the same two, one after the other."""
    with Scripted() as server:
        rig = deliver(server, 1)
        server.script[:] = [reply(503), reply(503)]
        journal.append([telegram(at, v=float(at)) for at in range(10, 10 + LARGE)])
        rig.settle()
        rig.pass_time(PROBE_EVERY)
        _, *bodies = server.bodies
        assert now(journal) == (LARGE + 1, 0, 0, 0, 0)
        assert len(bodies) == 4
        assert sorted(bodies[:2]) == sorted(bodies[2:])


# -- the deadline of a whole request -------------------------------------------------------------


@pytest.mark.parametrize(
    "slow",
    [
        silent,
        dripping(STORED + b" " * 9999),
        dripping(b"HTTP/1.1 204 No Content\r\nX: " + b"y" * 9999),
        dripping(reply(500, b"x" * 9999)),
        dripping(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 999),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 999, every=0.01),
        sipping,
    ],
    ids=["silent", "drip-204", "drip-header", "drip-body", "drip-chunks", "drip-100", "sip"],
)
def test_the_deadline_is_for_the_request_as_a_whole(journal, deliver, slow):
    """A byte now and then does not keep it alive, on the way out neither."""
    with Scripted(slow) as server:
        began = time.monotonic()
        rig = deliver(server, count=400, size=20_000, timeout=1.0, max_bytes=20_000_000)
        took = time.monotonic() - began
        if now(journal)[1]:
            assert "answer within 1 s" in account(journal, "influx").error
        for _ in range(10):  # a second is short for eight megabytes where others compute
            if now(journal)[1]:
                rig.pass_time(PROBE_EVERY)
        assert now(journal) == (400, 0, 0, 0, 0)
    assert took < 60  # not the minutes that the bytes would take


# -- Retry-After --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "header", "pause"),
    [(status, "7", 7.0) for status in (408, 425, 429, 500, 502, 503, 504)]
    + [(429, "0", 1.0), (503, "-5", 1.0), (429, "99999", 3600.0), (503, " 12 ", 12.0)]
    + [(503, "9" * 400, 3600.0)],
)
def test_retry_after_is_obeyed(journal, deliver, status, header, pause):
    """From a second to an hour, to the second."""
    with Scripted(reply(status, b"", f"Retry-After: {header}")) as server:
        rig = deliver(server)
        rig.pass_time(pause - 0.01)
        assert len(server.bodies) == 1
        rig.pass_time(0.02)
        assert now(journal) == STORED_ALL


@pytest.mark.parametrize(("ahead", "pause"), [(90, 90.0), (-3600, 1.0), (10**7, 3600.0)])
def test_retry_after_may_be_a_date(journal, deliver, ahead, pause):
    """It is taken by the clock of the server that said it, whatever this machine's says."""
    server_now = time.time() + 12_345
    date = f"Date: {formatdate(server_now, usegmt=True)}"
    header = f"Retry-After: {formatdate(server_now + ahead, usegmt=True)}"
    with Scripted(reply(503, b"", header, date)) as server:
        rig = deliver(server)
        rig.pass_time(pause - 0.01)
        assert len(server.bodies) == 1
        rig.pass_time(0.02)
        assert now(journal) == STORED_ALL


@pytest.mark.parametrize("header", ["soon", "1.5", "1e9", "0x10", "", "NaN", "Thu, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_is_left_out(journal, deliver, header):
    """Then the pause is our own: a second at most after the first failure."""
    with Scripted(reply(503, b"", f"Retry-After: {header}")) as server:
        deliver(server).pass_time(1.01)
        assert now(journal) == STORED_ALL


def test_without_retry_after_the_pause_doubles_up_to_five_minutes(journal, deliver):
    """The jitter here is its greatest: 1, 2, 4 ... 300 seconds."""
    with Scripted(rule=reply(503)) as server:
        rig = deliver(server)
        for pause in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
            before = len(server.bodies)
            rig.pass_time(pause - 0.01)
            assert len(server.bodies) == before
            rig.pass_time(0.02)
            assert len(server.bodies) == before + 1


# -- dead letters -------------------------------------------------------------------------------

POISON = [
    "unable to parse 'data v=': missing field value",
    "unable to parse 'data v=1 99999999999': time outside range",
    "partial write: unable to parse 'data v=': bad timestamp dropped=0",
    'partial write: field type conflict: input field "z" on measurement "other" is type float dr',
    'field type conflict: input field "z" on measurement "other" is type float',
    "partial write: points beyond retention policy dropped=1",
    "points beyond retention policy",
    "beyond retention policy",
    "partial write: max key length exceeded: 70000 > 65535 dropped=1",
    "max key length exceeded: 70000 > 65535",
    "partial write: time outside range -9223372036854775806 - 9223372036854775806 dropped=1",
    "time outside range",
]


@pytest.mark.parametrize("message", POISON)
def test_a_poisonous_line_is_found_and_becomes_a_dead_letter(journal, deliver, message):
    """With the server's own words; the others arrive."""
    with Scripted(rule=poisoned(2, error(400, message))) as server:
        deliver(server)
        assert now(journal) == ONE_DEAD
    assert message.partition(":")[0] in the_reason(journal)


@pytest.mark.parametrize("message", POISON)
def test_poison_in_a_compressed_answer_is_found_too(journal, deliver, message):
    """Some proxies compress what they like."""
    answer = packed(400, message.replace('"', "'"))
    with Scripted(rule=poisoned(2, answer)) as server:
        deliver(server)
        assert now(journal) == ONE_DEAD


def the_reason(journal):
    with View(journal.path) as view:
        (row,) = view.all("SELECT reason, time FROM aside WHERE state = 'dead'")
    assert row["time"] == 2
    return row["reason"]


@pytest.mark.parametrize(
    "answer",
    [
        reply(413, b"Request Entity Too Large"),
        reply(413, b"\x1f\x8bnonsense", "Content-Encoding: gzip"),
        reply(413),
    ],
    ids=["413", "413-broken-gzip", "413-empty"],
)
def test_a_lone_telegram_that_is_too_large_becomes_a_dead_letter(journal, deliver, answer):
    """The batch is halved until it is alone."""
    with Scripted(rule=poisoned(2, answer)) as server:
        deliver(server)
        assert now(journal) == ONE_DEAD
    assert "413" in the_reason(journal) or "Too Large" in the_reason(journal)


def test_halves_of_a_413_are_stored(journal, deliver):
    """Nothing is refused that fits."""

    def small(_server, _link, body):
        return STORED if body.count(b"data,") <= 1 else reply(413)

    with Scripted(rule=small) as server:
        deliver(server)
        assert now(journal) == STORED_ALL


# -- held ---------------------------------------------------------------------------------------

NO_DATABASE = error(404, 'database not found: "p_a"')


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (error(403, '"me" user is not authorized to write to database "p_a"'), {"user": "me"}),
        (error(403, "forbidden"), {}),
        (reply(403, b"\x1f\x8bnonsense", "Content-Encoding: gzip"), {}),
        (NO_DATABASE, {"create": False}),
        (error(500, "retention policy not found: raw"), {"rp": "raw"}),
    ],
    ids=["403-user", "403", "403-broken-gzip", "404-not-allowed-here", "500-policy"],
)
def test_a_kit_without_permission_is_held_and_probed(journal, deliver, answer, options):
    """Its telegrams wait in order and are tried after five minutes; the cursor goes on."""

    def closed(_server, _link, body):
        return STORED if b" w=7" in body else answer

    with Scripted(rule=closed) as server:
        rig = deliver(server, **options)
        assert now(journal) == HELD
        journal.append([telegram(7, kit="b", w=7.0)])
        rig.settle()
        assert now(journal) == (1, 0, 4, 0, 0)
        tried = len(server.bodies)
        rig.pass_time(PROBE_EVERY - 1)
        assert len(server.bodies) == tried
        server.rule = STORED
        rig.pass_time(2)
        assert now(journal) == (5, 0, 0, 0, 0)
        assert server.bodies[0] == server.bodies[-1]


def test_a_database_that_is_missing_is_made(journal, deliver):
    """Where that is allowed; then the same batch goes into it."""
    with Scripted(NO_DATABASE) as server:
        deliver(server)
        assert now(journal) == STORED_ALL
        assert server.queries[-1].startswith('CREATE DATABASE "p_a"')


@pytest.mark.parametrize(
    "refusal",
    [reply(403, b'{"error":"no right"}'), b'{"results":[{"error":"not authorized"}]}'],
    ids=["403", "error-in-200"],
)
def test_a_database_that_may_not_be_made_holds_the_kit(journal, deliver, refusal):
    """With what an administrator can do."""
    with Scripted(rule=NO_DATABASE, create=refusal) as server:
        deliver(server)
    assert now(journal) == HELD
    assert "CREATE DATABASE" in account(journal, "influx").held_kits[0].reason


# -- 401 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "fix"),
    [({}, "set user and password"), ({"user": "me"}, "correct user and password")],
)
def test_401_holds_the_output_and_says_what_to_fix(journal, deliver, caplog, options, fix):
    """One try every few minutes, one line of alarm, and telegrams go on coming in."""
    denied = error(401, "authorization failed")
    with Scripted(rule=denied) as server:
        rig = deliver(server, password=Secret("pw") if options else Secret(), **options)
        for _ in range(4):
            rig.pass_time(181)
        assert len(server.bodies) == 5
        assert [r.levelname for r in caplog.records] == ["ERROR"]
        assert fix in caplog.text
        assert "pw" not in caplog.text
        journal.append([telegram(9, v=9.0)])
        server.rule = STORED
        rig.pass_time(181)
        assert now(journal) == (5, 0, 0, 0, 0)
        assert server.bodies[0] == server.bodies[5]


# -- what is said -------------------------------------------------------------------------------


def test_an_outage_is_two_lines_with_a_count(journal, deliver, caplog):
    """The first failure and the recovery; how often it tried is in the status meanwhile."""
    with Scripted(*[reply(503, b"busy")] * 6) as server:
        rig = deliver(server)
        for _ in range(6):
            rig.pass_time(PROBE_EVERY)
    first, last = (record.getMessage() for record in caplog.records)
    assert "503 busy" in first
    assert "works again after 6 failures" in last
    assert account(journal, "influx").retries == 6


def test_a_400_that_is_nobody_s_fault_is_an_alarm(journal, deliver, caplog):
    """A full disk of the server is for a person to mend: an error, not a warning."""
    full = error(400, "partial write: write failed: no space left on device dropped=3000")
    with Scripted(reply(503), full, full) as server:
        rig = deliver(server)
        rig.pass_time(10)
        rig.pass_time(10)
        rig.pass_time(10)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "WARNING"]
    assert "no space left" in caplog.records[1].getMessage()
