"""The whole life of a fax as a pure function: (job, event, now) -> job. No I/O and no clock.

The table ``TRANSITIONS`` is the state machine; what a state asks to be done next is ``action()``.
Every event is recorded before it counts, so a crash leaves the job in the state before or after
it, never between.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import Protocol

from faxdrop.fax import reasons
from faxdrop.fax.job import Attempt, Facts, Faxed, Job, Reason, ReasonCode, State, StatusSeen

SENT, FAILED = "SENT", "FAILED"
"""sipgate's two final values of faxStatusType; every other value means "not final yet"."""


class Policy(Protocol):
    """The settings that decide; durations in seconds."""

    @property
    def attempts(self) -> int:
        """How many submissions a fax is worth."""

    @property
    def give_up_after(self) -> float:
        """For how long a final status is awaited."""

    @property
    def reconcile_for(self) -> float:
        """For how long a lost answer is looked for in the history."""

    @property
    def resend_if_absent(self) -> bool:
        """Whether a fax that the history does not show is submitted again."""

    def delay(self, attempt: int) -> float:
        """How long to wait after a FAILED attempt (1 is the first)."""


@dataclass(frozen=True)
class Checked:
    """The document can be faxed, to this number (E.164) by this fax line."""

    facts: Facts
    number: str
    faxline: str


@dataclass(frozen=True)
class Refused:
    """The document or its number cannot be faxed, or sipgate refused it for good."""

    reason: Reason
    facts: Facts | None = None
    number: str | None = None
    faxline: str | None = None


@dataclass(frozen=True)
class Submitting:
    """The last byte of the POST is about to be sent; ``clock_offset`` as in the attempt."""

    faxed: Faxed
    clock_offset: float | None = None


@dataclass(frozen=True)
class Taken:
    """sipgate answered with a session id."""

    session_id: str


@dataclass(frozen=True)
class NotTaken:
    """It is known that sipgate did not take the fax; try again after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True)
class Changed:
    """The document is not what was checked: not submitted, to be checked again."""


@dataclass(frozen=True)
class AnswerLost:
    """Nobody knows whether sipgate took the fax."""


@dataclass(frozen=True)
class Restarted:
    """The daemon started again and found the job in this state."""


@dataclass(frozen=True)
class Looked:
    """sipgate answered a look at the history.

    ``status`` is that of the attempt's own entry, None while it does not show; ``pages`` is its
    page count. ``waited`` is by how many seconds the time in which sipgate answered has grown.

    The rest is for attempts whose answer was lost. ``matches`` are the session ids of the entries
    that look like this attempt and belong to no other job, ``doubtful`` those of entries that could
    be it all the same, such as one whose number is masked. A look that is not complete may have
    missed entries: it shows what is there, and never that something is not. Matches are certain
    when all their page counts are known: one that is not may turn out to be another fax. On a
    shared line, entries can be the faxes of another root.
    """

    waited: float
    status: str | None = None
    matches: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    is_complete: bool = True
    is_certain: bool = True
    is_shared: bool = False
    pages: int | None = None


@dataclass(frozen=True)
class Cancelled:
    """A person wants no (further) attempt."""


Event = (
    Checked
    | Refused
    | Submitting
    | Taken
    | NotTaken
    | Changed
    | AnswerLost
    | Restarted
    | Looked
    | Cancelled
)


class Action(Enum):
    """What a job's state asks to be done next."""

    CHECK = auto()  # look at the document
    SUBMIT = auto()  # when it is due and its number is free
    WATCH = auto()  # look at sipgate's history
    FILE = auto()  # move it to sent/ or failed/


class NoTransitionError(Exception):
    """An event that cannot happen in this state: a mistake in faxdrop, never in its input."""

    def __init__(self, job: Job, event: Event) -> None:
        super().__init__(f"{type(event).__name__} in state {job.state} (job {job.job_id})")
        self.job = job
        self.event = event


def action(job: Job) -> Action:
    """Return what is to be done next with a job."""
    match job.state:
        case State.QUEUED:
            return Action.SUBMIT if job.document else Action.CHECK
        case State.SENT | State.FAILED:
            return Action.FILE
        case _:
            return Action.WATCH


def advance(job: Job, event: Event, now: datetime, policy: Policy) -> Job:
    """Return the job after the event.

    Raises NoTransitionError for an event that the table does not have for the job's state.
    """
    transition = TRANSITIONS.get((job.state, type(event)))
    if transition is None:
        raise NoTransitionError(job, event)
    return transition(job, event, now, policy)


def _checked(job: Job, event: Checked, _now: datetime, _policy: Policy) -> Job:
    return job.model_copy(
        update={"document": event.facts, "number": event.number, "faxline": event.faxline}
    )


def _refused(job: Job, event: Refused, now: datetime, _policy: Policy) -> Job:
    job = job.model_copy(update={"document": event.facts or job.document})
    if event.number or event.reason.code in _NO_NUMBER:  # what it meant before is history
        job = job.model_copy(update={"number": event.number, "faxline": event.faxline})
    return _failed(job, event.reason, now)


