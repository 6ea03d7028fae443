"""A fax's whole life, crashed at each of its steps in turn, until a run passes untouched.

Steps are all that the disk is told, writes that are torn in their middle, and both sides of each
request; the steps of a follower of the journal, who is told of the end, are among them. After each
crash a new daemon starts on what is left. Each step is also crashed with a second crash during the
recovery, drawn from a seed in the quick runs, at all stages in the long.
"""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from faxdrop.journal.verify import verify
from tests.kit import pdfs
from tests.kit.breaking import (
    Crash,
    CrashingDisk,
    Stage,
    Steps,
    assert_all_answered,
    assert_kept,
    ends,
    sipgate_that_crashes,
    stage,
)
from tests.kit.followers import Memory
from tests.kit.seeds import tell
from tests.kit.world import Wanted

SEED = 20260302
PLAIN, BUSY_ONCE, STUCK = "+493023125100", "+493023125001", "+493023125004"
LOST_AFTER, LOST_BEFORE, LOST_LATE = "+493023125010", "+493023125012", "+493023125013"
HAND = "Arzt +493023125200"


@dataclass(frozen=True)
class Life:
    """A life of a fax, and how it may end: by status and reason, none if nothing broke it."""

    name: str
    folder: str
    content: Callable[[], bytes]
    ends: Sequence[tuple[str, str | None]]  # the first: without a crash
    script: Sequence[str | int | None] = ()
    sending: dict[str, Any] = field(default_factory=dict)
    most_taken: int = 1
    before: Callable[[Stage], None] = lambda _: None


_SHORT: dict[str, Any] = {
    "reconcile_for": 60.0,
    "poll_interval": 20.0,
    "delays": (20.0,),
}  # fewer steps
_STRIDE = 20  # of the second crash in the long runs
UNKNOWN = ("failed", "outcome_unknown")
SENT = ("sent", None)

LIVES = (
    Life(
        "flattened, FAILED, retried, sent",
        BUSY_ONCE,
        pdfs.form,
        (SENT, UNKNOWN),
        most_taken=2,
    ),
    Life("rejected by its check", PLAIN, pdfs.encrypted, (("failed", "encrypted_pdf"),)),
    Life("not a PDF", PLAIN, lambda: b"no PDF at all", (("failed", "not_a_pdf"),)),
    Life("no recipient", "Frau Niemand", pdfs.good, (("failed", "recipient_unknown"),)),
    Life("answer lost, found", LOST_AFTER, pdfs.good, (SENT, UNKNOWN)),
    Life("answer lost, shows late", LOST_LATE, pdfs.good, (SENT, UNKNOWN)),
    Life("answer lost, not found", LOST_BEFORE, pdfs.good, (UNKNOWN,)),
    Life(
        "answer lost, not found, sent again",
        PLAIN,
        pdfs.good,
        (SENT,),
        script=("lose-before",),
        sending={"resend_if_absent": True, "attempts": 9},  # crashes cost some
    ),
    Life(
        "refused by sipgate",
        PLAIN,
        pdfs.good,
        (("failed", "rejected"), SENT, UNKNOWN),
        script=(400,),
    ),
    Life(
        "held, told to wait, sent",
        PLAIN,
        pdfs.good,
        (SENT, UNKNOWN),
        script=(402, "429", "503"),
    ),
    Life(
        "never final",
        STUCK,
        pdfs.good,
        (("failed", "no_final_status"), UNKNOWN),
        sending={"give_up_after": 60.0},
    ),
    Life(
        "always FAILED",
        "+493023125003",
        pdfs.repairable,
        (("failed", "transmission_failed"), UNKNOWN),
        sending={"attempts": 2},
        most_taken=2,
    ),
    Life(
        "a name that is taken",
        PLAIN,
        pdfs.good,
        (SENT, UNKNOWN),
        before=lambda staged: _take_name(staged.world.root),
    ),
)


def _take_name(root: Path) -> None:
    for status in ("sent", "failed"):
        folder = root / status / PLAIN
        folder.mkdir(parents=True)
        (folder / "letter.pdf").symlink_to("elsewhere.pdf")


def _name(life: Life) -> str:
    return life.name


