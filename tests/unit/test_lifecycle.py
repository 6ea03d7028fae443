"""The state machine: its table walked over the full product of states and events."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest

from faxdrop.fax import sentences
from faxdrop.fax.events import (
    AnswerLost,
    Cancelled,
    Changed,
    Checked,
    Event,
    Looked,
    NotTaken,
    Refused,
    Restarted,
    Submitting,
    Taken,
)
from faxdrop.fax.job import FINAL, Attempt, Facts, Faxed, Job, Reason, State, StatusSeen
from faxdrop.fax.lifecycle import TRANSITIONS, Action, NoTransitionError, action, advance
from faxdrop.fax.reasons import ReasonCode

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FACTS = Facts(sha256="0" * 64, bytes=1000, pages=1)
FAXED = Faxed(sha256="1" * 64, bytes=1001, changes=("flattened",))
REASON = Reason(code=ReasonCode.REJECTED, message="No.", advice="Do not.")
QUEUED, SUBMITTING, ACCEPTED = State.QUEUED, State.SUBMITTING, State.ACCEPTED
UNKNOWN, SENT, FAILED = State.UNKNOWN, State.SENT, State.FAILED

# The whole machine: where each event can lead from each state. What is not here cannot happen.
# fmt: off
MACHINE: dict[tuple[State, type], set[State]] = {
    (QUEUED,     Checked):    {QUEUED, FAILED},  # failed where the config wants no more attempts
    (QUEUED,     Refused):    {FAILED},
    (QUEUED,     NotTaken):   {QUEUED, FAILED},  # failed where it was cancelled meanwhile
    (QUEUED,     Changed):    {QUEUED},
    (QUEUED,     Submitting): {SUBMITTING},
    (QUEUED,     Restarted):  {QUEUED},
    (QUEUED,     Cancelled):  {FAILED},
    (SUBMITTING, Taken):      {ACCEPTED},
    (SUBMITTING, Refused):    {FAILED},
    (SUBMITTING, NotTaken):   {QUEUED, FAILED},
    (SUBMITTING, AnswerLost): {UNKNOWN},
    (SUBMITTING, Restarted):  {UNKNOWN},
    (SUBMITTING, Cancelled):  {SUBMITTING},
    (UNKNOWN,    Looked):     {UNKNOWN, ACCEPTED, QUEUED, FAILED},
    (UNKNOWN,    Restarted):  {UNKNOWN},
    (UNKNOWN,    Cancelled):  {UNKNOWN},
    (ACCEPTED,   Looked):     {ACCEPTED, SENT, QUEUED, FAILED},
    (ACCEPTED,   Restarted):  {ACCEPTED},
    (ACCEPTED,   Cancelled):  {ACCEPTED},
    (SENT,       Restarted):  {SENT},
    (SENT,       Cancelled):  {SENT},
    (FAILED,     Restarted):  {FAILED},
    (FAILED,     Cancelled):  {FAILED},
}
# fmt: on


@dataclass(frozen=True)
class Rules:
    """A policy."""

    attempts: int = 3
    give_up_after: float = 7200.0
    reconcile_for: float = 600.0
    resend_if_absent: bool = False

    def delay(self, attempt: int) -> float:
        """Return what tells the attempts apart."""
        return 100.0 * attempt


RULES = Rules()


def job(state: State, *, attempts: int = 1, **latest: object) -> Job:
    """Return a job in a state, as one that got there has it."""
    tried = 0 if state is QUEUED and attempts == 1 else attempts
    done = tuple(
        Attempt(number=number, submitted_at=NOW, session_id=f"s{number}", outcome="FAILED")
        for number in range(1, tried + 1)
    )
    if done and state in {SUBMITTING, UNKNOWN, ACCEPTED, SENT}:
        session_id = f"s{tried}" if state in {ACCEPTED, SENT} else None
        fresh = Attempt(number=tried, submitted_at=NOW, session_id=session_id)
        done = (*done[:-1], fresh.model_copy(update=latest))
    return Job(
        job_id="20260302-080000-00000000",
        state=state,
        name="letter.pdf",
        folder="+493023125100",
        claimed_at=NOW,
        number="+493023125100",
        faxline="f0",
        document=FACTS,
        attempts=done,
        reason=REASON if state is FAILED else None,
        finished_at=NOW if state in FINAL else None,
    )


DOUBTS: tuple[dict[str, Any], ...] = (
    {},
    {"is_complete": False},
    {"is_certain": False},
    {"is_shared": True},
    {"doubtful": ("s9",)},
    {"is_complete": False, "is_certain": False, "is_shared": True, "doubtful": ("s9",)},
)

EVENTS: tuple[Event, ...] = (
    Checked(FACTS, "+493023125100", "f0"),
    Refused(REASON),
    Refused(REASON, FACTS, "+493023125100", "f0"),
    Submitting(FAXED),
    Taken("s9"),
    NotTaken(0.0),
    NotTaken(60.0),
    Changed(),
    AnswerLost(),
    Restarted(),
    Cancelled(),
    *(
        Looked(waited, status, matches, **doubt)
        for waited in (0.0, 700.0, 8000.0)
        for status in (None, "PENDING", "NOBODY_KNOWS_THIS", "SENT", "FAILED")
        for matches in ((), ("s1",), ("s7",), ("s7", "s8"))
        for doubt in DOUBTS
    ),
)


def jobs(state: State) -> Iterator[Job]:
    """Yield jobs in a state, of every kind that matters."""
    for attempts, found, cancelled in product((1, 2, 3), (False, True), (False, True)):
        one = job(state, attempts=attempts, found=found)
        yield one.model_copy(update={"cancelled": cancelled})


def test_the_table_is_the_machine() -> None:
    """Each state and event leads exactly where the table says, and all others are impossible."""
    assert {type(event) for event in EVENTS} == set(get_args(Event)), "every event is tried"
    walked: dict[tuple[State, type], set[State]] = {}
    policies = [RULES, replace(RULES, resend_if_absent=True), replace(RULES, attempts=1)]
    for state, event, policy in product(State, EVENTS, policies):
        for one in jobs(state):
            try:
                after = advance(one, event, NOW, policy)
            except NoTransitionError:
                continue
            walked.setdefault((state, type(event)), set()).add(after.state)
    assert walked == MACHINE
    assert walked.keys() == TRANSITIONS.keys()


@pytest.mark.parametrize("state", State)
def test_whatever_happens_a_job_stays_sound(state: State) -> None:
    """After every event the attempts are counted, and a final state has its reason and its end."""
    for event, one in product(EVENTS, jobs(state)):
        if (state, type(event)) not in TRANSITIONS:
            continue
        for policy in (RULES, replace(RULES, resend_if_absent=True)):
            after = advance(one, event, NOW, policy)
            assert [each.number for each in after.attempts] == [*range(1, len(after.attempts) + 1)]
            assert (after.finished_at is not None) == (after.state in FINAL)
            assert (after.reason is not None) == (after.state is FAILED)
            assert len(after.attempts) <= max(policy.attempts, len(one.attempts) + 1)
            assert after.job_id == one.job_id
            assert after.claimed_at == one.claimed_at
            if len(after.attempts) > len(one.attempts):
                assert isinstance(event, Submitting), "only a submission makes an attempt"
            if after.state is QUEUED and state is not QUEUED and after.attempts:
                latest = after.attempts[-1]
                assert latest.outcome in {"FAILED", "unknown"}
                by_inference = state is ACCEPTED and latest.found
                assert not by_inference, "what may be another's is no reason to submit again"


def test_a_final_job_is_final() -> None:
    """No event changes a job that has ended."""
    for state, event in product(FINAL, EVENTS):
        if (state, type(event)) in TRANSITIONS:
            assert advance(job(state), event, NOW, RULES) == job(state)


def test_what_is_to_be_done_next() -> None:
    """Each state has exactly one next step."""
    unchecked = job(QUEUED).model_copy(update={"document": None})
    assert action(unchecked) is Action.CHECK
    assert [action(job(state)) for state in State] == [
        Action.SUBMIT,
        Action.WATCH,
        Action.WATCH,
        Action.WATCH,
        Action.FILE,
        Action.FILE,
    ]


def test_an_attempt_that_was_none_leaves_no_trace() -> None:
    """A submission that sipgate surely did not take is no attempt, and waits as long as told."""
    before = job(QUEUED)
    submitting = advance(before, Submitting(FAXED), NOW, RULES)
    due = before.model_copy(update={"due_at": NOW + timedelta(seconds=60), "is_put_off": True})
    assert advance(submitting, NotTaken(60.0), NOW, RULES) == due
    assert advance(before, NotTaken(60.0), NOW, RULES) == due


@pytest.mark.parametrize(
    ("outcome", "put_off", "policy", "end"),
    [
        ("FAILED", False, RULES, timedelta(seconds=100)),
        ("FAILED", True, RULES, timedelta(hours=2)),
        ("FAILED", False, replace(RULES, attempts=1), "transmission_failed"),
        ("unknown", False, replace(RULES, resend_if_absent=True), timedelta(hours=2)),
        ("unknown", False, RULES, "outcome_unknown"),
    ],
)
def test_a_fax_that_waits_for_its_next_attempt_goes_by_todays_policy(
    outcome: str,
    put_off: bool,  # noqa: FBT001 - a parameter
    policy: Rules,
    end: timedelta | str,
) -> None:
    """Whether and when it is made, no older policy decides; what sipgate put off stays so."""
    seen = (StatusSeen(status="FAILED", at=NOW),) if outcome == "FAILED" else ()
    attempt = Attempt(number=1, submitted_at=NOW, outcome=outcome, statuses=seen)
    update = {"attempts": (attempt,), "due_at": NOW + timedelta(hours=2), "is_put_off": put_off}
    waiting = job(QUEUED).model_copy(update=update)
    after = advance(waiting, EVENTS[0], NOW, policy)
    if isinstance(end, timedelta):
        assert (after.state, after.due_at) == (QUEUED, NOW + end)
    else:
        assert after.state is FAILED
        assert after.reason is not None
        assert after.reason.code == end


def test_an_attempt_says_what_was_faxed_and_where() -> None:
    """Number, line and copy are the attempt's own, whatever the next one's are."""
    before = job(QUEUED)
    [attempt] = advance(before, Submitting(FAXED), NOW, RULES).attempts
    assert (attempt.number_dialled, attempt.faxline) == (before.number, before.faxline)
    assert attempt.faxed == FAXED


def test_the_pages_that_sipgate_counts_are_written_down() -> None:
    """What was faxed gets its page count when the history tells it."""
    one = job(ACCEPTED, faxed=FAXED)
    one = advance(one, Looked(1.0, "SENDING", pages=3), NOW, RULES)
    one = advance(one, Looked(1.0, "SENT"), NOW, RULES)
    assert one.attempts[-1].faxed == FAXED.model_copy(update={"pages": 3})


@pytest.mark.parametrize(("tried", "state", "due"), [(1, QUEUED, 100), (2, QUEUED, 200)])
def test_a_failed_attempt_is_repeated_after_its_delay(tried: int, state: State, due: float) -> None:
    """A FAILED fax with attempts left is queued again, and due after that attempt's delay."""
    after = advance(job(ACCEPTED, attempts=tried), Looked(0.0, "FAILED"), NOW, RULES)
    assert after.state is state
    assert after.due_at == NOW + timedelta(seconds=due)


