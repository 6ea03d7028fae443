"""The same content for the same number, dropped twice, is faxed once."""

import errno
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from faxdrop.cli import orders
from faxdrop.config.settings import InboxSettings
from faxdrop.fax.job import Attempt, Facts, Job, Reason, State
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.recipient import AddressEntry
from faxdrop.fax.repeats import Repeats
from faxdrop.queue.delivery import Delivery
from faxdrop.spool.marks import Marks
from faxdrop.spool.root import Spool
from tests.kit import pdfs
from tests.kit.breaking import (
    Crash,
    CrashingDisk,
    Stage,
    Steps,
    assert_all_answered,
    ends,
    stage,
)
from tests.kit.world import Filed

PLAIN, OTHER, FAILS, STUCK = "+493023125130", "+493023125131", "+493023125003", "+493023125004"
SENT, DUPLICATE, UNKNOWN = ("sent", None), ("failed", "duplicate"), ("failed", "outcome_unknown")
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def _window(staged: Stage, seconds: float) -> None:
    world = staged.world
    inbox = InboxSettings(settle=2.0, patience=30.0, rescan=10.0, duplicate_window=seconds)
    world.config = world.config.model_copy(update={"inbox": inbox})


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Stage]:
    """Return a world with a daemon at work."""
    with stage(tmp_path, delays=(30.0,), reconcile_for=60.0) as staged:
        yield staged


def _restart(staged: Stage) -> None:
    staged.world.crash()
    staged.world.start()


def _message(staged: Stage) -> str:
    """Return the words of the one duplicate."""
    [one] = [each for each in staged.world.failed if each.receipt.reason]
    assert one.receipt.reason is not None
    assert one.receipt.reason.code == "duplicate"
    assert not one.receipt.attempts
    return f"{one.receipt.reason.message} {one.receipt.reason.advice}"


def _duplicate(staged: Stage) -> Filed:
    """Start, fax a document and have the same refused; return the latter."""
    staged.world.start()
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    staged.drop(PLAIN, "scan again.pdf", pdfs.good())
    staged.world.until_done(hours=1.0)
    [duplicate] = staged.world.failed
    return duplicate


# -- the whole daemon --------------------------------------------------------------------------


def test_two_at_once_are_one_fax(staged: Stage) -> None:
    """Of two that are claimed in one moment, one is faxed; the other's receipt names it."""
    world = staged.world
    world.start()
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    staged.drop(PLAIN, "scan again.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert sorted(ends(world), key=str) == [DUPLICATE, SENT]
    assert len(staged.simulator.taken) == 1
    [sent], words = world.sent, _message(staged)
    assert sent.path.name in words
    assert sent.receipt.job_id in words
    assert "faxdrop retry --even-if-sent" in words
    assert_all_answered(staged)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(("after", "end"), [(100.0, DUPLICATE), (130.0, SENT)])
def test_the_window_is_between_the_claims(
    after: float, end: tuple[str, str | None], *, restarts: bool, staged: Stage
) -> None:
    """Within the window of the first's claim it is the same again, also when that is filed."""
    world = staged.world
    world.start()
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert ends(world) == [SENT]
    [first] = world.sent
    if restarts:
        _restart(staged)
    world.live((first.receipt.claimed_at - world.time.wall).total_seconds() + after)
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, end]
    if end == DUPLICATE:
        assert f"(scan.pdf, job {first.receipt.job_id}: it was sent)" in _message(staged)
    assert_all_answered(staged)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("window", [0.0, 120.0])
def test_what_is_on_its_way_is_not_faxed_twice_however_long_it_takes(
    window: float, *, restarts: bool, staged: Stage
) -> None:
    """Hours after its claim a first that sipgate still has is the first, with any window."""
    world = staged.world
    _window(staged, window)
    world.start()
    staged.drop(STUCK, "scan.pdf", pdfs.good())
    world.until(lambda: bool(staged.simulator.taken), hours=1.0)
    world.live(7200.0)
    if restarts:
        _restart(staged)
    staged.drop(STUCK, "scan again.pdf", pdfs.good())
    world.until(lambda: bool(world.failed), hours=1.0)
    assert ends(world) == [DUPLICATE]
    assert "it is on its way" in _message(staged)


