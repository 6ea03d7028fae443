"""The durable steps, one system call each, and safe reading of shared folders.

People can put anything anywhere in a folder that they share with us: a pipe, a device, a link, a
folder where a file is expected, or another folder in place of one that we have just looked at. So
a shared folder is opened once (``Folder``) and everything is done through that. Its files are read
only by ``read_file``, which never blocks, never follows a link and never reads without a limit.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from faxdrop.words import _

_AT_FDCWD = -100  # openat(2): no folder in particular
_RENAME_NOREPLACE = 1  # renameat2(2)
_BLOCK = 1 << 20  # bytes read at once
_NO_RENAMEAT2 = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}  # shares, and old kernels
_libc = ctypes.CDLL(None, use_errno=True)

_NO_FILE = {  # what open(2) says where there is no ordinary file that we may read
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENXIO,
    errno.ENODEV,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
}


@contextmanager
def closed_at_last(fd: int) -> Iterator[int]:
    """Close an open file in the end; errors are ignored, since the work on it is already done."""
    try:
        yield fd
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Make errors name the whole path, whatever the system call was given: people need it."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


class Folder(NamedTuple):
    """An open folder: whatever takes its name meanwhile, all is done in the folder itself."""

    path: Path  # for the words of errors
    fd: int  # O_PATH

    def kind(self, name: str) -> int | None:
        """Return the type of what is under a name (``stat.S_IFMT``), None if nothing is."""
        try:
            status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            error.filename = str(self.path / name)
            raise
        return stat.S_IFMT(status.st_mode)

    def names(self) -> list[str]:
        """Return the names of everything in it."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        with closed_at_last(os.open(".", flags, dir_fd=self.fd)) as fd:
            return os.listdir(fd)  # noqa: PTH208 - an open folder has no path


@contextmanager
def opened_folder(path: Path, within: Folder | None = None) -> Iterator[Folder]:
    """Open a folder; a link in its place is not followed.

    Raises FileNotFoundError if there is nothing, NotADirectoryError if it is no folder.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with _named(path):
        fd = os.open(path.name if within else path, flags, dir_fd=within.fd if within else None)
    with closed_at_last(fd):
        yield Folder(path, fd)


@contextmanager
def opened_file(folder: Folder, name: str) -> Iterator[int | None]:
    """Open an ordinary file in a shared folder for reading; yield None if there is none.

    Also None for a file that we may not read, since it is not ours. Anything else is not even
    opened. Raises OSError if the disk fails.
    """
    if folder.kind(name) != stat.S_IFREG:
        yield None
        return
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=folder.fd)
    except OSError as error:
        if error.errno not in _NO_FILE:
            error.filename = str(folder.path / name)
            raise
        yield None
        return
    with closed_at_last(fd):
        yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None  # it may have become another


def open_ordinary(path: Path) -> BinaryIO:
    """Open an ordinary file for reading. Never blocks; raises OSError for anything else."""
    return os.fdopen(_descriptor_of(path), "rb")


def read_own(path: Path) -> bytes:
    """Return the content of a small file of our own; raises as ``open_ordinary`` does.

    It makes fewer system calls than that: all records are read so.
    """
    with closed_at_last(_descriptor_of(path)) as fd:
        content = bytearray()
        while piece := os.read(fd, 65536):
            content += piece
        return bytes(content)


def _descriptor_of(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.ENXIO, _("Something else is where a file should be"), str(path))


def read_file(folder: Folder, name: str, most: int) -> bytes | None:
    """Return the content of an ordinary file in a shared folder, None if there is none.

    Also None for a file of more than ``most`` bytes. Raises OSError as ``opened_file`` does.
    """
    with opened_file(folder, name) as fd:
        if fd is None or os.fstat(fd).st_size > most:
            return None
        content = bytearray()
        while piece := os.read(fd, most + 1 - len(content)):
            content += piece
        return bytes(content) if len(content) <= most else None


def sha256_of(fd: int) -> str:
    """Return the SHA-256 of a whole open file, whatever its position, which stays."""
    digest = hashlib.sha256()
    read = 0
    while block := os.pread(fd, _BLOCK, read):
        digest.update(block)
        read += len(block)
    return digest.hexdigest()


def may_exist(path: Path) -> bool:
    """Return whether something is there; if the disk cannot say, the answer is yes."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def folders_in(path: Path) -> Iterator[Path]:
    """Return the folders in a folder, without links to folders."""
    with os.scandir(path) as entries:
        found = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return iter(found)


