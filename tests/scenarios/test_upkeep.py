"""The journal's upkeep: what is older than it, retention and witness."""

import json
from pathlib import Path

import pytest

from faxdrop.journal import witness
from faxdrop.journal.chain import Journal
from faxdrop.journal.flaws import Flaw
from faxdrop.journal.history import lines
from faxdrop.journal.retention import Periods
from faxdrop.journal.upkeep import Upkeep, UpkeepPlan
from faxdrop.journal.verify import verify
from faxdrop.spool.disk import Disk
from tests.kit.archive import FAXES, Archive


def upkeep_of(archive: Archive, wishes: UpkeepPlan | None = None) -> Upkeep:
    """Return the upkeep of an archive."""
    return Upkeep(
        archive.root,
        Journal(archive.journal, lambda: archive.at),
        wishes or UpkeepPlan(),
        now=lambda: archive.at,
        disk=Disk(),
    )


def test_what_was_filed_before_the_journal_is_taken_in_once(archive: Archive) -> None:
    """A root of an older faxdrop: each receipt gets a line that says so, and only one."""
    for path in archive.journal.iterdir():
        path.unlink()
    stray = archive.documents[1].with_name("notes.json")
    stray.write_text("{}")
    for _ in range(2):
        upkeep_of(archive).daily()
    stray.unlink()
    found = [line.content or {} for line in lines(archive.journal)]
    assert len(found) == FAXES
    assert all(content["taken_in"] for content in found)
    assert archive.verify().is_well


def test_taking_in_goes_on_where_it_stopped(archive: Archive) -> None:
    """A crash in its middle: what has a line gets no second one."""
    path = archive.journal / "2026-11.jsonl"
    (archive.journal / "head.json").unlink()
    path.write_bytes(b"")
    upkeep_of(archive).daily()
    jobs = [json.loads(line.raw).get("job_id") for line in lines(archive.journal)]
    assert len(jobs) == len(set(jobs)) == FAXES
    assert archive.verify().is_well


def test_retention_follows_the_wishes(archive: Archive) -> None:
    """What the config wants is done, and nothing else."""
    upkeep = upkeep_of(archive)
    upkeep.daily()
    assert len(list((archive.root / "sent").rglob("*.pdf"))) > 0
    upkeep_of(archive, UpkeepPlan(periods=Periods(sent=0.001))).daily(clock_offset=-2.0)
    assert list((archive.root / "sent").rglob("*.pdf")) == []
    assert len(list((archive.root / "failed").rglob("*.pdf"))) > 0
    assert upkeep.problems == {}


@pytest.mark.parametrize("clock_offset", [None, -365 * 86400.0])
def test_a_clock_that_nobody_confirms_removes_nothing(
    archive: Archive, clock_offset: float | None
) -> None:
    """Retention removes nothing by a clock that sipgate's clock does not confirm."""
    upkeep = upkeep_of(archive, UpkeepPlan(periods=Periods(sent=0.001, failed=0.001)))
    upkeep.daily(clock_offset)
    assert archive.verify().documents == FAXES
    said = " ".join(upkeep.problems.values())
    assert ("clock is ahead of sipgate's" in said) is (clock_offset is not None)


def test_the_witness_is_asked_once_for_each_end(
    archive: Archive, authority: tuple[str, Path]
) -> None:
    """A journal that did not grow gets no second time stamp."""
    upkeep = upkeep_of(archive, UpkeepPlan(witness_url=authority[0]))
    for _ in range(2):
        upkeep.daily()
    [stamped] = witness.stamped(archive.journal)
    assert stamped.seq == FAXES
    assert witness.check(stamped.answer, archive.head.hash, witness.roots_in(authority[1]))


def test_trouble_is_said_and_stops_nothing(archive: Archive) -> None:
    """If the authority cannot be reached, status says so."""
    upkeep = upkeep_of(archive, UpkeepPlan(witness_url="http://127.0.0.1:9/"))
    upkeep.daily()
    assert list(upkeep.problems) == ["The journal's upkeep (witness)"]


def test_time_stamps_are_verified(archive: Archive, authority: tuple[str, Path]) -> None:
    """Valid time stamps are counted; one of another line, or a broken one, is named."""
    upkeep_of(archive, UpkeepPlan(witness_url=authority[0])).daily()
    trusted = witness.roots_in(authority[1])
    verified = verify(archive.root, archive.journal, authorities=trusted)
    assert verified.is_well
    assert verified.stamps == 1
    assert verified.stamped_at is not None
    folder = archive.journal / "witness"
    (folder / f"{FAXES:06}.tsr").rename(folder / "000002.tsr")
    (folder / "000003.tsr").write_bytes(b"nothing")
    found = verify(archive.root, archive.journal, authorities=trusted).findings
    assert [one.kind for one in found] == [Flaw.STAMP_WRONG, Flaw.STAMP_WRONG]
