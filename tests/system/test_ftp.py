"""Scan to FTP: a real vsftpd, Python's FTP client, and the config of the README."""

import ftplib
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.kit.servers import DATA, free_port, missing
from tests.kit.ways import Carried, Delivery, deliver, served

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.skipif(bool(missing("vsftpd")), reason="not installed: vsftpd"),
]

SEED = 5
PASSWORD = "correct horse"  # noqa: S105 - of a server that lives for a minute
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, as a cable that is pulled


class FtpClient:
    """A scanner that logs in for each thing it does."""

    def __init__(self, port: int) -> None:
        self._port = port

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `tests.kit.ways.Client`."""
        self._store(name, pieces, None)

    def resume(self, name: str, content: bytes) -> None:
        """See `tests.kit.ways.Client`."""
        with self._login() as ftp:
            at = ftp.size(name) or 0
        self._store(name, [content[at:]], at)

    def _store(self, name: str, pieces: Iterable[bytes], at: int | None) -> None:
        with self._login() as ftp:
            with ftp.transfercmd(f"STOR {name}", rest=at) as data:
                for piece in pieces:
                    data.sendall(piece)
            ftp.voidresp()

    def cut(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `tests.kit.ways.Client`."""
        ftp = self._login()
        data = ftp.transfercmd(f"STOR {name}")
        for piece in pieces:
            data.sendall(piece)
        assert ftp.sock is not None
        with closing(ftp), ftp.sock, data:
            for connection in (ftp.sock, data):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def rename(self, name: str, new: str) -> bool:
        """See `tests.kit.ways.Client`."""
        with self._login() as ftp:
            return _done(lambda: ftp.rename(name, new))

    def delete(self, name: str) -> bool:
        """See `tests.kit.ways.Client`."""
        with self._login() as ftp:
            return _done(lambda: ftp.delete(name))

    def set_time(self, name: str, at: float) -> bool:
        """See `tests.kit.ways.Client`."""
        stamp = f"{datetime.fromtimestamp(at, UTC):%Y%m%d%H%M%S}"
        with self._login() as ftp:
            return _done(lambda: ftp.voidcmd(f"MDTM {stamp} {name}"))

    def _login(self) -> ftplib.FTP:
        ftp = ftplib.FTP(timeout=60)  # noqa: S321 - what scanners speak
        ftp.connect("127.0.0.1", self._port)
        ftp.login("scanner", PASSWORD)
        return ftp


def _done(command: Callable[[], object]) -> bool:
    """Return whether a command did its work, or was refused."""
    try:
        command()
    except ftplib.error_perm:
        return False
    return True


OURS, THEIRS = "files are faxdrop's", "files are their writers'"


@pytest.fixture(scope="module", params=[OURS, THEIRS])
def delivery(request: pytest.FixtureRequest) -> Delivery:
    """Go all ways through vsftpd, with the README's config, and with files of their writers."""
    config = (DATA / "vsftpd.conf").read_text()
    if request.param == THEIRS:
        config = config.replace("guest_enable=YES", "guest_enable=NO")
    with served() as (site, office, simulated):
        port = free_port()
        site.write("/etc/vsftpd.conf", config)
        site.write("/etc/pam.d/faxdrop-ftp", (DATA / "faxdrop-ftp.pam").read_text())
        site.run("chpasswd", text=f"scanner:{PASSWORD}\n")
        loopback = [f"-olisten_port={port}", "-olisten_address=127.0.0.1"]
        site.serve(port, "vsftpd", "/etc/vsftpd.conf", "-obackground=NO", *loopback)
        return deliver(
            f"FTP, {request.param}",
            lambda: FtpClient(port),
            office,
            simulated,
            seed=SEED,
            tells_of_writers=request.param == OURS,
        )


class TestFtp(Carried):
    """Through a server, with a login for each thing that is done."""