def test_the_last_failed_attempt_is_the_end() -> None:
    """A FAILED fax without attempts left has failed; the receipt says how often it was tried."""
    after = advance(job(ACCEPTED, attempts=3), Looked(0.0, "FAILED"), NOW, RULES)
    assert after.reason is not None
    assert after.reason.code is ReasonCode.TRANSMISSION_FAILED
    assert "3" in after.reason.message


def test_a_status_is_written_down_when_it_is_new() -> None:
    """Every status is kept with the instant at which it was first seen."""
    one = job(ACCEPTED)
    for seconds, status in enumerate(["PENDING", "PENDING", "SENDING", None, "SENDING", "SENT"]):
        one = advance(one, Looked(1.0, status), NOW + timedelta(seconds=seconds), RULES)
    assert one.attempts[-1].statuses == tuple(
        StatusSeen(status=status, at=NOW + timedelta(seconds=seconds))
        for seconds, status in [(0, "PENDING"), (2, "SENDING"), (5, "SENT")]
    )
    assert one.state is SENT


@pytest.mark.parametrize("status", [None, "SENDING", "A_NEW_STATUS"])
def test_without_a_final_status_it_ends_when_sipgate_answered_long_enough(
    status: str | None,
) -> None:
    """give_up_after counts the time in which sipgate answered, and nothing else."""
    one = job(ACCEPTED, waited=7199.0)
    assert advance(one, Looked(0.5, status), NOW + timedelta(days=9), RULES).state is ACCEPTED
    after = advance(one, Looked(1.0, status), NOW, RULES)
    assert after.reason is not None
    assert after.reason.code is ReasonCode.NO_FINAL_STATUS
    assert after.attempts[-1].outcome == "no_final_status"


