"""From the inbox into the spool: opens what may be complete, claims it, and checks it.

Nothing is faxed that is not, byte for byte, what was found whole after its claim.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Verdict
from faxdrop.fax.job import Facts, Job, Reason, ReasonCode, State
from faxdrop.fax.lifecycle import Checked, Refused
from faxdrop.fax.recipient import AddressBook, Recipient, RecipientError
from faxdrop.inbox.looks import Candidate, Rest, Signature
from faxdrop.spool import refusals
from faxdrop.spool.disk import closed_at_last
from faxdrop.spool.jobs import GoneError
from faxdrop.spool.refusals import RIGHTS, Refusal, RefusedError
from faxdrop.spool.root import Spool

_HEAD = _TAIL = 1024  # bytes in which readers look for a PDF's header and its end

_UNREADABLE = {
    errno.ELOOP: "This is a link to a file elsewhere, not a file.",
    errno.ENXIO: "This is no ordinary file, but a socket or a device.",
    errno.ENODEV: "This is no ordinary file, but a device.",
}


class NotYet(NamedTuple):
    """A document that is not complete; ``written``: somebody has it open for writing."""

    written: bool = False


class UnsafeError(Exception):
    """A file that is not opened to be faxed; ``reason`` says what it is."""

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal  # where it may only not be read
        advice = "Put the PDF itself, an ordinary file that faxdrop may read, into the inbox."
        if refusal is not None:
            advice = (
                "Let faxdrop's group read the file (chmod g+r), then put it into the inbox again."
            )
        self.reason = Reason(code=ReasonCode.UNSAFE_FILE, message=message, advice=advice)


@dataclass(frozen=True)
class Claimed:
    """A job that is in the spool now, and what its check says where that is known already."""

    job: Job
    event: Checked | Refused | None


class Intake:
    """Claims documents and checks them. Thread-safe; a document is in one thread's hands."""

    def __init__(
        self,
        spool: Spool,
        checker: Checker,
        book: AddressBook,
        *,
        faxline: str,
        patience: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._checker = checker
        self._book = book
        self._faxline = faxline
        self._patience = patience
        self._monotonic = monotonic
        self._at_rest: dict[str, tuple[Signature, float]] = {}  # job id -> unchanged since

    def take(self, candidate: Candidate, claimed_at: datetime) -> Claimed | NotYet:
        """Claim a candidate if it is complete.

        Raises GoneError if it is no longer there, RefusedError if the rights of its folder, or its
        own, keep us from it, and OSError if the disk does not let us.
        """
        job = Job(
            job_id=_job_id(claimed_at),
            state=State.QUEUED,
            name=candidate.key.name,
            folder=candidate.key.folder,
            claimed_at=claimed_at,
        )
        refusal = refusals.before_writing(candidate.path.parent, self._spool.home)
        if refusal is not None:
            raise RefusedError(refusal)
        with _opened_folder(candidate.path) as folder:
            try:
                with _opened(candidate.path, folder) as fd:
                    return self._take(candidate, job, fd, folder)
            except UnsafeError as error:
                # A second name, or a missing right, may be mended in a moment; a link stays a link.
                if candidate.is_regular and candidate.rest is not Rest.OVERDUE:
                    if error.refusal is not None:
                        raise RefusedError(error.refusal) from None
                    return NotYet()
                self._claim(candidate, None, job, folder)
                return Claimed(job, None)

    def check(self, job: Job) -> Checked | Refused | NotYet:
        """Check a document in the spool whose check is not known: after a crash, or a change."""
        path = self._spool.jobs.document(job)
        try:
            with _opened_folder(path) as folder, _opened(path, folder) as fd:
                return self._check(job, fd)
        except UnsafeError as error:
            return Refused(error.reason)

    # -- inside -----------------------------------------------------------------------------

    def _claim(self, candidate: Candidate, fd: int | None, job: Job, folder: int) -> None:
        try:
            self._spool.jobs.claim(candidate.path, fd, job, within=folder)
        except OSError as error:
            path = candidate.path
            refusal = refusals.of_writing(error, path.parent, self._spool.home, path)
            if refusal is None:
                raise
            raise RefusedError(refusal) from error

    def _take(self, candidate: Candidate, job: Job, fd: int, folder: int) -> Claimed | NotYet:
        before = os.fstat(fd)
        if Signature.of(before) != candidate.signature:
            return NotYet()
        if is_open_for_writing(fd):
            return NotYet(written=True)
        overdue = candidate.rest is Rest.OVERDUE
        if not overdue and not looks_whole(fd, before.st_size):
            return NotYet()
        verdict = self._checker.check(fd)
        flawless = verdict.clean or candidate.rest is not Rest.CLOSED
        if not overdue and not (verdict.whole and flawless):
            return NotYet()
        self._claim(candidate, fd, job, folder)
        # A writer's open file follows the rename, and the name may have become another file's:
        # only what is still the same goes by what was found before the claim.
        # Where the disk fails now, the document is claimed all the same, and its check comes later.
        with contextlib.suppress(OSError):
            if self._is_same(job, fd, before, verdict):
                return Claimed(job, self._decided(job, verdict, fd))
        return Claimed(job, None)

    def _is_same(self, job: Job, fd: int, before: os.stat_result, verdict: Verdict) -> bool:
        after = os.fstat(fd)
        return (
            Signature.of(after) == Signature.of(before)
            and os.path.samestat(after, self._spool.jobs.document(job).lstat())
            and not is_open_for_writing(fd)
            and sha256_of(fd) == verdict.sha256
        )

    def _check(self, job: Job, fd: int) -> Checked | Refused | NotYet:
        if is_open_for_writing(fd):
            return NotYet()
        now, signature = self._monotonic(), Signature.of(os.fstat(fd))
        known, since = self._at_rest.get(job.job_id, (None, now))
        if known != signature:  # whether it is at rest, the next look tells
            self._at_rest[job.job_id] = (signature, now)
            return NotYet()
        verdict = self._checker.check(fd)
        if Signature.of(os.fstat(fd)) != signature:
            return NotYet()
        if not verdict.whole and now - since < self._patience:
            return NotYet()
        self._at_rest.pop(job.job_id, None)
        return self._decided(job, verdict, fd)

    def _decided(self, job: Job, verdict: Verdict, fd: int) -> Checked | Refused:
        facts = verdict.facts or Facts(
            sha256=verdict.sha256 or sha256_of(fd), bytes=verdict.bytes, pages=verdict.pages
        )
        if verdict.reason is not None:
            return self._refused(job, verdict.reason, facts)
        try:
            recipient = self._recipient(job)
        except RecipientError as error:
            return Refused(error.reason, facts)
        return Checked(facts, recipient.number, recipient.faxline or self._faxline)

    def _refused(self, job: Job, reason: Reason, facts: Facts | None) -> Refused:
        """Return the refusal; a wrong recipient is said before a wrong document."""
        try:
            recipient = self._recipient(job)
        except RecipientError as error:
            return Refused(error.reason, facts)
        return Refused(reason, facts, recipient.number, recipient.faxline or self._faxline)

    def _recipient(self, job: Job) -> Recipient:
        if job.folder is None:
            raise RecipientError(
                ReasonCode.RECIPIENT_UNKNOWN,
                "The file lay directly in the inbox, so nobody knows whom to fax it to.",
                "Put it into a folder in the inbox that is named after an address book entry or a "
                "fax number, for instance +49 211 1234567.",
            )
        return self._book.resolve(job.folder)


def is_open_for_writing(fd: int) -> bool:
    """Tell whether anybody has a file open for writing, as far as the kernel lets us know.

    A read lease is granted only where nobody has (fcntl(2), F_SETLEASE). It needs a local file
    system and a file of our own, or CAP_LEASE; where it is refused for another reason than a
    writer, the answer is False, and size, time and content decide alone.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def looks_whole(fd: int, size: int) -> bool:
    """Tell whether a file has the head and the tail of a PDF: a cheap look before the true one."""
    head = os.pread(fd, _HEAD, 0)
    tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
    return b"%PDF-" in head and b"%%EOF" in tail


def sha256_of(fd: int) -> str:
    """Return the SHA-256 of a whole file, whatever its position."""
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened_folder(path: Path) -> Iterator[int]:
    """Open the folder that a file lies in; raises GoneError for a link in its place.

    What is done through it is done in this very folder, whatever takes its name meanwhile.
    """
    try:
        fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        # A link in the folder's place leads elsewhere: nothing of ours lies behind it.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise GoneError(path) from None
        raise
    with closed_at_last(fd):
        yield fd


@contextmanager
def _opened(path: Path, folder: int) -> Iterator[int]:
    """Open an ordinary file that has one name only; raises UnsafeError for everything else."""
    with closed_at_last(_open(path, folder)) as fd:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeError("This is no ordinary file, but a pipe, a device or a folder.")
        if status.st_nlink != 1:
            raise UnsafeError("The file has a second name elsewhere (a hard link).")
        yield fd


def _open(path: Path, folder: int) -> int:
    try:
        # Not blocking: a FIFO would keep us waiting for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(path.name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise GoneError(path) from None
    except OSError as error:
        if error.errno in RIGHTS:
            words = f"The file {refusals.unreadable(path)}"
            raise UnsafeError(words, refusals.of_file(path)) from None
        if error.errno not in _UNREADABLE:
            raise
        raise UnsafeError(_UNREADABLE[error.errno]) from None


def _job_id(claimed_at: datetime) -> str:
    """Return an id that sorts by time, can be typed, and is nobody else's."""
    return f"{claimed_at.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
