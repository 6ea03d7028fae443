"""``faxdrop status`` says where every document is, in words and in JSON, and changes nothing."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from faxdrop.cli import screens
from faxdrop.cli.terminal import Hanging
from faxdrop.config.settings import InboxSettings
from faxdrop.fax.job import FINAL, Job, Reason, State
from faxdrop.fax.reasons import ReasonCode
from faxdrop.followers.page import page_of
from faxdrop.names.printable import shown
from faxdrop.spool.root import Spool
from faxdrop.status import overview, shared
from faxdrop.status.overview import Overview, look, of_job
from faxdrop.words import use
from tests.kit.jobs import EARLIER, NOON, attempt, failed_document, in_spool, job_in


def looked(spool: Spool) -> Overview:
    """Look at a spool now."""
    return look(spool, InboxSettings(), NOON)


@contextmanager
def a_daemon_at(root: Path) -> Iterator[None]:
    """Hold a root's lock, as a daemon does."""
    daemon = Spool(root)
    daemon.open()
    try:
        yield
    finally:
        daemon.close()


def text_of(seen: Overview, *, everything: bool = False, width: int = 100) -> str:
    """Return the screen as plain text."""
    file = StringIO()
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    console.print(screens.status(seen, NOON, everything=everything), crop=False)
    return file.getvalue()


FAILED = Reason(code=ReasonCode.CANCELLED, message="It was cancelled.", advice="Nothing to do.")


@pytest.mark.parametrize(
    ("job", "running", "words"),
    [
        (job_in(State.QUEUED), True, "waiting for its turn"),
        (job_in(State.QUEUED), False, "waiting for faxdrop to start"),
        (
            job_in(State.QUEUED, attempts=(attempt("FAILED"),), due_at=NOON + timedelta(minutes=5)),
            True,
            "attempt 1 failed, waiting for the next",
        ),
        (job_in(State.SUBMITTING, attempts=(attempt(),)), True, "being handed over to sipgate"),
        (
            job_in(State.SUBMITTING, attempts=(attempt(),)),
            False,
            "the answer was lost; to be looked up at sipgate",
        ),
        (
            job_in(State.UNKNOWN, attempts=(attempt(),)),
            True,
            "the answer was lost; to be looked up at sipgate",
        ),
        (job_in(State.ACCEPTED, attempts=(attempt(),)), True, "at sipgate, not being sent yet"),
        (
            job_in(State.ACCEPTED, attempts=(attempt("PENDING", "SENDING"),)),
            True,
            "being sent by sipgate",
        ),
        (job_in(State.ACCEPTED, attempts=(attempt("NEW"),)), True, "at sipgate (NEW)"),
        (
            job_in(State.ACCEPTED, attempts=(attempt("SENDING"),), cancelled=True),
            True,
            "being sent by sipgate; cancelled: no further attempt",
        ),
        (
            job_in(State.SENT, attempts=(attempt("SENT"),), finished_at=NOON),
            True,
            "sent, to be filed in sent/",
        ),
        (
            job_in(State.FAILED, reason=FAILED, finished_at=NOON),
            True,
            "to be filed in failed/: It was cancelled.",
        ),
    ],
)
def test_plain_words(job: Job, words: str, *, running: bool) -> None:
    """Each state has plain words, which take into account whether the daemon is there."""
    assert of_job(job, NOON, running=running).words == words


def test_held() -> None:
    """A document that waits while the queue is held says so."""
    assert "held" in of_job(job_in(State.QUEUED), NOON, running=True, holds=["submitting"]).words


@pytest.mark.parametrize(
    ("job", "since"),
    [
        (job_in(State.QUEUED), EARLIER),
        (job_in(State.SUBMITTING, attempts=(attempt(),)), EARLIER + timedelta(minutes=1)),
        (job_in(State.UNKNOWN, attempts=(attempt(answered_at=NOON),)), NOON),
        (job_in(State.ACCEPTED, attempts=(attempt("SENDING"),)), NOON - timedelta(minutes=1)),
        (job_in(State.FAILED, reason=FAILED, finished_at=NOON), NOON),
    ],
)
def test_since(job: Job, since: datetime) -> None:
    """A state has begun when the latest thing happened to the job."""
    assert of_job(job, NOON, running=True).since == since


