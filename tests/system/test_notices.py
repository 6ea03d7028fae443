"""The daemon is killed again and again while the mail server goes away and comes back."""

import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path
from random import Random

import pytest

from faxdrop.simulator import Simulator
from tests.kit.kills import INBOX, SENDING
from tests.kit.mail import PASSWORD, MailServer
from tests.kit.processes import FAXDROP, Office
from tests.kit.seeds import random_of, seed_of, tell
from tests.kit.waiting import until

NUMBER = "+493023125000"
KILLS = 20
ANNA, BERT = "anna@office.example", "bert@office.example"
HASTY = (FAXDROP[0], "-m", "tests.kit.hasty")


def named(server: MailServer) -> dict[str, Counter[str]]:
    """Return how often each document was told, by recipient."""
    found: dict[str, Counter[str]] = {ANNA: Counter(), BERT: Counter()}
    for to, raw in server.mails:
        text = str(message_from_bytes(raw, policy=policy.default).get_content())
        found[to].update(re.findall(r"^(bad\d+\.pdf): ", text, re.MULTILINE))
    return found


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.long
def test_every_failure_is_told_and_none_five_times(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is killed when: each recipient hears of each failed fax, of few of them twice."""
    random = random_of(seed_of(request))
    server = MailServer(tmp_path)
    server.later = {BERT}
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    dropped: list[str] = []
    is_away = True
    with (
        Simulator(pace=0.1) as simulator,
        Office(
            tmp_path, simulator.base_url, inbox_settings=INBOX, sending_settings=SENDING
        ) as office,
    ):
        with office.config.open("a") as config:
            config.write("[notify.office]\n")
        dotenv = office.folder / ".env"
        dotenv.write_text(f"NOTIFY_OFFICE={server.address(ANNA, BERT).get_secret_value()}\n")
        dotenv.chmod(0o600)
        for _ in range(KILLS):
            if random.random() < 0.5:
                (server.start if is_away else server.stop)()
                is_away = not is_away
            office.start(before=HASTY)
            for _ in range(random.randrange(1, 4)):
                dropped.append(f"bad{len(dropped)}.pdf")
                office.drop(NUMBER, dropped[-1], f"{dropped[-1]} is no PDF".encode())
            _within(partial(_has_more, server, *_asked(server, random)), random.uniform(0.3, 5.0))
            _within(lambda: False, random.uniform(0.0, 0.2))
            assert office.program is not None
            os.kill(office.program.pid, signal.SIGKILL)
            office.kill()
        if is_away:
            server.start()
        office.start(before=HASTY)
        office.await_filed(len(dropped), seconds=120)
        office.until(
            lambda: all(told.keys() == set(dropped) for told in named(server).values()),
            "a word of each",
            120,
        )
        office.await_event("notice.sent")
        assert office.stop() == 0
        log = office.log.read_text()
        server.stop()
    told = named(server)
    most = max(count for counts in told.values() for count in counts.values())
    twice = sum(count > 1 for counts in told.values() for count in counts.values())
    tell(
        request,
        f"{KILLS} kills: {len(dropped)} failures, {twice} told again, none {most + 1} times",
    )
    assert most < 5
    for secret in (PASSWORD, "office.example"):
        assert secret not in log


def _asked(server: MailServer, random: Random) -> tuple[float, float]:
    """Return how many questions and mails a kill waits for: one more, or more than there can be."""
    more = random.choice(((1, 0), (0, 1), (1e9, 1e9)))
    return sum(server.asked.values()) + more[0], len(server.mails) + more[1]


def _has_more(server: MailServer, asked: float, mails: float) -> bool:
    return sum(server.asked.values()) >= asked and len(server.mails) >= mails


def _within(holds: Callable[[], object], seconds: float) -> None:
    """Wait for something, or until the time is over."""
    with contextlib.suppress(AssertionError):
        until(holds, seconds)
