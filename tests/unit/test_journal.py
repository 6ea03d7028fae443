"""The journal: each line durable and chained, whatever crashes, tears or fills up in between."""

import errno
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from faxdrop.fax.receipt import make_receipt, to_bytes
from faxdrop.journal.chain import Journal, JournalError, months_of, read_hint
from faxdrop.journal.flaws import Discrepancy
from faxdrop.journal.history import Filter, ends, lines, summary
from faxdrop.journal.lines import NOTHING_BEFORE, EndLine, HoldLine, ended, hash_of
from faxdrop.journal.verify import verify
from faxdrop.spool.disk import Disk
from tests.kit.breaking import Crash, CrashingDisk, FaultyDisk, Steps
from tests.kit.jobs import failed, job, sent
from tests.kit.strange import STRANGE_FILES
from tests.kit.waiting import PATIENCE

NOVEMBER = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)


class Wall:
    """A clock that a test sets."""

    def __init__(self, at: datetime = NOVEMBER) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the time, a second later each time."""
        self.at += timedelta(seconds=1)
        return self.at


def journal_in(folder: Path, wall: Wall | None = None, disk: Disk | None = None) -> Journal:
    """Return a journal below a folder."""
    return Journal(folder / "journal", (wall or Wall()).now, disk)


def end(number: int, *, is_sent: bool = True) -> EndLine:
    """Return how a job ended; each number is another job."""
    done = (sent if is_sent else failed)(job(f"letter {number}.pdf"))
    done = done.model_copy(update={"job_id": f"20261126-080000-{number:08x}"})
    receipt = make_receipt(done)
    return ended(receipt, to_bytes(receipt), f"sent/+49/letter {number}.pdf")


def stored(folder: Path) -> list[tuple[int, str, str | None]]:
    """Return number, event and job of all lines."""
    found = []
    for line in lines(folder / "journal"):
        assert line.content is not None
        content = line.content
        found.append((content["seq"], content["event"], content.get("job_id")))
    return found


def is_whole(folder: Path) -> bool:
    """Tell whether the chain holds from its first line to its last."""
    before, seq = NOTHING_BEFORE, 0
    for line in lines(folder / "journal"):
        if line.content is None or line.content["previous"] != before:
            return False
        if line.content["seq"] != seq + 1:
            return False
        before, seq = hash_of(line.raw), seq + 1
    return True


def test_the_chain_can_be_checked_by_hand(tmp_path: Path) -> None:
    """Each line names what ``sha256sum`` says of the line before it."""
    journal = journal_in(tmp_path)
    for number in range(3):
        journal.append(end(number))
    [path] = (tmp_path / "journal").glob("*.jsonl")
    for number in (1, 2):
        told = subprocess.run(  # noqa: S602 - as an auditor types it
            f"sed -n {number}p '{path}' | sha256sum",
            shell=True,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[0]
        assert json.loads(path.read_text().splitlines()[number])["previous"] == told
    assert path.name == "2026-11.jsonl"
    assert json.loads(path.read_text().splitlines()[0])["previous"] == NOTHING_BEFORE


@pytest.mark.parametrize("how", ["append", "append_once", "append_all"])
def test_a_line_is_durable_before_anybody_relies_on_it(tmp_path: Path, how: str) -> None:
    """When an append returns, the file that holds the line has been synced, and nothing since."""
    synced: list[int] = []

    class Noted(Disk):
        def sync(self, fd: int) -> None:
            synced.append(os.fstat(fd).st_size)

    journal = journal_in(tmp_path, disk=Noted())
    one = end(1)
    if how == "append":
        journal.append(one)
    elif how == "append_once":
        journal.append_once(one, one.job_id)
    else:
        journal.append_all([one, end(2)])
    [path] = (tmp_path / "journal").glob("*.jsonl")
    assert synced[-1] == path.stat().st_size


def test_a_line_says_what_an_auditor_asks_for(tmp_path: Path) -> None:
    """Job, document, recipient, attempts, reason and the receipt's hash stand in a line."""
    done = failed(job("Größe.pdf", "Dr. Müller"))
    receipt = make_receipt(done)
    journal_in(tmp_path).append(ended(receipt, to_bytes(receipt), "failed/Dr. Müller/Größe.pdf"))
    [line] = lines(tmp_path / "journal")
    assert line.content is not None
    assert line.content["format"] == "faxdrop-journal/1"
    assert line.content["event"] == "failed"
    assert line.content["document"]["name"] == "Größe.pdf"
    assert line.content["document"]["sha256"] == receipt.document.sha256
    assert line.content["recipient"]["folder"] == "Dr. Müller"
    assert line.content["receipt_sha256"] == hash_of(to_bytes(receipt))
    assert len(line.content["attempts"]) == len(receipt.attempts)
    assert line.content["reason"] == (receipt.reason.code if receipt.reason else None)


