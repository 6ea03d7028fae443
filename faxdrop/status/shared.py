"""What the people who fax can see for themselves: the shared folders, but not the spool.

The spool is closed to them, because what others are faxing is not for everybody. This is the
``faxdrop status`` of a member of the group.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from faxdrop.config.settings import InboxSettings
from faxdrop.fax.job import Instant, Record
from faxdrop.inbox.scan import Inbox
from faxdrop.names.printable import shown
from faxdrop.spool.places import RECEIPT_SUFFIX
from faxdrop.spool.root import Spool
from faxdrop.status import ended
from faxdrop.words import _

SHARED_FORMAT: Final = "faxdrop-shared/1"
_LATEST = 10  # documents of a folder that are listed


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
    """Look at the shared folders. Raises OSError if they are missing or may not be read."""
    inbox = Inbox(spool.inbox, settings)
    inbox.scan(0.0, everything=True)
    waiting = [
        Lying(
            folder=None if key.folder is None else shown(key.folder),
            name=shown(key.name),
            since=_written_at(inbox.root / (key.folder or "") / key.name),
            words=_("in the inbox"),
        )
        for key in inbox.waiting_files(most=inbox.waiting)
    ]
    failed = ended.failed(spool.root, _LATEST)
    return Shared(
        format=SHARED_FORMAT,
        root=shown(str(spool.root)),
        inbox=tuple(waiting),
        sent=_number(spool.sent),
        failed=failed.number,
        latest_failed=tuple(
            Lying(
                folder=one.folder,
                name=one.name,
                since=one.at,
                words=f"{one.message} {one.advice}".strip(),
            )
            for one in failed.latest
        ),
    )


def _number(top: Path) -> int:
    """Return how many documents have a receipt."""
    return sum(
        receipt.removesuffix(RECEIPT_SUFFIX) in names
        for _folder, _folders, found in os.walk(top)
        for names in ({*found},)
        for receipt in names
        if receipt.endswith(RECEIPT_SUFFIX)
    )


def _written_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None