class Disk:
    """The durable steps, one system call each, so that tests can make any one of them fail.

    ``within`` and ``into`` are open folders: of the path given with them, only the name counts.
    """

    def make_folder(self, path: Path, mode: int = 0o777, *, within: int | None = None) -> None:
        """mkdir(2)."""
        with _named(path):
            os.mkdir(path if within is None else path.name, mode, dir_fd=within)

    def open_new(self, path: Path, mode: int = 0o666) -> int:
        """open(2) for writing; raises FileExistsError if the name is taken."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def open_anew(self, path: Path) -> int:
        """open(2) for writing an empty file: a new one, or the one that is there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path, flags, 0o666)

    def write_new(self, path: Path, data: bytes) -> None:
        """Write a new file; its content survives a power cut if its name does."""
        self._fill(self.open_new(path), data, durable=True)

    def write_anew(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Write a file of our own that nobody reads yet, in place of what an earlier try left.

        ``durable``: its content survives a power cut if its name does.
        """
        self._fill(self.open_anew(path), data, durable=durable)

    def _fill(self, fd: int, data: bytes, *, durable: bool) -> None:
        try:
            self.write(fd, data)
            if durable:
                self.sync(fd)
        finally:
            os.close(fd)

    def write_over(self, path: Path, data: bytes, offset: int) -> None:
        """Write over a part of a file of our own, within its size; it survives a power cut.

        Raises OSError also if somebody has made the file shorter.
        """
        fd = self.open_over(path)
        try:
            if os.fstat(fd).st_size < offset + len(data):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            self.write_at(fd, data, offset)
            self.sync_data(fd)
        finally:
            os.close(fd)

    def open_over(self, path: Path) -> int:
        """open(2) for writing over what is there; a pipe is an error and waits for nobody."""
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of it at an offset (pwrite(2))."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def open_append(self, path: Path, mode: int = 0o666) -> int:
        """open(2) for writing at the end; makes the file if it is missing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path, flags, mode)

    def cut(self, path: Path, length: int) -> None:
        """truncate(2) to so many bytes."""
        os.truncate(path, length)

    def write(self, fd: int, data: bytes) -> None:
        """Write all of it (write(2))."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """fsync(2) of a file."""
        os.fsync(fd)

    def sync_data(self, fd: int) -> None:
        """fdatasync(2) of a file whose size has not changed: a file system may skip its journal."""
        os.fdatasync(fd)

    def sync_folder(self, path: Path, *, within: int | None = None) -> None:
        """fsync(2) of a folder. Shares may not support it: every error but EIO is ignored.

        ``within`` is here the folder itself, if it is open.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        with closed_at_last(os.open(path if within is None else ".", flags, dir_fd=within)) as fd:
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno == errno.EIO:
                    error.filename = str(path)  # fsync knows no name, and a person wants to
                    raise

    def replace(self, source: Path, target: Path) -> None:
        """rename(2) over our own file."""
        source.replace(target)

    def move(
        self, source: Path, target: Path, *, within: int | None = None, into: int | None = None
    ) -> None:
        """Rename to a name that is free; raises FileExistsError when it is not.

        ``within`` is the open folder that ``source`` lies in, ``into`` that of ``target``.
        """
        old = source if within is None else Path(source.name)
        new = target if into is None else Path(target.name)
        if _libc.renameat2(
            _AT_FDCWD if within is None else within,
            os.fsencode(old),
            _AT_FDCWD if into is None else into,
            os.fsencode(new),
            _RENAME_NOREPLACE,
        ):
            code = ctypes.get_errno()
            if code not in _NO_RENAMEAT2:
                raise OSError(code, os.strerror(code), str(source), None, str(target))
            try:
                os.stat(new, dir_fd=into, follow_symlinks=False)
            except FileNotFoundError:
                os.rename(old, new, src_dir_fd=within, dst_dir_fd=into)
            else:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))

    def remove(self, path: Path, *, within: int | None = None) -> None:
        """unlink(2)."""
        with _named(path):
            os.unlink(path if within is None else path.name, dir_fd=within)

    def remove_folder(self, path: Path) -> None:
        """rmdir(2)."""
        path.rmdir()
