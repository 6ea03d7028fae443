"""The spool of one root: its folders, its lock, and the parts that work in it.

    jobs      claims documents and keeps their records
    filing    moves what is finished to sent/ or failed/, and back
    marks     remembers what outlives a job
    notes     passes words between the commands and the daemon

All of them work through ``disk``; nobody else renames or syncs.

Below the root that people share:

    .faxdrop/id                    identifies the root when its share has been away
    .faxdrop/simulated             if this file exists, a simulator takes the faxes
    .faxdrop/lock                  held while a daemon, or a command that writes, is at work
    .faxdrop/jobs/<job id>/        document.pdf (as dropped), job.json (the record),
                                   fax.pdf (the copy that is faxed, only where one is needed),
                                   at the end receipt.json and place (see ``places``)
    .faxdrop/corrupt/              what could not be read: for a person, never deleted
    .faxdrop/cancel/<job id>       a person's wish to cancel, for the daemon to find
    .faxdrop/owned/<session id>    marks the faxes in sipgate's history that belong to filed jobs
    .faxdrop/recent/, again/, shared/    what is remembered beyond the jobs (see ``marks``)
    .faxdrop/journal/              one line for each document that was filed (see ``journal``)
    .faxdrop/followers/            how far each follower of the journal has come (see ``cursor``)
    .faxdrop/report.draft          the report that is moved beside its document next
    .faxdrop/simulated-faxes       what the simulator of a rehearsal has taken
    .faxdrop/status.json           what the daemon reports, for ``faxdrop status``

Promises after a crash or power cut at any step: the document is in exactly one place, a record is
the old or the new one, never half of one, and no rename overwrites anything. Every step can be
repeated. Each rename is followed by an fsync of its folder before anything depends on it;
journalling file systems (ext4, XFS, btrfs) promise that what came before is then on disk too.
The disk's OSErrors are passed on: what was not recorded does not count.
"""

import contextlib
import fcntl
import os
import time
import uuid
from pathlib import Path

from faxdrop.spool.disk import Disk, folders_in
from faxdrop.spool.filing import Filing, Note
from faxdrop.spool.home import home_of
from faxdrop.spool.jobs import Jobs
from faxdrop.spool.marks import Marks
from faxdrop.spool.notes import Notes
from faxdrop.spool.places import SpoolError
from faxdrop.spool.sharing import share
from faxdrop.words import N_, _

_LOOKS_AT_LOCK, _LOOK_AT_LOCK = 5, 0.02  # times, seconds: a lock that is held so long is a daemon's

_NO_REHEARSAL = N_(
    "Documents that should really be faxed are waiting in {root}: {count}. The simulator would "
    "only claim to have sent them. Rehearse with another root (`root` in a separate config)."
)
_REHEARSED = N_(
    "Documents of a rehearsal (run --simulate) are waiting in {root}: {count}. They would really "
    "be faxed now. Let the rehearsal finish first, or cancel them (faxdrop cancel)."
)


