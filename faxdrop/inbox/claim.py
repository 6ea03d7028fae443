"""From the inbox into the spool: opens a file that may be complete, checks it, and claims it.

Only what was found whole after its claim is faxed, byte for byte.
"""

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from faxdrop.documents.assess import Assessor, NotYet
from faxdrop.documents.checker import Checker
from faxdrop.documents.opening import (
    Signature,
    UnsafeError,
    is_open_for_writing,
    looks_whole,
    may_be_pdf,
    opened,
    opened_folder,
)
from faxdrop.documents.verdict import Verdict
from faxdrop.fax.events import Checked, Refused
from faxdrop.fax.job import Job, State
from faxdrop.inbox.looks import Candidate, Rest
from faxdrop.spool import refusals
from faxdrop.spool.disk import sha256_of
from faxdrop.spool.refusals import RefusedError
from faxdrop.spool.root import Spool


@dataclass(frozen=True)
class Claimed:
    """A job that is now in the spool, with the result of its check if that is known already."""

    job: Job
    event: Checked | Refused | None


class Claimer:
    """Claims documents. Thread-safe; each document belongs to one thread."""

    def __init__(self, spool: Spool, checker: Checker, assessor: Assessor) -> None:
        self._spool = spool
        self._checker = checker
        self._assessor = assessor

    def take(self, candidate: Candidate, claimed_at: datetime) -> Claimed | NotYet:
        """Claim a candidate if it is complete.

        Raises GoneError if it is no longer there, RefusedError if its rights or those of its folder
        keep us from it, and OSError if the disk fails.
        """
        job = Job(
            job_id=_job_id(claimed_at),
            state=State.QUEUED,
            name=candidate.key.name,
            folder=candidate.key.folder,
            claimed_at=claimed_at,
        )
        refusal = refusals.before_writing(candidate.path.parent, self._spool.home)
        if refusal is not None:
            raise RefusedError(refusal)
        with opened_folder(candidate.path) as folder:
            try:
                with opened(candidate.path, folder) as fd:
                    return self._take(candidate, job, fd, folder)
            except UnsafeError as error:
                # A second name, or a missing right, may be mended in a moment; a link stays a link.
                if candidate.is_regular and candidate.rest is not Rest.OVERDUE:
                    if error.refusal is not None:
                        raise RefusedError(error.refusal) from None
                    return NotYet()
                self._claim(candidate, None, job, folder)
                return Claimed(job, None)

    # -- inside -----------------------------------------------------------------------------

    def _claim(self, candidate: Candidate, fd: int | None, job: Job, folder: int) -> None:
        try:
            self._spool.jobs.claim(candidate.path, fd, job, within=folder)
        except OSError as error:
            path = candidate.path
            refusal = refusals.of_writing(error, path.parent, self._spool.home, path)
            if refusal is None:
                raise
            raise RefusedError(refusal) from error

    def _take(self, candidate: Candidate, job: Job, fd: int, folder: int) -> Claimed | NotYet:
        before = os.fstat(fd)
        if Signature.of(before) != candidate.signature:
            return NotYet()
        if is_open_for_writing(fd):
            return NotYet(written=True)
        if not _is_worth_a_check(candidate.rest, fd, before.st_size):
            return NotYet()
        verdict = self._checker.check(fd)
        flawless = verdict.clean or candidate.rest is not Rest.CLOSED
        if candidate.rest is not Rest.OVERDUE and not (verdict.whole and flawless):
            return NotYet()
        self._claim(candidate, fd, job, folder)
        # A writer's open file follows the rename, and the name may have become another file's:
        # only what is still the same goes by what was found before the claim.
        # Where the disk fails now, the document is claimed all the same, and its check comes later.
        with contextlib.suppress(OSError):
            if self._is_same(job, fd, before, verdict):
                return Claimed(job, self._assessor.decided(job, verdict, fd))
        return Claimed(job, None)

    def _is_same(self, job: Job, fd: int, before: os.stat_result, verdict: Verdict) -> bool:
        after = os.fstat(fd)
        return (
            Signature.of(after) == Signature.of(before)
            and os.path.samestat(after, self._spool.jobs.document(job).lstat())
            and not is_open_for_writing(fd)
            and sha256_of(fd) == verdict.sha256
        )


def _is_worth_a_check(rest: Rest, fd: int, size: int) -> bool:
    """Take a cheap look: of a file at rest only the check tells more, if it may be a PDF at all."""
    match rest:
        case Rest.CLOSED:
            return looks_whole(fd, size)
        case Rest.SETTLED:
            return may_be_pdf(fd)
        case _:
            return True


def _job_id(claimed_at: datetime) -> str:
    """Return an id that sorts by time, is easy to type, and is unique."""
    return f"{claimed_at.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
