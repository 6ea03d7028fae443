"""The inbox without a daemon: which files a scan offers, when, and what events change."""

import os
import socket
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

from faxdrop.config.settings import InboxSettings
from faxdrop.inbox.looks import Candidate, Key, Rest
from faxdrop.inbox.scan import Inbox
from faxdrop.inbox.watcher import _Handler
from faxdrop.names.passed_over import is_passed_over

SETTLE, PATIENCE = 3.0, 300.0
START = 1000.0  # the monotonic instant at which each test begins
WALL = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # what a clock on the wall shows then


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """Make an inbox with one recipient."""
    (tmp_path / "Amt").mkdir()
    return Inbox(tmp_path, InboxSettings(settle=SETTLE, patience=PATIENCE, rescan=60.0))


def drop(inbox: Inbox, name: str, content: bytes = b"%PDF-", folder: str = "Amt") -> Key:
    """Put a file into the inbox."""
    path = inbox.root / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return Key(folder, name)


def offered(inbox: Inbox, after: float, *, everything: bool = True) -> dict[str, Rest]:
    """Scan so many seconds after the start; answer that nothing is complete yet."""
    found = inbox.scan(START + after, everything=everything)
    for candidate in found:
        inbox.not_yet(candidate, START + after)
    return {candidate.key.name: candidate.rest for candidate in found}


def words_of(inbox: Inbox, after: float) -> str:
    """Return what the one file waits for, so many seconds after the start."""
    (file,) = inbox.waits(10, START + after, WALL + timedelta(seconds=after))
    return file.words


# -- rest -----------------------------------------------------------------------------------


def test_a_file_that_changes_is_left_alone(inbox: Inbox) -> None:
    """A file that grows between two looks is not offered, however often it is looked at."""
    for second in range(20):
        drop(inbox, "scan.pdf", b"x" * (second + 1))
        assert offered(inbox, second) == {}


def test_a_file_at_rest_is_offered_after_settle_and_again_after_patience(inbox: Inbox) -> None:
    """A file without a close event is offered when it has settled, and at its patience's end."""
    drop(inbox, "scan.pdf")
    rests = [offered(inbox, after).get("scan.pdf") for after in (0, 2.9, 3, 4, 299.9, 300, 400)]
    assert rests == [None, None, Rest.SETTLED, None, None, Rest.OVERDUE, None]


def test_a_file_that_was_closed_is_offered_at_once(inbox: Inbox) -> None:
    """An event says that its writer is done: no settling."""
    key = drop(inbox, "scan.pdf")
    inbox.notice(key, closed=True)
    assert offered(inbox, 0, everything=False) == {"scan.pdf": Rest.CLOSED}
    assert offered(inbox, 3) == {"scan.pdf": Rest.SETTLED}


def test_a_file_that_is_written_again_after_its_close_rests_anew(inbox: Inbox) -> None:
    """A scanner that reopens its file for each page starts the clock again with each page."""
    key = drop(inbox, "scan.pdf", b"page 1")
    inbox.notice(key, closed=True)
    assert offered(inbox, 0) == {"scan.pdf": Rest.CLOSED}
    drop(inbox, "scan.pdf", b"page 1, page 2")
    assert offered(inbox, 2) == {}
    assert offered(inbox, 4) == {}
    inbox.notice(key, closed=True)
    assert offered(inbox, 4.5) == {"scan.pdf": Rest.CLOSED}
    assert offered(inbox, 5) == {"scan.pdf": Rest.SETTLED}


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_the_clock_of_the_share_does_not_matter(inbox: Inbox, hours: int) -> None:
    """Whatever time a file has, it rests on our own clock, and a new time is a change."""
    path = inbox.root / "Amt" / "scan.pdf"
    drop(inbox, "scan.pdf")
    assert offered(inbox, 0) == {}
    at = path.stat().st_mtime + hours * 3600
    os.utime(path, (at, at))
    assert offered(inbox, 2.9) == {}
    assert offered(inbox, 5.8) == {}
    assert offered(inbox, 5.9) == {"scan.pdf": Rest.SETTLED}


