"""What callers of the client get: answers, faxes in the history, the account."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faxdrop.sipgate.outcome import Outcome


@dataclass(frozen=True)
class Answer:
    """An outcome, with words for people: what happened, and advice if there is any."""

    outcome: Outcome
    session_id: str | None
    status: int | None  # None: no answer came
    words: str  # one line, no secrets
    retry_after: float | None  # seconds, 1 to 3600; None: the server did not say
    advice: str = ""


class Unreachable(Exception):  # noqa: N818 - the state of things, not an error of ours
    """A question brought no usable answer. ``answer.outcome`` is HOLD or LATER."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.words)
        self.answer = answer


@dataclass(frozen=True)
class Entry:
    """One outgoing fax in sipgate's history."""

    session_id: str
    target: str  # the number as sipgate writes it: in E.164 or localized
    status: str  # faxStatusType, an open set; "" where there is none
    created: datetime | None  # UTC, by sipgate's clock
    pages: int | None
    faxlines: tuple[str, ...]
    archived: bool


class History(list[Entry]):
    """The entries that were found, each once.

    ``complete`` is false if there may be others: the list was cut off, changed while it was read,
    or held something unreadable. Only a complete history proves that a fax is *not* there.
    """

    complete: bool = True


@dataclass(frozen=True)
class AccountFaxline:
    """A fax line of the account."""

    id: str
    alias: str
    can_send: bool


@dataclass(frozen=True)
class AccountReport:
    """What the token may see of its account; None for what it may not."""

    user: str
    faxlines: tuple[AccountFaxline, ...] | None
    balance: Decimal | None
    currency: str | None
