"""Steps: what waits for a disk or for sipgate runs in threads, and hands over what became of it."""

import queue
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """What became of a step: what it was about, and its result or its error."""

    of: Any
    result: Any = None
    error: Exception | None = None


Then = Callable[[Ended], None]
"""What takes the end of a step, in the loop's thread."""


class Steps:
    """Runs steps in threads; their ends are taken in the thread that calls ``collect``."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._ended: queue.SimpleQueue[tuple[Then, Ended]] = queue.SimpleQueue()

    def start(self, pool: Executor, then: Then, of: object, step: Callable[[], Any]) -> None:
        """Have a step done by a thread of a pool."""
        pool.submit(self.do, then, of, step)

    def do(self, then: Then, of: object, step: Callable[[], Any]) -> None:
        """Do a step in this thread, and leave its end for ``collect``."""
        try:
            ended = Ended(of, result=step())
        except Exception as error:  # noqa: BLE001  (no file and no answer ends the daemon)
            ended = Ended(of, error=error)
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
