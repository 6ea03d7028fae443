"""A new token counts: by itself while sipgate refuses the old one, and at a reload."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from faxdrop.config.credentials import Watch
from faxdrop.config.simulated import SIMULATED
from tests.kit import pdfs
from tests.kit.processes import FAXDROP, PROJECT, Simulated, kill
from tests.kit.waiting import PATIENCE, until

OLD = "5f0fa5ed-0000-4000-8000-00000000dead"
EX_TEMPFAIL = 75  # the exit status on which the unit starts faxdrop again


class Run:
    """``faxdrop run`` with the token in files beside its config; a context manager."""

    def __init__(self, folder: Path, simulated: Simulated) -> None:
        self.folder = folder
        self.share = folder / "share"
        (self.share / "inbox" / "Amt").mkdir(parents=True)
        self.config = folder / "config.toml"
        self.config.write_text(
            f'root = "share"\n[sipgate]\nfaxline = "f0"\nbase_url = "{simulated.base_url}"\n'
            '[recipients]\n"Amt" = "+493023125030"\n[sending]\npoll_interval = "200ms"\n'
        )
        self.log = folder / "log"
        self.program: subprocess.Popen[bytes] | None = None

    def store(self, token: str) -> None:
        """Write the two files."""
        (self.folder / "token_id").write_text(SIMULATED["TOKEN_ID"])
        (self.folder / "token").write_text(token)

    def start(self, credentials: Path | None = None) -> None:
        """Start it: as systemd does, with copies of the files in ``credentials``, or by hand."""
        environ = {name: value for name, value in os.environ.items() if "TOKEN" not in name}
        if credentials is not None:
            credentials.mkdir()
            for name in ("token_id", "token"):
                (credentials / name).write_text((self.folder / name).read_text())
            environ["CREDENTIALS_DIRECTORY"] = str(credentials)
            environ["NOTIFY_SOCKET"] = str(self.folder / "nobody-listens")
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(
                [*FAXDROP, "--config", str(self.config), "run"],
                cwd=PROJECT,
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def drop(self) -> None:
        """Drop a document."""
        (self.share / "inbox" / "Amt" / "letter.pdf").write_bytes(pdfs.good())

    def await_event(self, name: str) -> None:
        """Wait until the log has an event."""
        until(lambda: f'"{name}"' in self.log.read_text(), PATIENCE, f"{name} in the log")

    def status(self) -> int:
        """Wait for the end; return the exit status."""
        assert self.program is not None
        return self.program.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.program is not None:
            kill(self.program)


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Iterator[Run]:
    with Simulated("--pace", "0") as simulated, Run(tmp_path, simulated) as run:
        yield run


def test_by_hand(run: Run) -> None:
    """Without systemd, a held queue goes on as soon as the new token is in the old one's place."""
    run.store(OLD)
    run.start()
    run.drop()
    run.await_event("queue.held")
    run.store(SIMULATED["TOKEN"])
    run.await_event("fax.sent")
    assert list((run.share / "sent" / "Amt").glob("*.pdf"))


def test_under_systemd(run: Run, tmp_path: Path) -> None:
    """Systemd's copies are those of the start: a held queue asks for another start, and goes on."""
    run.store(OLD)
    run.start(tmp_path / "first")
    run.drop()
    run.await_event("queue.held")
    run.store(SIMULATED["TOKEN"])
    assert run.status() == EX_TEMPFAIL
    run.start(tmp_path / "second")
    run.await_event("fax.sent")


def test_a_reload(run: Run, tmp_path: Path) -> None:
    """A reload after a new token asks for another start; any other reload does not."""
    run.store(SIMULATED["TOKEN"])
    run.start(tmp_path / "first")
    run.await_event("daemon.ready")
    assert run.program is not None
    run.program.send_signal(signal.SIGHUP)
    run.await_event("config.reloaded")
    assert run.program.poll() is None
    run.store(OLD)
    run.program.send_signal(signal.SIGHUP)
    assert run.status() == EX_TEMPFAIL


def test_a_reload_of_a_wrong_config(run: Run, tmp_path: Path) -> None:
    """A new token does not restart faxdrop while the config is wrong."""
    run.store(SIMULATED["TOKEN"])
    run.start(tmp_path / "first")
    run.await_event("daemon.ready")
    run.store(OLD)
    good = run.config.read_text()
    run.config.write_text("root = 3\n")
    assert run.program is not None
    run.program.send_signal(signal.SIGHUP)
    run.await_event("config.rejected")
    assert run.program.poll() is None
    run.config.write_text(good)
    run.program.send_signal(signal.SIGHUP)
    assert run.status() == EX_TEMPFAIL
    events = [json.loads(line)["event"] for line in run.log.read_text().splitlines()]
    assert events.count("daemon.restarting") == 1


def test_what_is_no_new_token(tmp_path: Path) -> None:
    """A missing, empty or unchanged token file counts as nothing new; a changed one counts once."""
    file = tmp_path / "token"
    watch = Watch([file, tmp_path / "other"])
    assert not watch.has_changed()
    file.write_text("a")
    assert [watch.has_changed(), watch.has_changed()] == [True, False]
    file.write_text("")
    assert not watch.has_changed()
    file.unlink()
    assert not watch.has_changed()
    file.write_text("b")
    assert watch.has_changed()
    (tmp_path / "new").write_text("c")
    (tmp_path / "new").rename(file)
    file.read_text()
    assert [watch.has_changed(), watch.has_changed()] == [True, False]
