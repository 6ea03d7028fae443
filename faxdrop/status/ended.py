"""What ended: the documents that lie in failed/, and those that were sent today.

Failures are read from failed/ itself: people take away what they have dealt with. What was sent
today is read from the end of the journal, because sent/ may hold years. Receipts lie where people
may put anything, so nothing in them is trusted, and folders are opened without following links.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from heapq import nlargest
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from faxdrop.fax.job import Instant, Record
from faxdrop.journal.history import latest, part
from faxdrop.journal.lines import path_text
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Folder, opened_folder
from faxdrop.spool.places import RECEIPT_SUFFIX, read_receipt, report_of
from faxdrop.words import _

LATEST: Final = 50  # documents of a kind that are listed one by one
_LONGEST_TEXT: Final = 2000  # characters of a receipt's sentence


class Filed(Record):
    """One document that ended, as its receipt tells."""

    folder: str | None  # the recipient folder; None: not in one
    name: str
    number: str | None  # E.164
    at: Instant | None  # when it ended; None: unknown
    code: str | None  # the reason's; None when sent
    message: str  # what happened
    advice: str  # what to do now
    document: str | None  # relative to the root, percent-encoded; None: taken away
    report: str | None  # the transmission report, likewise; None: there is none


class LatestFiled(Record):
    """How many there are, and the newest of them, the newest first."""

    number: int
    latest: tuple[Filed, ...]


class _Lying(NamedTuple):
    written_ns: int  # its receipt's time stamp
    folder: str | None
    name: str


def failed(root: Path, most: int = LATEST) -> LatestFiled:
    """Return what lies in failed/, ordered by the time at which each receipt was written.

    What cannot be read is skipped.
    """
    with ExitStack() as stack:
        try:
            top = stack.enter_context(opened_folder(root / "failed"))
        except OSError:
            return LatestFiled(number=0, latest=())
        lying = list(_lying(top))
        newest = nlargest(most, lying, key=lambda one: one.written_ns)
        return LatestFiled(number=len(lying), latest=tuple(_filed(top, one) for one in newest))


def stamp(root: Path) -> object:
    """Return a value that changes when a document enters or leaves failed/; None: not known."""
    try:
        with opened_folder(root / "failed") as top:
            return [
                (name, os.stat(name, dir_fd=top.fd, follow_symlinks=False).st_mtime_ns)
                for name in (".", *sorted(top.names()))
            ]
    except OSError:  # somebody changes it at this moment
        return None


def sent_today(root: Path, journal: Path, now: datetime, most: int = LATEST) -> LatestFiled:
    """Return what was sent since local midnight, from the journal."""
    today = now.astimezone().date()
    number, newest = 0, list[dict[str, Any]]()
    with suppress(OSError):  # a journal that cannot be read is reported elsewhere
        for content in latest(journal):
            if _day(content.get("at")) != today:
                break
            if content.get("event") == "sent" and _day(content.get("finished_at")) == today:
                number += 1
                if len(newest) < most:
                    newest.append(content)
    with ExitStack() as stack:
        top = None
        with suppress(OSError):
            top = stack.enter_context(opened_folder(root / "sent"))
        return LatestFiled(
            number=number, latest=tuple(_of_line(top, content) for content in newest)
        )


def _lying(top: Folder) -> Iterator[_Lying]:
    """Yield the documents with a receipt in failed/ and in its folders."""
    yield from _lying_in(top, None)
    for name in _names(top):
        if top.kind(name) == stat.S_IFDIR:
            with suppress(OSError), opened_folder(top.path / name, top) as folder:
                yield from _lying_in(folder, name)


def _lying_in(place: Folder, folder: str | None) -> Iterator[_Lying]:
    names = {*_names(place)}
    for receipt in names:
        name = receipt.removesuffix(RECEIPT_SUFFIX)
        if name == receipt or name not in names:
            continue
        with suppress(OSError):
            status = os.stat(receipt, dir_fd=place.fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield _Lying(status.st_mtime_ns, folder, name)


def _names(place: Folder) -> list[str]:
    try:
        return place.names()
    except OSError:
        return []


def _filed(top: Folder, one: _Lying) -> Filed:
    with ExitStack() as stack:
        receipt: dict[str, Any] = {}
        place = None
        with suppress(OSError):
            place = stack.enter_context(_within(top, one.folder))
            receipt = read_receipt(place, one.name)
        reason, recipient = part(receipt, "reason"), part(receipt, "recipient")
        at = _instant(receipt.get("finished_at"))
        if at is None:
            with suppress(OverflowError, OSError, ValueError):
                at = datetime.fromtimestamp(one.written_ns / 1e9, UTC)
        return Filed(
            folder=None if one.folder is None else shown(one.folder),
            name=shown(one.name),
            number=_text(recipient.get("number")) or None,
            at=at,
            code=_text(reason.get("code")) or None,
            message=_text(reason.get("message")) or _("Its receipt cannot be read."),
            advice=_text(reason.get("advice")),
            document=_address(place, "failed", one.folder, one.name),
            report=_address(place, "failed", one.folder, _report(receipt, one.name)),
        )


def _of_line(top: Folder | None, content: dict[str, Any]) -> Filed:
    """Return the sent document of a journal line."""
    recipient, document = part(content, "recipient"), part(content, "document")
    place, folder, name, receipt = None, None, None, dict[str, Any]()
    path = content.get("path")
    parts = PurePosixPath(path_text(path)).parts if path is not None else ()
    with ExitStack() as stack:
        if top is not None and len(parts) in (2, 3) and parts[0] == "sent" and ".." not in parts:
            folder, name = parts[1] if parts[2:] else None, parts[-1]
            with suppress(OSError):
                place = stack.enter_context(_within(top, folder))
                receipt = read_receipt(place, name)
        return Filed(
            folder=_text(recipient.get("folder")) or None,
            name=shown(name) if name else _text(document.get("name")),
            number=_text(recipient.get("number")) or None,
            at=_instant(content.get("finished_at")),
            code=None,
            message="",
            advice="",
            document=_address(place, "sent", folder, name),
            report=_address(place, "sent", folder, _report(receipt, name)),
        )


@contextmanager
def _within(top: Folder, folder: str | None) -> Iterator[Folder]:
    if folder is None:
        yield top
        return
    with opened_folder(top.path / folder, top) as inner:
        yield inner


def _report(receipt: dict[str, Any], name: str | None) -> str | None:
    """Return the name of the report beside a document, None if its receipt names none."""
    return report_of(name) if name is not None and receipt.get("report") else None


def _address(place: Folder | None, top: str, folder: str | None, name: str | None) -> str | None:
    """Return where a browser finds a file, None where there is no such file.

    It opens exactly this file, whatever its name: all but letters, digits and ``_.-~`` is encoded.
    """
    if place is None or name is None:
        return None
    with suppress(OSError):
        if place.kind(name) == stat.S_IFREG:
            parts = [top, name] if folder is None else [top, folder, name]
            return "/".join(quote(os.fsencode(part), safe="") for part in parts)
    return None


def _text(value: Any) -> str:
    """Return a sentence or a name that is safe to show, "" where there is none."""
    return shown(value)[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _instant(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _day(value: Any) -> Any:
    """Return the local day of an instant, None for anything else."""
    at = _instant(value)
    return None if at is None else at.astimezone().date()
