"""The daemon keeps its journal: what it writes down while it works, and what it says of it."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from faxdrop.cli import orders
from faxdrop.config.settings import RetentionSettings
from faxdrop.journal import history
from faxdrop.journal.history import Filter
from faxdrop.journal.lines import RetryLine, hash_of
from faxdrop.journal.verify import verify
from faxdrop.spool.places import SpoolError
from tests.kit import pdfs
from tests.kit.breaking import Stage, stage
from tests.kit.jobs import GOLDEN

NUMBER = "+493023125100"
HOUR, DAY = 3600.0, 86400.0


def lines(staged: Stage) -> list[dict[str, Any]]:
    """Return what all lines of the journal say."""
    return [line.content or {} for line in history.lines(staged.world.journal.folder)]


def events(staged: Stage) -> list[str]:
    """Return what the lines are about."""
    return [str(content["event"]) for content in lines(staged)]


def problems(staged: Stage) -> str:
    """Return what the status says of the journal; the daemon is alive for two minutes."""
    staged.world.live(120.0)
    assert staged.world.spool is not None
    found: Any = staged.world.spool.notes.read_status()["problems"]
    return " ".join(one["problem"] for one in found if "journal" in one["path"])


def is_well(staged: Stage) -> bool:
    """Tell whether nothing is wrong with the root."""
    return verify(staged.world.root, staged.world.journal.folder).is_well


def test_what_holds_the_queue_is_written_down(tmp_path: Path) -> None:
    """A line when something comes to hold, one when it holds no longer, with since when."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.simulator.trouble = 402
        staged.drop(NUMBER, "letter.pdf", pdfs.good())
        world.live(300.0)
        assert events(staged) == ["held"]
        staged.simulator.trouble = None
        world.until_done()
        world.live(5.0)
        assert sorted(events(staged)) == ["held", "released", "sent"]
        held, released = (
            next(one for one in lines(staged) if one["event"] == event)
            for event in ("held", "released")
        )
        assert "balance" in held["words"]
        assert released["words"] == held["words"]
        assert released["since"] <= held["at"] < released["at"]
        assert is_well(staged)


def test_a_retry_is_written_down(tmp_path: Path) -> None:
    """A retry has its line with the document, and the new end another; verify finds nothing."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.drop("nobody", "letter.pdf", pdfs.good())
        world.until_done()
        [one] = world.failed
        assert world.spool is not None

        def note(retried: RetryLine) -> None:
            world.journal.append(retried)

        orders.retry(world.spool, one.path, user="anna", note=note)
        assert is_well(staged)
        world.until_done()
        assert events(staged) == ["failed", "retried", "failed"]
        first, retried, second = lines(staged)
        assert (retried["user"], retried["job_id"]) == ("anna", first["job_id"])
        assert retried["sha256"] == first["document"]["sha256"]
        assert second["job_id"] != first["job_id"]
        assert is_well(staged)


def test_a_month_changes_while_the_daemon_runs(tmp_path: Path) -> None:
    """The chain goes on in the next month's file, and both months have their tables."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        for month in range(2):
            staged.drop(NUMBER, f"letter {month}.pdf", pdfs.good(pages=month + 1))
            world.until_done()
            world.live(10.0)
            world.time.pass_by(31 * DAY)
        folder = world.journal.folder
        first, second = (folder / f"2026-0{month}.jsonl" for month in (3, 4))
        assert json.loads(second.read_bytes())["previous"] == hash_of(first.read_bytes())
        assert {path.name for path in (world.root / "journal").iterdir()} == {
            "2026-03.csv",
            "2026-04.csv",
        }
        assert is_well(staged)


def _old(root: Path, version: int) -> None:
    """File what an older faxdrop filed: golden receipts, and documents that fit them."""
    for status in ("sent", "failed"):
        receipt = (GOLDEN / f"receipt-{version}-{status}.json").read_bytes()
        job_id, document = json.loads(receipt)["job_id"], json.loads(receipt)["document"]
        receipt = receipt.replace(job_id.encode(), f"{job_id[:-6]}{hash_of(receipt)[:6]}".encode())
        content = f"%PDF {status}".encode()
        if document["sha256"] is not None:
            receipt = receipt.replace(document["sha256"].encode(), hash_of(content).encode())
        folder = root / status / "Praxis"
        folder.mkdir(parents=True)
        (folder / "old.pdf").write_bytes(content)
        (folder / "old.pdf.json").write_bytes(receipt)


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_older_faxdrop_filed_is_taken_in(tmp_path: Path, version: int) -> None:
    """Receipts of either version get one line each at the first start, marked as taken in."""
    with stage(tmp_path / "root") as staged:
        _old(staged.world.root, version)
        for _ in range(2):
            staged.world.start()
            staged.world.live(60.0)
            staged.world.crash()
        assert sorted(events(staged)) == ["failed", "sent"]
        assert all(one["taken_in"] for one in lines(staged))
        assert is_well(staged)


