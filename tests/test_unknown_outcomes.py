"""Lost answers: each is looked for in the history, ends as it must, and is never sent twice."""

import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from faxdrop.settings import Config
from faxdrop.simulator import Answer as SimulatedAnswer
from faxdrop.simulator.behaviour import Fate
from faxdrop.sipgate import Answer, Sipgate
from tests import pdfs
from tests.breaking import Stage, assert_all_answered, assert_kept, ends, seconds_of, stage
from tests.seeds import seed_of, tell

PLAIN, LOST_LATE = "+493023125130", "+493023125113"
UNKNOWN, SENT = ("failed", "outcome_unknown"), ("sent", None)
LOST = ["lose-before", "close-before", "500", "html", "redirect"]
TAKEN = ["lose-after", "close-after", "500-taken", "garbage", "empty", "wrong-types", "302-taken"]


def _sent_once(staged: Stage) -> None:
    """Assert that sipgate took each document once at most."""
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
def test_two_identical_documents_to_one_number(
    script: list[str | None], expected: list[tuple[str, str | None]], tmp_path: Path
) -> None:
    """Neither is taken for the other, also when the daemon starts anew between them."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.script(script)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        staged.drop(PLAIN, "letter again.pdf", pdfs.good())
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
    """When two entries could be ours nobody guesses: a person decides, and it is not sent again."""
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
        assert "Which one is this document is not known" in one.receipt.reason.message
        assert_all_answered(staged)


def test_a_fax_by_hand_just_like_a_lost_one_cannot_be_told_from_it(tmp_path: Path) -> None:
    """The history shows no difference: the receipt says that it was found there, and no more."""
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


def test_a_failed_fax_that_was_found_is_repeated(tmp_path: Path) -> None:
    """A FAILED entry that only can be ours is repeated when the looking has come to its end."""
    with stage(tmp_path) as staged:
        staged.world.start()
        staged.simulator.script(["lose-after"])
        staged.drop("+493023125001", "letter.pdf", pdfs.good())  # busy once
        staged.world.until_done(hours=2.0)
        [one] = staged.world.sent
        assert [each.outcome for each in one.receipt.attempts] == ["FAILED", "SENT"]
        assert_all_answered(staged)


class Mistaken(Sipgate):
    """Has a mistake of its own, after the fax was taken."""

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

        def make(config: Config) -> Sipgate:
            return Mistaken(
                config.sipgate.base_url,
                config.secrets.token_id,
                config.secrets.token,
                config.sipgate.timeout,
                clock=seconds_of(world.time),
            )

        Mistaken.mistakes = 1
        world.make_sipgate = make
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert len(staged.simulator.taken) == 1
        assert ends(world) == [SENT]
        assert_all_answered(staged)


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


def _answer(body: bytes) -> "SimulatedAnswer":
    return SimulatedAnswer(200, body)


# -- thousands of runs ---------------------------------------------------------------------------


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
    _measure(20, tmp_path, request)


@pytest.mark.long
def test_thousands_of_hostile_runs_send_nothing_twice(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Thousands of runs: none sent twice, and the figures of how many outcomes stay unknown."""
    _measure(int(os.environ.get("FAXDROP_RUNS", "2000")), tmp_path, request)


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
