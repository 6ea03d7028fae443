"""Lost answers: each is looked for in the history, ends as it must, and is never sent twice."""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from faxdrop.fax.recipient import AddressEntry
from faxdrop.queue.submissions import SUBMISSIONS
from faxdrop.simulator import Response
from faxdrop.simulator.behaviour import Fate
from faxdrop.sipgate import Answer, Sipgate
from tests.kit import pdfs
from tests.kit.breaking import (
    Crash,
    Stage,
    Steps,
    assert_all_answered,
    assert_kept,
    ends,
    sipgate_that_crashes,
    stage,
)
from tests.kit.seeds import seed_of, tell

PLAIN, OTHER, LOST_LATE = "+493023125130", "+493023125131", "+493023125113"
STUCK = "+493023125004"
UNKNOWN, SENT = ("failed", "outcome_unknown"), ("sent", None)
LOST = ["lose-before", "close-before", "500", "html", "redirect"]
TAKEN = ["lose-after", "close-after", "500-taken", "garbage", "empty", "wrong-types", "302-taken"]


def _sent_once(staged: Stage) -> None:
    """Assert that sipgate took each document at most once."""
    taken = Counter(fax.filename for fax in staged.simulator.taken if not fax.by_hand)
    assert not [name for name, times in taken.items() if times > 1]


@pytest.mark.parametrize("behaviour", LOST)
def test_an_answer_lost_before_the_fax_was_taken(behaviour: str, tmp_path: Path) -> None:
    """What the history never shows ends in failed/ for a person to decide, not sent again."""
    with stage(tmp_path) as staged:
        staged.world.start()
        staged.simulator.script([behaviour])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        staged.world.until_done(hours=1.0)
        assert ends(staged.world) == [UNKNOWN]
        assert staged.simulator.count("POST /sessions/fax") == 1
        assert not staged.simulator.taken
        assert_all_answered(staged)
        [one] = staged.world.failed
        assert one.receipt.reason is not None
        assert "not sent again" in one.receipt.reason.message


@pytest.mark.parametrize("behaviour", TAKEN)
def test_an_answer_lost_after_the_fax_was_taken(behaviour: str, tmp_path: Path) -> None:
    """What the history shows is followed to its end under the id that was found."""
    with stage(tmp_path) as staged:
        staged.world.start()
        staged.simulator.script([behaviour])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        staged.world.until_done(hours=1.0)
        [one] = staged.world.sent
        [attempt] = one.receipt.attempts
        assert attempt.found_in_history
        assert [attempt.session_id] == [fax.session_id for fax in staged.simulator.taken]
        assert_all_answered(staged)


@pytest.mark.parametrize(("late", "end"), [(300.0, SENT), (1200.0, UNKNOWN)])
def test_a_fax_that_shows_late(late: float, end: tuple[str, str | None], tmp_path: Path) -> None:
    """Found as long as it is looked for; after that a person decides, and it is not sent again."""
    with stage(tmp_path, late=late) as staged:
        staged.world.start()
        staged.drop(LOST_LATE, "letter.pdf", pdfs.good())
        staged.world.until_done(hours=1.0)
        staged.world.live(2000.0)
        assert ends(staged.world) == [end]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


