"""STATUS.html in a real browser: in light and dark, on a phone and on paper, with hostile names."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pikepdf
import pytest
from PIL import Image

from faxdrop.fax.job import State
from tests.kit import browser
from tests.kit.browser import Browser
from tests.kit.jobs import attempt, in_spool, job_in
from tests.kit.processes import PROJECT
from tests.kit.share import HOSTILE, Share

pytestmark = pytest.mark.skipif(not browser.is_here(), reason="Chromium is not installed")

SCREENS = {"desk": browser.DESK, "phone": browser.PHONE}


@pytest.fixture(name="chromium", scope="module")
def _chromium() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture(name="share", scope="module")
def _share(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """Give a share on which everything happens at once, under the worst of names."""
    share = Share(tmp_path_factory.mktemp("share") / "fax")
    for at, name in enumerate(HOSTILE.values()):
        share.fail(name, message=f"{name} is no PDF.")
        in_spool(
            share.root,
            job_in(
                (State.QUEUED, State.ACCEPTED)[at % 2],
                job_id=f"20260302-115000-{at:08x}",
                name=name,
                attempts=(attempt("SENDING"),),
            ),
        )
    share.send("letter.pdf")
    share.hold("submitting", "No money")
    share.turn()
    return share


@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_shown_as_it_is_meant(
    chromium: Browser, share: Share, screen: dict[str, int], scheme: str
) -> None:
    """The style holds, nothing runs, nothing is loaded, nothing is wider than the screen."""
    chromium.open(share.path, screen, scheme)
    assert chromium.complaints == []
    assert chromium.loaded == [share.path.as_uri()]
    assert chromium.tell("document.scripts.length + document.images.length") == 0
    assert chromium.tell("document.documentElement.scrollWidth") == screen["width"]
    assert chromium.tell("document.querySelectorAll('#failed li').length") == len(HOSTILE)
    assert chromium.tell("document.querySelector('h1').textContent") == "Faxes are held."
    with Image.open(io.BytesIO(chromium.picture())) as picture:
        paper = picture.convert("L").tobytes()[0]  # the first dot
        assert (paper > 200) == (scheme == "light")
        assert picture.height > screen["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(chromium: Browser, share: Share, scheme: str) -> None:
    """Every text stands out from what is behind it by 4.5 to 1 at least (WCAG 2.2, level AA)."""
    chromium.open(share.path, scheme=scheme)
    worst = chromium.tell(_CONTRAST)
    assert worst["ratio"] >= 4.5, worst


_CONTRAST = """(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  let worst = {ratio: 99};
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    let behind = one;
    while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const two = [getComputedStyle(one).color, getComputedStyle(behind).backgroundColor]
      .map(text => light(parts(text))).sort((a, b) => b - a);
    const ratio = (two[0] + 0.05) / (two[1] + 0.05);
    if (ratio < worst.ratio) worst = {ratio, text: one.textContent.trim(), tag: one.className};
  }
  return worst;
})()"""


def test_a_link_opens_the_very_file(chromium: Browser, share: Share) -> None:
    """Whatever is in a name, the browser goes to that file, and to no other address."""
    chromium.open(share.path)
    found = chromium.tell("[...document.querySelectorAll('#failed .what a')].map(a => a.href)")
    expected = {(share.root / "failed" / "Amt" / name).as_uri() for name in HOSTILE.values()}
    assert {unquote(one, errors="surrogateescape") for one in found} == {
        unquote(one, errors="surrogateescape") for one in expected
    }


def test_it_reads_itself_again(chromium: Browser, share: Share) -> None:
    """The browser will load the page again in a minute."""
    chromium.open(share.path)
    chromium.heard.clear()
    chromium.ask("Page.navigate", url=share.path.as_uri())
    planned = chromium.await_event("Page.frameScheduledNavigation")
    assert (planned["reason"], planned["delay"]) == ("metaTagRefresh", 60)
    assert planned["url"] == share.path.as_uri()


def test_it_is_printed_in_black_on_white(chromium: Browser, share: Share) -> None:
    """On paper it has its text and no dark ground, also for those who like it dark."""
    chromium.open(share.path, scheme="dark")
    with pikepdf.open(io.BytesIO(chromium.print())) as pdf:
        assert 1 <= len(pdf.pages) <= 4
    chromium.ask("Emulation.setEmulatedMedia", media="print")
    behind = chromium.tell("getComputedStyle(document.body).backgroundColor")
    assert behind == "rgb(255, 255, 255)"
    assert chromium.tell("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"


@pytest.mark.long
def test_the_readme_shows_what_is_so(tmp_path: Path) -> None:
    """The pictures in the README can be taken again from today's page."""
    command = [sys.executable, "-m", "tests.pictures", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=2 * browser.PATIENCE)
    for taken in ("status-page.png", "report.png"):
        with Image.open(tmp_path / taken) as new, Image.open(PROJECT / ".github" / taken) as old:
            assert new.width == old.width
            assert abs(new.height - old.height) < old.height / 4


@pytest.mark.parametrize("many", [0, pytest.param(5000, marks=pytest.mark.long)])
def test_none_and_thousands(chromium: Browser, tmp_path: Path, many: int) -> None:
    """An empty share has a page as well, and one of thousands is there at once."""
    share = Share(tmp_path / "fax")
    jobs = (
        job_in(State.QUEUED, job_id=f"20260302-115000-{at:08x}", name=f"{at}.pdf")
        for at in range(many)
    )
    in_spool(share.root, *jobs)
    share.turn()
    chromium.open(share.path)
    number = "document.querySelector('nav .waiting b').textContent"
    assert chromium.tell(number) == f"{many:,}"
    assert chromium.tell("document.querySelectorAll('li').length") == min(many, 50)
    assert chromium.tell("document.querySelector('h1').textContent") == "faxdrop is running."
    assert f"{share.at.astimezone():%Y-%m-%d}" in chromium.tell("document.body.innerText")