def test_everything_about_a_document(tmp_path: Path) -> None:
    """A document on its way shows its recipient, state, attempts, next attempt, job and session."""
    due_at = NOON + timedelta(minutes=5)
    job = job_in(State.QUEUED, attempts=(attempt("FAILED"),), due_at=due_at)
    seen = looked(in_spool(tmp_path, job))
    (one,) = seen.documents
    assert (one.folder, one.name, one.number) == ("Dr. Müller", "letter.pdf", "+493023125030")
    assert (one.state, one.attempts, one.next_attempt_at) == ("queued", 1, due_at)
    assert (one.job, one.session_id, one.sipgate_status) == (job.job_id, "4711", "FAILED")
    text = text_of(seen, width=200)
    for part in ("letter.pdf", "Dr. Müller +493023125030", job.job_id, "4711", "attempt 1"):
        assert part in text
    assert f"at {due_at.astimezone():%H:%M:%S}" in text


def test_json_has_a_stable_shape(tmp_path: Path) -> None:
    """The JSON names every state, follows its schema, and has instants in UTC with Z."""
    jobs = [
        job_in(
            state,
            job_id=f"j{at}",
            attempts=(attempt(),),
            reason=FAILED if state is State.FAILED else None,
            finished_at=NOON if state in FINAL else None,
        )
        for at, state in enumerate(State)
    ]
    seen = looked(in_spool(tmp_path, *jobs))
    data = seen.model_dump(mode="json")
    jsonschema.validate(data, overview.schema())
    assert data["format"] == "faxdrop-overview/1"
    assert data["counts"] == {"inbox": 0} | dict.fromkeys(State, 1)
    assert data["documents"][0]["since"].endswith("Z")
    assert list(data) == [
        "format",
        "root",
        "running",
        "pid",
        "started_at",
        "watching",
        "inbox_is_there",
        "scanning",
        "holds",
        "problems",
        "corrupt",
        "corrupt_folder",
        "counts",
        "documents",
        "unreadable",
        "failed",
        "sent_today",
    ]


def test_what_ended_is_counted(tmp_path: Path) -> None:
    """The screen shows how many documents are in failed/ and how many were sent today."""
    failed_document(tmp_path)
    assert "In failed/: 1; sent today: 0." in text_of(looked(Spool(tmp_path)))


def test_a_member_of_the_group_waits_for_no_strange_receipt(tmp_path: Path) -> None:
    """A pipe in a receipt's place is ignored; a receipt that cannot be read is reported."""
    path = failed_document(tmp_path)
    receipt = path.with_name(f"{path.name}.json")
    receipt.write_bytes(b"[")
    found = shared.look(Spool(tmp_path), InboxSettings())
    assert [one.words for one in found.latest_failed] == ["Its receipt cannot be read."]
    receipt.unlink()
    os.mkfifo(receipt)
    assert shared.look(Spool(tmp_path), InboxSettings()).failed == 0


def test_the_inbox_is_shown_without_a_daemon(tmp_path: Path) -> None:
    """Files in the inbox are listed without a daemon, except temporary ones."""
    spool = in_spool(tmp_path)
    folder = tmp_path / "inbox" / "Amt"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.pdf").touch()
    (folder / "a.pdf.part").touch()
    (tmp_path / "inbox" / "lost.pdf").touch()
    seen = looked(spool)
    assert [(one.folder, one.name) for one in seen.documents] == [
        (None, "lost.pdf"),
        ("Amt", "a.pdf"),
    ]
    assert seen.counts["inbox"] == 2
    assert [wrong.path for wrong in seen.problems] == [str(folder / "deeper")]
    text = text_of(seen)
    assert "faxdrop is not running" in text
    assert "(no recipient folder)" in text
    assert "nothing in it is faxed" in " ".join(text.split())


