"""Ways to break a World at any step of its disk or of its network, and the promises that hold.

Here the document check runs in the test's own process and remembers its verdicts, because
everything around it is broken thousands of times.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import structlog

from faxdrop.config.settings import Config
from faxdrop.documents.checker import Checker
from faxdrop.documents.pdf import document
from faxdrop.documents.verdict import Limits, Verdict
from faxdrop.simulator import Simulator
from faxdrop.sipgate import Answer, Entry, History, Sipgate
from faxdrop.spool.disk import Disk
from tests.kit.promises import sha256, violations
from tests.kit.world import Time, Wanted, World

LIMITS = Limits(max_bytes=10_000_000, max_pages=30)


class Crash(BaseException):
    """The machine stops here; nothing may catch that."""


class Steps:
    """Counts durable steps and both sides of requests, and crashes at one of them."""

    def __init__(self, crash_at: int | None = None) -> None:
        self.crash_at = crash_at
        self.names: list[str] = []

    @property
    def count(self) -> int:
        """How many steps were taken."""
        return len(self.names)

    def step(self, name: str, half_done: Callable[[], object] | None = None) -> None:
        """Take a step, or crash in its place; ``half_done`` is what the crash leaves of it."""
        self.names.append(name)
        if self.count == self.crash_at:
            if half_done is not None:
                half_done()
            raise Crash(f"at step {self.count}: {name}")


class CrashingDisk(Disk):
    """Crashes in place of one of its steps; a write can also be torn."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def make_folder(self, path: Path, mode: int = 0o777, **within: int | None) -> None:
        """mkdir(2), or a crash."""
        self._steps.step(f"mkdir {path.name}")
        super().make_folder(path, mode, **within)

    def open_new(self, path: Path, mode: int = 0o666) -> int:
        """open(2), or a crash."""
        self._steps.step(f"open {path.name}")
        return super().open_new(path, mode)

    def open_anew(self, path: Path) -> int:
        """open(2), or a crash."""
        self._steps.step(f"open {path.name} anew")
        return super().open_anew(path)

    def open_append(self, path: Path, mode: int = 0o666) -> int:
        """open(2), or a crash."""
        self._steps.step(f"append to {path.name}")
        return super().open_append(path, mode)

    def cut(self, path: Path, length: int) -> None:
        """truncate(2), or a crash."""
        self._steps.step(f"cut {path.name}")
        super().cut(path, length)

    def write(self, fd: int, data: bytes) -> None:
        """Write, or crash before it or in its middle."""
        self._steps.step("write")
        self._steps.step("torn write", lambda: os.write(fd, data[: len(data) // 2]))
        super().write(fd, data)

    def open_over(self, path: Path) -> int:
        """open(2), or a crash."""
        self._steps.step(f"open {path.name} to write over it")
        return super().open_over(path)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write, or crash before it or with a part of it: its first half, or all but that."""
        half = len(data) // 2
        self._steps.step("write over")
        self._steps.step("torn write over", lambda: os.pwrite(fd, data[:half], offset))
        rest = offset + half
        self._steps.step("write over without begin", lambda: os.pwrite(fd, data[half:], rest))
        super().write_at(fd, data, offset)

    def sync(self, fd: int) -> None:  # noqa: ARG002 - as in the class above
        """Skip the fsync(2), or crash: what was written survives this kind of crash anyway."""
        self._steps.step("fsync")

    def sync_data(self, fd: int) -> None:  # noqa: ARG002 - as in the class above
        """Skip the fdatasync(2), or crash."""
        self._steps.step("fdatasync")

    def sync_folder(self, path: Path, **_within: int | None) -> None:
        """Skip the fsync(2) of a folder, or crash."""
        self._steps.step(f"fsync of {path.name}")

    def replace(self, source: Path, target: Path) -> None:
        """rename(2), or a crash."""
        self._steps.step(f"replace {target.name}")
        super().replace(source, target)

    def move(self, source: Path, target: Path, **within: int | None) -> None:
        """rename(2), or a crash."""
        self._steps.step(f"move {source.name} to {target.name}")
        super().move(source, target, **within)

    def remove(self, path: Path, **within: int | None) -> None:
        """unlink(2), or a crash."""
        self._steps.step(f"remove {path.name}")
        super().remove(path, **within)

    def remove_folder(self, path: Path) -> None:
        """rmdir(2), or a crash."""
        self._steps.step(f"rmdir {path.name}")
        super().remove_folder(path)


class CrashingSipgate(Sipgate):
    """Crashes before a request is sent, or after its answer arrived and before anybody sees it."""

    steps: Steps

    def submit(self, *, before_last: Callable[[], None] = lambda: None, **fax: Any) -> Answer:
        """Submit, or crash; also around the record that comes before the last byte."""

        def last() -> None:
            self.steps.step("last byte waits")
            before_last()
            self.steps.step("last byte goes")

        self.steps.step("POST goes")
        answer = super().submit(**fax, before_last=last)
        self.steps.step("POST is answered")
        return answer

    def history(self, **asked: Any) -> History:
        """List, or crash."""
        self.steps.step("GET goes")
        found = super().history(**asked)
        self.steps.step("GET is answered")
        return found

    def entry(self, session_id: str) -> Entry | None:
        """Ask by id, or crash."""
        self.steps.step("GET by id goes")
        entry = super().entry(session_id)
        self.steps.step("GET by id is answered")
        return entry


class FaultyDisk(Disk):
    """Fails one step, or all from one on, with an error that the kernel may return."""

    def __init__(self, refuse_at: int = 0, code: int = errno.ENOSPC, *, once: bool = True) -> None:
        self.refuse_at = refuse_at
        self.code = code
        self.once = once
        self.count = 0
        self.is_well = False  # True: the trouble is over
        self.done_all_the_same = False  # the step is carried out, but reports an error
        self.refused: list[str] = []

    def _refuses(self, name: str) -> bool:
        self.count += 1
        if self.is_well or self.count < self.refuse_at or not self.refuse_at:
            return False
        if self.once and self.refused:
            return False
        self.refused.append(name)
        return True

    @contextmanager
    def _step(self, name: str, path: Path | None = None) -> Iterator[bool]:
        """Yield whether the step is carried out."""
        refuses = self._refuses(name)
        yield not refuses or self.done_all_the_same
        if refuses:
            raise OSError(self.code, os.strerror(self.code), str(path) if path else None)

    def make_folder(self, path: Path, mode: int = 0o777, **within: int | None) -> None:
        """mkdir(2), or an error."""
        with self._step("mkdir", path) as done:
            if done:
                super().make_folder(path, mode, **within)

    def open_new(self, path: Path, mode: int = 0o666) -> int:
        """open(2), or an error; the file it made then stays."""
        return self._opened(path, partial(super().open_new, path, mode))

    def open_anew(self, path: Path) -> int:
        """open(2), or an error; the file it made then stays."""
        return self._opened(path, partial(super().open_anew, path))

    def _opened(self, path: Path, do: Callable[[], int]) -> int:
        fd = -1
        try:
            with self._step("open", path) as done:
                if done:
                    fd = do()
        except OSError:
            if fd >= 0:
                os.close(fd)
            raise
        return fd

    def open_append(self, path: Path, mode: int = 0o666) -> int:
        """open(2), or an error."""
        with self._step("append", path):
            pass
        return super().open_append(path, mode)

    def cut(self, path: Path, length: int) -> None:
        """truncate(2), or an error."""
        with self._step("cut", path) as done:
            if done:
                super().cut(path, length)

    def write(self, fd: int, data: bytes) -> None:
        """Write, or half of it and then an error."""
        with self._step("write") as done:
            super().write(fd, data if done else data[: len(data) // 2])

    def open_over(self, path: Path) -> int:
        """open(2), or an error."""
        with self._step("open", path):
            pass
        return super().open_over(path)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write, or half of it and then an error."""
        with self._step("write") as done:
            super().write_at(fd, data if done else data[: len(data) // 2], offset)

    def sync(self, fd: int) -> None:  # noqa: ARG002 - as in the class above
        """Skip the fsync(2), or an error."""
        with self._step("fsync"):
            pass

    def sync_data(self, fd: int) -> None:  # noqa: ARG002 - as in the class above
        """Skip the fdatasync(2), or an error."""
        with self._step("fdatasync"):
            pass

    def sync_folder(self, path: Path, **_within: int | None) -> None:
        """Skip the fsync(2) of a folder, or an error."""
        with self._step("fsync of a folder", path):
            pass

    def replace(self, source: Path, target: Path) -> None:
        """rename(2), or an error."""
        with self._step("replace", target) as done:
            if done:
                super().replace(source, target)

    def move(self, source: Path, target: Path, **within: int | None) -> None:
        """rename(2), or an error."""
        with self._step("move", target) as done:
            if done:
                super().move(source, target, **within)

    def remove(self, path: Path, **within: int | None) -> None:
        """unlink(2), or an error."""
        with self._step("remove", path) as done:
            if done:
                super().remove(path, **within)

    def remove_folder(self, path: Path) -> None:
        """rmdir(2), or an error."""
        with self._step("rmdir", path) as done:
            if done:
                super().remove_folder(path)


@cache
def _examined(data: bytes, limits: Limits) -> Verdict:
    return document.examine(io.BytesIO(data), limits)


@cache
def _prepared(data: bytes, limits: Limits) -> tuple[Verdict, bytes]:
    output = io.BytesIO()
    return document.prepare(io.BytesIO(data), output, limits), output.getvalue()


class Reader(Checker):
    """The document check without a process of its own; it remembers what it has read."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits

    def check(self, fd: int) -> Verdict:
        """Read a document."""
        return _examined(_content(fd), self.limits)

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Read a document and write the copy that is faxed."""
        verdict, copy = _prepared(_content(fd), self.limits)
        os.write(output_fd, copy)
        return verdict


def _content(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def turns_of(world: World, seconds: float) -> int:
    """Let the daemon live for so many seconds; return how often its loop turned."""
    turns = 0
    end = world.time.mono + seconds
    while (left := end - world.time.mono) > 0:
        world.time.pass_by(min(left, max(world.turn() or 0.0, 0.001)))
        turns += 1
    return turns


@dataclass
class Drift:
    """How many seconds sipgate's clock is ahead of ours."""

    seconds: float = 0.0


@dataclass
class Stage:
    """One simulator, a world on it, and what was dropped."""

    world: World
    simulator: Simulator
    time: Time
    drift: "Drift"
    forgotten: set[str] = field(default_factory=set)  # job ids whose receipts a person took away
    dropped: list[str] = field(default_factory=list)  # SHA-256 of each document

    def drop(self, folder: str, name: str, content: bytes) -> Path:
        """Put a document into the inbox, and note its SHA-256."""
        self.dropped.append(sha256(content))
        return self.world.drop(folder, name, content)


@contextmanager
def stage(
    root: Path,
    *,
    pace: float = 5.0,
    late: float = 10.0,
    hostile: int | None = None,
    reports: Wanted = "none",
    **sending: Any,
) -> Iterator[Stage]:
    """Yield a world whose clock is turned by hand, on a simulator that follows that clock."""
    time = Time()
    drift = Drift()
    with (
        quiet(),
        Simulator(
            clock=lambda: time.wall.timestamp() + drift.seconds,
            pace=pace,
            late=late,
            slow=0.01,
            hostile=hostile,
        ) as simulator,
    ):
        world = World(root, simulator, Reader(), time, reports=reports, **sending)
        yield Stage(world, simulator, time, drift)
        world.crash()


def seconds_of(time: Time) -> Callable[[], float]:
    """Return a clock as the client wants it."""

    def seconds() -> float:
        return time.wall.timestamp()

    return seconds


@contextmanager
def quiet() -> Iterator[list[Any]]:
    """Collect what the daemon logs instead of printing it."""
    with structlog.testing.capture_logs() as events:
        yield events


def sipgate_that_crashes(world: World, steps: Steps) -> Callable[[Config], Sipgate]:
    """Return a factory of clients that crash at one of the steps."""

    def make(config: Config) -> Sipgate:
        sipgate = world.client(CrashingSipgate, config)
        sipgate.steps = steps
        return sipgate

    return make


# -- the promises ----------------------------------------------------------------------------


def assert_kept(staged: Stage) -> None:
    """Assert that nothing was lost, sent twice or reported wrongly so far."""
    _judge(staged, ended=False)


def assert_ended(staged: Stage) -> None:
    """Assert that every document has ended with a true receipt."""
    _judge(staged, ended=True)


def assert_all_answered(staged: Stage) -> None:
    """Assert that every document has ended with a true receipt, and that nothing is left over."""
    _judge(staged, ended=True)
    world = staged.world
    spool = world.root / ".faxdrop"
    left = [path.name for name in ("jobs", "corrupt", "cancel") for path in spool.glob(f"{name}/*")]
    assert not left, f"left in the spool: {left}"
    orphans = [
        path
        for path in world.root.glob("[sf]*/**/*.json")
        if _is_receipt(path) and not os.path.lexists(path.with_suffix(""))
    ]
    assert not orphans, f"receipts without their documents: {orphans}"


def _judge(staged: Stage, *, ended: bool) -> None:
    world = staged.world
    wrong = violations(
        world.root,
        [
            fax
            for fax in staged.simulator.taken
            if fax.filename.removesuffix(".pdf") not in staged.forgotten
        ],
        staged.dropped,
        ended=ended,
        resends=world.config.sending.resend_if_absent,
    )
    assert not wrong, "\n".join([*wrong, world.tree()])


def _is_receipt(path: Path) -> bool:
    return path.read_bytes().startswith(b'{\n  "format": "faxdrop-receipt/')


def ends(world: World) -> list[tuple[str, str | None]]:
    """Return the status and the reason of all receipts, in the order of their claims."""
    filed = sorted([*world.sent, *world.failed], key=lambda one: one.receipt.claimed_at)
    return [
        (
            one.receipt.status,
            one.receipt.reason.code.value if one.receipt.reason else None,
        )
        for one in filed
    ]
