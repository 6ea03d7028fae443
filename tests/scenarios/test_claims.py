"""Which document is claimed next, and what happens if no thread can be started."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Event, Lock
from typing import ParamSpec, TypeVar

import pytest

from faxdrop.documents.opening import Signature
from faxdrop.documents.verdict import Verdict
from faxdrop.inbox.looks import Candidate, Key, Rest
from faxdrop.inbox.turns import Claims
from faxdrop.workers import NoThreadError, submit
from tests.kit import pdfs
from tests.kit.breaking import Reader, ends, stage
from tests.kit.world import Here

P = ParamSpec("P")
T = TypeVar("T")

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENCE = 60.0  # seconds for what takes none


def candidate(folder: str, name: str, rest: Rest = Rest.SETTLED) -> Candidate:
    """Return what may be claimed."""
    key = Key(folder, name)
    return Candidate(key, Path(folder, name), Signature(1, 1, 1), rest, is_regular=True)


class Shut(Executor):
    """Starts no thread while it is shut, and does what it was given later, as Python's pool may."""

    def __init__(self) -> None:
        self.is_shut = True
        self.kept: list[Callable[[], object]] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Keep it, and say that no thread can be started; or do all that was kept."""
        self.kept.append(lambda: fn(*args, **kwargs))
        if self.is_shut:
            raise RuntimeError("can't start new thread")
        kept, self.kept = self.kept, []
        for each in kept:
            each()
        return Future()


class Desk:
    """Claims, and in which order they were made."""

    def __init__(self, pool: Executor, threads: int = 1) -> None:
        self.done: list[str] = []
        self.ended = 0
        self.may = True
        self.allowed: Callable[[Candidate], bool] = lambda _: True
        self.claims = Claims(pool, threads, self._do, self._may, lambda: AT, self._end)

    def _do(self, one: Candidate, _at: datetime) -> None:
        self.done.append(f"{one.key.folder}/{one.key.name}")

    def _may(self, one: Candidate) -> bool:
        return self.may and self.allowed(one)

    def _end(self) -> None:
        self.ended += 1

    def put(self, candidates: Iterable[Candidate]) -> None:
        """Queue them."""
        self.claims.put(candidates)


def test_folders_take_turns_and_each_keeps_its_order() -> None:
    """A folder with very many letters holds no other up, and its letters stay in order."""
    desk = Desk(Here())
    desk.put(candidate("many", f"{at}") for at in range(3))
    desk.put([candidate("one", "a"), candidate("two", "b")])
    assert desk.claims.start() == 1
    assert desk.done == ["many/0", "one/a", "two/b", "many/1", "many/2"]
    assert desk.claims.waiting == 0


def test_what_was_just_closed_goes_first_and_what_is_overdue_last() -> None:
    """Overdue junk waits for new letters, and so do files that only settled."""
    desk = Desk(Here())
    desk.put(candidate("junk", f"{at}", Rest.OVERDUE) for at in range(2))
    desk.put([candidate("settled", "s"), candidate("closed", "c", Rest.CLOSED)])
    desk.put([candidate("junk", "letter", Rest.CLOSED)])
    desk.claims.start()
    assert desk.done == ["closed/c", "junk/letter", "settled/s", "junk/0", "junk/1"]


def test_folders_take_turns_also_with_what_was_just_closed() -> None:
    """Many letters in one folder do not delay a letter in another."""
    desk = Desk(Here())
    desk.put(candidate("many", f"{at}", Rest.CLOSED) for at in range(3))
    desk.put([candidate("one", "a", Rest.CLOSED)])
    desk.claims.start()
    assert desk.done == ["many/0", "one/a", "many/1", "many/2"]


def test_a_closed_letter_does_not_overtake_a_settled_one_of_its_folder() -> None:
    """Letters of one recipient keep their order: the folder moves up as a whole."""
    desk = Desk(Here())
    desk.put([candidate("other", "o"), candidate("Amt", "older"), candidate("third", "t")])
    desk.put([candidate("Amt", "younger", Rest.CLOSED)])
    desk.claims.start()
    assert desk.done == ["Amt/older", "Amt/younger", "other/o", "third/t"]


def test_one_thread_a_folder_and_not_all_of_them_for_what_is_overdue() -> None:
    """No folder has two letters claimed at once; half of the threads are left for letters."""
    lock, at_once, most, go = Lock(), {"Amt": 0, "junk": 0}, {"Amt": 0, "junk": 0}, Event()
    both = Barrier(3)  # two of junk, one of Amt

    def do(one: Candidate, _at: datetime) -> None:
        kind = "junk" if one.rest is Rest.OVERDUE else "Amt"
        with lock:
            at_once[kind] += 1
            most[kind] = max(most[kind], at_once[kind])
        if not go.is_set():
            both.wait(PATIENCE)
            go.set()
        with lock:
            at_once[kind] -= 1

    with ThreadPoolExecutor(4) as pool:
        claims = Claims(pool, 4, do, lambda _: True, lambda: AT, lambda: None)
        claims.put(candidate(f"junk {at}", "j", Rest.OVERDUE) for at in range(20))
        claims.put(candidate("Amt", f"{at}") for at in range(5))
        claims.start()
        assert go.wait(PATIENCE)
    assert most == {"Amt": 1, "junk": 2}


def test_nothing_is_claimed_that_may_not_be() -> None:
    """On a full disk, documents wait in the inbox; they are claimed when there is room."""
    desk = Desk(Here())
    desk.may = False
    desk.put([candidate("Amt", "a")])
    assert desk.claims.start() == 0
    assert (desk.done, desk.claims.waiting) == ([], 1)
    desk.may = True
    assert desk.claims.start() == 1
    assert desk.done == ["Amt/a"]


def test_overdue_junk_that_must_wait_keeps_no_letter_waiting() -> None:
    """The limit for overdue files does not limit the others."""
    desk = Desk(Here())
    desk.allowed = lambda one: one.rest is not Rest.OVERDUE
    desk.put([candidate("junk", "j", Rest.OVERDUE), candidate("Amt", "a", Rest.CLOSED)])
    desk.claims.start()
    assert desk.done == ["Amt/a"]
    assert desk.claims.waiting == 1


def test_without_a_thread_nothing_is_in_hands_and_nothing_is_done_twice() -> None:
    """A thread that cannot start is an error now; later each candidate is claimed once."""
    pool = Shut()
    desk = Desk(pool)
    desk.put([candidate("Amt", "a"), candidate("Amt", "b")])
    for _ in range(3):
        with pytest.raises(NoThreadError):
            desk.claims.start()
    assert (desk.done, desk.ended) == ([], 0)
    pool.is_shut = False
    assert desk.claims.start() == 1
    assert (desk.done, desk.ended) == (["Amt/a", "Amt/b"], 1)


def test_what_was_reported_as_not_done_is_not_done_later() -> None:
    """A pool that keeps what it refused, and does it after all, finds nothing to do."""
    pool, done = Shut(), list[str]()
    with pytest.raises(NoThreadError, match="no thread can be started"):
        submit(pool, lambda: done.append("refused"))
    pool.is_shut = False
    submit(pool, lambda: done.append("done"))
    assert done == ["done"]


def test_after_a_stop_nothing_is_claimed() -> None:
    """What waits when the daemon stops stays in the inbox."""
    desk = Desk(Here())
    desk.put([candidate("Amt", "a")])
    desk.claims.stop()
    assert desk.claims.start() == 0
    assert desk.done == []


def test_padding_is_not_waited_for(tmp_path: Path) -> None:
    """A PDF at rest is claimed at once, however much stands around it; half of one is not."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.drop("+493023125130", "padded.pdf", pdfs.good() + bytes(4845))
        staged.drop("+493023125131", "job.pdf", b"@PJL COMMENT\r\n" * 99 + pdfs.good(2))
        staged.drop("+493023125132", "half.pdf", pdfs.truncated() + bytes(4845))
        world.until(lambda: len(staged.simulator.taken) == 2)
        assert world.time.mono - 1000.0 < world.config.inbox.settle + 12.0  # a rescan, a rest
        assert [path.name for path in world.in_inbox()] == ["half.pdf"]
        world.until_done()
        assert sorted(ends(world)) == [("failed", "damaged_pdf"), ("sent", None), ("sent", None)]


