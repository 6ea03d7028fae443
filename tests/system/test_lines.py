"""Two roots on one fax line: neither takes the other's fax for its own."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from faxdrop.queue.faxlines import SEATS, Alone, Seats
from faxdrop.simulator import Simulator
from faxdrop.spool.marks import Marks
from tests.kit.letters import letter
from tests.kit.processes import NOBODY, PROJECT, Office, User
from tests.kit.users import open_to_all
from tests.kit.waiting import PATIENCE

URL, OTHER_URL = f"http://127.0.0.1:1/{os.getpid()}", f"http://127.0.0.1:2/{os.getpid()}"
SUBMIT = "POST /sessions/fax"
SENDING = {"poll_interval": "200ms", "reconcile_for": "2s", "delays": ["200ms"]}
LONG = SENDING | {"reconcile_for": "6s"}  # while another daemon faxes, on a slow machine
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@contextmanager
def _lines(count: int) -> Iterator[list[Seats]]:
    with ExitStack() as stack:
        lines = [Seats() for _ in range(count)]
        for each in lines:
            stack.callback(each.close)
        yield lines


def test_whoever_comes_second_both_know() -> None:
    """The second finds the first there, and the first hears of it; and so a third."""
    with _lines(3) as (first, second, third):
        assert first.shared(URL, {"f0", "f1"}) == set()
        assert second.shared(URL, {"f1"}) == {"f1"}
        assert first.shared(URL, {"f0", "f1"}) == {"f1"}
        assert third.shared(URL, {"f0"}) == {"f0"}
        assert first.shared(URL, {"f0"}) == {"f0"}


def test_another_line_or_another_sipgate_is_not_shared() -> None:
    """Each line at each address is by itself: a simulator's f0 is nobody's."""
    with _lines(3) as (first, second, third):
        assert first.shared(URL, {"f0"}) == set()
        assert second.shared(OTHER_URL, {"f0"}) == set()
        assert third.shared(URL, {"f1"}) == set()
        assert first.shared(URL, {"f0"}) == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://{here}.example/v2", "https://{here}.EXAMPLE/v2"),
        ("https://{here}.example/v2", "https://{here}.example:443/v2"),
        ("https://{here}.example/v2", "https://{here}.example.//v2/."),
        ("http://127.0.0.1:1/{here}", "http://localhost:1/{here}"),
        ("http://127.0.0.1:1/{here}", "http://[::1]:1/{here}"),
    ],
)
def test_one_address_that_is_written_in_two_ways_is_one(one: str, other: str) -> None:
    """Two roots whose configs spell sipgate's address differently share a line all the same."""
    here = uuid.uuid4().hex
    with _lines(2) as (first, second):
        assert first.shared(one.format(here=here), {"f0"}) == set()
        assert second.shared(other.format(here=here), {"f0"}) == {"f0"}
        assert first.shared(one.format(here=here), {"f0"}) == {"f0"}


def test_who_has_left_is_remembered_by_those_who_stay() -> None:
    """A line counts as shared after the other root has ended; a later root is alone."""
    with _lines(3) as (first, second, third):
        first.shared(URL, {"f0"})
        second.shared(URL, {"f0"})
        second.close()
        assert first.shared(URL, {"f0"}) == {"f0"}
        first.close()
        assert third.shared(URL, {"f0"}) == set()


def test_more_than_there_are_seats_for() -> None:
    """However many come, each knows that it is not alone; a full queue keeps nobody waiting."""
    with _lines(SEATS * 3) as lines:
        lines[0].shared(URL, {"f0"})
        assert all(each.shared(URL, {"f0"}) for each in lines[1:])
        assert lines[0].shared(URL, {"f0"}) == {"f0"}


