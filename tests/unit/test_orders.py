"""A person can order that a document is faxed again, or that a fax is cancelled."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from faxdrop.cli.orders import Answered, Cancellation, OrderError, PerhapsSentError, cancel, retry
from faxdrop.config.settings import SendingSettings
from faxdrop.fax.job import Job, State
from faxdrop.fax.reasons import ReasonCode
from faxdrop.spool.places import SpoolError
from faxdrop.spool.root import Spool
from tests.kit.jobs import NOON, attempt, failed_document, in_spool, job_in
from tests.kit.strange import STRANGE_FILES, descriptors

SENDING = SendingSettings()


def never() -> bool:
    """Wait no longer."""
    return False


def cancelled(spool: Spool, job_id: str, pause: Callable[[], bool] = never) -> Answered:
    """Cancel a fax now."""
    return cancel(spool, job_id, SENDING, now=NOON, pause=pause)


# -- retry -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_retry(tmp_path: Path, suffix: str) -> None:
    """A document goes back to the inbox it came from without its receipt, whichever is named."""
    path = failed_document(tmp_path)
    back = retry(Spool(tmp_path), path.with_name(path.name + suffix))
    assert back == tmp_path / "inbox" / "Amt" / "letter.pdf"
    assert back.read_bytes() == b"%PDF-"
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("reason", ["outcome_unknown", "no_final_status"])
def test_retry_of_what_may_have_been_sent(tmp_path: Path, reason: str) -> None:
    """A document that may have arrived is only faxed again when somebody says so."""
    path = failed_document(tmp_path, reason)
    with pytest.raises(PerhapsSentError, match=f"may have been sent already .{reason}."):
        retry(Spool(tmp_path), path)
    assert path.is_file()
    assert retry(Spool(tmp_path), path, even_if_sent=True).is_file()


@pytest.mark.parametrize("reason", sorted(set(ReasonCode) - {"outcome_unknown", "no_final_status"}))
def test_retry_of_everything_else(tmp_path: Path, reason: str) -> None:
    """What is known not to have arrived is faxed again without a question."""
    assert retry(Spool(tmp_path), failed_document(tmp_path, reason)).is_file()


def test_retry_of_what_an_earlier_attempt_may_have_sent(tmp_path: Path) -> None:
    """A lost answer counts, whatever became of the attempts after it."""
    path = failed_document(tmp_path)
    attempts = [{"outcome": "unknown"}, {"outcome": "rejected"}]
    receipt = {"job_id": "j1", "reason": {"code": "rejected"}, "attempts": attempts}
    path.with_name("letter.pdf.json").write_text(json.dumps(receipt))
    with pytest.raises(PerhapsSentError, match="the answer to an earlier attempt was lost"):
        retry(Spool(tmp_path), path)
    assert retry(Spool(tmp_path), path, even_if_sent=True).is_file()


@pytest.mark.parametrize("receipt", [None, b"", b"[]", b'{"reason": null}', b"\xff"])
def test_retry_without_a_receipt_to_read(tmp_path: Path, receipt: bytes | None) -> None:
    """A document without a receipt is put back only with --even-if-sent."""
    path = failed_document(tmp_path)
    path.with_name("letter.pdf.json").unlink()
    if receipt is not None:
        path.with_name("letter.pdf.json").write_bytes(receipt)
    with pytest.raises(PerhapsSentError, match="no receipt says what became of it"):
        retry(Spool(tmp_path), path)
    assert retry(Spool(tmp_path), path, even_if_sent=True).is_file()


@pytest.mark.parametrize("strange", STRANGE_FILES.values(), ids=STRANGE_FILES)
def test_retry_with_something_strange_in_the_receipts_place(
    tmp_path: Path, strange: Callable[[Path], object]
) -> None:
    """A pipe, a link or junk in a receipt's place counts as no receipt, and stays."""
    path = failed_document(tmp_path)
    receipt = path.with_name("letter.pdf.json")
    receipt.unlink()
    strange(receipt)
    before = descriptors()
    with pytest.raises(PerhapsSentError, match="no receipt says what became of it"):
        retry(Spool(tmp_path), path)
    assert retry(Spool(tmp_path), path, even_if_sent=True).is_file()
    assert descriptors() == before
    assert os.path.lexists(receipt)


