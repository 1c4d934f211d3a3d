"""`mysense verify`: what is equal is equal, and what is not is found, named and explained."""

from __future__ import annotations

import json
import time

import attrs
import pytest

from mysense import jsonlines
from mysense.journal import Journal, Outcome
from mysense.journal.view import View
from mysense.telegram import Ident, Telegram
from tests.cli.places import DAY, HOUR, T0, Verb, places_in
from tests.conftest import CHECKOUT
from tests.influxd import ADMIN

RECORDING = CHECKOUT.parent / "shared/data/kit-scom-16422.jsonl"


@pytest.fixture
def places(tmp_path, influxd, project, monkeypatch):
    with places_in(tmp_path, influxd, project, monkeypatch) as made:
        yield made


@pytest.fixture
def verb(places, capsys):
    return Verb(places, capsys)


@pytest.fixture
def verify(verb):
    """`verify(...)` returns the exit code and the differences, the last of them the total."""

    def verify(*words):
        code = verb("verify", *words, "--json")
        return code, [json.loads(line) for line in verb.out.splitlines()]

    return verify


@pytest.fixture
def both(places):
    """Two and a half days in the journal and on the server."""
    telegrams = places.telegrams(240)
    places.into_journal(telegrams, "influxpub")
    places.into_server(telegrams)
    return telegrams


def changed(telegram, **data):
    return attrs.evolve(telegram, data={**telegram.data, **data})


def write_file(path, telegrams):
    path.write_text("".join(f"{line}\n" for line in jsonlines.write(telegrams)))
    return path


# -- equal ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["classic", "clean"])
def test_what_was_delivered_is_equal(places, verify, dialect):
    """In either dialect, with texts that the dialect has to escape."""
    telegrams = places.telegrams(
        240, label="a b,c=d", geolocation="52.4,5.1,22", street="Kerkstraat 1, links"
    )
    telegrams[3] = changed(telegrams[3], note="windy, cold", geolocation="52.5,5.1,22")
    telegrams[4] = changed(telegrams[4], geolocation="52.4,5.1,22", gone=None)
    places.into_journal(telegrams, "influxpub")
    places.into_server(telegrams, dialect=dialect)
    code, (total,) = verify("journal", "influxpub", "--full")
    assert (code, total["total"]["hours"], total["total"]["by_counts"]) == (0, 60, 0)


def test_counts_spare_reading(both, verify):
    """Where the counts are equal only the last day is read."""
    code, (total,) = verify("journal", "influxpub")
    assert (code, total["total"]["by_counts"]) == (0, 35)


def test_table_is_for_people(both, places, verb):
    """Without differences there is the total alone."""
    assert verb("verify", "journal", "influxpub") == 0
    first, _ = verb.out.splitlines()
    assert first == (
        "total journal and influxpub: 1 kit, 60 hours, 25 telegram by telegram: no difference"
    )


def test_deployed_data_are_equal(places, verify, tmp_path):
    """Points at the time of arrival, hours after the telegrams' own time, which is in a field."""
    places.server.query(f'CREATE DATABASE "{places.kit}"')
    ident = Ident(project=places.project, serial="k", label="alpha", geolocation="51.4,6.1,22.9")
    telegrams = [
        Telegram.from_json(ident, {"time": T0 + at * 600, "pm_10": float(at)}) for at in range(30)
    ]
    places.write(
        f'info,label="alpha" label="alpha",geolocation="51.4\\,6.1\\,22.9" {T0}',
        *(
            'data,geolocation="51.4\\,6.1\\,22.9",label="alpha",new=0 '
            f"pm_10={at},timestamp={T0 + at * 600} {T0 + at * 600 + 5 * HOUR + at}"
            for at in range(30)
        ),
    )
    file = write_file(tmp_path / "kit.jsonl", telegrams)
    assert verify(file, "influxsub")[0] == 0


def test_rows_that_differ_only_in_new_are_one(both, places, verify):
    """Two journals have sent the same telegram, each with its own `new`."""
    places.write(f'data,label="lab",new=1 temp=0.25,rh=50 {T0 + HOUR // 4}')
    code, (total,) = verify("journal", "influxpub")
    assert (code, total["total"]["by_counts"]) == (0, 34)


