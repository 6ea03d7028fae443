"""Each follower hears of every end, in order, and delays neither faxes nor other followers."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from faxdrop.followers.cursor import Line
from faxdrop.followers.follower import Follower
from faxdrop.spool import space
from tests.kit import pdfs
from tests.kit.breaking import FaultyDisk, Stage, stage
from tests.kit.followers import Endless, Looker, Memory, only
from tests.kit.waiting import PATIENCE
from tests.kit.world import World

NUMBER = "+493023125100"
DAY = 86400.0


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Stage]:
    """Give an office whose daemon is not started yet."""
    with stage(tmp_path / "root") as one:
        yield one


def fax(world: World, *names: str) -> None:
    """Drop documents that are none: each ends at once."""
    for name in names:
        world.drop(NUMBER, name, f"{name} is no PDF".encode())
        world.until_done()
    world.turn()


def start(world: World, *followers: Follower) -> None:
    """Start a daemon with these followers."""
    world.make_followers = only(*followers)
    world.start()
    world.turn()


def restart(world: World, *followers: Follower) -> None:
    """Start a daemon anew after a crash, with other followers."""
    world.crash()
    start(world, *followers)


def cursor_of(world: World, name: str = "memory") -> Path:
    """Return where a cursor lies."""
    return world.root / ".faxdrop" / "followers" / f"{name}.json"


def _standing(world: World) -> Any:
    return json.loads((world.root / ".faxdrop" / "status.json").read_bytes())


def problems(world: World) -> str:
    """Return what status says is not as it should be."""
    world.live(2.0)
    assert world.spool is not None
    return "\n".join(f"{one['path']} {one['problem']}" for one in _standing(world)["problems"])


def test_each_end_is_told_once_in_order_also_after_a_restart(staged: Stage) -> None:
    """After a restart, a follower hears what ended meanwhile, and nothing twice."""
    told: list[str] = []
    start(staged.world, Memory(told))
    fax(staged.world, "1.pdf", "2.pdf")
    assert told == ["1.pdf", "2.pdf"]
    restart(staged.world, Memory(told, lambda _: True))
    fax(staged.world, "3.pdf")
    restart(staged.world, Memory(told))
    fax(staged.world, "4.pdf")
    assert told == ["1.pdf", "2.pdf", "3.pdf", "4.pdf"]


def test_one_that_is_new_begins_at_the_end(staged: Stage) -> None:
    """A new follower starts at the journal's end; one that was removed and added is new again."""
    world = staged.world
    told: list[str] = []
    start(world)
    fax(world, "old.pdf")
    restart(world, Memory(told))
    fax(world, "new.pdf")
    assert told == ["new.pdf"]
    world.make_followers = only()
    assert world.daemon is not None
    world.daemon._make_followers = only()  # noqa: SLF001 - as a reload by another config
    world.daemon.reload(lambda: world.config)
    fax(world, "unheard.pdf")
    assert not cursor_of(world).exists()
    world.daemon._make_followers = only(Memory(told))  # noqa: SLF001
    world.daemon.reload(lambda: world.config)
    fax(world, "again.pdf")
    assert told == ["new.pdf", "again.pdf"]


@pytest.mark.long
def test_one_that_fails_is_tried_with_pauses_up_to_an_hour_and_passes_over_after_a_day(
    staged: Stage,
) -> None:
    """A line that fails for a day is passed over, and status says which one."""
    world = staged.world
    told: list[str] = []
    memory = Memory(told, lambda line: line.content["document"]["name"] == "bad.pdf")
    start(world, memory)
    fax(world, "bad.pdf", "good.pdf")
    assert "The follower memory: It fails and is tried again: not now" in problems(world)
    world.live(DAY / 2)
    assert told == []
    memory = Memory(told, memory.fails)
    restart(world, memory)
    world.live(DAY / 2 - 3700)
    assert told == []
    world.live(3 * 3600)  # the time since the last note before the crash counts again
    assert told == ["good.pdf"]
    assert 10 < memory.tries < 40
    assert "gave up on line 1 (bad.pdf) of the journal after a day: not now" in problems(world)
    world.live(DAY)
    assert problems(world) == ""


