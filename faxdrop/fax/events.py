"""What can happen to a fax, and the settings that decide what follows."""

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
        """For how long to wait for a final status."""

    @property
    def reconcile_for(self) -> float:
        """For how long to look in the history for a fax whose answer was lost."""

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

    ``status`` and ``pages`` are those of the attempt's own entry; ``status`` is None while the
    history does not show it. ``waited`` is how much longer, in seconds, sipgate has now answered.

    The rest is for attempts whose answer was lost. ``matches`` are the session ids of entries that
    look like this attempt and belong to no other job; ``doubtful`` are those of entries that could
    also be it, for instance because the number is masked. An incomplete look may have missed
    entries: it proves what is there, never what is not. Matches are certain when all their page
    counts are known: an entry without one may turn out to be another fax. On a shared line, an
    entry may be another root's fax.
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
