"""The whole life of a fax as a pure function: (job, event, now) -> job. No I/O and no clock.

The table ``TRANSITIONS`` is the state machine; ``action()`` says what to do next in each state.
Every event is recorded before it counts, so a crash leaves the job in the state before the event
or after it, never between.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum, auto
from types import MappingProxyType

from faxdrop.fax import transitions
from faxdrop.fax.events import (
    AnswerLost,
    Cancelled,
    Changed,
    Checked,
    Event,
    Looked,
    NotTaken,
    Policy,
    Refused,
    Restarted,
    Submitting,
    Taken,
)
from faxdrop.fax.job import Job, State

_Transition = Callable[[Job, Event, datetime, Policy], Job]

# (state, event) -> what it does. States without a row for an event never meet it.
_TABLE: dict[tuple[State, type], Callable[..., Job]] = {
    (State.QUEUED, Checked): transitions.checked,
    (State.QUEUED, Refused): transitions.refused,
    (State.QUEUED, NotTaken): transitions.postponed,
    (State.QUEUED, Changed): transitions.changed,
    (State.QUEUED, Submitting): transitions.submitting,
    (State.QUEUED, Restarted): transitions.stay,
    (State.QUEUED, Cancelled): transitions.cancel_queued,
    (State.SUBMITTING, Taken): transitions.taken,
    (State.SUBMITTING, Refused): transitions.rejected,
    (State.SUBMITTING, NotTaken): transitions.not_taken,
    (State.SUBMITTING, AnswerLost): transitions.answer_lost,
    (State.SUBMITTING, Restarted): transitions.interrupted,
    (State.SUBMITTING, Cancelled): transitions.cancel_rest,
    (State.UNKNOWN, Looked): transitions.reconciled,
    (State.UNKNOWN, Restarted): transitions.stay,
    (State.UNKNOWN, Cancelled): transitions.cancel_rest,
    (State.ACCEPTED, Looked): transitions.followed,
    (State.ACCEPTED, Restarted): transitions.stay,
    (State.ACCEPTED, Cancelled): transitions.cancel_rest,
    (State.SENT, Restarted): transitions.stay,
    (State.SENT, Cancelled): transitions.stay,
    (State.FAILED, Restarted): transitions.stay,
    (State.FAILED, Cancelled): transitions.stay,
}
TRANSITIONS: Mapping[tuple[State, type], _Transition] = MappingProxyType(_TABLE)


class Action(Enum):
    """What to do next with a job, by its state."""

    CHECK = auto()  # look at the document
    SUBMIT = auto()  # when it is due and its number is free
    WATCH = auto()  # look at sipgate's history
    FILE = auto()  # move it to sent/ or failed/


class NoTransitionError(Exception):
    """An event that cannot happen in this state: a bug in faxdrop, never bad input."""

    def __init__(self, job: Job, event: Event) -> None:
        super().__init__(f"{type(event).__name__} in state {job.state} (job {job.job_id})")
        self.job = job
        self.event = event


def action(job: Job) -> Action:
    """Return what to do next with a job."""
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
