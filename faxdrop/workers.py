"""Steps: whatever waits for the disk or for sipgate runs in threads and reports its result.

The daemon's threads share one processor. Only one of them runs Python at a time, and each system
call is a chance to hand over. On several processors each hand-over wakes another one: with some two
hundred calls a document that was more than a third of the daemon's time, and Python would not have
used a second processor anyway. Processes of their own, as the PDF readers, use all of them.
"""

import contextlib
import errno
import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class StepEnd:
    """The end of a step: what it was about, and its result or its error."""

    of: Any
    result: Any = None
    error: Exception | None = None


class NoThreadError(OSError):
    """No thread could be started, a limit of the machine; the step will not be done."""


Then = Callable[[StepEnd], None]
"""What takes the end of a step, in the loop's thread."""


class Steps:
    """Runs steps in threads; ``then`` is called for each in the thread that calls ``collect``."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._ended: queue.SimpleQueue[tuple[Then, StepEnd]] = queue.SimpleQueue()

    def start(self, pool: Executor, then: Then, of: object, step: Callable[[], Any]) -> None:
        """Have a thread of a pool do a step; its end is NoThreadError if none can be started."""
        try:
            submit(pool, partial(self.do, then, of, step))
        except NoThreadError as error:
            self._ended.put((then, StepEnd(of, error=error)))
            self._wake()

    def do(self, then: Then, of: object, step: Callable[[], Any]) -> None:
        """Do a step in this thread, and leave its end for ``collect``."""
        try:
            ended = StepEnd(of, result=step())
        except Exception as error:  # noqa: BLE001  (no file and no answer ends the daemon)
            ended = StepEnd(of, error=error)
        self._ended.put((then, ended))
        self._wake()

    def collect(self) -> bool:
        """Pass on the steps that have ended; return whether there were any."""
        anything = False
        while True:
            try:
                then, ended = self._ended.get_nowait()
            except queue.Empty:
                return anything
            anything = True
            then(ended)


def submit(pool: Executor, do: Callable[[], None]) -> None:
    """Have a thread of a pool do something, once. Raises NoThreadError if it will never be done.

    A pool whose thread cannot start may keep the call and run it with the next one. What we have
    reported as not done must not be done then.
    """
    right = threading.Lock()  # who has it does it, or gives it up

    def do_if_wanted() -> None:
        if right.acquire(blocking=False):
            do()

    try:
        pool.submit(do_if_wanted)
    except RuntimeError as error:
        if right.acquire(blocking=False):
            raise NoThreadError(errno.EAGAIN, "no thread can be started") from error


_all_processors: set[int] | None = None  # that the daemon may use; None: its threads do


def share_a_processor() -> None:
    """Keep this thread, and the threads that it will start, on one of the processors allowed.

    Where the system refuses (sched_setaffinity(2)), they stay on all of them.
    """
    global _all_processors  # noqa: PLW0603 - a process has one set of them
    allowed = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {secrets.choice(sorted(allowed))})
        _all_processors = allowed


@contextmanager
def on_all_processors() -> Iterator[None]:
    """Let the processes that this thread starts meanwhile use all processors."""
    if _all_processors is None:
        yield
        return
    ours = os.sched_getaffinity(0)
    try:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, _all_processors)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, ours)


class Bounded:
    """Makes calls to servers that may answer a byte a second for ever: one at a time, each bounded.

    A call that takes too long goes on in a thread that nobody waits for, also not at the end.
    """

    def __init__(self) -> None:
        self._over = threading.Event()  # the last call has ended
        self._over.set()

    def call(self, do: Callable[[], T], seconds: float) -> T:
        """Return what it returns, or raise what it raises.

        Raises TimeoutError when the seconds are over, and while an earlier call still goes on.
        Raises NoThreadError.
        """
        late = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if not self._over.is_set():
            raise late
        ended: queue.SimpleQueue[tuple[T] | Exception] = queue.SimpleQueue()
        over = self._over = threading.Event()

        def run() -> None:
            found: tuple[T] | Exception
            try:
                found = (do(),)
            except Exception as error:  # noqa: BLE001 - raised below
                found = error
            over.set()
            ended.put(found)

        try:
            threading.Thread(target=run, daemon=True).start()
        except RuntimeError as error:
            over.set()
            raise NoThreadError(errno.EAGAIN, "no thread can be started") from error
        try:
            found = ended.get(timeout=seconds)
        except queue.Empty:
            raise late from None
        if isinstance(found, Exception):
            raise found
        return found[0]
