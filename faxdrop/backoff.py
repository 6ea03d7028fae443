"""Backoff: while sipgate or the account is in trouble, tries become rarer."""

from dataclasses import dataclass
from datetime import datetime

_FIRST, _LONGEST = 2.0, 45.0  # seconds between two tries; so recovery shows within a minute


@dataclass(frozen=True)
class Trouble:
    """What holds, for people."""

    words: str
    advice: str
    since: datetime
    cause: str = ""  # the system's words for it, if an error of the system holds


class Hold:
    """One hold: what fails is tried with growing pauses. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self.until = 0.0  # not before that
        self._pause = 0.0
        self._is_tried = False  # the next failure is that of a try, made while something held

    def trip(
        self, words: str, advice: str, *, now: float, wall: datetime, told: float | None = None
    ) -> bool:
        """Hold, for as long as asked, else longer each time; return whether the hold is new."""
        news = self.trouble is None or self.trouble.words != words
        since = self.trouble.since if self.trouble else wall
        self.trouble = Trouble(words, advice, since)
        # Failures of requests that were under way together when the trouble began count once.
        if self._is_tried or now >= self.until:
            self._is_tried = False
            self._pause = min(max(self._pause * 2, _FIRST), _LONGEST)
            self.until = now + self._pause
        if told is not None:
            self.until = max(self.until, now + told)
        return news

    def release(self) -> Trouble | None:
        """End the hold; return what it was, None if there was none."""
        trouble, self.trouble = self.trouble, None
        self.until, self._pause, self._is_tried = 0.0, 0.0, False
        return trouble

    def may_try(self, now: float) -> bool:
        """Return whether a try is allowed now."""
        return self.trouble is None or now >= self.until

    def trying(self, now: float) -> None:
        """Note that a try begins: while something holds, the next one must wait for its turn."""
        if self.trouble is not None:
            self._is_tried = True
            self.until = now + max(self._pause, _FIRST)
