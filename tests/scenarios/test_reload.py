"""A restart is a reload: what the config says counts anew for every attempt not yet submitted."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from faxdrop.fax.recipient import AddressEntry
from faxdrop.simulator import Response
from tests.kit import pdfs
from tests.kit.breaking import Stage, assert_all_answered, ends, stage
from tests.kit.world import Later

PLAIN, OTHER, FAILS = "+493023125130", "+493023125131", "+493023125003"
LOST_LATE = "+493023125113"  # taken, its answer lost, and late in the history
SENT = ("sent", None)
HOW = pytest.mark.parametrize("how", ["reload", "restart"])


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Stage]:
    """Return a world whose address book can be corrected."""
    with stage(tmp_path, delays=(600.0,)) as staged:
        staged.simulator.account.faxlines.append(type(staged.simulator.account.faxlines[0])("f1"))
        yield staged


def _configure(staged: Stage, number: str | None, faxline: str = "f0", **inbox: Any) -> None:
    """Write a config: whom "Amt" means, and which line faxes."""
    world = staged.world
    recipients = {"Amt": AddressEntry(number=number)} if number else {}
    sipgate = world.config.sipgate.model_copy(update={"faxline": faxline})
    update = {"recipients": recipients, "sipgate": sipgate, **inbox}
    world.config = world.config.model_copy(update=update)


def _take(staged: Stage, how: str) -> None:
    """Let the daemon take the config."""
    world = staged.world
    if how == "restart":
        world.crash()
        world.start()
    else:
        assert world.daemon is not None
        config = world.config
        world.daemon.reload(lambda: config)
        world.turn()


def _dialled(staged: Stage) -> list[tuple[str | None, str | None]]:
    """Return by its receipt which number and line each attempt of the one document was made to."""
    [one] = [*staged.world.sent, *staged.world.failed]
    return [(each.number_dialled, each.faxline) for each in one.receipt.attempts]


@HOW
@pytest.mark.parametrize("trouble", [402, 403, "down"])
def test_what_waits_for_the_account_goes_where_it_means_now(
    how: str, trouble: Any, staged: Stage
) -> None:
    """Number and line that are corrected while the queue is held are those of the fax."""
    world = staged.world
    _configure(staged, PLAIN)
    world.start()
    world.live(1.0)
    staged.simulator.trouble = trouble
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(lambda: bool(world.in_spool()))
    world.live(60.0)
    _configure(staged, OTHER, "f1")
    _take(staged, how)
    staged.simulator.trouble = None
    world.until_done(hours=1.0)
    assert [(fax.number, fax.faxline) for fax in staged.simulator.taken] == [(OTHER, "f1")]
    assert _dialled(staged) == [(OTHER, "f1")]
    assert_all_answered(staged)


def test_a_wrong_line_holds_until_it_is_corrected(staged: Stage) -> None:
    """A line that may not send holds the queue; corrected, stopped and started, it faxes."""
    world = staged.world
    _configure(staged, PLAIN, "f9")
    world.start()
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(lambda: staged.simulator.count("POST /sessions/fax") == 2)
    _configure(staged, PLAIN, "f0")
    _take(staged, "restart")
    world.until_done(hours=1.0)
    assert _dialled(staged) == [(PLAIN, "f0")]
    assert ends(world) == [SENT]


@HOW
@pytest.mark.parametrize("when", ["on its way", "failed"])
def test_the_second_attempt_goes_where_it_means_now(how: str, when: str, staged: Stage) -> None:
    """Corrected while the first is on its way or after it failed: each attempt says its number."""
    world = staged.world
    _configure(staged, FAILS)
    world.start()
    staged.drop("Amt", "letter.pdf", pdfs.good())
    state = "accepted" if when == "on its way" else "queued"
    world.until(
        lambda: any(one["state"] == state and one["attempts"] for one in world.records()), hours=1.0
    )
    _configure(staged, OTHER, "f1")
    _take(staged, how)
    world.until_done(hours=1.0)
    assert _dialled(staged) == [(FAILS, "f0"), (OTHER, "f1")]
    assert ends(world) == [SENT]
    [one] = world.sent
    assert (one.receipt.recipient.number, one.receipt.faxline) == (OTHER, "f1")
    assert_all_answered(staged)


def _await_a_retry(staged: Stage, **sending: Any) -> None:
    """Have a document wait for its second attempt, under a config of its own."""
    world = staged.world
    _configure(staged, FAILS, sending=world.config.sending.model_copy(update=sending))
    world.start()
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(
        lambda: any(one["state"] == "queued" and one["attempts"] for one in world.records())
    )


@HOW
def test_the_second_attempt_is_made_after_todays_delay(how: str, staged: Stage) -> None:
    """A delay that was far too long counts no more once it is corrected."""
    world = staged.world
    _await_a_retry(staged, delays=(36000.0,))
    failed_at = world.time.mono
    _configure(staged, OTHER, sending=world.config.sending.model_copy(update={"delays": (60.0,)}))
    _take(staged, how)
    world.until(lambda: len(staged.simulator.taken) == 2)
    assert 55.0 < world.time.mono - failed_at < 120.0
    world.until_done(hours=1.0)
    assert ends(world) == [SENT]


@HOW
def test_no_attempt_is_made_that_todays_config_does_not_want(how: str, staged: Stage) -> None:
    """With fewer attempts than were planned, the receipt comes at once, and tells of one."""
    world = staged.world
    _await_a_retry(staged)
    _configure(staged, FAILS, sending=world.config.sending.model_copy(update={"attempts": 1}))
    _take(staged, how)
    world.until_done(hours=0.05)
    assert ends(world) == [("failed", "transmission_failed")]
    assert _dialled(staged) == [(FAILS, "f0")]
    assert_all_answered(staged)


def test_a_repetition_that_todays_config_refuses_is_answered(staged: Stage) -> None:
    """What was sent a moment ago is dropped again under a stricter config: refused, not lost."""
    world = staged.world
    _configure(staged, PLAIN)
    world.start()
    staged.drop("Amt", "letter.pdf", pdfs.good(3))
    world.until_done(hours=1.0)
    documents = world.config.documents.model_copy(update={"max_pages": 1})
    _configure(staged, PLAIN, documents=documents)
    _take(staged, "reload")
    staged.drop("Amt", "letter.pdf", pdfs.good(3))
    world.until_done(hours=1.0)
    assert ends(world) == [SENT, ("failed", "too_many_pages")]
    assert_all_answered(staged)


@HOW
def test_a_recipient_that_is_no_more_is_refused_truthfully(how: str, staged: Stage) -> None:
    """A recipient who is removed after an attempt gets no further one, and the receipt says why."""
    world = staged.world
    _configure(staged, FAILS)
    world.start()
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(
        lambda: any(one["state"] == "queued" and one["attempts"] for one in world.records())
    )
    _configure(staged, None)
    _take(staged, how)
    world.until_done(hours=1.0)
    assert ends(world) == [("failed", "recipient_unknown")]
    assert _dialled(staged) == [(FAILS, "f0")]
    [one] = world.failed
    assert one.receipt.recipient.number is None
    assert_all_answered(staged)


@HOW
def test_a_lost_answer_is_looked_for_where_it_was_dialled(how: str, staged: Stage) -> None:
    """Whatever the folder means by now, the history is asked for the number of the attempt."""
    world = staged.world
    _configure(staged, LOST_LATE)
    world.start()
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(lambda: any(one["state"] == "unknown" for one in world.records()))
    _configure(staged, OTHER, "f1")
    _take(staged, how)
    world.until_done(hours=1.0)
    assert ends(world) == [SENT]
    assert _dialled(staged) == [(LOST_LATE, "f0")]
    [one] = world.sent
    assert one.receipt.recipient.number == LOST_LATE
    assert_all_answered(staged)


def test_a_reload_while_a_post_is_under_way_counts_for_the_next(staged: Stage) -> None:
    """A submission under way keeps the old config; if it is not taken, the new one counts."""
    world = staged.world
    _configure(staged, PLAIN)
    daemon = world.start()
    world.live(1.0)
    later = Later()
    daemon._dispatcher._pool = later  # noqa: SLF001 - so that the step is under way
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(lambda: bool(later.waiting), hours=1.0)
    staged.simulator.script(["402"])
    _configure(staged, OTHER, "f1")
    _take(staged, "reload")
    assert staged.simulator.count("POST /sessions/fax") == 0
    world.until(lambda: later.go() or not (world.in_inbox() or world.in_spool()), hours=1.0)
    assert staged.simulator.count("POST /sessions/fax") == 2
    assert _dialled(staged) == [(OTHER, "f1")]


def test_a_reload_while_a_document_is_claimed_counts_for_it(staged: Stage) -> None:
    """A claim that began under the old config is checked again under the new one."""
    world = staged.world
    _configure(staged, PLAIN)
    daemon = world.start()
    world.live(1.0)
    later = Later()
    daemon._looks = daemon._pickup._claims._pool = later  # noqa: SLF001 - likewise
    staged.drop("Amt", "letter.pdf", pdfs.good())
    world.until(lambda: bool(later.waiting), hours=1.0)
    _configure(staged, OTHER, "f1")
    _take(staged, "reload")
    world.until(lambda: later.go() or bool(world.sent), hours=1.0)
    assert _dialled(staged) == [(OTHER, "f1")]
    assert_all_answered(staged)


def test_what_was_put_off_is_still_so_after_a_restart(staged: Stage) -> None:
    """A fax that sipgate put off waits for its time, also after a crash."""
    world = staged.world
    world.start()
    world.live(1.0)
    staged.simulator.script([Response(429)])
    staged.drop(PLAIN, "first.pdf", pdfs.good())
    for _ in range(60):
        world.turn()
        if _put_off(staged):
            break
        world.time.pass_by(0.25)
    before = _put_off(staged)
    assert before
    world.crash()
    world.start()
    world.turn()
    assert _put_off(staged) == before
    world.until_done(hours=1.0)
    assert ends(world) == [SENT]


def _put_off(staged: Stage) -> list[str]:
    """Return until when the records say that their documents wait, where that is to come."""
    now = staged.world.time.clock.now()
    dues = [record["due_at"] for record in staged.world.records() if record["due_at"]]
    return [due for due in dues if datetime.fromisoformat(due) > now]
