"""A disk that is full or broken, at each step in turn: once, for a while, and from the start.

Every step is refused with ENOSPC, EIO or EROFS: before anything was done, or (as a broken disk and
a network share can) after it was done all the same.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from faxdrop.inbox import claim
from faxdrop.spool.disk import sha256_of
from faxdrop.spool.notes import Notes
from tests.kit import pdfs
from tests.kit.breaking import (
    FaultyDisk,
    Stage,
    assert_all_answered,
    assert_ended,
    assert_kept,
    ends,
    quiet,
    stage,
    turns_of,
)
from tests.kit.seeds import tell

PLAIN, BUSY_ONCE, LOST_AFTER, ALWAYS_FAILED = (
    "+493023125100",
    "+493023125001",
    "+493023125010",
    "+493023125003",
)
CODES = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}
WHILE = 200.0  # seconds that the trouble lasts
_SHORT: dict[str, Any] = {"reconcile_for": 60.0, "poll_interval": 20.0, "delays": (20.0,)}


@dataclass(frozen=True)
class Life:
    """A document, and how it ends."""

    name: str
    folder: str
    content: Callable[[], bytes]
    end: tuple[str, str | None]


LIVES = (
    Life("flattened, FAILED, retried, sent", BUSY_ONCE, pdfs.form, ("sent", None)),
    Life("rejected by its check", PLAIN, pdfs.encrypted, ("failed", "encrypted_pdf")),
    Life("answer lost, found", LOST_AFTER, pdfs.good, ("sent", None)),
)


def _live(root: Path, life: Life, disk: FaultyDisk, during: Callable[[Stage], None]) -> None:
    """Live a life on a disk; ``during`` is called when the disk has refused something."""
    with stage(root, **_SHORT) as staged:
        world = staged.world
        disk.is_well = True
        world.start(disk)
        disk.is_well, disk.count = False, 0
        staged.drop(life.folder, "letter.pdf", life.content())
        world.until(lambda: bool(disk.refused) or not (world.in_inbox() or world.in_spool()))
        if disk.refused:
            during(staged)
            disk.is_well = True
        world.until_done()
        world.live(70.0)
        assert_ended(staged)  # the next start removes what could not be removed before
        assert ends(world) == [life.end]
        assert not _holds(staged), "the trouble is over"
        world.crash()
        world.start()
        world.live(5.0)
        assert_all_answered(staged)
        assert ends(world) == [life.end]


def _holds(staged: Stage) -> list[str]:
    assert staged.world.spool is not None
    holds = staged.world.spool.notes.read_status()["holds"]
    assert isinstance(holds, list)
    return [hold["words"] for hold in holds if hold["what"] == "disk"]


def _each_step(life: Life, folder: Path, make: Callable[[int], FaultyDisk], during: Any) -> int:
    at = 0
    while True:
        at += 1
        disk = make(at)
        _live(folder / str(at), life, disk, during)
        if not disk.refused:
            return at - 1


@pytest.mark.parametrize("done", ["undone", pytest.param("done", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "life",
    [
        pytest.param(life, id=life.name, marks=[] if life is LIVES[2] else [pytest.mark.long])
        for life in LIVES
    ],
)
def test_one_refused_step_changes_no_end(
    life: Life, done: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever single step the disk refuses, the document ends as usual."""

    def make(at: int) -> FaultyDisk:
        disk = FaultyDisk(at, errno.EIO)
        disk.done_all_the_same = done == "done"
        return disk

    steps = _each_step(life, tmp_path, make, lambda _: None)
    tell(request, f"{life.name}: {steps} steps refused, each once")
    assert steps > 20


_QUICK = {(LIVES[1].name, "ENOSPC"), (LIVES[2].name, "EIO")}


