"""Which job may take its next step: one on its way per number, in order, many numbers at once."""

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from faxdrop.fax.job import ON_ITS_WAY, Attempt, Job, State
from faxdrop.fax.lifecycle import Action, action
from faxdrop.queue.schedule import SLOW, Schedule
from tests.kit.jobs import REASON, job_in

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def job(at: int, number: str = "+491", state: State = State.QUEUED, waited: float = 0.0) -> Job:
    """Return a job that was claimed as the ``at``-th."""
    attempt = Attempt(number=1, submitted_at=NOW, session_id="s", waited=waited)
    return job_in(
        state,
        job_id=f"{at:03d}",
        folder=number,
        claimed_at=NOW + timedelta(milliseconds=at),
        number=number,
        attempts=(attempt,) if state in ON_ITS_WAY else (),
        reason=REASON if state is State.FAILED else None,
    )


def accepted(one: Job, waited: float = 0.0) -> Job:
    """Return what a submission makes of a job."""
    return job(int(one.job_id), one.number or "", State.ACCEPTED, waited)


def submissions(schedule: Schedule) -> list[str]:
    """Start all submissions that may start now."""
    started = []
    while (one := schedule.next_submission()) is not None:
        started.append(one.job_id)
    return started


def test_one_is_on_its_way_per_number_and_many_numbers_at_once() -> None:
    """The oldest of each number goes; those behind it wait until it has its end."""
    schedule = Schedule()
    for at, number in [(2, "+491"), (1, "+491"), (3, "+492"), (4, "+492"), (5, "+493")]:
        schedule.put(job(at, number), now=0.0)
    assert submissions(schedule) == ["001", "003", "005"]
    schedule.put(accepted(schedule.jobs["001"]), now=0.0)
    assert submissions(schedule) == [], "on its way: the others wait"
    schedule.put(job(1, "+491", State.SENT), now=0.0)
    assert submissions(schedule) == ["002"]


def test_a_fax_that_waits_for_its_next_attempt_blocks_nobody() -> None:
    """While one waits for its delay, the next letter to the number goes."""
    schedule = Schedule()
    schedule.put(job(1), now=0.0)
    schedule.put(job(2), now=0.0)
    assert submissions(schedule) == ["001"]
    schedule.put(job(1), now=0.0, not_before=300.0)
    assert schedule.next_due() == 300.0
    assert submissions(schedule) == ["002"]
    schedule.drop("002")
    schedule.advance(299.0)
    assert submissions(schedule) == []
    schedule.advance(300.0)
    assert submissions(schedule) == ["001"]


def test_a_fax_without_a_final_status_for_long_blocks_nobody() -> None:
    """After half an hour without a final status the next letter to the number goes."""
    schedule = Schedule()
    schedule.put(job(1, state=State.ACCEPTED), now=0.0)
    schedule.put(job(2), now=0.0)
    assert submissions(schedule) == []
    schedule.update(job(1, state=State.ACCEPTED, waited=SLOW - 1))
    assert submissions(schedule) == []
    schedule.update(job(1, state=State.ACCEPTED, waited=SLOW))
    assert submissions(schedule) == ["002"]
    schedule.put(accepted(schedule.jobs["002"]), now=0.0)
    schedule.put(job(3), now=0.0)
    assert submissions(schedule) == [], "the second one blocks in its turn"


def test_a_fax_whose_answer_was_lost_blocks_until_it_is_found() -> None:
    """A lost fax blocks its number while it is looked for: the next could be taken for it."""
    schedule = Schedule()
    schedule.put(job(1, state=State.UNKNOWN), now=0.0)
    schedule.put(job(2), now=0.0)
    schedule.update(job(1, state=State.UNKNOWN, waited=2 * SLOW))
    assert submissions(schedule) == []
    schedule.put(job(1, state=State.FAILED), now=0.0)
    assert submissions(schedule) == ["002"]


def test_what_was_put_anew_is_due_only_once() -> None:
    """A timer of a job that was put again since does not go off."""
    schedule = Schedule()
    schedule.put(job(1), now=0.0, not_before=10.0)
    schedule.put(job(1), now=0.0, not_before=50.0)
    schedule.advance(20.0)
    assert not schedule.has_submissions
    schedule.advance(50.0)
    assert submissions(schedule) == ["001"]
    schedule.drop("001")
    schedule.advance(100.0)
    assert len(schedule) == 0