def test_what_ails_several_is_said_once_in_the_words_of_the_system(staged: Stage) -> None:
    """A full disk is one line in status, whoever meets it; no errno is in it."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/cursor")

    def fails(_line: Line) -> bool:
        raise full

    first, second = Memory([], fails), Memory([], fails)
    second.name = "notebook"
    start(staged.world, first, second)
    fax(staged.world, "letter.pdf")
    assert problems(staged.world) == (
        "The followers memory and notebook: It fails and is tried again: "
        "/somewhere/cursor: No space left on device"
    )


@pytest.mark.parametrize("held", ["intake", "disk"])
def test_what_holds_is_not_told_again_of_the_followers(
    staged: Stage, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """While a full disk holds, it is one thing that a person has to see to; then it is theirs."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/cursor")

    def fails(_line: Line) -> bool:
        raise full

    world = staged.world
    world.make_followers = only(Memory([], fails))
    disk = FaultyDisk(0, errno.ENOSPC, once=False)
    world.start(disk)
    fax(world, "letter.pdf")
    assert "No space left" in problems(world)
    if held == "intake":
        monkeypatch.setattr(space, "_LEAST", 1 << 62)
        monkeypatch.setattr(space, "_MOST", 1 << 62)
    else:
        disk.refuse_at = 1
    world.drop(NUMBER, "next.pdf", pdfs.good())
    world.live(30.0)
    assert [hold["what"] for hold in _standing(world)["holds"]] == [held]
    assert problems(world) == ""
    monkeypatch.undo()
    disk.is_well = True
    world.until_done()
    assert "No space left" in problems(world)


def test_a_failure_is_over_with_the_first_success(staged: Stage) -> None:
    """After a success, status is clear and the pauses begin anew."""
    world = staged.world
    told: list[str] = []
    away = [True]
    start(world, Memory(told, lambda _: away[0]))
    fax(world, "letter.pdf")
    world.live(600.0)
    away[0] = False
    world.live(1300.0)
    assert told == ["letter.pdf"]
    assert problems(world) == ""
    assert json.loads(cursor_of(world).read_bytes())["failing"] == 0.0


