"""Verification names everything that was tampered with, and nothing else."""

import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from faxdrop.cli.main import main
from faxdrop.fax.receipt import to_bytes
from faxdrop.journal.chain import Journal
from faxdrop.journal.flaws import Flaw
from faxdrop.journal.lines import RetryLine, hash_of
from faxdrop.journal.retention import Periods, expired
from faxdrop.journal.verify import verify
from tests.kit.archive import FAXES, Archive
from tests.kit.jobs import job, sent


def test_what_is_whole_is_well(archive: Archive) -> None:
    """Nothing is found where nothing was touched, over a month's change."""
    verified = archive.verify(head=archive.head.hash)
    assert verified.is_well, verified.findings
    assert verified.lines == verified.documents == FAXES
    assert verified.head_hash == archive.head.hash
    assert len(list(archive.journal.glob("*.jsonl"))) == 2


def test_an_altered_document_is_named(archive: Archive) -> None:
    """One changed byte in a document is found."""
    archive.documents[2].write_bytes(b"%PDF 9")
    [found] = archive.verify().findings
    assert (found.kind, found.where) == (Flaw.DOCUMENT_ALTERED, str(archive.documents[2]))


def test_an_altered_receipt_is_named(archive: Archive) -> None:
    """A changed receipt is found, and so is one that is no longer a receipt."""
    path = archive.receipt(1)
    path.write_bytes(path.read_bytes().replace(b"f0", b"f1"))
    archive.receipt(2).write_text("nothing")
    found = archive.verify().findings
    assert [(one.kind, one.where) for one in found if one.kind == Flaw.RECEIPT_ALTERED] == [
        (Flaw.RECEIPT_ALTERED, str(path)),
        (Flaw.RECEIPT_ALTERED, str(archive.receipt(2))),
    ]


def test_a_missing_document_and_a_missing_receipt_are_told_apart(archive: Archive) -> None:
    """If the document or the receipt is missing, verify says which, and where."""
    archive.documents[1].unlink()
    archive.receipt(2).unlink()
    found = {one.kind: one.where for one in archive.verify().findings}
    assert found == {
        Flaw.DOCUMENT_MISSING: str(archive.documents[1]),
        Flaw.RECEIPT_MISSING: str(archive.documents[2]),
    }


def test_what_another_hand_added_is_named(archive: Archive) -> None:
    """An unknown receipt and a file that faxdrop did not file are found."""
    stranger = archive.documents[1].with_name("forged.pdf")
    stranger.write_bytes(b"%PDF forged")
    receipt = json.loads(archive.receipt(1).read_text())
    receipt["job_id"] = "20261030-080000-ffffffff"
    stranger.with_name("forged.pdf.json").write_text(json.dumps(receipt))
    archive.documents[1].with_name("note.txt").write_text("mine")
    assert archive.kinds() == [Flaw.STRANGE_FILE, Flaw.STRANGE_RECEIPT]


def test_what_is_being_filed_is_nobody_elses(archive: Archive) -> None:
    """A document whose line comes next, for the spool still has its job, is no stranger's.

    So it is after a ``kill -9`` between the two; but only under the name that the spool notes.
    """
    archive.lines(lambda all_: all_[:-1])
    last = archive.documents[-1]
    own = archive.root / ".faxdrop" / "jobs" / json.loads(archive.receipt(-1).read_text())["job_id"]
    own.mkdir(parents=True)
    (own / "place").write_text(last.name)
    verified = archive.verify()
    assert verified.is_well, verified.findings
    assert (verified.documents, verified.unfinished) == (FAXES - 1, 1)
    (own / "place").write_text("another.pdf")
    assert archive.kinds() == [Flaw.STRANGE_RECEIPT]


@pytest.mark.parametrize(("name", "is_ours"), [("its own", True), ("another", False)])
def test_what_is_being_filed_under_its_own_name_needs_no_note(
    archive: Archive, name: str, *, is_ours: bool
) -> None:
    """Where the spool has the job and no note, only the document's own name is the job's."""
    archive.lines(lambda all_: all_[:-1])
    last = archive.documents[-1]
    own = archive.root / ".faxdrop" / "jobs" / json.loads(archive.receipt(-1).read_text())["job_id"]
    own.mkdir(parents=True)
    record = sent(job(last.name if name == "its own" else "another.pdf"))
    record = record.model_copy(update={"job_id": own.name})
    (own / "job.json").write_bytes(to_bytes(record))
    assert archive.verify().is_well is is_ours