def test_a_seat_is_free_when_its_process_is_killed() -> None:
    """A daemon that was killed leaves no note on the line."""
    program = (
        "import os, signal; from faxdrop.queue.faxlines import Seats; lines = Seats(); "
        f"assert not lines.shared({URL!r}, ['f0']); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    with _lines(1) as (alone,):
        assert alone.shared(URL, {"f0"}) == set()


def test_where_there_are_no_sockets_nobody_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that allows no Unix socket costs a warning, and no fax."""

    def refuse(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr("faxdrop.queue.faxlines.socket.socket", refuse)
    with structlog.testing.capture_logs() as said:
        lines = Seats()
        assert lines.shared(URL, {"f0"}) == set()
        assert lines.shared(URL, {"f0"}) == set()
    assert [each["event"] for each in said] == ["line.not_guarded"]


def test_where_nobody_else_can_be_nothing_is_shared() -> None:
    """The stand-in of tests keeps no seat."""
    with _lines(1) as (other,):
        other.shared(URL, {"f0"})
        assert Alone().shared(URL, {"f0"}) == set()
        assert other.shared(URL, {"f0"}) == set()


def test_a_shared_line_is_noted_for_a_month(tmp_path: Path) -> None:
    """The note is renewed when it is a day old, and good for thirty; a wrong clock ends it, too."""
    marks = Marks(tmp_path)
    for folder in marks.folders:
        folder.mkdir()
    marks.note_shared("f0", NOW)
    marks.note_shared("f0", NOW + timedelta(hours=1))
    [note] = (tmp_path / "shared").iterdir()
    marks.note_shared("f0", NOW + timedelta(days=2))
    [renewed] = (tmp_path / "shared").iterdir()
    assert note.name != renewed.name
    assert marks.shared(NOW + timedelta(days=31)) == {"f0"}
    assert marks.shared(NOW + timedelta(days=33)) == set()
    assert marks.shared(NOW - timedelta(days=400)) == set()


# -- real daemons ------------------------------------------------------------------------------


def _office(
    folder: Path, simulator: Simulator, user: User | None = None, sending: Any = SENDING
) -> Office:
    folder.mkdir()
    office = Office(folder, simulator.base_url, sending_settings=sending, user=user)
    if user is not None:
        for each in (folder, office.root, office.config):
            os.chown(each, user.uid, user.gid)
    return office


def _reason(office: Office) -> str | None:
    """Return why the one document of an office failed, None if it was sent."""
    office.await_filed(1)
    if office.filed("sent"):
        return None
    [one] = office.filed("failed")
    return f"{one.receipt['reason']['code']}: {one.receipt['reason']['message']}"


def _look_alikes(
    stack: ExitStack, folder: Path, user: User | None = None, sending: Any = SENDING
) -> tuple[Simulator, Office, Office]:
    simulator = stack.enter_context(Simulator(pace=0))
    one = stack.enter_context(_office(folder / "one", simulator, sending=sending))
    two = stack.enter_context(_office(folder / "two", simulator, user, sending))
    return simulator, one, two


@pytest.mark.parametrize(
    ("user", "first"),
    [
        pytest.param(None, True, id="lost by the first"),
        pytest.param(None, False, id="lost by the second", marks=pytest.mark.long),
        pytest.param(NOBODY, False, id="of two users", marks=pytest.mark.root),
    ],
)
def test_two_daemons_do_not_take_each_others_faxes(
    user: User | None, *, first: bool, tmp_path: Path
) -> None:
    """One's answer is lost before its fax was taken, the other's fax looks just like it."""
    with ExitStack() as stack:
        folder = tmp_path if user is None else stack.enter_context(open_to_all())
        simulator, one, two = _look_alikes(stack, folder, user, LONG)
        one.start()
        two.start()
        loser, other = (one, two) if first else (two, one)
        simulator.script(["lose-before"])
        loser.drop("Amt", "letter.pdf", letter("mine"))
        assert simulator.wait(lambda: simulator.count(SUBMIT) == 1, PATIENCE)
        other.drop("Amt", "letter.pdf", letter("yours"))
        assert _reason(other) is None
        reason = _reason(loser)
        assert reason is not None
        assert reason.startswith("outcome_unknown: ")
        assert "another faxdrop on this machine uses the same fax line" in reason
        [problem] = [
            each for each in loser.status()["problems"] if each["path"] == "The fax line f0"
        ]
        assert "Give each root its own fax line" in problem["problem"]


def test_both_answers_lost_and_one_daemon_comes_back_alone(tmp_path: Path) -> None:
    """A shared line stays known after both daemons end: neither takes the other's fax."""
    with ExitStack() as stack:
        simulator, one, two = _look_alikes(stack, tmp_path)
        one.start()
        two.start()
        simulator.trouble = {"GET /history": 500}
        simulator.script(["lose-before", "lose-after"])
        for office in (one, two):
            office.drop("Amt", "letter.pdf", letter(str(office.root)))
        assert simulator.wait(
            lambda: simulator.count(SUBMIT) == 2 and bool(simulator.taken), PATIENCE
        )
        one.kill()
        two.kill()
        [fax] = simulator.taken
        jobs = one.root / ".faxdrop" / "jobs"
        not_taken = two if (jobs / fax.filename.removesuffix(".pdf")).exists() else one
        simulator.trouble = None
        not_taken.start()
        reason = _reason(not_taken)
        assert reason is not None
        assert reason.startswith("outcome_unknown: ")


def test_a_daemon_that_has_its_line_for_itself_finds_its_fax(tmp_path: Path) -> None:
    """Alone, also after a crash and beside a root with another line, a lost answer is found."""
    with ExitStack() as stack:
        simulator, one, two = _look_alikes(stack, tmp_path)
        two.config.write_text(two.config.read_text().replace('"f0"', '"f1"'))
        one.start()
        two.start()
        one.kill()
        one.start()
        simulator.script(["lose-after"])
        one.drop("Amt", "letter.pdf", letter("mine"))
        assert _reason(one) is None
        assert one.filed("sent")[0].receipt["attempts"][0]["found_in_history"]
        assert not one.status()["problems"]