def _other(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1.pdf", b"7.pdf"))


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    (path.parent / "head.json").unlink()


def _without_the_last(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


def _gone(path: Path) -> None:
    path.unlink()
    (path.parent / "head.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "words", "heard"),
    [
        (_other, "", ["3.pdf"]),  # line 2, the last that was told, is as it was
        (_shorter, "This is not the journal that was read up to line 2", []),
        (_without_the_last, "", ["3.pdf"]),  # a `mended` line goes on behind line 2
        (_gone, "This is not the journal that was read up to line 2", []),
    ],
)
def test_a_journal_that_was_replaced_is_followed_from_its_end(
    staged: Stage, spoil: Callable[[Path], None], words: str, heard: list[str]
) -> None:
    """Also one that is shorter: a word in status, nothing told twice, and then as ever."""
    world = staged.world
    told: list[str] = []
    start(world, Memory(told))
    fax(world, "1.pdf", "2.pdf")
    world.crash()
    [path] = (world.root / ".faxdrop" / "journal").glob("*.jsonl")
    spoil(path)
    del told[:]
    restart(world, Memory(told))
    assert told == []
    fax(world, "3.pdf")
    assert told == (heard or ["3.pdf"])
    assert words in problems(world)
    fax(world, "4.pdf")
    assert told[-1] == "4.pdf"


def test_lines_that_are_gone_are_passed_over(staged: Stage) -> None:
    """The line that was told last is cut off, and the chain goes on behind a later one."""
    world = staged.world
    told: list[str] = []
    start(world, Memory(told))
    fax(world, "1.pdf")
    restart(world, Memory(told, lambda _: True))
    fax(world, "2.pdf", "3.pdf")
    world.crash()
    [path] = (world.root / ".faxdrop" / "journal").glob("*.jsonl")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[2])
    restart(world, Memory(told))
    assert told == ["1.pdf", "3.pdf"]
    assert "continues at line 3" in problems(world)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": "faxdrop-cursor/9"}', b"\xff"])
def test_a_cursor_that_cannot_be_read_begins_at_the_end(staged: Stage, content: bytes) -> None:
    """A damaged cursor is reported and written anew."""
    world = staged.world
    told: list[str] = []
    start(world, Memory(told))
    fax(world, "1.pdf")
    cursor_of(world).write_bytes(content)
    restart(world, Memory(told))
    assert "could not be read" in problems(world)
    fax(world, "2.pdf")
    assert told == ["1.pdf", "2.pdf"]


def test_a_line_that_is_no_line_is_passed_over(staged: Stage) -> None:
    """A line that is not the journal's stops no follower."""
    world = staged.world
    told: list[str] = []
    start(world, Memory(told, lambda _: True))
    fax(world, "1.pdf")
    world.crash()
    [path] = (world.root / ".faxdrop" / "journal").glob("*.jsonl")
    path.write_bytes(b"no line\n" + path.read_bytes())
    restart(world, Memory(told))
    assert told == ["1.pdf"]


def test_news_and_own_instants_give_turns_and_nothing_else_does(staged: Stage) -> None:
    """In a quiet hour one that looks at news has no turn at all."""
    world = staged.world
    quiet, often = Looker(), Looker(60.0)
    often.name = "often"
    start(world, quiet, often)
    world.live(60.0)
    before = len(quiet.seen), len(often.seen)
    world.live(3600.0)
    assert len(quiet.seen) == before[0]
    assert 58 <= len(often.seen) - before[1] <= 62
    fax(world, "letter.pdf")
    assert len(quiet.seen) > before[0]
    assert quiet.seen[-1].head.seq == 1


def test_the_standing_says_what_holds_since_when(staged: Stage) -> None:
    """A follower hears the same status that is in status.json."""
    world = staged.world
    looker = Looker()
    start(world, looker)
    staged.simulator.script([402] * 9)
    world.drop(NUMBER, "letter.pdf", pdfs.good())
    world.live(15.0)
    [hold] = looker.seen[-1].standing["holds"]
    assert hold["what"] == "submitting"
    assert hold["since"].endswith("Z")


def test_a_slow_one_holds_up_neither_the_others_nor_a_stop(staged: Stage) -> None:
    """With threads as the daemon has them: the letter is told of, and a stop takes seconds."""
    world = staged.world
    told: list[str] = []
    endless = [Endless(f"endless-{number}") for number in range(5)]
    looker = Looker()
    world.make_followers = only(*endless, Memory(told), looker)
    with ThreadPoolExecutor(8) as pool:
        daemon = world.start()
        daemon._followers._pool = pool  # noqa: SLF001 - in place of the world's own
        running = threading.Thread(target=daemon.run)
        running.start()
        try:
            assert all(one.begun.wait(PATIENCE) for one in endless)
            world.drop(NUMBER, "letter.pdf", b"no PDF")
            deadline = time.monotonic() + PATIENCE
            while not told and time.monotonic() < deadline:
                world.time.pass_by(1.0)
                daemon.wake()
                endless[0].begun.wait(0.01)
            assert told == ["letter.pdf"]
        finally:
            daemon._clock = type(daemon._clock)()  # noqa: SLF001 - a stop waits in real time
            daemon.stop()
            running.join(PATIENCE)
        assert not running.is_alive()
        assert len(looker.last_words) == 1


def _lines(world: World) -> list[dict[str, Any]]:
    found = sorted((world.root / ".faxdrop" / "journal").glob("*.jsonl"))
    return [json.loads(line) for path in found for line in path.read_bytes().splitlines()]


def test_what_holds_at_a_stop_is_in_the_journal(staged: Stage) -> None:
    """A hold is written to the journal, also if the disk refused that line at first."""
    world = staged.world
    world.start(disk := FaultyDisk(once=False))
    world.live(5.0)
    staged.simulator.script([402] * 9)
    world.drop(NUMBER, "letter.pdf", pdfs.good())
    world.until(lambda: bool(world.records()))
    append_all = world.journal.append_all
    refusing = [True]

    def refuse(events: Any) -> None:
        if refusing[0]:
            raise OSError(28, os.strerror(28))
        append_all(events)

    world.journal.append_all = refuse  # type: ignore[method-assign]
    assert world.daemon is not None
    world.live(15.0)
    assert _lines(world) == []
    refusing[0] = False
    world.daemon.stop()
    assert world.daemon.run()
    [line] = _lines(world)
    assert (line["event"], line["what"]) == ("held", "submitting")
    assert disk.refused == []


def test_an_inbox_that_is_held_is_in_the_journal(
    staged: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is nearly full: a line when it begins to hold, and one when it is over."""
    world = staged.world
    world.start()
    monkeypatch.setattr(space, "_LEAST", 1 << 62)
    monkeypatch.setattr(space, "_MOST", 1 << 62)
    world.drop(NUMBER, "letter.pdf", pdfs.good())
    world.live(15.0)
    monkeypatch.undo()
    world.until_done()
    world.live(5.0)
    told = [(line["event"], line.get("what")) for line in _lines(world)]
    assert ("held", "intake") in told
    assert ("released", "intake") in told
