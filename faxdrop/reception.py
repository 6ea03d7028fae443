"""The reception: keeps watching the inbox, and has claimed what is complete in it.

Everything here happens in the loop's thread, but for the claims: they run in a small pool, one
thread a folder at a time, so that the letters of a recipient stay in order.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial

import structlog

from faxdrop import mounts
from faxdrop.clock import Clock
from faxdrop.delivery import Delivery, UnrecordedError
from faxdrop.dispatcher import Dispatcher, Parts, decided
from faxdrop.inbox import Candidate, Inbox, Key, Waiting, Watcher
from faxdrop.intake import Intake, NotYet
from faxdrop.job import Job, shown
from faxdrop.spool import GoneError, Spool
from faxdrop.steps import Ended, Steps

log = structlog.stdlib.get_logger(__name__)

DEAF_RESCAN = 3.0  # seconds between scans where events do not tell everything
MOST_SAID = 200  # files of which it is said what they wait for
_DISK_PAUSE = 5.0  # seconds without a scan after the disk refused one, or a claim


class Reception:
    """One inbox, from the first look at a file to its claim."""

    def __init__(
        self,
        spool: Spool,
        parts: Parts,
        dispatcher: Dispatcher,
        *,
        clock: Clock,
        steps: Steps,
        pool: Executor,
        watcher: Callable[[Inbox], Watcher],
    ) -> None:
        self._spool = spool
        self._parts = parts
        self._dispatcher = dispatcher
        self._clock = clock
        self._steps = steps
        self._pool = pool
        self._config = parts.config
        self._inbox = Inbox(spool.inbox, parts.config.inbox)
        self._watcher = watcher(self._inbox)
        self._deaf_because = ""
        self._stopping = False
        self._claiming: dict[str | None, deque[tuple[Candidate, datetime]]] = {}
        self._claimed_at = clock.now()
        self._refused: set[Key] = set()  # what could not be claimed for the disk's errors
        self._next_scan = 0.0
        self._next_rescan = 0.0
        self._rescan = parts.config.inbox.rescan
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
        """Return what the files wait for that are not claimed yet; of the first ones only."""
        files = self._inbox.waits(MOST_SAID, self._clock.monotonic(), self._clock.now())
        words = "could not be taken, since the disk refused it: it is tried again"
        return [Waiting(file.key, words) if file.key in self._refused else file for file in files]

    @property
    def problems(self) -> dict[str, str]:
        """What lies in the inbox and will not be faxed, or cannot be read, and why."""
        return self._inbox.problems

    @property
    def under_way(self) -> int:
        """In how many folders claims are under way."""
        return len(self._claiming)

    def open(self) -> None:
        """Make the folders and watch; at the start, and when the inbox is there again."""
        self._make_folders()
        self._watch()
        self._next_scan = self._next_rescan = 0.0

    def close(self) -> None:
        """Watch and claim no longer."""
        self._stopping = True
        self._watcher.stop()

    def turn(self) -> bool:
        """Scan if it is time to; return whether it was."""
        now = self._clock.monotonic()
        if now < self._next_scan:
            return False
        everything = now >= self._next_rescan
        due = self._inbox.next_due()
        if not (everything or self._inbox.is_noticed or (due is not None and due <= now)):
            return False
        if everything:
            self._begin_rescan(now)
        try:
            candidates = self._inbox.scan(now, everything=everything)
        except OSError as error:
            self._dispatcher.went_wrong(error)
            self._next_scan = now + _DISK_PAUSE
            return True
        if not self._inbox.waiting:
            self._refused.clear()
        if everything and not self._refused:
            self._dispatcher.disk_is_well()
        # A large folder that is being filled must not be read again for every file.
        self._next_scan = self._clock.monotonic() + 4 * (self._clock.monotonic() - now)
        batches: dict[str | None, list[tuple[Candidate, datetime]]] = {}
        for candidate in candidates:
            batches.setdefault(candidate.key.folder, []).append((candidate, self._next_instant()))
        for folder, batch in batches.items():
            if folder in self._claiming:  # a thread is at it, and goes on with these
                self._claiming[folder].extend(batch)
            else:
                self._claiming[folder] = deque(batch)
                self._claim_folder(folder)
        return True

    def dues(self) -> list[float]:
        """Return the monotonic instants at which there is something to do."""
        dues = [max(self._next_rescan, self._next_scan)]
        if self._inbox.is_noticed:
            dues.append(self._next_scan)
        if (due := self._inbox.next_due()) is not None:
            dues.append(max(due, self._next_scan))
        return dues

    # -- inside -----------------------------------------------------------------------------

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
            try:
                self._spool.make_inbox(name)
            except OSError as error:
                self._dispatcher.went_wrong(error)

    def _watch(self) -> None:
        self._watcher.stop()
        because = ""
        try:
            self._watcher.start()
        except OSError as error:
            because = str(error)
        if because and because != self._deaf_because:
            log.warning("inbox.not_watched", why=because, every=DEAF_RESCAN)
        self._deaf_because = because

    def _next_instant(self) -> datetime:
        """Return now, or a little later: no two jobs have one instant, so their order is fixed."""
        self._claimed_at = max(self._clock.now(), self._claimed_at + timedelta(milliseconds=1))
        return self._claimed_at

    def _claim_folder(self, folder: str | None) -> None:
        waiting = self._claiming[folder]
        parts = self._parts
        self._pool.submit(self._claim_all, folder, waiting, parts.intake, parts.delivery)

    def _claim_all(
        self,
        folder: str | None,
        waiting: deque[tuple[Candidate, datetime]],
        intake: Intake,
        delivery: Delivery,
    ) -> None:
        while waiting and not self._stopping:
            candidate, at = waiting.popleft()
            step = partial(_claim, intake, delivery, candidate, at)
            self._steps.do(self._on_claimed, candidate, step)
        self._steps.do(self._on_all_claimed, folder, lambda: None)

    def _on_all_claimed(self, ended: Ended) -> None:
        folder: str | None = ended.of
        if self._claiming[folder] and not self._stopping:  # came when the thread had just ended
            self._claim_folder(folder)
        else:
            del self._claiming[folder]

    def _on_claimed(self, ended: Ended) -> None:
        candidate: Candidate = ended.of
        now = self._clock.monotonic()
        self._refused.discard(candidate.key)
        match ended.error or ended.result:
            case NotYet(written):
                self._inbox.not_yet(candidate, now, again=written)
            case Job() as job:
                self._inbox.taken(candidate)
                self._dispatcher.put(job)
                log.info(
                    "fax.claimed",
                    job=job.job_id,
                    file=shown(job.name),
                    folder=shown(job.folder or ""),
                )
            case UnrecordedError() as error:  # claimed, but that it cannot be faxed is not on disk
                self._inbox.taken(candidate)
                self._dispatcher.keep(error)
            case GoneError():
                self._inbox.taken(candidate)
            case error:
                self._inbox.not_yet(candidate, now, again=True)
                self._dispatcher.went_wrong(error, file=shown(str(candidate.path)))
                self._refused.add(candidate.key)
                self._next_scan = now + _DISK_PAUSE


def _claim(
    intake: Intake, delivery: Delivery, candidate: Candidate, claimed_at: datetime
) -> Job | NotYet:
    taken = intake.take(candidate, claimed_at)
    if isinstance(taken, NotYet):
        return taken
    return decided(delivery, taken.job, taken.event)
