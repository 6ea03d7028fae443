"""Pickup: watches the inbox and has complete documents claimed.

Everything here happens in the loop's thread, except the claims, which run in a small pool.
"""

import errno
import os
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from faxdrop.backoff import Trouble
from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.documents.assess import NotYet
from faxdrop.fax.events import Checked, Refused
from faxdrop.fax.job import Job
from faxdrop.inbox import mounts
from faxdrop.inbox.claim import Claimer
from faxdrop.inbox.looks import Candidate, Key, Rest, Waiting
from faxdrop.inbox.mounts import DEAF_RESCAN
from faxdrop.inbox.rounds import Progress
from faxdrop.inbox.scan import Inbox
from faxdrop.inbox.turns import Claims
from faxdrop.inbox.watcher import Watcher
from faxdrop.names.printable import shown
from faxdrop.spool import refusals
from faxdrop.spool.health import DiskHealth
from faxdrop.spool.jobs import GoneError, UnrecordedError
from faxdrop.spool.refusals import RefusedError
from faxdrop.spool.root import Spool
from faxdrop.spool.space import Room
from faxdrop.words import _, of_system
from faxdrop.workers import NoThreadError, StepEnd, Steps

log = structlog.stdlib.get_logger(__name__)

MOST_SAID = 200  # files of which it is said what they wait for
LOOKS = 6  # threads that claim; they wait for the disk more than for the processor
_DISK_PAUSE = 5.0  # seconds without a scan after the disk refused one, or a claim
_SLICE = 2_000  # entries that one turn reads
_LONGEST_PAUSE = 0.5  # seconds between two slices
_LOOK_FOR_ROOM = 5.0  # seconds until it is tried again where there is no room, or no thread
_MOST_UNDER_WAY = 16  # steps; while there are more, nothing is taken that is overdue


class Handover(NamedTuple):
    """What happens to a claimed document: all that the inbox knows of the queue."""

    decide: Callable[[Job, Checked | Refused | None], Job]
    """In the thread that claims: what the check makes of the job. Raises UnrecordedError."""
    put: Callable[[Job], None]
    """Takes a job."""
    keep: Callable[[UnrecordedError], None]
    """Takes a job that was refused, which the disk did not take."""
    jobs: Callable[[], int]
    """How many jobs there are in the spool."""
    under_way: Callable[[], int]
    """How many steps are under way."""


