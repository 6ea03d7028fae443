"""What is on its way, and what is in its way: the facts behind ``faxdrop status``.

Read from the disk alone: the inbox, the records in the spool, and the daemon's last status. Nothing
is changed, so it works whether the daemon runs or not. The JSON form is stable: ``format`` changes
whenever its readers would have to.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ValidationError

from faxdrop.config.settings import InboxSettings
from faxdrop.fax.job import Instant, Job, Record, State
from faxdrop.inbox.scan import Inbox
from faxdrop.names.printable import shown
from faxdrop.queue.schedule import blocks_line
from faxdrop.spool.disk import opened_folder
from faxdrop.spool.home import jobs_of, journal_of
from faxdrop.spool.jobs import RECORD
from faxdrop.spool.root import Spool
from faxdrop.status import ended
from faxdrop.status.ended import LatestFiled
from faxdrop.words import _, short_moment

OVERVIEW_FORMAT: Final = "faxdrop-overview/1"
INBOX: Final = "inbox"  # the state of a file that is not claimed yet


class StandingHold(Record):
    """One thing that keeps faxes from going out, in the daemon's words."""

    what: str  # submitting, following, disk, intake
    words: str
    advice: str
    since: Instant


class Wrong(Record):
    """A place where something is not as it should be."""

    path: str
    problem: str


class Scanning(Record):
    """How far a look at a large inbox is."""

    folders: int  # read so far
    of: int


class WaitingFile(BaseModel):
    """What a file in the inbox waits for, in the daemon's words."""

    folder: str | None
    name: str
    words: str
    until: Instant | None = None


class LastWords(BaseModel):
    """What the daemon wrote down last; fields of a newer one are passed over."""

    pid: int | None = None
    faxdrop: str | None = None
    started_at: datetime | None = None
    watching: bool = True
    inbox: int = 0  # files that wait in it
    scanning: Scanning | None = None
    holds: tuple[StandingHold, ...] = ()
    problems: tuple[Wrong, ...] = ()
    waiting: tuple[WaitingFile, ...] = ()  # the first ones only


class Document(Record):
    """One document that is in the inbox or on its way."""

    job: str | None  # None: not claimed yet
    folder: str | None  # the recipient folder; None: it lies directly in the inbox
    name: str
    number: str | None  # E.164
    state: Literal["inbox", "queued", "submitting", "accepted", "unknown", "sent", "failed"]
    words: str  # the state in plain words
    since: Instant | None  # when the state began; of a file in the inbox, when it was written
    attempts: int  # submissions that sipgate accepted, or may have accepted
    next_attempt_at: Instant | None  # None: as soon as possible, or never
    fails_at: Instant | None  # when a file in the inbox is taken although it does not look complete
    session_id: str | None  # sipgate's, of the latest attempt
    sipgate_status: str | None  # sipgate's latest
    cancelled: bool


class Overview(Record):
    """Everything there is to say about one root at one moment."""

    format: Literal["faxdrop-overview/1"]
    root: str
    running: bool  # a daemon is at work here
    pid: int | None
    started_at: Instant | None
    watching: bool  # file system events tell the daemon of new files at once
    inbox_is_there: bool
    scanning: Scanning | None  # of a scan of the whole inbox, which finds files as it goes
    holds: tuple[StandingHold, ...]
    problems: tuple[Wrong, ...]
    corrupt: int  # records that could not be read and now lie in corrupt_folder
    corrupt_folder: str
    counts: dict[str, int]  # documents by state; every state is named
    documents: tuple[Document, ...]  # the oldest first, those in the inbox last
    unreadable: int  # records that cannot be read; the next start sets them aside
    failed: LatestFiled  # what lies in failed/
    sent_today: LatestFiled  # since local midnight

    @property
    def causes(self) -> tuple[StandingHold, ...]:
        """The holds as people should read them: those in the same words are one."""
        first: dict[tuple[str, str], StandingHold] = {}
        for hold in sorted(self.holds, key=lambda hold: hold.since):
            first.setdefault((hold.words, hold.advice), hold)
        return tuple(first.values())


def look(spool: Spool, settings: InboxSettings, now: datetime) -> Overview:
    """Look at a root. Raises OSError if it is missing or may not be read."""
    running = spool.is_locked()
    words = last_words(spool) if running else LastWords()
    inbox = Inbox(spool.inbox, settings)
    # The inbox first: a file that is claimed meanwhile is shown twice rather than not at all.
    waiting = list(_waiting(inbox, words.waiting, running=running))
    return _look(spool, words, waiting, now, running=running, problems=inbox.problems)


