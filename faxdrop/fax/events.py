"""What can happen to a fax, and the settings that decide what comes of it."""

from dataclasses import dataclass
from typing import Protocol

from faxdrop.fax.job import Facts, Faxed, Reason

SENT, FAILED = "SENT", "FAILED"
"""sipgate's two final values of faxStatusType; every other value means "not final yet"."""


class Policy(Protocol):
    """The settings that decide; durations in seconds."""

    @property
    def attempts(self) -> int:
        """How many submissions a fax is worth."""

    @property
    def give_up_after(self) -> float:
        """For how long a final status is awaited."""

    @property
    def reconcile_for(self) -> float:
        """For how long a lost answer is looked for in the history."""

    @property
    def resend_if_absent(self) -> bool:
        """Whether a fax that the history does not show is submitted again."""

    def delay(self, attempt: int) -> float:
        """How long to wait after a FAILED attempt (1 is the first)."""


@dataclass(frozen=True)
class Checked:
    """The document can be faxed, to this number (E.164) by this fax line."""

    facts: Facts
    number: str
    faxline: str


@dataclass(frozen=True)
class Refused:
    """The document or its number cannot be faxed, or sipgate refused it for good."""

    reason: Reason
    facts: Facts | None = None
    number: str | None = None
    faxline: str | None = None


@dataclass(frozen=True)
class Submitting:
    """The last byte of the POST is about to be sent; ``clock_offset`` as in the attempt."""

    faxed: Faxed
    clock_offset: float | None = None


@dataclass(frozen=True)
class Taken:
    """sipgate answered with a session id."""

    session_id: str


@dataclass(frozen=True)
class NotTaken:
    """It is known that sipgate did not take the fax; try again after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True)
class Changed:
    """The document is not what was checked: not submitted, to be checked again."""


@dataclass(frozen=True)
class AnswerLost:
    """Nobody knows whether sipgate took the fax."""


@dataclass(frozen=True)
class Restarted:
    """The daemon started again and found the job in this state."""


@dataclass(frozen=True)
class Looked:
    """sipgate answered a look at the history.

    ``status`` is that of the attempt's own entry, None while it does not show; ``pages`` is its
    page count. ``waited`` is by how many seconds the time in which sipgate answered has grown.

    The rest is for attempts whose answer was lost. ``matches`` are the session ids of the entries
    that look like this attempt and belong to no other job, ``doubtful`` those of entries that could
    be it all the same, such as one whose number is masked. A look that is not complete may have
    missed entries: it shows what is there, and never that something is not. Matches are certain
    when all their page counts are known: one that is not may turn out to be another fax. On a
    shared line, entries can be the faxes of another root.
    """

    waited: float
    status: str | None = None
    matches: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    is_complete: bool = True
    is_certain: bool = True
    is_shared: bool = False
    pages: int | None = None


@dataclass(frozen=True)
class Cancelled:
    """A person wants no (further) attempt."""


Event = (
    Checked
    | Refused
    | Submitting
    | Taken
    | NotTaken
    | Changed
    | AnswerLost
    | Restarted
    | Looked
    | Cancelled
)
