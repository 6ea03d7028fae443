"""On a disk that gets full, claims stop before they take what filing needs, and say so once."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faxdrop.spool.disk import Disk
from faxdrop.spool.space import Room
from tests.kit import pdfs
from tests.kit.breaking import ends, quiet, stage, turns_of
from tests.kit.processes import Office, Simulated

PLAIN = "+493023125100"
MB = 1_000_000


class Volume:
    """A disk of 100 MB, and how full it is."""

    def __init__(self) -> None:
        self.free, self.inodes, self.all_inodes = 50 * MB, 5_000, 10_000

    def look(self, _path: Path) -> os.statvfs_result:
        """statvfs(3)."""
        found: Any = SimpleNamespace(
            f_frsize=1000,
            f_bavail=self.free // 1000,
            f_blocks=100_000,
            f_files=self.all_inodes,
            f_favail=self.inodes,
        )
        return found  # type: ignore[no-any-return]


def test_what_is_short_is_named_and_must_be_there_clearly_before_it_goes_on() -> None:
    """Bytes and inodes have a reserve each, and around it nothing flaps."""
    volume = Volume()
    room = Room(Path(), volume.look)
    assert room.has(0, jobs=0)
    volume.free = 1_500_000
    assert not room.has(0, jobs=0)
    assert room.short == "too little room on the disk: 1.5 MB are free"
    volume.free = 1_700_000  # enough to continue, but not to resume claims
    assert not room.has(0, jobs=0)
    volume.free = 3 * MB
    assert room.has(0, jobs=0)
    assert room.short == ""
    volume.inodes = 100
    assert not room.has(0, jobs=0)
    assert room.short == "too little room on the disk: 100 more files are possible (inodes)"
    volume.inodes, volume.all_inodes = 0, 0  # a file system that does not count inodes
    assert room.has(0, jobs=0)


def test_every_document_on_its_way_and_the_next_ones_size_count() -> None:
    """A copy may be as large as its document, and each that was claimed must come to its end."""
    volume = Volume()
    room = Room(Path(), volume.look)
    volume.free = 20 * MB
    assert room.has(10 * MB, jobs=10)
    assert not room.has(19 * MB, jobs=10)
    volume.free = 50 * MB
    assert room.has(MB, jobs=10)
    assert not room.has(MB, jobs=1_000)


def test_without_room_nothing_is_claimed_and_what_is_on_its_way_ends(tmp_path: Path) -> None:
    """The held inbox is reported once and in `status`, and goes on when there is room."""
    volume = Volume()
    with stage(tmp_path) as staged, quiet() as events:
        world = staged.world
        daemon = world.start(Disk())
        daemon._pickup._room._statvfs = volume.look  # noqa: SLF001 - the disk's, in its place
        staged.drop(PLAIN, "before.pdf", pdfs.good(1, "before"))
        world.until(lambda: bool(world.in_spool()))
        volume.free = MB
        for at in range(3):
            staged.drop(PLAIN, f"{at}.pdf", pdfs.good(1, f"{at}"))
        world.until(lambda: bool(world.sent))
        assert turns_of(world, 600.0) < 600
        status: Any = world.spool.notes.read_status() if world.spool else {}
        (hold,) = status["holds"]
        assert hold["what"] == "intake"
        assert "1.0 MB are free" in hold["words"]
        assert "Free some space" in hold["advice"]
        assert {"too little room" in file["words"] for file in status["waiting"]} == {True}
        assert len(world.in_inbox()) == 3
        volume.free = 50 * MB
        world.until_done()
        world.live(5.0)
        assert ends(world) == [("sent", None)] * 4
        told = [e["event"] for e in events if e["event"].startswith(("inbox.", "disk."))]
        assert [one for one in told if one != "inbox.scanned"] == ["inbox.held", "inbox.released"]
        assert world.spool is not None
        assert world.spool.notes.read_status()["holds"] == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a very small file system."""
    point = tmp_path / "small"
    point.mkdir()
    options = "size=6m,nr_inodes=400"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], check=True)
    yield point
    subprocess.run(["umount", "--lazy", point], check=True)


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_small_disk_that_people_fill(tmp_path: Path, small: Path, what: str) -> None:
    """Whatever people drop until the disk is full, all that was claimed is filed, and then all."""
    with (
        Simulated("--pace", "0") as simulated,
        Office(tmp_path, simulated.base_url, root=small) as office,
    ):
        office.start()
        ballast = small / "ballast"
        ballast.mkdir()
        if what == "bytes":
            with (ballast / "0").open("wb") as file:
                left = os.statvfs(small)
                file.write(bytes(left.f_bavail * left.f_frsize - 1_500_000))
        else:
            for at in range(os.statvfs(small).f_favail - 110):
                (ballast / f"{at}").touch()
        dropped = 0
        while not (office.events("inbox.held") and any(small.glob("inbox/*/*.pdf"))):
            assert dropped < 200
            office.drop(f"+49302312513{dropped % 10}", f"{dropped}.pdf", pdfs.good(1, f"{dropped}"))
            dropped += 1
            office.until(lambda: _is_quiet(office), "all filed that was claimed")
        assert office.events("disk.trouble") == []
        office.until(lambda: office.status()["holds"], "said")
        (hold,) = office.status()["holds"]
        assert hold["what"] == "intake"
        assert any(small.glob("inbox/*/*.pdf"))
        for path in ballast.iterdir():
            path.unlink()
        office.await_filed(dropped)
        assert len(simulated.taken) == dropped
        assert office.events("disk.trouble") == []


def _is_quiet(office: Office) -> bool:
    """Tell whether nothing is on its way, and the inbox is empty or held."""
    jobs = list((office.root / ".faxdrop" / "jobs").iterdir())
    return not jobs and (bool(office.status().get("holds")) or not office.waiting())