def test_numbers_in_columns_of_texts_are_equal(places, verify):
    """Somebody has made the column a text once: there, numbers are sent as texts."""
    places.server.query(f'CREATE DATABASE "{places.kit}"')
    places.write(f'data,label="lab",new=0 temp="warm" {T0 - HOUR}')
    telegrams = places.telegrams(4)
    places.into_journal(telegrams, "influxpub")
    places.into_server(telegrams)
    assert verify("journal", "influxpub", "--since", T0)[0] == 0


def test_privacy_is_no_difference(places, verify):
    """The server has what the output is told, and that is what is compared."""
    telegrams = places.telegrams(240, geolocation="52.41911,5.13811,22.9", street="Kerkstraat 1")
    places.into_journal(telegrams, "influxpub")
    hidden = Ident(project=places.project, serial="k", label="lab", geolocation="52.42,5.14,23")
    told = [
        attrs.evolve(one, ident=hidden, data={n: v for n, v in one.data.items() if n != "rh"})
        for one in telegrams
    ]
    places.into_server(told)
    options = ["-o", "influxpub.omit=street,rh", "-o", "influxpub.round_location=2"]
    assert verify("journal", "influxpub", "--full", *options)[0] == 0
    code, (total,) = verify("journal", "influxpub", *options)
    assert (code, total["total"]["by_counts"]) == (0, 35)


@pytest.mark.skipif(not RECORDING.exists(), reason="the recording is not here")
def test_recording_of_45_days(places, verb, verify):
    """A real kit, with values that are sometimes missing: file, store and server are equal."""
    with RECORDING.open("rb") as stream:
        telegrams = list(jsonlines.Reader(stream, "recording"))
    ident = attrs.evolve(telegrams[0].ident, project=places.project, serial="k")
    telegrams = [attrs.evolve(one, ident=ident) for one in telegrams]
    places.into_store(telegrams)
    places.into_server(telegrams)
    code, (total,) = verify("sqlitepub", "influxpub")
    assert (code, total["total"]["hours"]) == (0, 903)


# -- different --------------------------------------------------------------------------------


def test_hours_missing_on_the_server(both, places, verify):
    """Each of them is told, with the counts of both sides."""
    places.delete(T0 + HOUR, T0 + 3 * HOUR)
    code, (first, second, _) = verify("journal", "influxpub")
    assert code == 1
    assert [(one["hour"] - T0, one["here"], one["there"]) for one in (first, second)] == [
        (HOUR, 4, 0),
        (2 * HOUR, 4, 0),
    ]
    assert (first["missing_there"], first["missing_here"], first["label"]) == (4, 0, "lab")


def test_rows_missing_in_the_journal(both, places, verify):
    """What the server has and the journal never got."""
    places.change("DELETE FROM telegrams WHERE time = ?", T0 + HOUR)
    code, (hour, _) = verify("influxsub", "journal")
    assert (code, hour["missing_there"], hour["examples"]) == (1, 1, [T0 + HOUR])


def test_table_of_differences(both, places, verb):
    """Kit, hour, label, here, there, and what is missing where."""
    places.delete(T0 + HOUR, T0 + HOUR + 1)
    assert verb("verify", "influxpub") == 1
    heading, line, total, _ = verb.out.splitlines()
    assert heading.split()[:4] == ["kit", "hour", "(UTC)", "label"]
    assert line.split()[:9] == [
        *(places.kit, "2017-05-14", "17:00", "lab"),
        *("4", "3", "0", "1", "0"),
    ]
    assert "1 not in influxpub, 0 not in journal, 0 different" in total


def test_changed_value_in_the_last_day(both, places, verify):
    """Counts cannot tell: the last day is compared telegram by telegram."""
    second = both[-1].time
    places.write(f'data,label="lab",new=0 temp=99 {second}')
    code, (hour, _) = verify("journal", "influxpub")
    assert (code, hour["different"], hour["examples"]) == (1, 1, [second])


def test_changed_value_long_ago_needs_full(both, places, verify):
    """What only --full finds."""
    places.write(f'data,label="lab",new=0 temp=99 {T0 + HOUR}')
    assert (verify("journal", "influxpub")[0], verify("journal", "influxpub", "--full")[0]) == (
        0,
        1,
    )


def test_loss_behind_a_double_is_found(both, places, verify):
    """As many rows as there should be, and yet one is missing."""
    places.delete(T0 + HOUR, T0 + HOUR + 1)
    places.write(f'data,label="lab",new=1 temp=1.25,rh=50 {T0 + HOUR + HOUR // 4}')
    code, (hour, _) = verify("journal", "influxpub")
    assert (code, hour["missing_there"], hour["there"]) == (1, 1, 3)