def test_another_file_of_the_same_size_and_time_is_another_file(inbox: Inbox) -> None:
    """A file that replaces a settled one has to settle itself."""
    path = inbox.root / "Amt" / "scan.pdf"
    drop(inbox, "scan.pdf", b"one")
    offered(inbox, 0)
    status = path.stat()
    other = path.with_name(".other")
    other.write_bytes(b"two")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    assert offered(inbox, 3) == {}
    assert offered(inbox, 6) == {"scan.pdf": Rest.SETTLED}


def test_an_empty_file_that_is_filled_later_is_offered_when_it_is(inbox: Inbox) -> None:
    """A file that was empty for a long time is offered at its close like any other."""
    drop(inbox, "scan.pdf", b"")
    offered(inbox, 0)
    assert offered(inbox, 3) == {"scan.pdf": Rest.SETTLED}
    inbox.notice(drop(inbox, "scan.pdf", b"full"), closed=True)
    assert offered(inbox, 60) == {"scan.pdf": Rest.CLOSED}


def test_a_file_that_somebody_still_writes_to_begins_to_rest_again(inbox: Inbox) -> None:
    """Neither settle nor patience runs out while a writer has the file open."""
    drop(inbox, "scan.pdf")
    inbox.scan(START, everything=True)
    for after in range(3, 900, 3):
        (candidate,) = inbox.scan(START + after, everything=False)
        assert candidate.rest is Rest.SETTLED
        inbox.not_yet(candidate, START + after, again=True)


def test_a_close_that_is_heard_before_it_is_done_is_looked_at_a_moment_later(inbox: Inbox) -> None:
    """The kernel reports a close before the file is closed; that costs no settle."""
    inbox.notice(drop(inbox, "scan.pdf"), closed=True)
    (candidate,) = inbox.scan(START, everything=False)
    inbox.not_yet(candidate, START, again=True)
    due = inbox.next_due()
    assert due is not None
    assert START < due < START + 0.5
    (candidate,) = inbox.scan(due, everything=False)
    assert candidate.rest is Rest.CLOSED
    inbox.not_yet(candidate, due, again=True)  # so it really is open, by another writer
    assert inbox.next_due() == due + SETTLE


def test_a_close_while_the_older_content_is_looked_at_is_not_forgotten(inbox: Inbox) -> None:
    """Of a file that is written anew while it is being checked, the new content is offered next."""
    key = drop(inbox, "scan.pdf", b"old")
    inbox.notice(key, closed=True)
    (older,) = inbox.scan(START, everything=False)
    drop(inbox, "scan.pdf", b"new one")
    inbox.notice(key, closed=True)
    assert inbox.scan(START + 0.1, everything=False) == []
    inbox.not_yet(older, START + 0.2)
    assert inbox.next_due() == START + 0.2
    (newer,) = inbox.scan(START + 0.2, everything=False)
    assert (newer.rest, newer.signature) != (older.rest, older.signature)


def test_a_file_in_hands_is_not_offered_twice(inbox: Inbox) -> None:
    """While a candidate is being checked, it is not offered a second time."""
    drop(inbox, "scan.pdf")
    inbox.scan(START, everything=True)
    (candidate,) = inbox.scan(START + 3, everything=True)
    assert inbox.scan(START + 300, everything=True) == []
    inbox.taken(candidate)
    (candidate.path).unlink()
    assert inbox.scan(START + 301, everything=True) == []
    assert inbox.waiting == 0


# -- what is scanned ------------------------------------------------------------------------


def test_the_oldest_comes_first_in_each_folder(inbox: Inbox) -> None:
    """Letters to one recipient go out in the order in which they were written."""
    for at, name in enumerate(("c.pdf", "a.pdf", "b.pdf")):
        drop(inbox, name)
        os.utime(inbox.root / "Amt" / name, (1_000_000 + at, 1_000_000 + at))
    inbox.scan(START, everything=True)
    found = inbox.scan(START + 3, everything=True)
    assert [candidate.key.name for candidate in found] == ["c.pdf", "a.pdf", "b.pdf"]


