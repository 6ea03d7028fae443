"""faxdrop killed again and again from outside, at random moments, while sipgate misbehaves.

Real processes and a real clock: the daemon is ``faxdrop run``, sipgate is the hostile simulator in
this process, and the kills are SIGKILL.
"""

import os
import signal
from pathlib import Path
from random import Random

import psutil
import pytest

from faxdrop.simulator import Simulator
from tests.kit import letters, pdfs, promises
from tests.kit.kills import INBOX, SENDING, moment, simulator_of
from tests.kit.processes import Office
from tests.kit.seeds import random_of, seed_of, tell
from tests.kit.waiting import PATIENCE

NUMBER = "+493023125100"


def kill(office: Office, random: Random) -> None:
    """Kill the daemon with the reader of its documents, or alone: the reader ends then, too."""
    assert office.program is not None
    if random.random() < 0.5:
        readers = psutil.Process(office.program.pid).children(recursive=True)
        os.kill(office.program.pid, signal.SIGKILL)
        office.program.wait()
        assert not psutil.wait_procs(readers, timeout=PATIENCE)[1]
    office.kill()


def ordeal(
    folder: Path,
    simulator: Simulator,
    random: Random,
    post: list[letters.Letter],
    kills: int,
    troubles: tuple[str | int | None, ...] = (None,),
) -> dict[str, int]:
    """Let an office fax while its daemon is killed; return the figures. Nothing may go wrong.

    In each of its lives, one of the troubles is sipgate's.
    """
    documents = len(post)
    dropped: list[str] = []
    with (
        simulator,
        Office(
            folder, simulator.base_url, inbox_settings=INBOX, sending_settings=SENDING
        ) as office,
    ):
        batch = -(-documents // kills)
        for killed in range(kills):
            simulator.trouble = random.choice(troubles)
            office.start(wait=random.random() < 0.8)
            while post and len(dropped) < batch * (killed + 1):
                letters.drop(office.inbox, one := post.pop())
                dropped.append(one.sha256)
            moment(random, simulator)
            kill(office, random)
            wrong = promises.violations(office.root, simulator.taken, dropped, ended=False)
            assert not wrong, (f"after kill {killed + 1}", wrong)
        simulator.trouble = None
        office.start()
        office.await_filed(documents, seconds=600)
        assert office.stop() == 0
        wrong = promises.violations(office.root, simulator.taken, dropped)
        assert not wrong, wrong
        assert not simulator.leaks
        assert not list((office.root / ".faxdrop" / "corrupt").iterdir())
        return promises.tally(office.root, simulator.taken)


@pytest.mark.long
def test_each_document_has_its_whole_report_after_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Killed while reports are made, it makes each in the end, whole, with the filed receipt."""
    random = random_of(seed_of(request))
    with (
        Simulator(pace=0.0) as simulator,
        Office(
            tmp_path,
            simulator.base_url,
            inbox_settings=INBOX,
            sending_settings=SENDING,
            reports="all",
        ) as office,
    ):
        dropped = []
        for killed in range(6):
            office.start()
            for at in range(4):
                content = pdfs.good(1 + at) + b"%% %d\n" % killed
                office.drop(NUMBER, f"{killed}-{at}.pdf", content)
                dropped.append(promises.sha256(content))
            simulator.wait(lambda: False, random.uniform(0.3, 1.5))
            kill(office, random)
            wrong = promises.violations(office.root, simulator.taken, dropped, ended=False)
            assert not wrong, (f"after kill {killed + 1}", wrong)
        office.start()
        office.await_filed(len(dropped))
        office.until(
            lambda: all(
                one.path.with_name(one.receipt["report"]).is_file()
                for status in ("sent", "failed")
                for one in office.filed(status)
            ),
            "all reports are made",
        )
        assert office.command("verify").returncode == 0
        assert office.stop() == 0
        assert not promises.violations(office.root, simulator.taken, dropped)


def test_no_fax_is_lost_or_doubled_when_the_daemon_is_killed(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Killed a few times while answers get lost, it loses no document and sends none twice."""
    random = random_of(seed_of(request))
    post = list(letters.letters(random, 16, numbers=12, odd=0.25))
    figures = ordeal(tmp_path, simulator_of(None), random, post, kills=4)
    tell(request, f"4 kills: {figures}")


@pytest.mark.long
def test_hundreds_of_faxes_survive_dozens_of_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Hundreds of documents, dozens of numbers and kills: each is faxed as often as it is told."""
    seed = seed_of(request)
    random = random_of(seed)
    post = list(letters.letters(random, 400, numbers=50))
    troubles = (None,) * 10 + ("down", 401, 402, 403, 429, 500, 503)
    figures = ordeal(tmp_path, simulator_of(seed), random, post, kills=60, troubles=troubles)
    tell(request, f"60 kills: {figures}")