def test_what_is_held_is_not_taken_twice(staged: Stage) -> None:
    """A first that waits for the account is the first."""
    world = staged.world
    world.start()
    staged.simulator.trouble = 402
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.live(600.0)
    staged.drop(PLAIN, "scan again.pdf", pdfs.good())
    world.live(60.0)
    assert ends(world) == [DUPLICATE]
    assert "it waits for its turn" in _message(staged)
    staged.simulator.trouble = None
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, DUPLICATE]
    assert_all_answered(staged)


@pytest.mark.parametrize("restarts", [False, True])
def test_what_may_have_been_sent_counts_as_sent(*, restarts: bool, staged: Stage) -> None:
    """A document whose outcome is unknown blocks a repeat within the window."""
    world = staged.world
    _window(staged, 3600.0)
    world.start()
    staged.simulator.script(["lose-before"])
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until(lambda: ends(world) == [UNKNOWN], hours=1.0)
    world.until(lambda: not world.in_spool())
    if restarts:
        _restart(staged)
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert ends(world) == [UNKNOWN, DUPLICATE]
    assert not staged.simulator.taken
    assert_all_answered(staged)


def test_what_certainly_failed_blocks_nothing(staged: Stage) -> None:
    """People mend what was wrong and drop it again at once."""
    world = staged.world
    _window(staged, 86400.0)
    sending = world.config.sending.model_copy(update={"attempts": 1})
    world.config = world.config.model_copy(update={"sending": sending})
    world.start()
    for script in ([], ["400"], ["407"]):
        staged.simulator.script(script)
        staged.drop(FAILS, "scan.pdf", pdfs.good())
        world.until_done(hours=1.0)
    reasons = [reason for _, reason in ends(world)]
    assert reasons == ["transmission_failed", "rejected", "number_rejected"]
    assert_all_answered(staged)


def test_other_content_or_another_number_is_another_fax(staged: Stage) -> None:
    """One letter to two numbers and two letters to one number are three faxes."""
    world = staged.world
    world.start()
    staged.drop(PLAIN, "a.pdf", pdfs.good(text="a"))
    staged.drop(OTHER, "a.pdf", pdfs.good(text="a"))
    staged.drop(PLAIN, "b.pdf", pdfs.good(text="b"))
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, SENT, SENT]
    assert_all_answered(staged)


def test_two_folders_of_one_number_are_one_recipient(staged: Stage) -> None:
    """What counts is the number, not how its folder is called."""
    world = staged.world
    world.config = world.config.model_copy(
        update={"recipients": {"Amt": AddressEntry(number=PLAIN)}}
    )
    world.start()
    staged.drop(PLAIN, "a.pdf", pdfs.good())
    staged.drop("Amt", "b.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert sorted(ends(world), key=str) == [DUPLICATE, SENT]
    assert_all_answered(staged)


@pytest.mark.parametrize("running", [True, False])
def test_retry_even_if_sent_gets_through_once(*, running: bool, staged: Stage) -> None:
    """A person who wants it faxed once more gets that, also over restarts; and once only."""
    world = staged.world
    duplicate = _duplicate(staged)
    if not running:
        world.crash()
    spool = Spool(world.root)
    staged.forgotten.add(duplicate.receipt.job_id)
    orders.retry(spool, duplicate.path, even_if_sent=True)
    staged.simulator.trouble = 402
    if not running:
        world.start()
    world.until(lambda: any(one["even_if_sent"] for one in world.records()), hours=1.0)
    _restart(staged)
    staged.simulator.trouble = None
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, SENT]
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, SENT, DUPLICATE]
    assert_all_answered(staged)


def test_a_wish_that_was_not_needed_lets_no_other_through(staged: Stage) -> None:
    """A retry --even-if-sent long after the first needs no leave; the next same again gets none."""
    world = staged.world
    duplicate = _duplicate(staged)
    world.live(600.0)
    staged.forgotten.add(duplicate.receipt.job_id)
    orders.retry(Spool(world.root), duplicate.path, even_if_sent=True)
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, SENT]
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, SENT, DUPLICATE]