def test_a_younger_file_does_not_overtake_one_that_has_yet_to_settle(inbox: Inbox) -> None:
    """A closed letter waits briefly for an older one in the same folder."""
    for at, name in enumerate(("older.pdf", "younger.pdf")):
        key = drop(inbox, name)
        os.utime(inbox.root / "Amt" / name, (1_000_000 + at, 1_000_000 + at))
    inbox.scan(START, everything=True)
    inbox.notice(key, closed=True)
    assert offered(inbox, 1, everything=False) == {}
    assert inbox.next_due() == START + SETTLE
    found = inbox.scan(START + SETTLE, everything=False)
    assert [candidate.key.name for candidate in found] == ["older.pdf", "younger.pdf"]


def test_a_file_that_is_still_growing_holds_nobody_up(inbox: Inbox) -> None:
    """A long scan that is still going on does not hold up a finished letter."""
    for second in range(10):
        drop(inbox, "growing.pdf", b"x" * second)
        os.utime(inbox.root / "Amt" / "growing.pdf", (1_000_001 + second, 1_000_001 + second))
        assert offered(inbox, second) == {}
    key = drop(inbox, "letter.pdf")
    os.utime(inbox.root / "Amt" / "letter.pdf", (1_000_009, 1_000_009))
    inbox.notice(key, closed=True)
    assert offered(inbox, 9.5, everything=False) == {"letter.pdf": Rest.CLOSED}


def test_a_file_that_came_to_nothing_holds_nobody_up(inbox: Inbox) -> None:
    """An upload that broke off does not hold up the letters after it."""
    drop(inbox, "broken.pdf")
    os.utime(inbox.root / "Amt" / "broken.pdf", (1_000_000, 1_000_000))
    offered(inbox, 0)
    assert offered(inbox, 3) == {"broken.pdf": Rest.SETTLED}
    inbox.notice(drop(inbox, "letter.pdf"), closed=True)
    assert offered(inbox, 4, everything=False) == {"letter.pdf": Rest.CLOSED}


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.pdf",
        "._letter.pdf",
        "~$letter.pdf",
        "~WRL0001.tmp",
        "scan.pd~",
        "scan.pdf.part",
        "scan.pdf.filepart",
        "scan.PDF.TMP",
        "letter.pdf~",
        "letter.crdownload",
        "Thumbs.db",
        "Thumbs.db:encryptable",
        "desktop.ini",
        ".DS_Store",
        "Icon\r",
        "Icon\uf00d",
        "letter.pdf:Zone.Identifier",
        "letter.pdf\uf022Zone.Identifier",
        "letter.pdf@SynoEAStream",
        "letter.pdf:Zone.Identifier:$DATA",
        "letter.pdf:AFP_AfpInfo",
        "letter.pdf\uf022com.apple.quarantine",
        ":2e_letter.pdf",
        "ehthumbs_vista.db",
        "Desktop DB",
        "autorun.inf",
        "#letter.pdf#",
        "letter.pdf.!sync",
        "letter.pdf.ffs_tmp",
        "letter.pdf.aria2",
        "SCAN.LCK",
        "scan.xml",
        "scan.XST",
    ],
)
def test_temporary_and_hidden_names_are_passed_over(inbox: Inbox, name: str) -> None:
    """Temporary names and names of system files are never offered."""
    assert is_passed_over(name)
    drop(inbox, name)
    inbox.notice(Key("Amt", name), closed=True)
    assert offered(inbox, 0) == {}
    assert offered(inbox, 1000) == {}
    assert inbox.waiting == 0


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "@Recycle",
        "@tmp",
        "#recycle",
        "#snapshot",
        "~snapshot",
        ".recycle",
        ".snapshot",
        ".stversions",
        ".Trash-1000",
        ".alt +49 211 1234567",
        "lost+found",
        "$RECYCLE.BIN",
        "System Volume Information",
        "Network Trash Folder",
        "TheFindByContentFolder",
        "#recycle_DiskStation_Jan-01-1200-2026_Conflict +49 211 1234567",
        "@GMT-2026.01.01-00.00.00",
        "@SynologyDrive",
        "@sharesnap",
        "DfsrPrivate",
        "FOUND.000",
        "RECYCLED",
        "Recycle Bin",
        "Papierkorb",
        "trashbox",
        "_gsdata_",
    ],
)
def test_hidden_and_system_folders_are_no_recipients(inbox: Inbox, name: str) -> None:
    """Hidden and system folders are left alone by every scan and every event."""
    drop(inbox, "letter.pdf", folder=name)
    handler = _Handler(inbox, lambda: None)
    for event in (
        DirCreatedEvent(f"{inbox.root}/{name}"),
        DirMovedEvent("", f"{inbox.root}/{name}"),
        FileCreatedEvent(f"{inbox.root}/{name}/letter.pdf"),
        FileClosedEvent(f"{inbox.root}/{name}/letter.pdf"),
        FileMovedEvent("", f"{inbox.root}/{name}/letter.pdf"),
        FileClosedEvent(f"{inbox.root}/Amt/{name}/letter.pdf"),
    ):
        handler.dispatch(event)
    assert offered(inbox, 0, everything=False) == {}
    assert offered(inbox, 0) == offered(inbox, 1000) == {}
    assert inbox.waiting == 0
    assert inbox.problems == {}


