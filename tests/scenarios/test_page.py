"""The status page of a daemon at work, of one that was killed, and of a share that went away."""

import json
from pathlib import Path

import pytest

from tests.kit import pdfs
from tests.kit.breaking import stage
from tests.kit.processes import Office, Simulated
from tests.kit.waiting import until


@pytest.mark.long
def test_the_page_of_a_day(tmp_path: Path) -> None:
    """What was sent and what failed is on it, a stop as well; of a kill, one command tells."""
    with Simulated("--pace", "0") as simulated, Office(tmp_path, simulated.base_url) as office:
        page = office.root / "STATUS.html"

        def shows(*words: str) -> bool:
            return page.exists() and all(word in page.read_text("utf-8") for word in words)

        office.start()
        until(lambda: shows("faxdrop is running."), 60.0, "the page")
        office.drop("Amt", "good.pdf", pdfs.good())
        office.drop("Frau Niemand", "bad.pdf", pdfs.good(2))
        office.await_filed(2)
        links = ("sent/Amt/good.pdf", "failed/Frau%20Niemand/bad.pdf")
        until(lambda: shows("faxdrop is running.", *links), 60.0, "both documents")
        assert office.stop() == 0
        assert shows("faxdrop is not running: nothing is faxed.", *links)
        office.start()
        until(lambda: shows("faxdrop is running."), 60.0, "the page")
        office.kill()
        done = office.command("status", "--page")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert shows("faxdrop is not running: nothing is faxed.", *links)
        assert not list((office.root / ".faxdrop").glob("STATUS*"))


def test_a_share_that_is_away(tmp_path: Path) -> None:
    """Nothing is written where the share was; once it is back, the page is true again."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        page = world.root / "STATUS.html"
        world.start()
        world.live(10.0)
        assert "faxdrop is running." in page.read_text()
        world.root.rename(tmp_path / "unmounted")
        world.root.mkdir()
        world.live(300.0)
        assert list(world.root.iterdir()) == []
        world.root.rmdir()
        (tmp_path / "unmounted").rename(world.root)
        staged.drop("Frau Niemand", "bad.pdf", pdfs.good())
        world.until_done(hours=1.0)
        world.live(10.0)
        assert "bad.pdf" in page.read_text()


def test_a_page_that_cannot_be_written_keeps_no_fax(tmp_path: Path) -> None:
    """A folder in the page's place is named by `faxdrop status`, and faxes go out as ever."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        (world.root / "STATUS.html").mkdir()
        world.start()
        staged.drop("+493023125100", "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        world.live(10.0)
        assert len(world.sent) == 1
        problems = json.loads((world.root / ".faxdrop" / "status.json").read_bytes())["problems"]
        assert [one["problem"] for one in problems] == [
            "cannot be written because a folder has its name: remove that folder"
        ]
