"""What the operating system refuses: whose problem that is, and the command that solves it.

A folder that belongs to somebody else, is sticky or immutable, or is a mount of its own is a
problem of that folder only; the same goes for a file that we may not read. Everything else is
trouble with the disk or the machine.
"""

import errno
import fcntl
import grp
import os
import shlex
import stat
import struct
from pathlib import Path
from typing import NamedTuple

import structlog

from faxdrop.names.printable import shown
from faxdrop.spool.disk import may_exist
from faxdrop.spool.ownership import name_of
from faxdrop.words import N_, _, of_system

log = structlog.stdlib.get_logger(__name__)

RIGHTS = frozenset({errno.EACCES, errno.EPERM})
_SOMETHING_ELSE = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO}
_OF_A_PLACE = RIGHTS | {errno.EROFS, errno.EXDEV}
OF_THE_MACHINE = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})

ONE_MOUNT = N_(
    "All folders must be on one mount; two mounts of one file system are not enough (under "
    "systemd: use one ReadWritePaths=)."
)

_ADVICE = {
    errno.EXDEV: ONE_MOUNT,
    errno.EPROTONOSUPPORT: N_("Install the version of faxdrop that wrote it, and restart faxdrop."),
}
_BY_DEFAULT = N_("Free some space, or find out what is wrong with the disk.")

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS, ioctl_iflags(2)
_ATTRIBUTES = ((0x10, N_("is immutable"), "i"), (0x20, N_("is append-only"), "a"))


class Refusal(NamedTuple):
    """A place that refuses us, how, and the command that solves it."""

    path: str
    words: str


class Refusals:
    """What is refused now, by file or job; each place is logged once, not once a file."""

    def __init__(self) -> None:
        self._refused: dict[object, Refusal] = {}
        self._places: dict[str, set[object]] = {}

    def keys(self) -> set[object]:
        """Return the files and jobs that are refused."""
        return set(self._refused)

    @property
    def problems(self) -> dict[str, str]:
        """The places that refuse us, and what is wrong with each."""
        return {one.path: one.words for one in self._refused.values()}

    def note(self, of: object, refusal: Refusal) -> None:
        """Note that something is refused."""
        before = self._refused.get(of)
        if before is not None and before.path != refusal.path:
            self.clear(of)
        self._refused[of] = refusal
        if refusal.path not in self._places:
            log.warning("place.refused", path=shown(refusal.path), why=shown(refusal.words))
        self._places.setdefault(refusal.path, set()).add(of)

    def clear(self, of: object) -> None:
        """Note that something is no longer refused, or is gone."""
        refusal = self._refused.pop(of, None)
        if refusal is None:
            return
        waiting = self._places[refusal.path]
        waiting.discard(of)
        if not waiting:
            del self._places[refusal.path]
            log.info("place.well", path=shown(refusal.path))


class RefusedError(Exception):
    """The system refuses us one place, which is no trouble with the disk; see ``refusal``."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


def of_reading(error: OSError, path: Path) -> str | None:
    """Return in words why we may not read a file or folder; None if rights are not the reason."""
    if error.errno not in RIGHTS:
        return None
    return _not_readable(path)


def of_inbox(error: OSError, inbox: Path, home: Path, made: Path | None = None) -> Refusal | None:
    """Return why we may not read or write the inbox; None if the disk is in trouble.

    ``made`` is the folder that was to be made, the inbox itself or one in it; None: it was read.
    """
    if made not in {None, inbox} and isinstance(error, FileExistsError):
        words = _(
            "is no folder, so nobody can put documents for this recipient there: move it away"
        )
        return Refusal(str(made), words)
    if error.errno in RIGHTS and not _may_read(inbox):
        return Refusal(str(inbox), _not_readable(inbox))
    return of_writing(error, inbox, home)


def of_file(path: Path) -> Refusal:
    """Return the refusal for a file that we may not read."""
    return Refusal(str(path), _not_readable(path))


def unreadable(path: Path) -> str:
    """Return in words that we may not read a file, and whose it is."""
    return _("may not be read by {us}: {whose}.").format(us=_us(), whose=_whose(path))


def of_writing(
    error: OSError, folder: Path, home: Path, file: Path | None = None
) -> Refusal | None:
    """Return why we may not write to a folder; None if the whole disk is in trouble.

    ``home`` is our own folder on that disk, ``file`` what was to be moved out of the folder.
    """
    if error.errno not in _OF_A_PLACE or not _may_write(home):
        return None
    if error.errno == errno.EROFS and (not _is_read_only(folder) or _is_read_only(home)):
        return None
    if error.errno == errno.EXDEV and home.is_mount():  # we are elsewhere, not the folder
        return None
    return Refusal(str(folder), _not_writable(folder, file, error))


def of_filing(error: OSError, root: Path, home: Path) -> Refusal | None:
    """Return why a document cannot be filed below the root; None if it is the disk's trouble."""
    for name in (error.filename2, error.filename):
        if not isinstance(name, str):
            continue
        path = Path(os.path.normpath(name))  # the way may lead through our own folder: home/../sent
        if path.is_relative_to(root) and not path.is_relative_to(home):
            while not path.is_dir():
                path = path.parent
            return of_writing(error, path, home)
    return None


