"""The journal: identity, `new`, positions, transactions, and who may open it."""

from __future__ import annotations

import sqlite3
import subprocess
import time

import pytest

from mysense.errors import JournalError
from mysense.journal import Appended, Journal, Outcome
from mysense.journal.view import View, request
from mysense.plugin import Refusal
from tests.pipeline import keys, python, telegram


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    with_journal = Journal(path)
    yield with_journal
    with_journal.close()


def rows(journal, after=0):
    with View(journal.path) as view:
        return view.rows(after, 100_000, 10**9)


def dead(journal):
    with View(journal.path) as view:
        return [dict(row) for row, _ in view.dead()]


def news(journal):
    return [row.telegram.new for row in rows(journal)]


# -- identity -----------------------------------------------------------------------------------


def test_keeps_telegrams_value_by_value(journal):
    """What is read back is what was appended: texts, numbers, None, ident and time."""
    one = telegram(5, label="x", temp=28.75, note="é☃", none=None, zero=0.0)
    journal.append([one])
    (row,) = rows(journal)
    assert (row.telegram.ident, row.telegram.data) == (one.ident, one.data)


def test_equal_content_is_a_repeat(journal):
    """Kit, label, second and data that are there already are dropped."""
    journal.append([telegram(1), telegram(2)])
    assert journal.append([telegram(1), telegram(3)]) == Appended(1, repeats=1, refused=0)
    assert keys(row.telegram for row in rows(journal)) == [("a", 1), ("a", 2), ("a", 3)]


def test_repeats_within_one_batch(journal):
    """A batch that holds a telegram twice stores it once."""
    assert journal.append([telegram(1), telegram(1)]) == Appended(1, repeats=1, refused=0)


def test_none_does_not_tell_telegrams_apart(journal):
    """None is not measured: with and without it is the same content."""
    journal.append([telegram(1, temp=2.0)])
    assert journal.append([telegram(1, temp=2.0, rh=None)]).repeats == 1


def test_other_content_at_a_taken_second_is_a_dead_letter(journal):
    """The same kit, label and second with other data: `second taken`, the first one stays."""
    journal.append([telegram(1, temp=2.0)])
    assert journal.append([telegram(1, temp=3.0)]).refused == 1
    (letter,) = dead(journal)
    assert letter["reason"].startswith("second taken")
    assert rows(journal)[0].telegram.data["temp"] == 2.0


def test_the_same_dead_letter_is_kept_once(journal):
    """Who sends a taken second again and again does not fill the journal."""
    journal.append([telegram(1, temp=2.0)])
    for _ in range(3):
        assert journal.append([telegram(1, temp=3.0)]).refused == 1
    assert len(dead(journal)) == 1


def test_label_is_part_of_the_identity(journal):
    """Two labels of one kit may measure in the same second."""
    assert journal.append([telegram(1, label="x"), telegram(1, label="y")]).stored == 2


def test_kits_are_told_apart_by_name(journal):
    """Two kits may measure in the same second."""
    assert journal.append([telegram(1, "a"), telegram(1, "b")]).stored == 2


def test_texts_and_numbers_are_different_content(journal):
    """The text "2.0" is not the number 2.0."""
    journal.append([telegram(1, temp=2.0)])
    assert journal.append([telegram(1, temp="2.0")]).refused == 1


def test_what_an_input_could_not_use_is_a_dead_letter(journal):
    """A refusal is kept with its place, reason and text, also where the text is half a letter."""
    journal.append([Refusal("db a", "no time", "x\udcff"), telegram(1)], source="feed")
    (letter,) = dead(journal)
    assert (letter["reason"], letter["data"]) == ("db a: no time", "x\\udcff")


# -- new ----------------------------------------------------------------------------------------


def test_new_is_one_exactly_where_the_ident_changes(journal):
    """The first telegram of an ident, and every one whose ident differs from the one before."""
    idents = [None, None, "Here", "Here", None, "Here"]
    journal.append([telegram(at, village=where) for at, where in enumerate(idents)])
    assert news(journal) == [True, False, True, False, True, True]


def test_new_is_decided_per_kit(journal):
    """Telegrams of other kits in between change nothing."""
    journal.append([telegram(1, "a"), telegram(1, "b"), telegram(2, "a"), telegram(2, "b")])
    assert news(journal) == [True, True, False, False]


def test_new_is_remembered_across_a_restart(path):
    """The first telegram after a restart is not new when its ident is not."""
    for at in (1, 2):
        journal = Journal(path)
        journal.append([telegram(at)])
        journal.close()
    assert news(journal) == [True, False]


def test_new_is_decided_anew_after_a_rollback(journal):
    """A telegram that was not stored after all has decided nothing."""
    journal.append([telegram(1)])
    with pytest.raises(TypeError):
        journal.append([telegram(2, village="Here")], source="x", position={"n": object()})
    journal.append([telegram(2, village="Here"), telegram(3, village="Here")])
    assert news(journal) == [True, True, False]


