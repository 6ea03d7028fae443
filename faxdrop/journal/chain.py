"""Appends to the journal: one line at a time, each durable before ``append`` returns.

    .faxdrop/journal/2026-11.jsonl      the lines of a month (UTC)
    .faxdrop/journal/head.json          where the chain ended last: a hint, never durable
    .faxdrop/journal/lock               held during an append
    .faxdrop/journal/torn-12-1.bin      what could not be read after line 12

A journal may have several writers (the daemon, and commands): each takes the lock, and first checks
whether another has written. If a crash or a full disk tore a line, it is set aside and followed by
a ``mended`` line. The chain never starts again: if earlier lines are gone, the next line names the
last one that was known.
"""

import contextlib
import errno
import fcntl
import json
import mmap
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from faxdrop.journal.lines import (
    FORMAT,
    LONGEST_LINE,
    Head,
    Kept,
    LineContent,
    MendLine,
    ended,
    hash_of,
    line_of,
)
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk, closed_at_last, open_ordinary
from faxdrop.spool.filing import FiledDocument
from faxdrop.words import _

_HINT = 256  # bytes of the hint, whatever the number
MONTH = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))\.jsonl")


class JournalError(OSError):
    """This version cannot use the journal; the text says why and what to do.

    It is an OSError: for a writer this is the same as a disk that refuses.
    """

    def __init__(self, words: str) -> None:
        super().__init__(errno.EPROTONOSUPPORT, words)

    def __str__(self) -> str:
        """Return the text alone."""
        return str(self.strerror)


class Journal:
    """The chain of one root. Thread-safe; several processes may write to the same one.

    ``folder`` is made when it is missing. Nothing is read before the first append.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime], disk: Disk | None = None) -> None:
        self.folder = folder
        self._now = now
        self.disk = disk or Disk()
        self._writing = threading.Lock()  # over all below but the last two
        self._head: Head | None = None  # None: to be read from disk
        self._seen = Head()  # where the chain ended when it was known last, whatever is gone since
        self._month = ""  # of the last line
        self._end = 0  # bytes of that month's file
        self._syncing = threading.Lock()
        self._synced = 0  # seq up to which all lines are durable
        self.written = 0  # how many lines this process has written

    def append(self, event: LineContent) -> Head:
        """Write an event. When this returns, it survives a power cut. Raises OSError.

        After an OSError the line counts as a whole or not at all. Raises JournalError if a newer
        faxdrop wrote the journal.
        """
        with self._writing, self._locked():
            self._catch_up()
            head = self._write(event)
        self._sync(head.seq)
        return head

    def append_once(self, event: LineContent, job_id: str) -> None:
        """Write how a job ended, unless an earlier try has done so; raises as ``append``."""
        with self._writing, self._locked():
            self._catch_up()
            seq = self._known().seq if self._has_ended(job_id) else self._write(event).seq
        self._sync(seq)

    def note(self, end: FiledDocument) -> None:
        """Write that a document was filed: exactly once, however often that is tried."""
        event = ended(end.receipt, end.content, end.path)
        if end.again:
            self.append_once(event, event.job_id)
        else:
            self.append(event)

    def append_all(self, events: Sequence[LineContent]) -> None:
        """Write many events, made durable together; raises as ``append``."""
        with self._writing, self._locked():
            self._catch_up()
            for event in list(events):
                self._write(event)
            seq = self._known().seq
        self._sync(seq)

    def head(self) -> Head:
        """Return where the chain ends now; repairs its end first if need be."""
        with self._writing, self._locked():
            self._catch_up()
            return self._known()

    def settled(self) -> Head:
        """Return where the chain ends, once all of it is durable; raises as ``append``.

        What is told to others must not be undone by a power cut.
        """
        head = self.head()
        self._sync(head.seq)
        return head

    # -- inside -----------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            fd = self._open_lock()
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                self.disk.make_folder(self.folder, 0o700)
            self.disk.sync_folder(self.folder.parent)
            fd = self._open_lock()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _open_lock(self) -> int:
        return os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _known(self) -> Head:
        assert self._head is not None  # noqa: S101 - _catch_up has run under the same lock
        return self._head

    def _path(self, month: str) -> Path:
        return self.folder / f"{month}.jsonl"

    def _catch_up(self) -> None:
        """Find the end of the chain; repair it if it is not as it was left."""
        if self._head is not None and self._is_as_known():
            return
        self._head, self._synced = Head(), 0  # who wrote may have ended before it was durable
        self._month, self._end = "", 0
        torn: list[tuple[Path, int]] = []
        for month in reversed(months_of(self.folder)):
            found = last_line(self._path(month))
            torn.append((self._path(month), found[1] if found else 0))
            if found is not None:
                self._month, (self._head, self._end) = month, found
                break
        before = self._head
        self._head = max(before, read_hint(self.folder) or before, self._seen, key=_seq)
        for path, end in torn:
            self._set_aside(path, end)
        kept = tuple(self._set_aside_behind(self._head.seq))
        words = []
        if self._head.seq > before.seq:
            words.append(
                _("The lines {first} to {last} are missing.").format(
                    first=before.seq + 1, last=self._head.seq
                )
            )
        if kept:
            words.append(_("What came after line {seq} could not be read.").format(seq=before.seq))
        self._seen = self._head
        if words:
            self._write(MendLine(words=" ".join(words), kept=kept))

    def _is_as_known(self) -> bool:
        months = months_of(self.folder)
        try:
            size = self._path(self._month).stat().st_size if self._month else 0
        except OSError:
            return False
        return months[-1:] == [self._month] * bool(self._month) and size == self._end

    def _set_aside(self, path: Path, end: int) -> None:
        """Move what follows the last line of a file into a separate file."""
        with open_ordinary(path) as file:
            file.seek(end)
            rest = file.read()
        if not rest:
            return
        number = 1 + sum(1 for _ in self._set_aside_behind(self._known().seq))
        fd = self.disk.open_new(self.folder / f"torn-{self._known().seq}-{number}.bin", 0o600)
        try:
            self.disk.write(fd, rest)
            self.disk.sync(fd)
        finally:
            os.close(fd)
        self.disk.sync_folder(self.folder)
        self.disk.cut(path, end)

    def _set_aside_behind(self, seq: int) -> Iterator[Kept]:
        """Yield what was set aside after a line; if that is the last one, no line names it yet."""
        for path in sorted(self.folder.glob(f"torn-{seq}-*.bin")):
            with open_ordinary(path) as file:
                data = file.read()
            yield Kept(file=path.name, bytes=len(data), sha256=hash_of(data))

    def _write(self, event: LineContent) -> Head:
        """Append a line, not durable yet."""
        before = self._known()
        at = self._now().astimezone(UTC)
        # Never back into an older month, whatever the clock says.
        month = max(f"{at:%Y-%m}", self._month)
        line = line_of(event, before, _instant(at))
        is_new = month != self._month
        path = self._path(month)
        if is_new and self._month:
            self._sync_file(self._month)  # no later month is durable before an earlier one
        self._head = None  # until the line stands: what went wrong is looked at anew
        fd = self.disk.open_append(path, 0o600)
        try:
            self.disk.write(fd, line)
        except OSError:
            with contextlib.suppress(OSError):  # else the next append sets it aside
                self.disk.cut(path, 0 if is_new else self._end)
            raise
        finally:
            os.close(fd)
        if is_new:
            self.disk.sync_folder(self.folder)
        self._end = len(line) + (0 if is_new else self._end)
        self._month = month
        self._head = self._seen = Head(seq=before.seq + 1, hash=hash_of(line))
        self.written += 1
        return self._head

    def _sync(self, seq: int) -> None:
        """Make all lines up to this one durable, for many threads with one fsync."""
        with self._syncing:
            if self._synced >= seq:
                return
            with self._writing:
                month = self._month
                last = self._head.seq if self._head is not None else seq
            self._sync_file(month)
            self._synced = max(self._synced, last)
            with self._writing, contextlib.suppress(OSError):
                if self._head is not None:
                    self._write_hint(self._head)

    def _write_hint(self, head: Head) -> None:
        """Write the hint over the last one.

        Who reads meanwhile may get half of each, but never a number beyond that of the last line:
        the line counts then.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with closed_at_last(os.open(self.folder / "head.json", flags, 0o600)) as fd:
            os.pwrite(fd, head.model_dump_json().encode().ljust(_HINT - 1) + b"\n", 0)
            os.ftruncate(fd, _HINT)  # of something longer in its place nobody could read it

    def _sync_file(self, month: str) -> None:
        fd = self.disk.open_append(self._path(month), 0o600)
        try:
            self.disk.sync(fd)
        finally:
            os.close(fd)

    def _has_ended(self, job_id: str) -> bool:
        """Return whether the end of a job stands in the journal: its last two months are read."""
        wanted = f'"job_id":{json.dumps(job_id)}'.encode()
        for month in months_of(self.folder)[-2:]:
            with open_ordinary(self._path(month)) as file:
                for line in file:
                    if wanted in line and (content := content_of(line)) is not None:
                        ended = content.get("event") in ("sent", "failed")
                        if ended and content.get("job_id") == job_id:
                            return True
        return False


