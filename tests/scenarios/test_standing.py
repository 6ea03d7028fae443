"""What the daemon records for ``faxdrop status``: what files wait for, and a refused config."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from faxdrop.config.problems import ConfigError, Problem
from faxdrop.config.settings import Config
from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits
from faxdrop.names.printable import shown
from faxdrop.simulator import Simulator
from tests.kit import letters, pdfs
from tests.kit.world import START, Time, World

NUMBER = "+493023125022"


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """Give the reader."""
    with Checker(Limits(max_bytes=1_000_000, max_pages=30)) as one:
        yield one


@pytest.fixture
def world(tmp_path: Path, checker: Checker) -> Iterator[World]:
    """Give an office at work."""
    time = Time()

    def now() -> float:
        return time.wall.timestamp()

    with Simulator(pace=0, clock=now) as simulator:
        world = World(tmp_path / "root", simulator, checker, time)
        world.start()
        yield world
        world.crash()


def said(world: World) -> Any:
    """Return what the daemon wrote down last."""
    assert world.spool is not None
    return world.spool.notes.read_status()


def test_half_a_document_says_until_when_it_waits(world: World) -> None:
    """Half a PDF is shown as waiting until its patience ends, without a new status each time."""
    odd = os.fsdecode(b"half \xff.pdf")
    world.drop(NUMBER, odd, pdfs.truncated())
    world.live(8.0)
    (file,) = said(world)["waiting"]
    assert (file["folder"], file["name"]) == (NUMBER, shown(odd))
    assert "does not look complete" in file["words"]
    until = START + timedelta(seconds=30)
    assert file["until"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    path = world.root / ".faxdrop" / "status.json"
    before = path.stat().st_ino
    world.live(15.0)
    assert path.stat().st_ino == before
    world.until_done()
    world.live(2.0)
    assert said(world)["waiting"] == []


def test_a_document_that_is_open_says_so(world: World) -> None:
    """A whole PDF that a program still has open for writing is shown as in use."""
    path = world.drop(NUMBER, "open.pdf", letters.letter("open"))
    with path.open("ab"):
        world.live(8.0)
        (file,) = said(world)["waiting"]
        assert (file["words"], file["until"]) == ("somebody still has it open", None)
    world.until_done()


def test_a_config_that_was_refused_is_told_of_until_a_good_one_comes(world: World) -> None:
    """What is wrong with a config is in the status until the next good reload."""

    def refused() -> Config:
        raise ConfigError((Problem("region", "'XX'", "a country"), Problem("root", "3", "a path")))

    assert world.daemon is not None
    world.daemon.reload(refused)
    world.live(2.0)
    (problem,) = said(world)["problems"]
    assert "region = 'XX': a country; root = 3: a path" in problem["problem"]
    assert "the previous one stays in force" in problem["problem"]
    world.daemon.reload(lambda: world.config)
    world.live(2.0)
    assert said(world)["problems"] == []


def test_a_table_of_the_journal_that_cannot_be_written_is_said(world: World) -> None:
    """What prevents the tables is in the status until it is gone."""
    place = world.root / "journal"
    place.symlink_to(world.root.parent)
    world.drop(NUMBER, "letter.pdf", pdfs.good())
    world.until_done()
    world.live(10.0)
    (problem,) = said(world)["problems"]
    assert str(place) in problem["problem"]
    place.unlink()
    world.live(70.0)
    assert said(world)["problems"] == []
    assert list(place.glob("*.csv"))


def test_a_journal_of_a_newer_faxdrop_holds_what_is_to_be_filed(world: World) -> None:
    """If another version writes to the journal meanwhile, status says so, and nothing is lost."""
    world.drop(NUMBER, "letter.pdf", pdfs.good())
    world.until_done()
    [path] = (world.root / ".faxdrop" / "journal").glob("*.jsonl")
    kept = path.read_bytes()
    path.write_bytes(kept + kept.replace(b"faxdrop-journal/1", b"faxdrop-journal/9"))
    world.drop(NUMBER, "another.pdf", pdfs.good(2))
    world.live(30.0)
    [hold] = said(world)["holds"]
    assert "another version of faxdrop" in hold["words"]
    assert "Install the version" in hold["advice"]
    path.write_bytes(kept)
    world.until_done()
    world.live(70.0)
    assert said(world)["holds"] == []
    assert b"another.pdf" in path.read_bytes()
