"""Takes away from document readers all that they do not need: files, network, other processes.

A hostile PDF may take over the process that reads it. Such a process has three open files: the
document, the file for its copy, and the pipe for its answer. It needs memory and a clock, and must
be able to read Python's own files and the system's fonts. Nothing else is left to it:

* *Landlock* (Linux 5.13): it can open nothing but those files, and only to read; no process can
  be traced, no named socket can be reached and, with Linux 6.12, no process can be sent a signal.
* *seccomp* (a filter on the numbers of system calls): no call that connects, starts a process,
  traces, signals, or writes by name. A call that is not listed fails as if rights were missing.

If a kernel lacks some of this, ``missing`` says so; documents are read all the same. Numbers and
layouts: landlock(7), seccomp(2), linux/filter.h, asm/unistd.h.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from faxdrop.words import _

_libc = ctypes.CDLL(None, use_errno=True)

# -- Landlock ----------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1  # flag: what can you do?
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # version -> how many rights over files it knows
_NET, _SCOPES = 4, 6  # versions that know rights over TCP, and scopes of signals and sockets


_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_RANDOM = ("/dev/urandom", "/dev/random")
_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/X11/fonts")


def landlock_version() -> int:
    """Return the kernel's version of Landlock, 0 if it has none or has it switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)))


def _ruleset(readable: Iterable[Path]) -> int | None:
    """Return a descriptor of rules that allow opening only what is in these places."""
    version = landlock_version()
    if not version:
        return None
    files = (1 << max(many for since, many in _FILE_RIGHTS.items() if since <= version)) - 1
    asked = struct.pack("=Q", files)
    if version >= _NET:
        asked += struct.pack("=Q", 0b11)  # to bind, to connect
    if version >= _SCOPES:
        asked += struct.pack("=Q", 0b11)  # abstract sockets, signals
    rules = int(_libc.syscall(_CREATE_RULESET, asked, ctypes.c_size_t(len(asked)), 0))
    if rules < 0:
        return None
    for path in readable:
        with contextlib.suppress(OSError):  # it need not be there
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
            _libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
            os.close(place)
    return rules


def _needed() -> Iterator[Path]:
    """Yield the places of what is loaded only when needed: modules, libraries, fonts.

    And random numbers: qpdf asks for its source where a PDF is encrypted with AES-256.
    """
    yield Path(os.__file__).parent  # Python's own library
    yield Path(__file__).parents[1]
    for known in map(Path, sys.path):
        if known.name in ("site-packages", "dist-packages", "lib-dynload"):
            yield known
    yield from map(Path, _LIBRARIES)
    yield Path(sys.base_prefix, "lib")
    yield from map(Path, _FONTS)
    yield from map(Path, _RANDOM)


# -- seccomp -----------------------------------------------------------------------------------

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # and the column below

# All that a reader needs, by the numbers on x86_64 and aarch64; None: there is none.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "write": (1, 64),
    "writev": (20, 66),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "ftruncate": (77, 46),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "stat": (4, None),
    "lstat": (6, None),
    "statx": (332, 291),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "recvmsg": (47, 212),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "mmap": (9, 222),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "membarrier": (324, 283),
    "rseq": (334, 293),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "pause": (34, None),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_OPEN, _OPENAT = (2, None), (257, 56)
_FCNTL, _PRLIMIT64 = (72, 25), (302, 261)
_KILL, _TGKILL = (62, 129), (234, 131)
_CLONE3 = (435, 435)

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND  # flags of open(2)
# Not F_SETOWN and F_SETSIG: with them the kernel would send any signal to any process.
_HARMLESS_FCNTL = (
    fcntl.F_DUPFD,
    fcntl.F_DUPFD_CLOEXEC,
    fcntl.F_GETFD,
    fcntl.F_SETFD,
    fcntl.F_GETFL,
)

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL_PROCESS, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_SELF = 0x7FFFFFFE  # stands for the process itself: no process has such a number
_X32 = 0x40000000  # the bit of another set of numbers, on x86_64

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_GET_SECCOMP, _PR_SET_DUMPABLE = 38, 22, 21, 4
_MODE_FILTER = 2


