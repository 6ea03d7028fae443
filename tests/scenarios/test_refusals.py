"""Missing rights are not disk trouble: the place is named, and nothing else waits for it."""

import errno
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faxdrop.config.settings import InboxSettings
from faxdrop.fax.recipient import AddressEntry
from faxdrop.inbox.scan import Inbox
from faxdrop.spool import refusals
from faxdrop.spool.disk import Disk, open_ordinary
from tests.kit import pdfs
from tests.kit.breaking import Stage, ends, quiet, stage, turns_of
from tests.kit.world import Here, World

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
NOBODY, THEIRS = 65534, 54321  # user ids: the one whose rights we have, and another
SHUT, OPEN = "+493023125100", "+493023125101"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Have nobody's rights for a while."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def root() -> Iterator[Path]:
    """Make a folder that everybody can come to, with nobody's own in it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        for one in ("home", "inbox", "inbox/it's Amt"):
            (path / one).mkdir()
            os.chown(path / one, NOBODY, NOBODY)
        yield path


def refused(root: Path, code: int = errno.EACCES, name: str | None = None) -> str:
    """Return why the recipient's folder cannot be written to, in words."""
    folder = root / "inbox" / "it's Amt"
    file = folder / name if name else None
    with as_nobody():
        error = OSError(code, os.strerror(code))
        found = refusals.of_writing(error, folder, root / "home", file)
    assert found is not None
    assert found.path == str(folder)
    return found.words


def mended_by(words: str) -> None:
    """Run the command that the words name."""
    command = re.search(r"To fix it: (.*)", words)
    assert command is not None, words
    subprocess.run(["sh", "-euc", command[1].replace("sudo ", "")], check=True)


@AS_ROOT
def test_a_folder_of_another_user_is_named_with_owner_mode_and_what_mends_it(root: Path) -> None:
    """The words say who and which mode, and their command gives the right to write."""
    folder = root / "inbox" / "it's Amt"
    os.chown(folder, THEIRS, THEIRS)
    folder.chmod(0o755)
    with as_nobody():
        before = refusals.before_writing(folder, root / "home")
    words = refused(root)
    assert before is not None
    assert before.words == words
    assert f"it belongs to {THEIRS}:{THEIRS}, mode 0755" in words
    assert "user nobody" in words
    mended_by(words)
    with as_nobody():
        assert refusals.before_writing(folder, root / "home") is None
        (folder / "new").touch()


@AS_ROOT
def test_a_folder_that_only_lists_its_names_is_one_problem(root: Path) -> None:
    """Without the right to enter a folder, it is named once, not each file, and how to mend it."""
    folder = root / "inbox" / "it's Amt"
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes(pdfs.good())
    os.chown(folder, THEIRS, THEIRS)
    folder.chmod(0o744)
    inbox = Inbox(root / "inbox", InboxSettings())
    with as_nobody():
        assert inbox.scan(0.0, everything=True) == []
    [(path, words)] = inbox.problems.items()
    assert path == str(folder)
    assert f"it belongs to {THEIRS}:{THEIRS}, mode 0744" in words
    mended_by(words)
    with as_nobody():
        inbox.scan(1.0, everything=True)
    assert (inbox.problems, inbox.waiting) == ({}, 2)


@AS_ROOT
def test_a_sticky_folder_is_said_to_be_one(root: Path) -> None:
    """In a folder like /tmp the files of others cannot be moved: chmod -t mends that."""
    folder = root / "inbox" / "it's Amt"
    os.chown(folder, THEIRS, THEIRS)
    folder.chmod(0o1777)
    (folder / "letter.pdf").touch()
    with as_nobody(), pytest.raises(PermissionError) as refusal:
        (folder / "letter.pdf").rename(root / "home" / "letter.pdf")
    assert refusal.value.errno is not None
    words = refused(root, refusal.value.errno, "letter.pdf")
    assert "sticky bit" in words
    assert "mode 1777" in words
    mended_by(words)
    with as_nobody():
        (folder / "letter.pdf").rename(root / "home" / "letter.pdf")


