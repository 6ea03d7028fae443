"""Followers that note what they are given, fail when told to, or never end."""

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from pydantic import SecretStr

from faxdrop.config.settings import Config
from faxdrop.followers.cursor import Line
from faxdrop.followers.follower import Follower, FollowerError, LineFollower, Turn
from faxdrop.followers.post import NoticePosting, Post
from tests.kit.breaking import Steps


class Memory(LineFollower):
    """Notes each end in a list that outlives it, before or after it fails."""

    name = "memory"

    def __init__(self, told: list[Any], fails: Callable[[Line], bool] = lambda _: False) -> None:
        self.told = told
        self.fails = fails
        self.tries = 0

    def take(self, line: Line) -> None:
        """Note the document's name, or fail."""
        self.tries += 1
        if self.fails(line):
            raise FollowerError("not now")
        self.told.append(line.content["document"]["name"])


class Endless(Follower):
    """Has a turn that never ends by itself."""

    def __init__(self, name: str = "endless") -> None:
        self.name = name
        self.begun = threading.Event()
        self._over = threading.Event()

    def turn(self, now: Turn) -> None:
        """Hang until it is stopped."""
        del now
        self.begun.set()
        self._over.wait()

    def stop(self) -> None:
        """Let the turn return."""
        self._over.set()


class Looker(Follower):
    """Notes how things stand at each of its turns."""

    name = "looker"

    def __init__(self, every: float | None = None) -> None:
        self.every = every
        self.seen: list[Turn] = []
        self.last_words: list[Turn] = []

    def turn(self, now: Turn) -> float | None:
        """Look."""
        self.seen.append(now)
        return self.every

    def last(self, now: Turn) -> None:
        """Look once more."""
        self.last_words.append(now)


def only(*followers: Follower) -> Callable[[Config], Iterable[Follower]]:
    """Return a function that lets only these follow, whatever the config says."""
    return lambda _config: followers


class Letterbox(Post):
    """Takes every notice in this process and keeps it in ``mails``: subject, text."""

    def __init__(self, steps: Steps | None = None) -> None:
        super().__init__()
        self.mails: list[tuple[str, str]] = []
        self._steps = steps or Steps()  # at which it crashes

    def send(
        self,
        address: SecretStr,
        subject: str,
        body: str,
        taken: Collection[str] = (),
        hear: Callable[[tuple[str, ...]], None] = lambda _: None,
    ) -> NoticePosting:
        """Take it."""
        del address, taken, hear
        self._steps.step("send")
        self.mails.append((subject, body))
        self._steps.step("sent")
        return NoticePosting(("all",), "")

    @property
    def subjects(self) -> list[str]:
        """The subjects of all notices, in order."""
        return [subject for subject, _ in self.mails]
