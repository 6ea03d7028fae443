"""Reads the journal, and what was filed: changes nothing, needs no daemon and no lock.

It may read a copy that somebody tampered with: nothing is trusted, and what is no valid line is
passed on as such.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from faxdrop.fax.receipt import Receipt
from faxdrop.journal.chain import content_of, months_of
from faxdrop.journal.files import read_file, walk
from faxdrop.journal.lines import LONGEST_LINE, hash_of, path_text
from faxdrop.names.printable import shown
from faxdrop.spool.disk import open_ordinary
from faxdrop.spool.places import LONGEST_RECEIPT, RECEIPT_SUFFIX, receipt_path

ENDS = ("sent", "failed")
"""The events that are the end of a document."""

_BLOCK = 1 << 16  # bytes
_SHORTEST = 28  # days of a month
_NOT_DIGITS = re.compile(r"\D")
_NOT_DIALLED = re.compile(r"[^\d\s+()/.-]")  # in no phone number


class StoredLine(NamedTuple):
    """One line as it is in its file; ``content`` is None if it is no line of a journal."""

    file: str
    number: int  # in its file; 1 is the first
    raw: bytes  # its line feed included
    content: dict[str, Any] | None


def lines(folder: Path, since: str = "", until: str = "9999-99") -> Iterator[StoredLine]:
    """Yield the lines of some months (``2026-11``), the oldest first. Raises OSError."""
    for month in _months(folder, since, until):
        for number, raw in enumerate(_raw_lines(month), 1):
            yield StoredLine(month.name, number, raw, content_of(raw))


def _months(folder: Path, since: str, until: str) -> Iterator[Path]:
    for month in months_of(folder):
        if since <= month <= until:
            yield folder / f"{month}.jsonl"


def _raw_lines(month: Path) -> Iterator[bytes]:
    """Yield the lines of a file; a line that is too long to be ours comes in pieces."""
    with open_ordinary(month) as file:
        while raw := file.readline(LONGEST_LINE):
            yield raw


def latest(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the lines say, the newest first; what is no line is passed over. Raises OSError.

    Reads no more than it yields, but for some kilobytes: a long journal costs a reader of its end
    nothing.
    """
    for month in reversed(months_of(folder)):
        with open_ordinary(folder / f"{month}.jsonl") as file:
            for raw in _backwards(file):
                if (content := content_of(raw)) is not None:
                    yield content


def _backwards(file: Any) -> Iterator[bytes]:
    """Yield the lines of a file, the last first; pieces of what is too long to be one of ours."""
    at = file.seek(0, os.SEEK_END)
    rest = b""  # the beginning of it stands before what was read
    while at > 0:
        size = min(at, _BLOCK)
        at = file.seek(at - size)
        first, *whole = (file.read(size) + rest).split(b"\n")
        yield from (raw for raw in reversed(whole) if raw)
        rest = first[:LONGEST_LINE]
    if rest:
        yield rest


@dataclass(frozen=True)
class Filter:
    """Which ends are wanted; a field that is None or empty does not filter."""

    since: date | None = None  # local days, both included
    until: date | None = None
    to: str = ""  # part of the recipient's folder or number
    status: str = ""  # sent or failed
    reason: str = ""

    def months(self) -> tuple[str, str]:
        """Return the months in which wanted lines may stand.

        A line is in the month in which it was written, which may be later than its fax. Days are
        local, so the lines of the first day may be in the month before.
        """
        return _month_before(self.since) if self.since else "", "9999-99"

    def wants(self, content: dict[str, Any]) -> bool:
        """Return whether the end that a line or a receipt records is wanted."""
        if self.status and content.get("status", content.get("event")) != self.status:
            return False
        if self.reason and reason_of(content) != self.reason:
            return False
        if self.to and not self._is_to(content.get("recipient")):
            return False
        if self.since is None and self.until is None:
            return True
        day = _local_day(content.get("finished_at"))
        if day is None:
            return False
        return (self.since is None or self.since <= day) and (
            self.until is None or day <= self.until
        )

    def _is_to(self, recipient: Any) -> bool:
        if not isinstance(recipient, dict):
            return False
        folder, number = str(recipient.get("folder") or ""), str(recipient.get("number") or "")
        digits = _NOT_DIGITS.sub("", self.to).lstrip("0")
        is_number = bool(digits) and not _NOT_DIALLED.search(self.to)
        return self.to.casefold() in folder.casefold() or (is_number and digits in number)


def ends(folder: Path, wanted: Filter) -> Iterator[dict[str, Any]]:
    """Yield the lines of the wanted documents that ended, oldest first."""
    has_to_say = f'"{wanted.status}"'.encode() if wanted.status else b""
    for month in _months(folder, *wanted.months()):
        for raw in _raw_lines(month):
            if has_to_say not in raw:
                continue  # without reading it: that is what takes the time
            content = content_of(raw)
            if content is not None and content.get("event") in ENDS and wanted.wants(content):
                yield content


