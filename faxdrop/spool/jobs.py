"""The jobs: one folder each, with the document as dropped and its record.

    .faxdrop/jobs/<job id>/        document.pdf (as dropped), job.json (the record),
                                   fax.pdf (the copy that is faxed, only where one is needed),
                                   at the end receipt.json and place (see ``places``)
    .faxdrop/corrupt/              what could not be read: for a person, never deleted

What is read is always the old state or the new one, never half of one (see ``record``).
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from faxdrop.fax.job import FINAL, ON_ITS_WAY, READABLE_FORMATS, RECORD_FORMAT, Job, State
from faxdrop.names.printable import shown
from faxdrop.spool import record
from faxdrop.spool.disk import Disk, folders_in, may_exist, read_own
from faxdrop.spool.places import DRAFT, PLACE, SpoolError, nth_name
from faxdrop.words import _

DOCUMENT, RECORD, COPY = "document.pdf", "job.json", "fax.pdf"
_NEW_RECORD = RECORD + ".tmp"


class GoneError(Exception):
    """The file to be claimed is no longer there: somebody moved or deleted it."""


class UnrecordedError(Exception):
    """A record could not be written: ``job`` is what it would have held, ``error`` is why."""

    def __init__(self, job: Job, error: Exception) -> None:
        super().__init__(str(error))
        self.job = job
        self.error = error


class Jobs:
    """The jobs of one root. Thread-safe as long as each job belongs to one thread."""

    def __init__(self, home: Path, disk: Disk) -> None:
        self._jobs = home / "jobs"
        self.corrupt_folder = home / "corrupt"  # where lies what could not be read
        self._disk = disk
        # Job ids, as far as this process knows:
        self._extents: dict[str, record.Extent] = {}  # how far the record's file is taken
        self._just_moved: set[str] = set()  # the document's move is not durable yet
        self._unfiled: set[str] = set()  # ended here, and not even begun to be filed

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where they are; the folders must be there."""
        return self._jobs, self.corrupt_folder

    def folder(self, job: Job) -> Path:
        """Return a job's own folder."""
        return self._jobs / job.job_id

    # -- a job's life -----------------------------------------------------------------------

    def claim(self, source: Path, fd: int | None, job: Job, *, within: int | None = None) -> None:
        """Move a document into the spool, beside its first record.

        ``fd`` is the document, open for reading; None for a file that must not be opened.
        ``within`` is its folder, open, so that nobody can put another folder or a link in its
        place. Raises GoneError if the file is no longer there. After any error the file is where
        it was.
        """
        folder = self.folder(job)
        if fd is not None:
            self._disk.sync(fd)
        self._disk.make_folder(folder, 0o700)
        try:
            content, extent = record.anew(job)
            self._disk.write_new(folder / RECORD, content)
            if within is None:
                self._disk.move(source, folder / DOCUMENT)
            else:
                self._disk.move(Path(source.name), folder / DOCUMENT, within=within)
        except OSError as error:
            # A network share may report an error although the rename was done.
            if may_exist(folder / DOCUMENT):
                (folder / DOCUMENT).lstat()  # raises where nobody can tell: the next start will
            else:
                with contextlib.suppress(OSError):  # the next start clears it away
                    self.remove(folder)
                if isinstance(error, FileNotFoundError) and not may_exist(source):
                    raise GoneError(source) from error
                raise
        # Nothing depends on the move yet: after a power cut the file is in one place or the
        # other. The next record syncs the folder.
        self._just_moved.add(job.job_id)
        self._extents[job.job_id] = extent

    def record(self, job: Job) -> None:
        """Write a job's record. When this returns, the record survives a power cut."""
        folder = self.folder(job)
        if job.state in FINAL:
            self._unfiled.add(job.job_id)
        before = self._extents.pop(job.job_id, None)  # what goes wrong now is written anew
        if before and (update := record.appended(job, before)):
            if job.job_id in self._just_moved:
                # The document's move comes first: what is written over a file may be on disk
                # before what was done to folders.
                self._disk.sync_folder(folder)
            data, extent = update
            self._disk.write_over(folder / RECORD, data, before.end)
        else:
            content, extent = record.anew(job)
            draft = folder / _NEW_RECORD
            self._disk.write_anew(draft, content)
            self._disk.replace(draft, folder / RECORD)
            self._disk.sync_folder(folder)
        self._just_moved.discard(job.job_id)
        self._extents[job.job_id] = extent

    def has_job(self, job_id: str) -> bool:
        """Return whether a job has a folder, even if the daemon does not know the job yet."""
        return os.path.lexists(self._jobs / job_id)

    def document(self, job: Job) -> Path:
        """Return the path of the document as dropped."""
        return self.folder(job) / DOCUMENT

    def new_copy(self, job: Job) -> int:
        """Return a descriptor to write the copy that is faxed, and to read it back.

        It needs no fsync: a copy from an earlier run of the daemon is never used.
        """
        path = self.folder(job) / COPY
        path.unlink(missing_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def begin_filing(self, job: Job) -> bool:
        """Return whether no earlier try to file a job can have left anything; True only once."""
        is_new = job.job_id in self._unfiled
        self._unfiled.discard(job.job_id)
        return is_new

    def forget(self) -> None:
        """Forget what this process has written: another daemon may have been at work."""
        self._extents.clear()
        self._just_moved.clear()
        self._unfiled.clear()

    def remove(self, folder: Path) -> None:
        """Remove a job's folder and what is ours in it; the document is no longer there."""
        self._extents.pop(folder.name, None)
        self._just_moved.discard(folder.name)
        with contextlib.suppress(FileNotFoundError):  # an earlier try got so far
            self._disk.remove(folder / RECORD)
        with contextlib.suppress(FileNotFoundError):
            try:
                self._disk.remove_folder(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                for name in (DRAFT, COPY, PLACE, _NEW_RECORD):
                    if os.path.lexists(folder / name):
                        self._disk.remove(folder / name)
                self._disk.remove_folder(folder)

    # -- what stands on disk ----------------------------------------------------------------

    def all(self) -> Iterator[Job]:
        """Read all records, in no order; changes nothing and skips what cannot be read.

        A claim that was interrupted before its rename is no job: its file is in the inbox.
        """
        for folder in folders_in(self._jobs):
            try:
                job = _read_record(folder / RECORD)
            except (OSError, ValidationError, ValueError):
                continue
            if job.state in FINAL or os.path.lexists(folder / DOCUMENT):
                yield job

    def unreadable(self) -> list[Path]:
        """Return the folders that ``all`` skips; the next start moves them to corrupt/."""
        return sorted(
            folder
            for folder in folders_in(self._jobs)
            if may_exist(folder / DOCUMENT) and not _can_be_read(folder / RECORD)
        )

    def recover(self) -> tuple[list[Job], list[Path]]:
        """Read all records at start; return the jobs, oldest first, and what went to corrupt/.

        A claim that was interrupted before its rename is undone: its file is still in the inbox,
        and its record may be cut. If another version of faxdrop wrote a record, or we may not read
        one, raises SpoolError and touches nothing.
        """
        jobs: list[Job] = []
        corrupt: list[Path] = []
        all_found = [_found(folder) for folder in folders_in(self._jobs)]  # before any is touched
        for folder, job, was_cut in all_found:
            has_document = may_exist(folder / DOCUMENT)
            is_ours = job is not None and job.job_id == folder.name
            if job is not None and is_ours and (has_document or job.state in FINAL):
                jobs.append(job)
                continue
            is_claim = was_cut if job is None else is_ours and not job.attempts
            if has_document or not is_claim:
                corrupt.append(self._set_aside(folder))
            else:  # a claim that never came to its rename
                with contextlib.suppress(OSError):  # a disk in trouble; or somebody's file in it
                    self.remove(folder)
        jobs.sort(key=lambda job: (job.claimed_at, job.job_id))
        return jobs, corrupt

    def corrupt(self) -> list[Path]:
        """Return what is in corrupt/."""
        return sorted(folders_in(self.corrupt_folder))

    # -- inside -----------------------------------------------------------------------------

    def _set_aside(self, folder: Path) -> Path:
        for number in count(1):
            target = self.corrupt_folder / nth_name(folder.name, number)
            try:
                self._disk.move(folder, target)
                self._disk.sync_folder(self.corrupt_folder)
            except FileExistsError:
                continue
            except OSError:  # a disk in trouble: it is as unread where it is
                return target if os.path.lexists(target) else folder
            return target
        raise AssertionError("names never end")


class _Found(NamedTuple):
    """A job's folder as a start finds it."""

    folder: Path
    job: Job | None  # None: the record cannot be read
    was_cut: bool  # the record is missing, or was cut while it was written for the first time


def _found(folder: Path) -> _Found:
    """Read a job's folder. Raises SpoolError if we may not, or another version wrote it."""
    path = folder / RECORD
    try:
        content = read_own(path)
    except PermissionError:
        raise SpoolError(
            _(
                "{path} cannot be read: it does not belong to the user that faxdrop runs as. "
                "Give the whole folder .faxdrop to that user (chown -R). Nothing was changed."
            ).format(path=path)
        ) from None
    except OSError:
        return _Found(folder, None, was_cut=True)
    _refuse_foreign(content, path)
    try:
        return _Found(folder, _parsed(content, path), was_cut=False)
    except (ValidationError, ValueError):
        return _Found(folder, None, was_cut=record.is_cut(content))


def _refuse_foreign(content: bytes, path: Path) -> None:
    """Raise SpoolError if a record's format is one that this version does not know.

    It may still be read: a newer faxdrop may have written its states behind those of ours.
    """
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return
    found = said.get("format") if isinstance(said, dict) else None
    if not isinstance(found, str) or found in READABLE_FORMATS:
        return
    if found.startswith("faxdrop-job/"):
        raise SpoolError(
            _(
                "{path} was written by another version of faxdrop (format {found}; this version "
                "reads {readable}). Install that version again. Nothing was changed."
            ).format(path=path, found=shown(found), readable=RECORD_FORMAT)
        )


def _can_be_read(path: Path) -> bool:
    try:
        _read_record(path)
    except (OSError, ValidationError, ValueError):
        return False
    return True


def _read_record(path: Path) -> Job:
    """Return a record. Raises OSError, and ValueError if it is none of ours."""
    return _parsed(read_own(path), path)


def _parsed(content: bytes, path: Path) -> Job:
    """Return a record. Raises ValueError if it is none of ours."""
    job = record.read(content)
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