def test_what_is_filed_meanwhile_is_nobody_elses(archive: Archive) -> None:
    """A daemon may be at work: what it files, and puts back, during a verification is well."""
    chain = Journal(archive.journal, lambda: archive.at)
    [path] = archive.journal.glob("2026-11.jsonl")
    kept = path.read_bytes()
    last = kept.splitlines(keepends=True)[-1]
    path.write_bytes(kept.removesuffix(last))
    ticks = itertools.count()

    def tick() -> None:
        if next(ticks) == FAXES:  # all lines were read
            path.write_bytes(kept)
            back = json.loads(archive.receipt(0).read_text())["job_id"]
            digest = hashlib.sha256(archive.documents[0].read_bytes()).hexdigest()
            chain.append(RetryLine(job_id=back, path="x", sha256=digest, user="anna"))
            archive.documents[0].unlink()
            archive.receipt(0).unlink()

    verified = verify(archive.root, archive.journal, tick=tick)
    assert verified.is_well, verified.findings
    assert verified.documents == FAXES - 1


def test_what_is_filed_after_its_folder_was_looked_at_is_not_gone(archive: Archive) -> None:
    """What ended during a verification may lie in a folder that was read before."""
    ticks = itertools.count()

    def tick() -> None:
        if next(ticks) == 2 * FAXES - 1:  # at the last receipt
            archive.file("late.pdf", "")

    verified = verify(archive.root, archive.journal, tick=tick)
    assert archive.documents[FAXES:], "the folders were read with fewer ticks"
    assert verified.is_well, verified.findings


