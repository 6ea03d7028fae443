"""What the people who fax can see for themselves: the shared folders, and nothing of the spool.

The spool is closed to them, since what is on its way to others is not for everybody. This is the
``faxdrop status`` of a member of the group.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from faxdrop.config.settings import InboxSettings
from faxdrop.fax.job import Instant, Record
from faxdrop.inbox.scan import Inbox
from faxdrop.names.printable import shown
from faxdrop.spool.places import RECEIPT_SUFFIX, receipt_path
from faxdrop.spool.root import Spool
from faxdrop.words import _

SHARED_FORMAT: Final = "faxdrop-shared/1"
_LATEST = 10  # documents of a folder that are listed
_LONGEST_RECEIPT = 1 << 20  # bytes


class Lying(Record):
    """A document in one of the shared folders."""

    folder: str | None  # the recipient folder; None: none
    name: str
    since: Instant | None
    words: str  # of a failed one: why, and what to do


class Shared(Record):
    """What lies in the shared folders."""

    format: Literal["faxdrop-shared/1"]
    root: str
    inbox: tuple[Lying, ...]
    sent: int
    failed: int
    latest_failed: tuple[Lying, ...]  # the newest first


def look(spool: Spool, settings: InboxSettings) -> Shared:
    """Look at the shared folders. Raises OSError where they are not there or must not be read."""
    inbox = Inbox(spool.inbox, settings)
    inbox.scan(0.0, everything=True)
    waiting = [
        _lying(inbox.root / (key.folder or "") / key.name, key.folder, _("in the inbox"))
        for key in inbox.waiting_files(most=inbox.waiting)
    ]
    failed = sorted(_documents(spool.failed), key=lambda one: one[0], reverse=True)
    return Shared(
        format=SHARED_FORMAT,
        root=shown(str(spool.root)),
        inbox=tuple(waiting),
        sent=sum(1 for _ in _documents(spool.sent)),
        failed=len(failed),
        latest_failed=tuple(
            _lying(path, path.parent.name if path.parent != spool.failed else None, _why(path))
            for _, path in failed[:_LATEST]
        ),
    )


def _documents(top: Path) -> Iterator[tuple[float, Path]]:
    """Yield the documents that have a receipt, each with the time at which that was written."""
    for folder, _folders, names in os.walk(top):
        receipts = {name for name in names if name.endswith(RECEIPT_SUFFIX)}
        for name in receipts:
            document = name.removesuffix(RECEIPT_SUFFIX)
            if document in names:
                path = Path(folder, document)
                yield _written_at(path.with_name(name)) or 0.0, path


def _lying(path: Path, folder: str | None, words: str) -> Lying:
    at = _written_at(receipt_path(path)) or _written_at(path)
    return Lying(
        folder=None if folder is None else shown(folder),
        name=shown(path.name),
        since=None if at is None else datetime.fromtimestamp(at, UTC),
        words=words,
    )


def _written_at(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:
        return None


def _why(document: Path) -> str:
    """Return why a document failed, in its receipt's words."""
    receipt = receipt_path(document)
    try:
        with receipt.open("rb") as file:
            reason = json.loads(file.read(_LONGEST_RECEIPT))["reason"]
        return shown(f"{reason['message']} {reason['advice']}".strip())
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return _("its receipt cannot be read")
