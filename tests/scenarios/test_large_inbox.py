"""Thousands of folders of what is no fax: a letter elsewhere does not wait for them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faxdrop.inbox.looks import Key
from faxdrop.inbox.scan import Inbox
from faxdrop.inbox.watcher import Watcher
from tests.kit import pdfs
from tests.kit.breaking import Stage, stage
from tests.kit.world import Deaf

FOLDERS, FILES = 3_000, 7
PROMPT = 5.0  # seconds from a letter's event until sipgate has it


@pytest.fixture(name="listed")
def _listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the folders that are listed."""
    listed: list[str] = []
    scandir = os.scandir

    def counted(path: str) -> Iterator[os.DirEntry[str]]:
        listed.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    return listed


def _faxed_meanwhile(staged: Stage, inbox: Inbox, name: str, listed: list[str]) -> None:
    """Drop a letter in the middle of a look, and let the loop turn until sipgate has it."""
    world = staged.world
    assert inbox.is_behind, "a look has begun, and is not done"
    dropped_at = world.time.mono
    before = len(staged.simulator.taken)
    path = staged.drop("+493023125130", name, pdfs.good(text=name))
    inbox.notice(Key(path.parent.name, name), closed=True)
    while len(staged.simulator.taken) == before:
        listed.clear()
        waited = path.exists()
        pause = world.turn()
        if waited and not path.exists():
            assert inbox.is_behind, "the letter was claimed only after the whole look"
        assert len(listed) < FOLDERS / 4, "no turn of the loop looks at so many folders"
        world.time.pass_by(max(pause or 0.0, 0.001))
        assert world.time.mono - dropped_at < PROMPT


@pytest.mark.long
def test_a_letter_is_faxed_while_thousands_of_folders_are_looked_at(
    tmp_path: Path, listed: list[str]
) -> None:
    """At the start, and at each later look at everything, a letter elsewhere is faxed at once."""
    with stage(tmp_path / "root", pace=0.0) as staged:
        world = staged.world
        for folder in range(FOLDERS):
            path = world.inbox / f"junk {folder:04}"
            path.mkdir(parents=True)
            for file in range(FILES):
                os.close(os.open(path / f"{file}.docx", os.O_CREAT))
        inboxes: list[Inbox] = []

        def told(inbox: Inbox, *others: Any) -> Watcher:
            inboxes.append(inbox)
            return Deaf(inbox, *others)

        world.make_watcher = told
        world.start()
        [inbox] = inboxes
        for name in ("at the start.pdf", "later.pdf"):
            world.turn()
            _faxed_meanwhile(staged, inbox, name, listed)
            while inbox.is_behind:
                world.turn()
            assert inbox.waiting == FOLDERS * FILES
            world.time.pass_by(world.config.inbox.rescan)
        assert len(staged.simulator.taken) == 2