def test_a_cancelled_fax_whose_answer_was_lost_is_not_called_cancelled() -> None:
    """A fax that is cancelled while its outcome is unknown ends as outcome_unknown."""
    policy = replace(RULES, resend_if_absent=True)
    one = advance(job(UNKNOWN), Cancelled(), NOW, policy)
    after = advance(one, Looked(600.0), NOW, policy)
    assert after.reason is not None
    assert after.reason.code is ReasonCode.OUTCOME_UNKNOWN


@pytest.mark.parametrize(
    ("state", "event"), [(QUEUED, Cancelled()), (SUBMITTING, Refused(REASON))], ids=str
)
def test_an_earlier_attempt_that_may_have_been_sent_is_told(state: State, event: Event) -> None:
    """Where one was repeated though its answer was lost, no later end denies that it was sent."""
    lost = Attempt(number=1, submitted_at=NOW, outcome="unknown")
    one = job(state)
    one = one.model_copy(update={"attempts": (lost, *one.attempts)})
    after = advance(one, event, NOW, RULES)
    assert after.reason is not None
    assert "An earlier attempt, whose answer was lost, may have been sent" in after.reason.message
    assert after.reason.advice.startswith("Ask the recipient whether the fax has arrived. If not: ")


def test_a_cancelled_fax_that_failed_is_not_repeated() -> None:
    """A fax that is cancelled on its way may still be sent; if it FAILED, that is its end."""
    one = advance(job(ACCEPTED), Cancelled(), NOW, RULES)
    assert advance(one, Looked(0.0, "SENT"), NOW, RULES).state is SENT
    after = advance(one, Looked(0.0, "FAILED"), NOW, RULES)
    assert after.reason is not None
    assert after.reason.code is ReasonCode.CANCELLED


