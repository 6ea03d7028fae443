"""System calls that fail, or during which the daemon dies: strace(1) makes them, from outside.

strace counts for each thread by itself: the Nth call is the Nth of whichever thread gets there. The
faults hit all that the daemon does with them, its log and its document reader included.
"""

import contextlib
import errno
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit import letters, promises
from tests.kit.kills import INBOX, SENDING, simulator_of
from tests.kit.processes import Office
from tests.kit.seeds import random_of, seed_of, tell

CALLS = {
    "rename": "?rename,?renameat,?renameat2",
    "fsync": "fsync,fdatasync",
    "write": "write,pwrite64",
}
MOST = {"rename": 3, "fsync": 7, "write": 12}  # calls that one thread makes in a short life
KILLS = 45
ERRORS = ("ENOSPC", "EIO", "EROFS")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace"),
]


def strace(calls: str, fault: str, when: str, trace: Path) -> list[str]:
    """Return the command line under which those calls go wrong.

    (With --seccomp-bpf it would be faster, but injects no signals.)
    """
    traced = ["-f", "-D", "-qq", "-o", str(trace), "-e", f"trace={calls}"]
    return ["strace", *traced, "-e", f"inject={calls}:{fault}:when={when}"]


def faults_of(trace: Path) -> int:
    """Return how many calls really went wrong."""
    return trace.read_bytes().count(b"(INJECTED)") if trace.exists() else 0


def test_a_daemon_that_dies_in_a_system_call_breaks_no_promise(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Killed in its Nth rename, fsync or write, again and again, it loses and doubles nothing."""
    seed = seed_of(request)
    random = random_of(seed)
    post = list(letters.letters(random, 3 * KILLS, numbers=40, odd=0.3))
    dropped: list[str] = []
    died: dict[str, int] = dict.fromkeys(CALLS, 0)
    with (
        simulator_of(None) as simulator,
        Office(
            tmp_path, simulator.base_url, inbox_settings=INBOX, sending_settings=SENDING
        ) as office,
    ):
        office.inbox.mkdir()
        for at in range(KILLS):
            kind = random.choice(list(CALLS))
            nth = random.randint(1, MOST[kind])
            for one in post[3 * at : 3 * at + 3]:
                letters.drop(office.inbox, one)
                dropped.append(one.sha256)
            trace = tmp_path / "trace"
            before = strace(CALLS[kind], "signal=KILL", str(nth), trace)
            office.start(before=before, wait=False)
            with contextlib.suppress(AssertionError):  # it may die earlier
                office.await_ready()
            died[kind] += has_died(office, 4.0)
            office.kill()
            wrong = promises.violations(office.root, simulator.taken, dropped, ended=False)
            assert not wrong, (f"killed in {kind} {nth}", wrong)
        office.start()
        office.await_filed(len(post), seconds=300)
        assert office.stop() == 0
        wrong = promises.violations(office.root, simulator.taken, dropped)
        assert not wrong, wrong
        tell(request, f"died in {died}: {promises.tally(office.root, simulator.taken)}")
    assert all(died.values())


def has_died(office: Office, seconds: float) -> bool:
    """Wait for the daemon's end; tell whether it came."""
    assert office.program is not None
    try:
        office.program.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


CASES = [(kind, error) for error in ERRORS for kind in CALLS]


@pytest.mark.parametrize(("kind", "error"), CASES)
def test_a_disk_that_refuses_now_and_then_breaks_no_promise(
    kind: str, error: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """While renames, fsyncs or writes fail, it lives on; and then goes on where it was."""
    assert hasattr(errno, error)
    seed = seed_of(request)
    random = random_of(seed + CASES.index((kind, error)))
    post = list(letters.letters(random, 24, numbers=16, odd=0.3))
    more = letters.letters(random, 500, numbers=16, odd=0.0)
    dropped = [one.sha256 for one in post]
    trace = tmp_path / "trace"
    # Not from the first call on: a daemon whose disk is broken at its start says so and ends.
    when = f"{random.randint(4, 9)}+{random.randint(3, 9)}"
    with (
        simulator_of(None) as simulator,
        Office(
            tmp_path, simulator.base_url, inbox_settings=INBOX, sending_settings=SENDING
        ) as office,
    ):
        office.start()  # the folders are there from now on
        assert office.stop() == 0
        office.start(before=strace(CALLS[kind], f"error={error}", when, trace))
        for one in post:
            letters.drop(office.inbox, one)
        assert not has_died(office, 12.0), office.tail()
        while not faults_of(trace):  # no thread has made so many calls yet
            letters.drop(office.inbox, one := next(more))
            dropped.append(one.sha256)
            office.until(lambda: faults_of(trace) or not office.waiting(), "the letter filed")
        assert not has_died(office, 0.0), office.tail()
        office.kill()
        wrong = promises.violations(office.root, simulator.taken, dropped, ended=False)
        assert not wrong, wrong
        office.start()
        office.await_filed(len(dropped), seconds=300)
        assert office.stop() == 0
        wrong = promises.violations(office.root, simulator.taken, dropped)
        assert not wrong, wrong
        figures = promises.tally(office.root, simulator.taken)
        tell(request, f"{faults_of(trace)} times {error} in {kind}: {figures}")