def test_a_repeat_decides_nothing(journal):
    """Neither a repeat nor a refused telegram counts as the one before."""
    journal.append([telegram(1), telegram(2, village="Here"), telegram(3)])
    journal.append([telegram(2, village="Here"), telegram(2, village="Here", temp=9.0)])
    journal.append([telegram(4)])
    assert news(journal) == [True, True, True, False]


def test_a_repeat_among_others_keeps_new_right(journal):
    """Also within one batch, where the quick way was tried first and undone."""
    journal.append([telegram(1, village="Here")])
    journal.append([telegram(2), telegram(1, village="Here"), telegram(3)])
    assert news(journal) == [True, True, False]


def test_a_telegram_that_brings_its_own_new_keeps_it(journal):
    """A telegram read from InfluxDB says itself whether its ident is new."""
    journal.append([telegram(1, new=False), telegram(2, new=True), telegram(3)])
    assert news(journal) == [False, True, False]


def test_a_repeat_may_differ_in_new(journal):
    """Rows that differ only in `new` are one telegram."""
    journal.append([telegram(1, new=False)])
    assert journal.append([telegram(1, new=True)]).repeats == 1
    assert news(journal) == [False]


# -- positions and transactions -----------------------------------------------------------------


def test_position_is_kept_by_key(path, journal):
    """Keys that are gone are gone, others are as they were last given."""
    assert journal.position("feed") is None
    journal.append([], source="feed", position={"a": 1, "b": [1, "x"]})
    journal.append([], source="feed", position={"b": [1, "y"], "c": None})
    assert journal.position("feed") == {"b": [1, "y"], "c": None}


def test_telegrams_and_position_are_one_transaction(journal):
    """A position that cannot be kept takes its telegrams with it."""
    with pytest.raises(TypeError):
        journal.append([telegram(1)], source="feed", position={"n": object()})
    assert (rows(journal), journal.position("feed"), journal.head) == ([], None, 0)


def test_a_failed_transaction_leaves_the_journal_usable(journal):
    """Whatever is raised inside, the next transaction works and numbers go on."""
    journal.append([telegram(1)])

    def fails():
        with journal.transaction() as db:
            db.execute("DELETE FROM telegrams")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    journal.append([telegram(2)])
    assert (len(rows(journal)), journal.head) == (2, 2)


def test_rolled_back_idents_are_made_again(journal):
    """An ident first seen in a transaction that failed is stored with the next one."""
    with pytest.raises(TypeError):
        journal.append([telegram(1, "z")], source="feed", position={"n": object()})
    journal.append([telegram(1, "y"), telegram(2, "z")])
    assert keys(row.telegram for row in rows(journal)) == [("y", 1), ("z", 2)]


def test_full_synchronous_wal(journal):
    """What is acknowledged survives a power cut: WAL with synchronous=FULL."""
    with journal.transaction() as db:
        modes = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode",)]
        level = db.execute("PRAGMA synchronous").fetchone()[0]
    assert (modes, level) == (["wal"], 2)


def test_disk_full_is_an_error_and_passes(journal):
    """A telegram for which there is no room is not stored, later ones are."""
    journal.append([telegram(1)])
    with journal.transaction() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        journal.append([telegram(at, village="v" * 90) for at in range(2, 500)])
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.append([telegram(2)])
    assert (keys(row.telegram for row in rows(journal)), journal.head) == ([("a", 1), ("a", 2)], 2)


# -- outputs ------------------------------------------------------------------------------------


def test_a_new_output_starts_at_the_oldest_kept(journal):
    """Whenever it is switched on, it gets all that is still there."""
    journal.append([telegram(1), telegram(2), telegram(3)])
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE seq = 1")
    cursor, receipt = journal.register("shelf")
    assert (keys(row.telegram for row in rows(journal, cursor)), receipt) == (
        [("a", 2), ("a", 3)],
        None,
    )


def test_a_new_output_of_an_empty_journal_starts_at_its_end(path):
    """Where all was let go, what comes next is the first it gets, also after a restart."""
    journal = Journal(path)
    journal.append([telegram(1), telegram(2)])
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
    journal.close()
    journal = Journal(path)
    cursor, _ = journal.register("shelf")
    journal.append([telegram(3)])
    assert keys(row.telegram for row in rows(journal, cursor)) == [("a", 3)]
    journal.close()


def test_register_keeps_cursor_and_receipt(journal):
    """Known outputs go on where they were."""
    journal.append([telegram(1), telegram(2)])
    journal.register("shelf")
    journal.settle("shelf", Outcome(1, rows(journal)[:1], receipt="r"))
    assert journal.register("shelf") == (1, "r")


def test_a_number_is_never_used_again(path):
    """Telegrams that come after all others were let go are beyond every cursor."""
    journal = Journal(path)
    journal.append([telegram(1)])
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams")
    journal.close()
    journal = Journal(path)
    journal.append([telegram(2)])
    assert journal.head == 2
    journal.close()


