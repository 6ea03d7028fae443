"""Scan to FTP: a real vsftpd, Python's FTP client, and the config of the README."""

import ftplib
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.processes import Office, Simulated
from tests.servers import DATA, Site, free_port, missing
from tests.ways import SETTINGS, WAYS, Delivery, deliver, recipients

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
        """See `tests.ways.Client`."""
        self._store(name, pieces, None)

    def resume(self, name: str, content: bytes) -> None:
        """See `tests.ways.Client`."""
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
        """See `tests.ways.Client`."""
        ftp = self._login()
        data = ftp.transfercmd(f"STOR {name}")
        for piece in pieces:
            data.sendall(piece)
        assert ftp.sock is not None
        with closing(ftp), ftp.sock, data:
            for connection in (ftp.sock, data):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def rename(self, name: str, new: str) -> bool:
        """See `tests.ways.Client`."""
        with self._login() as ftp:
            return _done(lambda: ftp.rename(name, new))

    def delete(self, name: str) -> bool:
        """See `tests.ways.Client`."""
        with self._login() as ftp:
            return _done(lambda: ftp.delete(name))

    def set_time(self, name: str, at: float) -> bool:
        """See `tests.ways.Client`."""
        stamp = f"{datetime.fromtimestamp(at, UTC):%Y%m%d%H%M%S}"
        with self._login() as ftp:
            return _done(lambda: ftp.voidcmd(f"MDTM {stamp} {name}"))

    def _login(self) -> ftplib.FTP:
        ftp = ftplib.FTP(timeout=30)  # noqa: S321 - what scanners speak
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


@pytest.fixture(scope="module", params=["files are faxdrop's", "files are their writers'"])
def delivery(request: pytest.FixtureRequest) -> Delivery:
    """Go all ways through vsftpd, with the README's config, and with files of their writers."""
    config = (DATA / "vsftpd.conf").read_text()
    if request.param == "files are their writers'":
        config = config.replace("guest_enable=YES", "guest_enable=NO")
    with (
        Site() as site,
        Simulated("--pace", "0") as simulated,
        Office(
            site.folder,
            simulated.base_url,
            recipients(),
            SETTINGS,
            root=site.root,
            user=site.faxdrop,
        ) as office,
    ):
        office.start()
        port = free_port()
        site.write("/etc/vsftpd.conf", config)
        site.write("/etc/pam.d/faxdrop-ftp", (DATA / "faxdrop-ftp.pam").read_text())
        site.run("chpasswd", text=f"scanner:{PASSWORD}\n")
        loopback = [f"-olisten_port={port}", "-olisten_address=127.0.0.1"]
        site.serve(port, "vsftpd", "/etc/vsftpd.conf", "-obackground=NO", *loopback)
        return deliver(
            f"FTP, {request.param}", lambda: FtpClient(port), office, simulated, seed=SEED
        )


def test_nothing_is_faxed_that_nobody_wrote(delivery: Delivery) -> None:
    """Of all that lay in the inbox for a while, half-written files and mixtures are never faxed."""
    assert delivery.strange == []


@pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
def test_every_document_written_whole_is_faxed_once(delivery: Delivery, way: str) -> None:
    """However a scanner writes to the server, a whole document is faxed, and once."""
    row = delivery.rows[way]
    assert (row.lost, row.doubled) == (0, 0), row


def test_what_is_in_sent_is_what_was_faxed(delivery: Delivery) -> None:
    """Where the kernel tells of writers, nobody can write to a document that was claimed."""
    if "faxdrop's" in delivery.carrier:
        assert delivery.changed == []


def test_no_whole_document_is_called_damaged(delivery: Delivery) -> None:
    """What a scanner is slow to write, or goes on with later, is not failed meanwhile."""
    assert delivery.wrongly_failed == []
