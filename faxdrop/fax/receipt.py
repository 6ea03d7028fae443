"""The receipt that lies beside every document in sent/ and failed/.

Its format is versioned and its bytes are deterministic: the same job gives the same receipt.
Receipts of version 1 can be read too; in memory they become version 2.
"""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from faxdrop import __version__
from faxdrop.fax.job import Attempt, Change, Instant, Job, Reason, Record, State, StatusSeen
from faxdrop.names.printable import json_shown, stored

RECEIPT_FORMAT: Final = "faxdrop-receipt/2"
READABLE_FORMATS: Final = ("faxdrop-receipt/1", RECEIPT_FORMAT)


class ReceiptDocument(Record):
    """The document as it was dropped."""

    name: str = Field(description="File name as dropped")
    sha256: str | None = Field(description="Of the file's bytes; null if it could not be read")
    bytes: int | None = Field(description="Size of the file")
    pages: int | None = Field(description="Null if the file could not be read as a PDF")
    changes: tuple[Change, ...] = Field(
        description="What was done to the copy that was faxed; the file itself is untouched"
    )


class ReceiptRecipient(Record):
    """Where the document was to go."""

    folder: str | None = Field(description="Recipient folder; null if the file lay in inbox/")
    number: str | None = Field(description="E.164; null if the folder names no fax number")


class ReceiptFaxed(Record):
    """What was really handed over to sipgate: the document, or the copy that was made of it."""

    sha256: str = Field(description="Of its bytes")
    bytes: int
    pages: int | None = Field(description="As sipgate counts them; null if it did not say")


class ReceiptAttempt(Record):
    """One submission to sipgate."""

    number: int = Field(description="1 is the first")
    number_dialled: str | None = Field(description="E.164; null if not known")
    faxline: str | None
    submitted_at: Instant
    session_id: str | None = Field(description="sipgate's id of the fax; null if never known")
    found_in_history: bool = Field(
        description="The answer was lost; the fax was found in sipgate's history"
    )
    outcome: str | None = Field(
        description="SENT and FAILED as sipgate says; rejected; unknown; no_final_status"
    )
    statuses: tuple[StatusSeen, ...] = Field(description="Every status, and when it was first seen")


class Receipt(Record):
    """What became of one document."""

    format: Literal["faxdrop-receipt/2"]
    job_id: str
    status: Literal["sent", "failed"]
    reason: Reason | None = Field(description="Null when sent")
    document: ReceiptDocument
    faxed: ReceiptFaxed | None = Field(
        description="Of the latest attempt; null if there was none, or it is not known"
    )
    recipient: ReceiptRecipient
    faxline: str | None
    attempts: tuple[ReceiptAttempt, ...]
    claimed_at: Instant
    finished_at: Instant
    clock_set_back: float | None = Field(
        description="Seconds by which this machine's clock was set back meanwhile, as far as it "
        "shows; an instant that would lie before an earlier one stands as that one. Null if never"
    )
    report: str | None = Field(
        description="Name of the transmission report that is made beside it, or null"
    )
    language: str = Field(description="Of the reason's words; sent: the one that was set")
    faxdrop: str = Field(description="Version that wrote it; (simulated) where no fax was sent")

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, receipt: Any) -> Any:
        """Read a receipt of version 1: its attempts went to the one number that it has."""
        if not isinstance(receipt, dict) or receipt.get("format") != READABLE_FORMATS[0]:
            return receipt
        more: dict[str, Any] = {
            "format": RECEIPT_FORMAT,
            "faxed": None,
            "clock_set_back": None,
            "report": None,
            "language": "en",
        }
        attempts, recipient = receipt.get("attempts"), receipt.get("recipient")
        if isinstance(recipient, dict) and isinstance(attempts, list):
            dialled = {
                "number_dialled": recipient.get("number"),
                "faxline": receipt.get("faxline"),
            }
            each = [{**one, **dialled} if isinstance(one, dict) else one for one in attempts]
            more = {**more, "attempts": each}
        return {**receipt, **more}


def make_receipt(job: Job, *, simulated: bool = False, report: str | None = None) -> Receipt:
    """Return the receipt of a job in a final state; one of a rehearsal says so.

    ``report`` is the name of the report that is made beside it.
    """
    if job.finished_at is None:
        raise ValueError(f"job {job.job_id} is {job.state}: not final, so it has no receipt")
    facts = job.document
    faxed = job.attempts[-1].faxed if job.attempts else None
    changes = faxed.changes if faxed else facts.changes if facts else ()
    times = _InOrder(job.claimed_at)
    attempts = tuple(_receipt_attempt(attempt, times) for attempt in job.attempts)
    finished_at = times.next(job.finished_at)
    return Receipt(
        format=RECEIPT_FORMAT,
        job_id=job.job_id,
        status="sent" if job.state is State.SENT else "failed",
        reason=job.reason,
        document=ReceiptDocument(
            name=stored(job.name),
            sha256=facts.sha256 if facts else None,
            bytes=facts.bytes if facts else None,
            pages=facts.pages if facts else None,
            changes=changes,
        ),
        faxed=ReceiptFaxed(sha256=faxed.sha256, bytes=faxed.bytes, pages=faxed.pages)
        if faxed
        else None,
        recipient=ReceiptRecipient(
            folder=None if job.folder is None else stored(job.folder), number=job.number
        ),
        faxline=job.faxline,
        attempts=attempts,
        claimed_at=job.claimed_at,
        finished_at=finished_at,
        clock_set_back=times.set_back or None,
        report=report,
        language=job.language,
        faxdrop=f"{__version__} (simulated)" if simulated else __version__,
    )


class _InOrder:
    """Instants of a clock that may be set back: none is shown earlier than the one before it."""

    def __init__(self, first: datetime) -> None:
        self._latest = first
        self.set_back = 0.0  # seconds, the most that was seen

    def next(self, at: datetime) -> datetime:
        """Return an instant as the receipt shows it."""
        self.set_back = max(self.set_back, (self._latest - at).total_seconds())
        self._latest = max(self._latest, at)
        return self._latest


def _receipt_attempt(attempt: Attempt, times: _InOrder) -> ReceiptAttempt:
    return ReceiptAttempt(
        number=attempt.number,
        number_dialled=attempt.number_dialled,
        faxline=attempt.faxline,
        submitted_at=times.next(attempt.submitted_at),
        session_id=attempt.session_id,
        found_in_history=attempt.found,
        outcome=attempt.outcome,
        statuses=tuple(
            StatusSeen(status=seen.status, at=times.next(seen.at)) for seen in attempt.statuses
        ),
    )


def to_bytes(record: Record) -> bytes:
    """Return a record as deterministic, readable JSON with a trailing newline.

    What is not printable in a name is escaped: people open receipts in a terminal, too.
    """
    return json_shown(record.model_dump_json(indent=2)).encode() + b"\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the receipt."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Receipt.model_json_schema(mode="serialization"),
    }
