"""Decides about a document in the spool: not complete yet, to be faxed to a number, or refused.

The check itself runs in a process of its own (see ``checker``).
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from faxdrop.config.settings import Config
from faxdrop.documents.checker import Checker
from faxdrop.documents.opening import (
    Signature,
    UnsafeError,
    is_open_for_writing,
    opened,
    opened_folder,
)
from faxdrop.documents.verdict import Limits, Verdict
from faxdrop.fax.events import Checked, Refused
from faxdrop.fax.job import Facts, Job, Reason
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.recipient import AddressBook, Recipient, RecipientError
from faxdrop.spool.disk import sha256_of
from faxdrop.spool.root import Spool
from faxdrop.words import _


class NotYet(NamedTuple):
    """A document is not complete yet; ``written``: somebody has it open for writing."""

    written: bool = False


class Assessor:
    """Assesses documents by one config. Thread-safe; each document belongs to one thread."""

    def __init__(
        self,
        spool: Spool,
        checker: Checker,
        book: AddressBook,
        *,
        faxline: str,
        patience: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._checker = checker
        self._book = book
        self._faxline = faxline
        self._patience = patience
        self._monotonic = monotonic
        self._at_rest: dict[str, tuple[Signature, float]] = {}  # job id -> unchanged since

    def check(self, job: Job) -> Checked | Refused | NotYet:
        """Check a document in the spool that must be checked again: after a crash, or a change."""
        path = self._spool.jobs.document(job)
        try:
            with opened_folder(path) as folder, opened(path, folder) as fd:
                return self._check(job, fd)
        except UnsafeError as error:
            return Refused(error.reason)

    def decided(self, job: Job, verdict: Verdict, fd: int) -> Checked | Refused:
        """Return the event for a job that follows from the verdict on its open document."""
        facts = verdict.facts or Facts(
            sha256=verdict.sha256 or sha256_of(fd), bytes=verdict.bytes, pages=verdict.pages
        )
        if verdict.reason is not None:
            return self._refused(job, verdict.reason, facts)
        try:
            recipient = self._recipient(job)
        except RecipientError as error:
            return Refused(error.reason, facts)
        return Checked(facts, recipient.number, recipient.faxline or self._faxline)

    # -- inside -----------------------------------------------------------------------------

    def _check(self, job: Job, fd: int) -> Checked | Refused | NotYet:
        if is_open_for_writing(fd):
            return NotYet()
        now, signature = self._monotonic(), Signature.of(os.fstat(fd))
        known, since = self._at_rest.get(job.job_id, (None, now))
        if known != signature:  # whether it is at rest, the next look tells
            self._at_rest[job.job_id] = (signature, now)
            return NotYet()
        verdict = self._checker.check(fd)
        if Signature.of(os.fstat(fd)) != signature:
            return NotYet()
        if not verdict.whole and now - since < self._patience:
            return NotYet()
        self._at_rest.pop(job.job_id, None)
        return self.decided(job, verdict, fd)

    def _refused(self, job: Job, reason: Reason, facts: Facts | None) -> Refused:
        """Return the refusal; a wrong recipient comes before a wrong document."""
        try:
            recipient = self._recipient(job)
        except RecipientError as error:
            return Refused(error.reason, facts)
        return Refused(reason, facts, recipient.number, recipient.faxline or self._faxline)

    def _recipient(self, job: Job) -> Recipient:
        if job.folder is None:
            raise RecipientError(
                ReasonCode.RECIPIENT_UNKNOWN,
                _("The file lay directly in the inbox, so nobody knows whom to fax it to."),
                _(
                    "Put it into a folder in the inbox that is named after an address book entry "
                    "or a fax number, for instance +49 211 1234567."
                ),
            )
        return self._book.resolve(job.folder)


def limits_of(config: Config) -> Limits:
    """Return what a document may cost."""
    documents = config.documents
    return Limits(
        max_bytes=documents.max_bytes,
        max_pages=documents.max_pages,
        forms=documents.forms,
        language=config.language,
    )
