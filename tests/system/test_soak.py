"""An hour of an office's faxes in a few minutes: thousands, through restarts, and nothing grows."""

import os
import signal
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil
import pytest

from faxdrop.simulator import Simulator
from tests.kit import letters, promises
from tests.kit.kills import INBOX, SENDING, moment
from tests.kit.processes import Office
from tests.kit.seeds import random_of, seed_of, tell

RESTARTS, BATCH = 24, 50
WARM, LASTING = 3, 7  # rounds of faxes of the last daemon: before it is measured, and after
NUMBERS = 300
SEVERITY = 0.12  # a queue that is always held would not send thousands of faxes
GROWTH = 6 << 20  # bytes
SPARE = 4  # of what thousands of faxes would need thousands of


class Size(NamedTuple):
    """What a program uses."""

    rss: int
    fds: int
    threads: int


def size_of(office: Office) -> Size:
    """Measure the daemon."""
    assert office.program is not None
    daemon = psutil.Process(office.program.pid)
    with daemon.oneshot():
        return Size(daemon.memory_info().rss, daemon.num_fds(), daemon.num_threads())


def is_as_small(after: Size, before: Size) -> bool:
    """Tell whether there are no more threads and open files, but for a few that come and go.

    These are threads that a pool starts when it needs them, and connections that are kept alive.
    """
    return after.threads <= before.threads + SPARE and after.fds <= before.fds + SPARE


def restart(office: Office, random: Random) -> None:
    """End the daemon in one of the ways in which daemons end, and start it again."""
    assert office.program is not None
    match random.choice(("stop", "kill", "kill alone", "reload")):
        case "stop":
            assert office.stop() == 0
        case "kill":
            office.kill()
        case "kill alone":
            os.kill(office.program.pid, signal.SIGKILL)
            office.program.wait()
            office.kill()
        case _:
            office.reload()
            return
    office.start()


@pytest.mark.long
def test_thousands_of_faxes_leave_the_daemon_as_it_was(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Through restarts and misbehaviour all faxes end truthfully; memory, files, threads stay."""
    seed = seed_of(request)
    random = random_of(seed)
    total = RESTARTS * BATCH + (WARM + LASTING) * 5 * BATCH
    post = letters.letters(random, total, numbers=NUMBERS, odd=0.01)
    dropped: list[str] = []
    with (
        Simulator(
            hostile=seed, severity=SEVERITY, pace=0.1, slow=0.3, late=1.0, retry_after=1.0
        ) as simulator,
        Office(
            tmp_path, simulator.base_url, inbox_settings=INBOX, sending_settings=SENDING
        ) as office,
    ):

        def drop(count: int) -> None:
            for _ in range(count):
                letters.drop(office.inbox, one := next(post))
                dropped.append(one.sha256)

        def live_on(rounds: int) -> None:
            """Drop many at once, and wait for the last of them, so many times over."""
            for _ in range(rounds):
                drop(5 * BATCH)
                office.await_filed(len(dropped), seconds=200)
                # In real life there are some faxes in a few minutes, not thousands: a short list.
                simulator.account.delete(None)

        office.start()
        for _ in range(RESTARTS):
            drop(BATCH)
            moment(random, simulator)
            restart(office, random)
        office.kill()
        wrong = promises.violations(office.root, simulator.taken, dropped, ended=False)
        assert not wrong, wrong
        office.start()
        live_on(WARM)
        before = size_of(office)
        live_on(LASTING)
        office.until(lambda: is_as_small(size_of(office), before), "no more files and threads")
        after = size_of(office)
        assert office.stop() == 0
        wrong = promises.violations(office.root, simulator.taken, dropped)
        assert not wrong, wrong
        assert not simulator.leaks
        figures = promises.tally(office.root, simulator.taken)
        tell(request, f"{RESTARTS} restarts: {figures}; {before} -> {after}")
        assert after.rss - before.rss < GROWTH