def test_two_documents_exchanged_are_named(archive: Archive) -> None:
    """Two documents that were swapped are each named as the other."""
    first, second = archive.documents[1], archive.documents[2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    found = archive.verify().findings
    assert {one.kind for one in found} == {Flaw.DOCUMENTS_EXCHANGED}
    assert {one.where for one in found} == {str(first), str(second)}


def test_a_removed_line_is_missed(archive: Archive) -> None:
    """A removed line is found by the numbers, and its receipt becomes unknown."""
    archive.lines(lambda all_: [all_[0], *all_[2:]])
    assert archive.kinds() == [Flaw.LINES_MISSING, Flaw.STRANGE_RECEIPT]


def test_a_removed_month_is_missed(archive: Archive) -> None:
    """A journal whose beginning was cut off is found."""
    (archive.journal / "2026-10.jsonl").unlink()
    assert Flaw.LINES_MISSING in archive.kinds()


def test_an_altered_line_is_named(archive: Archive) -> None:
    """An altered line is found by the next line and by its receipt."""
    archive.lines(lambda all_: [all_[0], all_[1].replace(b'"f0"', b'"f7"'), *all_[2:]])
    found = archive.verify().findings
    assert [one.kind for one in found] == [Flaw.LINE_ALTERED]
    assert "2026-11.jsonl, line 3" in found[0].where


def test_reordered_lines_are_named(archive: Archive) -> None:
    """Two swapped lines are found."""
    archive.lines(lambda all_: [all_[1], all_[0], *all_[2:]])
    assert Flaw.LINES_REORDERED in archive.kinds()


def test_a_line_that_is_none_is_named(archive: Archive) -> None:
    """Something else in a line's place is found."""
    archive.lines(lambda all_: [all_[0], b"something else\n", *all_[2:]])
    assert Flaw.LINE_UNREADABLE in archive.kinds()


def test_an_end_that_was_cut_off_is_missed_by_its_head(archive: Archive) -> None:
    """Together with document and receipt, the last line goes without a trace, but for its hash."""
    archive.lines(lambda all_: all_[:-1])
    archive.documents[-1].unlink()
    archive.receipt(FAXES - 1).unlink()
    assert archive.kinds() == []
    assert archive.kinds(head=archive.head.hash) == [Flaw.HEAD_MISSING]


def test_an_older_head_is_still_found(archive: Archive) -> None:
    """A head that was noted stays a line of the chain, whatever is appended."""
    Journal(archive.journal, lambda: archive.at).append(
        RetryLine(job_id=None, path="failed/x.pdf", sha256=None, user="anna")
    )
    assert archive.verify(head=archive.head.hash[:16].upper()).is_well


def test_an_archive_is_told_apart_from_what_is_gone(archive: Archive, tmp_path: Path) -> None:
    """Moved documents are found in a named archive, and reported as gone otherwise."""
    shelf = tmp_path / "shelf" / "2026"
    shelf.mkdir(parents=True)
    for path in (archive.documents[1], archive.receipt(1)):
        path.rename(shelf / path.name)
    assert archive.kinds() == [Flaw.GONE]
    verified = archive.verify(shelf)
    assert verified.is_well
    assert verified.moved == 1
    (shelf / archive.documents[1].name).write_bytes(b"another")
    assert archive.kinds(shelf) == [Flaw.DOCUMENT_ALTERED]


def test_a_copy_is_verified_by_who_may_only_read(archive: Archive, tmp_path: Path) -> None:
    """No daemon, no lock, nothing written: a copy elsewhere is as good."""
    copy = tmp_path / "copy"
    shutil.copytree(archive.root, copy)
    for folder, _, names in os.walk(copy):
        for name in names:
            Path(folder, name).chmod(0o444)
        Path(folder).chmod(0o555)
    try:
        assert verify(copy, copy / ".faxdrop" / "journal").is_well
    finally:
        for folder, _, _ in os.walk(copy):
            Path(folder).chmod(0o755)


def test_what_was_put_back_is_not_missed(archive: Archive) -> None:
    """A document that was retried is not missed in failed/."""
    path, receipt = archive.documents[0], archive.receipt(0)
    job_id = json.loads(receipt.read_text())["job_id"]
    Journal(archive.journal, lambda: archive.at).append(
        RetryLine(
            job_id=job_id,
            path=str(path.relative_to(archive.root)),
            sha256=hash_of(path.read_bytes()),
            user="anna",
        )
    )
    path.unlink()
    receipt.unlink()
    assert archive.verify().is_well


def test_strange_things_hold_nothing_up(archive: Archive) -> None:
    """Pipes, links and folders in receipts' places are named and not read."""
    folder = archive.documents[1].parent
    os.mkfifo(folder / "pipe.pdf.json")
    (folder / "link.pdf").symlink_to("/etc/passwd")
    (folder / "folder.pdf.json").mkdir()
    assert archive.kinds() == [Flaw.UNREADABLE]


def test_what_is_no_file_is_well_where_it_was_refused(archive: Archive) -> None:
    """A link that was dropped, refused and filed has no SHA-256: all is as faxdrop left it."""
    link = archive.file("link.pdf", refused=True)
    assert archive.verify().is_well
    link.unlink()
    assert archive.kinds() == [Flaw.DOCUMENT_MISSING]


@pytest.mark.parametrize("odd", [["a"], {"a": 1}, 7, True, "", "2026-99-99T00:00:00Z", None])
def test_lines_of_wrong_types_are_read(archive: Archive, odd: object) -> None:
    """Lines with odd content are verified and listed, and nothing expires by mistake."""
    month = archive.journal / "2026-11.jsonl"
    first, rest = month.read_bytes().split(b"\n", 1)
    line = json.loads(first)
    for key in line.keys() - {"format", "seq", "previous", "event"}:
        inner = [{**line[key], each: odd} for each in line[key]] if key == "document" else []
        for value in (odd, *inner):
            month.write_bytes(json.dumps({**line, key: value}).encode() + b"\n" + rest)
            assert Flaw.LINE_ALTERED in archive.kinds()
            listed = CliRunner().invoke(main, ["receipts", "--root", str(archive.root)])
            assert listed.exit_code == 0, listed.exception
            list(expired(archive.root, archive.journal, Periods(1.0, 1.0), archive.at))
