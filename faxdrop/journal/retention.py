"""Retention: removes what was kept long enough, and leaves a line in the journal for each.

A document is removed only if it still is the one that was faxed, beside the receipt that faxdrop
wrote, and never if nobody knows whether it arrived. The line is durable before the first file is
removed; what a crash leaves over is removed the next time.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from faxdrop.fax.reasons import PERHAPS_SENT
from faxdrop.journal import history
from faxdrop.journal.chain import Journal
from faxdrop.journal.files import sha256_of
from faxdrop.journal.history import ENDS, place_of, receipt_as_filed, sha256_in
from faxdrop.journal.lines import RemovalLine
from faxdrop.spool.disk import Disk
from faxdrop.spool.places import receipt_path, report_of


class Periods(NamedTuple):
    """How long documents are kept, in seconds; None: for ever."""

    sent: float | None = None
    failed: float | None = None


class Expired(NamedTuple):
    """A document whose time is over."""

    job_id: str
    document: Path
    sha256: str
    receipt_sha256: str
    is_noted: bool  # its line is in the journal; a crash left the files
    report: Path | None  # beside it


def expired(root: Path, journal: Path, periods: Periods, now: datetime) -> Iterator[Expired]:
    """Yield the documents to remove. Raises OSError if the journal cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    noted: set[str] = set()
    reports: dict[str, str] = {}  # job id -> SHA-256
    for line in history.lines(journal):
        content = line.content or {}
        job_id = content.get("job_id")
        if content.get("event") in ENDS and isinstance(job_id, str):
            found[job_id] = content
        elif content.get("event") == "reported" and content.get("sha256") is not None:
            reports[str(job_id)] = str(content.get("sha256"))
        elif content.get("event") == "removed":
            noted.add(str(job_id))
        elif content.get("event") == "retried":
            found.pop(str(job_id), None)
    for job_id, content in found.items():
        if _is_over(content, periods, now):
            one = _as_left(
                root, job_id, content, is_noted=job_id in noted, report=reports.get(job_id)
            )
            if one is not None:
                yield one


def remove(one: Expired, root: Path, journal: Journal, disk: Disk) -> None:
    """Remove a document, its report and its receipt. Raises OSError; can be repeated."""
    if not one.is_noted:
        journal.append(
            RemovalLine(
                job_id=one.job_id,
                path=str(one.document.relative_to(root)),
                sha256=one.sha256,
                receipt_sha256=one.receipt_sha256,
            )
        )
    with contextlib.suppress(FileNotFoundError):  # a crash came behind it
        disk.remove(one.document)
    if one.report is not None:
        with contextlib.suppress(FileNotFoundError):
            disk.remove(one.report)
    disk.remove(receipt_path(one.document))


def _is_over(content: dict[str, Any], periods: Periods, now: datetime) -> bool:
    if history.reason_of(content) in PERHAPS_SENT:
        return False
    period = periods.sent if content["event"] == "sent" else periods.failed
    try:
        finished_at = datetime.fromisoformat(content["finished_at"])
    except (KeyError, TypeError, ValueError):
        return False
    return period is not None and now - finished_at >= timedelta(seconds=period)


def _as_left(
    root: Path, job_id: str, content: dict[str, Any], *, is_noted: bool, report: str | None
) -> Expired | None:
    """Return a document that is as faxdrop left it, None for every other.

    ``report`` is the SHA-256 of its report, None if there is none.
    """
    place, sha256 = place_of(root, content), sha256_in(content)
    wanted = content.get("receipt_sha256")
    if place is None or sha256 is None or not isinstance(wanted, str):
        return None
    if receipt_as_filed(place, content) is None:
        return None
    is_gone = is_noted and sha256_of(place) is None
    if not is_gone and sha256_of(place) != sha256:
        return None
    beside = place.with_name(report_of(place.name))
    found = None if report is None else sha256_of(beside)
    if found is not None and found != report:
        return None
    return Expired(job_id, place, sha256, wanted, is_noted, None if found is None else beside)