def test_what_is_to_be_checked_or_filed_comes_in_order() -> None:
    """Jobs to be checked or filed are started in the order in which they came."""
    schedule = Schedule()
    schedule.put(job(2).model_copy(update={"document": None}), now=0.0)
    schedule.put(job(1, state=State.FAILED), now=0.0)
    assert [one.job_id for one in iter(schedule.next_ready, None)] == ["002", "001"]
    assert schedule.busy == 2
    assert schedule.is_busy("001")


def test_a_busy_job_is_left_alone() -> None:
    """A job whose step is under way is neither started again nor watched."""
    schedule = Schedule()
    schedule.put(job(1, state=State.ACCEPTED), now=0.0)
    assert [one.job_id for one in schedule.on_their_way()] == ["001"]
    schedule.start("001")
    assert schedule.on_their_way() == []
    schedule.put(job(2), now=0.0)
    assert submissions(schedule) == [], "and still blocks its number"


NUMBERS = st.sampled_from(["+491", "+492"])
PLACES = st.integers(0, 9)


class Lines(RuleBasedStateMachine):
    """Two numbers and ten letters, with all that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule()
        self.now = 0.0
        self.waiting: set[str] = set()  # for their next attempts

    def _on_its_way(self, at: int) -> Job | None:
        one = self.schedule.jobs.get(f"{at:03d}")
        return one if one is not None and one.state is State.ACCEPTED else None

    @rule(at=PLACES, number=NUMBERS)
    def put(self, at: int, number: str) -> None:
        """Claim a letter."""
        if f"{at:03d}" not in self.schedule.jobs:
            self.schedule.put(job(at, number), now=self.now)

    @rule()
    def submit(self) -> None:
        """Submit what may be submitted: the oldest that waits for a line that is free."""
        one = self.schedule.next_submission()
        if one is None:
            return
        same = [each for each in self.schedule.jobs.values() if each.number == one.number]
        queued = {each.job_id for each in same if each.state is State.QUEUED}
        assert one.job_id == min(queued - self.waiting)
        assert not [
            each for each in same if each.state in ON_ITS_WAY and each.attempts[-1].waited < SLOW
        ], "the line is not free"
        self.schedule.put(accepted(one), now=self.now)

    @rule(at=PLACES)
    def end(self, at: int) -> None:
        """Let a fax come to its end."""
        if (one := self._on_its_way(at)) is not None:
            self.schedule.put(job(at, one.number or "", State.SENT), now=self.now)

    @rule(at=PLACES)
    def fail(self, at: int) -> None:
        """Let an attempt fail: the next one has its delay."""
        if (one := self._on_its_way(at)) is not None:
            self.waiting.add(one.job_id)
            again = job(at, one.number or "")
            self.schedule.put(again, now=self.now, not_before=self.now + 10.0)

    @rule(at=PLACES)
    def linger(self, at: int) -> None:
        """Let a fax have no final status for long."""
        if (one := self._on_its_way(at)) is not None:
            self.schedule.update(accepted(one, SLOW))

    @rule(at=PLACES)
    def drop(self, at: int) -> None:
        """Let a letter leave the spool."""
        self.schedule.drop(f"{at:03d}")
        self.waiting.discard(f"{at:03d}")

    @rule()
    def pass_time(self) -> None:
        """Let all delays pass."""
        self.now += 20.0
        self.schedule.advance(self.now)
        self.waiting.clear()

    def teardown(self) -> None:
        """Bring everything to its end: nobody may be forgotten."""
        self.pass_time()
        for _ in range(30):
            for at in range(10):
                self.end(at)
            while (ready := self.schedule.next_ready()) is not None:
                assert action(ready) is Action.FILE
                self.schedule.drop(ready.job_id)
            self.submit()
        assert not self.schedule.jobs, "somebody was forgotten"
        assert not self.schedule.has_submissions
        assert self.schedule.busy == 0


def test_whatever_the_order_of_events() -> None:
    """Never are two on their way to one number; the oldest goes first, and none is forgotten."""
    run_state_machine_as_test(
        Lines, settings=settings(max_examples=150, derandomize=True, deadline=None, database=None)
    )
