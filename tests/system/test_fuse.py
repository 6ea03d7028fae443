"""Network file systems, as FUSE: no events of what others write, and mounts that go away."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Self

import psutil
import pytest

from faxdrop.daemon.loop import PRESENCE
from faxdrop.inbox import mounts
from faxdrop.inbox.mounts import DEAF_RESCAN
from tests.kit import pdfs
from tests.kit.processes import Office, Simulated, kill
from tests.kit.servers import missing
from tests.kit.waiting import PATIENCE, until
from tests.kit.ways import (
    SETTINGS,
    SETTLE,
    WAYS,
    Carried,
    Delivery,
    LocalClient,
    deliver,
    recipients,
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.skipif(
        bool(missing("bindfs", "sshfs", "fusermount")), reason="not installed: bindfs, sshfs"
    ),
]

SEED = 6
BINDFS = ("bindfs", "-f", "{}")
SLACK = 30.0  # seconds that a busy machine may take; without a scan it would be a minute


class Mounted:
    """A folder that is mounted elsewhere through FUSE, by a command. A context manager."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._command = command
        self.beneath = folder / "beneath"
        self.point = folder / "point"
        for path in (self.beneath, self.point):
            path.mkdir()
        self._server: subprocess.Popen[bytes] | None = None

    def mount(self) -> None:
        """Mount it, and wait until it is there."""
        command = [each.format(self.beneath) for each in self._command]
        self._server = subprocess.Popen([*command, str(self.point)], start_new_session=True)
        until(
            lambda: mounts.kind_of(self.point).startswith("fuse"), PATIENCE, f"{command[0]} mounted"
        )

    def die(self) -> None:
        """Let the file system's server die: the mount stays, and answers nothing."""
        if self._server is not None:
            kill(self._server)
            self._server = None

    def unmount(self) -> None:
        """Unmount it, whoever uses it; what stays is an empty folder."""
        subprocess.run(["fusermount", "-u", "-z", str(self.point)], check=True)
        self.die()

    def __enter__(self) -> Self:
        self.mount()
        return self

    def __exit__(self, *_: object) -> None:
        if mounts.kind_of(self.point).startswith("fuse"):
            self.unmount()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for a whole delivery."""
    return tmp_path_factory.mktemp("fuse")


@pytest.fixture(scope="module")
def delivery(folder: Path) -> Delivery:
    """Go all ways in the folder beneath a FUSE mount, as other machines do on their share."""
    with (
        Mounted(folder, *BINDFS) as bindfs,
        Simulated("--pace", "0") as simulated,
        Office(folder, simulated.base_url, recipients(), SETTINGS, root=bindfs.point) as office,
    ):
        office.start()
        (scanned,) = office.events("inbox.scanned")
        assert (scanned["file_system"], scanned["every"]) == ("fuse", DEAF_RESCAN)
        beneath = LocalClient(bindfs.beneath / "inbox")
        return deliver(
            "FUSE (bindfs), beneath",
            lambda: beneath,
            office,
            simulated,
            seed=SEED,
            tells_of_writers=False,
        )


class TestFuse(Carried):
    """Without a single event of what is written on the other side."""

    @pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
    def test_every_document_is_found_by_the_scan(self, delivery: Delivery, way: str) -> None:
        """Without events, files are found by a scan every few seconds."""
        after = delivery.rows[way].after
        assert after is None or after < DEAF_RESCAN + SETTLE + SLACK


@pytest.fixture
def bindfs(tmp_path: Path) -> Iterator[Mounted]:
    """Mount a folder through FUSE."""
    with Mounted(tmp_path, *BINDFS) as mounted:
        yield mounted


@pytest.fixture
def office(tmp_path: Path, bindfs: Mounted) -> Iterator[Office]:
    """Start a daemon on the mount, and let it fax a first document."""
    with (
        Simulated("--pace", "0") as simulated,
        Office(tmp_path, simulated.base_url, root=bindfs.point) as office,
    ):
        office.start()
        office.drop("Amt", "first.pdf", pdfs.good(1, "first"))
        office.await_filed(1)
        yield office


@pytest.mark.parametrize("is_dead_first", [False, True], ids=["unmounted", "died"])
def test_a_mount_that_goes_away_and_comes_back(
    bindfs: Mounted, office: Office, *, is_dead_first: bool
) -> None:
    """While the mount is away nothing is written to its place; all goes on when it is back."""
    assert office.program is not None
    daemon = psutil.Process(office.program.pid)
    for round_ in (1, 2):
        if is_dead_first:
            bindfs.die()
            office.await_event("root.away", count=round_)
            said = office.command("status")
            assert str(bindfs.point) in said.stdout + said.stderr
        bindfs.unmount()
        office.await_event("root.away", count=round_)
        (bindfs.beneath / "inbox" / "Amt" / f"{round_}.pdf").write_bytes(
            pdfs.good(1, f"round {round_}")
        )
        slept = daemon.num_ctx_switches().voluntary
        office.until(partial(_has_woken, daemon, slept), "another look at the root")
        assert list(bindfs.point.iterdir()) == []
        bindfs.mount()
        back_at = time.monotonic()
        office.await_filed(1 + round_)
        assert time.monotonic() - back_at < PRESENCE + 2 * DEAF_RESCAN + SLACK
        assert len(office.events("root.back")) == round_
    assert [one.path.name for one in office.filed("sent")] == [
        "1.pdf",
        "2.pdf",
        "first.pdf",
    ]


def _has_woken(daemon: psutil.Process, slept: int) -> bool:
    return daemon.num_ctx_switches().voluntary > slept + 1


SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
SLOW = "+493023125014"  # taken at once, answered seconds later


@pytest.mark.skipif(not SFTP_SERVER.exists(), reason="not installed: openssh-sftp-server")
def test_a_connection_that_breaks_while_a_fax_is_taken(tmp_path: Path) -> None:
    """When an sshfs reconnects, with errors for open files, the document is faxed once."""
    ssh, pid = tmp_path / "ssh", tmp_path / "pid"
    ssh.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec {SFTP_SERVER}\n")
    ssh.chmod(0o755)
    sshfs = ("sshfs", "-f", "-o", f"ssh_command={ssh},reconnect", "server:{}")
    with (
        Mounted(tmp_path, *sshfs) as mounted,
        Simulated("--pace", "0") as simulated,
        Office(tmp_path, simulated.base_url, {"Slow": SLOW}, root=mounted.point) as office,
    ):
        office.start()
        office.drop("Slow", "letter.pdf", pdfs.good())
        office.until(lambda: len(simulated.taken) == 1, "taken, and not answered yet")
        os.kill(int(pid.read_text()), signal.SIGKILL)
        office.await_filed(1)
        [filed] = office.filed("sent")
        assert len(filed.receipt["attempts"]) == 1
        assert len(simulated.taken) == 1
