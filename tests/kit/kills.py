"""When to kill a daemon whose sipgate misbehaves, and a simulator quick enough for that."""

from random import Random

from faxdrop.simulator import Simulator

SUBMIT = "POST /sessions/fax"
SENDING = {"poll_interval": "300ms", "delays": ["1s"], "reconcile_for": "4s", "give_up_after": "1h"}
INBOX = {"settle": "200ms", "patience": "2s"}


def simulator_of(hostile: int | None) -> Simulator:
    """Return a simulator whose misbehaviour is short enough for tests."""
    return Simulator(hostile=hostile, pace=0.2, slow=0.3, late=1.0, retry_after=1.0)


def moment(random: Random, simulator: Simulator) -> None:
    """Wait for a moment to kill at: soon after some request arrived, or some time after none."""
    kind = random.choice((SUBMIT, SUBMIT, "GET /history", None))
    if kind is not None:
        seen = simulator.count(kind) + random.randrange(1, 6)
        simulator.wait(lambda: simulator.count(kind) >= seen, random.uniform(0.5, 4))
    simulator.wait(_never, random.uniform(0, 0.03 if kind else 1.5))


def _never() -> bool:
    """Return False: a wait that only its time limit ends."""
    return False