def before_writing(folder: Path, home: Path) -> Refusal | None:
    """Return why we may not write to a folder, as far as that is known without trying."""
    if _may_write(folder) or not _may_write(home) or _is_read_only(home):
        return None
    if not may_exist(folder):  # renamed or removed meanwhile
        return None
    code = errno.EROFS if _is_read_only(folder) else errno.EACCES
    return Refusal(str(folder), _not_writable(folder, None, OSError(code, os.strerror(code))))


def advice(error: OSError, home: Path) -> str:
    """Return what to do about an error that does not come from a single place."""
    if error.errno in OF_THE_MACHINE:
        return _(
            "The machine has reached a limit: check the number of processes, threads and open "
            "files, and the limits for them (TasksMax= and LimitNOFILE= of the service, ulimit "
            "-u and -n)."
        )
    if error.errno in RIGHTS:
        place = Path(os.fsdecode(error.filename)) if error.filename else home
        for path in (place, place.parent):
            flags = _flags(path)
            for flag, _name, letter in _ATTRIBUTES:
                if flags & flag:
                    command = f"sudo chattr -{letter} {_quoted(path)}"
                    return _("To fix it: {command}").format(command=command)
        user = name_of(os.geteuid())
        own = _quoted(home)
        command = f"sudo chown -R {user} {own} && sudo chmod -R u+rwX {own}"
        return _("Give faxdrop's own folder to {user}: {command}").format(
            user=user, command=command
        )
    if error.errno in _SOMETHING_ELSE:
        return _("Something else is in the place of a file or folder of faxdrop: move it away.")
    return _(_ADVICE.get(error.errno or 0, _BY_DEFAULT))


# -- words --------------------------------------------------------------------------------------


def _not_readable(path: Path) -> str:
    wanted = "g+rwxs" if path.is_dir() else "g+r"
    return _mended(unreadable(path), _commands(path, wanted))


def _not_writable(folder: Path, file: Path | None, error: OSError) -> str:
    whose = _whose(folder)
    if error.errno == errno.EXDEV:
        return _(
            "is a separate mount, and documents cannot be moved between mounts: unmount it and "
            "use a plain folder"
        )
    if error.errno == errno.EROFS:
        return _("is on a read-only mount: mount it read-write, or remove it")
    for path in (folder, file):
        flags = _flags(path) if path is not None else 0
        for flag, name, letter in _ATTRIBUTES:
            if flags & flag and path is not None:
                words = _(name)
                if path is not folder:
                    words = _("contains {name}, which {is_so}").format(
                        name=shown(path.name), is_so=words
                    )
                return _mended(f"{words}.", f"sudo chattr -{letter} {_quoted(path)}")
    if _may_write(folder) and _mode(folder) & stat.S_ISVTX:
        if file:
            words = _(
                "has the sticky bit, so {us} may not move {name}, which belongs to another user: "
                "{whose}."
            )
            words = words.format(us=_us(), name=shown(file.name), whose=whose)
        else:
            words = _("has the sticky bit, so {us} may not move what others put there: {whose}.")
            words = words.format(us=_us(), whose=whose)
        return _mended(words, f"sudo chmod -t {_quoted(folder)}")
    if _may_write(folder):
        return _(
            "refuses {us} ({why}): {whose}. Check what else protects it (getfacl {folder}, "
            "AppArmor, SELinux)"
        ).format(us=_us(), why=of_system(error), whose=whose, folder=_quoted(folder))
    words = _("may not be written to by {us}: {whose}.").format(us=_us(), whose=whose)
    return _mended(words, _commands(folder, "g+rwxs"))


def _mended(words: str, command: str) -> str:
    return words + " " + _("To fix it: {command}").format(command=command)


def _us() -> str:
    return _("faxdrop (user {user})").format(user=name_of(os.geteuid()))


def _whose(path: Path) -> str:
    try:
        status = path.stat(follow_symlinks=False)
    except OSError as error:
        return _("its owner cannot be determined ({why})").format(why=of_system(error))
    owner = f"{name_of(status.st_uid)}:{_group(status.st_gid)}"
    return _("it belongs to {owner}, mode {mode:04o}").format(
        owner=owner, mode=stat.S_IMODE(status.st_mode)
    )


def _commands(path: Path, wanted: str) -> str:
    try:
        theirs = path.stat(follow_symlinks=False).st_gid
    except OSError:
        theirs = None
    ours = os.getegid()
    change = f"sudo chmod {wanted} {_quoted(path)}"
    if theirs in {ours, *os.getgroups()}:
        return change
    return f"sudo chgrp {_group(ours)} {_quoted(path)} && {change}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _quoted(path: Path) -> str:
    return shlex.quote(shown(str(path)))


# -- looks --------------------------------------------------------------------------------------


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def _may_read(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _flags(path: Path) -> int:
    """Return the attributes that chattr(1) sets, 0 if they cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            (flags,) = struct.unpack("l", fcntl.ioctl(fd, _GET_FLAGS, bytes(struct.calcsize("l"))))
        finally:
            os.close(fd)
    except OSError:
        return 0
    return int(flags)