def test_a_fax_that_was_archived_at_once(tmp_path: Path) -> None:
    """An entry that somebody archived is found all the same."""
    with stage(tmp_path, late=60.0) as staged:
        world = staged.world
        world.start()
        staged.drop(LOST_LATE, "letter.pdf", pdfs.good())
        world.until(lambda: bool(staged.simulator.taken))
        staged.simulator.archive(staged.simulator.taken[0].session_id)
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]
        assert_all_answered(staged)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (["lose-after", None], [SENT, SENT]),
        ([None, "lose-after"], [SENT, SENT]),
        (["lose-after", "lose-after"], [SENT, SENT]),
        (["lose-before", None], [UNKNOWN, SENT]),
        (["lose-before", "lose-after"], [UNKNOWN, SENT]),
        (["lose-after", "lose-before"], [SENT, UNKNOWN]),
        ([None, "lose-before"], [SENT, UNKNOWN]),
    ],
    ids=str,
)
def test_two_documents_to_one_number_that_the_history_cannot_tell_apart(
    script: list[str | None], expected: list[tuple[str, str | None]], tmp_path: Path
) -> None:
    """Neither is taken for the other, also when the daemon starts anew between them."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(script)
        staged.drop(PLAIN, "letter.pdf", pdfs.good(text="one"))
        staged.drop(PLAIN, "letter again.pdf", pdfs.good(text="two"))
        world.until(lambda: staged.simulator.count("POST /sessions/fax") == 1)
        world.crash()
        world.start()
        world.until(lambda: bool(ends(world)), hours=3.0)
        world.crash()
        world.start()
        world.until_done(hours=3.0)
        assert ends(world) == expected
        _sent_once(staged)
        assert_all_answered(staged)


def test_a_fax_by_hand_beside_one_whose_answer_was_lost(tmp_path: Path) -> None:
    """If two entries could be ours, a person decides, and the fax is not sent again."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["lose-after"])
        staged.simulator.enter_by_hand(PLAIN, pages=1)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert ends(world) == [UNKNOWN]
        _sent_once(staged)
        [one] = world.failed
        assert one.receipt.reason is not None
        assert "could be this fax or another" in one.receipt.reason.message
        assert_all_answered(staged)


def test_a_fax_by_hand_just_like_a_lost_one_cannot_be_told_from_it(tmp_path: Path) -> None:
    """A fax by hand that looks the same is taken for ours; the receipt says it was found."""
    # The one case in which a fax that was never taken can be called sent.
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["lose-before"])
        by_hand = staged.simulator.enter_by_hand(PLAIN, pages=1)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        [one] = world.sent
        [attempt] = one.receipt.attempts
        assert attempt.found_in_history
        assert attempt.session_id == by_hand


