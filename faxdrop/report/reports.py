"""Makes the report of each filed document, and puts it beside the document.

A follower of the journal: the fax has ended, the document is filed, and nothing waits for this. The
receipt names its report from the beginning, so a missing report is made as soon as it can be: after
a crash, or when the disk has room again.

    .faxdrop/report.draft     the report that is about to be moved beside its document

The order is: write the whole draft to disk; append a line ``reported`` with its SHA-256 to the
journal; move the draft to its place. So a crash leaves no report or a whole one. A file in a
report's place that does not match its line was put there, or altered, by somebody else.

A report that cannot be made has a line ``reported`` without a SHA-256, is named in status for a
day, and holds up no other.
"""

import contextlib
import io
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from faxdrop.config.settings import Config
from faxdrop.documents.checker import Checker
from faxdrop.fax.receipt import Receipt
from faxdrop.followers.cursor import Line
from faxdrop.followers.follower import Follower, FollowerError, Turn, done_lines, words_of
from faxdrop.journal.history import ENDS, part, place_of
from faxdrop.journal.lines import ReportLine, hash_of
from faxdrop.names.printable import shown
from faxdrop.report import order
from faxdrop.report.content import compose
from faxdrop.report.order import UnmadeError
from faxdrop.report.recipients import number_of
from faxdrop.sipgate import Sipgate
from faxdrop.spool.disk import Disk, Folder, opened_file, opened_folder, read_file, sha256_of
from faxdrop.spool.home import home_of
from faxdrop.spool.places import REPORT_DRAFT, read_receipt_bytes, report_in
from faxdrop.words import _

log = structlog.stdlib.get_logger(__name__)

FETCH_SECONDS = 6.0  # for sipgate's own report: with two tries to make ours, 20 s in all
_SAID_FOR = timedelta(days=1)
_MOST_BYTES = 64 << 20  # of a document; a longer one is never faxed
_FINAL = ("SENT", "FAILED")  # the outcomes for which sipgate makes a report


class _Wanted(NamedTuple):
    """A report to make."""

    folder: Folder  # where the document lies
    document: str
    name: str  # of the report
    receipt: bytes


