"""Which job may take its next step now: no I/O and no clock, instants are monotonic seconds.

One fax at a time is on its way to a number, since a fax machine has one line and letters should
arrive in order; many numbers are served at once. A job with a step under way is busy.
"""

import heapq
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from faxdrop.fax.job import ON_ITS_WAY, Job, State
from faxdrop.fax.lifecycle import Action, action

SLOW = 1800.0  # seconds without a final status after which a fax no longer blocks its number


@dataclass
class _Lane:
    """All jobs to one number: those that wait for the line, in order, and those that block it."""

    waiting: list[tuple[datetime, str]] = field(default_factory=list)  # (claimed at, job id)
    blocking: set[str] = field(default_factory=set)


class Schedule:
    """All jobs in the spool, and what each may do."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._busy: set[str] = set()
        self._timers: list[tuple[float, int, str]] = []
        self._version: dict[str, int] = {}  # which timer of a job is the one that counts
        self._versions = count()
        self._ready: deque[str] = deque()  # to be checked or filed
        self._lanes: dict[str, _Lane] = {}
        self._open: dict[str, None] = {}  # numbers whose line is free and wanted, in order
        self.watched: dict[str, None] = {}  # jobs that the history is to be asked about, in order

    def __len__(self) -> int:
        return len(self.jobs)

    def put(self, job: Job, *, now: float, not_before: float = 0.0) -> None:
        """Put in a job, new or after a step; its next step is due at ``not_before``."""
        self._leave(job.job_id)
        self.jobs[job.job_id] = job
        self._busy.discard(job.job_id)
        if not_before > now and action(job) is not Action.WATCH:
            version = self._version[job.job_id] = next(self._versions)
            heapq.heappush(self._timers, (not_before, version, job.job_id))
            self._wake_lane(job)
            return
        self._enter(job)

    def update(self, job: Job) -> None:
        """Replace a job that is not busy by one in the same state."""
        self.jobs[job.job_id] = job
        lane = self._lanes.get(job.number or "")
        if lane is not None and not blocks_line(job) and job.job_id in lane.blocking:
            lane.blocking.discard(job.job_id)
            self._wake_lane(job)

    def start(self, job_id: str) -> Job:
        """Mark a job's step as under way."""
        job = self.jobs[job_id]
        self._leave(job_id)
        self._busy.add(job_id)
        if job.number and (job.state in ON_ITS_WAY or action(job) is Action.SUBMIT):
            self._lane(job.number).blocking.add(job_id)
        return job

    def drop(self, job_id: str) -> None:
        """Forget a job that has left the spool."""
        self._leave(job_id)
        self._busy.discard(job_id)
        job = self.jobs.pop(job_id, None)
        if job is not None:
            self._wake_lane(job)

    def is_busy(self, job_id: str) -> bool:
        """Return whether a step of the job is under way."""
        return job_id in self._busy

    @property
    def busy(self) -> int:
        """How many jobs have a step under way."""
        return len(self._busy)

    def advance(self, now: float) -> None:
        """Make jobs ready whose timers are due."""
        while self._timers and self._timers[0][0] <= now:
            _, version, job_id = heapq.heappop(self._timers)
            if self._version.get(job_id) == version:
                del self._version[job_id]
                self._enter(self.jobs[job_id])

    def next_ready(self) -> Job | None:
        """Start and return a job that is to be checked or filed."""
        while self._ready:
            job_id = self._ready.popleft()
            job = self.jobs.get(job_id)
            if job and not self.is_busy(job_id) and action(job) in (Action.CHECK, Action.FILE):
                return self.start(job_id)
        return None

    def next_submission(self) -> Job | None:
        """Start and return the oldest job of a number whose line is free."""
        while self._open:
            number = next(iter(self._open))
            del self._open[number]
            lane = self._lanes.get(number)
            if lane and lane.waiting and not lane.blocking:
                return self.start(lane.waiting[0][1])
        return None

    @property
    def has_submissions(self) -> bool:
        """Return whether a job could be submitted now."""
        return bool(self._open)

    @property
    def wants_submissions(self) -> bool:
        """Return whether any job is still to be submitted, now or later."""
        return any(job.state is State.QUEUED for job in self.jobs.values())

    def on_their_way(self) -> list[Job]:
        """Return the jobs to ask sipgate's history about."""
        return [self.jobs[job_id] for job_id in self.watched]

    def next_due(self) -> float | None:
        """Return when the next timer goes off."""
        return self._timers[0][0] if self._timers else None

    # -- inside -----------------------------------------------------------------------------

    def _enter(self, job: Job) -> None:
        match action(job):
            case Action.CHECK | Action.FILE:
                self._ready.append(job.job_id)
            case Action.SUBMIT:
                insort(self._lane(job.number or "").waiting, _place(job))
            case Action.WATCH:
                self.watched[job.job_id] = None
                if blocks_line(job):
                    self._lane(job.number or "").blocking.add(job.job_id)
        self._wake_lane(job)

    def _leave(self, job_id: str) -> None:
        self._version.pop(job_id, None)
        self.watched.pop(job_id, None)
        job = self.jobs.get(job_id)
        lane = self._lanes.get(job.number or "") if job else None
        if job is None or lane is None:
            return
        lane.blocking.discard(job_id)
        at = bisect_left(lane.waiting, _place(job))
        if at < len(lane.waiting) and lane.waiting[at] == _place(job):
            del lane.waiting[at]

    def _lane(self, number: str) -> _Lane:
        return self._lanes.setdefault(number, _Lane())

    def _wake_lane(self, job: Job) -> None:
        number = job.number or ""
        lane = self._lanes.get(number)
        if lane is None:
            return
        if lane.waiting and not lane.blocking:
            self._open[number] = None
        elif not lane.waiting and not lane.blocking:
            del self._lanes[number]
            self._open.pop(number, None)


def blocks_line(job: Job) -> bool:
    """Return whether a job blocks its number for others.

    A job whose answer was lost does so until it is found: the next fax could be taken for it.
    """
    if job.state is State.UNKNOWN:
        return True
    return job.state in ON_ITS_WAY and job.attempts[-1].waited < SLOW


def _place(job: Job) -> tuple[datetime, str]:
    return job.claimed_at, job.job_id