@pytest.mark.parametrize(
    ("number", "pages", "faxline"),
    [("+493023125131", 1, "f0"), (PLAIN, 2, "f0"), (PLAIN, 1, "f1")],
    ids=["another number", "other pages", "another line"],
)
def test_a_fax_by_hand_that_cannot_be_ours(
    number: str, pages: int, faxline: str, tmp_path: Path
) -> None:
    """Another number, another length or another fax line is never taken for a lost fax."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["lose-before"])
        staged.simulator.enter_by_hand(number, pages=pages, faxline=faxline)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert ends(world) == [UNKNOWN]
        assert_all_answered(staged)


def test_a_failed_fax_that_may_be_somebody_elses_is_not_repeated(tmp_path: Path) -> None:
    """A FAILED entry that was only inferred is not repeated once another shows that may be ours."""
    number = "+493023125113"  # taken, its answer lost, and late in the history
    with stage(tmp_path, late=200.0) as staged:
        world = staged.world
        world.start()
        by_hand = staged.simulator.enter_by_hand(number, pages=1)
        entry = staged.simulator.account.find(by_hand, world.time.wall.timestamp())
        assert entry is not None
        entry.fate = Fate.FAILED
        staged.drop(number, "letter.pdf", pdfs.good())
        world.until_done(hours=2.0)
        assert ends(world) == [UNKNOWN]
        _sent_once(staged)
        assert_all_answered(staged)


@pytest.mark.parametrize("resend", [False, True])
def test_a_failed_fax_that_was_only_found_is_not_repeated(*, resend: bool, tmp_path: Path) -> None:
    """After a FAILED entry that was only inferred, a person decides."""
    with stage(tmp_path, resend_if_absent=resend) as staged:
        staged.world.start()
        staged.simulator.script(["lose-after"])
        staged.drop("+493023125001", "letter.pdf", pdfs.good())  # busy once
        staged.world.until_done(hours=2.0)
        [one] = staged.world.failed
        [attempt] = one.receipt.attempts
        assert (attempt.found_in_history, attempt.outcome) == (True, "unknown")
        assert [seen.status for seen in attempt.statuses][-1] == "FAILED"
        assert one.receipt.reason is not None
        assert one.receipt.reason.code == "outcome_unknown"
        assert "which failed" in one.receipt.reason.message
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


@pytest.mark.parametrize("resend", [False, True])
def test_a_failed_fax_by_hand_is_no_reason_to_send_again(*, resend: bool, tmp_path: Path) -> None:
    """Ours shows after the looking has ended; a fax by hand that failed was found: sent once."""
    with stage(tmp_path, late=3000.0, resend_if_absent=resend) as staged:
        world = staged.world
        world.start()
        by_hand = staged.simulator.enter_by_hand(LOST_LATE, pages=1)
        entry = staged.simulator.account.find(by_hand, world.time.wall.timestamp())
        assert entry is not None
        entry.fate = Fate.FAILED
        staged.drop(LOST_LATE, "letter.pdf", pdfs.good())
        world.until_done(hours=2.0)
        assert ends(world) == [UNKNOWN]
        _sent_once(staged)
        assert_all_answered(staged)


@pytest.mark.parametrize("fate", [Fate.DELIVERED, Fate.FAILED])
@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("how", ["masked", "hidden", "more pages", "fewer pages"])
def test_a_history_that_does_not_tell_all_proves_nothing(
    how: str, *, resend: bool, fate: Fate, tmp_path: Path
) -> None:
    """Entries with masked numbers or other page counts may be ours: nothing is sent again."""
    number = "+493023125003" if fate is Fate.FAILED else PLAIN
    with stage(tmp_path, resend_if_absent=resend) as staged:
        world, account = staged.world, staged.simulator.account
        world.start()
        match how:
            case "masked":
                account.show_number = lambda number: number[:8] + "*" * len(number[8:])
            case "hidden":
                account.show_number = lambda _: "anonymous"
            case _:
                account.show_pages = lambda pages: pages + (1 if how == "more pages" else -1)
        staged.simulator.script(["lose-after"])
        staged.drop(number, "letter.pdf", pdfs.good(pages=3))
        world.until_done(hours=2.0)
        assert ends(world) == [UNKNOWN]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


def test_masked_numbers_cost_nothing_where_no_answer_is_lost(tmp_path: Path) -> None:
    """A fax whose session id is known is followed by that, whatever the history masks."""
    with stage(tmp_path) as staged:
        staged.simulator.account.show_number = lambda _: "***"
        staged.simulator.account.show_pages = lambda pages: pages + 1
        staged.world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        staged.world.until_done(hours=1.0)
        [one] = staged.world.sent
        assert one.receipt.faxed is not None
        assert (one.receipt.document.pages, one.receipt.faxed.pages) == (1, 2)


class Mistaken(Sipgate):
    """Fails with a bug of its own, after the fax was taken."""

    mistakes = 1

    def submit(self, **fax: Any) -> Answer:
        """Submit, and then break."""
        answer = super().submit(**fax)
        if Mistaken.mistakes:
            Mistaken.mistakes -= 1
            raise RuntimeError("a mistake that nobody foresaw")
        return answer


def test_a_mistake_of_our_own_sends_nothing_twice(tmp_path: Path) -> None:
    """Whatever is raised while a POST is under way, its outcome is unknown and is looked up."""
    with stage(tmp_path) as staged:
        world = staged.world
        Mistaken.mistakes = 1
        world.make_sipgate = partial(world.client, Mistaken)
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert len(staged.simulator.taken) == 1
        assert ends(world) == [SENT]
        assert_all_answered(staged)


def test_a_lost_answer_is_looked_for_more_than_once(tmp_path: Path) -> None:
    """What sipgate answered before the submission is no time in which the fax could have shown."""
    with stage(tmp_path, late=420.0, poll_interval=300.0, reconcile_for=600.0) as staged:
        world = staged.world
        world.start()
        world.live(7200.0)
        staged.drop(LOST_LATE, "letter.pdf", pdfs.good())
        world.until_done(hours=2.0)
        assert ends(world) == [SENT]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


class AtTheLastByte(Steps):
    """Crashes when the last byte of a submission is about to go."""

    def step(self, name: str, half_done: Callable[[], object] | None = None) -> None:
        """Count a step, or crash."""
        if name == "last byte goes":
            raise Crash(name)
        super().step(name, half_done)


def _crash_before_the_last_byte(staged: Stage, name: str) -> None:
    """Drop a document, and crash when its intent is on disk and nothing was submitted."""
    world = staged.world
    make_sipgate = world.make_sipgate
    world.make_sipgate = sipgate_that_crashes(world, AtTheLastByte())
    world.start()
    staged.drop(PLAIN, name, pdfs.good(1, name))
    with pytest.raises(Crash):
        world.until_done(hours=1.0)
    world.crash()
    world.make_sipgate = make_sipgate
    world.start()


def test_what_was_sent_after_the_restart_is_not_what_was_interrupted_before(
    tmp_path: Path,
) -> None:
    """A fax by hand minutes after a crash is not taken for the one that the crash interrupted."""
    with stage(tmp_path) as staged:
        _crash_before_the_last_byte(staged, "letter.pdf")
        staged.world.live(300.0)
        staged.simulator.enter_by_hand(PLAIN, pages=1)
        staged.world.until_done(hours=2.0)
        assert ends(staged.world) == [UNKNOWN]
        assert_all_answered(staged)


def test_two_lost_answers_share_no_fax(tmp_path: Path) -> None:
    """Also where one is looked for during hours, the next letter's fax is not taken for it."""
    with stage(tmp_path, reconcile_for=7200.0) as staged:
        world = staged.world
        _crash_before_the_last_byte(staged, "first.pdf")
        world.live(1900.0)
        staged.simulator.script(["lose-after"])
        staged.drop(PLAIN, "second.pdf", pdfs.good(1, "second"))
        world.until_done(hours=10.0)
        assert ends(world) == [UNKNOWN, SENT]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