def ends_of_receipts(places: Iterable[Path], wanted: Filter) -> Iterator[dict[str, Any]]:
    """Yield what the receipts say, in no order; for roots whose journal cannot be read."""
    for place in places:
        for folder, names in walk(place):
            for name in sorted(names):
                data = (
                    read_file(folder / name, LONGEST_LINE)
                    if name.endswith(RECEIPT_SUFFIX)
                    else None
                )
                receipt = _receipt_in(data) if data is not None else None
                if receipt is not None and wanted.wants(receipt):
                    yield {
                        **receipt,
                        "path": shown(str(folder / name.removesuffix(RECEIPT_SUFFIX))),
                    }


def _receipt_in(data: bytes) -> dict[str, Any] | None:
    try:
        return Receipt.model_validate_json(data).model_dump(mode="json")
    except ValidationError:
        return None


def reason_of(content: Mapping[str, Any]) -> str | None:
    """Return the reason code of a line, or of a receipt."""
    reason = content.get("reason")
    code = reason.get("code") if isinstance(reason, dict) else reason
    return code if isinstance(code, str) else None


def summary(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, int]]]:
    """Count ends and their pages: ``{"month": {"2026-11": {"sent": 3, "failed": 1, "pages": 7}}}``.

    The other two tables are ``recipient`` and ``outcome`` (sent, or the reason code). Pages are
    those of documents that were sent.
    """
    counted: dict[tuple[str, str, str, str], list[int]] = {}  # number of ends, of pages
    for content in found:
        recipient = content.get("recipient")
        recipient = recipient if isinstance(recipient, dict) else {}
        status = str(content.get("status", content.get("event")))
        of = (
            status,
            _local_month(content.get("finished_at")),
            str(recipient.get("folder") or recipient.get("number") or ""),
            "sent" if status == "sent" else str(reason_of(content)),
        )
        counts = counted.setdefault(of, [0, 0])
        counts[0] += 1
        document = content.get("document")
        pages = document.get("pages") if isinstance(document, dict) and status == "sent" else 0
        counts[1] += pages if isinstance(pages, int) else 0
    tables: dict[str, dict[str, dict[str, int]]] = {"month": {}, "recipient": {}, "outcome": {}}
    for (status, *rows), (ends_, pages) in counted.items():
        for table, row in zip(tables.values(), rows, strict=True):
            total = table.setdefault(row, {"sent": 0, "failed": 0, "pages": 0})
            total[status] = total.get(status, 0) + ends_
            total["pages"] += pages
    return tables


def _local_day(at: Any) -> date | None:
    try:
        return _day_of(at[:13], int(at[14:16]) // 15)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _local_month(at: Any) -> str:
    month = _month_of(at[:10]) if isinstance(at, str) else None
    if month is None and (day := _local_day(at)) is not None:
        month = f"{day:%Y-%m}"
    return month or ""


@lru_cache(1 << 16)
def _month_of(day: str) -> str | None:
    """Return the month of a day in UTC; None if it hangs on the hour, or this is no day."""
    try:
        known = date.fromisoformat(day)
    except ValueError:
        return None
    return f"{known:%Y-%m}" if 1 < known.day < _SHORTEST else None


@lru_cache(1 << 16)
def _day_of(hour: str, quarter: int) -> date:
    """Return the local day of a quarter of an hour in UTC: in all of it, it is the same."""
    return datetime.fromisoformat(f"{hour}:{15 * quarter:02}+00:00").astimezone().date()


def _month_before(day: date) -> str:
    return f"{day.year - (day.month == 1)}-{(day.month - 2) % 12 + 1:02}"


def part(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object in a line or a receipt, {} if there is none."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def sha256_in(content: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of the document in a line, None if it names none."""
    sha256 = part(content, "document").get("sha256")
    return sha256 if isinstance(sha256, str) else None


def place_of(root: Path, content: Mapping[str, Any]) -> Path | None:
    """Return where the document of an end was filed, None if the line names no such place."""
    path = content.get("path")
    if path is None:
        return None
    within = Path(path_text(path))
    is_ours = within.parts[:1] in (("sent",), ("failed",)) and ".." not in within.parts
    return root / within if is_ours else None


def receipt_as_filed(document: Path, content: Mapping[str, Any]) -> bytes | None:
    """Return the receipt beside a document if it still is the one of its line, else None."""
    receipt = read_file(receipt_path(document), LONGEST_RECEIPT)
    is_it = receipt is not None and hash_of(receipt) == content.get("receipt_sha256")
    return receipt if is_it else None
