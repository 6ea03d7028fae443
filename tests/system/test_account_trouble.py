"""Trouble with the account or with sipgate, for hours: the queue holds, says so, and recovers."""

import ssl
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from faxdrop.config.settings import Config
from faxdrop.sipgate import Answer, Entry, History, Sipgate
from tests.kit import pdfs
from tests.kit.breaking import (
    Stage,
    assert_all_answered,
    assert_kept,
    ends,
    quiet,
    seconds_of,
    stage,
    turns_of,
)
from tests.kit.rawserver import Call, RawServer
from tests.kit.seeds import tell

HOURS = 1.0
DOCUMENTS = 12
MOST_A_MINUTE = 4.0  # requests of all kinds while something holds


def _drop_all(staged: Stage) -> None:
    for at in range(DOCUMENTS):
        staged.drop(f"+493023125{at % 4 + 30:03d}", f"letter {at}.pdf", pdfs.good(text=f"Nr. {at}"))


def _holds(staged: Stage) -> dict[str, dict[str, str]]:
    assert staged.world.spool is not None
    holds = staged.world.spool.notes.read_status()["holds"]
    assert isinstance(holds, list)
    return {hold["what"]: hold for hold in holds}


def _requests(staged: Stage) -> int:
    return sum(len(times) for times in staged.simulator.requests.values())


def _hold_for_hours(
    staged: Stage, request: pytest.FixtureRequest, *, words: str, hours: float = HOURS
) -> None:
    """Let hours pass in trouble, from now on, and assert what must hold all the while."""
    world = staged.world
    began, taken, asked = world.time.wall, len(staged.simulator.taken), _requests(staged)
    with quiet() as events:
        turns_of(world, 60.0)
        world.crash()  # after a restart, holds are found again
        world.start()
        turns = turns_of(world, hours * 3600)
        held = _holds(staged)
    assert not world.failed, "trouble with the account is no document's fault"
    assert len(staged.simulator.taken) == taken
    assert_kept(staged)
    assert any(words in hold["words"] for hold in held.values()), held
    for hold in held.values():
        since = datetime.fromisoformat(hold["since"])
        assert timedelta(0) <= since - began <= timedelta(minutes=4), "since when it holds"
    told = [event for event in events if event["event"] == "queue.held"]
    assert any(words in event["why"] for event in told)
    assert len(told) <= 6, "said once, not each time"
    minutes = hours * 60 + 1
    a_minute = (_requests(staged) - asked) / minutes
    tell(
        request, f"{request.node.name}: {a_minute:.1f} requests and {turns / minutes:.0f} turns/min"
    )
    assert a_minute <= MOST_A_MINUTE