class Reports(Follower):
    """Makes the reports that a config wants. Owns ``sipgate`` and ``maker``, and closes them."""

    name = "reports"
    from_start = True  # a lost cursor must not cost a receipt its report

    def __init__(
        self, config: Config, sipgate: Sipgate, maker: Checker, disk: Disk | None = None
    ) -> None:
        self._config = config
        self._sipgate = sipgate
        self._maker = maker
        self._disk = disk or Disk()
        self._draft = home_of(config.root) / REPORT_DRAFT
        # By job, in lines that are not done yet: the SHA-256; None: it cannot be made.
        self._reported: dict[str, str | None] | None = None
        self._unmade: dict[str, datetime] = {}  # documents, and when that was found out
        self._failing = 0  # seq of the line that was tried last
        self._stopped = threading.Event()

    def turn(self, now: Turn) -> None:
        """Make all reports that are missing."""
        if self._reported is None:
            self._reported = {
                str(line.content.get("job_id")): line.content.get("sha256")
                for line in now.cursor.lines()
                if line.content.get("event") == "reported"
            }
        reported = self._reported

        def take(line: Line) -> bool:
            self._failing = line.head.seq
            return self._take(line, now, reported)

        self._unmade = {path: at for path, at in self._unmade.items() if now.at - at < _SAID_FOR}
        for line in done_lines(now.cursor, take):
            reported.pop(str(line.content.get("job_id")), None)

    def give_up(self, now: Turn) -> str:
        """Skip a report that could not be put in its place."""
        for line in now.cursor.lines():
            if line.head.seq >= self._failing:
                now.cursor.done(line)
                return words_of(line)
        return ""

    def stop(self) -> None:
        """Close the connection to sipgate and the maker."""
        self._stopped.set()
        self._sipgate.close()
        self._maker.close()

    @property
    def problems(self) -> dict[str, str]:
        """The documents of the last day whose report could not be made."""
        words = _(
            "has no transmission report: it could not be made. `faxdrop report` with its path "
            "tries again."
        )
        return dict.fromkeys(self._unmade, words)

    # -- inside -----------------------------------------------------------------------------

    def _take(self, line: Line, now: Turn, reported: dict[str, str | None]) -> bool:
        """Put the report of an end beside its document; return whether there was one to make.

        Raises OSError and FollowerError if it should be tried again.
        """
        place = self._place(line.content)
        if place is None or line.content.get("taken_in"):
            return False
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(opened_folder(place.parent))
            except (FileNotFoundError, NotADirectoryError):  # a person moved it away
                return False
            receipt = read_receipt_bytes(folder, place.name)
            if receipt is None or hash_of(receipt) != line.content.get("receipt_sha256"):
                return False  # by now the place is another document's, or nobody's
            name = _named(receipt, place.name)
            if name is not None:
                self._report(_Wanted(folder, place.name, name, receipt), line, now, reported)
            return name is not None

    def _report(
        self, wanted: "_Wanted", line: Line, now: Turn, reported: dict[str, str | None]
    ) -> None:
        job_id = str(line.content.get("job_id"))
        if job_id in reported:  # a crash followed its line
            if reported[job_id] is not None and _hash_of_file(self._draft) == reported[job_id]:
                self._put(wanted)
            return
        place = wanted.folder.path / wanted.name
        if wanted.folder.kind(wanted.name) is not None:
            log.warning("report.name_taken", job=job_id, file=shown(str(place)))
            return
        path = str(place.relative_to(self._config.root))
        try:
            made = self._made(wanted, line.content)
        except UnmadeError as error:
            why = type(error.__cause__ or error).__name__
            log.warning("report.not_made", job=job_id, why=why, advice="try `faxdrop report`")
            now.append(ReportLine(job_id=job_id, path=path, sha256=None))
            reported[job_id] = None
            self._unmade[shown(str(wanted.folder.path / wanted.document))] = now.at
            return
        if made is None:
            return
        self._write(made)
        sha256 = hash_of(made)
        now.append(ReportLine(job_id=job_id, path=path, sha256=sha256))
        reported[job_id] = sha256
        self._put(wanted)
        log.info("report.made", job=job_id, bytes=len(made))

    def _place(self, content: dict[str, Any]) -> Path | None:
        """Return where the document of an end was filed, None if it was taken away before that."""
        return place_of(self._config.root, content) if content.get("event") in ENDS else None

    def _made(self, wanted: "_Wanted", content: dict[str, Any]) -> bytes | None:
        """Return the report, None if its document is gone. Raises UnmadeError."""
        receipt, folder = wanted.receipt, wanted.folder
        read = Receipt.model_validate_json(receipt)
        sha256 = part(content, "document").get("sha256")
        drawn = read_file(folder, wanted.document, _MOST_BYTES)
        if drawn is None and folder.kind(wanted.document) is None:
            return None
        if drawn is not None and sha256 is not None and hash_of(drawn) != sha256:
            return None
        words = compose(
            read,
            sender=self._config.report.sender,
            book_number=number_of(
                read.recipient.folder, self._config.recipients, self._config.region
            ),
        )
        theirs = self._theirs(read)
        is_drawn = drawn is not None and read.document.pages is not None
        try:
            return self._asked(words, receipt, drawn if is_drawn and drawn else b"", theirs)
        except (UnmadeError, TimeoutError):
            log.warning("report.without_picture", job=read.job_id)
        try:
            return self._asked(words, receipt, b"", b"")
        except TimeoutError as error:
            raise UnmadeError from error

    def _asked(self, words: Any, receipt: bytes, drawn: bytes, theirs: bytes) -> bytes:
        if self._stopped.is_set():
            raise FollowerError(_("It was ended because faxdrop is stopping."))
        try:
            return order.report(self._maker, words, receipt, io.BytesIO(drawn), theirs)
        finally:
            if self._stopped.is_set():  # it may have started again after that
                self._maker.close()

    def _theirs(self, receipt: Receipt) -> bytes:
        """Return sipgate's own report, b"" if there is none to be had."""
        last = receipt.attempts[-1] if receipt.attempts else None
        if last is None or last.session_id is None or last.outcome not in _FINAL:
            return b""
        begun = time.monotonic()
        found = self._sipgate.report(last.session_id, FETCH_SECONDS)
        if found is None:
            log.info("report.none_of_sipgate", job=receipt.job_id, after=time.monotonic() - begun)
        return found or b""

    def _write(self, made: bytes) -> None:
        """Write the whole draft to disk."""
        self._draft.unlink(missing_ok=True)
        try:
            self._disk.write_new(self._draft, made)
        except OSError:
            with contextlib.suppress(OSError):  # on a full disk this frees its room
                self._draft.unlink(missing_ok=True)
            raise

    def _put(self, wanted: "_Wanted") -> None:
        """Move the draft to its place, unless the document was taken away meanwhile."""
        folder, name = wanted.folder, wanted.name
        try:
            self._disk.move(self._draft, folder.path / name, into=folder.fd)
        except FileExistsError:  # verify reports it
            log.warning("report.name_taken", file=shown(str(folder.path / name)))
            return
        self._disk.sync_folder(folder.path, within=folder.fd)
        if read_receipt_bytes(folder, wanted.document) is None:
            # `faxdrop retry` removes the receipt, then the report. We write the report, then look
            # for the receipt: so one of us sees the other.
            with contextlib.suppress(FileNotFoundError):
                self._disk.remove(folder.path / name, within=folder.fd)


def _named(receipt: bytes, document: str) -> str | None:
    """Return the name of the report that a receipt names, None if none."""
    try:
        return report_in(Receipt.model_validate_json(receipt).model_dump(), document)
    except ValidationError:
        return None


def _hash_of_file(path: Path) -> str | None:
    with opened_folder(path.parent) as folder, opened_file(folder, path.name) as fd:
        return None if fd is None else sha256_of(fd)
