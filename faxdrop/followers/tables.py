"""The journal as tables for people: a CSV file a month that any spreadsheet opens.

    <root>/journal/2026-11.csv

The journal is the truth and a table only its copy: one that differs, was edited or removed is made
again. UTF-8 with a byte order mark, which spreadsheets need. Cells that a spreadsheet would take
for a formula, and numbers that it would round, begin with an apostrophe, as OWASP advises ("CSV
Injection"). Unprintable characters in names are escaped (see ``names``).
"""

import csv
import errno
import io
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from faxdrop.followers.follower import Follower, Turn
from faxdrop.journal import history
from faxdrop.journal.chain import months_of
from faxdrop.journal.files import read_file
from faxdrop.journal.history import ENDS, part
from faxdrop.journal.lines import path_text
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk
from faxdrop.words import N_, _, number, of_system

HEADINGS = (
    N_("Finished"),
    N_("Result"),
    N_("Reason"),
    N_("Document"),
    N_("Pages"),
    N_("Recipient"),
    N_("Number"),
    N_("Fax line"),
    N_("Attempts"),
    N_("Session ids"),
    N_("Job"),
    "SHA-256",
    N_("Path"),
)
_WIDE = ("\uff1d", "\uff0b", "\uff0d", "\uff20")  # =, +, - and @ as East Asian keyboards write them
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", *_WIDE)
_LONGEST_EXACT = 15  # digits that spreadsheets keep exactly
_BOM = "\ufeff"
_EVERY = 60.0  # seconds
_SAID_FOR = timedelta(days=1)
_EDITED = N_("was changed by somebody; faxdrop wrote it again from the journal")

# Spreadsheets expect a comma between cells where people write a decimal point, else a semicolon.
# Source: the CLDR's decimal symbols, for the larger countries.
_DECIMAL_POINT = frozenset(
    {"AU", "CA", "CN", "GB", "HK", "IE", "IL", "IN", "JP", "KR", "MX", "NZ", "SG", "US"}
)


def separator_of(region: str) -> str:
    """Return the separator of cells in a region."""
    return "," if region in _DECIMAL_POINT else ";"


def for_reading(found: Iterable[dict[str, Any]]) -> bytes:
    """Return ends as a CSV file for a spreadsheet in the language that is set."""
    return table(found, ";" if "," in number(0.5) else ",")


def table(found: Iterable[dict[str, Any]], separator: str) -> bytes:
    """Return ends as a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    writer.writerow([_(heading) for heading in HEADINGS])
    for content in found:
        writer.writerow([_cell(value) for value in _row(content)])
    return (_BOM + text.getvalue()).encode("utf-8", "backslashreplace")


def _row(content: dict[str, Any]) -> Iterator[Any]:
    document = part(content, "document")
    recipient = part(content, "recipient")
    listed = content.get("attempts")
    attempts = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    yield _local(content.get("finished_at"))
    yield _result(content)
    yield history.reason_of(content)
    yield document.get("name")
    yield document.get("pages")
    yield recipient.get("folder")
    yield recipient.get("number")
    yield content.get("faxline")
    yield len(attempts)
    yield " ".join(str(one.get("session_id")) for one in attempts if one.get("session_id"))
    yield content.get("job_id")
    yield document.get("sha256")
    path = content.get("path")
    yield path_text(path) if path is not None else None


def _result(content: dict[str, Any]) -> str:
    found = str(content.get("status", content.get("event")))
    return {"sent": _("sent"), "failed": _("failed")}.get(found, found)


def _cell(value: Any) -> str:
    """Return a cell that shows its value and cannot act as a formula."""
    text = "" if value is None else str(value)
    is_rounded = text.isdigit() and (len(text) > _LONGEST_EXACT or text.startswith("0"))
    defused = text.startswith(_FORMULA) or (is_rounded and text != "0")
    return "'" * defused + shown(text)


def _local(at: Any) -> str:
    """Return an instant as a spreadsheet reads it: the local time, to the second."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime(_("%Y-%m-%d %H:%M:%S"))
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


class Tables(Follower):
    """The CSV files of one root."""

    name = "tables"
    gathers = 5.0  # many lines, one writing of the table

    def __init__(self, root: Path, journal: Path, separator: str, disk: Disk | None = None) -> None:
        self.folder = root / "journal"
        self._journal = journal
        self._separator = separator
        self._disk = disk or Disk()
        self._made: dict[str, tuple[object, object]] = {}  # month -> (its lines, its table)
        self._problems: dict[str, str] = {}
        self._edited_at: dict[Path, datetime] = {}
        self.problem = ""  # why a table could not be written, for people
        self.edited: list[Path] = []  # those that the last refresh found edited by others

    @property
    def problems(self) -> dict[str, str]:
        """Tables that could not be written, and those that were edited in the last day."""
        return self._problems

    def turn(self, now: Turn) -> float:
        """Check all tables, now and every minute: somebody may have edited one."""
        self.refresh()
        self._edited_at |= dict.fromkeys(self.edited, now.at)
        found = {
            shown(str(path)): _(_EDITED)
            for path, at in self._edited_at.items()
            if now.at - at < _SAID_FOR
        }
        if self.problem:
            found[_("The tables of the journal:")] = shown(self.problem)
        self._problems = found
        return _EVERY

    def last(self, now: Turn) -> None:
        """Bring the tables up to the last line."""
        self.turn(now)

    def refresh(self) -> bool:
        """Make again every table that differs from the journal; return whether there was one."""
        done = False
        self.problem, self.edited = "", []
        for month in months_of(self._journal):
            path = self.folder / f"{month}.csv"
            lines, table = _stamp(self._journal / f"{month}.jsonl"), _stamp(path)
            made = self._made.get(month)
            if made == (lines, table):
                continue
            try:
                if self._remake(month, path) and made is not None and table not in (None, made[1]):
                    self.edited.append(path)
            except OSError as error:
                why = of_system(error)
                self.problem = _("{path} could not be written ({why})").format(path=path, why=why)
            else:
                self._made[month] = (lines, _stamp(path))
                done = True
        return done

    def _remake(self, month: str, path: Path) -> bool:
        """Write a table if it differs from the journal; return whether it did."""
        found = (
            line.content
            for line in history.lines(self._journal, month, month)
            if line.content is not None and line.content.get("event") in ENDS
        )
        data = table(found, self._separator)
        if read_file(path, len(data) + 1) == data:
            return False
        if not self.folder.is_dir():
            self._disk.make_folder(self.folder)
        if self.folder.is_symlink():  # people may write here: never follow a link elsewhere
            raise OSError(errno.ELOOP, _("there is a link in its place"), str(self.folder))
        temporary = self.folder / f".{path.name}.tmp"
        temporary.unlink(missing_ok=True)
        fd = self._disk.open_new(temporary)
        try:
            self._disk.write(fd, data)
        finally:
            os.close(fd)
        self._disk.replace(temporary, path)
        return True


def _stamp(path: Path) -> object:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
