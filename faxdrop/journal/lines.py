"""What a line of the journal holds (format ``faxdrop-journal/1``), and how it is written.

A line is one JSON object in UTF-8, without line breaks, ended by a line feed. ``previous`` is the
SHA-256, in hexadecimal, of the whole line before it, including its line feed, so anybody can check
the chain with ``sha256sum``. The very first line of a journal has 64 zeros there.
"""

import hashlib
import json
import os
from typing import Any, Final, Literal

from pydantic import Field

from faxdrop.fax.job import FileName, Instant, Record
from faxdrop.fax.receipt import Receipt
from faxdrop.names.printable import json_shown

FORMAT: Final = "faxdrop-journal/1"
NOTHING_BEFORE: Final = "0" * 64
LONGEST_LINE: Final = 1 << 20  # bytes; ours are some hundred


class LineDocument(Record):
    """A document as it was dropped."""

    name: str
    sha256: str | None
    bytes: int | None
    pages: int | None


class LineRecipient(Record):
    """Whom it was for: the folder's name, and the number that it meant (E.164)."""

    folder: str | None
    number: str | None


class LineAttempt(Record):
    """One submission: when, sipgate's id of it, and how it ended."""

    number: int
    submitted_at: Instant
    session_id: str | None
    outcome: str | None


class EndLine(Record):
    """A document was filed: what an auditor asks for. ``path`` is below the root."""

    event: Literal["sent", "failed"]
    job_id: str
    document: LineDocument
    recipient: LineRecipient
    faxline: str | None
    attempts: tuple[LineAttempt, ...]
    reason: str | None  # the code; None when sent
    claimed_at: Instant
    finished_at: Instant
    path: FileName | None  # None: somebody had taken the document away before this line
    receipt_sha256: str | None  # of the receipt's bytes
    simulated: bool = False
    taken_in: bool = False  # it was filed before there was a journal


class ReportLine(Record):
    """The transmission report of a document that was filed; ``path`` is below the root.

    Its receipt is filed by then. So that a report cannot be made is noted here.
    """

    event: Literal["reported"] = "reported"
    job_id: str
    path: FileName
    sha256: str | None  # None: it cannot be made


class RetryLine(Record):
    """Somebody put a document from failed/ back into the inbox; its receipt was removed."""

    event: Literal["retried"] = "retried"
    job_id: str | None  # of the receipt that was removed; None: there was none to read
    path: FileName
    sha256: str | None  # of the document
    user: str  # who did it, as the system knows them


class HoldLine(Record):
    """Something holds the queue: what it is, in words."""

    event: Literal["held"] = "held"
    what: str
    words: str


class ReleaseLine(Record):
    """A hold has ended."""

    event: Literal["released"] = "released"
    what: str
    words: str
    since: Instant


class Kept(Record):
    """Data that could not be read as lines, kept in a separate file beside the journal."""

    file: str
    bytes: int
    sha256: str


class MendLine(Record):
    """The end of the journal was not as it was left: what was lost, and what was set aside."""

    event: Literal["mended"] = "mended"
    words: str
    kept: tuple[Kept, ...]


class RemovalLine(Record):
    """A document and its receipt were removed when their retention was over."""

    event: Literal["removed"] = "removed"
    job_id: str
    path: FileName
    sha256: str
    receipt_sha256: str


LineContent = EndLine | ReportLine | RetryLine | HoldLine | ReleaseLine | MendLine | RemovalLine


class Head(Record):
    """The end of the chain. Whoever notes it can later check whether lines were cut off."""

    seq: int = 0
    hash: str = Field(default=NOTHING_BEFORE, pattern=r"^[0-9a-f]{64}$")


def line_of(event: LineContent, head: Head, at: str) -> bytes:
    """Return the line that follows the head; ``at`` is an instant in UTC with ``Z``."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "seq": head.seq + 1,
        "at": at,
        **event.model_dump(mode="json"),
        "previous": head.hash,
    }
    line = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return json_shown(line).encode() + b"\n"


def hash_of(line: bytes) -> str:
    """Return the hash of a line, which the next line has as ``previous``."""
    return hashlib.sha256(line).hexdigest()


def ended(receipt: Receipt, data: bytes, path: str | None, *, taken_in: bool = False) -> EndLine:
    """Return the event that a receipt records; ``data`` are its bytes."""
    return EndLine(
        event=receipt.status,
        job_id=receipt.job_id,
        document=LineDocument(
            name=receipt.document.name,
            sha256=receipt.document.sha256,
            bytes=receipt.document.bytes,
            pages=receipt.document.pages,
        ),
        recipient=LineRecipient(folder=receipt.recipient.folder, number=receipt.recipient.number),
        faxline=receipt.faxline,
        attempts=tuple(
            LineAttempt(
                number=attempt.number,
                submitted_at=attempt.submitted_at,
                session_id=attempt.session_id,
                outcome=attempt.outcome,
            )
            for attempt in receipt.attempts
        ),
        reason=receipt.reason.code if receipt.reason else None,
        claimed_at=receipt.claimed_at,
        finished_at=receipt.finished_at,
        path=path,
        receipt_sha256=hash_of(data),
        simulated=receipt.faxdrop.endswith("(simulated)"),
        taken_in=taken_in,
    )


def path_text(path: Any) -> str:
    """Return a path of a line as the file system has it."""
    if isinstance(path, dict) and isinstance(path.get("hex"), str):
        try:
            return os.fsdecode(bytes.fromhex(path["hex"]))
        except ValueError:
            return ""
    return str(path)
