"""What each event does to a fax: one pure function for each kind of row in ``lifecycle``'s table.

They are called only in the states that the table names.
"""

from datetime import datetime, timedelta

from faxdrop import words
from faxdrop.fax import sentences
from faxdrop.fax.events import (
    FAILED,
    SENT,
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
from faxdrop.fax.job import Attempt, Job, Reason, State, StatusSeen
from faxdrop.fax.reasons import WITHOUT_NUMBER, ReasonCode


def checked(job: Job, event: Checked, now: datetime, policy: Policy) -> Job:
    """Note what the document is and where it goes; whether and when, if it was tried before."""
    job = job.model_copy(
        update={"document": event.facts, "number": event.number, "faxline": event.faxline}
    )
    return _repeated_as(policy, job, now) if job.attempts else job


def refused(job: Job, event: Refused, now: datetime, _policy: Policy) -> Job:
    """Fail a fax whose document or number cannot be used; nothing was submitted."""
    job = job.model_copy(update={"document": event.facts or job.document})
    if event.number or event.reason.code in WITHOUT_NUMBER:  # what it meant before is history
        job = job.model_copy(update={"number": event.number, "faxline": event.faxline})
    return _failed(job, event.reason, now)


def submitting(job: Job, event: Submitting, now: datetime, _policy: Policy) -> Job:
    """Begin an attempt; from now on a crash leaves its outcome unknown."""
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
            "is_put_off": False,
        }
    )


def taken(job: Job, event: Taken, now: datetime, _policy: Policy) -> Job:
    """Note the session id under which sipgate queued the attempt."""
    job = _with_attempt(job, session_id=event.session_id, answered_at=now)
    return job.model_copy(update={"state": State.ACCEPTED})


def rejected(job: Job, event: Refused, now: datetime, _policy: Policy) -> Job:
    """Fail a fax that sipgate refused for good."""
    return _failed(_with_attempt(job, outcome="rejected", answered_at=now), event.reason, now)


def not_taken(job: Job, event: NotTaken, now: datetime, _policy: Policy) -> Job:
    """Queue a fax again whose attempt was certainly not taken."""
    # It does not count as an attempt: the receipt shows only what sipgate took or may have taken.
    job = job.model_copy(update={"attempts": job.attempts[:-1]})
    return _queued(job, event.delay, now, is_put_off=True)


def postponed(job: Job, event: NotTaken, now: datetime, _policy: Policy) -> Job:
    """Put a queued fax off until its next try."""
    return _queued(job, event.delay, now, is_put_off=True)


def changed(job: Job, _event: Changed, _now: datetime, _policy: Policy) -> Job:
    """Forget what the check found, so that it is repeated."""
    return job.model_copy(update={"document": None})


def answer_lost(job: Job, _event: AnswerLost, now: datetime, _policy: Policy) -> Job:
    """Note that the answer was lost: nobody knows whether sipgate took the attempt."""
    return _with_attempt(job, answered_at=now).model_copy(update={"state": State.UNKNOWN})


def interrupted(job: Job, _event: Restarted, now: datetime, _policy: Policy) -> Job:
    """Note that the daemon ended before the answer came: it is lost."""
    # The request ended with its process: if sipgate took it, that was before this start.
    return _with_attempt(job, answered_at=now).model_copy(update={"state": State.UNKNOWN})


def stay(job: Job, _event: Event, _now: datetime, _policy: Policy) -> Job:
    """Change nothing."""
    return job


def followed(job: Job, event: Looked, now: datetime, policy: Policy) -> Job:
    """Follow an accepted attempt: sent, failed, given up, or still on its way."""
    job = _noted(job, event, now)
    attempt = job.attempts[-1]
    if attempt.found and event.status in (SENT, FAILED):
        return _inferred(job, event, now, policy)
    if event.status == SENT:
        job = _with_attempt(job, outcome=SENT)
        return _sent(job, now)
    if event.status == FAILED:
        return _attempt_failed(job, now, policy)
    if attempt.waited >= policy.give_up_after:
        if attempt.found:
            return _failed(_with_attempt(job, outcome="unknown"), sentences.outcome_open(), now)
        job = _with_attempt(job, outcome="no_final_status")
        return _failed(job, sentences.no_final_status(policy.give_up_after), now)
    return job