def _recovers_within_a_minute(staged: Stage) -> None:
    """Assert that a fax is taken within a minute from now, that it is told, and all end sent."""
    world = staged.world
    taken = len(staged.simulator.taken)
    with quiet() as events:
        turns_of(world, 60.0)
        assert len(staged.simulator.taken) > taken
        assert "submitting" not in _holds(staged)
        assert any(event["event"] == "queue.released" for event in events)
    world.until_done()
    world.live(5.0)
    assert_all_answered(staged)
    assert ends(world) == [("sent", None)] * DOCUMENTS
    assert not _holds(staged)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (401, "token"),
        (402, "balance"),
        pytest.param(403, "403", marks=pytest.mark.long),
        pytest.param(404, "404", marks=pytest.mark.long),
        pytest.param(405, "405", marks=pytest.mark.long),
        pytest.param(415, "415", marks=pytest.mark.long),
        ("down", "connect"),
        ({"GET /history": 401}, "token"),
        pytest.param({"GET /history": 500}, "500", marks=pytest.mark.long),
        pytest.param("503", "503", marks=pytest.mark.long),
        pytest.param("429", "429", marks=pytest.mark.long),
    ],
    ids=str,
)
def test_trouble_in_mid_flow_holds_the_queue_and_ends_by_itself(
    trouble: Any, words: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Hours of trouble move nothing to failed/, cause few requests, and end within a minute."""
    with stage(tmp_path, pace=20.0) as staged:
        world = staged.world
        world.start()
        _drop_all(staged)
        world.until(lambda: len(staged.simulator.taken) >= 4)
        staged.simulator.trouble = trouble
        _hold_for_hours(staged, request, words=words)
        staged.simulator.trouble = None
        _recovers_within_a_minute(staged)


class Detour(Sipgate):
    """Asks another server for as long as there is one to be asked."""

    other: Callable[[], Sipgate | None]
    asked = 0

    def submit(self, **fax: Any) -> Answer:
        """Submit here or there."""
        answer: Answer = self._way(super()).submit(**fax)
        return answer

    def history(self, **asked: Any) -> History:
        """List here or there."""
        found: History = self._way(super()).history(**asked)
        return found

    def entry(self, session_id: str) -> Entry | None:
        """Ask here or there."""
        entry: Entry | None = self._way(super()).entry(session_id)
        return entry

    def _way(self, here: Any) -> Any:
        other = self.other()
        if other is None:
            return here
        Detour.asked += 1
        return other


def _detour(staged: Stage, url: str) -> Callable[[], None]:
    """Lead the world's client to another server; return what ends that."""
    world = staged.world
    secrets = world.config.secrets
    clock = seconds_of(world.time)
    others: list[Sipgate] = [Sipgate(url, secrets.token_id, secrets.token, 5.0, clock=clock)]

    def make(config: Config) -> Sipgate:
        detour = world.client(Detour, config)
        detour.other = lambda: others[0] if others else None
        return detour

    def end() -> None:
        others.pop().close()

    Detour.asked = 0
    world.crash()
    world.make_sipgate = make
    world.start()
    return end


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """Return a server's side of TLS, with a certificate that nobody trusts."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    files = ["-subj", "/CN=sipgate.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _elsewhere(
    staged: Stage, url: str, request: pytest.FixtureRequest, words: str, hours: float
) -> None:
    staged.world.start()
    _drop_all(staged)
    staged.world.until(lambda: len(staged.simulator.taken) >= 4)
    end = _detour(staged, url)
    _hold_for_hours(staged, request, words=words, hours=hours)
    assert Detour.asked <= MOST_A_MINUTE * (hours * 60 + 1)
    end()
    _recovers_within_a_minute(staged)


def test_a_wrong_certificate_holds_the_queue(
    tmp_path: Path, self_signed: ssl.SSLContext, request: pytest.FixtureRequest
) -> None:
    """A server with an untrusted certificate gets nothing, and the queue waits."""

    def never(call: Call) -> None:
        raise AssertionError(f"it was talked to: {call.head!r}")

    with stage(tmp_path / "root", pace=20.0) as staged, RawServer(never, tls=self_signed) as server:
        _elsewhere(staged, server.url, request, "no trusted connection", hours=0.5)
    assert not any(call.head for call in server.calls)


def test_a_name_that_is_gone_holds_the_queue(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """While the name server does not know sipgate, the queue waits."""
    with stage(tmp_path / "root", pace=20.0) as staged:
        _elsewhere(staged, "https://api.sipgate.invalid/v2", request, "sipgate.invalid", hours=0.5)


@pytest.mark.long
@pytest.mark.parametrize(
    "trouble",
    ["500", "lose-before", "500-taken", "lose-after"],
)
def test_a_server_that_takes_everything_and_says_nothing_burns_few_documents(
    trouble: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """When all answers are lost for an hour, submitting pauses, so few faxes become unknown."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        for at in range(60):
            staged.drop(f"+4930{2312600 + at}", "letter.pdf", pdfs.good(text=f"Nr. {at}"))
        staged.simulator.trouble = {"POST /sessions/fax": trouble}
        turns_of(world, 3600.0)
        posts = staged.simulator.count("POST /sessions/fax")
        tell(request, f"{trouble}: {posts} submissions in an hour, {len(world.failed)} in failed/")
        assert_kept(staged)
        assert posts < 40
        staged.simulator.trouble = None
        world.until_done()
        world.live(5.0)
        assert_all_answered(staged)