@dataclass
class Crashes:
    """Runs of one life, each crashed at other steps."""

    life: Life
    folder: Path
    reports: Wanted = "all"
    runs: int = 0
    crashed: int = 0  # how often in the latest run
    steps: int = 0  # after its last start

    def run(self, *crash_at: int) -> bool:
        """Live the life with crashes at these steps of each start; tell whether all came."""
        self.runs += 1
        self.crashed = 0
        life = self.life
        root = self.folder / f"{self.runs}"
        with stage(root, late=45.0, reports=self.reports, **{**_SHORT, **life.sending}) as staged:
            world = staged.world
            life.before(staged)
            world.spool = None
            told: list[str] = []
            world.make_followers = lambda config: [
                Memory(told),
                *([world.make_reports(config)] if self.reports == "all" else []),
            ]
            if life.script:
                staged.simulator.script(life.script)
            crashes = iter(crash_at)
            steps = self._start(staged, next(crashes, None))
            staged.drop(life.folder, "letter.pdf", life.content())
            while True:
                try:
                    while world.daemon is None:
                        steps = self._start(staged, next(crashes, None))
                    world.until_done()
                    world.until(lambda: not world.records())
                    world.turn()
                    break
                except Crash:
                    self.crashed += 1
                    world.crash()
                    assert_kept(staged)
                    world.time.pass_by(1.0)
            self._check_end(staged, crashed=bool(crash_at))
            assert 1 <= len(told) <= 1 + self.crashed
        shutil.rmtree(root)
        self.steps = steps.count
        return self.crashed == len(crash_at)

    def _start(self, staged: Stage, crash_at: int | None) -> Steps:
        steps = Steps(crash_at)
        world = staged.world
        world.make_sipgate = sipgate_that_crashes(world, steps)
        try:
            world.start(CrashingDisk(steps))
        except Crash:
            self.crashed += 1
            world.crash()
        return steps

    def _check_end(self, staged: Stage, *, crashed: bool) -> None:
        life, world = self.life, staged.world
        assert_all_answered(staged)
        [end] = ends(world)
        allowed = life.ends if crashed else life.ends[:1]
        assert end in allowed
        assert len(staged.simulator.taken) <= life.most_taken
        [filed] = [*world.sent, *world.failed]
        if self.reports == "all":
            assert filed.receipt.report is not None
            report = filed.path.with_name(filed.receipt.report)
            assert report.is_file()  # the judge has looked into it
        found = verify(world.root, world.root / ".faxdrop" / "journal").findings
        # A file that has the name already is somebody else's, and verify says so.
        assert [one for one in found if not Path(one.where).is_symlink()] == []


def _seconds(whole: int) -> Iterator[int]:
    """Yield a second step to crash at for each first one: every other one soon after the start."""
    draw = random.Random(SEED)  # noqa: S311 - a test, no secret
    while True:
        yield draw.randrange(1, 13)
        yield draw.randrange(1, whole + 1)


_WITH_REPORTS = "flattened, FAILED, retried, sent"
_QUICK: dict[str, Wanted] = {
    _WITH_REPORTS: "all",
    "no recipient": "none",
    "answer lost, found": "none",
    "refused by sipgate": "none",
}
"""The lives that differ most: each crash is a life of its own, so the others are CI's.

A report is made in the same steps after every end: in the quick runs, after one kind of end.
"""


def _crashed_at_each_step(crashes: Crashes) -> int:
    """Crash a life at each of its steps in turn; return how many there are."""
    crashes.run()
    whole = crashes.steps
    at = 1
    while crashes.run(at):
        at += 1
    assert at - 1 == whole
    return whole


@pytest.mark.parametrize("life", [life for life in LIVES if life.name in _QUICK], ids=_name)
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    life: Life, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever step the machine stops at, the document has one place, one end, a true receipt."""
    steps = _crashed_at_each_step(Crashes(life, tmp_path, _QUICK[life.name]))
    tell(request, f"{life.name}: {steps} crash points")


@pytest.mark.long
@pytest.mark.parametrize("life", [life for life in LIVES if life.name != _WITH_REPORTS], ids=_name)
def test_a_crash_at_any_step_of_any_life(
    life: Life, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The same in each kind of life, to its last step: the report."""
    steps = _crashed_at_each_step(Crashes(life, tmp_path))
    tell(request, f"{life.name}: {steps} crash points")


def test_a_second_crash_during_the_recovery_changes_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A crash, and another one at a step drawn from the seed after the start that follows."""
    [life] = (life for life in LIVES if life.name == "answer lost, found")
    crashes = Crashes(life, tmp_path, "none")
    crashes.run()
    whole = crashes.steps
    seconds = _seconds(whole)
    for at in range(1, whole + 1, 4):
        crashes.run(at, next(seconds))
    tell(request, f"{life.name}: {crashes.runs - 1} pairs of crash points, seed {SEED}")


@pytest.mark.long
@pytest.mark.parametrize("life", LIVES, ids=_name)
def test_a_second_crash_at_any_step(
    life: Life, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A crash at each step, and after the next start at every twentieth, each time others."""
    crashes = Crashes(life, tmp_path)
    crashes.run()
    for at in range(1, crashes.steps + 1):
        second = at % _STRIDE + 1
        while crashes.run(at, second):
            second += _STRIDE
    tell(request, f"{life.name}: {crashes.runs} pairs of crash points")
