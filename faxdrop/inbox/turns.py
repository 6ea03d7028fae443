"""The order of claims: a queue of candidates that a few threads work off.

One thread at a time works on a folder, so a recipient's letters stay in order; folders take turns.
Files that were just closed come first, then files that settled, then files whose patience is over:
there may be tens of thousands of these, and almost all of them are junk.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from datetime import datetime

from faxdrop.inbox.looks import Candidate, Rest
from faxdrop.workers import NoThreadError, submit

_Folder = str | None


class Claims:
    """Candidates that wait for a thread, and the threads. ``do`` claims one, in such a thread.

    ``now`` returns the instant of a claim; instants are given out in order. ``may`` is asked before
    each claim: is there room for it, and, if it is overdue, may it be taken now? A thread that
    finds nothing more to do calls ``ended``.
    """

    def __init__(
        self,
        pool: Executor,
        threads: int,
        do: Callable[[Candidate, datetime], None],
        may: Callable[[Candidate], bool],
        now: Callable[[], datetime],
        ended: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._threads = threads
        self._do = do
        self._may = may
        self._now = now
        self._ended = ended
        self._lock = threading.Lock()  # over all below
        self._prompt: dict[_Folder, deque[Candidate]] = {}  # in the order of their turns
        self._overdue: dict[_Folder, deque[Candidate]] = {}
        self._closed: dict[_Folder, int] = {}  # of these, folders with so many just closed
        self._busy: set[_Folder] = set()
        self._busy_overdue = 0
        self._running = 0
        self._stopping = False

    def put(self, candidates: Iterable[Candidate]) -> None:
        """Queue candidates; those of one folder keep their order."""
        with self._lock:
            for candidate in candidates:
                folder = candidate.key.folder
                lane = self._overdue if candidate.rest is Rest.OVERDUE else self._prompt
                lane.setdefault(folder, deque()).append(candidate)
                if candidate.rest is Rest.CLOSED:
                    self._closed[folder] = self._closed.get(folder, 0) + 1

    def start(self) -> int:
        """Start threads for what waits; return how many. Raises NoThreadError if none starts."""
        started = 0
        while True:
            with self._lock:
                wanted = min(self._threads, len(self._prompt) + len(self._overdue))
                if self._stopping or self._running >= wanted or self._next() is None:
                    return started
                self._running += 1
            try:
                submit(self._pool, self._work)
            except NoThreadError:
                with self._lock:
                    self._running -= 1
                    is_alone = not self._running
                if is_alone and not started:  # else those that run do it all
                    raise
                return started
            started += 1

    def stop(self) -> None:
        """Claim nothing more; claims that have begun are finished."""
        with self._lock:
            self._stopping = True

    @property
    def waiting(self) -> int:
        """How many folders wait for a thread."""
        return len(self._prompt) + len(self._overdue)

    # -- inside -----------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (taken := self._take()) is not None:
                candidate, at = taken
                try:
                    self._do(candidate, at)
                finally:
                    self._give_back(candidate)
        finally:
            self._ended()

    def _take(self) -> tuple[Candidate, datetime] | None:
        with self._lock:
            found = None if self._stopping else self._next()
            if found is None:
                self._running -= 1
                return None
            lane, folder = found
            waiting = lane.pop(folder)
            candidate = waiting.popleft()
            if waiting:
                lane[folder] = waiting  # behind all others
            if lane is self._prompt and (closed := self._closed.pop(folder, 0)):
                closed -= candidate.rest is Rest.CLOSED
                if closed:
                    self._closed[folder] = closed
            self._busy.add(folder)
            self._busy_overdue += candidate.rest is Rest.OVERDUE
            return candidate, self._now()

    def _give_back(self, candidate: Candidate) -> None:
        with self._lock:
            self._busy.discard(candidate.key.folder)
            self._busy_overdue -= candidate.rest is Rest.OVERDUE

    def _next(self) -> tuple[dict[_Folder, deque[Candidate]], _Folder] | None:
        lanes: list[tuple[Iterable[_Folder], dict[_Folder, deque[Candidate]]]] = [
            (self._closed, self._prompt),
            (self._prompt, self._prompt),
        ]
        if self._busy_overdue < max(1, self._threads // 2):
            lanes.append((self._overdue, self._overdue))
        for folders, lane in lanes:
            for folder in folders:
                if folder not in self._busy:
                    if not self._may(lane[folder][0]):
                        break
                    return lane, folder
        return None