def test_a_newer_journal_is_left_alone_at_the_start(tmp_path: Path) -> None:
    """The daemon says so and does not start; nothing is changed, and nothing is faxed."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.drop(NUMBER, "letter.pdf", pdfs.good())
        world.until_done()
        world.crash()
        path = world.journal.folder / "2026-03.jsonl"
        path.write_bytes(path.read_bytes().replace(b"journal/1", b"journal/7"))
        before = {one.name: one.read_bytes() for one in world.journal.folder.glob("*.*")}
        staged.drop(NUMBER, "next.pdf", pdfs.good(pages=2))
        with pytest.raises(SpoolError, match=r"faxdrop-journal/7.*Nothing was changed"):
            world.start()
        assert {one.name: one.read_bytes() for one in world.journal.folder.glob("*.*")} == before
        assert len(world.in_inbox()) == 1
        assert len(staged.simulator.taken) == 1


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"mine\r\n")


def _link(path: Path) -> None:
    path.rename(path.with_name("mine.csv"))
    path.symlink_to(path.with_name("mine.csv"))
    path.write_bytes(b"mine")


def _folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def _folder_is_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("mine")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_edit, "changed by somebody"),
        (_link, "changed by somebody"),
        (_folder, "could not be written (Is a directory)"),
        (_folder_is_a_file, "could not be written"),
    ],
)
def test_status_has_a_word_for_a_table_that_was_touched(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    """A table that was edited or replaced is written again if possible, and status says so."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.drop(NUMBER, "letter.pdf", pdfs.good())
        world.until_done()
        assert problems(staged) == ""
        table = world.root / "journal" / "2026-03.csv"
        right = table.read_bytes()
        spoil(table)
        assert words in problems(staged)
        if "changed" in words:
            assert table.read_bytes() == right
            assert not table.is_symlink()
            world.time.pass_by(DAY)
        else:
            shutil.rmtree(table) if table.is_dir() else table.parent.unlink()
        assert problems(staged) == ""
        assert table.read_bytes() == right


def test_retention_follows_the_config_of_a_reload(tmp_path: Path) -> None:
    """Old documents are removed if the config says so; their lines stay."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        daemon = world.start()
        staged.drop(NUMBER, "letter.pdf", pdfs.good())
        world.until_done()
        world.time.pass_by(3 * DAY)
        assert len(world.sent) == 1
        shorter = {"retention": RetentionSettings.model_validate({"sent": "1d"})}
        daemon.reload(partial(world.config.model_copy, update=shorter))
        world.live(60.0)
        assert world.sent == []
        assert events(staged) == ["sent", "removed"]
        assert len(list(history.ends(world.journal.folder, Filter()))) == 1
        assert is_well(staged)


def test_retention_looks_once_a_day(tmp_path: Path) -> None:
    """A document is removed when its time is over, by a daemon that just goes on."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        retention = {"retention": RetentionSettings.model_validate({"sent": "1d"})}
        world.config = world.config.model_copy(update=retention)
        world.start()
        staged.drop(NUMBER, "letter.pdf", pdfs.good())
        world.until_done()
        world.time.pass_by(DAY - HOUR)
        world.live(60.0)
        assert len(world.sent) == 1
        world.time.pass_by(DAY + HOUR)
        world.live(60.0)
        assert world.sent == []
        assert is_well(staged)


def test_names_that_are_no_text_go_through_the_chain(tmp_path: Path) -> None:
    """A name whose bytes are not UTF-8: line, table and verification know it."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.drop(NUMBER, "caf\udce9.pdf", pdfs.good())
        world.until_done()
        world.live(70.0)
        [line] = lines(staged)
        assert bytes.fromhex(line["path"]["hex"]).endswith(b"caf\xe9.pdf")
        assert rb"caf\xe9.pdf" in (world.root / "journal" / "2026-03.csv").read_bytes()
        assert is_well(staged)
