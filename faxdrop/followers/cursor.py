"""How far a follower has come in the journal: one small file each, written atomically.

    .faxdrop/followers/<name>.json      the last line that is done, and the follower's state

A cursor finds its line again whatever happened to the journal, and says so if it had to search.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError

from faxdrop.fax.job import Record
from faxdrop.journal.chain import content_of, months_of
from faxdrop.journal.lines import LONGEST_LINE, Head, hash_of
from faxdrop.spool.disk import Disk, open_ordinary
from faxdrop.words import _

FOLDER: Final = "followers"  # in the spool


class Line(NamedTuple):
    """A line of the journal, and where it ends: the byte offset in the file of its month."""

    head: Head
    content: dict[str, Any]
    month: str
    end: int


class _Place(Record):
    format: Literal["faxdrop-cursor/1"] = "faxdrop-cursor/1"
    head: Head = Head()
    month: str = ""  # with ``end``, where that line ended when it was done: tried first
    end: int = 0
    failing: float = 0.0  # seconds for which the next step has been tried in vain
    state: dict[str, Any] = Field(default={})


class Cursor:
    """The cursor of one follower, in one thread's hands at a time. All methods raise OSError.

    What ``done`` and ``keep`` write survives a power cut. They write all or nothing.
    """

    def __init__(
        self, path: Path, journal: Path, disk: Disk, *, from_start: bool, say: Callable[[str], None]
    ) -> None:
        self._path = path
        self._journal = journal
        self._disk = disk
        self._from_start = from_start
        self._say = say  # takes a sentence for people
        self._place: _Place | None = None
        self._until = Head()
        self.is_new = False  # not on disk yet

    @property
    def is_open(self) -> bool:
        """Whether its place is known."""
        return self._place is not None

    @property
    def head(self) -> Head:
        """The last line that is done."""
        return self._known.head

    @property
    def state(self) -> dict[str, Any]:
        """What the follower stores with it: JSON, ``{}`` at first."""
        return self._known.state

    @property
    def failing(self) -> float:
        """For how many seconds the next step has been failing."""
        return self._known.failing

    def open(self, begin: Head, until: Head) -> None:
        """Read it, unless it is open; a new one begins after ``begin`` and is not written yet.

        ``until`` is where the journal durably ends now: ``lines`` yields no later line.
        """
        self._until = until
        if self._place is None:
            place = self._read()
            self._place = self._beginning(begin) if place is None else place
            self.is_new = place is None

    def lines(self) -> Iterator[Line]:
        """Yield the lines after the last done one, in order; ``done`` may be called in between.

        What is not a line of the journal is skipped.
        """
        if self.head == self._until:
            return
        place = self._known
        first = next(self._lines(place.month, place.end), None)
        follows = (
            first is not None
            and first.head.seq > place.head.seq
            and first.content["previous"] == place.head.hash
        )
        if not follows:
            self._find()
            place = self._known
        if place.head != self._until:
            yield from self._lines(place.month, place.end)

    def done(self, line: Line, state: dict[str, Any] | None = None) -> None:
        """Record that a line is done, and a new state with it in the same write."""
        self._write(
            _Place(
                head=line.head,
                month=line.month,
                end=line.end,
                state=self.state if state is None else state,
            )
        )

    def keep(self, state: dict[str, Any]) -> None:
        """Record a new state."""
        self._write(self._known.model_copy(update={"state": state}))

    def fails(self, seconds: float) -> None:
        """Record how long the next step has been failing."""
        if seconds != self._known.failing:
            self._write(self._known.model_copy(update={"failing": seconds}))

    # -- inside -----------------------------------------------------------------------------

    @property
    def _known(self) -> _Place:
        assert self._place is not None  # noqa: S101 - the driver opens it first
        return self._place

    def _read(self) -> _Place | None:
        try:
            with open_ordinary(self._path) as file:
                return _Place.model_validate_json(file.read())
        except FileNotFoundError:
            return None
        except ValidationError:
            self._say(
                _(
                    "The place reached in the journal could not be read: reading continues at "
                    "the journal's end."
                )
            )
            return None

    def _beginning(self, head: Head) -> _Place:
        return _Place() if self._from_start else _Place(head=head)

    def _write(self, place: _Place) -> None:
        folder = self._path.parent
        if not folder.is_dir():
            with suppress(FileExistsError):
                self._disk.make_folder(folder, 0o700)
            self._disk.sync_folder(folder.parent)
        temporary = self._path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        fd = self._disk.open_new(temporary, 0o600)
        try:
            self._disk.write(fd, place.model_dump_json().encode() + b"\n")
            self._disk.sync(fd)
        finally:
            os.close(fd)
        self._disk.replace(temporary, self._path)
        self._place, self.is_new = place, False  # even if the next step fails: the cursor is there
        self._disk.sync_folder(folder)

    def _lines(self, since: str, start: int) -> Iterator[Line]:
        """Yield the lines from a month on, starting in that month at a byte offset."""
        for month in months_of(self._journal):
            if month < since:
                continue
            with open_ordinary(self._journal / f"{month}.jsonl") as file:
                end = file.seek(start if month == since else 0)
                while raw := file.readline(LONGEST_LINE):
                    end += len(raw)
                    content = content_of(raw)
                    if content is None:
                        continue
                    if content["seq"] > self._until.seq:
                        return
                    head = Head(seq=content["seq"], hash=hash_of(raw))
                    yield Line(head, content, month, end)

    def _find(self) -> None:
        """Find the place by reading the whole journal; if it is gone, take the next best.

        If the line is missing, the chain vouches for the lines after it. If its number has another
        line, or the journal ends before it, this is another journal.
        """
        head = self.head
        month, end = "", 0
        for line in self._lines("", 0):
            if line.head.seq > head.seq:
                if head.seq:
                    self._say(
                        _(
                            "Lines of the journal are missing: reading continues at line {seq}."
                        ).format(seq=line.head.seq)
                    )
                break
            month, end = line.month, line.end
            if line.head.seq == head.seq:
                if line.head.hash != head.hash:
                    self._replaced()
                    return
                break
        else:
            self._replaced()
            return
        self._place = self._known.model_copy(update={"month": month, "end": end})

    def _replaced(self) -> None:
        self._say(
            _(
                "This is not the journal that was read up to line {seq}: reading continues after "
                "line {until}."
            ).format(seq=self.head.seq, until=0 if self._from_start else self._until.seq)
        )
        self._write(self._beginning(self._until))
