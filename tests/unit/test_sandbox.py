"""A document that takes over its reader gets nowhere: everything that it may try is refused."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from faxdrop.config.credentials import Watch
from faxdrop.daemon import build as service
from faxdrop.documents import sandbox
from faxdrop.documents.checker import Checker, Limits
from tests.kit import pdfs
from tests.kit.readers import HOSTILE, TIGHT, are_waiting, check, opened
from tests.kit.servers import free_port
from tests.kit.waiting import PATIENCE, until
from tests.kit.world import config_of

HAS_LANDLOCK = sandbox.landlock_version() > 0
NEEDS_LANDLOCK = pytest.mark.skipif(not HAS_LANDLOCK, reason="this kernel has no Landlock")
LIMITS = Limits(max_bytes=10_000_000, max_pages=30)

# What seccomp cannot refuse, because it sees no names.
OF_FILES = {
    "the daemon's environment",
    "the parent's environment",
    "the daemon's memory",
    "the parent's memory",
    "the daemon's map",
    "the daemon's files",
    "the daemon's root",
    "a file",
    "a folder",
    "own environment on disk",
    "users",
}


@contextmanager
def listening() -> Iterator[dict[str, object]]:
    """Listen at a TCP and UDP port, a UNIX socket and an abstract one; yield where."""
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", free_port())))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(tcp.getsockname())
        folder = stack.enter_context(tempfile.TemporaryDirectory())  # a path may be too long
        unix = f"{folder}/socket"
        for name in (unix, f"\0{unix}"):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.bind(name)
            one.listen()
        yield {"port": tcp.getsockname()[1], "unix": unix}
        assert [path.name for path in Path(folder).iterdir()] == ["socket"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[dict[str, object]]:
    """Return what a reader may try to reach; nothing of it may have changed in the end."""
    secret = tmp_path / "token"
    secret.write_text("a secret")
    with listening() as addresses, subprocess.Popen(["sleep", "600"]) as daemon:
        yield addresses | {"daemon": daemon.pid, "secret": str(secret), "folder": str(tmp_path)}
        assert daemon.poll() is None
        daemon.kill()
    assert secret.read_text() == "a secret"
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def _tried(reader: str, world: dict[str, object]) -> dict[str, str]:
    with Checker(TIGHT, reader=reader) as checker:
        document = opened(b"escape " + json.dumps(world).encode(), os.O_RDWR)
        try:
            found: dict[str, str] = json.loads(checker.check(document).copy_sha256 or "")
        finally:
            os.close(document)
    return found


@NEEDS_LANDLOCK
def test_all_ways_out_are_closed(world: dict[str, object]) -> None:
    """No token, no file, no network, no process and no new program is in a reader's reach."""
    found = _tried(HOSTILE, world)
    assert len(found) > 50
    assert {name: outcome for name, outcome in found.items() if outcome == "done"} == {}


# What can be tried outside the sandbox without harm.
HARMLESS = (
    "own environment on disk",
    "users",
    "a file",
    "a folder",
    "a new file",
    "a link",
    "a pipe",
    "rights of the document",
    "the document, by its number",
    "a pair",
    "to listen",
    "TCP",
    "UDP",
    "UNIX",
    "abstract",
    "is the daemon there",
    "a handle of the daemon",
    "priority of the daemon",
    "to fork",
    "a thread",
    "a file in memory",
)


def test_the_ways_lead_out(tmp_path: Path) -> None:
    """Without the sandbox the same attempts succeed: it is the sandbox that refuses them."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "token").write_text("a secret")
    asked = {"secret": f"{tmp_path}/folder/token", "folder": f"{tmp_path}/folder", "only": HARMLESS}
    with listening() as addresses, subprocess.Popen(["sleep", "600"]) as daemon:
        code = (
            "import json, os, sys\n"
            "from tests.kit import escapes\n"
            "asked = json.loads(sys.argv[1])\n"
            "document = os.open(asked['secret'], os.O_RDWR)\n"
            "print(json.dumps(escapes.tried(document, **asked)))\n"
        )
        seen = subprocess.run(
            [sys.executable, "-c", code, json.dumps(asked | addresses | {"daemon": daemon.pid})],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        daemon.kill()
    assert json.loads(seen.stdout) == dict.fromkeys(HARMLESS, "done")


def test_seccomp_alone(world: dict[str, object]) -> None:
    """Where the kernel has no Landlock, reading is all that is left: nothing gets out."""
    found = _tried("tests.kit.hostile_reader_without_landlock", world)
    done = {name for name, outcome in found.items() if outcome == "done"}
    assert done <= OF_FILES
    assert "a file" in done


@NEEDS_LANDLOCK
def test_landlock_alone(world: dict[str, object]) -> None:
    """Where the machine's numbers of system calls are not known, no file is in reach either."""
    found = _tried("tests.kit.hostile_reader_without_seccomp", world)
    done = {name for name, outcome in found.items() if outcome == "done"}
    assert not done & OF_FILES
    assert not done & {"a new file", "to overwrite", "to delete", "to rename", "TCP"}
    assert "to fork" in done


def test_the_children_are_confined() -> None:
    """The readers of real documents are confined as the hostile ones are; their server is not."""
    with Checker(LIMITS) as checker:
        assert check(checker, pdfs.good()).clean
        assert checker.pid is not None
        until(lambda: are_waiting(checker.pid))
        for child in psutil.Process(checker.pid).children():
            until(lambda child=child: _status(child.pid)["Seccomp"] == "2")  # type: ignore[misc]
            assert _status(child.pid)["NoNewPrivs"] == "1"
        assert _status(checker.pid)["Seccomp"] == "0" or _status(os.getpid())["Seccomp"] == "2"


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel or machine that cannot confine readers is reported; one that can is not."""
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 7)
    assert sandbox.missing() == []
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 0)
    [lacks] = sandbox.missing()
    assert "no Landlock" in lacks
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert len(sandbox.missing()) == 2


def test_the_other_machine() -> None:
    """The filters for both kinds of machines differ in nothing but the numbers."""
    lengths = set()
    for machine in ("x86_64", "aarch64"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("platform.machine", lambda machine=machine: machine)
            code = sandbox.make_filter()
        assert code is not None
        assert len(code) % 8 == 0
        lengths.add(len(code))
    assert all(0 < length < 8 * 4096 for length in lengths)


def test_the_daemon_hides_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing the daemon does is to close its environment and memory to others."""
    config = config_of(tmp_path, "http://127.0.0.1:9")
    done: list[str] = []

    def stop(*_: object, **__: object) -> None:
        done.append("opened")
        raise InterruptedError

    monkeypatch.setattr(service, "hide_from_others", lambda: done.append("hidden"))
    monkeypatch.setattr(service, "daemon_of", stop)
    with pytest.raises(InterruptedError):
        service.run(config, lambda: config, Watch(()), simulated=True)
    assert done == ["hidden", "opened"]


def test_hidden_memory_is_hidden() -> None:
    """Other processes of the same user can then read neither its environment nor its memory."""
    code = (
        "import ctypes, os\n"
        "from faxdrop.documents.sandbox import hide_from_others\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"  # PR_GET_DUMPABLE
        "hide_from_others()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert seen.stdout == b"1\n0\n"