@AS_ROOT
@pytest.mark.parametrize("which", ["", "letter.pdf"])
def test_what_is_immutable_is_said_to_be(root: Path, which: str) -> None:
    """An attribute of chattr(1) is named, of the folder or the file, with the command."""
    folder = root / "inbox" / "it's Amt"
    (folder / "letter.pdf").touch()
    os.chown(folder / "letter.pdf", NOBODY, NOBODY)
    if shutil.which("chattr") is None or subprocess.call(["chattr", "+i", folder / which]):
        pytest.skip("no attributes on this file system")
    try:
        words = refused(root, errno.EPERM, "letter.pdf")
        assert "immutable" in words
        mended_by(words)
        (folder / "letter.pdf").rename(folder / "moved.pdf")
    finally:
        subprocess.call(["chattr", "-R", "-i", folder])


@AS_ROOT
@pytest.mark.parametrize("which", [".", "lock"])
def test_an_immutable_journal_is_not_given_to_a_user_who_has_it(tmp_path: Path, which: str) -> None:
    """Where faxdrop's own folder holds all, the command is the one that helps."""
    journal = tmp_path / ".faxdrop" / "journal"
    journal.mkdir(parents=True)
    (journal / "lock").touch()
    if shutil.which("chattr") is None or subprocess.call(["chattr", "+i", journal / which]):
        pytest.skip("no attributes on this file system")
    try:
        with pytest.raises(PermissionError) as refusal:
            (journal / "lock").unlink()
        mended_by(refusals.advice(refusal.value, tmp_path / ".faxdrop"))
        (journal / "lock").unlink()
    finally:
        subprocess.call(["chattr", "-R", "-i", journal])


@AS_ROOT
def test_a_file_that_may_not_be_read_is_named_with_owner_and_mode(root: Path) -> None:
    """The words say who and which mode, and their command gives the right to read."""
    path = root / "inbox" / "it's Amt" / "letter.pdf"
    path.touch(0o600)
    os.chown(path, THEIRS, THEIRS)
    with as_nobody():
        refusal = refusals.of_file(path)
    assert refusal.path == str(path)
    assert f"it belongs to {THEIRS}:{THEIRS}, mode 0600" in refusal.words
    mended_by(refusal.words)
    with as_nobody():
        path.read_bytes()


@AS_ROOT
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_trouble_of_the_whole_disk_is_no_places(root: Path, code: int) -> None:
    """A full, broken or read-only disk is not blamed on the folder where it was noticed."""
    with as_nobody():
        error = OSError(code, os.strerror(code))
        assert refusals.of_writing(error, root / "inbox", root / "home") is None


def test_a_folder_that_was_renamed_meanwhile_refuses_nothing(tmp_path: Path) -> None:
    """Whoever sorts folders is not told of their rights: there is nothing to mend."""
    assert refusals.before_writing(tmp_path / "inbox" / "Amt", tmp_path) is None


def test_a_spool_on_a_mount_of_its_own_is_no_recipients_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever cannot be moved into it is not to blame: all folders must be on one mount."""
    error = OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    home, folder = tmp_path / ".faxdrop", tmp_path / "inbox" / "Amt"
    home.mkdir()
    folder.mkdir(parents=True)
    found = refusals.of_writing(error, folder, home)
    assert found is not None
    assert "is a separate mount" in found.words
    monkeypatch.setattr(Path, "is_mount", lambda path: path == home)
    assert refusals.of_writing(error, folder, home) is None
    assert "must be on one mount" in refusals.advice(error, home)


@AS_ROOT
def test_our_own_folder_in_other_hands_is_no_recipients_trouble(root: Path) -> None:
    """If faxdrop may not write to its own folder, the words say so."""
    os.chown(root / "home", THEIRS, THEIRS)
    with as_nobody():
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        assert refusals.of_writing(error, root / "inbox", root / "home") is None
        assert refusals.before_writing(root / "inbox", root / "home") is None
        told = refusals.advice(error, root / "home")
        assert f"sudo chown -R nobody {root}/home && sudo chmod -R u+rwX {root}/home" in told


def test_something_else_in_the_place_of_our_own_is_no_full_disk(tmp_path: Path) -> None:
    """A file in place of faxdrop's own folder, or a pipe in place of a file, must be moved away."""
    (tmp_path / "journal").touch()
    os.mkfifo(tmp_path / "2026-11.jsonl")
    for path in (tmp_path / "journal" / "lock", tmp_path / "2026-11.jsonl"):
        with pytest.raises(OSError, match=re.escape(str(path))) as caught:
            open_ordinary(path)
        assert "move it away" in refusals.advice(caught.value, tmp_path)


def test_a_limit_of_the_machine_is_no_full_disk(tmp_path: Path) -> None:
    """Processes, memory and open files that run out are named as what they are."""
    for code in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        advice = refusals.advice(OSError(code, os.strerror(code)), tmp_path)
        assert "TasksMax=" in advice
        assert "Free some space" not in advice


