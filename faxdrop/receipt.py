"""The receipt that lies beside every document in sent/ and failed/.

Its format is versioned and its bytes are deterministic: the same job gives the same receipt.
"""

from typing import Any, Final, Literal

from pydantic import Field

from faxdrop import __version__
from faxdrop.job import Attempt, Change, Instant, Job, Reason, Record, State, StatusSeen
from faxdrop.names import stored

RECEIPT_FORMAT: Final = "faxdrop-receipt/1"


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


class ReceiptAttempt(Record):
    """One submission to sipgate."""

    number: int
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

    format: Literal["faxdrop-receipt/1"]
    job_id: str
    status: Literal["sent", "failed"]
    reason: Reason | None = Field(description="Null when sent")
    document: ReceiptDocument
    recipient: ReceiptRecipient
    faxline: str | None
    attempts: tuple[ReceiptAttempt, ...]
    claimed_at: Instant
    finished_at: Instant
    faxdrop: str = Field(description="Version that wrote it; (simulated) where no fax was sent")


def make_receipt(job: Job, *, simulated: bool = False) -> Receipt:
    """Return the receipt of a job in a final state; one of a rehearsal says so."""
    if job.finished_at is None:
        raise ValueError(f"job {job.job_id} is {job.state}: not final, so it has no receipt")
    facts = job.document
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
            changes=facts.changes if facts else (),
        ),
        recipient=ReceiptRecipient(
            folder=None if job.folder is None else stored(job.folder), number=job.number
        ),
        faxline=job.faxline,
        attempts=tuple(_receipt_attempt(attempt) for attempt in job.attempts),
        claimed_at=job.claimed_at,
        finished_at=job.finished_at,
        faxdrop=f"{__version__} (simulated)" if simulated else __version__,
    )


def _receipt_attempt(attempt: Attempt) -> ReceiptAttempt:
    return ReceiptAttempt(
        number=attempt.number,
        submitted_at=attempt.submitted_at,
        session_id=attempt.session_id,
        found_in_history=attempt.found,
        outcome=attempt.outcome,
        statuses=attempt.statuses,
    )


def to_bytes(record: Record) -> bytes:
    """Return a record as deterministic, readable JSON with a trailing newline."""
    return record.model_dump_json(indent=2).encode() + b"\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the receipt."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Receipt.model_json_schema(mode="serialization"),
    }