def test_a_wish_that_cannot_be_read_keeps_nobody_waiting(staged: Stage) -> None:
    """Where something strange is in the place of such a note, a document is faxed all the same."""
    world = staged.world
    wish = world.root / ".faxdrop" / "again" / hashlib.sha256(pdfs.good()).hexdigest()
    wish.mkdir(parents=True)
    world.start()
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert ends(world) == [SENT]


def test_plain_retry_of_a_duplicate_is_the_same_again(staged: Stage) -> None:
    """A duplicate put back without --even-if-sent is a duplicate again within the window."""
    world = staged.world
    _window(staged, 600.0)
    duplicate = _duplicate(staged)
    orders.retry(Spool(world.root), duplicate.path)
    world.until_done(hours=1.0)
    assert len(staged.simulator.taken) == 1
    [duplicate] = world.failed
    world.live(600.0)
    orders.retry(Spool(world.root), duplicate.path)
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, SENT]


@pytest.mark.parametrize("seconds", [-86400.0 * 400, -3600.0, 3600.0, 86400.0 * 400])
def test_a_clock_that_was_set_makes_no_second_fax(seconds: float, staged: Stage) -> None:
    """Between two claims of one daemon the time is measured: what the clock says is not."""
    world = staged.world
    world.start()
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    world.time.jump(seconds)
    staged.drift.seconds = -seconds
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert sorted(ends(world), key=str) == [DUPLICATE, SENT]
    world.live(130.0)
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert sorted(ends(world), key=str) == [DUPLICATE, SENT, SENT]
    assert_all_answered(staged)


@pytest.mark.parametrize("at", range(1, 46, 3))
def test_a_crash_anywhere_makes_no_second_fax(at: int, staged: Stage) -> None:
    """Two that are the same, and a crash at one of the steps: one fax at most, two answers."""
    world, steps = staged.world, Steps()
    world.start(CrashingDisk(steps))
    steps.crash_at = steps.count + at
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    staged.drop(PLAIN, "scan again.pdf", pdfs.good())
    with pytest.raises(Crash):
        world.until_done(hours=1.0)
    _restart(staged)
    world.until_done(hours=1.0)
    first, second = sorted(ends(world), key=lambda end: end == DUPLICATE)
    assert first in {SENT, UNKNOWN}
    assert second == DUPLICATE
    assert len(staged.simulator.taken) <= 1
    assert_all_answered(staged)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("no thread")])