def test_job_tickets_of_scanners_are_left_alone_and_said(inbox: Inbox) -> None:
    """Job tickets of a scanner do not fail, and are named once per folder."""
    for name in ("1.xml", "1.xst", "2.XML"):
        drop(inbox, name)
    assert offered(inbox, 0) == offered(inbox, 1000) == {}
    (problem,) = inbox.problems.items()
    assert problem[0] == str(inbox.root / "Amt")
    assert "job tickets of a scanner (.xml, .xst): 3." in problem[1]


@pytest.mark.parametrize(
    "name",
    [
        "letter.sync-conflict-20260302-101010-ABCDEF7.pdf",
        "letter (conflicted copy 2026-03-02).pdf",
        "letter (Konflikt).pdf",
        "Icon.pdf",
        "xml.pdf",
    ],
)
def test_a_copy_that_a_sync_program_made_is_a_document(inbox: Inbox, name: str) -> None:
    """A sync program's conflict copy is taken like every PDF: somebody may want it."""
    inbox.notice(drop(inbox, name), closed=True)
    assert offered(inbox, 0) == {name: Rest.CLOSED}


@pytest.mark.parametrize(
    "name",
    [
        "Brief an Dr. Müller.pdf",
        unicodedata.normalize("NFC", "Ärztekammer, März.pdf"),
        unicodedata.normalize("NFD", "Ärztekammer, März.pdf"),
        "no suffix",
        " leading and trailing ",
        "two\nlines\ttab.pdf",
        "fünf 📠 Seiten.pdf",
        "-rf.pdf",
        "%n%s$(reboot)`id`.pdf",
        "\udcff\udcfe.pdf",
        "a" * 251 + ".pdf",
        "letter.pdf.json",
    ],
)
def test_odd_names_are_names(inbox: Inbox, name: str) -> None:
    """Every name that a file system allows is offered as it stands, in each form of Unicode."""
    drop(inbox, name)
    assert offered(inbox, 0) == {}
    assert offered(inbox, SETTLE) == {name: Rest.SETTLED}


@pytest.mark.parametrize("name", ["letter.pdf", "letter.PDF", "a.b.Pdf"])
def test_a_name_of_a_pdf_is_offered_when_it_is_closed(inbox: Inbox, name: str) -> None:
    """A file whose name ends in .pdf is offered at its close."""
    inbox.notice(drop(inbox, name), closed=True)
    assert offered(inbox, 0, everything=False) == {name: Rest.CLOSED}


