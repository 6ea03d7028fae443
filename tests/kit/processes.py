"""faxdrop and its simulator as real processes, to be watched from outside, stopped and killed.

`Simulated` is ``faxdrop simulate``; `Office` is a root, its config, and a ``faxdrop run`` for it.
Both report when they are ready: the simulator in a line of JSON, the daemon on systemd's socket,
which the office owns. Nothing here waits for time to pass.
"""

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import requests
from click.testing import CliRunner, Result

from faxdrop.cli.main import main
from faxdrop.config.simulated import SIMULATED
from tests.kit.reports import is_report
from tests.kit.waiting import PATIENCE, until

PROJECT = Path(__file__).parents[2]
FAXDROP = (sys.executable, "-m", "faxdrop")

RECIPIENTS = {"Amt": "+493023125030", "Dr. Müller": "+493023125031"}


class User(NamedTuple):
    """The user and group whose rights a program has."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


NOBODY = User(65534, 65534)  # Debian's nobody and nogroup


class Simulated:
    """``faxdrop simulate``, and the faxes it took. A context manager."""

    def __init__(self, *arguments: str) -> None:
        self.program = subprocess.Popen(
            [*FAXDROP, "simulate", "--port", "0", "--json", *arguments],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._http = requests.Session()
        try:
            assert self.program.stdout is not None
            assert select.select([self.program.stdout], [], [], PATIENCE)[0], "simulator is silent"
            where = json.loads(self.program.stdout.readline())
        except BaseException:
            self.stop()
            raise
        self.base_url: str = where["base_url"]
        self.control_url: str = where["control_url"]

    def ask(self, what: str) -> Any:
        """Return the answer to a GET: ``taken``, ``requests``, ``leaks``."""
        answer = self._http.get(f"{self.control_url}/{what}", timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def tell(self, what: str, **how: Any) -> None:
        """POST an order: ``trouble``, ``script``, ``account``, ..."""
        answer = self._http.post(f"{self.control_url}/{what}", json=how, timeout=PATIENCE)
        answer.raise_for_status()

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The faxes that were really taken, the oldest first."""
        taken: list[dict[str, Any]] = self.ask("taken")
        return taken

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._http.close()
        kill(self.program)
        if self.program.stdout is not None:
            self.program.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True)
class Filed:
    """A document in sent/ or failed/, and its receipt."""

    path: Path
    receipt: dict[str, Any]


