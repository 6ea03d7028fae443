"""What a verification can find, and what it has found."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from faxdrop.journal.lines import NOTHING_BEFORE


class Flaw(StrEnum):
    """What can be wrong."""

    LINE_UNREADABLE = "line_unreadable"
    LINE_ALTERED = "line_altered"
    LINES_MISSING = "lines_missing"
    LINES_REORDERED = "lines_reordered"
    HEAD_MISSING = "head_missing"
    DOCUMENT_ALTERED = "document_altered"
    DOCUMENT_MISSING = "document_missing"
    DOCUMENTS_EXCHANGED = "documents_exchanged"
    RECEIPT_ALTERED = "receipt_altered"
    RECEIPT_MISSING = "receipt_missing"
    REPORT_ALTERED = "report_altered"
    REPORT_MISSING = "report_missing"
    STRANGE_RECEIPT = "strange_receipt"
    STRANGE_FILE = "strange_file"
    GONE = "gone"
    UNREADABLE = "unreadable"
    STAMP_WRONG = "stamp_wrong"


class Discrepancy(NamedTuple):
    """Something that is not as faxdrop left it."""

    kind: Flaw
    where: str  # a path, or a line of the journal
    words: str


@dataclass
class Verification:
    """What a verification found."""

    findings: list[Discrepancy] = field(default_factory=list)
    lines: int = 0
    documents: int = 0  # that are as they were faxed
    moved: int = 0  # of these, how many lie elsewhere than where they were filed
    removed: int = 0  # by retention
    unfinished: int = 0  # that are being filed or reported on: their lines come next
    unmade: int = 0  # reports that could not be made
    stamps: int = 0  # time stamps of an authority that hold
    stamped_at: datetime | None = None  # the latest of them, by the authority's word
    unchecked_stamps: int = 0  # there is nothing installed to check them with
    head_seq: int = 0
    head_hash: str = NOTHING_BEFORE

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings
