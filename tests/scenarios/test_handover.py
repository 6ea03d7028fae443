"""A crash, a stop or a refusal in mid-upload: nothing was handed over, and that is known."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from faxdrop.config.settings import Config
from faxdrop.fax.job import State
from faxdrop.simulator import Simulator
from faxdrop.sipgate import Answer, Outcome, Sipgate
from tests.kit import pdfs
from tests.kit.breaking import Crash, Stage, Steps, assert_all_answered, ends, stage
from tests.kit.breaking import sipgate_that_crashes as crashing
from tests.kit.processes import Office
from tests.kit.rawserver import Call, RawServer

PLAIN = "+493023125130"
SENT, UNKNOWN = ("sent", None), ("failed", "outcome_unknown")
# More than the sockets' buffers take: random, so that no compression makes it small.
_NOISE = b"%% %s" % Random(1).randbytes(4_000_000).hex().encode()  # noqa: S311 - no secret
LARGE = pdfs.raw_pdf(
    "<</Type/Catalog/Pages 2 0 R>>",
    "<</Type/Pages/Count 1/Kids[3 0 R]>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>/Contents 4 0 R>>",
    b"<</Length %d>>stream\n%s\nendstream" % (len(_NOISE), _NOISE),
)


def _stalling(call: Call) -> None:
    """Answer each question, and take an upload to its middle."""
    while True:
        call.read_head()
        if not call.head.startswith(b"GET"):
            break
        body = b'{"items": [], "totalCount": 0}'
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    call.stop.wait(60)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_document_in_mid_upload_stays_queued(how: str, tmp_path: Path) -> None:
    """Stopped or killed while it is handed over, it waits for the next start, and is faxed then."""
    with RawServer(_stalling) as server, Office(tmp_path, server.url) as office:
        office.start()
        office.drop(PLAIN, "letter.pdf", LARGE)
        office.until(
            lambda: any(call.head.startswith(b"POST") for call in server.calls), "an upload"
        )
        if how == "stop":
            assert office.stop() == 0
        else:
            office.kill()
        [record] = (office.root / ".faxdrop" / "jobs").glob("*/job.json")
        assert json.loads(record.read_bytes())["state"] == "queued"
        with Simulator(pace=0) as simulator:
            office.base_url = simulator.base_url
            office.configure()
            office.start()
            office.await_filed(1)
            [one] = office.filed("sent")
            assert len(one.receipt["attempts"]) == 1
            assert len(simulator.taken) == 1
            office.kill()  # before its simulator's port may be another's


class AtTheStep(Steps):
    """Crashes at a step of a submission, the first time."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def step(self, name: str, half_done: Any = None) -> None:
        """Count a step, or crash."""
        if name == self.name:
            raise Crash(name)
        super().step(name, half_done)


@pytest.mark.parametrize(
    ("name", "state", "end"),
    [
        ("POST goes", "queued", SENT),
        ("last byte waits", "queued", SENT),
        ("last byte goes", "submitting", UNKNOWN),
        ("POST is answered", "submitting", SENT),
    ],
)
def test_nobody_knows_only_behind_the_record(
    name: str, state: str, end: tuple[str, str | None], tmp_path: Path
) -> None:
    """Before the record the fax is queued; behind it the history must tell."""
    with stage(tmp_path) as staged:
        world = staged.world
        make_sipgate = world.make_sipgate
        world.make_sipgate = crashing(world, AtTheStep(name))
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        with pytest.raises(Crash):
            world.until_done(hours=1.0)
        world.crash()
        assert [record["state"] for record in world.records()] == [state]
        world.make_sipgate = make_sipgate
        world.start()
        world.until_done(hours=2.0)
        assert ends(world) == [end]
        assert_all_answered(staged)


class Early(Sipgate):
    """Answers once before the last byte is asked for."""

    answers: list[Answer]

    def submit(self, **fax: Any) -> Answer:
        """Answer."""
        return self.answers.pop() if self.answers else super().submit(**fax)


def _early(staged: Stage, answer: Answer) -> None:
    """Let the first submission be answered before its last byte."""
    world, answers = staged.world, [answer]

    def make(config: Config) -> Sipgate:
        sipgate = world.client(Early, config)
        sipgate.answers = answers
        return sipgate

    world.make_sipgate = make


@pytest.mark.parametrize(
    ("outcome", "end", "outcomes"),
    [
        (Outcome.HOLD, SENT, ["SENT"]),
        (Outcome.LATER, SENT, ["SENT"]),
        (Outcome.REJECTED, ("failed", "rejected"), ["rejected"]),
        (Outcome.NUMBER_REJECTED, ("failed", "number_rejected"), ["rejected"]),
        (Outcome.UNKNOWN, UNKNOWN, ["unknown"]),
    ],
)
def test_an_answer_before_the_last_byte_is_told_as_ever(
    outcome: Outcome, end: tuple[str, str | None], outcomes: list[str], tmp_path: Path
) -> None:
    """What sipgate rejected is an attempt in the receipt; what it put off leaves no trace."""
    with stage(tmp_path) as staged:
        world = staged.world
        _early(staged, Answer(outcome, None, 499, "early", 5.0))
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=2.0)
        assert ends(world) == [end]
        [one] = [*world.sent, *world.failed]
        assert [attempt.outcome for attempt in one.receipt.attempts] == outcomes
        assert one.receipt.faxed is not None
        assert one.receipt.faxed.sha256 == one.receipt.document.sha256
        assert one.receipt.attempts[0].number_dialled == PLAIN


def test_an_early_session_id_is_followed(tmp_path: Path) -> None:
    """A session id before the last byte means that the fax was taken: it is not sent again."""
    with stage(tmp_path, give_up_after=60.0) as staged:
        world = staged.world
        _early(staged, Answer(Outcome.ACCEPTED, "77", 200, "accepted", None))
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=2.0)
        assert ends(world) == [("failed", "no_final_status")]
        assert not staged.simulator.taken


def test_no_last_byte_is_handed_over_once_the_daemon_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being submitted at a stop stays queued: its answer might come too late."""
    with stage(tmp_path) as staged:
        world = staged.world
        daemon = world.start()
        submit, tries = Sipgate.submit, []

        def stopped(sipgate: Sipgate, **what: Any) -> Answer:
            tries.append(sipgate)
            daemon._dispatcher.withhold()  # noqa: SLF001 - as at the beginning of a stop
            return submit(sipgate, **what)

        with monkeypatch.context() as patch:
            patch.setattr(Sipgate, "submit", stopped)
            staged.drop(PLAIN, "letter.pdf", pdfs.good())
            world.until(lambda: bool(tries))
        assert not staged.simulator.taken
        assert world.spool is not None
        [job] = world.spool.jobs.all()
        assert (job.state, job.attempts) == (State.QUEUED, ())
        world.crash()
        world.start()
        world.until_done()
        assert ends(world) == [SENT]
        assert len(staged.simulator.taken) == 1
