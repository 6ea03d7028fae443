"""The state of the disk: the one place that notes its errors and its recovery.

The inbox and the queue both report here. A disk error holds everything that needs the disk and is
shown to people; a folder whose rights keep one job from being filed is that folder's problem.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from faxdrop.backoff import Trouble
from faxdrop.names.printable import shown
from faxdrop.spool import refusals
from faxdrop.spool.refusals import Refusals
from faxdrop.words import of_system

log = structlog.stdlib.get_logger(__name__)

_RETRY = (1.0, 5.0, 20.0, 60.0)  # seconds before a step that the disk refused is tried again


class DiskHealth:
    """What the disk below one root refuses now. Only for the loop's thread."""

    def __init__(self, root: Path, home: Path, now: Callable[[], datetime]) -> None:
        self._root = root
        self._home = home
        self._now = now
        self.trouble: Trouble | None = None
        self.refusals = Refusals()  # of jobs that a folder's rights keep from being filed
        self._error: int | None = None  # which error the trouble is
        self._failed: Counter[str] = Counter()  # job id -> how often in a row its step failed

    def went_wrong(self, error: Exception, **about: object) -> None:
        """Note a step that failed; disk errors hold, all others are bugs of ours."""
        if not isinstance(error, OSError):
            log.error("step.failed", exc_info=error, **about)
            return
        if self.trouble is not None and self._error == error.errno:
            return  # whichever file it is about this time
        cause = of_system(error)
        words = f"{cause} ({shown(str(error.filename or self._root))})"
        since = self.trouble.since if self.trouble else self._now()
        log.error("disk.trouble", why=words, **about)
        self._error = error.errno
        self.trouble = Trouble(words, refusals.advice(error, self._home), since, cause)

    def is_refused(self, job_id: str, error: Exception) -> bool:
        """Note a folder that a job may not be filed in: only this job waits."""
        if not isinstance(error, OSError):
            return False
        refusal = refusals.of_filing(error, self._root, self._home)
        if refusal is not None:
            self.refusals.note(job_id, refusal)
        return refusal is not None

    def retry_pause(self, job_id: str) -> float:
        """Return the seconds until a job's step is tried again; each time in a row it is longer."""
        pause = _RETRY[min(self._failed[job_id], len(_RETRY) - 1)]
        self._failed[job_id] += 1
        return pause

    def forget(self, job_id: str) -> None:
        """Note that no folder refuses a job any more."""
        self._failed.pop(job_id, None)
        self.refusals.clear(job_id)

    def took_step(self, job_id: str) -> None:
        """Note that a job's step succeeded on the disk."""
        self.forget(job_id)
        self._is_well()

    def is_read(self) -> None:
        """Note that the disk could be read, which says nothing about the machine's limits."""
        if self._error not in refusals.OF_THE_MACHINE:
            self._is_well()

    def machine_is_well(self) -> None:
        """Note that a thread could be started, which says nothing about the disk."""
        if self._error in refusals.OF_THE_MACHINE:
            self._is_well()

    def _is_well(self) -> None:
        """End the trouble of the disk, unless a step still waits for it."""
        if self.trouble is not None and not self._failed.keys() - self.refusals.keys():
            log.info("disk.well", was=self.trouble.words, since=str(self.trouble.since))
            self.trouble = None
