"""Tries, from inside the service's sandbox, what the service must and must not be able to do.

`tests.system.test_service` runs it in the unit in place of faxdrop, with the share as its argument;
it prints what it found as one JSON object. It may import only Python's own library.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PTRACE_ATTACH = 16
AF_NETLINK = 16

_libc = ctypes.CDLL(None, use_errno=True)


def outcome(act: Callable[[], object]) -> str:
    """Return "done", or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    return "done"


def call(name: str, *arguments: object) -> None:
    """Call into the C library; -1 is raised as an OSError."""
    if getattr(_libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def writable() -> list[str]:
    """Return every folder and file on the machine, except devices, that is writable."""
    found = []
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if Path(folder, name) != Path("/proc")]
        trial = Path(folder, ".faxdrop-probe")
        if outcome(trial.touch) == "done":
            trial.unlink(missing_ok=True)  # the daemon tidies up its own folders
            found.append(folder)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink() and path.is_file() and os.access(path, os.W_OK):
                found.append(str(path))
    return found


def others() -> list[str]:
    """Return the processes of other users that can be seen."""
    found = []
    for path in Path("/proc").iterdir():
        with suppress(FileNotFoundError):  # it ended meanwhile
            if path.name.isdecimal() and path.stat().st_uid != os.getuid():
                found.append(path.name)
    return found


def lease(path: Path) -> None:
    """Ask whether anybody writes to a file, as faxdrop asks."""
    with path.open("rb") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def run_from(folder: Path) -> None:
    """Drop a program and run it."""
    program = folder / "program"
    shutil.copy("/usr/bin/true", program)
    program.chmod(0o700)
    try:
        subprocess.run([program], check=True)
    finally:
        program.unlink()


def forked() -> None:
    """Fork a child that limits itself, as the document checkers do."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(errno.ECHILD, "the child could not limit itself")


def one_mount(share: Path) -> None:
    """Rename through all the folders of the share."""
    path = share / "inbox" / ".probe"
    path.touch()
    for name in (".faxdrop", "sent", "failed"):
        path = path.rename(share / name / ".probe")
    path.unlink()


def main() -> None:
    """Print the findings."""
    share = Path(sys.argv[1])
    temporary = Path(tempfile.gettempdir())
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    made = share / ".faxdrop" / "probe"
    made.write_bytes(b"mine")
    setuid = made.with_name("setuid")
    setuid.touch()
    credentials = Path(os.environ["CREDENTIALS_DIRECTORY"])
    findings = {
        "writable": writable(),
        "capabilities": [int(status[f"Cap{kind}"], 16) for kind in ("Eff", "Prm", "Bnd", "Amb")],
        "no_new_privileges": status["NoNewPrivs"],
        "others": others(),
        "landlock": outcome(lambda: call("syscall", 444, None, ctypes.c_size_t(0), 1)),
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "credentials": {path.name: path.read_text() for path in credentials.iterdir()},
        "lease on another's file": outcome(lambda: lease(share / "inbox" / ".anna")),
        "must": {
            "fork and limit": outcome(forked),
            "lease on an own file": outcome(lambda: lease(made)),
            "keep to one processor": outcome(
                lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            ),
            "rename within the share": outcome(lambda: one_mount(share)),
            "IPv4": outcome(lambda: socket.socket(socket.AF_INET).close()),
            "IPv6": outcome(lambda: socket.socket(socket.AF_INET6).close()),
            "UNIX": outcome(lambda: socket.socket(socket.AF_UNIX).close()),
            "pair": outcome(socket.socketpair),
            "private tmp": outcome(lambda: temporary.joinpath("probe").touch()),
            "certificates": outcome(lambda: list(Path("/etc/ssl/certs").iterdir())),
            "users": outcome(lambda: Path("/etc/passwd").read_bytes()),
        },
        "must_not": {
            "read /root": outcome(lambda: list(Path("/root").iterdir())),
            "read the token's file": outcome(lambda: Path("/etc/faxdrop/token").read_bytes()),
            "run a dropped program": outcome(lambda: run_from(share / "inbox")),
            "run a program from /tmp": outcome(lambda: run_from(temporary)),
            "make memory executable": outcome(
                lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
            ),
            "make a namespace": outcome(lambda: call("unshare", CLONE_NEWUSER)),
            "become root": outcome(lambda: os.setuid(0)),
            "make a setuid file": outcome(lambda: setuid.chmod(0o4755)),
            "trace another process": outcome(lambda: call("ptrace", PTRACE_ATTACH, 1, 0, 0)),
            "kill another process": outcome(lambda: os.kill(1, 0)),
            "netlink": outcome(lambda: socket.socket(AF_NETLINK, socket.SOCK_RAW)),
            "raw packets": outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
            "mount": outcome(lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None)),
        },
    }
    made.unlink()
    setuid.unlink()
    sys.stdout.write(json.dumps(findings))


if __name__ == "__main__":
    main()
