"""Sends notices by apprise, in a process that is ended if it takes too long (see ``sender``)."""

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from faxdrop.apart import Apart, ApartError
from faxdrop.words import N_, _

_SECONDS: Final = 60.0  # for one notice, to all its recipients

_WHY: Final = {
    "address": N_("the address cannot be used"),
    "certificate": N_("the server's certificate is not trusted"),
    "encryption": N_("no encrypted connection was possible"),
    "later": N_("the server asks to try again later"),
    "password": N_("the server refuses the user name or the password"),
    "recipient": N_("the server refuses a recipient"),
    "refused": N_("the server did not accept it"),
    "silent": N_("the server did not answer in time"),
    "unreachable": N_("the server cannot be reached"),
}


class NoticePosting(NamedTuple):
    """The result: who has the notice now (marks, not addresses), and why others have not."""

    taken: tuple[str, ...]
    why: str  # in words for people; "": everybody has it
    is_final: bool = True  # the others were refused, and would be again

    @property
    def done(self) -> bool:
        """Whether everybody has it."""
        return not self.why


class Post:
    """Sends to any address. Thread-safe; one notice at a time."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._sender = Apart("faxdrop.followers.sender")

    def send(
        self,
        address: SecretStr,
        subject: str,
        body: str,
        taken: Collection[str] = (),
        hear: Callable[[tuple[str, ...]], None] = lambda _: None,
    ) -> NoticePosting:
        """Send a notice to all who have not ``taken`` it yet. Never shows an address.

        ``hear`` is called after each recipient with all who have it by then; what it raises is
        raised. A recipient who was being sent to when the time ran out counts as not having it.
        """
        by = list(taken)

        def note(answer: Any) -> None:
            if "taken" in answer:
                by.append(answer["taken"])
                hear(tuple(by))

        question = {
            "url": address.get_secret_value(),
            "subject": subject,
            "body": body,
            "taken": list(taken),
        }
        try:
            answers, whys = self._sender.ask(question, self._seconds, note), []
        except ApartError as broken:
            answers, whys = broken.so_far, ["silent"]
        whys = [each["why"] for each in answers if "why" in each] + whys
        why = _(_WHY.get(whys[0], _WHY["refused"])) if whys else ""
        return NoticePosting(tuple(by), why, all(each == "recipient" for each in whys))

    def close(self) -> None:
        """End the sending without waiting for it; the notice is sent again another time."""
        self._sender.close()