def test_the_shares_clock_decides_nothing(tmp_path: Path) -> None:
    """Marks that a share dates years back are not forgotten: the first fax is not the second."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.drop(PLAIN, "one.pdf", pdfs.good(1, "one"))
        world.until_done(hours=1.0)
        for mark in (world.root / ".faxdrop" / "owned").iterdir():
            os.utime(mark, (946684800, 946684800))
        staged.simulator.script(["lose-before"])
        staged.drop(PLAIN, "two.pdf", pdfs.good(1, "two"))
        world.until(lambda: any(one["state"] == "unknown" for one in world.records()), hours=1.0)
        world.crash()
        world.start()
        world.until_done(hours=3.0)
        assert ends(world) == [SENT, UNKNOWN]
        assert_all_answered(staged)


def test_a_session_id_given_twice_is_no_answer(tmp_path: Path) -> None:
    """One fax is never taken for two documents."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.drop(PLAIN, "one.pdf", pdfs.good(1, "one"))
        world.until_done(hours=1.0)
        [fax] = staged.simulator.taken
        again = Response(200, json.dumps({"sessionId": fax.session_id}).encode())
        staged.simulator.script([again])
        staged.drop(OTHER, "two.pdf", pdfs.good(1, "two"))
        world.until_done(hours=2.0)
        assert ends(world) == [SENT, UNKNOWN]
        assert_all_answered(staged)


@pytest.mark.parametrize("at", [253402300799.0, 1072915200.0, 0.0], ids=["9999", "2004", "1970"])
def test_a_date_that_is_none_is_not_believed(at: float, tmp_path: Path) -> None:
    """An answer of another age, as a portal gives it, changes nothing of where a fax is found."""
    with stage(tmp_path, resend_if_absent=True) as staged:
        world = staged.world
        world.start()
        staged.drift.seconds = at - staged.time.wall.timestamp()
        world.turn()
        staged.drift.seconds = 0.0
        staged.simulator.script(["lose-after"])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        staged.drop(OTHER, "other.pdf", pdfs.good())
        world.until_done(hours=2.0)
        assert ends(world) == [SENT, SENT]
        assert len(staged.simulator.taken) == 2
        assert_all_answered(staged)


def test_a_look_that_fails_holds_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in a look at the history does not silence later looks."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until(lambda: bool(staged.simulator.taken))
        with monkeypatch.context() as broken:
            broken.setattr("faxdrop.queue.delivery.window", lambda *_: 1 // 0)
            world.live(120.0)
            status = json.loads((world.root / ".faxdrop" / "status.json").read_text())
        assert [hold["what"] for hold in status["holds"]] == ["following"]
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]