def test_other_ident_is_different(both, places, verify):
    """An info in between gives what follows another street."""
    places.write(f'info,label="lab" street="Elsewhere" {both[-2].time}')
    code, (hour, _) = verify("journal", "influxpub")
    assert (code, hour["different"]) == (1, 2)


def test_labels_apart(places, verify):
    """Two labels of one kit at the same seconds are two series."""
    one, two = places.telegrams(8), places.telegrams(8, label="other")
    places.into_journal([*one, *two], "influxpub")
    places.into_server([*one, *two[1:]])
    code, (hour, _) = verify("journal", "influxpub")
    assert (code, hour["label"], hour["missing_there"]) == (1, "other", 1)


# -- what is known of it ----------------------------------------------------------------------


def test_waiting_is_no_loss(both, places, verify):
    """What the output has not got yet is told as waiting."""
    places.delete(both[-1].time, both[-1].time + 1)
    places.change("UPDATE outputs SET cursor = cursor - 1")
    code, (total,) = verify("journal", "influxpub")
    assert (code, total["total"]["waiting"], total["total"]["missing_there"]) == (0, 1, 0)


@pytest.mark.parametrize("state", ["held", "dead"])
def test_held_and_dead_are_no_loss(places, verify, state):
    """What the output holds back or has refused is told as such."""
    telegrams = places.telegrams(240)
    places.into_journal(telegrams)
    journal = Journal(places.journal)
    journal.register("influxpub")
    with View(places.journal) as view:
        rows = view.rows(0, 1000, 10**9)
    journal.settle("influxpub", Outcome(240, rows[1:], **{state: [(rows[0], "no")]}))
    journal.close()
    places.into_server(telegrams[1:])
    code, (total,) = verify("journal", "influxpub")
    assert (code, total["total"][state], total["total"]["missing_there"]) == (0, 1, 0)


def test_second_content_is_a_known_dead_letter(places, verify):
    """The journal has one content for a second and refused another, which the server may have."""
    telegrams = places.telegrams(4)
    places.into_journal(telegrams)
    places.into_journal([changed(telegrams[2], temp=99.0)])
    places.into_server(telegrams)
    code, (total,) = verify("influxsub", "journal")
    assert (code, total["total"]["dead"], total["total"]["different"]) == (0, 1, 0)
    places.write(f'data,label="lab",new=1 temp=99,rh=50 {telegrams[2].time}')
    assert verify("influxsub", "journal")[0] == 0


def let_go(places, telegrams):
    """As retention does it: the telegrams go, their counts stay."""
    for one in telegrams:
        places.change(
            "INSERT INTO hours (source, hour, count) VALUES (1, ?, 1)"
            " ON CONFLICT DO UPDATE SET count = count + 1",
            one.time // HOUR,
        )
        places.change("DELETE FROM telegrams WHERE time = ?", one.time)


def test_let_go_of_is_compared_by_counts(both, places, verify):
    """A whole hour is gone from the journal, and half of the next one."""
    let_go(places, both[:6])
    assert verify("journal", "influxpub")[0] == 0


def test_let_go_of_and_yet_a_dead_letter(both, places, verify):
    """What is a dead letter is not on the server, also when the telegram itself was let go of."""
    places.change(
        "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
        " SELECT 'influxpub', 'dead', ?, time, ident, new, at, 'no', data FROM telegrams"
        " WHERE time = ?",
        *(places.kit, both[0].time),
    )
    let_go(places, both[:4])
    places.delete(both[0].time, both[0].time + 1)
    code, (total,) = verify("journal", "influxpub")
    assert (code, total["total"]["dead"]) == (0, 1)


def test_loss_among_what_was_let_go(both, places, verify):
    """How many are missing is known, and not which."""
    let_go(places, both[:6])
    places.delete(both[0].time, both[0].time + 1)
    places.delete(both[5].time, both[5].time + 1)
    code, (first, second, _) = verify("journal", "influxpub")
    found = [
        (one["here"], one["there"], one["missing_there"], one["counts_only"])
        for one in (first, second)
    ]
    assert (code, found) == (1, [(4, 3, 1, True), (4, 3, 1, True)])