def test_nothing_changes(tmp_path: Path) -> None:
    """Looking changes no file and creates none."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    (tmp_path / "inbox" / "a.pdf").touch()

    def everything() -> list[tuple[Path, int]]:
        return [(path, path.stat().st_mtime_ns) for path in sorted(tmp_path.rglob("*"))]

    before = everything()
    looked(spool)
    assert everything() == before


def test_a_root_where_no_daemon_ever_ran(tmp_path: Path) -> None:
    """An empty root has nothing to show but that the inbox is missing, and that is no error."""
    seen = looked(Spool(tmp_path))
    assert seen.documents == ()
    assert not seen.running
    assert not seen.inbox_is_there
    text = text_of(seen, width=300)
    assert f"{tmp_path}/inbox is missing" in text
    assert "faxdrop creates it when it starts" in text
    assert "Nothing is on its way." in text


def test_an_empty_inbox(tmp_path: Path) -> None:
    """An empty inbox is shown as empty, and is not a problem."""
    seen = looked(in_spool(tmp_path))
    assert seen.problems == ()
    assert "Nothing is in the inbox or on its way." in text_of(seen)


def test_a_missing_inbox_while_the_daemon_runs(tmp_path: Path) -> None:
    """If the inbox was moved away, the screen does not claim that it is empty."""
    spool = in_spool(tmp_path)
    with a_daemon_at(tmp_path):
        (tmp_path / "inbox").rmdir()
        text = text_of(looked(spool), width=300)
    assert f"LOOK  {tmp_path}/inbox is missing" in text
    assert "creates it again at its next look" in text
    assert "in the inbox" not in text


def test_what_a_file_waits_for(tmp_path: Path) -> None:
    """What the daemon says of a file is shown, whatever its name; without a daemon it is not."""
    spool = in_spool(tmp_path)
    odd = os.fsdecode(b"\xff.pdf")
    for name in (odd, "new.pdf"):
        (tmp_path / "inbox" / name).touch()
    waits = {"folder": None, "name": shown(odd), "words": "it fails", "until": NOON.isoformat()}
    spool.notes.write_status({"waiting": [waits]})
    with a_daemon_at(tmp_path):
        seen = looked(spool)
    assert {one.name: (one.words, one.fails_at) for one in seen.documents} == {
        shown(odd): ("it fails", NOON),
        "new.pdf": ("in the inbox, not taken yet", None),
    }
    assert "it fails" in text_of(seen)
    data = seen.model_dump(mode="json")
    jsonschema.validate(data, overview.schema())
    assert {one.words for one in looked(spool).documents} == {"faxdrop is not running"}


def test_a_letter_behind_another(tmp_path: Path) -> None:
    """A document names the fax it waits for; slow faxes and other numbers block nothing."""
    ahead = job_in(State.ACCEPTED, job_id="a", name="first.pdf", attempts=(attempt("SENDING"),))
    slow = job_in(
        State.ACCEPTED, job_id="b", number="+493023125031", attempts=(attempt(waited=1800.0),)
    )
    behind = [
        job_in(State.QUEUED, job_id="c"),
        job_in(State.QUEUED, job_id="d", number="+493023125031"),
        job_in(State.QUEUED, job_id="e", number=None, faxline=None, document=None),
    ]
    spool = in_spool(tmp_path, ahead, slow, *behind)
    with a_daemon_at(tmp_path):
        words = {one.job: one.words for one in looked(spool).documents}
    since = (EARLIER + timedelta(minutes=1)).astimezone()
    assert words["c"] == (f"waits for first.pdf to the same number, on its way since {since:%H:%M}")
    assert words["d"] == words["e"] == "waiting for its turn"


def test_a_letter_behind_one_of_another_day(tmp_path: Path) -> None:
    """The day on which the one ahead was submitted is written as the language writes it."""
    ahead = job_in(State.ACCEPTED, job_id="a", attempts=(attempt("SENDING"),))
    spool = in_spool(tmp_path, ahead, job_in(State.QUEUED, job_id="c"))
    use("de")
    with a_daemon_at(tmp_path):
        seen = look(spool, InboxSettings(), NOON + timedelta(days=2))
    words = {one.job: one.words for one in seen.documents}
    day = (EARLIER + timedelta(minutes=1)).astimezone()
    assert f"{day:%d.%m.%Y %H:%M}" in words["c"]


def test_what_is_held_before_its_first_attempt_names_no_time(tmp_path: Path) -> None:
    """When the next try is says the hold; a time behind "for the reason above" makes no sense."""
    spool = in_spool(tmp_path, job_in(State.QUEUED, due_at=NOON + timedelta(seconds=30)))
    hold = {"what": "submitting", "words": "no money", "advice": "", "since": NOON.isoformat()}
    spool.notes.write_status({"holds": [hold]})
    with a_daemon_at(tmp_path):
        seen = looked(spool)
    [row] = page_of(seen).sections[2].rows
    assert row.words == "held, for the reason above"
    assert "held, for the reason above (since" in text_of(seen)


def test_what_holds(tmp_path: Path) -> None:
    """While a daemon runs, each hold is shown once, with its start and what to do."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    hold = {"words": "no money", "advice": "Top it up.", "since": "2026-03-02T11:00:00Z"}
    spool.notes.write_status(
        {
            "pid": 42,
            "watching": True,
            "started_at": "2026-03-01T11:00:00Z",
            "holds": [{"what": what, **hold} for what in ("submitting", "following")],
            "something new": 1,
        }
    )
    daemon = Spool(tmp_path)
    daemon.open()
    try:
        seen = looked(spool)
    finally:
        daemon.close()
    assert seen.running
    assert seen.pid == 42
    text = text_of(seen, width=300)
    since = datetime(2026, 3, 2, 11, tzinfo=UTC).astimezone()
    assert text.count("HELD") == 1
    assert f"HELD  since {since:%H:%M:%S}: no money. Top it up. faxdrop tries again" in text
    assert "held, for the reason above" in text
    assert looked(spool).holds == (), "what a daemon said that is gone is of no worth"