def test_a_refusal_that_is_not_written_down_sends_nothing(
    error: Exception, staged: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is on disk that a document is a duplicate, nothing else happens to it."""
    world, record = staged.world, Delivery.record
    refused = iter([error] * 3)

    def fail(delivery: Delivery, job: Job, **more: bool) -> Job:
        if job.reason and job.reason.code == "duplicate" and (one := next(refused, None)):
            raise one
        return record(delivery, job, **more)

    monkeypatch.setattr(Delivery, "record", fail)
    world.start()
    staged.drop(PLAIN, "scan.pdf", pdfs.good())
    staged.drop(PLAIN, "scan again.pdf", pdfs.good())
    world.until_done(hours=1.0)
    assert next(refused, None) is None
    assert sorted(ends(world), key=str) == [DUPLICATE, SENT]
    assert_all_answered(staged)


# -- what is remembered ------------------------------------------------------------------------


def _job(number: int = 1, state: State = State.QUEUED, **more: Any) -> Job:
    return Job(
        job_id=f"20260302-080000-{number:08x}",
        state=state,
        name=f"{number}.pdf",
        folder=PLAIN,
        claimed_at=NOW + timedelta(seconds=number),
        number=PLAIN,
        faxline="f0",
        document=Facts(sha256="ab" * 32, bytes=1, pages=1),
        finished_at=NOW if state in {State.SENT, State.FAILED} else None,
        **more,
    )


def _attempt(outcome: str | None, number: str = PLAIN) -> Attempt:
    return Attempt(number=1, number_dialled=number, submitted_at=NOW, outcome=outcome)


def _reason(code: ReasonCode) -> Reason:
    return Reason(code=code, message="No.", advice="Do not.")


@pytest.mark.parametrize(
    ("outcomes", "blocks"),
    [
        ([], False),
        (["FAILED"], False),
        (["rejected"], False),
        (["unknown"], True),
        (["unknown", "FAILED"], True),
        (["FAILED", "no_final_status"], True),
    ],
    ids=str,
)
def test_what_a_failed_first_leaves(outcomes: list[str], *, blocks: bool, tmp_path: Path) -> None:
    """Only an attempt that may have arrived counts, in this daemon and in the next."""
    attempts = tuple(_attempt(outcome) for outcome in outcomes)
    code = ReasonCode.TRANSMISSION_FAILED
    first = _job(1, State.FAILED, attempts=attempts, reason=_reason(code))
    marks = Marks(tmp_path)
    for folder in marks.folders:
        folder.mkdir()
    marks.remember(first)
    here, restarted = Repeats(), Repeats()
    here.know(first, 0.0)
    for one in marks.recent():
        restarted.remember(*one)
    for repeats in (here, restarted):
        found = repeats.repeated(_job(2), 120.0)
        assert (found is not None) == blocks
        if found is not None:
            assert (found.job_id, found.name, found.standing) == (first.job_id, "1.pdf", code)


def test_a_number_that_was_dialled_counts() -> None:
    """Where the number was corrected between two attempts, each that may have arrived blocks."""
    repeats = Repeats()
    attempts = (_attempt("unknown", OTHER), _attempt("FAILED", PLAIN))
    repeats.know(_job(1, State.FAILED, attempts=attempts, reason=_reason(ReasonCode.CANCELLED)), 0)
    assert repeats.repeated(_job(2), 120.0) is None
    assert repeats.repeated(_job(2).model_copy(update={"number": OTHER}), 120.0) is not None


def test_what_a_person_wanted_beside_it_does_not_block_the_first() -> None:
    """A first that is checked anew is not the repetition of its own repetition."""
    repeats = Repeats()
    repeats.know(_job(2, even_if_sent=True), 0.0)
    assert repeats.repeated(_job(1), 120.0) is None
    assert repeats.repeated(_job(3), 120.0) is not None


def test_what_is_checked_anew_still_counts() -> None:
    """While a job waits for its second check it is what it was."""
    repeats = Repeats()
    repeats.know(_job(1), 0.0)
    repeats.know(_job(1).model_copy(update={"document": None}), 0.0)
    assert repeats.repeated(_job(2), 120.0) is not None


def test_nothing_is_remembered_for_ever(tmp_path: Path) -> None:
    """A repeat is forgotten after the window; one that is on its way never is."""
    repeats, marks = Repeats(), Marks(tmp_path)
    for folder in marks.folders:
        folder.mkdir()
    sent = _job(1, State.SENT, attempts=(_attempt("SENT"),))
    repeats.know(sent, 0.0)
    repeats.know(_job(2), 0.0)
    marks.remember(sent)
    marks.want_again("ab" * 32)
    repeats.tidy(NOW + timedelta(seconds=100), 100.0, 120.0)
    marks.forget(NOW + timedelta(seconds=100), 120.0)
    assert len(list(marks.recent())) == 1
    repeats.tidy(NOW + timedelta(seconds=200), 200.0, 120.0)
    marks.forget(NOW + timedelta(seconds=200), 120.0)
    assert not list(marks.recent())
    assert not marks.take_again("ab" * 32), "its document never came"
    assert repeats.repeated(_job(3), 1e9) is not None
    repeats.forget(_job(2).job_id)
    assert repeats.repeated(_job(3), 1e9) is None


@pytest.mark.parametrize("name", ["x" * 250, "ü" * 120, "~a~b~.pdf", os.fsdecode(b"\xff\n.pdf")])
def test_any_name_can_be_remembered(name: str, tmp_path: Path) -> None:
    """However a file is called, its mark fits, and says at least how its name begins."""
    marks = Marks(tmp_path)
    for folder in marks.folders:
        folder.mkdir()
    sent = _job(1, State.SENT, attempts=(_attempt("SENT"),)).model_copy(update={"name": name})
    marks.remember(sent)
    (tmp_path / "recent" / "what is this").touch()
    [(first, sha256, number)] = marks.recent()
    assert (first.job_id, first.claimed_at) == (sent.job_id, sent.claimed_at)
    assert (sha256, number) == ("ab" * 32, PLAIN)
    assert first.name[:1] in {name[:1], "\\"}
