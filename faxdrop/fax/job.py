"""The record of one fax: what ``job.json`` in the spool holds.

A job is immutable: every step makes a new one, and the spool records it before the step counts.
The format is versioned (``format``): a reader refuses a version it does not know, so nothing is
lost. Records of version 1 can be read; they are written again as version 2.
"""

import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from faxdrop import words
from faxdrop.fax.reasons import ReasonCode

RECORD_FORMAT: Final = "faxdrop-job/2"
READABLE_FORMATS: Final = ("faxdrop-job/1", RECORD_FORMAT)


class State(StrEnum):
    """Where a fax is in its life (the picture is in the README)."""

    QUEUED = "queued"  # in the spool; to be checked or submitted
    SUBMITTING = "submitting"  # the intent is on disk: the POST may be under way
    ACCEPTED = "accepted"  # sipgate gave a session id; its end is awaited
    UNKNOWN = "unknown"  # submitted, answer lost: the history must tell
    SENT = "sent"  # final: to be filed in sent/
    FAILED = "failed"  # final: to be filed in failed/


FINAL = frozenset({State.SENT, State.FAILED})
ON_ITS_WAY = frozenset({State.SUBMITTING, State.ACCEPTED, State.UNKNOWN})


def _name_from_json(value: Any) -> str:
    """Read a file name: a string, or ``{"hex": ...}`` where its bytes are not UTF-8."""
    if isinstance(value, dict) and set(value) == {"hex"} and isinstance(value["hex"], str):
        return os.fsdecode(bytes.fromhex(value["hex"]))
    if isinstance(value, str):
        return value
    raise ValueError("a file name is a string, or an object with the key hex")


def _name_to_json(name: str) -> str | dict[str, str]:
    try:
        name.encode()
    except UnicodeEncodeError:
        return {"hex": os.fsencode(name).hex()}
    return name


FileName = Annotated[
    str,
    PlainValidator(_name_from_json),
    PlainSerializer(_name_to_json),
    WithJsonSchema({"type": ["string", "object"]}),
]
"""A name as the file system has it. Bytes that are not UTF-8 survive the way to JSON and back."""


def _utc_z(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[AwareDatetime, PlainSerializer(_utc_z, return_type=str, when_used="json")]
"""A wall-clock instant; in JSON it is UTC with ``Z`` and milliseconds."""


class Record(BaseModel):
    """Base of all stored records: immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(Record):
    """Why a document failed, in words for the person at the folder."""

    code: ReasonCode
    message: str  # what happened
    advice: str  # what to do now
    # Of the two above, while the fax lives; its record has it as the job's own.
    language: words.Language = Field(default=words.SOURCE, exclude=True)

    @classmethod
    def said(cls, code: ReasonCode, message: str, advice: str) -> Self:
        """Return a reason whose words are in the language that is set."""
        return cls(code=code, message=message, advice=advice, language=words.language())


Change = Literal["decrypted", "flattened", "repaired", "rasterized"]
"""What was done to the copy that is faxed; ``rasterized``: a page became a picture of itself."""


class Facts(Record):
    """What the document check found; ``changes`` says what was done to the copy that is faxed."""

    sha256: str  # of the document as dropped, hexadecimal
    bytes: int
    pages: int | None  # None: it cannot be read as a PDF
    changes: tuple[Change, ...] = ()


class Faxed(Record):
    """What was handed over to sipgate: the document itself, or the copy that was made of it."""

    sha256: str  # hexadecimal
    bytes: int
    pages: int | None = None  # as sipgate counts them; None: not told (yet)
    changes: tuple[Change, ...] = ()  # what was done to the copy


class StatusSeen(Record):
    """One faxStatusType of sipgate's, and when we first saw it."""

    status: str
    at: Instant


class Attempt(Record):
    """One submission to sipgate."""

    number: int  # 1 is the first
    number_dialled: str | None = None  # E.164
    faxline: str | None = None
    faxed: Faxed | None = None  # None: not known, in records of version 1
    submitted_at: Instant  # just before the last byte of the POST
    clock_offset: float | None = None  # seconds sipgate's clock was ahead of ours, if known
    answered_at: Instant | None = None  # when its outcome was known, or was known to be lost
    session_id: str | None = None
    found: bool = False  # the answer was lost; the session id was found in the history
    suspected: bool = False  # the answer was lost; the history has shown what could be this one
    outcome: str | None = None  # SENT, FAILED, unknown, rejected; None while under way
    statuses: tuple[StatusSeen, ...] = ()
    waited: float = 0.0  # seconds since submission in which sipgate answered our questions


class Job(Record):
    """One document on its way from the inbox to sent/ or failed/."""

    format: Literal["faxdrop-job/2"] = RECORD_FORMAT
    job_id: str
    state: State
    name: FileName  # of the file as dropped
    folder: FileName | None  # the recipient folder; None: it lay directly in inbox/
    claimed_at: Instant
    number: str | None = None  # E.164; where the next attempt goes, or the latest went
    faxline: str | None = None
    document: Facts | None = None  # None until checked
    attempts: tuple[Attempt, ...] = ()
    due_at: Instant | None = None  # queued: not before
    # It is due then because sipgate put it off, not by the config's delays.
    is_put_off: bool = Field(default=False, exclude_if=lambda is_put_off: not is_put_off)
    cancelled: bool = False  # a person wants no further attempt
    even_if_sent: bool = False  # a person wants it faxed, although it is the same again
    reason: Reason | None = None  # failed: why
    # Of the reason's words; of a fax that was sent, that was set then. Records of old have none.
    language: words.Language = Field(
        default=words.SOURCE, exclude_if=lambda language: language == words.SOURCE
    )
    finished_at: Instant | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, record: Any) -> Any:
        """Read a record of version 1: its attempts went to the one number that it had."""
        if not isinstance(record, dict) or record.get("format") != READABLE_FORMATS[0]:
            return record
        attempts = record.get("attempts")
        if isinstance(attempts, list) and all(isinstance(each, dict) for each in attempts):
            faxed = _unchanged(record.get("document"))
            more = {
                "number_dialled": record.get("number"),
                "faxline": record.get("faxline"),
                "faxed": faxed,
            }
            record = {**record, "attempts": [{**each, **more} for each in attempts]}
        return {**record, "format": RECORD_FORMAT}

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None


def _unchanged(document: Any) -> dict[str, Any] | None:
    """Return what was faxed of a document that needed no copy; None where one was made."""
    if not isinstance(document, dict) or document.get("changes"):
        return None
    return {"sha256": document.get("sha256"), "bytes": document.get("bytes")}