@pytest.mark.parametrize(
    "name", ["letter.pdf.XbQz1a", "tmpab12cdef", "letter", "letter.pdf ", "letter.pdf.~1~x", "pdf"]
)
def test_a_name_that_may_be_a_temporary_one_must_rest(inbox: Inbox, name: str) -> None:
    """A close of a file with another name says nothing; it has to settle."""
    key = drop(inbox, name)
    inbox.notice(key, closed=True)
    assert offered(inbox, 0, everything=False) == {}
    inbox.notice(key, closed=True)
    assert offered(inbox, 2.9, everything=False) == {}
    (inbox.root / "Amt" / name).rename(inbox.root / "Amt" / "final.pdf")
    inbox.notice(Key("Amt", "final.pdf"), closed=True)
    assert offered(inbox, 2.95, everything=False) == {"final.pdf": Rest.CLOSED}
    assert inbox.waiting == 1


def test_both_unicode_forms_of_a_name_are_two_files(inbox: Inbox) -> None:
    """A Mac's and a PC's way to write one name are two files, and both are offered."""
    forms = {unicodedata.normalize(form, "Müller.pdf") for form in ("NFC", "NFD")}
    for name in forms:
        drop(inbox, name)
    offered(inbox, 0)
    assert offered(inbox, 3).keys() == forms


def test_files_beside_the_recipient_folders_are_offered(inbox: Inbox) -> None:
    """A file directly in the inbox is offered, so that its failure is told."""
    (inbox.root / "lost.pdf").write_bytes(b"x")
    inbox.scan(START, everything=True)
    (candidate,) = inbox.scan(START + 3, everything=True)
    assert candidate.key == Key(None, "lost.pdf")


def test_folders_in_a_recipient_folder_are_a_problem_that_is_said(inbox: Inbox) -> None:
    """What is never faxed is named as a problem until it is gone."""
    inner = inbox.root / "Amt" / "2026"
    inner.mkdir()
    (inner / "letter.pdf").write_bytes(b"x")
    assert offered(inbox, 0) == offered(inbox, 1000) == {}
    assert list(inbox.problems) == [str(inner)]
    (inner / "letter.pdf").unlink()
    inner.rmdir()
    inbox.scan(START, everything=True)
    assert inbox.problems == {}


def test_what_is_no_ordinary_file_is_offered_as_such(inbox: Inbox) -> None:
    """Links, pipes and sockets are offered only when they rest, and never as ordinary files."""
    folder = inbox.root / "Amt"
    (folder / "link.pdf").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.pdf")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.pdf"))
        names = {"link.pdf", "pipe.pdf", "socket.pdf"}
        for name in names:
            inbox.notice(Key("Amt", name), closed=True)
        assert offered(inbox, 0) == {}
        found = inbox.scan(START + 3, everything=True)
    assert {candidate.key.name for candidate in found} == names
    assert not any(candidate.is_regular for candidate in found)


