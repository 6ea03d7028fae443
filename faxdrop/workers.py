"""Steps: what waits for a disk or for sipgate runs in threads, and hands over what became of it."""

import errno
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class StepEnd:
    """What became of a step: what it was about, and its result or its error."""

    of: Any
    result: Any = None
    error: Exception | None = None


class NoThreadError(OSError):
    """No thread could be had for a step, and the step will not be done: a limit of the machine."""


Then = Callable[[StepEnd], None]
"""What takes the end of a step, in the loop's thread."""


class Steps:
    """Runs steps in threads; their ends are taken in the thread that calls ``collect``."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._ended: queue.SimpleQueue[tuple[Then, StepEnd]] = queue.SimpleQueue()

    def start(self, pool: Executor, then: Then, of: object, step: Callable[[], Any]) -> None:
        """Have a step done by a thread of a pool; NoThreadError is its end if none can be had."""
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
        """Take what has ended; return whether anything had."""
        anything = False
        while True:
            try:
                then, ended = self._ended.get_nowait()
            except queue.Empty:
                return anything
            anything = True
            then(ended)


def submit(pool: Executor, do: Callable[[], None]) -> None:
    """Have something done by a thread of a pool, once.

    Raises NoThreadError if it never will be. A pool whose thread cannot start may keep what it was
    given, and do it when it is given something else: what was reported as not done must not be.
    """
    right = threading.Lock()  # who has it does it, or gives it up

    def do_if_wanted() -> None:
        if right.acquire(blocking=False):
            do()

    try:
        pool.submit(do_if_wanted)
    except RuntimeError as error:
        if right.acquire(blocking=False):
            raise NoThreadError(errno.EAGAIN, f"no thread can be started: {error}") from error