def look_with(
    told: Mapping[str, object], spool: Spool, now: datetime, *, running: bool
) -> Overview:
    """Look at a root as the daemon does, which has ``told`` how things stand (faxdrop-status/1).

    Does not read the inbox, which may be large: ``documents`` has only the first of its files.
    Raises OSError as ``look`` does.
    """
    words = words_of(told)
    waiting = list(_told_waiting(words.waiting, running=running))
    known = words if running else LastWords()
    seen = _look(spool, known, waiting, now, running=running, problems={})
    counts = seen.counts | {INBOX: max(words.inbox, len(waiting))}
    return seen.model_copy(update={"counts": counts})


def _look(
    spool: Spool,
    words: LastWords,
    waiting: list[Document],
    now: datetime,
    *,
    running: bool,
    problems: Mapping[str, str],
) -> Overview:
    jobs = sorted(_jobs(spool), key=lambda job: (job.claimed_at, job.job_id))
    holds = {hold.what for hold in words.holds} - {"intake"}  # it holds nothing in the spool
    lines = _on_the_lines(jobs)
    documents = [
        *(
            of_job(job, now, running=running, holds=holds, ahead=lines.get(job.number or ""))
            for job in jobs
        ),
        *waiting,
    ]
    is_there = spool.inbox.is_dir()
    counts = Counter(document.state for document in documents)
    wrongs = {**problems} | {wrong.path: wrong.problem for wrong in words.problems}
    if not is_there:
        wrongs[str(spool.inbox)] = _(
            "is missing, so nothing can be dropped: faxdrop creates it "
        ) + (_("again at its next look") if running else _("when it starts"))
    unreadable = _unreadable(spool)
    for folder in unreadable:
        wrongs[str(folder)] = _(
            "contains a document whose record cannot be read: only the sipgate account shows "
            "what became of that fax. faxdrop sets the folder aside at its next start."
        )
    return Overview(
        format=OVERVIEW_FORMAT,
        root=shown(str(spool.root)),
        running=running,
        pid=words.pid,
        started_at=words.started_at,
        watching=words.watching,
        inbox_is_there=is_there,
        scanning=words.scanning,
        holds=words.holds,
        problems=tuple(
            Wrong(path=shown(path), problem=problem) for path, problem in sorted(wrongs.items())
        ),
        corrupt=_corrupt(spool),
        corrupt_folder=shown(str(spool.jobs.corrupt_folder)),
        counts={state: counts[state] for state in (INBOX, *State)},
        documents=tuple(documents),
        unreadable=len(unreadable),
        failed=ended.failed(spool.root),
        sent_today=ended.sent_today(spool.root, journal_of(spool.root), now),
    )


def stamp(spool: Spool) -> object:
    """Return a value that changes when a record changes; None: not known."""
    try:
        with opened_folder(jobs_of(spool.root)) as jobs:
            return [
                (name, os.stat(f"{name}/{RECORD}", dir_fd=jobs.fd).st_mtime_ns)
                for name in sorted(jobs.names())
            ]
    except OSError:  # a record came or went at this moment
        return None


def of_job(
    job: Job,
    now: datetime,
    *,
    running: bool,
    holds: Iterable[str] = (),
    ahead: Job | None = None,
) -> Document:
    """Return the document of a job.

    ``holds``: the holds that the daemon names; ``ahead``: the job that keeps its number busy.
    """
    attempt = job.attempt
    statuses = attempt.statuses if attempt else ()
    waits = job.due_at is not None and job.due_at > now
    return Document(
        job=job.job_id,
        folder=None if job.folder is None else shown(job.folder),
        name=shown(job.name),
        number=job.number,
        state=job.state.value,
        words=plain_state(job, now, running=running, held=bool({*holds}), ahead=ahead),
        since=_since(job),
        attempts=len(job.attempts),
        next_attempt_at=job.due_at if waits else None,
        fails_at=None,
        session_id=attempt.session_id if attempt else None,
        sipgate_status=statuses[-1].status if statuses else None,
        cancelled=job.cancelled,
    )


def plain_state(
    job: Job, now: datetime, *, running: bool, held: bool, ahead: Job | None = None
) -> str:
    """Return in plain words where a job is in its life."""
    words = _plain_state(job, now, running=running, held=held, ahead=ahead)
    if job.cancelled and job.state not in (State.SENT, State.FAILED):
        words += _("; cancelled: no further attempt")
    return words