class _Program:
    """A filter for system calls, instruction by instruction."""

    def __init__(self) -> None:
        self.code = bytearray()

    def add(self, what: int, value: int, if_so: int = 0, if_not: int = 0) -> None:
        """Add an instruction; the last two are how many of the next to leave out."""
        self.code += struct.pack("=HBBI", what, if_so, if_not, value & 0xFFFFFFFF)

    def give(self, number: int, answer: int) -> None:
        """Answer a system call, whatever its arguments."""
        self.add(_IF_EQUAL, number, 0, 1)
        self.add(_RETURN, answer)

    def allow_if(self, number: int, argument: int, values: Iterable[int]) -> None:
        """Allow a system call if an argument is one of some values, as far as its low half says."""
        wanted = list(values)
        self.add(_IF_EQUAL, number, 0, 2 * len(wanted) + 2)
        self.add(_LOAD, _ARGUMENTS + 8 * argument)
        for value in wanted:
            self.add(_IF_EQUAL, value, 0, 1)
            self.add(_RETURN, _ALLOW)
        self.add(_RETURN, _REFUSE | errno.EPERM)

    def allow_without(self, number: int, argument: int, bits: int) -> None:
        """Allow a system call if none of some bits is set in an argument."""
        self.add(_IF_EQUAL, number, 0, 4)
        self.add(_LOAD, _ARGUMENTS + 8 * argument)
        self.add(_IF_ANY_BIT, bits, 0, 1)
        self.add(_RETURN, _REFUSE | errno.EPERM)
        self.add(_RETURN, _ALLOW)


def make_filter() -> bytes | None:
    """Return the filter, for the process ``_SELF``; None where a machine's numbers are unknown."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None or sys.byteorder != "little":
        return None
    architecture, column = known
    program = _Program()
    program.add(_LOAD, _ARCHITECTURE)
    program.add(_IF_EQUAL, architecture, 1, 0)
    program.add(_RETURN, _KILL_PROCESS)
    program.add(_LOAD, _NUMBER)
    program.add(_IF_AT_LEAST, _X32, 0, 1)
    program.add(_RETURN, _REFUSE | errno.EPERM)
    for numbers in _CALLS.values():
        if (number := numbers[column]) is not None:
            program.give(number, _ALLOW)
    for numbers, argument in ((_OPEN, 1), (_OPENAT, 2)):
        if (number := numbers[column]) is not None:
            program.allow_without(number, argument, _WRITING)
    program.allow_if(_FCNTL[column], 1, _HARMLESS_FCNTL)
    program.allow_if(_PRLIMIT64[column], 0, (0, _SELF))
    program.allow_if(_KILL[column], 0, (_SELF,))  # its own end: abort(3)
    program.allow_if(_TGKILL[column], 0, (_SELF,))
    program.give(_CLONE3[column], _REFUSE | errno.ENOSYS)  # then the C library tries clone(2)
    program.add(_RETURN, _REFUSE | errno.EPERM)
    return bytes(program.code)


# -- both --------------------------------------------------------------------------------------


class Sandbox:
    """What readers may do. Prepared once, in the process that they are forked from."""

    def __init__(self) -> None:
        # Before anything else: whoever is confined must not get more by running another program.
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        self._rules = _ruleset(_needed())
        self._filter = make_filter()

    def enter(self) -> None:
        """Confine this process, for good."""
        if self._rules is not None:
            _libc.syscall(_RESTRICT_SELF, self._rules, 0)
            os.close(self._rules)
        if self._filter is not None:
            own = struct.pack("=I", os.getpid())
            code = self._filter.replace(struct.pack("=I", _SELF), own)
            here = ctypes.create_string_buffer(code, len(code))
            program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(here))
            _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), program)


def _prctl(what: int, value: int) -> int:
    return int(_libc.prctl(what, *(ctypes.c_ulong(one) for one in (value, 0, 0, 0))))


def missing() -> list[str]:
    """Return in words what this machine cannot keep a reader from; [] if there is nothing."""
    lacks = []
    version = landlock_version()
    if not version:
        lacks.append(_("open files that faxdrop may read (no Landlock in this kernel)"))
    has_seccomp = _prctl(_PR_GET_SECCOMP, 0) >= 0
    if not has_seccomp or make_filter() is None:
        lacks.append(_("open connections and send signals (no seccomp filter for this machine)"))
    return lacks


def hide_from_others() -> None:
    """Keep this process's environment and memory from other processes of its user (prctl(2)).

    Readers cannot reach them anyway where the kernel has Landlock or seccomp.
    """
    _prctl(_PR_SET_DUMPABLE, 0)