def _inferred(job: Job, event: Looked, now: datetime, policy: Policy) -> Job:
    """Return the job after the end of an entry that is its attempt by inference only.

    The entry may be somebody else's fax. So it is never a reason to submit again, and it counts as
    sent only if no other entry can be this attempt.
    """
    mine = job.attempts[-1].session_id
    is_alone = {mine} == {mine, *event.matches} and not event.doubtful and not event.is_shared
    if event.status == SENT and is_alone:
        job = _with_attempt(job, outcome=SENT)
        return _sent(job, now)
    if _is_looked_for(job, event, policy):  # until then, the next one's fax could be taken for it
        return job
    job = _with_attempt(job, outcome="unknown")
    if event.is_shared:
        return _failed(job, sentences.outcome_shared(), now)
    return _failed(
        job, sentences.outcome_failed() if is_alone else sentences.outcome_ambiguous(), now
    )


def reconciled(job: Job, event: Looked, now: datetime, policy: Policy) -> Job:
    """Look for an attempt whose answer was lost: found, looked for again, or given up."""
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
        reason = sentences.outcome_shared() if is_shared else sentences.outcome_ambiguous()
        return _failed(job, reason, now)
    may_resend = policy.resend_if_absent and event.is_complete and not job.cancelled
    if may_resend and len(job.attempts) < policy.attempts:
        return _queued(job, 0.0, now)
    return _failed(job, sentences.outcome_unknown(), now)


def cancel_queued(job: Job, _event: Cancelled, now: datetime, _policy: Policy) -> Job:
    """Fail a queued fax as cancelled."""
    return _failed(job.model_copy(update={"cancelled": True}), sentences.cancelled(), now)


def cancel_rest(job: Job, _event: Cancelled, _now: datetime, _policy: Policy) -> Job:
    """Let the attempt that is on its way go on, but make it the last."""
    # sipgate cannot take a fax back: only later attempts can be cancelled.
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
        return _failed(job, sentences.transmission_failed(tried), now)
    return _queued(job, policy.delay(tried), now)


def _repeated_as(policy: Policy, job: Job, now: datetime) -> Job:
    """Return a fax that waits to be repeated as this policy has it: another one put it there."""
    tried, latest = len(job.attempts), job.attempts[-1]
    is_failed = latest.outcome == FAILED
    if tried >= policy.attempts or not (is_failed or policy.resend_if_absent):
        reason = sentences.transmission_failed(tried) if is_failed else sentences.outcome_unknown()
        return _failed(job, reason, now)
    if not is_failed or job.is_put_off or not latest.statuses:
        return job
    due_at = latest.statuses[-1].at + timedelta(seconds=policy.delay(tried))
    return job.model_copy(update={"due_at": due_at})


def _is_looked_for(job: Job, event: Looked, policy: Policy) -> bool:
    """Return whether to look again; for a complete look we wait longer, but not for ever."""
    times = 1 if event.is_complete else 2
    return job.attempts[-1].waited < times * policy.reconcile_for


def _queued(job: Job, delay: float, now: datetime, *, is_put_off: bool = False) -> Job:
    if job.cancelled:
        return _failed(job, sentences.cancelled(), now)
    due_at = now + timedelta(seconds=delay)
    return job.model_copy(
        update={"state": State.QUEUED, "due_at": due_at, "is_put_off": is_put_off}
    )


def _sent(job: Job, now: datetime) -> Job:
    return job.model_copy(
        update={"state": State.SENT, "language": words.language(), "finished_at": now}
    )


def _failed(job: Job, reason: Reason, now: datetime) -> Job:
    # An attempt that was repeated although its answer was lost may have reached the recipient.
    is_lost = any(attempt.outcome == "unknown" for attempt in job.attempts)
    if reason.code is not ReasonCode.OUTCOME_UNKNOWN and is_lost:
        reason = sentences.after_a_lost_answer(reason)
    return job.model_copy(
        update={
            "state": State.FAILED,
            "reason": reason,
            "language": reason.language,
            "finished_at": now,
            "due_at": None,
        }
    )


def numbers_perhaps_sent_to(job: Job) -> set[str]:
    """Return the numbers (E.164) that an attempt of a job has reached, or may have."""
    attempts = (attempt for attempt in job.attempts if attempt.outcome in _PERHAPS_SENT)
    return {attempt.number_dialled for attempt in attempts if attempt.number_dialled}


_PERHAPS_SENT = {SENT, "unknown", "no_final_status", None}
