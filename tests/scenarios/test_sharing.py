"""The folders that people share have the same default access lists, whoever made them."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from faxdrop.spool.root import Spool
from faxdrop.spool.sharing import share
from tests.kit import pdfs
from tests.kit.breaking import stage
from tests.kit.processes import PROJECT
from tests.kit.users import let_in


def access_lists(path: Path) -> bool:
    """Tell whether a file system has access lists."""
    (path / "probe").mkdir()
    return share(path / "probe")


def defaults(path: Path) -> list[str]:
    """Return a folder's default access list, as getfacl(1) shows it."""
    shown = subprocess.run(
        ["getfacl", "--omit-header", "--default", path], check=True, capture_output=True, text=True
    )
    return [line for line in shown.stdout.splitlines() if line]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a folder on a file system with access lists."""
    if not access_lists(tmp_path) or shutil.which("getfacl") is None:
        pytest.skip("no access lists here, or nothing to read them with")
    return tmp_path


def test_they_are_those_of_tmpfiles(place: Path) -> None:
    """What the code sets is what the installation's tmpfiles.d file says."""
    conf = (PROJECT / "systemd" / "faxdrop.tmpfiles.conf").read_text()
    (lists,) = {line.split()[-1] for line in conf.splitlines() if line.startswith("a ")}
    wanted = [one.removeprefix("default:") for one in lists.split(",")]
    assert share(place)
    assert defaults(place) == wanted


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_folders_that_are_made_again_are_open_to_the_group(place: Path, umask: int) -> None:
    """Inbox, sent and failed that somebody deleted come back as they were, whatever the umask."""
    root = place / "root"
    root.mkdir()
    before = os.umask(umask)
    try:
        spool = Spool(root)
        spool.open()
        shutil.rmtree(spool.inbox)
        spool.make_inbox(None)
        spool.make_inbox("Amt")
        (spool.inbox / "Amt" / "letter.pdf").touch()
    finally:
        os.umask(before)
    spool.close()
    assert (spool.inbox / "Amt").stat().st_mode & stat.S_ISGID
    for folder in (spool.inbox, spool.sent, spool.failed, spool.inbox / "Amt"):
        assert defaults(folder) == ["user::rwx", "group::rwx", "other::---"]
    assert (spool.inbox / "Amt").stat().st_mode & 0o777 == 0o770
    assert (spool.inbox / "Amt" / "letter.pdf").stat().st_mode & 0o777 == 0o660


def test_a_folder_that_filing_makes_again_is_open_to_the_group(place: Path) -> None:
    """Somebody may remove all of sent/: it is the same again with the next letter."""
    with stage(place / "root") as staged:
        world = staged.world
        world.start()
        shutil.rmtree(world.root / "sent")
        staged.drop("+493023125100", "letter.pdf", pdfs.good())
        world.until_done()
        assert defaults(world.root / "sent") == ["user::rwx", "group::rwx", "other::---"]


def test_a_file_system_without_access_lists_goes_without() -> None:
    """A file system without access lists is not an error."""
    assert not share(Path("/proc/self"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_a_folder_that_cannot_be_its_groups_gets_no_access_list(place: Path) -> None:
    """Where files stay their writers' group's, a list would shut faxdrop out: there is none."""
    folder = place / "folder"
    folder.mkdir()
    os.chown(folder, 65534, 54321)  # a group that nobody is not in: the kernel drops the bit
    let_in(place)
    os.seteuid(65534)
    try:
        assert not share(folder)
    finally:
        os.seteuid(0)
    assert defaults(folder) == []
