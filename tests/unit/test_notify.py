"""What systemd hears: datagrams on a real socket, and silence where there is none."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from faxdrop.daemon.systemd import Notifier


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    """Give a socket that nobody has bound yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(60)
        yield listener


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_each_word(systemd: socket.socket, tmp_path: Path, *, abstract: bool) -> None:
    """Over a path as over the abstract name space, each call is one datagram."""
    path = f"{tmp_path}/notify"
    systemd.bind("\0" + path if abstract else path)
    notifier = Notifier(
        {"NOTIFY_SOCKET": "@" + path if abstract else path}, microseconds=lambda: 12345
    )
    notifier.ready()
    notifier.status("3 on their way,\n1 held: \udcff")
    notifier.watchdog()
    notifier.reloading()
    notifier.stopping()
    assert [systemd.recv(4096).decode() for _ in range(5)] == [
        "READY=1",
        "STATUS=3 on their way, 1 held: ?",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=12345",
        "STOPPING=1",
    ]


def test_the_time_of_a_reload_is_the_monotonic_clocks(
    systemd: socket.socket, tmp_path: Path
) -> None:
    """Without another clock, a reload carries CLOCK_MONOTONIC in microseconds."""
    systemd.bind(f"{tmp_path}/notify")
    Notifier({"NOTIFY_SOCKET": f"{tmp_path}/notify"}).reloading()
    sent = int(systemd.recv(4096).decode().partition("USEC=")[2])
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    assert abs(sent / 1_000_000 - uptime) < 3600


def test_a_long_status_is_cut(systemd: socket.socket, tmp_path: Path) -> None:
    """A status fits into one datagram however much there is to say."""
    systemd.bind(f"{tmp_path}/notify")
    Notifier({"NOTIFY_SOCKET": f"{tmp_path}/notify"}).status("x" * 1_000_000)
    assert len(systemd.recv(1_000_000)) < 4096


@pytest.mark.parametrize(
    "address", ["", "@", "notify", "vsock:2:1", "/nowhere/notify", "/" + "x" * 300, "/a\0b"]
)
def test_nothing_is_raised_where_nobody_listens(address: str) -> None:
    """Without a socket, or with one that cannot be reached, all calls do nothing."""
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("well")
    notifier.stopping()
    Notifier({}).watchdog()


def test_a_systemd_that_does_not_listen_holds_nobody_up_for_long(
    systemd: socket.socket, tmp_path: Path
) -> None:
    """If systemd's queue is full, a message is dropped after a moment."""
    systemd.bind(f"{tmp_path}/notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.settimeout(0)
        full = False
        while not full:
            try:
                other.sendto(b"x", f"{tmp_path}/notify")
            except BlockingIOError:
                full = True
    done = threading.Event()

    def speak() -> None:
        Notifier({"NOTIFY_SOCKET": f"{tmp_path}/notify"}).watchdog()
        done.set()

    threading.Thread(target=speak, daemon=True).start()
    assert done.wait(60)


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_needed(
    environ: dict[str, str], interval: float | None
) -> None:
    """The interval is half of what systemd allows, and none where it watches someone else."""
    assert Notifier(environ, pid=7).watchdog_interval == interval