@pytest.mark.parametrize("strange", STRANGE_FILES.values(), ids=STRANGE_FILES)
def test_retry_of_something_strange(tmp_path: Path, strange: Callable[[Path], object]) -> None:
    """A file that is not an ordinary one is not put back, and blocks nothing."""
    path = failed_document(tmp_path)
    path.unlink()
    strange(path)
    if path.is_file() and not path.is_symlink():
        return  # an ordinary file: the check will judge its content
    with pytest.raises(OrderError, match=r"not an ordinary file|symbolic link"):
        retry(Spool(tmp_path), path)


def test_retry_of_what_lies_too_deep(tmp_path: Path) -> None:
    """A document deeper than a recipient folder is not put back: its folder would be a guess."""
    path = failed_document(tmp_path)
    deeper = path.parent / "2026" / "letter.pdf"
    deeper.parent.mkdir()
    path.rename(deeper)
    with pytest.raises(OrderError, match="is deeper than a recipient folder"):
        retry(Spool(tmp_path), deeper)


def test_retry_leaves_what_is_no_receipt(tmp_path: Path) -> None:
    """A document whose name looks like a receipt's stays where it was filed."""
    path = failed_document(tmp_path)
    other = path.with_name("letter.pdf.json")
    other.write_text('{"important": true}')
    retry(Spool(tmp_path), path, even_if_sent=True)
    assert other.read_text() == '{"important": true}'


def test_retry_never_overwrites(tmp_path: Path) -> None:
    """A name that is taken in the inbox is not overwritten, and both documents stay."""
    path = failed_document(tmp_path)
    taken = tmp_path / "inbox" / "Amt" / "letter.pdf"
    taken.parent.mkdir()
    taken.write_bytes(b"another")
    with pytest.raises(OrderError, match="exists already"):
        retry(Spool(tmp_path), path)
    assert path.is_file()
    assert taken.read_bytes() == b"another"


def test_retry_of_what_is_not_in_failed(tmp_path: Path) -> None:
    """Only documents in failed/ are put back: nothing from elsewhere, no link, nothing missing."""
    path = failed_document(tmp_path)
    elsewhere = tmp_path / "sent" / "letter.pdf"
    elsewhere.touch()
    link = path.with_name("link.pdf")
    link.symlink_to(elsewhere)
    for wrong, why in (
        (elsewhere, "put a copy of it into"),
        (link, "is a symbolic link"),
        (path.with_name("gone.pdf"), "does not exist"),
        (path.parent, "does not exist"),
        (path.parent / ".." / ".." / "sent" / "letter.pdf", "is not in"),
    ):
        with pytest.raises(OrderError, match=why):
            retry(Spool(tmp_path), wrong)
    assert elsewhere.is_file()


def test_retry_where_the_system_refuses(tmp_path: Path) -> None:
    """An error of the system is reported with the file's name."""
    path = failed_document(tmp_path)
    (tmp_path / "inbox" / "Amt").touch()
    with pytest.raises(OrderError, match="inbox/Amt"):
        retry(Spool(tmp_path), path)
    assert path.is_file()


# -- cancel, without a daemon ----------------------------------------------------------------


def test_cancel_what_waits(tmp_path: Path) -> None:
    """A document that waits is filed in failed/ at once when no daemon runs."""
    spool = in_spool(tmp_path, job_in(State.QUEUED, attempts=(attempt("FAILED"),)))
    answered = cancelled(spool, "20260302-115000-00000001")
    assert answered.what is Cancellation.CANCELLED
    assert answered.filed == tmp_path / "failed" / "Dr. Müller" / "letter.pdf"
    receipt = json.loads(answered.filed.with_name("letter.pdf.json").read_bytes())
    assert receipt["reason"]["code"] == "cancelled"
    assert list(spool.jobs.all()) == []


@pytest.mark.parametrize("state", [State.SUBMITTING, State.UNKNOWN, State.ACCEPTED])
def test_cancel_what_sipgate_has(tmp_path: Path, state: State) -> None:
    """A fax that sipgate may have stays on its way, and has no further attempt."""
    spool = in_spool(tmp_path, job_in(state, attempts=(attempt(),)))
    assert cancelled(spool, "20260302-115000-00000001").what is Cancellation.REST
    (job,) = spool.jobs.all()
    assert (job.state, job.cancelled) == (state, True)


def test_cancel_too_late(tmp_path: Path) -> None:
    """A fax that has ended stays as it is."""
    job = job_in(State.SENT, attempts=(attempt("SENT"),), finished_at=NOON)
    spool = in_spool(tmp_path, job)
    assert cancelled(spool, job.job_id).what is Cancellation.TOO_LATE
    assert list(spool.jobs.all()) == [job]