def months_of(folder: Path) -> list[str]:
    """Return the months that have a file, in order."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - at each line: a third of the time of paths
    except FileNotFoundError:
        return []
    return sorted(found[1] for name in names if (found := MONTH.fullmatch(name)))


def last_line(path: Path) -> tuple[Head, int] | None:
    """Return the last valid line, and where it ends (bytes); None if there is none.

    Raises JournalError if it was written by a newer faxdrop, and OSError.
    """
    with open_ordinary(path) as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            end = data.rfind(b"\n") + 1
            while end:
                start = data.rfind(b"\n", 0, end - 1) + 1
                line = data[start:end] if end - start <= LONGEST_LINE else b""
                content = content_of(line)
                if content is not None:
                    return Head(seq=content["seq"], hash=hash_of(line)), end
                end = start
    return None


def content_of(line: bytes) -> dict[str, Any] | None:
    """Return the content of a line, None if it is no line of a journal.

    Raises JournalError if it was written by a newer faxdrop.
    """
    try:
        content = from_json(line, cache_strings="keys")
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    written = content.get("format")
    if written != FORMAT:
        if isinstance(written, str) and written.startswith("faxdrop-journal/"):
            raise JournalError(
                _(
                    "The journal was written by another version of faxdrop (format {found}; this "
                    "version reads {readable}). Install that version again. Nothing was changed."
                ).format(found=shown(written), readable=FORMAT)
            )
        return None
    seq = content.get("seq")
    is_line = isinstance(seq, int) and not isinstance(seq, bool) and seq > 0
    return content if is_line and isinstance(content.get("previous"), str) else None


def read_hint(folder: Path) -> Head | None:
    """Return where the chain ended when this was last noted, None if it never was."""
    try:
        with open_ordinary(folder / "head.json") as file:
            return Head.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None


def _seq(head: Head) -> int:
    return head.seq


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
