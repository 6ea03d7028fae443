"""The heartbeat: a GET to an address every few minutes; to its ``/fail`` while something holds.

The service behind the address (healthchecks.io and its like) raises the alarm when no heartbeat
arrives. So it also notices a machine that is gone, which nothing on that machine could report. The
address is a secret: in no log and no error. No redirect is followed, as that could leak it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import requests
import structlog
from pydantic import SecretStr

from faxdrop.followers.follower import Follower, Turn
from faxdrop.words import _
from faxdrop.workers import Bounded

log = structlog.stdlib.get_logger(__name__)

_EVERY: Final = 180.0  # seconds
_HELD_FOR: Final = timedelta(minutes=1)  # a shorter hold is no failure
_TIMEOUT: Final = 10.0  # seconds, for the connection and for the answer
_LONGEST: Final = 30.0  # seconds for all of it, however slowly its server drips
_SOON: Final = 5.0  # seconds until the loop has said how things stand


class Heartbeat(Follower):
    """Sends the heartbeat of a config."""

    name = "heartbeat"

    def __init__(
        self, url: SecretStr, monotonic: Callable[[], float], longest: float = _LONGEST
    ) -> None:
        self._url = url
        self._longest = longest
        self._bounded = Bounded()
        self._monotonic = monotonic
        self._asked_at = float("-inf")  # monotonic
        self._was_well: bool | None = None
        self._why = ""

    @property
    def problems(self) -> dict[str, str]:
        """Why the last heartbeat did not arrive, if it did not."""
        return {_("The heartbeat:"): self._why} if self._why else {}

    def turn(self, now: Turn) -> float:
        """Send a heartbeat if it is time, or if the health has changed."""
        if not now.standing:
            return _SOON
        since = [_instant(hold["since"]) for hold in now.standing.get("holds", ())]
        is_well = not since or now.at - min(since) < _HELD_FOR
        until = self._asked_at + _EVERY - self._monotonic()
        if until > 0 and is_well == self._was_well:
            if since and is_well:
                until = min(until, (min(since) + _HELD_FOR - now.at).total_seconds())
            return max(until, 1.0)
        self._asked_at, self._was_well = self._monotonic(), is_well
        try:
            why = self._bounded.call(partial(self._ask, is_well=is_well), self._longest)
        except TimeoutError:
            why = _("Its server does not answer in time.")
        if why and why != self._why:
            log.warning("heartbeat.failed", why=why)
        self._why = why
        # Not a growing pause: the service would take it for our end.
        return _EVERY if is_well and not since else _HELD_FOR.total_seconds()

    def _ask(self, *, is_well: bool) -> str:
        """Send one; return in words why it did not arrive, "" if it did."""
        url = self._url.get_secret_value()
        if not is_well:
            parts = urlsplit(url)
            url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/fail"))
        try:
            with requests.get(url, timeout=_TIMEOUT, allow_redirects=False, stream=True) as answer:
                if answer.is_redirect:
                    return _("Its server redirects to another address: use that one.")
                if not answer.ok:
                    return _("Its server answers {status}.").format(status=answer.status_code)
        except requests.exceptions.SSLError:
            return _("Its server's certificate is not trusted.")
        except requests.exceptions.Timeout:
            return _("Its server does not answer in time.")
        except (requests.RequestException, OSError, ValueError):  # their texts name the address
            return _("Its server cannot be reached.")
        return ""


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
