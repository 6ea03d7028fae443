"""Holding back: when sipgate or the account is in trouble, nothing is tried in a storm."""

from dataclasses import dataclass
from datetime import datetime

_FIRST, _LONGEST = 2.0, 45.0  # seconds between two tries; so recovery shows within a minute


@dataclass(frozen=True)
class Trouble:
    """What holds, for people."""

    words: str
    advice: str
    since: datetime


class Hold:
    """One thing that is tried with growing pauses while it fails. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self.until = 0.0  # not before that
        self._pause = 0.0
        self._is_tried = False  # the next failure is that of a try, made while something held

    def trip(
        self, words: str, advice: str, *, now: float, wall: datetime, told: float | None = None
    ) -> bool:
        """Hold, for as long as told or longer each time; return whether this is news."""
        news = self.trouble is None or self.trouble.words != words
        since = self.trouble.since if self.trouble else wall
        self.trouble = Trouble(words, advice, since)
        # The answers of what was under way together, when the trouble began, count once.
        if self._is_tried or now >= self.until:
            self._is_tried = False
            self._pause = min(max(self._pause * 2, _FIRST), _LONGEST)
            self.until = now + self._pause
        if told is not None:
            self.until = max(self.until, now + told)
        return news

    def release(self) -> Trouble | None:
        """Hold no longer; return what held."""
        trouble, self.trouble = self.trouble, None
        self.until, self._pause, self._is_tried = 0.0, 0.0, False
        return trouble

    def may_try(self, now: float) -> bool:
        """Tell whether a try is allowed now."""
        return self.trouble is None or now >= self.until

    def trying(self, now: float) -> None:
        """Hear that a try begins: while something holds, the next one must wait for its turn."""
        if self.trouble is not None:
            self._is_tried = True
            self.until = now + max(self._pause, _FIRST)