def test_a_linked_folder_is_no_recipient(
    inbox: Inbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file behind a symbolic link is not in the inbox."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "letter.pdf").write_bytes(b"x")
    (inbox.root / "Berta").symlink_to(elsewhere)
    inbox.notice(Key("Berta", "letter.pdf"), closed=True)
    assert offered(inbox, 0, everything=False) == {}
    assert {name for name in offered(inbox, 1000) if name != "Berta"} == set()


def test_an_inbox_that_cannot_be_read_is_an_error(inbox: Inbox) -> None:
    """An inbox that is gone is not an empty inbox."""
    drop(inbox, "letter.pdf")
    offered(inbox, 0)
    inbox.root.rename(inbox.root.with_name("gone"))
    with pytest.raises(FileNotFoundError):
        inbox.scan(START + 1, everything=True)
    assert inbox.waiting == 1


def test_what_is_gone_is_forgotten(inbox: Inbox) -> None:
    """A file that was deleted, or whose folder was, waits no longer."""
    one, two = drop(inbox, "a.pdf"), drop(inbox, "b.pdf", folder="Berta")
    offered(inbox, 0)
    assert inbox.waiting_files(10) == [one, two]
    (inbox.root / "Amt" / "a.pdf").unlink()
    (inbox.root / "Berta" / "b.pdf").unlink()
    (inbox.root / "Berta").rmdir()
    assert offered(inbox, 1000) == {}
    assert inbox.waiting == 0
    assert inbox.next_due() is None


def test_only_what_an_event_names_or_time_calls_for_is_looked_at(inbox: Inbox) -> None:
    """A scan between rescans reads no folder without need."""
    drop(inbox, "a.pdf", folder="Amt")
    drop(inbox, "b.pdf", folder="Berta")
    inbox.notice(Key("Berta", "b.pdf"), closed=True)
    assert offered(inbox, 0, everything=False) == {"b.pdf": Rest.CLOSED}
    assert inbox.waiting == 1
    assert inbox.next_due() == START + SETTLE
    assert offered(inbox, 2, everything=False) == {}
    assert offered(inbox, 3, everything=False) == {"b.pdf": Rest.SETTLED}
    assert inbox.next_due() == START + PATIENCE


def test_more_events_than_are_kept_make_it_look_at_everything(inbox: Inbox) -> None:
    """If events are lost, the scan finds the files."""
    drop(inbox, "a.pdf")
    drop(inbox, "b.pdf", folder="Berta")
    for number in range(20_001):
        inbox.notice(Key("Cäsar", f"{number}.tmp"), closed=True)
    offered(inbox, 0, everything=False)
    assert inbox.waiting == 2
    assert not inbox.is_noticed


# -- what a scan costs ------------------------------------------------------------------------


class Cost:
    """Counts the folders that are listed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.listed: list[str] = []
        scandir = os.scandir

        def counted(path: str) -> Iterator[os.DirEntry[str]]:
            self.listed.append(os.path.basename(path))  # noqa: PTH119 - a count
            return scandir(path)

        patch.setattr(os, "scandir", counted)

    def since(self) -> list[str]:
        """Return what was listed since the last time."""
        listed, self.listed = self.listed, []
        return listed


def junk(inbox: Inbox, folders: int) -> None:
    """Put files that are no PDFs into so many folders, two in each."""
    for folder in range(folders):
        path = inbox.root / f"junk {folder:04}"
        path.mkdir()
        for name in range(2):
            os.close(os.open(path / f"{name}.docx", os.O_CREAT))


def test_an_event_costs_its_folder_alone(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among hundreds of folders of junk, only the folder of an event is read."""
    junk(inbox, 600)
    offered(inbox, 0)
    offered(inbox, 3)
    cost = Cost(monkeypatch)
    inbox.notice(drop(inbox, "letter.pdf"), closed=True)
    assert offered(inbox, 4, everything=False) == {"letter.pdf": Rest.CLOSED}
    assert cost.since() == ["Amt"]
    assert offered(inbox, 5, everything=False) == {}
    assert cost.since() == []
    offered(inbox, 6, everything=True)
    assert len(cost.since()) == 1 + 1 + 601


def test_a_large_inbox_is_read_in_slices_and_an_event_comes_first(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long scan goes in slices; a letter that arrives meanwhile waits for one slice at most."""
    junk(inbox, 600)
    cost = Cost(monkeypatch)
    inbox.scan(START, everything=True, most=80)
    assert len(cost.since()) <= 30
    assert inbox.progress is not None
    assert inbox.progress.of == 602
    far = inbox.progress.folders
    inbox.notice(drop(inbox, "letter.pdf"), closed=True)
    (letter,) = inbox.scan(START + 0.1, everything=False, most=80)
    assert letter.key == Key("Amt", "letter.pdf")
    cost.since()
    slices = 0
    while inbox.is_behind:
        inbox.scan(START + 0.2, everything=False, most=80)
        assert inbox.progress is None or inbox.progress.folders > far
        slices += 1
        assert len(cost.since()) <= 30
    assert 15 < slices < 30
    assert inbox.waiting == 600 * 2 + 1
    assert inbox.progress is None


def test_a_letter_overtakes_thousands_of_folders_that_changed(inbox: Inbox) -> None:
    """A folder in which a PDF was closed is read before those in which anything else happened."""
    for at in range(1_000):
        folder = f"junk {at}"
        inbox.notice(drop(inbox, "table.docx", folder=folder), closed=True)
    letter = drop(inbox, "letter.pdf", folder="Berta")
    inbox.notice(letter, closed=True)
    (first,) = inbox.scan(START, everything=False, most=10)
    assert first.key == letter
    while inbox.is_behind:
        inbox.scan(START, everything=False)
    assert inbox.waiting == 1_001


def test_one_very_large_folder_is_read_in_slices_too(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with thousands of files does not delay a letter in another one."""
    for at in range(3_000):
        os.close(os.open(inbox.root / "Amt" / f"{at:04}.docx", os.O_CREAT))
    inbox.notice(Key("Amt", ""), closed=False)
    assert inbox.scan(START, everything=False, most=600) == []
    inbox.notice(drop(inbox, "letter.pdf", folder="Berta"), closed=True)
    (letter,) = inbox.scan(START + 0.1, everything=False, most=600)
    assert letter.key == Key("Berta", "letter.pdf")
    late = drop(inbox, "late.pdf")  # while its folder is being read
    inbox.notice(late, closed=True)
    while inbox.is_behind:
        inbox.scan(START + 0.2, everything=False, most=600)
    assert late in inbox.waiting_files(10_000)
    assert inbox.waiting == 3_002
    cost = Cost(monkeypatch)
    offered(inbox, 4, everything=False)
    assert cost.since() == ["Amt"]  # all of it is due at once, but read only once


def test_a_file_that_comes_while_its_folder_is_read_is_not_forgotten(inbox: Inbox) -> None:
    """A file that appears while its folder is read is not taken for gone."""
    for at in range(1_000):
        os.close(os.open(inbox.root / "Amt" / f"{at:04}.docx", os.O_CREAT))
    inbox.scan(START, everything=True, most=400)
    gone = inbox.root / "Amt" / "0500.docx"
    key = drop(inbox, "letter.pdf")
    os.utime(inbox.root / "Amt" / "letter.pdf", (1_000_000, 1_000_000))
    gone.unlink()
    inbox.notice(key, closed=True)
    found = []
    while inbox.is_behind:
        found += inbox.scan(START + 0.1, everything=False, most=400)
    assert [candidate.key for candidate in found] == [key]
    assert key in inbox.waiting_files(2_000)
    assert Key("Amt", "0500.docx") not in inbox.waiting_files(2_000)


# -- events ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "rest"),
    [
        (FileClosedEvent("{}/Amt/a.pdf"), Rest.CLOSED),
        (FileMovedEvent("{}/Amt/a.tmp", "{}/Amt/a.pdf"), Rest.CLOSED),
        (FileMovedEvent("", "{}/Amt/a.pdf"), Rest.CLOSED),
        (FileCreatedEvent("{}/Amt/a.pdf"), None),
        (DirCreatedEvent("{}/Amt"), None),
        (DirMovedEvent("", "{}/Amt"), None),
        (DirModifiedEvent("{}/Amt"), None),
    ],
)
def test_an_event_wakes_the_scan_and_says_whether_a_file_was_closed(
    inbox: Inbox, event: FileSystemEvent, rest: Rest | None
) -> None:
    """Events of a file, and of the folder it came in, lead to it; a close or a move is an end."""
    for name in ("src_path", "dest_path"):
        path = getattr(event, name)
        assert isinstance(path, str)
        setattr(event, name, path.format(inbox.root))
    woken: list[bool] = []
    drop(inbox, "a.pdf")
    _Handler(inbox, lambda: woken.append(inbox.is_noticed)).dispatch(event)
    assert woken == [True]
    assert offered(inbox, 0, everything=False) == ({} if rest is None else {"a.pdf": rest})
    assert inbox.waiting == 1


@pytest.mark.parametrize(
    "event",
    [
        FileMovedEvent("{}/Amt/a.pdf", ""),  # as every claim is
        FileClosedEvent("{}/Amt/2026/a.pdf"),
    ],
)
def test_events_that_are_not_ours_lead_to_no_scan(inbox: Inbox, event: FileSystemEvent) -> None:
    """Events outside the inbox, or too deep in it, cause no scan."""
    _Handler(inbox, lambda: None).dispatch(event)
    assert not inbox.is_noticed
    assert inbox.scan(START, everything=False) == []


def test_a_candidate_says_what_it_is(inbox: Inbox) -> None:
    """An opened candidate can be compared with the file that was looked at."""
    key = drop(inbox, "a.pdf", b"12345")
    inbox.notice(key, closed=True)
    (candidate,) = inbox.scan(START, everything=False)
    status = candidate.path.stat()
    assert isinstance(candidate, Candidate)
    assert candidate.signature == (5, status.st_mtime_ns, status.st_ino)
    assert candidate.is_regular


# -- what people are told -------------------------------------------------------------------


def test_it_is_said_what_a_file_waits_for(inbox: Inbox) -> None:
    """Each thing that a file waits for has its plain words, until its patience ends."""
    drop(inbox, "scan.pdf")
    inbox.scan(START, everything=True)
    settling = "just arrived or still changing: it must stay unchanged for 3 s"
    assert words_of(inbox, 0) == words_of(inbox, 2.9) == settling
    (candidate,) = inbox.scan(START + 3, everything=True)
    assert words_of(inbox, 3) == "about to be taken"
    inbox.not_yet(candidate, START + 3)
    at = (WALL + timedelta(seconds=PATIENCE)).astimezone()
    assert words_of(inbox, 3) == (
        f"does not look complete yet, and is taken as it is at {at:%H:%M} if it does not change"
    )
    drop(inbox, "scan.pdf", b"%PDF- and more")
    inbox.scan(START + 4, everything=True)
    assert words_of(inbox, 4) == settling


def test_a_file_in_use_says_so_until_it_is_let_go(inbox: Inbox) -> None:
    """While somebody has a file open, the words for it stay the same."""
    drop(inbox, "scan.pdf")
    inbox.scan(START, everything=True)
    for after in (3, 6, 9):
        (candidate,) = inbox.scan(START + after, everything=True)
        if after > 3:
            assert words_of(inbox, after) == "somebody still has it open"
        inbox.not_yet(candidate, START + after, again=True)
        assert words_of(inbox, after) == "somebody still has it open"
    (candidate,) = inbox.scan(START + 12, everything=True)
    inbox.not_yet(candidate, START + 12)
    assert "does not look complete" in words_of(inbox, 12)


def test_the_end_of_patience_stands_still(inbox: Inbox) -> None:
    """That instant does not jitter with the clocks, but follows a changed wall clock."""
    drop(inbox, "scan.pdf")
    offered(inbox, 0)
    offered(inbox, 3)
    said = {
        inbox.waits(10, START + after, WALL + timedelta(seconds=after + tremble))[0].until
        for after, tremble in ((3.0, 0.0), (20.3, -0.01), (70.9, 0.9), (200.0, -0.6))
    }
    assert said == {WALL + timedelta(seconds=PATIENCE)}
    (file,) = inbox.waits(10, START + 210, WALL + timedelta(days=1, seconds=210))
    assert file.until == WALL + timedelta(days=1, seconds=PATIENCE)


def test_only_some_of_many_are_told_of(inbox: Inbox) -> None:
    """The waiting files are listed by folder and name, up to the wanted number."""
    keys = [drop(inbox, f"{number:02}.pdf") for number in range(20)]
    inbox.scan(START, everything=True)
    assert [file.key for file in inbox.waits(5, START, WALL)] == keys[:5]
