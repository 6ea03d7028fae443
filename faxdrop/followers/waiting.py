"""What waits for longer than it should: faxes that do not end, and files in the inbox."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from faxdrop.fax.job import ON_ITS_WAY
from faxdrop.followers.decisions import Stuck
from faxdrop.spool.disk import Disk
from faxdrop.spool.home import home_of
from faxdrop.spool.jobs import Jobs
from faxdrop.words import _

EVERY: Final = 300.0  # seconds between two looks, while anything waits
_FAX_AFTER: Final = timedelta(hours=2)  # since it was handed over
_FILE_AFTER: Final = timedelta(minutes=10)  # beyond the inbox's patience
_FULL: Final = {"disk", "intake"}  # they hold all files, and have their own notices


class Finder:
    """Looks now and then. Remembers only since when it has seen each file wait."""

    def __init__(self, root: Path, patience: float) -> None:
        self._jobs = Jobs(home_of(root), Disk())
        self._file_after = timedelta(seconds=patience) + _FILE_AFTER
        self._seen: dict[str, datetime] = {}  # files, by folder and name
        self._began: datetime | None = None
        self._looked_at: datetime | None = None
        self._found: tuple[Stuck, ...] | None = None

    def find(self, standing: Mapping[str, Any], now: datetime) -> tuple[Stuck, ...] | None:
        """Return what was stuck at the last look; None: it has not watched for long enough.

        Raises OSError.
        """
        self._began = self._began or now
        if self._looked_at is not None and timedelta() <= now - self._looked_at < timedelta(
            seconds=EVERY / 2
        ):
            return self._found
        self._looked_at = now
        found = (*self._faxes(standing, now), *self._files(standing, now))
        if now - self._began > self._file_after:  # else a restart would report everything again
            self._found = found
        return self._found

    def _faxes(self, standing: Mapping[str, Any], now: datetime) -> Iterator[Stuck]:
        if not ON_ITS_WAY & standing.get("states", {}).keys():
            return
        for job in self._jobs.all():
            attempt = job.attempt
            if job.state not in ON_ITS_WAY or attempt is None:
                continue
            if now - attempt.submitted_at >= _FAX_AFTER:
                words = _(
                    "sipgate has no final status for this fax yet. Look at the history in your "
                    "sipgate account, and call the recipient if it is urgent. faxdrop keeps "
                    "asking, and does not send the fax again meanwhile."
                )
                yield Stuck(job.job_id, job.name, job.folder, attempt.submitted_at, words)

    def _files(self, standing: Mapping[str, Any], now: datetime) -> Iterator[Stuck]:
        waits = {f"{each['folder']}/{each['name']}": each for each in standing.get("waiting", ())}
        self._seen = {
            key: min(self._seen.get(key, now), now)  # if the clock was set back, begin anew
            for key in waits
        }
        if _FULL & {hold["what"] for hold in standing.get("holds", ())}:
            return
        for key, since in self._seen.items():
            if now - since >= self._file_after:
                each = waits[key]
                yield Stuck(key, each["name"], each["folder"], since, _in_the_inbox(each["words"]))


def _in_the_inbox(words: str) -> str:
    return _("It is in the inbox and was not taken: {words}.").format(words=words.rstrip("."))