def test_a_new_month_continues_the_chain(tmp_path: Path) -> None:
    """The first line of a month names the last of the month before."""
    wall = Wall(datetime(2026, 11, 30, 23, 59, 57, tzinfo=UTC))
    journal = journal_in(tmp_path, wall)
    for number in range(5):
        journal.append(end(number))
    assert months_of(tmp_path / "journal") == ["2026-11", "2026-12"]
    assert is_whole(tmp_path)


def test_a_clock_set_back_writes_into_no_older_month(tmp_path: Path) -> None:
    """Lines keep their order, whatever the clock says."""
    wall = Wall(datetime(2026, 12, 1, tzinfo=UTC))
    journal = journal_in(tmp_path, wall)
    journal.append(end(1))
    wall.at = datetime(2026, 10, 1, tzinfo=UTC)
    journal.append(end(2))
    assert months_of(tmp_path / "journal") == ["2026-12"]
    assert is_whole(tmp_path)


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Another process continues where the last one ended."""
    journal_in(tmp_path).append(end(1))
    head = journal_in(tmp_path).append(end(2))
    assert head.seq == 2
    assert is_whole(tmp_path)


@pytest.mark.parametrize("garbage", [b"\0" * 700, b'{"format":"faxdrop-journal/1","se', b"\xff\n"])
def test_what_cannot_be_read_is_kept_and_told(tmp_path: Path, garbage: bytes) -> None:
    """Half a line, NULs after a power cut, foreign bytes: kept aside, followed by a mended line."""
    journal_in(tmp_path).append(end(1))
    path = tmp_path / "journal" / "2026-11.jsonl"
    with path.open("ab") as file:
        file.write(garbage)
    journal_in(tmp_path).append(end(2))
    assert [(seq, event) for seq, event, _ in stored(tmp_path)] == [
        (1, "sent"),
        (2, "mended"),
        (3, "sent"),
    ]
    assert is_whole(tmp_path)
    assert (tmp_path / "journal" / "torn-1-1.bin").read_bytes() == garbage
    assert not verify(tmp_path, tmp_path / "journal").findings[2:]  # but the two documents


def test_every_length_of_a_torn_line_is_mended(tmp_path: Path) -> None:
    """Cut the last line anywhere: what is left is never taken for a line, nor lost."""
    journal = journal_in(tmp_path)
    journal.append(end(1))
    path = tmp_path / "journal" / "2026-11.jsonl"
    first = path.stat().st_size
    journal.append(end(2))
    whole = path.read_bytes()
    for length in range(first + 1, len(whole), 7):
        for old in (tmp_path / "journal").glob("torn-*"):
            old.unlink()
        (tmp_path / "journal" / "head.json").unlink(missing_ok=True)
        path.write_bytes(whole[:length])
        journal_in(tmp_path).append(end(3))
        assert [event for _, event, _ in stored(tmp_path)] == ["sent", "mended", "sent"]
        assert (tmp_path / "journal" / "torn-1-1.bin").read_bytes() == whole[first:length]
        assert is_whole(tmp_path)


def test_lines_that_were_taken_away_are_missed(tmp_path: Path) -> None:
    """Where the journal is shorter than it was, the next line says so and keeps the old number."""
    journal = journal_in(tmp_path)
    for number in range(3):
        journal.append(end(number))
    path = tmp_path / "journal" / "2026-11.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    journal_in(tmp_path).append(end(4))
    assert [(seq, event) for seq, event, _ in stored(tmp_path)] == [
        (1, "sent"),
        (4, "mended"),
        (5, "sent"),
    ]
    assert any(found.kind == "lines_missing" for found in verify_journal(tmp_path))


def test_a_journal_that_is_gone_does_not_start_anew(tmp_path: Path) -> None:
    """The numbers go on after the last known one, even if no line is left."""
    journal_in(tmp_path).append(end(1))
    (tmp_path / "journal" / "2026-11.jsonl").unlink()
    journal_in(tmp_path).append(end(2))
    assert [(seq, event) for seq, event, _ in stored(tmp_path)] == [(2, "mended"), (3, "sent")]


def verify_journal(folder: Path) -> list[Discrepancy]:
    """Return what is wrong with the lines alone."""
    return [
        found
        for found in verify(folder, folder / "journal").findings
        if found.kind.startswith("line")
    ]


def test_a_newer_journal_is_left_alone(tmp_path: Path) -> None:
    """A line of a version that is not known stops the append; nothing is changed."""
    journal_in(tmp_path).append(end(1))
    path = tmp_path / "journal" / "2026-11.jsonl"
    newer = b'{"format":"faxdrop-journal/2","seq":2}\n'
    with path.open("ab") as file:
        file.write(newer)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="another version"):
        journal_in(tmp_path).append(end(2))
    assert path.read_bytes() == before


def test_a_foreign_file_in_the_folder_changes_nothing(tmp_path: Path) -> None:
    """Only files that are named after a month are lines."""
    journal = journal_in(tmp_path)
    journal.append(end(1))
    (tmp_path / "journal" / "notes.txt").write_text("mine\n")
    (tmp_path / "journal" / "2026-13.jsonl").write_text("mine\n")
    journal_in(tmp_path).append(end(2))
    assert is_whole(tmp_path)
    assert len(stored(tmp_path)) == 2


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """A line that the disk did not take is not there, and the next one follows the last."""
    for refuse_at in range(1, 12):
        folder = tmp_path / str(refuse_at)
        folder.mkdir()
        disk = FaultyDisk(refuse_at, errno.ENOSPC)
        journal = journal_in(folder, disk=disk)
        for number in range(3):
            try:
                journal.append_once(end(number), end(number).job_id)
            except OSError:
                journal.append_once(end(number), end(number).job_id)
        assert [job_id for _, event, job_id in stored(folder) if event == "sent"] == [
            end(number).job_id for number in range(3)
        ]
        assert is_whole(folder)


def test_one_line_a_job_after_a_crash_at_every_step(tmp_path: Path) -> None:
    """Whatever step a crash hits, each job has exactly one line after the next start."""
    for crash_at in range(1, 60):
        folder = tmp_path / str(crash_at)
        folder.mkdir()
        steps = Steps(crash_at)
        crashed = False
        try:
            journal = journal_in(folder, disk=CrashingDisk(steps))
            for number in range(4):
                journal.append(end(number))
        except Crash:
            crashed = True
        journal = journal_in(folder)
        for number in range(4):
            journal.append_once(end(number), end(number).job_id)
        assert sorted(job_id or "" for _, event, job_id in stored(folder) if event == "sent") == [
            end(number).job_id for number in range(4)
        ]
        assert is_whole(folder)
        if not crashed:
            return
    pytest.fail("never passed untouched")


def _write_many(folder: Path, first: int) -> None:
    journal = Journal(folder / "journal", lambda: NOVEMBER)
    for number in range(first, first + 40):
        journal.append(end(number))


def test_two_writers_share_one_chain(tmp_path: Path) -> None:
    """A daemon and a command write at the same time: one chain, no line lost."""
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_write_many, args=(tmp_path, first)) for first in (0, 100, 200)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(stored(tmp_path)) == 120
    assert is_whole(tmp_path)


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    """A path whose bytes are not UTF-8 is in the line as it is."""
    odd = os.fsdecode(b"sent/+49/\xff.pdf")
    done = sent(job(os.fsdecode(b"\xff.pdf")))
    receipt = make_receipt(done)
    journal_in(tmp_path).append(ended(receipt, to_bytes(receipt), odd))
    [line] = lines(tmp_path / "journal")
    assert line.content is not None
    assert bytes.fromhex(line.content["path"]["hex"]) == os.fsencode(odd)


# -- reading ---------------------------------------------------------------------------------


@pytest.fixture(name="year")
def _year(tmp_path: Path) -> Path:
    """Return a journal of some months: each day one fax, each third one failed."""
    wall = Wall(datetime(2026, 9, 1, 12, tzinfo=UTC))
    journal = journal_in(tmp_path, wall)
    for day in range(90):
        done = end(day, is_sent=bool(day % 3))
        at = wall.at
        journal.append(done.model_copy(update={"claimed_at": at, "finished_at": at}))
        wall.at += timedelta(days=1)
    journal.append(HoldLine(what="submitting", words="balance"))
    return tmp_path / "journal"


def test_filters_find_what_is_wanted(year: Path) -> None:
    """Filters by day, recipient, status and reason keep exactly what they name."""
    everything = list(ends(year, Filter()))
    assert len(everything) == 90
    october = list(
        ends(year, Filter(since=datetime(2026, 10, 1).date(), until=datetime(2026, 10, 31).date()))  # noqa: DTZ001 - a day
    )
    assert len(october) == 31
    assert len(list(ends(year, Filter(status="failed")))) == 30
    reason = next(one for one in everything if one["event"] == "failed")["reason"]
    assert len(list(ends(year, Filter(reason=reason)))) == 30
    number = everything[1]["recipient"]["number"]
    assert len(list(ends(year, Filter(to=number)))) > 0
    assert not list(ends(year, Filter(to="nobody of that name")))


def test_totals_add_up(year: Path) -> None:
    """Each table of the summary counts every document once."""
    tables = summary(ends(year, Filter()))
    for table in tables.values():
        assert sum(row["sent"] for row in table.values()) == 60
        assert sum(row["failed"] for row in table.values()) == 30
    assert set(tables["month"]) == {"2026-09", "2026-10", "2026-11"}


def test_what_the_daemon_knows_of_the_chain_outlives_its_folder(tmp_path: Path) -> None:
    """Where somebody takes the whole journal away, the next line names the last that was known."""
    journal = journal_in(tmp_path)
    journal.append(end(0))
    last = journal.append(end(1))
    shutil.rmtree(tmp_path / "journal")
    journal.append(end(2))
    assert [(seq, event) for seq, event, _ in stored(tmp_path)] == [(3, "mended"), (4, "sent")]
    [mended, _] = lines(tmp_path / "journal")
    assert mended.content is not None
    assert mended.content["previous"] == last.hash
    assert "lines 1 to 2 are missing" in mended.content["words"]


def test_a_hint_is_readable_whatever_lay_in_its_place(tmp_path: Path) -> None:
    """A longer file in the hint's place does not keep it from telling of lines that are gone."""
    journal = journal_in(tmp_path)
    journal.append(end(0))
    (tmp_path / "journal" / "head.json").write_text("x" * 1000)
    last = journal.append(end(1))
    assert read_hint(tmp_path / "journal") == last