@pytest.mark.parametrize(("argument", "left"), [("1", 1), ("", 0), ("7", 2)])
def test_retry_of_one_or_of_all(path, journal, argument, left):
    """`dead retry --id N` takes that letter, without it all of the output."""
    journal.append([telegram(1), telegram(2)])
    journal.register("shelf")
    journal.settle("shelf", Outcome(2, dead=[(row, "bad") for row in rows(journal)]))
    request(path, "retry", ["shelf"], argument)
    assert journal.obey() == [("retry", "shelf")]
    assert len(dead(journal)) == left


def test_requests_are_carried_out_once(path, journal):
    """What was obeyed is gone."""
    journal.register("shelf")
    request(path, "pause", ["shelf"])
    journal.obey()
    assert (journal.paused("shelf"), journal.obey()) == (True, [])


def test_reasons_that_utf8_cannot_hold_are_escaped(journal):
    """A file name that is no UTF-8 in an error does not make the error unrecordable."""
    journal.register("shelf")
    journal.fail("shelf", "no file \udcff", 1)
    with View(journal.path) as view:
        (row,) = view.all("SELECT error FROM outputs")
    assert row["error"] == "no file \\udcff"


# -- who may open it ----------------------------------------------------------------------------


def test_two_engines_are_refused(path, journal):
    """The second is told who has it and what to do."""
    with pytest.raises(JournalError, match=r"another engine \(process \d+\) has it; stop that one"):
        Journal(path)


def test_another_process_is_refused(path, journal):
    """The lock holds between processes."""
    code = "import pathlib, mysense.journal as j; j.Journal(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([*python(code), path], capture_output=True, text=True, check=False)
    assert "another engine" in done.stderr


def test_a_closed_journal_may_be_opened(path, journal):
    """The lock goes with the journal."""
    journal.close()
    Journal(path).close()


def test_a_newer_format_is_refused_and_left_alone(path):
    """A journal of a newer MySense is not touched."""
    Journal(path).close()
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE outputs ADD COLUMN newer")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="format 99 is newer than this MySense knows"):
        Journal(path)
    with pytest.raises(JournalError, match="format 99 is newer"):
        View(path)


def test_another_program_s_database_is_refused(path):
    """No tables are added to a database of something else."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(JournalError, match="database of something else"):
        Journal(path)
    with pytest.raises(JournalError, match="database of something else"):
        View(path)


def test_no_database_at_all_is_refused(path):
    """A text file is no journal."""
    path.write_text("hello " * 1000)
    with pytest.raises(JournalError, match="not a database"):
        Journal(path)


def test_after_a_refusal_the_lock_is_free(path):
    """A journal that could not be opened can be opened once it is mended."""
    path.write_text("hello " * 1000)
    with pytest.raises(JournalError):
        Journal(path)
    path.unlink()
    Journal(path).close()


def test_its_folder_is_made(tmp_path):
    """The folder need not be there."""
    journal = Journal(tmp_path / "a" / "b" / "journal.db")
    journal.close()
    assert journal.path.exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    """A file where a folder is needed: said, not a traceback."""
    (tmp_path / "a").write_text("")
    with pytest.raises(JournalError, match="journal"):
        Journal(tmp_path / "a" / "journal.db")


# -- speed --------------------------------------------------------------------------------------


def _seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_appending_repeats_is_linear(journal):
    """Ten thousand repeats cost about as much a telegram as new ones, not a search of all."""
    many = [telegram(at, f"k{at % 100}") for at in range(10_000)]
    journal.append(many)
    assert _seconds(lambda: journal.append(many)) < 3.0
    assert journal.head == 10_000


def test_a_thousand_kits_interleaved(journal):
    """Single telegrams of a thousand kits stay far below the time of their fsync."""
    journal.append([telegram(0, f"k{kit}") for kit in range(1000)])

    def singles():
        for at in range(300):
            journal.append([telegram(at + 1, f"k{at}")])

    assert _seconds(singles) < 3.0
    assert news(journal)[1000:] == [False] * 300


def test_idents_known_are_bounded(journal, monkeypatch):
    """A kit that moves has a new ident with each telegram: memory does not grow with them."""
    monkeypatch.setattr("mysense.journal.log._IDENTS_KNOWN", 10)
    monkeypatch.setattr("mysense.journal.view._IDENTS_KNOWN", 10)
    journal.append([telegram(at, village=f"v{at}") for at in range(100)])
    assert len(journal._sources) <= 10
    assert [row.telegram.ident.village for row in rows(journal)] == [f"v{n}" for n in range(100)]


def test_equal_data_with_a_corrected_ident_are_a_repeat(journal):
    """The correction goes out with the kit's next telegram, whose ident is new."""
    journal.append([telegram(1), telegram(2)])
    again = journal.append([telegram(2, village="corrected")])
    journal.append([telegram(3, village="corrected")])
    with View(journal.path) as view:
        found = [row.telegram for row in view.rows(0, 10, 10**6)]
    assert again.repeats == 1
    assert [(t.time, t.ident.village, t.new) for t in found] == [
        (1, None, True),
        (2, None, False),
        (3, "corrected", True),
    ]