@pytest.mark.parametrize(
    ("looked", "state"),
    [
        (Looked(0.0, matches=("s7",)), ACCEPTED),
        (Looked(0.0, matches=("s7",), is_certain=False), UNKNOWN),
        (Looked(600.0, matches=("s7",), is_certain=False), ACCEPTED),
        (Looked(0.0, matches=("s7", "s8")), UNKNOWN),
        (Looked(600.0, matches=("s7", "s8")), FAILED),
        (Looked(599.0), UNKNOWN),
        (Looked(600.0), QUEUED),
        (Looked(600.0, is_complete=False), UNKNOWN),
        (Looked(1200.0, is_complete=False), FAILED),
        (Looked(0.0, doubtful=("s9",)), UNKNOWN),
        (Looked(600.0, doubtful=("s9",)), FAILED),
        (Looked(0.0, matches=("s7",), doubtful=("s9",)), UNKNOWN),
        (Looked(600.0, matches=("s7",), doubtful=("s9",)), FAILED),
        (Looked(0.0, matches=("s7",), is_shared=True), UNKNOWN),
        (Looked(600.0, matches=("s7",), is_shared=True), FAILED),
        (Looked(600.0, is_shared=True), QUEUED),
    ],
    ids=str,
)
def test_a_lost_answer_is_looked_for(looked: Looked, state: State) -> None:
    """Found, ambiguous, not there, or not to be told: only what is surely not there is repeated."""
    after = advance(job(UNKNOWN), looked, NOW, replace(RULES, resend_if_absent=True))
    assert after.state is state
    if state is ACCEPTED:
        assert after.attempts[-1].session_id == "s7"
        assert after.attempts[-1].found


