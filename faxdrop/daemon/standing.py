"""What holds and what waits, in the JSON form of ``status.json``."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from faxdrop.backoff import Trouble
from faxdrop.inbox.looks import Waiting
from faxdrop.names.printable import shown


def utc(at: datetime) -> str:
    """Return an instant as UTC."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def holds(troubles: Mapping[str, Trouble]) -> list[dict[str, object]]:
    """Return what holds, since when, and what to do."""
    return [
        {
            "what": what,
            "words": trouble.words,
            "advice": trouble.advice,
            "since": utc(trouble.since),
        }
        for what, trouble in troubles.items()
    ]


def waits(waiting: Iterable[Waiting]) -> list[dict[str, object]]:
    """Return what files in the inbox wait for, and until when if that is known."""
    return [
        {
            "folder": None if key.folder is None else shown(key.folder),
            "name": shown(key.name),
            "words": words,
            "until": None if until is None else utc(until),
        }
        for key, words, until in waiting
    ]
