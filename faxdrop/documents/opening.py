"""Opens what may be a document: an ordinary file with one name, through an open folder.

People and programs may still be working on it. What is found here holds for the open file, whatever
happens to its name.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from faxdrop.documents.pdf.wholeness import FAR, WINDOW
from faxdrop.fax.job import Reason
from faxdrop.fax.reasons import ReasonCode
from faxdrop.spool import refusals
from faxdrop.spool.disk import closed_at_last
from faxdrop.spool.jobs import GoneError
from faxdrop.spool.refusals import RIGHTS, Refusal
from faxdrop.words import N_, _

_UNREADABLE = {
    errno.ELOOP: N_("This is a link to a file elsewhere, not a file."),
    errno.ENXIO: N_("This is not an ordinary file but a socket or a device."),
    errno.ENODEV: N_("This is not an ordinary file but a device."),
}


class Signature(NamedTuple):
    """What is compared between two looks at a file."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """Return the signature of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class UnsafeError(Exception):
    """A file that is not opened to be faxed; ``reason`` says what it is."""

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal  # where it may only not be read
        advice = _("Put the PDF itself into the inbox, as an ordinary file that faxdrop may read.")
        if refusal is not None:
            advice = _(
                "Let faxdrop's group read the file (chmod g+r), then put it into the inbox again."
            )
        self.reason = Reason.said(ReasonCode.UNSAFE_FILE, message, advice)


def is_open_for_writing(fd: int) -> bool:
    """Return whether anybody has a file open for writing, as far as the kernel tells us.

    A read lease is granted only if nobody has (fcntl(2), F_SETLEASE). It needs a local file system,
    and a file of our own or CAP_LEASE. If it is refused for any reason but a writer, the answer is
    False, and size, time and content alone decide.
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
    """Return whether a file has the head and the tail of a PDF: a cheap look before the check."""
    head = os.pread(fd, WINDOW, 0)
    tail = os.pread(fd, WINDOW, max(0, size - WINDOW))
    return b"%PDF-" in head and b"%%EOF" in tail


def may_be_pdf(fd: int) -> bool:
    """Return whether a file has something like a PDF's header, if far behind its begin.

    Anything else costs no check: an inbox may hold tens of thousands of files that are no PDF.
    """
    head = os.pread(fd, FAR, 0).lower()
    return b"%pdf" in head or b"%!ps" in head


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Open the folder that a file is in; raises GoneError for a link in its place.

    Whatever takes the folder's name meanwhile, the work is done in this very folder.
    """
    try:
        fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        # A link in the folder's place leads elsewhere: nothing behind it is ours.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise GoneError(path) from None
        raise
    with closed_at_last(fd):
        yield fd


@contextmanager
def opened(path: Path, folder: int) -> Iterator[int]:
    """Open an ordinary file with one name only; raises UnsafeError for anything else."""
    with closed_at_last(_open(path, folder)) as fd:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeError(_("This is not an ordinary file but a pipe, a device or a folder."))
        if status.st_nlink != 1:
            raise UnsafeError(_("The file has a second name elsewhere (a hard link)."))
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
            words = _("The file {is_kept_from_us}").format(
                is_kept_from_us=refusals.unreadable(path)
            )
            raise UnsafeError(words, refusals.of_file(path)) from None
        if error.errno not in _UNREADABLE:
            raise
        raise UnsafeError(_(_UNREADABLE[error.errno])) from None
