"""A whole faxdrop in one thread, on a clock that tests turn: hours pass in milliseconds.

The parts are real: the simulator over HTTP, real folders, the real document check. Only the clock,
the thread pools (steps run where they are started) and inotify are replaced.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from pydantic import SecretStr

from faxdrop.clock import Clock
from faxdrop.config.settings import (
    Config,
    InboxSettings,
    ReportSettings,
    Secrets,
    SendingSettings,
    SipgateSettings,
)
from faxdrop.config.simulated import SIMULATED
from faxdrop.daemon.build import followers_of, upkeep_of
from faxdrop.daemon.loop import Daemon
from faxdrop.daemon.systemd import Notifier
from faxdrop.documents.checker import Checker
from faxdrop.fax.receipt import Receipt
from faxdrop.followers.follower import Follower
from faxdrop.inbox.watcher import Watcher
from faxdrop.journal.chain import Journal
from faxdrop.queue.faxlines import Alone
from faxdrop.report.reports import Reports
from faxdrop.simulator import Simulator
from faxdrop.sipgate import Sipgate
from faxdrop.spool.disk import Disk
from faxdrop.spool.root import Spool
from tests.kit.reports import Maker, is_report
from tests.kit.waiting import PATIENCE

P = ParamSpec("P")
T = TypeVar("T")
Client = TypeVar("Client", bound=Sipgate)

TOKEN_ID, TOKEN = SIMULATED["TOKEN_ID"], SIMULATED["TOKEN"]  # what the simulator accepts
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Time:
    """A clock that stands still until it is turned; the wall time can jump by itself."""

    def __init__(self) -> None:
        self.wall = START
        self.mono = 1000.0

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += timedelta(seconds=seconds)
        self.mono += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator does."""
        self.wall += timedelta(seconds=seconds)

    @property
    def clock(self) -> Clock:
        """The clock for the daemon."""
        return Clock(now=lambda: self.wall, monotonic=lambda: self.mono)


class Here(Executor):
    """Runs what is submitted at once, in the thread that submits it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run it."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Later(Executor):
    """Runs what is submitted when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Keep it."""
        self.waiting.append(lambda: fn(*args, **kwargs))
        return Future()

    def go(self) -> bool:
        """Run what waits; return False, so that a condition can begin with ``go() or``."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()
        return False


class Deaf(Watcher):
    """Hears nothing, so only the scan finds files."""

    def start(self) -> None:
        """Hear nothing."""

    def is_watching(self) -> bool:
        """Return that it does not."""
        return False


Wanted = Literal["all", "failed", "none"]


@dataclass(frozen=True)
class Filed:
    """A document in sent/ or failed/ and its receipt."""

    path: Path
    content: bytes
    receipt: Receipt


def config_of(root: Path, base_url: str, reports: Wanted = "none", **sending: Any) -> Config:
    """Return a config for tests."""
    return Config(
        root=root,
        sipgate=SipgateSettings(base_url=base_url, faxline="f0", timeout=PATIENCE),
        inbox=InboxSettings(settle=2.0, patience=30.0, rescan=10.0),
        report=ReportSettings(pdf=reports),
        sending=SendingSettings(**{"poll_interval": 10.0, **sending}),
        secrets=Secrets(token_id=TOKEN_ID, token=SecretStr(TOKEN)),
    )