def test_a_large_inbox_that_is_being_read_and_one_that_is_held(tmp_path: Path) -> None:
    """The progress of a long scan is shown; a held inbox does not hold jobs."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    hold = {"words": "too little room", "advice": "Make room.", "since": "2026-03-02T11:00:00Z"}
    spool.notes.write_status(
        {"scanning": {"folders": 439, "of": 6003}, "holds": [{"what": "intake", **hold}]}
    )
    with a_daemon_at(tmp_path):
        seen = looked(spool)
    assert seen.scanning is not None
    text = text_of(seen, width=300)
    assert "The inbox is being read: 439 of 6003 folders." in text
    assert "too little room. Make room." in text
    assert [one.words for one in seen.documents] == ["waiting for its turn"]
    assert "being read" not in text_of(looked(spool))


@pytest.mark.parametrize("words", [{"holds": 3}, {"pid": "x"}, {}])
def test_last_words_that_cannot_be_read(tmp_path: Path, words: dict[str, object]) -> None:
    """A status file in another format stops nothing."""
    spool = in_spool(tmp_path)
    spool.notes.write_status(words)
    daemon = Spool(tmp_path)
    daemon.open()
    try:
        assert looked(spool).running
    finally:
        daemon.close()


def test_corrupt_records(tmp_path: Path) -> None:
    """Records that could not be read are counted, with their place."""
    spool = in_spool(tmp_path)
    (tmp_path / ".faxdrop" / "corrupt" / "x").mkdir()
    seen = looked(spool)
    assert seen.corrupt == 1
    assert f"1 record could not be read: see {tmp_path}/.faxdrop/corrupt" in text_of(
        seen, width=300
    )


@pytest.mark.parametrize("running", [False, True])
def test_records_that_cannot_be_read(tmp_path: Path, *, running: bool) -> None:
    """A job whose record is damaged is shown, and it is not said that nothing is on its way."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    (folder,) = (tmp_path / ".faxdrop" / "jobs").iterdir()
    (folder / "job.json").write_bytes(b"{")
    with a_daemon_at(tmp_path) if running else nullcontext():
        seen = looked(spool)
    assert (seen.unreadable, seen.documents) == (1, ())
    text = text_of(seen, width=300)
    assert f"LOOK  {folder} contains a document whose record cannot be read" in text
    assert "Nothing else is in the inbox or on its way." in text


