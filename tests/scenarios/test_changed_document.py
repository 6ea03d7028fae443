"""What changes while a document is taken: its content, its folder, what the disk says of it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from faxdrop.documents.verdict import Verdict
from faxdrop.fax.job import Job
from faxdrop.spool.jobs import Jobs
from tests.kit import pdfs
from tests.kit.breaking import Reader, assert_all_answered, ends, stage
from tests.kit.promises import sha256

PLAIN, STUCK = "+493023125130", "+493023125004"
BEFORE = {"plain": pdfs.good(), "form": pdfs.form(), "repairable": pdfs.repairable()}
AFTER = {
    "plain": pdfs.good(pages=2, text="what was meant"),
    "form": pdfs.form(pages=2),
    "with a password": pdfs.encrypted(),
    "half of it": pdfs.truncated(),
    "nothing": b"",
}
REASONS = {"with a password": "encrypted_pdf", "half of it": "damaged_pdf", "nothing": "not_a_pdf"}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("before", BEFORE)
def test_what_is_faxed_is_what_was_checked(before: str, after: str, tmp_path: Path) -> None:
    """A document that was changed in the spool is checked again before it is submitted."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.trouble = 402
        staged.drop(PLAIN, "letter.pdf", BEFORE[before])
        world.until(lambda: staged.simulator.count("POST /sessions/fax") == 1)
        [document] = world.in_spool()
        document.write_bytes(AFTER[after])
        staged.dropped[:] = [sha256(AFTER[after])]
        staged.simulator.trouble = None
        world.until_done(hours=1.0)
        world.live(5.0)
        assert_all_answered(staged)
        reason = REASONS.get(after)
        assert ends(world) == [("failed", reason) if reason else ("sent", None)]
        [one] = [*world.sent, *world.failed]
        assert one.receipt.document.sha256 == sha256(AFTER[after])
        assert len(staged.simulator.taken) == (0 if reason else 1)


def test_a_scan_that_is_completed_as_it_is_claimed_is_no_half_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer's open file follows the rename: after the claim, the document is looked at anew."""
    claim = Jobs.claim

    def completed(jobs: Jobs, source: Path, fd: int | None, job: Job, **within: int | None) -> None:
        claim(jobs, source, fd, job, **within)
        jobs.document(job).write_bytes(pdfs.good())

    monkeypatch.setattr(Jobs, "claim", completed)
    with stage(tmp_path) as staged:
        staged.world.start()
        staged.drop(PLAIN, "scan.pdf", pdfs.truncated())
        staged.dropped[:] = [sha256(pdfs.good())]
        staged.world.until_done(hours=1.0)
        assert ends(staged.world) == [("sent", None)]
        assert_all_answered(staged)


def test_a_file_that_somebody_writes_to_is_never_taken(tmp_path: Path) -> None:
    """However long a writer pauses, and however whole the file looks, it is taken at its close."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        path = staged.drop(PLAIN, "scan.pdf", pdfs.good())
        with path.open("ab"):
            world.live(10 * world.config.inbox.patience)
            assert world.in_inbox() == [path]
        world.until_done()
        assert ends(world) == [("sent", None)]


class Meanwhile(Reader):
    """A check during which something else happens."""

    happens: Callable[[], object] | None = None

    def check(self, fd: int) -> Verdict:
        """Read a document."""
        verdict = super().check(fd)
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return verdict


@pytest.mark.parametrize("of_a_job", [False, True], ids=["anywhere", "the spool's"])
def test_a_link_in_the_folders_place_takes_nothing(tmp_path: Path, *, of_a_job: bool) -> None:
    """A folder that becomes a link during the check makes no document of elsewhere be faxed."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        reader = world.checker = Meanwhile()
        world.start()
        elsewhere = tmp_path / "private"
        elsewhere.mkdir()
        if of_a_job:
            staged.drop(STUCK, "theirs.pdf", pdfs.good(2))
            world.until(lambda: bool(staged.simulator.taken))
            [elsewhere] = [path.parent for path in world.in_spool()]
        theirs = elsewhere / "document.pdf"
        theirs.touch()
        content = theirs.read_bytes()
        folder = world.drop(PLAIN, "document.pdf", pdfs.good(1)).parent

        def swap() -> None:
            folder.rename(tmp_path / "aside")
            folder.symlink_to(elsewhere)

        reader.happens = swap
        world.live(60.0)
        assert theirs.read_bytes() == content
        assert not [fax for fax in staged.simulator.taken if fax.number == PLAIN and fax.pages == 2]


def test_an_error_at_the_closing_repeats_no_fax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of close(2) after the fax was taken changes nothing."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        close = os.close
        refused = []

        def closing(fd: int) -> None:
            is_document = Path(f"/proc/self/fd/{fd}").readlink().name == "document.pdf"
            close(fd)
            if is_document:
                refused.append(fd)
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "close", closing)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert refused
        assert ends(world) == [("sent", None)]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


def test_a_mistake_after_the_intent_repeats_no_fax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the answer cannot be recorded, the fax is looked up and not sent again."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        record = Jobs.record
        wrong = iter([MemoryError("no more memory")])

        def recording(jobs: Jobs, job: Job, **how: bool) -> None:
            if staged.simulator.taken and (error := next(wrong, None)):
                raise error
            record(jobs, job, **how)

        monkeypatch.setattr(Jobs, "record", recording)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert next(wrong, None) is None
        assert ends(world) == [("sent", None)]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)
