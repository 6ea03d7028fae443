"""Looks at sipgate's history: when, for which jobs, and what a look says of each.

One look is under way at a time. Only time in which sipgate answers counts as time waited.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from faxdrop.clock import Clock
from faxdrop.fax.events import Looked
from faxdrop.fax.job import Job
from faxdrop.queue.delivery import Delivery, Sighting
from faxdrop.queue.faxlines import SharedLines
from faxdrop.queue.holds import Holds
from faxdrop.queue.schedule import SLOW, Schedule
from faxdrop.queue.sessions import Sessions
from faxdrop.sipgate import Answer, Outcome, Unreachable
from faxdrop.spool.health import DiskHealth
from faxdrop.words import _
from faxdrop.workers import NoThreadError, StepEnd, Then

log = structlog.stdlib.get_logger(__name__)

_SLOW_LOOK = 60.0  # seconds between looks when all that is on its way has been so for long


Start = Callable[[Then, object, Callable[[], Any]], None]
"""Starts a step in a thread: what takes its end, what it is about, the step."""


class Poller:
    """The looks at the history of one account.

    ``seen`` is called with what a look saw of each job, unless the job has changed meanwhile.
    """

    def __init__(  # noqa: PLR0913 - each is a collaborator of its own
        self,
        delivery: Delivery,
        schedule: Schedule,
        sessions: Sessions,
        lines: SharedLines,
        holds: Holds,
        health: DiskHealth,
        *,
        clock: Clock,
        poll_interval: float,
        start: Start,
        seen: Callable[[Job, Looked], None],
    ) -> None:
        self._delivery = delivery
        self._schedule = schedule
        self._sessions = sessions
        self._lines = lines
        self._holds = holds
        self._health = health
        self._clock = clock
        self._poll_interval = poll_interval
        self._start = start
        self._seen = seen
        self.is_looking = False
        self._is_known = False  # sipgate has answered since the start, or the last reload
        self._next_look: float | None = None
        self._looked_at: float | None = None  # when sipgate answered last
        self._looked_for: set[tuple[str, int]] = set()  # the attempts that the last look was for

    def reload(self, delivery: Delivery, poll_interval: float) -> None:
        """Use another config, and look at once."""
        self._delivery = delivery
        self._poll_interval = poll_interval
        self._is_known, self._next_look = False, None

    @property
    def knows_sipgate(self) -> bool:
        """Whether sipgate has told its time, needed to look up a lost answer, or is away."""
        return self._is_known or self._holds.is_following_held

    def due(self, now: float) -> float | None:
        """Return the monotonic instant of the next look, None if none is wanted."""
        if self.is_looking or not (
            self._schedule.watched or not self._is_known or self._holds.is_following_held
        ):
            return None
        return max(self._next_look or now, self._holds.following_until)

    def look_soon(self) -> None:
        """Look after one pause: a fax was submitted, and nothing is known of it yet."""
        now = self._clock.monotonic()
        if self._next_look is None or self._next_look < now:
            self._next_look = now + self._poll_interval

    def look(self) -> None:
        """Start a look, if it is time for one."""
        now = self._clock.monotonic()
        if self.is_looking or not self._holds.may_look(now):
            return
        if self._next_look is not None and now < self._next_look:
            return
        jobs = list(self._schedule.on_their_way())
        if not jobs and self._is_known and not self._holds.is_following_held:
            return
        self.is_looking = True
        self._holds.looks(now)
        self._next_look = now + self._pause()
        if jobs:
            look = partial(self._delivery.look, jobs, self._sessions.all())
            self._start(self._on_looked, jobs, look)
        else:  # at the start, and while something holds: is sipgate there, and the token right?
            self._start(self._on_looked, jobs, self._delivery.greet)

    def _pause(self) -> float:
        """Return the seconds between two looks; for faxes that take long, looks are rarer."""
        jobs = self._schedule.on_their_way()
        if jobs and all(job.attempts[-1].waited >= SLOW for job in jobs):
            return max(self._poll_interval, _SLOW_LOOK)
        return self._poll_interval

    def _on_looked(self, ended: StepEnd) -> None:
        self.is_looking = False
        if isinstance(ended.error, Unreachable):
            self._holds.not_told(ended.error.answer)
            return
        if isinstance(ended.error, NoThreadError):
            self._health.went_wrong(ended.error)
            return
        if ended.error is not None:
            self._health.went_wrong(ended.error)
            self._holds.not_told(_our_mistake())
            return
        self._health.machine_is_well()
        now = self._clock.monotonic()
        # Only time in which sipgate answers counts: the pause before an answer after an outage
        # is no longer than the pause between two looks.
        pause = self._pause()
        waited = min(now - self._looked_at, 2 * pause) if self._looked_at is not None else 0.0
        self._looked_at = now
        self._is_known = True
        self._holds.told(now)
        sightings: dict[str, Sighting] = ended.result
        looked_for: list[Job] = ended.of
        looked_before, self._looked_for = self._looked_for, {_attempt_of(job) for job in looked_for}
        for job in looked_for:
            sighting = sightings.get(job.job_id)
            if sighting is not None and self._schedule.jobs.get(job.job_id) is job:
                # Before its first look, the attempt may not even have been made.
                waited_for = waited if _attempt_of(job) in looked_before else 0.0
                self._seen(job, self._event(job, sighting, waited_for))

    def _event(self, job: Job, sighting: Sighting, waited: float) -> Looked:
        mine = job.attempts[-1].session_id
        return Looked(
            waited,
            sighting.status,
            # An entry that went to another job while this look was under way is not this job's.
            tuple(x for x in sighting.matches if x == mine or x not in self._sessions),
            tuple(x for x in sighting.doubtful if x == mine or x not in self._sessions),
            is_complete=sighting.is_complete,
            is_certain=sighting.is_certain,
            is_shared=job.attempts[-1].faxline in self._lines,
            pages=sighting.pages,
        )


def _attempt_of(job: Job) -> tuple[str, int]:
    return job.job_id, len(job.attempts)


def _our_mistake() -> Answer:
    return Answer(
        Outcome.LATER,
        None,
        None,
        _("sipgate's history could not be understood"),
        None,
        _("This is a bug in faxdrop. Please report it, with what the log says (step.failed)."),
    )