def _submitting(job: Job, event: Submitting, now: datetime, _policy: Policy) -> Job:
    attempt = Attempt(
        number=len(job.attempts) + 1,
        number_dialled=job.number,
        faxline=job.faxline,
        faxed=event.faxed,
        submitted_at=now,
        clock_offset=event.clock_offset,
    )
    return job.model_copy(
        update={
            "state": State.SUBMITTING,
            "attempts": (*job.attempts, attempt),
            "due_at": None,
        }
    )


def _taken(job: Job, event: Taken, now: datetime, _policy: Policy) -> Job:
    job = _with_attempt(job, session_id=event.session_id, answered_at=now)
    return job.model_copy(update={"state": State.ACCEPTED})


def _rejected(job: Job, event: Refused, now: datetime, _policy: Policy) -> Job:
    return _failed(_with_attempt(job, outcome="rejected", answered_at=now), event.reason, now)


def _not_taken(job: Job, event: NotTaken, now: datetime, _policy: Policy) -> Job:
    # The attempt never was one: the receipt shows what sipgate took, and nothing else.
    job = job.model_copy(update={"attempts": job.attempts[:-1]})
    return _queued(job, event.delay, now)


def _postponed(job: Job, event: NotTaken, now: datetime, _policy: Policy) -> Job:
    return _queued(job, event.delay, now)


def _changed(job: Job, _event: Changed, _now: datetime, _policy: Policy) -> Job:
    return job.model_copy(update={"document": None})


def _answer_lost(job: Job, _event: AnswerLost, now: datetime, _policy: Policy) -> Job:
    return _with_attempt(job, answered_at=now).model_copy(update={"state": State.UNKNOWN})


def _interrupted(job: Job, _event: Restarted, now: datetime, _policy: Policy) -> Job:
    # A request that ended with its process was taken before this start, if it was taken at all.
    return _with_attempt(job, answered_at=now).model_copy(update={"state": State.UNKNOWN})


def _stay(job: Job, _event: Event, _now: datetime, _policy: Policy) -> Job:
    return job


def _followed(job: Job, event: Looked, now: datetime, policy: Policy) -> Job:
    job = _noted(job, event, now)
    attempt = job.attempts[-1]
    if attempt.found and event.status in (SENT, FAILED):
        return _inferred(job, event, now, policy)
    if event.status == SENT:
        job = _with_attempt(job, outcome=SENT)
        return job.model_copy(update={"state": State.SENT, "finished_at": now})
    if event.status == FAILED:
        return _attempt_failed(job, now, policy)
    if attempt.waited >= policy.give_up_after:
        if attempt.found:
            return _failed(_with_attempt(job, outcome="unknown"), reasons.OUTCOME_OPEN, now)
        job = _with_attempt(job, outcome="no_final_status")
        return _failed(job, reasons.no_final_status(policy.give_up_after), now)
    return job


def _inferred(job: Job, event: Looked, now: datetime, policy: Policy) -> Job:
    """Return what the end of an entry makes of an attempt that is this entry by inference only.

    It may be somebody else's fax. So it is never a reason to submit again, and it counts as sent
    only where nothing else can be this attempt.
    """
    mine = job.attempts[-1].session_id
    is_alone = {mine} == {mine, *event.matches} and not event.doubtful and not event.is_shared
    if event.status == SENT and is_alone:
        job = _with_attempt(job, outcome=SENT)
        return job.model_copy(update={"state": State.SENT, "finished_at": now})
    if _is_looked_for(job, event, policy):  # until then, the next one's fax could be taken for it
        return job
    job = _with_attempt(job, outcome="unknown")
    if event.is_shared:
        return _failed(job, reasons.OUTCOME_SHARED, now)
    return _failed(job, reasons.OUTCOME_FAILED if is_alone else reasons.OUTCOME_AMBIGUOUS, now)


def _reconciled(job: Job, event: Looked, now: datetime, policy: Policy) -> Job:
    job = _noted(job, event, now)
    if event.matches or event.doubtful:  # also if somebody deletes it from the history then
        job = _with_attempt(job, suspected=True)
    may_wait = _is_looked_for(job, event, policy)
    is_alone = len(event.matches) == 1 and not event.doubtful and not event.is_shared
    if is_alone and (event.is_certain or not may_wait):
        job = _with_attempt(job, session_id=event.matches[0], found=True)
        return job.model_copy(update={"state": State.ACCEPTED})
    if may_wait:
        return job
    job = _with_attempt(job, outcome="unknown")
    if job.attempts[-1].suspected:
        is_shared = event.is_shared and event.matches
        reason = reasons.OUTCOME_SHARED if is_shared else reasons.OUTCOME_AMBIGUOUS
        return _failed(job, reason, now)
    may_resend = policy.resend_if_absent and event.is_complete and not job.cancelled
    if may_resend and len(job.attempts) < policy.attempts:
        return _queued(job, 0.0, now)
    return _failed(job, reasons.OUTCOME_UNKNOWN, now)


