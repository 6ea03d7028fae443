"""What a look at the machine found, in words that can be written down."""

from enum import StrEnum
from pathlib import Path

from faxdrop.fax.job import Record
from faxdrop.names.printable import shown
from faxdrop.words import _

LISTED = 3  # examples of what there may be very many of


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"  # worth knowing; faxes go out all the same
    FAULT = "fault"  # to be mended; faxes go out all the same
    WRONG = "wrong"  # it would not fax, or not everything


class Finding(Record):
    """One thing that was looked at."""

    topic: str  # config, root, folders, space, events, documents, recipients, sipgate, ...
    level: Level
    words: str
    advice: str = ""  # what to do now


def listing(paths: list[Path]) -> str:
    """Return the first of some paths, and how many more there are."""
    return some([shown(str(path)) for path in paths])


def some(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    text = ", ".join(names[:LISTED])
    if len(names) <= LISTED:
        return text
    return _("{text}, and {count} more").format(text=text, count=len(names) - LISTED)


def finding(topic: str, level: Level, words: str, advice: str = "") -> Finding:
    """Return a finding whose words can be written down, whatever names stand in them."""
    return Finding(topic=topic, level=level, words=shown(words), advice=shown(advice, lines=True))


def ok(topic: str, words: str) -> Finding:
    """Return what is right."""
    return finding(topic, Level.OK, words)


def note(topic: str, words: str, advice: str = "") -> Finding:
    """Return what is worth knowing."""
    return finding(topic, Level.NOTE, words, advice)


def wrong(topic: str, words: str, advice: str = "") -> Finding:
    """Return what keeps faxes."""
    return finding(topic, Level.WRONG, words, advice)
