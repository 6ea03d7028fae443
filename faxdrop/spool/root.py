"""The spool: claims documents, keeps their records, files them away (see ``filing``).

With ``disk``, which it does everything by, it is the only one that renames and syncs.

Below the root that people share:

    .faxdrop/id                    what the root is known by when its share was away
    .faxdrop/simulated             where there is such a file, a simulator takes the faxes
    .faxdrop/lock                  held while a daemon, or a command that writes, is at work
    .faxdrop/jobs/<job id>/        document.pdf (as dropped), job.json (the record),
                                   fax.pdf (the copy that is faxed, only where one is needed),
                                   at the end receipt.json and place (see ``filing``)
    .faxdrop/corrupt/              what could not be read: for a person, never deleted
    .faxdrop/cancel/<job id>       a person's wish to cancel, for the daemon to find
    .faxdrop/owned/<session id>    marks the faxes in sipgate's history that are a filed job's
    .faxdrop/recent/, again/, shared/    what is remembered beyond the jobs (see ``marks``)
    .faxdrop/journal/              one line for each document that was filed (see ``journal``)
    .faxdrop/status.json           what the daemon has to say, for ``faxdrop status``

Promises, after a crash or power cut at any step: the document is in exactly one place, a record is
the old or the new one and never half of one, and no rename overwrites anything. Every step can be
repeated. Each rename is followed by an fsync of its folder before anything rests on it; that what
came before is then on disk, too, is what file systems with a journal promise (ext4, XFS, btrfs).
OSErrors of the disk are passed on: nothing that was not recorded counts.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from pydantic import ValidationError

from faxdrop.fax.job import FINAL, ON_ITS_WAY, READABLE_FORMATS, RECORD_FORMAT, Job, State
from faxdrop.fax.receipt import Receipt, make_receipt, to_bytes
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk, Folder, closed_at_last, read_file
from faxdrop.spool.filing import (
    DRAFT,
    PLACE,
    RECEIPT_SUFFIX,
    Filing,
    SpoolError,
    nth_name,
    read_receipt,
    read_receipt_bytes,
)
from faxdrop.spool.marks import Marks
from faxdrop.spool.sharing import share

__all__ = ["RECEIPT_SUFFIX", "Disk", "GoneError", "Spool", "SpoolError", "closed_at_last"]

DOCUMENT, RECORD, COPY = "document.pdf", "job.json", "fax.pdf"

_LONGEST_FAXED = 32 << 20  # bytes: more than sipgate takes

_LOOKS_AT_LOCK, _LOOK_AT_LOCK = 5, 0.02  # times, seconds: a lock that is held so long is a daemon's

_NO_REHEARSAL = (
    "Documents that wait to be faxed for good: {}, in {}. The simulator would only say that they "
    "were sent. Rehearse with another root (`root` in a config of its own)."
)
_REHEARSED = (
    "Documents of a rehearsal (run --simulate) that wait: {}, in {}. They would be faxed for good "
    "now. Let the rehearsal end first, or cancel them (faxdrop cancel)."
)


class GoneError(Exception):
    """The file to be claimed is no longer there: somebody moved or deleted it."""


class Ended(NamedTuple):
    """A document that is filed: what the journal is told before its job is forgotten."""

    receipt: Receipt
    content: bytes  # of the receipt, as it lies there
    path: str | None  # of the document, below the root; None: somebody has taken it away
    again: bool  # an earlier try may have told it already


Note = Callable[[Ended], None]
"""Is told of a document that is filed. Where it raises OSError, the document is filed again."""


def _nothing(_ended: Ended) -> None:
    """Note nothing."""


class Spool:
    """The folders under one root. Thread-safe as long as each job is in one thread's hands."""

    def __init__(self, root: Path, disk: Disk | None = None, note: Note = _nothing) -> None:
        self.root = root
        self.inbox = root / "inbox"
        self.sent = root / "sent"
        self.failed = root / "failed"
        self.home = root / ".faxdrop"
        self._jobs = self.home / "jobs"
        self._corrupt = self.home / "corrupt"
        self._cancel = self.home / "cancel"
        self._lock_path = self.home / "lock"
        self._owned = self.home / "owned"
        self.marks = Marks(self.home)
        self._disk = disk or Disk()
        self._note = note
        self._filing = Filing(root, self.home, self._disk)
        self._unfiled: set[str] = set()  # job ids: ended here, and not even begun to be filed
        self._lock_fd: int | None = None
        self._is_simulated = False
        self._identity: str | None = None  # what the root is known by again when it comes back

    # -- the root ---------------------------------------------------------------------------

    def open(self, *, simulated: bool | None = None) -> None:
        """Make the folders where they are missing, and take the lock.

        ``simulated``: whether what is sent from now on goes to a simulator; None: as before. Raises
        SpoolError if the root is not there, another daemon holds it, or if what waits in it would
        be sent the other way.
        """
        if not self.root.is_dir():
            raise SpoolError(
                f"The folder {self.root} is not there. Make it, mount it, or correct `root` in the "
                "config."
            )
        self._ensure_folder(self.home, 0o700)
        marks = self.marks.folders
        for folder in (self._jobs, self._corrupt, self._cancel, self._owned, *marks):
            self._ensure_folder(folder, 0o700)
        for folder in (self.inbox, self.sent, self.failed):
            if folder.is_symlink():
                raise SpoolError(
                    f"{folder} is a symbolic link, and no document goes through one: put a folder "
                    "in its place, or set `root` to where all three folders are."
                )
            self._ensure_folder(folder)
        self._take_lock()
        with contextlib.suppress(OSError):  # a full disk: then it is the lock it is known by
            self._identity = self._read_identity() or self._new_identity()
        try:
            self._rehearse(simulated)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def is_present(self) -> bool:
        """Tell whether the root is still the one that was opened: mounted, and not replaced."""
        if self._lock_fd is None:
            return False
        try:  # where a file system has died, our own descriptor fails, too
            return os.path.samestat(self._lock_path.stat(), os.fstat(self._lock_fd))
        except OSError:
            return False

    def reopen(self) -> bool:
        """Take the lock of the root that came back, if it is the one; it is then read anew.

        Where nothing is mounted, another root may lie beneath: it is not taken for this one.
        """
        try:
            if self._read_identity() != self._identity:
                return False
            self.close()
            self._take_lock()
            self._unfiled.clear()  # another daemon may have been at work
        except (SpoolError, OSError):
            return False
        return True

    def is_ours(self) -> bool:
        """Tell whether we may look into the spool: people who share the folders may not."""
        return not self.home.is_dir() or os.access(self.home, os.R_OK | os.X_OK, effective_ids=True)

    def is_locked(self) -> bool:
        """Tell whether a daemon is at work here."""
        try:
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def make_inbox(self, folder: str | None) -> None:
        """Make the inbox, or a recipient folder in it, where it is missing."""
        self._ensure_folder(self.inbox if folder is None else self.inbox / folder)

    # -- a job's life -----------------------------------------------------------------------

    def claim(self, source: Path, fd: int | None, job: Job, *, within: int | None = None) -> None:
        """Move a document into the spool, beside its first record.

        ``fd`` is the document, open for reading; None for what is never opened. ``within`` is its
        folder, open: nobody can put another folder, or a link to one, in its place then. Raises
        GoneError if the file is no longer there; after that, or an OSError, it is where it was.
        """
        folder = self._folder(job)
        if fd is not None:
            self._disk.sync(fd)
        self._disk.make_folder(folder, 0o700)
        try:
            self._write_new(folder / RECORD, to_bytes(job))
            if within is None:
                self._disk.move(source, folder / DOCUMENT)
            else:
                self._disk.move(Path(source.name), folder / DOCUMENT, within=within)
        except OSError as error:
            # A network share can report an error for what it has done all the same.
            if _may_exist(folder / DOCUMENT):
                (folder / DOCUMENT).lstat()  # raises where nobody can tell: the next start will
            else:
                with contextlib.suppress(OSError):  # the next start clears it away
                    self._remove_job(folder)
                if isinstance(error, FileNotFoundError) and not _may_exist(source):
                    raise GoneError(source) from error
                raise
        # Nothing rests on the move yet: after a power cut the file is here or there. The next
        # record syncs the folder.

    def record(self, job: Job, *, durable: bool = True) -> None:
        """Write a job's record down: when this returns, it survives a power cut.

        Not ``durable``: it does so only when the document is filed, which must be the next step.
        """
        folder = self._folder(job)
        if job.state in FINAL and not os.path.lexists(folder / PLACE):
            self._unfiled.add(job.job_id)
        self._replace(folder / RECORD, to_bytes(job))
        if durable:
            self._disk.sync_folder(folder)

    def has_job(self, job_id: str) -> bool:
        """Tell whether there is a folder of that name, known to the daemon or not yet."""
        return os.path.lexists(self._jobs / job_id)

    def document(self, job: Job) -> Path:
        """Return where the document as dropped is."""
        return self._folder(job) / DOCUMENT

    def new_copy(self, job: Job) -> int:
        """Return a descriptor to write the copy that is faxed, and to read it back.

        It needs no fsync: a copy of an earlier run of the daemon is never used.
        """
        path = self._folder(job) / COPY
        path.unlink(missing_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def file_away(self, job: Job) -> Path | None:
        """Move a finished document to sent/ or failed/ beside its receipt; return its new path.

        The receipt comes first: its name reserves the place. A taken name becomes
        ``letter (2).pdf``. What an earlier try left is found again and gone on with. None if that
        try moved the document already, and somebody has taken it away since.
        """
        folder = self._folder(job)
        is_new = job.job_id in self._unfiled
        self._unfiled.discard(job.job_id)
        top = self.sent if job.state is State.SENT else self.failed
        with self._filing.place(top.name, job.folder) as place:
            if not _may_exist(folder / DOCUMENT):
                name = self._filing.find(job, place)
                self._note(self._ended(job, place, name, again=True))
                self._remove_job(folder)
                return place.path / name if name is not None else None
            name = None if is_new else self._filing.reserved(job, folder, place)
            self._own(job)
            self.marks.remember(job)
            while True:
                if name is None:
                    name = self._filing.reserve(job, folder, place, simulated=self._is_simulated)
                filed = place.path / name
                try:
                    self._disk.move(folder / DOCUMENT, filed, into=place.fd)
                    break
                except FileExistsError:  # a stranger's file took the name that was reserved
                    self._filing.release(name, place)
                    name = None
            self._disk.sync_folder(place.path, within=place.fd)
            self._note(self._ended(job, place, name, again=not is_new))
        self._remove_job(folder)
        return filed

    def _ended(self, job: Job, place: Folder, name: str | None, *, again: bool) -> Ended:
        receipt = make_receipt(job, simulated=self._is_simulated)
        content = read_receipt_bytes(place, name) if again and name is not None else None
        path = None if name is None else str((place.path / name).relative_to(self.root))
        return Ended(receipt, content or to_bytes(receipt), path, again)

    def put_back(self, filed: Path) -> Path:
        """Move a PDF from failed/ back to the inbox it came from; return its path there.

        Raises SpoolError if it is no PDF in failed/, or its name is taken in the inbox.
        """
        return self._filing.put_back(*self._filing.way_back(filed))

    def receipt_in_failed(self, filed: Path) -> dict[str, Any]:
        """Return the receipt of a PDF in failed/, {} if there is none to read.

        Raises SpoolError if it is no PDF in failed/, and OSError.
        """
        folder, name = self._filing.way_back(filed)
        with self._filing.filed_in(folder) as place:
            return read_receipt(place, name)

    def want_again(self, filed: Path) -> None:
        """Leave the word that a PDF in failed/ is to be faxed, also if it is the same again.

        Raises SpoolError if it is no PDF in failed/, and OSError.
        """
        folder, name = self._filing.way_back(filed)
        with self._filing.filed_in(folder) as place:
            content = read_file(place, name, _LONGEST_FAXED)
        if content is not None:  # what is longer is never faxed
            self.marks.want_again(hashlib.sha256(content).hexdigest())

    def find_filed(self, job: Job) -> Path | None:
        """Return where a job's document is filed, None if it is not (or was taken away)."""
        for top in (self.failed, self.sent):  # the more there are to look through, the later
            with (
                contextlib.suppress(FileNotFoundError),
                self._filing.place(top.name, job.folder, make=False) as place,
            ):
                name = self._filing.find(job, place)
                if name is not None and place.kind(name) is not None:
                    return place.path / name
        return None

    def try_moves(self) -> dict[Path, OSError]:
        """Move an empty file through all folders, as documents are; return where it did not go.

        Its name is one that the inbox passes over, so a daemon may be at work. Raises OSError if
        there is not even a place to begin.
        """
        name = f".faxdrop-check-{os.getpid()}"
        here = (self.home if self.home.is_dir() else self.root) / name
        os.close(self._disk.open_new(here, 0o600))
        refused: dict[Path, OSError] = {}
        try:
            for top in (self.inbox, self.sent, self.failed):
                for folder in (top, *_folders(top)) if top.is_dir() else ():
                    try:
                        self._disk.move(here, folder / name)
                    except OSError as error:
                        refused[folder] = error
                    else:
                        here = folder / name
        finally:
            self._disk.remove(here)
        return refused

    # -- what stands on disk ----------------------------------------------------------------

    def jobs(self) -> Iterator[Job]:
        """Read all records, in no order; changes nothing and passes over what cannot be read.

        A claim that never came to its rename is no job: its file is in the inbox.
        """
        for folder in _folders(self._jobs):
            try:
                job = _read_record(folder / RECORD)
            except (OSError, ValidationError, ValueError):
                continue
            if job.state in FINAL or os.path.lexists(folder / DOCUMENT):
                yield job

    def unreadable_jobs(self) -> list[Path]:
        """Return the folders whose records ``jobs`` passes over; the next start sets them aside."""
        return sorted(
            folder
            for folder in _folders(self._jobs)
            if _may_exist(folder / DOCUMENT) and not _can_be_read(folder / RECORD)
        )

    def recover(self) -> tuple[list[Job], list[Path]]:
        """Read all records at start; return the jobs, oldest first, and what went to corrupt/.

        A claim that was interrupted before its rename is undone: its file is still in the inbox.
        Raises SpoolError if a record was written by a newer faxdrop: nothing is touched then.
        """
        jobs: list[Job] = []
        corrupt: list[Path] = []
        folders = list(_folders(self._jobs))
        for folder in folders:
            _refuse_foreign(folder / RECORD)
        for folder in folders:
            has_document = _may_exist(folder / DOCUMENT)
            job = _readable(folder / RECORD)
            is_ours = job is not None and job.job_id == folder.name
            if job is not None and is_ours and (has_document or job.state in FINAL):
                jobs.append(job)
            elif has_document or (job is not None and (job.attempts or not is_ours)):
                corrupt.append(self._set_aside(folder))
            else:  # a claim that never came to its rename
                with contextlib.suppress(OSError):  # a disk in trouble; or somebody's file in it
                    self._remove_job(folder)
        jobs.sort(key=lambda job: (job.claimed_at, job.job_id))
        return jobs, corrupt

    def owned(self) -> set[str]:
        """Return the session ids of the jobs that were filed away last.

        A fax whose answer was lost is looked up in sipgate's history: what belongs to another job
        must not be taken for it, also when that job is done and the daemon started anew since.
        """
        return {unquote(mark.name) for mark in self._owned.iterdir()}

    def forget_owned(self, keep: int) -> None:
        """Keep the marks few: remove all but the latest.

        How old they are nobody can tell: a share has a clock of its own.
        """
        marks = list(self._owned.iterdir())
        if len(marks) > keep:
            marks.sort(key=lambda mark: mark.lstat().st_mtime_ns)
            for mark in marks[:-keep]:
                mark.unlink(missing_ok=True)

    def corrupt(self) -> list[Path]:
        """Return what lies in corrupt/."""
        return sorted(_folders(self._corrupt))

    @property
    def corrupt_folder(self) -> Path:
        """Where lies what could not be read."""
        return self._corrupt

    # -- words between the commands and the daemon --------------------------------------------

    def ask_to_cancel(self, job_id: str) -> None:
        """Leave a note for the daemon."""
        (self._cancel / job_id).touch()

    def cancellations(self) -> list[str]:
        """Return the ids of the jobs that a person wants cancelled."""
        try:
            return sorted(note.name for note in self._cancel.iterdir())
        except OSError:
            return []

    def cancellation_done(self, job_id: str) -> None:
        """Remove the note."""
        (self._cancel / job_id).unlink(missing_ok=True)

    @property
    def cancel_folder(self) -> Path:
        """Where ``ask_to_cancel`` leaves its notes."""
        return self._cancel

    def write_status(self, status: dict[str, object]) -> None:
        """Say what the daemon has to say; not durable, since it is worth nothing after a crash."""
        text = json.dumps(status, indent=2) + "\n"
        temporary = self.home / "status.json.tmp"
        try:
            temporary.write_text(text)
            temporary.replace(self.home / "status.json")
        except OSError:  # a full disk has room where the last one stood
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            with (self.home / "status.json").open("r+") as file:
                file.write(text)
                file.truncate()

    def read_status(self) -> dict[str, object]:
        """Return what the daemon said last, {} if nothing."""
        try:
            status = json.loads((self.home / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    # -- inside -----------------------------------------------------------------------------

    def _take_lock(self) -> None:
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(_LOOKS_AT_LOCK):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # perhaps by `status`, which only looks, for an instant
                time.sleep(_LOOK_AT_LOCK)
            else:
                self._lock_fd = fd
                return
        os.close(fd)
        raise SpoolError(f"Another faxdrop is already at work on {self.root}. Stop that one first.")

    def _rehearse(self, simulated: bool | None) -> None:  # noqa: FBT001
        mark = self.home / "simulated"
        self._is_simulated = mark.exists()
        if simulated is None or simulated == self._is_simulated:
            return
        if waiting := sum(1 for _ in self.jobs()):
            raise SpoolError(
                (_NO_REHEARSAL if simulated else _REHEARSED).format(waiting, self.root)
            )
        if simulated:
            mark.touch()
        else:
            mark.unlink()
        self._is_simulated = simulated

    def _read_identity(self) -> str | None:
        try:
            return (self.home / "id").read_text()
        except FileNotFoundError:
            return None

    def _new_identity(self) -> str:
        identity = f"{uuid.uuid4()}\n"
        (self.home / "id").write_text(identity)
        return identity

    def _own(self, job: Job) -> None:
        """Mark the session ids of a job as its own, for ``owned``.

        The marks are empty files: what makes the document's move durable makes them durable, too.
        """
        for attempt in job.attempts:
            if attempt.session_id:
                (self._owned / quote(attempt.session_id, safe="")).touch()

    def _folder(self, job: Job) -> Path:
        return self._jobs / job.job_id

    def _ensure_folder(self, path: Path, mode: int = 0o777) -> None:
        if not path.is_dir():
            place = path
            if path.parent == self.root and path != self.home:
                # This way ends where our own folder is gone: should the root be unmounted at this
                # moment, nothing is made on its empty mount point.
                place = self.home / ".." / path.name
            try:
                self._disk.make_folder(place, mode)
            except FileExistsError:
                if not path.is_dir():
                    raise
            if path in (self.inbox, self.sent, self.failed):
                share(place)
            self._disk.sync_folder(path.parent)

    def _write_new(self, path: Path, data: bytes) -> None:
        fd = self._disk.open_new(path)
        try:
            self._disk.write(fd, data)
            self._disk.sync(fd)
        finally:
            os.close(fd)

    def _replace(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(path.name + ".tmp")
        temporary.unlink(missing_ok=True)
        self._write_new(temporary, data)
        self._disk.replace(temporary, path)

    def _remove_job(self, folder: Path) -> None:
        """Remove a job's folder, the record last."""
        for name in (DRAFT, COPY, PLACE, RECORD + ".tmp", RECORD):
            if os.path.lexists(folder / name):
                self._disk.remove(folder / name)
        with contextlib.suppress(FileNotFoundError):  # an earlier try got so far
            self._disk.remove_folder(folder)

    def _set_aside(self, folder: Path) -> Path:
        for number in count(1):
            target = self._corrupt / nth_name(folder.name, number)
            try:
                self._disk.move(folder, target)
                self._disk.sync_folder(self._corrupt)
            except FileExistsError:
                continue
            except OSError:  # a disk in trouble: it is as unread where it is
                return target if os.path.lexists(target) else folder
            return target
        raise AssertionError("names never end")


def _may_exist(path: Path) -> bool:
    """Tell whether there is something; a disk in trouble, which cannot tell, counts as yes."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _folders(path: Path) -> Iterator[Path]:
    with os.scandir(path) as entries:
        found = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return iter(found)


def _read_record(path: Path) -> Job:
    """Return a record; raises OSError, or ValueError if it cannot be one of ours."""
    job = Job.model_validate_json(path.read_bytes())
    is_checked = bool(job.document and job.number and job.faxline)
    is_whole = (
        (is_checked or job.document is None or job.state in FINAL)
        and ((is_checked and job.attempts) or job.state not in ON_ITS_WAY)
        and (job.finished_at or job.state not in FINAL)
        and (job.reason or job.state is not State.FAILED)
    )
    if not is_whole:
        raise ValueError(f"{path}: a record of a fax in state {job.state} says more than that")
    return job


def _readable(path: Path) -> Job | None:
    """Return a record, None if it cannot be read. Raises SpoolError if that is for its rights."""
    try:
        return _read_record(path)
    except PermissionError:
        raise SpoolError(
            f"{path} cannot be read: it belongs to another user than the one that faxdrop runs as. "
            "Give the whole folder .faxdrop to that user (chown -R); nothing was changed."
        ) from None
    except (OSError, ValidationError, ValueError):
        return None


def _can_be_read(path: Path) -> bool:
    try:
        _read_record(path)
    except (OSError, ValidationError, ValueError):
        return False
    return True


def _refuse_foreign(path: Path) -> None:
    """Raise SpoolError if the record's format is one that this version does not know."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    found = record.get("format") if isinstance(record, dict) else None
    if not isinstance(found, str) or found in READABLE_FORMATS:
        return
    if found.startswith("faxdrop-job/"):
        raise SpoolError(
            f"{path} was written by another version of faxdrop (format {shown(found)}, this one "
            f"reads {RECORD_FORMAT}). Install that version again; nothing was changed."
        )