@dataclass
class Office:
    """A root, its config, and its daemon. A context manager, which kills the daemon at its end.

    ``folder`` holds everything, ``base_url`` is sipgate's. Default settings are short times, so
    that tests are quick. The daemon has the rights of ``user``, or of the test without one.
    """

    folder: Path
    base_url: str
    recipients: Mapping[str, str] = field(default_factory=lambda: dict(RECIPIENTS))
    inbox_settings: Mapping[str, str] = field(default_factory=dict)
    sending_settings: Mapping[str, Any] = field(default_factory=dict)
    root: Path = field(default=Path())
    user: User | None = None
    reports: str = "none"  # for which documents
    on_host: Sequence[str] = ()  # a command line that makes the daemon's host another one

    def __post_init__(self) -> None:
        if self.root == Path():
            self.root = self.folder / "share"
            self.root.mkdir(exist_ok=True)
        self.inbox = self.root / "inbox"
        self.config = self.folder / "config.toml"
        self.log = self.folder / "daemon.log"
        self.program: subprocess.Popen[bytes] | None = None
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind("")  # an abstract address that nobody else has (unix(7))
        self._address = self._systemd.getsockname().decode().replace("\0", "@")
        self.configure()

    def configure(self) -> None:
        """Write the config: before the start, and again before a reload."""
        tables: dict[str, Mapping[str, Any]] = {
            "sipgate": {"base_url": self.base_url, "faxline": "f0", "timeout": "10s"},
            "recipients": self.recipients,
            "inbox": {"settle": "500ms", "patience": "5s", "rescan": "60s", **self.inbox_settings},
            "report": {"pdf": self.reports},
            "sending": {
                "poll_interval": "200ms",
                "delays": ["200ms", "200ms"],
                **self.sending_settings,
            },
        }
        lines = [f"root = {_toml(str(self.root))}"]
        for name, table in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{_toml(key)} = {_toml(value)}" for key, value in table.items()]
        self.config.write_text("\n".join(lines) + "\n")

    # -- the daemon -------------------------------------------------------------------------

    def start(self, *, before: Sequence[str] = (), wait: bool = True, umask: int = 0o007) -> None:
        """Start the daemon, and wait until it says that it is ready.

        ``before`` is a command line that starts it, such as strace's with its options.
        """
        assert self.program is None, "still there"
        as_user = as_other(self.user, self.folder) if self.user else []
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(
                [*self.on_host, *as_user, *before, *FAXDROP, "--config", str(self.config), "run"],
                cwd=PROJECT,
                env={**_environment(), "NOTIFY_SOCKET": self._address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=umask,
            )
        if wait:
            self.await_ready()

    def reload(self) -> None:
        """Have the daemon reload its config, and wait until it has."""
        assert self.program is not None
        while select.select([self._systemd], [], [], 0)[0]:  # earlier messages
            self._systemd.recv(65536)
        self.program.send_signal(signal.SIGHUP)
        self.await_ready()

    def await_ready(self, seconds: float = PATIENCE) -> None:
        """Wait until the daemon says that it is ready, after a start or a reload."""
        assert self.program is not None
        gone = os.pidfd_open(self.program.pid)
        try:
            deadline = time.monotonic() + seconds
            systemd = self._systemd.fileno()
            while True:
                left = max(0.0, deadline - time.monotonic())
                ready = select.select([systemd, gone], [], [], left)[0]
                assert systemd in ready, f"not ready:\n{self.tail()}"
                if b"READY=1" in self._systemd.recv(65536).split(b"\n"):
                    return
        finally:
            os.close(gone)

    def stop(self) -> int:
        """Stop the daemon as systemd does; return its exit status."""
        assert self.program is not None
        self.program.terminate()
        status = self.program.wait(PATIENCE)
        self._ended()
        return status

    def kill(self) -> None:
        """Kill the daemon and all that it started (SIGKILL); safe to call twice."""
        if self.program is not None:
            kill(self.program)
            self._ended()

    def _ended(self) -> None:
        self.program = None
        with contextlib.suppress(BlockingIOError):
            while True:  # its messages must not be taken for the next daemon's
                self._systemd.recv(65536, socket.MSG_DONTWAIT)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another faxdrop command with the same config."""
        return subprocess.run(
            [*FAXDROP, "--config", str(self.config), *arguments],
            cwd=PROJECT,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def asked(self, *arguments: str) -> Result:
        """Run a command in this process, where a process of its own is not the point."""
        return CliRunner().invoke(main, ["--config", str(self.config), *arguments], env=SIMULATED)

    # -- what it says -----------------------------------------------------------------------

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of that name from the logs of all the office's daemons."""
        found = []
        for line in self.log.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == name:
                    found.append(entry)
        return found

    def await_event(self, name: str, *, count: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until the log has so many events of that name."""
        self.until(lambda: len(self.events(name)) >= count, f"{count} {name}", seconds)

    def status(self) -> dict[str, Any]:
        """Return the daemon's last status; {} if there is none."""
        try:
            status = json.loads((self.root / ".faxdrop" / "status.json").read_bytes())
        except OSError:
            return {}
        assert isinstance(status, dict)
        return status

    def tail(self, lines: int = 30) -> str:
        """Return the end of the log, for the message of a test that failed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def until(self, holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something that the daemon does; fail with the end of its log."""
        try:
            until(holds, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    # -- documents --------------------------------------------------------------------------

    def drop(self, folder: str, name: str, content: bytes) -> Path:
        """Put a document into the inbox, as ``cp`` does."""
        path = self.inbox / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def waiting(self) -> list[Path]:
        """Return the documents in the inbox and in the spool."""
        spool = (self.root / ".faxdrop" / "jobs").glob("*/document.pdf")
        return sorted([*_files(self.inbox), *spool])

    def filed(self, status: str) -> list[Filed]:
        """Return what lies in sent/ or failed/; each must have its receipt."""
        found = []
        for path in _files(self.root / status):
            if path.suffix == ".json" and path.with_suffix("").exists():
                continue
            if is_report(path):
                continue
            receipt = path.with_name(path.name + ".json")
            found.append(Filed(path, json.loads(receipt.read_bytes())))
        return found

    def await_filed(self, count: int, seconds: float = PATIENCE) -> None:
        """Wait until ``count`` documents are in sent/ and failed/, and none is waiting."""

        def all_filed() -> bool:
            receipts = (_receipts(self.root / status) for status in ("sent", "failed"))
            return sum(receipts) >= count and not self.waiting()

        self.until(all_filed, f"{count} documents filed", seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._systemd.close()


# A mount namespace that opens folders only root may enter to this program and its children: Python
# may well be installed below /root.
_AS_OTHER = """
mkdir -p "$1"
mount -t tmpfs -o mode=0755 tmpfs "$1"
look=$1 user=$2; shift 2
while test "$1" != --; do
    dirs=$(mktemp --directory "$look/XXXXXX"); chmod 755 "$dirs"; mkdir "$dirs/upper" "$dirs/work"
    mount -t overlay -o "lowerdir=$1,upperdir=$dirs/upper,workdir=$dirs/work" overlay "$1"
    chmod o+x "$1"; shift
done
shift; exec setpriv $user -- "$@"
"""


def as_other(user: User, scratch: Path) -> list[str]:
    """Return a command line that runs a program with the rights of another user. Needs root."""
    groups = f"--groups={','.join(map(str, user.groups))}" if user.groups else "--clear-groups"
    rights = f"--reuid={user.uid} --regid={user.gid} {groups}"
    needed = [Path(sys.prefix), Path(sys.executable).resolve(), PROJECT]
    ancestors = {ancestor for path in needed for ancestor in path.parents}
    closed = sorted(str(path) for path in ancestors if not path.stat().st_mode & stat.S_IXOTH)
    inside = ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", _AS_OTHER, "sh"]
    return [*inside, str(scratch / "look"), rights, *closed, "--"]


def kill(program: subprocess.Popen[bytes]) -> None:
    """Kill a program that leads a session of its own, with all that it started, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait(PATIENCE)


def _environment() -> dict[str, str]:
    return {**os.environ, **SIMULATED, "LC_ALL": "C.UTF-8"}


def _toml(value: Any) -> str:
    """Return a string, a number, a truth value or a list of them as TOML; JSON is the same."""
    return json.dumps(value, ensure_ascii=False)


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, even while it changes."""
    for path, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(path, name) for name in sorted(names))


def _receipts(folder: Path) -> int:
    return sum(path.suffix == ".json" for path in _files(folder))
