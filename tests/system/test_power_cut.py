"""Power cuts: the disk forgets what was not flushed, while the daemon is in the middle of it.

The root lies on a small ext4 image. A cut is the kernel's own shutdown of the file system, without
a last flush of its journal; then the daemon is killed, the image is mounted anew (which plays the
journal back, as after a real cut) and the daemon started on what is left. ext4's favour to programs
that forget to fsync is switched off, and its journal is written only when somebody asks.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Self

import pytest

from faxdrop.simulator import Simulator
from tests.kit import letters, promises
from tests.kit.kills import INBOX, SENDING, moment, simulator_of
from tests.kit.processes import Office
from tests.kit.seeds import random_of, seed_of, tell

CUTS, DOCUMENTS = 60, 240
MEGABYTES = 64
OPTIONS = "noauto_da_alloc,commit=600"
TOOLS = ("losetup", "mkfs.ext4", "mount", "umount", "xfs_io")


class Disk:
    """A file system of its own on an image, whose power can be cut. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "image.0"
        self._device = ""
        self._cuts = 0
        self.point = folder / "disk"

    def cut(self) -> None:
        """Stop all writing at once: what is neither in the journal nor on its place is lost."""
        _do("xfs_io", "-x", "-c", "shutdown", str(self.point))

    def restore(self) -> None:
        """Mount what the image holds; nobody may use the old mount any more.

        On another image, so that nothing of the kernel's memory of the old one can come to help.
        """
        self._cuts += 1
        old, self._image = self._image, self._image.with_suffix(f".{self._cuts}")
        _do("cp", "--sparse=always", str(old), str(self._image))
        self._detach()
        old.unlink()
        self._attach()

    def __enter__(self) -> Self:
        with self._image.open("wb") as file:
            file.truncate(MEGABYTES << 20)
        _do("mkfs.ext4", "-q", "-F", str(self._image))
        self.point.mkdir()
        self._attach()
        return self

    def __exit__(self, *_: object) -> None:
        self._detach()

    def _attach(self) -> None:
        self._device = _do("losetup", "--find", "--show", str(self._image)).strip()
        try:
            _do("mount", "-t", "ext4", "-o", OPTIONS, self._device, str(self.point))
        except BaseException:
            self._detach()
            raise

    def _detach(self) -> None:
        if os.path.ismount(self.point):
            _do("umount", "--lazy", str(self.point))
        if self._device:
            _do("losetup", "--detach", self._device)
            self._device = ""


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pytest.fixture
def power(tmp_path: Path) -> Iterator[Disk]:
    """Give a disk, where this machine and this user can have one."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and the programs {', '.join(TOOLS)} (missing: {missing})")
    with Disk(tmp_path) as one:
        yield one


@pytest.mark.root
@pytest.mark.long
def test_a_power_cut_loses_nothing_and_doubles_nothing(
    power: Disk, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Cut dozens of times in the middle of its work, it keeps every promise on what is left."""
    seed = seed_of(request)
    random = random_of(seed)
    post = list(letters.letters(random, DOCUMENTS, numbers=40))
    with (
        simulator_of(seed) as simulator,
        Office(
            tmp_path,
            simulator.base_url,
            root=_made(power.point / "share"),
            inbox_settings=INBOX,
            sending_settings=SENDING,
        ) as office,
    ):
        dropped: list[str] = []
        for cut in range(CUTS):
            office.start()
            batch = post[len(dropped) : (cut + 1) * DOCUMENTS // CUTS]
            _live_and_cut(power, office, simulator, random, batch)
            dropped += [one.sha256 for one in batch]
            power.restore()
            wrong = promises.violations(office.root, simulator.taken, dropped, ended=False)
            assert not wrong, (f"after cut {cut + 1}", wrong)
        office.start()
        office.await_filed(DOCUMENTS, seconds=600)
        assert office.stop() == 0
        wrong = promises.violations(office.root, simulator.taken, dropped)
        assert not wrong, wrong
        assert not list((office.root / ".faxdrop" / "corrupt").iterdir())
        tell(request, f"{CUTS} cuts: {promises.tally(office.root, simulator.taken)}")


def _live_and_cut(
    power: Disk, office: Office, simulator: Simulator, random: Random, batch: list[letters.Letter]
) -> None:
    """Drop some letters, and cut the power a moment later; the daemon may go on for another."""
    for one in batch:
        letters.drop(office.inbox, one, durable=True)
    moment(random, simulator)
    power.cut()
    if random.random() < 0.5:
        moment(random, simulator)
    office.kill()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
