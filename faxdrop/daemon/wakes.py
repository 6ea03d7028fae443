"""What the loop sleeps on, and what wakes it."""

import contextlib
import queue


class Wakes:
    """Any thread or signal handler wakes; the loop alone sleeps."""

    def __init__(self) -> None:
        # Not an Event: a signal handler that sets one while this thread goes to sleep on it waits
        # for ever for this very thread.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def wake(self) -> None:
        """End the sleep, or the next one if nobody sleeps."""
        self._wakes.put(None)

    def sleep(self, seconds: float) -> None:
        """Wait until woken, but no longer than this; many wakes count as one."""
        with contextlib.suppress(queue.Empty):
            self._wakes.get(timeout=seconds)
            while True:
                self._wakes.get_nowait()
