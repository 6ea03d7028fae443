"""The inbox: which files are complete.

Events (see ``watcher``) only wake the scan; the scan is the truth. A file's age is never computed
from its time stamps, since a share has its own clock: a file is at rest when two looks, ``settle``
apart on our monotonic clock, found the same size, time stamp and inode.

A scan reads folders in slices: first those in which a PDF was closed, then those that other events
name, then those with a file that is due, then all others. However many there are, neither the loop
nor a letter elsewhere waits for them.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from faxdrop.config.settings import InboxSettings
from faxdrop.documents.opening import Signature
from faxdrop.inbox.looks import Candidate, Key, Look, Looks, Rest, Waiting
from faxdrop.inbox.rounds import Cause, Progress, Reading, Rounds
from faxdrop.names.passed_over import is_job_ticket, is_passed_over
from faxdrop.spool import refusals
from faxdrop.spool.refusals import Refusal, Refusals
from faxdrop.words import _, of_system

_MOST_EVENTS = 20_000  # more than that at once: look at everything instead
_QUANTUM = 500  # entries of a folder that are read before it is another's turn


class Inbox:
    """What is in the inbox and how long it has been at rest.

    ``notice`` may be called from any thread; everything else belongs to the daemon's.
    """

    def __init__(self, root: Path, settings: InboxSettings) -> None:
        self.root = root
        self.settings = settings
        self.refusals = Refusals()  # a file's key, a folder to be made, None: reading the inbox
        self._looks = Looks()
        self._problems: dict[str | None, dict[str, str]] = {}  # of each folder
        self._noticed: deque[tuple[Key, bool]] = deque(maxlen=_MOST_EVENTS)
        self._rounds = Rounds()

    @property
    def waiting(self) -> int:
        """How many files in the inbox are not claimed yet."""
        return len(self._looks)

    @property
    def problems(self) -> dict[str, str]:
        """What will not be faxed, or cannot be read or claimed: path -> what is wrong with it."""
        found: dict[str, str] = {}
        for of_folder in self._problems.values():
            found |= of_folder
        return found | self.refusals.problems

    @property
    def progress(self) -> Progress | None:
        """How far the look at everything is; None when it is done."""
        return self._rounds.progress

    def waiting_files(self, most: int) -> list[Key]:
        """Return some of them, for people."""
        return [key for key, _ in self._looks.first(most)]

    def waits(self, most: int, now: float, wall: datetime) -> list[Waiting]:
        """Return what some of the files wait for; the answer changes only when something does."""
        rest = self.settings.settle, self.settings.patience
        looks = self._looks.first(most)
        return [Waiting(key, *look.words(now, wall, *rest)) for key, look in looks]

    def notice(self, key: Key, *, closed: bool) -> None:
        """Note an event: something happened to a file, or to a folder (an empty name)."""
        self._noticed.append((key, closed))

    @property
    def is_noticed(self) -> bool:
        """Whether there was an event since the last scan."""
        return bool(self._noticed)

    @property
    def is_behind(self) -> bool:
        """Whether there is something for the next scan to read at once."""
        return bool(self._noticed or self._rounds)

    def scan(self, now: float, *, everything: bool, most: int | None = None) -> list[Candidate]:
        """Read the whole inbox, or the folders that events and due files name.

        Returns the files that may be complete, oldest first in each folder. Reads about ``most``
        entries; what is left (``is_behind``) is for the next scan. Raises OSError if the inbox
        itself cannot be read.
        """
        all_heard = self._hear()
        for folder in self._looks.take_due(now):
            self._rounds.enter(Cause.DUE, folder)
        if not all_heard or (everything and not self._rounds.is_rescanning):
            self._begin_rescan()
        candidates: list[Candidate] = []
        left = most if most is not None else float("inf")
        while left > 0 and (found := self._rounds.next()) is not None:
            lane, reading = found
            left -= self._read(lane, reading, now, candidates)
        return candidates

    def next_due(self) -> float | None:
        """Return the monotonic instant at which time alone makes a file worth a look."""
        return self._looks.next_due()

    def taken(self, candidate: Candidate) -> None:
        """Note that a candidate was claimed, or is no longer there."""
        self._forget(candidate.key)

    def not_yet(self, candidate: Candidate, now: float, *, again: bool = False) -> None:
        """Note that a candidate is not complete; ``again``: look at it again soon."""
        self.refusals.clear(candidate.key)
        look = self._looks.get(candidate.key)
        if look is not None:
            look.not_yet(candidate, now, again=again)
            self._set_due(candidate.key, look)

    def refused(self, candidate: Candidate, refusal: Refusal, now: float) -> None:
        """Note that the system does not let us take a candidate: it is tried again by itself."""
        look = self._looks.get(candidate.key)
        if look is not None:
            self.refusals.note(candidate.key, refusal)
            look.was_refused(candidate, refusal.words, now)
            self._set_due(candidate.key, look)

    def _hear(self) -> bool:
        """Take the events; return whether none was lost."""
        all_heard = len(self._noticed) < _MOST_EVENTS
        while self._noticed:
            key, closed = self._noticed.popleft()
            cause = Cause.CLOSED if closed and _is_pdf(key.name) else Cause.EVENT
            self._rounds.enter(cause, key.folder, {key.name} if closed else set())
        return all_heard

    def _begin_rescan(self) -> None:
        folders: set[str | None] = {None, *self._folders()}
        for gone in (self._looks.folders | self._problems.keys()) - folders:
            self._forget_folder(gone)
        self._rounds.rescan(folders)

    # -- reading a folder ---------------------------------------------------------------------

    def _folders(self) -> Iterator[str]:
        with os.scandir(self.root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not is_passed_over(entry.name):
                    yield entry.name

    def _read(self, lane: Cause, reading: Reading, now: float, candidates: list[Candidate]) -> int:
        """Read a slice of a folder; return its number of entries, at least one."""
        if reading.entries is None and not self._list(reading):
            return 1
        entries = reading.entries or deque()
        read = min(len(entries), _QUANTUM)
        for _again in range(read):
            self._see(reading, entries.popleft(), now)
        if entries:
            self._rounds.put_back(lane, reading)
        else:
            candidates += self._ended(reading)
        return 1 + read

    def _list(self, reading: Reading) -> bool:
        """Begin to read a folder; return whether it can be read."""
        folder = reading.folder
        path = self.root if folder is None else self.root / folder
        try:
            if path.is_symlink():
                raise NotADirectoryError(path)
            with os.scandir(path) as entries:
                reading.entries = deque(entries)
        except OSError as error:
            if folder is None:
                raise
            self._forget_folder(folder)
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                words = refusals.of_reading(error, path) or _("cannot be read: {why}").format(
                    why=of_system(error)
                )
                self._problems[folder] = {str(path): words}
            return False
        reading.known = self._looks.names(folder)
        return True

    def _see(self, reading: Reading, entry: os.DirEntry[str], now: float) -> None:
        if is_passed_over(entry.name):
            reading.tickets += is_job_ticket(entry.name)
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # gone in between: the next scan tells
            return
        except OSError as error:  # keeps nobody from the others
            folder = Path(entry.path).parent
            if words := refusals.of_reading(error, folder):  # it lets us list names and no more
                reading.problems[str(folder)] = words
            else:
                words = _("cannot be looked at: {why}").format(why=of_system(error))
                reading.problems[entry.path] = words
            reading.seen.add(entry.name)
            return
        if stat.S_ISDIR(status.st_mode):
            if reading.folder is not None:
                reading.problems[entry.path] = _(
                    "is a folder inside a recipient folder: nothing in it is faxed"
                )
            return
        reading.seen.add(entry.name)
        key = Key(reading.folder, entry.name)
        look, candidate = self._look(
            key, Path(entry.path), status, now, closed=entry.name in reading.closed
        )
        if candidate:
            reading.candidates.append((status.st_mtime_ns, candidate))
        elif not look.in_hands and look.looked < Rest.SETTLED and not look.refused:
            reading.unsettled.append(status.st_mtime_ns)

    def _ended(self, reading: Reading) -> list[Candidate]:
        """Use what the scan of a whole folder found; return its candidates, oldest first."""
        folder = reading.folder
        for name in reading.known - reading.seen:
            look = self._looks.get(Key(folder, name))
            if look is not None and not look.in_hands:
                self._forget(Key(folder, name))
        if reading.tickets:
            path = self.root if folder is None else self.root / folder
            reading.problems[str(path)] = _(
                "contains job tickets of a scanner (.xml, .xst): {tickets}. faxdrop leaves them "
                "alone; delete them, or set the scanner to write none"
            ).format(tickets=reading.tickets)
        self._problems[folder] = reading.problems
        if not reading.problems:
            del self._problems[folder]
        if reading.again is not None:
            self._rounds.enter(Cause.EVENT, folder, reading.again)
        reading.candidates.sort(key=lambda found: (found[0], found[1].key.name))
        return self._in_order(reading.candidates, min(reading.unsettled, default=None))

    def _in_order(
        self, candidates: list[tuple[int, Candidate]], unsettled_since: int | None
    ) -> list[Candidate]:
        """Return the candidates, without those that would overtake a letter that is not at rest."""
        kept = []
        for written, candidate in candidates:
            overtakes = unsettled_since is not None and written > unsettled_since
            look = self._looks.get(candidate.key)
            if overtakes and candidate.rest is Rest.CLOSED and look is not None:
                look.in_hands = False  # for no longer than ``settle``
                self._set_due(candidate.key, look)
            else:
                kept.append(candidate)
        return kept

    def _look(
        self, key: Key, path: Path, status: os.stat_result, now: float, *, closed: bool
    ) -> tuple[Look, Candidate | None]:
        signature, is_regular = Signature.of(status), stat.S_ISREG(status.st_mode)
        look = self._looks.get(key)
        if look is None:
            look = Look(signature, is_regular, now, _is_pdf(key.name))
            self._looks.put(key, look)
        look.sees(signature, now, is_regular=is_regular)
        if not look.refused:
            self.refusals.clear(key)
        is_second_look = look.hears(now, closed=closed)
        rest = look.rest(now, self.settings.settle, self.settings.patience)
        offered = look.is_worth(rest)
        look.in_hands |= offered
        self._set_due(key, look)
        if not offered:
            return look, None
        return look, Candidate(key, path, signature, rest, is_regular, is_second_look)

    def _set_due(self, key: Key, look: Look) -> None:
        due = look.next_due(self.settings.settle, self.settings.patience)
        self._looks.set_due(key, look, due)

    def _forget(self, key: Key) -> None:
        self._looks.remove(key)
        self.refusals.clear(key)

    def _forget_folder(self, folder: str | None) -> None:
        self._problems.pop(folder, None)
        for name in self._looks.names(folder):
            look = self._looks.get(Key(folder, name))
            if look is not None and not look.in_hands:
                self._forget(Key(folder, name))


def _is_pdf(name: str) -> bool:
    return name.casefold().endswith(".pdf")
