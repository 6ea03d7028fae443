"""The result of a document's check, and the limits of the check: plain data, no PDF reader.

The daemon imports this; the reader itself runs in a process of its own (see ``checker``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field, model_validator

from faxdrop.fax.job import Facts, Reason, Record
from faxdrop.fax.reasons import ReasonCode
from faxdrop.words import N_, SOURCE, Language, _, language, number


@dataclass(frozen=True)
class Limits:
    """What one document may cost."""

    max_bytes: int  # of the document, and of the copy that is faxed
    max_pages: int
    forms: Literal["flatten", "reject"] = "flatten"
    seconds: float = 30.0  # of wall-clock time for one look at one document
    memory: int = 1 << 30  # bytes of address space beyond what the empty reader has
    language: Language = field(default_factory=language)  # of the words on it


class Verdict(Record):
    """What the check of a document found; it has ``facts`` or a ``reason``, never both.

    A document that is not ``whole`` may still be arriving: the verdict is then the one that holds
    if it stays like that.
    """

    sha256: str  # of the file as is, hexadecimal; "" if it is too large to be hashed in the time
    bytes: int  # of the file as is
    whole: bool = False  # nothing of it is missing: more waiting will not change the verdict
    clean: bool = False  # read without a single repair: it can be claimed as soon as it is closed
    pages: int | None = None  # None: not known
    facts: Facts | None = None  # it can be faxed; ``changes`` says what its copy needs or has had
    reason: Reason | None = None  # it cannot be faxed as it stands
    killed: bool = False  # the reader was killed from outside: nothing is known of the document
    copy_sha256: str | None = None  # of the copy that ``prepare`` wrote; None: it wrote none
    unjudged: int = 0  # pages of the copy that could not be compared with the original
    provisional: bool = False  # holds if the reader breaks down while it judges the copy
    language: Language = Field(default_factory=language)  # of the reason's words

    @model_validator(mode="before")
    @classmethod
    def _of_json(cls, verdict: Any) -> Any:
        """Tell a reason that comes as JSON in which language it is."""
        reason = verdict.get("reason") if isinstance(verdict, dict) else None
        if not isinstance(reason, dict):
            return verdict
        spoken = verdict.get("language", SOURCE)
        return {**verdict, "reason": {**reason, "language": spoken}}

    @property
    def is_flawless(self) -> bool:
        """Whether there is nothing to say about it: its reader may read another document."""
        return self.clean and self.reason is None


DAMAGED_ADVICE = N_(
    "Open it in a PDF viewer; if it looks right there, print it to a new PDF and drop that."
)


Announce = Callable[[Verdict], None]
"""Told what holds should the reader break down from here on; the last one told counts."""


def crashed(sha256: str, size: int) -> Verdict:
    """Return the verdict on a document that makes the reader itself break down."""
    return _unreadable(sha256, size, _("The PDF crashed the program that reads it."))


def too_slow(sha256: str, size: int, seconds: float) -> Verdict:
    """Return the verdict on a document that the reader does not finish in its time."""
    return _unreadable(
        sha256,
        size,
        _("The PDF could not be read within {seconds} seconds.").format(seconds=number(seconds)),
    )


def killed(sha256: str, size: int, times: int) -> Verdict:
    """Return the verdict on a document whose reader is killed from outside every time."""
    reason = Reason.said(
        ReasonCode.TOO_LARGE,
        _(
            "The PDF could not be read: the program that reads it was killed {times} times, as "
            "happens when a machine runs out of memory."
        ).format(times=times),
        _(
            "The PDF itself may be fine. Give the machine more memory (its log names what was "
            "killed), or print the document to a smaller PDF; then try again."
        ),
    )
    return Verdict(sha256=sha256, bytes=size, reason=reason, killed=True)


def _unreadable(sha256: str, size: int, message: str) -> Verdict:
    reason = Reason.said(ReasonCode.DAMAGED_PDF, message, _(DAMAGED_ADVICE))
    return Verdict(sha256=sha256, bytes=size, reason=reason)
