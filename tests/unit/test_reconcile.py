"""Which entries of the history could be a fax whose answer was lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from faxdrop.fax.job import Attempt, Facts, Job, State
from faxdrop.fax.recipient import normalise
from faxdrop.queue.reconcile import LONGEST_POST, SLACK, Candidates, candidates, window
from faxdrop.sipgate import Entry
from tests.kit.jobs import job_in

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OURS = Entry("s1", "+493023125100", "PENDING", NOW, 2, ("f0",), archived=False)


def _job(**latest: object) -> Job:
    attempt = Attempt(number=1, submitted_at=NOW, answered_at=NOW + 10 * SECOND, clock_offset=0.0)
    return job_in(
        State.UNKNOWN,
        folder="+493023125100",
        claimed_at=NOW,
        number="+493023125100",
        document=Facts(sha256="0" * 64, bytes=1000, pages=2),
        attempts=(attempt.model_copy(update=latest),),
    )


def _candidates(*entries: Entry, owned: frozenset[str] = frozenset()) -> Candidates:
    german = partial(normalise, region="DE")
    return candidates(_job(), entries, owned=owned, clock_offset=0.0, normalise=german)


def _found(*entries: Entry, owned: frozenset[str] = frozenset()) -> list[str]:
    return [entry.session_id for entry in _candidates(*entries, owned=owned).alike]


@pytest.mark.parametrize(
    "entry",
    [
        OURS,
        replace(OURS, target="030 23125-100"),
        replace(OURS, target="+49 30 23125100"),
        replace(OURS, target="493023125100"),
        replace(OURS, pages=None),
        replace(OURS, faxlines=()),
        replace(OURS, faxlines=("f1", "f0")),
        replace(OURS, archived=True),
        replace(OURS, status="SENT"),
        replace(OURS, created=NOW - SLACK),
        replace(OURS, created=NOW + 10 * SECOND + SLACK),
    ],
    ids=str,
)
def test_what_could_be_ours(entry: Entry) -> None:
    """The same line, number and length, at that time: however sipgate writes them."""
    assert _found(entry) == ["s1"]


@pytest.mark.parametrize(
    "entry",
    [
        replace(OURS, target="+493023125101"),
        replace(OURS, target="030 23125-101"),
        replace(OURS, faxlines=("f1",)),
        replace(OURS, created=NOW - SLACK - SECOND),
        replace(OURS, created=NOW + 11 * SECOND + SLACK),
    ],
    ids=str,
)
def test_what_cannot_be_ours(entry: Entry) -> None:
    """Another number, line or time is another fax."""
    assert _candidates(entry) == Candidates((), ())


@pytest.mark.parametrize(
    "entry",
    [
        replace(OURS, pages=3),
        replace(OURS, created=None),
        *(
            replace(OURS, target=target)
            for target in (
                "",
                "anonymous",
                "+4930231***",
                "+4930231xxxxx",
                "***25100",
                "+4930231",
                "030231",
                "25100",
                "(masked)",
            )
        ),
    ],
    ids=str,
)
def test_what_may_be_ours_all_the_same(entry: Entry) -> None:
    """An entry that is masked, unreadable or has other pages is perhaps ours."""
    assert _candidates(entry) == Candidates((), (entry,))


def test_what_belongs_to_another_job_is_not_ours() -> None:
    """An entry with an owner is never taken for somebody else's."""
    assert _found(OURS, owned=frozenset({"s1"})) == []


def test_all_that_could_be_ours_is_told_once_and_in_order() -> None:
    """Several entries are told the oldest first; one that a shuffled list shows twice, once."""
    later = replace(OURS, session_id="s2", created=NOW + SECOND)
    assert _found(later, OURS, later) == ["s1", "s2"]


def test_the_window_is_on_sipgates_clock() -> None:
    """What sipgate's clock was ahead by at the submission counts, and else what it is now."""
    known = window(_job(clock_offset=-30.0), 500.0)
    assert known == (NOW - 30 * SECOND - SLACK, NOW - 20 * SECOND + SLACK)
    unknown = window(_job(clock_offset=None), 500.0)
    assert unknown == (NOW + 500 * SECOND - SLACK, NOW + 510 * SECOND + SLACK)


@pytest.mark.parametrize("offset", [1e300, -1e12, 2.5e11])
def test_a_clock_that_is_none_does_not_end_the_looking(offset: float) -> None:
    """Every record leads to a window of time."""
    begin, end = window(_job(clock_offset=offset), 0.0)
    assert end - begin == 10 * SECOND + 2 * SLACK


@pytest.mark.parametrize("answered", [None, NOW - timedelta(days=400), NOW + timedelta(days=3)])
def test_a_post_whose_end_nobody_saw_may_have_been_taken_for_long(
    answered: datetime | None,
) -> None:
    """After a crash, or with the clock set back meanwhile, the longest POST bounds the window."""
    begin, end = window(_job(answered_at=answered), 0.0)
    assert begin == NOW - SLACK
    assert end == NOW + LONGEST_POST + SLACK
