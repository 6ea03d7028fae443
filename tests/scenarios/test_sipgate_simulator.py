"""The client against the simulator: whatever is answered, the verdict is true of what was taken."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from faxdrop.simulator import Simulator
from faxdrop.simulator.api import SUBMIT
from faxdrop.simulator.behaviour import BEHAVIOURS, MAGIC
from faxdrop.sipgate import Answer, Outcome, Sipgate, Unreachable
from tests.kit.waiting import PATIENCE
from tests.kit.world import TOKEN, TOKEN_ID

TAKEN = {Outcome.ACCEPTED, Outcome.UNKNOWN}  # what may be said of a fax that was taken
NOT_TAKEN = set(Outcome) - {Outcome.ACCEPTED}  # and of one that was not


def client_of(simulator: Simulator, timeout: float = 0.5) -> Sipgate:
    """Return a client that has the simulator's token."""
    return Sipgate(simulator.base_url, TOKEN_ID, SecretStr(TOKEN), timeout)


def submit(
    client: Sipgate,
    number: str = "+493023125000",
    size: int = 1000,
    name: str = "letter.pdf",
) -> Answer:
    """Submit something of a size."""
    data = b"%PDF-1.4\n" + b"x" * size + b"\n%%EOF\n"
    return client.submit(
        faxline="f0",
        recipient=number,
        filename=name,
        document=io.BytesIO(data),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


STATUSES = [str(status) for status in (400, 401, 402, 403, 404, 405, 407, 413, 415, 500, 502)]


@pytest.mark.parametrize("size", [1000, 3_000_000])
@pytest.mark.parametrize("behaviour", [*BEHAVIOURS, *STATUSES, "500-taken", "502-taken"])
def test_the_verdict_is_true_under_each_behaviour(behaviour: str, size: int) -> None:
    """A fax that was taken is never called untaken, and one that was not is never accepted."""
    with Simulator(pace=0, slow=2.0) as simulator, client_of(simulator) as client:
        simulator.script([behaviour])
        answer = submit(client, size=size)
        while not simulator.count(SUBMIT):  # it gave up before it had asked
            answer = submit(client, size=size)
        assert answer.outcome in (TAKEN if simulator.taken else NOT_TAKEN)
        assert simulator.leaks == []
        with client_of(simulator, PATIENCE) as patient:
            assert submit(patient).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("magic", MAGIC, ids=lambda magic: magic.name)
def test_the_verdict_is_true_for_each_magic_number(magic: object) -> None:
    """For each of the simulator's numbers the verdict is true."""
    number = str(getattr(magic, "number", ""))
    with Simulator(pace=0, slow=2.0) as simulator, client_of(simulator) as client:
        answer = submit(client, number)
        assert answer.outcome in (TAKEN if simulator.taken else NOT_TAKEN)


@pytest.mark.parametrize("seed", range(5))
def test_the_verdict_is_true_in_a_hostile_run(seed: int) -> None:
    """Over a hostile run, no fax is said not to be taken that was, nor the other way round."""
    with (
        Simulator(pace=0, slow=1.0, late=0.0, hostile=seed) as simulator,
        client_of(simulator) as client,
    ):
        names = [f"{number}.pdf" for number in range(60)]
        outcomes = {name: submit(client, name=name).outcome for name in names}
    # Only now: what the client no longer waited for may have been taken a moment later.
    taken = {fax.filename for fax in simulator.taken}
    for name, outcome in outcomes.items():
        assert outcome in (TAKEN if name in taken else NOT_TAKEN), seed


def test_what_was_submitted_is_found() -> None:
    """An accepted fax is in the list, by its id, in the archive when it was archived."""
    with Simulator(pace=0) as simulator, client_of(simulator, PATIENCE) as client:
        session_id = submit(client).session_id
        assert session_id is not None
        since = datetime.now(UTC) - timedelta(minutes=1)
        found = client.history(faxlines=["f0"], since=since)
        assert found.complete
        assert [(each.session_id, each.target, each.archived) for each in found] == [
            (session_id, "+493023125000", False)
        ]
        assert client.entry(session_id) == found[0]
        assert client.entry("nothing") is None
        assert client.history(faxlines=["f1"], since=since) == []
        simulator.archive(session_id)
        assert client.history(faxlines=["f0"], since=since) == []
        archived = client.history(faxlines=["f0"], since=since, archived=True)
        assert [(each.session_id, each.archived) for each in archived] == [(session_id, True)]
        assert client.clock_offset is not None
        assert abs(client.clock_offset) < PATIENCE


def test_a_long_history_is_found_whole() -> None:
    """All entries are found, also more than one request may ask for."""
    with Simulator(pace=0) as simulator, client_of(simulator, PATIENCE) as client:
        ids = {simulator.enter_by_hand("+493023125000") for _ in range(1500)}
        found = client.history(faxlines=["f0"], since=datetime.now(UTC) - timedelta(hours=1))
        assert {each.session_id for each in found} == ids
        assert found.complete
        assert simulator.count("GET /history") == 2


def test_the_simulated_account_is_reported() -> None:
    """The account check sees fax line and balance, and holds when the token is refused."""
    with Simulator() as simulator, client_of(simulator, PATIENCE) as client:
        report = client.account()
        assert report.faxlines is not None
        assert [(line.id, line.can_send) for line in report.faxlines] == [("f0", True)]
        assert report.balance is not None
        simulator.account.admin = False
        assert client.account().balance is None
        simulator.trouble = 401
        with pytest.raises(Unreachable) as caught:
            client.account()
        assert caught.value.answer.outcome is Outcome.HOLD
        simulator.trouble = "down"
        assert submit(client).outcome is Outcome.LATER
