"""Scan to SMB: a real Samba, real clients, and the config of the README."""

import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.kit.servers import DATA, free_port, missing
from tests.kit.ways import Carried, Delivery, deliver, served

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.skipif(
        bool(missing("smbd", "smbclient")), reason=f"not installed: {missing('smbd', 'smbclient')}"
    ),
]

SEED = 4
PASSWORD = "correct horse"  # noqa: S105 - of a server that lives for a minute


# smbclient's own reput writes to the wrong place (4.17); the library below it does not.
_RESUME = """
import ctypes, os, sys
smb = ctypes.CDLL("libsmbclient.so.0", use_errno=True)
smb.smbc_lseek.restype = smb.smbc_write.restype = ctypes.c_ssize_t
smb.smbc_lseek.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int]
smb.smbc_write.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
ask = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_void_p, ctypes.c_int] * 3)
nothing_to_add = ask(lambda *_: None)
assert smb.smbc_init(nothing_to_add, 0) == 0
fd = smb.smbc_open(os.fsencode(sys.argv[1]), os.O_RDWR, 0)
assert fd >= 0, os.strerror(ctypes.get_errno())
rest = sys.stdin.buffer.read()[smb.smbc_lseek(fd, 0, os.SEEK_END) :]
assert smb.smbc_write(fd, rest, len(rest)) == len(rest)
assert smb.smbc_close(fd) == 0
"""


class SmbClient:
    """smbclient: one run of it for each thing done."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._command = ["smbclient", "//127.0.0.1/fax", "--configfile=/dev/null", f"--port={port}"]
        self._command += [f"--user=scanner%{PASSWORD}", "--directory=inbox"]

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `tests.kit.ways.Client`."""
        client = self._start_put(name)
        assert client.stdin is not None
        for piece in pieces:
            client.stdin.write(piece)
            client.stdin.flush()
        said = client.communicate()[0]
        if client.returncode or b"NT_STATUS" in said:
            raise OSError(said.decode())

    def _start_put(self, name: str) -> "subprocess.Popen[bytes]":
        # SMB 2.0 writes 64 kB at once: small enough steps to be slow with.
        put = ["--max-protocol=SMB2_02", "--command", f'put - "{_path(name)}"']
        return subprocess.Popen(
            [*self._command, *put],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def resume(self, name: str, content: bytes) -> None:
        """See `tests.kit.ways.Client`."""
        url = f"smb://scanner:{quote(PASSWORD)}@127.0.0.1:{self._port}/fax/inbox/{quote(name)}"
        done = subprocess.run(
            [sys.executable, "-c", _RESUME, url], input=content, capture_output=True, check=False
        )
        if done.returncode:
            raise OSError(done.stderr.decode())

    def cut(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `tests.kit.ways.Client`."""
        client = self._start_put(name)
        assert client.stdin is not None
        for piece in pieces:
            client.stdin.write(piece)
            client.stdin.flush()
        client.send_signal(signal.SIGKILL)
        client.communicate()

    def rename(self, name: str, new: str) -> bool:
        """See `tests.kit.ways.Client`."""
        return "NT_STATUS" not in self._do(f'rename "{_path(name)}" "{_path(new)}"')

    def delete(self, name: str) -> bool:
        """See `tests.kit.ways.Client`."""
        return "NT_STATUS" not in self._do(f'del "{_path(name)}"')

    def set_time(self, name: str, at: float) -> bool:
        """See `tests.kit.ways.Client`."""
        text = f"{datetime.fromtimestamp(at, UTC):%Y:%m:%d-%H:%M:%S}"
        return "NT_STATUS" not in self._do(f'utimes "{_path(name)}" -1 -1 {text} -1')

    def _do(self, command: str) -> str:
        done = subprocess.run(
            [*self._command, "--command", command], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


def _path(name: str) -> str:
    return name.replace("/", "\\")


OURS, THEIRS = "files are faxdrop's", "files are their writers'"


@pytest.fixture(scope="module", params=[OURS, THEIRS])
def delivery(request: pytest.FixtureRequest) -> Delivery:
    """Go all ways through Samba, with the README's config, and with files of their writers."""
    config = (DATA / "smb.conf").read_text()
    if request.param == THEIRS:
        config = config.replace("    force user = faxdrop\n", "")
    with served() as (site, office, simulated):
        port = free_port()
        site.write("/etc/samba/smb.conf", config)
        site.run("smbpasswd", "-s", "-a", "scanner", text=f"{PASSWORD}\n{PASSWORD}\n")
        loopback = ["--option=interfaces=lo", "--option=bind interfaces only=yes"]
        site.serve(port, "smbd", "--foreground", "--no-process-group", f"--port={port}", *loopback)
        return deliver(
            f"SMB, {request.param}",
            lambda: SmbClient(port),
            office,
            simulated,
            seed=SEED,
            tells_of_writers=request.param == OURS,
        )


class TestSmb(Carried):
    """Through a server, with a client for each thing that is done."""