def test_a_reload_asks_the_address_book_again(tmp_path: Path) -> None:
    """A number that is corrected while a letter waits is the one that it is faxed to."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.config = world.config.model_copy(
            update={"recipients": {"Amt": AddressEntry(number=PLAIN)}}
        )
        daemon = world.start()
        staged.simulator.trouble = 402
        staged.drop("Amt", "letter.pdf", pdfs.good())
        world.until(lambda: staged.simulator.count("POST /sessions/fax") == 1)
        better = world.config.model_copy(update={"recipients": {"Amt": AddressEntry(number=OTHER)}})
        staged.simulator.trouble = None
        daemon.reload(lambda: better)
        world.until_done(hours=1.0)
        assert [fax.number for fax in staged.simulator.taken] == [OTHER]


def test_a_hold_ends_with_what_it_held(tmp_path: Path) -> None:
    """When the last fax that waited is cancelled, nothing is held any more."""
    with stage(tmp_path) as staged:
        world = staged.world
        daemon = world.start()
        staged.simulator.trouble = 402
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until(lambda: staged.simulator.count("POST /sessions/fax") == 1)
        world.until(lambda: daemon.is_idle)
        (world.root / ".faxdrop" / "cancel" / world.records()[0]["job_id"]).touch()
        world.until_done(hours=1.0)
        world.live(5.0)
        assert json.loads((world.root / ".faxdrop" / "status.json").read_text())["holds"] == []


@pytest.mark.parametrize("seconds", [-86400.0 * 400, -3600.0, 3600.0, 86400.0 * 400])
def test_a_clock_that_was_set_hides_no_fax(seconds: float, tmp_path: Path) -> None:
    """A wall clock that is set before a submission whose answer is lost: it is found, sent once."""
    with stage(tmp_path, resend_if_absent=True) as staged:
        world = staged.world
        world.start()
        world.live(1.0)
        world.time.jump(seconds)
        staged.drift.seconds = -seconds
        staged.simulator.script(["lose-after"])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


def test_a_lost_fax_is_not_looked_for_while_sipgate_is_away(tmp_path: Path) -> None:
    """An outage decides nothing: hours of it do not make a lost answer unknown for good."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["lose-after"])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until(lambda: bool(staged.simulator.taken))
        staged.simulator.trouble = "down"
        world.live(5 * 3600.0)
        assert len(world.in_spool()) == 1
        assert_kept(staged)
        staged.simulator.trouble = None
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]