def test_gap_is_told(both, places, verify):
    """What was given up unsent is a difference with a name."""
    let_go(places, both[:2])
    places.delete(both[0].time, both[1].time)
    places.change(
        "INSERT INTO gaps (output, kit, since, first, last, count, at, reason)"
        " VALUES ('influxpub', ?, 0, ?, ?, 1, 0, 'full')",
        places.kit,
        both[0].time,
        both[0].time,
    )
    code, (hour, _) = verify("journal", "influxpub")
    assert (code, hour["given_up"], hour["missing_there"]) == (1, 1, 0)


# -- which places, kits and times -------------------------------------------------------------


def test_kits_of_others_do_not_count(both, places, verify):
    """On the server of an output there may be kits of other people; --kit includes them."""
    other = f"{places.project}_other"
    places.server.query(f'CREATE DATABASE "{other}"')
    places.write(f'data,label="x",new=0 temp=1 {T0}', kit=other)
    assert verify("journal", "influxpub")[0] == 0
    code, (hour, _) = verify("journal", "influxpub", "--kit", f"{places.project}_*")
    assert (code, hour["kit"]) == (1, other)


def test_bounds(both, places, verify):
    """Outside of --since and --until nothing is compared."""
    places.delete(T0 + HOUR, T0 + 2 * HOUR)
    bounds = ["--since", T0 + 2 * HOUR], ["--until", T0 + HOUR], ["--since", T0 + HOUR]
    assert [verify("journal", "influxpub", *one)[0] for one in bounds] == [0, 0, 1]


def test_bounds_are_whole_hours(both, places, verify):
    """Of what was let go of nothing is known but the hour."""
    let_go(places, both[:4])
    assert verify("journal", "influxpub", "--since", T0 + HOUR // 2)[0] == 0


def test_last_minute_is_left_out(places, verify):
    """What is so young may just be on its way."""
    now = int(time.time())
    places.into_journal(places.telegrams(1, now - 5), "influxpub")
    found = verify("journal", "influxpub")[0], verify("journal", "influxpub", "--until", now)[0]
    assert found == (0, 1)


def test_start_of_influxsub_holds(both, places, verify):
    """What a subscriber was told to leave out is not missed."""
    places.change("DELETE FROM telegrams WHERE time < ?", T0 + DAY)
    assert verify("influxsub", "journal", "-o", f"influxsub.start={T0 + DAY}")[0] == 0


def test_first_server_is_the_default(both, places, verb):
    """The journal, and what is switched on."""
    assert verb("verify", "-o", "influxpub.output=true", "-o", "sqlitepub.output=true") == 0
    assert verb.out.startswith("total journal and influxpub:")


def test_files_are_told_by_what_they_are(both, places, verb, tmp_path):
    """A journal, a store, telegrams."""
    places.into_store(both)
    file = write_file(tmp_path / "all.jsonl", both)
    assert [verb("verify", places.journal, other) for other in (places.store, file)] == [0, 0]


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["journal", "csv"], 1, "csv cannot be read back; name journal"),
        (["journal", "influxpbu"], 1, "influxpbu cannot be read back"),
        (["journal", "no.jsonl"], 1, "no.jsonl: No such file"),
        (["journal", "sqlitepub"], 1, "there is no store yet"),
        (["journal", "influxpub", "-o", "influxpub.port=1"], 1, "connection refused"),
        ([], 1, "nothing that is switched on can be compared"),
    ],
)
def test_what_cannot_be_compared(places, verb, words, code, why):
    """Is said in a sentence."""
    places.into_journal(places.telegrams(1))
    assert (verb("verify", *words), why in verb.err) == (code, True), verb.err


def test_no_journal(places, verb):
    """As other verbs say it."""
    assert (verb("verify", "journal", "influxpub"), "there is none yet" in verb.err) == (1, True)


def test_reading_needs_permission(both, places, verb, influxd_auth, monkeypatch):
    """A user who may only write is told what is missing."""
    influxd_auth.query(f'CREATE DATABASE "{places.kit}"')
    influxd_auth.query(f"CREATE USER {places.project} WITH PASSWORD 'secret'")
    influxd_auth.query(f'GRANT WRITE ON "{places.kit}" TO {places.project}')
    monkeypatch.setenv("INFLUXPUB_PASSWORD", "secret")
    places.options += ["-o", f"influxpub.port={influxd_auth.port}"]
    places.options += ["-o", f"influxpub.user={places.project}"]
    assert places.project != ADMIN
    code = verb("verify", "journal", "influxpub")
    influxd_auth.query(f'DROP DATABASE "{places.kit}"')
    assert (code, "READ" in verb.err) == (1, True), verb.err