def test_what_lies_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A pipe in place of the journal is an error; in place of a hint it is ignored."""
    names = ("2026-11.jsonl", "head.json", "head.json.tmp")
    kinds = ("fifo", "fifo with a writer", "folder", "socket")
    folders = []
    for name, kind in itertools.product(names, kinds):
        folder = tmp_path / f"{name} {kind}" / "journal"
        folder.mkdir(parents=True)
        STRANGE_FILES[kind](folder / name)
        folders.append(folder)
    done = subprocess.run(
        [sys.executable, "-c", _APPENDS, *folders],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    told = done.stdout.splitlines()
    assert all("2026-11.jsonl" in line for line in told[: len(kinds)]), told
    assert told[len(kinds) :] == ["1 1"] * (len(folders) - len(kinds))


_APPENDS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from faxdrop.journal.chain import Journal
from faxdrop.journal.history import lines
from faxdrop.journal.lines import HoldLine

for folder in map(Path, sys.argv[1:]):
    journal = Journal(folder, lambda: datetime(2026, 11, 26, tzinfo=UTC))
    try:
        head = journal.append(HoldLine(what="disk", words="full"))
    except OSError as error:
        print(error)
        try:
            list(lines(folder))
        except OSError:
            continue
    print(head.seq, len(list(lines(folder))))
"""