# -- a daemon -------------------------------------------------------------------------------


class ShutDisk(Disk):
    """Refuses what is done in one place, as the kernel does where rights are missing."""

    def __init__(self, shut: Callable[[Path], bool], code: int = errno.EACCES) -> None:
        self.shut = shut
        self.code = code
        self.refused = 0

    def _ask(self, path: Path) -> None:
        if self.shut(path):
            self.refused += 1
            raise OSError(self.code, os.strerror(self.code), str(path))

    def make_folder(self, path: Path, mode: int = 0o777, *, within: int | None = None) -> None:
        """mkdir(2), or an error."""
        self._ask(path)
        super().make_folder(path, mode, within=within)

    def move(
        self, source: Path, target: Path, *, within: int | None = None, into: int | None = None
    ) -> None:
        """rename(2), or an error."""
        self._ask(Path(f"/proc/self/fd/{within}").readlink() if within is not None else source)
        self._ask(target)
        super().move(source, target, within=within, into=into)


def said(world: World) -> Any:
    """Return what the daemon wrote down last."""
    assert world.spool is not None
    return world.spool.notes.read_status()


def told(events: list[Any], name: str) -> int:
    """Return how often the log has an event."""
    return sum(event["event"] == name for event in events)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EXDEV])
def test_a_folder_that_refuses_its_letters_holds_nobody_up(tmp_path: Path, code: int) -> None:
    """A refused place is reported once, holds nothing, and ends by itself."""
    with stage(tmp_path) as staged, quiet() as events:
        world = staged.world
        shut = world.inbox / SHUT
        disk = ShutDisk(lambda path: path == shut, code)
        world.start(disk)
        for at in range(3):
            staged.drop(SHUT, f"{at}.pdf", pdfs.good(1, f"{at}"))
        turns_of(world, 20.0)
        (problem,) = said(world)["problems"]
        assert problem["path"] == str(shut)
        assert said(world)["holds"] == []
        assert {file["words"] for file in said(world)["waiting"]} == {problem["problem"]}
        staged.drop(OPEN, "letter.pdf", pdfs.good(1, "elsewhere"))
        dropped_at = world.time.mono
        world.until(lambda: len(staged.simulator.taken) == 1)
        assert world.time.mono - dropped_at < world.config.inbox.settle + 11.0  # a rescan, a rest
        refused = disk.refused
        turns_of(world, 1200.0)
        assert disk.refused - refused <= 3 * 25, "tried again ever more rarely"
        assert (told(events, "place.refused"), told(events, "place.well")) == (1, 0)
        disk.shut = lambda _: False
        world.until_done()
        world.live(5.0)
        assert ends(world) == [("sent", None)] * 4
        assert said(world)["problems"] == []
        assert (told(events, "place.refused"), told(events, "place.well")) == (1, 1)
        assert told(events, "disk.trouble") == told(events, "step.failed") == 0


@pytest.mark.parametrize("name", ["Amt", "read"])
def test_a_file_in_the_place_of_a_recipients_folder_is_no_disk_trouble(
    tmp_path: Path, name: str
) -> None:
    """What has a recipient's name is said as that folder's problem, and holds nobody up."""
    with stage(tmp_path) as staged, quiet() as events:
        world = staged.world
        book = {name: AddressEntry(number=SHUT)}
        world.config = world.config.model_copy(update={"recipients": book})
        world.inbox.mkdir(parents=True)
        (world.inbox / name).write_text("no folder")
        world.start()
        turns_of(world, 1.0)
        (problem,) = said(world)["problems"]
        assert (problem["path"], said(world)["holds"]) == (str(world.inbox / name), [])
        assert "is no folder" in problem["problem"]
        staged.drop(OPEN, "letter.pdf", pdfs.good(1, "elsewhere"))
        world.until(lambda: bool(world.sent))
        world.until((world.inbox / name).is_dir)
        world.until_done()
        assert said(world)["problems"] == []
        assert ends(world) == [("sent", None), ("failed", "recipient_unknown")]
        assert (told(events, "place.refused"), told(events, "place.well")) == (1, 1)
        assert told(events, "disk.trouble") == 0