@pytest.mark.parametrize("job_id", ["nonsense", "../jobs", "", "20260302-115000-00000001/."])
def test_cancel_what_is_not_there(tmp_path: Path, job_id: str) -> None:
    """An unknown job id is an error that says where to find the ids."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    with pytest.raises(OrderError, match="is on its way"):
        cancelled(spool, job_id)
    assert spool.notes.cancellations() == []


def test_a_hostile_job_id_is_shown_once_escaped(tmp_path: Path) -> None:
    """What is not printable in a job id becomes the escape that names of files become, too."""
    with pytest.raises(OrderError, match=r"the job id 'a\\x1b\[31m' is"):
        cancelled(in_spool(tmp_path), "a\x1b[31m")


def test_cancel_a_claim_that_was_interrupted(tmp_path: Path) -> None:
    """A record whose document is still in the inbox cannot be cancelled."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    next(tmp_path.glob(".faxdrop/jobs/*/document.pdf")).unlink()
    with pytest.raises(OrderError):
        cancelled(spool, "20260302-115000-00000001")


def test_cancel_gives_the_lock_back(tmp_path: Path) -> None:
    """After a cancellation, a daemon can start."""
    spool = in_spool(tmp_path, job_in(State.QUEUED))
    cancelled(spool, "20260302-115000-00000001")
    daemon = Spool(tmp_path)
    daemon.open()
    daemon.close()


def test_cancel_without_a_root(tmp_path: Path) -> None:
    """Without a root, the error says so."""
    with pytest.raises(SpoolError, match="There is no folder"):
        cancelled(Spool(tmp_path / "gone"), "x")


# -- cancel, with a daemon -------------------------------------------------------------------


class AtWork:
    """A daemon, as far as a cancellation goes: holds the lock, and acts while it is paused for."""

    def __init__(self, root: Path, *answers: Callable[[Spool, Job], None]) -> None:
        self.spool = Spool(root)
        self.answers = list(answers)
        self.notes: list[list[str]] = []

    def __enter__(self) -> Self:
        self.spool.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    def pause(self) -> bool:
        """Do what the daemon does meanwhile."""
        self.notes.append(self.spool.notes.cancellations())
        if not self.answers:
            return False
        (job,) = self.spool.jobs.all()
        self.answers.pop(0)(self.spool, job)
        return True


def does_nothing(_spool: Spool, _job: Job) -> None:
    """Be busy with something else."""


def cancels(spool: Spool, job: Job) -> None:
    """Record the wish."""
    spool.jobs.record(job.model_copy(update={"cancelled": True}))


def ends(state: State, reason: ReasonCode | None = None) -> Callable[[Spool, Job], None]:
    """Return what brings the job to its end, recorded or filed."""

    def end(spool: Spool, job: Job) -> None:
        why = reason and {"code": reason, "message": "It ended.", "advice": "Nothing."}
        after = Job.model_validate(
            job.model_dump() | {"state": state, "reason": why, "finished_at": NOON}
        )
        spool.jobs.record(after)
        spool.filing.file_away(after)

    return end


@pytest.mark.parametrize(
    ("answer", "what", "where"),
    [
        (ends(State.FAILED, ReasonCode.CANCELLED), Cancellation.CANCELLED, "failed"),
        (ends(State.FAILED, ReasonCode.REJECTED), Cancellation.TOO_LATE, "failed"),
        (ends(State.SENT), Cancellation.TOO_LATE, "sent"),
        (cancels, Cancellation.REST, None),
    ],
)
def test_the_daemon_is_asked(
    tmp_path: Path,
    answer: Callable[[Spool, Job], None],
    what: Cancellation,
    where: str | None,
) -> None:
    """A running daemon carries out the cancellation, and the command tells its result."""
    job = job_in(State.ACCEPTED, attempts=(attempt(),))
    spool = in_spool(tmp_path, job)
    with AtWork(tmp_path, does_nothing, answer) as daemon:
        answered = cancelled(spool, job.job_id, daemon.pause)
    assert answered.what is what
    assert daemon.notes == [[job.job_id]] * 2
    place = None if where is None else tmp_path / where / "Dr. Müller" / "letter.pdf"
    assert answered.filed == place


def test_the_daemon_is_busy(tmp_path: Path) -> None:
    """If the daemon does not answer in time, the wish stays, and the command says so."""
    job = job_in(State.SUBMITTING, attempts=(attempt(),))
    spool = in_spool(tmp_path, job)
    with AtWork(tmp_path, does_nothing) as daemon:
        assert cancelled(spool, job.job_id, daemon.pause).what is Cancellation.ASKED
    assert spool.notes.cancellations() == [job.job_id]
