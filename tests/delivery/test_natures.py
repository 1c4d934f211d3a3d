"""Whatever an output cannot bear among what it is sent: nothing else is lost, doubled or late."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mysense.journal import Journal
from mysense.plugin import Hold, Refused, RetryLater, Unacceptable
from tests.delivery.answers import dead, works_on
from tests.pipeline import Rig, Shelf, account, counts, telegram

NATURES = ("good", "good", "good", "fault", "odd fault", "refused", "bisected", "held")
FAULT = ValueError("now and then")
PASSING = st.lists(
    st.sampled_from((None, RetryLater("down"), Hold("now and then"), FAULT)), max_size=10
).filter(lambda wrongs: wrongs.count(FAULT) < 5)  # so few cost no telegram that stands alone
TELEGRAMS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(NATURES)), min_size=1, max_size=24
)


class Choosy(Shelf):
    """Takes telegrams as their natures are; `natures` is by second, `passing` what comes first."""

    def __init__(self, *args, natures, passing, **more):
        super().__init__(*args, **more)
        self.natures, self.passing = natures, list(passing)

    def publish(self, batch):
        if self.passing and (wrong := self.passing.pop()) is not None:
            raise wrong
        natures = [self.natures.get(one.time, "good") for one in batch]
        if "fault" in natures:
            raise ValueError("cannot bear it")
        if "odd fault" in natures:
            raise ValueError("cannot bear several") if len(batch) > 1 else Unacceptable("400")
        if "held" in natures:
            raise Hold("no database")
        if "bisected" in natures:
            raise Unacceptable("400")
        refused = {at: "422" for at, nature in enumerate(natures) if nature == "refused"}
        receipt = self.store([one for at, one in enumerate(batch) if at not in refused])
        if refused:
            raise Refused(refused)
        return receipt


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    TELEGRAMS,
    PASSING,
    st.sampled_from([1, 3, 50]),
    st.booleans(),
)
def test_only_what_an_output_cannot_bear_is_not_delivered(many, passing, bufsize, mixed):
    """When it bears everything again all is there, each once, but what is a dead letter."""
    logging.getLogger("mysense").setLevel(logging.CRITICAL)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        journal = Journal(Path(folder, "journal.db"))
        journal._db.execute("PRAGMA synchronous = OFF")
        natures = dict(enumerate(nature for _, nature in many))
        shelf = Choosy(
            Path(folder, "shelf.db"),
            natures=natures,
            passing=passing,
            bufsize=bufsize,
            mixed=mixed,
        )
        one = Rig(journal, shelf)
        try:
            journal.append([telegram(at, kit) for at, (kit, _) in enumerate(many)])
            for _ in range(12):
                one.pass_time(301)
                assert "Assertion" not in (account(journal).error or "")
                assert sum(counts(journal)) == len(many)
            natures.clear()
            works_on(one, 3000)
            assert counts(journal)[1:3] == (0, 0)
            lost = {at for _, at, _ in dead(journal)}
            assert all(many[at][1] not in {"good", "held"} for at in lost)
            assert sorted(at for _, at in shelf.got) == [
                at for at in range(len(many)) if at not in lost
            ]
            for kit in "abc" if FAULT not in passing else "":  # what fails alone lets others pass
                good = [at for one, at in shelf.got if one == kit and many[at][1] == "good"]
                assert good == sorted(good)
        finally:
            one.close()
            journal.close()
