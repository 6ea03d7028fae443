"""What sipgate's answers say of time: its clock, and how long to wait."""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from faxdrop.sipgate.transport import Reply

LONGEST_DELAY = 3600.0  # seconds; a longer Retry-After is cut to it
_EARLIEST, _LATEST = 1577836800.0, 4102444800.0  # 2020 and 2100: the dates that are believed


class ServerClock:
    """sipgate's clock, as its answers show it.

    ``wall`` is the wall clock in seconds, which may be set at any time; ``monotonic`` one that is
    never set.
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead: float | None = None  # sipgate's clock, of the monotonic one

    @property
    def offset(self) -> float | None:
        """By how many seconds sipgate's clock is ahead of ``wall``; None until an answer says."""
        if self._ahead is None:
            return None
        return self._ahead + self._monotonic() - self._wall()

    def learn(self, reply: Reply) -> None:
        """Take the date of an answer that could be read: that of any other may be some portal's."""
        at = _date(reply.headers.get("Date"))
        if reply.status == HTTPStatus.OK and at is not None and _EARLIEST <= at < _LATEST:
            self._ahead = at - self._monotonic()

    def retry_after(self, reply: Reply) -> float | None:
        """Return for how many seconds an answer asks to wait, 1 to 3600; None: it does not say."""
        text = reply.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            seconds = float(text)
        elif (until := _date(text)) is not None:
            now = _date(reply.headers.get("Date"))
            seconds = until - (self._wall() if now is None else now)
        else:
            return None
        return min(max(seconds, 1.0), LONGEST_DELAY)


def _date(text: str | None) -> float | None:
    """Return the seconds since 1970 of an HTTP date; None for anything else."""
    try:
        at = parsedate_to_datetime(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