class World:
    """A root, a simulator, and a daemon that can crash and start again."""

    def __init__(
        self,
        root: Path,
        simulator: Simulator,
        checker: Checker,
        time: Time,
        make_sipgate: Callable[[Config], Sipgate] | None = None,
        reports: Wanted = "none",
        **sending: Any,
    ) -> None:
        self.root = root
        self.simulator = simulator
        self.checker = checker
        self.time = time
        self.config = config_of(root, simulator.base_url, reports, **sending)
        self.make_sipgate = make_sipgate or self._make_sipgate
        self.make_followers: Callable[[Config], Iterable[Follower]] = self._followers
        self.make_watcher: Callable[..., Watcher] = Deaf  # of an inbox
        self.daemon: Daemon | None = None
        self.spool: Spool | None = None
        self._sipgates: list[Sipgate] = []  # those of the running daemon
        self.inbox = root / "inbox"
        root.mkdir(exist_ok=True)

    def _make_sipgate(self, config: Config) -> Sipgate:
        return self.client(Sipgate, config)

    def client(self, kind: type[Client], config: Config) -> Client:
        """Return a client of that kind, on the world's clock."""
        return kind(
            config.sipgate.base_url,
            config.secrets.token_id,
            config.secrets.token,
            config.sipgate.timeout,
            clock=self._seconds,
            monotonic=lambda: self.time.mono,
        )

    def _followers(self, config: Config) -> Iterator[Follower]:
        for one in followers_of(config):
            yield self.make_reports(config) if isinstance(one, Reports) else one

    def make_reports(self, config: Config) -> Reports:
        """Return the follower that makes reports, here in this process."""
        return Reports(config, self._connect(config), Maker(), self.disk)

    def _seconds(self) -> float:
        return self.time.wall.timestamp()

    def start(self, disk: Disk | None = None) -> Daemon:
        """Start a daemon on the present folders."""
        self.disk = disk
        self.journal = Journal(self.root / ".faxdrop" / "journal", self.time.clock.now, disk)
        self.spool = Spool(self.root, disk, self.journal.note)
        self.spool.open()
        self.daemon = Daemon(
            self.config,
            self.spool,
            self.checker,
            self._connect,
            clock=self.time.clock,
            steps=Here(),
            looks=Here(),
            notifier=Notifier({}),
            lines=Alone(),
            journal=self.journal,
            make_upkeep=partial(upkeep_of, self.journal, self.time.clock),
            following=Here(),
            make_followers=self.make_followers,
            make_watcher=self.make_watcher,
        )
        self.daemon.start()
        return self.daemon

    def _connect(self, config: Config) -> Sipgate:
        self._sipgates.append(self.make_sipgate(config))
        return self._sipgates[-1]

    def crash(self) -> None:
        """End the daemon without a shutdown: what is not on disk is lost."""
        if self.spool is not None:
            self.spool.close()  # as the kernel closes a dead process's files
        while self._sipgates:
            self._sipgates.pop().close()
        self.daemon = self.spool = None

    def drop(self, folder: str, name: str, content: bytes) -> Path:
        """Put a document into the inbox, as a person does."""
        path = self.inbox / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def turn(self) -> float | None:
        """Let the loop turn once; return its pause."""
        assert self.daemon is not None
        return self.daemon.turn()

    def live(self, seconds: float) -> None:
        """Let the daemon live for so many seconds."""
        end = self.time.mono + seconds
        while self.time.mono < end:
            pause = self.turn()
            left = end - self.time.mono
            self.time.pass_by(max(min(left, left if pause is None else pause), 0.001))

    def until(self, holds: Callable[[], bool], hours: float = 48.0) -> None:
        """Let the daemon live until something holds."""
        end = self.time.mono + hours * 3600
        while not holds():
            assert self.time.mono < end, f"not within {hours} hours: {self.tree()}"
            pause = self.turn()
            self.time.pass_by(max(pause or 0.0, 0.001))

    def until_done(self, hours: float = 48.0) -> None:
        """Let the daemon live until the inbox and the spool are empty."""
        self.until(lambda: not self.in_inbox() and not self.in_spool(), hours)

    # -- what is on disk --------------------------------------------------------------------

    def in_inbox(self) -> list[Path]:
        """Return the files in the inbox."""
        return _files(self.inbox)

    def in_spool(self) -> list[Path]:
        """Return the documents in the spool."""
        return sorted((self.root / ".faxdrop" / "jobs").glob("*/document.pdf"))

    def filed(self, status: str) -> list[Filed]:
        """Return what lies in sent/ or failed/; each with a valid receipt beside it."""
        found = []
        for path in _files(self.root / status):
            receipt = path.with_name(path.name + ".json")
            if path.suffix == ".json" and path.with_suffix("").exists():
                continue
            if is_report(path):
                continue
            found.append(
                Filed(path, path.read_bytes(), Receipt.model_validate_json(receipt.read_bytes()))
            )
        return found

    @property
    def sent(self) -> list[Filed]:
        """What lies in sent/."""
        return self.filed("sent")

    @property
    def failed(self) -> list[Filed]:
        """What lies in failed/."""
        return self.filed("failed")

    def documents(self) -> dict[str, list[Path]]:
        """Return where each document is, by the SHA-256 of its content."""
        found: dict[str, list[Path]] = {}
        everywhere: Iterable[Path] = [
            *self.in_inbox(),
            *self.in_spool(),
            *(self.root / ".faxdrop" / "corrupt").glob("*/document.pdf"),
            *(one.path for status in ("sent", "failed") for one in self.filed(status)),
        ]
        for path in everywhere:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found.setdefault(digest, []).append(path)
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return the records in the spool."""
        jobs = (self.root / ".faxdrop" / "jobs").glob("*/job.json")
        return [json.loads(path.read_bytes()) for path in sorted(jobs)]

    def tree(self) -> str:
        """Return the tree of all files, for the message of a failed test."""
        return "\n".join(str(path.relative_to(self.root)) for path in sorted(self.root.rglob("*")))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