@pytest.mark.parametrize(
    ("life", "code"),
    [
        pytest.param(
            life,
            code,
            id=f"{life.name}, {code}",
            marks=[] if (life.name, code) in _QUICK else [pytest.mark.long],
        )
        for life in LIVES
        for code in CODES
    ],
)
def test_a_disk_in_trouble_for_a_while_holds_and_goes_on(
    life: Life, code: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """If nothing can be written for a while, from any step on, faxdrop says so and then goes on."""

    def during(staged: Stage) -> None:
        taken = len(staged.simulator.taken)
        with quiet() as events:
            turns = turns_of(staged.world, WHILE)
        assert_kept(staged)
        assert len(staged.simulator.taken) == taken, "faxed what could not be recorded"
        [words] = _holds(staged)
        assert os.strerror(CODES[code]) in words
        assert len(events) < WHILE / 5, "the log is no storm"
        assert turns < WHILE * 2, "nor is the loop"

    steps = _each_step(life, tmp_path, lambda at: FaultyDisk(at, CODES[code], once=False), during)
    tell(request, f"{life.name}: {steps} steps from which on {code}")
    assert steps > 20


def test_a_full_disk_does_not_keep_the_daemon_from_starting(tmp_path: Path) -> None:
    """Started on a full disk, it says so and claims nothing, and goes on when there is room."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        world.crash()
        disk = FaultyDisk(1, errno.ENOSPC, once=False)
        world.start(disk)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        turns_of(world, 60.0)
        [words] = _holds(staged)
        assert os.strerror(errno.ENOSPC) in words
        assert len(world.in_inbox()) == 1
        disk.is_well = True
        world.until_done()
        world.live(10.0)
        assert ends(world) == [("sent", None)]
        assert not _holds(staged)


def test_trouble_is_told_with_its_beginning_and_its_end(tmp_path: Path) -> None:
    """The log says when the disk's trouble begins and once that it ends, however many wait."""
    with stage(tmp_path) as staged:
        world = staged.world
        disk = FaultyDisk()
        world.start(disk)
        for at in range(3):
            staged.drop(f"+49302312513{at}", "letter.pdf", pdfs.good())
        with quiet() as events:
            disk.code, disk.once, disk.refuse_at = errno.EDQUOT, False, 1
            began = world.time.wall
            turns_of(world, 300.0)
            status = world.spool.notes.read_status() if world.spool else {}
            [hold] = status["holds"] if isinstance(status["holds"], list) else []
            assert (datetime.fromisoformat(hold["since"]) - began).total_seconds() < 10
            disk.is_well = True
            world.until_done()
            world.live(10.0)
        told = [event["event"] for event in events if event["event"].startswith("disk.")]
        assert told == ["disk.trouble", "disk.well"]
        assert ends(world) == [("sent", None)] * 3


def test_a_document_that_cannot_be_read_after_its_claim_is_checked_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read error just after the claim leaves no document unanswered: its check is repeated."""
    errors = iter([OSError(errno.EIO, os.strerror(errno.EIO))])

    def unreadable_once(fd: int) -> str:
        for error in errors:
            raise error
        return sha256_of(fd)

    monkeypatch.setattr(claim, "sha256_of", unreadable_once)
    with stage(tmp_path) as staged:
        staged.world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        staged.world.until_done()
        assert ends(staged.world) == [("sent", None)]


def test_an_inbox_that_cannot_be_read_is_said_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the inbox gives errors the daemon says so without a storm; afterwards it goes on."""

    def broken(_path: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(tmp_path / "inbox"))

    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.turn()
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", broken)
            assert turns_of(world, 120.0) < 120
            assert _holds(staged)
        world.until_done()
        world.live(10.0)
        assert ends(world) == [("sent", None)]
        assert not _holds(staged)


def test_a_wish_to_cancel_that_cannot_be_cleared_away_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note in cancel/ that cannot be removed does not stop other documents."""

    def refused(_notes: Notes, _job_id: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        assert world.spool is not None
        world.spool.notes.ask_to_cancel("20260302-080000-00000000")
        monkeypatch.setattr(Notes, "cancellation_done", refused)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done()
        assert ends(world) == [("sent", None)]