def test_an_ordinary_terminal(tmp_path: Path) -> None:
    """At 80 columns a document's lines follow each other, and an address is cut nowhere."""
    due_at = NOON + timedelta(minutes=5)
    waiting = job_in(State.QUEUED, attempts=(attempt("FAILED"),), due_at=due_at)
    root = tmp_path / ("a-long-name" * 8)
    root.mkdir()
    spool = in_spool(root, waiting, job_in(State.ACCEPTED, job_id="j2", attempts=(attempt(),)))
    (root / "inbox" / "Amt" / "deeper").mkdir(parents=True)
    lines = text_of(looked(spool), width=80).splitlines()
    assert [len(line) for line in lines if len(line) > 80 and str(root) not in line] == []
    assert [line for line in lines if "a-long-name" in line and str(root) not in line] == []
    at = lines.index("letter.pdf  to Dr. Müller +493023125030")
    assert lines[at + 1] == (
        f"  attempt 1 failed, waiting for the next at {due_at.astimezone():%H:%M:%S} "
        f"(since {(NOON - timedelta(minutes=1)).astimezone():%H:%M:%S}, attempt 1)"
    )
    assert lines[at + 2] == f"  job {waiting.job_id}, sipgate's id 4711"
    assert lines[at + 3] == lines[at]


def test_words_hang_below_their_label() -> None:
    """A long text is wrapped between words, with its lines aligned."""
    address = "/srv/" + "x" * 90
    text = f"{'word ' * 30}{address} and more\n\n  -> an end"
    file = StringIO()
    Console(file=file, width=80).print(Hanging(text, "LOOK  "), crop=False)
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("LOOK  word word")
    assert all(line.startswith("      ") or not line for line in lines[1:])
    assert [line for line in lines if len(line) > 80] == [f"      {address}"]
    assert min(len(line) for line in lines[:2]) > 70
    assert lines[-1] == "        -> an end"


def test_five_thousand_documents(tmp_path: Path) -> None:
    """A big queue is summed up and its beginning shown, unless everything is wanted."""
    spool = in_spool(tmp_path)
    folder = tmp_path / "inbox" / "Amt"
    folder.mkdir()
    for number in range(5000):
        (folder / f"{number:04}.pdf").touch()
    seen = looked(spool)
    text = text_of(seen)
    assert "5000 documents: 5000 in the inbox" in text
    assert len(text.splitlines()) < 50
    assert "... and 4980 documents more: faxdrop status --all" in text
    assert "4999.pdf" in text_of(seen, everything=True)


@pytest.mark.parametrize(
    "name",
    [
        "[bold]x.pdf",
        "\x1b[31mred.pdf",
        "two\nlines.pdf",
        ":fax:.pdf",
        os.fsdecode(b"\xff.pdf"),
    ],
)
def test_names_steer_nothing(tmp_path: Path, name: str) -> None:
    """A file's name is shown as it is, and neither the terminal nor rich obeys it."""
    spool = in_spool(tmp_path)
    (tmp_path / "inbox" / name).touch()
    text = text_of(looked(spool))
    assert "\x1b" not in text
    escaped = {"\x1b[31mred.pdf": r"\x1b[31mred.pdf", "two\nlines.pdf": r"two\nlines.pdf"}
    assert escaped.get(name, os.fsencode(name).decode("utf-8", "backslashreplace")) in text


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_clock(zone: str, set_zone: Callable[[str], None]) -> None:
    """An instant is shown in the time of the place, with its day only if that is another one."""
    set_zone(zone)
    hour = {"UTC": "12", "Europe/Berlin": "13"}[zone]
    assert screens.clock(NOON, NOON) == f"{hour}:00:00"
    assert screens.clock(NOON, NOON + timedelta(days=1)) == f"2026-03-02 {hour}:00"


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Let a test set the time zone."""

    def set_to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()