def test_an_odd_end_is_waited_out(tmp_path: Path) -> None:
    """A PDF without its end mark, or with much else behind it, is faxed after its patience."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        good, other = pdfs.good(), pdfs.good(2)
        staged.drop("+493023125130", "unmarked.pdf", good[: good.rindex(b"OF")])
        staged.drop("+493023125131", "log.pdf", other + b"scan: page 1 of 1\n" * 99)
        world.live(world.config.inbox.patience - 1.0)
        assert len(world.in_inbox()) == 2
        world.until_done()
        assert ends(world) == [("sent", None), ("sent", None)]


class Counting(Reader):
    """A reader that counts the documents it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def check(self, fd: int) -> Verdict:
        """Read a document."""
        self.asked += 1
        return super().check(fd)


def test_what_is_no_pdf_costs_no_check_until_its_patience_ends(tmp_path: Path) -> None:
    """An inbox may hold thousands of tables and pictures: no reader looks at one at rest."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.checker = reader = Counting()
        world.start()
        for name in ("table.csv", "picture.pdf", "empty.pdf"):
            staged.drop("+493023125130", name, b"" if name == "empty.pdf" else b"\x89PNG" * 999)
        world.live(world.config.inbox.settle + 15.0)
        assert reader.asked == 0
        world.until_done()
        assert reader.asked == len(ends(world)) == 3