def _plain_state(job: Job, now: datetime, *, running: bool, held: bool, ahead: Job | None) -> str:
    match job.state:
        case State.QUEUED:
            words = _in_the_queue(job, now, running=running, held=held, ahead=ahead)
        case State.SUBMITTING if running:
            words = _("being handed over to sipgate")
        case State.SUBMITTING | State.UNKNOWN:
            words = _("the answer was lost; to be looked up at sipgate")
        case State.ACCEPTED:
            words = _at_sipgate(job)
        case State.SENT:
            words = _("sent, to be filed in sent/")
        case State.FAILED:
            words = _("to be filed in failed/") + (f": {job.reason.message}" if job.reason else "")
    return words


def _in_the_queue(job: Job, now: datetime, *, running: bool, held: bool, ahead: Job | None) -> str:
    if job.attempts and job.due_at is not None and job.due_at > now:
        return _("attempt {count} failed, waiting for the next").format(count=len(job.attempts))
    if not running:
        return _("waiting for faxdrop to start")
    if held:
        return _("held, for the reason above")
    if ahead is None or ahead.attempt is None:
        return _("waiting for its turn")
    at, today = ahead.attempt.submitted_at.astimezone(), now.astimezone().date()
    since = f"{at:%H:%M}" if at.date() == today else short_moment(at)
    return _("waits for {name} to the same number, on its way since {since}").format(
        name=shown(ahead.name), since=since
    )


def _on_the_lines(jobs: Iterable[Job]) -> dict[str, Job]:
    """Return for each number the job that keeps it busy: the one that was submitted first."""
    lines: dict[str, Job] = {}
    on_their_way = [
        (job.attempt.submitted_at, job.job_id, job)
        for job in jobs
        if job.attempt and blocks_line(job)
    ]
    for _group, _place, job in sorted(on_their_way, key=lambda one: one[:2]):
        if job.number is not None:
            lines.setdefault(job.number, job)
    return lines


def _at_sipgate(job: Job) -> str:
    statuses = job.attempts[-1].statuses
    match statuses[-1].status if statuses else "PENDING":
        case "PENDING" | "SCHEDULED":
            return _("at sipgate, not being sent yet")
        case "SENDING":
            return _("being sent by sipgate")
        case status:
            return _("at sipgate ({status})").format(status=status)


def _since(job: Job) -> datetime:
    attempt = job.attempt
    if job.finished_at is not None:
        return job.finished_at
    if attempt is None:
        return job.claimed_at
    seen = attempt.statuses[-1].at if attempt.statuses else None
    return seen or attempt.answered_at or attempt.submitted_at


def _jobs(spool: Spool) -> Iterator[Job]:
    with suppress(FileNotFoundError):  # no daemon has ever run here
        yield from spool.jobs.all()


def _unreadable(spool: Spool) -> list[Path]:
    with suppress(FileNotFoundError):
        return spool.jobs.unreadable()
    return []


def _corrupt(spool: Spool) -> int:
    with suppress(FileNotFoundError):
        return len(spool.jobs.corrupt())
    return 0


def _waiting(inbox: Inbox, said: Iterable[WaitingFile], *, running: bool) -> Iterator[Document]:
    known = {(waits.folder, waits.name): waits for waits in said}
    with suppress(FileNotFoundError):
        inbox.scan(0.0, everything=True)
    for key in inbox.waiting_files(most=inbox.waiting):
        path = inbox.root / (key.folder or "") / key.name
        folder, name = None if key.folder is None else shown(key.folder), shown(key.name)
        waits = known.get((folder, name))
        yield _in_the_inbox(folder, name, waits, _written_at(path), running=running)


def _told_waiting(said: Iterable[WaitingFile], *, running: bool) -> Iterator[Document]:
    for waits in said:
        yield _in_the_inbox(waits.folder, waits.name, waits, None, running=running)


def _in_the_inbox(
    folder: str | None,
    name: str,
    waits: WaitingFile | None,
    since: datetime | None,
    *,
    running: bool,
) -> Document:
    words = waits.words if waits else _("in the inbox, not taken yet")
    return Document(
        job=None,
        folder=folder,
        name=name,
        number=None,
        state=INBOX,
        words=words if running else _("faxdrop is not running"),
        since=since,
        attempts=0,
        next_attempt_at=None,
        fails_at=waits.until if waits else None,
        session_id=None,
        sipgate_status=None,
        cancelled=False,
    )


def _written_at(path: Path) -> datetime | None:
    """Return a file's time stamp, which follows the clock of whoever wrote it."""
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def last_words(spool: Spool) -> LastWords:
    """Return the daemon's last status; it is current only while a daemon runs."""
    return words_of(spool.notes.read_status())


def words_of(status: Mapping[str, object]) -> LastWords:
    """Return a daemon's status as LastWords."""
    try:
        return LastWords.model_validate(status)
    except ValidationError:
        return LastWords()


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``faxdrop status --json``."""
    return Overview.model_json_schema(mode="serialization")