def test_a_row_of_lost_answers_holds_the_other_letters(tmp_path: Path) -> None:
    """A server that loses every answer costs a few documents their certain end, and not all."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["lose-before"] * SUBMISSIONS)
        for number in range(20):
            staged.drop(f"+4930231251{30 + number}", f"letter {number}.pdf", pdfs.good())
        world.until(lambda: staged.simulator.count("POST /sessions/fax") > 0)
        world.live(20.0)
        assert staged.simulator.count("POST /sessions/fax") == SUBMISSIONS  # all that are at once
        world.live(300.0)  # no longer than that, as the README says
        assert staged.simulator.taken
        world.until_done()
        assert Counter(ends(world)) == {SENT: 20 - SUBMISSIONS, UNKNOWN: SUBMISSIONS}
        assert_kept(staged)


def test_an_outage_is_no_time_in_which_a_fax_did_not_end(tmp_path: Path) -> None:
    """Hours in which sipgate cannot be asked do not count towards ``give_up_after``."""
    with stage(tmp_path, give_up_after=120.0) as staged:
        world = staged.world
        world.start()
        staged.drop(STUCK, "letter.pdf", pdfs.good())
        world.until(lambda: bool(staged.simulator.taken))
        world.live(30.0)
        staged.simulator.trouble = "down"
        world.live(5 * 3600.0)
        answered = staged.simulator.count("GET /history")
        staged.simulator.trouble = None
        world.until(lambda: staged.simulator.count("GET /history") > answered + 2)
        assert len(world.in_spool()) == 1
        world.live(120.0)
        assert ends(world) == [("failed", "no_final_status")]


def test_a_history_with_something_unreadable_in_it_ends_all_the_same(tmp_path: Path) -> None:
    """An entry that can never be read keeps no lost fax from its end, nor the letters behind it."""
    with stage(tmp_path, resend_if_absent=True) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["lose-before"])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until(lambda: staged.simulator.count("POST /sessions/fax") == 1)
        unreadable = b'{"items": [{"id": null}], "totalCount": 1}'
        answers = [_answer(unreadable)] * 400
        staged.simulator.script(answers, kind="GET /history")
        world.live(1500.0)
        assert ends(world) == [UNKNOWN], "what may be there is not sent again"
        assert not staged.simulator.taken


def _answer(body: bytes) -> "Response":
    return Response(200, body)


# -- hundreds of runs ----------------------------------------------------------------------------


def _run(root: Path, seed: int) -> Counter[str]:
    """Live an hour of hostile office life; return how its documents ended."""
    draw = random.Random(seed)  # noqa: S311 - a test, no secret
    late = draw.choice([20.0, 120.0, 500.0, 900.0])
    with stage(root, late=late, hostile=seed, reconcile_for=600.0) as staged:
        world, simulator = staged.world, staged.simulator
        world.start()
        numbers = [f"+49302312513{digit}" for digit in range(draw.randrange(1, 4))]
        for at in range(draw.randrange(2, 7)):
            content = pdfs.good(text=f"Nr. {draw.randrange(3)}")  # some are the same
            staged.drop(draw.choice(numbers), f"letter {at}.pdf", content)
            world.live(draw.choice([0.0, 5.0, 60.0]))
            if draw.random() < 0.3:
                world.crash()
                world.time.pass_by(draw.choice([0.0, 30.0, 700.0]))
                world.start()
            shown = [fax.session_id for fax in simulator.taken]
            if shown and draw.random() < 0.2:
                simulator.archive(draw.choice(shown))
        world.until_done(hours=24.0)
        world.live(60.0)
        assert_all_answered(staged)
        figures = Counter(reason or status for status, reason in ends(world))
        figures["lost answers found"] = sum(
            attempt.found_in_history
            for one in (*world.sent, *world.failed)
            for attempt in one.receipt.attempts
        )
        figures["faxes taken"] = len(simulator.taken)
    shutil.rmtree(root)
    return figures


def _measure(runs: int, folder: Path, request: pytest.FixtureRequest) -> None:
    seed = seed_of(request)
    figures: Counter[str] = Counter()
    for run in range(seed, seed + runs):
        try:
            figures += _run(folder / str(run), run)
        except BaseException:
            tell(request, f"the run with the seed {run}")
            raise
    tell(request, f"{runs} runs: {dict(figures)}, none sent twice")


def test_some_hostile_runs_send_nothing_twice(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Some runs against a hostile sipgate, with crashes: no document is sent twice."""
    _measure(8, tmp_path, request)


@pytest.mark.long
def test_hundreds_of_hostile_runs_send_nothing_twice(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Hundreds of runs: none sent twice, and the figures of how many outcomes stay unknown."""
    _measure(int(os.environ.get("FAXDROP_RUNS", "500")), tmp_path, request)


@pytest.mark.parametrize(("reconcile_for", "late"), [(20.0, 30.0), (60.0, 90.0), (600.0, 660.0)])
def test_a_fax_that_shows_after_it_was_given_up_is_not_taken_for_the_next(
    tmp_path: Path, reconcile_for: float, late: float
) -> None:
    """Of two letters to one number, the second is not said to be sent because the first was."""
    with stage(tmp_path, late=late, reconcile_for=reconcile_for) as staged:
        staged.world.start()
        staged.simulator.script([None, "lose-before"])
        staged.drop(LOST_LATE, "first.pdf", pdfs.good(text="first"))
        staged.world.live(5.0)
        staged.drop(LOST_LATE, "second.pdf", pdfs.good(text="second"))
        staged.world.until_done(hours=2.0)
        assert ends(staged.world) == [UNKNOWN, UNKNOWN]
        assert len(staged.simulator.taken) == 1