@pytest.mark.parametrize(
    ("looked", "state"),
    [
        (Looked(0.0, "FAILED", ("s1",)), ACCEPTED),
        (Looked(600.0, "FAILED", ("s1",)), FAILED),
        (Looked(0.0, "FAILED", ("s1", "s7")), ACCEPTED),
        (Looked(600.0, "FAILED", ("s1", "s7")), FAILED),
        (Looked(600.0, "FAILED", ("s7",)), FAILED),
        (Looked(600.0, "FAILED", ("s1",), is_complete=False), ACCEPTED),
        (Looked(1200.0, "FAILED", ("s1",), is_complete=False), FAILED),
        (Looked(0.0, "SENT", ("s1",)), SENT),
        (Looked(0.0, "SENT", ("s1", "s7")), ACCEPTED),
        (Looked(600.0, "SENT", ("s1", "s7")), FAILED),
        (Looked(600.0, "SENT", (), ("s1",)), FAILED),
        (Looked(600.0, "SENT", ("s1",), is_shared=True), FAILED),
        (Looked(7200.0, "SENDING", ("s1",)), FAILED),
        (Looked(7199.0, "SENDING", ("s1",)), ACCEPTED),
    ],
    ids=str,
)
def test_a_fax_that_is_ours_by_inference_is_never_repeated(looked: Looked, state: State) -> None:
    """Under an id that was only found, SENT counts where nothing else can be it, FAILED never."""
    policy = replace(RULES, resend_if_absent=True)
    after = advance(job(ACCEPTED, found=True), looked, NOW, policy)
    assert after.state is state
    if state is FAILED:
        assert after.reason is not None
        assert after.reason.code is ReasonCode.OUTCOME_UNKNOWN
        assert after.attempts[-1].outcome == "unknown"


def test_what_was_seen_once_is_not_absent() -> None:
    """An entry that could be ours, and is deleted before the looking ends, was there."""
    policy = replace(RULES, resend_if_absent=True)
    for seen in (Looked(1.0, matches=("s7",), is_certain=False), Looked(1.0, doubtful=("s9",))):
        after = advance(advance(job(UNKNOWN), seen, NOW, policy), Looked(600.0), NOW, policy)
        assert after.reason is not None
        assert after.reason.code is ReasonCode.OUTCOME_UNKNOWN


def test_a_number_that_means_nobody_any_more_is_not_told() -> None:
    """Where the folder has lost its number, the receipt names none; the attempts keep theirs."""
    nobody = REASON.model_copy(update={"code": ReasonCode.RECIPIENT_UNKNOWN})
    one = job(QUEUED, attempts=2)
    assert advance(one, Refused(nobody, FACTS), NOW, RULES).number is None
    assert advance(one, Refused(REASON), NOW, RULES).number == one.number


def test_an_impossible_event_says_what_and_where() -> None:
    """An event that is impossible in a state raises an error that says so."""
    with pytest.raises(NoTransitionError, match="Taken in state queued") as raised:
        advance(job(QUEUED), Taken("s1"), NOW, RULES)
    assert raised.value.event == Taken("s1")
    assert raised.value.job.state is QUEUED


def test_every_reason_tells_a_person_what_to_do() -> None:
    """Each way to fail has a message and an advice, in whole sentences."""
    ways = [
        sentences.cancelled(),
        sentences.outcome_unknown(),
        sentences.outcome_ambiguous(),
        sentences.outcome_failed(),
        sentences.outcome_open(),
        sentences.outcome_shared(),
    ]
    ways += [sentences.transmission_failed(3), sentences.no_final_status(7200.0)]
    ways += [sentences.after_a_lost_answer(way) for way in ways]
    ways += [sentences.duplicate("a.pdf", "j1", state, 120.0) for state in (*State, *ReasonCode)]
    for reason in ways:
        assert reason.message.endswith(".")
        assert reason.advice.endswith(".")
