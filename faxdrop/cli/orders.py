"""What a person can order: to fax a document again, or to cancel a fax.

A running daemon carries the order out; if none runs, the command does, under the daemon's lock.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Any

from faxdrop.fax.events import Cancelled, Policy
from faxdrop.fax.job import FINAL, Job, State
from faxdrop.fax.lifecycle import advance
from faxdrop.fax.reasons import PERHAPS_SENT
from faxdrop.journal.lines import RetryLine
from faxdrop.names.printable import shown
from faxdrop.spool.places import RECEIPT_SUFFIX, SpoolError, document_reported
from faxdrop.spool.root import Spool
from faxdrop.words import _, of_system


class OrderError(Exception):
    """An order that cannot be carried out; the text says why and what to do."""


class UnknownJobError(OrderError):
    """There is no such job."""


class PerhapsSentError(OrderError):
    """The fax may have arrived already: a person must confirm to fax it again."""


class Cancellation(Enum):
    """The result of an order to cancel a fax."""

    CANCELLED = auto()  # it is not faxed (again)
    REST = auto()  # it is with sipgate; no further attempt is made
    ASKED = auto()  # the daemon is busy with it, and cancels it afterwards
    TOO_LATE = auto()  # it had already ended


@dataclass(frozen=True)
class Answered:
    """The result of a cancellation, and its job."""

    what: Cancellation
    job: Job
    filed: Path | None = None  # where it lies now, if it is filed


def retry(
    spool: Spool,
    file: Path,
    *,
    even_if_sent: bool = False,
    user: str = "",
    note: Callable[[RetryLine], None] = lambda _: None,
) -> Path:
    """Put a document from failed/ back into its inbox, and return its path there.

    ``file`` may also be its receipt. ``note`` is called once it is back, and hears which ``user``
    ordered that. Raises OrderError. Raises PerhapsSentError if no receipt rules out that the fax
    arrived, unless ``even_if_sent``.
    """
    document = document_of(file)
    try:
        receipt = spool.filing.receipt_in_failed(document)
        if not even_if_sent and (why := _perhaps_sent(receipt)):
            raise PerhapsSentError(
                _(
                    "{document} may have been sent already ({why}). Ask the recipient, or check "
                    "the sipgate account."
                ).format(document=shown(str(document)), why=why)
            )
        if even_if_sent:
            spool.filing.want_again(document)
        target = spool.filing.put_back(document)
    except SpoolError as error:
        raise OrderError(shown(str(error))) from None
    except OSError as error:
        raise OrderError(f"{shown(str(error.filename or document))}: {of_system(error)}") from None
    note(_retried(spool, document, receipt, user))
    return target


def _retried(spool: Spool, document: Path, receipt: dict[str, Any], user: str) -> RetryLine:
    job_id, about = receipt.get("job_id"), receipt.get("document")
    sha256 = about.get("sha256") if isinstance(about, dict) else None
    return RetryLine(
        job_id=job_id if isinstance(job_id, str) else None,
        path=str((document.parent.resolve() / document.name).relative_to(spool.root.resolve())),
        sha256=sha256 if isinstance(sha256, str) else None,
        user=user,
    )


def document_of(file: Path) -> Path:
    """Return the document of a file: itself, or the one whose receipt or report it is."""
    reported = document_reported(file)
    if reported is not None:
        return reported
    if file.name.endswith(RECEIPT_SUFFIX):
        document = file.with_name(file.name.removesuffix(RECEIPT_SUFFIX))
        if os.path.lexists(document):
            return document
    return file


def _reason(receipt: dict[str, Any]) -> str | None:
    reason = receipt.get("reason")
    return str(reason.get("code")) if isinstance(reason, dict) else None


def _perhaps_sent(receipt: dict[str, Any]) -> str:
    """Return why a document may have been sent, "" if its receipt rules that out."""
    code = _reason(receipt)
    if code is None:
        return _("no receipt says what became of it")
    if code in PERHAPS_SENT:
        return code
    attempts = receipt.get("attempts")
    each = attempts if isinstance(attempts, list) else []
    if any(isinstance(one, dict) and one.get("outcome") == "unknown" for one in each):
        return _("the answer to an earlier attempt was lost")
    return ""


def cancel(
    spool: Spool, job_id: str, policy: Policy, *, now: datetime, pause: Callable[[], bool]
) -> Answered:
    """Cancel a fax, as far as that is possible.

    Asks a running daemon, and calls ``pause`` until the daemon has answered or ``pause`` returns
    False: it took too long. Raises UnknownJobError if there is no such job, and OSError.
    """
    if not spool.is_locked():
        try:
            spool.open()
        except SpoolError:
            if not spool.is_locked():
                raise
        else:
            try:
                return _cancelled_here(spool, _find(spool, job_id), policy, now)
            finally:
                spool.close()
    job = _find(spool, job_id)
    spool.notes.ask_to_cancel(job.job_id)
    while (known := _known(spool, job)) is None and pause():
        pass
    return known or Answered(Cancellation.ASKED, job)


def _cancelled_here(spool: Spool, job: Job, policy: Policy, now: datetime) -> Answered:
    if job.state in FINAL:
        return Answered(Cancellation.TOO_LATE, job)
    after = advance(job, Cancelled(), now, policy)
    spool.jobs.record(after)
    if after.state in FINAL:
        return Answered(Cancellation.CANCELLED, after, spool.filing.file_away(after))
    return Answered(Cancellation.REST, after)


def _known(spool: Spool, before: Job) -> Answered | None:
    """Return the daemon's answer, None as long as there is none."""
    after = next((job for job in spool.jobs.all() if job.job_id == before.job_id), None)
    if after is None:
        filed = spool.filing.find_filed(before)
        failed = filed is not None and filed.is_relative_to(spool.failed)
        receipt = spool.filing.receipt_in_failed(filed) if filed and failed else {}
        cancelled = _reason(receipt) == "cancelled"
        return Answered(
            Cancellation.CANCELLED if cancelled else Cancellation.TOO_LATE, before, filed
        )
    if after.state is State.FAILED and after.cancelled:
        return Answered(Cancellation.CANCELLED, after)
    if after.state in FINAL:
        return Answered(Cancellation.TOO_LATE, after)
    return Answered(Cancellation.REST, after) if after.cancelled else None


def _find(spool: Spool, job_id: str) -> Job:
    for job in spool.jobs.all():
        if job.job_id == job_id:
            return job
    raise UnknownJobError(
        _("No document with the job id '{job_id}' is on its way.").format(job_id=shown(job_id))
    )
