"""Which readers run at the same time: many documents at once, or one that needs all memory."""

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Lets readers work at the same time, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reading = 0
        self._alone = False
        self.waiting = 0  # for the others to be done

    @contextlib.contextmanager
    def beside_others(self) -> Iterator[None]:
        """Read at the same time as others, but not while one reads alone."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._alone or self.waiting))
            self._reading += 1
        try:
            yield
        finally:
            with self._changed:
                self._reading -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Read once all others are done; those that come meanwhile wait."""
        with self._changed:
            self.waiting += 1
            try:
                self._changed.wait_for(lambda: not (self._alone or self._reading))
                self._alone = True
            finally:
                self.waiting -= 1
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