class Spool:
    """The folders under one root. Thread-safe as long as each job belongs to one thread."""

    def __init__(self, root: Path, disk: Disk | None = None, note: Note | None = None) -> None:
        self.root = root
        self.inbox = root / "inbox"
        self.sent = root / "sent"
        self.failed = root / "failed"
        self.home = home_of(root)
        self._lock_path = self.home / "lock"
        self._disk = disk or Disk()
        self.jobs = Jobs(self.home, self._disk)
        self.marks = Marks(self.home)
        self.notes = Notes(self.home)
        self.filing = Filing(root, self.jobs, self.marks, self._disk, note)
        self._lock_fd: int | None = None
        self._identity: str | None = None  # what the root is known by again when it comes back

    def open(self, *, simulated: bool | None = None) -> None:
        """Make the folders that are missing, and take the lock.

        ``simulated``: whether faxes go to a simulator from now on; None: as before. Raises
        SpoolError if the root is not there, another daemon holds the lock, or the documents that
        wait were meant for the other of simulator and sipgate.
        """
        if not self.root.is_dir():
            raise SpoolError(
                _(
                    "There is no folder {root}. Create it, mount it, or correct `root` in the "
                    "config."
                ).format(root=self.root)
            )
        for folder in (
            self.home,
            *self.jobs.folders,
            self.notes.cancel_folder,
            *self.marks.folders,
        ):
            self._ensure_at_start(folder, 0o700)
        for folder in (self.inbox, self.sent, self.failed):
            if folder.is_symlink():
                raise SpoolError(
                    _(
                        "{folder} is a symbolic link, and faxdrop follows none: put a folder in "
                        "its place, or set `root` to where all three folders are."
                    ).format(folder=folder)
                )
            self._ensure_at_start(folder)
        self._take_lock()
        with contextlib.suppress(OSError):  # a full disk: then it is the lock it is known by
            self._identity = self._read_identity() or self._new_identity()
        try:
            self._rehearse(simulated)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def is_present(self) -> bool:
        """Return whether the root is still mounted and the one that was opened."""
        if self._lock_fd is None:
            return False
        try:  # where a file system has died, our own descriptor fails, too
            return os.path.samestat(self._lock_path.stat(), os.fstat(self._lock_fd))
        except OSError:
            return False

    def reopen(self) -> bool:
        """Take the lock of the root that came back, if it is the same; then read it again.

        If nothing is mounted, another root may be beneath: it is not taken for this one.
        """
        try:
            if self._read_identity() != self._identity:
                return False
            self.close()
            self._take_lock()
            self.jobs.forget()
        except (SpoolError, OSError):
            return False
        return True

    def is_ours(self) -> bool:
        """Return whether we may read the spool: people who share the folders may not."""
        return not self.home.is_dir() or os.access(self.home, os.R_OK | os.X_OK, effective_ids=True)

    def is_locked(self) -> bool:
        """Return whether a daemon is at work here."""
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
        """Make the inbox, or a recipient folder in it, if it is missing."""
        self._ensure_folder(self.inbox if folder is None else self.inbox / folder)

    def try_moves(self) -> dict[Path, OSError]:
        """Move an empty file through all folders, as documents are; return the moves that failed.

        The inbox passes over its name, so a daemon may be at work. Raises OSError if the file
        cannot even be made.
        """
        name = f".faxdrop-check-{os.getpid()}"
        here = (self.home if self.home.is_dir() else self.root) / name
        os.close(self._disk.open_new(here, 0o600))
        refused: dict[Path, OSError] = {}
        try:
            for top in (self.inbox, self.sent, self.failed):
                for folder in (top, *folders_in(top)) if top.is_dir() else ():
                    try:
                        self._disk.move(here, folder / name)
                    except OSError as error:
                        refused[folder] = error
                    else:
                        here = folder / name
        finally:
            self._disk.remove(here)
        return refused

    # -- inside -----------------------------------------------------------------------------

    def _take_lock(self) -> None:
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _again in range(_LOOKS_AT_LOCK):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # perhaps by `status`, which only looks, for an instant
                time.sleep(_LOOK_AT_LOCK)
            else:
                self._lock_fd = fd
                return
        os.close(fd)
        raise SpoolError(
            _("Another faxdrop is running on {root} already. Stop that one first.").format(
                root=self.root
            )
        )

    def _rehearse(self, simulated: bool | None) -> None:  # noqa: FBT001
        mark = self.home / "simulated"
        self.filing.is_simulated = mark.exists()
        if simulated is None or simulated == self.filing.is_simulated:
            return
        if waiting := sum(1 for _ in self.jobs.all()):
            raise SpoolError(
                _(_NO_REHEARSAL if simulated else _REHEARSED).format(count=waiting, root=self.root)
            )
        if simulated:
            mark.touch()
        else:
            mark.unlink()
        self.filing.is_simulated = simulated

    def _read_identity(self) -> str | None:
        try:
            return (self.home / "id").read_text()
        except FileNotFoundError:
            return None

    def _new_identity(self) -> str:
        identity = f"{uuid.uuid4()}\n"
        (self.home / "id").write_text(identity)
        return identity

    def _ensure_at_start(self, path: Path, mode: int = 0o777) -> None:
        """Make a folder if it is missing. Raises SpoolError if something else has its name."""
        try:
            self._ensure_folder(path, mode)
        except FileExistsError:
            raise SpoolError(
                _("{path} is not a folder: move it away, and try again.").format(path=path)
            ) from None

    def _ensure_folder(self, path: Path, mode: int = 0o777) -> None:
        if not path.is_dir():
            place = path
            if path.parent == self.root and path != self.home:
                # This path fails if our own folder is gone: if the root is unmounted at this
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