class Pickup:
    """One inbox, from the first look at a file to its claim."""

    def __init__(
        self,
        spool: Spool,
        config: Config,
        claimer: Claimer,
        handover: Handover,
        health: DiskHealth,
        *,
        clock: Clock,
        steps: Steps,
        pool: Executor,
        watcher: Callable[[Inbox], Watcher],
    ) -> None:
        self._spool = spool
        self._handover = handover
        self._health = health
        self._clock = clock
        self._steps = steps
        self._config = config
        self._inbox = Inbox(spool.inbox, config.inbox)
        self._watcher = watcher(self._inbox)
        self._deaf_because = ""
        self._room = Room(spool.home)
        self._short_since: datetime | None = None
        self._at_work = 0  # threads that claim
        claim = partial(_claim, claimer, handover)
        self._claims = Claims(
            pool,
            LOOKS,
            lambda one, at: steps.do(self._on_claimed, one, partial(claim, one, at)),
            self._may_claim,
            self._next_instant,
            lambda: steps.do(self._on_no_more, None, lambda: None),
        )
        self._start_at = 0.0  # no thread is wanted for claims before that
        self._claimed_at = clock.now()
        self._refused: set[Key] = set()  # what could not be claimed for the disk's errors
        self._next_scan = 0.0
        self._next_rescan = 0.0
        self._rescan = config.inbox.rescan
        kind = mounts.kind_of(spool.inbox)
        if not mounts.tells_everything(kind):
            self._rescan = min(self._rescan, DEAF_RESCAN)
            log.info("inbox.scanned", file_system=kind, every=self._rescan)

    @property
    def is_watching(self) -> bool:
        """Whether events of the inbox arrive."""
        return self._watcher.is_watching()

    @property
    def waiting(self) -> int:
        """How many files are in the inbox that are not claimed yet."""
        return self._inbox.waiting

    def waits(self) -> list[Waiting]:
        """Return what the first files that are not claimed yet wait for."""
        files = self._inbox.waits(MOST_SAID, self._clock.monotonic(), self._clock.now())
        words = _("could not be taken because the disk refused it: faxdrop tries again")
        if self._room.short:
            words = _("not taken yet: {short}").format(short=self._room.short)
            return [Waiting(file.key, words) for file in files]
        return [Waiting(file.key, words) if file.key in self._refused else file for file in files]

    @property
    def trouble(self) -> Trouble | None:
        """What keeps the whole inbox from being claimed, if anything does."""
        if self._short_since is None:
            return None
        words = _("Nothing is taken from the inbox: there is {short}").format(
            short=self._room.short
        )
        advice = _("Free some space. What is on its way already is faxed and filed meanwhile.")
        full = of_system(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return Trouble(words, advice, self._short_since, full)

    @property
    def progress(self) -> Progress | None:
        """How far the look at the whole inbox is; None when it is done."""
        return self._inbox.progress

    @property
    def problems(self) -> dict[str, str]:
        """What in the inbox will not be faxed, or cannot be read, and why."""
        return self._inbox.problems

    @property
    def under_way(self) -> int:
        """How many threads are claiming."""
        return self._at_work

    def open(self) -> None:
        """Make the folders and start watching: at the start, and when the inbox comes back."""
        self._make_folders()
        self._watch()
        self._next_scan = self._next_rescan = 0.0

    def close(self) -> None:
        """Stop watching and claiming."""
        self._claims.stop()
        self._watcher.stop()

    def turn(self) -> bool:
        """Scan if it is time to, and claim; return whether anything may have changed."""
        now = self._clock.monotonic()
        scanned = now >= self._next_scan and self._scan(now)
        return self._start_claims(now) or scanned

    def dues(self) -> list[float]:
        """Return the monotonic instants at which there is something to do."""
        dues = [max(self._next_rescan, self._next_scan)]
        if self._inbox.is_behind:
            dues.append(self._next_scan)
        if self._claims.waiting and self._start_at:
            dues.append(self._start_at)
        if (due := self._inbox.next_due()) is not None:
            dues.append(max(due, self._next_scan))
        return dues

    # -- inside -----------------------------------------------------------------------------

    def _scan(self, now: float) -> bool:
        """Read a slice of the inbox; return whether there was anything to read."""
        everything = now >= self._next_rescan
        due = self._inbox.next_due()
        if not (everything or self._inbox.is_behind or (due is not None and due <= now)):
            return False
        if everything:
            self._begin_rescan(now)
        try:
            candidates = self._inbox.scan(now, everything=everything, most=_SLICE)
        except OSError as error:
            self._not_ours(error)
            self._next_scan = now + _DISK_PAUSE
            return True
        self._inbox.refusals.clear(None)
        if not self._inbox.waiting:
            self._refused.clear()
        if everything and not self._refused:
            self._health.is_read()
        # A large folder that is being filled must not be read again for every file.
        after = self._clock.monotonic()
        self._next_scan = after + min(4 * (after - now), _LONGEST_PAUSE)
        self._claims.put(candidates)
        return True

    def _not_ours(self, error: OSError, made: Path | None = None) -> None:
        """Note that the inbox cannot be read, or that a folder cannot be made: it, or one in it."""
        refusal = refusals.of_inbox(error, self._spool.inbox, self._spool.home, made)
        if refusal is None:
            self._health.went_wrong(error)
        else:
            self._inbox.refusals.note(made, refusal)

    def _begin_rescan(self, now: float) -> None:
        if not self._spool.inbox.is_dir():
            log.warning("inbox.made_again", inbox=str(self._spool.inbox))
        self._make_folders()
        if not self._watcher.is_watching():
            self._watch()
        deaf = not self._watcher.is_watching()
        self._next_rescan = now + (min(self._rescan, DEAF_RESCAN) if deaf else self._rescan)

    def _make_folders(self) -> None:
        for name in (None, *self._config.recipients):
            folder = self._spool.inbox / (name or "")
            try:
                self._spool.make_inbox(name)
                self._inbox.refusals.clear(folder)
            except OSError as error:
                self._not_ours(error, folder)

    def _watch(self) -> None:
        self._watcher.stop()
        because = ""
        try:
            self._watcher.start()
        except (OSError, RuntimeError) as error:  # no watches left, or no threads
            because = str(error)
        if because and because != self._deaf_because:
            log.warning("inbox.not_watched", why=because, every=DEAF_RESCAN)
        self._deaf_because = because

    def _next_instant(self) -> datetime:
        """Return now, or a little later: no two jobs share an instant, so their order is fixed."""
        self._claimed_at = max(self._clock.now(), self._claimed_at + timedelta(milliseconds=1))
        return self._claimed_at

    # -- claims -----------------------------------------------------------------------------

    def _may_claim(self, candidate: Candidate) -> bool:
        """Return whether there is room for a document; overdue ones wait while much is to do."""
        if candidate.rest is Rest.OVERDUE and self._handover.under_way() >= _MOST_UNDER_WAY:
            return False
        return self._room.has(candidate.signature.size, self._handover.jobs())

    def _start_claims(self, now: float) -> bool:
        if now < self._start_at or not self._claims.waiting:
            return False
        started = 0
        self._start_at = 0.0
        try:
            started = self._claims.start()
            self._at_work += started
            if started and not self._refused:
                self._health.machine_is_well()
        except NoThreadError as error:
            self._health.went_wrong(error)
            self._start_at = now + _LOOK_FOR_ROOM
        if self._room.short and not self._at_work:
            self._start_at = now + _LOOK_FOR_ROOM
        return self._say_room() or bool(started)

    def _say_room(self) -> bool:
        """Log once when room runs out and once when there is room again; return whether it did."""
        if bool(self._room.short) == (self._short_since is not None):
            return False
        if self._room.short:
            self._short_since = self._clock.now()
            log.error("inbox.held", why=self._room.short)
        else:
            log.info("inbox.released", since=str(self._short_since))
            self._short_since = None
        return True

    def _on_no_more(self, _ended: StepEnd) -> None:
        self._at_work -= 1

    def _on_claimed(self, ended: StepEnd) -> None:
        candidate: Candidate = ended.of
        now = self._clock.monotonic()
        self._refused.discard(candidate.key)
        match ended.error or ended.result:
            case NotYet(written):
                self._inbox.not_yet(candidate, now, again=written)
            case Job() as job:
                self._inbox.taken(candidate)
                self._handover.put(job)
                log.info(
                    "fax.claimed",
                    job=job.job_id,
                    file=shown(job.name),
                    folder=shown(job.folder or ""),
                )
            case UnrecordedError() as error:  # claimed, but that it cannot be faxed is not on disk
                self._inbox.taken(candidate)
                self._handover.keep(error)
            case GoneError():
                self._inbox.taken(candidate)
            case RefusedError() as error:
                self._inbox.refused(candidate, error.refusal, now)
            case error:
                self._inbox.not_yet(candidate, now, again=True)
                self._health.went_wrong(error, file=shown(str(candidate.path)))
                self._refused.add(candidate.key)
                self._next_scan = now + _DISK_PAUSE


def _claim(
    claimer: Claimer, handover: Handover, candidate: Candidate, claimed_at: datetime
) -> Job | NotYet:
    claimed = claimer.take(candidate, claimed_at)
    if isinstance(claimed, NotYet):
        return claimed
    return handover.decide(claimed.job, claimed.event)
