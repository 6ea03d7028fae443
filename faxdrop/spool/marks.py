"""What a root remembers beyond its jobs, as the names of empty files.

    .faxdrop/owned/     session ids: the faxes in sipgate's history that belong to filed jobs
    .faxdrop/recent/    documents that were sent, or may have been: to recognise repetitions
    .faxdrop/again/     documents that a person wants faxed although they are repetitions
    .faxdrop/shared/    fax lines that another faxdrop on this machine was seen to use

A file whose whole content is its name is there or not, never half written. A mark comes before a
durable step, and what makes that step durable makes the mark durable too (see ``root``). A mark
that cannot be read is skipped. Times are wall clock and in the name: a share has its own clock.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from faxdrop.fax.job import Job
from faxdrop.fax.repeats import First, first_of
from faxdrop.fax.transitions import numbers_perhaps_sent_to
from faxdrop.names.printable import shown

_SHARED_FOR = timedelta(days=30)  # how long a line counts as shared after it was seen so
_SHARED_AGAIN = timedelta(days=1)  # how old a mark of that gets before it is made anew
_LONGEST_NAME = 250  # bytes
_EPOCH = datetime.fromtimestamp(0, UTC)


class Marks:
    """The marks of one root."""

    def __init__(self, home: Path) -> None:
        self._owned = home / "owned"
        self._recent = home / "recent"
        self._again = home / "again"
        self._shared = home / "shared"
        self._unused: set[str] = set()  # wishes that nothing came of since the last tidying

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the marks are; the folders must be there."""
        return self._owned, self._recent, self._again, self._shared

    # -- sessions ---------------------------------------------------------------------------

    def own(self, job: Job) -> None:
        """Mark the session ids of a job as its own, for ``owned``.

        What makes the document's move durable makes these marks durable too.
        """
        for attempt in job.attempts:
            if attempt.session_id:
                _make(self._owned / quote(attempt.session_id, safe=""))

    def owned(self) -> set[str]:
        """Return the session ids of the jobs that were filed last.

        A fax whose answer was lost is looked up in sipgate's history. An entry of another job must
        not be taken for it, even if that job is done and the daemon has started again since.
        """
        return {unquote(mark.name) for mark in self._owned.iterdir()}

    def forget_owned(self, keep: int) -> None:
        """Keep the marks few: remove all but the latest.

        Their age is not known: a share has its own clock.
        """
        marks = list(self._owned.iterdir())
        if len(marks) > keep:
            marks.sort(key=lambda mark: mark.lstat().st_mtime_ns)
            for mark in marks[:-keep]:
                mark.unlink(missing_ok=True)

    # -- the same again ---------------------------------------------------------------------

    def remember(self, job: Job) -> None:
        """Remember a document that is about to be filed, if it was sent or may have been."""
        first = first_of(job)
        if job.document is None:
            return
        for number in sorted(numbers_perhaps_sent_to(job)):
            fields = (
                first.job_id,
                job.document.sha256,
                number,
                _milliseconds(first.claimed_at),
                first.standing,
                quote(shown(first.name), safe=" "),
            )
            _make(self._recent / "~".join(fields)[:_LONGEST_NAME])

    def recent(self) -> Iterator[tuple[First, str, str]]:
        """Return what was remembered: the document, its SHA-256, and the number it went to."""
        for name in _names(self._recent):
            with contextlib.suppress(ValueError, OverflowError):
                job_id, sha256, number, claimed, standing, document = name.split("~", 5)
                first = First(job_id, unquote(document), _instant(claimed), standing)
                yield first, sha256, number

    def forget(self, now: datetime, window: float) -> None:
        """Remove what no longer matters: documents claimed longer ago than ``window`` seconds.

        Also removes wishes that were there the last time already: their documents are gone.
        """
        for name in _names(self._recent):
            *_, claimed, _, _ = [*name.split("~", 5), "", "", ""][:6]
            if not _is_near(claimed, now, timedelta(seconds=window)):
                (self._recent / name).unlink(missing_ok=True)
        wishes = set(_names(self._again))
        for name in wishes & self._unused:
            (self._again / name).unlink(missing_ok=True)
        self._unused = wishes

    def want_again(self, sha256: str) -> None:
        """Note that a document is to be faxed once more, whether it was sent or not."""
        _make(self._again / sha256)

    def take_again(self, sha256: str) -> bool:
        """Return whether ``want_again`` noted it, and remove the note: it counts for one fax.

        A note that cannot be removed does not count: it would count for every fax.
        """
        try:
            (self._again / sha256).unlink()
        except OSError:  # usually there is none
            return False
        return True

    # -- fax lines --------------------------------------------------------------------------

    def note_shared(self, faxline: str, now: datetime) -> None:
        """Note that another faxdrop was seen to use a fax line."""
        for name in _names(self._shared):
            line, _, at = name.partition("~")
            if line == faxline:
                if _is_near(at, now, _SHARED_AGAIN):
                    return
                (self._shared / name).unlink(missing_ok=True)
        _make(self._shared / f"{faxline}~{_milliseconds(now)}")

    def shared(self, now: datetime) -> set[str]:
        """Return the fax lines that others were seen to use recently."""
        parts = (name.partition("~") for name in _names(self._shared))
        return {faxline for faxline, _, at in parts if _is_near(at, now, _SHARED_FOR)}


def _make(mark: Path) -> None:
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))


def _names(folder: Path) -> list[str]:
    try:
        return [mark.name for mark in folder.iterdir()]
    except FileNotFoundError:  # of an older version, and not opened since
        return []


def _milliseconds(at: datetime) -> str:
    return str((at - _EPOCH) // timedelta(milliseconds=1))


def _instant(milliseconds: str) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


def _is_near(milliseconds: str, now: datetime, within: timedelta) -> bool:
    """Return whether an instant is near now: before it or, if the clock was set, after it."""
    try:
        return abs(_instant(milliseconds) - now) <= within
    except (ValueError, OverflowError):
        return False