@pytest.mark.parametrize("which", ["make", "move"])
def test_a_folder_that_refuses_what_is_filed_lets_its_own_jobs_wait(
    tmp_path: Path, which: str
) -> None:
    """A job that cannot be filed waits alone, with its folder named; all others go on."""
    with stage(tmp_path) as staged, quiet() as events:
        world = staged.world
        disk = ShutDisk(lambda path: SHUT in str(path) and "/sent/" in str(path).replace("..", ""))
        world.start(disk)
        if which == "move":
            (world.root / "sent" / SHUT).mkdir()
        staged.drop(SHUT, "letter.pdf", pdfs.good(1, "shut"))
        world.until(lambda: bool(disk.refused))
        world.live(5.0)
        (problem,) = said(world)["problems"]
        expected = world.root / "sent" / (SHUT if which == "move" else "")
        assert problem["path"] == str(expected)
        assert said(world)["holds"] == []
        staged.drop(OPEN, "letter.pdf", pdfs.good(1, "open"))
        world.until(lambda: bool(world.sent))
        assert said(world)["holds"] == []
        turns_of(world, 200.0)
        assert (told(events, "place.refused"), told(events, "disk.trouble")) == (1, 0)
        disk.shut = lambda _: False
        world.until_done()
        world.live(2.0)
        assert ends(world) == [("sent", None)] * 2
        assert said(world)["problems"] == []


def test_a_refused_letter_that_is_taken_away_is_no_problem_any_more(tmp_path: Path) -> None:
    """A refusal is no longer reported when its file is gone."""
    with stage(tmp_path) as staged:
        world = staged.world
        disk = ShutDisk(lambda path: path == world.inbox / SHUT)
        world.start(disk)
        letter = world.drop(SHUT, "letter.pdf", pdfs.good())
        world.until(lambda: bool(disk.refused))
        world.live(2.0)
        assert len(said(world)["problems"]) == 1
        letter.unlink()
        world.live(11.0)
        assert said(world)["problems"] == []


def test_a_letter_whose_rights_are_mended_is_sent_without_its_patience(tmp_path: Path) -> None:
    """A corrected folder is noticed without a restart, long before anything fails."""
    with stage(tmp_path) as staged:
        world = staged.world
        disk = ShutDisk(lambda path: path == world.inbox / SHUT)
        world.start(disk)
        staged.drop(SHUT, "letter.pdf", pdfs.good())
        world.until(lambda: disk.refused > 1)
        disk.shut = lambda _: False
        mended_at = world.time.mono
        world.until(lambda: bool(staged.simulator.taken))
        assert world.time.mono - mended_at < 10.0


class NoThreads(Here):
    """A pool that can start no thread while it is told so."""

    is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run it, or say that no thread can be started."""
        if self.is_shut:
            raise RuntimeError("can't start new thread")
        return super().submit(fn, *args, **kwargs)


def _with_pools(staged: Stage) -> tuple[NoThreads, NoThreads]:
    daemon = staged.world.start()
    steps, looks = NoThreads(), NoThreads()
    daemon._looks = daemon._pickup._claims._pool = looks  # noqa: SLF001
    daemon._dispatcher._pool = steps  # noqa: SLF001
    return steps, looks


@pytest.mark.parametrize("which", ["steps", "looks", "both"])
def test_threads_that_cannot_start_leave_nothing_in_hand(tmp_path: Path, which: str) -> None:
    """When no thread can be started, faxdrop says so, and goes on when there are threads again."""
    for begins_after in (0.0, 0.5, 2.5, 5.0, 12.0):
        with stage(tmp_path / f"{begins_after}") as staged, quiet() as events:
            world = staged.world
            steps, looks = _with_pools(staged)
            for at in range(3):
                staged.drop(f"+49302312513{at}", "letter.pdf", pdfs.good(1, f"{at}"))
            world.live(begins_after)
            steps.is_shut, looks.is_shut = which != "looks", which != "steps"
            taken = len(staged.simulator.taken)
            assert turns_of(world, 120.0) < 240
            if which == "both" or (which == "looks" and begins_after < 1):
                (hold,) = said(world)["holds"]
                assert "no thread can be started" in hold["words"]
                assert "TasksMax=" in hold["advice"]
                assert len(staged.simulator.taken) == taken
            steps.is_shut = looks.is_shut = False
            world.until_done()
            world.live(70.0)
            assert ends(world) == [("sent", None)] * 3
            assert len(staged.simulator.taken) == 3
            assert said(world)["holds"] == []
            assert told(events, "loop.failed") == told(events, "step.failed") == 0