def _cancel_queued(job: Job, _event: Cancelled, now: datetime, _policy: Policy) -> Job:
    return _failed(job.model_copy(update={"cancelled": True}), reasons.CANCELLED, now)


def _cancel_rest(job: Job, _event: Cancelled, _now: datetime, _policy: Policy) -> Job:
    # sipgate cannot take a fax back; what can be cancelled is the attempts after this one.
    return job.model_copy(update={"cancelled": True})


def _with_attempt(job: Job, **update: object) -> Job:
    latest = job.attempts[-1].model_copy(update=update)
    return job.model_copy(update={"attempts": (*job.attempts[:-1], latest)})


def _noted(job: Job, event: Looked, now: datetime) -> Job:
    attempt = job.attempts[-1]
    statuses = attempt.statuses
    if event.status and (not statuses or statuses[-1].status != event.status):
        statuses = (*statuses, StatusSeen(status=event.status, at=now))
    faxed = attempt.faxed
    if faxed is not None and event.pages is not None:
        faxed = faxed.model_copy(update={"pages": event.pages})
    waited = attempt.waited + event.waited
    return _with_attempt(job, statuses=statuses, waited=waited, faxed=faxed)


def _attempt_failed(job: Job, now: datetime, policy: Policy) -> Job:
    job = _with_attempt(job, outcome=FAILED)
    tried = len(job.attempts)
    if tried >= policy.attempts and not job.cancelled:
        return _failed(job, reasons.transmission_failed(tried), now)
    return _queued(job, policy.delay(tried), now)


def _is_looked_for(job: Job, event: Looked, policy: Policy) -> bool:
    """Tell whether another look is due; a complete one is waited for, but not for ever."""
    times = 1 if event.is_complete else 2
    return job.attempts[-1].waited < times * policy.reconcile_for


def _queued(job: Job, delay: float, now: datetime) -> Job:
    if job.cancelled:
        return _failed(job, reasons.CANCELLED, now)
    due_at = now + timedelta(seconds=delay)
    return job.model_copy(update={"state": State.QUEUED, "due_at": due_at})


def _failed(job: Job, reason: Reason, now: datetime) -> Job:
    # An attempt that was repeated although its answer was lost may have reached the recipient.
    is_lost = any(attempt.outcome == "unknown" for attempt in job.attempts)
    if reason.code is not ReasonCode.OUTCOME_UNKNOWN and is_lost:
        reason = reasons.after_a_lost_answer(reason)
    return job.model_copy(
        update={"state": State.FAILED, "reason": reason, "finished_at": now, "due_at": None}
    )


def numbers_perhaps_sent_to(job: Job) -> set[str]:
    """Return the numbers (E.164) at which an attempt of a job has arrived, or may have."""
    attempts = (attempt for attempt in job.attempts if attempt.outcome in _PERHAPS_SENT)
    return {attempt.number_dialled for attempt in attempts if attempt.number_dialled}


_PERHAPS_SENT = {SENT, "unknown", "no_final_status", None}
_NO_NUMBER = {
    ReasonCode.RECIPIENT_UNKNOWN,
    ReasonCode.NUMBER_INVALID,
    ReasonCode.NUMBER_BLOCKED,
}

_Transition = Callable[[Job, Event, datetime, Policy], Job]

# (state, event) -> what it does. States without a row for an event never meet it.
_TABLE: dict[tuple[State, type], Callable[..., Job]] = {
    (State.QUEUED, Checked): _checked,
    (State.QUEUED, Refused): _refused,
    (State.QUEUED, NotTaken): _postponed,
    (State.QUEUED, Changed): _changed,
    (State.QUEUED, Submitting): _submitting,
    (State.QUEUED, Restarted): _stay,
    (State.QUEUED, Cancelled): _cancel_queued,
    (State.SUBMITTING, Taken): _taken,
    (State.SUBMITTING, Refused): _rejected,
    (State.SUBMITTING, NotTaken): _not_taken,
    (State.SUBMITTING, AnswerLost): _answer_lost,
    (State.SUBMITTING, Restarted): _interrupted,
    (State.SUBMITTING, Cancelled): _cancel_rest,
    (State.UNKNOWN, Looked): _reconciled,
    (State.UNKNOWN, Restarted): _stay,
    (State.UNKNOWN, Cancelled): _cancel_rest,
    (State.ACCEPTED, Looked): _followed,
    (State.ACCEPTED, Restarted): _stay,
    (State.ACCEPTED, Cancelled): _cancel_rest,
    (State.SENT, Restarted): _stay,
    (State.SENT, Cancelled): _stay,
    (State.FAILED, Restarted): _stay,
    (State.FAILED, Cancelled): _stay,
}
TRANSITIONS: Mapping[tuple[State, type], _Transition] = MappingProxyType(_TABLE)
