"""How a job's record lies on disk: the latest whole state counts, whatever a crash tore."""

import json
import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from faxdrop.fax.job import Attempt, Facts, Job, State
from faxdrop.spool import record
from faxdrop.spool.record import Extent
from faxdrop.spool.root import Spool

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
QUEUED = Job(
    job_id="20260302-080000-00000001",
    state=State.QUEUED,
    name="Brief an\n{Müller}, \\ 1.pdf",
    folder="Labor",
    claimed_at=NOW,
)
_FACTS = Facts(sha256="ab" * 32, bytes=1214, pages=1)
SUBMITTING = QUEUED.model_copy(
    update={
        "state": State.SUBMITTING,
        "number": "+493023125000",
        "faxline": "f0",
        "document": _FACTS,
        "attempts": (Attempt(number=1, submitted_at=NOW),),
    }
)
_ANSWERED = Attempt(number=1, submitted_at=NOW, answered_at=NOW, session_id="4711")
ACCEPTED = SUBMITTING.model_copy(update={"state": State.ACCEPTED, "attempts": (_ANSWERED,)})
LIFE = (QUEUED, SUBMITTING, ACCEPTED)


def written(*jobs: Job) -> bytes:
    """Return the file after these states, each written behind the one before."""
    content, extent = record.anew(jobs[0])
    for each in jobs[1:]:
        content, extent = over(content, extent, each)
    return content


def over(content: bytes, extent: Extent, job: Job) -> tuple[bytes, Extent]:
    """Return a file with one more state, and how far it is taken."""
    found = record.appended(job, extent)
    assert found is not None
    data, after = found
    return content[: extent.end] + data + content[extent.end + len(data) :], after


def spool_with(root: Path, job: Job) -> Spool:
    """Return an open spool that has claimed a job's document."""
    spool = Spool(root)
    spool.open()
    document = spool.inbox / job.name
    document.write_bytes(b"%PDF-")
    spool.jobs.claim(document, None, job)
    return spool


@pytest.mark.parametrize("states", [1, 2, 3])
def test_the_latest_state_counts_for_every_reader(states: int) -> None:
    """We read the latest state, as a common JSON reader and an older faxdrop do; the size stays."""
    content = written(*LIFE[:states])
    latest = LIFE[states - 1]
    assert record.read(content) == latest
    assert Job.model_validate_json(content) == latest
    assert json.loads(content)["state"] == latest.state
    assert len(content) == 4096


@pytest.mark.parametrize(("before", "after"), list(pairwise(LIFE)))
def test_a_torn_state_is_the_one_before(before: Job, after: Job) -> None:
    """Whatever prefix, rest or middle of a write reaches the disk: it is the old state or the new.

    A disk writes in sectors; of each, it has what was there before or what was written. Only the
    comma before a state tells nothing.
    """
    first, extent = record.anew(before)
    data, _ = record.appended(after, extent) or (b"", extent)
    whole = over(first, extent, after)[0]
    at, end = extent.end, extent.end + len(data)
    for cut in (*range(at, end, 5), end - 1, end):
        for begin, upto in ((at, cut), (cut, end), (cut, min(cut + 512, end))):
            torn, lost = bytearray(first), bytearray(whole)
            torn[begin:upto] = whole[begin:upto]
            lost[begin:upto] = first[begin:upto]
            for left in (torn, lost):
                is_whole = left[at + 1 :] == whole[at + 1 :]
                assert record.read(bytes(left)) == (after if is_whole else before)


def test_a_file_that_was_cut_is_not_read() -> None:
    """A record that became shorter is no torn one: nobody knows what stood there."""
    content = written(*LIFE)
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"missing|JSON"):
            record.read(content[:length])
    with pytest.raises(ValueError, match="missing"):
        record.read(content[:300] + bytes(4096 - 300))


def test_a_record_that_is_full_is_written_anew(tmp_path: Path) -> None:
    """However often a fax is tried, its record can be written, and is read as it was written."""
    spool = spool_with(tmp_path, QUEUED)
    job = SUBMITTING
    file = spool.jobs.document(job).with_name("job.json")
    files = set()
    for number in range(1, 60):
        attempt = Attempt(number=number, submitted_at=NOW, session_id=str(number))
        job = job.model_copy(update={"attempts": (*job.attempts, attempt)})
        spool.jobs.record(job)
        assert list(spool.jobs.all()) == [job]
        files.add((file.stat().st_ino, file.stat().st_size))
    assert 3 < len(files) <= 30, "at least every other one is written over, some anew"
    assert all(size % 4096 == 0 for _, size in files)
    spool.close()


def test_a_record_that_somebody_made_shorter_is_written_anew(tmp_path: Path) -> None:
    """Nothing is written behind a file's end: that is an error, and the next try writes it anew."""
    spool = spool_with(tmp_path, QUEUED)
    spool.jobs.document(QUEUED).with_name("job.json").write_bytes(b"")
    with pytest.raises(OSError, match=r"job\.json"):
        spool.jobs.record(SUBMITTING)
    spool.jobs.record(SUBMITTING)
    assert list(spool.jobs.all()) == [SUBMITTING]
    spool.close()


def test_a_pipe_in_the_place_of_a_record_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It is set aside with its document, as every record that cannot be read."""
    spool = spool_with(tmp_path, QUEUED)
    file = spool.jobs.document(QUEUED).with_name("job.json")
    file.unlink()
    os.mkfifo(file)
    jobs, [aside] = spool.jobs.recover()
    assert not jobs
    assert (aside / "document.pdf").exists()
    spool.close()


def test_what_another_daemon_wrote_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """When a root comes back, nobody knows where its records end: they are written anew."""
    spool = spool_with(tmp_path, QUEUED)
    spool.close()
    other = Spool(tmp_path)
    other.open()
    other.jobs.record(ACCEPTED)
    other.jobs.record(ACCEPTED)
    other.close()
    assert spool.reopen()
    cancelled = ACCEPTED.model_copy(update={"cancelled": True})
    spool.jobs.record(cancelled)
    assert list(spool.jobs.all()) == [cancelled]
    spool.close()
