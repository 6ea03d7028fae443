"""The hook: what it is given, and that it never takes more than its time limit."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from faxdrop.followers.cursor import Line
from faxdrop.followers.follower import FollowerError
from faxdrop.followers.hook import Hook
from faxdrop.followers.program import KEPT, MARK, Program, StoppedError
from faxdrop.journal.lines import Head
from tests.kit.waiting import PATIENCE

SECRETS = {
    "TOKEN": "5ecret-token",
    "TOKEN_ID": "token-ABC",
    "HEARTBEAT_URL": "https://example.com/5ecret",
    "NOTIFY_OFFICE": "mailto://5ecret",
    "CREDENTIALS_DIRECTORY": "/run/credentials/faxdrop.service",
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "LD_PRELOAD": "/opt/5ecret.so",
}

SHELLS = {"PATH", "PWD", "SHLVL", "_", MARK}


def script(folder: Path, text: str) -> Path:
    """Write a program."""
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(folder: Path, text: str, content: bytes = b"", seconds: float = PATIENCE) -> Any:
    """Run a program that is written for it."""
    return Program([str(script(folder, text))], seconds).run(content, os.environ)


def limits(begun: Path) -> Iterator[float]:
    """Yield a time limit; longer ones if it was too short for a program to make ``begun``."""
    for seconds in (0.3, 3.0, PATIENCE):
        yield seconds
        if begun.exists():
            return


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for yet has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter: between the opening and the read
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")


def await_gone(pid: int) -> bool:
    """Tell whether a process ends within a moment."""
    until = time.monotonic() + PATIENCE
    while not (gone := is_gone(pid)) and time.monotonic() < until:
        os.sched_yield()
    return gone


@pytest.mark.parametrize(
    ("text", "status", "output"),
    [
        ("exit 0", 0, ""),
        ("echo done; exit 3", 3, "done\n"),
        ("echo why >&2; kill -9 $$", 128 + signal.SIGKILL, "why\n"),
        ("exec <&- >&- 2>&-; exit 7", 7, ""),  # closes everything, reads nothing
        ("cat", 0, "x" * KEPT),
        ("wc -c | tr -d ' '", 0, f"{1 << 20}\n"),
    ],
)
def test_each_end_is_known(tmp_path: Path, text: str, status: int, output: str) -> None:
    """The exit status is told, whether the program succeeds, fails, is killed, or reads nothing."""
    assert run(tmp_path, text, b"x" * (1 << 20)) == (status, output, True)


def test_a_flood_is_read_and_its_end_is_kept(tmp_path: Path) -> None:
    """Ten megabytes of output take no memory and do not stop the hook's program."""
    ran = run(tmp_path, "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert (ran.status, ran.in_time) == (0, True)
    assert len(ran.output) == KEPT
    assert ran.output.endswith("x\nthe end\n")


def test_what_takes_too_long_is_ended_as_a_whole(tmp_path: Path) -> None:
    """At its time limit a program is killed, with a child that holds the pipes."""
    pids = tmp_path / "pids"
    write = f"echo $! $$ >{pids}.new; mv {pids}.new {pids}"
    text = f"trap '' TERM; sleep 600 & {write}; while :; do sleep 600; done"
    begun = time.monotonic()
    for seconds in limits(pids):
        ran = run(tmp_path, text, seconds=seconds)
    assert time.monotonic() - begun < 5 * PATIENCE  # it sleeps for ten minutes
    assert (ran.status, ran.in_time) == (128 + signal.SIGKILL, False)
    assert all(await_gone(int(pid)) for pid in pids.read_text().split())


@pytest.mark.parametrize("leave", ["setsid", "setsid --fork"])
def test_what_left_its_group_ends_with_it_at_its_time_limit(tmp_path: Path, leave: str) -> None:
    """A child in a session of its own, or one that is nobody's child any more, is found, too."""
    pid = tmp_path / "pid"
    write = f"echo $$ >{pid}.new; mv {pid}.new {pid}"
    text = f"{leave} sh -c '{write}; exec sleep 600' & while [ ! -s {pid} ]; do :; done"
    for seconds in limits(pid):
        ran = run(tmp_path, f"{text}; exec sleep 600", seconds=seconds)
    assert not ran.in_time
    assert await_gone(int(pid.read_text()))


def test_one_that_ends_when_asked_may_clean_up(tmp_path: Path) -> None:
    """At its time limit, a program first gets a SIGTERM."""
    begun = tmp_path / "begun"
    text = f"trap 'echo cleaned; exit 5' TERM; sleep 600 & : >{begun}; wait"
    for seconds in limits(begun):
        ran = run(tmp_path, text, seconds=seconds)
    assert ran == (5, "cleaned\n", False)


def test_what_it_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    """A child that holds the pipes is not waited for when the program itself has ended."""
    ran = run(tmp_path, "sleep 600 & echo $!")
    assert ran.in_time
    assert await_gone(int(ran.output))


def test_a_daemon_that_it_forks_is_not_waited_for(tmp_path: Path) -> None:
    """A child that left the group goes on, and delays nothing although it has the pipes."""
    begun = time.monotonic()
    pid = tmp_path / "pid"
    text = f"setsid sh -c 'echo $$ >{pid}; exec sleep 600' & while [ ! -s {pid} ]; do :; done"
    ran = run(tmp_path, f"{text}; cat {pid}")
    os.kill(int(ran.output), signal.SIGKILL)
    assert ran.in_time
    assert time.monotonic() - begun < PATIENCE  # it sleeps for ten minutes


def test_a_stop_ends_it_at_once(tmp_path: Path) -> None:
    """A stop from another thread ends the whole group, and no later program starts."""
    begun, ends = tmp_path / "begun", []
    text = f"trap '' TERM; sleep 600 & echo $! >{begun}.new; mv {begun}.new {begun}; wait"
    program = Program([str(script(tmp_path, text))], 600.0)

    def work() -> None:
        with pytest.raises(StoppedError) as stopped:
            program.run(b"", os.environ)
        ends.append(stopped)

    thread = threading.Thread(target=work)
    thread.start()
    while not begun.exists():
        os.sched_yield()
    program.stop()
    thread.join(PATIENCE)
    assert len(ends) == 1
    assert await_gone(int(begun.read_text()))
    with pytest.raises(StoppedError):
        program.run(b"", os.environ)


# -- what it is told ------------------------------------------------------------------------------


def filed(
    root: Path, spoil: Callable[[Path], object] = lambda _: None, **more: Any
) -> tuple[Line, bytes]:
    """File a document; return its line in the journal, and its receipt."""
    document = root / "sent" / "Dr. Müller" / "letter\n$(reboot).pdf"
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_bytes(b"%PDF")
    receipt = json.dumps({"format": "faxdrop-receipt/2", "report": None, **more}).encode()
    document.with_name(document.name + ".json").write_bytes(receipt)
    spoil(document.with_name(document.name + ".json"))
    content = {
        "format": "faxdrop-journal/1",
        "event": "sent",
        "job_id": "20260302-081500-1f6a02b9",
        "path": str(document.relative_to(root)),
        "receipt_sha256": hashlib.sha256(receipt).hexdigest(),
    }
    return Line(Head(), content, "2026-03", 0), receipt


def told(
    root: Path, line: Line, environ: Mapping[str, str] = SECRETS
) -> tuple[bytes, dict[str, str]]:
    """Have a hook write down what it is told; return standard input and environment."""
    text = f"cat >{root}/stdin; env -0 >{root}/environ"
    Hook(root, [str(script(root, text))], PATIENCE, {"PATH": os.environ["PATH"], **environ}).take(
        line
    )
    pairs = (root / "environ").read_text().split("\0")[:-1]
    return (root / "stdin").read_bytes(), dict(pair.split("=", 1) for pair in pairs)


def test_it_is_told_receipt_and_paths_and_no_secret(tmp_path: Path) -> None:
    """The hook gets the receipt byte for byte, and no variable that may be a secret."""
    line, receipt = filed(tmp_path, report="letter\n$(reboot).report.pdf")
    content, environ = told(tmp_path, line, {**SECRETS, "LANG": "de_DE.UTF-8", "LC_TIME": "C"})
    folder = tmp_path / "sent" / "Dr. Müller"
    assert content == receipt
    assert {name: environ[name] for name in environ.keys() - SHELLS} == {
        "FAXDROP_STATUS": "sent",
        "FAXDROP_DOCUMENT": str(folder / "letter\n$(reboot).pdf"),
        "FAXDROP_RECEIPT": str(folder / "letter\n$(reboot).pdf.json"),
        "FAXDROP_REPORT": str(folder / "letter\n$(reboot).report.pdf"),
        "LANG": "de_DE.UTF-8",
        "LC_TIME": "C",
    }


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("{}")])
def test_what_was_moved_away_has_its_hook_all_the_same(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """Without its filed receipt, the hook gets the paths as filed and the journal's line."""
    line, _ = filed(tmp_path, spoil, report="letter.report.pdf")
    content, environ = told(tmp_path, line)
    assert json.loads(content) == line.content
    assert environ["FAXDROP_DOCUMENT"].endswith("letter\n$(reboot).pdf")
    assert environ["FAXDROP_REPORT"] == ""


def test_a_document_that_was_gone_when_it_was_filed_has_no_path(tmp_path: Path) -> None:
    """Without a document in its place, the environment names no paths."""
    line, _ = filed(tmp_path)
    line.content["path"] = None
    content, environ = told(tmp_path, line)
    assert json.loads(content)["event"] == "sent"
    assert environ["FAXDROP_DOCUMENT"] == environ["FAXDROP_RECEIPT"] == ""


@pytest.mark.parametrize("spoil", ["gone", "not executable", "no program", "a folder"])
def test_one_that_cannot_be_started_is_tried_again(tmp_path: Path, spoil: str) -> None:
    """A program that is missing is tried again: it may be in the middle of an upgrade."""
    line, _ = filed(tmp_path)
    path = script(tmp_path, "exit 0")
    if spoil == "gone":
        path.unlink()
    elif spoil == "not executable":
        path.chmod(0o644)
    elif spoil == "no program":
        path.write_bytes(b"\x7fELF nothing")
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(FollowerError, match="cannot be started"):
        Hook(tmp_path, [str(path)], PATIENCE, {}).take(line)


@pytest.mark.parametrize(
    ("text", "event"),
    [("exit 0", "hook.ran"), ("exit 1", "hook.failed"), ("sleep 600", "hook.took_too_long")],
)
def test_its_end_is_logged_and_changes_nothing(tmp_path: Path, text: str, event: str) -> None:
    """Whatever the exit status, the line of the journal is done."""
    line, _ = filed(tmp_path)
    begun = tmp_path / "begun"
    program = script(tmp_path, f"echo said; : >{begun}; {text}")
    for seconds in limits(begun) if event == "hook.took_too_long" else [PATIENCE]:
        with structlog.testing.capture_logs() as logs:
            Hook(tmp_path, [str(program)], seconds, {}).take(line)
    [log] = logs
    assert (log["event"], log["output"]) == (event, "said")
