"""What a document would try once it has taken over the process that reads it.

Each escape is tried for real; its result is "done", or the name of the error.
"""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable, Collection
from pathlib import Path

_PTRACE_SEIZE = 0x4206  # unlike PTRACE_ATTACH, it stops nobody
_PR_SET_DUMPABLE = 4
_NEW_USER = 0x10000000
_F_SETSIG = 10
_F_SETOWN = 8
_CALLS = {  # by their numbers on x86_64 and aarch64, see asm/unistd.h
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "rt_sigqueueinfo": (129, 138),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265),
    "clone3": (435, 435),
    "execveat": (322, 281),
}
_libc = ctypes.CDLL(None, use_errno=True)


def _outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    except RuntimeError:  # a thread that cannot be started
        return "EAGAIN"
    return "done"


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _numbered(name: str, *arguments: object) -> None:
    number = _CALLS[name][platform.machine() == "aarch64"]
    _call("syscall", number, *arguments)


def _connected(family: int, kind: int, address: object) -> None:
    with socket.socket(family, kind) as sock:
        sock.connect(address)  # type: ignore[arg-type]  # of its family
        sock.send(b"x")


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _signal_by_the_kernel(fd: int, pid: int) -> None:
    fcntl.fcntl(fd, _F_SETOWN, pid)
    fcntl.fcntl(fd, _F_SETSIG, int(signal.SIGTERM))


def tried(
    document: int,
    *,
    daemon: int,
    secret: str,
    folder: str,
    port: int,
    unix: str,
    only: Collection[str] = (),
) -> dict[str, str]:
    """Try all ways: against a process, a file, a folder, a TCP and UDP port, a UNIX socket.

    ``only``: try just these, where nothing confines the process.
    """
    inside = Path(folder)
    parent = os.getppid()
    local = ("127.0.0.1", port)
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    memory = ctypes.create_string_buffer(64)
    vector = struct.pack("PN", ctypes.addressof(memory), 64)
    word = struct.pack("i", 0)
    ways: dict[str, Callable[[], object]] = {
        # to read what is secret
        "the daemon's environment": Path(f"/proc/{daemon}/environ").read_bytes,
        "the parent's environment": Path(f"/proc/{parent}/environ").read_bytes,
        "the daemon's memory": Path(f"/proc/{daemon}/mem").open,
        "the parent's memory": Path(f"/proc/{parent}/mem").open,
        "the daemon's map": Path(f"/proc/{daemon}/maps").read_bytes,
        "the daemon's files": lambda: list(Path(f"/proc/{daemon}/fd").iterdir()),
        "the daemon's root": lambda: list(Path(f"/proc/{daemon}/root/").iterdir()),
        "a file": Path(secret).read_bytes,
        "a folder": lambda: list(inside.iterdir()),
        "own environment on disk": Path("/proc/self/environ").read_bytes,
        "users": Path("/etc/passwd").read_bytes,
        "memory by a call": lambda: _numbered("process_vm_readv", daemon, vector, 1, vector, 1, 0),
        "to trace the daemon": lambda: _call("ptrace", _PTRACE_SEIZE, daemon, 0, 0),
        "to trace the parent": lambda: _call("ptrace", _PTRACE_SEIZE, parent, 0, 0),
        # to write
        "a new file": (inside / "new").touch,
        "a new file, elsewhere": Path(f"{unix}.new").touch,
        "to overwrite": lambda: Path(secret).write_bytes(b"x"),
        "to truncate": lambda: os.truncate(secret, 0),
        "to delete": Path(secret).unlink,
        "to rename": lambda: Path(secret).rename(inside / "renamed"),
        "a link": lambda: (inside / "link").symlink_to("/"),
        "a hard link": lambda: (inside / "hard").hardlink_to(secret),
        "a new folder": (inside / "folder").mkdir,
        "a pipe": lambda: os.mkfifo(inside / "pipe"),
        "rights": lambda: Path(secret).chmod(0o777),
        "rights of the document": lambda: os.fchmod(document, 0o777),
        "times of the document": lambda: os.utime(document, (0, 0)),
        "the document, by its number": lambda: os.close(
            os.open(f"/proc/self/fd/{document}", os.O_RDWR)
        ),
        "memory of the daemon": lambda: _numbered(
            "process_vm_writev", daemon, vector, 1, vector, 1, 0
        ),
        # to talk
        "TCP": lambda: _connected(socket.AF_INET, stream, local),
        "UDP": lambda: _connected(socket.AF_INET, datagram, local),
        "IPv6": lambda: _connected(socket.AF_INET6, datagram, ("::1", port)),
        "UNIX": lambda: _connected(socket.AF_UNIX, stream, unix),
        "abstract": lambda: _connected(socket.AF_UNIX, stream, f"\0{unix}"),
        "netlink": lambda: socket.socket(16, socket.SOCK_RAW).close(),
        "a pair": socket.socketpair,
        "to listen": lambda: socket.create_server(("127.0.0.1", 0)).close(),
        # to signal, and to change others
        "is the daemon there": lambda: os.kill(daemon, 0),
        "to end the daemon": lambda: os.kill(daemon, signal.SIGCONT),
        "to end the parent": lambda: os.kill(parent, signal.SIGCONT),
        "to end all": lambda: os.kill(-1, signal.SIGCONT),
        "to end the group": lambda: os.kill(0, signal.SIGCONT),
        "a thread of the daemon": lambda: _call("tgkill", daemon, daemon, 0),
        "a handle of the daemon": lambda: _numbered("pidfd_open", daemon, 0),
        "a queued signal": lambda: _numbered("rt_sigqueueinfo", daemon, 0, bytes(128)),
        "a signal by the kernel": lambda: _signal_by_the_kernel(document, daemon),
        "limits of the daemon": lambda: resource.prlimit(daemon, resource.RLIMIT_NOFILE, (10, 10)),
        "priority of the daemon": lambda: os.setpriority(os.PRIO_PROCESS, daemon, 19),
        "processors of the daemon": lambda: os.sched_setaffinity(daemon, {0}),
        # to become something else
        "to run a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        "a program by its file": lambda: _numbered("execveat", -100, b"/bin/true", 0, 0, 0),
        "to fork": _fork,
        "a child": lambda: _numbered("clone3", bytes(64), 64),
        "a thread": lambda: threading.Thread(target=int).start(),
        "a namespace": lambda: _call("unshare", _NEW_USER),
        "another root": lambda: os.chroot("/"),
        "to be traced": lambda: _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0),
        "a ring": lambda: _numbered("io_uring_setup", 1, bytes(128)),
        "a program in the kernel": lambda: _numbered("bpf", 0, bytes(128), 128),
        "faults": lambda: _numbered("userfaultfd", 0),
        "keys": lambda: _numbered("keyctl", 0, -3, 0),
        "a file in memory": lambda: _numbered("memfd_create", b"x", 0),
        "a file by its number": lambda: _numbered("open_by_handle_at", -100, word, 0),
        "hardware": lambda: _call("iopl", 3),
    }
    return {name: _outcome(ways[name]) for name in only or ways}
